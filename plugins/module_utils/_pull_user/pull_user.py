# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import NamedTuple

from .._aws.client import Aws
from .._aws.ecr_token import verify_key
from .._aws.policy_document import policy_size
from .._aws.secret_entry import GRANTED, MANAGED, QUARANTINED, Entry, TokenRecord, quarantine
from .._aws.secret_store import store_of
from .._core.errors import ConflictError, InputError, Json
from .._core.result import Result
from .._core.time import format_time
from .._oci.reference import repository_arn
from . import policy_attachment as _attach
from . import pull_policy as _policy
from . import quarantine as _quarantine
from .access_keys import ACTIVE, FOREIGN, MOST_KEYS, ORPHAN, KeyPlan, is_due, owners, plan_keys
from .iam_user import (
    UserChange,
    UserSnapshot,
    check_user,
    delete_user,
    find_remaining,
    find_user,
    marked_keys,
    plan_marks,
    plan_user,
    read_snapshot,
    tags_after,
    user_after,
    write_tags,
    write_user,
)
from .key_rotation import (
    KeyContext,
    KeyState,
    deactivate_keys,
    ensure_key,
    read_state,
    refuse,
    remove_keys,
    tokens,
)
from .policy_attachment import DENY, find_document

CHECK_DELETED = (
    "The entry {0} of the secret store is pending deletion and would be restored. What it holds cannot be read before, "
    "so check mode cannot tell whether a new access key would be made."
)
FOREIGN_STAY = (
    "The user {0} has active access keys that this collection did not make and leaves as they are: {1}. They have no "
    "rights while it is quarantined. To deactivate one: aws iam update-access-key --user-name {0} --status Inactive "
    "--access-key-id ID"
)
TOKEN_HOURS = 12  # how long ECR's tokens live
CHECK_WAIT = "Another run is making the access key of the user {0}: outside check mode this one would wait for it."


class UserState(NamedTuple):
    """The user and what belongs to it, before a run or after it; `promised` is a key that check mode foresees."""

    user: Json | None
    policy: _attach.PolicyView
    current: KeyState
    promised: bool = False


class KeyChange(NamedTuple):
    """What became of the keys, or in check mode would; `promised` as in Picture."""

    current: KeyState
    wrote: bool = False
    rotated: bool = False
    promised: bool = False
    warnings: tuple[str, ...] = ()


class DesiredState(NamedTuple):
    """What the options come to: what the user lacks, the repositories asked for, and what to do about the policies."""

    change: UserChange
    asked: list[str] | None
    rights: _attach.AttachedPolicies
    move: _attach.PolicyChange


def run(params: Json, check_mode: bool, aws: Aws) -> Result:
    check_times(params)
    place = KeyContext(
        aws, store_of(aws, params["secret_store"], params["name"]), params["name"], params["propagation_timeout"]
    )
    user = find_user(aws, place.user)
    if params["state"] == "present":
        return present(place, params, user, check_mode)
    if params["state"] == "quarantined":
        return quarantined(place, params, user, check_mode)
    if user is None:
        return absent_user(place, params, check_mode)
    return absent(place, params, user, check_mode)


def check_times(params: Json) -> None:
    """Raise InputError for ages that would cut off what still works, or that mean nothing."""
    if params["retire_after_hours"] < TOKEN_HOURS:
        raise InputError(
            f"retire_after_hours is {params['retire_after_hours']}: it must be at least {TOKEN_HOURS}, the life of a "
            "token that was minted with the older key."
        )
    if params["rotate_after_days"] is not None and params["rotate_after_days"] < 0:
        raise InputError(f"rotate_after_days is {params['rotate_after_days']}: it must be 0 or more.")


