# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what else a remedy changes that runs the main job as a whole.

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from .._core.result import Result
from .audit_scene import Scene, drifted, has
from .findings import Finding
from .observed import EndpointLook, read
from .step import minimum

WHOLE = "ansible-playbook gpuops.runpod.runpod_ecr "
PROGRAMS = ("ansible-playbook", "aws")
MOST_NAMES = 3
TOGETHER = {"key": "user"}  # one step of a run


class Change(NamedTuple):
    """What a run would change: the link of whose chains, and its name."""

    link: str
    workloads: tuple[str, ...]
    name: str


def with_side_effects(scene: Scene, found: list[Finding]) -> list[Finding]:
    """Add what no finding with this remedy tells of: the one run changes it too."""
    whole = [one for one in found if WHOLE in one.remedy]
    planned = [*user(scene), *access(scene), *credentials(scene), *containers(scene)] if whole else []
    others = [each.name for each in planned if not any(is_about(one, each) for one in whole)]
    return [naming(one, others) if one in whole else one for one in found]


def is_about(one: Finding, change: Change) -> bool:
    links = {TOGETHER.get(link, link) for link in one.links}
    return change.link in links and bool(set(change.workloads) & set(one.workloads))


def naming(one: Finding, others: list[str]) -> Finding:
    place = min((at for program in PROGRAMS if (at := one.remedy.find(f": {program} ")) >= 0), default=-1)
    if not others or place < 0:
        return one
    more = [f"{len(others) - MOST_NAMES} more"] if len(others) > MOST_NAMES else []
    names = " and ".join([", ".join(others[:MOST_NAMES]), *more])
    return one._replace(remedy=f"{one.remedy[:place]} (it also changes {names}){one.remedy[place:]}")


def user(scene: Scene) -> Iterator[Change]:
    found = scene.observed.user_preview
    if isinstance(found, Result) and found.changed:
        yield Change("user", scene.everybody, f"the pull user {scene.desired.options['user_name']}")


def access(scene: Scene) -> Iterator[Change]:
    for policy in read(scene.observed.policies, []):
        if policy["changed"]:
            arn = policy["arn"]
            yield Change("policy", scene.those(partial(has, "repository_arn", arn)), f"the policy of {arn}")
    for item in scene.desired.items:
        if scene.desired.access == "delegation" and scene.observed.cut_off(scene.desired, item):
            yield Change("delegation", (item["name"],), f"the delegation of {item['repository']}")
    for name, one in scene.observed.public.items():
        if isinstance(one, Result) and one.changed:
            yield Change("public_image", scene.everybody, f"the public repository {name}")
    for each in read(scene.observed.mirror, []):
        if each["copied"]:
            yield Change("public_image", scene.users_of(each["source"]), each["destination"])


def credentials(scene: Scene) -> Iterator[Change]:
    """What has no token that lasts; those of a caller are minted by each run."""
    if not scene.observed.was_read("registries"):
        return
    enough = minimum(scene.desired, scene.observed.now)
    for region, name in scene.observed.credential_names(scene.desired).items():
        current = scene.observed.current(scene.desired, region)
        if not any(scene.observed.expiry.get(each["id"], "") >= enough for each in current):
            yield Change("credential", scene.those(partial(has, "region", region)), f"the credential {name}")


def containers(scene: Scene) -> Iterator[Change]:
    for step in read(scene.observed.templates, []):
        if step.needed:
            yield Change("template", (step.name,), f"the template {step.name}")
    for item in scene.desired.items:
        name = (item["endpoint"] or {}).get("name")
        look = scene.observed.endpoints.get(name or "")
        if isinstance(look, EndpointLook) and is_changed(look):
            yield Change("endpoint", (item["name"],), f"the endpoint {name}")


def is_changed(look: EndpointLook) -> bool:
    return not look.before or bool(drifted(look.before, look.after or {}, ("id",)))
