# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that share a quota, against the simulator in simulated time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from threading import Condition, Thread
from urllib.parse import parse_qsl

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ApiError, CollectionError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.template import OPTIONS
from ansible_collections.gpuops.runpod.plugins.modules import runpod_templates
from ansible_collections.gpuops.runpod.tests.sandbox.runpod import API_KEY, RunpodSimulator
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import Answer, answer

UNSET: Json = {option: None for option in OPTIONS} | {"state": "present", "image": "app:1"}
LIMITS = {"minute": 180, "hour": 7200, "day": 86400}


class Time:
    """A clock that moves only while every thread sleeps, to the next one's end of sleep."""

    def __init__(self, threads: int) -> None:
        self.now = 0.0
        self._awake = threads
        self._ends: list[float] = []
        self._moved = Condition()

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._moved:
            end = self.now + seconds
            self._ends.append(end)
            self._awake -= 1
            self._move()
            self._moved.wait_for(lambda: self.now >= end and end == min(self._ends) and not self._awake)
            self._ends.remove(end)
            self._awake += 1

    def leave(self) -> None:
        """Count a thread that has ended no more."""
        with self._moved:
            self._awake -= 1
            self._move()

    def _move(self) -> None:
        if not self._awake and self._ends:
            self.now = max(self.now, min(self._ends))
            self._moved.notify_all()


class Account:
    """The simulator behind real clients, whose requests take between 20 and 80 ms."""

    def __init__(self, threads: int = 1) -> None:
        self.time = Time(threads)
        self.simulator = RunpodSimulator(clock=self.time.clock)
        self.simulator.switch(rate_limits=LIMITS)
        self.statuses: Counter[int] = Counter()
        self._random = random.Random(1)

    def client(self) -> Client:
        return Client("https://runpod.test", API_KEY, self, self.time.sleep, self.time.clock)

    def open(self, method: str, url: str, data: str | None = None, headers: dict[str, str] | None = None) -> Answer:
        self.time.sleep(self._random.uniform(0.01, 0.04))
        path, body = url.removeprefix("https://runpod.test"), (data or "").encode()
        path, dummy, query = path.partition("?")
        asked = dict(parse_qsl(query))
        status, given, document = self.simulator.handle(method, path, asked, headers or {}, body)
        self.statuses[status] += 1
        self.time.sleep(self._random.uniform(0.01, 0.04))
        return answer(url, status, given, b"" if document is None else document)

    def together(self, works: list[Callable[[], object]]) -> None:
        """Do the works at the same time, each in a thread that the clock counts."""

        def done(work: Callable[[], object]) -> None:
            try:
                work()
            finally:
                self.time.leave()

        threads = [Thread(target=done, args=[work]) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def dictated(requests: int) -> float:
    """Return the seconds before which the quota does not let the last of so many requests pass."""
    return (requests - 1) // LIMITS["minute"] * 60.0


def make(account: Account, prefix: str, count: int) -> Json:
    items = [{**UNSET, "name": f"{prefix}{number:03}"} for number in range(count)]
    params = {"templates": items, "prune": False, "on_error": "continue"}
    return runpod_templates.run(params, False, account.client()).results["summary"]


def test_500_templates_are_made_as_fast_as_the_quota_allows_and_no_faster() -> None:
    account = Account()
    assert make(account, "t", 500)["created"] == 500
    assert account.statuses == {200: 2, 201: 500}
    assert account.time.now <= 1.1 * dictated(501)


def test_four_that_share_a_quota_do_not_trip_over_each_other() -> None:
    account = Account(threads=4)
    account.together([lambda part=part: make(account, part, 125) for part in "abcd"])
    assert account.statuses == {200: 8, 201: 500}
    assert account.time.now <= 1.1 * dictated(504)


def test_one_that_comes_when_the_quota_is_spent_waits_it_out() -> None:
    account = Account(threads=2)

    def late() -> None:
        account.time.sleep(30)
        make(account, "late", 5)

    account.together([lambda: make(account, "t", 400), late])
    assert account.statuses[201] == 405
    assert account.statuses[429] <= 2
    assert account.time.now <= 1.1 * dictated(407)


def test_a_spent_hour_ends_the_run_with_a_report() -> None:
    account = Account()
    account.simulator.switch(rate_limits={**LIMITS, "hour": 100})
    with pytest.raises(CollectionError, match="the quota 'hour' of this API key is spent") as caught:
        make(account, "t", 120)
    assert account.statuses == {200: 1, 201: 99}
    assert caught.value.as_result()["summary"]["created"] == 99


def test_a_spent_hour_is_told_with_its_figures_by_those_who_know_it_and_those_who_hear_it() -> None:
    account = Account()
    account.simulator.switch(rate_limits={**LIMITS, "hour": 1})
    client = account.client()
    client.get("/templates")
    with pytest.raises(ApiError, match=r"not sent: the quota 'hour'.*0 of 1 requests are left.*\(1 h 0 min\)"):
        client.get("/templates")
    with pytest.raises(ApiError, match=r"HTTP 429: rate limit exceeded for the hour window.*Too long to wait"):
        account.client().get("/templates")
    assert account.statuses == {200: 1, 429: 1}