def present(place: KeyContext, params: Json, user: Json | None, check_mode: bool) -> Result:
    """Read, decide, and only then write: what cannot be done changes nothing."""
    found = read_snapshot(place.aws, place.store, place.user, user, params["policy"])
    before = UserState(
        user,
        _attach.current_view(place.user, found.rights),
        KeyState(found.keys, found.entry, tokens_of_older_keys(place, params, found)),
    )
    releasing = is_released(place, params, user)
    current = without_ours(before) if releasing else before.current
    wanted = decide(place, params, found)
    plan_for = partial(key_plan, place, params, (user or {}).get("tags", {}))
    if params["key_state"] == "present" and not is_deleted(found.entry):
        refuse(plan_for(current), place.user)
    if not check_mode:
        if write_user(place.aws, place.user, wanted.change):
            current = read_state(place)
        if releasing:
            start_release(place, before, current)
        write_policy(place, found, wanted)
    keys = keep_keys(place, params, before._replace(current=current), wanted, plan_for, check_mode)
    after = UserState(user_with(found, place, wanted), policy_with(before, place, wanted), keys.current, keys.promised)
    after, marked = mark(place, after, check_mode)
    if releasing:
        after = end_release(place, after, check_mode)
    if not check_mode and not keys.rotated:
        prove_new(place, before, after, wanted.asked)
    changed = wanted.change != UserChange() or _attach.is_needed(wanted.move) or keys.wrote or marked or releasing
    return build_result(
        place, params, changed, before, after, wanted.asked, rotated=keys.rotated, warnings=keys.warnings
    )


def is_released(place: KeyContext, params: Json, user: Json | None) -> bool:
    """Return whether this run takes the user out of quarantine. Raises ConflictError when it is in one and stays."""
    if user is None:
        return False
    if not params["release_quarantine"]:
        why = quarantine(user["tags"], f"The user {place.user}")
        if why:
            raise ConflictError(f"{why} Nothing was changed.")
        return False
    return QUARANTINED in user["tags"] or find_document(place.aws, place.user, DENY) is not None


def without_ours(before: UserState) -> KeyState:
    """Return what is held without our keys, which are not trusted any more; an orphan goes later with its note."""
    whose = owners_of(before)
    keys = tuple(key for key in before.current.keys if whose[key.id] in (FOREIGN, ORPHAN))
    return before.current._replace(keys=keys)


def start_release(place: KeyContext, before: UserState, current: KeyState) -> None:
    """Remove the keys that are not held any more, and only then the policy that denies everything."""
    to_delete = tuple(key.id for key in before.current.keys if key not in current.keys)
    remove_keys(place.aws, place.user, before.current.keys, to_delete)
    _quarantine.remove_policy(place.aws, place.user, DENY)


def end_release(place: KeyContext, after: UserState, check_mode: bool) -> UserState:
    """Drop the tags of the quarantine. Returns the picture without them."""
    if not check_mode:
        _quarantine.untag(place.aws, place.store, place.user, after.current.entry is not None)
    user = after.user or {}
    return after._replace(user={**user, "tags": tags_after(user["tags"], {}, (QUARANTINED,))})


def tokens_of_older_keys(place: KeyContext, params: Json, found: UserSnapshot) -> tuple[TokenRecord, ...]:
    """Return what the entry's tags say of tokens, when a key may be retired at all."""
    readable = found.entry is not None and not found.entry.deleted
    if params["rotate_after_days"] is None or len(found.keys) < MOST_KEYS or not readable:
        return ()
    return tokens(place.store)


def keep_keys(
    place: KeyContext,
    params: Json,
    before: UserState,
    wanted: DesiredState,
    plan_for: partial[KeyPlan],
    check_mode: bool,
) -> KeyChange:
    """Remove the keys, or bring it about that there is a good one and that older ones are retired."""
    if params["key_state"] == "absent":
        return KeyChange(*drop_keys(place, before, check_mode))
    if check_mode:
        return preview_keys(place, before.current, plan_for)
    regions = regions_in_use(policy_with(before, place, wanted), wanted.asked)
    done = ensure_key(place, before.current, plan_for, regions)
    return KeyChange(*done, warnings=() if done.wrote else postponed(place, plan_for(done.current)))


def postponed(place: KeyContext, plan: KeyPlan) -> tuple[str, ...]:
    """Return the warning about a rotation that is due and has to wait."""
    if not plan.postponed:
        return ()
    return (f"The access key of {place.user} is due for rotation, which waits until {plan.postponed[0]} is retired.",)


def decide(place: KeyContext, params: Json, found: UserSnapshot) -> DesiredState:
    """Return what to make true. Raises InputError when the policy would not fit."""
    change = plan_user(found.user, params)
    asked = params["repositories"]
    if asked is not None:
        asked = [repository_arn(name, found.partition, found.account, place.aws.region) for name in asked]
    rights, move = _attach.plan_policies(
        place.aws, params, found.rights, asked, found.partition, found.account, found.user is not None
    )
    ahead, stale = _attach.plan_record((found.user or {}).get("tags", {}), move.ahead)
    change = change._replace(tag={**change.tag, **ahead}, untag=(*change.untag, *stale))
    return DesiredState(change, asked, rights, move)


