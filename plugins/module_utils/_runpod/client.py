# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the one client of RunPod's API v2.

from __future__ import annotations

import errno
import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from email.message import Message
from threading import Thread
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError
from ansible.module_utils.urls import Request

from .._core.errors import SERVER_ERRORS, ApiError, CollectionError, InputError, Json, NotFoundError, TransportError
from .._core.masking import mask_login, mask_secrets, printable
from . import answers
from .rate_limit import (
    LONGEST_WAIT,
    RateLimitState,
    Window,
    duration,
    next_state,
    pause,
    refused_for,
    seconds,
    spent,
    windows,
)

TRIES = 5
REFUSALS = 10  # tries of a 429: several runs may share a quota
AGENT = "gpuops.runpod"

PAGE = 1000  # items, the most that RunPod takes
MOST_PAGES = 1000
LONGEST_TIMEOUT = 3600
SILENCE_TIMEOUT, PROBE = 3.0, 1.0  # seconds until a silent host is tried, and for the try
API_URL = "api_url (or RUNPOD_API_BASE_URL)"
# Failure to connect -> what to do, and whether it may pass.
UNREACHABLE: tuple[tuple[type[Exception], str, bool], ...] = (
    (socket.gaierror, f"The host name is not known: check {API_URL}, DNS and the network.", True),
    (ssl.SSLCertVerificationError, f"The certificate is not trusted: check the host of {API_URL}, or ca_path.", False),
    (ssl.SSLError, f"It does not speak TLS there: check scheme and port of {API_URL}.", False),
    (ConnectionRefusedError, f"Nothing listens there: check host and port of {API_URL} and proxies.", True),
    (http.client.RemoteDisconnected, "", True),
    (http.client.BadStatusLine, f"It does not speak HTTP there: check scheme and port of {API_URL}.", False),
)
NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL}
SILENT = f"No connection can be made: check host and port of {API_URL}, firewalls and proxies."


class Silence(TimeoutError):
    """No connection can be made within seconds."""


def base_url(url: str) -> str:
    """RunPod's own tools disagree on whether the address ends in /v2, so both are taken."""
    if not re.match(r"https?://[^/]", url):
        address = url.rpartition("@")[2] if "@" in url else url
        raise InputError(f"api_url {address!r} is not an address: it must start with https:// and name a host.")
    if mask_login(url) != url:
        raise InputError(f"api_url {mask_login(url)!r} holds a user or password: RunPod takes none but api_key.")
    base = re.sub(r"(/v2)?/*$", "", url.rstrip("/")) + "/v2"
    try:
        host_and_port(base)
    except ValueError:
        raise InputError(f"api_url {url!r} is not an address: its port is no number up to 65535.") from None
    return base


def host_and_port(url: str) -> tuple[str, int]:
    """Raise ValueError for a port that is none."""
    address = urlsplit(url)
    return address.hostname or "", address.port or (443 if address.scheme == "https" else 80)


def bearer(key: str | None) -> str:
    """Raise for what a header cannot hold, without repeating it."""
    if key is None:
        raise InputError("api_key is missing: set it, or the environment variable RUNPOD_API_KEY, to an API key.")
    if not re.fullmatch(r"[!-~]+", key):
        what = "has a blank, a line break or another character that no key has" if key else "is empty"
        raise InputError(f"api_key {what}. Set it, or RUNPOD_API_KEY, to an API key from RunPod's console.")
    return key


def retry_delay(method: str, status: int | None, reported: float | None, attempt: int) -> float | None:
    """Return seconds until the next try, None when the request must not be repeated.

    `status` None means no answer; `reported` is the wait that it names. 429 is refused before it is processed, so any
    verb may be repeated; else not POST, where a second time does harm.
    """
    refused = status == 429
    troubled = status is None or status in SERVER_ERRORS
    tries = REFUSALS if refused else TRIES
    if attempt >= tries or not (refused or (troubled and method != "POST")):
        return None
    delay = max(reported, 1.0) if reported is not None else 2.0 ** (attempt - 1)
    return delay if delay <= LONGEST_WAIT else None


def secrets_in(body: Json | None) -> list[str]:
    """Return what an error must not repeat: a password, values of the environment."""
    body = body or {}
    values = [body.get("password"), body.get("value"), *(body.get("env") or {}).values()]
    return [value for value in values if isinstance(value, str)]


def cause_of(failure: Exception) -> Exception:
    """urllib hides the cause."""
    reason = getattr(failure, "reason", None)
    return reason if isinstance(failure, URLError) and isinstance(reason, Exception) else failure


