#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_image_mirror
short_description: Keep the same image in another registry
version_added: 0.1.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Ensures that the destination has the image with the same digest as the source, with all its platforms.
  - The digests are compared first, with one request for each side and tag, or for up to 100 tags of a private
    repository of ECR. Where they are equal nothing is written, so that tags which ECR keeps immutable are never pushed
    again. Only what differs is copied, with C(skopeo).
  - It copies from the digest that was compared, so a tag that moves meanwhile does no harm, and compares the digest
    that was written.
  - All images are looked at before the first one is copied. When one is missing, or must not be published, nothing is
    copied at all.
options:
  source:
    description:
      - The image, with a tag or a digest. With both, the digest counts.
      - With O(image_tags), the repository, without either.
    type: str
  destination:
    description:
      - Where it is to be. The repository must exist, where the registry does not make it by itself.
      - Without a tag, the tag of the source; when that has only a digest, the image gets no tag.
    type: str
  image_tags:
    description: The tags of O(source) to mirror to the same tags of O(destination).
    type: list
    elements: str
  images:
    description: Several images, with other repositories and digests too, instead of O(source) and O(destination).
    type: list
    elements: dict
    suboptions:
      source:
        description: As O(source).
        type: str
        required: true
      destination:
        description: As O(destination).
        type: str
        required: true
      image_tags:
        description: As O(image_tags).
        type: list
        elements: str
  platforms:
    description:
      - V(all) copies the image as it is, with its index.
      - V(one) copies the manifest of O(platform) out of an index. The digest is that of this manifest then, and an
        image without an index is copied as it is.
    type: str
    choices: [all, one]
    default: all
  platform:
    description: The one of O(platforms=one), as C(OS/ARCHITECTURE) or C(OS/ARCHITECTURE/VARIANT).
    type: str
    default: linux/amd64
  source_auth:
    description:
      - The login for the sources. When not set, it follows from the host.
      - For private repositories of ECR and for ECR Public it is a token, minted as whoever runs this. For other
        registries there is none.
      - An empty dictionary is no login.
    type: dict
    suboptions:
      username:
        description: The user name.
        type: str
      password:
        description: The password or token.
        type: str
  destination_auth:
    description: As O(source_auth), for the destinations.
    type: dict
    suboptions:
      username:
        description: The user name.
        type: str
      password:
        description: The password or token.
        type: str
  retries:
    description:
      - How often an image is tried again when a registry is busy or fails, or does not accept the login any more.
      - Each time it gets a fresh token, after a pause that doubles from 2 to 60 seconds.
    type: int
    default: 3
  allow_suspected_secrets:
    description:
      - Whether to publish an image whose configuration holds what looks like a secret.
      - Only images for ECR Public are looked at. The environment, the labels and the history of all platforms are
        searched for names such as C(API_KEY), and for values that look like keys and tokens. The content of layers is
        not.
    type: bool
    default: false
extends_documentation_fragment:
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.aws_group
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
requirements:
  - skopeo >= 1.6
seealso:
  - module: gpuops.runpod.ecr_public_repo
  - module: gpuops.runpod.ecr_pull_check
