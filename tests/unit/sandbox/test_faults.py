# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The call log and the faults, seen through boto3 and plain HTTP."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import RemoteDisconnected
from typing import Any
from uuid import uuid4

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError

from tests.sandbox.fields import NUMBER
from tests.sandbox.server import ACCESS_KEY, Sandbox

ONCE = Config(retries={"total_max_attempts": 1})
REGISTRY = {"name": "example", "username": "AWS", "password": "example"}


def control(url: str, method: str, path: str, document: Any = None) -> Any:
    body = None if document is None else json.dumps(document).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/_sandbox/{path}", body, method=method)) as response:
        return json.loads(response.read() or b"null")


def post_registry(sandbox: Sandbox) -> Any:
    key = sandbox.environment["RUNPOD_API_KEY"]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({**REGISTRY, "name": uuid4().hex[:8]}).encode()
    return urllib.request.urlopen(urllib.request.Request(f"{sandbox.runpod_url}/v2/registries", body, headers))


def codes(sandbox: Sandbox, count: int) -> list[str]:
    """Ask for a user that is not there so many times; return what came back."""
    iam = sandbox.client("iam", config=ONCE)

    def code() -> str:
        with pytest.raises(ClientError) as caught:
            iam.get_user(UserName="absent")
        return caught.value.response["Error"]["Code"]

    return [code() for dummy in range(count)]


def test_calls_are_logged_with_name_status_and_key(sandbox: Sandbox) -> None:
    codes(sandbox, 1)
    sandbox.client("ecr").get_authorization_token()
    post_registry(sandbox)

    shared = {"method": "POST", "path": "/", "access_key": ACCESS_KEY, "broken": False}
    assert sandbox.aws_calls() == [
        {"name": "iam:GetUser", "status": 404, **shared},
        {"name": "ecr:GetAuthorizationToken", "status": 200, **shared},
    ]
    registry = {"name": "POST /v2/registries", "method": "POST", "path": "/v2/registries"}
    assert sandbox.runpod_calls() == [{**registry, "status": 201, "access_key": None, "broken": False}]


def test_the_log_is_read_and_emptied_over_http(sandbox: Sandbox) -> None:
    codes(sandbox, 1)
    assert control(sandbox.aws_url, "GET", "calls") == sandbox.aws_calls() != []
    control(sandbox.aws_url, "DELETE", "calls")
    assert control(sandbox.aws_url, "GET", "calls") == []


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({}, ["Throttling", "NoSuchEntity", "NoSuchEntity"]),
        ({"skip": 1}, ["NoSuchEntity", "Throttling", "NoSuchEntity"]),
        ({"times": 2}, ["Throttling", "Throttling", "NoSuchEntity"]),
        ({"times": None}, ["Throttling"] * 3),
        ({"name": "iam:Get"}, ["NoSuchEntity"] * 3),
        ({"name": "ecr:.*"}, ["NoSuchEntity"] * 3),
    ],
)
def test_a_rule_breaks_the_calls_it_names_after_a_number_and_for_a_number_of_times(
    sandbox: Sandbox, rule: dict[str, Any], found: list[str]
) -> None:
    answer = {"code": "Throttling", "message": "Rate exceeded", "status": 400}
    sandbox.fail(**{"name": "iam:Get.*", "answer": answer, **rule})
    assert codes(sandbox, 3) == found


@pytest.mark.parametrize(("service", "operation"), [("ecr", "describe_repositories"), ("iam", "list_users")])
def test_an_error_is_worded_in_the_protocol_of_the_service(sandbox: Sandbox, service: str, operation: str) -> None:
    sandbox.fail(f"{service}:.*", answer={"code": "Throttling", "message": "slow <down>", "status": 429})
    with pytest.raises(ClientError) as caught:
        getattr(sandbox.client(service, config=ONCE), operation)()
    assert caught.value.response["Error"]["Message"] == "slow <down>"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_an_error_of_runpod_is_a_problem_document(sandbox: Sandbox) -> None:
    sandbox.fail("POST /v2/registries", answer={"code": "Unavailable", "message": "later", "status": 503})
    with pytest.raises(urllib.error.HTTPError) as caught:
        post_registry(sandbox)
    assert caught.value.headers["Content-Type"] == "application/problem+json"
    assert json.load(caught.value) == {"title": "Unavailable", "status": 503, "detail": "later"}


def test_an_answer_is_given_as_it_is_written(sandbox: Sandbox) -> None:
    sandbox.fail("POST .*", answer={"status": 429, "headers": {"Retry-After": "3"}, "body": {"detail": "slow"}})
    with pytest.raises(urllib.error.HTTPError) as caught:
        post_registry(sandbox)
    assert (caught.value.code, caught.value.headers["Retry-After"]) == (429, "3")
    assert json.load(caught.value) == {"detail": "slow"}


