# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: workload_results
short_description: Join what a run learned of each workload
description:
  - Joins the answers of M(gpuops.runpod.ecr_pull_check), M(gpuops.runpod.runpod_templates) and
    M(gpuops.runpod.runpod_endpoint) by image and by name.
author: The gpuops.runpod authors (@gpuops)
version_added: 0.1.0
positional: _input
options:
  _input:
    description: What P(gpuops.runpod.workloads#filter) returned.
    type: list
    elements: dict
    required: true
  source:
    description: The C(images) of the check whether they exist.
    type: list
    elements: dict
    required: true
  proof:
    description: The C(images) of the proof as the pull user; empty when nothing was proved.
    type: list
    elements: dict
    required: true
  templates:
    description: The C(templates) that were ensured.
    type: list
    elements: dict
    required: true
  endpoints:
    description: Each C(endpoint) that was ensured.
    type: list
    elements: dict
    default: []
  images:
    description: For an image the public one that is run, and was proved, in its place.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the result of a run that proved nothing
  ansible.builtin.debug:
    msg: "{{ items | gpuops.runpod.workload_results(source=[], proof=[], templates=[]) }}"
  vars:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    items: "{{ [{'image': image}] | gpuops.runpod.workloads }}"
"""

RETURN = r"""
_value:
  description:
    - For each workload C(name), C(image), C(digest), C(template_id), C(endpoint_id), C(public_image) and C(pullable).
      What is not known, or not there, is null.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import results


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"workload_results": results}
