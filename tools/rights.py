# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights on AWS, in one table: `python tools/rights.py` writes it into the README and docs/policies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
POLICIES = ROOT / "docs" / "policies"

IAM = "arn:aws:iam::ACCOUNT"
USERS = f"{IAM}:user/runpod/*"
NO_SUCH_USER = f"{IAM}:user/runpod-ecr-access"  # a user that does not exist has no path
CUSTOMER_POLICIES = f"{IAM}:policy/runpod/*"
SECRETS = "arn:aws:secretsmanager:*:ACCOUNT:secret:runpod-ecr/*"
PARAMETERS = "arn:aws:ssm:*:ACCOUNT:parameter/runpod-ecr/*"
REPOSITORIES = "arn:aws:ecr:*:ACCOUNT:repository/team/*"
PUBLIC_REPOSITORIES = "arn:aws:ecr-public::ACCOUNT:repository/*"

BOUNDED = {"iam:PermissionsBoundary": f"{IAM}:policy/runpod-pull-boundary"}
AWS_POLICIES = [f"arn:aws:iam::aws:policy/AmazonEC2ContainerRegistry{name}" for name in ("PullOnly", "ReadOnly")]
ATTACHABLE = {**BOUNDED, "iam:PolicyARN": [CUSTOMER_POLICIES, *AWS_POLICIES]}


class Row(NamedTuple):
    """Actions, what they are on, whose policies hold them, what has to be so, and when they are needed."""

    sid: str
    actions: str
    resource: str
    documents: str = ""
    condition: Json = {}
    when: str = ""

    def named(self) -> list[str]:
        """Return the actions by their whole names; of a name alone, the service is the last one given."""
        found: list[str] = []
        for action in self.actions.split():
            found.append(action if ":" in action else f"{found[-1].partition(':')[0]}:{action}")
        return found

    def statement(self) -> Json:
        condition = {"Condition": {"ArnLike": self.condition}} if self.condition else {}
        return {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": self.named(),
            "Resource": self.resource,
            **condition,
        }


