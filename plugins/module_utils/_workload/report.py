# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what an audit answers, as data.

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from .._core.errors import Json
from .._core.time import format_time, parse_time
from .audit import problems
from .audit_scene import Scene
from .desired import DesiredState
from .findings import VARIABLES, WORST_FIRST, Finding
from .observed import ObservedState
from .report_chain import TOKEN_LIFE, chain, due_at, worst
from .strays import neighbours, orphans

FINE = "Nothing that was looked at keeps RunPod from pulling these images."


def audit(desired: DesiredState, observed: ObservedState) -> Json:
    scene = Scene(desired, observed)
    found = problems(desired, observed)
    chains = [chain(scene, item, found) for item in desired.items]
    strays = [{**one, "remedy": as_called(scene, one["remedy"])} for one in orphans(desired, observed)]
    return {
        "generated_at": format_time(observed.now),
        "identity": observed.identity if isinstance(observed.identity, str) else None,
        "access": desired.access,
        "user": desired.options["user_name"] if "user" in scene.chain else None,
        "status": worst([*(one.status for one in found), *(each["status"] for each in chains)]),
        "answer": answer(scene, found, chains),
        "since": min((one.since for one in found if one.since), default=None),
        "summary": summary(chains, found, strays),
        "rank": WORST_FIRST.index(worst([*(one.status for one in found), *(each["status"] for each in chains)])),
        "findings": [to_result(scene, number, one) for number, one in enumerate(found, start=1)],
        "workloads": sorted(chains, key=lambda one: WORST_FIRST.index(one["status"])),
        "orphans": strays,
        "neighbours": neighbours(desired, observed),
        "timeline": [*keys(scene, found), *tokens(scene, found)],
    }


def answer(scene: Scene, found: list[Finding], chains: list[Json]) -> list[str]:
    """Return what is wrong, or that nothing is, and how many pulls are not proved."""
    bad = [one for one in found if one.status != "green"]
    remedies = ["", *(one.remedy for one in bad)]
    wrong = [sentence(scene, one, before) for one, before in zip(bad, remedies, strict=False)]
    fine = [] if any(one.status in ("red", "amber", "grey") for one in found) else [FINE]
    unproven = {name for one in found if one.status == "unproven" for name in one.workloads}
    names = [each["name"] for each in chains if not proved_or_red(each) and each["name"] not in unproven]
    open_ = [f"Not proved: whether RunPod can pull {listed(names, len(chains))}."] if names else []
    return [*fine, *wrong, *open_]


def proved_or_red(each: Json) -> bool:
    return each["status"] == "red" or bool(each["proof"]["proved"])


def summary(chains: list[Json], found: list[Finding], strays: list[Json]) -> Json:
    count = Counter(each["status"] for each in chains)
    return {
        **{colour: count[colour] for colour in WORST_FIRST},
        "workloads": len(chains),
        "findings": sum(one.status != "green" for one in found),
        "orphans": len(strays),
    }


def as_called(scene: Scene, remedy: str) -> str:
    """The remedy's playbooks get this run's variables."""
    given = scene.desired.options.get("arguments")
    return remedy.replace(VARIABLES, shlex.join(given)) if given else remedy


def to_result(scene: Scene, number: int, one: Finding) -> Json:
    return {
        "number": number,
        "status": one.status,
        "severity": one.severity,
        "code": one.code,
        "cause": one.cause,
        "remedy": as_called(scene, one.remedy),
        "raw": one.raw,
        "since": one.since,
        "links": list(one.links),
        "workloads": list(one.workloads),
    }


def sentence(scene: Scene, one: Finding, before: str = "") -> str:
    """A remedy that was told `before` is not told again."""
    whom = f" {listed(one.workloads, len(scene.desired.items))}:"
    since = f" Since {one.since}." if one.since else ""
    told_of = f"{one.status.upper()}{whom if one.workloads else ':'} {one.cause}{since}"
    return f"{told_of} Remedy: {'the same.' if one.remedy == before else as_called(scene, one.remedy)}"


def listed(names: Sequence[str], total: int) -> str:
    if 1 < len(names) == total:
        return "all workloads"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def keys(scene: Scene, found: list[Finding]) -> Iterator[Json]:
    """Each from its making to when its rotation is due."""
    of_keys = [one for one in found if "key" in one.links]
    for about in scene.observed.users:
        for each in about["access_keys"]:
            yield {
                "kind": "key",
                "name": each["id"],
                "note": "in the store" if each["stored"] else "not in the store",
                "starts_at": each["created"],
                "ends_at": due_at(scene, each),
                "status": worst(one.status for one in of_keys if each["id"] in one.cause or not named(about, one)),
            }


def named(about: Json, one: Finding) -> bool:
    return any(each["id"] in one.cause for each in about["access_keys"])


def tokens(scene: Scene, found: list[Finding]) -> Iterator[Json]:
    ends = scene.observed.expiry
    for region in scene.observed.credential_names(scene.desired):
        for each in scene.observed.current(scene.desired, region):
            end = ends.get(each["id"])
            if end:
                own = [one for one in found if "credential" in one.links and each["name"] in one.cause]
                yield {
                    "kind": "token",
                    "name": each["name"],
                    "note": region,
                    "starts_at": format_time(parse_time(end) - TOKEN_LIFE),
                    "ends_at": end,
                    "status": worst(one.status for one in own),
                }
