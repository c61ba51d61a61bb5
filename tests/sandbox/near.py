# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes what clients of this process send to the sandbox's clouds there without sockets, which take most of the time.

The clients write each request, and the servers read it, as ever. Registries are reached as ever too.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from ansible.module_utils.urls import Request
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session
from werkzeug.wrappers import Response

from .faults import Faults
from .server import Sandbox

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment


class Socket:
    """Stands in the place of the connection, which only a fault looks at."""

    def setsockopt(self, *dummy: Any) -> None: ...

    def shutdown(self, dummy: int) -> None: ...


class Got(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Stream(io.BytesIO):
    """The answer as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


class Body(io.BytesIO):
    """The answer as the opener of Ansible's modules returns it."""

    def __init__(self, got: Got) -> None:
        super().__init__(got.body)
        self.status, self.headers = got.status, Message()
        for name, value in got.headers:
            self.headers[name] = value


Change = Callable[[str, bytes], bytes]


@contextmanager
def near(sandbox: Sandbox, change: Change | None = None) -> Iterator[None]:
    """While this lasts, no socket is between the clients of this process and both clouds.

    `change` gets the name of each call with the body of its answer, and returns the body that arrives.
    """
    apps = {
        sandbox.aws_url: changing(sandbox.apps["aws"], change),
        sandbox.runpod_url: changing(sandbox.apps["runpod"], change),
    }
    with (
        patch.object(URLLib3Session, "send", _of_boto3(apps, URLLib3Session.send)),
        patch.object(Request, "open", _of_modules(apps, Request.open)),
    ):
        yield


def changing(server: Faults, change: Change | None) -> WSGIApplication:
    if change is None:
        return server

    def served(environ: WSGIEnvironment, start_response: Any) -> Any:
        name = server.name_of(environ)
        response = Response.from_app(server, environ, buffered=True)
        response.set_data(change(name, response.get_data()))
        return response(environ, start_response)

    return served


def _app_of(apps: Mapping[str, WSGIApplication], url: str) -> WSGIApplication | None:
    return next((app for base, app in apps.items() if url.startswith(base)), None)


def _of_boto3(apps: Mapping[str, WSGIApplication], far: Callable[..., Any]) -> Callable[..., Any]:
    def send(session: Any, request: Any) -> Any:
        app = _app_of(apps, request.url)
        if app is None:
            return far(session, request)
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        try:
            got = answer_of(app, request.method, request.url, headers, request.body)
        except ConnectionResetError as error:
            raise ConnectionClosedError(error=error, request=request, endpoint_url=request.url) from error
        return AWSResponse(request.url, got.status, dict(got.headers), Stream(got.body))  # type: ignore[arg-type]

    return send


def _of_modules(apps: Mapping[str, WSGIApplication], far: Callable[..., Any]) -> Callable[..., Any]:
    def open_(opener: Any, method: str, url: str, data: Any = None, headers: Any = None, **more: Any) -> Any:
        app = _app_of(apps, url)
        if app is None:
            return far(opener, method, url, data=data, headers=headers, **more)
        try:
            got = answer_of(app, method, url, headers or {}, data)
        except ConnectionResetError as error:
            raise URLError(error) from error
        body = Body(got)
        if got.status >= 300:
            raise HTTPError(url, got.status, "", body.headers, body)
        return body

    return open_


def answer_of(app: WSGIApplication, method: str, url: str, headers: Mapping[str, str], body: Any) -> Got:
    environ = _environment(method, url, headers, _bytes(body))
    response = Response.from_app(app, environ, buffered=True)
    response.headers.setdefault("Date", formatdate(usegmt=True))  # as a server does
    return Got(response.status_code, response.headers.to_wsgi_list(), response.get_data())


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    return body.encode() if isinstance(body, str) else bytes(body)


def _environment(method: str, url: str, headers: Mapping[str, str], body: bytes) -> WSGIEnvironment:
    place = urlsplit(url)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(place.path or "/", "latin-1"),
        "QUERY_STRING": place.query,
        "REQUEST_URI": f"{place.path or '/'}{'?' if place.query else ''}{place.query}",
        "SERVER_NAME": place.hostname or "",
        "SERVER_PORT": str(place.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": place.netloc,
        "REMOTE_ADDR": place.hostname or "",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": place.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "werkzeug.socket": Socket(),
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ
