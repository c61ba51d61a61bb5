# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet costs RunPod as few requests as one workload."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import IMAGE, House


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_an_unchanged_fleet_makes_four_requests_at_most(house: House, tmp_path: Path, size: int) -> None:
    house.arrange()
    [registry] = house.runpod()["registries"]
    names = [f"fleet-{number}" for number in range(size)]
    template = {"image": IMAGE, "registry": registry["id"], "serverless": True}
    house.sandbox.runpod.world.held["templates"].clear()
    for name in names:
        house.sandbox.runpod.seed("templates", {"name": name, **template})
    workloads = [{"image": IMAGE, "template": {"name": name}} for name in names]
    variables = tmp_path / "fleet.json"
    variables.write_text(json.dumps({"runpod_ecr_workloads": workloads}))

    house.sandbox.forget_calls()
    run = house.play("playbooks/runpod_ecr.yml", "-e", f"@{variables}")
    assert run.code == 0, run.output
    assert run.recap["changed"] == 0, run.output
    assert len(house.sandbox.runpod_calls()) <= 4
