# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_public import KEY, Body, Retrying

PORTAL = "<html><head><title>Sign in to the airport's network</title></head><body><p>Welcome<br></body></html>"
NEAT_PORTAL = "<html><head><title>Sign in</title></head><body><p>Welcome</p></body></html>"
CALLS = {
    "iam": ("get_user", "GetUser", "User", {"UserName": "puller"}),
    "sts": ("get_caller_identity", "GetCallerIdentity", "Arn", {}),
    "secretsmanager": ("get_secret_value", "GetSecretValue", "SecretString", {"SecretId": "x"}),
    "ssm": ("get_parameter", "GetParameter", "Parameter", {"Name": "x"}),
    "ecr": ("get_authorization_token", "GetAuthorizationToken", "authorizationData", {}),
    "cloudtrail": ("lookup_events", "LookupEvents", "Events", {}),
}


def answering(body: str, status: int = 200) -> Aws:
    """Return a client of AWS to which this is answered, whatever it asks."""

    def connect(service: str, region: str, **dummy: Any) -> Any:
        client = boto3.client(service, region_name=region, **KEY)
        client.meta.events.register_first(
            "before-send", lambda request, **dummy: AWSResponse(request.url, status, {}, Body(body.encode()))
        )
        return Retrying(client)

    return Aws(connect, "us-east-1")


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize("body", [PORTAL, NEAT_PORTAL, "", "[]", "null", "{}", "5", "\0", "[" * 9999])
def test_what_is_no_answer_of_aws_is_an_error_that_names_the_call(service: str, body: str) -> None:
    operation, action, field, request = CALLS[service]
    with pytest.raises(AwsError, match=f"{service}:{action}: .*check the proxy and endpoint_url") as caught:
        answering(body).call(service, operation, **request)[field]
    assert caught.value.status is None  # the outcome of a write would be unknown


@pytest.mark.parametrize(
    ("service", "answer", "path", "field"),
    [
        ("secretsmanager", {"SecretString": 5}, ["SecretString"], "SecretString is no string"),
        ("secretsmanager", {"SecretString": None}, ["SecretString"], "everything is missing"),
        ("secretsmanager", {"VersionId": []}, ["VersionId"], "VersionId is no string"),
        ("secretsmanager", {"ARN": "puller"}, ["ARN"], "ARN is no ARN"),
        ("ssm", {"Parameter": []}, ["Parameter"], "a structure has another form"),
        ("ssm", {"Parameter": {"Version": "1"}}, ["Parameter"], "Parameter.Version is no long"),
        ("ssm", {"Parameter": {}}, ["Parameter", "Value"], "Parameter.Value is missing"),
        ("ecr", {"authorizationData": [5]}, ["authorizationData"], "a structure has another form"),
        ("ecr", {"authorizationData": [{"expiresAt": 10**30}]}, ["authorizationData"], "a structure has another form"),
        (
            "ecr",
            {"authorizationData": [{}]},
            ["authorizationData", 0, "expiresAt"],
            r"authorizationData\[\].expiresAt is missing",
        ),
        ("cloudtrail", {"Events": None}, ["Events"], "everything is missing"),
    ],
)
def test_thin_or_garbled_answer_is_an_error_that_names_the_field(
    service: str, answer: Any, path: list[str | int], field: str
) -> None:
    operation, dummy, dummy, request = CALLS[service]
    with pytest.raises(AwsError, match=f"MalformedAnswer: in the answer {field}"):
        value: Any = answering(json.dumps(answer)).call(service, operation, **request)
        for step in path:
            value = value[step]


def test_what_is_optional_may_be_missing_or_null() -> None:
    answer = answering(json.dumps({"SecretString": "x", "VersionStages": None})).call(
        "secretsmanager", "get_secret_value", SecretId="x"
    )
    assert answer.get("VersionStages") is None and answer.get("SecretBinary", 5) == 5
    assert {"SecretString": "x"}.items() <= answer.items()


class Fixed:
    """A client whose answer botocore did not read."""

    meta = boto3.client("ecr", region_name="us-east-1").meta

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer

    def get_authorization_token(self, **dummy: Any) -> dict[str, Any]:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ({"authorizationData": {}}, "authorizationData is no list"),
        ({"authorizationData": [5]}, r"authorizationData\[\] is no structure"),
        ({"authorizationData": [None]}, r"authorizationData\[\] is no structure"),
        ({"authorizationData": [{"expiresAt": 5}]}, r"authorizationData\[\].expiresAt is no timestamp"),
    ],
)
def test_form_is_checked_though_botocore_let_it_pass(answer: dict[str, Any], field: str) -> None:
    with pytest.raises(AwsError, match=f"ecr:GetAuthorizationToken: MalformedAnswer: in the answer {field}"):
        Aws(lambda *dummy, **dummies: Fixed(answer), "us-east-1").call("ecr", "get_authorization_token")


def test_fields_that_botocore_does_not_know_yet_are_passed_on() -> None:
    newer = Fixed({"authorizationData": [], "moon": {"phase": 1}})
    answer = Aws(lambda *dummy, **dummies: newer, "us-east-1").call("ecr", "get_authorization_token")
    assert answer == newer.answer


def user(fields: str) -> str:
    return f"<GetUserResponse><GetUserResult><User>{fields}</User></GetUserResult></GetUserResponse>"


