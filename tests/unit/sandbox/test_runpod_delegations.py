# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What RunPod looks for in a repository's policy, and the module that tells it of repositories, against both clouds."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from ansible.module_utils.urls import Request

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import ItemsFailedError, Result
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_delegation
from tests.sandbox.runpod import API_KEY, RunpodSimulator
from tests.sandbox.runpod_delegations import PULL_ACTIONS, PULL_ROLES, TOKEN_ACTION, allowed
from tests.sandbox.server import Sandbox

Json = dict[str, Any]

EAST, WEST = PULL_ROLES
OTHER = "arn:aws:iam::210987654321:role/other"
REPOSITORY = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
ALL = [*PULL_ACTIONS, TOKEN_ACTION]
HEADERS = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}


def allow(principal: Any, action: Any = ALL, **members: Any) -> Json:
    return {"Effect": "Allow", "Principal": principal, "Action": action, **members}


def only(operator: str, key: str, *values: str) -> Json:
    return {"Condition": {operator: {key: list(values)}}}


def text(*statements: Json) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


# RunPod's own words, from its tutorial
TUTORIAL = text(allow("*", ALL, Sid="AllowRunpodPull", **only("StringEquals", "aws:PrincipalArn", EAST, WEST)))


@pytest.mark.parametrize(
    ("statement", "east"),
    [
        (allow({"AWS": EAST}), True),
        (allow({"AWS": [OTHER, EAST]}), True),
        (allow({"AWS": "550005742258"}), True),
        (allow({"AWS": "arn:aws:iam::550005742258:root"}), True),
        (allow({"AWS": "*"}), True),
        (allow("*"), True),
        (allow({"AWS": OTHER}), False),
        (allow({"AWS": WEST}), False),
        (allow({"Service": "codebuild.amazonaws.com"}), False),
        ({"Effect": "Allow", "NotPrincipal": {"AWS": OTHER}, "Action": "*"}, True),
        ({"Effect": "Allow", "NotPrincipal": {"AWS": EAST}, "Action": "*"}, False),
        (allow("*", "ecr:*"), True),
        (allow("*", "ecr:batch*"), True),
        (allow("*", "ecr:GetDownloadUrlForLayer"), False),
        ({"Effect": "Allow", "Principal": "*", "NotAction": "ecr:PutImage"}, True),
        (allow("*", Resource="*"), True),
        (allow("*", Resource="arn:aws:ecr:*:*:repository/team/*"), True),
        (allow("*", Resource="arn:aws:ecr:*:*:repository/other/*"), False),
        (allow("*", NotResource="arn:aws:ecr:*:*:repository/other/*"), True),
        (allow("*", **only("StringEquals", "aws:PrincipalArn", EAST)), True),
        (allow("*", **only("StringEquals", "AWS:principalarn", EAST)), True),
        (allow("*", **only("StringEquals", "aws:PrincipalArn", OTHER)), False),
        (allow("*", **only("StringNotEquals", "aws:PrincipalArn", OTHER)), True),
        (allow("*", **only("StringLike", "aws:PrincipalArn", "arn:aws:iam::550005742258:role/*")), True),
        (allow("*", **only("StringNotLike", "aws:PrincipalArn", "arn:aws:iam::550005742258:role/*")), False),
        (allow("*", **only("ArnEquals", "aws:PrincipalArn", EAST)), True),
        (allow("*", **only("ArnNotEquals", "aws:PrincipalArn", EAST)), False),
        (allow("*", **only("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/prod-us-east-?-*")), True),
        (allow("*", **only("ArnNotLike", "aws:PrincipalArn", OTHER)), True),
        (allow("*", **only("StringEquals", "aws:PrincipalAccount", "550005742258")), True),
        (allow("*", **only("StringEquals", "aws:PrincipalOrgID", "o-example")), False),
        (allow("*", **only("StringEqualsIgnoreCase", "aws:PrincipalArn", EAST)), False),
    ],
)
def test_a_policy_is_read_as_aws_does(statement: Json, east: bool) -> None:
    assert allowed(text(statement), EAST, "ecr:BatchGetImage", REPOSITORY) is east


