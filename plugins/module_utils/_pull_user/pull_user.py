# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. Changes are made under the entry's lock, so that of two runs the second builds on the
# first.

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from .._aws.client import Aws, tolerating
from .._aws.ecr_token import verify_key
from .._aws.secret_entry import (
    GRANTED,
    MANAGED,
    QUARANTINED,
    Entry,
    TokenRecord,
    is_busy,
    quarantine,
    token_records,
)
from .._aws.secret_store import store_of
from .._core.errors import CollectionError, ConflictError, Json
from .._core.result import PartialError, Result
from .._core.time import format_time
from .._oci.reference import repository_arn
from . import policy_attachment
from . import pull_policy as _policy
from . import quarantine as _quarantine
from .access_keys import FOREIGN, MOST_KEYS, ORPHAN, AccessKey, KeyPlan, plan_keys
from .entry_lock import EntryLock, KeyContext, LockLostError
from .iam_user import (
    KEY_MARK,
    SECRET,
    UserChange,
    UserState,
    check_entry,
    check_user,
    delete_user,
    find_keys,
    find_others,
    find_user,
    marked_keys,
    plan_marks,
    plan_user,
    tags_after,
    user_after,
    write_tags,
    write_user,
)
from .key_rotation import apply_keys, keys_after, refuse, remove_keys, stored_id
from .options import check_options
from .policy_attachment import DENY, find_document, is_needed
from .user_result import build_result, owners_of

CHECK_DELETED = (
    "The entry {0} of the secret store is pending deletion and would be restored. What it holds cannot be read before, "
    "so check mode cannot tell whether a new access key would be made."
)
CHECK_WAIT = "Another run is changing the pull user {0}: outside check mode this one would wait for it."
SECOND_LOOK = 4.0  # seconds until a name is tried again whose entry is being deleted


class UserPlan(NamedTuple):
    """`untrusted` are keys that a release of quarantine deletes.

    `keep_key` is whether a key and its entry are to be; `keep_user` whether the user stays.
    """

    after: UserState
    changed: bool
    user: UserChange = UserChange()
    policies: policy_attachment.PolicyChange = policy_attachment.PolicyChange()
    keys: KeyPlan = KeyPlan()
    releasing: bool = False
    untrusted: tuple[str, ...] = ()
    keep_key: bool = True
    asked: list[str] | None = None
    rotated: bool = False
    warnings: tuple[str, ...] = ()


def run(params: Json, check_mode: bool, aws: Aws) -> Result:
    check_options(params)
    store = store_of(aws, params["secret_store"], params["name"])
    context = KeyContext(aws, store, params["name"], params["propagation_timeout"])
    former = len(aws.writes)
    try:
        if params["state"] == "quarantined":
            return _quarantine.run(context, params, check_mode)
        return converge(context, params, check_mode)
    except CollectionError as error:
        if len(aws.writes) == former:
            raise
        raise PartialError(error, aws.writes[former:]) from error


def converge(context: KeyContext, params: Json, check_mode: bool) -> Result:
    aws, deadline, former = context.aws, context.deadline(), len(context.aws.writes)
    state = before = read(context, params)
    pause = 1.0
    while True:
        former_entry = state.entry
        try:
            plan = plan_for(state, params, aws.region, aws.clock())
        except ConflictError:
            state = read(context, params)
            if state.entry == former_entry:
                raise
            continue
        if check_mode or not plan.changed:
            warnings = (*plan.warnings, *check_warnings(context, state, plan))
            changed = plan.changed or len(aws.writes) > former
            return build_result(context, params, changed, before, plan.after, plan.asked, plan.rotated, warnings)
        lost = None
        if is_busy(state.entry, aws.clock(), context.propagation_timeout):
            aws.sleep(pause)
            pause = min(pause * 2, 8.0)
        elif plan.keep_key and state.entry and state.entry.deleted:
            context.store.restore()
        else:
            try:
                return finish(context, params, before, *apply(context, params, state, plan))
            except LockLostError as error:
                lost = error
        state = read(context, params)
        if lost and state.entry == former_entry:  # nobody was faster: the store refuses
            if aws.clock() >= deadline:
                raise lost
            aws.sleep(SECOND_LOOK)


def finish(context: KeyContext, params: Json, before: UserState, after: UserState, plan: UserPlan) -> Result:
    """A user that only AWS keeps has not changed."""
    prove_new(context, before, after, plan)
    result = build_result(context, params, True, before, after, plan.asked, plan.rotated, plan.warnings)
    stays = params["state"] == "absent" and after.user is not None
    return result._replace(changed=result.before != result.after if stays else True)


# Reading


