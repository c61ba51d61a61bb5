# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ECR Public in memory, behind real clients of boto3: the sandbox's simulator without a server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from werkzeug.datastructures import Headers

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.tests.sandbox.aws import SWITCHES
from ansible_collections.gpuops.runpod.tests.sandbox.aws_calls import ACCOUNT, AwsCall, AwsRefusal
from ansible_collections.gpuops.runpod.tests.sandbox.aws_public import PublicRegistry

KEY = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}


class Body:
    """What botocore reads an answer from."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self) -> Iterator[bytes]:
        yield self.content


class PublicAccount:
    """Notes every call. `before` maps an operation to what happens once before it: a refusal, or a function to run."""

    def __init__(self) -> None:
        self.registry = PublicRegistry(ACCOUNT, time.time, lambda: SWITCHES)
        self.calls: list[str] = []
        self.before: dict[str, AwsRefusal | Callable[[], object]] = {}
        self.regions: set[str] = set()

    def aws(self, region: str = "ap-northeast-2") -> Aws:
        return Aws(self.connect, region, sleep=lambda dummy: None)

    def connect(self, service: str, region: str, **dummy: Any) -> Any:
        return Retrying(self.client(service, region))

    def client(self, service: str = "ecr-public", region: str = "us-east-1") -> Any:
        client = boto3.client(service, region_name=region, config=Config(retries={"total_max_attempts": 1}), **KEY)
        client.meta.events.register_first("before-send", self._send)  # before moto, where it is on
        return client

    def took(self) -> list[str]:
        """Return the calls since the last look."""
        made, self.calls = self.calls, []
        return made

    def _send(self, request: AWSPreparedRequest, **dummy: Any) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
        region = request.headers["Authorization"].decode().split("/")[2]
        self.calls.append(operation)
        self.regions.add(region)
        try:
            event = self.before.pop(operation, None)
            if isinstance(event, AwsRefusal):
                raise event
            if event:
                event()
            status, answer = 200, self.registry.answer(call(operation, region, json.loads(request.body)))
        except AwsRefusal as refusal:
            status, answer = refusal.status, {"__type": refusal.code, "message": refusal.message}
        return AWSResponse(request.url, status, {}, Body(json.dumps(answer).encode()))


def call(operation: str, region: str, parameters: dict[str, Any]) -> AwsCall:
    """Return a call of ECR Public as it comes over HTTP."""
    unsaid: dict[str, Any] = {"access_key": "", "signed_headers": (), "signature": "", "method": "POST", "url": ""}
    return AwsCall(
        "ecr-public", operation, region, json=True, parameters=parameters, headers=Headers(), body=b"", **unsaid
    )


class Retrying:
    """A client that takes the word aws_retry, as that of AnsibleAWSModule does."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.meta = client.meta

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return lambda aws_retry=False, **request: getattr(self._client, operation)(**request)
