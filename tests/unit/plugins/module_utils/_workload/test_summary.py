# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.step import Step, reason_of
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.summary import change_lines, state_lines

WORKLOAD = {
    "name": "one",
    "image": "registry/one:v1",
    "template_id": "t1",
    "endpoint_id": None,
    "public_image": None,
    "pullable": None,
}


def result(access: str = "credential", **workload: Any) -> dict[str, Any]:
    return {"access": access, "workloads": [{**WORKLOAD, **workload}], "credentials": [], "rotation_due": False}


@pytest.mark.parametrize(
    ("given", "pending", "ends"),
    [
        (result(pullable=True), True, "the pull is proved"),
        (result(pullable=False), False, "cannot be pulled"),
        (result(), True, "the run will prove the pull"),
        (result(), False, "the pull is not proved"),
        (result("delegation"), False, "nobody but RunPod can prove the pull"),
    ],
)
def test_a_workload_s_line_tells_what_is_known_of_the_pull(given: dict[str, Any], pending: bool, ends: str) -> None:
    assert state_lines(given, pending) == [f"one: registry/one:v1; template t1; {ends}"]


@pytest.mark.parametrize(
    ("credential", "says"),
    [
        ({"name": "c", "id": "c1", "expires_at": "soon"}, "its token ends at soon"),
        ({"name": "c", "id": "c1", "expires_at": None}, "when its token ends is not known"),
        ({"name": "c", "expires_at": None}, "its token is still to come"),
    ],
)
def test_a_token_s_line_tells_its_end(credential: dict[str, Any], says: str) -> None:
    assert state_lines({**result(), "workloads": [], "credentials": [credential]}) == [f"credential c: {says}"]


def test_a_proof_is_told_by_who_pulls() -> None:
    assert change_lines([Step("proof", "everybody", "prove", "new")]) == ["? pull as everybody (new)"]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({"user": {"tags": {}, "path": "/"}}, {"user": {"tags": {"a": "b"}, "path": "/"}}, "differs in user tags"),
        ({"policy": None, "disk": 1}, {"policy": {"name": "x"}, "disk": 2}, "differs in policy, disk"),
        ({"disk": 1}, {"disk": 1}, "is renewed"),
        ([1], [2], "differs"),
    ],
)
def test_the_reason_names_what_differs(before: Any, after: Any, reason: str) -> None:
    assert reason_of("change", before, after) == reason
