# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook of the preflight: a table on the terminal, and a failure when something is missing."""

from __future__ import annotations

import re

from .conftest import IMAGE, House


def test_the_table_names_what_is_missing_and_the_run_fails_before_anything_is_written(house: House) -> None:
    house.sandbox.aws.limit_operators(lambda action, resource, keys: action != "iam:CreateUser")
    house.sandbox.forget_calls()
    run = house.play("playbooks/preflight.yml", "-e", f"runpod_ecr_image={IMAGE}")
    assert run.code != 0 and house.writes() == [] and "Traceback" not in run.output
    [line] = re.findall(r'"(MISSING .*?)"', run.output)
    assert line.startswith("MISSING iam:CreateUser ") and "llow iam:CreateUser on " in line.partition(" -> ")[2]
    assert "Not ready to converge: 1 missing" in run.output
    assert house.sandbox.environment["RUNPOD_API_KEY"] not in run.output


def test_a_run_that_lacks_a_right_names_the_preflight(house: House) -> None:
    house.sandbox.aws.limit_operators(lambda action, resource, keys: action != "iam:CreateUser")
    failure = house.role().failure
    assert "Allow iam:CreateUser for whoever runs this" in failure
    assert failure.count("The playbook gpuops.runpod.preflight") == 1
