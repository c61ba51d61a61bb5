#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_pull_check
short_description: Prove that images in Amazon ECR can be pulled
description:
  - Asks ECR for each image what a pull asks for (its manifest, the manifest of its platform, and the address of its
    configuration), as the pull user or as the caller.
  - That proves that the image exists, that it is for the platform, and that the identity may pull it. No layer is
    transferred. ECR is called in each image's own region and account.
  - The index of a multi-platform image names its platforms. The platform of any other image stands in its
    configuration, a few KB that are fetched from the address that ECR gives. When this machine cannot reach it, the
    right to pull is proved all the same, and a warning says that the platform is not.
  - Nothing is changed. ECR may note the time as the last recorded pull of the image.
author: The gpuops.runpod authors (@gpuops)
version_added: 0.1.0
extends_documentation_fragment:
  - gpuops.runpod.secret_store
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.aws_group
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
options:
  images:
    description:
      - URIs of images in private ECR repositories, each with a tag, a digest, or both.
      - With both, the digest counts, as in a pull. A tag that does not name it is a warning.
    type: list
    elements: str
    required: true
  platform:
    description:
      - What the images must be for, as C(OS/ARCHITECTURE) or C(OS/ARCHITECTURE/VARIANT).
      - Without a variant, the architecture's usual one is meant, C(v8) for C(arm64) for instance.
    type: str
    default: linux/amd64
  identity:
    description:
      - Who pulls. V(secret_store) is the pull user, whose key O(secret_store) holds. V(caller) is whoever runs this.
    type: str
    choices:
      - secret_store
      - caller
    default: secret_store
  via:
    description: How to ask. V(api) uses the API of ECR.
    type: str
    choices:
      - api
    default: api
  fail_when_denied:
    description: Whether the module fails when an image cannot be pulled, for whatever reason.
    type: bool
    default: true
  propagation_timeout:
    description:
      - Seconds after the pull user's key was made, or after its rights last grew, for which a refusal by AWS only means
        that this has not arrived everywhere.
    type: int
    default: 90
notes:
  - >-
    IAM actions of the identity that pulls, on the repositories: C(ecr:BatchGetImage) and
    C(ecr:GetDownloadUrlForLayer).
  - >-
    IAM actions of the caller on the entry with O(identity=secret_store): C(secretsmanager:GetSecretValue) and
    C(secretsmanager:DescribeSecret). With O(secret_store.type=ssm) these are C(ssm:GetParameter) and
    C(ssm:ListTagsForResource).
  - In check mode an earlier task may only have predicted the pull user, its key or its rights. What depends on them is
    then V(null), not a failure.
seealso:
  - module: gpuops.runpod.ecr_pull_user
  - module: gpuops.runpod.runpod_ecr_credential
"""

EXAMPLES = r"""
- name: Check that an image exists for linux/amd64, as whoever runs this
  gpuops.runpod.ecr_pull_check:
    images:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    identity: caller

- name: Ensure there is a pull user for two repositories in two regions
  gpuops.runpod.ecr_pull_user:
    name: runpod-ecr-access
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training
      - 123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/team/app
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Prove that this user can pull the images
  gpuops.runpod.ecr_pull_check:
    images:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v2
      - 123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/team/app:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Learn what keeps an image from being pulled
  gpuops.runpod.ecr_pull_check:
    images:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:no-such-tag
    identity: caller
    fail_when_denied: false
  register: result

- name: Show it
  ansible.builtin.debug:
    msg: "{{ result.images | map(attribute='findings') | flatten }}"
"""

RETURN = r"""
pullable:
  description: Whether all images can be pulled; V(null) when check mode cannot know.
  type: bool
  returned: success
  sample: true
