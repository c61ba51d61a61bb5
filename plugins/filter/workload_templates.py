# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: workload_templates
short_description: The templates of these workloads, as runpod_templates takes them
description:
  - With O(registries), each template gets the credential of its image's region, unless it names one itself.
  - Without, each is only named, to be removed.
author: The gpuops.runpod authors (@gpuops)
version_added: 0.1.0
positional: _input
options:
  _input:
    description: What P(gpuops.runpod.workloads#filter) returned.
    type: list
    elements: dict
    required: true
  registries:
    description:
      - The name or id of the credential for each region. A template in another region gets none.
      - When not set, the templates are to be absent.
    type: dict
  images:
    description: For an image the public one that the template runs in its place.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the template of a workload
  ansible.builtin.debug:
    msg: "{{ items | gpuops.runpod.workload_templates({'us-east-1': 'my-ecr-token'}) }}"
  vars:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    items: "{{ [{'image': image}] | gpuops.runpod.workloads }}"
"""

RETURN = r"""
_value:
  description: The value of O(gpuops.runpod.runpod_templates#module:templates).
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import templates


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"workload_templates": templates}
