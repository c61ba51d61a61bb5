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
  - Of a host that has not told yet what it claims, such as one of a later batch or beyond C(--limit), what its
    variables in the inventory say is taken.
author: The gpuops.runpod authors (@gpuops)
version_added: 1.0.0
positional: _input
options:
  _input:
    description: Names of the hosts of the fleet.
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - The variables of the hosts. Of each the variable C(__runpod_ecr_claimed) is looked at, and without it those
        of the role.
      - It has C(user) and C(role), the names of pull user and role or empty strings, C(account), the AWS account or an
        empty string, C(runpod), a text that tells accounts of RunPod apart, and the names of C(templates),
        C(endpoints) and C(credentials).
    type: dict
    required: true
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

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.fleet import (
    conflicts,
    expected_claims,
    identity,
    with_accounts,
)

# What of a host's variables tells what it will claim.
TELLING = (
    "access",
    "api",
    "aws",
    "credential_name",
    "endpoint",
    "image",
    "pull_identity",
    "role_name",
    "template",
    "user_name",
    "workloads",
)


def fleet_conflicts(hosts: list[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    reported = {host: claimed for host in hosts if (claimed := hostvars[host].get("__runpod_ecr_claimed"))}
    variables = {host: told_of(hostvars[host]) for host in hosts}
    expected = {
        host: {**claims, "runpod": account_of_runpod(variables[host])}
        for host in hosts
        if host not in reported and (claims := expected_claims(variables[host]))
    }
    identities = {host: identity(variables[host]) for host in hosts}
    found = conflicts(with_accounts(expected, reported, identities))
    return {host: found.get(host, []) for host in hosts}


def told_of(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of the role that can be known; one that hangs on a host's own run cannot."""
    known = {}
    for name in TELLING:
        try:
            known[name] = variables.get(f"runpod_ecr_{name}")
        except AnsibleError:
            continue
    return known


def account_of_runpod(variables: Mapping[str, Any]) -> str:
    """Return the same text as the role for accounts of RunPod that cannot be told apart."""
    options = variables.get("api") or {}
    return hashlib.sha256(f"{options.get('api_key', '')} {options.get('api_url', '')}".encode()).hexdigest()[:8]


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fleet_conflicts": fleet_conflicts}
