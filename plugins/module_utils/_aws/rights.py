# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the rights that runs need; tools/rights.py writes docs/rights.md and docs/policies from
# it.

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from .._core.errors import Json

IAM = "arn:aws:iam::ACCOUNT"
USERS = f"{IAM}:user/runpod/*"
NO_SUCH_USER = f"{IAM}:user/runpod-ecr-access"  # a user that does not exist has no path
ROLES = f"{IAM}:role/runpod/*"
NO_SUCH_ROLE = f"{IAM}:role/runpod-ecr-access"
CUSTOMER_POLICIES = f"{IAM}:policy/runpod/*"
SECRETS = "arn:aws:secretsmanager:*:ACCOUNT:secret:runpod-ecr/*"
PARAMETERS = "arn:aws:ssm:*:ACCOUNT:parameter/runpod-ecr/*"
REPOSITORIES = "arn:aws:ecr:*:ACCOUNT:repository/team/*"
PUBLIC_REPOSITORIES = "arn:aws:ecr-public::ACCOUNT:repository/*"
PUBLIC_REGISTRIES = "arn:aws:ecr-public::ACCOUNT:registry/*"
KEYS = "arn:aws:kms:REGION:ACCOUNT:key/KEY"
ALL = "*"

BOUNDED = {"iam:PermissionsBoundary": f"{IAM}:policy/runpod-pull-boundary"}
AWS_POLICIES = [f"arn:aws:iam::aws:policy/AmazonEC2ContainerRegistry{name}" for name in ("PullOnly", "ReadOnly")]
ATTACHABLE = {**BOUNDED, "iam:PolicyARN": [CUSTOMER_POLICIES, *AWS_POLICIES]}


SSM = "the secret store, with `runpod_ecr_secret_store: {type: ssm}`"


class Rule(NamedTuple):
    """Actions, for what and on what, and whose policies hold them.

    `when` tells what a run must be about: all words of one alternative.
    """

    sid: str
    purpose: str
    actions: str
    resource: str
    when: str = ""
    documents: str = ""
    condition: Json = {}

    def named(self) -> list[str]:
        """Return actions by their whole names; a name alone belongs to the service before it."""
        found: list[str] = []
        for action in self.actions.split():
            found.append(action if ":" in action else f"{found[-1].partition(':')[0]}:{action}")
        return found

    @property
    def required(self) -> bool:
        return not self.purpose.startswith("optional:")

    def concerns(self, facts: Collection[str]) -> bool:
        return any(set(words.split()) <= set(facts) for words in self.when.split("|") if words.strip())

    def statement(self) -> Json:
        condition = {"Condition": {"ArnLike": self.condition}} if self.condition else {}
        return {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": self.named(),
            "Resource": self.resource,
            **condition,
        }


