# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import botocore.exceptions
import botocore.parsers
import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws, aws_client, aws_error, tolerating
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import KeyPair
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError, InputError
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import client, refusal

KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


class SpyClient(NamedTuple):
    """A client whose every operation has the same answer."""

    answer: Callable[..., Any]
    meta: Any

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return self.answer


class Spy:
    """A connect that notes its options, and whose clients answer from a script."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.made: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []

    def __call__(self, service: str, **options: Any) -> Any:
        self.made.append({"service": service, **options})
        return SpyClient(self.answer, client(service).meta)

    def answer(self, **request: Any) -> Any:
        self.requests.append(request)
        if not self.answers:
            return {"Users": [], "repositories": []}
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_call_returns_the_answer_and_asks_for_retries(connect: Callable[..., Any]) -> None:
    answer = Aws(connect, "us-east-1").call("sts", "get_caller_identity")
    assert answer["Account"] == "123456789012"
    spy = Spy({"Users": []})
    Aws(spy, "us-east-1").call("iam", "list_users", Path="/")
    assert spy.requests == [{"Path": "/", "aws_retry": True}]
    assert spy.made[0]["retry_decorator"] and "aws_config" not in spy.made[0]


def test_answer_that_is_none_of_aws_is_an_error_of_unknown_outcome() -> None:
    page = botocore.parsers.ResponseParserError("Unable to parse response, invalid XML received")
    with pytest.raises(AwsError, match="iam:ListUsers: .*What answered is not AWS") as caught:
        Aws(Spy(page), "us-east-1").call("iam", "list_users")
    assert caught.value.status is None


def test_client_is_made_once_for_each_service_region_identity_and_kind() -> None:
    spy = Spy()
    aws = Aws(spy, "us-east-1")
    for options in ({}, {"region": "us-east-1"}, {"region": "eu-west-1"}, {"identity": KEY}, {"once": True}, {}):
        aws.call("iam", "list_users", **options)
    assert len(spy.made) == 4
    assert [made["region"] for made in spy.made] == ["us-east-1", "eu-west-1", "us-east-1", "us-east-1"]


def test_call_as_a_key_does_not_send_the_operators_session_token() -> None:
    spy = Spy()
    Aws(spy, "us-east-1").call("ecr", "describe_repositories", identity=KEY)
    assert spy.made[0]["aws_access_key_id"] == KEY.access_key_id
    assert spy.made[0]["aws_secret_access_key"] == KEY.secret_access_key
    assert spy.made[0]["aws_session_token"] is None


def test_call_to_be_made_once_is_never_repeated() -> None:
    spy = Spy(refusal("Throttling", 400))
    with pytest.raises(AwsError):
        Aws(spy, "us-east-1", {"proxies": {}}).call("iam", "list_users", once=True)
    assert spy.requests == [{}]
    assert "retry_decorator" not in spy.made[0]
    assert spy.made[0]["aws_config"] == {"proxies": {}, "retries": {"total_max_attempts": 1}}


def test_boto3_is_asked_what_it_knows() -> None:
    aws = Aws(lambda *dummy, **options: client("sts"), "us-east-1")
    assert aws.knows("sts", "assume_role") and not aws.knows("sts", "lend_everything")


def test_pages_are_put_together() -> None:
    one, two = {"UserName": "one"}, {"UserName": "two"}
    spy = Spy({"Users": [one], "IsTruncated": True, "Marker": "m"}, {"Users": [two], "IsTruncated": False})
    assert Aws(spy, "us-east-1").pages("iam", "list_users", "Users", PathPrefix="/") == [one, two]
    assert [request.get("Marker") for request in spy.requests] == [None, "m"]


@pytest.mark.parametrize(
    ("failure", "owner", "code", "status", "words"),
    [
        (refusal("AccessDenied", 403), "", "AccessDenied", 403, "Allow iam:GetUser for whoever runs this"),
        (refusal("AccessDeniedException"), "X", "AccessDeniedException", 400, "Allow iam:GetUser for X"),
        (refusal("ExpiredToken", 403), "", "ExpiredToken", 403, "log in again"),
        (refusal("RequestTimeTooSkewed", 403), "", "RequestTimeTooSkewed", 403, "The clock of this machine"),
        (refusal("LimitExceeded", 409), "", "LimitExceeded", 409, "iam:GetUser: LimitExceeded: refused"),
        (botocore.exceptions.NoCredentialsError(), "", "NoCredentialsError", None, "Set AWS_ACCESS_KEY_ID"),
        (
            botocore.exceptions.InvalidRegionError(region_name="us east"),
            "",
            "InvalidRegionError",
            None,
            "aws ec2 describe-regions --all-regions --region us-east-1",
        ),
        (
            botocore.exceptions.EndpointConnectionError(endpoint_url="https://aws.example"),
            "",
            "EndpointConnectionError",
            None,
            "Check the region",
        ),
    ],
)
def test_error_tells_the_code_the_words_of_aws_and_the_remedy(
    failure: Exception, owner: str, code: str, status: int | None, words: str
) -> None:
    error = aws_error(failure, "iam:GetUser", owner)
    assert (error.code, error.status) == (code, status) and words in str(error)
    assert error.as_result()["error"] == {"call": "iam:GetUser", "code": code, "message": error.text}


@pytest.mark.parametrize("text", [[], ["a"], {"a": 1}, 5, 1.5, None])
def test_error_whose_code_or_words_are_no_texts_is_told(text: Any) -> None:
    answer: Any = {"Error": {"Code": text, "Message": text}}
    error = aws_error(botocore.exceptions.ClientError(answer, "GetUser"), "iam:GetUser")
    assert isinstance(error.code, str) and isinstance(error.text, str) and str(error).startswith("iam:GetUser: ")


def test_page_that_leads_to_itself_is_an_error_not_a_loop() -> None:
    page = {"Users": [], "IsTruncated": True, "Marker": "m"}
    with pytest.raises(AwsError, match="iam:ListUsers: MalformedAnswer: in the answer Marker leads to the same page"):
        Aws(Spy(page, page, page), "us-east-1").pages("iam", "list_users", "Users")


def test_calls_that_write_are_noted() -> None:
    aws = Aws(Spy({}, refusal("AccessDenied"), {"Users": []}), "us-east-1")
    aws.call("iam", "delete_user", UserName="x")
    with pytest.raises(AwsError):
        aws.call("iam", "create_user", UserName="x")
    aws.call("iam", "list_users")
    assert aws.writes == ["iam:DeleteUser"]


def test_failure_of_a_call_names_it_and_who_made_it() -> None:
    with pytest.raises(
        AwsError,
        match="ecr:DescribeRepositories: AccessDenied: refused. Allow ecr:DescribeRepositories for the pull user",
    ):
        Aws(Spy(refusal("AccessDenied")), "us-east-1").call("ecr", "describe_repositories", identity=KEY, once=True)


def test_tolerating_lets_only_the_named_codes_pass() -> None:
    with tolerating("NoSuchEntity", "NotFound"):
        raise aws_error(refusal("NoSuchEntity"), "iam:GetUser")
    with pytest.raises(AwsError), tolerating("NoSuchEntity"):
        raise aws_error(refusal("AccessDenied"), "iam:GetUser")
    with pytest.raises(KeyError), tolerating("NoSuchEntity"):
        raise KeyError


def test_key_does_not_show_its_secret() -> None:
    assert KEY.secret_access_key not in f"{KEY} {KEY!r} {[KEY]}"


def test_client_of_a_module_needs_a_region() -> None:
    module = SimpleNamespace(region="eu-west-1", client=Spy(), params={"aws_config": {"proxies": {}}})
    aws = aws_client(module)
    assert (aws.region, aws.config, aws.connect) == ("eu-west-1", {"proxies": {}}, module.client)
    assert aws.clock().tzinfo is not None
    with pytest.raises(InputError, match="AWS_REGION"):
        aws_client(SimpleNamespace(region=None))