def unreachable(failure: Exception) -> tuple[str, bool]:
    """Return why no connection is to be had, and whether that may pass; no text for other trouble."""
    cause = cause_of(failure)
    if isinstance(cause, Silence):
        return SILENT, False
    if isinstance(cause, OSError) and cause.errno in NO_ROUTE:
        return SILENT, True
    return next(((remedy, passes) for kind, remedy, passes in UNREACHABLE if isinstance(cause, kind)), ("", True))


def quota_error(method: str, path: str, window: Window, remaining: float) -> ApiError:
    """The request was not sent: its quota is spent for too long to wait."""
    return ApiError(f"{method} {path}: not sent: {spent(window, remaining)}. {answers.REMEDIES[429]}", 429)


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def windows(self) -> tuple[Window, ...]:
        return windows(self.headers.get("RateLimit"), self.headers.get("RateLimit-Policy"))

    @property
    def retry_after(self) -> float | None:
        header = seconds(self.headers.get("Retry-After"))
        return refused_for(header, self.windows) if self.status == 429 else header


class Client:
    """Sends one request, and repeats it where that is safe.

    `opener` is a Request of ansible.module_utils.urls or alike, `timeout` the seconds until an answer is complete;
    `sleep` takes seconds, `clock` returns them. Waits before the quota is gone. Raises TransportError, ApiError or
    NotFoundError without body, header or key.
    """

    def __init__(
        self,
        url: str,
        token: str,
        opener: Any,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        timeout: float | None = None,
    ) -> None:
        self.url = base_url(url)
        self.token = bearer(token)
        self.opener = opener
        self.sleep = sleep
        self.clock = clock
        self.timeout = timeout
        self.view = RateLimitState()
        self.answered = False
        self.told_time: tuple[str, float] | None = None  # date of the last answer, and when that was

    def get(self, path: str) -> Json:
        return answers.one("GET", path, self.request("GET", path))

    def items(self, path: str, key: str) -> list[Json]:
        found: Json = {}
        cursors: list[str] = []
        while len(cursors) < MOST_PAGES:
            following = {"cursor": cursors[-1]} if cursors else {}
            document = self.request("GET", path, query={"limit": str(PAGE), **following})
            found |= {item["id"]: item for item in answers.items(path, key, document)}
            cursor = answers.next_cursor(path, document)
            if cursor is None:
                return list(found.values())
            if cursor in cursors:
                raise answers.unfit(f"GET {path}", "a page names one as the next that was there before")
            cursors.append(cursor)
        raise answers.unfit(f"GET {path}", f"after {MOST_PAGES} pages there is no end")

    def post(self, path: str, body: Json) -> Json:
        return answers.one("POST", path, self.request("POST", path, body))

    def patch(self, path: str, body: Json) -> Json:
        """What an answer without content leaves open is read."""
        document = self.request("PATCH", path, body)
        return self.get(path) if document is None else answers.one("PATCH", path, document)

    def delete(self, path: str) -> None:
        """A thing that is gone, by an earlier try or another run, is as good."""
        try:
            answers.not_refused(f"DELETE {path}", self.request("DELETE", path))
        except NotFoundError:
            return

    def request(self, method: str, path: str, body: Json | None = None, query: Mapping[str, str] | None = None) -> Any:
        """Return parsed JSON, or None for no content."""
        attempt = 1
        url = self.url + path + ("&" if "?" in path else "?") * bool(query) + urlencode(query or {})
        while True:
            error: CollectionError
            self._keep_pace(method, path)
            try:
                answer = within(self.timeout, lambda: self._exchange(method, url, body), self._probe)
            except (OSError, http.client.HTTPException, AnsibleConnectionError) as failure:
                error, delay = self._unanswered(method, path, failure, attempt)
            else:
                self.answered = True
                self.told_time = (answer.headers.get("Date") or "", self.clock())
                self.view = next_state(self.view, answer.windows, self.clock())
                if answer.status < 300:
                    return answers.parsed(method, path, answer.status, answer.body)
                error = self._error(method, path, body, answer)
                delay = retry_delay(method, answer.status, answer.retry_after, attempt)
            if delay is None:
                raise error
            self.sleep(delay)
            attempt += 1

    def stream(self, path: str, limit: float) -> bytes:
        """Return what comes in so many seconds of an answer that has no end."""
        received: list[bytes] = []
        self._keep_pace("GET", path)
        future = started(lambda: self._receive(self.url + path, received, limit))
        wait([future], limit)
        try:
            if future.done():
                future.result()
        except HTTPError as refusal:
            raise self._error("GET", path, None, Answer(refusal.code, refusal.headers, read(refusal))) from None
        except (OSError, http.client.HTTPException, AnsibleConnectionError) as failure:
            if not received:
                raise self._unanswered("GET", path, failure, TRIES)[0] from None
        return b"".join(received)

    def _receive(self, url: str, received: list[bytes], limit: float) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "text/event-stream", "User-Agent": AGENT}
        # Longer than anybody waits: that nothing is said for so long is no failure.
        with self.opener.open("GET", url, headers=headers, timeout=2 * limit) as answer:
            for line in answer:  # each is there for who waits no longer
                received.append(line)

    def _unanswered(
        self, method: str, path: str, failure: Exception, attempt: int
    ) -> tuple[CollectionError, float | None]:
        """Return when to try again: hardly where no connection was ever made."""
        remedy, passes = ("", True) if self.answered else unreachable(failure)
        message = printable(f"{method} {path}: no answer from {self.url}: {cause_of(failure)}")
        error = TransportError(f"{message.rstrip('.')}. {remedy}" if remedy else message)
        given_up = bool(remedy) and (not passes or attempt > 1)
        return error, None if given_up else retry_delay(method, None, None, attempt)

    def _probe(self) -> None:
        """Raise OSError when a silent host takes no connection; behind a proxy that cannot be told."""
        host, port = host_and_port(self.url)
        if self.answered or (getproxies().get(urlsplit(self.url).scheme) and not proxy_bypass(host)):
            return
        socket.create_connection((host, port)).close()

    def _keep_pace(self, method: str, path: str) -> None:
        needed = pause(self.view, self.clock())
        if needed is None:
            return
        if needed.seconds > LONGEST_WAIT:
            raise quota_error(method, path, needed.window, needed.seconds)
        self.sleep(needed.seconds)

    def _exchange(self, method: str, url: str, body: Json | None) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", "User-Agent": AGENT}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        try:
            with self.opener.open(method, url, data=data, headers=headers) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except HTTPError as refusal:
            return Answer(refusal.code, refusal.headers, read(refusal))

    def _error(self, method: str, path: str, body: Json | None, answer: Answer) -> ApiError:
        secrets = [self.token, *secrets_in(body)]
        problem = mask_secrets(answers.problem_of(answer.body), secrets)
        title = mask_secrets(answers.page_title(answer.body), secrets)
        error = answers.api_error(method, path, answer.status, problem, title)
        if answer.status != 429 or answer.retry_after is None or answer.retry_after <= LONGEST_WAIT:
            return error
        spent_windows = [window for window in answer.windows if not window.left and window.resets == answer.retry_after]
        why = (
            spent(spent_windows[0], answer.retry_after)
            if spent_windows
            else f"it is fresh in {duration(answer.retry_after)}"
        )
        return ApiError(f"{error} Too long to wait: {why}.", answer.status, problem)