notes:
  - Nothing is ever deleted. Tags that only the destination has stay, and so do the images that a tag named before.
  - What is in ECR Public can be pulled by everybody, and deleting it does not recall what was pulled.
  - ECR Public takes layers of at most 10,000 MiB, private repositories 52,000. An image with larger ones is refused
    before the first byte is copied.
  - The logins are handed to C(skopeo) in files that only their owner can read, and that are removed when it ends.
    Logins of C(docker login) or C(skopeo login) are not used.
  - C(skopeo) sees the environment of the module, so that E(HTTPS_PROXY), E(NO_PROXY) and E(SSL_CERT_FILE) count. When
    O(aws_ca_bundle) is set and E(SSL_CERT_FILE) is not, it takes that.
  - While it copies, a line every five seconds shows on the terminal how far it is, when the module runs on the
    controller (C(connection=local)), in the foreground and without C(no_log).
  - Registries must speak HTTPS. O(validate_certs=false) takes any certificate.
  - Where neither the system nor the user has a C(policy.json), C(skopeo) gets one that asks for no signatures.
    Signatures and referrers are not copied.
  - "IAM actions for sources in private repositories of ECR: C(ecr:GetAuthorizationToken) on all resources,
    C(ecr:BatchGetImage) and C(ecr:GetDownloadUrlForLayer) on the repositories."
  - "IAM actions for destinations in private repositories of ECR besides: C(ecr:BatchCheckLayerAvailability),
    C(ecr:InitiateLayerUpload), C(ecr:UploadLayerPart), C(ecr:CompleteLayerUpload) and C(ecr:PutImage)."
  - "IAM actions for ECR Public: C(ecr-public:GetAuthorizationToken) and C(sts:GetServiceBearerToken) on all resources,
    and for destinations C(ecr-public:BatchCheckLayerAvailability), C(ecr-public:InitiateLayerUpload),
    C(ecr-public:UploadLayerPart), C(ecr-public:CompleteLayerUpload) and C(ecr-public:PutImage) on the repositories."
"""

EXAMPLES = r"""
- name: Ensure there is a public repository
  gpuops.runpod.ecr_public_repo:
    name: runpod-gpu-training
    acknowledge_public: true
  register: public

- name: Show what publishing an image would do
  gpuops.runpod.ecr_image_mirror:
    source: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    destination: "{{ public.repository.uri }}"
  check_mode: true

- name: Publish it
  gpuops.runpod.ecr_image_mirror:
    source: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    destination: "{{ public.repository.uri }}"

- name: Publish two releases
  gpuops.runpod.ecr_image_mirror:
    source: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training
    destination: "{{ public.repository.uri }}"
    image_tags:
      - v1
      - v2
  register: mirror

- name: Show what can be pulled
  ansible.builtin.debug:
    msg: "{{ item.destination }} is {{ item.digest }}"
  loop: "{{ mirror.images }}"
  loop_control:
    label: "{{ item.destination }}"
"""

RETURN = r"""
digest:
  description: Digest of the image; V(null) when there are several with different ones.
  returned: success
  type: str
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
copied:
  description: Whether anything was copied, or would be.
  returned: success
  type: bool
  sample: true
seconds:
  description: How long the copying took; 0 in check mode.
  returned: success
  type: float
  sample: 12.3
bytes:
  description: Size of what was copied, or would be. What the destination had of it was not transferred again.
  returned: success
  type: int
  sample: 4312345678
images:
  description:
    - Each image, in the order of the options.
    - A failure after the first copy holds those that were done before it.
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: Where it comes from.
      returned: always
      type: str
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    destination:
      description: Where it is afterwards.
      returned: always
      type: str
      sample: public.ecr.aws/a1b2c3d4/runpod-gpu-training:v1
    digest:
      description: Its digest, on both sides.
      returned: always
      type: str
      sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    digest_before:
      description: Digest that the destination had; V(null) when there was none.
      returned: always
      type: str
      sample: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    copied:
      description: Whether it was copied, or would be.
      returned: always
      type: bool
      sample: true
    seconds:
      description: How long that took.
      returned: always
      type: float
      sample: 12.3
    bytes:
      description: Size of the image when it was copied, or would be, else 0.
      returned: always
      type: int
      sample: 4312345678
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from ansible.module_utils.urls import Request
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ..module_utils._aws.client import Aws, tolerating
from ..module_utils._aws.ecr_token import get_public_token, get_token
from ..module_utils._core.errors import CollectionError, InputError, Json, RegistryError, SkopeoError
from ..module_utils._core.module import execute
from ..module_utils._core.result import Result
from ..module_utils._ecr.mirror_request import Content, Job, check_publishable, jobs, reference, uri
from ..module_utils._ecr.public_catalog import REGION
from ..module_utils._oci import manifest as manifests
from ..module_utils._oci.progress import ProgressReporter, listener, unheard
from ..module_utils._oci.reference import PUBLIC_HOSTS, Image
from ..module_utils._oci.registry_client import Login, Registry
from ..module_utils._oci.secret_scan import suspected_secrets
from ..module_utils._oci.skopeo import Side, Skopeo, is_transient

