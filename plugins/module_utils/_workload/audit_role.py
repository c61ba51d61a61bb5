# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with the pull role.

from __future__ import annotations

from collections.abc import Iterator

from .._core.result import Result
from .audit_scene import Scene
from .audit_user import differing_in_common, variables
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
        **differing_in_common("role", before, after),
        "user_repositories": before["policy"]["document"] != after["policy"]["document"],
    }
    parts = variables(differs) or "its policy"
    yield finding("pull_role_drift", scene.everybody, role=name, parts=parts)
