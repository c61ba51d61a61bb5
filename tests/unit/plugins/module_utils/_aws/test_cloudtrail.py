# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.cloudtrail import PullEvents
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import Account

Json = dict[str, Any]

KEY = "AKIAIOSFODNN7EXAMPLE"
IMAGE = {"repositoryName": "team/app", "registryId": "123456789012", "imageIds": [{"imageTag": "v1"}]}


def event(account: Account, minutes: float, name: str = "BatchGetImage", **told: Any) -> Json:
    """Return an event of so many minutes ago."""
    known = {"requestParameters": IMAGE, "sourceIPAddress": "192.0.2.7", "userAgent": "containerd/2.1.4"}
    return {
        "EventName": name,
        "EventSource": "ecr.amazonaws.com",
        "EventTime": account.now - timedelta(minutes=minutes),
        "CloudTrailEvent": json.dumps({**known, **told}),
    }


def pulls(account: Account, hours: float = 24, limit: int = 200) -> tuple[list[Json], bool]:
    return PullEvents(account.aws(), hours, limit).pulls("us-east-1", KEY)


def test_pull_is_told_and_its_layers_are_not(account: Account) -> None:
    account.events["us-east-1", KEY] = [event(account, 1, "GetDownloadUrlForLayer"), event(account, 2)]
    assert pulls(account) == (
        [
            {
                "time": f"{account.now - timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}",
                "access_key_id": KEY,
                "region": "us-east-1",
                "registry_id": "123456789012",
                "repository": "team/app",
                "images": ["v1"],
                "source_ip": "192.0.2.7",
                "user_agent": "containerd/2.1.4",
                "error_code": None,
                "error_message": None,
            }
        ],
        False,
    )


def test_call_of_another_service_by_the_same_name_is_no_pull(account: Account) -> None:
    account.events["us-east-1", KEY] = [{**event(account, 1), "EventSource": "elsewhere.amazonaws.com"}]
    assert pulls(account) == ([], False)


def test_refused_pull_names_no_image(account: Account) -> None:
    refused = event(account, 1, requestParameters=None, errorCode="AccessDenied", errorMessage="not authorized")
    account.events["us-east-1", KEY] = [refused]
    ((told,), dummy) = pulls(account)
    assert (told["repository"], told["images"]) == (None, [])
    assert (told["error_code"], told["error_message"]) == ("AccessDenied", "not authorized")


def test_image_by_digest_is_told_by_its_digest(account: Account) -> None:
    by_digest = {**IMAGE, "imageIds": [{"imageDigest": "sha256:d"}]}
    account.events["us-east-1", KEY] = [event(account, 1, requestParameters=by_digest)]
    assert pulls(account)[0][0]["images"] == ["sha256:d"]


def test_only_the_asked_hours_are_read(account: Account) -> None:
    account.events["us-east-1", KEY] = [event(account, 59), event(account, 61)]
    assert len(pulls(account, hours=1)[0]) == 1


@pytest.mark.parametrize(
    "held, limit, requests, told, truncated",
    [
        (0, 200, 1, 0, False),
        (50, 200, 1, 50, False),
        (51, 200, 2, 51, False),
        (120, 200, 3, 120, False),
        (120, 100, 2, 100, True),
        (120, 70, 2, 70, True),
        (75, 70, 2, 70, True),
        (70, 70, 2, 70, False),
        (120, 10, 1, 10, True),
        (10, 10, 1, 10, False),
    ],
)
def test_pages_are_read_up_to_the_limit(
    account: Account, held: int, limit: int, requests: int, told: int, truncated: bool
) -> None:
    account.events["us-east-1", KEY] = [event(account, minutes) for minutes in range(1, held + 1)]
    found, rest = pulls(account, limit=limit)
    assert (len(found), rest, len(account.requests)) == (told, truncated, requests)
    asked = [request for dummy, request in account.requests]
    assert len({json.dumps({**request, "NextToken": ""}, default=str) for request in asked}) == 1


def test_requests_keep_to_two_a_second_in_each_region(account: Account) -> None:
    trail = PullEvents(account.aws(), 24, 200)
    for region in ("us-east-1", "ap-northeast-2"):
        account.events[region, KEY] = [event(account, minutes) for minutes in range(1, 121)]
    trail.pulls("us-east-1", KEY)
    assert account.naps == [0.5, 0.5]
    trail.pulls("ap-northeast-2", KEY)
    assert account.naps == [0.5] * 4
    trail.pulls("us-east-1", KEY)
    assert account.naps == [0.5] * 6


def test_no_pause_is_longer_than_needed(account: Account) -> None:
    trail = PullEvents(account.aws(), 24, 200)
    trail.pulls("us-east-1", KEY)
    account.now += timedelta(seconds=0.25)
    trail.pulls("us-east-1", KEY)
    account.now += timedelta(seconds=0.5)
    trail.pulls("us-east-1", KEY)
    assert account.naps == [0.25]


@pytest.mark.parametrize(
    "record", ["<html>", "[]", '{"requestParameters": 5}', '{"requestParameters": {"imageIds": 5}}']
)
def test_record_that_cannot_be_read_is_an_error_that_names_it(account: Account, record: str) -> None:
    account.events["us-east-1", KEY] = [{**event(account, 1), "CloudTrailEvent": record}]
    with pytest.raises(AwsError, match=r"cloudtrail:LookupEvents: .*Events\[\]\.CloudTrailEvent is no record"):
        pulls(account)