def read(context: KeyContext, params: Json) -> UserState:
    """Read again when somebody may have removed user or entry meanwhile."""
    with suppress(ConflictError), tolerating("NoSuchEntity"):
        return read_once(context, params)
    return read_once(context, params)


def read_once(context: KeyContext, params: Json) -> UserState:
    """The entry comes first: its lock vouches for the rest. Raise ConflictError for what is not ours."""
    aws, store, name = context.aws, context.store, context.user
    entry, problem = read_entry(context)
    user = find_user(aws, name)
    if user is None and params["state"] == "absent":
        return read_rest(context, entry)
    if problem:
        raise problem
    arn = (user["arn"] if user else aws.call("sts", "get_caller_identity")["Arn"]).split(":")
    state = UserState(arn[1], arn[4], user, entry=entry)
    if user:
        check_user(user, store.arn(state.partition, state.account))
    desired = desired_policy(params, state, aws.region) if params["state"] == "present" else None
    state = state._replace(policies=policy_attachment.read_policies(aws, user, desired))
    if user:
        keys = find_keys(aws, name)
        if entry and entry.key and entry.key.access_key_id not in {key.id for key in keys}:
            keys = find_keys(aws, name)
        state = state._replace(keys=keys, denied=is_denied(context, params, user))
    if entry:
        check_entry(store, entry, name, user)
    if params["state"] == "absent":
        return read_others(context, state)
    return state._replace(tokens=read_tokens(context, params, state))


def read_entry(context: KeyContext) -> tuple[Entry | None, ConflictError | None]:
    """Return the entry, or why it is none of ours."""
    try:
        return context.store.read(), None
    except ConflictError as error:
        return None, error


def read_rest(context: KeyContext, entry: Entry | None) -> UserState:
    """Return the entry that a gone user left; somebody else's does not count."""
    ours = entry is not None and context.store.tags().get(MANAGED) == context.user
    return UserState("", "", None, entry=entry if ours else None)


def read_others(context: KeyContext, state: UserState) -> UserState:
    whose = owners_of(state)
    theirs = tuple(key for key in state.keys if whose[key.id] == FOREIGN)
    ours = policy_attachment.attached_arns(state.partition, state.policies)
    others = find_others(context.aws, context.user, theirs, ours)
    kept = tuple(thing for thing in others if thing["name"] != DENY)
    return state._replace(others=kept, denied=len(kept) < len(others))


def is_denied(context: KeyContext, params: Json, user: Json) -> bool:
    """Only a quarantine that is to be lifted needs to know."""
    if not params["release_quarantine"] or params["state"] != "present":
        return False
    return QUARANTINED in user["tags"] or find_document(context.aws, context.user, DENY) is not None


def read_tokens(context: KeyContext, params: Json, state: UserState) -> tuple[TokenRecord, ...]:
    """Read only when a key may be retired."""
    if params["rotate_after_days"] is None or len(state.keys) < MOST_KEYS or not is_there(state.entry):
        return ()
    return tuple(token_records(context.store.tags()).values())


def desired_policy(params: Json, state: UserState, region: str) -> policy_attachment.DesiredPolicy:
    partition, account = state.partition, state.account
    asked = params["repositories"]
    if asked is not None:
        asked = [repository_arn(name, partition, account, region) for name in asked]
    return policy_attachment.DesiredPolicy(
        params["name"],
        partition,
        params["policy"],
        asked,
        params["purge_repositories"],
        params["pull_through"],
        policy_attachment.customer_arn(partition, account, params["path"], params["name"]),
    )


# Planning


def is_there(entry: Entry | None) -> bool:
    return entry is not None and not entry.deleted


def plan_for(state: UserState, params: Json, region: str, now: datetime) -> UserPlan:
    """Raise InputError or ConflictError before anything is changed."""
    if params["state"] == "absent":
        return plan_absent(state)
    return plan_present(state, params, region, now)


def plan_present(state: UserState, params: Json, region: str, now: datetime) -> UserPlan:
    check_quarantine(state, params)
    desired = desired_policy(params, state, region)
    change = plan_user(state.user, params)
    move = policy_attachment.plan_policies(state.policies, desired)
    ahead, stale = policy_attachment.plan_record(state.tags, move.ahead)
    change = change._replace(tag={**change.tag, **ahead}, untag=(*change.untag, *stale))
    untrusted = plan_release(state) if state.denied else ()
    keys, entry, promised = plan_key(state, params, untrusted, now)
    user = user_after(state, params["name"], change)
    tags = tags_after(user["tags"], *policy_attachment.plan_record(user["tags"], move.record))
    marks = ({}, ()) if promised else plan_marks(tags, entry, keys_after(state.keys, keys))
    tags = tags_after(tags, marks[0], (*marks[1], *([QUARANTINED] if state.denied else ())))
    deleted = set(keys.delete) | set(untrusted)
    after = state._replace(
        user={**user, "tags": tags},
        policies=policy_attachment.policies_after(state.policies, move),
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
        policies=policy_attachment.PolicyChange(detach=there),
        keep_key=False,
    )


