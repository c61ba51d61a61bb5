# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: a pull user is written, in an order that survives a crash.

from __future__ import annotations

from contextlib import suppress

from .._aws.secret_entry import GRANTED, QUARANTINED, Entry
from .._core.errors import CollectionError, Json
from .._core.time import format_time
from . import policy_attachment, policy_change, policy_state
from . import pull_policy as _policy
from . import quarantine as _quarantine
from .entry_lock import EntryLock, KeyContext
from .iam_user import (
    KEY_MARK,
    SECRET,
    UserState,
    plan_marks,
    user_after,
    write_user,
)
from .key_rotation import apply_keys, keys_after, remove_keys, stored_id
from .policy_state import DENY
from .principal import USER, Principal
from .principal_fields import delete_principal, tags_after, write_tags
from .user_plan import UserPlan, plan_for, plan_rest
from .user_read import read


def apply(context: KeyContext, params: Json, state: UserState, plan: UserPlan) -> tuple[UserState, UserPlan]:
    """Return what is there then, and the plan as it was carried out."""
    if state.entry and state.entry.deleted and params["state"] == "absent":
        return apply_removal(context, None, state, plan), plan
    lock = EntryLock(context, state.entry)
    try:
        if state.entry is None:  # nothing vouches for what was read before the lock
            state = read(context, params)._replace(entry=None)
            plan = plan_for(state, params, context.aws.region, context.aws.clock())
        if params["state"] == "present":
            after = apply_present(lock, state, plan)
        else:
            after = apply_removal(context, lock, state, plan)
    except CollectionError:
        with suppress(CollectionError):
            lock.release()
        raise
    return after, plan


def apply_present(lock: EntryLock, state: UserState, plan: UserPlan) -> UserState:
    """The order leaves something that works wherever it ends."""
    context, arn = lock.context, lock.entry.arn
    aws, name = context.aws, context.user
    record = {SECRET: arn} if plan.keep_key and state.tags.get(SECRET) != arn else {}
    write_user(aws, name, plan.user._replace(tag={**plan.user.tag, **record}))
    if plan.releasing:
        remove_keys(aws, name, plan.untrusted)
        _quarantine.remove_policy(aws, context.principal, DENY)
    write_policy(lock, state, plan)
    keys = tuple(key for key in state.keys if key.id not in plan.untrusted)
    user = user_after(state, name, plan.user._replace(tag={**plan.user.tag, **record}))
    tags = tags_after(user["tags"], *policy_change.plan_record(user["tags"], plan.policies.record))
    entry: Entry | None = lock.entry if plan.keep_key else None
    tag, untag = plan_marks(tags, entry._replace(key=None) if entry and plan.keys.create else entry, plan.after.keys)
    gone = (*untag, *([QUARANTINED] if plan.releasing else ()))
    if plan.releasing and state.entry:
        context.store.untag([QUARANTINED])
    regions = _policy.regions_of(repositories_in_use(name, plan))
    if plan.keep_key:
        write_tags(aws, context.principal, tag, gone)
        keys = apply_keys(lock, keys, plan.keys, regions)
        lock.release()
        entry = lock.entry
    else:
        remove_keys(aws, name, plan.keys.delete)
        write_tags(aws, context.principal, tag, gone)
        keys = keys_after(keys, plan.keys)
        lock.delete()
    if entry and entry.key:
        tag = {**tag, entry.key.access_key_id: KEY_MARK}
    return plan.after._replace(
        user={**user, "tags": tags_after(tags, tag, gone)}, keys=keys, entry=entry, promised=False
    )


def repositories_in_use(name: str, plan: UserPlan) -> list[str]:
    view = policy_state.current_view(Principal(USER, name), plan.after.policies)
    return _policy.repositories_of(view.document) or plan.asked or []


def write_policy(lock: EntryLock, state: UserState, plan: UserPlan) -> None:
    """Make the policy, then take away the former; `write_user` has recorded both. Readers of the key first learn to
    be patient.
    """
    context, rights, move = lock.context, state.policies, plan.policies
    aws, name = context.aws, context.user
    if stored_id(state.entry) and policy_change.grants(rights, move):
        context.store.tag({GRANTED: format_time(aws.clock())})
    lock.check()
    policy_attachment.replace(
        aws, context.principal, state.partition, rights, move, context.deadline(), is_new=plan.user.create
    )
    tags = user_after(state, name, plan.user)["tags"]
    write_tags(aws, context.principal, *policy_change.plan_record(tags, move.record))


def apply_removal(context: KeyContext, lock: EntryLock | None, state: UserState, plan: UserPlan) -> UserState:
    """Rights go first, which ends tokens in use; the entry last, with the lock."""
    aws, name = context.aws, context.user
    after = plan.after
    if state.user:
        stuck = policy_attachment.detach(aws, context.principal, state.partition, state.policies, plan.policies.detach)
        remove_keys(aws, name, plan.keys.delete)
        others = [*stuck, *state.others]
        if not others:
            if state.denied:
                _quarantine.remove_policy(aws, context.principal, DENY)
            others = delete_principal(aws, context.principal)
        after = after._replace(others=tuple(others), user=None)
        if others:
            tags = state.user["tags"]
            tag, untag = plan_rest(tags, bool(stuck), after.keys)
            write_tags(aws, context.principal, tag, untag)
            after = after._replace(user={**state.user, "tags": tags_after(tags, tag, untag)})
    if lock:
        lock.delete()
    return after
