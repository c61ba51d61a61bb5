# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: workload_leftovers
short_description: Find what another way of access has left at RunPod
description:
  - After the way of access to the workloads' images was changed, the way before is still in place. This tells of its
    registry credentials and delegations, and how to remove them.
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
    description: The result of M(gpuops.runpod.runpod_info), with registries and delegations.
    type: dict
    required: true
  access:
    description: The way of access in use, C(credential), C(delegation) or C(public).
    type: str
    required: true
  credentials:
    description: Regular expressions for the whole names of the credentials, without the C(-alt) of an alternate.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show that nothing is left in an empty account
  ansible.builtin.debug:
    msg: "{{ items | gpuops.runpod.workload_leftovers(held=held, access='delegation', credentials=['my-ecr-token']) }}"
  vars:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    held:
      registries: []
      delegations: []
    items: "{{ [{'image': image}] | gpuops.runpod.workloads }}"
"""

RETURN = r"""
_value:
  description: A sentence for each thing that is left.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import leftovers


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"workload_leftovers": leftovers}
