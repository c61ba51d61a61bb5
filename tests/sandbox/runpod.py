# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulator of RunPod's API v2: as strict as the API, and ignorant of what its callers want.

`RunpodSimulator.handle` serves one request without HTTP; `create_app` puts it behind WSGI and adds the control paths:

    GET, PATCH  /_sandbox/switches            how the simulator behaves (the table SWITCHES of runpod_world.py)
    GET         /_sandbox/state               all that is held, passwords included
    POST        /_sandbox/seed/<collection>   hold an object, or a list of them, that was made elsewhere
    POST        /_sandbox/rollout/<id>        replace an endpoint's workers by ones of its newest version
"""

from __future__ import annotations

import json
import math
import random
import re
import string
import time
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.wrappers import Request, Response

from . import contract
from . import runpod_resources as resources
from . import runpod_rollout as rollout
from .runpod_catalog import list_gpus
from .runpod_delegations import create_delegation, delete_delegation
from .runpod_resources import getter, lister
from .runpod_schemas import violations
from .runpod_secrets import create_secret, delete_secret, list_secrets, update_secret
from .runpod_world import LIST_KEYS, Call, HasTag, Json, PolicyOf, Refusal, World, invalid, not_found

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

API_KEY = "sandbox-api-key"
READING_KEY = "sandbox-api-key-that-only-reads"
WINDOWS = {"minute": 60, "hour": 3600, "day": 86400}
DOCUMENT = ("GET", "/v2/openapi.json")
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
}

Answer = tuple[int, dict[str, str], Any]


class Route(NamedTuple):
    """One operation: where it is, what it answers with, what the key must be allowed, and what its body must be."""

    method: str
    path: str
    status: int
    scope: str
    act: Callable[[World, Call], Json | bytes | None]
    schema: str | None = None


# The first path that fits wins, so a fixed one stands before one with an id in its place. Only secrets:write, for
# the registry credentials, is known from the reference; the other scopes follow its pattern.
ROUTES = (
    Route("GET", "/v2/registries", 200, "secrets:read", lister("registries")),
    Route("POST", "/v2/registries", 201, "secrets:write", resources.create_registry, "CreateRegistryRequest"),
    Route("GET", "/v2/registries/delegations", 200, "secrets:read", lister("delegations")),
    Route(
        "POST",
        "/v2/registries/delegations",
        201,
        "secrets:write",
        create_delegation,
        "CreateDelegationRequest",
    ),
    Route("DELETE", "/v2/registries/delegations/{id}", 204, "secrets:write", delete_delegation),
    Route("GET", "/v2/registries/{id}", 200, "secrets:read", getter("registries")),
    Route("PATCH", "/v2/registries/{id}", 200, "secrets:write", resources.update_registry, "UpdateRegistryRequest"),
    Route("DELETE", "/v2/registries/{id}", 204, "secrets:write", resources.delete_registry),
    Route("GET", "/v2/templates", 200, "templates:read", lister("templates")),
    Route("POST", "/v2/templates", 201, "templates:write", resources.create_template, "CreateTemplateRequest"),
    Route("GET", "/v2/templates/{id}", 200, "templates:read", resources.get_template),
    Route("PATCH", "/v2/templates/{id}", 200, "templates:write", resources.update_template, "UpdateTemplateRequest"),
    Route("DELETE", "/v2/templates/{id}", 204, "templates:write", resources.delete_template),
    Route("GET", "/v2/serverless", 200, "serverless:read", lister("endpoints")),
    Route("POST", "/v2/serverless", 201, "serverless:write", resources.create_endpoint, "CreateEndpointRequest"),
    Route("GET", "/v2/serverless/{id}", 200, "serverless:read", getter("endpoints")),
    Route("PATCH", "/v2/serverless/{id}", 200, "serverless:write", resources.update_endpoint, "UpdateEndpointRequest"),
    Route("DELETE", "/v2/serverless/{id}", 204, "serverless:write", resources.delete_endpoint),
    Route("GET", "/v2/serverless/{id}/workers", 200, "serverless:read", rollout.list_workers),
    Route("GET", "/v2/serverless/{id}/workers/{workerId}/logs", 200, "serverless:read", rollout.stream_logs),
    Route("GET", "/v2/serverless/{id}/releases", 200, "serverless:read", rollout.list_releases),
    Route("GET", "/v2/pods", 200, "pods:read", resources.list_pods),
    Route("GET", "/v2/pods/{id}", 200, "pods:read", getter("pods")),
    Route("GET", "/v2/clusters", 200, "clusters:read", lister("clusters")),
    Route("GET", "/v2/clusters/{id}", 200, "clusters:read", getter("clusters")),
    Route("GET", "/v2/catalog/gpus", 200, "catalog:read", list_gpus),
    Route("GET", "/v2/account/secrets", 200, "secrets:read", list_secrets),
    Route("POST", "/v2/account/secrets", 201, "secrets:write", create_secret, "CreateSecretRequest"),
    Route("GET", "/v2/account/secrets/{id}", 200, "secrets:read", getter("secrets")),
    Route("PATCH", "/v2/account/secrets/{id}", 200, "secrets:write", update_secret, "UpdateSecretRequest"),
    Route("DELETE", "/v2/account/secrets/{id}", 204, "secrets:write", delete_secret),
)
_PATTERNS = {route.path: re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route.path)) for route in ROUTES}
STREAMED = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class Quota:
    """Counts requests per minute, hour and day; a window opens with its first request and is fresh once it is over."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        self._opened = dict.fromkeys(WINDOWS, -math.inf)
        self._used = dict.fromkeys(WINDOWS, 0)

    def spend(self, limits: Mapping[str, int]) -> str | None:
        """Count one request, or return the name of the window that refuses it."""
        now = self._clock()
        for name, length in WINDOWS.items():
            if now >= self._opened[name] + length:
                self._opened[name], self._used[name] = now, 0
        for name in WINDOWS:
            if self._used[name] >= limits[name]:
                return name
        self._used = {name: used + 1 for name, used in self._used.items()}
        return None

    def seconds_left(self, name: str) -> int:
        return math.ceil(self._opened[name] + WINDOWS[name] - self._clock())

    def headers(self, limits: Mapping[str, int]) -> dict[str, str]:
        live = [f'"{name}";r={max(limits[name] - self._used[name], 0)};t={self.seconds_left(name)}' for name in WINDOWS]
        policy = [f'"{name}";q={limits[name]};w={length}' for name, length in WINDOWS.items()]
        return {"RateLimit": ", ".join(live), "RateLimit-Policy": ", ".join(policy)}