@pytest.mark.parametrize(
    ("body", "text"), [(None, b"null"), ("", b""), ({"error": "no"}, b'{"error": "no"}'), ("<html>", b"<html>")]
)
def test_a_success_can_be_without_sense(sandbox: Sandbox, body: Any, text: bytes) -> None:
    sandbox.fail("POST /v2/registries", answer={"status": 200, "body": body})
    with post_registry(sandbox) as answer:
        assert (answer.status, answer.read()) == (200, text)
        assert answer.headers.get_content_type() == ("text/plain" if isinstance(body, str) else "application/json")


def test_a_field_is_taken_out_of_an_answer_of_runpod(sandbox: Sandbox) -> None:
    before = len(sandbox.runpod.state()["registries"])
    for change in ("remove", "null", "number"):
        sandbox.fail("POST /v2/registries", answer={change: "$.id"})
    answers = [json.load(post_registry(sandbox)) for dummy in range(4)]
    assert [answer.get("id", "absent") for answer in answers[:3]] == ["absent", None, NUMBER]
    assert isinstance(answers[3]["id"], str)
    assert all(answer["name"] for answer in answers)
    assert len(sandbox.runpod.state()["registries"]) == before + 4
    assert [call["broken"] for call in sandbox.runpod_calls()] == [True, True, True, False]


def test_a_field_is_taken_out_of_an_answer_in_the_protocols_of_aws(sandbox: Sandbox) -> None:
    iam, ecr = sandbox.client("iam", config=ONCE), sandbox.client("ecr", config=ONCE)
    iam.create_user(UserName="lacking")
    sandbox.fail("iam:GetUser", answer={"remove": "$.GetUserResult.User.Path"})
    sandbox.fail("iam:GetUser", answer={"null": "$.GetUserResult.User.UserId"})
    first, second = (iam.get_user(UserName="lacking")["User"] for dummy in range(2))
    assert ("Path" in first, "UserId" in first) == (False, True)
    assert (second["Path"], second["UserId"]) == ("/", "")
    sandbox.fail("ecr:GetAuthorizationToken", answer={"null": "$.authorizationData[*].expiresAt"})
    data = ecr.get_authorization_token()["authorizationData"][0]
    assert "expiresAt" not in data and "authorizationToken" in data


def test_a_call_whose_answer_has_no_such_field_is_not_broken(sandbox: Sandbox) -> None:
    sandbox.fail("POST /v2/registries", answer={"remove": "$.absent"})
    assert all(json.load(post_registry(sandbox))["id"] for dummy in range(2))
    assert [call["broken"] for call in sandbox.runpod_calls()] == [False, False]


def scenario(sandbox: Sandbox) -> Any:
    """Ask both clouds, one of them twice; return what is left of the answers."""
    sts = sandbox.client("sts", config=ONCE)
    for ask in (post_registry, lambda dummy: sts.get_caller_identity()) * 2:
        ask(sandbox)
    return sandbox.client("ecr", config=ONCE).describe_images(repositoryName="runpod-gpu-inference", maxResults=1)


def test_a_recording_tells_the_calls_and_the_fields_of_their_answers(sandbox: Sandbox) -> None:
    with sandbox.recording() as calls:
        scenario(sandbox)
    codes(sandbox, 1)
    assert [(call.server, call.name, call.skip, call.status) for call in calls] == [
        ("runpod", "POST /v2/registries", 0, 201),
        ("aws", "sts:GetCallerIdentity", 0, 200),
        ("runpod", "POST /v2/registries", 1, 201),
        ("aws", "sts:GetCallerIdentity", 1, 200),
        ("aws", "ecr:DescribeImages", 0, 200),
    ]
    assert calls[0].fields == ("$.name", "$.id")
    assert "$.GetCallerIdentityResult.Arn" in calls[1].fields
    assert "$.imageDetails[*].imageDigest" in calls[4].fields


def test_a_sweep_breaks_each_field_of_each_call_of_a_scenario_once(sandbox: Sandbox) -> None:
    with sandbox.recording() as calls:
        scenario(sandbox)
    rules = [rule for call in calls for rule in call.rules()]
    assert len(rules) == 2 * sum(len(call.fields) for call in calls) > 40
    for rule in rules:
        sandbox.forget_calls()
        sandbox.fail(**rule)
        with suppress(Exception):  # of a client that misses the field
            scenario(sandbox)
        sandbox.mend()
        made = [call for call in sandbox.aws_calls() + sandbox.runpod_calls() if call["broken"]]
        assert [re.escape(call["name"]) for call in made] == [rule["name"]]


