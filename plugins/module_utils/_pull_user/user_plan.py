# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what differs of a pull user, and why.

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from .._aws.secret_entry import QUARANTINED, Entry, is_busy, quarantine
from .._core.errors import ConflictError, Json
from . import policy_change, policy_state
from .access_keys import FOREIGN, ORPHAN, AccessKey, KeyPlan, plan_keys
from .entry_lock import KeyContext
from .iam_user import UserChange, UserState, marked_keys, plan_marks, plan_user, user_after
from .key_rotation import keys_after, refuse, stored_id
from .policy_change import is_needed
from .principal_fields import tags_after
from .user_read import desired_policy, is_there
from .user_result import owners_of

CHECK_DELETED = (
    "The entry {0} of the secret store is pending deletion and would be restored. What it holds cannot be read before, "
    "so check mode cannot tell whether a new access key would be made."
)

CHECK_WAIT = "Another run is changing the pull user {0}: outside check mode this one would wait for it."


class UserPlan(NamedTuple):
    """`untrusted` are keys that a release of quarantine deletes.

    `keep_key` is whether a key and its entry are to be; `keep_user` whether the user stays.
    """

    after: UserState
    changed: bool
    user: UserChange = UserChange()
    policies: policy_change.PolicyChange = policy_change.PolicyChange()
    keys: KeyPlan = KeyPlan()
    releasing: bool = False
    untrusted: tuple[str, ...] = ()
    keep_key: bool = True
    asked: list[str] | None = None
    rotated: bool = False
    warnings: tuple[str, ...] = ()


def plan_for(state: UserState, params: Json, region: str, now: datetime) -> UserPlan:
    """Raise InputError or ConflictError before anything is changed."""
    if params["state"] == "absent":
        return plan_absent(state)
    return plan_present(state, params, region, now)


def plan_present(state: UserState, params: Json, region: str, now: datetime) -> UserPlan:
    check_quarantine(state, params)
    desired = desired_policy(params, state, region)
    change = plan_user(state.user, params)
    move = policy_change.plan_policies(state.policies, desired)
    ahead, stale = policy_change.plan_record(state.tags, move.ahead)
    change = change._replace(tag={**change.tag, **ahead}, untag=(*change.untag, *stale))
    untrusted = plan_release(state) if state.denied else ()
    keys, entry, promised = plan_key(state, params, untrusted, now)
    user = user_after(state, params["name"], change)
    tags = tags_after(user["tags"], *policy_change.plan_record(user["tags"], move.record))
    marks = ({}, ()) if promised else plan_marks(tags, entry, keys_after(state.keys, keys))
    tags = tags_after(tags, marks[0], (*marks[1], *([QUARANTINED] if state.denied else ())))
    deleted = set(keys.delete) | set(untrusted)
    after = state._replace(
        user={**user, "tags": tags},
        policies=policy_change.policies_after(state.policies, move),
        keys=tuple(key for key in keys_after(state.keys, keys) if key.id not in deleted),
        entry=entry,
        promised=promised,
    )
    waits = bool(keys.blocked or keys.stuck)  # for the run at work: without one these have been refused
    wrote_keys = promised or keys.forget or waits or bool(keys.delete or keys.deactivate)
    wrote_entry = is_there(state.entry) and entry is None or bool(state.entry and state.entry.deleted and entry)
    return UserPlan(
        after,
        changed=any((change != UserChange(), is_needed(move), *marks, wrote_keys, wrote_entry, state.denied)),
        user=change,
        policies=move,
        keys=keys,
        releasing=state.denied,
        untrusted=untrusted,
        keep_key=params["key_state"] == "present",
        asked=desired.asked,
        rotated=keys.create and keys.rotation_due,
        warnings=postponed(params["name"], keys),
    )


def check_quarantine(state: UserState, params: Json) -> None:
    why = quarantine(state.tags, f"The user {params['name']}")
    if why and not params["release_quarantine"]:
        raise ConflictError(f"{why} Nothing was changed.")


