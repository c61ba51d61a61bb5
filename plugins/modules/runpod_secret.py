#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_secret
short_description: Manage a secret of the RunPod account
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Creates, rewrites or deletes the secret called O(name), which the environment of templates, serverless endpoints and
    pods refers to as C({{ RUNPOD_SECRET_<name> }}).
  - RunPod never shows a value, but says when it was last set. With O(value_date) a value is written only when the one
    that is there is older.
  - Pods and workers get a new value when they boot the next time.
  - With O(state=absent), a secret that the environment of a template, an endpoint or a pod refers to stays, which is a
    warning.
  - In a playbook write a reference with C(!unsafe) before it, or between C({% raw %}) and C({% endraw %}), so that
    Ansible leaves its braces alone.
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.runpod_group
options:
  name:
    description:
      - Name of the secret, up to 191 letters, digits and characters of V(_.-/), of which the first is a letter or V(_).
        It cannot begin with C(RUNPOD), and cannot be changed.
      - The name is the ownership. A secret of this name is written, whoever made it. One whose name differs in its case
        only is an error.
    type: str
    required: true
  value:
    description: The value, less than 16 MiB. Required when the secret is to be made, and with O(value_date).
    type: str
  value_date:
    description:
      - When the value became what it is, as a timestamp with its zone, such as C(LastChangedDate) of AWS Secrets
        Manager.
      - A value that RunPod was given at this time or later is left alone.
    type: str
  update_value:
    description:
      - V(always) writes the value in each run, or with O(value_date) when the one at RunPod is older.
      - V(on_create) leaves the value of an existing secret alone, whatever it is.
    type: str
    choices:
      - always
      - on_create
    default: always
  description:
    description: What the secret is for. When not set it is left alone, and an empty one is cleared.
    type: str
  state:
    description: Whether the secret exists.
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
      - RunPod does not show the value, so with O(update_value=always) and without O(value_date) each run writes it and
        reports a change.
notes:
  - The API key needs to read and write secrets. With O(state=absent) it also needs to read templates, serverless
    endpoints and pods.
  - Value and description are written one after the other, as RunPod would do it itself. A run that fails between them
    has written the value.
seealso:
  - module: gpuops.runpod.runpod_template
  - module: gpuops.runpod.ecr_token_sink
"""

EXAMPLES = r"""
- name: Ensure workers can log in to the model hub
  gpuops.runpod.runpod_secret:
    name: hub-token
    value: "{{ team_registry_token }}"
    description: Read token of the model hub

- name: Ensure the same, and write the value only once after it was changed
  gpuops.runpod.runpod_secret:
    name: hub-token
    value: "{{ team_registry_token }}"
    value_date: "2026-08-01T12:00:00Z"

- name: Let a template refer to it
  gpuops.runpod.runpod_template:
    name: with-a-secret
    image: runpod/base:1.0.0
    env:
      HUB_TOKEN: !unsafe "{{ RUNPOD_SECRET_hub-token }}"

- name: Ensure a secret that nothing refers to is gone
  gpuops.runpod.runpod_secret:
    name: hub-token
    state: absent
"""

RETURN = r"""
secret:
  description: The secret afterwards, without its value; a prediction in check mode, V(null) once it is gone.
  type: dict
  returned: success
  contains:
    id:
      description: Its id.
      type: str
      returned: once it exists
      sample: 2q9m7x4cavgd
    name:
      description: Its name.
      type: str
      returned: always
      sample: hub-token
    description:
      description: What it is for.
      type: str
      returned: when it has one
      sample: Read token of the model hub
    created_at:
      description: When it was made.
      type: str
      returned: once it exists
      sample: "2026-08-01T12:00:00Z"
    value_last_updated_at:
      description: When its value was last set; V(null) in check mode when it would be.
      type: str
      returned: when RunPod says so
      sample: "2026-08-01T12:00:00Z"
in_use_by:
  description: What refers to the secret in its environment and keeps it from being removed.
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
    reason:
      description: The same as a sentence.
      type: str
      returned: always
      sample: The template training (30zmvf89kd) refers to the secret hub-token.
"""

from ..module_utils._core.module import CollectionModule, execute
from ..module_utils._runpod.connection import ARGUMENTS, runpod_client
from ..module_utils._runpod.secret import run


def main() -> None:
    spec = {
        **ARGUMENTS,
        "name": {"type": "str", "required": True},
        "value": {"type": "str", "no_log": True},
        "value_date": {"type": "str"},
        "update_value": {"type": "str", "choices": ["always", "on_create"], "default": "always"},
        "description": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    module = CollectionModule(spec, required_by={"value_date": ["value"]}, supports_check_mode=True)
    execute(module, run, "secret", runpod_client)


if __name__ == "__main__":
    main()
