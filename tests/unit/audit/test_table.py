# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each sabotage is told at its link, in its colour, with a remedy that mends it, and nothing else is said."""

from __future__ import annotations

import os

import pytest

from .bases import Worlds
from .cases import SINGLES
from .measures import Verdict, measure
from .sabotages import Case

CASES = SINGLES
SHARE = 1 if os.environ.get("AUDIT_CASES") == "all" else 1


@pytest.mark.parametrize("case", CASES[::SHARE], ids=lambda case: case.name)
def test_a_sabotage_is_told_in_full(worlds: Worlds, case: Case) -> None:
    assert measure(worlds, case) == Verdict()
