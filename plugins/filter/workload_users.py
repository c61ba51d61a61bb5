# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: workload_users
short_description: Find what else needs the access of these workloads
description:
  - Looks through what M(gpuops.runpod.runpod_info) returned for templates, endpoints and pods whose image lies in one
    of the workloads' repositories, or that refer to one of their credentials.
  - The workloads' own templates and endpoints are left out.
author: The gpuops.runpod authors (@gpuops)
version_added: 0.1.0
positional: _input
options:
  _input:
    description: What P(gpuops.runpod.workloads#filter) returned.
    type: list
    elements: dict
    required: true
  held:
    description: The result of M(gpuops.runpod.runpod_info), all of it but the delegations.
    type: dict
    required: true
  registries:
    description: The name of the credential for each region.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show that nothing else runs the image in an empty account
  ansible.builtin.debug:
    msg: "{{ items | gpuops.runpod.workload_users(held=held, registries={'us-east-1': 'my-ecr-token'}) }}"
  vars:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    held:
      registries: []
      templates: []
      endpoints: []
      pods: []
    items: "{{ [{'image': image}] | gpuops.runpod.workloads }}"
"""

RETURN = r"""
_value:
  description:
    - Each user as C(kind), C(id), C(name), C(region), C(repository_arn) and C(reason), a sentence. What only refers to
      the credential has no repository_arn.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import users


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"workload_users": users}
