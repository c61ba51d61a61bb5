# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: workload_audit
short_description: Turn what was read of both clouds into chains from image to endpoint
description:
  - Joins the results of the modules that read, and of those that ran in check mode, into one chain for each workload,
    tells which link is broken and what mends it, and lists what belongs to nobody.
  - A read that failed is a finding on the links that hang on it.
author: The gpuops.runpod authors (@gpuops)
version_added: 0.1.0
positional: _input
options:
  _input:
    description: What P(gpuops.runpod.workloads#filter) returned.
    type: list
    elements: dict
    required: true
  reads:
    description:
      - The registered results, whether they failed or not, as far as the way of access has them.
      - C(images), M(gpuops.runpod.ecr_pull_check) as the caller. C(proof), the same as whoever pulls. C(user),
        M(gpuops.runpod.ecr_pull_user_info). C(trail), the same with O(gpuops.runpod.ecr_pull_user_info#module:events).
        C(user_foreseen), M(gpuops.runpod.ecr_pull_user) in check mode.
        C(policies), M(gpuops.runpod.ecr_pull_grant) in check mode. C(public), a loop of
        M(gpuops.runpod.ecr_public_repo) in check mode with the loop variable C(__runpod_ecr_public_name). C(mirror),
        M(gpuops.runpod.ecr_image_mirror) in check mode. C(account), M(gpuops.runpod.runpod_info).
        C(templates), M(gpuops.runpod.runpod_templates) in check mode. C(endpoints), a loop of
        M(gpuops.runpod.runpod_endpoint) in check mode with the loop variable C(__runpod_ecr_endpoint).
    type: dict
    required: true
  now:
    description: The time of the audit, such as V(2026-08-13T00:15:00Z).
    type: str
    required: true
  access:
    description: The way of access, C(credential), C(delegation) or C(public).
    type: str
    default: credential
  pull_identity:
    description: As whom RunPod pulls with C(credential), C(user) or C(caller).
    type: str
    default: user
  user:
    description: Name of the pull user, or the ARN of the caller in its place.
    type: str
    default: ""
  secret_store:
    description: Where the key of the pull user is.
    type: dict
    default: {}
  credentials:
    description: The name of the credential for each region.
    type: dict
    default: {}
  patterns:
    description: Regular expressions for the whole names of the credentials, for finding what another way has left.
    type: list
    elements: str
    default: []
  images:
    description: For an image the public one that is run in its place.
    type: dict
    default: {}
  purge:
    description: Whether the pull user is to have no other repositories.
    type: bool
    default: false
  rotate_after_days:
    description: Age in days at which a key is due.
    type: int
    default: 90
  roles:
    description: ARNs of the roles with which RunPod pulls, when they are not those of the module.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Look at the images
  gpuops.runpod.ecr_pull_check:
    images:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    identity: caller
    fail_when_denied: false
  register: looked_at

- name: Show whether they are there
  ansible.builtin.debug:
    msg: "{{ items | gpuops.runpod.workload_audit(reads, now='2026-08-13T00:15:00Z') }}"
  vars:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    items: "{{ [{'image': image}] | gpuops.runpod.workloads }}"
    reads:
      images: "{{ looked_at }}"
"""

RETURN = r"""
_value:
  description: What the entry point C(audit) of the role C(runpod_ecr) reports as C(runpod_ecr_audit).
  type: dict
"""

from collections.abc import Callable
from typing import Any


def workload_audit(
    items: list[dict[str, Any]], reads: dict[str, Any], now: str, patterns: list[str] | None = None, **asked: Any
) -> dict[str, Any]:
    # Not above: Ansible loads every filter of a collection for each task that uses one of them, and this one is large.
    from ansible_collections.gpuops.runpod.plugins.module_utils._core.time import parse_time
    from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit import DesiredState
    from ansible_collections.gpuops.runpod.plugins.module_utils._workload.report import audit

    defaults: dict[str, Any] = {
        "access": "credential",
        "pull_identity": "user",
        "user": "",
        "secret_store": {},
        "credentials": {},
        "images": {},
        "purge": False,
        "rotate_after_days": 90,
        "roles": None,
    }
    return audit(items, DesiredState(**{**defaults, **asked}), reads, parse_time(now), patterns or [])


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"workload_audit": workload_audit}
