# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each sabotage is told at its link, in its colour, with a remedy that mends it, and nothing else is said."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from .bases import Worlds
from .cases import ALL
from .measures import Verdict, measure
from .sabotages import Case

EVERY = 1 if os.environ.get("AUDIT_CASES") == "all" else 4  # one of so many in the share that all tests run
AT_LEAST = 120

# What no other test reaches, by the start of the name.
FURTHER = (
    "credential+policy_without_token",
    "credential+user_untagged",
    "credential+entry_of_another",
    "credential+workers-THROTTLED",
    "credential+workers-UNHEALTHY",
    "credential+credential_twice",
    "credential+refused-_secretsmanager",
    "credential+endpoint_of_another_region",
    "delegation+statement_added-training-All",
    "delegation+refused-_ecr:GetRepositoryPolicy",
    "ssm+parameter_is_garbage",
)
SHARE = [case for number, case in enumerate(ALL) if number % EVERY == 0 or case.name.startswith(FURTHER)]


def test_the_table_is_as_long_as_it_is_meant_to_be() -> None:
    assert len({case.name for case in ALL}) >= AT_LEAST


@pytest.mark.parametrize("case", SHARE, ids=lambda case: case.name)
def test_a_sabotage_is_told_in_full(worlds: Worlds, case: Case, record_property: Callable[[str, object], None]) -> None:
    verdict = measure(worlds, case)
    record_property("sabotage", {name: not wrong for name, wrong in verdict._asdict().items()})
    assert verdict == Verdict()