ROWS = (
    Row(
        "ReadPullUsers",
        "iam:GetUser GetUserPolicy ListUserPolicies ListAttachedUserPolicies ListGroupsForUser ListAccessKeys "
        "GetAccessKeyLastUsed",
        USERS,
        "operator auditor",
    ),
    Row("SeeWhetherPullUserExists", "iam:GetUser", NO_SUCH_USER, "operator auditor", when="before it exists"),
    Row(
        "WritePullUsers",
        "iam:UpdateUser DeleteUser TagUser UntagUser CreateAccessKey UpdateAccessKey DeleteAccessKey",
        USERS,
        "operator",
    ),
    Row(
        "OnlyWithBoundary",
        "iam:CreateUser PutUserPolicy DeleteUserPolicy PutUserPermissionsBoundary",
        USERS,
        "operator",
        BOUNDED,
    ),
    Row(
        "RemoveBoundary",
        "iam:DeleteUserPermissionsBoundary",
        USERS,
        when="only to remove a boundary, and then for nobody whom it is to stop",
    ),
    Row("SpellingOfNames", "iam:ListUsers", "*", "operator", when="optionally, for a clearer error about a name"),
    Row(
        "OnlyPullPolicies",
        "iam:AttachUserPolicy DetachUserPolicy",
        USERS,
        "operator-managed-policies",
        ATTACHABLE,
        when="for more repositories than an inline policy holds (about 30), or `runpod_ecr_user_policy: pull_only` or "
        "`read_only`:",
    ),
    Row(
        "ReadCustomerPolicies",
        "iam:GetPolicy GetPolicyVersion",
        CUSTOMER_POLICIES,
        "operator-managed-policies auditor",
        when="and for the former",
    ),
    Row(
        "WriteCustomerPolicies",
        "iam:CreatePolicy DeletePolicy TagPolicy ListPolicyVersions CreatePolicyVersion DeletePolicyVersion",
        CUSTOMER_POLICIES,
        "operator-managed-policies",
        when="and",
    ),
    Row(
        "ReadSecrets",
        "secretsmanager:DescribeSecret GetSecretValue",
        SECRETS,
        "operator refresher auditor",
    ),
    Row("TagSecrets", "secretsmanager:TagResource UntagResource", SECRETS, "operator refresher"),
    Row("WriteSecrets", "secretsmanager:CreateSecret PutSecretValue RestoreSecret DeleteSecret", SECRETS, "operator"),
    Row(
        "ReadParameters",
        "ssm:GetParameter ListTagsForResource",
        PARAMETERS,
        "operator refresher auditor",
        when="or, with `runpod_ecr_secret_store: {type: ssm}`,",
    ),
    Row(
        "TagParameters",
        "ssm:AddTagsToResource RemoveTagsFromResource",
        PARAMETERS,
        "operator refresher",
        when="and",
    ),
    Row("WriteParameters", "ssm:PutParameter DeleteParameter", PARAMETERS, "operator", when="and"),
    Row(
        "SecretsKey",
        "kms:Decrypt GenerateDataKey Encrypt",
        "arn:aws:kms:REGION:ACCOUNT:key/KEY",
        when="for an entry under a KMS key of your own (`Encrypt` with `type: ssm`, `GenerateDataKey` without):",
    ),
    Row(
        "ReadImages",
        "ecr:BatchGetImage GetDownloadUrlForLayer",
        REPOSITORIES,
        "operator delegation public auditor",
    ),
    Row(
        "ReadRepositoryPolicies",
        "ecr:GetRepositoryPolicy",
        REPOSITORIES,
        "delegation auditor",
        when="for `delegation`",
    ),
    Row(
        "WriteRepositoryPolicies",
        "ecr:SetRepositoryPolicy DeleteRepositoryPolicy",
        REPOSITORIES,
        "delegation",
        when="and",
    ),
    Row(
        "Token",
        "ecr:GetAuthorizationToken",
        "*",
        "public auditor",
        when="for `public`, and for `runpod_ecr_credential` without a pull user, `ecr_pull_check` with `via: registry` "
        "and `ecr_image_mirror`",
    ),
    Row(
        "PushImages",
        "ecr:BatchCheckLayerAvailability InitiateLayerUpload UploadLayerPart CompleteLayerUpload PutImage",
        REPOSITORIES,
        when="only for `ecr_image_mirror` to private repositories:",
    ),
    Row(
        "PublicToken",
        "ecr-public:GetAuthorizationToken sts:GetServiceBearerToken",
        "*",
        "public auditor",
        when="for `public`",
    ),
    Row(
        "PublicRegistry",
        "ecr-public:DescribeRegistries",
        "arn:aws:ecr-public::ACCOUNT:registry/*",
        "public auditor",
        when="and",
    ),
    Row(
        "ReadPublicRepositories",
        "ecr-public:DescribeRepositories GetRepositoryCatalogData ListTagsForResource",
        PUBLIC_REPOSITORIES,
        "public auditor",
        when="and",
    ),
    Row(
        "WritePublicRepositories",
        "ecr-public:CreateRepository PutRepositoryCatalogData TagResource UntagResource BatchCheckLayerAvailability "
        "InitiateLayerUpload UploadLayerPart CompleteLayerUpload PutImage",
        PUBLIC_REPOSITORIES,
        "public",
        when="and",
    ),
    Row(
        "RemovePublicRepositories",
        "ecr-public:DescribeImages DeleteRepository",
        PUBLIC_REPOSITORIES,
        when="only for `runpod_ecr_public_force`:",
    ),
    Row(
        "ManyUsers",
        "iam:GetAccountAuthorizationDetails",
        "*",
        when="only for `ecr_pull_user_info` with `path_prefix`:",
    ),
    Row(
        "RecentPulls",
        "cloudtrail:LookupEvents",
        "*",
        "auditor",
        when="only for `ecr_pull_user_info` with `events`, and so for an audit with `runpod_ecr_audit_events`:",
    ),
)
# What a pull user can ever do, whatever its policies say.
BOUNDARY = (
    Row("Token", "ecr:GetAuthorizationToken", "*"),
    Row(
        "Pull",
        "ecr:BatchGetImage GetDownloadUrlForLayer BatchCheckLayerAvailability BatchImportUpstreamImage",
        REPOSITORIES,
    ),
)


def policy(rows: Iterable[Row]) -> Json:
    return {"Version": "2012-10-17", "Statement": [row.statement() for row in rows]}


def documents() -> dict[str, Json]:
    """Return the policies by the names of their files."""
    names = sorted({name for row in ROWS for name in row.documents.split()})
    found = {name: policy(row for row in ROWS if name in row.documents.split()) for name in names}
    return {**found, "pull-boundary": policy(BOUNDARY)}


def table() -> str:
    """Return the table of the README."""
    lines = ["| Actions | On | Only with | In the policy of |", "|---|---|---|---|"]
    return "\n".join([*lines, *map(line, ROWS)]) + "\n"


def line(row: Row) -> str:
    condition = "; ".join(f"`{key}` {alternatives(value)}" for key, value in row.condition.items())
    listed = ", ".join(f"`{name}`" for name in row.documents.split())
    return f"| {f'{row.when} {actions(row)}'.strip()} | `{row.resource}` | {condition} | {listed} |".replace(
        "|  |", "| |"
    )


def actions(row: Row) -> str:
    groups = groupby(row.named(), lambda action: action.partition(":")[0])
    names = [name if at == 0 else name.partition(":")[2] for dummy, group in groups for at, name in enumerate(group)]
    return ", ".join(f"`{name}`" for name in names)


def alternatives(value: str | list[str]) -> str:
    return " or ".join(f"`{one}`" for one in ([value] if isinstance(value, str) else value))


def written(readme: str) -> str:
    """Return the README with the table as it is."""
    return re.sub(r"^\| Actions \| On \|.*\n(?:\|.*\n)+", lambda dummy: table(), readme, flags=re.MULTILINE)


def main() -> None:
    README.write_text(written(README.read_text()))
    for name, document in documents().items():
        (POLICIES / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
