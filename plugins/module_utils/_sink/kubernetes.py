# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: a pull secret of Kubernetes, by its own API. The modules of kubernetes.core would need the
# token as an argument, which is to leave this process for the target alone.

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible.module_utils.basic import env_fallback

from .._aws.ecr_token import Token
from .._core.errors import ApiError, ConflictError, InputError, Json, NotFoundError, SupersededError
from . import auths
from .json_api import JsonApi, opener_of, shaped
from .kubernetes_access import access
from .target import OURS, Registries, SinkState

OPTIONS: Json = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": "default"},
    "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
    "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
    "host": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_HOST"])},
    "api_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["K8S_AUTH_API_KEY"])},
    "ca_cert": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_SSL_CA_CERT"])},
    "client_cert": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_CERT_FILE"])},
    "client_key": {"type": "path", "no_log": False, "fallback": (env_fallback, ["K8S_AUTH_KEY_FILE"])},
    "validate_certs": {"type": "bool", "fallback": (env_fallback, ["K8S_AUTH_VERIFY_SSL"])},
}
NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
NAMESPACE = re.compile(r"(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?")
TYPE = "kubernetes.io/dockerconfigjson"
KEY = ".dockerconfigjson"
MANAGED_BY = {"app.kubernetes.io/managed-by": OURS}
MAY = "Allow its user to get, create, update and delete secrets in the namespace."
REMEDIES = {401: "Check kubernetes.api_key or the kubeconfig: it is missing, wrong or expired.", 403: MAY}


