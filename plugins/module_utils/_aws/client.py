# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the one client of AWS.

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any

gc.disable()  # until execute(): looking for garbage in what is imported takes a tenth of a process

with suppress(ImportError):  # AnsibleAWSModule says so before a call is made
    import botocore.exceptions
    import botocore.parsers

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry

from .._core.errors import DENIED, EXPIRED, AwsError, InputError, Json
from .answer import Answer, checked, malformed
from .secret_entry import KeyPair

# A second try mends these, which amazon.aws does not list.
RETRIED = [
    "ThrottlingException",
    "TooManyRequestsException",
    "ServerException",
    "EntityTemporarilyUnmodifiable",
    "ConcurrentModification",
    "TooManyUpdates",
]

READS = (
    "Get",
    "List",
    "Describe",
    "Lookup",
    "Batch",
    "Simulate",
    "Assume",
)  # calls that change nothing
PREFLIGHT = "The playbook gpuops.runpod.preflight, run with the same variables, lists every right that is missing."
SKEWED = re.compile(r"RequestTimeTooSkewed|Signature (expired|not yet current)", re.IGNORECASE)
SET_CLOCK = "The clock of this machine is minutes away from AWS': set it, best by NTP, and run again."
# What botocore's parsers raise
UNPARSED = (AttributeError, LookupError, NameError, OverflowError, RuntimeError, TypeError, ValueError)


def remedy(code: str, call: str, owner: str) -> str:
    """Return what the operator can do; empty when the text says it all."""
    if code in EXPIRED:
        return "The credentials of this session have expired: log in again."
    if code in DENIED:
        who = owner or "whoever runs this"
        if call.startswith("ecr-public:"):
            return (
                f"Allow {call} for {who}, and look for a service control policy: many organizations deny ecr-public:* "
                "so that nothing is published by mistake."
            )
        advice = f"Allow {call} for {who}, and look for an explicit deny, a boundary or a service control policy."
        return advice if owner else f"{advice} {PREFLIGHT}"
    if code in {"NoCredentialsError", "PartialCredentialsError"}:
        return "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or profile."
    if code in {"ResponseParserError", "IncompleteReadError"} or code.isdigit():
        return "What answered is not AWS: check the proxy and endpoint_url."
    if code == "InvalidRegionError":
        listing = "aws ec2 describe-regions --all-regions --region us-east-1"
        return f"Set region, or AWS_REGION, to one that this lists: {listing}"
    if code in {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError"}:
        return "Check the region, its activation, DNS, the proxy and endpoint_url."
    return ""


def aws_error(failure: Exception, call: str, owner: str = "") -> AwsError:
    """Return code first, raw text behind it, then the remedy for whose key it was."""
    answer: Json = getattr(failure, "response", None) or {}
    code = str(answer.get("Error", {}).get("Code") or type(failure).__name__)
    text = str(answer.get("Error", {}).get("Message") or failure)
    if code == "ResponseParserError":
        text = text.partition("\n")[0]  # what follows may hold a secret
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    advice = SET_CLOCK if SKEWED.search(f"{code} {text}") else remedy(code, call, owner)
    message = f"{call}: {code}: {text.rstrip('.')}. {advice}" if advice else f"{call}: {code}: {text}"
    return AwsError(message, call, code, text, status)


@contextmanager
def tolerating(*codes: str) -> Iterator[None]:
    """Let these error codes pass: what was to be removed is gone, say."""
    try:
        yield
    except AwsError as error:
        if error.code not in codes:
            raise


class Aws:
    """Makes one call at a time: `call("iam", "get_user", UserName=...)`. `connect` has the shape of
    AnsibleAWSModule.client, `config` are the operator's botocore settings, `clock` returns an aware datetime in UTC.
    Raises AwsError, also for "not there".
    """

    def __init__(
        self,
        connect: Callable[..., Any],
        region: str,
        config: Json | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connect = connect
        self.region = region
        self.config = config or {}
        self.clock = clock
        self.sleep = sleep
        self.writes: list[str] = []
        self._clients: dict[tuple[Any, ...], Any] = {}

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        identity: KeyPair | None = None,
        once: bool = False,
        **request: Any,
    ) -> Answer:
        """Return the answer of an operation as boto3 names it.

        `identity` calls as that key's owner, without the operator's session token. `once` sends what must not be
        repeated when the answer is lost.
        """
        client = self._client(service, region or self.region, identity, once)
        action = client.meta.method_to_api_mapping[operation]
        name = f"{service}:{action}"
        try:
            answer = getattr(client, operation)(**request, **({} if once else {"aws_retry": True}))
        except (
            botocore.exceptions.ClientError,
            botocore.exceptions.BotoCoreError,
            botocore.parsers.ResponseParserError,
        ) as failure:
            raise aws_error(failure, name, identity.owner if identity else "") from failure
        except UNPARSED as failure:
            raise malformed(name, "a structure", f"has another form ({type(failure).__name__})") from failure
        if not action.startswith(READS):
            self.writes.append(name)
        shape = client.meta.service_model.operation_model(action).output_shape
        if shape and action.startswith(READS) and not answer.keys() - {"ResponseMetadata"}:
            raise malformed(name, "everything", "is missing")
        return checked(name, shape, answer) if shape else Answer(name, "", answer)

    def forget(self) -> None:
        """Let what is read next be what is there by then: here, unlike in a look, it always is."""

    def knows(self, service: str, operation: str) -> bool:
        """Return whether boto3 is new enough for an operation."""
        return operation in self._client(service, self.region, None, False).meta.method_to_api_mapping

    def pages(self, service: str, operation: str, key: str, **request: Any) -> list[Any]:
        """Return all items under `key` of an IAM-style listing (IsTruncated, Marker)."""
        answer = self.call(service, operation, **request)
        items = list(answer[key])
        while answer.get("IsTruncated"):
            marker = answer["Marker"]
            answer = self.call(service, operation, Marker=marker, **request)
            if answer.get("IsTruncated") and answer["Marker"] == marker:
                raise malformed(answer.call, "Marker", "leads to the same page again")
            items += answer[key]
        return items

    def _client(self, service: str, region: str, identity: KeyPair | None, once: bool) -> Any:
        key = (service, region, identity, once)
        if key not in self._clients:
            options: Json = {"region": region}
            if identity is not None:
                options["aws_access_key_id"] = identity.access_key_id
                options["aws_secret_access_key"] = identity.secret_access_key
                options["aws_session_token"] = identity.session_token  # None: else the operator's would be sent along
            if once:
                options["aws_config"] = {**self.config, "retries": {"total_max_attempts": 1}}
            else:
                options["retry_decorator"] = AWSRetry.jittered_backoff(retries=8, catch_extra_error_codes=RETRIED)
            self._clients[key] = self.connect(service, **options)
        return self._clients[key]


def aws_client(module: AnsibleAWSModule) -> Aws:
    if not module.region:
        raise InputError("No AWS region: set region, AWS_REGION or a profile that has one.")
    return Aws(module.client, module.region, module.params["aws_config"])
