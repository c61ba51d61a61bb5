# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: workloads
short_description: Complete and check a list of workloads
description:
  - Takes each image URI apart, merges template and endpoint over the defaults, and names both.
  - Everything wrong with the list is reported at once, before a play changes anything.
author: The gpuops.runpod authors (@gpuops)
version_added: 0.1.0
positional: _input
options:
  _input:
    description:
      - List of dictionaries with C(image), the URI of an image in a private ECR repository with a tag or a digest,
        C(template), options of M(gpuops.runpod.runpod_template), and C(endpoint), options of
        M(gpuops.runpod.runpod_endpoint).
    type: list
    elements: dict
    required: true
  template:
    description: Default options of every template. Its C(env) is merged key by key.
    type: dict
    default: {}
  endpoint:
    description:
      - Default options of every endpoint. Its C(env) is merged key by key.
      - When it is empty, a workload without an C(endpoint) of its own gets none.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what a workload amounts to
  ansible.builtin.debug:
    msg: "{{ [{'image': image}] | gpuops.runpod.workloads(template={'serverless': true}) }}"
  vars:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
"""

RETURN = r"""
_value:
  description:
    - For each workload the C(name) of its template, C(image), C(region), C(repository), C(repository_arn), the complete
      C(template), and the complete C(endpoint) or null.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import workloads as complete


def workloads(
    given: list[Any], template: dict[str, Any] | None = None, endpoint: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    try:
        return complete(given, template or {}, endpoint)
    except InputError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"workloads": workloads}
