# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: makes a pull user's access key and puts it into the secret store, the only way the secret
# ever takes. A run that dies anywhere here leaves what the next run needs to finish the job.
#
#   1. a note in the store   dies after it: the next run waits for the note's age, or not at all when it is `abandoned`
#   2. TagUser               the user names its store before there is a key to lose
#   3. CreateAccessKey       dies after it: the key is an orphan, which the next run deletes before it makes another
#   4. the key in the store  replaces the note: from here on the key is found by its id
#   5. TagUser               (the caller's) marks the key as ours; the next run mends it
#   6. the proof             that AWS accepts the key everywhere it will be used
#
# A rotation makes the note beside the key that works, and marks and proves the new one before it takes the place of
# that key: 1, 3, 5, 6, 4. Whatever happens, the store's key works. Of two runs that write the entry from the same
# knowledge one is refused and looks again, so neither undoes what the other has done.

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from .._aws.client import Aws, tolerating
from .._aws.ecr_token import verify_key
from .._aws.secret_entry import Entry, KeyPair, KeyReservation, TokenRecord, token_records
from .._aws.secret_store import SecretStore
from .._core.errors import AwsError, CollectionError, ConflictError
from .._core.time import retry_until
from .access_keys import ACTIVE, AccessKey, KeyPlan
from .iam_user import KEY_MARK, SECRET, check_entry, find_held, find_keys, write_tags

SOON = {"NoSuchEntity"}  # what IAM says of a user that is seconds old
SECOND_LOOK = 4.0  # seconds until a name is tried again whose entry is still being deleted


class KeyState(NamedTuple):
    """The keys that a user has, the entry that holds one of them, and the tokens at RunPod that its tags tell of."""

    keys: tuple[AccessKey, ...]
    entry: Entry | None
    fresh: tuple[TokenRecord, ...] = ()


class RotationResult(NamedTuple):
    """What is held now, whether that took a write, and whether a new key took the place of a good one."""

    current: KeyState
    wrote: bool = False
    rotated: bool = False


class KeyContext(NamedTuple):
    """Where a key is made and kept, and for how many seconds something new may take to arrive everywhere."""

    aws: Aws
    store: SecretStore
    user: str
    propagation_timeout: float

    def deadline(self) -> datetime:
        """Return until when to be patient with something that is new now."""
        return self.aws.clock() + timedelta(seconds=self.propagation_timeout)


def read_state(place: KeyContext) -> KeyState:
    """Return what is there now; an entry that is not ours is a ConflictError."""
    keys, entry = find_held(place.aws, place.store, place.user)
    if entry:
        check_entry(place.store, entry, place.user, None)
    return KeyState(keys, entry, tokens(place.store) if entry else ())


def tokens(store: SecretStore) -> tuple[TokenRecord, ...]:
    """Return what the entry's tags tell of tokens at RunPod."""
    return tuple(token_records(store.tags()).values())


def ensure_key(
    place: KeyContext, current: KeyState, decide: Callable[[KeyState], KeyPlan], regions: list[str]
) -> RotationResult:
    """Bring it about that there is a good key in the store, proved in these regions when it replaces another.

    `decide` plans anew after each look. While another run is making the key, waits for that.
    """
    wrote, deadline = False, place.deadline()
    if current.entry and current.entry.deleted:
        current, wrote = restore(place), True
    while True:
        current = wait(place, current, decide)
        plan = decide(current)
        refuse(plan, place.user)
        wrote = wrote or plan.forget or bool(plan.delete or plan.deactivate)
        tidied = apply_cleanup(place, current, plan)
        if tidied and not plan.create:
            return RotationResult(tidied, wrote)
        made = tidied and make_key(place, tidied, regions)
        if made:
            return RotationResult(made, True, rotated=plan.rotation_due)
        current = read_state_after_conflict(place, current, deadline)


def apply_cleanup(place: KeyContext, current: KeyState, plan: KeyPlan) -> KeyState | None:
    """Delete, forget and deactivate what the plan says. Returns None when another run has written the entry since.

    What looks like the orphan of a dead run may be the key that a slow one is about to store: before it is deleted, the
    entry is written, so that the slow run is refused.
    """
    entry = current.entry
    if entry and entry.pending and plan.delete:
        entry = place.store.put(entry, entry.key, entry.created, entry.pending)
        if entry is None:
            return None
    keys = remove_keys(place.aws, place.user, current.keys, plan.delete)
    if entry and plan.forget and not plan.create:
        entry = place.store.put(entry, entry.key, entry.created, None)
        if entry is None:
            return None
    return KeyState(deactivate_keys(place.aws, place.user, keys, plan.deactivate), entry, current.fresh)


def read_state_after_conflict(place: KeyContext, lost: KeyState, deadline: datetime) -> KeyState:
    """Return what is held when the entry could not be written: another run was faster, or it is just being deleted.

    One that is being deleted counts as none. Nothing of this goes on beyond that moment.
    """
    current = read_state(place)
    there = current.entry is not None and not current.entry.deleted
    if there and current.entry != lost.entry:
        return current
    if place.aws.clock() >= deadline:
        raise ConflictError(
            f"The secret store refuses to write the entry {place.store.name}. It may still be being deleted, or "
            "somebody has restored a former version of it; then write its value anew. Run again."
        )
    place.aws.sleep(SECOND_LOOK)
    return current if there else KeyState(current.keys, None)


def restore(place: KeyContext) -> KeyState:
    """Take the entry out of its recovery window; one that is gone by now is none."""
    place.store.restore()
    return read_state(place)


