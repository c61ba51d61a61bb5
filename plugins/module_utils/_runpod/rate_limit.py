# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

LONGEST_WAIT = 90.0  # seconds; a minute's window can name 60, a day's 45,012
ROOM_UNKNOWN = 10  # the most to leave to others when the quota is not said


class Window(NamedTuple):
    """The requests left, and the seconds until the window is fresh."""

    name: str
    left: int
    resets: int
    quota: int | None = None


class RateLimitState(NamedTuple):
    """What the last answer said, when, and whose requests have spent the quota."""

    at: float = 0.0
    windows: tuple[Window, ...] = ()
    ours: float = 0.0
    others: float = 0.0


class Pause(NamedTuple):
    seconds: float
    window: Window


def seconds(text: str | None) -> float | None:
    """Return None for the date form, which RunPod does not send."""
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def members(header: str | None) -> dict[str, dict[str, int]]:
    """`header` is such as `"minute";r=0;t=12, "day";r=9;t=45012`; what is no number is left out."""
    found = {}
    for member in (header or "").split(","):
        name, *parameters = (part.strip() for part in member.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        found[name.strip('"')] = {
            key.strip(): int(value) for key, dummy, value in pairs if re.fullmatch(r"\s*[0-9]{1,12}\s*", value)
        }
    return found


def windows(limit: str | None, policy: str | None) -> tuple[Window, ...]:
    """A window that misses half of RateLimit and RateLimit-Policy is none."""
    policies = members(policy)
    found = []
    for name, reported in members(limit).items():
        known = policies.get(name, {})
        resets = reported.get("t", known.get("w"))
        if "r" in reported and resets is not None:
            found.append(Window(name, reported["r"], resets, known.get("q")))
    return tuple(found)


def next_state(view: RateLimitState, reported: tuple[Window, ...], now: float) -> RateLimitState:
    """Keep the view when an answer says nothing.

    What else is gone others have spent; their share counts less with each fresh window.
    """
    if not reported:
        return view
    former = {window.name: window.left for window in view.windows}
    gone = [former[window.name] - window.left for window in reported if window.name in former]
    if not gone:
        return RateLimitState(now, reported)
    aged = 0.5 if min(gone) < 0 else 1.0
    return RateLimitState(now, reported, view.ours * aged + 1, view.others * aged + max(1, *gone) - 1)


def room(view: RateLimitState, window: Window) -> int:
    """Leave others twice what they use for each of our requests: who has not heard of the end takes one at most, so
    clients that all do so stay within the quota.
    """
    if not view.others:
        return 0
    most = ROOM_UNKNOWN if window.quota is None else window.quota // 10
    return min(math.ceil(2 * view.others / view.ours), most)


def pause(view: RateLimitState, now: float) -> Pause | None:
    """Return None when the next request may go at once.

    A window whose end cannot be waited for leaves no room: each request counts.
    """
    waits = []
    for window in view.windows:
        remaining = view.at + window.resets - now
        kept = room(view, window) if remaining <= LONGEST_WAIT else 0
        if remaining > 0 and window.left <= kept:
            waits.append(Pause(remaining, window))
    return max(waits, default=None)


def refused_for(retry_after: float | None, reported: Iterable[Window]) -> float | None:
    """Retry-After is that of the window which refused; another may be spent for longer."""
    waits = [float(window.resets) for window in reported if not window.left]
    return max(waits if retry_after is None else [*waits, retry_after], default=None)


def duration(given: float) -> str:
    """Return such as `45012 s (12 h 31 min)`."""
    hours, minutes = divmod(math.ceil(given / 60), 60)
    return f"{math.ceil(given)} s ({hours} h {minutes} min)"


def spent(window: Window, remaining: float) -> str:
    quota = "" if window.quota is None else f" of {window.quota}"
    return (
        f"the quota {window.name!r} of this API key is spent: {window.left}{quota} requests are left, "
        f"and it is fresh in {duration(remaining)}"
    )
