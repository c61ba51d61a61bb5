# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection, pure: what RunPod's answers say about the quota, and how long that makes a request wait.

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

LONGEST_WAIT = 90.0  # seconds; a minute's window can name 60, a day's 45,012
ROOM_UNKNOWN = 10  # the most to leave to others in a window whose quota is not said


class Window(NamedTuple):
    """One window of the quota as an answer tells it: the requests left, and the seconds until it is fresh."""

    name: str
    left: int
    resets: int
    quota: int | None = None


class RateLimitState(NamedTuple):
    """What the last answer said about the quota, when that was, and whose requests have spent it so far."""

    at: float = 0.0
    windows: tuple[Window, ...] = ()
    ours: float = 0.0
    others: float = 0.0


class Pause(NamedTuple):
    """How long the next request has to wait, and for which window."""

    seconds: float
    window: Window


def seconds(text: str | None) -> float | None:
    """Return a Retry-After given in seconds; its date form, which RunPod does not send, counts as unset."""
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def members(header: str | None) -> dict[str, dict[str, int]]:
    """Return the members of a header such as `"minute";r=0;t=12, "day";r=9;t=45012`; what is no number is left out."""
    found = {}
    for member in (header or "").split(","):
        name, *parameters = (part.strip() for part in member.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        found[name.strip('"')] = {
            key.strip(): int(value) for key, dummy, value in pairs if re.fullmatch(r"\s*[0-9]{1,12}\s*", value)
        }
    return found


def windows(limit: str | None, policy: str | None) -> tuple[Window, ...]:
    """Return what RateLimit and RateLimit-Policy say; a window that misses half of it is none."""
    policies = members(policy)
    found = []
    for name, reported in members(limit).items():
        known = policies.get(name, {})
        resets = reported.get("t", known.get("w"))
        if "r" in reported and resets is not None:
            found.append(Window(name, reported["r"], resets, known.get("q")))
    return tuple(found)


def next_state(view: RateLimitState, reported: tuple[Window, ...], now: float) -> RateLimitState:
    """Return the view after an answer; one that says nothing about the quota leaves it as it is.

    What is gone since the answer before, beyond our own request, others have spent. With each fresh window
    their share counts for less.
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
    """Return how many requests to leave to others: twice as many as they make for each of ours, within reason.

    Clients that all do so stop before they overdraw the quota: whoever has not heard of its end yet takes one at most.
    """
    if not view.others:
        return 0
    most = ROOM_UNKNOWN if window.quota is None else window.quota // 10
    return min(math.ceil(2 * view.others / view.ours), most)


def pause(view: RateLimitState, now: float) -> Pause | None:
    """Return the wait before the next request, or None when it may be sent at once.

    Room is left only in a window whose end can be waited for; in a longer one each request counts.
    """
    waits = []
    for window in view.windows:
        remaining = view.at + window.resets - now
        kept = room(view, window) if remaining <= LONGEST_WAIT else 0
        if remaining > 0 and window.left <= kept:
            waits.append(Pause(remaining, window))
    return max(waits, default=None)


def refused_for(retry_after: float | None, reported: Iterable[Window]) -> float | None:
    """Return the wait after a 429. Retry-After is that of the window which refused; another may be spent for longer."""
    waits = [float(window.resets) for window in reported if not window.left]
    return max(waits if retry_after is None else [*waits, retry_after], default=None)


def duration(given: float) -> str:
    """Return seconds for a reader, such as `45012 s (12 h 31 min)`."""
    hours, minutes = divmod(math.ceil(given / 60), 60)
    return f"{math.ceil(given)} s ({hours} h {minutes} min)"


def spent(window: Window, remaining: float) -> str:
    """Return what to say about a window that cannot be waited for."""
    quota = "" if window.quota is None else f" of {window.quota}"
    return (
        f"the quota {window.name!r} of this API key is spent: {window.left}{quota} requests are left, "
        f"and it is fresh in {duration(remaining)}"
    )
