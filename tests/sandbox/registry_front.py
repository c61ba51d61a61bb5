# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client of a registry sees of the sandbox: an HTTPS proxy that ends the tunnels to the hosts it knows itself.

Every request is logged, and rules break some of them on purpose, as in `faults`. A request is named after its method,
host and path, as in "GET public.ecr.aws/v2/a1b2c3d4/app/manifests/v1".
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from socketserver import TCPServer
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from . import fields
from .faults import GARBAGE, Fault

Json = dict[str, Any]

PIECE = 1 << 18
DRAINED = 1 << 23  # of a body that nobody wanted, so that the client gets to read why


class Reply(NamedTuple):
    """An answer; `length` is that of a body in pieces."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes | Iterable[bytes] = b""
    length: int | None = None


class Cut(Exception):
    """A connection ends here on purpose."""


@dataclass
class RegistryFault(Fault):
    """A rule that can also end the connection once so many bytes of the bodies have passed."""

    cut_after: int | None = None


class Meter:
    """Counts the bytes of the bodies of one exchange in its log entry, and ends the connection after so many."""

    def __init__(self, call: Json, limit: int | None) -> None:
        self._call = call
        self._left = float("inf") if limit is None else limit

    def pass_on(self, direction: str, piece: bytes) -> Iterator[bytes]:
        """Yield as much of a piece as may pass."""
        passing = piece if len(piece) <= self._left else piece[: int(self._left)]
        self._left -= len(passing)
        self._call[direction] += len(passing)
        yield passing
        if len(passing) < len(piece):
            raise Cut


class Body:
    """What a client sends, piece by piece."""

    def __init__(self, stream: BufferedIOBase, headers: Message, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter
        self._left = int(headers.get("Content-Length") or 0)
        self.chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        self.ended = not self.chunked and not self._left

    def __iter__(self) -> Iterator[bytes]:
        while not self.ended:
            if self.chunked and not self._left:
                self._next_chunk()
                continue
            piece = self._stream.read(min(PIECE, self._left))
            if not piece:
                raise Cut
            self._left -= len(piece)
            self._end_chunk()
            yield from self._meter.pass_on("received", piece)

    def whole(self) -> bytes:
        return b"".join(self)

    def _next_chunk(self) -> None:
        self._left = int(self._stream.readline().partition(b";")[0] or b"0", 16)
        if not self._left:
            self._stream.readline()
            self.ended = True

    def _end_chunk(self) -> None:
        if self.chunked and not self._left:
            self._stream.readline()
        self.ended = not self.chunked and not self._left


class Request(NamedTuple):
    """One request to a host."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: Body

    @property
    def authorization(self) -> tuple[str, str]:
        """The kind of what the client shows, in lower case, and the rest."""
        kind, dummy, shown = self.headers.get("Authorization", "").partition(" ")
        return kind.lower(), shown.strip()


Serve = Callable[[Request], Reply]


def _whole(reply: Reply) -> bytes:
    """Return the body, if it is not too large to come at once."""
    return reply.body if isinstance(reply.body, bytes) else b""


def _changed(reply: Reply, change: str, path: str) -> tuple[Reply, bool]:
    """Return a reply with a field changed, and whether it has one."""
    body = fields.changed(_whole(reply), change, path)
    if body is None:
        return reply, False
    headers = {name: value for name, value in reply.headers.items() if name.lower() != "content-length"}
    return reply._replace(headers=headers, body=body), True


