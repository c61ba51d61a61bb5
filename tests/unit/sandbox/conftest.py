# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.gpuops.runpod.tests.sandbox import contract as same  # by its other name, a module of its own
from tests.sandbox import contract
from tests.sandbox.aws import SWITCHES
from tests.sandbox.server import Sandbox


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Sandbox:
    """The module's sandbox, without the calls, faults and switches of the test before; what it holds stays."""
    served.mend()
    served.forget_calls()
    served.aws.switch(**SWITCHES)
    return served


@pytest.fixture
def processes() -> Callable[[Path], list[str]]:
    """A function that lists the commands that run with a file of a folder."""

    def listed(folder: Path) -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:  # it has just ended
                continue
        return [command for command in found if str(folder) in command]

    return listed


@pytest.fixture(autouse=True)
def within_the_document() -> Iterator[None]:
    """Every request to RunPod that the test has made is one that RunPod's own document allows."""
    contract.taken()
    same.taken()
    yield
    assert not contract.taken() + same.taken()
