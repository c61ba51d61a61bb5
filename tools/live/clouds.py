# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both clouds as the live check sees them: plain calls whose refusals are answers too."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import boto3
from botocore.exceptions import BotoCoreError, ClientError

Json = dict[str, Any]

AGENT = "gpuops.runpod-live"  # these requests are meant to find out, so they may be as odd as a question is
SECONDS = 30
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIGURATION = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
UNKNOWN = (BotoCoreError, ClientError, URLError, OSError)  # what a question cannot be answered for


class Answer(NamedTuple):
    """What RunPod or a registry answers, whatever the status."""

    status: int
    body: Json

    @property
    def detail(self) -> str:
        return str(self.body.get("detail") or self.body.get("title") or "")[:200]


class Clouds:
    """The accounts of an environment. `secrets` is what no report may show."""

    def __init__(self, environment: Mapping[str, str], region: str) -> None:
        base = environment.get("RUNPOD_API_BASE_URL", "https://api.runpod.io")
        self.region = region
        self.api = re.sub(r"(/v2)?/*$", "", base) + "/v2"
        self.key = environment["RUNPOD_API_KEY"]
        self.limited_key = environment.get("RUNPOD_LIMITED_API_KEY", "")
        self.secrets = {self.key, self.limited_key} - {""}
        self._session: Any = boto3.session.Session()
        self._clients: dict[tuple[str, ...], Any] = {}

    def aws(self, service: str, region: str = "", access_key: str = "", secret_key: str = "", session: str = "") -> Any:
        identity = (service, region or self.region, access_key, secret_key, session)
        if identity not in self._clients:
            own: Json = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key} if access_key else {}
            own |= {"aws_session_token": session} if session else {}
            self._clients[identity] = self._session.client(service, region_name=region or self.region, **own)
        return self._clients[identity]

    def runpod(self, method: str, path: str, body: Json | None = None, key: str = "") -> Answer:
        headers = {
            "Authorization": f"Bearer {key or self.key}",
            "User-Agent": AGENT,
            "Content-Type": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        return exchanged(Request(f"{self.api}/{path}", data, headers, method=method))

    def listed(self, path: str, kind: str) -> list[Json]:
        """Return all pages of a listing. Raises OSError when one is refused."""
        found: list[Json] = []
        cursor = ""
        while True:
            answer = self.runpod("GET", f"{path}?limit=1000" + (f"&cursor={cursor}" if cursor else ""))
            if answer.status != 200:
                raise OSError(f"GET {path}: {answer.status} {answer.detail}")
            found += answer.body[kind]
            pages = answer.body.get("pagination") or {}
            if not pages.get("hasNextPage") or pages.get("nextCursor") in (None, "", cursor):
                return found
            cursor = pages["nextCursor"]

    def registry(self, method: str, host: str, path: str, password: str) -> Answer:
        """Ask a registry with a token of ECR."""
        login = base64.b64encode(f"AWS:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Accept": MANIFEST}
        return exchanged(Request(f"https://{host}/v2/{path}", headers=headers, method=method))

    def token(self, access_key: str, secret_key: str, session: str = "") -> str:
        """Mint a token of ECR as the owner of a key."""
        return self.token_with_end(access_key, secret_key, session)[0]

    def token_with_end(self, access_key: str, secret_key: str, session: str = "") -> tuple[str, datetime]:
        [held] = self.aws("ecr", "", access_key, secret_key, session).get_authorization_token()["authorizationData"]
        password = base64.b64decode(held["authorizationToken"]).decode().partition(":")[2]
        self.secrets.add(password)
        return password, held["expiresAt"]


def exchanged(request: Request) -> Answer:
    try:
        with urlopen(request, timeout=SECONDS) as answer:
            return Answer(answer.status, parsed(answer.read()))
    except HTTPError as refusal:
        return Answer(refusal.code, parsed(refusal.read()))


def parsed(body: bytes) -> Json:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {"items": document}


def code_of(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "ClientError"))
    return type(error).__name__


# A tiny image


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def push_image(registry: Any, repository: str, tag: str) -> str:
    """Push an image for linux/amd64 with one file of a few bytes; return the digest of its layer."""
    layer = archive(f"{repository}:{tag}\n".encode())
    configuration = packed(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["cat", "/hello.txt"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
    )
    manifest = packed(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(CONFIGURATION, configuration),
            "layers": [described(LAYER, layer)],
        }
    )
    for blob in (configuration, layer):
        upload = registry.initiate_layer_upload(repositoryName=repository)["uploadId"]
        part = {"partFirstByte": 0, "partLastByte": len(blob) - 1, "layerPartBlob": blob}
        registry.upload_layer_part(repositoryName=repository, uploadId=upload, **part)
        registry.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest(blob)])
    registry.put_image(repositoryName=repository, imageManifest=manifest.decode(), imageTag=tag)
    return digest(layer)


def archive(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as made:
        member = tarfile.TarInfo("hello.txt")
        member.size = len(content)
        made.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def described(media_type: str, content: bytes) -> Json:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def packed(document: Json) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
