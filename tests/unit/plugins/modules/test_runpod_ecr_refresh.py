# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page and the options; what it does is held by tests/unit/workload."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.refreshing import OPTIONS
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_refresh
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins import documented
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import KEY

ACCESS = {"api_key": KEY, "region": "us-east-1"}


def end(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    with patch_module_args({**ACCESS, **options}), pytest.raises(SystemExit):
        runpod_ecr_refresh.main()
    ended: dict[str, Any] = json.loads(capsys.readouterr().out)
    return ended


def test_the_documented_options_are_those_of_the_module() -> None:
    page = documented.options(runpod_ecr_refresh)
    assert page.keys() == OPTIONS.keys()
    for name, option in OPTIONS.items():
        assert (page[name].get("default"), page[name]["type"]) == (option.get("default"), option["type"]), name


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image": "nginx", "variables": ["runpod_ecr_imgae"]}, ["not in a private ECR registry", "did you mean"]),
        ({}, ["Name an image"]),
        ({"access": "public", "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1"}, ["nothing to refresh"]),
    ],
)
def test_what_is_wrong_with_the_options_is_told_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], options: dict[str, Any], says: list[str]
) -> None:
    ended = end(capsys, **options)
    assert ended["msg"].startswith("Nothing was changed. ") and all(text in ended["msg"] for text in says), ended
