# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a role may be assumed by: what becomes of the option, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.trust import trust_document

NODE = "arn:aws:iam::123456789012:role/awx/node"
GITHUB = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
GITLAB = "arn:aws:iam::123456789012:oidc-provider/gitlab.example.com"
MAIN = "repo:example/infra:ref:refs/heads/main"


def one(**given: Any) -> dict[str, Any]:
    [statement] = trust_document([given], "aws")["Statement"]
    return statement


def test_principals_may_assume() -> None:
    root = "arn:aws:iam::123456789012:root"
    assert one(principal_arns=[NODE, "123456789012", NODE]) == {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": [NODE, root]},
    }


def test_an_account_is_of_the_same_partition() -> None:
    [statement] = trust_document([{"principal_arns": ["123456789012"]}], "aws-cn")["Statement"]
    assert statement["Principal"] == {"AWS": ["arn:aws-cn:iam::123456789012:root"]}


def test_an_external_id_is_a_condition() -> None:
    found = one(principal_arns=[NODE], external_id="team/42")
    assert found["Condition"] == {"StringEquals": {"sts:ExternalId": "team/42"}}


def test_a_provider_vouches_for_exact_subjects() -> None:
    host = "token.actions.githubusercontent.com"
    assert one(oidc_provider_arn=GITHUB, subjects=[MAIN]) == {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": GITHUB},
        "Condition": {"StringEquals": {f"{host}:aud": "sts.amazonaws.com", f"{host}:sub": [MAIN]}},
    }


def test_a_provider_vouches_for_patterns() -> None:
    found = one(oidc_provider_arn=GITLAB, subjects=["project_path:example/*"], audience="aws")
    assert found["Condition"] == {
        "StringEquals": {"gitlab.example.com:aud": "aws"},
        "StringLike": {"gitlab.example.com:sub": ["project_path:example/*"]},
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "name either principal_arns"),
        ({"external_id": "team"}, "name either principal_arns"),
        ({"principal_arns": [NODE], "subjects": [MAIN]}, "name either principal_arns"),
        ({"oidc_provider_arn": GITHUB, "external_id": "team"}, "name either principal_arns"),
        ({"subjects": [MAIN]}, "name either principal_arns"),
        ({"principal_arns": []}, "is empty"),
        ({"principal_arns": ["*"]}, r"principal_arns \*: name ARNs"),
        ({"principal_arns": [NODE, "arn:aws:iam::123456789012:role/*"]}, "without wildcards"),
        ({"principal_arns": ["arn:aws:iam::123456789012:group/all"]}, "group/all"),
        ({"principal_arns": [NODE], "external_id": "a"}, "external_id is 2 to 1224"),
        (
            {"oidc_provider_arn": "https://gitlab.example.com", "subjects": [MAIN]},
            "is no ARN of an OIDC provider of IAM",
        ),
        ({"oidc_provider_arn": GITHUB}, "subjects must tell whom"),
        ({"oidc_provider_arn": GITHUB, "subjects": []}, "subjects must tell whom"),
        ({"oidc_provider_arn": GITLAB, "subjects": ["*"]}, "subjects must tell whom"),
        ({"oidc_provider_arn": GITHUB, "subjects": ["repo:*"]}, "anybody's repository at GitHub fits"),
        ({"oidc_provider_arn": GITHUB, "subjects": ["repo:*/infra:*"]}, "anybody's repository at GitHub fits"),
        ({"oidc_provider_arn": GITHUB, "subjects": [MAIN, "re*"]}, "subjects re.*anybody's"),
    ],
)
def test_what_is_refused_is_named_with_its_place(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=f"^trust, entry 2: .*{words}"):
        trust_document([{"principal_arns": [NODE]}, given], "aws")


def test_nobody_is_refused() -> None:
    with pytest.raises(InputError, match="trust is empty"):
        trust_document([], "aws")


def test_more_than_iam_takes_is_refused_with_the_figures() -> None:
    many = [f"{NODE}-{number:04}" for number in range(100)]
    with pytest.raises(InputError, match=r"a policy of \d{4} characters, and IAM allows 4096"):
        trust_document([{"principal_arns": many}], "aws")
