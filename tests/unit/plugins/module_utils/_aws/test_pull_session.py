# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that mint tokens: as whom, and narrowed to what."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.loaders import Loader

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.answer import Answer
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.policy_document import compact
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.pull_document import pull_document
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.pull_session import (
    LIMIT,
    Minting,
    check_minting,
    is_session_of,
    pull_session,
    session_policy,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError, InputError

Json = dict[str, Any]
ROLE = "arn:aws:iam::123456789012:role/runpod/puller"
SESSION = "arn:aws:sts::123456789012:assumed-role/puller/session"
DEPLOY = "arn:aws:sts::123456789012:assumed-role/deploy/session"
USER = "arn:aws:iam::123456789012:user/operator"
GIVEN = {"AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": "wJalrXUtnFEMI", "SessionToken": "token"}


def arn(name: str, region: str = "us-east-1") -> str:
    return f"arn:aws:ecr:{region}:123456789012:repository/{name}"


class Sts:
    """Answers as who calls; `refusal` is what it says to GetScopedCredentials."""

    def __init__(self, caller: str = USER, known: bool = False, refusal: str = "") -> None:
        self.caller, self.known, self.refusal = caller, known, refusal
        self.calls: list[tuple[str, Json]] = []

    def knows(self, *dummy: str) -> bool:
        return self.known

    def call(self, dummy: str, operation: str, **request: Any) -> Any:
        if operation == "get_caller_identity":
            return {"Arn": self.caller}
        self.calls.append((operation, request))
        if self.refusal:
            raise AwsError("no", f"sts:{operation}", self.refusal, "no")
        return Answer("sts", "", {"Credentials": GIVEN})


def resources(sts: Sts) -> list[str]:
    [(dummy, request)] = sts.calls
    [token, *pull] = json.loads(request["Policy"])["Statement"]
    assert (token["Action"], token["Resource"]) == ("ecr:GetAuthorizationToken", "*")
    return [name for statement in pull for name in statement["Resource"]]


def open_as(sts: Any, minting: Minting, *more: str) -> Any:
    return pull_session(sts, minting, "us-east-1", more)


def test_a_role_is_assumed_for_the_repositories_of_the_region() -> None:
    sts = Sts()
    wanted = (arn("app"), arn("app", "eu-west-1"), arn("team/*", "*"))
    found = open_as(sts, Minting(ROLE, "team", wanted), arn("used"), arn("used", "eu-west-1"))
    assert resources(sts) == sorted([arn("app"), arn("team/*", "*"), arn("used")])
    [(operation, request)] = sts.calls
    assert operation == "assume_role"
    assert (request["RoleArn"], request["ExternalId"]) == (ROLE, "team")
    assert request["RoleSessionName"] == "gpuops.runpod" and request["DurationSeconds"] == 3600
    assert (found.key, found.opens_more) == (tuple(GIVEN.values()), "")
    assert "token" not in repr(found.key) and "wJalr" not in repr(found.key)
    assert found.key.owner == "the session that mints tokens"


def test_a_role_without_repositories_keeps_its_rights() -> None:
    sts = Sts()
    assert open_as(sts, Minting(ROLE)).opens_more == ""
    assert "Policy" not in sts.calls[0][1] and "ExternalId" not in sts.calls[0][1]


def test_repositories_of_other_regions_leave_the_right_to_get_tokens() -> None:
    sts = Sts()
    open_as(sts, Minting(ROLE, None, (arn("app", "eu-west-1"),)))
    assert resources(sts) == []


@pytest.mark.parametrize(("known", "narrowed"), [(True, True), (False, False)])
def test_a_session_of_the_role_itself_assumes_nothing(known: bool, narrowed: bool) -> None:
    sts = Sts(SESSION, known)
    found = open_as(sts, Minting(ROLE, None, (arn("app"),)))
    assert [operation for operation, dummy in sts.calls] == ["get_scoped_credentials"] * narrowed
    assert bool(found.key) is narrowed and bool(found.opens_more) is not narrowed


def test_a_session_of_the_role_without_repositories_is_as_good_as_the_role() -> None:
    sts = Sts(SESSION, True)
    assert open_as(sts, Minting(ROLE)) == (None, "") and sts.calls == []


def test_a_caller_narrows_its_own_session() -> None:
    sts = Sts(DEPLOY, True)
    found = open_as(sts, Minting(None, None, (arn("app"),)))
    assert resources(sts) == [arn("app")] and (found.key, found.opens_more) == (tuple(GIVEN.values()), "")


@pytest.mark.parametrize(
    "sts",
    [
        Sts(USER, True),
        Sts(DEPLOY, False),
        Sts(DEPLOY, True, "AccessDenied"),
        Sts(DEPLOY, True, "InvalidSubjectCredentials"),
    ],
)
def test_a_caller_that_cannot_be_narrowed_is_warned_of(sts: Sts) -> None:
    found = open_as(sts, Minting(None, None, (arn("app"),)))
    assert found.key is None and f"RunPod can pull whatever {sts.caller} can" in found.opens_more


def test_another_refusal_is_an_error() -> None:
    with pytest.raises(AwsError):
        open_as(Sts(DEPLOY, True, "ExpiredToken"), Minting(None, None, (arn("app"),)))


def test_too_many_repositories_become_their_folders_and_then_none() -> None:
    folders = [arn(f"team/{number:060}") for number in range(40)]
    sts = Sts()
    found = open_as(sts, Minting(ROLE, None, (*folders, arn("app"))))
    assert resources(sts) == [arn("app"), arn("team/*")]
    assert f"whatever {ROLE} can of the folders that they lie in" in found.opens_more
    sts = Sts()
    many = tuple(arn(f"{number:060}") for number in range(40))
    found = open_as(sts, Minting(ROLE, None, many))
    assert "Policy" not in sts.calls[0][1] and f"RunPod can pull whatever {ROLE} can. Name" in found.opens_more
    sts = Sts(DEPLOY, True)
    assert open_as(sts, Minting(None, None, many)).key is None and sts.calls == []


def test_policy_of_a_session_has_no_character_too_many() -> None:
    spare = LIMIT - len(compact(pull_document([arn("a")])))
    for more, exact in ((0, True), (1, False)):
        policy = session_policy([arn("a" * (1 + spare + more))])
        assert policy.exact is exact
        assert policy.document is None or len(compact(policy.document)) == LIMIT


@pytest.mark.parametrize(
    ("session", "role", "same"),
    [
        (SESSION, ROLE, True),
        (DEPLOY, ROLE, False),
        (SESSION.replace("123456789012", "210987654321"), ROLE, False),
        (USER, ROLE, False),
    ],
)
def test_whose_session_it_is(session: str, role: str, same: bool) -> None:
    assert is_session_of(session, role) is same


@pytest.mark.parametrize(
    ("minting", "words"),
    [
        (Minting("puller"), "role_arn 'puller' is no ARN of an IAM role"),
        (Minting(ROLE.replace("role/", "user/")), "is no ARN of an IAM role"),
        (Minting(None, "team"), "set role_arn too"),
    ],
)
def test_what_names_no_role_is_refused(minting: Minting, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_minting(minting)


# With botocore itself: its own model of the operation where it has one, else that of 1.44.8 in what is used of it.
OPERATION: Json = {
    "name": "GetScopedCredentials",
    "http": {"method": "POST", "requestUri": "/"},
    "input": {"shape": "GetScopedCredentialsRequest"},
    "output": {"shape": "GetScopedCredentialsResponse", "resultWrapper": "GetScopedCredentialsResult"},
    "errors": [],
}
SHAPES: Json = {
    "GetScopedCredentialsRequest": {"type": "structure", "members": {"Policy": {"shape": "sessionPolicyDocumentType"}}},
    "GetScopedCredentialsResponse": {"type": "structure", "members": {"Credentials": {"shape": "Credentials"}}},
}
LENT = (
    "<Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>wJalrXUtnFEMI</SecretAccessKey>"
    "<SessionToken>token</SessionToken><Expiration>2026-11-28T12:00:00Z</Expiration></Credentials>"
)
REFUSED = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>no</Message></Error></ErrorResponse>"


class Endpoint:
    """What STS answers to a client of botocore; keeps what it was sent."""

    def __init__(self, models: Path, refusal: str = "") -> None:
        self.refusal, self.sent = refusal, list[Any]()
        session = botocore.session.get_session()
        session.set_credentials("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", "of the caller")
        loader = session.get_component("data_loader")
        model = loader.load_service_model("sts", "service-2")
        if OPERATION["name"] not in model["operations"]:
            model["operations"][OPERATION["name"]] = OPERATION
            model["shapes"] |= SHAPES
            folder = models / "sts" / "2011-06-15"
            folder.mkdir(parents=True)
            (folder / "service-2.json").write_text(json.dumps(model))
            session.register_component("data_loader", Loader([str(models), *loader.search_paths]))
        self._session = session

    def connect(self, service: str, region: str, **dummy: Any) -> Any:
        client = self._session.create_client(service, region_name=region)
        client.meta.events.register("before-send.sts", self.answer)
        client.meta.events.register("provide-client-params.sts", without_retry)
        return client

    def answer(self, request: Any, **dummy: Any) -> AWSResponse:
        self.sent.append(request)
        body = parse_qs(request.body.decode() if isinstance(request.body, bytes) else request.body)
        operation = body["Action"][0]
        held = LENT if operation == OPERATION["name"] else f"<Arn>{DEPLOY}</Arn><Account>123456789012</Account>"
        text = f"<{operation}Response><{operation}Result>{held}</{operation}Result></{operation}Response>"
        refused = bool(self.refusal) and operation == OPERATION["name"]
        found = AWSResponse(request.url, 403 if refused else 200, {}, None)
        found._content = (REFUSED.format(self.refusal) if refused else text).encode()
        return found


def without_retry(params: Json, **dummy: Any) -> Json:
    """Take out what a client of amazon.aws does not hand on."""
    return {name: value for name, value in params.items() if name != "aws_retry"}


def aws_at(endpoint: Endpoint) -> Aws:
    return Aws(endpoint.connect, "us-east-1", None, lambda: datetime(2026, 11, 28, tzinfo=timezone.utc), time.sleep)


def test_a_client_of_botocore_narrows_the_caller_s_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "regional")  # as by default where botocore has the operation
    endpoint = Endpoint(tmp_path)
    found = open_as(aws_at(endpoint), Minting(None, None, (arn("app"),)))
    assert (found.key, found.opens_more) == (tuple(GIVEN.values()), "")
    request = endpoint.sent[-1]
    body = parse_qs(request.body.decode() if isinstance(request.body, bytes) else request.body)
    assert request.url == "https://sts.us-east-1.amazonaws.com/"  # the global endpoint does not know the operation
    assert body["Action"] == ["GetScopedCredentials"]
    assert json.loads(body["Policy"][0]) == pull_document([arn("app")])
    assert request.headers["X-Amz-Security-Token"] in ("of the caller", b"of the caller")


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAction", "InvalidSubjectCredentials"])
def test_a_client_of_botocore_that_is_refused_keeps_all_its_rights(tmp_path: Path, code: str) -> None:
    found = open_as(aws_at(Endpoint(tmp_path, code)), Minting(None, None, (arn("app"),)))
    assert found.key is None and f"RunPod can pull whatever {DEPLOY} can" in found.opens_more
