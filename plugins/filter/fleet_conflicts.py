# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_conflicts
short_description: Find what hosts of a play have in common that they must not
description:
  - Tells which hosts would change the same pull user, or a template, endpoint or credential of one name at RunPod, and
    so undo each other's work.
  - A host that has not told yet what it claims, such as one of a later batch, is not looked at.
author: The gpuops.runpod authors (@gpuops)
version_added: 1.0.0
positional: _input
options:
  _input:
    description: Names of the hosts of the play.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of the hosts.
    type: dict
    required: true
  look:
    description:
      - Name of the variable in which each host registered what M(gpuops.runpod.runpod_ecr_plan) or
        M(gpuops.runpod.runpod_ecr_audit) returned. Its C(handover.claims) is what the host claims.
    type: str
    default: __runpod_ecr_plan
"""

EXAMPLES = r"""
- name: Show that nothing is claimed yet
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | gpuops.runpod.fleet_conflicts(hostvars) }}"
"""

RETURN = r"""
_value:
  description: For each host the sentences that say what it has in common with which others, and what to do about it.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.fleet import conflicts


def fleet_conflicts(
    hosts: list[str], hostvars: Mapping[str, Mapping[str, Any]], look: str = "__runpod_ecr_plan"
) -> dict[str, list[str]]:
    reported = {host: hostvars[host].get(look, {}).get("handover", {}).get("claims") for host in hosts}
    found = conflicts({host: claimed for host, claimed in reported.items() if claimed})
    return {host: found.get(host, []) for host in hosts}


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fleet_conflicts": fleet_conflicts}
