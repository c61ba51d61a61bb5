# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job with --check tells at once what is wrong: it waits for no right that nothing will bring."""

from __future__ import annotations

import os
from unittest.mock import patch

import pytest

from tests.system.role import Role
from tests.system.worker import Runs

from .bases import Worlds
from .cases import USER
from .sabotages import Case

SHARE = [case for case in USER if case.status == "red"][:: 1 if os.environ.get("AUDIT_CASES") == "all" else 3]


@pytest.mark.parametrize("case", SHARE, ids=lambda case: case.name)
def test_a_check_waits_for_nothing(worlds: Worlds, case: Case) -> None:
    house, base = worlds.house, worlds.enter(case.base)
    for sabotage in case.sabotages:
        sabotage(house)
    naps: list[float] = []
    runs = Runs(house.sandbox.environment, sleep=naps.append)
    variables = {f"runpod_ecr_{name}": value for name, value in base.wish.items()}
    with patch.dict(os.environ, house.environment()):
        played = Role(runs).play("main", True, **variables)
    assert naps == []
    assert played.failure or played.plan["needed"]