@pytest.mark.parametrize(
    ("deny", "left"),
    [
        (allow("*", "ecr:*"), False),
        (allow({"AWS": OTHER}, "ecr:*"), True),
        (allow("*", "ecr:PutImage"), True),
        (allow("*", "ecr:*", **only("StringNotEquals", "aws:PrincipalArn", EAST)), True),
        (allow("*", "ecr:*", **only("StringNotEquals", "aws:SourceVpc", "vpc-example")), False),
    ],
)
def test_a_denial_wins(deny: Json, left: bool) -> None:
    policy = text(allow("*"), {**deny, "Effect": "Deny"})
    assert allowed(policy, EAST, "ecr:BatchGetImage", REPOSITORY) is left


class Judge:
    """The simulator with a policy for every repository; `asked` are those it looked at."""

    def __init__(self, policy: str | None, **switches: Any) -> None:
        self.policy = policy
        self.asked: list[tuple[str, str, str]] = []
        self.simulator = RunpodSimulator(policy_of=self.policy_of)
        self.simulator.switch(**switches)

    def policy_of(self, *repository: str) -> str | None:
        self.asked.append((repository[0], repository[1], repository[2]))
        return self.policy

    def register(self) -> tuple[int, str]:
        body = json.dumps({"resource": f"{REPOSITORY}:v1"}).encode()
        status, dummy, document = self.simulator.handle("POST", "/v2/registries/delegations", {}, HEADERS, body)
        return status, document.get("detail", "")


@pytest.mark.parametrize(
    ("policy", "taken"),
    [
        (TUTORIAL, True),
        (text(allow({"AWS": list(PULL_ROLES)})), True),
        (text(allow({"AWS": EAST}), allow({"AWS": WEST})), True),  # both, in whatever way
        (None, False),
        (text(allow({"AWS": OTHER})), False),
        (text(allow({"AWS": EAST})), False),  # as published first
        (text(allow({"AWS": list(PULL_ROLES)}, "ecr:BatchGetImage")), False),
        (text(allow("*"), {**allow({"AWS": WEST}), "Effect": "Deny"}), False),
    ],
)
def test_a_repository_is_taken_when_its_policy_lets_both_roles_pull(policy: str | None, taken: bool) -> None:
    judge = Judge(policy)
    expected = (201, "") if taken else (400, "the ECR repository policy does not allow access")
    assert judge.register() == expected
    assert judge.asked == [("123456789012", "us-east-1", "team/app")]
    assert bool(judge.simulator.state()["delegations"]) is taken


def test_the_status_of_a_refusal_can_be_switched() -> None:
    assert Judge(None, delegation_policy_refusal=422).register()[0] == 422


@pytest.mark.parametrize(("needed", "status"), [(True, 400), (False, 201)])
def test_whether_the_action_without_effect_is_needed_can_be_switched(needed: bool, status: int) -> None:
    policy = text(allow({"AWS": list(PULL_ROLES)}, list(PULL_ACTIONS)))
    assert Judge(policy, delegation_token_action=needed).register()[0] == status


# Against both clouds


class Account:
    """A new repository, and RunPod behind the real client. A pause of the client moves the clock of AWS."""

    def __init__(self, sandbox: Sandbox) -> None:
        sandbox.runpod.reset()
        self.sandbox = sandbox
        self.repository = f"team/app-{uuid4().hex[:8]}"
        self.naps: list[float] = []
        self.ecr = sandbox.client("ecr")
        self.client = Client(sandbox.runpod_url, API_KEY, Request(use_proxy=False), self.naps.append)
        self.ecr.create_repository(repositoryName=self.repository)
        start = time.time()
        sandbox.aws.clock = lambda: start + sum(self.naps)

    def image(self, tag: str) -> str:
        return f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{self.repository}:{tag}"

    def grant(self) -> None:
        self.ecr.set_repository_policy(repositoryName=self.repository, policyText=TUTORIAL)

    def revoke(self) -> None:
        self.ecr.delete_repository_policy(repositoryName=self.repository)

    def delegate(self, check_mode: bool = False, **options: Any) -> Result:
        params = {
            "images": [self.image("v1")],
            "repository_arns": None,
            "tag": None,
            "name": None,
            "resource_form": "auto",
            "propagation_timeout": 0,
            "state": "present",
            **options,
        }
        return runpod_ecr_delegation.run(params, check_mode, self.client)

    def current(self) -> list[Json]:
        return self.sandbox.runpod.state()["delegations"]


