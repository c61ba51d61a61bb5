# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from .errors import CollectionError, ConflictError, Json


class Result(NamedTuple):
    """`before` and `after` feed the diff; in check mode `after` is the best prediction. None of them holds a secret."""

    changed: bool
    before: Any
    after: Any
    results: Json = {}
    warnings: tuple[str, ...] = ()


class ItemsFailedError(CollectionError):
    def __init__(self, message: str, outcome: Result) -> None:
        super().__init__(message)
        self.outcome = outcome

    def as_result(self) -> Json:
        done = self.outcome
        diff = {"before": done.before, "after": done.after}
        return {"msg": str(self), "changed": done.changed, "diff": diff, **done.results}


class PartialError(CollectionError):
    """`done` are the writes before the failure, each a short clause."""

    def __init__(self, cause: CollectionError, done: Iterable[str]) -> None:
        self.cause = cause
        self.done = tuple(dict.fromkeys(done))
        super().__init__(f"{cause} Already done: {'; '.join(self.done)}. A plain re-run continues.")

    def as_result(self) -> Json:
        return {**self.cause.as_result(), "msg": str(self), "changed": True}


@contextmanager
def reporting(done: Sequence[str]) -> Iterator[None]:
    """Let a failure say what was done before it; `done` may grow meanwhile."""
    try:
        yield
    except CollectionError as error:
        if not done or isinstance(error, PartialError):
            raise
        raise PartialError(error, done) from error


def desired_fields(params: Mapping[str, Any], fields: Mapping[str, str]) -> Json:
    """Return what the user set: an option left out is left alone."""
    return {field: params[option] for option, field in fields.items() if params.get(option) is not None}


def changed_fields(current: Mapping[str, Any], desired: Mapping[str, Any]) -> Json:
    return {field: value for field, value in desired.items() if current.get(field) != value}


def find_by_name(
    things: Iterable[Json],
    name: str,
    kind: str,
    remedy: str = "Rename or delete all but one at RunPod, then run again.",
) -> Json | None:
    """Two things of one name are an error, never a choice."""
    found = [thing for thing in things if thing.get("name") == name]
    if len(found) > 1:
        ids = ", ".join(sorted(str(thing.get("id")) for thing in found))
        raise ConflictError(f"There are {len(found)} {kind}s named {name!r} (ids {ids}). {remedy}")
    return found[0] if found else None
