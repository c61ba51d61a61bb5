# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""There is no moment of a rotation in which no token can be minted with the key in the store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.sandbox.aws_access import iam
from tests.sandbox.aws_calls import ACCOUNT
from tests.sandbox.near import near

from .conftest import USER, House
from .worker import STORES, Clock, Runs

PROPAGATION = 1.5  # seconds until a new key works
LONG_AGO = timedelta(hours=25)  # more than an older key is left alone before it is deactivated, and then deleted


class Minter:
    """Mints a token after each call of others: with the entry as it was read before that call, and as it is then."""

    def __init__(self, runs: Runs) -> None:
        self._read, self._mint = runs.minter()
        self._entry = self._read()
        self._mints = False
        self.said: list[str] = []  # of each time: nothing, or a refusal

    def called(self, dummy: str, body: bytes) -> bytes:
        if not self._mints:
            self._mints = True
            self.mint()
            self._entry = self._read()
            self.mint()
            self._mints = False
        return body

    def mint(self) -> None:
        try:
            self._mint(self._entry)
            self.said.append("")
        except Exception as error:
            self.said.append(str(error))


def let_time_pass() -> None:
    """Make all keys older."""
    for key in iam(ACCOUNT).users[USER].access_keys:
        key.create_date -= LONG_AGO
        if key.last_used:
            key.last_used._timestamp -= LONG_AGO


@pytest.mark.parametrize("store", STORES)
def test_a_token_can_be_minted_at_any_time(house: House, monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    clock, states = Clock(), []
    monkeypatch.setattr("time.sleep", clock.sleep)
    monkeypatch.setattr(house.sandbox.aws, "clock", lambda: clock.now().timestamp())
    house.sandbox.aws.switch(propagation_seconds=PROPAGATION)
    runs = Runs(house.sandbox.environment, store, clock.sleep, clock.now)
    runs.converge()
    minter = Minter(Runs(house.sandbox.environment, store))
    with near(house.sandbox, minter.called):
        while len(states) < 5:
            let_time_pass()
            runs.rotate()
            states.append(sorted(house.keys().values()))
    assert [refusal for refusal in minter.said if refusal] == [] and clock.slept >= 3 * PROPAGATION
    assert len(minter.said) > 100
    rotated, retired = ["Active", "Active"], ["Active", "Inactive"]
    assert states == [rotated, retired, rotated, retired, rotated]
