#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_pull_check
short_description: Prove that images can be pulled
description:
  - Asks for each image what a pull asks for (its manifest, the manifest of its platform, and its configuration), as the
    pull user, as the caller, with a login that is given, or as nobody.
  - That proves that the image exists, that it is for the platform, and that the identity may pull it. No layer is
    transferred. ECR is called in each image's own region and account.
  - The index of a multi-platform image names its platforms. The platform of any other image stands in its
    configuration, a few KB that come from the host that hands out the layers. With O(via=api), when this machine cannot
    reach that host, the right to pull is proved all the same, and a warning says what is not.
  - What keeps an image from being pulled is told with cause, remedy, and what was answered. A repository that is not
    there is looked for in the region of the module and in the account of the identity too. When AWS does not accept the
    pull user's key, IAM is asked about the key, if the caller may.
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
      - URIs of images, each with a tag, a digest, or both.
      - With O(identity) V(secret_store) or V(caller) all are in private ECR repositories, else in any registry.
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
        Both pull from private ECR repositories only.
      - V(given) is whoever has O(credentials), V(anonymous) is nobody. Both pull from any registry, ECR Public for
        instance, and need neither AWS credentials nor a region.
    type: str
    choices:
      - secret_store
      - caller
      - given
      - anonymous
    default: secret_store
  credentials:
    description: A login for the registries of the images, with O(identity=given).
    type: dict
    suboptions:
      username:
        description: User name; C(AWS) for a token of ECR.
        type: str
        required: true
      password:
        description: Password or token.
        type: str
        required: true
  via:
    description:
      - How to ask. V(api) uses the API of ECR, whose errors tell most.
      - V(registry) asks the registry itself, as a container runtime does, with a token that is minted for it when
        O(identity) is V(secret_store) or V(caller).
      - When not set, V(api) for these two, and else V(registry), the only way then.
    type: str
    choices:
      - api
      - registry
  fail_when_denied:
    description:
      - Whether the module fails when an image cannot be pulled, for whatever reason.
      - All images are looked at before it does, and the message names each that is bad with what is wrong.
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
    C(ecr:GetDownloadUrlForLayer). With O(via=registry) also C(ecr:GetAuthorizationToken), which knows no repositories.
  - >-
    IAM actions of the caller on the entry with O(identity=secret_store): C(secretsmanager:GetSecretValue) and
    C(secretsmanager:DescribeSecret). With O(secret_store.type=ssm) these are C(ssm:GetParameter) and
    C(ssm:ListTagsForResource).
  - >-
    IAM actions of the caller that are optional: C(iam:ListAccessKeys) on the pull user, to tell why AWS does not accept
    its key.
  - O(identity=given) and O(identity=anonymous) need no AWS credentials and no region.
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

- name: Prove the same as a container runtime would do it, through the registry
  gpuops.runpod.ecr_pull_check:
    images:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v2
    secret_store:
      name: runpod-ecr/runpod-ecr-access
    via: registry

- name: Ensure there is a public repository
  gpuops.runpod.ecr_public_repo:
    name: runpod-gpu-training
    acknowledge_public: true
  register: public

- name: Publish an image
  gpuops.runpod.ecr_image_mirror:
    source: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    destination: "{{ public.repository.uri }}"

- name: Check that anybody can pull it
  gpuops.runpod.ecr_pull_check:
    images:
      - "{{ public.repository.uri }}:v1"
    identity: anonymous

- name: Learn whether a login can pull an image of another registry
  gpuops.runpod.ecr_pull_check:
    images:
      - ghcr.io/team/app:v1
    identity: given
    credentials:
      username: team
      password: "{{ team_registry_token }}"
    fail_when_denied: false

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
            - What it is, for programs. Other codes may come.
            - >-
              Where the image is: V(wrong_region), V(wrong_account), V(repository_not_found), V(tag_not_found),
              V(digest_not_found), V(tag_moved), V(archived).
            - >-
              What it is: V(platform_missing), V(platform_unverified), V(not_an_image), V(layer_unavailable), V(kms),
              V(layer_host_blocked). Behind a pull-through cache: V(upstream_denied), V(upstream_throttled),
              V(upstream_unavailable).
            - >-
              Who pulls: V(quarantined), V(clock_skew), V(secret_wrong), V(user_missing), V(secret_key_mismatch),
              V(secret_key_inactive), V(key_too_new), V(region_disabled), V(key_invalid), V(credentials_expired),
              V(credentials_missing), V(token_expired), V(login_missing), V(login_refused).
            - >-
              What policies say: V(organization_denies), V(boundary_denies), V(session_denies), V(endpoint_denies),
              V(explicit_deny), V(token_not_allowed), V(repository_policy_missing), V(repository_not_allowed),
              V(denied).
            - >-
              What lies between: V(throttled), V(endpoint_unreachable), V(service_unavailable). And V(other).
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
          description: The code and text behind the finding, as AWS or the registry gave them.
          type: str
          returned: always
          sample: "ImageNotFound: Requested image not found"
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from typing import Any, NamedTuple

