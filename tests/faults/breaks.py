# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with a call, and every way to break one of a scenario's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any, NamedTuple
from unittest.mock import patch

from ansible.module_utils.urls import Request
from botocore.endpoint import Endpoint

from tests.sandbox.faults import Recorded
from tests.sandbox.server import Sandbox

Json = dict[str, Any]

EVERY: Json = {"times": None}  # each time that the run sends the call again
KILLED = ("killed before it", "killed after it")
# Of what the registries do there is no wording of an error, and of what they answer no document but JSON.
WHOLE: dict[str, Json] = {
    "not sent": {"answer": "reset", **EVERY},
    "reset once": {"answer": "reset"},
    "answer lost": {"effect": "after", "answer": "reset", **EVERY},
    "answer lost once": {"effect": "after", "answer": "reset"},
    "500": {"effect": "after", "answer": {"status": 500, "body": "no"}, **EVERY},
    "500 once": {"effect": "after", "answer": {"status": 500, "body": "no"}},
    "throttled": {"answer": {"status": 429, "headers": {"Retry-After": "1"}, "body": {"title": "Too many"}}},
    "late": {"delay": 30.0},
    "a page": {"effect": "after", "answer": "garbage", **EVERY},
    "null": {"effect": "after", "answer": {"status": 200, "body": None}, **EVERY},
    "empty": {"effect": "after", "answer": {"status": 200, "body": ""}, **EVERY},
    "a number": {"effect": "after", "answer": {"status": 200, "body": 7}, **EVERY},
    "a list": {"effect": "after", "answer": {"status": 200, "body": []}, **EVERY},
}


class Point(NamedTuple):
    """One way to break one call. `number` counts the requests of the run as its client sends them."""

    call: str
    fault: str
    rule: Json = {}
    number: int = -1

    def __str__(self) -> str:
        return f"{self.call} #{self.rule.get('skip', self.number)}: {self.fault}"


def points(calls: Iterable[Recorded], sent: Iterable[str]) -> Iterator[Point]:
    """Yield all that can go wrong with the calls of a run, of which the client `sent` these."""
    for call in calls:
        for fault, rule in WHOLE.items():
            yield Point(
                call.name, fault, call.rule(rule.get("answer"), **{k: v for k, v in rule.items() if k != "answer"})
            )
        for rule in call.rules():
            [(change, path)] = rule["answer"].items()
            yield Point(call.name, f"{change} {path}", {**rule, "effect": "after", **EVERY})
    for number, name in enumerate(sent):
        for fault in KILLED:
            yield Point(name, fault, number=number)


class Killed(BaseException):
    """The run's process dies."""


class Wire:
    """Notes the requests that a run sends, and ends the run at one of them."""

    def __init__(self, point: Point | None = None) -> None:
        self.sent: list[str] = []
        self._point = point
        self._lock = Lock()

    @contextmanager
    def watched(self) -> Iterator[None]:
        with ExitStack() as patches:
            for owner, name, told in ((Endpoint, "make_request", _of_aws), (Request, "open", _of_others)):
                patches.enter_context(patch.object(owner, name, self._noting(getattr(owner, name), told)))
            yield

    def _noting(self, call: Callable[..., Any], told: Callable[..., str]) -> Callable[..., Any]:
        def noting(*given: Any, **options: Any) -> Any:
            with self._lock:
                number = len(self.sent)
                self.sent.append(told(*given, **options))
            fault = self._point.fault if self._point and self._point.number == number else ""
            if fault == KILLED[0]:
                raise Killed
            answer = call(*given, **options)
            if fault == KILLED[1]:
                raise Killed
            return answer

        return noting


def _of_aws(endpoint: Any, model: Any, *dummy: Any, **others: Any) -> str:
    return f"{model.service_model.service_name}:{model.name}"


def _of_others(dummy: Any, method: str, url: str, *others: Any, **more: Any) -> str:
    return f"{method} {url.partition('//')[2].partition('?')[0]}"


def set_fault(sandbox: Sandbox, point: Point) -> None:
    if point.rule:
        sandbox.fail(**point.rule)