def key_plan(place: KeyContext, params: Json, tags: Json, current: KeyState) -> KeyPlan:
    """Return what to do about the keys now; without rotate_after_days none is rotated or retired."""
    rotating = params["rotate_after_days"] is not None
    return plan_keys(
        current.keys,
        marked=marked_keys(tags),
        stored_id=stored_id(current.entry),
        pending=current.entry.pending if current.entry else None,
        fresh=current.fresh,
        now=place.aws.clock(),
        lock_seconds=place.propagation_timeout,
        rotate_after_days=params["rotate_after_days"],
        retire_after_hours=params["retire_after_hours"] if rotating else None,
    )


def stored_id(entry: Entry | None) -> str | None:
    """Return the id of the key that the entry holds."""
    return entry.key.access_key_id if entry and entry.key else None


def is_deleted(entry: Entry | None) -> bool:
    """Return whether the entry is in its recovery window."""
    return bool(entry and entry.deleted)


def user_with(found: UserSnapshot, place: KeyContext, wanted: DesiredState) -> Json:
    """Return the user as the run leaves it, but for what its tags say of keys."""
    user = user_after(found, place.user, wanted.change)
    return {**user, "tags": tags_after(user["tags"], *_attach.plan_record(user["tags"], wanted.move.record))}


def policy_with(before: UserState, place: KeyContext, wanted: DesiredState) -> _attach.PolicyView:
    """Return the policy as the run leaves it."""
    if wanted.move.target is None:
        return before.policy
    return _attach.policy_view(place.user, wanted.move.target, wanted.move.document)


def write_policy(place: KeyContext, found: UserSnapshot, wanted: DesiredState) -> None:
    """Make the policy that is wanted, then take away the former; `write_user` has recorded both.

    Readers of the key are told first to be patient with new rights.
    """
    rights, move = wanted.rights, wanted.move
    if stored_id(found.entry) and _attach.grants(rights, move):
        place.store.tag({GRANTED: format_time(place.aws.clock())})
    if move.attach:
        _attach.attach(place.aws, place.user, rights, move, place.deadline(), is_new=wanted.change.create)
    stuck = _attach.detach(place.aws, place.user, found.partition, rights, move.detach)
    if stuck:
        raise ConflictError(
            f"The user {place.user} has its new policy, and the former one, {stuck[0]['name']}, is detached from it, "
            f"but something else uses that one too. {stuck[0]['remedy']}"
        )
    tags = user_after(found, place.user, wanted.change)["tags"]
    write_tags(place.aws, place.user, *_attach.plan_record(tags, move.record))


def preview_keys(place: KeyContext, current: KeyState, plan_for: partial[KeyPlan]) -> KeyChange:
    """Return what would be held, and what cannot be foreseen."""
    if is_deleted(current.entry):
        return KeyChange(current, wrote=True, warnings=(CHECK_DELETED.format(place.store.name),))
    plan = plan_for(current)
    if plan.wait:
        return KeyChange(current, warnings=(CHECK_WAIT.format(place.user),))
    kept = (key for key in current.keys if key.id not in plan.delete)
    keys = tuple(key._replace(status="Inactive") if key.id in plan.deactivate else key for key in kept)
    entry = current.entry._replace(key=None, pending=None) if current.entry and plan.create else current.entry
    wrote = plan.create or plan.forget or bool(plan.delete or plan.deactivate)
    rotated = plan.create and plan.rotation_due
    return KeyChange(KeyState(keys, entry), wrote, rotated, plan.create, postponed(place, plan))


def drop_keys(place: KeyContext, before: UserState, check_mode: bool) -> tuple[KeyState, bool]:
    """Remove the keys that are ours, then the entry. Returns what is left, and whether anything was written."""
    keys, entry, dummy = before.current
    whose = owners_of(before)
    to_delete = tuple(key.id for key in keys if whose[key.id] != FOREIGN)
    there = entry is not None and not entry.deleted
    if not check_mode:
        remove_keys(place.aws, place.user, keys, to_delete)
        if there:
            place.store.delete()
    return KeyState(tuple(key for key in keys if key.id not in to_delete), None), bool(to_delete) or there


