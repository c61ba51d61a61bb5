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
# datetime.fromisoformat knows neither Z nor every fraction before Python 3.11.
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Timer(Protocol):
    """What tells the time, as an aware datetime, and lets it pass, in seconds."""

    clock: Callable[[], datetime]
    sleep: Callable[[float], None]


def format_time(moment: datetime) -> str:
    """Return a moment as it stands in the store, in UTC and whole seconds."""
    return moment.strftime(TIME)


def parse_time(text: str) -> datetime:
    """Return the moment that format_time wrote; ValueError for anything else."""
    return datetime.strptime(text + "+0000", TIME + "%z")


def parse_timestamp(text: str) -> datetime:
    """Return the moment of a timestamp of RFC 3339, which has a zone; ValueError for anything else."""
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
    """Return what the attempt returns; while it is refused as a new key or right is, try again until that moment.

    The pauses double from one to eight seconds. Without a `deadline`, or after it, there is a single try. `codes` are
    the refusals that may pass, when the pattern `text` is found in what AWS or its registry says.
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
