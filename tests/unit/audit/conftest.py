# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of worlds that are sabotaged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.server import Sandbox
from tests.system.conftest import House, nothing_leaks, sandbox, within_the_document

from .bases import Worlds

__all__ = ["nothing_leaks", "sandbox", "within_the_document"]


@pytest.fixture(scope="session")
def worlds(sandbox: Sandbox) -> Iterator[Worlds]:
    yield Worlds(House(sandbox))
    sandbox.reset()
