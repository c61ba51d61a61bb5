# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from datetime import datetime

from .._aws.policy_document import policy_size
from .._core.errors import Json
from .._core.result import Result
from .._core.time import format_time
from . import policy_state
from . import pull_policy as _policy
from .access_keys import FOREIGN, is_due, owners
from .entry_lock import KeyContext
from .iam_user import UserState, marked_keys
from .key_rotation import stored_id
from .principal import Principal


def owners_of(state: UserState) -> dict[str, str]:
    entry = state.entry
    return owners(state.keys, marked_keys(state.tags), stored_id(entry), entry.pending if entry else None)


def build_result(
    context: KeyContext,
    params: Json,
    changed: bool,
    before: UserState,
    after: UserState,
    asked: list[str] | None = None,
    rotated: bool = False,
    warnings: tuple[str, ...] = (),
) -> Result:
    now = context.aws.clock()
    stored = next((key for key in after.keys if key.id == stored_id(after.entry)), None)
    results = {
        "user": after.user,
        "policy": policy_result(policy_state.current_view(context.principal, after.policies), asked),
        "access_keys": keys_result(after, now),
        "secret_store": {
            "type": params["secret_store"]["type"],
            "name": context.store.name,
            "arn": after.entry.arn if after.entry else None,
            "region": context.store.region,
            "access_key_id": stored_id(after.entry),
        },
        "rotation_due": bool(stored and is_due(stored, now, params["rotate_after_days"])),
        "rotated": rotated,
    }
    if params["state"] == "absent":
        results["remaining"] = list(after.others)
    if after.others:
        warnings = (*warnings, still_there(context.principal, list(after.others)))
    return Result(changed, for_diff(context.principal, before), for_diff(context.principal, after), results, warnings)


def policy_result(policy: policy_state.PolicyView, asked: list[str] | None) -> Json:
    of_aws = policy.kind in policy_state.OF_AWS
    repositories = ["*"] if of_aws else _policy.repositories_of(policy.document)
    return {
        "kind": policy.kind,
        "name": policy.name,
        "document": policy.document,
        "size": policy_size(policy.document),
        "limit": policy.limit,
        "repositories": repositories,
        "extra_repositories": [] if asked is None or of_aws else [arn for arn in repositories if arn not in asked],
    }


def keys_result(state: UserState, now: datetime) -> list[Json]:
    """Return the keys, one that check mode foresees included."""
    whose, stored = owners_of(state), stored_id(state.entry)
    found = [
        {
            "id": key.id,
            "status": key.status,
            "created": format_time(key.created),
            "age_days": max((now - key.created).days, 0),
            "last_used": format_time(key.last_used) if key.last_used else None,
            "ours": whose[key.id] != FOREIGN,
            "stored": key.id == stored,
        }
        for key in state.keys
    ]
    if state.promised:
        new = {"id": None, "status": "Active", "created": None, "age_days": 0, "last_used": None}
        found.append({**new, "ours": True, "stored": True})
    return found


def for_diff(principal: Principal, state: UserState) -> Json | None:
    """Return nothing secret, and nothing that changes by itself."""
    entry, policy = state.entry, policy_state.current_view(principal, state.policies)
    if not (state.user or entry):
        return None
    access_keys = [{"id": key.id, "status": key.status} for key in state.keys]
    return {
        "user": state.user,
        "policy": {"kind": policy.kind, "name": policy.name, "document": policy.document},
        "access_keys": [*access_keys, {"id": None, "status": "Active"}] if state.promised else access_keys,
        "secret_store": None if entry is None or entry.deleted else entry.arn,
    }


def still_there(principal: Principal, remaining: list[Json]) -> str:
    things = "; ".join(f"{thing['kind']} {thing['name']} ({thing['remedy']})" for thing in remaining)
    return (
        f"The {principal.kind} {principal.name} stays, without anything of this collection on it, because of what "
        f"others gave it: {things}"
    )
