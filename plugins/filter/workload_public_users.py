# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: workload_public_users
short_description: Find what else runs images of public repositories
description:
  - Looks through what M(gpuops.runpod.runpod_info) returned for templates, endpoints and pods whose image lies in one
    of these repositories of ECR Public.
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
    description: The result of M(gpuops.runpod.runpod_info), with templates, endpoints and pods.
    type: dict
    required: true
  uris:
    description: The URIs of the public repositories.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show that nothing else runs the image in an empty account
  ansible.builtin.debug:
    msg: "{{ items | gpuops.runpod.workload_public_users(held, ['public.ecr.aws/a1b2c3d4/runpod-gpu-training']) }}"
  vars:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    held:
      templates: []
      endpoints: []
      pods: []
    items: "{{ [{'image': image}] | gpuops.runpod.workloads }}"
"""

RETURN = r"""
_value:
  description: Each user as C(uri), that of the repository, and C(reason), a sentence.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import public_users


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"workload_public_users": public_users}
