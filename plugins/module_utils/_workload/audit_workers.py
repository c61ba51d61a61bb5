# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with the workers of an endpoint.

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from .._core.errors import Json
from .._core.time import parse_timestamp

STARTING = 15  # minutes for the pull of a large image


class Trouble(NamedTuple):
    """A code of the findings, the workers that it is about, and for how many minutes."""

    code: str
    ids: tuple[str, ...]
    minutes: int = 0


def trouble(workers: Collection[Json], released_at: object, now: datetime) -> Trouble | None:
    named: dict[str, list[str]] = {}
    for each in workers:
        named.setdefault(str(each.get("status")), []).append(str(each.get("id")))
    if unhealthy := named.get("UNHEALTHY"):
        return Trouble("workers_unhealthy", tuple(unhealthy))
    if named.keys() == {"THROTTLED"}:
        return Trouble("workers_throttled", tuple(named["THROTTLED"]))
    minutes = minutes_since(released_at, now)
    if minutes >= STARTING and "INITIALIZING" in named and named.keys() <= {"INITIALIZING", "THROTTLED"}:
        return Trouble("workers_stuck", tuple(named["INITIALIZING"]), minutes)
    return None


def minutes_since(moment: object, now: datetime) -> int:
    """Return 0 for what is no time."""
    try:
        return int((now - parse_timestamp(str(moment))).total_seconds() // 60)
    except ValueError:
        return 0