images:
  description: What was found out about each image, in the order of O(images). A failure holds it too.
  type: list
  elements: dict
  returned: success
  contains:
    image:
      description: The URI as given.
      type: str
      returned: always
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    digest:
      description: What the URI names, the index of a multi-platform image; V(null) when unknown.
      type: str
      returned: always
      sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    platforms:
      description: The platforms the image is for; empty when unknown.
      type: list
      elements: str
      returned: always
      sample:
        - linux/amd64
        - linux/arm64
    size:
      description: Bytes that a pull of O(platform) transfers, layers compressed; V(null) when unknown.
      type: int
      returned: always
      sample: 4312345678
    pullable:
      description: Whether it can be pulled; V(null) when check mode cannot know.
      type: bool
      returned: always
      sample: true
    findings:
      description: What keeps it from being pulled, or may.
      type: list
      elements: dict
      returned: always
      contains:
        code:
          description:
            - One of V(repository_not_found), V(tag_not_found), V(digest_not_found), V(tag_moved), V(platform_missing),
              V(platform_unverified), V(denied), V(key_invalid), V(credentials_expired), V(credentials_missing),
              V(clock_skew), V(throttled), V(endpoint_unreachable), V(layer_unavailable), V(kms), V(archived),
              V(quarantined) and V(other).
          type: str
          returned: always
          sample: tag_not_found
        severity:
          description: V(error) when it keeps the image from being pulled, else V(warning).
          type: str
          returned: always
          sample: error
        cause:
          description: What is wrong.
          type: str
          returned: always
          sample: The repository runpod-gpu-training holds no image with the tag no-such-tag.
        remedy:
          description: What to do.
          type: str
          returned: always
          sample: Push it or name a tag that is there; a lifecycle policy may have expired it.
        raw:
          description: The code and text behind the finding, as AWS gave them.
          type: str
          returned: always
          sample: "ImageNotFound: Requested image not found"
