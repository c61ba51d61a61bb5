# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call to AWS as it comes over HTTP, and how the two protocols that are used here say yes and no."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

ACCOUNT = "123456789012"
# The operators' keys and their accounts, AWS' example numbers; any other key of the documentation is one of ACCOUNT.
OPERATORS = {
    "AKIAIOSFODNN7EXAMPLE": ACCOUNT,
    "AKIASECONDAAAEXAMPLE": "111122223333",
    "AKIATHIRDAAAAEXAMPLE": "444455556666",
    "AKIAFOURTHAAAEXAMPLE": "777788889999",
}
ACCOUNTS = tuple(OPERATORS.values())
REQUEST_ID = "00000000-0000-4000-8000-000000000000"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]*)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<signed>[^,]+), ?Signature=(?P<signature>[0-9a-f]+)"
)


class AwsRefusal(Exception):
    """AWS says no."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class AwsCall(NamedTuple):
    """One request; what its signature says is empty when there is none."""

    service: str
    operation: str
    region: str
    access_key: str
    signed_headers: tuple[str, ...]
    signature: str
    json: bool  # the JSON protocol, else the query protocol
    parameters: Mapping[str, Any]
    method: str
    url: str
    headers: Headers
    body: bytes
    account: str = ""  # of who calls, once that is known

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"

    def changed(self, **parameters: Any) -> AwsCall:
        """Return this call of the JSON protocol with parameters added."""
        given = {**self.parameters, **parameters}
        return self._replace(parameters=given, body=json.dumps(given).encode())

    def for_moto(self, environ: WSGIEnvironment) -> WSGIEnvironment:
        """Return the environment of the request with this call's body, and with the account that moto is to act in."""
        body = {"wsgi.input": BytesIO(self.body), "CONTENT_LENGTH": str(len(self.body))}
        return {**environ, **body, "HTTP_X_MOTO_ACCOUNT_ID": self.account}


def parse(environ: WSGIEnvironment) -> AwsCall:
    """Read a request, and leave its body in the environment for who reads it next."""
    request = Request(environ)
    body = request.get_data(parse_form_data=False)
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
    match = AUTHORIZATION.match(request.headers.get("Authorization", ""))
    said = match.groupdict() if match else dict.fromkeys(("key", "region", "service", "signed", "signature"), "")
    target = request.headers.get("X-Amz-Target", "")
    parameters = _json(body) if target else dict(parse_qsl(body.decode("utf-8", "replace")))
    return AwsCall(
        service=said["service"],
        operation=target.rpartition(".")[2] or parameters.get("Action") or f"{request.method} {request.path}",
        region=said["region"],
        access_key=said["key"],
        signed_headers=tuple(said["signed"].split(";")),
        signature=said["signature"],
        json=bool(target),
        parameters=parameters,
        method=request.method,
        url=request.url,
        headers=Headers(request.headers),
        body=body,
    )


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def answer(call: AwsCall, result: Mapping[str, Any]) -> Response:
    """Return the success of a call of the JSON protocol, or the empty success of one of the query protocol."""
    if call.json:
        return _json_response(result, 200)
    if result:
        raise NotImplementedError("the query protocol is only spoken for empty results")
    metadata = f"<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata>"
    return _xml_response(f"<{call.operation}Response>{metadata}</{call.operation}Response>", 200)


def refuse(call: AwsCall, code: str, message: str, status: int) -> Response:
    """Return an error in the words of the call's protocol."""
    if call.json:
        return _json_response({"__type": code, "message": message}, status)
    error = f"<Error><Type>Sender</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    return _xml_response(f"<ErrorResponse>{error}<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>", status)


def refuse_raw(environ: WSGIEnvironment, code: str, message: str, status: int) -> Response:
    """Return an error for a request that was not read yet."""
    return refuse(parse(environ), code, message, status)


def _json_response(document: Mapping[str, Any], status: int) -> Response:
    headers = {"x-amzn-RequestId": REQUEST_ID}
    return Response(json.dumps(document), status, headers, content_type="application/x-amz-json-1.1")


def _xml_response(text: str, status: int) -> Response:
    return Response(text, status, {"x-amzn-RequestId": REQUEST_ID}, content_type="text/xml")


def collect(app: WSGIApplication, environ: WSGIEnvironment) -> Response:
    """Return the whole answer of a WSGI application."""
    return Response.from_app(app, environ, buffered=True)
