# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once, one step at a time: a seed decides at each call which of them goes on."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from threading import Condition, Thread
from typing import Any

CALL = 0.1  # seconds that a call takes
HANGS = 20  # real seconds


class Interleaving:
    """Runs jobs in threads of which one moves at a time. Time is simulated: it passes by calls and sleep."""

    def __init__(self, seed: int, hangs: float = HANGS) -> None:
        self._hangs = hangs
        self.random = Random(seed)
        self.now = 0.0
        self.order: list[int] = []
        self._wakes: dict[int, float] = {}
        self._turn: int | None = None
        self._baton = Condition()

    def run(self, *jobs: Callable[[], Any]) -> list[Any]:
        """Return what the jobs returned, or raised."""
        results: list[Any] = [None] * len(jobs)

        def work(number: int) -> None:
            self._await_turn(number)
            try:
                results[number] = jobs[number]()
            except Exception as error:  # the test judges it
                results[number] = error
            self._pass_on(number, None)

        self._wakes = dict.fromkeys(range(len(jobs)), 0.0)
        threads = [Thread(target=work, args=(number,), daemon=True) for number in self._wakes]
        for thread in threads:
            thread.start()
        self._choose()
        for thread in threads:
            thread.join(self._hangs)
        assert not any(thread.is_alive() for thread in threads), "a run hangs"
        return results

    def switch(self) -> None:
        """Let the seed decide who goes on; to be called before each call."""
        self.now += CALL
        self.sleep(0.0)

    def sleep(self, seconds: float) -> None:
        number = self._turn
        assert number is not None
        self._pass_on(number, self.now + seconds)
        self._await_turn(number)

    def clock(self) -> float:
        return self.now

    def _pass_on(self, number: int, wakes: float | None) -> None:
        if wakes is None:
            del self._wakes[number]
        else:
            self._wakes[number] = wakes
        self._choose()

    def _choose(self) -> None:
        with self._baton:
            if self._wakes:
                self.now = max(self.now, min(self._wakes.values()))
                self._turn = self.random.choice([one for one, wakes in self._wakes.items() if wakes <= self.now])
                self.order.append(self._turn)
            self._baton.notify_all()

    def _await_turn(self, number: int) -> None:
        with self._baton:
            assert self._baton.wait_for(lambda: self._turn == number, self._hangs), "a run hangs"
