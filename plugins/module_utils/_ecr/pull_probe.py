# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: pulls by ECR's API, or as a container runtime asks the registry.

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError

from .._aws.client import Aws
from .._aws.ecr_token import get_token
from .._core.errors import BlobStoreError, Json, RegistryError
from .._oci import manifest as manifests
from .._oci.reference import Image
from .._oci.registry_client import UNEXPECTED, Answer, Login, Registry, digest_of, error_of, words
from .answer import field
from .diagnosis import diagnose
from .pull_identity import NOT_THERE, PullDeniedError, PullIdentity, facts, retry_while_young, understood
from .pull_refusal import diagnose_refusal, elsewhere

BATCH_GET_IMAGE = "ecr:BatchGetImage"
LARGEST_CONFIG = 1024 * 1024  # bytes


def parsed_manifest(digest: str, content: bytes) -> Json:
    """Whether another manifest than an image's was changed on its way decides who is to blame."""
    try:
        manifest = manifests.parse(content)
    except manifests.DamagedManifestError as failure:
        if digest_of(content) == digest:
            raise
        raise manifests.NotAManifestError(str(failure)) from None
    if not (manifests.is_index(manifest) or manifests.is_image(manifest) or digest_of(content) == digest):
        raise manifests.NotAManifestError("a manifest that was changed on its way")
    return manifest


class ByApi:
    """Asks ECR's API in the image's region and account, and the host of its layers."""

    def __init__(self, aws: Aws, opener: Any, puller: PullIdentity, platform: str) -> None:
        self._aws = aws
        self._opener = opener
        self.puller = puller
        self.platform = platform

    def manifest(self, image: Image) -> tuple[str, Json]:
        given = {"imageDigest": image.digest, "imageTag": image.tag}
        image_id = {key: value for key, value in given.items() if value}
        answer = self._ask(image, "batch_get_image", imageIds=[image_id], acceptedMediaTypes=manifests.MEDIA_TYPES)
        with understood(self, image):
            if not answer.get("images"):
                code = field(answer, BATCH_GET_IMAGE, "failures.0.failureCode")
                text = str(answer["failures"][0].get("failureReason") or "")
                raise PullDeniedError(diagnose(code, text, facts(self, image, "batch_get_image")))
            digest = field(answer, BATCH_GET_IMAGE, "images.0.imageId.imageDigest")
            content = field(answer, BATCH_GET_IMAGE, "images.0.imageManifest").encode(errors="replace")
            return digest, parsed_manifest(digest, content)

    def configuration(self, image: Image, digest: str) -> Json:
        answer = self._ask(image, "get_download_url_for_layer", layerDigest=digest)
        with understood(self, image):
            address = field(answer, "ecr:GetDownloadUrlForLayer", "downloadUrl")
        host = urlsplit(address).hostname
        try:
            with self._opener.open("GET", address) as answer:
                document = json.loads(answer.read(LARGEST_CONFIG))
        except HTTPError as failure:
            with failure:
                answered = Answer(failure.code, failure.headers, failure.read(LARGEST_CONFIG))
            why = words(answered.status, *error_of(answered))
        except (OSError, http.client.HTTPException, AnsibleConnectionError, ValueError) as failure:
            why = type(failure).__name__  # its text may hold the address, which is a secret
        else:
            if isinstance(document, dict):
                return document
            why = "not a configuration"
        raise PullDeniedError(diagnose("BlobUnread", f"{host}: {why}", facts(self, image)))

    def _ask(self, image: Image, operation: str, **request: Any) -> Json:
        def attempt() -> Json:
            return self._aws.call(
                "ecr",
                operation,
                region=image.region,
                identity=self.puller.key,
                registryId=image.account_id,
                repositoryName=image.repository,
                **request,
            )

        return retry_while_young(
            self._aws, self.puller, attempt, partial(diagnose_refusal, self._aws, self, image, operation)
        )


class ByRegistry:
    """`registry` returns the reader of a host with a login."""

    def __init__(
        self, aws: Aws, registry: Callable[[str, Login | None], Registry], puller: PullIdentity, platform: str
    ) -> None:
        self._aws = aws
        self._registry = registry
        self._registries: dict[str, Registry] = {}
        self.puller = puller
        self.platform = platform

    def manifest(self, image: Image) -> tuple[str, Json]:
        registry = self._reader(image)
        if image.tag and image.digest:
            current = self._ask(image, "batch_get_image", lambda: registry.manifest(image.repository, image.tag))
            if current is None or current.digest != image.digest:
                code, text = "ImageTagDoesNotMatchDigest", current.digest if current else "no such tag"
                raise PullDeniedError(diagnose(code, text, facts(self, image)))
        wanted = image.digest or image.tag
        current = self._ask(image, "batch_get_image", lambda: registry.fetched(image.repository, wanted))
        return current.digest, current.document

    def configuration(self, image: Image, digest: str) -> Json:
        registry = self._reader(image)
        content = self._ask(image, "get_download_url_for_layer", lambda: registry.blob(image.repository, digest))
        return manifests.read(content)

    def _reader(self, image: Image) -> Registry:
        if image.host not in self._registries:
            self._registries[image.host] = self._registry(image.host, self._login(image))
        return self._registries[image.host]

    def _login(self, image: Image) -> Login | None:
        """Return a fresh token of AWS, or what was given."""
        if not self.puller.calls:
            return self.puller.login
        token = retry_while_young(
            self._aws,
            self.puller,
            lambda: get_token(self._aws, image.region, self.puller.key),
            partial(diagnose_refusal, self._aws, self, image, "get_authorization_token"),
        )
        return Login(token.username, token.password)

    def _ask(self, image: Image, operation: str, attempt: Callable[[], Any]) -> Any:
        return retry_while_young(self._aws, self.puller, attempt, partial(self._finding, image, operation))

    def _finding(self, image: Image, operation: str, error: RegistryError) -> Json:
        filled = {**facts(self, image, operation), "what": error.text}
        if isinstance(error, BlobStoreError):  # what pulls as this does goes without layers too
            return {**diagnose("BlobUnread", str(error), filled), "severity": "error"}
        if error.status is None or error.code == UNEXPECTED:
            return diagnose(error.code, error.text, filled)
        raw = words(error.status, error.code, error.text)
        code = error.code or f"HTTP {error.status}"
        if error.status == 401:
            code = "LoginRefused" if self.puller.calls or self.puller.login else "LoginMissing"
        if code in NOT_THERE and self.puller.calls:
            return elsewhere(self._aws, self.puller, image, filled, diagnose(code, error.text, filled, raw))
        return diagnose(code, error.text, filled, raw)
