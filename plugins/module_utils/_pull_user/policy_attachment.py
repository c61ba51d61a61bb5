# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: policies are made, attached, detached and deleted.

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .._aws.client import Aws, tolerating
from .._aws.policy_document import compact
from .._aws.secret_entry import MANAGED
from .._core.errors import AwsError, ConflictError, Json
from .._core.finding import as_option
from .._core.time import retry_until
from . import pull_policy as _policy
from .policy_change import PolicyChange
from .policy_read import default_document, find_customer, find_document
from .policy_state import CUSTOMER, INLINE, OF_AWS, WAYS, AttachedPolicies, customer_name, policy_of_aws
from .principal import Principal

MOST_VERSIONS = 5
SOON = {"NoSuchEntity"}  # of a user or a policy that is seconds old


def replace(
    aws: Aws,
    principal: Principal,
    partition: str,
    rights: AttachedPolicies,
    move: PolicyChange,
    deadline: datetime,
    is_new: bool,
) -> None:
    """Make the policy, then take away the former. Raise ConflictError when something else uses that too."""
    if move.attach:
        attach(aws, principal, rights, move, deadline, is_new)
    stuck = detach(aws, principal, partition, rights, move.detach)
    if stuck:
        raise ConflictError(
            f"The {principal.kind} {principal.name} has its new policy, and the former one, {stuck[0]['name']}, is "
            f"detached from it, but something else uses that one too. {stuck[0]['remedy']}"
        )


def attach(
    aws: Aws, principal: Principal, rights: AttachedPolicies, move: PolicyChange, deadline: datetime, is_new: bool
) -> None:
    retry_deadline = deadline if is_new or move.target == CUSTOMER else None
    if move.target == INLINE and move.document:
        request: Json = {"PolicyName": _policy.NAME, "PolicyDocument": compact(move.document)}
        retry_until(aws, retry_deadline, lambda: principal.call(aws, "put_{}_policy", **request), SOON)
        see(aws, lambda: find_document(aws, principal, _policy.NAME), move.document, deadline)
        return
    if move.target == CUSTOMER and move.document:
        if rights.customer is None:
            create_customer(aws, principal, move.arn, move.document)
        elif _policy.differs(rights.customer.document, move.document):
            prune(aws, move.arn, MOST_VERSIONS - 1)
            text = compact(move.document)
            aws.call("iam", "create_policy_version", PolicyArn=move.arn, PolicyDocument=text, SetAsDefault=True)
        see(aws, lambda: default_document(aws, move.arn), move.document, deadline)
        if rights.customer and rights.customer.attached:
            return
    retry_until(aws, retry_deadline, lambda: principal.call(aws, "attach_{}_policy", PolicyArn=move.arn), SOON)


def see(aws: Aws, read: Callable[[], Json | None], document: Json, deadline: datetime) -> None:
    """Wait until IAM shows the write, so that the next run adds to it."""
    pause = 1.0
    while _policy.differs(read(), document):
        if aws.clock() >= deadline:
            raise ConflictError(
                "IAM does not show the policy that was just written: somebody else may be changing it. Run again."
            )
        aws.sleep(pause)
        pause = min(pause * 2, 8.0)


def create_customer(aws: Aws, principal: Principal, arn: str, document: Json) -> None:
    """One of ours that appeared meanwhile is as good."""
    path = arn.partition(":policy")[2].removesuffix(customer_name(principal))
    try:
        aws.call(
            "iam",
            "create_policy",
            PolicyName=customer_name(principal),
            Path=path,
            PolicyDocument=compact(document),
            Description=f"What the IAM {principal.kind} {principal.name} may pull, kept by gpuops.runpod",
            Tags=[{"Key": MANAGED, "Value": principal.owner}],
        )
    except AwsError as error:
        if error.code != "EntityAlreadyExists":
            raise
        current = find_customer(aws, principal, arn, {})
        if current is None:
            raise ConflictError(
                f"{error} If a second run says so too, it has another path than {path}: remove it."
            ) from error
        if _policy.differs(current.document, document):
            raise ConflictError(
                f"Another run made the policy {arn} just now, for other repositories. Run again."
            ) from error


def detach(
    aws: Aws, principal: Principal, partition: str, rights: AttachedPolicies, ways: frozenset[str]
) -> list[Json]:
    """Take ways from it, rights first. Return what others use: {kind, name, remedy}."""
    for way in (way for way in WAYS if way in ways):
        with tolerating("NoSuchEntity"):
            if way == INLINE:
                principal.call(aws, "delete_{}_policy", PolicyName=_policy.NAME)
            elif way in OF_AWS:
                principal.call(aws, "detach_{}_policy", PolicyArn=policy_of_aws(partition, way))
            elif rights.customer and rights.customer.attached:
                principal.call(aws, "detach_{}_policy", PolicyArn=rights.customer.arn)
    return delete_customer(aws, rights.customer.arn) if rights.customer and CUSTOMER in ways else []


def delete_customer(aws: Aws, arn: str) -> list[Json]:
    """Return what keeps the policy when it is attached elsewhere too."""
    try:
        with tolerating("NoSuchEntity"):
            prune(aws, arn, 1)
            aws.call("iam", "delete_policy", PolicyArn=arn)
    except AwsError as error:
        if error.code != "DeleteConflict":
            raise
        listing = f"`aws iam list-entities-for-policy --policy-arn{as_option(arn)}`"
        remedy = f"Detach it from what {listing} lists, and run again."
        return [{"kind": "policy in use", "name": arn, "remedy": remedy}]
    return []


def prune(aws: Aws, arn: str, keep: int) -> None:
    """Delete the oldest versions but the default one, down to this many."""
    versions = aws.pages("iam", "list_policy_versions", "Versions", PolicyArn=arn)
    spare = sorted(
        (current for current in versions if not current["IsDefaultVersion"]),
        key=lambda current: (current["CreateDate"], len(current["VersionId"]), current["VersionId"]),
    )
    for version in spare[: max(len(versions) - keep, 0)]:
        aws.call("iam", "delete_policy_version", PolicyArn=arn, VersionId=version["VersionId"])
