# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WSGI middleware that logs the calls of a server and breaks some of them on purpose.

    GET     /_sandbox/calls     the calls so far: name, method, path, access_key, status (null when it was cut)
    DELETE  /_sandbox/calls     forget them
    POST    /_sandbox/faults    add a rule: the members of Fault
    DELETE  /_sandbox/faults    drop all rules
    POST    /_sandbox/reset     forget calls and rules, and start the server's world anew

A call is named "iam:CreateAccessKey" or "POST /v2/registries". Other paths under /_sandbox/ are the server's own.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

Json = dict[str, Any]
GARBAGE = "<!doctype html><html><body>It works!<br></body></html>"


class CallName(NamedTuple):
    """What the log says of a request before it is answered."""

    name: str
    access_key: str | None = None


class Service(NamedTuple):
    """A server's application, how its calls are named, how it words an error, and how its world starts anew."""

    app: WSGIApplication
    name: Callable[[WSGIEnvironment], CallName]
    error: Callable[[WSGIEnvironment, str, str, int], Response]
    reset: Callable[[], None]


@dataclass
class Fault:
    """One rule; the first that fits a call is used."""

    name: str  # a regular expression for the whole name of a call
    effect: str = "before"  # instead of the real answer, or "after" it was computed
    answer: Any = None  # "reset", "garbage", {status, headers, body}, {code, message, status}; None: the real answer
    skip: int = 0  # so many fitting calls pass first
    times: int | None = 1  # so many calls are broken; None: all
    delay: float = 0  # seconds before the answer

    def __post_init__(self) -> None:
        known = self.answer in (None, "reset", "garbage") or {"status"} <= set(self.answer)
        if self.effect not in {"before", "after"} or not known:
            raise ValueError("a fault has the effect before or after, and an answer of the table in Fault")
        re.compile(self.name)

    def takes(self, name: str) -> bool:
        """Tell whether the rule breaks this call, and count it."""
        if self.times == 0 or not re.fullmatch(self.name, name):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times = None if self.times is None else self.times - 1
        return True


class Faults:
    """The middleware of one server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = Lock()
        self._calls: list[Json] = []
        self._rules: list[Fault] = []

    def __call__(self, environ: WSGIEnvironment, start_response: Any) -> Any:
        request = Request(environ)
        control = self._control(request) if request.path.startswith("/_sandbox/") else None
        if request.path.startswith("/_sandbox/"):
            response = control or Response.from_app(self._service.app, environ, buffered=True)
        else:
            response = self._logged(environ)
        return response(environ, start_response)

    def calls(self) -> list[Json]:
        with self._lock:
            return [dict(call) for call in self._calls]

    def forget_calls(self) -> None:
        with self._lock:
            self._calls.clear()

    def fail(self, **rule: Any) -> None:
        """Add a rule: the members of Fault."""
        fault = Fault(**rule)
        with self._lock:
            self._rules.append(fault)

    def mend(self) -> None:
        """Drop all rules."""
        with self._lock:
            self._rules.clear()

    def reset(self) -> None:
        """Forget calls and rules, and start the server's world anew."""
        self.mend()
        self._service.reset()
        self.forget_calls()

    def _logged(self, environ: WSGIEnvironment) -> Response:
        name, access_key = self._service.name(environ)
        call: Json = {
            "name": name,
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "status": None,
            "access_key": access_key,
        }
        with self._lock:
            self._calls.append(call)
            rule = next((rule for rule in self._rules if rule.takes(name)), None)
        response = self._answer(rule, environ)
        call["status"] = response.status_code
        return response

    def _answer(self, rule: Fault | None, environ: WSGIEnvironment) -> Response:
        if rule is None:
            return self._real(environ)
        time.sleep(rule.delay)
        if rule.answer is None:
            return self._real(environ)
        answer = None if rule.answer == "reset" else self._worded(rule.answer, environ)  # before the request is used up
        if rule.effect == "after":
            self._real(environ)
        if answer is None:
            raise _cut(environ["werkzeug.socket"])
        return answer

    def _real(self, environ: WSGIEnvironment) -> Response:
        return Response.from_app(self._service.app, environ, buffered=True)

    def _worded(self, answer: Any, environ: WSGIEnvironment) -> Response:
        if answer == "garbage":
            return Response(GARBAGE, content_type="text/html")
        if "code" in answer:
            return self._service.error(environ, answer["code"], answer.get("message", ""), answer["status"])
        body = answer.get("body", "")
        text = body if isinstance(body, str) else json.dumps(body)
        return Response(text, answer["status"], answer.get("headers", {}))

    def _control(self, request: Request) -> Response | None:
        """Serve one of the paths in this module's description; return None for another."""
        actions: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "/_sandbox/calls"): self.calls,
            ("DELETE", "/_sandbox/calls"): self.forget_calls,
            ("POST", "/_sandbox/faults"): lambda: self.fail(**json.loads(request.get_data())),
            ("DELETE", "/_sandbox/faults"): self.mend,
            ("POST", "/_sandbox/reset"): self.reset,
        }
        action = actions.get((request.method, request.path))
        if action is None:
            return None
        try:
            document = action()
        except (TypeError, ValueError, re.error) as error:
            return Response(f"{error}\n", 422)
        return Response(status=204) if document is None else Response(json.dumps(document), mimetype="application/json")


def _cut(connection: socket.socket) -> ConnectionResetError:
    """Prepare a connection to end with a reset instead of an answer; return what tells the server to drop it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)  # else the server would wait for the next request of this connection
    return ConnectionResetError("cut on purpose")
