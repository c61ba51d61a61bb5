#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_info
short_description: Read what a RunPod account holds
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Reads templates, registry credentials, delegations, serverless endpoints and pods, with one request for each kind,
    and tells which of them refer to which credential or delegated repository, and what is wrong.
  - Changes nothing. RunPod shows neither the user nor the password of a credential, nor how old it is.
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.runpod_group
attributes:
  diff_mode:
    support: none
    description: Nothing is ever changed, so there is no difference to show.
options:
  gather:
    description:
      - What to read. RV(references) needs V(registries), V(templates), V(endpoints) and V(pods), and tells of
        delegated repositories with V(delegations). RV(findings) are those that what was read tells.
    type: list
    elements: str
    choices:
      - templates
      - registries
      - delegations
      - endpoints
      - pods
    default:
      - templates
      - registries
      - delegations
      - endpoints
      - pods
  credential_expiry:
    description:
      - Until when the tokens in the account's registry credentials work, as id of the credential and a timestamp with
        its zone, such as V(2026-08-13T00:15:00Z). RunPod does not tell this, but the secret store of the pull user
        does, as RV(gpuops.runpod.ecr_pull_user_info#module:users[].secret_store.tokens).
      - When set, RV(findings) tell of tokens that have expired or soon will, and of credentials used for ECR that are
        not in it. With V({}) these are all of them. Ids that the account does not hold are passed over.
    type: dict
notes:
  - Names are those of RunPod's API in snake_case. The values of C(env) are masked by key.
  - Pods that belong to a cluster are among the pods. A pod that is terminated uses nothing, and nothing is said of it.
  - The API key must be allowed to read what O(gather) names.
seealso:
  - module: gpuops.runpod.ecr_pull_user_info
  - module: gpuops.runpod.runpod_ecr_credential
  - module: gpuops.runpod.runpod_ecr_delegation
  - module: gpuops.runpod.runpod_template
  - module: gpuops.runpod.runpod_templates
"""

EXAMPLES = r"""
- name: Read all that the account holds
  gpuops.runpod.runpod_info:
  register: account

- name: Show what refers to each credential and each delegated repository
  ansible.builtin.debug:
    var: account.references

- name: Fail when something cannot pull its image any more
  ansible.builtin.assert:
    that: account.findings | selectattr('severity', 'eq', 'error') | length == 0

- name: Read the templates only
  gpuops.runpod.runpod_info:
    gather:
      - templates

- name: Ensure there are pull users to ask
  gpuops.runpod.ecr_pull_user:
    name: runpod-ecr-access
    repositories:
      - runpod-gpu-training

- name: Learn from the secret store until when the tokens at RunPod work
  gpuops.runpod.ecr_pull_user_info:
    path_prefix: /runpod/
    secret_store: {}
  register: audit

- name: Tell which tokens have expired, or soon will, or are unknown
  gpuops.runpod.runpod_info:
    credential_expiry: >-
      {{ audit.users | map(attribute='secret_store.tokens') | flatten
      | items2dict(key_name='registry_id', value_name='expires_at') }}
"""

RETURN = r"""
templates:
  description: The account's templates, by name.
  type: list
  elements: dict
  returned: when O(gather) names them
  contains:
    id:
      description: Id of the template.
      type: str
      returned: always
      sample: 30zmvf89kd
    name:
      description: Name of the template.
      type: str
      returned: always
      sample: runpod-gpu-training
    image:
      description: Image that it runs.
      type: str
      returned: always
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    args:
      description: Arguments of the entry point.
      type: str
      returned: always
      sample: ""
    disk:
      description: Size of the container's disk in GB.
      type: int
      returned: always
      sample: 50
    env:
      description: Environment variables by name; the values are masked.
      type: dict
      returned: always
      sample:
        LOG_LEVEL: "********"
    ports:
      description: Exposed ports.
      type: list
      elements: str
      returned: always
      sample:
        - 8888/http
    registry:
      description: Id of the registry credential, or null.
      type: str
      returned: always
      sample: clzdaifot0001l90809257ynb
    persistent_mount:
      description: Storage on the host, as C(size) in GB and C(path), or null.
      type: dict
      returned: always
      sample:
        size: 20
        path: /workspace
    serverless:
      description: Whether it is for serverless workers.
      type: bool
      returned: always
      sample: true
    public:
      description: Whether other users see it.
      type: bool
      returned: always
      sample: false
    category:
      description: Under which hardware the console lists it.
      type: str
      returned: always
      sample: NVIDIA
    start_ssh:
      description: Whether pods get SSH access.
      type: bool
      returned: always
      sample: true
    start_jupyter:
      description: Whether pods start JupyterLab.
      type: bool
      returned: always
      sample: true
    allowed_cuda_versions:
      description: CUDA versions that are accepted; empty means any.
      type: list
      elements: str
      returned: always
      sample: []
registries:
  description: The registry credentials, by name.
  type: list
  elements: dict
  returned: when O(gather) names them
  contains:
    id:
      description: Id of the credential.
      type: str
      returned: always
      sample: clzdaifot0001l90809257ynb
    name:
      description: Name of the credential.
      type: str
      returned: always
      sample: runpod-ecr-access-123456789012-us-east-1
delegations:
  description: The delegations of ECR repositories, by repository.
  type: list
  elements: dict
  returned: when O(gather) names them
  contains:
    id:
      description: Id of the delegation.
      type: str
      returned: always
      sample: deleg_abc123
    name:
      description: Its name, or null.
      type: str
      returned: always
      sample: training
    aws_user:
      description: The AWS account that the repository lies in.
      type: str
      returned: always
      sample: "123456789012"
    aws_region:
      description: The AWS region that the repository lies in.
      type: str
      returned: always
      sample: us-east-1
    repository:
      description: Name of the repository.
      type: str
      returned: always
      sample: runpod-gpu-training
    repository_arn:
      description: ARN of the repository.
      type: str
      returned: always
      sample: arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training
    tag:
      description: The tag it was made with. RunPod does not look at it when an image is pulled.
      type: str
      returned: always
      sample: v1
    delegator_user_id:
      description: Id of the RunPod user who made it.
      type: str
      returned: always
      sample: user_xyz
    docker_registry_uri:
      description: Host of the registry.
      type: str
      returned: when RunPod tells it
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com
    created_at:
      description: When it was made.
      type: str
      returned: always
      sample: "2026-03-13T20:00:00Z"
endpoints:
  description: The serverless endpoints, by name, with all that RunPod tells of them.
  type: list
  elements: dict
  returned: when O(gather) names them
  contains:
    id:
      description: Its id.
      type: str
      returned: always
      sample: ep_abc123
    name:
      description: Its name, which others may have too.
      type: str
      returned: always
      sample: inference
    image:
      description: Image that it runs.
      type: str
      returned: always
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-inference:v1
    registry:
      description: Id of its registry credential, or null.
      type: str
      returned: always
      sample: clzdaifot0001l90809257ynb
    env:
      description: Environment variables by name; the values are masked.
      type: dict
      returned: always
      sample:
        LOG_LEVEL: "********"
pods:
  description: The pods, by name, with all that RunPod tells of them.
  type: list
  elements: dict
  returned: when O(gather) names them
  contains:
    id:
      description: Its id.
      type: str
      returned: always
      sample: pod_abc123
    name:
      description: Its name, which others may have too.
      type: str
      returned: always
      sample: notebook
    image:
      description: Image that it runs.
      type: str
      returned: always
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-inference:v1
    registry:
      description: Id of its registry credential, or null.
      type: str
      returned: always
      sample: clzdaifot0001l90809257ynb
    env:
      description: Environment variables by name; the values are masked.
      type: dict
      returned: always
      sample:
        LOG_LEVEL: "********"
references:
  description:
    - For the id of each registry credential, what refers to it, and for the ARN of each delegated repository, what runs
      an image of it. Null when O(gather) leaves out what that takes.
    - An id that something refers to though no credential has it is here too, with a C(name) of null. A pod that is
      terminated refers to nothing.
    - Each entry has a C(kind), V(registry) or V(delegation), the C(name) of the credential or repository, the C(ids) of
      the credential or of the repository's delegations, and C(templates), C(endpoints) and C(pods) as lists of C(id)
      and C(name).
  type: dict
  returned: always
  sample:
    clzdaifot0001l90809257ynb:
      kind: registry
      name: runpod-ecr-access-123456789012-us-east-1
      ids:
        - clzdaifot0001l90809257ynb
      templates:
        - id: 30zmvf89kd
          name: runpod-gpu-training
      endpoints: []
      pods: []
    arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training:
      kind: delegation
      name: runpod-gpu-training
      ids:
        - deleg_abc123
      templates:
        - id: 30zmvf89kd
          name: runpod-gpu-training
      endpoints: []
      pods: []
findings:
  description: What is wrong, the worst first, as far as what O(gather) names tells.
  type: list
  elements: dict
  returned: always
  contains:
    kind:
      description: What it is about, one of V(template), V(endpoint), V(pod), V(registry) and V(delegation).
      type: str
      returned: always
      sample: template
    id:
      description: Its id.
      type: str
      returned: always
      sample: 30zmvf89kd
    name:
      description: Its name; of a delegation that of the repository.
      type: str
      returned: always
      sample: runpod-gpu-training
    code:
      description:
        - What it is, for programs.
        - V(credential_gone), it refers to a credential that is not there any more. V(access_missing), it runs an image
          from a private ECR repository with neither a credential nor a delegation, which is also what remains after
          RunPod took a deleted credential away. V(credential_unused) and V(delegation_unused), nothing needs it.
        - With O(credential_expiry) also V(token_expired), V(token_ends_soon) within four hours, and V(token_unknown).
      type: str
      returned: always
      sample: access_missing
    severity:
      description: V(error) for what keeps images from being pulled, V(warning) for what soon may, or V(info).
      type: str
      returned: always
      sample: error
    cause:
      description: What is wrong.
      type: str
      returned: always
      sample: >-
        The template runpod-gpu-training runs 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1 from a
        private ECR repository with neither a credential nor a delegation.
    remedy:
      description: What mends it, commands where there are some. Words in capitals stand for what is yours to name.
      type: str
      returned: always
      sample: >-
        ansible localhost -m gpuops.runpod.runpod_template -a '{"name": "runpod-gpu-training", "registry": "NAME"}'
"""


from ..module_utils._core.module import CollectionModule, execute
from ..module_utils._runpod.account import KINDS, run
from ..module_utils._runpod.connection import ARGUMENTS, runpod_client


def main() -> None:
    spec = {
        **ARGUMENTS,
        "gather": {"type": "list", "elements": "str", "choices": list(KINDS), "default": list(KINDS)},
        "credential_expiry": {"type": "dict"},
    }
    execute(CollectionModule(spec, supports_check_mode=True), run, None, runpod_client)


if __name__ == "__main__":
    main()
