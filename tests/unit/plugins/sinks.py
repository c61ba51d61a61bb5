# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets of tokens for tests, each behind the same few words, and AWS that makes the tokens."""

from __future__ import annotations

import base64
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.response import addinfourl

from botocore.exceptions import ClientError
from werkzeug.exceptions import HTTPException
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import Entry, KeyPair, KeyReservation
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.stored_key import store_of
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._sink import awx
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.awx import Awx
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.json_api import JsonApi
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.kubernetes import REMEDIES, Kubernetes, reason_in
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.runpod_secret import RunpodSecret
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.target import Registries, TokenSink
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.targets import SINKS
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.token_sink import Clients, run
from ansible_collections.gpuops.runpod.tests.sandbox.kubernetes import TOKEN, KubernetesApi
from ansible_collections.gpuops.runpod.tests.system.controller import TOKEN as CONTROLLER_TOKEN
from ansible_collections.gpuops.runpod.tests.system.controller import Controller
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import client
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

NOW = datetime(2026, 8, 1, tzinfo=timezone.utc)
KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NEW_KEY = KeyPair("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")
STORE = {"type": "secretsmanager", "name": "runpod-ecr/puller", "region": None, "kms_key_id": None, "tags": None}
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = f"{HOST}/team/app:v1"
OTHERS = "password-of-others"
PRESENT: Json = {
    "image": IMAGE,
    "images": None,
    "registry_region": None,
    "secret_store": STORE,
    "role_arn": None,
    "external_id": None,
    "repositories": None,
    "verify_images": [],
    "min_validity_hours": 9.0,
    "force": False,
    "propagation_timeout": 90,
    "state": "present",
}


class Target(ABC):
    """One kind of target: what its options are, and what is there, without our own code."""

    type: str
    state = "present"  # that of the task

    @abstractmethod
    def options(self) -> Json: ...

    @abstractmethod
    def connect(self, registries: Registries) -> TokenSink: ...

    @abstractmethod
    def password(self) -> str | None:
        """Return what the target logs in to the registry with."""

    @abstractmethod
    def let_others_write(self) -> None:
        """Put another password in, as somebody does who knows nothing of us; make what is not there."""

    @abstractmethod
    def writes(self) -> int:
        """Return how often the target was written."""


class DockerConfigTarget(Target):
    type = "docker_config"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "docker" / "config.json"
        self.former: list[bytes | None] = [None]

    def options(self) -> Json:
        return {"path": str(self.path)}

    def connect(self, registries: Registries) -> TokenSink:
        return SINKS[self.type].connect(self.options(), registries, None)

    def document(self) -> Json:
        return json.loads(self.path.read_text())

    def password(self) -> str | None:
        entry = self.document()["auths"].get(HOST) if self.path.exists() else None
        return base64.b64decode(entry["auth"]).decode().partition(":")[2] if entry else None

    def let_others_write(self) -> None:
        """Do as docker login does, which keeps only what it knows."""
        document = self.document() if self.path.exists() else {}
        auth = base64.b64encode(f"AWS:{OTHERS}".encode()).decode()
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps({"auths": {**document.get("auths", {}), HOST: {"auth": auth}}}))
        self.path.chmod(0o600)

    def writes(self) -> int:
        there = self.path.read_bytes() if self.path.exists() else None
        if there != self.former[-1]:
            self.former.append(there)
        return len(self.former) - 1


