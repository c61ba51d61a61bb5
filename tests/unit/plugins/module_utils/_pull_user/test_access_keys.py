# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import KeyReservation, TokenRecord
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.access_keys import (
    FOREIGN,
    MARKED,
    ORPHAN,
    STORED,
    AccessKey,
    KeyPlan,
    is_due,
    owners,
    plan_keys,
)

NOW = datetime(2026, 8, 1, 12, tzinfo=timezone.utc)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOTE = KeyReservation(NOW - HOUR, ("KNOWN",))
YOUNG = KeyReservation(NOW - timedelta(seconds=30), ())


def key(name: str, age: timedelta, status: str = "Active", used: timedelta | None = None) -> AccessKey:
    return AccessKey(name, status, NOW - age, None if used is None else NOW - used)


def plan(*keys: AccessKey, **changes: Any) -> KeyPlan:
    defaults: dict[str, Any] = {
        "marked": {"OLD", "NEW", "IDLE"},
        "stored_id": "NEW",
        "pending": None,
        "fresh": (),
        "now": NOW,
        "busy": False,
        "rotate_after_days": None,
        "retire_after_hours": None,
    }
    return plan_keys(keys, **{**defaults, **changes})


@pytest.mark.parametrize(
    ("found", "pending", "owner"),
    [
        (key("NEW", HOUR), NOTE, STORED),
        (key("OLD", 2 * HOUR), NOTE, MARKED),
        (key("OLD", HOUR / 2), NOTE._replace(abandoned=True), MARKED),
        (key("OLD", HOUR / 2), NOTE, ORPHAN),
        (key("OLD", HOUR / 2, used=HOUR / 4), NOTE, ORPHAN),  # the run that marked it died while it proved it
        (key("X", HOUR), NOTE, ORPHAN),
        (key("X", HOUR + timedelta(minutes=5)), NOTE, ORPHAN),  # the clocks may differ by this
        (key("X", HOUR + timedelta(minutes=5, seconds=1)), NOTE, FOREIGN),
        (key("X", HOUR / 2), NOTE, ORPHAN),
        (key("X", HOUR / 2, "Inactive"), NOTE, ORPHAN),
        (key("X", HOUR / 2, used=HOUR / 4), NOTE, FOREIGN),  # somebody knows its secret
        (key("X", HOUR / 2), NOTE._replace(abandoned=True), FOREIGN),  # that run cleaned up
        (key("X", HOUR / 2), None, FOREIGN),
        (key("KNOWN", HOUR / 2), NOTE, FOREIGN),
    ],
)
def test_owner_of_a_key(found: AccessKey, pending: KeyReservation | None, owner: str) -> None:
    assert owners([found], {"OLD", "NEW"}, "NEW", pending) == {found.id: owner}


def test_of_two_keys_that_appeared_the_marked_one_is_the_orphan() -> None:
    keys = [key("X", HOUR / 2), key("OLD", HOUR / 3)]
    assert owners(keys, {"OLD"}, None, NOTE) == {"X": FOREIGN, "OLD": ORPHAN}


def test_of_two_keys_that_appeared_neither_is_an_orphan() -> None:
    keys = [key("X", HOUR / 2), key("Y", HOUR / 3)]
    assert owners(keys, set(), None, NOTE) == {"X": FOREIGN, "Y": FOREIGN}


@pytest.mark.parametrize(
    ("age", "limit", "expected"), [(90 * DAY, 90, True), (90 * DAY - HOUR, 90, False), (900 * DAY, None, False)]
)
def test_age_at_which_a_key_is_due(age: timedelta, limit: int | None, expected: bool) -> None:
    assert is_due(key("NEW", age), NOW, limit) is expected


