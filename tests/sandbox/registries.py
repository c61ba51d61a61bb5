# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real registries behind the real names of ECR and ECR Public, on loopback.

A proxy leads to them; clients find it and the certificate it is trusted by through the variables of `environment`.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from threading import Thread
from typing import Any

import trustme
from boto3.session import Session
from moto.ecr.models import Image

from . import images, registry_hosts
from .aws import AwsSimulator
from .aws_calls import ACCOUNTS
from .registry_backend import Backend, started
from .registry_front import Log, Proxy, RegistryFault, Reply, Request, Serve
from .registry_hosts import (
    LAYERS,
    PRIVATE,
    PUBLIC,
    Owner,
    Private,
    Public,
    private_folder,
    serve,
    serve_layer,
)

Json = dict[str, Any]


class Registries:
    """The registries of one sandbox."""

    def __init__(self, simulator: AwsSimulator, backend: Backend) -> None:
        self._simulator = simulator
        self._public = Public(simulator)
        self.backend = backend
        self.log = Log()
        self.environment: dict[str, str] = {}

    def calls(self) -> list[Json]:
        """Return the requests so far: name, method, host, path, authorization, status, received, sent, broken."""
        return self.log.calls()

    def forget_calls(self) -> None:
        self.log.forget()

    def fail(self, name: str, **rule: Any) -> None:
        """Break requests, by the members of `registry_front.RegistryFault`."""
        self.log.fail(RegistryFault(name, **rule))

    @property
    def note(self) -> Callable[[str, int, bytes], None] | None:
        """What gets the name, status and body of each answer."""
        return self.log.note

    @note.setter
    def note(self, note: Callable[[str, int, bytes], None] | None) -> None:
        self.log.note = note

    def mend(self) -> None:
        """Break no more requests."""
        self.log.mend()

    def expire_tokens(self) -> None:
        """End all tokens of both registries that were handed out."""
        self._simulator.expire_logins()
        self._public.expire()

    def reset(self) -> None:
        """Start with empty registries."""
        self.backend.reset()
        self._forget()

    def restore(self) -> None:
        """Start with the private images that the backend has kept."""
        self.backend.restore()
        self._forget()

    def _forget(self) -> None:
        self._public.reset()
        self.mend()
        self.forget_calls()

    def push(self, reference: str, image: images.Image) -> None:
        """Put an image into a repository that there is, unseen by the log: host/name:tag."""
        host, dummy, rest = reference.partition("/")
        name, dummy, tag = rest.rpartition(":")
        owner = self._owner(host)
        if owner is None:
            raise ValueError(f"the sandbox has no registry {host}")
        held = [images.Stream(images.digest(blob), len(blob), partial(iter, [blob])) for blob in image.blobs]
        for blob in [*held, *image.large]:
            self.backend.put_blob(owner.folder(name), blob.digest, blob.pieces())
            owner.note_blob(name, blob.digest, blob.size)
        for manifest, given in [*((one, "") for one in image.platforms), (image.manifest, tag)]:
            digest, media_type = images.digest(manifest), json.loads(manifest)["mediaType"]
            self.backend.put_manifest(owner.folder(name), digest, manifest, media_type)
            owner.note_image(name, digest, given, manifest, media_type)

    # For the proxy

    def find(self, host: str) -> Serve | None:
        """Return what answers for a host."""
        if LAYERS.fullmatch(host):
            return lambda request: serve_layer(self.backend, request)
        owner = self._owner(host)
        return partial(self._serve, owner) if owner else None

    def _owner(self, host: str) -> Owner | None:
        if host == PUBLIC:
            return self._public
        match = PRIVATE.fullmatch(host)
        known = match and match[1] in ACCOUNTS and match[2] in regions()
        return Private(self._simulator, match[1], match[2]) if match and known else None

    def _serve(self, owner: Owner, request: Request) -> Reply:
        if owner is self._public and request.method == "GET" and request.path == "/token/":
            return self._public.token(request)
        return serve(owner, self.backend, request)

    # For the API of ECR, which has pushed something there

    def put_blob(self, account: str, region: str, repository: str, digest: str, blob: bytes) -> None:
        self.backend.put_blob(private_folder(account, region, repository), digest, [blob])

    def put_manifest(self, account: str, region: str, repository: str, image: Image) -> bool:
        folder = private_folder(account, region, repository)
        manifest, media_type = image.image_manifest.encode(), image.image_manifest_media_type or ""
        return self.backend.put_manifest(folder, image.image_digest, manifest, media_type)

    def layer_url(self, account: str, region: str, digest: str) -> str:
        return registry_hosts.layer_url(account, region, digest)


@cache
def regions() -> list[str]:
    """The regions that have ECR."""
    return Session().get_available_regions("ecr")


def hosts() -> Iterable[str]:
    """The names that the certificate is for."""
    yield PUBLIC
    for region in regions():
        yield f"*.dkr.ecr.{region}.amazonaws.com"
        yield f"prod-{region}-starport-layer-bucket.s3.{region}.amazonaws.com"


@contextmanager
def served(address: str, folder: Path, simulator: AwsSimulator) -> Iterator[Registries]:
    """Serve the registries, with files in a folder."""
    authority = trustme.CA(organization_name="gpuops.runpod sandbox")
    bundle = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts()).configure_cert(context)
    with started(folder) as backend:
        registries = Registries(simulator, backend)
        with _served(Proxy(address, context, registries.find, registries.log)) as url:
            registries.environment = {
                **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), url),
                **dict.fromkeys(("SSL_CERT_FILE", "AWS_CA_BUNDLE"), str(bundle)),
            }
            yield registries


@contextmanager
def _served(proxy: Proxy) -> Iterator[str]:
    thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield "http://{}:{}".format(*proxy.server_address)
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
