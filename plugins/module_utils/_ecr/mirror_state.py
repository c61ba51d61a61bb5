# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: which images differ from their copies.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._aws.client import Aws, tolerating
from .._aws.ecr_token import get_public_token, get_token
from .._core.errors import InputError, Json, RegistryError
from .._oci import manifest as manifests
from .._oci.progress import unheard
from .._oci.reference import PUBLIC_HOSTS, Image
from .._oci.registry_client import Login, Registry
from .._oci.skopeo import Skopeo
from .answer import AnswerError, field
from .mirror_request import Content, Job, reference, uri

MOST_IMAGES = 100  # that ECR tells of at once


class Clients(NamedTuple):
    """AWS, registries by host and login, skopeo, what takes lines for the terminal."""

    aws: Aws
    registry: Callable[[str, Login | None], Registry]
    skopeo: Skopeo
    write: Callable[[str], None] = unheard


class MirrorTask(NamedTuple):
    """A job with the wanted and present digests; `content` is known of what is to be copied."""

    job: Job
    digest: str
    current: str | None
    content: Content | None = None

    @property
    def differs(self) -> bool:
        return self.digest != self.current


class Mirror:
    """What a run's images share: one login and registry for each host."""

    def __init__(self, params: Json, client: Clients) -> None:
        self.params = params
        self.client = client
        self._registries: dict[tuple[str, str], Registry] = {}

    def registry(self, side: str, image: Image) -> Registry:
        key = (side, image.host)
        if key not in self._registries:
            self._registries[key] = self.client.registry(image.host, self.login(side, image))
        return self._registries[key]

    def login(self, side: str, image: Image) -> Login | None:
        """Return a login, with a fresh token; None is anonymous."""
        given = self.params[f"{side}_auth"]
        if given is not None:
            return Login(given["username"], given["password"] or "") if given["username"] else None
        if image.account_id:
            return as_login(get_token(self.client.aws, image.region))
        return as_login(get_public_token(self.client.aws)) if image.host in PUBLIC_HOSTS else None


def as_login(token: Any) -> Login:
    return Login(token.username, token.password)


def compare(mirror: Mirror, wanted: list[Job]) -> list[MirrorTask]:
    """Raise one InputError that names all missing images."""
    digests = source_digests(mirror, [job.source for job in wanted])
    missing = [uri(image) for image, digest in digests.items() if digest is None]
    if missing:
        raise InputError(f"These images do not exist: {', '.join(missing)}. Nothing was copied.")
    found = [with_name(job, digests[job.source] or "") for job in wanted]
    current = held_digests(mirror, "destination", [each.job.destination for each in found])
    return [each._replace(current=current[each.job.destination]) for each in found]


def with_name(job: Job, digest: str) -> MirrorTask:
    """Without a tag an image is written by its digest."""
    if not job.destination.tag:
        job = job._replace(destination=job.destination._replace(digest=digest))
    return MirrorTask(job, digest, None)


def source_digests(mirror: Mirror, images: list[Image]) -> dict[Image, str | None]:
    """Return None where there is no image. A digest is taken at its word."""
    if mirror.params["platforms"] == "one":
        return {image: digest_of_platform(mirror, image) for image in images}
    message: dict[Image, str | None] = {image: image.digest for image in images if image.digest}
    return message | held_digests(mirror, "source", [image for image in images if not image.digest])


def held_digests(mirror: Mirror, side: str, images: list[Image]) -> dict[Image, str | None]:
    """Return None where there is no image.

    ECR's API tells many of one private repository at once; others take a request each.
    """
    found: dict[Image, str | None] = {}
    private: dict[str, list[Image]] = {}
    for image in dict.fromkeys(images):
        if image.account_id and mirror.params[f"{side}_auth"] is None:
            private.setdefault(image.repository_arn, []).append(image)
        else:
            found[image] = mirror.registry(side, image).digest(image.repository, reference(image))
    for each in private.values():
        for start in range(0, len(each), MOST_IMAGES):
            end = start + MOST_IMAGES
            found |= told_by_ecr(mirror.client.aws, each[start:end])
    return found


def told_by_ecr(aws: Aws, images: list[Image]) -> dict[Image, str | None]:
    """Images of a missing repository are missing too."""
    ids = {image: {"imageDigest": image.digest} if image.digest else {"imageTag": image.tag} for image in images}
    found: dict[str, str | None] = {}
    with tolerating("RepositoryNotFoundException"):
        answer = aws.call(
            "ecr",
            "batch_get_image",
            region=images[0].region,
            registryId=images[0].account_id,
            repositoryName=images[0].repository,
            imageIds=list(ids.values()),
            acceptedMediaTypes=manifests.MEDIA_TYPES,
        )
        found = digests_in(answer, images[0].repository_arn)
        unanswered = [uri(image) for image in images if reference(image) not in found]
        if unanswered:
            raise AnswerError("ecr:BatchGetImage", f"an answer that says nothing of {', '.join(unanswered)}")
    return {image: found.get(reference(image)) for image in images}


def digests_in(answer: Json, arn: str) -> dict[str, str | None]:
    call = "ecr:BatchGetImage"
    found: dict[str, str | None] = {}
    failures = field(answer, call, "failures", list) if "failures" in answer or not answer.get("images") else []
    for failure in failures:
        code = field(failure, call, "failureCode")
        if code != "ImageNotFound":
            text = str(failure.get("failureReason") or "")
            raise RegistryError(f"{arn}: {code}: {text}", code=code, text=text)
        found |= dict.fromkeys(field(failure, call, "imageId", dict).values())
    for current in field(answer, call, "images", list):
        digest = field(current, call, "imageId.imageDigest")
        found |= {digest: digest, current["imageId"].get("imageTag") or "": digest}
    return found


def digest_of_platform(mirror: Mirror, image: Image) -> str | None:
    """Return the digest of the platform's manifest, or of an image without an index."""
    current = mirror.registry("source", image).manifest(image.repository, reference(image))
    if current is None:
        return None
    manifest = current.document
    if not manifests.is_index(manifest):
        return current.digest
    platform = mirror.params["platform"]
    chosen = manifests.choose(manifest, platform)
    if chosen is None:
        there = ", ".join(manifests.offers(manifest)) or "none"
        raise InputError(f"{uri(image)} is not for {platform}, but for: {there}. Nothing was copied.")
    return chosen


def by_aws(image: Image) -> bool:
    return bool(image.account_id) or image.host in PUBLIC_HOSTS


def check_destinations(mirror: Mirror, found: list[MirrorTask], check_mode: bool) -> tuple[str, ...]:
    """Raise InputError when a repository of ECR, which makes none by itself, is missing; check mode warns. Asking
    for a digest does not tell it from a missing image.
    """
    absent = {(each.job.destination.host, each.job.destination.repository): each for each in found if not each.current}
    missing = []
    for each in absent.values():
        image = each.job.destination
        try:
            if by_aws(image):
                mirror.registry("destination", image).manifest(image.repository, each.digest)
        except RegistryError as error:
            if error.code != "NAME_UNKNOWN":
                raise
            missing.append(f"{image.host}/{image.repository}")
    if missing and not check_mode:
        raise InputError(
            f"These repositories do not exist: {', '.join(missing)}. Create them first; nothing was copied."
        )
    return tuple(f"The repository {name} does not exist yet." for name in missing)
