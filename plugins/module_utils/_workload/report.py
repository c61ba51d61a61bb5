# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what the role's audit reports, from what it read of both clouds. Pure.

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from .._core.errors import Json
from .._core.finding import module_call
from .._core.time import format_time, parse_time
from .audit import DesiredState, Finding, ObservedState, expiry, looks, name_of, problems
from .spec import leftovers, users

COLOURS = {"error": "red", "warning": "amber", "info": "green"}
WORST_FIRST = ["red", "amber", "green"]
TOKEN_LIFE = timedelta(hours=12)
FINE = "Nothing that was looked at keeps RunPod from pulling these images."

Link = tuple[Any, str, Json]  # its name, what to say of it, and what is known of it


def audit(
    items: list[Json], asked: DesiredState, reads: Mapping[str, Json], now: datetime, patterns: Iterable[str]
) -> Json:
    """Return the whole report. `patterns` are those of the names of the credentials."""
    observed = ObservedState(items, asked, reads)
    found = problems(observed)
    chains = [chain(observed, item, found) for item in items]
    strays = list(orphans(observed, patterns))
    return {
        "generated_at": format_time(now),
        "access": asked.access,
        "user": asked.user if "user" in asked.chain else None,
        "status": worst([COLOURS[one.severity] for one in found]),
        "answer": [sentence(observed, one) for one in found if one.severity != "info"] or [FINE],
        "since": min((one.since for one in found if one.since), default=None),
        "summary": summary(chains, found, strays),
        "findings": [told(number, one) for number, one in enumerate(found, start=1)],
        "workloads": sorted(chains, key=lambda one: WORST_FIRST.index(one["status"])),
        "orphans": strays,
        "timeline": [*keys(observed, found), *tokens(observed, found)],
    }


def worst(colours: Iterable[str]) -> str:
    """Return the worst of some colours, green when there is none."""
    return min(colours, key=WORST_FIRST.index, default="green")


def summary(chains: list[Json], found: list[Finding], strays: list[Json]) -> Json:
    """Return how many of what there are."""
    count = Counter(each["status"] for each in chains)
    return {
        **{colour: count[colour] for colour in WORST_FIRST},
        "workloads": len(chains),
        "findings": sum(one.severity != "info" for one in found),
        "orphans": len(strays),
    }


def told(number: int, one: Finding) -> Json:
    """Return a problem as the report shows it."""
    return {
        "number": number,
        "status": COLOURS[one.severity],
        "severity": one.severity,
        "code": one.code,
        "cause": one.cause,
        "remedy": one.remedy,
        "raw": one.raw,
        "since": one.since,
        "links": list(one.links),
        "workloads": list(one.workloads),
    }


def sentence(observed: ObservedState, one: Finding) -> str:
    """Return a problem as one says it to a person."""
    few = ", ".join(one.workloads[:3]) + (f" and {len(one.workloads) - 3} more" if len(one.workloads) > 3 else "")
    whom = f" {few if len(one.workloads) < len(observed.items) or len(observed.items) == 1 else 'all workloads'}:"
    since = f" Since {one.since}." if one.since else ""
    return f"{COLOURS[one.severity].upper()}{whom if one.workloads else ':'} {one.cause}{since} Remedy: {one.remedy}"


def at(moment: str) -> str:
    """Return a timestamp as a person reads it."""
    return f"{moment[:16].replace('T', ' ')} UTC"


# The chains


def chain(observed: ObservedState, item: Json, found: list[Finding]) -> Json:
    """Return the chain of a workload: every link with what is known of it and the numbers of its findings."""
    kinds = [kind for kind in observed.asked.chain if kind != "endpoint" or item["endpoint"]]
    links = [link(observed, item, kind, found) for kind in kinds]
    return {
        "name": item["name"],
        "image": item["image"],
        "status": worst(each["status"] for each in links),
        "links": links,
    }