MOST_IMAGES = 100  # that ECR tells of at once
PAUSES = (2, 4, 8, 16, 32, 60)  # seconds before another try; the last one is repeated


class Clients(NamedTuple):
    """AWS, the registries by host and login, skopeo, and what takes lines for the terminal."""

    aws: Aws
    registry: Callable[[str, Login | None], Registry]
    skopeo: Skopeo
    write: Callable[[str], None] = unheard


class MirrorTask(NamedTuple):
    """A job with the digest that is to be there, and the one that is; `content` is known of what is to be copied."""

    job: Job
    digest: str
    current: str | None
    content: Content | None = None

    @property
    def differs(self) -> bool:
        return self.digest != self.current


class UnfinishedError(CollectionError):
    """Copying one image failed. What was done before it is in the result."""

    def __init__(self, failure: CollectionError, done: list[Json]) -> None:
        super().__init__(str(failure))
        self.failure, self.done = failure, done

    def as_result(self) -> Json:
        changed = any(image["copied"] for image in self.done)
        return {**self.failure.as_result(), "changed": changed, "images": self.done}


class Mirror:
    """What all images of a run share: the options and the clients, with a login and a registry for each host."""

    def __init__(self, params: Json, client: Clients) -> None:
        self.params = params
        self.client = client
        self._registries: dict[tuple[str, str], Registry] = {}

    def registry(self, side: str, image: Image) -> Registry:
        """Return the registry of an image, to read from."""
        key = (side, image.host)
        if key not in self._registries:
            self._registries[key] = self.client.registry(image.host, self.login(side, image))
        return self._registries[key]

    def login(self, side: str, image: Image) -> Login | None:
        """Return a login for the registry of an image; a token is fresh each time. None is anonymous."""
        given = self.params[f"{side}_auth"]
        if given is not None:
            return Login(given["username"], given["password"] or "") if given["username"] else None
        if image.account_id:
            return as_login(get_token(self.client.aws, image.region))
        return as_login(get_public_token(self.client.aws)) if image.host in PUBLIC_HOSTS else None


def as_login(token: Any) -> Login:
    """Return a token as a login."""
    return Login(token.username, token.password)


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    """Look at all images, decide, and only then copy."""
    wanted = jobs(params)
    if params["retries"] < 0:
        raise InputError(f"retries: {params['retries']} is less than 0.")
    manifests.checked(params["platform"])
    mirror = Mirror(params, client)
    found = compare(mirror, wanted)
    warnings = check_destinations(mirror, found, check_mode)
    found = [inspected(mirror, each) if each.differs else each for each in found]
    if any(each.differs for each in found):
        client.skopeo.version()
    images = [report(each) for each in found] if check_mode else copy_all(mirror, found)
    return Result(
        any(image["copied"] for image in images),
        {image["destination"]: image["digest_before"] for image in images},
        {image["destination"]: image["digest"] for image in images},
        results(images),
        warnings,
    )


def results(images: list[Json]) -> Json:
    """Return what the module reports besides the diff."""
    digests = {image["digest"] for image in images}
    return {
        "digest": digests.pop() if len(digests) == 1 else None,
        "copied": any(image["copied"] for image in images),
        "seconds": round(sum(image["seconds"] for image in images), 3),
        "bytes": sum(image["bytes"] for image in images),
        "images": images,
    }


def report(found: MirrorTask, seconds: float = 0.0) -> Json:
    """Return what is told of one image."""
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
    """Return the digests on both sides. Raises one InputError that names all images that are missing."""
    digests = source_digests(mirror, [job.source for job in wanted])
    missing = [uri(image) for image, digest in digests.items() if digest is None]
    if missing:
        raise InputError(f"These images do not exist: {', '.join(missing)}. Nothing was copied.")
    found = [with_name(job, digests[job.source] or "") for job in wanted]
    current = held_digests(mirror, "destination", [each.job.destination for each in found])
    return [each._replace(current=current[each.job.destination]) for each in found]


