# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with the pull role.

from __future__ import annotations

from collections.abc import Iterator

from .._core.result import Result
from .audit_scene import Scene
from .audit_user import own_tags
from .findings import Finding, finding


def pull_role(scene: Scene) -> Iterator[Finding]:
    found = scene.observed.user_preview
    if not (scene.desired.by_role and isinstance(found, Result) and found.changed):
        return
    name = scene.desired.options["role_name"]
    if not found.before:
        yield finding("pull_role_missing", scene.everybody, role=name)
        return
    before, after = found.before, found.after
    differs = {
        "role_trust": before["role"]["trust"] != after["role"]["trust"],
        "user_permissions_boundary": before["role"]["permissions_boundary"] != after["role"]["permissions_boundary"],
        "user_tags": own_tags(before["role"]) != own_tags(after["role"]),
        "user_policy": before["policy"]["kind"] != after["policy"]["kind"],
        "user_repositories": before["policy"]["document"] != after["policy"]["document"],
    }
    parts = ", ".join(f"runpod_ecr_{part}" for part, changed in differs.items() if changed)
    yield finding("pull_role_drift", scene.everybody, role=name, parts=parts or "its policy")
