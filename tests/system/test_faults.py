# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whichever call of a rotation or a refresh goes wrong, a plain re-run ends where an undisturbed run does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from .conftest import READS, USER, House
from .worker import STORES, Clock, Runs

EVERY: dict[str, Any] = {"times": None}  # each time that the run sends the call again
FAULTS: dict[str, dict[str, Any]] = {
    "refused": {"answer": {"code": "AccessDeniedException", "status": 403}, **EVERY},
    "answer lost": {"effect": "after", "answer": "reset", **EVERY},
    "answer lost once": {"effect": "after", "answer": "reset"},
    "500": {"effect": "after", "answer": {"code": "InternalFailure", "status": 500}},
    "429": {"answer": {"code": "ThrottlingException", "status": 429}},
    "reset": {"answer": "reset", **EVERY},
    "garbage": {"effect": "after", "answer": "garbage", **EVERY},
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr("time.sleep", lambda dummy: None)  # the pauses of boto3 and of amazon.aws
    return Clock()


def rotate(runs: Runs) -> None:
    runs.replace_key()
    runs.refresh()


def one_key(house: House, store: str) -> None:
    """Go back to before a rotation: the stored key alone, and its token at RunPod."""
    key = house.stored(store)
    for other in house.keys().keys() - {key}:
        house.client("iam").delete_access_key(UserName=USER, AccessKeyId=other)
        house.client("iam").untag_user(UserName=USER, TagKeys=[other])


def no_credential(house: House, dummy: str) -> None:
    """Go back to before a first refresh."""
    house.sandbox.runpod.world.current["registries"].clear()


CASES: dict[str, tuple[Callable[[Runs], None], Callable[[House, str], None]]] = {
    "rotation": (rotate, one_key),
    "refresh": (Runs.refresh, no_credential),
}


def calls(house: House) -> Iterator[tuple[str, int]]:
    """Yield each call so far: its name, and how many of that name went before."""
    names = [call["name"] for call in house.sandbox.aws_calls() + house.sandbox.runpod_calls()]
    for number, name in enumerate(names):
        yield name, names[:number].count(name)


def shared_out(points: list[tuple[str, int]], turn: int) -> Iterator[tuple[str, int, str]]:
    """Yield each call with every other fault: the two stores take turns, so that it takes half the time.

    For a call that reads, a lost answer is a reset.
    """
    for place, (name, number) in enumerate(points):
        faults = [fault for fault in FAULTS if fault != "answer lost" or not name.partition(":")[2].startswith(READS)]
        for count, fault in enumerate(faults):
            if (place + count) % 2 == turn:
                yield name, number, fault


def tags(house: House, store: str) -> dict[str, str]:
    if store == "ssm":
        listing = {"ResourceType": "Parameter", "ResourceId": STORES[store]}
        found = house.client("ssm").list_tags_for_resource(**listing)["TagList"]
    else:
        found = house.client("secretsmanager").describe_secret(SecretId=STORES[store])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def check(house: House, store: str, old: set[str]) -> None:
    """Hold the account against what an undisturbed run leaves."""
    key = house.good(store, *old)
    marks = house.client("iam").list_user_tags(UserName=USER)["Tags"]
    assert {tag["Key"] for tag in marks if tag["Value"] == "gpuops.runpod"} == {key, *old}
    [credential] = house.runpod()["registries"]
    assert tags(house, store)[f"gpuops.runpod/{credential['id']}"].split()[1] == key
    assert house.sandbox.aws.logins[credential["password"]].access_key == key


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("case", CASES)
def test_a_plain_re_run_finishes_what_failed_anywhere(house: House, clock: Clock, case: str, store: str) -> None:
    run, prepare = CASES[case]
    house.sandbox.runpod.switch(rate_limits=None)  # its minutes are real ones, and those of the runs are not
    runs = Runs(house.sandbox.environment, store, clock.sleep, clock.now)
    runs.converge()
    prepare(house, store)
    house.sandbox.forget_calls()
    run(runs)
    points = list(calls(house))
    assert len(points) >= 6
    for name, number, fault in shared_out(points, list(STORES).index(store)):
        prepare(house, store)
        old = set(house.keys()) if case == "rotation" else set()
        clock.slept = 0.0
        house.sandbox.fail(re.escape(name), skip=number, **FAULTS[fault])
        with suppress(Exception):
            run(runs)
        house.sandbox.mend()
        run(runs)
        check(house, store, old)
