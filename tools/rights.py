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


SSM = "the secret store, with `runpod_ecr_secret_store: {type: ssm}`"


class Row(NamedTuple):
    """Actions, for what and on what they are needed, whose policies hold them, and what has to be so."""

    sid: str
    purpose: str
    actions: str
    resource: str
    documents: str = ""
    condition: Json = {}

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
        "the pull user",
        "iam:GetUser GetUserPolicy ListUserPolicies ListAttachedUserPolicies ListGroupsForUser ListAccessKeys "
        "GetAccessKeyLastUsed",
        USERS,
        "operator auditor",
    ),
    Row("SeeWhetherPullUserExists", "the same, before it exists", "iam:GetUser", NO_SUCH_USER, "operator auditor"),
    Row(
        "WritePullUsers",
        "the pull user",
        "iam:UpdateUser DeleteUser TagUser UntagUser CreateAccessKey UpdateAccessKey DeleteAccessKey",
        USERS,
        "operator",
    ),
    Row(
        "OnlyWithBoundary",
        "the pull user and its rights",
        "iam:CreateUser PutUserPolicy DeleteUserPolicy PutUserPermissionsBoundary",
        USERS,
        "operator",
        BOUNDED,
    ),
    Row(
        "RemoveBoundary",
        "removing a boundary: for nobody whom one is to stop",
        "iam:DeleteUserPermissionsBoundary",
        USERS,
    ),
    Row(
        "SpellingOfNames",
        "optional: a clearer error about a name in another spelling",
        "iam:ListUsers",
        "*",
        "operator",
    ),
    Row(
        "OnlyPullPolicies",
        "more repositories than an inline policy holds (about 30); `runpod_ecr_user_policy: pull_only` or `read_only`",
        "iam:AttachUserPolicy DetachUserPolicy",
        USERS,
        "operator-managed-policies",
        ATTACHABLE,
    ),
    Row(
        "ReadCustomerPolicies",
        "the former of these",
        "iam:GetPolicy GetPolicyVersion",
        CUSTOMER_POLICIES,
        "operator-managed-policies auditor",
    ),
    Row(
        "WriteCustomerPolicies",
        "the former of these",
        "iam:CreatePolicy DeletePolicy TagPolicy ListPolicyVersions CreatePolicyVersion DeletePolicyVersion",
        CUSTOMER_POLICIES,
        "operator-managed-policies",
    ),
    Row(
        "ReadSecrets",
        "the secret store",
        "secretsmanager:DescribeSecret GetSecretValue",
        SECRETS,
        "operator refresher auditor",
    ),
    Row("TagSecrets", "the secret store", "secretsmanager:TagResource UntagResource", SECRETS, "operator refresher"),
    Row(
        "WriteSecrets",
        "the secret store",
        "secretsmanager:CreateSecret PutSecretValue RestoreSecret DeleteSecret",
        SECRETS,
        "operator",
    ),
    Row(
        "ReadParameters",
        SSM,
        "ssm:GetParameter ListTagsForResource",
        PARAMETERS,
        "operator refresher auditor",
    ),
    Row(
        "TagParameters",
        SSM,
        "ssm:AddTagsToResource RemoveTagsFromResource",
        PARAMETERS,
        "operator refresher",
    ),
    Row("WriteParameters", SSM, "ssm:PutParameter DeleteParameter", PARAMETERS, "operator"),
    Row(
        "SecretsKey",
        "an entry under a KMS key of your own: `Decrypt`, with `type: ssm` `Encrypt`, else `GenerateDataKey`",
        "kms:Decrypt GenerateDataKey Encrypt",
        "arn:aws:kms:REGION:ACCOUNT:key/KEY",
    ),
    Row(
        "ReadImages",
        "every way of access",
        "ecr:BatchGetImage GetDownloadUrlForLayer",
        REPOSITORIES,
        "operator delegation public auditor",
    ),
    Row(
        "WatchImages",
        "an audit: whether images are whole, and what lifecycle rules take",
        "ecr:BatchCheckLayerAvailability GetLifecyclePolicy DescribeImages",
        REPOSITORIES,
        "operator auditor delegation public",
    ),
    Row(
        "ReadRepositoryPolicies",
        "`delegation`",
        "ecr:GetRepositoryPolicy",
        REPOSITORIES,
        "delegation auditor",
    ),
    Row(
        "WriteRepositoryPolicies",
        "`delegation`",
        "ecr:SetRepositoryPolicy DeleteRepositoryPolicy",
        REPOSITORIES,
        "delegation",
    ),
    Row(
        "Token",
        "`public`; `runpod_ecr_credential` without a pull user; `ecr_pull_check` with `via: registry`; "
        "`ecr_image_mirror`",
        "ecr:GetAuthorizationToken",
        "*",
        "public auditor",
    ),
    Row(
        "PushImages",
        "`ecr_image_mirror` to private repositories",
        "ecr:BatchCheckLayerAvailability InitiateLayerUpload UploadLayerPart CompleteLayerUpload PutImage",
        REPOSITORIES,
    ),
    Row(
        "PublicToken",
        "`public`",
        "ecr-public:GetAuthorizationToken sts:GetServiceBearerToken",
        "*",
        "public auditor",
    ),
    Row(
        "PublicRegistry",
        "`public`",
        "ecr-public:DescribeRegistries",
        "arn:aws:ecr-public::ACCOUNT:registry/*",
        "public auditor",
    ),
    Row(
        "ReadPublicRepositories",
        "`public`",
        "ecr-public:DescribeRepositories GetRepositoryCatalogData ListTagsForResource",
        PUBLIC_REPOSITORIES,
        "public auditor",
    ),
    Row(
        "WritePublicRepositories",
        "`public`",
        "ecr-public:CreateRepository PutRepositoryCatalogData TagResource UntagResource BatchCheckLayerAvailability "
        "InitiateLayerUpload UploadLayerPart CompleteLayerUpload PutImage",
        PUBLIC_REPOSITORIES,
        "public",
    ),
    Row(
        "RemovePublicRepositories",
        "`runpod_ecr_public_force`",
        "ecr-public:DescribeImages DeleteRepository",
        PUBLIC_REPOSITORIES,
    ),
    Row(
        "ManyUsers",
        "`ecr_pull_user_info` with `path_prefix`",
        "iam:GetAccountAuthorizationDetails",
        "*",
    ),
    Row(
        "RecentPulls",
        "`ecr_pull_user_info` with `events`; an audit with `runpod_ecr_audit_events`",
        "cloudtrail:LookupEvents",
        "*",
        "auditor",
    ),
)
# What a pull user can ever do, whatever its policies say.
BOUNDARY = (
    Row("Token", "pulling", "ecr:GetAuthorizationToken", "*"),
    Row(
        "Pull",
        "pulling",
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
    lines = ["| For | Actions | On | Only where | Policies |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *map(line, ROWS)]) + "\n"


def line(row: Row) -> str:
    condition = ", and ".join(f"`{key}` is {alternatives(value)}" for key, value in row.condition.items())
    listed = ", ".join(f"`{name}`" for name in row.documents.split())
    cells = (row.purpose, actions(row), f"`{row.resource}`", condition, listed)
    return " ".join(f"| {cell}".rstrip() for cell in cells) + " |"


def actions(row: Row) -> str:
    groups = groupby(row.named(), lambda action: action.partition(":")[0])
    names = [name if at == 0 else name.partition(":")[2] for dummy, group in groups for at, name in enumerate(group)]
    return ", ".join(f"`{name}`" for name in names)


def alternatives(value: str | list[str]) -> str:
    listed = [value] if isinstance(value, str) else value
    return " or ".join(f"`{re.sub('arn:aws:iam::(ACCOUNT|aws):', '', one)}`" for one in listed)


def written(readme: str) -> str:
    """Return the README with the table as it is."""
    return re.sub(r"^\| For \| Actions \|.*\n(?:\|.*\n)+", lambda dummy: table(), readme, flags=re.MULTILINE)


def main() -> None:
    README.write_text(written(README.read_text()))
    for name, document in documents().items():
        (POLICIES / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
