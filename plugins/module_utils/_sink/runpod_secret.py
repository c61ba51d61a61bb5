# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: a secret of the RunPod account. Its description bears the metadata, and in them when
# RunPod was given the value, which changes with every other write.

from __future__ import annotations

import json
from typing import Any

from .._aws.ecr_token import Token
from .._core.errors import Json
from .._oci.registry_client import Login
from .._runpod.client import Client
from .._runpod.references import read_users
from .._runpod.secret import check_name, create, delete, find, stays, update, users_of
from .target import Registries, SinkState, TokenMetadata, describe, metadata_in

OPTIONS: Json = {
    "name": {"type": "str", "required": True},
    "content": {"type": "str", "choices": ["password", "docker_config"], "default": "password"},
}
UNKNOWN = "-"


class RunpodSecret:
    def __init__(self, options: Json, registries: Registries, client: Client, absent: bool = False) -> None:
        self.name, self.content = options["name"], options["content"]
        self.registries, self.client, self.absent = registries, client, absent
        check_name(self.name)

    @property
    def label(self) -> str:
        return f"RunPod's secret {self.name}"

    def read(self) -> SinkState:
        secret = find(self.client, self.name)
        if secret is None:
            return SinkState(None)
        metadata = metadata_in(secret.get("description"))
        known = metadata if metadata and metadata.mark == self._mark(secret) else None
        summary = {"id": secret["id"], "name": secret["name"]}
        return SinkState(summary, known, retained=self._retained(secret, known), raw=secret)

    def expected(self, state: SinkState) -> Json:
        return state.summary or {"name": self.name}

    def write(self, state: SinkState, token: Token, made_by: str) -> SinkState:
        """Write the value first. Without the description that follows, the next run knows nothing of the token."""
        value = self._value(token)
        secret = (
            update(self.client, state.raw, {"value": value}) if state.raw else create(self.client, self.name, value)
        )
        metadata = TokenMetadata(token.expires_at, made_by, self._mark(secret))
        text = describe(secret.get("description"), metadata, f"Amazon ECR token for {self.registries.region}")
        update(self.client, secret, {"description": text})
        return self.read()

    def remove(self, state: SinkState) -> None:
        delete(self.client, state.raw)

    def _mark(self, secret: Json) -> str:
        """Return what the secret holds, for which registries, and since when."""
        of = self.registries.region if self.content == "password" else ",".join(self.registries.hosts)
        return f"{self.content}:{of}@{secret.get('valueLastUpdatedAt') or UNKNOWN}"

    def _retained(self, secret: Json, known: Any) -> str:
        if not self.absent:
            return ""
        if not known:
            return f"{self.label} stays: something else has written it."
        return " ".join(stays(secret, users_of(read_users(self.client), self.name)))

    def _value(self, token: Token) -> str:
        if self.content == "password":
            return token.password
        entry = {"auth": Login(token.username, token.password).basic}
        return json.dumps({"auths": {host: entry for host in self.registries.hosts}})
