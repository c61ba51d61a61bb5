# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the IAM user, without its keys.

from __future__ import annotations

import re
from typing import NamedTuple

from .._aws.client import Aws, tolerating
from .._aws.secret_entry import MANAGED, Entry, TokenRecord
from .._aws.secret_store import SecretStore
from .._core.errors import DENIED, AwsError, ConflictError, Json
from .access_keys import AccessKey
from .entry_lock import LockLostError
from .policy_state import AttachedPolicies
from .principal import USER, Principal
from .principal_fields import (
    KEY_ID,
    FieldChange,
    boundary_after,
    check_managed,
    plan_fields,
    tag_list,
    tags_after,
    write_fields,
)

SECRET = "gpuops.runpod/secret"  # names the user's entry in the secret store, by ARN
KEY_MARK = "gpuops.runpod"  # of a key's own tag, see KEY_ID
RANDOM_SUFFIX = re.compile(r"(:secretsmanager:.*)-[A-Za-z0-9]{6}$")


class UserState(NamedTuple):
    """`user` None means that there is none.

    `tokens` are those at RunPod that the entry's tags tell of, `others` what keeps the user from being deleted,
    `promised` a key still to be made.
    """

    partition: str
    account: str
    user: Json | None
    policies: AttachedPolicies = AttachedPolicies()
    keys: tuple[AccessKey, ...] = ()
    entry: Entry | None = None
    tokens: tuple[TokenRecord, ...] = ()
    denied: bool = False
    others: tuple[Json, ...] = ()
    promised: bool = False

    @property
    def tags(self) -> Json:
        return self.user["tags"] if self.user else {}


class UserChange(NamedTuple):
    """None leaves a field alone, and an empty boundary clears it."""

    create: bool = False
    path: str | None = None
    permissions_boundary: str | None = None
    tag: Json = {}
    untag: tuple[str, ...] = ()


def find_user(aws: Aws, name: str) -> Json | None:
    with tolerating("NoSuchEntity"):
        user = aws.call("iam", "get_user", UserName=name)["User"]
        if user["UserName"] != name:
            raise ConflictError(spelled_otherwise(name, user["UserName"]))
        return {
            "name": name,
            "arn": user["Arn"],
            "path": user["Path"],
            "tags": {tag["Key"]: tag["Value"] for tag in user.get("Tags", [])},
            "permissions_boundary": user.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        }
    return None


def find_keys(aws: Aws, user: str) -> tuple[AccessKey, ...]:
    keys = []
    for key in aws.pages("iam", "list_access_keys", "AccessKeyMetadata", UserName=user):
        used = aws.call("iam", "get_access_key_last_used", AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
        date = used.get("LastUsedDate")
        where = (used.get("ServiceName"), used.get("Region")) if date else (None, None)
        keys.append(AccessKey(key["AccessKeyId"], key["Status"], key["CreateDate"], date, *where))
    return tuple(keys)


def spelled_otherwise(name: str, spelling: str) -> str:
    return (
        f"There is an IAM user {spelling!r}, and IAM does not tell it from {name!r}, since it ignores case: "
        f"set name to {spelling!r}, or to another name."
    )


def check_user(user: Json, store_arn: str) -> None:
    """Raise ConflictError when the user is not ours, or its key is in another store."""
    name = user["name"]
    check_managed(Principal(USER, name), user["tags"])
    recorded = user["tags"].get(SECRET)
    if recorded and RANDOM_SUFFIX.sub(r"\1", recorded) != store_arn:
        raise ConflictError(
            f"The access key of the user {name} is in {recorded}, but secret_store means {store_arn}. Name the store "
            "that holds the key, or remove the key first (key_state: absent with the former store)."
        )


def check_entry(store: SecretStore, entry: Entry, name: str, user: Json | None) -> None:
    """Raise ConflictError unless the user's tag, or else the entry's own, proves that it is ours."""
    if user and user["tags"].get(SECRET) == entry.arn:
        return
    if store.tags().get(MANAGED) != name:
        raise ConflictError(
            f"The entry {store.name} of the secret store exists, but its tag {MANAGED} does not name the user {name}. "
            f"Name another entry in secret_store, or hand this one over: {store.claim(name)}"
        )


def plan_user(user: Json | None, params: Json) -> UserChange:
    fields, path = plan_fields(user, "user_tags", params), params["path"]
    if user is None:
        return UserChange(True, path, *fields)
    return UserChange(False, path if path != user["path"] else None, *fields)


def user_after(found: UserState, name: str, change: UserChange) -> Json:
    user = found.user or {"name": name, "path": change.path, "tags": {}, "permissions_boundary": None}
    path = change.path or user["path"]
    return {
        "name": name,
        "arn": f"arn:{found.partition}:iam::{found.account}:user{path}{name}",
        "path": path,
        "tags": tags_after(user["tags"], change.tag, change.untag),
        "permissions_boundary": boundary_after(user, change.permissions_boundary),
    }


def write_user(aws: Aws, name: str, change: UserChange) -> None:
    if change.create:
        create_user(aws, name, change)
        return
    if change.path is not None:
        aws.call("iam", "update_user", UserName=name, NewPath=change.path)
    write_fields(aws, Principal(USER, name), FieldChange(*change[2:]))


def create_user(aws: Aws, name: str, change: UserChange) -> None:
    """Raise LockLostError for a user that is there by now and ours, to look anew."""
    options: Json = {"PermissionsBoundary": change.permissions_boundary} if change.permissions_boundary else {}
    try:
        aws.call("iam", "create_user", UserName=name, Path=change.path, Tags=tag_list(change.tag), **options)
    except AwsError as error:
        if error.code != "EntityAlreadyExists":
            raise
        user = find_user(aws, name)
        if user is None:
            raise ConflictError(spelled_otherwise(name, spelling_of(aws, name))) from error
        if MANAGED not in user["tags"]:
            raise ConflictError(f"{error} Somebody else made the user {name} just now: choose another name.") from error
        raise LockLostError(f"{error} Run again.") from error


def spelling_of(aws: Aws, name: str) -> str:
    """Return IAM's spelling of the name; the given one when that cannot be listed."""
    with tolerating(*DENIED):
        for user in aws.pages("iam", "list_users", "Users"):
            if user["UserName"].lower() == name.lower():
                return user["UserName"]
    return f"{name} in another spelling"


def marked_keys(tags: Json) -> set[str]:
    return {key for key, value in tags.items() if value == KEY_MARK and KEY_ID.fullmatch(key)}


def plan_marks(tags: Json, entry: Entry | None, keys: tuple[AccessKey, ...]) -> tuple[Json, tuple[str, ...]]:
    """Return the tags to add and drop to name the entry and our keys."""
    marks = {}
    if entry:
        marks[SECRET] = entry.arn
        if entry.key:
            marks[entry.key.access_key_id] = KEY_MARK
    gone = marked_keys(tags) - {key.id for key in keys} - set(marks)
    stale = gone if entry else {*gone, SECRET} & set(tags)
    return {key: value for key, value in marks.items() if tags.get(key) != value}, tuple(sorted(stale))
