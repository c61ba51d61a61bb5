# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from .._core.errors import Json
from .._core.time import format_time
from .answer import Answer, malformed
from .client import Aws

PAGE = 50  # events, the most that CloudTrail gives at once
PAUSE = 0.5  # seconds; CloudTrail takes two of these requests a second of an account and region
LONGEST = 90 * 24


class PullEvents:
    """The events of the last hours; `limit` bounds what is read of one key."""

    def __init__(self, aws: Aws, hours: float, limit: int) -> None:
        self.aws = aws
        self.since = aws.clock() - timedelta(hours=hours)
        self.limit = limit
        self._asked: dict[str, datetime] = {}

    def pulls(self, region: str, key_id: str) -> tuple[list[Json], bool]:
        """Return the pulls, newest first, and whether some events were not read."""
        request: Json = {
            "LookupAttributes": [{"AttributeKey": "AccessKeyId", "AttributeValue": key_id}],
            "StartTime": self.since,
            "MaxResults": min(PAGE, self.limit),
        }
        answer = self._ask(region, request)
        events = list(answer["Events"])
        while answer.get("NextToken") and len(events) < self.limit:
            answer = self._ask(region, {**request, "NextToken": answer["NextToken"]})
            events += answer["Events"]
        truncated = bool(answer.get("NextToken")) or len(events) > self.limit
        return [pull(event, region, key_id) for event in events[: self.limit] if is_pull(event)], truncated

    def _ask(self, region: str, request: Json) -> Json:
        last = self._asked.get(region)
        left = PAUSE - (self.aws.clock() - last).total_seconds() if last else 0.0
        if left > 0:
            self.aws.sleep(left)
        self._asked[region] = self.aws.clock()
        return self.aws.call("cloudtrail", "lookup_events", region=region, **request)


def is_pull(event: Answer) -> bool:
    """Return whether an event begins a pull; one for each layer follows."""
    return (event.get("EventSource"), event.get("EventName")) == ("ecr.amazonaws.com", "BatchGetImage")


def pull(event: Answer, region: str, key_id: str) -> Json:
    """Return what an event tells; a refused pull names no image."""
    try:
        reported = json.loads(event["CloudTrailEvent"])
        request = reported.get("requestParameters") or {}
        images = [image.get("imageTag") or image.get("imageDigest") for image in request.get("imageIds", [])]
    except (ValueError, TypeError, AttributeError):
        raise malformed(event.call, event.path + "CloudTrailEvent", "is no record of a call") from None
    return {
        "time": format_time(event["EventTime"].astimezone(timezone.utc)),
        "access_key_id": key_id,
        "region": region,
        "registry_id": request.get("registryId"),
        "repository": request.get("repositoryName"),
        "images": images,
        "source_ip": reported.get("sourceIPAddress"),
        "user_agent": reported.get("userAgent"),
        "error_code": reported.get("errorCode"),
        "error_message": reported.get("errorMessage"),
    }
