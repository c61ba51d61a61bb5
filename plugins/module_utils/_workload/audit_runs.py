# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with templates, endpoints and their workers.

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

from .._core.errors import Json
from .._core.finding import module_call
from .._runpod.ownership import foreign_signs
from .audit_reads import failure
from .audit_scene import Scene, drifted, main_job, name_of
from .audit_verdict import in_use
from .findings import Finding, finding, from_module
from .observed import EndpointLook, Failure, read
from .strays import LOST, foreign


def account(scene: Scene) -> Iterator[Finding]:
    """Those of the workloads, and others that run their repositories."""
    others = {(kind, each["id"]) for kind, each in foreign(scene.desired, scene.observed)}
    for one in scene.observed.runpod_findings:
        if one["code"] not in LOST:
            continue
        if (one["kind"], one["id"]) in others:
            yield from_module(one, "", ())._replace(severity="warning")
        for item in scene.desired.items:
            if name_of(item, one["kind"]) == one["name"] and not lost_elsewhere(scene, one, item):
                yield from_module(one, one["kind"], (item["name"],))._replace(remedy=main_job(scene, item))


def lost_elsewhere(scene: Scene, one: Json, item: Json) -> bool:
    """Return whether another link or finding tells why it cannot pull."""
    if scene.observed.cut_off(scene.desired, item) or (one["kind"] == "template" and unlinked(scene, item)):
        return True
    return bool(unpullable(scene, item, one["kind"]))


def lost(scene: Scene, kind: str, item: Json) -> bool:
    """Return whether it is told why a thing lacks its registry."""
    told_of = any(
        one["kind"] == kind and one["name"] == name_of(item, kind) and one["code"] in LOST
        for one in scene.observed.runpod_findings
    )
    return (
        told_of or scene.observed.cut_off(scene.desired, item) or (kind == "template" and bool(unlinked(scene, item)))
    )


def unlinked(scene: Scene, item: Json) -> list[Finding]:
    """A template that does not refer to its region's credential."""
    current = scene.observed.current(scene.desired, item["region"])
    if not current or "registry" in item["template"]:
        return []
    names = {one["id"]: one["name"] for one in scene.observed.listed("registries")}
    for each in in_use(scene.observed, item)["template"]:
        registry = each.get("registry")
        if registry not in [one["id"] for one in current] and each.get("image") == item["image"]:
            wanted = {"image": item["image"], "registry": current[0]["id"]}
            adopting = {"adopt": True} if foreign_signs(each, wanted, names) else {}
            facts = {
                "name": each["name"],
                "credential": current[0]["name"],
                "registry": registry or "none",
                "repoint": module_call("runpod_template", name=each["name"], registry=current[0]["name"], **adopting),
            }
            raw, works = json.dumps({"registry": registry}), scene.judge.pull(each).works
            one = finding("credential_unlinked", (item["name"],), raw, **facts)
            return [one._replace(severity="error" if works is False else "warning")]
    return []


def unpullable(scene: Scene, item: Json, kind: str, parts: Collection[str] = ()) -> list[Finding]:
    """Told of what runs something that is not wished."""
    for thing in in_use(scene.observed, item)[kind]:
        wished = scene.observed.public_images.get(item["image"], item["image"])
        pull = scene.judge.pull(thing)
        elsewhere = pull.code == "region_differs" and kind == "endpoint"
        if pull.works is False and (thing["image"] != wished or elsewhere):
            facts = {"kind": kind, "name": thing["name"], "image": thing["image"], "cause": sentence_of(pull.cause)}
            others = f" It is not as the variables say: {', '.join(parts)}." if parts else ""
            one = finding("runs_unpullable", (item["name"],), parts=others, **facts)
            return [one._replace(links=(kind,), remedy=main_job(scene, item))]
    return []


def sentence_of(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def templates(scene: Scene) -> Iterator[Finding]:
    steps = {step.name: step for step in read(scene.observed.templates, [])}
    for item in scene.desired.items:
        yield from unlinked(scene, item)
        if item["name"] in steps:
            step = steps[item["name"]]
            yield from differing(scene, "template", item, step.before, step.after)
        else:
            yield from unpullable(scene, item, "template")


def endpoints(scene: Scene) -> Iterator[Finding]:
    """Missing, not as the variables say, or still running what was before."""
    for item in scene.desired.items:
        look = scene.observed.endpoints.get(name_of(item, "endpoint") or "")
        if isinstance(look, Failure):
            yield failure(f"The endpoint {item['endpoint']['name']}", look, ("endpoint",), (item["name"],))
        elif look:
            yield from endpoint(scene, item, look)


def endpoint(scene: Scene, item: Json, look: EndpointLook) -> Iterator[Finding]:
    """What is not as it should be counts before what is not rolled out."""
    differs = [*differing(scene, "endpoint", item, look.before, look.after, look.changed)]
    release = look.release or {"changes": [], "rollout": None}
    rollout, identifier = release["rollout"] or {}, (look.before or {}).get("id")
    if any(one.code == "runs_unpullable" for one in differs):
        yield from differs
        return
    if release["changes"] and differs:
        facts = {
            "name": item["endpoint"]["name"],
            "changes": ", ".join(release["changes"]),
            "release": main_job(scene, item),
        }
        yield finding("template_not_rolled_out", (item["name"],), json.dumps(facts["changes"]), **facts)
        return
    if not release["changes"] and rollout.get("in_progress"):
        wait = module_call("runpod_endpoint", id=identifier, wait=True)
        raw = json.dumps({"rollout": rollout})
        yield finding("rollout_unfinished", (item["name"],), raw, **rollout, name=item["endpoint"]["name"], wait=wait)
    yield from differs
    yield from workers(scene, item, look)


def workers(scene: Scene, item: Json, look: EndpointLook) -> Iterator[Finding]:
    """What cannot be pulled explains workers that do not run."""
    if scene.judge.failing(item) or not look.trouble:
        return
    found = look.trouble
    facts = {
        "name": item["endpoint"]["name"],
        "total": len(look.workers),
        "number": len(found.ids),
        "ids": ", ".join(found.ids),
        "minutes": found.minutes,
        "log": quoted(found.ids[0], look.logs),
    }
    yield finding(found.code, (item["name"],), "\n".join(read(look.logs, [])) or None, **facts)


def quoted(worker: str, logs: list[str] | Failure) -> str:
    if isinstance(logs, Failure):
        return f" What its host says of {worker} could not be read: {sentence_of(logs.text)}"
    return f" Its host says last of {worker}: {sentence_of(logs[-1])}" if logs else ""


def differing(
    scene: Scene, kind: str, item: Json, before: Json | None, after: Json | None, changed: str = ""
) -> Iterator[Finding]:
    """`changed` tells who made it so, and when."""
    name, concerned = name_of(item, kind), (item["name"],)
    if not before:
        yield finding(f"{kind}_missing", concerned, name=name)
        return
    parts = drifted(before, after or {}, ("id", "registry") if lost(scene, kind, item) else ("id",))
    if cannot := unpullable(scene, item, kind, parts):
        yield from (one._replace(cause=f"{one.cause}{changed}") for one in cannot)
    elif parts:
        image = f" It runs {before['image']}." if "image" in parts and before.get("image") else ""
        one = finding(f"{kind}_drift", concerned, name=name, parts=", ".join(parts), image=f"{image}{changed}")
        yield one._replace(remedy=main_job(scene, item))