def link(observed: ObservedState, item: Json, kind: str, found: list[Finding]) -> Json:
    """Return one link of a chain."""
    own = {
        number: one for number, one in enumerate(found, start=1) if kind in one.links and item["name"] in one.workloads
    }
    name, message, facts = DESCRIBED[kind](observed, item)
    return {
        "kind": kind,
        "name": name,
        "status": worst(COLOURS[one.severity] for one in own.values()),
        "detail": message,
        "facts": facts,
        "findings": list(own),
    }


def image(observed: ObservedState, item: Json) -> Link:
    return item["image"], *reported(observed, item["image"])


def public_image(observed: ObservedState, item: Json) -> Link:
    reference = observed.asked.images.get(item["image"])
    return reference, *reported(observed, reference)


def reported(observed: ObservedState, reference: str | None) -> tuple[str, Json]:
    """Return what the checks tell of an image; the proof counts before the look as the caller."""
    reports = [each for name in ("proof", "images") for each in observed.listed(name) if each["image"] == reference]
    best = next((each for each in reports if each["digest"]), next(iter(reports), {}))
    facts = {key: best.get(key) for key in ("digest", "platforms", "size", "pullable")}
    if not best:
        return "not looked at", {}
    message = ", ".join([best["digest"][:19], *best["platforms"]]) if best["digest"] else "not found"
    return message, facts


def user(observed: ObservedState, dummy: Json) -> Link:
    for each in observed.listed("user"):
        opened = {arn for policy in each["policies"] for arn in policy["repositories"]}
        facts = {"arn": each["arn"], "repositories": len(opened), "quarantined": each["quarantined"]}
        may = f"may pull {len(opened)} {'repository' if len(opened) == 1 else 'repositories'}"
        return each["name"], "in quarantine" if each["quarantined"] else may, facts
    return observed.asked.user, "not found", {}


def caller(observed: ObservedState, dummy: Json) -> Link:
    arn = observed.asked.user or None
    return arn, "RunPod can pull whatever this identity can", {"arn": arn}


def key(observed: ObservedState, dummy: Json) -> Link:
    current = [each for about in observed.listed("user") for each in about["access_keys"]]
    for each in sorted(current, key=lambda one: (not one["stored"], not one["ours"])):
        used = each["last_used"]["date"] if each["last_used"] else None
        facts = {
            **{field: each[field] for field in ("id", "status", "created", "age_days", "rotation_due")},
            "last_used": used,
            "due_at": due_at(observed, each),
        }
        return each["id"], f"{each['age_days']} days old, last used {at(used) if used else 'never'}", facts
    return None, "not found", {}


def due_at(observed: ObservedState, each: Json) -> str:
    """Return when the rotation of a key is due."""
    return format_time(parse_time(each["created"]) + timedelta(days=observed.asked.rotate_after_days))


def policy(observed: ObservedState, item: Json) -> Link:
    arn = item["repository_arn"]
    for each in observed.listed("policies"):
        if each["arn"] == arn:
            message = "differs from what RunPod needs" if each["changed"] else "lets RunPod's roles pull"
            return arn, message, {"arn": arn, "drift": each["drift"]}
    return arn, "not looked at", {"arn": arn}


def credential(observed: ObservedState, item: Json) -> Link:
    name, ends = observed.asked.credentials.get(item["region"]), expiry(observed)
    for each in sorted(observed.current(item["region"]), key=lambda one: ends.get(one["id"], ""), reverse=True):
        end = ends.get(each["id"])
        facts = {"id": each["id"], "region": item["region"], "expires_at": end}
        return each["name"], f"works until {at(end)}" if end else "until when it works is not known", facts
    return name, "not found", {"region": item["region"]}


def delegation(observed: ObservedState, item: Json) -> Link:
    for each in observed.delegations(item["repository_arn"]):
        return (
            item["repository"],
            f"made {at(each['created_at'])}",
            {"id": each["id"], "created_at": each["created_at"]},
        )
    return item["repository"], "not found", {}


def template(observed: ObservedState, item: Json) -> Link:
    return thing(observed, item, "template", "templates")