def wait(place: KeyContext, current: KeyState, decide: Callable[[KeyState], KeyPlan]) -> KeyState:
    """Return what is held when no other run is making a key any more."""
    pause = 1.0
    while decide(current).wait:
        place.aws.sleep(pause)
        pause = min(pause * 2, 8.0)
        current = read_state(place)
    return current


def refuse(plan: KeyPlan, user: str) -> None:
    """Raise ConflictError when there is no good key and none can be made, or when the good one cannot be rotated."""
    why = f"The user {user} has no access key that can be used, and none was made"
    if plan.stuck:
        why = f"The access key of the user {user} is due for rotation, but it has the two keys that IAM allows"
    if plan.blocked or plan.stuck:
        raise ConflictError(
            f"{why}: {'; '.join(plan.blocked + plan.stuck)}. Decide about each key and run again: "
            f"aws iam update-access-key --user-name {user} --status Active (or Inactive) --access-key-id ID, or "
            f"aws iam delete-access-key --user-name {user} --access-key-id ID"
        )


def remove_keys(aws: Aws, user: str, keys: tuple[AccessKey, ...], to_delete: tuple[str, ...]) -> tuple[AccessKey, ...]:
    """Delete these keys and return the others; one that is gone already is as good."""
    for key_id in to_delete:
        with tolerating("NoSuchEntity"):
            aws.call("iam", "delete_access_key", UserName=user, AccessKeyId=key_id)
    return tuple(key for key in keys if key.id not in to_delete)


def deactivate_keys(
    aws: Aws, user: str, keys: tuple[AccessKey, ...], to_delete: tuple[str, ...]
) -> tuple[AccessKey, ...]:
    """Deactivate these keys and return all as they are then."""
    for key_id in to_delete:
        with tolerating("NoSuchEntity"):
            aws.call("iam", "update_access_key", UserName=user, AccessKeyId=key_id, Status="Inactive")
    return tuple(key._replace(status="Inactive") if key.id in to_delete else key for key in keys)


def make_key(place: KeyContext, current: KeyState, regions: list[str]) -> KeyState | None:
    """Make a key and put it into the store. Returns None, and leaves nothing of it, when another run was faster."""
    pending = KeyReservation(place.aws.clock(), tuple(key.id for key in current.keys))
    noted = reserve_key(place, current, pending)
    if noted is None:
        return None
    if not noted.key:
        tag = {SECRET: noted.arn}
        retry_until(place.aws, place.deadline(), lambda: write_tags(place.aws, place.user, tag, ()), SOON)
    made = create_key(place, noted, pending)
    if made is None:
        return None
    key, created = made
    try:
        if noted.key:
            write_tags(place.aws, place.user, {key.access_key_id: KEY_MARK}, ())
            verify_key(place.aws, key, regions, pending.since + timedelta(seconds=place.propagation_timeout))
        stored = place.store.put(noted, key, created, None)
    except CollectionError:
        abandon(place, noted, pending, (key.access_key_id,))
        raise
    if stored is None:
        remove_keys(place.aws, place.user, (), (key.access_key_id,))
        return None
    return KeyState((*current.keys, AccessKey(key.access_key_id, ACTIVE, created)), stored, current.fresh)


def reserve_key(place: KeyContext, current: KeyState, pending: KeyReservation) -> Entry | None:
    """Write into the store that a key is going to be made, beside one that works. None: another run was faster."""
    entry = current.entry
    if entry is None:
        return place.store.create(place.user, pending)
    if entry.key and entry.key.access_key_id in pending.known_key_ids:
        return place.store.put(entry, entry.key, entry.created, pending)
    return place.store.put(entry, None, None, pending)


def create_key(place: KeyContext, noted: Entry, pending: KeyReservation) -> tuple[KeyPair, datetime] | None:
    """Return a new key and when it was made, or None when it was refused because another run was faster.

    Its answer goes nowhere else; a call without an answer is not repeated.
    """
    try:
        made = retry_until(
            place.aws,
            place.deadline(),
            lambda: place.aws.call("iam", "create_access_key", once=True, UserName=place.user),
            SOON,
        )["AccessKey"]
    except AwsError as error:
        refused = error.status is not None and error.status < 500
        with suppress(AwsError):
            ours = abandon(place, noted, pending, () if refused else appeared_since(place, pending))
            if refused and not ours:
                return None
        raise
    return KeyPair(made["AccessKeyId"], made["SecretAccessKey"]), made["CreateDate"]


def appeared_since(place: KeyContext, pending: KeyReservation) -> tuple[str, ...]:
    """Return the keys that are there now and were not when the note was made."""
    return tuple(key.id for key in find_keys(place.aws, place.user) if key.id not in pending.known_key_ids)


def abandon(place: KeyContext, noted: Entry, pending: KeyReservation, made: tuple[str, ...]) -> bool:
    """Delete the key that this run made and write into the note that it failed, so that the next one need not wait.

    The note is written anew before, which is refused when the key is in the store after all and only the answer to that
    was lost. Of several keys one is somebody else's: then the note stays as it is, and so do they.
    Returns False when the entry has been written since, by another run perhaps.
    """
    if len(made) > 1:
        return True
    with suppress(AwsError):
        entry: Entry | None = noted
        if made:
            entry = place.store.put(noted, noted.key, noted.created, pending)
            remove_keys(place.aws, place.user, (), made if entry else ())
        failed = pending._replace(abandoned=True)
        return entry is not None and place.store.put(entry, entry.key, entry.created, failed) is not None
    return True
