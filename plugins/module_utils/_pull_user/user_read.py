# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what there is of a pull user, its keys and its entry.

from __future__ import annotations

from contextlib import suppress

from .._aws.client import tolerating
from .._aws.secret_entry import MANAGED, QUARANTINED, Entry, TokenRecord, token_records
from .._core.errors import ConflictError, Json
from .._oci.reference import repository_arn
from . import policy_read, policy_state
from .access_keys import FOREIGN, MOST_KEYS
from .entry_lock import KeyContext
from .iam_user import UserState, check_entry, check_user, find_keys, find_user
from .policy_read import find_document
from .policy_state import DENY
from .principal import USER, Principal
from .principal_fields import find_others
from .user_result import owners_of


def read(context: KeyContext, params: Json) -> UserState:
    """Read again when somebody may have removed user or entry meanwhile."""
    with suppress(ConflictError), tolerating("NoSuchEntity"):
        return read_once(context, params)
    return read_anew(context, params)


def read_anew(context: KeyContext, params: Json) -> UserState:
    context.aws.forget()
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
    state = state._replace(policies=policy_read.read_policies(aws, context.principal, user, desired))
    if user:
        keys = find_keys(aws, name)
        if entry and entry.key and entry.key.access_key_id not in {key.id for key in keys}:
            aws.forget()
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
    theirs = tuple(key.id for key in state.keys if whose[key.id] == FOREIGN)
    ours = policy_state.attached_arns(state.partition, state.policies)
    others = find_others(context.aws, context.principal, theirs, ours)
    kept = tuple(thing for thing in others if thing["name"] != DENY)
    return state._replace(others=kept, denied=len(kept) < len(others))


def is_denied(context: KeyContext, params: Json, user: Json) -> bool:
    """Only a quarantine that is to be lifted needs to know."""
    if not params["release_quarantine"] or params["state"] != "present":
        return False
    return QUARANTINED in user["tags"] or find_document(context.aws, context.principal, DENY) is not None


def read_tokens(context: KeyContext, params: Json, state: UserState) -> tuple[TokenRecord, ...]:
    """Read only when a key may be retired."""
    if params["rotate_after_days"] is None or len(state.keys) < MOST_KEYS or not is_there(state.entry):
        return ()
    return tuple(token_records(context.store.tags()).values())


def desired_policy(params: Json, state: UserState, region: str) -> policy_state.DesiredPolicy:
    partition, account = state.partition, state.account
    asked = params["repositories"]
    if asked is not None:
        asked = [repository_arn(name, partition, account, region) for name in asked]
    principal = Principal(USER, params["name"])
    return policy_state.DesiredPolicy(
        principal,
        partition,
        params["policy"],
        asked,
        params["purge_repositories"],
        params["pull_through"],
        policy_state.customer_arn(partition, account, params["path"], principal),
    )


def is_there(entry: Entry | None) -> bool:
    return entry is not None and not entry.deleted
