# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs of the role at once: a seed decides at each request which of them goes on."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import combinations_with_replacement
from threading import local
from typing import Any
from unittest.mock import patch

from botocore.endpoint import Endpoint

from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import client as runpod_client
from ansible_collections.gpuops.runpod.plugins.module_utils._workload import look
from ansible_collections.gpuops.runpod.tests.unit.plugins.interleave import Interleaving
from tests.sandbox.near import near
from tests.sandbox.server import Sandbox
from tests.system.conftest import ENDPOINT, IMAGE, House
from tests.system.role import Played, Role
from tests.system.worker import USER, Runs, now

from .in_order import OneAfterTheOther, at_hand
from .scenarios import OTHER, PUBLIC, converged, nothing
from .world import Snapshot, pulls, state, stored_key

Json = dict[str, Any]

WISHES: dict[str, tuple[str, Json]] = {
    "converge": ("main", {}),
    "another image": ("main", {"image": OTHER}),
    "refresh": ("refresh", {}),
    "rotate": ("rotate", {"rotate_after_days": 0}),
    "absent": ("main", {"state": "absent", "endpoint": ENDPOINT}),
    "delegation": ("main", {"access": "delegation"}),
    "endpoint": ("main", {"endpoint": ENDPOINT}),
    "public": ("main", PUBLIC),
}
PAIRS = list(combinations_with_replacement(WISHES, 2))
STARTS: dict[str, Callable[[House], None]] = {"nothing": nothing, "converged": converged}
HANGS = 300.0  # seconds, after which a run hangs: a busy machine takes its time for some hundred requests
EARLY = {"refresh", "rotate"}  # of what is not there yet


class Meeting:
    """Two runs that start together in a sandbox as it is."""

    def __init__(self, sandbox: Sandbox, seed: int) -> None:
        self._sandbox, self._turns = sandbox, Interleaving(seed, HANGS)
        self._here = local()  # tells the threads of runs

    def held(self, *wishes: str) -> list[Played | Exception]:
        with self._patched():
            found: list[Played | Exception] = self._turns.run(*(partial(self._run, wish) for wish in wishes))
        return found

    def _run(self, wish: str) -> Played:
        self._here.runs = True
        entry, options = WISHES[wish]
        runs = Runs(self._sandbox.environment, sleep=self._turns.sleep, clock=self._clock)
        given = {"image": IMAGE, "template": {"serverless": True}, **options}
        return Role(runs).play(entry, **{f"runpod_ecr_{name}": value for name, value in given.items()})

    def _clock(self) -> datetime:
        return now() + timedelta(seconds=self._turns.now)

    @contextmanager
    def _patched(self) -> Iterator[None]:
        """Let each request be a moment at which the other run may go on; each is made in the thread of its run."""
        with ExitStack() as patches:
            for owner, name, call in (
                (Endpoint, "make_request", Endpoint.make_request),
                (runpod_client, "within", at_hand),
            ):
                patches.enter_context(patch.object(owner, name, self._switching(call)))
            patches.enter_context(patch.object(look, "ThreadPoolExecutor", OneAfterTheOther))
            patches.enter_context(patch("time.sleep", self._pause))
            patches.enter_context(patch.dict(os.environ, House(self._sandbox).environment()))
            yield

    def _switching(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def switching(*given: Any, **options: Any) -> Any:
            if hasattr(self._here, "runs"):
                self._turns.switch()
            return call(*given, **options)

        return switching

    def _pause(self, seconds: float) -> None:
        if hasattr(self._here, "runs"):
            self._turns.sleep(seconds)


class Meetings:
    """The starts, each made once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._house = House(sandbox)
        sandbox.reset()
        sandbox.runpod.switch(rate_limits=None)
        self._starts = {"": Snapshot(sandbox)}
        self._continued: dict[tuple[tuple[str, str], str], list[str]] = {}

    def wrong(self, start: str, pair: tuple[str, str], seed: int) -> list[str]:
        """Let both meet and run both again, one after the other; return all that is wrong.

        Many meetings of a pair end alike, and are continued once.
        """
        with near(self._sandbox):
            return self._wrong(start, pair, seed)

    def _wrong(self, start: str, pair: tuple[str, str], seed: int) -> list[str]:
        self._begin(start)
        house = self._house
        found = Meeting(self._sandbox, seed).held(*pair)
        ended = "absent" in pair
        wrong = [f"{wish}: {said}" for wish, one in zip(pair, found, strict=True) if (said := failed(one, pair, start))]
        wrong += twice(house) + ([] if ended else unfinished(house, pair))
        end = (pair, json.dumps(state(house), sort_keys=True))
        if end not in self._continued:
            self._continued[end] = self._again(start, pair, seed)
        return list(dict.fromkeys(wrong + self._continued[end]))

    def _again(self, start: str, pair: tuple[str, str], seed: int) -> list[str]:
        """Return what is wrong once both have run again."""
        house, wrong = self._house, []
        for wish in sorted(pair, key=lambda wish: wish == "absent"):
            [again] = Meeting(self._sandbox, seed).held(wish)
            too_early = wish in EARLY and ("absent" in pair or start == "nothing")
            if isinstance(again, Exception) or (again.failure and not too_early):
                wrong.append(f"{wish} again: {again if isinstance(again, Exception) else again.failure}")
        return wrong + [f"afterwards {each}" for each in twice(house) + unfinished(house, pair)]

    def _begin(self, start: str) -> None:
        if start not in self._starts:
            self._starts[""].restore()
            STARTS[start](self._house)
            self._starts[start] = Snapshot(self._sandbox)
        self._starts[start].restore()


def failed(one: Played | Exception, pair: tuple[str, str], start: str) -> str:
    """Return why a run should not have ended so; one that meets a teardown, or comes too early, may be refused."""
    if isinstance(one, Exception):
        return f"traceback: {type(one).__name__}: {one}"
    excused = "absent" in pair or (start == "nothing" and bool(EARLY & set(pair)))
    return "" if excused else one.failure


def twice(house: House) -> list[str]:
    world = house.runpod()
    kinds = {
        kind: Counter(str(each["name"]) for each in world[kind]) for kind in ("registries", "templates", "endpoints")
    }
    kinds["delegations"] = Counter(f"{each['repository']} {each['awsRegion']}" for each in world["delegations"])
    return [f"{count} {kind} {name}" for kind, names in kinds.items() for name, count in names.items() if count > 1]


def unfinished(house: House, pair: tuple[str, str]) -> list[str]:
    """Return what no run should leave behind: notes, keys that do not work, templates that cannot be pulled."""
    value = stored_key(house, "secretsmanager")
    wrong = [f"{name} in the entry" for name in ("pending", "lock") if name in value]
    keys = house.keys() if USER in house.users() else {}
    if value and keys.get(value.get("access_key_id", "")) != "Active":
        wrong.append("the store's key does not work")
    if len(keys) > (2 if "rotate" in pair else 1):
        wrong.append(f"{len(keys)} keys")
    templates = {record["name"] for record in house.runpod()["templates"]}
    return wrong + [f"{name} cannot be pulled" for name in templates - pulls(house)] + lost(house)


def lost(house: House) -> list[str]:
    """Return what refers to a credential that is not there."""
    there = {record["id"] for record in house.runpod()["registries"]}
    users = [*house.runpod()["templates"], *house.runpod()["endpoints"]]
    return [f"{one['name']} refers to nothing" for one in users if one.get("registry") and one["registry"] not in there]
