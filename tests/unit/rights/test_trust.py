# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trust that the collection writes lets in whom it names, and nobody else: judged by the evaluator."""

from __future__ import annotations

import json

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.trust import trust_document
from ansible_collections.gpuops.runpod.tests.unit.rights.judge import Json, Who, allowed, findings

HOME, ELSEWHERE = "123456789012", "210987654321"
ROLE = f"arn:aws:iam::{HOME}:role/runpod/puller"
PROVIDER = f"arn:aws:iam::{HOME}:oidc-provider/token.actions.githubusercontent.com"
HOST = PROVIDER.partition("/")[2]
NODE, DEPLOY = f"arn:aws:sts::{HOME}:assumed-role/node/session", f"arn:aws:sts::{HOME}:assumed-role/deploy/session"
OPERATOR, STRANGER = f"arn:aws:iam::{HOME}:user/operator", f"arn:aws:iam::{ELSEWHERE}:user/operator"
ASSUMING: Json = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}],
}
OF_NODE = {"principal_arns": [f"arn:aws:iam::{HOME}:role/node"]}
OF_ACCOUNT = {"principal_arns": [HOME]}
WITH_ID = {"principal_arns": [f"arn:aws:iam::{ELSEWHERE}:root"], "external_id": "team"}
GITHUB = {"oidc_provider_arn": PROVIDER, "subjects": ["repo:example/infra:ref:refs/heads/main"]}
ALL_BRANCHES = {"oidc_provider_arn": PROVIDER, "subjects": ["repo:example/infra:ref:refs/heads/*"]}
KNOWN = {"sts:ExternalId": "team"}


def lets_in(trust: list[Json], who: str, action: str, context: dict[str, str]) -> bool:
    """The evaluator knows no condition keys of providers: tags of the caller stand in for them."""
    document = json.loads(json.dumps(trust_document(trust, "aws")).replace(f'"{HOST}:', '"aws:PrincipalTag/'))
    policy = None if ":oidc-provider/" in who else ASSUMING
    return bool(allowed(Who(who, policy, context), [(f"sts:{action}", ROLE)], document))


@pytest.mark.parametrize(
    ("trust", "who", "context", "expected"),
    [
        ([OF_NODE], NODE, {}, True),
        ([OF_NODE], DEPLOY, {}, False),
        ([OF_NODE], OPERATOR, {}, False),
        ([OF_NODE], STRANGER, {}, False),
        ([OF_NODE], STRANGER.replace("user/operator", "role/node"), {}, False),
        ([OF_ACCOUNT], DEPLOY, {}, True),
        ([OF_ACCOUNT], STRANGER, {}, False),
        ([WITH_ID], STRANGER, KNOWN, True),
        ([WITH_ID], STRANGER, {}, False),
        ([WITH_ID], STRANGER, {"sts:ExternalId": "other"}, False),
        ([WITH_ID], OPERATOR, KNOWN, False),
        ([OF_NODE, WITH_ID], NODE, {}, True),
        ([GITHUB], NODE, {}, False),
    ],
)
def test_who_is_named_may_assume_the_role(trust: list[Json], who: str, context: dict[str, str], expected: bool) -> None:
    assert lets_in(trust, who, "AssumeRole", context) is expected


def vouched(subject: str, audience: str = "sts.amazonaws.com") -> dict[str, str]:
    return {"aws:PrincipalTag/sub": subject, "aws:PrincipalTag/aud": audience}


@pytest.mark.parametrize(
    ("trust", "provider", "context", "expected"),
    [
        ([GITHUB], PROVIDER, vouched("repo:example/infra:ref:refs/heads/main"), True),
        ([GITHUB], PROVIDER, vouched("repo:example/infra:ref:refs/heads/other"), False),
        ([GITHUB], PROVIDER, vouched("repo:example/infra:pull_request"), False),
        ([GITHUB], PROVIDER, vouched("repo:stranger/infra:ref:refs/heads/main"), False),
        ([GITHUB], PROVIDER, vouched("repo:example/infra:ref:refs/heads/main", "https://example.com"), False),
        ([GITHUB], PROVIDER, {}, False),
        (
            [GITHUB],
            PROVIDER.replace("githubusercontent", "example"),
            vouched("repo:example/infra:ref:refs/heads/main"),
            False,
        ),
        ([ALL_BRANCHES], PROVIDER, vouched("repo:example/infra:ref:refs/heads/other"), True),
        ([ALL_BRANCHES], PROVIDER, vouched("repo:example/infra2:ref:refs/heads/other"), False),
        ([OF_NODE], PROVIDER, vouched("repo:example/infra:ref:refs/heads/main"), False),
    ],
)
def test_whom_a_provider_vouches_for_is_who_is_named(
    trust: list[Json], provider: str, context: dict[str, str], expected: bool
) -> None:
    assert lets_in(trust, provider, "AssumeRoleWithWebIdentity", context) is expected


@pytest.mark.parametrize("trust", [[OF_NODE], [OF_ACCOUNT], [WITH_ID], [GITHUB], [ALL_BRANCHES], [OF_NODE, GITHUB]])
def test_the_linter_has_nothing_to_say(trust: list[Json]) -> None:
    assert [one for one in findings("resource", trust_document(trust, "aws")) if "Resource" not in str(one)] == []