@pytest.fixture
def account(sandbox: Sandbox) -> Any:
    clock = sandbox.aws.clock
    yield Account(sandbox)
    sandbox.aws.clock = clock


def test_a_repository_without_a_policy_is_refused_in_every_form(account: Account) -> None:
    with pytest.raises(ItemsFailedError) as caught:
        account.delegate()
    [item] = caught.value.as_result()["failed_items"]
    assert [attempt["status"] for attempt in item["attempts"]] == [400] * 3
    assert "the ECR repository policy does not allow access" in item["msg"]
    assert account.current() == []


def test_a_repository_with_a_policy_is_taken_once_and_given_back(account: Account) -> None:
    account.grant()
    assert account.delegate(check_mode=True).changed and account.current() == []
    assert account.delegate().changed
    assert not account.delegate().changed
    assert [(one["repository"], one["tag"]) for one in account.current()] == [(account.repository, "v1")]
    assert account.delegate(state="absent").changed
    assert not account.delegate(state="absent").changed
    assert account.current() == []


@pytest.mark.parametrize("form", ["arn", "arn_tag", "uri_tag"])
@pytest.mark.parametrize("status", [400, 422])
def test_whatever_single_form_runpod_takes_is_found(account: Account, form: str, status: int) -> None:
    account.grant()
    account.sandbox.runpod.switch(delegation_forms=[form], delegation_refusal=status)
    assert account.delegate().changed
    assert len(account.current()) == 1


@pytest.mark.parametrize("duplicates", ["record", "error", "upsert"])
def test_whatever_runpod_makes_of_duplicates_there_is_one(account: Account, duplicates: str) -> None:
    account.grant()
    account.sandbox.runpod.switch(duplicate_delegation=duplicates)
    for tag in ("v1", "v2"):
        account.delegate(images=[account.image(tag)])
    assert [one["tag"] for one in account.current()] == ["v1"]


def test_what_is_registered_stays_when_its_policy_goes(account: Account) -> None:
    account.grant()
    account.delegate()
    account.revoke()
    assert not account.delegate().changed
    assert account.delegate(state="absent").changed
    with pytest.raises(ItemsFailedError, match="does not take it"):
        account.delegate()


def test_a_policy_that_has_not_arrived_yet_is_waited_for(account: Account) -> None:
    account.sandbox.aws.switch(propagation_seconds=20)
    account.grant()
    with pytest.raises(ItemsFailedError):
        account.delegate()
    assert account.delegate(propagation_timeout=90).changed
    assert account.naps == [2, 4, 8, 16]
    account.revoke()
    account.delegate(state="absent")
    assert account.delegate().changed  # RunPod still sees the policy


def test_a_repository_that_is_gone_or_in_another_account_has_no_policy(account: Account) -> None:
    account.grant()
    account.ecr.delete_repository(repositoryName=account.repository)
    assert account.sandbox.aws.repository_policy("123456789012", "us-east-1", account.repository) is None
    assert account.sandbox.aws.repository_policy("210987654321", "us-east-1", account.repository) is None


@pytest.mark.parametrize("effect", ["before", "after"])
@pytest.mark.parametrize("answer", ["reset", "garbage", {"status": 500}])
@pytest.mark.parametrize("call", ["GET", "POST"])
def test_after_a_fault_a_plain_run_finishes_the_job(account: Account, call: str, effect: str, answer: Any) -> None:
    account.grant()
    account.sandbox.fail(f"{call} /v2/registries/delegations", effect=effect, answer=answer)
    with suppress(CollectionError):
        account.delegate()
    account.delegate()
    assert len(account.current()) == 1