def mark(place: KeyContext, picture: UserState, check_mode: bool) -> tuple[UserState, bool]:
    """Make the user's tags name its entry and its keys. Returns the picture with them, and whether they changed."""
    if picture.user is None or picture.promised:
        return picture, picture.promised
    tag, untag = plan_marks(picture.user["tags"], picture.current.entry, picture.current.keys)
    if not check_mode:
        write_tags(place.aws, place.user, tag, untag)
    user = {**picture.user, "tags": tags_after(picture.user["tags"], tag, untag)}
    return picture._replace(user=user), bool(tag or untag)


def prove_new(place: KeyContext, before: UserState, after: UserState, asked: list[str] | None) -> None:
    """Return once AWS accepts the key in the store wherever it will be used, if it was not there before."""
    entry = after.current.entry
    if entry and entry.key and entry.key.access_key_id not in {key.id for key in before.current.keys}:
        verify_key(place.aws, entry.key, regions_in_use(after.policy, asked), place.deadline())


def regions_in_use(policy: _attach.PolicyView, asked: list[str] | None) -> list[str]:
    """Return the regions from which the user will pull: those of its policy, or of what was asked for."""
    return _policy.regions_of(_policy.repositories_of(policy.document) or asked or [])


def absent(place: KeyContext, params: Json, user: Json, check_mode: bool) -> Result:
    """Remove what is ours, rights first since that ends tokens in use, then the user when nothing else is on it."""
    found = read_snapshot(place.aws, place.store, place.user, user)
    rights = found.rights
    before = UserState(user, _attach.current_view(place.user, rights), KeyState(found.keys, found.entry))
    stuck = [] if check_mode else _attach.detach(place.aws, place.user, found.partition, rights, rights.there)
    current, wrote = drop_keys(place, before, check_mode)
    ours = _attach.attached_arns(found.partition, rights)
    hanging = [*stuck, *find_remaining(place.aws, place.user, current.keys, ours)]
    remaining = [thing for thing in hanging if thing["name"] != DENY]
    if not remaining and not check_mode:
        if hanging:
            _quarantine.remove_policy(place.aws, place.user, DENY)
        remaining = delete_user(place.aws, place.user)
    after = UserState(user if remaining else None, _attach.PolicyView(), current)
    after, recorded = record_rest(place, after, bool(stuck), check_mode)
    after, marked = mark(place, after, check_mode)
    changed = not remaining or bool(rights.there) or wrote or recorded or marked
    return build_result(place, params, changed, before, after, None, remaining)


def record_rest(place: KeyContext, picture: UserState, stuck: bool, check_mode: bool) -> tuple[UserState, bool]:
    """Make the tags of a user that stays name the policy that could not be deleted, or none. As `mark` for keys."""
    if picture.user is None:
        return picture, False
    made = frozenset({_attach.CUSTOMER if stuck else _attach.INLINE})
    tag, untag = _attach.plan_record(picture.user["tags"], made)
    if not check_mode:
        write_tags(place.aws, place.user, tag, untag)
    user = {**picture.user, "tags": tags_after(picture.user["tags"], tag, untag)}
    return picture._replace(user=user), bool(tag or untag)


def quarantined(place: KeyContext, params: Json, user: Json | None, check_mode: bool) -> Result:
    """Take the rights, which ends tokens in use too and needs nothing of the store, then deactivate our keys."""
    if user is None:
        raise InputError(f"There is no IAM user {place.user} to quarantine.")
    arn = user["arn"].split(":")
    check_user(user, place.store.arn(partition=arn[1], account=arn[4]))
    inline = find_document(place.aws, place.user, _policy.NAME)
    denied = _quarantine.is_denied(place.aws, place.user) and inline is None
    if not (denied or check_mode):
        _quarantine.deny(place.aws, place.user)
    tag = {} if QUARANTINED in user["tags"] else {QUARANTINED: format_time(place.aws.clock())}
    if not check_mode:
        write_tags(place.aws, place.user, tag, ())
    found = read_snapshot(place.aws, place.store, place.user, user, params["policy"])
    shown = _attach.current_view(place.user, found.rights._replace(inline=inline))
    before = UserState(user, shown, KeyState(found.keys, found.entry))
    whose = owners_of(before)
    to_delete = tuple(key.id for key in found.keys if key.status == ACTIVE and whose[key.id] != FOREIGN)
    if not check_mode:
        deactivate_keys(place.aws, place.user, found.keys, to_delete)
    keys = tuple(key._replace(status="Inactive") if key.id in to_delete else key for key in found.keys)
    reported = tell_readers(place, found.entry, check_mode)
    tags = {**user["tags"], **tag}
    left = _attach.current_view(place.user, found.rights._replace(inline=None))
    after = UserState({**user, "tags": tags}, left, KeyState(keys, found.entry))
    foreign = [key.id for key in keys if key.status == ACTIVE]
    warnings = (FOREIGN_STAY.format(place.user, ", ".join(foreign)),) if foreign else ()
    changed = bool(not denied or tag or to_delete or reported)
    return build_result(place, params, changed, before, after, None, warnings=warnings)


