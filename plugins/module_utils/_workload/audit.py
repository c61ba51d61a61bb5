# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with workloads. Each problem is told once, where it is mended; what follows
# from it is left out.

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from .._core.finding import SEVERITIES
from .._core.time import parse_time
from .audit_credential import credentials, further_credentials, pods
from .audit_delegation import delegations, policies, unproven
from .audit_image import images, mirrors, public_repositories
from .audit_reads import failures
from .audit_refusal import denying, explained, one_of_each, proof, refusals, tokens
from .audit_remedy import with_side_effects
from .audit_role import pull_role
from .audit_runs import account, endpoints, templates
from .audit_scene import Scene
from .audit_sinks import sinks
from .audit_user import borrowed, user, user_drift
from .audit_verdict import OF_THE_KEY
from .desired import DesiredState
from .findings import LINKS, Finding
from .observed import ObservedState


def problems(desired: DesiredState, observed: ObservedState) -> list[Finding]:
    """Return each once, the worst first and by its link."""
    scene = Scene(desired, observed)
    about_the_user = [*user(scene)]
    known = {one.code for one in [*about_the_user, *credentials(scene)] if one.severity != "info"}
    refused = one_of_each([*proof(scene), *tokens(scene)])
    found = [
        *failures(scene, known),
        *images(scene),
        *denying(about_the_user, refused),
        *borrowed(scene),
        *(one for one in refused if not explained(one, about_the_user)),
        *(one for rule in RULES_IN_ORDER for one in rule(scene)),
        *([] if any(one.severity == "error" for one in about_the_user) else user_drift(scene)),
    ]
    found += unproven(scene, found)
    weighed = [weigh(scene, one) for one in with_side_effects(scene, merged(found))]
    return sorted(weighed, key=lambda one: (SEVERITIES.index(one.severity), place(one), one.code, one.cause))


def weigh(scene: Scene, one: Finding) -> Finding:
    """Red is only what keeps something in use from being pulled now."""
    if one.severity != "error":
        return one
    if one.code in OF_THE_KEY or works_all(scene, one.workloads):
        return one._replace(severity="warning", cause=f"{one.cause}{lasting(scene, one)}")
    return one


def works_all(scene: Scene, names: Collection[str]) -> bool:
    items = [item for item in scene.desired.items if item["name"] in names]
    return bool(items) and all(scene.judge.failing(item) is False for item in items)


def lasting(scene: Scene, one: Finding) -> str:
    """Return until when RunPod can pull without a new token."""
    if not scene.desired.by_user or not {"user", "key"} & set(one.links):
        return ""
    ends = sorted(end for end in scene.observed.expiry.values() if parse_time(end) > scene.observed.now)
    if ends:
        return f" RunPod can pull with the token that it has until {ends[0]}, and then no more."
    return " RunPod can pull with the token that it has for at most 12 hours, and then no more."


def place(one: Finding) -> int:
    """What belongs to no workload comes last."""
    return min((LINKS.index(link) for link in one.links), default=len(LINKS))


def merged(found: Iterable[Finding]) -> list[Finding]:
    """Join what says the same of several links or workloads."""
    by_text: dict[tuple[str, str, str], Finding] = {}
    for one in found:
        key = (one.code, one.cause, one.remedy)
        known = by_text.get(key, one)
        by_text[key] = known._replace(
            links=tuple(dict.fromkeys(known.links + one.links)),
            workloads=tuple(dict.fromkeys(known.workloads + one.workloads)),
        )
    return list(by_text.values())


RULES_IN_ORDER: list[Callable[[Scene], Iterable[Finding]]] = [
    refusals,
    pull_role,
    public_repositories,
    mirrors,
    policies,
    credentials,
    further_credentials,
    delegations,
    pods,
    account,
    templates,
    endpoints,
    sinks,
]
