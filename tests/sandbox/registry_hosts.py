# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of AWS' registries: ECR, ECR Public, and the one that hands out ECR's layers.

A real registry behind them keeps manifests and blobs. Which repositories, images and tags there are, and who may have
them, is what the simulator of AWS knows; what a client pushes here is noted there.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from moto.ecr.models import Repository, ecr_backends

from .aws import SIGNED, AwsSimulator, Login, find_image, keeping_untagged
from .aws_public import HOST as PUBLIC
from .aws_public import PublicRepository
from .registry_backend import Backend
from .registry_front import PIECE, Reply, Request

PRIVATE = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com")
LAYERS = re.compile(r"prod-([a-z0-9-]+)-starport-layer-bucket\.s3\.\1\.amazonaws\.com")
EXPIRED = "Your authorization token has expired. Reauthenticate and try again."
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACTIONS = {
    ("GET", "manifest"): "BatchGetImage",
    ("HEAD", "manifest"): "BatchGetImage",
    ("PUT", "manifest"): "PutImage",
    ("GET", "blob"): "GetDownloadUrlForLayer",
    ("HEAD", "blob"): "BatchCheckLayerAvailability",
    ("POST", "uploads"): "InitiateLayerUpload",
    ("GET", "upload"): "UploadLayerPart",
    ("PATCH", "upload"): "UploadLayerPart",
    ("PUT", "upload"): "CompleteLayerUpload",
    ("DELETE", "upload"): "UploadLayerPart",
    ("GET", "tags"): "ListImages",
}
PULLS = {"BatchGetImage", "GetDownloadUrlForLayer", "BatchCheckLayerAvailability", "ListImages"}


class RegistryRefusal(Exception):
    """A registry says no."""

    def __init__(self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        document = {"errors": [{"code": code, "message": text}]}
        given = {"Content-Type": "application/json", **(headers or {})}
        self.reply = Reply(status, given, json.dumps(document).encode())


class Route(NamedTuple):
    """What a path of a registry means."""

    kind: str
    name: str = ""
    reference: str = ""


ROUTES = {
    "base": r"/v2/",
    "manifest": r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)",
    "uploads": r"/v2/(?P<name>.+)/blobs/uploads/",
    "upload": r"/v2/(?P<name>.+)/blobs/uploads/(?P<reference>[^/]+)",
    "blob": r"/v2/(?P<name>.+)/blobs/(?P<reference>sha256:[0-9a-f]{64})",
    "tags": r"/v2/(?P<name>.+)/tags/list",
}


def route_of(path: str) -> Route:
    for kind, pattern in ROUTES.items():
        match = re.fullmatch(pattern, path)
        if match:
            return Route(kind, **match.groupdict())
    raise RegistryRefusal(404, "UNSUPPORTED", "404 page not found")


class Owner(Protocol):
    """What AWS knows of one registry. Its methods raise RegistryRefusal."""

    def check(self, request: Request, route: Route, action: str) -> None:
        """Let a request through or not."""

    def folder(self, name: str) -> str:
        """Return where the registry behind keeps a repository."""

    def find(self, name: str, reference: str) -> str | None:
        """Return the digest of the image with a tag or a digest."""

    def tags(self, name: str) -> list[str]:
        """Return the tags of a repository."""

    def admit(self, name: str, tag: str) -> None:
        """Let a tag be written or not."""

    def note_blob(self, name: str, digest: str, size: int) -> None:
        """Know a blob that was pushed."""

    def note_image(self, name: str, digest: str, tag: str, manifest: bytes, media_type: str) -> None:
        """Know an image that was pushed."""

    def blob_url(self, digest: str) -> str | None:
        """Return where else a blob is handed out."""


