# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event history of AWS CloudTrail, as far as it tells of calls to ECR: moto notes nothing.

Events are there at once; AWS takes up to 15 minutes. A call whose signature is not accepted leaves none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, NamedTuple
from uuid import uuid4

from werkzeug.wrappers import Response

from .aws_calls import AwsCall, AwsRefusal, answer

Json = dict[str, Any]

DAYS = 90
MOST_EVENTS = 50  # in one answer
QUOTA = 2  # requests a second, for an account and region
ATTRIBUTES = {
    "AccessKeyId",
    "EventId",
    "EventName",
    "EventSource",
    "ReadOnly",
    "ResourceName",
    "ResourceType",
    "Username",
}
UNKNOWN_CALLERS = {"InvalidSignatureException", "UnrecognizedClientException"}
DENIED = "AccessDeniedException"


class Event(NamedTuple):
    """What was noted of one call."""

    account: str
    region: str
    time: float
    told: Json

    def shown(self) -> Json:
        """Return the event as LookupEvents gives it."""
        return {
            "EventId": self.told["eventID"],
            "EventName": self.told["eventName"],
            "ReadOnly": "true" if self.told["readOnly"] else "false",
            "AccessKeyId": self.told["userIdentity"]["accessKeyId"],
            "EventTime": self.time,
            "EventSource": self.told["eventSource"],
            "CloudTrailEvent": json.dumps(self.told),
        }


class Trail:
    """The events of all accounts and regions."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._events: list[Event] = []
        self._lookups: dict[tuple[str, str], list[float]] = {}

    def note(self, call: AwsCall, response: Response) -> None:
        """Note a call to ECR that was answered."""
        if call.service != "ecr" or not call.json:
            return
        said = json.loads(response.get_data()) if response.status_code >= 400 else {}
        code, message = said.get("__type"), said.get("message")
        if code in UNKNOWN_CALLERS:
            return
        now = self.clock()
        told = {
            "eventVersion": "1.11",
            "userIdentity": {"accountId": call.account, "accessKeyId": call.access_key},
            "eventTime": f"{datetime.fromtimestamp(now, timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
            "eventSource": "ecr.amazonaws.com",
            "eventName": call.operation,
            "awsRegion": call.region,
            "sourceIPAddress": "127.0.0.1",
            "userAgent": call.headers.get("User-Agent"),
            "requestParameters": None if code == DENIED else dict(call.parameters),
            "eventID": str(uuid4()),
            "readOnly": call.operation.startswith(("BatchGet", "Describe", "Get", "List")),
        }
        refused = {"errorCode": code, "errorMessage": message} if code else {}
        self._events.append(Event(call.account, call.region, now, {**told, **refused}))

    def look_up(self, call: AwsCall) -> Response:
        """Answer LookupEvents: the newest first, a page at a time."""
        self._pace(call)
        asked = call.parameters
        size, wanted = _page_size(asked), _attribute(asked)
        since = asked.get("StartTime", self.clock() - DAYS * 86400)
        until = asked.get("EndTime", self.clock())
        if since > until:
            raise AwsRefusal("InvalidTimeRangeException", "The start time must be before the end time.")
        held = [
            shown
            for event in reversed(self._events)
            if (event.account, event.region) == (call.account, call.region) and since <= event.time <= until
            if (shown := event.shown()).get(wanted[0]) == wanted[1] or not wanted[0]
        ]
        start = _position(asked)
        more = {"NextToken": str(start + size)} if start + size < len(held) else {}
        return answer(call, {"Events": held[start : start + size], **more})

    def _pace(self, call: AwsCall) -> None:
        now, place = self.clock(), (call.account, call.region)
        lately = [moment for moment in self._lookups.get(place, []) if moment > now - 1]
        if len(lately) >= QUOTA:
            raise AwsRefusal("ThrottlingException", "Rate exceeded")
        self._lookups[place] = [*lately, now]


def _page_size(asked: Any) -> int:
    size = asked.get("MaxResults", MOST_EVENTS)
    if not isinstance(size, int) or not 1 <= size <= MOST_EVENTS:
        raise AwsRefusal("InvalidMaxResultsException", f"MaxResults must be from 1 to {MOST_EVENTS}.")
    return size


def _attribute(asked: Any) -> tuple[str, str]:
    """Return the one attribute that events are looked up by; empty when there is none."""
    given = asked.get("LookupAttributes", [])
    if not given:
        return "", ""
    if len(given) > 1 or given[0].get("AttributeKey") not in ATTRIBUTES:
        raise AwsRefusal("InvalidLookupAttributesException", "You must specify exactly one valid lookup attribute.")
    return given[0]["AttributeKey"], given[0]["AttributeValue"]


def _position(asked: Any) -> int:
    token = asked.get("NextToken", "0")
    if not token.isdecimal():
        raise AwsRefusal("InvalidNextTokenException", "The token is not one of a former answer.")
    return int(token)
