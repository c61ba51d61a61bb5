# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.rate_limit import (
    Pause,
    RateLimitState,
    Window,
    duration,
    members,
    next_state,
    pause,
    refused_for,
    room,
    seconds,
    spent,
    windows,
)

MINUTE = Window("minute", 0, 12, 60)
HOUR = Window("hour", 0, 1812, 3000)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
    ],
)
def test_seconds(text: str | None, value: float | None) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('"minute";r=0;t=12, "day";r=9;t=45012', {"minute": {"r": 0, "t": 12}, "day": {"r": 9, "t": 45012}}),
        ("minute ; r = 1 ;t= 2", {"minute": {"r": 1, "t": 2}}),
        ('"minute";r=-1;t=1.5;x="y";;=', {"minute": {}}),
        (f'"minute";r={"9" * 5000}', {"minute": {}}),
        ("", {"": {}}),
        (None, {"": {}}),
    ],
)
def test_members(header: str | None, found: Any) -> None:
    assert members(header) == found


@pytest.mark.parametrize(
    ("limit", "policy", "found"),
    [
        (
            '"minute";r=0;t=12, "hour";r=2800;t=1812',
            '"minute";q=60;w=60, "hour";q=3000;w=3600, "day";q=50000;w=86400',
            (Window("minute", 0, 12, 60), Window("hour", 2800, 1812, 3000)),
        ),
        ('"minute";r=3;t=4', None, (Window("minute", 3, 4),)),
        ('"minute";r=3', '"minute";q=60;w=60', (Window("minute", 3, 60, 60),)),  # at worst the whole window
        ('"minute";r=3', None, ()),
        ('"minute";t=3', '"minute";q=60;w=60', ()),
        (None, '"minute";q=60;w=60', ()),
        ("<html>", "=", ()),
    ],
)
def test_windows(limit: str | None, policy: str | None, found: Any) -> None:
    assert windows(limit, policy) == found


def minute(left: int) -> tuple[Window, ...]:
    return (Window("minute", left, 30, 60), Window("day", 1000 + left, 45012, 5000))


@pytest.mark.parametrize(
    ("view", "told", "ours", "others"),
    [
        (RateLimitState(), minute(59), 0, 0),  # nothing to compare with
        (RateLimitState(1.0, minute(59)), minute(58), 1, 0),
        (RateLimitState(1.0, minute(59)), minute(55), 1, 3),
        (RateLimitState(1.0, minute(59), 4, 4), minute(57), 5, 5),
        (RateLimitState(1.0, minute(2), 4, 4), minute(59), 3, 2),  # a fresh window
        (RateLimitState(1.0, minute(5)), (Window("other", 4, 1),), 0, 0),
    ],
)
def test_a_look_counts_ours_and_others(
    view: RateLimitState, told: tuple[Window, ...], ours: float, others: float
) -> None:
    assert next_state(view, told, 7.0) == RateLimitState(7.0, told, ours, others)


def test_an_answer_without_a_word_about_the_quota_changes_nothing() -> None:
    view = RateLimitState(1.0, minute(5), 1, 1)
    assert next_state(view, (), 7.0) == view


@pytest.mark.parametrize(
    ("ours", "others", "quota", "left"),
    [
        (0, 0, 60, 0),
        (10, 0, 60, 0),
        (10, 1, 60, 1),
        (10, 10, 60, 2),
        (10, 30, 60, 6),
        (10, 300, 60, 6),  # a tenth of the quota at most
        (10, 300, None, 10),
        (1, 9, 3, 0),
    ],
)
def test_room_is_left_by_what_others_make_of_each_of_ours(ours: int, others: int, quota: int | None, left: int) -> None:
    assert room(RateLimitState(0.0, (), ours, others), Window("minute", 5, 30, quota)) == left


@pytest.mark.parametrize(
    ("told", "ours", "others", "now", "wait"),
    [
        ((), 0, 0, 100.0, None),
        ((Window("minute", 1, 12, 60),), 5, 0, 100.0, None),
        ((MINUTE,), 5, 0, 100.0, 12.0),
        ((MINUTE,), 5, 0, 104.5, 7.5),  # time has passed since
        ((MINUTE,), 5, 0, 112.0, None),
        ((MINUTE._replace(left=2),), 5, 5, 100.0, 12.0),  # left to others
        ((MINUTE._replace(left=3),), 5, 5, 100.0, None),
        ((MINUTE, HOUR), 5, 0, 100.0, 1812.0),
        ((HOUR._replace(left=1),), 5, 50, 100.0, None),  # no room in a window that is not waited for
        ((HOUR._replace(left=1, resets=90),), 5, 50, 100.0, 90.0),
    ],
)
def test_pause(told: tuple[Window, ...], ours: int, others: int, now: float, wait: float | None) -> None:
    found = pause(RateLimitState(100.0, told, ours, others), now)
    assert (found.seconds if found else None) == wait


def test_a_pause_names_the_window_it_is_for() -> None:
    assert pause(RateLimitState(0.0, (HOUR, MINUTE)), 0.0) == Pause(1812.0, HOUR)


@pytest.mark.parametrize(
    ("retry_after", "told", "wait"),
    [
        (None, (), None),
        (7.0, (), 7.0),
        (None, (MINUTE,), 12.0),
        (7.0, (MINUTE,), 12.0),
        (20.0, (MINUTE,), 20.0),
        (7.0, (MINUTE, HOUR), 1812.0),
        (7.0, (MINUTE._replace(left=1), HOUR._replace(left=2)), 7.0),
    ],
)
def test_a_refusal_is_waited_for_as_long_as_any_spent_window(
    retry_after: float | None, told: tuple[Window, ...], wait: float | None
) -> None:
    assert refused_for(retry_after, told) == wait


@pytest.mark.parametrize(
    ("given", "text"),
    [(91, "91 s (0 h 2 min)"), (3600, "3600 s (1 h 0 min)"), (45012.4, "45013 s (12 h 31 min)")],
)
def test_duration(given: float, text: str) -> None:
    assert duration(given) == text


def test_a_spent_window_is_told_with_its_figures() -> None:
    assert spent(HOUR, 1800.0) == (
        "the quota 'hour' of this API key is spent: 0 of 3000 requests are left, and it is fresh in 1800 s (0 h 30 min)"
    )
    assert "0 requests are left" in spent(HOUR._replace(quota=None), 1800.0)
