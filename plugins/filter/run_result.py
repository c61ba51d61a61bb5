# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: run_result
short_description: Tell the result of a run of the role from its plan and its steps
description:
  - Joins what M(gpuops.runpod.runpod_ecr_plan) predicted with what the modules of the steps returned. What nobody can
    know before, such as the ids of things that were made and the ends of tokens, comes from the steps.
  - Nothing is asked again.
author: The gpuops.runpod authors (@gpuops)
version_added: 0.2.0
positional: _input
options:
  _input:
    description: What M(gpuops.runpod.runpod_ecr_plan) returned.
    type: dict
    required: true
  done:
    description:
      - What the modules of the steps returned, under the kinds of the steps (V(credential), V(delegation), V(template),
        V(endpoint), V(proof)). Other kinds, and those that did not run, need not be there.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the result of a run that had nothing to do
  ansible.builtin.debug:
    msg: "{{ (planned | gpuops.runpod.run_result({})).summary }}"
"""

RETURN = r"""
_value:
  description: C(result) as the role publishes it, and C(summary), the same in lines for the terminal.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.run_result import run_result


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"run_result": run_result}
