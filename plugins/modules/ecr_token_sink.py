#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_token_sink
short_description: Keep a fresh ECR token where something other than a RunPod template needs it
description:
  - Mints an ECR token as the pull user that M(gpuops.runpod.ecr_pull_user) made, with the key from the secret store,
    and writes it in place to the target that O(type) names. For RunPod's registry credentials there is
    M(gpuops.runpod.runpod_ecr_credential).
  - The target itself says until when its token works and with which access key it was made. The token is fresh, and
    nothing is written, when it works for O(min_validity_hours) more, was made with the key that is in the entry now,
    and nothing else has written it since. What is not known is refreshed.
  - When O(secret_store) is not set, the token is minted as O(role_arn), or as the caller, and is fresh as long as the
    same user or role runs this.
  - A token opens the registries of one region, in every account where its owner has rights.
  - What others have in the target stays as it is. With O(state=absent), what something else has written stays too,
    which is a warning.
  - In check mode the findings are an audit of the target.
author: The gpuops.runpod authors (@gpuops)
version_added: 1.0.0
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.token_sink
  - gpuops.runpod.secret_store
  - gpuops.runpod.token
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.both_groups
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
options:
  image:
    description:
      - URI of an image in a private ECR repository. Its region and its registry count.
      - Exactly one of O(image), O(images) and O(registry_region) is required.
    type: str
  images:
    description: The same for images of several accounts. All must be in one region.
    type: list
    elements: str
  registry_region:
    description:
      - Region of the registry that the token opens, in the account of the secret store's entry, or without one of the
        caller.
    type: str
  role_arn:
    description:
      - ARN of a role that the caller assumes to mint the token, such as one of M(gpuops.runpod.ecr_pull_role). No key
        of it exists. It is not for O(secret_store).
      - The token is fresh as long as the same role, narrowed to the same repositories, is asked for.
    type: str
  external_id:
    description: The external id that the trust of O(role_arn) asks for.
    type: str
  repositories:
    description:
      - Repositories, as names, ARNs or image URIs, that the session which mints the token is narrowed to, as
        O(gpuops.runpod.runpod_ecr_credential#module:repositories) tells. It is not for O(secret_store).
    type: list
    elements: str
  verify_images:
    description:
      - URIs of images that the token must be able to pull. This is proved before the target gets the token; where its
        token is fresh, with that one if the target lets it be read, and else with another of the same kind.
      - When one cannot be pulled, the module fails and the target keeps the token that it has.
    type: list
    elements: str
    default: []
  state:
    description: Whether the target holds a token.
    type: str
    choices:
      - present
      - absent
    default: present
attributes:
  idempotent:
    description: A second run with the same options changes nothing.
    support: partial
    details:
      - With O(force=true), each run refreshes the token.
notes:
  - When a refresh fails, the error says how long the token still works that the target holds, and the failed result has
    RV(expires_at).
  - >-
    IAM actions of the caller on the entry: C(secretsmanager:GetSecretValue) and C(secretsmanager:DescribeSecret). With
    O(secret_store.type=ssm) these are C(ssm:GetParameter) and C(ssm:ListTagsForResource).
  - "IAM actions of the pull user, or without O(secret_store) of the caller: C(ecr:GetAuthorizationToken)."
  - "IAM actions of the caller with O(role_arn): C(sts:AssumeRole)."
  - With O(verify_images) the registry is asked with the token, whose owner also needs C(ecr:BatchGetImage) and
    C(ecr:GetDownloadUrlForLayer) on the repository.
  - Without O(secret_store), O(role_arn) and O(repositories) the target gets all the rights that the caller has on the
    region's repositories. A warning names the caller.
  - With O(type=runpod_secret) the RunPod API key needs to read and write secrets, and with O(state=absent) to read
    templates, serverless endpoints and pods. Other types need no API key.
  - With O(type=kubernetes) the account needs to C(get), C(create), C(update) and C(delete) secrets in the namespace.
  - The access key never leaves the module, and the token goes to the target alone. Neither is ever returned or shown.
seealso:
  - module: gpuops.runpod.ecr_pull_user
  - module: gpuops.runpod.runpod_ecr_credential
  - module: gpuops.runpod.runpod_secret
  - module: gpuops.runpod.ecr_pull_check
"""

EXAMPLES = r"""
- name: Ensure there is a pull user whose key is in the secret store
  gpuops.runpod.ecr_pull_user:
    name: runpod-ecr-access
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure docker, podman and skopeo can pull as that user
  gpuops.runpod.ecr_token_sink:
    type: docker_config
    docker_config:
      path: ~/.docker/config.json
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure AWX can pull execution environments as that user
  gpuops.runpod.ecr_token_sink:
    type: awx
    awx:
      name: Execution environments in ECR
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure a cluster can pull as that user
  gpuops.runpod.ecr_token_sink:
    type: kubernetes
    kubernetes:
      namespace: gpu
      name: ecr-pull
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure pods that build images can pull them
  gpuops.runpod.ecr_token_sink:
    type: runpod_secret
    runpod_secret:
      name: ecr-token
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure that no token is left on this machine
  gpuops.runpod.ecr_token_sink:
    type: docker_config
    docker_config:
      path: ~/.docker/config.json
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    state: absent
"""

RETURN = r"""
sink:
  description: What the target holds afterwards; a prediction in check mode, V(null) when it holds nothing.
  type: dict
  returned: success
  contains:
    type:
      description: The type of the target.
      type: str
      returned: always
      sample: docker_config
    region:
      description: The region whose registries its token opens.
      type: str
      returned: always
      sample: us-east-1
    registries:
      description: The hosts of these registries for which it holds the token.
      type: list
      elements: str
      returned: always
      sample: [123456789012.dkr.ecr.us-east-1.amazonaws.com]
    expires_at:
      description: The same as RV(expires_at).
      type: str
      returned: always
      sample: "2026-08-01T12:00:00Z"
    target:
      description: Which one it is, by what its kind is known by. No secret is in it.
      type: dict
      returned: always
      sample: {path: /var/lib/builder/.docker/config.json}
expires_at:
  description:
    - Until when its token works, in UTC; V(null) when that is not known, as in check mode before a refresh.
    - When a refresh failed, until when the token works that the target holds.
  type: str
  returned: success, and when a refresh failed
  sample: "2026-08-01T12:00:00Z"
refreshed:
  description: Whether a new token was or, in check mode, would be written.
  type: bool
  returned: success
  sample: true
findings:
  description: What was wrong with the target before, which is why it was or would be refreshed.
  type: list
  elements: dict
  returned: success
  contains:
    code:
      description: >-
        V(sink_missing), V(sink_unknown), V(sink_expired), V(sink_ends_soon), V(sink_of_another) or V(sink_drift).
      type: str
      returned: always
      sample: sink_ends_soon
    severity:
      description: V(error) when nothing can be pulled with what the target holds, else V(warning).
      type: str
      returned: always
      sample: warning
    cause:
      description: What is wrong.
      type: str
      returned: always
      sample: The token in /var/lib/builder/.docker/config.json ends at 2026-08-01T12:00:00Z.
    remedy:
      description: What to do.
      type: str
      returned: always
      sample: Run this task outside check mode, and every four hours at least.
images:
  description: Reports on O(verify_images), as M(gpuops.runpod.ecr_pull_check) returns them.
  type: list
  elements: dict
  returned: success
  sample: []
"""

from functools import partial

from ..module_utils._aws.client import aws_client
from ..module_utils._aws.module import AwsModule
from ..module_utils._aws.store_options import STORE_OPTIONS
from ..module_utils._core.module import execute
from ..module_utils._ecr.pull_check import registry_opener
from ..module_utils._ecr.token_proof import token_proof
from ..module_utils._oci.registry_client import Registry
from ..module_utils._runpod.connection import ARGUMENTS
from ..module_utils._sink.targets import IMAGES, OPTIONS, SINKS, connected
from ..module_utils._sink.token_sink import Clients, run

REGIONS = tuple(IMAGES)


def connect(module: AwsModule) -> Clients:
    """Return the clients that the module's options describe, with the proof that ECR's side knows to give."""
    opener = registry_opener(module.params["validate_certs"], module.params["aws_ca_bundle"])
    aws = aws_client(module)
    who = "the pull user" if module.params["secret_store"] else module.params["role_arn"] or "the caller"
    verify = token_proof(aws, partial(Registry, opener), who, module.check_mode)
    return Clients(aws, partial(connected, module, module.params), verify)


def main() -> None:
    spec = {
        **ARGUMENTS,
        **OPTIONS,
        **IMAGES,
        "secret_store": {"type": "dict", "options": STORE_OPTIONS, "no_log": False},
        "role_arn": {"type": "str"},
        "external_id": {"type": "str"},
        "repositories": {"type": "list", "elements": "str"},
        "verify_images": {"type": "list", "elements": "str", "default": []},
        "min_validity_hours": {"type": "float", "default": 9},
        "force": {"type": "bool", "default": False},
        "propagation_timeout": {"type": "int", "default": 90},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    module = AwsModule(
        argument_spec=spec,
        required_if=[("type", name, [name]) for name in SINKS],
        required_one_of=[REGIONS],
        mutually_exclusive=[REGIONS, ("secret_store", "role_arn"), ("secret_store", "repositories")],
        supports_check_mode=True,
    )
    execute(module, run, "sink", connect)


if __name__ == "__main__":
    main()
