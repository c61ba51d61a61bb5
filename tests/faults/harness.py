# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Breaks a scenario at a point, runs it again plainly, and holds the end against that of an undisturbed run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from tests.sandbox.near import near
from tests.sandbox.server import Sandbox
from tests.system.conftest import House
from tests.system.role import Played
from tests.system.worker import Clock, Runs

from .breaks import Killed, Point, Wire, points, set_fault
from .scenarios import ENDING, SCENARIOS
from .world import Snapshot, pulls, secrets, state

Json = dict[str, Any]

PULLS_NO_MORE, OTHER_END, NEXT_FAILS = "no working pull of", "the end differs at", "the next run fails:"
# Answers that AWS may give too: of a list without items, or without tags. Nobody can know better.
LISTS = "Tags|AccessKeyMetadata|PolicyNames|AttachedPolicies|Groups|Users"
EMPTIED = re.compile(rf"remove \S*(\.member|\[\*\])$|(remove|null) \S*\.({LISTS})$")
# Answers that RunPod may give too: of things that are not there, that pull without a credential, or that have no name,
# which it does not promise of endpoints.
UNUSED = re.compile(r"remove \S*\[\*\]$|(remove|null) \S*(\.registry|endpoints\[\*\]\.name)$")


class Verdict(NamedTuple):
    """What came of one point: all that is wrong with it, and what the broken run said."""

    point: Point
    wrong: tuple[str, ...]
    message: str


class Harness:
    """One scenario."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self.name, self.scenario, self._sandbox = name, SCENARIOS[name], sandbox
        self._clock = Clock()
        self._continued: dict[str, list[str]] = {}
        self.house = House(sandbox)
        self.house.runs = Runs(sandbox.environment, sleep=self._clock.sleep, clock=self._clock.now)
        with self._hurried():
            self._begin()
            self._start = Snapshot(sandbox)
            self._could = pulls(self.house)
            with sandbox.recording() as calls:
                wire = Wire()
                with wire.watched():
                    played = self._play()
            assert not played.failure, played.failure
            self._expected = state(self.house)
            self.points = list(points(calls, wire.sent))

    def tried(self, point: Point) -> Verdict:
        """Break the run at a point, and run it again."""
        with self._hurried():
            self._go_back()
            set_fault(self._sandbox, point)
            wrong: list[str] = []
            with Wire(point).watched(), self._watched_pulls(wrong):
                played = self._broken(wrong)
            self._sandbox.mend()
            message = self._judged(point, played, wrong) if played else ""
            left = json.dumps(state(self.house), sort_keys=True)
            if left not in self._continued:  # many faults leave the same, and are continued once
                self._continued[left] = []
                with self._watched_pulls(self._continued[left]):
                    self._again(self._continued[left])
            wrong += self._continued[left]
            return Verdict(point, tuple(dict.fromkeys(each for each in wrong if is_due(point, each))), message)

    def _begin(self) -> None:
        self._sandbox.reset()
        self._sandbox.runpod.switch(rate_limits=None)  # its minutes are real ones, and those of the runs are not
        self.scenario.start(self.house)

    def _go_back(self) -> None:
        self._clock.slept = 0.0
        if self.scenario.mirrors:
            self._begin()
        else:
            self._start.restore()

    def _play(self) -> Played:
        return self.house.role(self.scenario.entry, **{"template": {"serverless": True}, **self.scenario.options})

    def _broken(self, wrong: list[str]) -> Played | None:
        """Run into the fault."""
        try:
            return self._play()
        except Killed:
            pass
        except Exception as error:
            wrong.append(f"traceback: {type(error).__name__}: {error}")
        return None

    def _judged(self, point: Point, played: Played, wrong: list[str]) -> str:
        """Return what the broken run said, once that was looked at."""
        told = json.dumps([played.failure, played.warnings, played.variables.get("runpod_ecr_result")], default=str)
        wrong += [f"a secret is told: {told}" for secret in secrets(self.house) if secret in told]
        if played.failure and not EMPTIED.search(point.fault) and not diagnosed(point, played.failure):
            wrong.append(f"the diagnosis does not name the call: {played.failure}")
        return played.failure

    def _again(self, wrong: list[str]) -> None:
        self._clock.slept += 600.0  # what a dead run has left is not young any more
        try:
            played = self._play()
        except Exception as error:
            wrong.append(f"traceback of the next run: {type(error).__name__}: {error}")
            return
        if played.failure:
            wrong.append(f"{NEXT_FAILS} {played.failure}")
            return
        wrong += differences(self._expected, state(self.house))

    @contextmanager
    def _watched_pulls(self, wrong: list[str]) -> Iterator[None]:
        """Note each answer after which what could be pulled cannot be any more."""
        if self.name in ENDING:
            yield
            return
        working = set(self._could)

        def look(call: str) -> None:
            templates = {record["name"] for record in self.house.runpod()["templates"]}
            working.intersection_update(templates)
            able = pulls(self.house)
            wrong.extend(f"{PULLS_NO_MORE} {name} after {call}" for name in working - able)
            working.update(able)

        with patch.object(self._sandbox, "_servers", self._sandbox._servers):
            servers = self._sandbox._servers()
            for server in ("aws", "runpod"):
                servers[server].note = lambda call, dummy, body: look(call)
            try:
                yield
            finally:
                for server in ("aws", "runpod"):
                    servers[server].note = None

    @contextmanager
    def _hurried(self) -> Iterator[None]:
        """Let the pauses of boto3, of amazon.aws and of a late answer pass on the clock alone."""
        with patch("time.sleep", self._clock.sleep), near(self._sandbox):
            yield


def is_due(point: Point, wrong: str) -> bool:
    """Return whether the run could have known better."""
    if point.call.startswith("GET /v2") and UNUSED.search(point.fault):
        return not wrong.startswith((PULLS_NO_MORE, OTHER_END, NEXT_FAILS))
    return not (EMPTIED.search(point.fault) and wrong.startswith((NEXT_FAILS, OTHER_END)))


def diagnosed(point: Point, failure: str) -> bool:
    """Return whether a failure names the call that was broken, or where it went."""
    name = re.sub(r"^(\w+) (?:/v2)?(/\S*)$", r"\1 \2", point.call)
    host = re.search(r"\S+\.amazonaws\.com|public\.ecr\.aws", point.call)
    places = ["The host that hands out the layers"] if "starport" in name else []
    places += [host[0].partition("/")[0]] if host else ["ECR in "] if name.startswith("ecr:") else []
    if point.call.startswith(("PATCH", "POST")) and "RunPod accepted the" in failure:
        return True  # which tells what was not taken
    return any(each in failure for each in [name, name.partition(":")[2] or name, *places])


def differences(expected: Json, found: Json, place: str = "") -> list[str]:
    """Return where two states differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        names = sorted(expected.keys() | found.keys())
        return [line for name in names for line in differences(expected.get(name), found.get(name), f"{place}.{name}")]
    if expected == found:
        return []
    return [f"{OTHER_END} {place[1:]}: {json.dumps(found)[:300]} instead of {json.dumps(expected)[:300]}"]