def plan_rest(tags: Json, stuck: bool, keys: tuple[AccessKey, ...]) -> tuple[Json, tuple[str, ...]]:
    """A user that stays names no entry, no key, and no policy but one in use."""
    made = frozenset({policy_attachment.CUSTOMER if stuck else policy_attachment.INLINE})
    tag, untag = policy_attachment.plan_record(tags, made)
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


# Writing


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
        _quarantine.remove_policy(aws, name, DENY)
    write_policy(lock, state, plan)
    keys = tuple(key for key in state.keys if key.id not in plan.untrusted)
    user = user_after(state, name, plan.user._replace(tag={**plan.user.tag, **record}))
    tags = tags_after(user["tags"], *policy_attachment.plan_record(user["tags"], plan.policies.record))
    entry: Entry | None = lock.entry if plan.keep_key else None
    tag, untag = plan_marks(tags, entry._replace(key=None) if entry and plan.keys.create else entry, plan.after.keys)
    gone = (*untag, *([QUARANTINED] if plan.releasing else ()))
    if plan.releasing and state.entry:
        context.store.untag([QUARANTINED])
    regions = _policy.regions_of(repositories_in_use(name, plan))
    if plan.keep_key:
        write_tags(aws, name, tag, gone)
        keys = apply_keys(lock, keys, plan.keys, regions)
        lock.release()
        entry = lock.entry
    else:
        remove_keys(aws, name, plan.keys.delete)
        write_tags(aws, name, tag, gone)
        keys = keys_after(keys, plan.keys)
        lock.delete()
    if entry and entry.key:
        tag = {**tag, entry.key.access_key_id: KEY_MARK}
    return plan.after._replace(
        user={**user, "tags": tags_after(tags, tag, gone)}, keys=keys, entry=entry, promised=False
    )


def repositories_in_use(name: str, plan: UserPlan) -> list[str]:
    view = policy_attachment.current_view(name, plan.after.policies)
    return _policy.repositories_of(view.document) or plan.asked or []


def write_policy(lock: EntryLock, state: UserState, plan: UserPlan) -> None:
    """Make the policy, then take away the former; `write_user` has recorded both. Readers of the key first learn to
    be patient.
    """
    context, rights, move = lock.context, state.policies, plan.policies
    aws, name = context.aws, context.user
    if stored_id(state.entry) and policy_attachment.grants(rights, move):
        context.store.tag({GRANTED: format_time(aws.clock())})
    lock.check()
    if move.attach:
        policy_attachment.attach(aws, name, rights, move, context.deadline(), is_new=plan.user.create)
    stuck = policy_attachment.detach(aws, name, state.partition, rights, move.detach)
    if stuck:
        raise ConflictError(
            f"The user {name} has its new policy, and the former one, {stuck[0]['name']}, is detached from it, "
            f"but something else uses that one too. {stuck[0]['remedy']}"
        )
    tags = user_after(state, name, plan.user)["tags"]
    write_tags(aws, name, *policy_attachment.plan_record(tags, move.record))


def apply_removal(context: KeyContext, lock: EntryLock | None, state: UserState, plan: UserPlan) -> UserState:
    """Rights go first, which ends tokens in use; the entry last, with the lock."""
    aws, name = context.aws, context.user
    after = plan.after
    if state.user:
        stuck = policy_attachment.detach(aws, name, state.partition, state.policies, plan.policies.detach)
        remove_keys(aws, name, plan.keys.delete)
        others = [*stuck, *state.others]
        if not others:
            if state.denied:
                _quarantine.remove_policy(aws, name, DENY)
            others = delete_user(aws, name)
        after = after._replace(others=tuple(others), user=None)
        if others:
            tags = state.user["tags"]
            tag, untag = plan_rest(tags, bool(stuck), after.keys)
            write_tags(aws, name, tag, untag)
            after = after._replace(user={**state.user, "tags": tags_after(tags, tag, untag)})
    if lock:
        lock.delete()
    return after


def prove_new(context: KeyContext, before: UserState, after: UserState, plan: UserPlan) -> None:
    """Prove the stored key wherever it will be used, unless it was there before."""
    entry = after.entry
    if plan.rotated or not (entry and entry.key) or entry.key.access_key_id in {key.id for key in before.keys}:
        return
    regions = _policy.regions_of(repositories_in_use(context.user, plan))
    verify_key(context.aws, entry.key, regions, context.deadline())