RULES = (
    Rule(
        "ReadPullUsers",
        "the pull user",
        "iam:GetUser GetUserPolicy ListUserPolicies ListAttachedUserPolicies ListGroupsForUser ListAccessKeys "
        "GetAccessKeyLastUsed",
        USERS,
        "user",
        "operator auditor",
    ),
    Rule(
        "SeeWhetherPullUserExists",
        "the same, before it exists",
        "iam:GetUser",
        NO_SUCH_USER,
        "user",
        "operator auditor",
    ),
    Rule(
        "WritePullUsers",
        "the pull user",
        "iam:UpdateUser DeleteUser TagUser UntagUser CreateAccessKey UpdateAccessKey DeleteAccessKey",
        USERS,
        "user write",
        "operator",
    ),
    Rule(
        "OnlyWithBoundary",
        "the pull user and its rights",
        "iam:CreateUser PutUserPolicy DeleteUserPolicy PutUserPermissionsBoundary",
        USERS,
        "user write",
        "operator",
        BOUNDED,
    ),
    Rule(
        "RemoveBoundary",
        "removing a boundary: for nobody whom one is to stop",
        "iam:DeleteUserPermissionsBoundary",
        USERS,
        "user write unbound",
    ),
    Rule(
        "SpellingOfNames",
        "optional: a clearer error about a name in another spelling",
        "iam:ListUsers",
        ALL,
        "user write",
        "operator",
    ),
    Rule(
        "OnlyPullPolicies",
        "more repositories than an inline policy holds (about 30); `runpod_ecr_user_policy: pull_only` or `read_only`",
        "iam:AttachUserPolicy DetachUserPolicy",
        USERS,
        "user write managed",
        "operator-managed-policies",
        ATTACHABLE,
    ),
    Rule(
        "ReadPullRoles",
        "the pull role, with `ecr_pull_role`",
        "iam:GetRole GetRolePolicy ListRolePolicies ListAttachedRolePolicies",
        ROLES,
        "role",
        "operator-role auditor",
    ),
    Rule(
        "SeeWhatUsesPullRoles",
        "the pull role, before it goes",
        "iam:ListInstanceProfilesForRole",
        ROLES,
        "role",
        "operator-role",
    ),
    Rule(
        "SeeWhetherPullRoleExists",
        "the same, before it exists",
        "iam:GetRole",
        NO_SUCH_ROLE,
        "role",
        "operator-role auditor",
    ),
    Rule(
        "WritePullRoles",
        "the pull role",
        "iam:DeleteRole TagRole UntagRole UpdateAssumeRolePolicy",
        ROLES,
        "role write",
        "operator-role",
    ),
    Rule(
        "RolesOnlyWithBoundary",
        "the pull role and its rights",
        "iam:CreateRole PutRolePolicy DeleteRolePolicy PutRolePermissionsBoundary",
        ROLES,
        "role write",
        "operator-role",
        BOUNDED,
    ),
    Rule(
        "AssumePullRole",
        "the pull role, as which tokens are minted; its trust has to name whoever assumes it too",
        "sts:AssumeRole",
        ROLES,
        "assume",
        "operator-role role-refresher",
    ),
    Rule(
        "RemoveBoundaryOfRoles",
        "removing a boundary: for nobody whom one is to stop",
        "iam:DeleteRolePermissionsBoundary",
        ROLES,
        "role write unbound",
    ),
    Rule(
        "RolesOnlyPullPolicies",
        "`policy: pull_only` or `read_only` of a pull role, or a policy beside others' that leave no room",
        "iam:AttachRolePolicy DetachRolePolicy",
        ROLES,
        "role write managed",
        "operator-role",
        ATTACHABLE,
    ),
    Rule(
        "ReadCustomerPolicies",
        "the former of these",
        "iam:GetPolicy GetPolicyVersion",
        CUSTOMER_POLICIES,
        "user write many | user audit",
        "operator-managed-policies auditor",
    ),
    Rule(
        "WriteCustomerPolicies",
        "the former of these",
        "iam:CreatePolicy DeletePolicy TagPolicy ListPolicyVersions CreatePolicyVersion DeletePolicyVersion",
        CUSTOMER_POLICIES,
        "user write many",
        "operator-managed-policies",
    ),
    Rule(
        "ReadSecrets",
        "the secret store",
        "secretsmanager:DescribeSecret GetSecretValue",
        SECRETS,
        "secretsmanager",
        "operator refresher auditor",
    ),
    Rule(
        "TagSecrets",
        "the secret store",
        "secretsmanager:TagResource UntagResource",
        SECRETS,
        "secretsmanager write | secretsmanager refresh",
        "operator refresher",
    ),
    Rule(
        "WriteSecrets",
        "the secret store",
        "secretsmanager:CreateSecret PutSecretValue RestoreSecret DeleteSecret",
        SECRETS,
        "secretsmanager write",
        "operator",
    ),
    Rule(
        "ReadParameters",
        SSM,
        "ssm:GetParameter ListTagsForResource",
        PARAMETERS,
        "ssm",
        "operator refresher auditor",
    ),
    Rule(
        "TagParameters",
        SSM,
        "ssm:AddTagsToResource RemoveTagsFromResource",
        PARAMETERS,
        "ssm write | ssm refresh",
        "operator refresher",
    ),
    Rule("WriteParameters", SSM, "ssm:PutParameter DeleteParameter", PARAMETERS, "ssm write", "operator"),
    Rule(
        "SecretsKey",
        "an entry under a KMS key of your own: `Decrypt`, with `type: ssm` `Encrypt`, else `GenerateDataKey`",
        "kms:Decrypt GenerateDataKey Encrypt",
        KEYS,
        "kms",
    ),
    Rule(
        "ReadImages",
        "every way of access",
        "ecr:BatchGetImage GetDownloadUrlForLayer",
        REPOSITORIES,
        "images",
        "operator operator-role delegation public auditor",
    ),
    Rule(
        "ReadLayers",
        "optional: a run or an audit that tells of layers that are missing",
        "ecr:BatchCheckLayerAvailability",
        REPOSITORIES,
        "images",
        "operator operator-role delegation public auditor",
    ),
    Rule(
        "WatchImages",
        "optional: an audit that tells what lifecycle rules take",
        "ecr:GetLifecyclePolicy DescribeImages",
        REPOSITORIES,
        "audit",
        "auditor",
    ),
    Rule(
        "ReadRepositoryPolicies",
        "`delegation`",
        "ecr:GetRepositoryPolicy",
        REPOSITORIES,
        "delegation",
        "delegation auditor",
    ),
    Rule(
        "WriteRepositoryPolicies",
        "`delegation`",
        "ecr:SetRepositoryPolicy DeleteRepositoryPolicy",
        REPOSITORIES,
        "delegation write",
        "delegation",
    ),
    Rule(
        "Token",
        "`public`; `runpod_ecr_credential` and `ecr_token_sink` without a pull user; `ecr_pull_check` with "
        "`via: registry`; `ecr_image_mirror`",
        "ecr:GetAuthorizationToken",
        ALL,
        "public | caller",
        "public auditor",
    ),
    Rule(
        "PushImages",
        "`ecr_image_mirror` to private repositories",
        "ecr:BatchCheckLayerAvailability InitiateLayerUpload UploadLayerPart CompleteLayerUpload PutImage",
        REPOSITORIES,
        "mirror",
    ),
    Rule(
        "PublicToken",
        "`public`",
        "ecr-public:GetAuthorizationToken sts:GetServiceBearerToken",
        ALL,
        "public",
        "public auditor",
    ),
    Rule(
        "PublicRegistry",
        "`public`",
        "ecr-public:DescribeRegistries",
        PUBLIC_REGISTRIES,
        "public",
        "public auditor",
    ),
    Rule(
        "ReadPublicRepositories",
        "`public`",
        "ecr-public:DescribeRepositories GetRepositoryCatalogData ListTagsForResource",
        PUBLIC_REPOSITORIES,
        "public",
        "public auditor",
    ),
    Rule(
        "WritePublicRepositories",
        "`public`",
        "ecr-public:CreateRepository PutRepositoryCatalogData TagResource UntagResource BatchCheckLayerAvailability "
        "InitiateLayerUpload UploadLayerPart CompleteLayerUpload PutImage",
        PUBLIC_REPOSITORIES,
        "public write",
        "public",
    ),
    Rule(
        "RemovePublicRepositories",
        "`runpod_ecr_public_force`",
        "ecr-public:DescribeImages DeleteRepository",
        PUBLIC_REPOSITORIES,
        "public write force",
    ),
    Rule(
        "ManyUsers",
        "`ecr_pull_user_info` with `path_prefix`",
        "iam:GetAccountAuthorizationDetails",
        ALL,
        "users",
    ),
    Rule(
        "RecentPulls",
        "`ecr_pull_user_info` with `events`; an audit with `runpod_ecr_audit_events`",
        "cloudtrail:LookupEvents",
        ALL,
        "events",
        "auditor",
    ),
    Rule(
        "Preflight",
        "optional: a preflight that tells every right, and the quota of users, before anything is written",
        "iam:SimulatePrincipalPolicy GetAccountSummary",
        ALL,
        documents="preflight",
    ),
    Rule(
        "PreflightAsRole",
        "optional: the same, run as a role that has a path",
        "iam:GetRole",
        f"{IAM}:role/*",
        documents="preflight",
    ),
)
# What a pull user can ever do, whatever its policies say.
BOUNDARY = (
    Rule("Token", "pulling", "ecr:GetAuthorizationToken", ALL),
    Rule(
        "Pull",
        "pulling",
        "ecr:BatchGetImage GetDownloadUrlForLayer BatchCheckLayerAvailability BatchImportUpstreamImage",
        REPOSITORIES,
    ),
)
