# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container registries in memory, behind an opener with the shape of ansible.module_utils.urls.Request."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from email.message import Message
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

Json = dict[str, Any]

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Repository:
    """Manifests, tags and blobs."""

    def __init__(self) -> None:
        self.manifests: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.blobs: dict[str, bytes] = {}

    def push(self, document: Json, tag: str = "") -> str:
        content = json.dumps(document).encode()
        digest = digest_of(content)
        self.manifests[digest] = content
        if tag:
            self.tags[tag] = digest
        return digest

    def image(self, tag: str = "", text: str = "layer", size: int | None = None, **configuration: Any) -> str:
        """Push an image of one platform with one layer; return its digest."""
        content = json.dumps({"os": "linux", "architecture": "amd64", **configuration}).encode()
        config, layer = digest_of(content), digest_of(text.encode())
        self.blobs |= {config: content, layer: text.encode()}
        layers = [{"digest": layer, "size": len(text) if size is None else size}]
        described = {"digest": config, "size": len(content)}
        return self.push({"mediaType": MANIFEST, "config": described, "layers": layers}, tag)

    def index(self, tag: str, **images: str) -> str:
        """Push an index of images by their architectures."""
        entries = [
            {"digest": digest, "platform": {"os": "linux", "architecture": architecture}}
            for architecture, digest in images.items()
        ]
        return self.push({"mediaType": INDEX, "manifests": entries}, tag)

    def manifest(self, reference: str) -> bytes | None:
        return self.manifests.get(self.tags.get(reference, reference))


class Answer(io.BytesIO):
    """An answer of HTTP."""

    def __init__(self, status: int, content: bytes = b"", **headers: str) -> None:
        super().__init__(content)
        self.status = status
        self.headers = Message()
        for name, value in headers.items():
            self.headers[name.replace("_", "-")] = value


def error(status: int, code: str, **headers: str) -> Answer:
    document = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
    return Answer(status, json.dumps(document).encode(), **headers)


class Registries:
    """Registries by their hosts. Those in `challenges` want a login, those in `closed` make no repository themselves.

    `answers` are given first, in place of what is there: an answer, or an exception.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.challenges: dict[str, str] = {}
        self.logins: dict[str, set[str]] = {}  # host -> what it takes after Basic
        self.calls: list[str] = []
        self.answers: list[Answer | Exception] = []
        self.says_digest = True
        self.blob_store = ""

    def __getitem__(self, name: str) -> Repository:
        return self.repositories.setdefault(name, Repository())

    def took(self) -> list[str]:
        """Return the requests since the last look, without those that ask for a login."""
        made, self.calls = self.calls, []
        return [call for call in made if not call.endswith(("/v2/", "/token"))]

    def open(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        parts = urlsplit(url)
        assert parts.scheme == "https"
        self.calls.append(f"{method} {parts.netloc}{parts.path}")
        answer = self.answers.pop(0) if self.answers else self._answer(method, parts, headers)
        if isinstance(answer, Exception):
            raise answer
        if answer.status >= 300:
            content = b"" if method == "HEAD" else answer.getvalue()
            raise HTTPError(url, answer.status, "no", answer.headers, io.BytesIO(content))
        return answer

    def _answer(self, method: str, parts: Any, headers: dict[str, str]) -> Answer:
        host, authorization = parts.netloc, headers.get("Authorization", "")
        challenge = self.challenges.get(host, "")
        if host == self.blob_store:
            return Answer(400) if authorization else self._stored(parts.path.removeprefix("/"))
        if parts.path == "/token":
            return self._bearer(host, authorization)
        if challenge and authorization not in self._accepted(host, challenge):
            return error(401, "UNAUTHORIZED", Www_Authenticate=challenge)
        if parts.path == "/v2/":
            return Answer(200)
        name, kind, reference = parts.path.removeprefix("/v2/").rsplit("/", 2)
        repository = self.repositories.get(f"{host}/{name}")
        if repository is None:
            return error(404, "NAME_UNKNOWN")
        finder: Callable[..., Answer] = self._manifest if kind == "manifests" else self._blob
        return finder(repository, reference, headers)

    def _bearer(self, host: str, authorization: str) -> Answer:
        logins = self.logins.get(host, set())
        if authorization and authorization.removeprefix("Basic ") not in logins:
            return error(401, "UNAUTHORIZED")
        return Answer(200, b'{"token": "a-bearer"}')

    def _accepted(self, host: str, challenge: str) -> set[str]:
        basic = {f"Basic {login}" for login in self.logins.get(host, set())}
        return {"Bearer a-bearer"} if challenge.startswith("Bearer") else basic

    def _manifest(self, repository: Repository, reference: str, headers: dict[str, str]) -> Answer:
        content = repository.manifest(reference)
        if content is None or json.loads(content)["mediaType"] not in headers["Accept"].split(", "):
            return error(404, "MANIFEST_UNKNOWN")
        said = {"Docker_Content_Digest": digest_of(content)} if self.says_digest else {}
        return Answer(200, content, **said)

    def _blob(self, repository: Repository, digest: str, dummy: dict[str, str]) -> Answer:
        if digest not in repository.blobs:
            return error(404, "BLOB_UNKNOWN")
        if self.blob_store:
            return Answer(307, Location=f"https://{self.blob_store}/{digest}?signature=secret")
        return Answer(200, repository.blobs[digest])

    def _stored(self, digest: str) -> Answer:
        return Answer(200, next(one.blobs[digest] for one in self.repositories.values() if digest in one.blobs))
