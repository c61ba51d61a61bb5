# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the one client of RunPod's API v2. It knows HTTP and nothing of resources.

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from email.message import Message
from threading import Thread
from typing import Any, NamedTuple
from urllib.error import HTTPError

from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError
from ansible.module_utils.urls import Request

from .._core.errors import SERVER_ERRORS, ApiError, CollectionError, InputError, Json, NotFoundError, TransportError
from .._core.masking import MASK
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
REFUSALS = 10  # tries of a request that meets 429: several runs may share a quota
AGENT = "gpuops.runpod"

REMEDIES = {
    401: "The API key is missing, malformed or expired: check api_key or RUNPOD_API_KEY.",
    404: "It does not exist, or this API key may not see it.",
    405: "This API does not offer the call.",
    429: "The quota of this API key is spent: run again later, run less often, or ask RunPod for a higher limit.",
}
# First part of a path -> what the key needs access to.
AREAS = {
    "registries": "registry credentials",
    "templates": "templates",
    "serverless": "serverless endpoints",
    "pods": "pods",
}


def base_url(url: str) -> str:
    """Return the address below which paths start, with /v2 exactly once at its end.

    RunPod's own tools disagree on whether the address ends in /v2, so both forms are taken.
    """
    if not re.match(r"https?://[^/]", url):
        raise InputError(f"api_url {url!r} is not an address: it must start with https:// and name a host.")
    return re.sub(r"(/v2)?/*$", "", url.rstrip("/")) + "/v2"


def bearer(key: str) -> str:
    """Return a key that can be sent as it is; what a header cannot hold is not repeated in the error."""
    if not re.fullmatch(r"[!-~]+", key):
        what = "has a blank, a line break or another character that no key has" if key else "is empty"
        raise InputError(f"api_key {what}. Set it, or RUNPOD_API_KEY, to an API key from RunPod's console.")
    return key


def retry_delay(method: str, status: int | None, reported: float | None, attempt: int) -> float | None:
    """Return the seconds to wait before the next try, or None when the request must not be repeated.

    `status` None means that no answer came, and `told` is the wait that the answer names. 429 is refused before it is
    processed, so any verb may be repeated; everything else is repeated only where a second time does no harm, which
    excludes POST.
    """
    refused = status == 429
    troubled = status is None or status in SERVER_ERRORS
    tries = REFUSALS if refused else TRIES
    if attempt >= tries or not (refused or (troubled and method != "POST")):
        return None
    delay = max(reported, 1.0) if reported is not None else 2.0 ** (attempt - 1)
    return delay if delay <= LONGEST_WAIT else None


