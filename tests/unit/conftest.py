# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# They test what stands in for the clouds, tables of policies and texts, and runs whose lines the units cover as well.
UNMEASURED = ("awx", "rights", "sandbox")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unmeasured: tests that no line needs to be covered, in half the time.")
    forks = config.pluginmanager.get_plugin("ansible_forked")  # ansible-test's: a process for each test takes most time
    if forks:
        config.pluginmanager.unregister(forks)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over all that is imported, which stays to the end, and come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


def is_measured(item: pytest.Item) -> bool:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return folder not in UNMEASURED and item.get_closest_marker("unmeasured") is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    coverage = sys.modules.get("coverage")
    running = None if coverage is None or is_measured(item) else coverage.Coverage.current()
    if running:
        running.stop()
    try:
        return (yield)
    finally:
        if running:
            running.start()
