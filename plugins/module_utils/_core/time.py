# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Protocol

from .errors import NOT_YET, AwsError, RegistryError

TIME = "%Y-%m-%dT%H:%M:%SZ"
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Timer(Protocol):
    """`clock` returns an aware datetime."""

    clock: Callable[[], datetime]
    sleep: Callable[[float], None]


def format_time(moment: datetime) -> str:
    return moment.strftime(TIME)


def parse_time(text: str) -> datetime:
    """Raise ValueError for anything that format_time did not write."""
    return datetime.strptime(text + "+0000", TIME + "%z")


def parse_timestamp(text: str) -> datetime:
    """Return the moment of an RFC 3339 timestamp, which has a zone; raise ValueError for anything else."""
    match = TIMESTAMP.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a timestamp of RFC 3339")
    day, time_of_day, fraction, zone = match.groups()
    return datetime.strptime(f"{day}T{time_of_day}.{fraction or 0}{zone.upper()}", "%Y-%m-%dT%H:%M:%S.%f%z")


def retry_until(
    timer: Timer,
    deadline: datetime | None,
    attempt: Callable[[], Any],
    codes: Collection[str] = NOT_YET,
    text: str = "",
) -> Any:
    """Return what the attempt returns.

    What AWS refuses with one of these `codes`, and a text in which the pattern `text` is found, is tried again until
    the deadline, after 1 to 8 seconds; without a `deadline` there is a single try.
    """
    pause = 1.0
    while True:
        try:
            return attempt()
        except (AwsError, RegistryError) as error:
            left = (deadline - timer.clock()).total_seconds() if deadline else 0.0
            if error.code not in codes or not re.search(text, error.text) or left <= 0:
                raise
            timer.sleep(min(pause, left))
            pause = min(pause * 2, 8.0)
