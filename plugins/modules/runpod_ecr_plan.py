#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_ecr_plan
short_description: Plan what lets RunPod pull images from Amazon ECR
description:
  - Looks at both clouds once, in one process, and tells step by step what a run of the role
    P(gpuops.runpod.runpod_ecr#role) would do for these options, and why. It is to this job what a plan is to Terraform.
  - Nothing is ever written. The role runs it first, and then only the steps that are needed. In check mode the role
    runs nothing else.
  - Each step is planned over the account as the steps before it leave it. A credential that is still to be made is
    known to the template that is going to refer to it, say.
  - Where nothing of the pull user is going to change, the look proves the pull as that user, or anonymously with
    O(access=public).
  - Whatever can be wrong with the options is reported at once, before anything is asked. Whatever is wrong with the
    images, or in the way at RunPod, is an error here, before anything is changed.
author: The gpuops.runpod authors (@gpuops)
version_added: 1.0.0
extends_documentation_fragment:
  - gpuops.runpod.workload
  - gpuops.runpod.workload.chain
  - gpuops.runpod.workload.tokens
  - gpuops.runpod.runpod
  - gpuops.runpod.secret_store
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.both_groups
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
options:
  intent:
    description:
      - What the run is for.
      - V(converge) lets RunPod pull the images, and makes templates and endpoints.
      - V(refresh) keeps the tokens fresh, V(rotate) replaces an old access key.
      - V(quarantine) shuts the pull user off, V(absent) removes what a run made.
    type: str
    choices:
      - converge
      - refresh
      - rotate
      - quarantine
      - absent
    default: converge
  retire_after_hours:
    description: Used with O(intent=rotate), as O(gpuops.runpod.ecr_pull_user#module:retire_after_hours).
    type: int
    default: 24
  release_quarantine:
    description: Whether a pull user in quarantine is released.
    type: bool
    default: false
  verify:
    description: Whether the pull is proved.
    type: bool
    default: true
  acknowledge_public:
    description: Must be V(true) for O(access=public).
    type: bool
    default: false
  public_force:
    description: Whether O(intent=absent) deletes the public repository with all its images.
    type: bool
    default: false
  adopt:
    description: Whether templates and endpoints are taken over that run another repository's image.
    type: bool
    default: false
  retire_former_identity:
    description:
      - Whether O(intent=converge) takes away the pull user, or the pull role, as which RunPod pulled before another
        value of O(pull_identity), with its credentials, once nothing needs it.
    type: bool
    default: false
attributes:
  diff_mode:
    details:
      - The diff shows what the run would change.
notes:
  - The module reads only, and RV(ignore:changed) is always false.
  - It fails for what no run mends, such as an image that lacks a layer, or somebody else's statement that denies
    RunPod's roles to pull. In check mode it warns when the pull user gets no new token.
  - "The RunPod API key needs to read registry credentials, templates, serverless endpoints, and with O(intent=absent)
    pods."
  - >-
    IAM actions for O(access=credential): C(iam:GetUser), C(iam:GetUserPolicy), C(iam:ListUserPolicies),
    C(iam:ListAttachedUserPolicies), C(iam:ListGroupsForUser), C(iam:GetPolicy), C(iam:GetPolicyVersion),
    C(iam:ListAccessKeys), C(iam:GetAccessKeyLastUsed), C(secretsmanager:GetSecretValue),
    C(secretsmanager:DescribeSecret), or C(ssm:GetParameter) and C(ssm:ListTagsForResource), and C(ecr:BatchGetImage)
    and C(ecr:GetDownloadUrlForLayer) where the pull user cannot prove the pull yet.
  - >-
    IAM actions with O(pull_identity=role): C(iam:GetRole), C(iam:GetRolePolicy), C(iam:ListRolePolicies),
    C(iam:ListAttachedRolePolicies), C(iam:ListInstanceProfilesForRole) when it is to go, and C(sts:AssumeRole), as with
    O(role_arn). O(retire_former_identity) needs what both need.
  - >-
    IAM actions for every way of access: C(ecr:BatchCheckLayerAvailability) where the pull user cannot prove the pull
    yet and something is to be changed. Without it layers that are missing are not told.
  - >-
    IAM actions for O(access=delegation): C(ecr:GetRepositoryPolicy), C(ecr:BatchGetImage) and
    C(ecr:GetDownloadUrlForLayer).
  - >-
    IAM actions for O(access=public): C(ecr:GetAuthorizationToken), C(ecr:BatchGetImage),
    C(ecr:GetDownloadUrlForLayer), C(ecr-public:GetAuthorizationToken), C(ecr-public:DescribeRegistries),
    C(ecr-public:DescribeRepositories), C(ecr-public:GetRepositoryCatalogData), C(ecr-public:ListTagsForResource) and
    C(sts:GetServiceBearerToken).
seealso:
  - module: gpuops.runpod.ecr_pull_user
  - module: gpuops.runpod.runpod_ecr_credential
  - module: gpuops.runpod.runpod_templates
"""

EXAMPLES = r"""
- name: See what a run for this image would do
  gpuops.runpod.runpod_ecr_plan:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    template:
      serverless: true
  register: planned

- name: Show its steps
  ansible.builtin.debug:
    msg: "{{ planned.changes }}"

- name: See what would go when the access is taken back
  gpuops.runpod.runpod_ecr_plan:
    intent: absent
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
"""

RETURN = r"""
steps:
  description: All steps in their order, those that need nothing included.
  type: list
  elements: dict
  returned: success
  contains:
    step:
      description:
        - Its kind, one of V(user), V(role), V(grant), V(delegation), V(public_repository), V(mirror), V(credential),
          V(proof), V(template), V(endpoint), V(former_credential), V(former_user) and V(former_role).
      type: str
      returned: always
      sample: template
    name:
      description: What it is about.
      type: str
      returned: always
      sample: runpod-gpu-training
    action:
      description: One of V(create), V(change), V(delete), V(prove) and V(none).
      type: str
      returned: always
      sample: create
    reason:
      description: Why it is needed.
      type: str
      returned: always
      sample: does not exist
    before:
      description: What is, as far as it differs.
      type: raw
      returned: always
    after:
      description: What will be, as far as it differs. Secrets are masked.
      type: raw
      returned: always
needed:
  description: The kinds of the steps that are needed.
  type: list
  elements: str
  returned: success
  sample:
    - user
    - credential
    - proof
    - template
changes:
  description: The steps that are needed, in lines for the terminal.
  type: list
  elements: str
  returned: success
  sample:
    - + template runpod-gpu-training (does not exist)
summary:
  description: The workloads and tokens, in lines for the terminal.
  type: list
  elements: str
  returned: success
  sample:
    - "runpod-gpu-training: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1; the pull is proved"
result:
  description: The result C(runpod_ecr_result) of the role, as it will be. What is not known before has no id.
  type: dict
  returned: success
handover:
  description:
    - What the tasks of the role hand over to the modules of the steps. There is no secret in it.
  type: dict
  returned: success
check_mode:
  description: Whether it was asked for in check mode, after which the role takes no step.
  type: bool
  returned: success
"""

from ..module_utils._aws.module import AwsModule
from ..module_utils._aws.store_options import STORE_OPTIONS
from ..module_utils._core.module import execute
from ..module_utils._runpod.connection import ARGUMENTS
from ..module_utils._workload.options import OPTIONS
from ..module_utils._workload.planning import connect, run


def main() -> None:
    spec = {**ARGUMENTS, **OPTIONS, "secret_store": {"type": "dict", "options": STORE_OPTIONS, "no_log": False}}
    execute(AwsModule(argument_spec=spec, supports_check_mode=True), run, None, connect)


if __name__ == "__main__":
    main()
