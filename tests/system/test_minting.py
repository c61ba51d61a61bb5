# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""There is no moment of a rotation in which no token can be minted with the key in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

import pytest

from tests.sandbox.aws_access import iam
from tests.sandbox.aws_calls import ACCOUNT

from .conftest import USER, House
from .worker import STORES, Runs

PROPAGATION = 1.5  # seconds until a new key works
LONG_AGO = timedelta(hours=25)  # more than an older key is left alone before it is deactivated, and then deleted


@contextmanager
def minting(mint: Callable[[], None], said: list[str]) -> Iterator[None]:
    """Mint as fast as can be while the block runs, and note what each time came of it: nothing, or a refusal."""
    done = Event()

    def work() -> None:
        while not done.is_set():
            try:
                mint()
                said.append("")
            except Exception as error:
                said.append(str(error))

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def let_time_pass(said: list[str]) -> None:
    """Make all keys older, once no token is being minted with what was read of the entry before."""
    minted, deadline = len(said), time.monotonic() + 60
    while len(said) < minted + 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for key in iam(ACCOUNT).users[USER].access_keys:
        key.create_date -= LONG_AGO
        if key.last_used:
            key.last_used._timestamp -= LONG_AGO


@pytest.mark.parametrize("store", STORES)
def test_a_token_can_be_minted_at_any_time(house: House, store: str) -> None:
    house.sandbox.aws.switch(propagation_seconds=PROPAGATION)
    runs, said, states = Runs(house.sandbox.environment, store), [], []
    runs.converge()
    with minting(Runs(house.sandbox.environment, store).minter(), said):
        while len(states) < 5:
            let_time_pass(said)
            runs.rotate()
            states.append(sorted(house.keys().values()))
    assert [refusal for refusal in said if refusal] == []
    rotated, retired = ["Active", "Active"], ["Active", "Inactive"]
    assert states == [rotated, retired, rotated, retired, rotated]
