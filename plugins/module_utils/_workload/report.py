# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what the role's audit reports, from what it read of both clouds. Pure.

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from .._aws.secret_entry import format_time, parse_time
from .._core.errors import Json
from .._core.finding import module_call
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
    seen = ObservedState(items, asked, reads)
    found = problems(seen)
    chains = [chain(seen, item, found) for item in items]
    strays = list(orphans(seen, patterns))
    return {
        "generated_at": format_time(now),
        "access": asked.access,
        "user": asked.user if "user" in asked.chain else None,
        "status": worst([COLOURS[one.severity] for one in found]),
        "answer": [sentence(seen, one) for one in found if one.severity != "info"] or [FINE],
        "since": min((one.since for one in found if one.since), default=None),
        "summary": summary(chains, found, strays),
        "findings": [told(number, one) for number, one in enumerate(found, start=1)],
        "workloads": sorted(chains, key=lambda one: WORST_FIRST.index(one["status"])),
        "orphans": strays,
        "timeline": [*keys(seen, found), *tokens(seen, found)],
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


def sentence(seen: ObservedState, one: Finding) -> str:
    """Return a problem as one says it to a person."""
    few = ", ".join(one.workloads[:3]) + (f" and {len(one.workloads) - 3} more" if len(one.workloads) > 3 else "")
    whom = f" {few if len(one.workloads) < len(seen.items) or len(seen.items) == 1 else 'all workloads'}:"
    since = f" Since {one.since}." if one.since else ""
    return f"{COLOURS[one.severity].upper()}{whom if one.workloads else ':'} {one.cause}{since} Remedy: {one.remedy}"


def at(moment: str) -> str:
    """Return a timestamp as a person reads it."""
    return f"{moment[:16].replace('T', ' ')} UTC"


# The chains


def chain(seen: ObservedState, item: Json, found: list[Finding]) -> Json:
    """Return the chain of a workload: every link with what is known of it and the numbers of its findings."""
    kinds = [kind for kind in seen.asked.chain if kind != "endpoint" or item["endpoint"]]
    links = [link(seen, item, kind, found) for kind in kinds]
    return {
        "name": item["name"],
        "image": item["image"],
        "status": worst(each["status"] for each in links),
        "links": links,
    }


def link(seen: ObservedState, item: Json, kind: str, found: list[Finding]) -> Json:
    """Return one link of a chain."""
    own = {
        number: one for number, one in enumerate(found, start=1) if kind in one.links and item["name"] in one.workloads
    }
    name, said, facts = DESCRIBED[kind](seen, item)
    return {
        "kind": kind,
        "name": name,
        "status": worst(COLOURS[one.severity] for one in own.values()),
        "detail": said,
        "facts": facts,
        "findings": list(own),
    }


def image(seen: ObservedState, item: Json) -> Link:
    return item["image"], *reported(seen, item["image"])


def public_image(seen: ObservedState, item: Json) -> Link:
    reference = seen.asked.images.get(item["image"])
    return reference, *reported(seen, reference)


def reported(seen: ObservedState, reference: str | None) -> tuple[str, Json]:
    """Return what the checks tell of an image; the proof counts before the look as the caller."""
    reports = [each for name in ("proof", "images") for each in seen.listed(name) if each["image"] == reference]
    best = next((each for each in reports if each["digest"]), next(iter(reports), {}))
    facts = {key: best.get(key) for key in ("digest", "platforms", "size", "pullable")}
    if not best:
        return "not looked at", {}
    said = ", ".join([best["digest"][:19], *best["platforms"]]) if best["digest"] else "not found"
    return said, facts


def user(seen: ObservedState, dummy: Json) -> Link:
    for each in seen.listed("user"):
        opened = {arn for policy in each["policies"] for arn in policy["repositories"]}
        facts = {"arn": each["arn"], "repositories": len(opened), "quarantined": each["quarantined"]}
        may = f"may pull {len(opened)} {'repository' if len(opened) == 1 else 'repositories'}"
        return each["name"], "in quarantine" if each["quarantined"] else may, facts
    return seen.asked.user, "not found", {}


def caller(seen: ObservedState, dummy: Json) -> Link:
    arn = seen.asked.user or None
    return arn, "RunPod can pull whatever this identity can", {"arn": arn}


def key(seen: ObservedState, dummy: Json) -> Link:
    held = [each for about in seen.listed("user") for each in about["access_keys"]]
    for each in sorted(held, key=lambda one: (not one["stored"], not one["ours"])):
        used = each["last_used"]["date"] if each["last_used"] else None
        facts = {
            **{field: each[field] for field in ("id", "status", "created", "age_days", "rotation_due")},
            "last_used": used,
            "due_at": due_at(seen, each),
        }
        return each["id"], f"{each['age_days']} days old, last used {at(used) if used else 'never'}", facts
    return None, "not found", {}


def due_at(seen: ObservedState, each: Json) -> str:
    """Return when the rotation of a key is due."""
    return format_time(parse_time(each["created"]) + timedelta(days=seen.asked.rotate_after_days))


def policy(seen: ObservedState, item: Json) -> Link:
    arn = item["repository_arn"]
    for each in seen.listed("policies"):
        if each["arn"] == arn:
            said = "differs from what RunPod needs" if each["changed"] else "lets RunPod's roles pull"
            return arn, said, {"arn": arn, "drift": each["drift"]}
    return arn, "not looked at", {"arn": arn}


def credential(seen: ObservedState, item: Json) -> Link:
    name, ends = seen.asked.credentials.get(item["region"]), expiry(seen)
    for each in sorted(seen.held(item["region"]), key=lambda one: ends.get(one["id"], ""), reverse=True):
        end = ends.get(each["id"])
        facts = {"id": each["id"], "region": item["region"], "expires_at": end}
        return each["name"], f"works until {at(end)}" if end else "until when it works is not known", facts
    return name, "not found", {"region": item["region"]}


def delegation(seen: ObservedState, item: Json) -> Link:
    for each in seen.delegations(item["repository_arn"]):
        return (
            item["repository"],
            f"made {at(each['created_at'])}",
            {"id": each["id"], "created_at": each["created_at"]},
        )
    return item["repository"], "not found", {}


def template(seen: ObservedState, item: Json) -> Link:
    return thing(seen, item, "template", "templates")


def endpoint(seen: ObservedState, item: Json) -> Link:
    name, said, facts = thing(seen, item, "endpoint", "endpoints")
    for workload, read in looks(seen):
        if workload is item and read.get("release"):
            release = read["release"]
            return name, f"{said}, release {release['version']}", {**facts, **release}
    return name, said, facts


def thing(seen: ObservedState, item: Json, kind: str, key: str) -> Link:
    """Return a template or an endpoint as RunPod holds it."""
    name = name_of(item, kind)
    for each in seen.listed("account", key):
        if each["name"] == name:
            facts = {field: each.get(field) for field in ("id", "image", "registry")}
            mine = each.get("image") in (item["image"], seen.asked.images.get(item["image"]))
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


def orphans(seen: ObservedState, patterns: Iterable[str]) -> Iterator[Json]:
    """Return what nothing needs, what another way of access has left, and keys that are not in the store."""
    account = seen.reads.get("account") or {}
    ours = {each["id"] for region in seen.asked.credentials for each in seen.held(region)}
    for one in seen.listed("account", "findings"):
        if one["code"] in ("credential_unused", "delegation_unused") and one["id"] not in ours:
            yield orphan(one["kind"], one["id"], one["name"], one["cause"], one["remedy"])
    if seen.of("account") is not None:
        yield from strangers(seen, account)
        for said in leftovers(seen.items, account, seen.asked.access, patterns):
            cause, dummy, remedy = said.partition(" When ")
            yield orphan("access", None, None, cause, f"When {remedy}")
    for one in seen.listed("user", "findings"):
        if one["code"] in ("foreign_key", "key_inactive"):
            yield orphan("key", None, one["user"], one["cause"], one["remedy"])


def strangers(seen: ObservedState, account: Mapping[str, list[Json]]) -> Iterator[Json]:
    """Templates that run an image of the workloads' repositories, and are none of theirs."""
    for each in users(seen.items, account, {}):
        if each["kind"] == "template":
            remove = module_call("runpod_template", name=each["name"], state="absent")
            cause = f"{each['reason']}, and no workload of this audit names it."
            yield orphan("template", each["id"], each["name"], cause, f"When nothing needs it: {remove}")


def orphan(kind: str, identifier: str | None, name: str | None, cause: str, remedy: str) -> Json:
    """Return a thing without an owner."""
    return {"kind": kind, "id": identifier, "name": name, "cause": cause, "remedy": remedy}


# Keys and tokens over time


def keys(seen: ObservedState, found: list[Finding]) -> Iterator[Json]:
    """The access keys, each from its making to when its rotation is due."""
    status = worst(COLOURS[one.severity] for one in found if "key" in one.links)
    for about in seen.listed("user"):
        for each in about["access_keys"]:
            yield {
                "kind": "key",
                "name": each["id"],
                "note": "in the store" if each["stored"] else "not in the store",
                "starts_at": each["created"],
                "ends_at": due_at(seen, each),
                "status": status if each["stored"] or not each["ours"] else "amber",
            }


def tokens(seen: ObservedState, found: list[Finding]) -> Iterator[Json]:
    """The tokens in the credentials, each over its life."""
    ends = expiry(seen)
    for region in seen.asked.credentials:
        for each in seen.held(region):
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