def within(limit: float | None, call: Callable[[], Answer], probe: Callable[[], object] = lambda: None) -> Answer:
    """Raise TimeoutError after so many seconds: a socket's timeout begins anew with each byte, so a server that
    trickles would never meet it. The call is left to itself. After some seconds the probe may show that waiting is
    worth it.
    """
    if limit is None:
        return call()
    future = started(call)
    wait([future], min(limit, SILENCE_TIMEOUT))
    if not future.done() and limit > SILENCE_TIMEOUT:
        reached = started(probe)
        wait([future, reached], PROBE, FIRST_COMPLETED)
        if not future.done() and (not reached.done() or reached.exception()):
            raise Silence(f"no connection after {SILENCE_TIMEOUT + PROBE:g} seconds")
        wait([future], limit - SILENCE_TIMEOUT - PROBE)
    if not future.done():
        raise TimeoutError(f"the answer was not complete after {limit} seconds")
    return future.result()


def started(call: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # the caller gets it
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future


def read(answer: HTTPError) -> bytes:
    """A connection that breaks here must not hide the status."""
    try:
        return answer.read()
    except (OSError, http.client.HTTPException):
        return b""


def opener(params: Mapping[str, Any]) -> Request:
    """No netrc (it would replace the key), no redirect (it would carry it on)."""
    if not 1 <= params["api_timeout"] <= LONGEST_TIMEOUT:
        raise InputError(f"api_timeout must be 1 to {LONGEST_TIMEOUT} (seconds), not {params['api_timeout']}.")
    return Request(
        timeout=params["api_timeout"],
        validate_certs=params["validate_certs"],
        ca_path=params["ca_path"],
        use_netrc=False,
        follow_redirects="none",
        http_agent=AGENT,
    )
