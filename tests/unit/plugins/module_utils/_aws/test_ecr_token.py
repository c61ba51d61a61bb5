# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.answer import Answer
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.ecr_token import get_token, verify_key
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import KeyPair
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError, CollectionError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.time import retry_until

START = datetime(2026, 8, 1, 12, tzinfo=timezone.utc)
KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


def answer(token: str) -> Answer:
    path = "authorizationData[]."
    return Answer("ecr:GetAuthorizationToken", path, {"authorizationToken": token, "expiresAt": START})


class Ticking(Aws):
    """Answers from a script of error codes ("" is a success), and lets time pass only while it sleeps."""

    def __init__(self, *script: str, token: list[Answer] | None = None) -> None:
        self.script = list(script)
        self.token = token
        self.calls: list[tuple[str, str | None, KeyPair | None]] = []
        self.now = START
        self.naps: list[float] = []
        super().__init__(lambda *dummy, **options: None, "us-east-1", clock=lambda: self.now, sleep=self.pass_time)

    def pass_time(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += timedelta(seconds=seconds)

    def call(self, service: str, operation: str, **options: Any) -> Answer:
        self.calls.append((operation, options.get("region"), options.get("identity")))
        code = self.script.pop(0) if self.script else ""
        if code:
            raise AwsError(f"refused: {code}", operation, code, "refused", 403)
        token = base64.b64encode(b"AWS:pa:ss").decode()
        data = [answer(token)] if self.token is None else self.token
        return Answer("ecr:GetAuthorizationToken", "", {"authorizationData": data})


def attempt(aws: Ticking) -> Any:
    return lambda: aws.call("sts", "get_caller_identity")


def test_token_is_taken_apart_and_does_not_show_its_password() -> None:
    aws = Ticking()
    token = get_token(aws, "eu-west-1", KEY)
    assert token == ("AWS", "pa:ss", START) and "pa:ss" not in repr(token)
    assert aws.calls == [("get_authorization_token", "eu-west-1", KEY)]


@pytest.mark.parametrize(
    "code", ["InvalidClientTokenId", "UnrecognizedClientException", "AccessDenied", "AccessDeniedException"]
)
def test_refusal_that_may_pass_is_tried_again(code: str) -> None:
    aws = Ticking(*[code] * 6)
    retry_until(aws, START + timedelta(seconds=90), attempt(aws))
    assert aws.naps == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_time_is_up_exactly_at_the_moment_named() -> None:
    aws = Ticking(*["AccessDenied"] * 9)
    with pytest.raises(AwsError, match="AccessDenied"):
        retry_until(aws, START + timedelta(seconds=4.5), attempt(aws))
    assert aws.naps == [1.0, 2.0, 1.5] and len(aws.calls) == 4


@pytest.mark.parametrize("until", [None, START, START - timedelta(hours=1)])
def test_without_time_there_is_one_try(until: datetime | None) -> None:
    aws = Ticking("AccessDenied")
    with pytest.raises(AwsError):
        retry_until(aws, until, attempt(aws))
    assert len(aws.calls) == 1 and aws.naps == []


def test_refusal_that_does_not_pass_is_raised_at_once() -> None:
    aws = Ticking("ExpiredToken")
    with pytest.raises(AwsError):
        retry_until(aws, START + timedelta(seconds=90), attempt(aws))
    assert aws.naps == []


def test_caller_can_name_the_refusals_that_may_pass() -> None:
    aws = Ticking("NoSuchEntity", "AccessDenied")
    with pytest.raises(AwsError, match="AccessDenied"):
        retry_until(aws, START + timedelta(seconds=90), attempt(aws), {"NoSuchEntity"})
    assert aws.naps == [1.0]


def test_key_is_proved_by_two_sweeps_in_a_row() -> None:
    aws = Ticking("", "", "", "", "UnrecognizedClientException")  # refused in the second sweep
    verify_key(aws, KEY, ["us-east-1", "eu-west-1"], START + timedelta(seconds=90))
    sweep = ["get_caller_identity", "get_authorization_token", "get_authorization_token"]
    assert [operation for operation, dummy, dummy in aws.calls] == [*sweep, *sweep[:2], *sweep, *sweep]
    assert {identity for dummy, dummy, identity in aws.calls} == {KEY}
    assert aws.naps == [1.0]


def test_key_that_is_not_accepted_in_time_is_an_error_with_a_remedy() -> None:
    aws = Ticking(*["InvalidClientTokenId"] * 99)
    with pytest.raises(
        CollectionError, match="AWS still refuses the new access key AKIAIOSFODNN7EXAMPLE.*raise propagation_timeout"
    ) as caught:
        verify_key(aws, KEY, [], START + timedelta(seconds=20))
    assert sum(aws.naps) == 20 and KEY.secret_access_key not in str(caught.value)


@pytest.mark.parametrize(
    "token", ["<html>", "QVdT", base64.b64encode(b"AWS:").decode(), base64.b64encode(b"\xff\xfe:x").decode()]
)
def test_what_is_no_token_is_an_error_that_does_not_repeat_it(token: str) -> None:
    with pytest.raises(AwsError, match="ecr:GetAuthorizationToken: .*authorizationToken is no token") as caught:
        get_token(Ticking(token=[answer(token)]), "eu-west-1")
    assert token not in str(caught.value)


def test_answer_without_a_token_is_an_error() -> None:
    with pytest.raises(AwsError, match="ecr:GetAuthorizationToken: .*authorizationData is empty"):
        get_token(Ticking(token=[]), "eu-west-1")
