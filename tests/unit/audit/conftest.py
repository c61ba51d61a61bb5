# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of worlds that are sabotaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.sandbox.server import Sandbox
from tests.system.conftest import House, nothing_leaks, pytest_runtest_setup, sandbox, within_the_document

from .bases import Worlds

__all__ = ["nothing_leaks", "pytest_runtest_setup", "sandbox", "within_the_document"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many are right by each measure."""
    reports = [each for outcome in ("passed", "failed") for each in terminalreporter.stats.get(outcome, [])]
    properties = [dict(each.user_properties) for each in reports]
    for kind in ("sabotage", "combination"):
        measured = [each[kind] for each in properties if kind in each]
        right = Counter(name for each in measured for name, is_right in each.items() if is_right)
        if measured:
            counts = ", ".join(f"{name} {right[name]}" for name in measured[0])
            terminalreporter.write_line(f"{kind}s: {len(measured)}; right by {counts}")


@pytest.fixture(scope="session")
def worlds(sandbox: Sandbox) -> Iterator[Worlds]:
    yield Worlds(House(sandbox))
    sandbox.reset()
