# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module around a preflight; what it tells is tested in tests/unit/workload."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.options import OPTIONS as ALL_OPTIONS
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.preflight import OPTIONS, UNASKED
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.preflight_rights import Check
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_preflight
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import KEY


def end(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    with patch_module_args({"api_key": KEY, **options}), pytest.raises(SystemExit):
        runpod_ecr_preflight.main()
    ended: dict[str, Any] = json.loads(capsys.readouterr().out)
    return ended


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"region": "us-east-1", "image": "nginx"}, "not in a private ECR registry"),
        ({"region": "us-east-1"}, "Name an image"),
        ({"region": "us-east-1", "intent": "rotate", "access": "delegation", "image": "x"}, "Only a pull user"),
    ],
)
def test_what_is_wrong_with_the_options_is_told(
    capsys: pytest.CaptureFixture[str], options: dict[str, Any], said: str
) -> None:
    assert said in end(capsys, **options)["msg"]


def test_it_takes_the_options_of_the_plan_that_decide_about_rights() -> None:
    assert set(ALL_OPTIONS) - set(OPTIONS) == UNASKED
    assert set(OPTIONS) - set(ALL_OPTIONS) == {"events", "modules"}


def test_every_field_of_a_check_is_documented() -> None:
    documented = yaml.safe_load(runpod_ecr_preflight.RETURN)["checks"]["contains"]
    assert list(documented) == list(Check._fields)
