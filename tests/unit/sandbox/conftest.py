# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator

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


@pytest.fixture(autouse=True)
def within_the_document() -> Iterator[None]:
    """Every request to RunPod that the test has made is one that RunPod's own document allows."""
    contract.taken()
    same.taken()
    yield
    assert not contract.taken() + same.taken()