class Kubernetes:
    def __init__(self, options: Json, registries: Registries, api: JsonApi) -> None:
        self.name, self.namespace = options["name"], options["namespace"]
        self.hosts, self.api = registries.hosts, api
        if not NAME.fullmatch(self.name) or not NAMESPACE.fullmatch(self.namespace):
            raise InputError(
                f"Kubernetes takes no secret {self.name!r} in a namespace {self.namespace!r}: both are of lower-case "
                "letters, digits and -, a secret's name also of dots."
            )
        self.collection = f"/api/v1/namespaces/{quote(self.namespace)}/secrets"
        self.path = f"{self.collection}/{quote(self.name)}"

    @property
    def label(self) -> str:
        return f"the secret {self.namespace}/{self.name}"

    def read(self) -> SinkState:
        try:
            secret = secret_of(f"Kubernetes: GET {self.path}", self.api.request("GET", self.path))
        except NotFoundError:
            return SinkState(None)
        self._require_ours_to_write(secret)
        found = self._entries(secret)
        state = auths.state_of(found, self.expected(SinkState(None)))
        hosts = " and ".join(auths.foreign(found))
        retained = f"{self.label.capitalize()} keeps its entry for {hosts}: something else has written it."
        return state._replace(retained=retained if hosts else "", raw=secret)

    def expected(self, state: SinkState) -> Json:
        return {"namespace": self.namespace, "name": self.name}

    def write(self, state: SinkState, token: Token, made_by: str) -> SinkState:
        document = self._document(state.raw) if state.raw else {}
        wanted = {**document, "auths": auths.with_token(document.get("auths") or {}, self.hosts, token)}
        metadata = auths.metadata_of(self.hosts, token, made_by)
        if state.raw:
            self._put(state.raw, wanted, {**annotations_of(state.raw), **annotated(metadata)}, [token.password])
        else:
            about = {"name": self.name, "namespace": self.namespace, "labels": MANAGED_BY}
            body = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {**about, "annotations": annotated(metadata)},
                "type": TYPE,
                "data": data_of(wanted),
            }
            self._send("POST", self.collection, body, [token.password])
        return self.read()

    def remove(self, state: SinkState) -> None:
        """Remove the hosts, and the secret when it was made here and holds no other."""
        document = self._document(state.raw)
        rest = auths.without(document.get("auths") or {}, self.hosts)
        about = state.raw["metadata"]
        if not rest and MANAGED_BY.items() <= (about.get("labels") or {}).items():
            unchanged = {key: about[key] for key in ("uid", "resourceVersion") if key in about}
            options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": unchanged}
            self._send("DELETE", self.path, options)
            return
        ours = [f"{OURS}/{host}" for host in self.hosts]
        self._put(state.raw, {**document, "auths": rest}, auths.without(annotations_of(state.raw), ours))

    def _put(self, secret: Json, document: Json, wanted: Json, secrets: list[str] | None = None) -> None:
        """Kubernetes refuses it when the secret has changed since it was read."""
        body = {
            **secret,
            "metadata": {**secret["metadata"], "annotations": wanted},
            "data": {**(secret.get("data") or {}), **data_of(document)},
        }
        self._send("PUT", self.path, body, secrets)

    def _send(self, method: str, path: str, body: Json, secrets: list[str] | None = None) -> None:
        given = [*(secrets or []), *(body.get("data") or {}).values()]
        try:
            self.api.request(method, path, body, given)
        except NotFoundError as error:
            if method == "POST":
                raise  # there is no such namespace
            raise SupersededError(f"{self.label.capitalize()} was deleted meanwhile: run again.") from error
        except ApiError as error:
            if error.status != 409:
                raise
            raise SupersededError(f"Something else goes on writing {self.label}: run again when it is done.") from error

    def _require_ours_to_write(self, secret: Json) -> None:
        if secret.get("type") != TYPE:
            raise ConflictError(
                f"{self.label.capitalize()} is of the type {secret.get('type')}, which holds no logins of {TYPE}: name "
                "another one, or delete it."
            )
        if secret.get("immutable"):
            raise ConflictError(f"{self.label.capitalize()} is immutable: delete it, or name another one.")
        self._document(secret)

    def _document(self, secret: Json) -> Json:
        """Raise ConflictError for what no kubelet could read, without repeating it."""
        try:
            text = base64.b64decode((secret.get("data") or {}).get(KEY) or "", validate=True).decode()
        except (ValueError, TypeError):
            text = "no document"
        document = auths.parsed(text)
        if document is None:
            raise ConflictError(f"{self.label.capitalize()} holds no document of logins in {KEY}: delete it.")
        return document

    def _entries(self, secret: Json) -> list[auths.Entry]:
        ours = {name.removeprefix(f"{OURS}/"): text for name, text in annotations_of(secret).items()}
        return auths.entries(self._document(secret).get("auths") or {}, ours, self.hosts)


def secret_of(call: str, answer: Json) -> Json:
    """Raise ApiError for what is no secret."""
    secret = shaped(call, answer, {"metadata": dict, "type": str}, {"data": dict})
    shaped(call, secret["metadata"], {}, {"annotations": dict, "labels": dict})
    return secret


def annotations_of(secret: Json) -> Json:
    return dict(secret["metadata"].get("annotations") or {})


def annotated(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"{OURS}/{host}": text for host, text in metadata.items()}


def data_of(document: Json) -> dict[str, str]:
    text = json.dumps(document)
    return {KEY: base64.b64encode(text.encode()).decode()}


def reason_in(status: Json) -> str:
    return str(status.get("message") or "")


def connect(options: Json, registries: Registries, module: Any) -> Kubernetes:
    def run_command(argv: list[str], variables: dict[str, str]) -> tuple[int, str, str]:
        done: tuple[int, str, str] = module.run_command(
            argv, environ_update=variables, expand_user_and_vars=False, handle_exceptions=False
        )
        return done

    found = access(options, os.environ, Path(module.tmpdir), run_command)
    headers = {"Authorization": found.authorization} if found.authorization else {}
    opener = opener_of(found.validate_certs, found.ca_path, client_cert=found.client_cert, client_key=found.client_key)
    api = JsonApi("Kubernetes", found.url, headers, opener, reason_in, REMEDIES)
    return Kubernetes(options, registries, api)
