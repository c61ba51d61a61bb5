# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a run: what was planned, and what only the steps could learn. The whole is held by test_plan.py."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.run_result import run_result

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/one:v1"
WORKLOAD = {"name": "one", "image": IMAGE, "digest": None, "public_image": None, "pullable": None}
PLAN: dict[str, Any] = {
    "result": {
        "access": "credential",
        "workloads": [{**WORKLOAD, "template_id": None, "endpoint_id": "e0"}],
        "credentials": [{"name": "c", "region": "us-east-1", "expires_at": None}],
        "delegations": [],
        "rotation_due": False,
    }
}


def held(**changed: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "name": "c",
        "logical_name": "c",
        "region": "us-east-1",
        "expires_at": "2026-01-01T00:00:00Z",
        **changed,
    }


def test_a_run_without_steps_has_the_result_of_its_plan() -> None:
    assert run_result(PLAN, {"credential": {}, "endpoint": {"skipped": True}})["result"] == PLAN["result"]


def test_what_a_step_returned_takes_the_place_of_what_was_planned() -> None:
    done = {
        "credential": {
            "registries": [held(refreshed=True)],
            "images": [{"image": IMAGE, "digest": "sha256:1", "pullable": True}],
        },
        "template": {"templates": [{"name": "one", "id": "t1"}, {"name": "another", "id": "t2"}]},
        "endpoint": {
            "results": [{"endpoint": {"id": "e1"}, "__runpod_ecr_endpoint": {"position": 0}}, {"skipped": True}]
        },
        "delegation": {"delegations": [{"id": "d1"}]},
    }
    found = run_result(PLAN, done)
    [workload] = found["result"]["workloads"]
    assert workload | {"name": "one"} == {
        **WORKLOAD,
        "digest": "sha256:1",
        "template_id": "t1",
        "endpoint_id": "e1",
        "pullable": True,
    }
    assert found["result"]["credentials"] == [held()]
    assert found["result"]["delegations"] == [{"id": "d1"}]
    assert found["summary"] == [
        f"one: {IMAGE}; template t1; endpoint e1; the pull is proved",
        "credential c: its token ends at 2026-01-01T00:00:00Z",
    ]


def test_a_public_image_is_what_was_proved() -> None:
    public = "public.ecr.aws/a1b2c3d4/one:v1"
    plan = {
        "result": {
            **PLAN["result"],
            "workloads": [{**PLAN["result"]["workloads"][0], "digest": "sha256:1", "public_image": public}],
        }
    }
    [workload] = run_result(plan, {"proof": {"images": [{"image": public, "digest": "sha256:2", "pullable": True}]}})[
        "result"
    ]["workloads"]
    assert (workload["digest"], workload["pullable"]) == ("sha256:1", True)


@pytest.mark.parametrize(
    ("planned", "made", "left"),
    [
        ([held()], [held(id=None, expires_at=None)], []),
        ([], [held()], [held()]),
        ([held(id="c0"), held(region="eu-west-1")], [held()], [held(), held(region="eu-west-1")]),
    ],
)
def test_credentials_are_those_that_are_left(planned: list[Any], made: list[Any], left: list[Any]) -> None:
    plan = {"result": {**PLAN["result"], "credentials": planned}}
    assert run_result(plan, {"credential": {"registries": made}})["result"]["credentials"] == left