def with_name(job: Job, digest: str) -> MirrorTask:
    """Return a job with the digest that is to be there; without a tag it is written by that."""
    if not job.destination.tag:
        job = job._replace(destination=job.destination._replace(digest=digest))
    return MirrorTask(job, digest, None)


def source_digests(mirror: Mirror, images: list[Image]) -> dict[Image, str | None]:
    """Return the digests that are to be mirrored, None where there is no such image. A digest is taken at its word."""
    if mirror.params["platforms"] == "one":
        return {image: digest_of_platform(mirror, image) for image in images}
    message: dict[Image, str | None] = {image: image.digest for image in images if image.digest}
    return message | held_digests(mirror, "source", [image for image in images if not image.digest])


def held_digests(mirror: Mirror, side: str, images: list[Image]) -> dict[Image, str | None]:
    """Return the digests that a side has, None where there is no such image.

    The API of ECR tells many of one private repository at once; else each is a request of its own.
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
            found |= told_by_ecr(mirror.client.aws, each[start : start + MOST_IMAGES])
    return found


def told_by_ecr(aws: Aws, images: list[Image]) -> dict[Image, str | None]:
    """Return the digests of images of one private repository. Those of one that is missing are missing too."""
    ids = {image: {"imageDigest": image.digest} if image.digest else {"imageTag": image.tag} for image in images}
    found: dict[str, str] = {}
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
        for failure in answer.get("failures", []):
            if failure["failureCode"] != "ImageNotFound":
                code, text = failure["failureCode"], failure.get("failureReason", "")
                raise RegistryError(f"{images[0].repository_arn}: {code}: {text}", code=code, text=text)
        for current in answer["images"]:
            image_id = current["imageId"]
            found |= dict.fromkeys((image_id["imageDigest"], image_id.get("imageTag", "")), image_id["imageDigest"])
    return {image: found.get(reference(image)) for image in images}


def digest_of_platform(mirror: Mirror, image: Image) -> str | None:
    """Return the digest of the platform's manifest, or of an image without an index."""
    current = mirror.registry("source", image).manifest(image.repository, reference(image))
    if current is None:
        return None
    manifest = manifests.read(current.content.decode(errors="replace"))
    if not manifests.is_index(manifest):
        return current.digest
    platform = mirror.params["platform"]
    chosen = manifests.choose(manifest, platform)
    if chosen is None:
        there = ", ".join(manifests.offers(manifest)) or "none"
        raise InputError(f"{uri(image)} is not for {platform}, but for: {there}. Nothing was copied.")
    return chosen


def by_aws(image: Image) -> bool:
    """Return whether an image is in ECR or ECR Public."""
    return bool(image.account_id) or image.host in PUBLIC_HOSTS