class Log:
    """The requests so far, and the rules that break the next ones."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._calls: list[Json] = []
        self._rules: list[RegistryFault] = []
        self.note: Callable[[str, int, bytes], None] | None = None  # gets the name, status and body of each answer

    def begin(self, method: str, host: str, path: str, authorization: str = "") -> Json:
        call: Json = {
            "name": f"{method} {host}{path}",
            "method": method,
            "host": host,
            "path": path,
            "authorization": authorization or None,
            "status": None,
            "received": 0,
            "sent": 0,
            "broken": False,
        }
        with self._lock:
            self._calls.append(call)
        return call

    def rule(self, name: str) -> RegistryFault | None:
        with self._lock:
            return next((rule for rule in self._rules if rule.takes(name)), None)

    def calls(self) -> list[Json]:
        with self._lock:
            return [dict(call) for call in self._calls]

    def forget(self) -> None:
        with self._lock:
            self._calls.clear()

    def fail(self, rule: RegistryFault) -> None:
        with self._lock:
            self._rules.append(rule)

    def mend(self) -> None:
        with self._lock:
            self._rules.clear()


class Proxy(ThreadingHTTPServer):
    """Ends the tunnels to the hosts that `find` knows, and refuses the others."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: str, context: ssl.SSLContext, find: Callable[[str], Serve | None], log: Log) -> None:
        super().__init__((address, 0), _Handler)
        self.context = context
        self.find = find
        self.log = log

    def server_bind(self) -> None:
        """Bind, and ask nobody what this machine is called."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy
    host = ""
    serve: Serve | None = None

    def do_CONNECT(self) -> None:
        host, dummy, port = self.path.rpartition(":")
        serve = self.server.find(host) if port == "443" else None
        if serve is None:
            self.server.log.begin("CONNECT", host, "")["status"] = 403
            self._refuse(403, "the sandbox knows no such host")
            return
        self.send_response_only(200)
        self.end_headers()
        self.host, self.serve = host, serve
        try:
            self.request = self.server.context.wrap_socket(self.connection, server_side=True)
        except OSError:  # a client that does not trust the sandbox
            self.close_connection = True
            return
        self.setup()
        self.close_connection = False

    def do_GET(self) -> None:
        if self.serve is None:
            self._refuse(400, "this is a proxy for HTTPS")
            return
        address = urlsplit(self.path)
        shown = self.headers.get("Authorization", "").partition(" ")[0].lower()
        call = self.server.log.begin(self.command, self.host, address.path, shown)
        rule = self.server.log.rule(call["name"])
        call["broken"] = rule is not None
        meter = Meter(call, rule.cut_after if rule else None)
        body = Body(self.rfile, self.headers, meter)
        query = {name: values[0] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        try:
            reply = self._reply(rule, Request(self.command, self.host, address.path, query, self.headers, body))
            if rule and rule.change:
                reply, call["broken"] = _changed(reply, *rule.change)
            self._drain(body)
            call["status"] = reply.status
            if self.server.log.note:
                self.server.log.note(call["name"], reply.status, _whole(reply))
            self._send(reply, meter)
        except (Cut, OSError):
            self._cut()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *dummy: Any) -> None:
        """Say nothing: the requests are logged where a test can read them."""

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def _refuse(self, status: int, text: str) -> None:
        self.close_connection = True
        self._send(Reply(status, {}, f"{text}\n".encode()), Meter({"sent": 0}, None))

    def _reply(self, rule: RegistryFault | None, request: Request) -> Reply:
        assert self.serve
        if rule is not None:
            time.sleep(rule.delay)
        if rule is None or rule.answer is None or rule.change:
            return self.serve(request)
        if rule.effect == "after":
            self.serve(request)
        if rule.answer == "reset":
            raise Cut
        if rule.answer == "garbage":
            return Reply(200, {"Content-Type": "text/html"}, GARBAGE.encode())
        body = rule.answer.get("body", "")
        text = body if isinstance(body, str) else json.dumps(body)
        return Reply(rule.answer["status"], rule.answer.get("headers", {}), text.encode())

    def _drain(self, body: Body) -> None:
        """Take what a client still sends; a connection cannot go on before that."""
        drained = 0
        for piece in body:
            drained += len(piece)
            if drained > DRAINED:
                self.close_connection = True
                return

    def _send(self, reply: Reply, meter: Meter) -> None:
        pieces = [reply.body] if isinstance(reply.body, bytes) else reply.body
        length = len(reply.body) if isinstance(reply.body, bytes) else reply.length
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(length or 0), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for piece in pieces:
                for passing in meter.pass_on("sent", piece):
                    self.wfile.write(passing)

    def _cut(self) -> None:
        """End the connection with a reset."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
