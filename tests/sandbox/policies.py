# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the statements of a policy of AWS say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]
# What a call needs besides the action of its own name when it hands tags over
TAGGING = {
    "iam:CreateUser": "iam:TagUser",
    "iam:CreateRole": "iam:TagRole",
    "iam:CreatePolicy": "iam:TagPolicy",
    "secretsmanager:CreateSecret": "secretsmanager:TagResource",
    "ssm:PutParameter": "ssm:AddTagsToResource",
    "ecr-public:CreateRepository": "ecr-public:TagResource",
}
# What a call needs besides in any case
TOGETHER = {"ecr-public:GetAuthorizationToken": {"sts:GetServiceBearerToken"}}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def fits(pattern: str, text: str) -> bool:
    wildcard = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wildcard, text, re.DOTALL) is not None


def names(statement: Document, key: str, text: str) -> bool:
    """Tell whether a statement's Action or Resource, or what it excepts from all, covers a text."""
    if key in statement:
        return any(fits(pattern, text) for pattern in listed(statement[key]))
    return not any(fits(pattern, text) for pattern in listed(statement[f"Not{key}"]))


def covers(statement: Document, action: str, resource: str) -> bool:
    keys = statement.keys() & {"Action", "NotAction"}
    lowered = {key: [one.lower() for one in listed(statement[key])] for key in keys}
    return names(lowered, "Action", action.lower()) and names(statement, "Resource", resource)


# By what IAM judges a call on users and policies

BOUNDARY, ATTACHED = "iam:PermissionsBoundary", "iam:PolicyARN"
KINDS = ("User", "Role")
SET_A_BOUNDARY = {name for kind in KINDS for name in (f"Create{kind}", f"Put{kind}PermissionsBoundary")}
ATTACH = {f"{verb}{kind}Policy" for kind in KINDS for verb in ("Attach", "Detach")}
NEED_A_BOUNDARY = ATTACH | {
    name for kind in KINDS for name in (f"Put{kind}Policy", f"Delete{kind}Policy", f"Delete{kind}PermissionsBoundary")
}


def iam_resources(account: str, operation: str, given: Document, arn: str | None) -> list[str]:
    """Return what a call is judged by, of a user or role with this ARN. One that does not exist has no path."""
    iam = f"arn:aws:iam::{account}"
    if operation == "CreatePolicy":
        return [f"{iam}:policy{given.get('Path', '/')}{given['PolicyName']}"]
    if operation == "CreateUser":
        return [f"{iam}:user{given.get('Path', '/')}{given['UserName']}"]
    if operation == "CreateRole":
        return [f"{iam}:role{given.get('Path', '/')}{given['RoleName']}"]
    if arn:
        return [arn, *_renamed(operation, given, arn)]
    for kind in KINDS:
        if f"{kind}Name" in given:
            return [f"{iam}:{kind.lower()}/{given[f'{kind}Name']}"]
    return [given.get("PolicyArn", "*")]


def _renamed(operation: str, given: Document, user_arn: str) -> list[str]:
    """Return what a user is called afterwards, which UpdateUser needs the right on too."""
    if operation != "UpdateUser":
        return []
    head, path, name = re.fullmatch(r"(.+:user)(/(?:.+/)?)([^/]+)", user_arn).groups()  # type: ignore[union-attr]
    return [f"{head}{given.get('NewPath', path)}{given.get('NewUserName', name)}"]


def iam_context(operation: str, given: Document, boundary: str | None) -> dict[str, str]:
    """Return the condition keys of a call on a user that has this boundary."""
    keys = {ATTACHED: given["PolicyArn"]} if operation in ATTACH else {}
    seen = given.get("PermissionsBoundary") if operation in SET_A_BOUNDARY else boundary
    return {**keys, BOUNDARY: seen} if seen and operation in SET_A_BOUNDARY | NEED_A_BOUNDARY else keys
