# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the things that a run does, and why.

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .._core.errors import Json
from .._core.result import Result
from .._core.time import format_time
from .desired import DesiredState

GROUPS = ("user", "role", "policy")  # of a pull user or role


class Step(NamedTuple):
    """`step` names the module's task; `before` and `after` show the change."""

    step: str
    name: str
    action: str
    reason: str
    before: Any = None
    after: Any = None

    @property
    def needed(self) -> bool:
        return self.action != "none"


class Plan(NamedTuple):
    """Steps, the run's result, and the values that its tasks hand to modules."""

    steps: list[Step]
    result: Json
    handover: Json = {}


def action_of(before: Any, after: Any, changed: bool) -> str:
    if not changed:
        return "none"
    was, will_be = there(before), there(after)
    return "change" if was and will_be else "create" if will_be else "delete"


def there(state: Any) -> bool:
    """Return whether a state shows anything, by names when it has several."""
    return any(state.values()) if isinstance(state, dict) else bool(state)


def step_of(step: str, name: str, found: Result, reason: str = "") -> Step:
    action = action_of(found.before, found.after, found.changed)
    why = reason if reason and action == "change" else reason_of(action, found.before, found.after)
    return Step(step, name, action, why, found.before, found.after)


def reason_of(action: str, before: Any, after: Any) -> str:
    if action == "change" and isinstance(before, dict) and isinstance(after, dict):
        parts = [part for key in after for part in differing_parts(key, before.get(key), after[key])]
        return f"differs in {', '.join(parts)}" if parts else "is renewed"
    return {"create": "does not exist", "delete": "is not wanted any more", "change": "differs"}.get(action, "")


def differing_parts(key: str, before: Any, after: Any) -> list[str]:
    """Return the field that differs; of a group those in it."""
    if key in GROUPS and before and after:
        return [f"{key} {part}" for part in after if after[part] != before.get(part)]
    return [key] if before != after else []


def resource_step(step: str, name: str, planned: str, before: Any, after: Any) -> Step:
    action = "none" if planned == "unchanged" else planned
    return Step(step, name, action, reason_of(action, before, after), before, after)


def credential_reason(found: Result, enough: str) -> str:
    """A token that ends at `enough` or later would do."""
    if not found.changed or not found.before:
        return ""
    ends = found.before.get("expires_at")
    if not ends:
        return "nothing tells until when its token works"
    return f"its token ends at {ends}" if ends < enough else "another key than that in the store minted its token"


def minimum(desired: DesiredState, now: datetime) -> str:
    """Return until when a token has to work."""
    return format_time(now + timedelta(hours=desired.options["min_validity_hours"]))
