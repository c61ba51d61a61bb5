# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from ansible.module_utils.urls import Request
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from .._aws.client import Aws, tolerating
from .._aws.ecr_token import get_public_token, get_token
from .._core.errors import CollectionError, InputError, Json, RegistryError, SkopeoError
from .._core.result import Result
from .._oci import manifest as manifests
from .._oci.progress import ProgressReporter, listener, unheard
from .._oci.reference import PUBLIC_HOSTS, Image
from .._oci.registry_client import Login, Registry
from .._oci.secret_scan import suspected_secrets
from .._oci.skopeo import Side, Skopeo, is_transient
from .answer import AnswerError, field
from .mirror_request import Content, Job, check_publishable, jobs, reference, uri
from .public_catalog import REGION
from .unfinished import UnfinishedError

MOST_IMAGES = 100  # that ECR tells of at once
MOST_RETRIES = 100
PAUSES = (2, 4, 8, 16, 32, 60)  # seconds before another try; the last one is repeated


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


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    wanted = jobs(params)
    check_retries(params["retries"])
    manifests.checked(params["platform"])
    mirror = Mirror(params, client)
    found, warnings = read(mirror, wanted, check_mode)
    images = plan(found, params["allow_suspected_secrets"])
    if any(each.differs for each in found):
        client.skopeo.version()
    if not check_mode:
        images = apply(mirror, found)
    return Result(
        any(image["copied"] for image in images),
        {image["destination"]: image["digest_before"] for image in images},
        {image["destination"]: image["digest"] for image in images},
        results(images),
        warnings,
    )


def check_retries(retries: int) -> None:
    if retries < 0:
        raise InputError(f"retries: {retries} is less than 0.")
    if retries > MOST_RETRIES:
        raise InputError(f"retries: {retries} is more than {MOST_RETRIES}.")


def read(mirror: Mirror, wanted: list[Job], check_mode: bool) -> tuple[list[MirrorTask], tuple[str, ...]]:
    """Read both sides, and the content of what is to be copied."""
    found = compare(mirror, wanted)
    warnings = check_destinations(mirror, found, check_mode)
    return [
        each._replace(content=content_of(mirror, each.job, each.digest)) if each.differs else each for each in found
    ], warnings


def plan(found: list[MirrorTask], allow_suspected_secrets: bool) -> list[Json]:
    """Raise InputError when an image must not be published."""
    for each in found:
        if each.content:
            check_publishable(each.job, each.content, allow_suspected_secrets)
    return [report(each) for each in found]


def results(images: list[Json]) -> Json:
    digests = {image["digest"] for image in images}
    return {
        "digest": digests.pop() if len(digests) == 1 else None,
        "copied": any(image["copied"] for image in images),
        "seconds": round(sum(image["seconds"] for image in images), 3),
        "bytes": sum(image["bytes"] for image in images),
        "images": images,
    }


def report(found: MirrorTask, seconds: float = 0.0) -> Json:
    return {
        "source": uri(found.job.source),
        "destination": uri(found.job.destination),
        "digest": found.digest,
        "digest_before": found.current,
        "copied": found.differs,
        "seconds": seconds,
        "bytes": found.content.size if found.content else 0,
    }


# What differs


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


# What is copied


def content_of(mirror: Mirror, job: Job, digest: str) -> Content:
    registry, repository = mirror.registry("source", job.source), job.source.repository
    content = Content({}, {}, 0)
    pending, observed = [digest], set()
    while pending:
        current = pending.pop()
        if current in observed:
            continue
        observed.add(current)
        existing = registry.manifest(repository, current)
        if existing is None:
            raise InputError(f"{uri(job.source)}: the manifest {current} does not exist. Nothing was copied.")
        manifest = existing.document
        content = content._replace(manifests=content.manifests + len(existing.content))
        if manifests.is_index(manifest):
            pending += [entry["digest"] for entry in manifest["manifests"]]
        else:
            content = with_image(registry, job, content, manifest)
    return content


