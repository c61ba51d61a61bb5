# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes calls from boto3 to moto without the HTTP between them, which takes most of the time of both.

boto3 checks and writes each request and reads each answer as ever; test_direct.py compares them with the long way's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import botocore
from botocore.awsrequest import AWSResponse
from botocore.parsers import create_parser
from moto.core.exceptions import ServiceException
from moto.core.models import botocore_stubber
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores
from moto.ecr.responses import ECRResponse
from moto.iam.models import mark_account_as_visited
from moto.iam.responses import IamResponse
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.ssm.responses import SimpleSystemManagerResponse
from moto.sts.responses import TokenResponse

ACCOUNT = "123456789012"
RESPONSES: dict[str, type[BaseResponse]] = {
    "ecr": ECRResponse,
    "iam": IamResponse,
    "secretsmanager": SecretsManagerResponse,
    "ssm": SimpleSystemManagerResponse,
    "sts": TokenResponse,
}

# What a service answers in XML is written and read as JSON, in a fraction of the time.
JSON = create_parser("json")
method_of = cache(camelcase_to_underscores)


class Sent(NamedTuple):
    """What moto's parsers look at in a request."""

    content_type: str
    method: str
    values: dict[str, Any]
    headers: dict[str, str]
    data: bytes
    path: str = "/"


def shorten(client: Any) -> Any:
    """Let the calls of a client take the short way."""
    service = client.meta.service_model.service_name
    if service in RESPONSES:
        client._ruleset_resolver = None  # no call needs to know where it goes
        client.meta.events.register("before-call", answerer(client, RESPONSES[service]))
    return client


def answerer(client: Any, response: type[BaseResponse]) -> Callable[..., Any]:
    def answer(model: Any, params: dict[str, Any], **dummy: Any) -> tuple[AWSResponse, Any] | None:
        """Return an answer and what it says, or nothing where the long way is to be taken."""
        asked = prepared(response(), model.name, params, client) if botocore_stubber.enabled else None
        answered = asked and acted(asked, model.name)
        if not answered:
            return None
        status, headers, body = answered
        got = {"status_code": status, "headers": headers, "body": body.encode()}
        parser = JSON if body.startswith("{") else client._response_parser
        parsed = parser.parse(got, model.output_shape)
        return AWSResponse(client.meta.endpoint_url, status, headers, None), parsed

    return answer


def acted(asked: Any, operation: str) -> tuple[int, dict[str, Any], str] | None:
    """Return status, headers and body of what moto answers; nothing where only the long way can tell."""
    try:
        answered = getattr(asked, method_of(operation))()
    except ServiceException as error:
        answered = ActionResult(error)
    except Exception:
        return None
    if isinstance(answered, ActionResult):
        if not isinstance(answered.result, Exception):
            asked.determine_response_protocol = lambda dummy: "json"
        return asked.serialized(answered)
    return (200, {}, answered) if isinstance(answered, str) else None


def prepared(asked: Any, operation: str, params: dict[str, Any], client: Any) -> Any:
    """Let moto know what it would have read from a request."""
    form, headers = params["body"], dict(params["headers"])
    flat = form if isinstance(form, dict) else {}
    if client.meta.config.signature_version is not botocore.UNSIGNED:
        headers["Authorization"] = f"AWS4 {client._request_signer._credentials.access_key}/"
    asked.headers, asked.response_headers, asked.uri_match = headers, {}, {}
    asked.body = asked.raw_body = "" if flat else form.decode()
    asked.querystring = asked.data = {"Action": [operation]} | {name: [value] for name, value in flat.items()}
    asked.region = client._request_signer._region_name  # where a service is the same in all, meta names no region
    asked.partition = client.meta.partition
    asked.access_key, asked.current_account = asked.get_access_key(), ACCOUNT
    mark_account_as_visited(ACCOUNT, asked.access_key, asked.service_name, asked.region)
    if asked.automated_parameter_parsing:
        kind = "application/x-www-form-urlencoded" if flat else headers["Content-Type"]
        asked.parse_parameters(Sent(kind, "POST", flat, headers, b"" if flat else form))
    return asked
