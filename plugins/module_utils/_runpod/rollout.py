# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .._core.errors import Json, NotFoundError
from .._core.masking import to_result
from .answers import unfit

if TYPE_CHECKING:
    from .client import Client

PAUSE = 10.0  # seconds; a look takes two requests of a quota that may be 60 a minute
READY = {"RUNNING", "IDLE"}
FIELDS = (
    ("endpointVersion", int, "a number"),
    ("rollout", dict, "an object"),
    ("releases", list, "a list"),
)


class RolloutStatus(NamedTuple):
    """Of an endpoint that RunPod does not know yet, nothing."""

    version: int | None = None
    rollout: Json | None = None
    workers: tuple[Json, ...] = ()
    newest: Json = {}  # release

    @property
    def over(self) -> bool:
        """No worker runs an older version, and one of them is ready.

        Without workers the next starts with the newest; RunPod says 0 % then.
        """
        if self.rollout is None or self.rollout.get("inProgress") or any(map(is_stale, self.workers)):
            return False
        return not self.workers or any(worker.get("status") in READY for worker in self.workers)

    def as_result(self, changes: list[str]) -> Json:
        return {"version": self.version, "rollout": self.rollout and to_result(self.rollout), "changes": changes}

    def workers_as_result(self) -> list[Json]:
        return [to_result(worker) for worker in sorted(self.workers, key=by_id)]

    def describe(self) -> str:
        if self.rollout is None:
            return "RunPod does not tell of the endpoint yet"
        if not self.workers:
            return "RunPod tells of no worker"
        ages = {True: "an older", False: "the newest"}
        message = [
            f"{worker.get('id')} is {worker.get('status')} with {ages[is_stale(worker)]} version"
            for worker in sorted(self.workers, key=by_id)
        ]
        return ", ".join(message)


def by_id(worker: Json) -> str:
    return str(worker.get("id"))


def is_stale(worker: Json) -> bool:
    return bool(worker.get("isStale"))


def read_status(client: Client, path: str, with_workers: bool = False) -> RolloutStatus:
    try:
        reported = client.get(f"{path}/releases")
        workers = client.items(f"{path}/workers", "workers") if with_workers else []
    except NotFoundError:  # made a moment ago
        return RolloutStatus()
    found = {"endpointVersion": None, "rollout": None, "releases": None, **reported}
    for name, kind, meant in FIELDS:
        if found[name] is not None and not isinstance(found[name], kind):
            raise unfit(f"GET {path}/releases", f"the answer has {name} that is not {meant}")
    newest = (found["releases"] or [{}])[0]
    if not is_release(newest):
        raise unfit(f"GET {path}/releases", "the newest release does not say when it was made, and of what")
    return RolloutStatus(found["endpointVersion"], found["rollout"], tuple(workers), newest)


def is_release(thing: object) -> bool:
    if not isinstance(thing, dict) or not isinstance(thing.get("createdAt"), str | None):
        return False
    diff = thing.get("diff") or []
    return isinstance(diff, list) and all(isinstance(each, dict) and "field" in each for each in diff)


def follow(client: Client, path: str, seconds: float, clock: Callable[[], float]) -> RolloutStatus:
    deadline = clock() + seconds
    while True:
        observed = read_status(client, path, with_workers=True)
        left = deadline - clock()
        if observed.over or left <= 0:
            return observed
        client.sleep(min(PAUSE, left))
