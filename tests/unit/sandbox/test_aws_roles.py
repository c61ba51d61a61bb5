# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles in the sandbox: whom a trust lets in, and what a session may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.sandbox.server import Sandbox

from .test_aws import refusal

Json = dict[str, Any]
ACCOUNT = "123456789012"
OPERATOR = f"arn:aws:iam::{ACCOUNT}:user/operator"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/runpod/puller"
REPOSITORY = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/runpod-gpu-training"


def trust(**statement: Any) -> str:
    given = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": OPERATOR}, **statement}
    return json.dumps({"Version": "2012-10-17", "Statement": [given]})


def allowing(resource: str = "*", *actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions) or ["ecr:*"], "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def role(sandbox: Sandbox) -> Iterator[Any]:
    iam = sandbox.client("iam")
    iam.create_role(RoleName="puller", Path="/runpod/", AssumeRolePolicyDocument=trust())
    iam.put_role_policy(RoleName="puller", PolicyName="pull", PolicyDocument=allowing())
    yield iam
    with suppress(iam.exceptions.NoSuchEntityException):
        for name in iam.list_role_policies(RoleName="puller")["PolicyNames"]:
            iam.delete_role_policy(RoleName="puller", PolicyName=name)
        iam.delete_role(RoleName="puller")


def session(sandbox: Sandbox, service: str = "ecr", **options: Any) -> Any:
    given = sandbox.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="minting", **options)["Credentials"]
    keys = given["AccessKeyId"], given["SecretAccessKey"]
    return sandbox.client(service, *keys, aws_session_token=given["SessionToken"])


def test_whom_the_trust_names_gets_a_session_with_the_role_s_rights(sandbox: Sandbox, role: Any) -> None:
    assert session(sandbox, "sts").get_caller_identity()["Arn"].endswith(":assumed-role/puller/minting")
    assert session(sandbox).describe_repositories()["repositories"]
    assert refusal(session(sandbox, "iam").list_users)[0] == "AccessDenied"
    role.delete_role_policy(RoleName="puller", PolicyName="pull")
    assert refusal(session(sandbox).describe_repositories)[0] == "AccessDeniedException"


@pytest.mark.parametrize("principal", [f"arn:aws:iam::{ACCOUNT}:root", "arn:aws:iam::111122223333:user/operator"])
def test_an_account_that_is_trusted_lets_its_own_in(sandbox: Sandbox, role: Any, principal: str) -> None:
    role.update_assume_role_policy(RoleName="puller", PolicyDocument=trust(Principal={"AWS": principal}))
    if principal.endswith("root"):
        assert session(sandbox).describe_repositories()["repositories"]
    else:
        assert refusal(sandbox.client("sts").assume_role, RoleArn=ROLE, RoleSessionName="minting")[0] == "AccessDenied"


def test_an_external_id_is_asked_for(sandbox: Sandbox, role: Any) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "team"}}
    role.update_assume_role_policy(RoleName="puller", PolicyDocument=trust(Condition=condition))
    assume = sandbox.client("sts").assume_role
    for options in ({}, {"ExternalId": "other"}):
        assert refusal(assume, RoleArn=ROLE, RoleSessionName="minting", **options)[0] == "AccessDenied"
    assert session(sandbox, ExternalId="team").describe_repositories()["repositories"]


def test_a_role_that_does_not_exist_is_lent_to_nobody(sandbox: Sandbox) -> None:
    assert refusal(sandbox.client("sts").assume_role, RoleArn=ROLE, RoleSessionName="minting")[0] == "AccessDenied"


def test_a_session_policy_takes_away_and_gives_nothing(sandbox: Sandbox, role: Any) -> None:
    role.put_role_policy(RoleName="puller", PolicyName="pull", PolicyDocument=allowing(REPOSITORY))
    narrow = session(sandbox, Policy=allowing(REPOSITORY, "ecr:DescribeRepositories"))
    assert narrow.describe_repositories(repositoryNames=["runpod-gpu-training"])["repositories"]
    assert refusal(narrow.list_images, repositoryName="runpod-gpu-training")[0] == "AccessDeniedException"
    wide = session(sandbox, Policy=allowing())
    assert refusal(wide.describe_repositories)[0] == "AccessDeniedException"
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "ecr:*", "Resource": "*"}]}
    denied = session(sandbox, Policy=json.dumps(deny))
    assert "explicit deny in a session policy" in refusal(denied.list_images, repositoryName="runpod-gpu-training")[1]


def test_what_iam_and_sts_refuse(sandbox: Sandbox, role: Any) -> None:
    long = allowing(REPOSITORY, *(f"ecr:Action{number:03}" for number in range(200)))
    assume = sandbox.client("sts").assume_role
    assert refusal(assume, RoleArn=ROLE, RoleSessionName="minting", Policy=long)[0] == "PackedPolicyTooLarge"
    nobody = trust(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/nobody"})
    update = role.update_assume_role_policy
    assert refusal(update, RoleName="puller", PolicyDocument=nobody)[0] == "MalformedPolicyDocument"
    user = trust(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/nobody"})
    assert refusal(update, RoleName="puller", PolicyDocument=user)[0] == "MalformedPolicyDocument"
    update(RoleName="puller", PolicyDocument=trust(Principal={"AWS": ROLE}))
    elsewhere = trust(Principal={"AWS": [f"arn:aws:iam::999999999999:role/x{number:03}" for number in range(60)]})
    assert refusal(update, RoleName="puller", PolicyDocument=elsewhere)[0] == "LimitExceeded"
    huge = allowing(*["*"], *(f"ecr:{'x' * 60}{number:03}" for number in range(200)))
    put = role.put_role_policy
    assert refusal(put, RoleName="puller", PolicyName="huge", PolicyDocument=huge)[0] == "LimitExceeded"
    create = role.create_role
    assert refusal(create, RoleName="Puller", AssumeRolePolicyDocument=trust())[0] == "EntityAlreadyExists"
    bad = {"PermissionsBoundary": "arn:aws:iam::x:policy/one"}
    assert refusal(create, RoleName="other", AssumeRolePolicyDocument=trust(), **bad)[0] == "ValidationError"


def test_a_session_of_a_role_that_is_gone_may_do_nothing(sandbox: Sandbox, role: Any) -> None:
    held = session(sandbox)
    role.delete_role_policy(RoleName="puller", PolicyName="pull")
    role.delete_role(RoleName="puller")
    assert refusal(held.describe_repositories)[0] == "AccessDeniedException"