"""

import http.client
import json
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError
from ansible.module_utils.urls import Request
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ..module_utils import _manifest as manifests
from ..module_utils._aws import Aws, KeyPair, aws_client
from ..module_utils._entry import Entry, keyless, quarantine, young_until
from ..module_utils._errors import AwsError, InputError, Json, RunpodError
from ..module_utils._findings import diagnose
from ..module_utils._image import Image, parse_ecr
from ..module_utils._runpod import execute
from ..module_utils._secret_store import STORE_OPTIONS, store_of
from ..module_utils._state import Outcome
from ..module_utils._tokens import NOT_YET, patiently

LARGEST_CONFIG = 1024 * 1024  # bytes; real ones are a few KB


class Clients(NamedTuple):
    """AWS, and an opener for the addresses of layers that ECR gives. Such an address is a secret."""

    aws: Aws
    opener: Any


class NotPullableError(RunpodError):
    """At least one image cannot be pulled."""

    def __init__(self, images: list[Json]) -> None:
        bad = [image for image in images if image["pullable"] is False]
        said = [
            f"{image['image']}: {finding['cause']} {finding['remedy']}" for image in bad for finding in errors(image)
        ]
        super().__init__(f"{len(bad)} of {len(images)} images cannot be pulled. " + " ".join(said))
        self.images = images

    def as_result(self) -> Json:
        return {"msg": str(self), "pullable": False, "images": self.images}


class Refused(Exception):
    """The verdict on one image, as a finding."""

    def __init__(self, finding: Json) -> None:
        super().__init__(finding["cause"])
        self.finding = finding


class Unreadable(Exception):
    """The configuration of an image could not be read. The text tells why and never holds the address."""


class Identity(NamedTuple):
    """Who pulls: `key` None is the caller; `young_until` tells how long a refusal may pass."""

    who: str
    key: KeyPair | None
    young_until: Callable[[], datetime | None]


class Pull(NamedTuple):
    """What all images of a run share."""

    aws: Aws
    opener: Any
    identity: Identity
    platform: str


def run(params: Json, check_mode: bool, client: Clients) -> Outcome:
    images = parsed(params["images"])
    platform = manifests.checked(params["platform"])
    identity, missing = identify(params, client.aws)
    if missing and not check_mode:
        raise InputError(missing)
    pull = Pull(client.aws, client.opener, identity, platform)
    reports = [report(image) if missing else examine(pull, image) for image in images]
    if check_mode and params["identity"] == "secret_store":
        reports = [predicted(found) for found in reports]
    pullable = verdict([found["pullable"] for found in reports])
    if pullable is False and params["fail_when_denied"]:
        raise NotPullableError(reports)
    return Outcome(False, None, None, {"pullable": pullable, "images": reports}, warnings(reports, missing))


def parsed(references: list[str]) -> list[Image]:
    """Take all references apart, or raise one InputError that tells what is wrong with which."""
    images, wrong = [], []
    for reference in references:
        try:
            images.append(parse_ecr(reference))
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        raise InputError(" ".join(wrong))
    return images


def identify(params: Json, aws: Aws) -> tuple[Identity, str]:
    """Return who pulls, and why the key is missing when it is."""
    if params["identity"] == "caller":
        return Identity("the caller", None, lambda: None), ""
    store = store_of(aws, params["secret_store"])
    entry = store.read()
    if entry is None or entry.key is None:
        return Identity("the pull user", None, lambda: None), keyless(entry, store.name)
    timeout = params["propagation_timeout"]
    return Identity("the pull user", entry.key, cache(lambda: passes_until(entry, store.tags(), timeout))), ""


def passes_until(entry: Entry, tags: dict[str, str], timeout: float) -> datetime | None:
    """Return until when a refusal may pass. Raises Refused for a pull user in quarantine, who is refused for good."""
    shut = quarantine(tags, "It")
    if shut:
        raise Refused(diagnose("Quarantined", shut, {}))
    return young_until(entry, tags, timeout)


def report(image: Image) -> Json:
    """Return what is known of an image before anything was asked."""
    unknown: Json = {"digest": None, "platforms": [], "size": None, "pullable": None, "findings": []}
    return {"image": image.reference, **unknown}


def errors(found: Json) -> list[Json]:
    """Return the findings that keep an image from being pulled."""
    return [finding for finding in found["findings"] if finding["severity"] == "error"]


def predicted(found: Json) -> Json:
    """Return a report as check mode gives it: rights that are missing may be those an earlier task would grant."""
    denied = any(finding["code"] == "denied" for finding in found["findings"])
    return {**found, "pullable": None} if denied else found


def verdict(pullable: list[bool | None]) -> bool | None:
    """Return whether all can be pulled; one that cannot outweighs one that is not known."""
    if False in pullable:
        return False
    return None if None in pullable else True


def warnings(reports: list[Json], missing: str) -> tuple[str, ...]:
    """Return what a run that does not fail must say all the same."""
    findings = [
        f"{found['image']}: {finding['cause']} {finding['remedy']}"
        for found in reports
        for finding in found["findings"]
        if finding["severity"] == "warning" or found["pullable"] is None
    ]
    return tuple([missing, *findings] if missing else findings)


def examine(pull: Pull, image: Image) -> Json:
    """Return the report on one image."""
    found = report(image)
    try:
        inspect(pull, image, found)
    except Refused as refusal:
        found["findings"].append(refusal.finding)
    return {**found, "pullable": not errors(found)}


def inspect(pull: Pull, image: Image, found: Json) -> None:
    """Ask what a pull asks and write into the report what it tells. Raises Refused."""
    found["digest"], manifest = named(pull, image, found)
    if manifests.is_index(manifest):
        found["platforms"] = list(manifests.offers(manifest))
        chosen = manifests.choose(manifest, pull.platform)
        if chosen is None:
            raise Refused(wrong_platform(pull, image, found["platforms"]))
        dummy, manifest = manifest_of(pull, image._replace(tag="", digest=chosen))
        address_of_config(pull, image, manifest)
    else:
        address = address_of_config(pull, image, manifest)
        read_platform(pull, image, found, address)
    found["size"] = manifests.size(manifest)


def named(pull: Pull, image: Image, found: Json) -> tuple[str, Json]:
    """Return digest and manifest of what the reference names. With tag and digest the digest counts, as in a pull."""
    try:
        return manifest_of(pull, image)
    except Refused as refusal:
        code = refusal.finding["code"]
        if not (image.tag and image.digest and code in {"tag_moved", "digest_not_found"}):
            raise
        answer = manifest_of(pull, image._replace(tag=""))
        moved = diagnose("ImageTagDoesNotMatchDigest", "", facts(pull, image))
        found["findings"].append({**moved, "raw": refusal.finding["raw"]})
        return answer


def manifest_of(pull: Pull, image: Image) -> tuple[str, Json]:
    """Return digest and manifest by digest, tag or both."""
    given = {"imageDigest": image.digest, "imageTag": image.tag}
    image_id = {key: value for key, value in given.items() if value}
    answer = ask(pull, image, "batch_get_image", imageIds=[image_id], acceptedMediaTypes=manifests.MEDIA_TYPES)
    if not answer.get("images"):
        failure: Json = next(iter(answer.get("failures", [])), {})
        code, text = failure.get("failureCode", "ImageNotFound"), failure.get("failureReason", "")
        raise Refused(diagnose(code, text, facts(pull, image, "batch_get_image")))
    held = answer["images"][0]
    return held["imageId"]["imageDigest"], manifests.read(held["imageManifest"])


def address_of_config(pull: Pull, image: Image, manifest: Json) -> str:
    """Return the presigned address of an image's configuration; that ECR gives it proves the right to pull."""
    if not manifests.is_image(manifest):
        media_type = manifest.get("mediaType", "no media type")
        raise Refused(diagnose("NotAnImage", media_type, facts(pull, image)))
    return ask(pull, image, "get_download_url_for_layer", layerDigest=manifest["config"]["digest"])["downloadUrl"]


