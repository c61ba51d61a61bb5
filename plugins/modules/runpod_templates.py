#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_templates
short_description: Manage many templates on RunPod in one pass
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Creates, changes and deletes templates, from which pods and serverless endpoints are started.
  - The account is read once, everything that is to be done is decided, and only then the first template is written.
    An unchanged run makes one request, or two when a registry credential is named, however many templates there are.
  - Templates are created first, then changed, then deleted.
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.template
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.runpod_group
options:
  defaults:
    description:
      - Options of all templates. What an item of O(templates) sets itself replaces them, and C(env) is merged by name
        of the variable.
      - An item's C(args) replaces C(cmd) and C(entrypoint) of the defaults, and the other way round.
    type: dict
    suboptions: &options
      image:
        description: Reference of the image to run. Required to create the template.
        type: str
      args:
        description: Arguments of the container's entry point, as one string.
        type: str
      cmd:
        description:
          - Arguments of the container's entry point, one by one and in this order.
          - RunPod stores them together with C(entrypoint) as C(args), so neither can be set together with that.
        type: list
        elements: str
      entrypoint:
        description: Command to start in place of the image's entry point, one part by one and in this order.
        type: list
        elements: str
      disk:
        description: Size in GB of the container's disk, which is wiped on each restart. A new template gets V(50).
        type: int
      env:
        description:
          - Environment variables. Values are strings; numbers are sent as strings.
          - Booleans and null are refused, because how they would have to be spelt is anybody's guess. Quote them.
        type: dict
      ports:
        description: Ports to expose, each as V(8888/http) or V(22/tcp).
        type: list
        elements: str
      registry:
        description:
          - Name or id of the registry credential to pull the image with. The empty string takes it away.
          - A name also means its alternate, which ends in C(-alt) and takes its place where RunPod does not write a
            secret in place (see M(gpuops.runpod.runpod_ecr_credential)).
          - While there are both, a template that refers to one of them stays with it. Any other template gets the one
            that the account's templates refer to, or the plain one when they refer to both or to none.
          - In check mode, a credential that does not exist yet is a warning, and the result shows its name.
        type: str
      persistent_mount:
        description:
          - Storage on the host that outlives restarts. Size and path go together.
          - RunPod cannot take it away from a template that has it. V({}) there is an error.
        type: dict
        suboptions:
          size:
            description: Size in GB, at least 10.
            type: int
          path:
            description: Where it is mounted in the container, such as V(/workspace).
            type: str
      serverless:
        description: Whether the template is for serverless workers instead of pods. A new template is for pods.
        type: bool
      public:
        description: Whether other users of RunPod see the template. A new template is private.
        type: bool
      category:
        description: Under which hardware RunPod's console lists the template. A new template goes under V(NVIDIA).
        type: str
        choices:
          - NVIDIA
          - AMD
          - CPU
      start_ssh:
        description: Whether pods get SSH access at their start. A new template has it on. Endpoints ignore it.
        type: bool
      start_jupyter:
        description: Whether pods start JupyterLab, where the image can. A new template has it on. Endpoints ignore it.
        type: bool
      allowed_cuda_versions:
        description: CUDA versions to accept, quoted, such as V("12.8"). Empty means any, as for a new template.
        type: list
        elements: str
  templates:
    description: The templates. Two with one name are an error.
    type: list
    elements: dict
    required: true
    suboptions:
      <<: *options
      name:
        description: Name of the template.
        type: str
        required: true
      state:
        description: Whether the template exists.
        type: str
        choices:
          - present
          - absent
        default: present
  adopt:
    description:
      - Whether to take over templates of these names that may be somebody else's.
      - That is one that runs an image of another repository than is wanted, is public while
        C(public) is not set, or pulls with another credential
        than the wanted one while both exist. Without O(adopt) it is an error before anything is changed.
      - An image in ECR Public counts as of the private repository in Amazon ECR that it has the name of.
    type: bool
    default: false
  prune:
    description:
      - Whether to delete the account's other templates whose name matches O(prune_pattern).
      - A template that O(templates) names is never pruned, whatever its state.
    type: bool
    default: false
  prune_pattern:
    description:
      - Which templates O(prune) may delete, as a shell pattern for the whole name, such as V(team-a-*).
        Upper and lower case matter.
      - Required with O(prune=true).
    type: str
  on_error:
    description:
      - What to do when RunPod refuses to write a template. The module fails in the end either way and tells what was
        done.
      - V(continue) goes on with the other templates, unless the refusal concerns all of them, as a wrong API key, a
        spent quota or a server that does not answer.
      - V(stop) writes nothing more.
      - What is wrong with the options, or ambiguous at RunPod, is an error before anything is written.
    type: str
    choices:
      - continue
      - stop
    default: continue
seealso:
  - module: gpuops.runpod.runpod_template
  - module: gpuops.runpod.runpod_ecr_credential
  - module: gpuops.runpod.runpod_info
"""

EXAMPLES = r"""
- name: Ensure the fleet runs these images, all of them in the same way
  gpuops.runpod.runpod_templates:
    defaults:
      serverless: true
      disk: 80
      env:
        LOG_LEVEL: info
    templates:
      - name: fleet-embed
        image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/fleet-embed:v3
      - name: fleet-rank
        image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/fleet-rank:v5
        env:
          MODEL: large

