#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Ansible runs the action plugin of this name instead, on the controller; this one is for whatever runs modules alone.

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_ecr_result
short_description: Tell the result of a run from its plan and its steps
version_added: 1.0.0
description:
  - Joins what M(gpuops.runpod.runpod_ecr_plan) predicted with what the modules of its steps returned. What nobody can
    know before, such as the ids of things that were made and the ends of tokens, comes from the steps.
  - It runs on the controller and asks no cloud. The role uses it after its last step.
author: The gpuops.runpod authors (@gpuops)
requirements:
  - python >= 3.10
extends_documentation_fragment:
  - gpuops.runpod.attributes
options:
  plan:
    description: What M(gpuops.runpod.runpod_ecr_plan) returned.
    type: dict
    required: true
  done:
    description:
      - What the modules of the steps returned, under the kinds of the steps, which are V(credential), V(delegation),
        V(template), V(endpoint) and V(proof). Steps that did not run, and other kinds, need not be there.
    type: dict
    default: {}
attributes:
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Plan
  gpuops.runpod.runpod_ecr_plan:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
  register: planned

- name: Ensure the pull user can pull it
  gpuops.runpod.ecr_pull_user:
    name: "{{ planned.result.user }}"
    repositories: "{{ planned.handover.repositories }}"
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure RunPod holds a fresh token
  gpuops.runpod.runpod_ecr_credential:
    images: "{{ planned.handover.images }}"
    user: "{{ planned.result.user }}"
    secret_store:
      name: runpod-ecr/runpod-ecr-access
  register: token

- name: Tell what is there now
  gpuops.runpod.runpod_ecr_result:
    plan: "{{ planned }}"
    done:
      credential: "{{ token }}"
  register: outcome
"""

RETURN = r"""
result:
  description: As the role publishes it in C(runpod_ecr_result).
  returned: success
  type: dict
  sample:
    access: credential
    user: runpod-ecr-access
    workloads: []
    credentials: []
    delegations: []
    rotation_due: false
    warnings: []
summary:
  description: The same in lines for the terminal.
  returned: success
  type: list
  elements: str
  sample:
    - "= credential runpod-ecr-access-123456789012-us-east-1: token ends 2026-08-13T00:15:00Z"
changes:
  description: What O(plan) said that the run changes, in lines.
  returned: success
  type: list
  elements: str
  sample:
    - "+ template runpod-gpu-training"
handover:
  description: As in O(plan).
  returned: success
  type: dict
needed:
  description: As in O(plan).
  returned: success
  type: list
  elements: str
  sample:
    - template
steps:
  description: As in O(plan).
  returned: success
  type: list
  elements: dict
  sample: []
"""

from typing import Any

from ..module_utils._core.errors import Json
from ..module_utils._core.module import CollectionModule, execute
from ..module_utils._core.result import Result
from ..module_utils._workload.run_result import OPTIONS, run_result


def run(params: Json, dummy_check_mode: bool, dummy_client: Any) -> Result:
    return Result(False, None, None, run_result(params["plan"], params["done"]))


def main() -> None:
    execute(CollectionModule(OPTIONS, supports_check_mode=True), run, None, lambda module: None)


if __name__ == "__main__":
    main()