@pytest.mark.parametrize(
    ("keys", "changes", "expected"),
    [
        # No key in the store, or none that exists
        ([], {"stored_id": None}, KeyPlan(create=True)),
        ([], {}, KeyPlan(create=True)),
        ([key("X", DAY)], {"stored_id": None}, KeyPlan(create=True)),
        ([key("OLD", DAY)], {}, KeyPlan(create=True)),  # make before break
        ([key("IDLE", DAY, "Inactive")], {}, KeyPlan(create=True)),
        ([key("OLD", DAY), key("IDLE", DAY, "Inactive")], {}, KeyPlan(delete=("IDLE",), create=True)),
        ([key("X", DAY), key("IDLE", DAY, "Expired")], {}, KeyPlan(delete=("IDLE",), create=True)),
        (
            [key("OLD", DAY, "Inactive"), key("IDLE", 2 * DAY, "Inactive")],
            {},
            KeyPlan(delete=("IDLE",), create=True),  # the older of two
        ),
        # A note is there
        ([], {"pending": YOUNG, "busy": True}, KeyPlan(create=True)),  # what is done if that run is dead
        ([key("X", timedelta(seconds=9))], {"pending": YOUNG, "busy": True}, KeyPlan(delete=("X",), create=True)),
        ([], {"pending": YOUNG._replace(abandoned=True)}, KeyPlan(create=True)),
        ([key("X", HOUR / 2)], {"pending": NOTE}, KeyPlan(delete=("X",), create=True)),
        ([key("X", HOUR / 2), key("KNOWN", DAY)], {"pending": NOTE}, KeyPlan(delete=("X",), create=True)),
        ([key("NEW", DAY), key("X", HOUR / 2)], {"pending": NOTE}, KeyPlan(delete=("X",), forget=True)),
        ([key("NEW", DAY), key("X", HOUR / 2)], {"pending": YOUNG, "busy": True}, KeyPlan()),  # another run rotates it
        # One good key
        ([key("NEW", DAY)], {}, KeyPlan()),
        ([key("NEW", DAY)], {"rotate_after_days": 2}, KeyPlan()),
        ([key("NEW", DAY)], {"rotate_after_days": 1}, KeyPlan(create=True, rotation_due=True)),
        (
            [key("NEW", DAY)],
            {"rotate_after_days": 1, "pending": YOUNG, "busy": True},
            KeyPlan(create=True, forget=True, rotation_due=True),
        ),
        ([key("NEW", DAY)], {"rotate_after_days": 2, "pending": YOUNG, "busy": True}, KeyPlan()),
        ([key("NEW", timedelta(0))], {"rotate_after_days": 0}, KeyPlan(create=True, rotation_due=True)),
        (
            [key("NEW", 9 * DAY), key("X", HOUR / 2)],
            {"rotate_after_days": 1, "pending": NOTE},
            KeyPlan(delete=("X",), create=True, forget=True, rotation_due=True),
        ),
        ([key("NEW", DAY), key("X", 9 * DAY)], {"retire_after_hours": 1}, KeyPlan()),  # not ours
        # An older key of ours works still
        ([key("NEW", DAY), key("OLD", 9 * DAY)], {}, KeyPlan()),
        ([key("NEW", DAY), key("OLD", 9 * DAY)], {"retire_after_hours": 24}, KeyPlan(deactivate=("OLD",))),
        ([key("NEW", DAY), key("OLD", 9 * DAY)], {"retire_after_hours": 25}, KeyPlan()),
        (
            [key("NEW", DAY), key("OLD", 9 * DAY, used=12 * HOUR)],
            {"retire_after_hours": 12},
            KeyPlan(deactivate=("OLD",)),
        ),
        ([key("NEW", DAY), key("OLD", 9 * DAY, used=11 * HOUR)], {"retire_after_hours": 12}, KeyPlan()),
        (
            [key("NEW", DAY), key("OLD", 9 * DAY)],
            {"retire_after_hours": 12, "fresh": [TokenRecord(NOW + HOUR, "OLD")]},
            KeyPlan(),
        ),
        (
            [key("NEW", DAY), key("OLD", 9 * DAY)],
            {"retire_after_hours": 12, "fresh": [TokenRecord(NOW - HOUR, "OLD"), TokenRecord(NOW + HOUR, "NEW")]},
            KeyPlan(deactivate=("OLD",)),
        ),
        ([key("NEW", 9 * DAY), key("OLD", DAY)], {"retire_after_hours": 25}, KeyPlan()),  # the newest date counts
        # An older key of ours does not work any more
        ([key("NEW", 2 * DAY), key("OLD", 9 * DAY, "Inactive")], {"retire_after_hours": 24}, KeyPlan(delete=("OLD",))),
        ([key("NEW", 2 * DAY), key("OLD", 9 * DAY, "Inactive")], {"retire_after_hours": 25}, KeyPlan()),
        (
            [key("NEW", 9 * DAY), key("OLD", 10 * DAY, "Inactive")],
            {"retire_after_hours": 24, "rotate_after_days": 9},
            KeyPlan(delete=("OLD",), create=True, rotation_due=True),
        ),
    ],
)
def test_plan(keys: list[AccessKey], changes: dict[str, Any], expected: KeyPlan) -> None:
    assert plan(*keys, **changes) == expected