from ansible.module_utils.urls import Request
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ..module_utils._aws.client import Aws, aws_client
from ..module_utils._aws.secret_entry import MANAGED, Entry, keyless, quarantine, young_until
from ..module_utils._aws.secret_store import STORE_OPTIONS, store_of
from ..module_utils._core.errors import CollectionError, InputError, Json
from ..module_utils._core.module import execute
from ..module_utils._core.result import Result
from ..module_utils._ecr.diagnosis import GRANTABLE, diagnose
from ..module_utils._ecr.pull_probe import ByApi, ByRegistry, Pull, PullDeniedError, PullIdentity, facts
from ..module_utils._oci import manifest as manifests
from ..module_utils._oci.reference import Image, parse, parse_ecr, with_content
from ..module_utils._oci.registry_client import Login, Registry

OF_AWS = {"secret_store", "caller"}  # identities that AWS knows


class Clients(NamedTuple):
    """AWS, an opener for the addresses of layers that ECR gives, and registries by host and login.

    Such an address is a secret.
    """

    aws: Aws
    opener: Any
    registry: Callable[[str, Login | None], Registry]


class NotPullableError(CollectionError):
    """At least one image cannot be pulled."""

    def __init__(self, images: list[Json]) -> None:
        bad = [image for image in images if image["pullable"] is False]
        message = [
            f"{image['image']}: {finding['cause']} {finding['remedy']}" for image in bad for finding in errors(image)
        ]
        good = sum(image["pullable"] is True for image in images)
        others = f" The other {good} can be pulled." if good else ""
        super().__init__(f"{len(bad)} of {len(images)} images cannot be pulled. " + " ".join(message) + others)
        self.images = images

    def as_result(self) -> Json:
        return {"msg": str(self), "pullable": False, "images": self.images}


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    via = way(params)
    images = parsed(params["images"], params["identity"])
    platform = manifests.checked(params["platform"])
    puller, missing = identify(params, client.aws)
    if missing and not check_mode:
        raise InputError(missing)
    pull: Pull = (
        ByApi(client.aws, client.opener, puller, platform)
        if via == "api"
        else ByRegistry(client.aws, client.registry, puller, platform)
    )
    reports = [report(image) if missing else examine(pull, image) for image in images]
    if check_mode and params["identity"] == "secret_store":
        reports = [predicted(found) for found in reports]
    pullable = verdict([found["pullable"] for found in reports])
    if pullable is False and params["fail_when_denied"]:
        raise NotPullableError(reports)
    return Result(False, None, None, {"pullable": pullable, "images": reports}, warnings(reports, missing))


def way(params: Json) -> str:
    """Return how to ask. Only who has rights at AWS can ask the API."""
    identity = params["identity"]
    if identity not in OF_AWS and params["via"] == "api":
        raise InputError(f"via: the API of ECR takes no identity {identity}: use via registry, or leave it out.")
    return params["via"] or ("api" if identity in OF_AWS else "registry")


def parsed(references: list[str], identity: str) -> list[Image]:
    """Take all references apart, or raise one InputError that tells what is wrong with which."""
    images, wrong = [], []
    for reference in references:
        try:
            images.append(parse_ecr(reference) if identity in OF_AWS else with_content(parse(reference)))
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        raise InputError(" ".join(wrong))
    return images


def identify(params: Json, aws: Aws) -> tuple[PullIdentity, str]:
    """Return who pulls, and why the key is missing when it is."""
    identity, option = params["identity"], {"secret_store": "secret_store", "given": "credentials"}
    if identity == "caller":
        return PullIdentity("the caller"), ""
    if identity == "anonymous":
        return PullIdentity("an anonymous client", calls=False), ""
    if params[option[identity]] is None:  # set to null, which the module's spec lets pass
        raise InputError(f"identity is {identity} but {option[identity]} is missing.")
    if identity == "given":
        given = params["credentials"]
        return PullIdentity(given["username"], calls=False, login=Login(given["username"], given["password"])), ""
    store = store_of(aws, params["secret_store"])
    entry = store.read()
    if entry is None or entry.key is None:
        return PullIdentity("the pull user"), keyless(entry, store.name)
    timeout = params["propagation_timeout"]
    tags = cache(store.tags)
    return PullIdentity(
        "the pull user",
        entry.key,
        young_until=lambda: passes_until(entry, tags(), timeout),
        user=lambda: tags().get(MANAGED, ""),
    ), ""


