# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: tags and boundary of a user or a role, and what others gave it.

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from .._aws.client import Aws, tolerating
from .._aws.resource_tags import check_tags
from .._aws.secret_entry import MANAGED, OURS
from .._core.errors import AwsError, ConflictError, InputError, Json
from .._core.finding import FORMATTER, as_option
from . import pull_policy as _policy
from .principal import ROLE, USER, Principal

# A key's own tag is named by the key's id, where the AWS console keeps its description.
KEY_ID = re.compile(r"A[A-Z0-9]{15,127}")


class FieldChange(NamedTuple):
    """None leaves the boundary alone, and an empty one clears it."""

    permissions_boundary: str | None = None
    tag: Json = {}
    untag: tuple[str, ...] = ()


def wanted_tags(option: str, given: Json | None) -> dict[str, str]:
    """Raise InputError for tags that have a meaning for us."""
    tags = {key: str(value) for key, value in (given or {}).items()}
    reserved = sorted(key for key in tags if key.startswith(OURS) or KEY_ID.fullmatch(key))
    if reserved:
        raise InputError(
            f"{option}: {', '.join(reserved)}: names that start with {OURS} or look like an access key's id are "
            "not free to choose."
        )
    check_tags(option, tags)
    return tags


def plan_fields(found: Json | None, option: str, params: Json) -> FieldChange:
    """`option` is the name of that with the tags."""
    tags, boundary = wanted_tags(option, params[option]), params["permissions_boundary"]
    if found is None:
        return FieldChange(boundary or None, {**tags, MANAGED: "true"})
    purge = params["purge_tags"] and params[option] is not None
    return FieldChange(
        boundary if boundary is not None and boundary != (found["permissions_boundary"] or "") else None,
        {key: value for key, value in tags.items() if found["tags"].get(key) != value},
        tuple(key for key in found["tags"] if purge and key not in tags and is_purged(key)),
    )


def is_purged(key: str) -> bool:
    """Return whether an unwanted tag goes: not ours, not AWS', no description of a key."""
    return not (key.startswith((OURS, "aws:")) or KEY_ID.fullmatch(key))


def boundary_after(found: Json | None, wanted: str | None) -> str | None:
    current = found["permissions_boundary"] if found else None
    return (current if wanted is None else wanted) or None


def tags_after(tags: Json, tag: Json, untag: tuple[str, ...]) -> Json:
    return {key: value for key, value in {**tags, **tag}.items() if key not in untag}


def tag_list(tags: Json) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def check_managed(principal: Principal, tags: Json) -> None:
    """Raise ConflictError when somebody else made it."""
    if MANAGED in tags:
        return
    kind, name = principal
    raise ConflictError(
        f"The IAM {kind} {name} exists, but lacks the tag {MANAGED}, so somebody else made it. Choose another name, "
        f"or hand it over: aws iam tag-{kind} --{kind}-name{as_option(name)} --tags Key={MANAGED},Value=true"
    )


def write_fields(aws: Aws, principal: Principal, change: FieldChange) -> None:
    if change.permissions_boundary:
        principal.call(aws, "put_{}_permissions_boundary", PermissionsBoundary=change.permissions_boundary)
    elif change.permissions_boundary == "":
        principal.call(aws, "delete_{}_permissions_boundary")
    write_tags(aws, principal, change.tag, change.untag)


def write_tags(aws: Aws, principal: Principal, tag: Json, untag: Iterable[str]) -> None:
    if tag:
        principal.call(aws, "tag_{}", Tags=tag_list(tag))
    if untag:
        principal.call(aws, "untag_{}", TagKeys=list(untag))


# What this collection never makes: listing, where names are, how to remove one.
POLICIES = [
    (
        "list_{}_policies",
        "PolicyNames",
        None,
        "inline policy",
        "aws iam delete-{kind}-policy --policy-name{thing!o} --{kind}-name{name!o}",
    ),
    (
        "list_attached_{}_policies",
        "AttachedPolicies",
        "PolicyArn",
        "attached policy",
        "aws iam detach-{kind}-policy --policy-arn{thing!o} --{kind}-name{name!o}",
    ),
]
GROUPS = (
    "list_groups_for_{}",
    "Groups",
    "GroupName",
    "group",
    "aws iam remove-user-from-group --group-name{thing!o} --user-name{name!o}",
)
PROFILES = (
    "list_instance_profiles_for_{}",
    "InstanceProfiles",
    "InstanceProfileName",
    "instance profile",
    "aws iam remove-role-from-instance-profile --instance-profile-name{thing!o} --role-name{name!o}",
)
DELETE_KEY = "aws iam delete-access-key --access-key-id{thing!o} --user-name{name!o}"

UNLISTED = {
    USER: "Look for a login profile, MFA devices, certificates, SSH keys and service-specific credentials.",
    ROLE: "Look for what its error names, and run again.",
}


def find_others(aws: Aws, principal: Principal, keys: Iterable[str], ours: Collection[str]) -> list[Json]:
    """Return what keeps it but for our policy: {kind, name, remedy}. `keys` are ids of others', `ours` ARNs of
    managed policies that we attached.
    """
    kind, name = principal
    found = [("access key", key, DELETE_KEY) for key in keys]
    for operation, listing, field, what, remedy in [*POLICIES, GROUPS if kind == USER else PROFILES]:
        for item in principal.pages(aws, operation, listing):
            found.append((what, item[field] if field else item, remedy))
    return [
        {"kind": what, "name": thing, "remedy": FORMATTER.format(remedy, kind=kind, thing=thing, name=name)}
        for what, thing, remedy in found
        if (what, thing) != ("inline policy", _policy.NAME) and thing not in ours
    ]


def delete_principal(aws: Aws, principal: Principal) -> list[Json]:
    """Return what is in the way, when AWS refuses."""
    try:
        with tolerating("NoSuchEntity"):
            principal.call(aws, "delete_{}")
    except AwsError as error:
        if error.code != "DeleteConflict":
            raise
        return [{"kind": "other", "name": error.text, "remedy": UNLISTED[principal.kind]}]
    return []
