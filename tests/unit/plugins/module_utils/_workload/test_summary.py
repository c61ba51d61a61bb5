# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.step import Step, credential_reason, reason_of
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.summary import (
    change_lines,
    diff_of,
    planned,
    state_lines,
)

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
    ("ends", "renewed", "says"),
    [
        ("soon", {"c"}, "its token ends at soon"),
        (None, (), "when its token ends is not known"),
        (None, {"c"}, "the run brings a new token"),
    ],
)
def test_a_token_s_line_tells_its_end(ends: str | None, renewed: Any, says: str) -> None:
    found = {**result(), "workloads": [], "credentials": [{"name": "c", "expires_at": ends}]}
    assert state_lines(found, False, renewed) == [f"credential c: {says}"]


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (None, ""),
        ({"expires_at": None}, "nothing tells until when its token works"),
        ({"expires_at": "2026-01-01T00:00:00Z"}, "its token ends at 2026-01-01T00:00:00Z"),
        ({"expires_at": "2026-01-03T00:00:00Z"}, "another key than that in the store minted its token"),
    ],
)
def test_the_reason_of_a_renewal_is_the_one_that_holds(before: Any, reason: str) -> None:
    assert credential_reason(Result(True, before, {}), "2026-01-02T00:00:00Z") == reason


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


def test_a_diff_says_of_what_only_the_run_tells_that_it_will() -> None:
    keys = {"access_keys": [{"id": None, "status": "Active"}], "secret_store": None, "permissions_boundary": None}
    dummy, after = diff_of([Step("user", "puller", "create", "", None, keys)])
    assert after["user puller"] == {
        "access_keys": [{"id": "(known after the run)", "status": "Active"}],
        "secret_store": "(known after the run)",
        "permissions_boundary": None,
    }


def test_a_plan_without_anything_to_do_or_to_tell_says_so() -> None:
    nothing = {**result(), "workloads": []}
    assert planned([], nothing)["summary"] == ["There is nothing to do."]
    assert planned([], result())["summary"] == state_lines(result())
    assert planned([Step("user", "puller", "delete", "gone", {"a": 1}, {})], nothing)["summary"] == []