def tell_readers(place: KeyContext, entry: Entry | None, check_mode: bool) -> bool:
    """Tag the entry, so that readers of the key, which do not ask IAM, know. Returns whether that was needed."""
    if entry is None or entry.deleted or QUARANTINED in place.store.tags():
        return False
    if not check_mode:
        place.store.tag({QUARANTINED: format_time(place.aws.clock())})
    return True


def absent_user(place: KeyContext, params: Json, check_mode: bool) -> Result:
    """Remove the entry that a user which is gone has left behind; an entry of somebody else is none of it."""
    ours = place.store.tags().get(MANAGED) == place.user
    entry = place.store.read() if ours else None
    there = entry is not None and not entry.deleted
    if there and not check_mode:
        place.store.delete()
    before = UserState(None, _attach.PolicyView(), KeyState((), entry if there else None))
    return build_result(
        place, params, there, before, UserState(None, _attach.PolicyView(), KeyState((), None)), None, []
    )


def build_result(
    place: KeyContext,
    params: Json,
    changed: bool,
    before: UserState,
    after: UserState,
    asked: list[str] | None,
    remaining: list[Json] | None = None,
    rotated: bool = False,
    warnings: tuple[str, ...] = (),
) -> Result:
    """Return what the module reports."""
    now = place.aws.clock()
    stored = next((key for key in after.current.keys if key.id == stored_id(after.current.entry)), None)
    results = {
        "user": after.user,
        "policy": policy_result(after.policy, asked),
        "access_keys": keys_result(after, now),
        "secret_store": {
            "type": params["secret_store"]["type"],
            "name": place.store.name,
            "arn": after.current.entry.arn if after.current.entry else None,
            "region": place.store.region,
            "access_key_id": stored_id(after.current.entry),
        },
        "rotation_due": bool(stored and is_due(stored, now, params["rotate_after_days"])),
        "rotated": rotated,
    }
    if remaining is not None:
        results["remaining"] = remaining
    if remaining:
        warnings = (*warnings, still_there(place.user, remaining))
    return Result(changed, for_diff(before), for_diff(after), results, warnings)


def policy_result(policy: _attach.PolicyView, asked: list[str] | None) -> Json:
    """Return what is reported of the policy."""
    of_aws = policy.kind in _attach.OF_AWS
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


def keys_result(picture: UserState, now: datetime) -> list[Json]:
    """Return what is reported of the keys, one that check mode foresees included."""
    whose, stored = owners_of(picture), stored_id(picture.current.entry)
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
        for key in picture.current.keys
    ]
    if picture.promised:
        new = {"id": None, "status": "Active", "created": None, "age_days": 0, "last_used": None}
        found.append({**new, "ours": True, "stored": True})
    return found


def owners_of(picture: UserState) -> dict[str, str]:
    """Return key id -> whose it is, for the keys of a picture."""
    keys, entry, dummy = picture.current
    marked = marked_keys(picture.user["tags"]) if picture.user else set()
    return owners(keys, marked, stored_id(entry), entry.pending if entry else None)


def for_diff(picture: UserState) -> Json | None:
    """Return what the diff shows: nothing secret, and nothing that changes by itself."""
    keys, entry, dummy = picture.current
    if not (picture.user or entry):
        return None
    access_keys = [{"id": key.id, "status": key.status} for key in keys]
    return {
        "user": picture.user,
        "policy": {"kind": picture.policy.kind, "name": picture.policy.name, "document": picture.policy.document},
        "access_keys": [*access_keys, {"id": None, "status": "Active"}] if picture.promised else access_keys,
        "secret_store": None if entry is None or entry.deleted else entry.arn,
    }


def still_there(user: str, remaining: list[Json]) -> str:
    """Return the warning about a user that could not be removed."""
    things = "; ".join(f"{thing['kind']} {thing['name']} ({thing['remedy']})" for thing in remaining)
    return f"The user {user} stays, without anything of this collection on it, because of what others gave it: {things}"
