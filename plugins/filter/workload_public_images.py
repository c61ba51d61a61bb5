# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: workload_public_images
short_description: Name the public mirrors of the images of these workloads
description:
  - Tells which image in ECR Public stands for each image. It has the same tag, or is named by its digest where the
    image is.
author: The gpuops.runpod authors (@gpuops)
version_added: 0.1.0
positional: _input
options:
  _input:
    description: What P(gpuops.runpod.workloads#filter) returned.
    type: list
    elements: dict
    required: true
  uris:
    description: The URI of the public repository for the ARN of each private one.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what is pulled in the place of an image
  ansible.builtin.debug:
    msg: "{{ [{'image': image}] | gpuops.runpod.workloads | gpuops.runpod.workload_public_images(uris) }}"
  vars:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    uris:
      arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training: public.ecr.aws/a1b2c3d4/runpod-gpu-training
"""

RETURN = r"""
_value:
  description: The public image for each image.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import public_images


class FilterModule:
    """The filter's entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"workload_public_images": public_images}