def endpoint(observed: ObservedState, item: Json) -> Link:
    name, message, facts = thing(observed, item, "endpoint", "endpoints")
    for workload, read in looks(observed):
        if workload is item and read.get("release"):
            release = read["release"]
            return name, f"{message}, release {release['version']}", {**facts, **release}
    return name, message, facts


def thing(observed: ObservedState, item: Json, kind: str, key: str) -> Link:
    """Return a template or an endpoint as RunPod holds it."""
    name = name_of(item, kind)
    for each in observed.listed("account", key):
        if each["name"] == name:
            facts = {field: each.get(field) for field in ("id", "image", "registry")}
            mine = each.get("image") in (item["image"], observed.asked.images.get(item["image"]))
            return name, "runs the image" if mine else f"runs {each.get('image')}", facts
    return name, "not found", {}


DESCRIBED: dict[str, Callable[[ObservedState, Json], Link]] = {
    "image": image,
    "user": user,
    "key": key,
    "caller": caller,
    "policy": policy,
    "public_image": public_image,
    "credential": credential,
    "delegation": delegation,
    "template": template,
    "endpoint": endpoint,
}


# What belongs to nobody


def orphans(observed: ObservedState, patterns: Iterable[str]) -> Iterator[Json]:
    """Return what nothing needs, what another way of access has left, and keys that are not in the store."""
    account = observed.reads.get("account") or {}
    ours = {each["id"] for region in observed.asked.credentials for each in observed.current(region)}
    for one in observed.listed("account", "findings"):
        if one["code"] in ("credential_unused", "delegation_unused") and one["id"] not in ours:
            yield orphan(one["kind"], one["id"], one["name"], one["cause"], one["remedy"])
    if observed.of("account") is not None:
        yield from strangers(observed, account)
        for message in leftovers(observed.items, account, observed.asked.access, patterns):
            cause, dummy, remedy = message.partition(" When ")
            yield orphan("access", None, None, cause, f"When {remedy}")
    for one in observed.listed("user", "findings"):
        if one["code"] in ("foreign_key", "key_inactive"):
            yield orphan("key", None, one["user"], one["cause"], one["remedy"])


def strangers(observed: ObservedState, account: Mapping[str, list[Json]]) -> Iterator[Json]:
    """Templates that run an image of the workloads' repositories, and are none of theirs."""
    for each in users(observed.items, account, {}):
        if each["kind"] == "template":
            remove = module_call("runpod_template", name=each["name"], state="absent")
            cause = f"{each['reason']}, and no workload of this audit names it."
            yield orphan("template", each["id"], each["name"], cause, f"When nothing needs it: {remove}")


def orphan(kind: str, identifier: str | None, name: str | None, cause: str, remedy: str) -> Json:
    """Return a thing without an owner."""
    return {"kind": kind, "id": identifier, "name": name, "cause": cause, "remedy": remedy}


# Keys and tokens over time


def keys(observed: ObservedState, found: list[Finding]) -> Iterator[Json]:
    """The access keys, each from its making to when its rotation is due."""
    status = worst(COLOURS[one.severity] for one in found if "key" in one.links)
    for about in observed.listed("user"):
        for each in about["access_keys"]:
            yield {
                "kind": "key",
                "name": each["id"],
                "note": "in the store" if each["stored"] else "not in the store",
                "starts_at": each["created"],
                "ends_at": due_at(observed, each),
                "status": status if each["stored"] or not each["ours"] else "amber",
            }


def tokens(observed: ObservedState, found: list[Finding]) -> Iterator[Json]:
    """The tokens in the credentials, each over its life."""
    ends = expiry(observed)
    for region in observed.asked.credentials:
        for each in observed.current(region):
            end = ends.get(each["id"])
            if end:
                own = [one for one in found if "credential" in one.links and each["name"] in one.cause]
                yield {
                    "kind": "token",
                    "name": each["name"],
                    "note": region,
                    "starts_at": format_time(parse_time(end) - TOKEN_LIFE),
                    "ends_at": end,
                    "status": worst(COLOURS[one.severity] for one in own),
                }