def plan_release(state: UserState) -> tuple[str, ...]:
    """Return our keys, no longer trusted. An orphan goes later, with its note."""
    whose = owners_of(state)
    return (*(key.id for key in state.keys if whose[key.id] not in (FOREIGN, ORPHAN)), *unlisted(state))


def unlisted(state: UserState) -> tuple[str, ...]:
    """Return keys of ours that a listing, which may lag, lacks."""
    stored = stored_id(state.entry)
    known = {*marked_keys(state.tags), *([stored] if stored else [])} if state.user else set()
    return tuple(sorted(known - {key.id for key in state.keys}))


def plan_key(
    state: UserState, params: Json, untrusted: tuple[str, ...], now: datetime
) -> tuple[KeyPlan, Entry | None, bool]:
    """Return the plan, the entry afterwards, and whether a key is made."""
    if params["key_state"] == "absent":
        whose = owners_of(state)
        ours = tuple(key.id for key in state.keys if whose[key.id] != FOREIGN and key.id not in untrusted)
        return KeyPlan(delete=ours), None, False
    if state.entry and state.entry.deleted:
        return KeyPlan(), state.entry, False
    busy = is_busy(state.entry, now, params["propagation_timeout"])
    rotating = params["rotate_after_days"] is not None
    keys = plan_keys(
        tuple(key for key in state.keys if key.id not in untrusted),
        marked=marked_keys(state.tags),
        stored_id=stored_id(state.entry),
        pending=state.entry.pending if state.entry else None,
        fresh=state.tokens,
        now=now,
        busy=busy,
        rotate_after_days=params["rotate_after_days"],
        retire_after_hours=params["retire_after_hours"] if rotating else None,
    )
    if not busy:
        refuse(keys, params["name"])
    entry = state.entry
    if entry and keys.create:
        entry = entry._replace(key=None, pending=None)
    return keys, entry, keys.create


def postponed(user: str, keys: KeyPlan) -> tuple[str, ...]:
    if not keys.postponed:
        return ()
    return (f"The access key of {user} is due for rotation, which waits until {keys.postponed[0]} is retired.",)


def plan_absent(state: UserState) -> UserPlan:
    """What is ours goes, and the user unless others gave it something."""
    whose = owners_of(state)
    to_delete = (*(key.id for key in state.keys if whose[key.id] != FOREIGN), *unlisted(state))
    left = tuple(key for key in state.keys if key.id not in to_delete)
    there = state.policies.there
    after = UserState(state.partition, state.account, None, keys=left, others=state.others)
    stays = state.user is not None and bool(state.others)
    tags: tuple[Json, tuple[str, ...]] = ({}, ())
    if state.user and stays:
        tags = plan_rest(state.user["tags"], False, left)
        after = after._replace(user={**state.user, "tags": tags_after(state.user["tags"], *tags)})
    gone = state.user is not None and not stays
    return UserPlan(
        after,
        changed=gone or bool(there or to_delete) or is_there(state.entry) or any(tags),
        keys=KeyPlan(delete=to_delete),
        policies=policy_change.PolicyChange(detach=there),
        keep_key=False,
    )


def plan_rest(tags: Json, stuck: bool, keys: tuple[AccessKey, ...]) -> tuple[Json, tuple[str, ...]]:
    """A user that stays names no entry, no key, and no policy but one in use."""
    made = frozenset({policy_state.CUSTOMER if stuck else policy_state.INLINE})
    tag, untag = policy_change.plan_record(tags, made)
    marks = plan_marks(tags, None, keys)
    return {**tag, **marks[0]}, (*untag, *marks[1])


def check_warnings(context: KeyContext, state: UserState, plan: UserPlan) -> tuple[str, ...]:
    if not plan.changed:
        return ()
    if plan.keep_key and state.entry and state.entry.deleted:
        return (CHECK_DELETED.format(context.store.name),)
    if is_busy(state.entry, context.aws.clock(), context.propagation_timeout):
        return (CHECK_WAIT.format(context.user),)
    return ()