def read_platform(pull: Pull, image: Image, found: Json, address: str) -> None:
    """Write the platform of a single image into the report. Raises Refused when it is another."""
    try:
        platform = manifests.platform_of(fetch(pull.opener, address))
    except Unreadable as failure:
        found["findings"].append(diagnose("PlatformUnread", str(failure), facts(pull, image)))
        return
    found["platforms"] = [platform]
    if not manifests.same(platform, pull.platform):
        raise Refused(wrong_platform(pull, image, found["platforms"]))


def fetch(opener: Any, address: str) -> Json:
    """Return the JSON object at a presigned address. Raises Unreadable."""
    try:
        with opener.open("GET", address) as answer:
            document = json.loads(answer.read(LARGEST_CONFIG))
    except (OSError, http.client.HTTPException, AnsibleConnectionError, ValueError) as failure:
        why = f"HTTP {failure.code}" if hasattr(failure, "code") else type(failure).__name__
        raise Unreadable(f"{urlsplit(address).hostname}: {why}") from None
    if not isinstance(document, dict):
        raise Unreadable(f"{urlsplit(address).hostname}: not a configuration")
    if not manifests.platform_of(document):
        raise Unreadable(f"{urlsplit(address).hostname}: the configuration names no platform")
    return document


def wrong_platform(pull: Pull, image: Image, platforms: list[str]) -> Json:
    """Return the finding for an image that is not for the platform."""
    there = ", ".join(platforms) or "none that it names"
    return diagnose("PlatformMissing", there, {**facts(pull, image), "platforms": there})


def facts(pull: Pull, image: Image, operation: str = "") -> dict[str, str]:
    """Return what the templates of findings are filled with."""
    who = pull.identity.who
    return {
        **{key: str(value) for key, value in image._asdict().items()},
        "arn": image.repository_arn,
        "kind": "digest" if image.digest else "tag",
        "wanted": image.digest or image.tag,
        "platform": pull.platform,
        "who": who,
        "Who": who[0].upper() + who[1:],
        "action": "ecr:" + "".join(part.capitalize() for part in operation.split("_")),
    }


def ask(pull: Pull, image: Image, operation: str, **request: Any) -> Json:
    """Return ECR's answer in the image's region and account. Raises Refused, but not before the key is old enough."""

    def attempt() -> Json:
        return pull.aws.call(
            "ecr",
            operation,
            region=image.region,
            identity=pull.identity.key,
            registryId=image.account_id,
            repositoryName=image.repository,
            **request,
        )

    try:
        return attempt()
    except AwsError as error:
        refusal = error
    until = pull.identity.young_until() if refusal.code in NOT_YET else None
    if until and until > pull.aws.clock():
        try:
            return patiently(pull.aws, until, attempt)
        except AwsError as error:
            refusal = error
    raise Refused(diagnose(refusal.code, refusal.text, facts(pull, image, operation))) from refusal


def connect(module: AnsibleAWSModule) -> Clients:
    """Return the clients that the module's options describe."""
    opener = Request(
        timeout=30,
        validate_certs=module.params["validate_certs"],
        ca_path=module.params["aws_ca_bundle"],
        use_netrc=False,
        follow_redirects="none",
        http_agent="gpuops.runpod",
    )
    return Clients(aws_client(module), opener)


def main() -> None:
    spec = {
        "images": {"type": "list", "elements": "str", "required": True},
        "platform": {"type": "str", "default": "linux/amd64"},
        "identity": {"type": "str", "choices": ["secret_store", "caller"], "default": "secret_store"},
        "secret_store": {"type": "dict", "options": STORE_OPTIONS, "no_log": False},
        "via": {"type": "str", "choices": ["api"], "default": "api"},
        "fail_when_denied": {"type": "bool", "default": True},
        "propagation_timeout": {"type": "int", "default": 90},
    }
    module = AnsibleAWSModule(
        argument_spec=spec,
        required_if=[("identity", "secret_store", ["secret_store"])],
        supports_check_mode=True,
    )
    execute(module, run, "pullable", connect)


if __name__ == "__main__":
    main()