def check_destinations(mirror: Mirror, found: list[MirrorTask], check_mode: bool) -> tuple[str, ...]:
    """Raise InputError when a repository of ECR is missing, for ECR makes none by itself; check mode only warns.

    A request for a digest does not tell it from a missing image, so this asks again where something is to be copied.
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


def inspected(mirror: Mirror, found: MirrorTask) -> MirrorTask:
    """Return what is to be copied with its content. Raises InputError when it must not be published."""
    content = content_of(mirror, found.job, found.digest)
    check_publishable(found.job, content, mirror.params["allow_suspected_secrets"])
    return found._replace(content=content)


def content_of(mirror: Mirror, job: Job, digest: str) -> Content:
    """Return what an image consists of, all its platforms."""
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
        manifest = manifests.read(existing.content.decode(errors="replace"))
        content = content._replace(manifests=content.manifests + len(existing.content))
        if manifests.is_index(manifest):
            pending += [entry["digest"] for entry in manifest["manifests"]]
        else:
            content = with_image(registry, job, content, manifest)
    return content


def with_image(registry: Registry, job: Job, content: Content, manifest: Json) -> Content:
    """Return the content with that of one platform added. The configuration is read when it would be published."""
    if not manifests.is_image(manifest):
        raise InputError(
            f"{uri(job.source)} is of a kind that cannot be copied ({manifest.get('mediaType', 'unknown')})."
        )
    config, layers = manifest["config"], {each["digest"]: each["size"] for each in manifest.get("layers", [])}
    found = content.suspects
    if job.public and config["digest"] not in content.blobs:
        document = manifests.read(registry.blob(job.source.repository, config["digest"]).decode(errors="replace"))
        found = tuple(dict.fromkeys([*found, *suspected_secrets(document)]))
    return content._replace(
        blobs={**content.blobs, config["digest"]: config["size"], **layers},
        layers={**content.layers, **layers},
        suspects=found,
    )


def copy_all(mirror: Mirror, found: list[MirrorTask]) -> list[Json]:
    """Copy what differs, one after the other. Raises UnfinishedError at the first that fails."""
    done: list[Json] = []
    count = sum(each.differs for each in found)
    for each in found:
        what = f"Copying {uri(each.job.destination)} (image {sum(image['copied'] for image in done) + 1} of {count})"
        try:
            done.append(report(each, copy(mirror, each, what) if each.differs else 0.0))
        except CollectionError as error:
            raise UnfinishedError(error, done) from error
    return done


def copy(mirror: Mirror, found: MirrorTask, what: str) -> float:
    """Copy one image, with a fresh login for each try, and return the seconds that took. `what` says so in progress."""
    aws, retries = mirror.client.aws, 0
    progress = ProgressReporter(what, mirror.client.write)
    start, written = aws.clock(), None
    while written is None:
        try:
            written = attempt_copy(mirror, found, progress)
        except SkopeoError as error:
            if retries == mirror.params["retries"] or not is_transient(error.text, found.job.public):
                raise SkopeoError(f"{error}{advice(found)}", error.text) from error
            aws.sleep(PAUSES[min(retries, len(PAUSES) - 1)])
            retries += 1
    if written != found.digest:
        raise CollectionError(
            f"{uri(found.job.destination)} got the digest {written} instead of {found.digest}: the registry "
            "changed the image."
        )
    return (aws.clock() - start).total_seconds()


def advice(found: MirrorTask) -> str:
    """Return what skopeo does not say of a tag that may not move: it blames the format of the manifest."""
    if not (found.current and found.job.destination.account_id):
        return ""
    return (
        f" The tag names {found.current} there. When the tags of the repository are immutable it cannot name another "
        "image: choose another tag."
    )


def attempt_copy(mirror: Mirror, found: MirrorTask, progress: ProgressReporter) -> str:
    """Copy once, from the digest that was compared, and return the digest that was written."""
    source, target = found.job.source._replace(tag="", digest=found.digest), found.job.destination
    return mirror.client.skopeo.copy(
        Side(uri(source), mirror.login("source", source)),
        Side(uri(target), mirror.login("destination", target)),
        found.content.blobs if found.content else {},
        progress,
    )


# The module


def connect(module: AnsibleAWSModule) -> Clients:
    """Return the clients that the module's options describe. The images name their regions, so none is needed."""
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


def main() -> None:
    image = {
        "source": {"type": "str", "required": True},
        "destination": {"type": "str", "required": True},
        "image_tags": {"type": "list", "elements": "str"},
    }
    auth = {
        "type": "dict",
        "options": {"username": {"type": "str"}, "password": {"type": "str", "no_log": True}},
        "required_together": [("username", "password")],
    }
    spec = {
        "source": {"type": "str"},
        "destination": {"type": "str"},
        "image_tags": {"type": "list", "elements": "str"},
        "images": {"type": "list", "elements": "dict", "options": image},
        "platforms": {"type": "str", "choices": ["all", "one"], "default": "all"},
        "platform": {"type": "str", "default": "linux/amd64"},
        "source_auth": auth,
        "destination_auth": auth,
        "retries": {"type": "int", "default": 3},
        "allow_suspected_secrets": {"type": "bool", "default": False, "no_log": False},
    }
    module = AnsibleAWSModule(
        argument_spec=spec,
        mutually_exclusive=[("images", name) for name in ("source", "destination", "image_tags")],
        required_one_of=[("images", "source")],
        required_together=[("source", "destination")],
        supports_check_mode=True,
    )
    execute(module, run, None, connect)


if __name__ == "__main__":
    main()