def test_name_in_a_list_is_not_empty() -> None:
    result = "<PolicyNames><member>pull</member><member/></PolicyNames>"
    body = f"<ListUserPoliciesResult>{result}</ListUserPoliciesResult>"
    aws = answering(f"<ListUserPoliciesResponse>{body}</ListUserPoliciesResponse>")
    with pytest.raises(AwsError, match=r"iam:ListUserPolicies: MalformedAnswer: .* PolicyNames has an empty item"):
        aws.call("iam", "list_user_policies", UserName="puller")


def test_arn_of_a_user_is_one() -> None:
    with pytest.raises(AwsError, match=r"iam:GetUser: MalformedAnswer: in the answer User\.Arn is no ARN"):
        answering(user("<Arn>user/puller</Arn>")).call("iam", "get_user", UserName="puller")
    found = answering(user("<Arn>arn:aws:iam::123456789012:user/puller</Arn>")).call(
        "iam", "get_user", UserName="puller"
    )
    with pytest.raises(AwsError, match=r"in the answer User\.Path is missing"):
        found["User"]["Path"]


@pytest.mark.parametrize(
    "document",
    [
        "not JSON",
        '"text"',
        "[]",
        '{"Statement": "all"}',
        '{"Statement": ["all"]}',
        '{"Statement": [{"Action": 5}]}',
        '{"Statement": [{"Resource": [5]}]}',
    ],
)
def test_policy_that_is_no_document_is_an_error(document: str) -> None:
    body = (
        "<GetUserPolicyResponse><GetUserPolicyResult>"
        f"<PolicyDocument>{document}</PolicyDocument></GetUserPolicyResult></GetUserPolicyResponse>"
    )
    with pytest.raises(AwsError, match="iam:GetUserPolicy: MalformedAnswer: in the answer PolicyDocument is no policy"):
        answering(body).call("iam", "get_user_policy", UserName="puller", PolicyName="x")


def test_policy_with_one_statement_of_texts_is_a_document() -> None:
    document = {"Statement": {"Effect": "Deny", "Action": "*", "Resource": ["*"]}}
    body = (
        "<GetUserPolicyResponse><GetUserPolicyResult>"
        f"<PolicyDocument>{json.dumps(document)}</PolicyDocument></GetUserPolicyResult></GetUserPolicyResponse>"
    )
    answer = answering(body).call("iam", "get_user_policy", UserName="puller", PolicyName="x")
    assert answer["PolicyDocument"] == document


def test_dates_are_dates() -> None:
    answer = answering(user("<CreateDate>2026-01-02T03:04:05Z</CreateDate>")).call("iam", "get_user", UserName="x")
    assert answer["User"]["CreateDate"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    with pytest.raises(AwsError, match="iam:GetUser: MalformedAnswer"):
        answering(user("<CreateDate>yesterday</CreateDate>")).call("iam", "get_user", UserName="x")


def test_secret_in_an_answer_that_cannot_be_read_is_not_shown() -> None:
    body = "<CreateAccessKeyResponse><SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY</Secr"
    with pytest.raises(AwsError, match="iam:CreateAccessKey: ResponseParserError") as caught:
        answering(body).call("iam", "create_access_key", UserName="puller", once=True)
    assert "wJalr" not in str(caught.value) + str(caught.value.as_result())


def test_empty_text_where_aws_knows_none_is_a_field_that_is_not_there() -> None:
    body = "<Response><GetUserResult><User><UserName/><Tags><member><Key/><Value/></member></Tags></User>"
    answer = answering(f"{body}</GetUserResult></Response>").call("iam", "get_user", UserName="puller")["User"]
    assert answer["Tags"][0]["Value"] == "" and answer.get("UserName") is None
    with pytest.raises(AwsError, match=r"iam:GetUser: MalformedAnswer: in the answer User.Tags\[\].Key is missing"):
        answer["Tags"][0]["Key"]


def test_empty_text_in_place_of_one_of_several_is_not_there() -> None:
    body = "<Response><ListAccessKeysResult><AccessKeyMetadata><member><Status/></member></AccessKeyMetadata>"
    keys = answering(f"{body}</ListAccessKeysResult></Response>").call("iam", "list_access_keys")["AccessKeyMetadata"]
    with pytest.raises(AwsError, match=r"AccessKeyMetadata\[\].Status is missing"):
        keys[0]["Status"]


def test_an_empty_secret_is_not_taken_for_one() -> None:
    key = "<UserName>puller</UserName><AccessKeyId>AKIAIOSFODNN7EXAMPLE</AccessKeyId><Status>Active</Status>"
    body = f"<Response><CreateAccessKeyResult><AccessKey>{key}<SecretAccessKey/></AccessKey></CreateAccessKeyResult>"
    answer = answering(f"{body}</Response>").call("iam", "create_access_key", UserName="puller", once=True)
    with pytest.raises(AwsError, match=r"AccessKey.SecretAccessKey is missing"):
        answer["AccessKey"]["SecretAccessKey"]


@pytest.mark.parametrize("body", ["", "{}", '{"Tags": null}'])
def test_a_read_that_answers_with_nothing_is_no_answer(body: str) -> None:
    """Else an entry of ours would be taken for somebody's who gave it no tags."""
    with pytest.raises(AwsError, match=r"secretsmanager:DescribeSecret: MalformedAnswer: in the answer everything"):
        answering(body).call("secretsmanager", "describe_secret", SecretId="entry")
