# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: images are copied where they are not yet.

from __future__ import annotations

import os

from ansible.module_utils.urls import Request
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from .._aws.client import Aws
from .._core.errors import CollectionError, InputError, Json, SkopeoError
from .._core.result import Result
from .._oci import manifest as manifests
from .._oci.progress import ProgressReporter, listener
from .._oci.registry_client import Registry
from .._oci.secret_scan import suspected_secrets
from .._oci.skopeo import Side, Skopeo, is_transient
from .mirror_request import Content, Job, check_publishable, jobs, uri
from .mirror_state import Clients, Mirror, MirrorTask, check_destinations, compare, held_digests
from .public_catalog import REGION
from .unfinished import UnfinishedError

MOST_RETRIES = 100
PAUSES = (2, 4, 8, 16, 32, 60)  # seconds before another try; the last one is repeated


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
