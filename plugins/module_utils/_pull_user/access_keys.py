# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from .._aws.secret_entry import KeyReservation, TokenRecord

MOST_KEYS = 2  # of one user, in IAM; inactive ones count
ACTIVE = "Active"  # any other status (Inactive, Expired) makes a key unusable
# How far the clock that wrote a note may be ahead of the one that dates keys: AWS refuses requests further off. A key
# listed in the note is told by its id, so this endangers none.
SKEW = timedelta(minutes=5)

STORED, MARKED, ORPHAN, FOREIGN = "stored", "marked", "orphan", "foreign"


class AccessKey(NamedTuple):
    """As IAM lists it. `service` and `region` are where it was last used."""

    id: str
    status: str
    created: datetime
    last_used: datetime | None = None
    service: str | None = None
    region: str | None = None


class KeyPlan(NamedTuple):
    """Delete, deactivate, then create or forget, which drops a note that a dead run left beside a good key.

    `blocked`: why there is no good key and none can be made; `postponed`: why a due rotation waits; `stuck`: why it
    cannot be done at all. The good key stays in the last two.
    """

    delete: tuple[str, ...] = ()
    deactivate: tuple[str, ...] = ()
    create: bool = False
    forget: bool = False
    blocked: tuple[str, ...] = ()
    postponed: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    rotation_due: bool = False


def owners(
    keys: Iterable[AccessKey], marked: Collection[str], stored_id: str | None, pending: KeyReservation | None
) -> dict[str, str]:
    """Return key id -> STORED, MARKED by our tag, ORPHAN of a run that died, or FOREIGN.

    An orphan was not there when a run noted that it would make a key, is not older than the note, and unused, since
    nobody knows its secret; or that run marked it and died. An abandoned note has none. Several candidates are all
    foreign: at most one is ours.
    """
    others = [key for key in keys if key.id != stored_id]
    made = [key for key in others if pending and appeared(key, pending)]
    candidates = [key for key in made if key.id in marked] or [key for key in made if key.last_used is None]
    found = {key.id: MARKED if key.id in marked else FOREIGN for key in others}
    if len(candidates) == 1:
        found[candidates[0].id] = ORPHAN
    return {key.id: found.get(key.id, STORED) for key in keys}


def appeared(key: AccessKey, pending: KeyReservation) -> bool:
    return not pending.abandoned and key.id not in pending.known_key_ids and key.created >= pending.since - SKEW


def is_due(key: AccessKey, now: datetime, rotate_after_days: float | None) -> bool:
    return rotate_after_days is not None and now - key.created >= timedelta(days=rotate_after_days)


def plan_keys(
    keys: Collection[AccessKey],
    *,
    marked: Collection[str],
    stored_id: str | None,
    pending: KeyReservation | None,
    fresh: Iterable[TokenRecord],
    now: datetime,
    busy: bool = False,
    rotate_after_days: float | None = None,
    retire_after_hours: float | None = None,
) -> KeyPlan:
    """Return how one good key gets into the store and none that works is lost.

    `marked` are ids in the user's tags, `fresh` the entry's freshness tags; `busy` leaves a good key to the run at
    work. Without rotate_after_days no key is rotated, without retire_after_hours none retired.
    """
    stored = next((key for key in keys if key.id == stored_id), None)
    if busy and stored and stored.status == ACTIVE and not is_due(stored, now, rotate_after_days):
        return KeyPlan()
    whose = owners(keys, marked, stored_id, pending)
    orphans = tuple(key.id for key in keys if whose[key.id] == ORPHAN)
    rest = [key for key in keys if key.id not in orphans]
    if stored is None:
        return plan_first(rest, whose, orphans)
    due = is_due(stored, now, rotate_after_days)
    if stored.status != ACTIVE:
        return KeyPlan(delete=orphans, blocked=(not_active(stored),), rotation_due=due)
    older = [key for key in rest if whose[key.id] == MARKED]
    delete, deactivate = plan_retirement(stored, older, fresh, now, retire_after_hours)
    in_the_way = [key for key in rest if key.id not in delete and key != stored]
    room = len(in_the_way) + 1 < MOST_KEYS
    why = () if room or not due else reasons(in_the_way, whose)
    early = now < retired_at(stored, retire_after_hours)
    retiring = all(key in older and (early or key.id in deactivate) for key in in_the_way)
    return KeyPlan(
        delete=(*orphans, *delete),
        deactivate=deactivate,
        create=due and room,
        forget=pending is not None,
        postponed=why if retiring else (),
        stuck=() if retiring else why,
        rotation_due=due,
    )


def retired_at(stored: AccessKey, retire_after_hours: float | None) -> datetime:
    return stored.created + timedelta(hours=2 * (retire_after_hours or 0))


def plan_first(keys: list[AccessKey], whose: dict[str, str], orphans: tuple[str, ...]) -> KeyPlan:
    """Return how to get a key when the store holds none; `keys` excludes orphans. One of ours that works stays
    although its secret is lost: somebody may hold its token.
    """
    if len(keys) < MOST_KEYS:
        return KeyPlan(delete=orphans, create=True)
    idle = [key for key in keys if whose[key.id] == MARKED and key.status != ACTIVE]
    if idle:
        oldest = min(idle, key=lambda key: key.created)
        return KeyPlan(delete=(*orphans, oldest.id), create=True)
    return KeyPlan(blocked=reasons(keys, whose))


def plan_retirement(
    stored: AccessKey,
    older: list[AccessKey],
    fresh: Iterable[TokenRecord],
    now: datetime,
    retire_after_hours: float | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Deactivate our older keys when the grace after the newest is over, no running token was minted with them, and
    they were unused since; delete those that do not work after twice the grace.
    """
    if retire_after_hours is None:
        return (), ()
    newest = max(key.created for key in [stored, *older])
    quiet_since = newest + timedelta(hours=retire_after_hours)
    in_use = {tag.access_key_id for tag in fresh if tag.expires_at > now}
    idle = [key for key in older if key.id not in in_use and (key.last_used is None or key.last_used <= quiet_since)]
    deactivate = tuple(key.id for key in idle if key.status == ACTIVE and now >= quiet_since)
    delete_from = newest + timedelta(hours=2 * retire_after_hours)
    return tuple(key.id for key in older if key.status != ACTIVE and now >= delete_from), deactivate


def reasons(keys: Iterable[AccessKey], whose: dict[str, str]) -> tuple[str, ...]:
    return tuple(reason(key, whose[key.id]) for key in keys)


def reason(key: AccessKey, owner: str) -> str:
    used = f"last used {key.last_used:%Y-%m-%d}" if key.last_used else "never used"
    why = "was not made by this collection" if owner == FOREIGN else "is an older key of this collection"
    return f"{key.id} ({key.status}, made {key.created:%Y-%m-%d}, {used}) {why}"


def not_active(key: AccessKey) -> str:
    """Return why an unusable key is not replaced: somebody may have deactivated it on purpose."""
    return f"{key.id} is the key in the secret store, but its status is {key.status}"
