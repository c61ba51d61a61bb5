#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_registry
short_description: Manage a registry credential on RunPod
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Creates, rewrites or deletes the registry credential called O(name), with which templates, serverless endpoints and
    pods pull private images. It can be for any registry.
  - For Amazon ECR, whose passwords end after twelve hours, use M(gpuops.runpod.runpod_ecr_credential).
  - An existing credential is written in place and keeps its id, so that nothing that refers to it changes.
  - Where RunPod does not offer that, the credential is replaced. It is called in turns O(name) and O(name) with C(-alt)
    at its end, and both mean the same wherever a module of this collection takes the name of a credential. The other
    one is made with the new password, all templates and serverless endpoints that refer to the former one are made to
    refer to it, and then the former one is deleted. Each endpoint rolls out a release for that, which is a warning.
    The id changes, so refer to the credential by its name.
  - Pods are never changed. A credential that a pod refers to stays behind, which is a warning, until a run with
    O(update_password=always) can delete it. As long as it stays, RunPod has no free name for the next replacement, and
    that fails.
  - With O(state=absent), a credential that a template, an endpoint or a pod still refers to stays, because RunPod would
    silently take it away from templates. The same goes for its alternate.
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.runpod_group
options:
  name:
    description:
      - Name of the registry credential. Two with this name are an error, and it cannot end in C(-alt).
      - The name is the ownership. A credential of this name is written, whoever made it, and one with C(-alt) at its
        end counts as its alternate and is replaced or deleted.
    type: str
    required: true
  username:
    description: User of the registry, up to 191 characters. Required with O(state=present).
    type: str
  password:
    description:
      - Password or token of that user, up to 16384 characters. Required with O(state=present).
      - RunPod never shows it, so it cannot be compared.
    type: str
  update_password:
    description:
      - V(always) writes user and password in each run, and reports a change.
      - V(on_create) leaves an existing credential alone, whatever it holds. Prefer it where RunPod does not write in
        place, because otherwise each run replaces the credential.
    type: str
    choices:
      - always
      - on_create
    default: always
  state:
    description: Whether the credential exists.
    type: str
    choices:
      - present
      - absent
    default: present
attributes:
  idempotent:
    description: A second run with the same options changes nothing.
    support: partial
    details:
      - RunPod shows neither user nor password, so with O(update_password=always) each run writes them and reports a
        change.
notes:
  - The API key needs to read and write registry credentials (C(secrets:write)). With O(state=absent) it also needs to
    read templates, serverless endpoints and pods, and where a credential is replaced instead of written in place, to
    write templates and serverless endpoints too.
  - Check mode predicts a write in place, because only the write itself shows whether RunPod offers it.
seealso:
  - module: gpuops.runpod.runpod_ecr_credential
  - module: gpuops.runpod.runpod_template
  - module: gpuops.runpod.runpod_info
"""

EXAMPLES = r"""
- name: Ensure RunPod can pull from the team's registry with this token
  gpuops.runpod.runpod_registry:
    name: team-registry
    username: puller
    password: "{{ team_registry_token }}"

- name: Ensure there is a credential, and leave an existing one as it is
  gpuops.runpod.runpod_registry:
    name: team-registry
    username: puller
    password: "{{ team_registry_token }}"
    update_password: on_create

- name: Ensure a credential that nothing refers to is gone
  gpuops.runpod.runpod_registry:
    name: team-registry
    state: absent
"""

RETURN = r"""
registry:
  description: The credential afterwards; a prediction in check mode, V(null) once it is gone.
  type: dict
  returned: success
  contains:
    id:
      description: Its id.
      type: str
      returned: once it exists
      sample: 6n2k8v4d
    name:
      description: Its name at RunPod, which may be that of the alternate.
      type: str
      returned: always
      sample: team-registry
    logical_name:
      description: The name that it shares with its alternate, as O(name) and other modules take it.
      type: str
      returned: always
      sample: team-registry
repointed:
  description:
    - The templates and endpoints that were made to refer to another credential, because this one was replaced.
  type: list
  elements: dict
  returned: success
  contains:
    kind:
      description: V(template) or V(endpoint).
      type: str
      returned: always
      sample: endpoint
    id:
      description: Its id.
      type: str
      returned: always
      sample: 4kq9x2mz1c
    name:
      description: Its name.
      type: str
      returned: always
      sample: inference
in_use_by:
  description:
    - What refers to a credential and keeps it from being removed; with O(state=present) that is a former one that was
      replaced.
  type: list
  elements: dict
  returned: success
  contains:
    kind:
      description: V(template), V(endpoint) or V(pod).
      type: str
      returned: always
      sample: template
    id:
      description: Its id.
      type: str
      returned: always
      sample: 30zmvf89kd
    name:
      description: Its name.
      type: str
      returned: always
      sample: training
    registry:
      description: Id of the credential.
      type: str
      returned: always
      sample: 6n2k8v4d
    reason:
      description: The same as a sentence.
      type: str
      returned: always
      sample: The template training (30zmvf89kd) refers to the credential team-registry.
"""

from ..module_utils._core.module import CollectionModule, execute
from ..module_utils._runpod.connection import ARGUMENTS, runpod_client
from ..module_utils._runpod.registry import run


def main() -> None:
    spec = {
        **ARGUMENTS,
        "name": {"type": "str", "required": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "update_password": {"type": "str", "choices": ["always", "on_create"], "default": "always", "no_log": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    module = CollectionModule(
        spec, required_if=[("state", "present", ["username", "password"])], supports_check_mode=True
    )
    execute(module, run, "registry", runpod_client)


if __name__ == "__main__":
    main()
