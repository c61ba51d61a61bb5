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
version_added: 1.0.0
extends_documentation_fragment:
  - gpuops.runpod.secret_store
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.aws_group
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
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
        that this has not arrived everywhere. From 0 to 3600; in check mode nothing is waited for.
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
              V(layer_host_blocked), V(manifest_damaged).
            - "Behind a pull-through cache: V(upstream_denied), V(upstream_throttled), V(upstream_unavailable)."
            - >-
              Who pulls: V(quarantined), V(clock_skew), V(secret_wrong), V(user_missing), V(secret_key_mismatch),
              V(secret_key_inactive), V(key_too_new), V(region_disabled), V(key_invalid), V(credentials_expired),
              V(credentials_missing), V(token_expired), V(login_missing), V(login_refused).
            - >-
              What policies say: V(organization_denies), V(boundary_denies), V(session_denies), V(endpoint_denies),
              V(explicit_deny), V(token_not_allowed), V(repository_policy_missing), V(repository_not_allowed),
              V(denied).
            - >-
              What lies between: V(unexpected_answer), V(throttled), V(endpoint_unreachable),
              V(service_unavailable). And V(other).
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


from ..module_utils._aws.module import AwsModule
from ..module_utils._aws.store_options import STORE_OPTIONS
from ..module_utils._core.module import execute
from ..module_utils._ecr.pull_check import connect, run


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
    module = AwsModule(
        argument_spec=spec,
        required_if=[("identity", "secret_store", ["secret_store"]), ("identity", "given", ["credentials"])],
        supports_check_mode=True,
    )
    execute(module, run, "pullable", connect)


if __name__ == "__main__":
    main()
