#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_template
short_description: Manage a template on RunPod
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Creates, changes or deletes the template called O(name), from which pods and serverless endpoints are started.
  - For many templates M(gpuops.runpod.runpod_templates) needs far fewer requests.
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.template
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.runpod_group
options:
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
  adopt:
    description:
      - Whether to take over a template of that name that may be somebody else's.
      - That is one that runs an image of another repository than is wanted, is public while
        O(public) is not set, or pulls with another credential
        than the wanted one while both exist. Without O(adopt) it is an error before anything is changed.
      - An image in ECR Public counts as of the private repository in Amazon ECR that it has the name of.
    type: bool
    default: false
seealso:
  - module: gpuops.runpod.runpod_templates
  - module: gpuops.runpod.runpod_ecr_credential
  - module: gpuops.runpod.runpod_info
"""

EXAMPLES = r"""
- name: Ensure a template for serverless workers runs the image
  gpuops.runpod.runpod_template:
    name: training
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    serverless: true
    disk: 80
    env:
      LOG_LEVEL: info

- name: Ensure the same template runs the next version, everything else as it is
  gpuops.runpod.runpod_template:
    name: training
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v2

- name: Ensure a template for pods has storage, ports, and a token from RunPod's own secrets
  gpuops.runpod.runpod_template:
    name: notebook
    image: runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404
    ports:
      - 8888/http
      - 22/tcp
    persistent_mount:
      size: 20
      path: /workspace
    env:
      HF_TOKEN: !unsafe "{{ RUNPOD_SECRET_hf_token }}"
    allowed_cuda_versions:
      - "12.8"

- name: Ensure the template pulls without a credential
  gpuops.runpod.runpod_template:
    name: notebook
    registry: ""

- name: Ensure the templates are gone
  gpuops.runpod.runpod_template:
    name: "{{ item }}"
    state: absent
  loop:
    - training
    - notebook
"""

RETURN = r"""
template:
  description: The template afterwards; a prediction in check mode. Null once it is absent.
  type: dict
  returned: success
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
"""

from ..module_utils._core.module import CollectionModule, execute
from ..module_utils._runpod.connection import ARGUMENTS, runpod_client
from ..module_utils._runpod.ownership import ADOPT
from ..module_utils._runpod.template import OPTIONS, run


def main() -> None:
    execute(
        CollectionModule({**ARGUMENTS, **OPTIONS, **ADOPT}, supports_check_mode=True), run, "template", runpod_client
    )


if __name__ == "__main__":
    main()