class RunpodSecretTarget(Target):
    type = "runpod_secret"

    def __init__(self, dummy: Path) -> None:
        self.runpod = SimulatedRunpod()
        self.content = "password"

    def options(self) -> Json:
        return {"name": "ecr-token", "content": self.content}

    def connect(self, registries: Registries) -> TokenSink:
        return RunpodSecret(self.options(), registries, self.runpod.client, self.state == "absent")

    def password(self) -> str | None:
        held = self.runpod.state("secrets")
        return str(held[0]["value"]) if held else None

    def let_others_write(self) -> None:
        self.runpod.naps.append(1)
        held = self.runpod.simulator.world.current["secrets"]
        times = {"valueLastUpdatedAt": self.runpod.simulator.world.now()}
        if not held:
            self.runpod.seed("secrets", name="ecr-token", value=OTHERS, description="Theirs")
        for secret in held.values():
            secret.update({"value": OTHERS, **times})

    def writes(self) -> int:
        """Count values, not descriptions."""
        done = [(method, body) for method, path, body in self.runpod.calls if method != "GET"]
        return sum(method == "DELETE" or "value" in (body or {}) for method, body in done)


class Opener:
    """What Ansible's Request is to a client, before a stand-in: `handle` gets method, path, headers and body.

    `lost` names what is met first: "before" the effect, "after" it, or None.
    """

    def __init__(self, handle: Callable[[str, str, Mapping[str, str], bytes], tuple[int, Any]]) -> None:
        self.handle = handle
        self.lost: list[str | None] = []
        self.headers = Message()

    def open(self, method: str, url: str, data: str | None = None, headers: Any = None) -> Any:
        lost = self.lost.pop(0) if self.lost else None
        if lost == "before":
            raise URLError("reset")
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        status, document = self.handle(method, path, headers or {}, (data or "").encode())
        if lost == "after":
            raise ConnectionResetError("reset")
        body = io.BytesIO(document if isinstance(document, bytes) else json.dumps(document).encode())
        if status >= 300:
            raise HTTPError(url, status, "No", self.headers, body)
        answer: Any = addinfourl(body, self.headers, url, status)
        return answer


class KubernetesTarget(Target):
    type = "kubernetes"

    def __init__(self, dummy: Path) -> None:
        self.cluster = KubernetesApi()
        self.opener = Opener(self.cluster.handle)
        self.naps: list[float] = []

    def options(self) -> Json:
        return {"name": "ecr-pull", "namespace": "gpu"}

    def connect(self, registries: Registries) -> Kubernetes:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        api = JsonApi("Kubernetes", "https://k8s.test", headers, self.opener, reason_in, REMEDIES, self.naps.append)
        return Kubernetes(self.options(), registries, api)

    def document(self) -> Json:
        data = self.cluster.secrets["gpu", "ecr-pull"]["data"]
        return json.loads(base64.b64decode(data[".dockerconfigjson"]))

    def password(self) -> str | None:
        there = ("gpu", "ecr-pull") in self.cluster.secrets
        entry = self.document()["auths"].get(HOST) if there else None
        return base64.b64decode(entry["auth"]).decode().partition(":")[2] if entry else None

    def let_others_write(self) -> None:
        auth = base64.b64encode(f"AWS:{OTHERS}".encode()).decode()
        text = base64.b64encode(json.dumps({"auths": {HOST: {"auth": auth}}}).encode()).decode()
        if ("gpu", "ecr-pull") in self.cluster.secrets:
            self.cluster.change("gpu", "ecr-pull", lambda secret: secret["data"].update({".dockerconfigjson": text}))
        else:
            fields = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": text}}
            self.cluster.add("gpu", "ecr-pull", **fields)

    def writes(self) -> int:
        return len(self.cluster.writes)