@pytest.mark.parametrize(("effect", "made"), [("before", 0), ("after", 1)])
def test_a_cut_connection_leaves_the_effect_undone_or_done(sandbox: Sandbox, effect: str, made: int) -> None:
    iam, name = sandbox.client("iam", config=ONCE), f"cut-{effect}"
    sandbox.fail("iam:CreateUser", effect=effect, answer="reset")
    with pytest.raises(ConnectionClosedError):
        iam.create_user(UserName=name)
    assert [user["UserName"] for user in iam.list_users()["Users"]].count(name) == made
    assert [call["status"] for call in sandbox.aws_calls()] == [None, 200]


@pytest.mark.parametrize(
    ("service", "make", "look", "options"),
    [
        ("iam", "create_user", "get_user", {"UserName": "after"}),
        ("ssm", "put_parameter", "get_parameter", {"Name": "/after", "Value": "x", "Type": "String"}),
    ],
)
def test_an_error_can_follow_the_effect(
    sandbox: Sandbox, service: str, make: str, look: str, options: dict[str, Any]
) -> None:
    client = sandbox.client(service, config=ONCE)
    sandbox.fail(f"{service}:.*", effect="after", answer={"code": "InternalFailure", "message": "oh", "status": 500})
    with pytest.raises(ClientError) as caught:
        getattr(client, make)(**options)
    assert caught.value.response["Error"]["Message"] == "oh"
    name = dict([next(iter(options.items()))])
    assert getattr(client, look)(**name)


def test_a_cut_connection_ends_with_a_reset(sandbox: Sandbox) -> None:
    before = len(sandbox.runpod.state()["registries"])
    sandbox.fail("POST /v2/registries", effect="after", answer="reset")
    with pytest.raises(ConnectionResetError) as caught:
        post_registry(sandbox)
    assert not isinstance(caught.value, RemoteDisconnected)
    assert len(sandbox.runpod.state()["registries"]) == before + 1


def test_garbage_is_a_success_that_no_client_can_read(sandbox: Sandbox) -> None:
    sandbox.fail("iam:ListUsers", answer="garbage")
    with pytest.raises(ResponseParserError):
        sandbox.client("iam", config=ONCE).list_users()


def test_a_delay_alone_gives_the_real_answer_later(sandbox: Sandbox) -> None:
    sandbox.fail("iam:GetUser", delay=0.3)
    start = time.monotonic()
    assert codes(sandbox, 1) == ["NoSuchEntity"]
    assert time.monotonic() - start >= 0.3


def test_rules_are_added_and_dropped_over_http(sandbox: Sandbox) -> None:
    rule = {"name": "iam:GetUser", "answer": {"code": "Example", "status": 400}, "times": None}
    control(sandbox.aws_url, "POST", "faults", rule)
    assert codes(sandbox, 1) == ["Example"]
    control(sandbox.aws_url, "DELETE", "faults")
    assert codes(sandbox, 1) == ["NoSuchEntity"]


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"name": "x", "effect": "never"},
        {"name": "x", "answer": "silence"},
        {"name": "x", "answer": {"code": "Example"}},
        {"name": "("},
        {"name": "x", "nonsense": 1},
        {"name": "x", "answer": {"remove": "id"}},
        {"name": "x", "answer": {"remove": "$.id", "null": "$.id"}},
        {"name": "x", "answer": {"double": "$.id"}},
    ],
)
def test_a_rule_that_means_nothing_is_refused(sandbox: Sandbox, rule: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="422"):
        control(sandbox.aws_url, "POST", "faults", rule)


def test_reset_forgets_everything_but_the_samples(sandbox: Sandbox) -> None:
    iam = sandbox.client("iam", config=ONCE)
    iam.create_user(UserName="forgotten")
    post_registry(sandbox)
    sandbox.fail("iam:.*", answer="reset", times=None)
    sandbox.aws.switch(token_seconds=1)
    for url in (sandbox.aws_url, sandbox.runpod_url):
        control(url, "POST", "reset")

    assert sandbox.aws_calls() == sandbox.runpod_calls() == []
    assert iam.list_users()["Users"] == sandbox.runpod.state()["registries"] == []
    assert control(sandbox.aws_url, "GET", "switches")["token_seconds"] == 12 * 3600
    assert sandbox.client("ecr").describe_images(repositoryName="runpod-gpu-inference")["imageDetails"]


def test_the_control_paths_of_a_server_still_answer(sandbox: Sandbox) -> None:
    assert "registries" in control(sandbox.runpod_url, "GET", "state")
