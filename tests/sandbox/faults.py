# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WSGI middleware that logs the calls of a server and breaks some of them on purpose.

    GET     /_sandbox/calls     the calls so far: name, method, path, access_key, status (null when it was cut), broken
    DELETE  /_sandbox/calls     forget them
    POST    /_sandbox/faults    add a rule: the members of Fault
    DELETE  /_sandbox/faults    drop all rules
    POST    /_sandbox/reset     forget calls and rules, and start the server's world anew

A call is named "iam:CreateAccessKey" or "POST /v2/registries". Other paths under /_sandbox/ are the server's own.
What can be done to a call is told once, in Fault; `Recorded` names the calls of a scenario, for a sweep through them.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.wrappers import Request, Response

from . import fields

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
    """One rule; the first that fits a call is used. It breaks the calls of a name, from the `skip`th on, `times` times.

    `answer` is what the caller gets:

        None                            the real answer, after the delay
        "reset"                         the end of the connection
        "garbage"                       a page of HTML with 200, as of a proxy
        {"status", "headers", "body"}   just this, a body that is no text as JSON: None is null, "" is empty, and an
                                        error with 200 is {"status": 200, "body": {"error": "no"}}
        {"code", "message", "status"}   an error in the words of the server, but for the registries
        {"remove": path}                the real answer without a field,
        {"null": path}                  with null, or in XML nothing, in place of a field,
        {"number": path}                with a number in place of a field, whose path is one of `fields`

    The log says of each call whether it is `broken`: one whose answer has no such field is not.
    """

    name: str  # a regular expression for the whole name of a call
    effect: str = "before"  # instead of the real answer, or "after" it was computed, as a field always is
    answer: Any = None
    skip: int = 0  # so many fitting calls pass first
    times: int | None = 1  # so many calls are broken; None: all
    delay: float = 0  # seconds before the answer

    def __post_init__(self) -> None:
        known = self.answer in (None, "reset", "garbage") or self.change or {"status"} <= set(self.answer)
        if self.effect not in {"before", "after"} or not known:
            raise ValueError("a fault has the effect before or after, and an answer of the table in Fault")
        if self.change:
            fields.steps(self.change[1])
        re.compile(self.name)

    @property
    def change(self) -> tuple[str, str] | None:
        """What is done to a field of the real answer, and the path of the field; None when that is not what is done."""
        one = list(self.answer.items()) if isinstance(self.answer, dict) else []
        return one[0] if len(one) == 1 and one[0][0] in fields.CHANGES else None

    def takes(self, name: str) -> bool:
        """Tell whether the rule breaks this call, and count it."""
        if self.times == 0 or not re.fullmatch(self.name, name):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times = None if self.times is None else self.times - 1
        return True


class Recorded(NamedTuple):
    """One call of a scenario: on which server, its name, how many of that name went before, and what the answer had."""

    server: str
    name: str
    skip: int
    status: int
    fields: tuple[str, ...]

    def rule(self, answer: Any, **more: Any) -> Json:
        """Return the rule that breaks this call alone when the scenario is run again."""
        return {"server": self.server, "name": re.escape(self.name), "skip": self.skip, "answer": answer, **more}

    def rules(self) -> Iterator[Json]:
        """Yield the rules that take away each field of the answer, and the ones that make it null."""
        for path in self.fields:
            yield from (self.rule({change: path}) for change in ("remove", "null"))


class Recorder:
    """Writes down the calls of several servers, in the order of their answers."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: Counter[tuple[str, str]] = Counter()
        self.calls: list[Recorded] = []

    def note(self, server: str, name: str, status: int, body: bytes) -> None:
        found = tuple(fields.paths(body))
        with self._lock:
            self.calls.append(Recorded(server, name, self._seen[server, name], status, found))
            self._seen[server, name] += 1


class Faults:
    """The middleware of one server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = Lock()
        self._calls: list[Json] = []
        self._rules: list[Fault] = []
        self.note: Callable[[str, int, bytes], None] | None = None  # gets the name, status and body of each answer

    def __call__(self, environ: WSGIEnvironment, start_response: Any) -> Any:
        request = Request(environ)
        control = self._control(request) if request.path.startswith("/_sandbox/") else None
        if request.path.startswith("/_sandbox/"):
            response = control or Response.from_app(self._service.app, environ, buffered=True)
        else:
            response = self._logged(environ)
        return response(environ, start_response)

    def name_of(self, environ: WSGIEnvironment) -> str:
        return self._service.name(environ).name

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
            "broken": False,
        }
        with self._lock:
            self._calls.append(call)
            rule = next((rule for rule in self._rules if rule.takes(name)), None)
            call["broken"] = rule is not None
        response = self._answer(rule, environ) if rule else self._real(environ)
        if rule and rule.change:
            call["broken"] = _change(response, *rule.change)
        call["status"] = response.status_code
        if self.note:
            self.note(name, response.status_code, response.get_data())
        return response

    def _answer(self, rule: Fault, environ: WSGIEnvironment) -> Response:
        time.sleep(rule.delay)
        if rule.answer is None or rule.change:
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
        text, kind = (body, None) if isinstance(body, str) else (json.dumps(body), "application/json")
        return Response(text, answer["status"], answer.get("headers", {}), content_type=kind)

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


def _change(response: Response, change: str, path: str) -> bool:
    """Change a field of an answer; tell whether it has one."""
    body = fields.changed(response.get_data(), change, path)
    if body is not None:
        response.set_data(body)
    return body is not None


def _cut(connection: socket.socket) -> ConnectionResetError:
    """Prepare a connection to end with a reset instead of an answer; return what tells the server to drop it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)  # else the server would wait for the next request of this connection
    return ConnectionResetError("cut on purpose")
