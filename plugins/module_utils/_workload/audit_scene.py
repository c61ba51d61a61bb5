# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what an audit judges, and what several of its rules ask of it.

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from .._core.errors import Json
from .._runpod.ownership import foreign_signs
from .audit_verdict import Judge, in_use
from .desired import DesiredState
from .findings import ADOPTING, CHAINS, MAIN_JOB
from .observed import ObservedState


class Scene(NamedTuple):
    desired: DesiredState
    observed: ObservedState

    @property
    def chain(self) -> list[str]:
        """The kinds of links between an image and what runs it."""
        access = self.desired.access
        return CHAINS[access, self.desired.options["pull_identity"] if access == "credential" else "user"]

    @property
    def judge(self) -> Judge:
        return Judge(self.desired, self.observed, self.desired.pull_roles)

    @property
    def everybody(self) -> tuple[str, ...]:
        return self.those(lambda dummy: True)

    def those(self, chosen: Callable[[Json], bool]) -> tuple[str, ...]:
        return tuple(item["name"] for item in self.desired.items if chosen(item))

    def users_of(self, image: str) -> tuple[str, ...]:
        """Return the workloads that run an image, or its public one."""
        return self.those(lambda item: image in (item["image"], self.observed.public_images.get(item["image"])))


def has(field: str, value: str, item: Json) -> bool:
    return bool(item[field] == value)


def name_of(item: Json, kind: str) -> str | None:
    return {"template": item["name"], "endpoint": (item["endpoint"] or {}).get("name")}.get(kind)


def drifted(before: Mapping[str, Any], after: Mapping[str, Any], but: Collection[str] = ()) -> list[str]:
    return sorted(key for key, value in after.items() if value != before.get(key) and key not in but)


def main_job(scene: Scene, item: Json) -> str:
    """The main job has to be told to take over what looks like somebody else's."""
    names = {each["id"]: each["name"] for each in scene.observed.listed("registries")}
    current = scene.observed.current(scene.desired, item["region"])
    image = scene.observed.public_images.get(item["image"], item["image"])
    wanted = {"image": image, "registry": current[0]["id"] if current else None}
    things = [each for current in in_use(scene.observed, item).values() for each in current]
    return ADOPTING if any(foreign_signs(each, wanted, names) for each in things) else MAIN_JOB
