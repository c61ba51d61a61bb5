#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_ecr_preflight
short_description: Tell whether whoever runs this can let RunPod pull images from Amazon ECR
description:
  - Asks both clouds, before anything is written, whether this identity can do what a run of the role
    P(gpuops.runpod.runpod_ecr#role) does with these options. It answers in seconds, with one remedy for each thing that
    is missing.
  - "It looks at who this is and where, at each right on AWS, at what the RunPod API key may read, at the entry in the
    secret store, at the images in their regions, at skopeo where images are copied, at the clock, and at quotas."
  - Rights on AWS are told by C(iam:SimulatePrincipalPolicy) where that is allowed. Elsewhere harmless reads tell those
    to read, and those to write are V(unknown).
  - Nothing is ever written.
author: The gpuops.runpod authors (@gpuops)
version_added: 1.0.0
extends_documentation_fragment:
  - gpuops.runpod.workload
  - gpuops.runpod.workload.chain
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
      - What the run is for, as O(gpuops.runpod.runpod_ecr_plan#module:intent).
      - V(audit) is a run of the playbook C(gpuops.runpod.audit).
    type: str
    choices:
      - converge
      - refresh
      - rotate
      - quarantine
      - absent
      - audit
    default: converge
  retire_former_identity:
    description: As O(gpuops.runpod.runpod_ecr_plan#module:retire_former_identity).
    type: bool
    default: false
  public_force:
    description: Whether O(intent=absent) deletes the public repository with all its images.
    type: bool
    default: false
  events:
    description: Whether the audit asks CloudTrail, as O(gpuops.runpod.runpod_ecr_audit#module:events).
    type: dict
    suboptions:
      regions:
        description: Regions to ask.
        type: list
        elements: str
      hours:
        description: How far back to look.
        type: int
        default: 24
      limit:
        description: The most events.
        type: int
        default: 200
  modules:
    description:
      - Modules that are called beside the role and need rights of their own.
      - V(ecr_image_mirror) copies images to private repositories. V(ecr_pull_user_info) looks at many users at once,
        with its option C(path_prefix).
    type: list
    elements: str
    choices:
      - ecr_image_mirror
      - ecr_pull_user_info
    default: []
attributes:
  diff_mode:
    support: none
    description: Nothing is ever changed, so there is no difference to show.
notes:
  - The module reads only, and RV(ignore:changed) is always false.
  - RunPod tells only to who writes whether an API key may write, so this is V(unknown).
  - A simulation does not see service control policies that have conditions, policies of sessions, and those of
    repositories, secrets and keys. What no policy of the caller allows is tried where trying it only reads.
  - >-
    IAM actions, all of them optional, for what is not allowed is a check that says so. C(iam:SimulatePrincipalPolicy),
    C(iam:GetRole) and C(iam:GetAccountSummary) tell the most. Reads besides are C(iam:GetUser),
    C(iam:GetUserPolicy), C(iam:ListUserPolicies), C(iam:ListAttachedUserPolicies), C(iam:ListGroupsForUser),
    C(iam:ListAccessKeys), C(iam:GetRolePolicy), C(iam:ListRolePolicies), C(iam:ListAttachedRolePolicies),
    C(iam:ListInstanceProfilesForRole), C(sts:AssumeRole), C(iam:ListUsers), C(iam:GetPolicy), C(iam:GetPolicyVersion),
    C(iam:ListPolicyVersions), C(iam:GetAccountAuthorizationDetails), C(secretsmanager:DescribeSecret),
    C(secretsmanager:GetSecretValue),
    C(ssm:GetParameter), C(ssm:ListTagsForResource), C(ecr:GetAuthorizationToken), C(ecr:BatchGetImage),
    C(ecr:GetDownloadUrlForLayer), C(ecr:BatchCheckLayerAvailability), C(ecr:DescribeImages), C(ecr:GetLifecyclePolicy),
    C(ecr:GetRepositoryPolicy),
    C(ecr-public:GetAuthorizationToken), C(sts:GetServiceBearerToken), C(ecr-public:DescribeRegistries),
    C(ecr-public:DescribeRepositories), C(ecr-public:GetRepositoryCatalogData), C(ecr-public:ListTagsForResource),
    C(ecr-public:DescribeImages), C(ecr-public:BatchCheckLayerAvailability) and C(cloudtrail:LookupEvents).
seealso:
  - module: gpuops.runpod.runpod_ecr_plan
  - module: gpuops.runpod.runpod_ecr_audit
"""

EXAMPLES = r"""
- name: See whether this identity can let RunPod pull the image
  gpuops.runpod.runpod_ecr_preflight:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
  register: preflight

- name: Show what was looked at
  ansible.builtin.debug:
    msg: "{{ preflight.lines }}"

- name: Stop when something is missing
  ansible.builtin.assert:
    that: preflight.ready
    fail_msg: "{{ preflight.checks | selectattr('status', 'eq', 'missing') | map(attribute='remedy') | join(' ') }}"

- name: See whether the schedule may refresh tokens
  gpuops.runpod.runpod_ecr_preflight:
    intent: refresh
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
"""

RETURN = r"""
ready:
  description: Whether nothing is missing that the run cannot do without. What is unknown does not count.
  type: bool
  returned: success
  sample: true
checks:
  description: All that was looked at.
  type: list
  elements: dict
  returned: success
  contains:
    kind:
      description:
        - One of V(identity), V(right), V(store), V(region), V(scope), V(tool), V(clock) and V(quota).
      type: str
      returned: always
      sample: right
    name:
      description: What it is about. Of a right that is missing or unknown, the action.
      type: str
      returned: always
      sample: iam:CreateUser
    status:
      description: One of V(ok), V(missing) and V(unknown).
      type: str
      returned: always
      sample: missing
    text:
      description: What was found.
      type: str
      returned: always
      sample: "on arn:aws:iam::123456789012:user/runpod/runpod-ecr-access: no policy allows it"
    remedy:
      description: What to do about it. Empty when there is nothing to do.
      type: str
      returned: always
      sample: >-
        Allow iam:CreateUser on arn:aws:iam::123456789012:user/runpod/runpod-ecr-access for
        arn:aws:iam::123456789012:user/operator: statement OnlyWithBoundary of docs/policies/operator.json.
    required:
      description: Whether the run fails without it.
      type: bool
      returned: always
      sample: true
lines:
  description: The same as a table for the terminal, with a summary before it, and what is missing first.
  type: list
  elements: str
  returned: success
  sample:
    - "Ready to converge: 0 missing, 3 unknown, 14 ok"
"""

from ..module_utils._aws.module import AwsModule
from ..module_utils._aws.store_options import STORE_OPTIONS
from ..module_utils._core.module import execute
from ..module_utils._runpod.connection import ARGUMENTS
from ..module_utils._workload.planning import connect
from ..module_utils._workload.preflight import OPTIONS, run


def main() -> None:
    spec = {**ARGUMENTS, **OPTIONS, "secret_store": {"type": "dict", "options": STORE_OPTIONS, "no_log": False}}
    execute(AwsModule(argument_spec=spec, supports_check_mode=True), run, None, connect)


if __name__ == "__main__":
    main()
