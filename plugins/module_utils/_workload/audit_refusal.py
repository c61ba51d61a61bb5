# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: why whoever pulls is refused, by the pull itself and by CloudTrail.

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import islice, takewhile

from .._core.errors import Json
from .._core.finding import SEVERITIES
from .audit_scene import Scene, has
from .audit_user import emptied
from .audit_verdict import OF_THE_IMAGE, OF_THE_KEY
from .findings import MAIN_JOB, Finding, finding, from_module
from .observed import read

# What the pull user's policy, and its state, explain.
ABOVE = {"boundary_denies", "explicit_deny", "organization_denies", "session_denies", "endpoint_denies", "secret_wrong"}
OF_ITS_POLICY = {"denied", "repository_not_allowed", "token_not_allowed"}
SHUT = {"quarantined", "user_missing"}
BOUND = (
    "Have whoever keeps the boundary allow ecr:GetAuthorizationToken on *, and ecr:BatchGetImage and "
    "ecr:GetDownloadUrlForLayer on the repositories, or name another one in runpod_ecr_user_permissions_boundary and "
    "run the main playbook. No command lifts a boundary, for it is there to bound."
)


def proof(scene: Scene) -> Iterator[Finding]:
    public = scene.desired.access == "public"
    if not (public or scene.desired.by_user or scene.desired.by_session):
        return
    mirrors = read(scene.observed.mirror, [])
    absent = [each["destination"] for each in mirrors if each["copied"] and not each["digest_before"]]
    for each in read(scene.observed.proof, []):
        for one in each["findings"]:
            if each["image"] not in absent:
                link = "public_image" if public else link_of(scene, one)
                found = from_module(one, link, scene.users_of(each["image"]))
                yield with_remedy(scene, found)


def tokens(scene: Scene) -> Iterator[Finding]:
    """What RunPod has works on without a new token."""
    for region, one in scene.observed.tokens.items():
        link = link_of(scene, one)
        concerned = scene.those(partial(has, "region", region))
        yield with_remedy(scene, from_module(one, link, concerned))._replace(severity="warning")


def with_remedy(scene: Scene, one: Finding) -> Finding:
    """Add what the audit knows of the remedy."""
    if one.code == "secret_wrong":
        return one._replace(remedy=emptied(scene))
    bounds = [about["permissions_boundary"] for about in scene.observed.users if about["permissions_boundary"]]
    if one.code != "boundary_denies" or not bounds:
        return one
    wished, cause = scene.desired.options["user_permissions_boundary"], f"{one.cause} The boundary is {bounds[0]}."
    if wished is not None and wished != bounds[0]:
        return one._replace(cause=cause, remedy=MAIN_JOB)
    return one._replace(cause=cause, remedy=BOUND)


def link_of(scene: Scene, one: Json) -> str:
    if not scene.desired.by_user and not scene.desired.by_session:
        return "caller"
    if one["code"] in OF_THE_IMAGE:
        return "image"
    if scene.desired.by_session:
        return "role" if scene.desired.by_role else "caller"
    return "key" if one["code"] in OF_THE_KEY - {"token_not_allowed"} else "user"


def one_of_each(refused: Iterable[Finding]) -> list[Finding]:
    """Tell refusals of one policy above or beside the user once: it denies each image and call."""
    by_code: dict[tuple[str, tuple[str, ...]], Finding] = {}
    for one in sorted(refused, key=lambda each: SEVERITIES.index(each.severity)):
        key = (one.code, one.links)
        known = by_code.setdefault(key if one.code in ABOVE else (one.cause, one.links), one)
        workloads = tuple(dict.fromkeys(known.workloads + one.workloads))
        by_code[key if one.code in ABOVE else (one.cause, one.links)] = known._replace(workloads=workloads)
    return list(by_code.values())


def explained(one: Finding, about_the_user: Collection[Finding]) -> bool:
    """Return whether a refusal only follows from the user's findings."""
    known = {each.code for each in about_the_user}
    if one.links == ("image",):
        return False
    if known & SHUT or (one.code in OF_THE_KEY and (known & (OF_THE_KEY - {"foreign_key", "rotation_due"}))):
        return True
    if one.code == "explicit_deny":
        return "foreign_policy" in known
    return one.code in OF_ITS_POLICY and bool(known & {"policy_missing", "policy_drift"})


def denying(about_the_user: Iterable[Finding], refused: Collection[Finding]) -> Iterator[Finding]:
    """A policy of somebody else is as bad as what it denies."""
    denied = [one for one in refused if one.code == "explicit_deny"]
    for one in about_the_user:
        if one.code != "foreign_policy" or not denied:
            yield one
            continue
        worst = min(denied, key=lambda each: SEVERITIES.index(each.severity))
        yield one._replace(severity=worst.severity, cause=f"{one.cause} {worst.cause}", raw=worst.raw)


def refusals(scene: Scene) -> Iterator[Finding]:
    """Since when AWS refuses the pull user; nothing once every image can be pulled."""
    proved = read(scene.observed.proof, [])
    if proved and all(each["pullable"] for each in proved):
        return
    for each in read(scene.observed.trail, []):
        events = each["recent_events"]
        refused = list(takewhile(lambda event: event["error_code"], events))
        if refused:
            newest, older = refused[0], list(islice(events, len(refused), None))
            facts = {
                "many": "last pull" if len(refused) == 1 else f"last {len(refused)} pulls",
                "user": each["name"],
                "before": f"let the one before through at {older[0]['time']}" if older else "no earlier one was read",
                "time": newest["time"],
                "refusal": newest["error_code"],
            }
            message = newest["error_message"]
            yield finding("pulls_refused", scene.everybody, message, refused[-1]["time"], **facts)
