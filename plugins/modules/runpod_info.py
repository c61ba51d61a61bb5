#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_info
short_description: Read what a RunPod account holds
version_added: 0.1.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Reads templates, registry credentials, delegations, serverless endpoints and pods, with one request for each kind,
    and tells which of them refer to which credential.
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
      - What to read. RV(references) needs V(registries), V(templates), V(endpoints) and V(pods).
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
notes:
  - Names are those of RunPod's API in snake_case. The values of C(env) are masked by key.
  - Pods that belong to a cluster are among the pods.
  - The API key must be allowed to read what O(gather) names.
seealso:
  - module: gpuops.runpod.runpod_template
  - module: gpuops.runpod.runpod_templates
"""

EXAMPLES = r"""
- name: Read all that the account holds
  gpuops.runpod.runpod_info:
  register: account

- name: Show what refers to each credential
  ansible.builtin.debug:
    var: account.references

- name: Read the templates only
  gpuops.runpod.runpod_info:
    gather:
      - templates
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
      returned: when RunPod tells it
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
    - For the id of each registry credential, what refers to it. Null when O(gather) leaves out what that takes.
    - An id that something refers to though no credential has it is here too, with a C(name) of null. A pod that is
      terminated refers to nothing.
    - Each entry has the C(name) of the credential, and C(templates), C(endpoints) and C(pods) as lists of C(id) and
      C(name).
  type: dict
  returned: always
  sample:
    clzdaifot0001l90809257ynb:
      name: runpod-ecr-access-123456789012-us-east-1
      templates:
        - id: 30zmvf89kd
          name: runpod-gpu-training
      endpoints: []
      pods: []
"""

from collections.abc import Mapping

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._client import Client
from ..module_utils._errors import Json
from ..module_utils._masking import shown
from ..module_utils._runpod import ARGUMENTS, execute
from ..module_utils._state import Outcome
from ..module_utils._template import result

# Kind -> path, key of the answer, field to sort by.
KINDS = {
    "templates": ("/templates", "templates", "name"),
    "registries": ("/registries", "registries", "name"),
    "delegations": ("/registries/delegations", "delegations", "repository"),
    "endpoints": ("/serverless", "endpoints", "name"),
    "pods": ("/pods?includeClusterPods=true", "pods", "name"),
}
USERS = ("templates", "endpoints", "pods")  # what can refer to a credential


def run(params: Json, check_mode: bool, client: Client) -> Outcome:
    held = {kind: listed(client, kind) for kind in KINDS if kind in params["gather"]}
    results = {
        kind: [result(thing) if kind == "templates" else shown(thing) for thing in things]
        for kind, things in held.items()
    }
    return Outcome(False, None, None, {**results, "references": references(held)})


def listed(client: Client, kind: str) -> list[Json]:
    """Return what the account holds of a kind, in a stable order."""
    path, key, field = KINDS[kind]
    return sorted(client.items(path, key), key=lambda thing: (thing[field], thing["id"]))


def references(held: Mapping[str, list[Json]]) -> Json | None:
    """Return who refers to which registry credential, or None when not all of that was read."""
    if not {"registries", *USERS} <= set(held):
        return None
    names: Json = {registry["id"]: registry["name"] for registry in held["registries"]}
    used = {
        kind: [thing for thing in held[kind] if thing["registry"] and thing.get("status") != "TERMINATED"]
        for kind in USERS
    }
    ids = [*names, *sorted({thing["registry"] for things in used.values() for thing in things} - set(names))]
    return {
        key: {
            "name": names.get(key),
            **{
                kind: [{"id": thing["id"], "name": thing["name"]} for thing in things if thing["registry"] == key]
                for kind, things in used.items()
            },
        }
        for key in ids
    }


def main() -> None:
    gather = {"type": "list", "elements": "str", "choices": list(KINDS), "default": list(KINDS)}
    execute(AnsibleModule({**ARGUMENTS, "gather": gather}, supports_check_mode=True), run, None)


if __name__ == "__main__":
    main()
