# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As a module; the role uses the action of its name, and test_run_result.py holds what both do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.run_result import OPTIONS
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_result
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins import documented

RESULT = {
    "access": "delegation",
    "user": None,
    "workloads": [],
    "credentials": [],
    "delegations": [{"id": None}],
    "rotation_due": False,
    "warnings": [],
}
PLAN = {"result": RESULT, "changes": ["+ delegation app"], "summary": [], "needed": ["delegation"], "diff": {}}


def end(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    with patch_module_args(options), pytest.raises(SystemExit):
        runpod_ecr_result.main()
    ended: dict[str, Any] = json.loads(capsys.readouterr().out)
    return ended


def test_what_the_steps_returned_is_in_the_result_and_what_the_plan_showed_is_not_shown_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = end(capsys, plan=PLAN, done={"delegation": {"delegations": [{"id": "d1"}]}})
    assert ended["result"] == {**RESULT, "delegations": [{"id": "d1"}]}
    assert (ended["changed"], ended["changes"]) == (False, PLAN["changes"])
    assert ended["diff"] == {"before": {}, "after": {}} and "warnings" not in ended


@pytest.mark.parametrize(
    "given",
    [
        {"plan": {}},
        {"plan": {"result": 3}},
        {"plan": {"result": {**RESULT, "workloads": [3]}}},
        {"plan": PLAN, "done": {"credential": 3}},
        {"plan": PLAN, "done": {"credential": {"registries": [{"id": "r1"}]}}},
        {"plan": PLAN, "done": {"endpoint": {"results": [{"endpoint": {"id": "e1"}}]}}},
    ],
)
def test_what_no_plan_and_no_module_returned_is_refused(
    capsys: pytest.CaptureFixture[str], given: dict[str, Any]
) -> None:
    assert end(capsys, **given)["msg"].startswith("plan must be what runpod_ecr_plan returned, and done what")


def test_the_documented_options_are_those_of_the_module() -> None:
    assert documented.options(runpod_ecr_result).keys() == OPTIONS.keys()
