#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_ecr_audit
short_description: Tell why RunPod cannot pull images from Amazon ECR
description:
  - Looks at both clouds once, in one process, and judges what it found. For each workload it follows the chain from the
    image to the endpoint that runs it, and calls each link green, amber, grey or red, with the cause and what mends it.
  - It is red when the next pull of what is wished fails, amber when it will, or when what runs is not what is wished,
    and grey when nobody could look, or nothing can be proved from outside.
  - A read that fails is a finding, and hides nothing of the rest.
  - The pull is proved as the pull user, or anonymously with O(access=public). By delegation it cannot be proved.
  - Nothing is ever written, and nothing is waited for.
author: The gpuops.runpod authors (@gpuops)
version_added: 1.0.0
extends_documentation_fragment:
  - gpuops.runpod.workload
  - gpuops.runpod.workload.chain
  - gpuops.runpod.runpod
  - gpuops.runpod.secret_store
  - gpuops.runpod.token_sink.audited
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.both_groups
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
options:
  arguments:
    description:
      - What C(ansible-playbook) was called with and needs again, such as the file of variables, for remedies that run a
        playbook. Filled in by the action of this module; what is given in a task counts before that.
    type: list
    elements: str
    version_added: 1.0.0
  events:
    description:
      - Whether and how to look up in AWS CloudTrail what the pull user pulled, which dates a refusal. When not set, it
        is not looked up. An empty dictionary takes the defaults.
    type: dict
    suboptions:
      regions:
        description: Regions to look in. When not set, those of the images.
        type: list
        elements: str
      hours:
        description: How many hours to look back, at most 2160, which is 90 days.
        type: int
        default: 24
      limit:
        description: How many events to read at most for a key in a region, the newest first.
        type: int
        default: 200
attributes:
  diff_mode:
    support: none
    description: Nothing is ever changed, so there is no difference to show.
notes:
  - "The RunPod API key needs to read registry credentials, templates, serverless endpoints and pods. What it may not
    read is told."
  - >-
    Of an endpoint with workers that are unhealthy, or that do not start, the last lines that RunPod's host logged are
    quoted. What the container prints is not read, for it may hold secrets.
  - >-
    Who changed an endpoint last, when and of what, is told by its newest release. RunPod's own audit log is not read:
    the API's reference lists one, but its OpenAPI document tells neither the path nor the fields of it.
  - >-
    IAM actions for O(access=credential): C(iam:GetUser), C(iam:GetUserPolicy), C(iam:ListUserPolicies),
    C(iam:ListAttachedUserPolicies), C(iam:ListGroupsForUser), C(iam:GetPolicy), C(iam:GetPolicyVersion),
    C(iam:ListAccessKeys), C(iam:GetAccessKeyLastUsed), C(secretsmanager:GetSecretValue),
    C(secretsmanager:DescribeSecret), or C(ssm:GetParameter) and C(ssm:ListTagsForResource), C(ecr:BatchGetImage) and
    C(ecr:GetDownloadUrlForLayer) for what the pull user cannot pull, and C(cloudtrail:LookupEvents) with O(events).
  - >-
    IAM actions with O(pull_identity=role): C(iam:GetRole), C(iam:GetRolePolicy), C(iam:ListRolePolicies),
    C(iam:ListAttachedRolePolicies), and C(sts:AssumeRole), as with O(role_arn).
  - >-
    IAM actions that tell of a pull user or role that a move to another O(pull_identity) has left: C(iam:GetUser) and
    C(iam:GetRole). Without them it is not told.
  - >-
    IAM actions for every way of access: C(ecr:BatchCheckLayerAvailability), C(ecr:GetLifecyclePolicy) and, where there
    is one, C(ecr:DescribeImages). What may not be looked at is told, and is not taken for a fault.
  - >-
    IAM actions for O(access=delegation): C(ecr:GetRepositoryPolicy), C(ecr:BatchGetImage) and
    C(ecr:GetDownloadUrlForLayer).
  - >-
    IAM actions for O(access=public): C(ecr:GetAuthorizationToken), C(ecr:BatchGetImage),
    C(ecr:GetDownloadUrlForLayer), C(ecr-public:GetAuthorizationToken), C(ecr-public:DescribeRegistries),
    C(ecr-public:DescribeRepositories), C(ecr-public:GetRepositoryCatalogData), C(ecr-public:ListTagsForResource) and
    C(sts:GetServiceBearerToken).
