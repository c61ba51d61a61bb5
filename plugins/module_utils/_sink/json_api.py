# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the client of targets that speak JSON over HTTP, whichever they are.

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterable, Mapping
from email.message import Message
from typing import Any
from urllib.error import HTTPError, URLError

from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError
from ansible.module_utils.urls import Request

from .._core.errors import SERVER_ERRORS, ApiError, CollectionError, Json, NotFoundError, TransportError
from .._core.masking import mask_login, mask_secrets, printable

Kinds = Mapping[str, type]

TRIES = 4
AGENT = "gpuops.runpod"
LONGEST_TEXT = 500
LONGEST_WAIT = 30.0
TIMEOUT = 30


class JsonApi:
    """Repeats what was not answered, or with trouble: callers send nothing whose second time does harm.

    `text_of` finds the reason in a refusal's document, `remedies` tells by status what to do.
    """

    def __init__(
        self,
        name: str,
        url: str,
        headers: Mapping[str, str],
        opener: Any,
        text_of: Callable[[Json], str],
        remedies: Mapping[int, str],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name, self.url, self.opener, self.sleep = name, url.rstrip("/"), opener, sleep
        self.headers = {"Accept": "application/json", "User-Agent": AGENT, **headers}
        self.text_of, self.remedies = text_of, remedies

    def request(self, method: str, path: str, body: Json | None = None, secrets: Iterable[str] = ()) -> Json:
        """Return the document of an answer, {} for none. Raise TransportError or ApiError without any of `secrets`."""
        attempt = 1
        while True:
            error: CollectionError
            wait: str | None = None
            try:
                status, headers, content = self._exchange(method, path, body)
            except (OSError, http.client.HTTPException, AnsibleConnectionError) as failure:
                error, passes = self._unanswered(method, path, failure), True
            else:
                if status < 300:
                    return self._parsed(method, path, status, content)
                error, wait = self._refused(method, path, status, content, secrets), headers.get("Retry-After")
                passes = status == 429 or status in SERVER_ERRORS
            if not passes or attempt == TRIES:
                raise error
            self.sleep(wait_of(wait, attempt))
            attempt += 1

    def _exchange(self, method: str, path: str, body: Json | None) -> tuple[int, Message, bytes]:
        data = None if body is None else json.dumps(body)
        headers = self.headers if body is None else {**self.headers, "Content-Type": "application/json"}
        try:
            with self.opener.open(method, self.url + path, data=data, headers=headers) as answer:
                return answer.status, answer.headers, answer.read()
        except HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.headers, refusal.read()

    def _parsed(self, method: str, path: str, status: int, content: bytes) -> Json:
        try:
            document = json.loads(content) if content.strip() else {}
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise ApiError(f"{self.name}: {method} {path}: what answers at {mask_login(self.url)} is not it.", status)
        return document

    def _unanswered(self, method: str, path: str, failure: Exception) -> TransportError:
        reason = failure.reason if isinstance(failure, URLError) else failure
        text = printable(f"{self.name}: {method} {path}: no answer from {mask_login(self.url)}: {reason}")
        return TransportError(f"{text.rstrip('.')}. Check its address, certificates, DNS and proxies.")

    def _refused(self, method: str, path: str, status: int, content: bytes, secrets: Iterable[str]) -> ApiError:
        try:
            problem = json.loads(content)
        except (ValueError, RecursionError):
            problem = None
        given = self.headers.get("Authorization", "").partition(" ")[2]
        masked = mask_secrets(problem if isinstance(problem, dict) else {}, [given, *secrets])
        text = printable(self.text_of(masked))[:LONGEST_TEXT] or "no reason is given"
        advice = self.remedies.get(status, "")
        message = f"{self.name}: {method} {path}: HTTP {status}: {text.rstrip('.')}. {advice}".rstrip()
        return (NotFoundError if status == 404 else ApiError)(message, status)


def shaped(call: str, thing: Any, required: Kinds, optional: Kinds | None = None) -> Json:
    """Return an object of an answer. Raise ApiError where it lacks a part, or has one of another kind."""
    if not isinstance(thing, dict):
        raise ApiError(f"{call}: the answer holds no object where one belongs.", 200)
    for name, kind in {**required, **(optional or {})}.items():
        value = thing.get(name)
        absent = value is None and name not in required
        if not absent and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ApiError(f"{call}: the answer has no {name}, or none of the kind that belongs there.", 200)
    return thing


def wait_of(header: str | None, attempt: int) -> float:
    seconds = float(header) if header and header.isdecimal() else 2.0 ** (attempt - 1)
    return min(seconds, LONGEST_WAIT)


def opener_of(validate_certs: bool, ca_path: str | None, **more: Any) -> Request:
    """No netrc (it would replace the token), no redirect (it would carry it on)."""
    return Request(
        timeout=TIMEOUT,
        validate_certs=validate_certs,
        ca_path=ca_path,
        use_netrc=False,
        follow_redirects="none",
        http_agent=AGENT,
        **more,
    )
