# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: how far the workers of a serverless endpoint have come to its newest release.

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .._core.errors import Json, NotFoundError
from .._core.masking import to_result

if TYPE_CHECKING:
    from .client import Client

PAUSE = 10.0  # seconds; a look takes two requests of a quota that may be 60 a minute
READY = {"RUNNING", "IDLE"}


class RolloutStatus(NamedTuple):
    """What RunPod tells of a roll-out: of an endpoint that it does not know yet, nothing."""

    version: int | None = None
    rollout: Json | None = None
    workers: tuple[Json, ...] = ()

    @property
    def over(self) -> bool:
        """Whether no worker runs an older version and, where there are workers, one of them is ready.

        An endpoint without workers is through: the next one starts with the newest version. RunPod says 0 % then.
        """
        if self.rollout is None or self.rollout.get("inProgress") or any(map(is_stale, self.workers)):
            return False
        return not self.workers or any(worker.get("status") in READY for worker in self.workers)

    def as_result(self, changes: list[str]) -> Json:
        return {"version": self.version, "rollout": self.rollout and to_result(self.rollout), "changes": changes}

    def workers_as_result(self) -> list[Json]:
        return [to_result(worker) for worker in sorted(self.workers, key=by_id)]

    def told(self) -> str:
        """Return the workers with their states, in words."""
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
    """Return what RunPod tells of the roll-out of the endpoint with this path."""
    try:
        reported = client.get(f"{path}/releases")
        workers = client.items(f"{path}/workers", "workers") if with_workers else []
    except NotFoundError:  # made a moment ago
        return RolloutStatus()
    known = reported if isinstance(reported, dict) else {}
    return RolloutStatus(known.get("endpointVersion"), known.get("rollout"), tuple(workers))


def follow(client: Client, path: str, seconds: float, clock: Callable[[], float]) -> RolloutStatus:
    """Return what RunPod tells once the roll-out is over, or when these seconds are."""
    deadline = clock() + seconds
    while True:
        observed = read_status(client, path, with_workers=True)
        left = deadline - clock()
        if observed.over or left <= 0:
            return observed
        client.sleep(min(PAUSE, left))