seealso:
  - module: gpuops.runpod.runpod_ecr_plan
  - module: gpuops.runpod.ecr_pull_user_info
  - module: gpuops.runpod.ecr_pull_check
  - module: gpuops.runpod.runpod_info
"""

EXAMPLES = r"""
- name: Look whether RunPod can pull this image
  gpuops.runpod.runpod_ecr_audit:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
  register: looked

- name: Show what is wrong, and what mends it
  ansible.builtin.debug:
    msg: "{{ looked.audit.answer }}"

- name: Learn since when AWS refuses the pull user
  gpuops.runpod.runpod_ecr_audit:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    events:
      hours: 48
"""

RETURN = r"""
audit:
  description: What the entry point C(audit) of the role C(runpod_ecr) reports. There is no secret in it.
  type: dict
  returned: success
  contains:
    generated_at:
      description: When it was looked, in UTC.
      type: str
      returned: always
      sample: "2026-08-13T12:00:00Z"
    identity:
      description: The ARN of whoever looked, if AWS told it.
      type: str
      returned: always
      sample: arn:aws:iam::123456789012:user/operator
    access:
      description: The way of access.
      type: str
      returned: always
      sample: credential
    user:
      description: Name of the pull user, where one pulls.
      type: str
      returned: always
      sample: runpod-ecr-access
    status:
      description:
        - The worst of all findings and workloads.
        - V(red) when the next pull of something in use fails, V(amber) when it will, or when what runs is not what is
          wished, and works. V(grey) when something could not be looked at, V(unproven) when nothing is wrong as far as
          it can be seen from outside, and V(green) when all pulls are proved.
      type: str
      returned: always
      sample: green
    answer:
      description: What is wrong in sentences, the worst first, and what is not proved.
      type: list
      elements: str
      returned: always
      sample:
        - Nothing that was looked at keeps RunPod from pulling these images.
    since:
      description: Since when the earliest of it is so, as far as that is known.
      type: str
      returned: always
      sample: "2026-08-13T11:00:00Z"
    rank:
      description: The place of the status from the worst, 0 for V(red), to sort hosts by.
      type: int
      returned: always
      sample: 4
    summary:
      description: How many workloads are of which colour, and how many findings and orphans there are.
      type: dict
      returned: always
      sample: {amber: 0, findings: 0, green: 1, grey: 0, orphans: 0, red: 0, unproven: 0, workloads: 1}
    findings:
      description:
        - What is wrong, each with C(number), C(status), C(severity), C(code), C(cause), C(remedy), C(raw), C(since),
          C(links) and C(workloads).
      type: list
      elements: dict
      returned: always
    workloads:
      description:
        - The workloads with C(name), C(image), C(status), C(proof) and C(links). C(proof) tells whether the pull was
          C(proved) and C(how), or C(since) when it is not, and what C(would_prove) it.
        - A link has each with C(kind), C(name), C(status), C(detail), C(facts) and the numbers of its C(findings).
      type: list
      elements: dict
      returned: always
    orphans:
      description: What belongs to nobody, each with C(kind), C(id), C(name), C(cause) and C(remedy).
      type: list
      elements: dict
      returned: always
    neighbours:
      description:
        - What others run from the same repositories, by the credential or the delegation that serves it, each with
          C(owner), C(id) and C(serves).
      type: list
      elements: dict
      returned: always
    timeline:
      description: Access keys and tokens from their beginning to their end.
      type: list
      elements: dict
      returned: always
handover:
  description: What the tasks of the role hand over to others. There is no secret in it.
  type: dict
  returned: success
"""

from functools import partial

from ..module_utils._aws.module import AwsModule
from ..module_utils._aws.store_options import STORE_OPTIONS
from ..module_utils._core.module import execute
from ..module_utils._runpod.connection import ARGUMENTS
from ..module_utils._sink.targets import ITEMS, connected
from ..module_utils._workload.auditing import OPTIONS, run
from ..module_utils._workload.look import Clients
from ..module_utils._workload.planning import connect


def connect_all(module: AwsModule) -> Clients:
    return connect(module)._replace(connect_sink=partial(connected, module))


def main() -> None:
    store = {"type": "dict", "options": STORE_OPTIONS, "no_log": False}
    spec = {**ARGUMENTS, **OPTIONS, "secret_store": store, "token_sinks": ITEMS}
    execute(AwsModule(argument_spec=spec, supports_check_mode=True), run, None, connect_all)


if __name__ == "__main__":
    main()
