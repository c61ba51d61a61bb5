#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_ecr_refresh
short_description: Keep the tokens fresh with which RunPod pulls images
description:
  - Renews at RunPod the tokens of all regions of these images, as far as they end soon or another key minted them. It
    is what a scheduler runs every few hours, in one process.
  - It takes the options that the role P(gpuops.runpod.runpod_ecr#role) has as variables, finds out itself which
    credentials those are, and answers with the role's result. For a single one there is
    M(gpuops.runpod.runpod_ecr_credential).
  - It needs the secret store, or with O(pull_identity=role) the right to assume the role, and RunPod only. IAM is not
    called, and the images are not looked at.
  - A region that fails does not keep the others from being renewed.
author: The gpuops.runpod authors (@gpuops)
version_added: 1.0.0
extends_documentation_fragment:
  - gpuops.runpod.workload
  - gpuops.runpod.workload.tokens
  - gpuops.runpod.runpod
  - gpuops.runpod.secret_store
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.both_groups
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
attributes:
  idempotent:
    support: partial
    details:
      - Without a pull user nothing tells how old a token is, so each run renews it.
notes:
  - "The RunPod API key needs to read and write registry credentials, and where one was replaced also templates,
    serverless endpoints and pods. Without a pull user it needs to read all of these, so that what is pulled with a
    credential already stays open."
  - >-
    IAM actions: C(secretsmanager:GetSecretValue), C(secretsmanager:DescribeSecret), C(secretsmanager:TagResource) and
    C(secretsmanager:UntagResource), or C(ssm:GetParameter), C(ssm:ListTagsForResource), C(ssm:AddTagsToResource) and
    C(ssm:RemoveTagsFromResource). With O(pull_identity=role) and with O(role_arn) none of these, but
    C(sts:AssumeRole), and with O(pull_identity=caller) alone C(ecr:GetAuthorizationToken).
seealso:
  - module: gpuops.runpod.runpod_ecr_credential
  - module: gpuops.runpod.runpod_ecr_plan
"""

EXAMPLES = r"""
- name: Ensure there is a pull user whose key is in the secret store
  gpuops.runpod.ecr_pull_user:
    name: runpod-ecr-access
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training
      - 123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/runpod-gpu-inference
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Keep the token fresh with which RunPod pulls an image
  gpuops.runpod.runpod_ecr_refresh:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1

- name: Keep those of two regions fresh, with less than eleven hours left
  gpuops.runpod.runpod_ecr_refresh:
    min_validity_hours: 11
    workloads:
      - image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
      - image: 123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/runpod-gpu-inference:v3
"""

RETURN = r"""
result:
  description: The result C(runpod_ecr_result) of the role, with the credentials and when their tokens end.
  type: dict
  returned: success
steps:
  description: A step for each region, as RV(gpuops.runpod.runpod_ecr_plan#module:steps).
  type: list
  elements: dict
  returned: success
needed:
  description: V(credential) in a list when a token was renewed, or has to be in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - credential
changes:
  description: What was renewed, and why, in lines for the terminal.
  type: list
  elements: str
  returned: success
  sample:
    - "~ credential runpod-pull-123456789012-us-east-1 (its token ends at 2026-01-01T12:00:00Z)"
summary:
  description: The tokens, in lines for the terminal.
  type: list
  elements: str
  returned: success
  sample:
    - "credential runpod-pull-123456789012-us-east-1: its token ends at 2026-01-02T00:00:00Z"
"""

from ..module_utils._aws.client import aws_client
from ..module_utils._aws.module import AwsModule
from ..module_utils._aws.store_options import STORE_OPTIONS
from ..module_utils._core.module import execute
from ..module_utils._runpod.connection import ARGUMENTS, runpod_client
from ..module_utils._runpod.credential_state import Clients
from ..module_utils._workload.refreshing import OPTIONS, run


def connect(module: AwsModule) -> Clients:
    return Clients(aws_client(module), runpod_client(module))


def main() -> None:
    spec = {**ARGUMENTS, **OPTIONS, "secret_store": {"type": "dict", "options": STORE_OPTIONS, "no_log": False}}
    execute(AwsModule(argument_spec=spec, supports_check_mode=True), run, None, connect)


if __name__ == "__main__":
    main()
