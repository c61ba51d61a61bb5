# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. RunPod has no condition on a creation, so each run looks again after its own, and takes it
# back when another's stays.

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from .._core.errors import CollectionError, Json

if TYPE_CHECKING:
    from .client import Client

Found = Mapping[str, list[Json]]
PAUSES = (1.0, 2.0, 4.0)  # seconds for the other run to take its own back
LAST = 0.0
ROUNDS = 3


def keep_one(
    client: Client,
    made: Mapping[str, Json],
    find_all: Callable[[], Found],
    remove: Callable[[Json], None],
    create: Callable[[str], Json],
) -> dict[str, Json | CollectionError]:
    """Return what stays for each key, or why that is not settled.

    `find_all` lists by key. Should both runs have taken theirs back, it is created again.
    """
    kept: dict[str, Json | CollectionError] = {}
    left = dict(made)
    for _round in range(ROUNDS):
        settled = _resolve(client, left, find_all, remove)
        kept |= {key: thing for key, thing in settled.items() if thing is not None}
        left = {}
        for key in settled.keys() - kept.keys():
            try:
                left[key] = create(key)
            except CollectionError as error:
                kept[key] = error
        if not left:
            break
    unsettled = "Other runs create and remove it at the same time: run again when they are over."
    return {**kept, **{key: CollectionError(unsettled) for key in left}}


def _resolve(
    client: Client, made: Mapping[str, Json], find_all: Callable[[], Found], remove: Callable[[Json], None]
) -> dict[str, Json | CollectionError | None]:
    """Return what stays; None where nothing is left. The lowest id stays, and its run waits for the other to take
    its own back. When that does not happen, the other looked before there were two and told of its own: then that
    stays.
    """
    settled: dict[str, Json | CollectionError | None] = dict(made)
    to_delete: set[str] = set()
    contested = set(made)
    pauses = iter((*PAUSES, LAST))
    while contested:
        pause = next(pauses)
        found = find_all()
        rivals = {key: _rivals(found.get(key, ()), made[key]) for key in contested}
        contested = {key for key, ids in rivals.items() if ids}
        lost = {key for key in contested if pause == LAST or min(rivals[key]) < str(made[key]["id"])}
        settled |= {key: error for key in sorted(lost) if (error := _removal_error(remove, made[key]))}
        to_delete |= lost
        contested -= lost
        if contested:
            client.sleep(pause)
    if to_delete:
        now = find_all()
        gone = {key for key in to_delete if settled[key] is made[key]}
        settled |= {key: min(now.get(key, ()), key=lambda thing: str(thing["id"]), default=None) for key in gone}
    return settled


def _removal_error(remove: Callable[[Json], None], thing: Json) -> CollectionError | None:
    try:
        remove(thing)
    except CollectionError as error:
        return error
    return None


def _rivals(found: Iterable[Json], made: Json) -> set[str]:
    return {str(thing["id"]) for thing in found} - {str(made["id"])}
