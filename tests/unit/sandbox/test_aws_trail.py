# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CloudTrail's event history in the simulator of AWS, seen through boto3."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.sandbox.server import Sandbox

TRAINING = "runpod-gpu-training"
OPERATOR = "AKIAIOSFODNN7EXAMPLE"
ONCE = Config(retries={"total_max_attempts": 1})
Event = dict[str, Any]


@pytest.fixture(autouse=True)
def stopped_clock(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on only when it is told to, and no lookups of the test before."""
    now = float(int(time.time()))
    monkeypatch.setattr(sandbox.aws, "clock", lambda: now)
    sandbox.aws.trail.reset()


def let_a_second_pass(sandbox: Sandbox) -> None:
    later = sandbox.aws.clock() + 1
    sandbox.aws.clock = lambda: later


def events(sandbox: Sandbox, key: str = OPERATOR, region: str = "us-east-1", **asked: Any) -> list[Event]:
    """Return what is told of a key, at a pace that CloudTrail takes."""
    let_a_second_pass(sandbox)
    attribute = {"AttributeKey": "AccessKeyId", "AttributeValue": key}
    answer = sandbox.client("cloudtrail", region_name=region).lookup_events(LookupAttributes=[attribute], **asked)
    return [{**event, "told": json.loads(event["CloudTrailEvent"])} for event in answer["Events"]]


def look(sandbox: Sandbox, tag: str = "v1", **identity: Any) -> None:
    """Ask for an image of the sandbox."""
    ecr = sandbox.client("ecr", **identity)
    ecr.batch_get_image(repositoryName=TRAINING, imageIds=[{"imageTag": tag}])


def powerless(sandbox: Sandbox) -> dict[str, str]:
    """Create a user without rights; return the identity that its key gives."""
    iam, name = sandbox.client("iam"), f"user-{uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}


def test_a_call_to_ecr_is_noted_with_what_it_asked_for(sandbox: Sandbox) -> None:
    look(sandbox, "v1")
    newest, *dummy = events(sandbox)
    assert (newest["EventName"], newest["EventSource"], newest["AccessKeyId"]) == (
        "BatchGetImage",
        "ecr.amazonaws.com",
        OPERATOR,
    )
    assert newest["told"]["requestParameters"] == {"repositoryName": TRAINING, "imageIds": [{"imageTag": "v1"}]}
    assert newest["EventTime"].timestamp() == pytest.approx(sandbox.aws.clock() - 1, abs=1)
    assert "errorCode" not in newest["told"]


def test_a_denied_call_is_noted_without_its_parameters(sandbox: Sandbox) -> None:
    nobody = powerless(sandbox)
    with pytest.raises(ClientError, match="AccessDenied"):
        look(sandbox, **nobody)
    (event,) = events(sandbox, nobody["access_key"])
    assert event["told"]["errorCode"] == "AccessDeniedException" and event["told"]["requestParameters"] is None
    assert "is not authorized to perform: ecr:BatchGetImage" in event["told"]["errorMessage"]


def test_a_call_of_nobody_leaves_no_event(sandbox: Sandbox) -> None:
    nobody = {**powerless(sandbox), "secret_key": "another"}
    with pytest.raises(ClientError, match="InvalidSignature"):
        look(sandbox, **nobody)
    assert events(sandbox, nobody["access_key"]) == []


def test_the_newest_come_first_page_by_page_and_region_by_region(sandbox: Sandbox) -> None:
    begun = sandbox.aws.clock()
    for tag in ("one", "two", "three"):
        look(sandbox, tag)
    tags = [
        event["told"]["requestParameters"]["imageIds"][0]["imageTag"]
        for event in events(sandbox, StartTime=begun, MaxResults=2)
    ]
    assert tags == ["three", "two"]
    assert events(sandbox, region="eu-central-1") == []

    trail, asked = sandbox.client("cloudtrail"), {"StartTime": begun, "MaxResults": 2}
    first = trail.lookup_events(**asked)
    let_a_second_pass(sandbox)
    last = trail.lookup_events(**asked, NextToken=first["NextToken"])
    assert len(last["Events"]) == 1 and "NextToken" not in last


def test_two_requests_a_second_are_taken(sandbox: Sandbox) -> None:
    trail = sandbox.client("cloudtrail", config=ONCE)
    trail.lookup_events()
    trail.lookup_events()
    with pytest.raises(ClientError, match="ThrottlingException"):
        trail.lookup_events()
    let_a_second_pass(sandbox)
    trail.lookup_events()


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"MaxResults": 50, "NextToken": "nonsense"}, "InvalidNextTokenException"),
        ({"StartTime": 2_000_000_000, "EndTime": 1_000_000_000}, "InvalidTimeRangeException"),
        (
            {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "BatchGetImage"}] * 2},
            "InvalidLookupAttributesException",
        ),
    ],
)
def test_what_cloudtrail_does_not_take_is_refused(sandbox: Sandbox, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError, match=code):
        sandbox.client("cloudtrail", config=ONCE).lookup_events(**asked)