def problem_of(body: bytes) -> Json:
    """Return the problem document of an error answer, or {} when the body is anything else."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def details(problem: Json) -> str:
    """Return what the problem says, without the validator's noise.

    A missing key makes RunPod's validator report every valid key as additional too; then only the missing one counts.
    """
    errors = [str(error) for error in problem.get("errors") or []]
    missing = [error for error in errors if "missing propert" in error]
    parts = [problem.get("detail") or problem.get("title") or problem.get("error") or problem.get("message") or ""]
    parts += missing or errors
    return ": ".join(str(part) for part in parts if part)


def secrets_in(body: Json | None) -> list[str]:
    """Return what an error must not repeat of a request: a password, and environment values of some length."""
    body = body or {}
    values = [body.get("password"), *(body.get("env") or {}).values()]
    return [value for value in values if isinstance(value, str) and len(value) >= 8]


def without(value: Any, secrets: list[str]) -> Any:
    """Return a JSON value with the secrets blotted out wherever a server may have echoed them."""
    if isinstance(value, dict):
        return {key: without(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, secrets) for item in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
    return value


def page_title(body: bytes) -> str | None:
    """Return the title of an HTML page, or None when the body is anything else."""
    if not body.lstrip().startswith(b"<"):
        return None
    title = re.search(rb"<title[^>]*>([^<]{1,200})", body, re.IGNORECASE)
    return title[1].decode(errors="replace").strip() if title else ""


def missing_access(method: str, path: str) -> str:
    """Return the remedy for a 403. Of all scopes only the one for the update of a credential is documented."""
    area = re.split(r"[/?]", path)[1]
    access = "read" if method == "GET" else "write"
    scope = " (scope secrets:write)" if (method, area) == ("PATCH", "registries") else ""
    return (
        f"The API key is valid but lacks {access} access to {AREAS.get(area, area)}{scope}: "
        "give it that in RunPod's console."
    )


def api_error(method: str, path: str, status: int, problem: Json, title: str | None = None) -> ApiError:
    """Return the typed error of an answer, with what the server said and what to do about it.

    `title` is that of the HTML page that came instead of a problem document: RunPod's API has not sent it.
    """
    remedy = missing_access(method, path) if status == 403 else REMEDIES.get(status)
    text = details(problem) or "the answer is not a problem document; does api_url point at RunPod's API v2?"
    if title is not None:
        text = (
            f"the answer is an HTML page ({title!r}), so it is not RunPod's API that refused; "
            "look at proxies and firewalls on the way, and does api_url point at RunPod's API v2?"
        )
        remedy = None
    if "error" in problem or ("message" in problem and "title" not in problem):
        text += " (this looks like RunPod's API v1, which is being switched off: api_url must point at v2)"
    if status in range(300, 400):
        text = "redirected, which is not followed because the API key would go along: correct api_url"
    if remedy:
        text += f" {remedy}" if text.endswith((".", "?", ")")) else f". {remedy}"
    message = f"{method} {path}: HTTP {status}: {text}"
    return (NotFoundError if status == 404 else ApiError)(message, status, problem)


def quota_error(method: str, path: str, window: Window, remaining: float) -> ApiError:
    """Return the error of a request that was not sent because its quota is spent for too long to wait."""
    return ApiError(f"{method} {path}: not sent: {spent(window, remaining)}. {REMEDIES[429]}", 429)


class Answer(NamedTuple):
    """A whole answer, whatever its status."""

    status: int
    headers: Message
    body: bytes

    @property
    def windows(self) -> tuple[Window, ...]:
        """What it says of the quota."""
        return windows(self.headers.get("RateLimit"), self.headers.get("RateLimit-Policy"))

    @property
    def told(self) -> float | None:
        """The seconds that it wants the next try to wait."""
        retry_after = seconds(self.headers.get("Retry-After"))
        return refused_for(retry_after, self.windows) if self.status == 429 else retry_after


class Client:
    """RunPod's API v2: sends one request, repeats it where that is safe, returns the parsed answer.

    `opener` is an `ansible.module_utils.urls.Request` or anything with its `open`, and `timeout` the seconds in which
    an answer has to be complete. `sleep` takes seconds and `clock` returns them.
    Before the quota is gone, it waits for a fresh one.
    Raises TransportError, ApiError or NotFoundError; none of them holds a body, a header or the key.
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

    def get(self, path: str) -> Json:
        return self.request("GET", path)

    def items(self, path: str, key: str) -> list[Json]:
        """Return what a listing holds under its key; an answer without it is an error, never an empty list."""
        answer = self.get(path)
        if not isinstance(answer, dict) or not isinstance(answer.get(key), list):
            raise ApiError(f"GET {path}: the answer has no list {key!r}; does api_url point at RunPod's API v2?", 200)
        return answer[key]

    def post(self, path: str, body: Json) -> Json:
        return self.request("POST", path, body)

    def patch(self, path: str, body: Json) -> Json:
        return self.request("PATCH", path, body)

    def delete(self, path: str) -> None:
        """Delete; a thing that is gone already, by an earlier try or another run, is as good."""
        try:
            self.request("DELETE", path)
        except NotFoundError:
            return

    def request(self, method: str, path: str, body: Json | None = None) -> Any:
        """Send the request until it is answered or may not be repeated; return parsed JSON, or None for no content."""
        attempt = 1
        while True:
            error: CollectionError
            self._keep_pace(method, path)
            try:
                answer = within(self.timeout, lambda: self._exchange(method, path, body))
            except (OSError, http.client.HTTPException, AnsibleConnectionError) as failure:
                error = TransportError(f"{method} {path}: no answer from {self.url}: {failure}")
                delay = retry_delay(method, None, None, attempt)
            else:
                self.view = next_state(self.view, answer.windows, self.clock())
                if answer.status < 300:
                    return parsed(method, path, answer)
                error = self._error(method, path, body, answer)
                delay = retry_delay(method, answer.status, answer.told, attempt)
            if delay is None:
                raise error
            self.sleep(delay)
            attempt += 1

    def _keep_pace(self, method: str, path: str) -> None:
        """Wait until the quota has room for a request; raise when that would be too long."""
        needed = pause(self.view, self.clock())
        if needed is None:
            return
        if needed.seconds > LONGEST_WAIT:
            raise quota_error(method, path, needed.window, needed.seconds)
        self.sleep(needed.seconds)

    def _exchange(self, method: str, path: str, body: Json | None) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", "User-Agent": AGENT}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        try:
            with self.opener.open(method, self.url + path, data=data, headers=headers) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except HTTPError as refusal:
            return Answer(refusal.code, refusal.headers, read(refusal))

    def _error(self, method: str, path: str, body: Json | None, answer: Answer) -> ApiError:
        secrets = [self.token, *secrets_in(body)]
        problem = without(problem_of(answer.body), secrets)
        error = api_error(method, path, answer.status, problem, without(page_title(answer.body), secrets))
        if answer.status != 429 or answer.told is None or answer.told <= LONGEST_WAIT:
            return error
        spent_windows = [window for window in answer.windows if not window.left and window.resets == answer.told]
        why = spent(spent_windows[0], answer.told) if spent_windows else f"it is fresh in {duration(answer.told)}"
        return ApiError(f"{error} Too long to wait: {why}.", answer.status, problem)


def within(limit: float | None, call: Callable[[], Answer]) -> Answer:
    """Return what the call returns, or raise TimeoutError when that takes longer than so many seconds.

    The timeout of a socket begins anew with each byte, so that a server which trickles would never meet it. A call
    that takes too long is left to itself.
    """
    if limit is None:
        return call()
    future: Future[Answer] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # the caller gets it
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    wait([future], limit)
    if not future.done():
        raise TimeoutError(f"the answer was not complete after {limit} seconds")
    return future.result()


def parsed(method: str, path: str, answer: Answer) -> Any:
    """Return the JSON of a success, or None when it has no content."""
    if answer.status == 204 or not answer.body:
        return None
    try:
        return json.loads(answer.body)
    except ValueError:
        raise ApiError(
            f"{method} {path}: HTTP {answer.status}: the answer is not JSON; does api_url point at RunPod's API v2?",
            answer.status,
        ) from None


def read(answer: HTTPError) -> bytes:
    """Return the body of an error answer; a connection that breaks here must not hide the status."""
    try:
        return answer.read()
    except (OSError, http.client.HTTPException):
        return b""


def opener(params: Mapping[str, Any]) -> Request:
    """Return the opener for these options: no netrc (it would replace the key), no redirect (it would carry it on)."""
    if params["api_timeout"] < 1:
        raise InputError(f"api_timeout must be at least 1 (second), not {params['api_timeout']}.")
    return Request(
        timeout=params["api_timeout"],
        validate_certs=params["validate_certs"],
        ca_path=params["ca_path"],
        use_netrc=False,
        follow_redirects="none",
        http_agent=AGENT,
    )
