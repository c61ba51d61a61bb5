# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the secrets of a Kubernetes cluster: API v1 as its reference tells it, with its refusals.

What Kubernetes would only warn of, a field that it does not know, is a refusal here.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from threading import Thread
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

Json = dict[str, Any]
Answer = tuple[int, Json]

TOKEN = "example-of-a-cluster-token"
PATH = re.compile(r"/api/v1/namespaces/([^/]+)/secrets(?:/([^/]+))?")
SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(r"(?=.{1,63}$)[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
LABEL = re.compile(r"(?=.{0,63}$)([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
FIELDS = {"apiVersion", "kind", "metadata", "type", "data", "immutable"}
METADATA = {"name", "namespace", "labels", "annotations", "uid", "resourceVersion", "creationTimestamp"}
NEEDED = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}


class Refused(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason

    def status(self) -> Json:
        about = {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure"}
        return {**about, "message": str(self), "reason": self.reason, "code": self.code}


class KubernetesApi:
    """`before` runs once before the next write, as another client; `faults` are met first, a status or None each."""

    def __init__(self) -> None:
        self.namespaces = {"default", "gpu"}
        self.secrets: dict[tuple[str, str], Json] = {}
        self.writes: list[str] = []
        self.before: Callable[[], Any] | None = None
        self.faults: list[int | None] = []
        self._version = 100

    # What tests see and do

    def add(self, namespace: str, name: str, **fields: Any) -> Json:
        """Hold a secret that somebody else has made."""
        metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
        return self._create(namespace, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **fields})

    def change(self, namespace: str, name: str, change: Callable[[Json], Any]) -> None:
        """Let somebody else change a secret."""
        secret = self.secrets[namespace, name]
        change(secret)
        secret["metadata"]["resourceVersion"] = self._next()

    # The API

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            if headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            fault = self.faults.pop(0) if self.faults else None
            if fault:
                raise Refused(fault, "InternalError", f"refused with {body.decode()}")
            return self._serve(method, path, headers, body)
        except Refused as refusal:
            return refusal.code, refusal.status()

    def _serve(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        match = PATH.fullmatch(path)
        if not match:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        namespace, name = match.groups()
        allowed = {"GET", "PUT", "DELETE"} if name else {"POST"}
        if method not in allowed:
            raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        if method == "GET":
            return 200, deepcopy(self._found(namespace, name))
        if headers.get("Content-Type") != "application/json":
            raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        given = json.loads(body)
        self.writes.append(f"{method} {path}")
        if self.before:
            run, self.before = self.before, None
            run()
        if method == "POST":
            return 201, deepcopy(self._create(namespace, given))
        if method == "PUT":
            return 200, deepcopy(self._replace(namespace, name, given))
        return 200, self._delete(namespace, name, given)

    def _found(self, namespace: str, name: str) -> Json:
        if (namespace, name) not in self.secrets:
            raise Refused(404, "NotFound", f'secrets "{name}" not found')
        return self.secrets[namespace, name]

    def _create(self, namespace: str, given: Json) -> Json:
        self._check(namespace, given)
        name = given["metadata"]["name"]
        if namespace not in self.namespaces:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        if (namespace, name) in self.secrets:
            raise Refused(409, "AlreadyExists", f'secrets "{name}" already exists')
        if "resourceVersion" in given["metadata"]:
            raise Refused(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        number = self._next()
        made = {"uid": f"uid-{number}", "resourceVersion": number, "creationTimestamp": "2026-08-01T00:00:00Z"}
        stored = {**deepcopy(given), "metadata": {**given["metadata"], "namespace": namespace, **made}}
        self.secrets[namespace, name] = {"type": "Opaque", **stored}
        return self.secrets[namespace, name]

    def _replace(self, namespace: str, name: str, given: Json) -> Json:
        self._check(namespace, given)
        current = self._found(namespace, name)
        if given["metadata"]["name"] != name:
            raise Refused(400, "BadRequest", "the name of the object does not match the name on the URL")
        self._require_same(current, given["metadata"], f'Operation cannot be fulfilled on secrets "{name}"')
        if given.get("type", "Opaque") != current["type"]:
            raise Refused(422, "Invalid", f'Secret "{name}" is invalid: type: field is immutable')
        if current.get("immutable") and given.get("data") != current.get("data"):
            raise Refused(
                422, "Invalid", f'Secret "{name}" is invalid: data: field is immutable when `immutable` is set'
            )
        kept = {key: current["metadata"][key] for key in ("uid", "creationTimestamp", "namespace")}
        metadata = {**given["metadata"], **kept, "resourceVersion": self._next()}
        self.secrets[namespace, name] = {"type": "Opaque", **deepcopy(given), "metadata": metadata}
        return self.secrets[namespace, name]

    def _delete(self, namespace: str, name: str, options: Json) -> Json:
        if options.get("kind") != "DeleteOptions" or options.keys() - {"apiVersion", "kind", "preconditions"}:
            raise Refused(400, "BadRequest", "the body is no DeleteOptions")
        self._require_same(self._found(namespace, name), options.get("preconditions", {}), "Precondition failed")
        del self.secrets[namespace, name]
        return {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"}

    def _require_same(self, current: Json, given: Json, message: str) -> None:
        for key in ("uid", "resourceVersion"):
            if given.get(key) not in (None, current["metadata"][key]):
                raise Refused(409, "Conflict", f"{message}: {key} in precondition: {given[key]}")

    def _check(self, namespace: str, given: Json) -> None:
        if (given.get("apiVersion"), given.get("kind")) != ("v1", "Secret"):
            raise Refused(400, "BadRequest", "the object provided is unrecognized")
        if unknown := (given.keys() - FIELDS) | (given["metadata"].keys() - METADATA):
            raise Refused(400, "BadRequest", f'strict decoding error: unknown field "{min(unknown)}"')
        if given["metadata"].get("namespace", namespace) != namespace:
            raise Refused(400, "BadRequest", "the namespace of the provided object does not match")
        name = given["metadata"].get("name", "")
        if not isinstance(name, str):
            raise Refused(400, "BadRequest", "json: cannot unmarshal into Go struct field ObjectMeta.metadata.name")
        faults = [*self._faults_of_metadata(given["metadata"]), *self._faults_of_data(given)]
        if not SUBDOMAIN.fullmatch(name):
            faults.append("metadata.name: a lowercase RFC 1123 subdomain must consist of lower case characters")
        if faults:
            raise Refused(422, "Invalid", f'Secret "{name}" is invalid: {"; ".join(faults)}')

    def _faults_of_metadata(self, metadata: Json) -> Iterator[str]:
        for kind in ("labels", "annotations"):
            for key, value in (metadata.get(kind) or {}).items():
                prefix, slash, last = key.rpartition("/")
                if (slash and not SUBDOMAIN.fullmatch(prefix)) or not QUALIFIED.fullmatch(last):
                    yield f"metadata.{kind}: {key}: name part must consist of alphanumeric characters, '-', '_' or '.'"
                if not isinstance(value, str) or (kind == "labels" and not LABEL.fullmatch(value)):
                    yield f"metadata.{kind}: {key}: a valid value must be a string"

    def _faults_of_data(self, given: Json) -> Iterator[str]:
        data = given.get("data") or {}
        for value in data.values():
            try:
                base64.b64decode(value, validate=True)
            except (ValueError, TypeError):
                raise Refused(400, "BadRequest", "illegal base64 data at input byte 0") from None
        key = NEEDED.get(given.get("type", ""))
        if key and key not in data:
            yield f"data[{key}]: Required value"
        elif key:
            try:
                json.loads(base64.b64decode(data[key]))
            except ValueError:
                yield f"data[{key}]: Invalid value: <secret contents redacted>"

    def _next(self) -> str:
        self._version += 1
        return str(self._version)


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None: ...


@contextmanager
def serving(api: KubernetesApi, tls: tuple[str, str] | None = None) -> Iterator[str]:
    """Serve on a free port of this machine, with a certificate and its key if there are any; yield the address."""

    @Request.application
    def app(request: Request) -> Response:
        status, document = api.handle(request.method, request.path, dict(request.headers), request.get_data())
        return Response(json.dumps(document), status, content_type="application/json")

    server = make_server("127.0.0.1", 0, app, request_handler=Quiet, ssl_context=tls)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