class RunpodSimulator:
    """One RunPod account behind one API key.

    `policy_of` tells the policy of a repository, which RunPod looks at when it is told of one, and `has_tag` whether
    there is an image. Without them, nothing is looked at.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        api_key: str = API_KEY,
        new_id: Callable[[], str] | None = None,
        policy_of: PolicyOf | None = None,
        has_tag: HasTag | None = None,
    ) -> None:
        self._api_key = api_key
        self._lock = Lock()
        self._quota = Quota(clock)
        self.world = World(clock, new_id or _random_id, policy_of, has_tag)

    def reset(self) -> None:
        """Forget everything held, the switches that were set, and the requests that were counted."""
        with self._lock:
            self._quota.reset()
            self.world.reset()

    def switch(self, **changes: Any) -> None:
        """Set switches of the table SWITCHES."""
        self.world.set_switches(changes)

    def state(self) -> dict[str, list[Json]]:
        """Return all that is held, with what the API never shows: owners, passwords, bound templates."""
        return {key: deepcopy(list(records.values())) for key, records in self.world.current.items()}

    def seed(self, key: str, given: Any) -> Json:
        """Hold an object that was made elsewhere; what it does not say is filled in. Return it as it is held."""
        return deepcopy(resources.seed(self.world, key, given))

    def finish_rollout(self, identifier: str) -> None:
        """Replace the workers of an endpoint by ones of its newest version, and let them start."""
        rollout.finish(self.world, self.world.find_own("endpoints", identifier))

    def handle(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Serve one request for a percent-decoded path; return the status, the headers and the document, if any."""
        contract.note(method, path, query, headers, body)
        lowered = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            quota_headers: dict[str, str] = {}
            try:
                scopes = self._authenticate(lowered.get("authorization", ""))
                quota_headers |= self._spend()
                status, document = self._serve(method, path, query, scopes, lowered.get("content-type", ""), body)
            except Refusal as refusal:
                return _problem(refusal, quota_headers | self._quota_headers_of(refusal))
            if document is None:
                return status, quota_headers, None
            if isinstance(document, bytes):
                return status, {**STREAMED, **quota_headers}, document
            return status, {"Content-Type": "application/json", **quota_headers}, deepcopy(document)

    def control(self, method: str, path: str, body: bytes) -> Answer:
        """Serve one request for a control path."""
        with self._lock:
            try:
                status, document = self._control(method, path, body)
            except Refusal as refusal:
                return _problem(refusal, {})
            return status, {"Content-Type": "application/json"}, document

    def _authenticate(self, authorization: str) -> Collection[str] | None:
        """Return what the key may do; None is everything."""
        if not authorization:
            raise Refusal(401, "missing bearer token")
        scheme, dummy, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Refusal(401, "malformed bearer token")
        if key == READING_KEY:
            return {route.scope for route in ROUTES if route.scope.endswith(":read")}
        if key != self._api_key:
            raise Refusal(401, "invalid bearer token")
        scopes: list[str] | None = self.world.switches["scopes"]
        return scopes

    def _spend(self) -> dict[str, str]:
        limits = self.world.switches["rate_limits"]
        if limits is None:
            return {}
        refused_by = self._quota.spend(limits)
        if refused_by:
            wait = {"Retry-After": str(self._quota.seconds_left(refused_by))}
            raise Refusal(429, f"rate limit exceeded for the {refused_by} window", headers=wait)
        return self._quota.headers(limits)

    def _quota_headers_of(self, refusal: Refusal) -> dict[str, str]:
        """Return what a 429 tells about the quota; every other answer has it already."""
        return self._quota.headers(self.world.switches["rate_limits"]) if refusal.status == 429 else {}

    def _serve(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        scopes: Collection[str] | None,
        content_type: str,
        body: bytes,
    ) -> tuple[int, Json | bytes | None]:
        if (method, path) == DOCUMENT and self.world.switches["document"] is not None:
            return 200, self.world.switches["document"]
        route, identifiers = self._route(method, path)
        if scopes is not None and route.scope not in scopes:
            raise Refusal(403, "access denied")
        document = _checked_body(route.schema, content_type, body) if route.schema else {}
        call = Call(identifiers.get("id", ""), query, document, identifiers.get("workerId", ""))
        return route.status, route.act(self.world, call)

    def _route(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        template, match = _match(path)
        routes = {route.method: route for route in ROUTES if route.path == template}
        patch = self.world.switches["registry_patch"]
        if template == "/v2/registries/{id}" and patch != "present":
            del routes["PATCH"]
            if (method, patch) == ("PATCH", 404):
                raise not_found()
        if method not in routes:
            allow = {"Allow": ", ".join(routes)}
            raise Refusal(405, "The requested method is not allowed for this path.", headers=allow)
        return routes[method], match.groupdict()

    def _control(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        key = path.removeprefix("/_sandbox/seed/")
        if (method, path) == ("GET", "/_sandbox/state"):
            return 200, self.state()
        if method == "POST" and key in LIST_KEYS:
            given = _parsed(body)
            return 201, [self.seed(key, one) for one in given] if isinstance(given, list) else self.seed(key, given)
        if method == "POST" and path.startswith("/_sandbox/rollout/"):
            self.finish_rollout(path.removeprefix("/_sandbox/rollout/"))
            return 200, {}
        if path != "/_sandbox/switches" or method not in {"GET", "PATCH"}:
            raise not_found()
        if method == "PATCH":
            self.world.set_switches(_parsed(body))
        return 200, dict(self.world.switches)


def _match(path: str) -> tuple[str, re.Match[str]]:
    for template, pattern in _PATTERNS.items():
        if match := pattern.fullmatch(path):
            return template, match
    raise not_found()


def _checked_body(schema: str, content_type: str, body: bytes) -> Json:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(400, "the request body must be application/json")
    document = _parsed(body)
    if errors := violations(schema, document):
        raise invalid(errors)
    return document


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except ValueError as error:
        raise Refusal(400, "the request body is not valid JSON") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _problem(refusal: Refusal, headers: Mapping[str, str]) -> Answer:
    document: Json = {"title": TITLES[refusal.status], "status": refusal.status, "detail": refusal.detail}
    if refusal.errors:
        document["errors"] = refusal.errors
    return refusal.status, {"Content-Type": "application/problem+json", **headers, **refusal.headers}, document


def _random_id() -> str:
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=10))  # opaque, not secret


def create_app(simulator: RunpodSimulator | None = None) -> WSGIApplication:
    """Return the WSGI application of a simulator: the API and the control paths."""
    served = simulator or RunpodSimulator()

    @Request.application
    def app(request: Request) -> Response:
        body = request.get_data()
        if request.path.startswith("/_sandbox/"):
            status, headers, document = served.control(request.method, request.path, body)
        else:
            query, given = request.args.to_dict(), dict(request.headers)
            status, headers, document = served.handle(request.method, request.path, query, given, body)
        text = document if document is None or isinstance(document, bytes) else json.dumps(document)
        response = Response(text, status, headers)
        if document is None:
            del response.headers["Content-Type"]
        return response

    return app