- name: Ensure the templates of the team run these images
  gpuops.runpod.runpod_templates:
    templates:
      - name: team-a-training
        image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
        serverless: true
      - name: team-a-inference
        image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-inference:v1
        serverless: true
        env:
          LOG_LEVEL: info

- name: Ensure the team has this template and no other
  gpuops.runpod.runpod_templates:
    templates:
      - name: team-a-training
        image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v2
    prune: true
    prune_pattern: team-a-*

- name: Ensure the template is gone
  gpuops.runpod.runpod_templates:
    templates:
      - name: team-a-training
        state: absent
"""

RETURN = r"""
templates:
  description:
    - The templates of O(templates) that exist afterwards, by name; a prediction in check mode.
    - One that could not be written is here as RunPod holds it.
  type: list
  elements: dict
  returned: once the templates were read
  contains:
    id:
      description: Id of the template.
      type: str
      returned: once the template exists
      sample: 30zmvf89kd
    name:
      description: Name of the template.
      type: str
      returned: always
      sample: runpod-gpu-training
    image:
      description: Image that it runs.
      type: str
      returned: always
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    args:
      description: Arguments of the entry point.
      type: str
      returned: always
      sample: ""
    cmd:
      description: Arguments of the entry point, one by one; what RunPod makes of C(args).
      type: list
      elements: str
      returned: always
      sample: []
    entrypoint:
      description: Command in place of the image's entry point; empty means that one.
      type: list
      elements: str
      returned: always
      sample: []
    disk:
      description: Size of the container's disk in GB.
      type: int
      returned: always
      sample: 50
    env:
      description: Environment variables by name; the values are masked.
      type: dict
      returned: always
      sample:
        LOG_LEVEL: "********"
    ports:
      description: Exposed ports.
      type: list
      elements: str
      returned: always
      sample:
        - 8888/http
    registry:
      description: Id of the registry credential, or null.
      type: str
      returned: always
      sample: clzdaifot0001l90809257ynb
    persistent_mount:
      description: Storage on the host, as C(size) in GB and C(path), or null.
      type: dict
      returned: always
      sample:
        size: 20
        path: /workspace
    serverless:
      description: Whether it is for serverless workers.
      type: bool
      returned: always
      sample: true
    public:
      description: Whether other users see it.
      type: bool
      returned: always
      sample: false
    category:
      description: Under which hardware the console lists it.
      type: str
      returned: always
      sample: NVIDIA
    start_ssh:
      description: Whether pods get SSH access.
      type: bool
      returned: always
      sample: true
    start_jupyter:
      description: Whether pods start JupyterLab.
      type: bool
      returned: always
      sample: true
    allowed_cuda_versions:
      description: CUDA versions that are accepted; empty means any.
      type: list
      elements: str
      returned: always
      sample: []
summary:
  description: How many templates were, or in check mode would be, treated how. Those after a stop are in no number.
  type: dict
  returned: once the templates were read
  contains:
    created:
      description: Number of templates created.
      type: int
      returned: always
      sample: 1
    changed:
      description: Number of templates changed.
      type: int
      returned: always
      sample: 0
    deleted:
      description: Number of templates deleted, pruned ones among them.
      type: int
      returned: always
      sample: 0
    unchanged:
      description: Number of templates that were as they should be.
      type: int
      returned: always
      sample: 499
    failed:
      description: Number of templates that could not be written.
      type: int
      returned: always
      sample: 0
failed_items:
  description: The templates that could not be written.
  type: list
  elements: dict
  returned: once the templates were read
  contains:
    name:
      description: Name of the template.
      type: str
      returned: always
      sample: team-a-training
    action:
      description: What was tried, one of V(create), V(change) and V(delete).
      type: str
      returned: always
      sample: create
    msg:
      description: What went wrong and what to do about it.
      type: str
      returned: always
      sample: "POST /templates: HTTP 400: template name must be unique"
    status:
      description: HTTP status of RunPod's answer.
      type: int
      returned: when RunPod refused
      sample: 400
    problem:
      description: What RunPod answered.
      type: dict
      returned: when RunPod refused
      sample:
        title: Bad Request
        status: 400
        detail: template name must be unique
"""


from ..module_utils._core.module import CollectionModule, execute
from ..module_utils._runpod.connection import ARGUMENTS, runpod_client
from ..module_utils._runpod.ownership import ADOPT
from ..module_utils._runpod.template import OPTIONS
from ..module_utils._runpod.templates import DEFAULT_OPTIONS, run


def main() -> None:
    spec = {
        **ARGUMENTS,
        "templates": {"type": "list", "elements": "dict", "required": True, "options": OPTIONS},
        "defaults": {"type": "dict", "options": DEFAULT_OPTIONS},
        **ADOPT,
        "prune": {"type": "bool", "default": False},
        "prune_pattern": {"type": "str"},
        "on_error": {"type": "str", "choices": ["continue", "stop"], "default": "continue"},
    }
    execute(
        CollectionModule(spec, required_if=[("prune", True, ["prune_pattern"])], supports_check_mode=True),
        run,
        None,
        runpod_client,
    )


if __name__ == "__main__":
    main()
