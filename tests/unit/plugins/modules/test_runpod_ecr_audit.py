# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.auditing import OPTIONS
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_audit
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins import documented
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import KEY

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:v1"


def end(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    with patch_module_args({"api_key": KEY, "region": "us-east-1", **options}), pytest.raises(SystemExit):
        runpod_ecr_audit.main()
    ended: dict[str, Any] = json.loads(capsys.readouterr().out)
    return ended


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": "nginx"}, "not in a private ECR registry"),
        ({"image": IMAGE, "variables": ["runpod_ecr_imgae"]}, "did you mean runpod_ecr_image"),
        ({}, "Name an image"),
        ({"image": IMAGE, "events": {"hours": 0}}, "events.hours must be from 1 to 2160"),
        ({"image": IMAGE, "events": {"limit": 0}}, "events.limit must be at least 1"),
    ],
)
def test_what_is_wrong_with_the_options_is_told_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], options: dict[str, Any], said: str
) -> None:
    assert said in end(capsys, **options)["msg"]


def test_variables_of_the_role_that_only_writes_are_about_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    known = [f"runpod_ecr_{name}" for name in ("verify", "adopt", "retire_after_hours", "audit_report")]
    assert end(capsys, image="nginx", variables=known)["msg"].count("is no variable") == 0


def test_no_environment_is_echoed(capsys: pytest.CaptureFixture[str]) -> None:
    env = {"env": {"HF_TOKEN": "distinctive-value"}}
    ended = end(capsys, workloads=[{"image": "nginx", "template": env, "endpoint": env}], template=env, endpoint=env)
    assert "distinctive-value" not in json.dumps(ended) and KEY not in json.dumps(ended)


def test_the_documented_options_are_those_of_the_module() -> None:
    page = documented.options(runpod_ecr_audit)
    assert page.keys() == OPTIONS.keys()
    for name, option in OPTIONS.items():
        assert page[name].get("default") == option.get("default"), name
        assert page[name]["type"] == option["type"], name
