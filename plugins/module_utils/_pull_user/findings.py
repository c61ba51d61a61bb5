# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the findings on a user. A new one is a new row, and what yields it in audit.py.

from __future__ import annotations

from .._core.finding import Rule
from .user_report import DELETED, MISSING, PENDING, UNREADABLE

TABLE = {
    "user_missing": Rule(
        "user_missing",
        "error",
        "There is no IAM user {user}.",
        "{create}",
    ),
    "path_empty": Rule(
        "user_missing",
        "warning",
        "No IAM user has a path that begins with {prefix}.",
        "Correct path_prefix, or make a user there: {create}",
    ),
    "not_managed": Rule(
        "not_managed",
        "info",
        "The user lacks the tag gpuops.runpod/managed, so somebody else made it, and nothing else of it is judged.",
        "Leave it, or hand it over: aws iam tag-user --user-name{user!o} --tags Key=gpuops.runpod/managed,Value=true",
    ),
    "quarantined": Rule(
        "quarantined",
        "error",
        "The user is in quarantine: it cannot pull, and its keys are neither rotated nor refreshed.",
        "When the incident is over: {release}",
    ),
    "rotation_due": Rule(
        "rotation_due",
        "warning",
        "The access key {id} is {age_days} days old.",
        "{rotate}",
    ),
    "stored_key_unused": Rule(
        "key_unused",
        "warning",
        "The access key {id} is {age_days} days old and was last used {used}, so nothing refreshes tokens with it.",
        "Schedule the refresh, or if nothing needs the user any more: {remove}",
    ),
    "key_unused": Rule(
        "key_unused",
        "warning",
        "The access key {id} is {age_days} days old and was last used {used}.",
        "aws iam update-access-key --access-key-id{id!o} --status Inactive --user-name{user!o}",
    ),
    "key_inactive": Rule(
        "key_inactive",
        "info",
        "The access key {id} of this collection is {status} and takes up one of two.",
        "aws iam delete-access-key --access-key-id{id!o} --user-name{user!o}",
    ),
    "foreign_key": Rule(
        "foreign_key",
        "warning",
        "Somebody else made the access key {id}, which is {age_days} days old and was last used {used}.",
        "When nothing needs it: aws iam update-access-key --access-key-id{id!o} --status Inactive --user-name{user!o}",
    ),
    "foreign_key_inactive": Rule(
        "foreign_key",
        "info",
        "Somebody else made the access key {id}. It is {status} and takes up one of two.",
        "aws iam delete-access-key --access-key-id{id!o} --user-name{user!o}",
    ),
    "two_active_keys": Rule(
        "two_active_keys",
        "warning",
        "Two access keys work, {ids}. While a key is being rotated that is as it should be.",
        "When no token needs it: aws iam update-access-key --access-key-id{id!o} --status Inactive --user-name{user!o}",
    ),
    MISSING: Rule(
        "secret_missing",
        "error",
        "The secret store has no entry {store}.",
        "{converge}",
    ),
    DELETED: Rule(
        "secret_missing",
        "error",
        "The entry {store} of the secret store is being deleted.",
        "{converge}",
    ),
    PENDING: Rule(
        "secret_missing",
        "error",
        "The entry {store} of the secret store holds no key, only a note that one is being made.",
        "{converge}",
    ),
    UNREADABLE: Rule(
        "secret_unreadable",
        "error",
        "The entry {store} of the secret store could not be read: {error}",
        "Mend what the cause tells, then run this again.",
    ),
    "secret_key_mismatch": Rule(
        "secret_key_mismatch",
        "error",
        "The entry {store} of the secret store holds the access key {id}, which the user does not have.",
        "{converge}",
    ),
    "secret_key_inactive": Rule(
        "secret_key_inactive",
        "error",
        "The access key {id} is the one in the secret store, and it is {status}.",
        "When nobody did that on purpose: aws iam update-access-key --access-key-id{id!o} --status Active "
        "--user-name{user!o}",
    ),
    "policy_missing": Rule(
        "policy_missing",
        "error",
        "The user has no policy of this collection, so it cannot pull anything.",
        "{exactly}",
    ),
    "drift_missing": Rule(
        "policy_drift",
        "error",
        "The policy {policy} does not open {repositories}.",
        "{exactly}",
    ),
    "drift_extra": Rule(
        "policy_drift",
        "warning",
        "The policy {policy} opens {repositories} besides what it should.",
        "{exactly}",
    ),
    "drift_other": Rule(
        "policy_drift",
        "error",
        "Somebody changed what the policy {policy} allows on its repositories, or on others.",
        "{exactly}",
    ),
    "foreign_inline": Rule(
        "foreign_policy",
        "warning",
        "Somebody else gave the user the inline policy {policy}.",
        "aws iam delete-user-policy --policy-name{policy!o} --user-name{user!o}",
    ),
    "foreign_attached": Rule(
        "foreign_policy",
        "warning",
        "Somebody else attached the policy {policy} to the user.",
        "aws iam detach-user-policy --policy-arn{policy!o} --user-name{user!o}",
    ),
    "foreign_group": Rule(
        "foreign_policy",
        "warning",
        "The user is in the group {group} and has the rights of its policies.",
        "aws iam remove-user-from-group --group-name{group!o} --user-name{user!o}",
    ),
    "boundary_missing": Rule(
        "boundary_missing",
        "info",
        "The user has no permissions boundary, so whoever may write its policies may give it any right.",
        "With the ARN of your boundary: {bound}",
    ),
    "inline_near": Rule(
        "quota_near",
        "warning",
        "The inline policies of the user have {used} of {limit} characters.",
        "Open a prefix instead of single repositories, and with it whatever else begins so: {shorter}",
    ),
    "policy_near": Rule(
        "quota_near",
        "warning",
        "The policy {policy} has {used} of {limit} characters.",
        "Open a prefix instead of single repositories, and with it whatever else begins so: {shorter}",
    ),
    "count_near": Rule(
        "quota_near",
        "warning",
        "The user has {used} of {limit} {things}.",
        "Remove some, or ask AWS for more: aws service-quotas list-service-quotas --service-code iam "
        "--region us-east-1",
    ),
    "token_expired": Rule(
        "token_expired",
        "error",
        "The token in the RunPod credential {registry_id} expired at {expires_at}.",
        "With the credential's name and the region of its images: {refresh}",
    ),
    "token_ends_soon": Rule(
        "token_ends_soon",
        "warning",
        "The token in the RunPod credential {registry_id} expires at {expires_at}, so a refresh was missed.",
        "With the credential's name and the region of its images: {refresh}",
    ),
}