def with_image(registry: Registry, job: Job, content: Content, manifest: Json) -> Content:
    """The configuration is read when it would be published."""
    if not manifests.is_image(manifest):
        raise InputError(
            f"{uri(job.source)} is of a kind that cannot be copied ({manifest.get('mediaType', 'unknown')})."
        )
    config, layers = manifest["config"], {each["digest"]: each["size"] for each in manifest["layers"]}
    found = content.suspects
    if job.public and config["digest"] not in content.blobs:
        document = manifests.read(registry.blob(job.source.repository, config["digest"]))
        found = tuple(dict.fromkeys([*found, *suspected_secrets(document)]))
    return content._replace(
        blobs={**content.blobs, config["digest"]: config["size"], **layers},
        layers={**content.layers, **layers},
        suspects=found,
    )


def apply(mirror: Mirror, found: list[MirrorTask]) -> list[Json]:
    """Raise UnfinishedError at the first that fails."""
    finished: list[Json] = []
    done: list[str] = []
    count = sum(each.differs for each in found)
    for each in found:
        target = uri(each.job.destination)
        what = f"Copying {target} (image {len(done) + 1} of {count})"
        try:
            finished.append(report(each, copy(mirror, each, what) if each.differs else 0.0))
        except CollectionError as error:
            raise UnfinishedError(error, done, {"images": finished}) from error
        if each.differs:
            done.append(f"{target} was copied")
    return finished


def copy(mirror: Mirror, found: MirrorTask, what: str) -> float:
    """Return the seconds that it took. Each try has a fresh login."""
    aws, retries = mirror.client.aws, 0
    progress = ProgressReporter(what, mirror.client.write)
    start, written = aws.clock(), None
    while written is None:
        try:
            written = attempt_copy(mirror, found, progress)
        except SkopeoError as error:
            if retries < mirror.params["retries"] and is_transient(error.text, found.job.public):
                aws.sleep(PAUSES[min(retries, len(PAUSES) - 1)])
                retries += 1
            elif arrived(mirror, found):  # by another run, or the answer was lost
                written = found.digest
            else:
                raise SkopeoError(f"{error}{advice(found)}", error.text) from error
    if written != found.digest:
        raise CollectionError(
            f"{uri(found.job.destination)} got the digest {written} instead of {found.digest}: the registry "
            "changed the image."
        )
    return (aws.clock() - start).total_seconds()


def arrived(mirror: Mirror, found: MirrorTask) -> bool:
    """What cannot be asked has not arrived."""
    target = found.job.destination
    try:
        return held_digests(mirror, "destination", [target])[target] == found.digest
    except CollectionError:
        return False


def advice(found: MirrorTask) -> str:
    """Of a tag that may not move skopeo blames the format of the manifest."""
    if not (found.current and found.job.destination.account_id):
        return ""
    return (
        f" The tag names {found.current} there. When the tags of the repository are immutable it cannot name another "
        "image: choose another tag."
    )


def attempt_copy(mirror: Mirror, found: MirrorTask, progress: ProgressReporter) -> str:
    """Copy from the compared digest, and return the written one."""
    source, target = found.job.source._replace(tag="", digest=found.digest), found.job.destination
    return mirror.client.skopeo.copy(
        Side(uri(source), mirror.login("source", source)),
        Side(uri(target), mirror.login("destination", target)),
        found.content.blobs if found.content else {},
        progress,
    )


# The module


def connect(module: AnsibleAWSModule) -> Clients:
    """The images name their regions, so none is needed."""
    bundle, verify = module.params["aws_ca_bundle"], module.params["validate_certs"]
    opener = Request(
        timeout=60, validate_certs=verify, ca_path=bundle, use_netrc=False, follow_redirects="none", decompress=False,
        http_agent="gpuops.runpod",
    )  # fmt: skip
    environment = {**({"SSL_CERT_FILE": bundle} if bundle else {}), **os.environ}
    return Clients(
        Aws(module.client, module.region or REGION, module.params["aws_config"]),
        lambda host, login: Registry(opener, host, login),
        Skopeo(environment, module.tmpdir, verify),
        listener(module.tmpdir),
    )