def serve(owner: Owner, backend: Backend, request: Request) -> Reply:
    """Answer one request to a registry."""
    try:
        route = route_of(request.path)
        action = ACTIONS.get((request.method, route.kind), "")
        owner.check(request, route, action)
        if route.kind == "base":
            return _json({})
        if not action:
            raise RegistryRefusal(405, "UNSUPPORTED", "The operation is unsupported")
        return SERVED[route.kind](owner, backend, request, route)
    except RegistryRefusal as refusal:
        return refusal.reply


def _json(document: Any) -> Reply:
    headers = {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"}
    return Reply(200, headers, json.dumps(document).encode())


def _manifest(owner: Owner, backend: Backend, request: Request, route: Route) -> Reply:
    if request.method == "PUT":
        return _put_manifest(owner, backend, request, route)
    digest = owner.find(route.name, route.reference)
    if digest is None:
        raise RegistryRefusal(404, "MANIFEST_UNKNOWN", "Requested image not found")
    accepted = MANIFESTS if digest == route.reference else request.headers.get_all("Accept", [])
    accept = ", ".join(accepted)
    return backend.forward(owner.folder(route.name), request, route.name, f"manifests/{digest}", {"Accept": accept})


def _put_manifest(owner: Owner, backend: Backend, request: Request, route: Route) -> Reply:
    tag = "" if ":" in route.reference else route.reference
    if tag and not TAG.fullmatch(tag):
        raise RegistryRefusal(400, "TAG_INVALID", "manifest tag did not match URI")
    owner.admit(route.name, tag)
    manifest, media_type = request.body.whole(), request.headers.get("Content-Type", "")
    headers = {"Content-Type": media_type}
    reply = backend.forward(
        owner.folder(route.name), request, route.name, f"manifests/{route.reference}", headers, manifest
    )
    if reply.status == 201:
        owner.note_image(route.name, reply.headers["Docker-Content-Digest"], tag, manifest, media_type)
    return reply


def _blob(owner: Owner, backend: Backend, request: Request, route: Route) -> Reply:
    url = owner.blob_url(route.reference)
    if request.method == "HEAD" or url is None:
        return backend.forward(owner.folder(route.name), request, route.name, f"blobs/{route.reference}")
    if not backend.has_blob(owner.folder(route.name), route.reference):
        raise RegistryRefusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
    return Reply(307, {"Location": url, "Docker-Distribution-Api-Version": "registry/2.0"})


def _uploads(owner: Owner, backend: Backend, request: Request, route: Route) -> Reply:
    """Begin an upload. AWS mounts no blob of another repository, and answers a wish for it like any other."""
    return backend.forward(owner.folder(route.name), request._replace(query={}), route.name, "blobs/uploads/")


def _upload(owner: Owner, backend: Backend, request: Request, route: Route) -> Reply:
    headers = {name: request.headers[name] for name in ("Content-Type", "Content-Range") if request.headers.get(name)}
    folder = owner.folder(route.name)
    reply = backend.forward(folder, request, route.name, f"blobs/uploads/{route.reference}", headers, request.body)
    if request.method == "PUT" and reply.status == 201:
        digest = reply.headers["Docker-Content-Digest"]
        owner.note_blob(route.name, digest, backend.blob_file(digest).stat().st_size)
    if request.method == "PATCH" and reply.status == 202:
        return reply._replace(status=201)  # as AWS' registries answer
    return reply


def _tags(owner: Owner, dummy: Backend, request: Request, route: Route) -> Reply:
    return _json({"name": route.name, "tags": owner.tags(route.name)})


SERVED = {"manifest": _manifest, "blob": _blob, "uploads": _uploads, "upload": _upload, "tags": _tags}


def _basic(shown: str) -> tuple[str, str]:
    try:
        user, dummy, password = base64.b64decode(shown, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


# ECR


def private_folder(account: str, region: str, name: str) -> str:
    return f"{account}/{region}/{name}"


class Private:
    """The registry of an account in one region."""

    def __init__(self, simulator: AwsSimulator, account: str, region: str) -> None:
        self._simulator = simulator
        self._account = account
        self._region = region

    def check(self, request: Request, route: Route, action: str) -> None:
        login = self._login(request)
        if not route.name:
            return
        arn = f"arn:aws:ecr:{self._region}:{self._account}:repository/{route.name}"
        if (request.method, route.kind) == ("HEAD", "blob"):
            action = self._simulator.switches["blob_head_action"]
        denied = self._simulator.denial(login, f"ecr:{action}", arn)
        if denied:
            raise RegistryRefusal(403, "DENIED", denied)
        self._repository(route.name)

    def _login(self, request: Request) -> Login:
        kind, shown = request.authorization
        if kind != "basic":
            realm = f'Basic realm="https://{request.host}/",service="ecr.amazonaws.com"'
            raise RegistryRefusal(401, "UNAUTHORIZED", "Not Authorized", {"WWW-Authenticate": realm})
        user, password = _basic(shown)
        login = self._simulator.logins.get(password)
        if user != "AWS" or login is None:
            raise RegistryRefusal(403, "DENIED", "Your Authorization Token is invalid.")
        if login.region != self._region or self._simulator.refused(login):
            raise RegistryRefusal(403, "DENIED", EXPIRED)
        return login

    def _repository(self, name: str) -> Repository:
        repository = ecr_backends[self._account][self._region].repositories.get(name)
        if repository is None:
            text = f"The repository with name '{name}' does not exist in the registry with id '{self._account}'"
            raise RegistryRefusal(404, "NAME_UNKNOWN", text)
        return repository

    def folder(self, name: str) -> str:
        return private_folder(self._account, self._region, name)

    def find(self, name: str, reference: str) -> str | None:
        with self._simulator.current():
            named = {"tag": None, "digest": reference} if ":" in reference else {"tag": reference, "digest": None}
            image, dummy = find_image(self._repository(name), **named)
            return image.image_digest if image else None

    def tags(self, name: str) -> list[str]:
        with self._simulator.current():
            return sorted(tag for image in self._repository(name).images for tag in image.image_tags)

    def admit(self, name: str, tag: str) -> None:
        with self._simulator.current():
            if tag and self._repository(name).is_tag_immutable() and self.find(name, tag):
                text = (
                    f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten "
                    "because the repository is immutable."
                )
                raise RegistryRefusal(400, "TAG_INVALID", text)

    def note_blob(self, name: str, digest: str, size: int) -> None:
        with self._simulator.current():
            self._repository(name).layers[digest] = size

    def note_image(self, name: str, digest: str, tag: str, manifest: bytes, media_type: str) -> None:
        with self._simulator.current():
            found = self.find(name, digest) and (not tag or self.find(name, tag) == digest)
            if not found:
                with keeping_untagged(self._repository(name)):
                    put = ecr_backends[self._account][self._region].put_image
                    put(name, manifest.decode(), tag or None, media_type, digest)  # type: ignore[arg-type]

    def blob_url(self, digest: str) -> str:
        return layer_url(self._account, self._region, digest)


# ECR Public


class Bearer(NamedTuple):
    """What a bearer token stands for."""

    expires: float
    account: str  # to which it may push, if any


class Public:
    """The public registries of all accounts, which share a host."""

    def __init__(self, simulator: AwsSimulator) -> None:
        self._simulator = simulator
        self._held = simulator.publics
        self.bearers: dict[str, Bearer] = {}

    def reset(self) -> None:
        self.bearers.clear()

    def expire(self) -> None:
        """End all logins and bearer tokens."""
        for registry in self._held.values():
            registry.tokens = dict.fromkeys(registry.tokens, 0.0)
        self.bearers = {token: bearer._replace(expires=0.0) for token, bearer in self.bearers.items()}

    def token(self, request: Request) -> Reply:
        """Give a bearer token: to anybody for pulls, and for pushes to who shows a login."""
        kind, shown = request.authorization
        login = _basic(shown) if kind == "basic" else ("", "")
        known = [account for account, registry in self._held.items() if registry.token_works(*login)]
        if kind and not known:
            return RegistryRefusal(403, "DENIED", EXPIRED).reply
        token = secrets.token_urlsafe(256)
        expires = self._simulator.clock() + self._simulator.switches["token_seconds"]
        self.bearers[token] = Bearer(expires, "".join(known))
        return _json({"token": token})

    def check(self, request: Request, route: Route, action: str) -> None:
        kind, shown = request.authorization
        if kind != "bearer":
            realm = f'Bearer realm="https://{PUBLIC}/token/",service="{PUBLIC}",scope="aws"'
            raise RegistryRefusal(401, "UNAUTHORIZED", "Not Authorized", {"WWW-Authenticate": realm})
        bearer = self.bearers.get(shown)
        if bearer is None or self._simulator.clock() >= bearer.expires:
            raise RegistryRefusal(400, "DENIED", EXPIRED)
        if not route.name:
            return
        repository = self._repository(route.name) if action in PULLS or bearer.account else None
        if repository is None or (action not in PULLS and repository.account != bearer.account):
            raise RegistryRefusal(403, "DENIED", "Not Authorized")

    def _repository(self, name: str) -> PublicRepository:
        found = (registry.repository(name) for registry in self._held.values())
        repository = next((each for each in found if each), None)
        if repository is None:
            alias, dummy, rest = name.partition("/")
            text = f"The repository with name '{rest}' does not exist in the registry with id '{alias}'"
            raise RegistryRefusal(404, "NAME_UNKNOWN", text)
        return repository

    def folder(self, name: str) -> str:
        return f"public/{name}"

    def find(self, name: str, reference: str) -> str | None:
        images = self._repository(name).images
        named = (digest for digest, image in images.items() if reference == digest or reference in image.tags)
        return next(named, None)

    def tags(self, name: str) -> list[str]:
        return sorted(tag for image in self._repository(name).images.values() for tag in image.tags)

    def admit(self, name: str, tag: str) -> None:
        """Let every tag move."""

    def note_blob(self, name: str, digest: str, size: int) -> None:
        """Leave blobs to the registry behind."""

    def note_image(self, name: str, digest: str, tag: str, manifest: bytes, media_type: str) -> None:
        document = json.loads(manifest)
        size = sum(part["size"] for part in [document.get("config"), *document.get("layers", [])] if part)
        repository = self._repository(name)
        self._held[repository.account].put_image(repository.name, digest, tag, size, media_type)

    def blob_url(self, digest: str) -> None:
        return None


# Layers


def layer_url(account: str, region: str, digest: str) -> str:
    """Return the signed address of one of ECR's layers."""
    return f"https://prod-{region}-starport-layer-bucket.s3.{region}.amazonaws.com/{account}/{digest}?{SIGNED}"


def serve_layer(backend: Backend, request: Request) -> Reply:
    """Hand out a layer, or its end, as S3 does."""
    path = backend.blob_file(request.path.rpartition("/")[2])
    if "X-Amz-Signature" not in request.query:
        return _s3(403, "AccessDenied", "Access Denied")
    if request.headers.get("Authorization"):
        return _s3(400, "InvalidArgument", "Only one auth mechanism allowed")
    if request.method != "GET":
        return _s3(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
    if not path.is_file():
        return _s3(404, "NoSuchKey", "The specified key does not exist.")
    size = path.stat().st_size
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range") or "")
    start, end = (int(match[1]), min(int(match[2] or size - 1), size - 1)) if match else (0, size - 1)
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    if match:
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return Reply(206 if match else 200, headers, _pieces(path, start, end + 1), end + 1 - start)


def _pieces(path: Path, start: int, end: int) -> Any:
    with path.open("rb") as file:
        file.seek(start)
        while start < end:
            piece = file.read(min(PIECE, end - start))
            start += len(piece)
            yield piece


def _s3(status: int, code: str, text: str) -> Reply:
    document = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
    return Reply(status, {"Content-Type": "application/xml"}, document.encode())
