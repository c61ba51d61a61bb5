# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: makes an access key and puts it into the secret store, the only way the secret ever takes.
# A run may die after any step; the store's key works throughout.
#
#   1. a note in the store   the next run waits for the note's age, unless it is `abandoned`
#   2. CreateAccessKey       the key is an orphan, which the next run deletes
#   3. TagUser               marks the key as ours
#   4. the proof             that AWS accepts a key everywhere before it replaces one that works
#   5. the key in the store  replaces the note and ends the lock

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from .._aws.client import Aws, tolerating
from .._aws.ecr_token import verify_key
from .._aws.secret_entry import Entry, KeyPair, KeyReservation
from .._core.errors import AwsError, CollectionError, ConflictError
from .._core.finding import as_option
from .._core.time import retry_until
from .access_keys import ACTIVE, AccessKey, KeyPlan
from .entry_lock import EntryLock, LockLostError
from .iam_user import KEY_MARK, find_keys
from .principal_fields import write_tags

SOON = {"NoSuchEntity"}  # of a user that is seconds old


def stored_id(entry: Entry | None) -> str | None:
    return entry.key.access_key_id if entry and entry.key else None


def refuse(plan: KeyPlan, user: str) -> None:
    """Raise ConflictError when no good key can be made, or the good one not rotated."""
    why = f"The user {user} has no access key that can be used, and none was made"
    if plan.stuck:
        why = f"The access key of the user {user} is due for rotation, but it has the two keys that IAM allows"
    if plan.blocked or plan.stuck:
        raise ConflictError(
            f"{why}: {'; '.join(plan.blocked + plan.stuck)}. Decide about each key and run again. "
            f"`aws iam update-access-key --user-name{as_option(user)} --status Active --access-key-id ID` lets one "
            f"work, and `aws iam delete-access-key --user-name{as_option(user)} --access-key-id ID` removes one."
        )


def remove_keys(aws: Aws, user: str, to_delete: tuple[str, ...]) -> None:
    for key_id in to_delete:
        with tolerating("NoSuchEntity"):
            aws.call("iam", "delete_access_key", UserName=user, AccessKeyId=key_id)


def deactivate_keys(aws: Aws, user: str, to_deactivate: tuple[str, ...]) -> None:
    for key_id in to_deactivate:
        with tolerating("NoSuchEntity"):
            aws.call("iam", "update_access_key", UserName=user, AccessKeyId=key_id, Status="Inactive")


def keys_after(keys: tuple[AccessKey, ...], plan: KeyPlan) -> tuple[AccessKey, ...]:
    left = (key for key in keys if key.id not in plan.delete)
    return tuple(key._replace(status="Inactive") if key.id in plan.deactivate else key for key in left)


def apply_keys(
    lock: EntryLock, keys: tuple[AccessKey, ...], plan: KeyPlan, regions: list[str]
) -> tuple[AccessKey, ...]:
    """Return the keys that are there then; one that replaces another is proved first."""
    aws, user = lock.context.aws, lock.context.user
    remove_keys(aws, user, plan.delete)
    deactivate_keys(aws, user, plan.deactivate)
    left = keys_after(keys, plan)
    if plan.create:
        return (*left, make_key(lock, left, regions))
    if plan.forget:
        lock.write(pending=None)
    return left


def make_key(lock: EntryLock, keys: tuple[AccessKey, ...], regions: list[str]) -> AccessKey:
    """Nothing is left of a key when this fails, or another run was faster."""
    context = lock.context
    pending = KeyReservation(context.aws.clock(), tuple(key.id for key in keys))
    rotating = stored_id(lock.entry) in pending.known_key_ids
    lock.write(pending=pending, **({} if rotating else {"key": None, "created": None}))
    key, made = create_key(lock, pending)
    try:
        mark = {key.access_key_id: KEY_MARK}
        retry_until(context.aws, context.deadline(), lambda: write_tags(context.aws, context.principal, mark, ()), SOON)
        if rotating:
            deadline = pending.since + timedelta(seconds=context.propagation_timeout)
            verify_key(context.aws, key, regions, deadline)
        lock.write(key=key, created=made.created, pending=None, lock=None)
    except LockLostError:
        remove_keys(context.aws, context.user, (key.access_key_id,))
        raise
    except CollectionError:
        abandon(lock, (key.access_key_id,))
        raise
    return made


def create_key(lock: EntryLock, pending: KeyReservation) -> tuple[KeyPair, AccessKey]:
    """The answer goes nowhere else; a call without one is not repeated."""
    context = lock.context
    try:
        made = retry_until(
            context.aws,
            context.deadline(),
            lambda: context.aws.call("iam", "create_access_key", once=True, UserName=context.user),
            SOON,
        )["AccessKey"]
        key = KeyPair(made["AccessKeyId"], made["SecretAccessKey"])
        return key, AccessKey(key.access_key_id, ACTIVE, made["CreateDate"])
    except AwsError as error:
        refused = error.status is not None and error.status < 500
        with suppress(AwsError):
            if refused:
                lock.write(pending=pending._replace(abandoned=True))  # LockLostError: another run has made one
            else:
                abandon(lock, appeared_since(lock, pending))
        raise


def appeared_since(lock: EntryLock, pending: KeyReservation) -> tuple[str, ...]:
    found = find_keys(lock.context.aws, lock.context.user)
    return tuple(key.id for key in found if key.id not in pending.known_key_ids)


def abandon(lock: EntryLock, made: tuple[str, ...]) -> None:
    """Delete this run's key and note the failure, so that the next one need not wait.

    The entry goes first: that is refused when the key is in the store after all. Of several keys one is somebody
    else's: then all stay.
    """
    pending = lock.entry.pending
    if len(made) > 1 or pending is None:
        return
    with suppress(CollectionError):
        if made:
            lock.write()
            remove_keys(lock.context.aws, lock.context.user, made)
        lock.write(pending=pending._replace(abandoned=True))
