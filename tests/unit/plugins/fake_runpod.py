# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RunPod's API in memory, small and trusting: the opener of a real client, which notes calls and naps."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from email.message import Message
from itertools import count
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.tests.sandbox import contract

URL = "https://runpod.test"
KEY = "key-of-the-unit-tests"
Json = dict[str, Any]

# Path -> key of its listing.
COLLECTIONS = {
    "/templates": "templates",
    "/registries": "registries",
    "/registries/delegations": "delegations",
    "/serverless": "endpoints",
    "/pods": "pods",
}
TEMPLATE: Json = {
    "args": "",
    "disk": 50,
    "env": {},
    "ports": [],
    "registry": None,
    "mounts": {},
    "serverless": False,
    "public": False,
    "category": "NVIDIA",
    "startSsh": True,
    "startJupyter": True,
    "allowedCudaVersions": [],
}


class Lost:
    """A scripted answer: the request takes effect, and its answer never arrives."""


class Answer(io.BytesIO):
    """A successful answer, with what the client reads of it."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(body)
        self.status = status
        self.headers = headers


class FakeRunpod:
    """One account. `calls` holds (method, path, body) of each request and `naps` the seconds the client slept.

    `answers` are scripted, one for each of the next requests: (status, headers, document or bytes) is answered instead
    of doing anything, an exception is raised instead, Lost() loses the answer, None is served as ever, and a function
    returns one of these once it is called.
    """

    def __init__(self, **held: list[Json]) -> None:
        self.current: dict[str, list[Json]] = {key: list(held.get(key, [])) for key in COLLECTIONS.values()}
        self.calls: list[tuple[str, str, Json | None]] = []
        self.headers: list[dict[str, str]] = []
        self.naps: list[float] = []
        self.answers: list[Any] = []
        self.client = Client(URL, KEY, self, self.naps.append)
        self._ids = count(1)

    def requests(self) -> list[str]:
        """Return the calls so far without their bodies, and forget them."""
        requests = [f"{method} {path}" for method, path, dummy in self.calls]
        self.calls.clear()
        return requests

    def writes(self) -> list[str]:
        """Return the calls so far that are no GET, and forget them all."""
        return [request for request in self.requests() if not request.startswith("GET ")]

    def open(
        self, method: str, url: str, data: str | None = None, headers: dict[str, str] | None = None, **dummy: Any
    ) -> Answer:
        """Serve one request as ansible.module_utils.urls.Request.open does."""
        path, body = url.removeprefix(f"{URL}/v2"), json.loads(data) if data else None
        self.calls.append((method, re.sub(r"[?&](limit|cursor)=[^&]*", "", path), body))
        self.headers.append(headers or {})
        note(method, url, data, headers)
        scripted = (self.answers or [None]).pop(0)
        if callable(scripted):
            scripted = scripted()
        if isinstance(scripted, Exception):
            raise scripted
        if isinstance(scripted, tuple):
            return answer(url, *scripted)
        served = answer(url, *self.handle(method, path, body))
        if isinstance(scripted, Lost):
            raise TimeoutError("timed out")
        return served

    def handle(self, method: str, path: str, body: Json | None) -> tuple[int, dict[str, str], Any]:
        """Serve one request and return status, headers and document."""
        path = path.partition("?")[0]
        if method == "GET":
            return 200, {}, {COLLECTIONS[path]: self.current[COLLECTIONS[path]]}
        if method == "POST":
            defaults = TEMPLATE if path == "/templates" else {}
            asked = delegated(body or {}) if path == "/registries/delegations" else body or {}
            made = {"id": f"id-{next(self._ids)}", **defaults, **asked}
            self.current[COLLECTIONS[path]].append(made)
            return 201, {}, made
        collection, dummy, identifier = path.rpartition("/")
        things = self.current[COLLECTIONS[collection]]
        found = next((thing for thing in things if thing["id"] == identifier), None)
        if found is None:
            return 404, {}, {"title": "Not Found", "status": 404, "detail": "resource not found"}
        if method == "DELETE":
            things.remove(found)
            return 204, {}, b""
        found.update(body or {})
        return 200, {}, found


def template(name: str, **fields: Any) -> Json:
    """Return a template as the API holds it."""
    return {"id": f"t-{name}", "name": name, "image": "app:1", **TEMPLATE, **fields}


def delegated(body: Json) -> Json:
    """Return what the API holds of a delegation that was asked for, in any form."""
    as_uri = body["resource"].replace(".dkr.ecr.", ":").replace(".amazonaws.com/", ":").split(":")
    as_arn = body["resource"].removeprefix("arn:aws:ecr:").replace("repository/", "").split(":")
    if body["resource"].startswith("arn:"):
        region, account, repository, *tag = as_arn
    else:
        account, region, repository, *tag = as_uri
    return {
        "name": body.get("name"),
        "delegatorUserId": "user",
        "awsUser": account,
        "awsRegion": region,
        "repository": repository,
        "tag": tag[0] if tag else "latest",
        "createdAt": "2026-08-31T12:00:00Z",
    }


def delegation(resource: str, **fields: Any) -> Json:
    """Return a delegation as the API holds it."""
    made = delegated({"resource": resource})
    return {"id": f"d-{made['repository']}", **made, **fields}


def refusal(status: int, detail: str, **headers: str) -> tuple[int, dict[str, str], Json]:
    """Return a scripted answer with a problem document."""
    return status, headers, {"title": "Refused", "status": status, "detail": detail}


def note(method: str, url: str, data: str | None, headers: Mapping[str, str] | None) -> None:
    """Hold a request against RunPod's document, where that is at hand."""
    parts = urlsplit(url)
    contract.note(method, parts.path, dict(parse_qsl(parts.query)), headers or {}, (data or "").encode())


def answer(url: str, status: int, headers: dict[str, str], document: Any) -> Answer:
    """Return an answer, or raise it when it is an error, as urllib does."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    if status < 300:
        return Answer(status, message, body)
    raise HTTPError(url, status, "", message, io.BytesIO(body))
