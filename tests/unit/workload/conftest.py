# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs in this process, against the sandbox of the system tests."""

from __future__ import annotations

import pytest

from tests.system.conftest import House, archives, nothing_leaks, pytest_runtest_setup, sandbox, within_the_document
from tests.system.conftest import house as unhurried
from tests.system.worker import Runs, hurry

__all__ = ["archives", "nothing_leaks", "pytest_runtest_setup", "sandbox", "unhurried", "within_the_document"]


@pytest.fixture
def house(unhurried: House) -> House:
    """Its runs pause for a twentieth of the time."""
    unhurried.runs = Runs(unhurried.sandbox.environment, sleep=hurry)
    return unhurried