@pytest.mark.parametrize(
    ("keys", "changes", "words"),
    [
        ([key("X", DAY), key("Y", DAY)], {}, ["X (Active, made 2026-07-31, never used) was not made by", "Y "]),
        ([key("OLD", DAY, used=HOUR), key("Y", DAY)], {}, ["last used 2026-08-01) is an older key of", "Y "]),
        ([key("X", DAY, "Inactive"), key("Y", DAY)], {}, ["X (Inactive", "Y "]),
        ([key("X", HOUR / 2), key("Y", HOUR / 2)], {"pending": NOTE}, ["X ", "Y "]),
        ([key("NEW", DAY, "Inactive")], {}, ["NEW is the key in the secret store, but its status is Inactive"]),
        ([key("NEW", DAY, "Expired"), key("IDLE", DAY, "Inactive")], {}, ["NEW is the key", "Expired"]),
    ],
)
def test_no_good_key_and_none_to_be_had(keys: list[AccessKey], changes: dict[str, Any], words: list[str]) -> None:
    decided = plan(*keys, **changes)
    assert (decided.create, decided.delete, decided.deactivate) == (False, (), ())
    assert all(word in " ".join(decided.blocked) for word in words)


@pytest.mark.parametrize(
    ("age", "other"),
    [
        (timedelta(0), key("X", DAY)),  # not ours: it will not go by itself
        (90 * DAY, key("X", DAY)),
        (90 * DAY, key("OLD", 99 * DAY, used=HOUR)),  # something goes on using it
        (2 * DAY, key("OLD", 9 * DAY, used=HOUR)),
    ],
)
def test_rotation_that_is_due_but_finds_no_room_keeps_the_good_key(age: timedelta, other: AccessKey) -> None:
    decided = plan(key("NEW", age), other, rotate_after_days=0, retire_after_hours=24)
    assert decided == KeyPlan(rotation_due=True, stuck=decided.stuck)
    assert len(decided.stuck) == 1 and decided.stuck[0].startswith(other.id)


def test_rotation_that_is_due_long_after_another_retires_that_ones_key_first() -> None:
    decided = plan(key("NEW", 90 * DAY), key("OLD", 180 * DAY), rotate_after_days=90, retire_after_hours=24)
    assert decided == KeyPlan(deactivate=("OLD",), rotation_due=True, postponed=decided.postponed)
    assert len(decided.postponed) == 1 and decided.postponed[0].startswith("OLD")


@pytest.mark.parametrize("age", [timedelta(0), 2 * DAY - HOUR])
def test_rotation_that_is_due_right_after_another_waits_for_that_ones_end(age: timedelta) -> None:
    decided = plan(key("NEW", age), key("OLD", 9 * DAY, used=HOUR), rotate_after_days=0, retire_after_hours=24)
    assert decided == KeyPlan(rotation_due=True, postponed=decided.postponed)
    assert len(decided.postponed) == 1 and decided.postponed[0].startswith("OLD")
