# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the IAM role, without its policies.

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from .._aws.client import Aws, tolerating
from .._aws.policy_document import compact
from .._core.errors import AwsError, ConflictError, InputError, Json
from . import pull_policy as _policy
from .policy_state import AttachedPolicies
from .principal import ROLE, Principal
from .principal_fields import (
    FieldChange,
    boundary_after,
    check_managed,
    plan_fields,
    tag_list,
    tags_after,
    write_fields,
)
from .trust import trust_document


class RoleState(NamedTuple):
    """`role` None means that there is none; `others` keep it from being deleted."""

    partition: str
    account: str
    role: Json | None
    policies: AttachedPolicies = AttachedPolicies()
    others: tuple[Json, ...] = ()

    @property
    def tags(self) -> Json:
        return self.role["tags"] if self.role else {}


class RoleChange(NamedTuple):
    """`trust` None leaves the document alone."""

    create: bool = False
    path: str = ""
    trust: Json | None = None
    fields: FieldChange = FieldChange()


class RoleAppearedError(ConflictError):
    """Another run has made the role: look again."""


def find_role(aws: Aws, name: str) -> Json | None:
    with tolerating("NoSuchEntity"):
        role = aws.call("iam", "get_role", RoleName=name)["Role"]
        if role["RoleName"] != name:
            spelling = role["RoleName"]
            raise ConflictError(
                f"There is an IAM role {spelling!r}, and IAM does not tell it from {name!r}, since it ignores case: "
                f"set name to {spelling!r}, or to another name."
            )
        return {
            "name": name,
            "arn": role["Arn"],
            "path": role["Path"],
            "tags": {tag["Key"]: tag["Value"] for tag in role.get("Tags", [])},
            "permissions_boundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            "trust": role["AssumeRolePolicyDocument"],
        }
    return None


def plan_role(state: RoleState, params: Json) -> RoleChange:
    """Raise InputError or ConflictError before anything is changed."""
    role, path = state.role, params["path"]
    trust = None if params["trust"] is None else trust_document(params["trust"], state.partition)
    fields = plan_fields(role, "role_tags", params)
    if role is None:
        if trust is None:
            raise InputError(
                f"There is no IAM role {params['name']} yet: name in trust who may assume it, as who refreshes."
            )
        return RoleChange(True, path, trust, fields)
    check_managed(Principal(ROLE, params["name"]), role["tags"])
    if role["path"] != path:
        raise ConflictError(
            f"The IAM role {role['name']} is at the path {role['path']}, not {path}, and IAM moves no role: set path "
            f"to {role['path']}, or choose another name."
        )
    return RoleChange(trust=trust if trust and _policy.differs(role["trust"], trust) else None, fields=fields)


def role_after(state: RoleState, name: str, change: RoleChange) -> Json:
    role = state.role or {"path": change.path, "tags": {}, "trust": None}
    fields = change.fields
    return {
        "name": name,
        "arn": f"arn:{state.partition}:iam::{state.account}:role{role['path']}{name}",
        "path": role["path"],
        "tags": tags_after(role["tags"], fields.tag, fields.untag),
        "permissions_boundary": boundary_after(state.role, fields.permissions_boundary),
        "trust": change.trust or role["trust"],
    }


def write_role(aws: Aws, principal: Principal, change: RoleChange) -> None:
    """The trust of a role that exists waits for its rights: see write_trust."""
    if change.create:
        create_role(aws, principal, change)
    else:
        write_fields(aws, principal, change.fields)


def create_role(aws: Aws, principal: Principal, change: RoleChange) -> None:
    """Raise RoleAppearedError for a role that is there by now and ours."""
    boundary = change.fields.permissions_boundary
    options: Json = {"PermissionsBoundary": boundary} if boundary else {}
    try:
        with naming_principals():
            principal.call(
                aws,
                "create_{}",
                Path=change.path,
                AssumeRolePolicyDocument=compact(change.trust or {}),
                Description="Pulls from Amazon ECR for RunPod, kept by gpuops.runpod",
                Tags=tag_list(change.fields.tag),
                **options,
            )
    except AwsError as error:
        if error.code != "EntityAlreadyExists":
            raise
        role = find_role(aws, principal.name)
        if role is None:
            raise ConflictError(f"{error} IAM ignores case: choose another name than {principal.name}.") from error
        check_managed(principal, role["tags"])
        raise RoleAppearedError(f"{error} Run again.") from error


def write_trust(aws: Aws, principal: Principal, trust: Json) -> None:
    with naming_principals():
        aws.call("iam", "update_assume_role_policy", RoleName=principal.name, PolicyDocument=compact(trust))


@contextmanager
def naming_principals() -> Iterator[None]:
    """IAM takes nobody into a trust whom there is not."""
    try:
        yield
    except AwsError as error:
        if error.code != "MalformedPolicyDocument":
            raise
        raise ConflictError(f"{error} Look in trust for somebody who does not exist, or does not exist yet.") from error
