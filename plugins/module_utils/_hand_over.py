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

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from ._aws import Aws, KeyPair, tolerating
from ._entry import Entry, Pending
from ._errors import AwsError, ConflictError
from ._keys import AccessKey, KeyPlan
from ._pull_user import SECRET, check_entry, find_keys, write_tags
from ._secret_store import SecretStore
from ._tokens import patiently

SOON = {"NoSuchEntity"}  # what IAM says of a user that is seconds old
SECOND_LOOK = 4.0  # seconds until a name is tried again whose entry is still being deleted


class Held(NamedTuple):
    """The keys that a user has, and the entry that holds one of them."""

    keys: tuple[AccessKey, ...]
    entry: Entry | None


class Place(NamedTuple):
    """Where a key is made and kept, and for how many seconds something new may take to arrive everywhere."""

    aws: Aws
    store: SecretStore
    user: str
    patience: float

    def until(self) -> datetime:
        """Return until when to be patient with something that is new now."""
        return self.aws.clock() + timedelta(seconds=self.patience)


def look(place: Place) -> Held:
    """Return what is there now; an entry that is not ours is a ConflictError."""
    entry = place.store.read()
    if entry:
        check_entry(place.store, entry, place.user, None)
    return Held(find_keys(place.aws, place.user), entry)


def ensure_key(place: Place, held: Held, decide: Callable[[Held], KeyPlan]) -> tuple[Held, bool]:
    """Return what is held once there is a good key in the store, and whether anything was written for that.

    `decide` plans anew after each look. While another run is making the key, waits for that.
    """
    wrote, until = False, place.until()
    if held.entry and held.entry.deleted:
        held, wrote = restore(place), True
    while True:
        held = wait(place, held, decide)
        plan = decide(held)
        refuse(plan, place.user)
        held = Held(remove_keys(place.aws, place.user, held.keys, plan.delete), held.entry)
        if plan.forget and held.entry:
            place.store.put(held.entry.key, held.entry.created, None)
        wrote = wrote or plan.forget or bool(plan.delete)
        if not plan.create:
            return held, wrote
        made = make_key(place, held)
        if made:
            return made, True
        held = look_after_losing(place, until)


def look_after_losing(place: Place, until: datetime) -> Held:
    """Return what is held when the entry's name is taken: by another run, or by an entry that is just being deleted.

    The latter counts as none, and gets until that moment to go.
    """
    held = look(place)
    if held.entry and not held.entry.deleted:
        return held
    if place.aws.clock() >= until:
        raise ConflictError(
            f"The secret store refuses to make the entry {place.store.name} because it exists, and cannot find it "
            "either: it may still be being deleted. Run again."
        )
    place.aws.sleep(SECOND_LOOK)
    return Held(held.keys, None)


def restore(place: Place) -> Held:
    """Take the entry out of its recovery window; one that is gone by now is none."""
    place.store.restore()
    return look(place)


def wait(place: Place, held: Held, decide: Callable[[Held], KeyPlan]) -> Held:
    """Return what is held when no other run is making a key any more."""
    pause = 1.0
    while decide(held).wait:
        place.aws.sleep(pause)
        pause = min(pause * 2, 8.0)
        held = look(place)
    return held


def refuse(plan: KeyPlan, user: str) -> None:
    """Raise ConflictError when there is no good key and none can be made."""
    if plan.blocked:
        raise ConflictError(
            f"The user {user} has no access key that can be used, and none was made: {'; '.join(plan.blocked)}. "
            "Decide about each key and run again: "
            f"aws iam update-access-key --user-name {user} --status Active (or Inactive) --access-key-id ID, or "
            f"aws iam delete-access-key --user-name {user} --access-key-id ID"
        )


def remove_keys(aws: Aws, user: str, keys: tuple[AccessKey, ...], doomed: tuple[str, ...]) -> tuple[AccessKey, ...]:
    """Delete these keys and return the others; one that is gone already is as good."""
    for key_id in doomed:
        with tolerating("NoSuchEntity"):
            aws.call("iam", "delete_access_key", UserName=user, AccessKeyId=key_id)
    return tuple(key for key in keys if key.id not in doomed)


def make_key(place: Place, held: Held) -> Held | None:
    """Make a key and put it into the store. Returns None, having made nothing, when the entry's name is taken."""
    pending = Pending(place.aws.clock(), tuple(key.id for key in held.keys))
    arn = note(place, held.entry, pending)
    if arn is None:
        return None
    patiently(place.aws, place.until(), lambda: write_tags(place.aws, place.user, {SECRET: arn}, ()), SOON)
    key, created = create_key(place, pending)
    try:
        place.store.put(key, created, None)
    except AwsError:
        abandon(place, pending, (key.access_key_id,))
        raise
    return Held((*held.keys, AccessKey(key.access_key_id, "Active", created)), Entry(arn, key, created))


def note(place: Place, entry: Entry | None, pending: Pending) -> str | None:
    """Write into the store that a key is going to be made; returns the entry's ARN, or None when its name is taken."""
    if entry:
        place.store.put(None, None, pending)
        return entry.arn
    return place.store.create(place.user, pending)


def create_key(place: Place, pending: Pending) -> tuple[KeyPair, datetime]:
    """Return a new key and when it was made. Its answer goes nowhere else; a call without an answer is not repeated."""
    try:
        made = patiently(
            place.aws,
            place.until(),
            lambda: place.aws.call("iam", "create_access_key", once=True, UserName=place.user),
            SOON,
        )["AccessKey"]
    except AwsError as error:
        refused = error.status is not None and error.status < 500
        with suppress(AwsError):
            abandon(place, pending, () if refused else appeared_since(place, pending))
        raise
    return KeyPair(made["AccessKeyId"], made["SecretAccessKey"]), made["CreateDate"]


def appeared_since(place: Place, pending: Pending) -> tuple[str, ...]:
    """Return the keys that are there now and were not when the note was made."""
    return tuple(key.id for key in find_keys(place.aws, place.user) if key.id not in pending.known_key_ids)


def abandon(place: Place, pending: Pending, made: tuple[str, ...]) -> None:
    """Delete the key that this run made and write into the note that it failed, so that the next one need not wait.

    Of several keys one is somebody else's: then the note stays as it is, and so do they.
    """
    if len(made) > 1:
        return
    with suppress(AwsError):
        remove_keys(place.aws, place.user, (), made)
        place.store.put(None, None, pending._replace(abandoned=True))
