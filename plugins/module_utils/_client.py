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
from typing import Any
from urllib.error import HTTPError

from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError
from ansible.module_utils.urls import Request

from ._errors import ApiError, InputError, Json, NotFoundError, RunpodError, TransportError
from ._masking import MASK

TRIES = 5
LONGEST_WAIT = 90.0  # seconds; a minute's window can name 60, a day's 45,012
SERVER_ERRORS = range(500, 600)
TAKEN = {400, 409, 422}  # one of them is the status of a second thing with one name; RunPod does not say which

REMEDIES = {
    401: "The API key is missing, malformed or expired: check api_key or RUNPOD_API_KEY.",
    403: "The API key is valid but lacks the scope for this call: give it that scope in RunPod's console.",
    405: "This API does not offer the call.",
    429: "The quota of this API key is spent: wait, or run less often.",
}


def base_url(url: str) -> str:
    """Return the address below which paths start, with /v2 exactly once at its end.

    RunPod's own tools disagree on whether the address ends in /v2, so both forms are taken.
    """
    if not re.match(r"https?://[^/]", url):
        raise InputError(f"api_url {url!r} is not an address: it must start with https:// and name a host.")
    return re.sub(r"(/v2)?/*$", "", url.rstrip("/")) + "/v2"


def retry_delay(method: str, status: int | None, retry_after: float | None, attempt: int) -> float | None:
    """Return the seconds to wait before the next try, or None when the request must not be repeated.

    `status` None means that no answer came. 429 is refused before it is processed, so any verb may be repeated;
    everything else is repeated only where a second time does no harm, which excludes POST.
    """
    refused = status == 429
    troubled = status is None or status in SERVER_ERRORS
    if attempt >= TRIES or not (refused or (troubled and method != "POST")):
        return None
    delay = max(retry_after, 1.0) if retry_after is not None else 2.0 ** (attempt - 1)
    return delay if delay <= LONGEST_WAIT else None


def seconds(text: str | None) -> float | None:
    """Return a Retry-After given in seconds; its date form, which RunPod does not send, counts as unset."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


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


def api_error(method: str, path: str, status: int, problem: Json) -> ApiError:
    """Return the typed error of an answer, with what the server said and what to do about it."""
    said = details(problem) or "the answer is not a problem document; does api_url point at RunPod's API v2?"
    if "error" in problem or ("message" in problem and "title" not in problem):
        said += " (this looks like RunPod's API v1, which is being switched off: api_url must point at v2)"
    if status in range(300, 400):
        said = "redirected, which is not followed because the API key would go along: correct api_url"
    remedy = REMEDIES.get(status)
    message = f"{method} {path}: HTTP {status}: {said}" + (f" {remedy}" if remedy else "")
    return (NotFoundError if status == 404 else ApiError)(message, status, problem)


class Client:
    """RunPod's API v2: sends one request, repeats it where that is safe, returns the parsed answer.

    `opener` is an `ansible.module_utils.urls.Request` or anything with its `open`; `sleep` takes seconds.
    Raises TransportError, ApiError or NotFoundError; none of them holds a body, a header or the key.
    """

    def __init__(
        self,
        url: str,
        token: str,
        opener: Any,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = base_url(url)
        self.token = token
        self.opener = opener
        self.sleep = sleep

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
            error: RunpodError
            try:
                return self._send(method, path, body)
            except HTTPError as answer:
                problem = without(problem_of(read(answer)), [self.token, *secrets_in(body)])
                error = api_error(method, path, answer.code, problem)
                delay = retry_delay(method, answer.code, seconds(answer.headers.get("Retry-After")), attempt)
            except (OSError, http.client.HTTPException, AnsibleConnectionError) as failure:
                error = TransportError(f"{method} {path}: no answer from {self.url}: {failure}")
                delay = retry_delay(method, None, None, attempt)
            if delay is None:
                raise error
            self.sleep(delay)
            attempt += 1

    def _send(self, method: str, path: str, body: Json | None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        with self.opener.open(method, self.url + path, data=data, headers=headers) as answer:
            text = answer.read()
            status = answer.status
        if status == 204 or not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise ApiError(
                f"{method} {path}: HTTP {status}: the answer is not JSON; does api_url point at RunPod's API v2?",
                status,
            ) from None


def read(answer: HTTPError) -> bytes:
    """Return the body of an error answer; a connection that breaks here must not hide the status."""
    try:
        return answer.read()
    except (OSError, http.client.HTTPException):
        return b""


def create(client: Client, path: str, body: Json, find: Callable[[], Json | None]) -> Json:
    """POST once. When its outcome is unknown, look the thing up and adopt it instead of sending it again.

    When it is refused, another run may have taken the name a moment ago: what that made is adopted too.
    `find` lists and returns the thing as it should be after the call, or None. When it is not there either, the
    error of the POST is raised, of an unknown outcome with the remark that a plain re-run is safe.
    """
    try:
        return client.post(path, body)
    except (TransportError, ApiError) as error:
        if isinstance(error, ApiError) and error.status in TAKEN:
            found = find()
            if found is None:
                raise
            return found
        if isinstance(error, ApiError) and error.status not in SERVER_ERRORS and error.status not in range(200, 300):
            raise
        return adopt(error, find)


def adopt(error: RunpodError, find: Callable[[], Json | None]) -> Json:
    """Return the thing whose creation was not answered, or raise `error` with what the look-up said."""
    try:
        found = find()
    except (TransportError, ApiError) as failure:
        raise TransportError(f"{error} (Looking it up failed too: {failure} Outcome unknown, run again.)") from error
    if found is None:
        raise RunpodError(f"{error} (A look-up shows that nothing was created: run again.)") from error
    return found


def opener(params: Mapping[str, Any]) -> Request:
    """Return the opener for these options: no netrc (it would replace the key), no redirect (it would carry it on)."""
    return Request(
        timeout=params["api_timeout"],
        validate_certs=params["validate_certs"],
        ca_path=params["ca_path"],
        use_netrc=False,
        follow_redirects="none",
        http_agent="gpuops.runpod",
    )