def passes_until(entry: Entry, tags: dict[str, str], timeout: float) -> datetime | None:
    """Return until when a refusal may pass. Raises Refused for a pull user in quarantine, who is refused for good."""
    shut = quarantine(tags, "It")
    if shut:
        raise PullDeniedError(diagnose("Quarantined", shut, {}))
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
    denied = any(finding["code"] in GRANTABLE for finding in found["findings"])
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
    except PullDeniedError as refusal:
        found["findings"].append(refusal.finding)
    return {**found, "pullable": not errors(found)}


def inspect(pull: Pull, image: Image, found: Json) -> None:
    """Ask what a pull asks and write into the report what it tells. Raises Refused."""
    found["digest"], manifest = named(pull, image, found)
    listed = manifests.is_index(manifest)
    if listed:
        found["platforms"] = list(manifests.offers(manifest))
        chosen = manifests.choose(manifest, pull.platform)
        if chosen is None:
            raise PullDeniedError(wrong_platform(pull, image, found["platforms"]))
        dummy, manifest = pull.manifest(image._replace(tag="", digest=chosen))
    if not manifests.is_image(manifest):
        raise PullDeniedError(diagnose("NotAnImage", manifest.get("mediaType", "no media type"), facts(pull, image)))
    configuration = read(pull, image, found, manifest)
    if not listed:
        check_platform(pull, image, found, configuration)
    found["size"] = manifests.size(manifest)


def named(pull: Pull, image: Image, found: Json) -> tuple[str, Json]:
    """Return digest and manifest of what the reference names. With tag and digest the digest counts, as in a pull."""
    try:
        return pull.manifest(image)
    except PullDeniedError as refusal:
        code = refusal.finding["code"]
        if not (image.tag and image.digest and code in {"tag_moved", "digest_not_found"}):
            raise
        answer = pull.manifest(image._replace(tag=""))
        moved = diagnose("ImageTagDoesNotMatchDigest", "", facts(pull, image))
        found["findings"].append({**moved, "raw": refusal.finding["raw"]})
        return answer


def read(pull: Pull, image: Image, found: Json, manifest: Json) -> Json:
    """Return the configuration, or {} with a finding when only this machine may not have it. Raises Refused."""
    try:
        return pull.configuration(image, manifest["config"]["digest"])
    except PullDeniedError as refusal:
        if refusal.finding["severity"] == "error":
            raise
        found["findings"].append(refusal.finding)
        return {}


def check_platform(pull: Pull, image: Image, found: Json, configuration: Json) -> None:
    """Write the platform of a single image into the report. Raises Refused when it is another."""
    platform = manifests.platform_of(configuration)
    if not platform:
        found["findings"].append(diagnose("PlatformUnread", "no platform", facts(pull, image)))
        return
    found["platforms"] = [platform]
    if not manifests.same(platform, pull.platform):
        raise PullDeniedError(wrong_platform(pull, image, found["platforms"]))


def wrong_platform(pull: Pull, image: Image, platforms: list[str]) -> Json:
    """Return the finding for an image that is not for the platform."""
    there = ", ".join(platforms) or "none that it names"
    return diagnose("PlatformMissing", there, {**facts(pull, image), "platforms": there})


def connect(module: AnsibleAWSModule) -> Clients:
    """Return the clients that the module's options describe. Who is not known to AWS needs no region."""
    opener = Request(
        timeout=30,
        validate_certs=module.params["validate_certs"],
        ca_path=module.params["aws_ca_bundle"],
        use_netrc=False,
        follow_redirects="none",
        decompress=False,
        http_agent="gpuops.runpod",
    )
    aws = aws_client(module) if module.params["identity"] in OF_AWS else Aws(module.client, "")
    return Clients(aws, opener, partial(Registry, opener))


def main() -> None:
    login = {
        "username": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
    }
    identities = ["secret_store", "caller", "given", "anonymous"]
    spec = {
        "images": {"type": "list", "elements": "str", "required": True},
        "platform": {"type": "str", "default": "linux/amd64"},
        "identity": {"type": "str", "choices": identities, "default": "secret_store"},
        "secret_store": {"type": "dict", "options": STORE_OPTIONS, "no_log": False},
        "credentials": {"type": "dict", "options": login},
        "via": {"type": "str", "choices": ["api", "registry"]},
        "fail_when_denied": {"type": "bool", "default": True},
        "propagation_timeout": {"type": "int", "default": 90},
    }
    module = AnsibleAWSModule(
        argument_spec=spec,
        required_if=[("identity", "secret_store", ["secret_store"]), ("identity", "given", ["credentials"])],
        supports_check_mode=True,
    )
    execute(module, run, "pullable", connect)


if __name__ == "__main__":
    main()