class AwxTarget(Target):
    type = "awx"

    def __init__(self, dummy: Path, prefix: str = "/api/") -> None:
        self.controller = Controller(prefix)
        self.opener = Opener(self.handle)
        self.now = NOW
        self.controller.clock = lambda: self.now
        fields = [{"id": name} for name in ("host", "username", "password", "verify_ssl")]
        kind = {"name": "Container Registry", "kind": "registry", "inputs": {"fields": fields}}
        self.kind = self.controller.add("credential_types", kind)["id"]

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        request = Request(EnvironBuilder(path, method=method, headers=dict(headers), data=body).get_environ())
        try:
            response = self.controller.handle(request)
        except HTTPException as refusal:
            response = refusal.get_response() if refusal.response is None else refusal.response  # type: ignore
        return response.status_code, response.get_data()

    def options(self) -> Json:
        return {"name": "ECR", "organization": "Default"}

    def connect(self, registries: Registries) -> Awx:
        self.opener.lost = []
        headers = {"Authorization": f"Bearer {CONTROLLER_TOKEN}"}
        api = JsonApi(
            "AWX", "https://awx.test", headers, self.opener, awx.reason_in, awx.REMEDIES, lambda seconds: None
        )
        return Awx(self.options(), registries, api, self.state == "absent")

    def credential(self) -> Json | None:
        return next(iter(self.controller.things["credentials"].values()), None)

    def password(self) -> str | None:
        held = self.credential()
        return str(held["inputs"]["password"]) if held else None

    def let_others_write(self) -> None:
        self.now += timedelta(hours=1)
        inputs = {"host": HOST, "username": "AWS", "password": OTHERS}
        if held := self.credential():
            held["inputs"] = inputs
        else:
            made = {"name": "ECR", "organization": 1, "credential_type": self.kind, "inputs": inputs}
            held = self.controller.add("credentials", made)
        self.controller.modified["credentials", held["id"]] = self.now

    def writes(self) -> int:
        """Count what changes the password; the description follows each."""
        done = [write.partition(" ") for write in self.controller.writes]
        patches = sum(method == "PATCH" for method, dummy, path in done)
        created = sum(method == "POST" for method, dummy, path in done)
        return created + (patches - created) // 2 + sum(method == "DELETE" for method, dummy, path in done)


class Ecr:
    """Makes tokens that live for twelve hours; `refusals` are met first."""

    def __init__(self, world: World) -> None:
        self.meta = client("ecr").meta
        self.world = world
        self.made: list[str] = []
        self.refusals: list[str] = []
        self.life = timedelta(hours=12)

    def get_authorization_token(self, **dummy: Any) -> Json:
        if self.refusals:
            code = self.refusals.pop(0)
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetAuthorizationToken")
        self.made.append(f"token-number-{len(self.made) + 1}")
        data = base64.b64encode(f"AWS:{self.made[-1]}".encode()).decode()
        return {"authorizationData": [{"authorizationToken": data, "expiresAt": self.world.now + self.life}]}


class World:
    """AWS with a pull user's key in the store, a target, and runs of the module's code."""

    def __init__(self, connect: Callable[..., Any], target: Target) -> None:
        self.target, self.now, self.naps = target, NOW, []
        self.ecr = Ecr(self)
        self.identities: list[Json] = []
        self.proofs: list[str] = []

        def route(service: str, **options: Any) -> Any:
            if service != "ecr":
                return connect(service, **options)
            self.identities.append(options)
            return self.ecr

        self.aws = Aws(route, "us-east-1", clock=lambda: self.now, sleep=self.sleep)
        self.store = store_of(self.aws, STORE)
        self.keep(KEY)

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += timedelta(seconds=seconds)

    def keep(self, key: KeyPair | None) -> None:
        reserved = KeyReservation(NOW, ())
        entry = self.store.read() or self.store.create("puller", Entry("", pending=reserved))
        wanted = Entry("", key, NOW - timedelta(days=30), None if key else reserved)
        assert entry and self.store.put(entry, wanted._replace(arn=entry.arn))

    def verify(self, images: list[str], token: Any, dummy: Any) -> list[Json]:
        self.proofs.append(token.password)
        return [{"image": image, "pullable": True} for image in images]

    def run(self, check_mode: bool = False, **changes: Any) -> Result:
        self.target.state = changes.get("state", "present")
        params = {**PRESENT, "type": self.target.type, self.target.type: self.target.options(), **changes}
        return run(params, check_mode, Clients(self.aws, self.target.connect, self.verify))
