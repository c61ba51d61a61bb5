#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_public_repo
short_description: Manage a repository in Amazon ECR Public
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Creates, describes or deletes a repository in the public registry of the account.
  - What is in it can be pulled by everybody on the internet, without a login. ECR Public has no means to restrict that.
options:
  name:
    description:
      - Name of the repository, without the registry and its alias.
      - "ECR Public allows fewer names than private repositories do: V(a__b) and V(a--b) are refused."
    type: str
    required: true
  state:
    description:
      - Whether the repository exists.
      - V(absent) refuses a repository without the tag C(gpuops.runpod/managed), because somebody else made it.
    type: str
    choices: [present, absent]
    default: present
  acknowledge_public:
    description:
      - Must be V(true) with O(state=present), in check mode too. It says that you know that everybody can pull what is
        in the repository.
    type: bool
  catalog_data:
    description:
      - What the gallery of ECR Public shows of the repository.
      - What is not set is left alone, and what is empty is cleared.
      - ECR Public can only replace all of it at once. So the module reads it, and puts back what is not set.
    type: dict
    suboptions:
      description:
        description: Short description, of at most 1,024 characters.
        type: str
      about_text:
        description: Long description in Markdown, of at most 25,600 characters.
        type: str
      usage_text:
        description: How to use what is in the repository, in Markdown, of at most 25,600 characters.
        type: str
      architectures:
        description:
          - At most 50 items of 1 to 50 characters. Their order does not matter.
          - The gallery shows V(ARM), V(ARM 64), V(x86) and V(x86-64) only. Others are a warning.
        type: list
        elements: str
      operating_systems:
        description:
          - At most 50 items of 1 to 50 characters. Their order does not matter.
          - The gallery shows V(Linux) and V(Windows) only. Others are a warning.
        type: list
        elements: str
      logo:
        description:
          - Path of a PNG image on the host that runs the module, of at most 512,000 bytes and of 60 to 2,048 pixels in
            either direction. An empty text removes the logo.
          - The gallery shows it for verified accounts only.
          - A logo cannot be read back. The tag C(gpuops.runpod/logo-sha256) says which one is there, and a change of it
            by other means is not noticed.
          - When this is not set, the repository has a logo, and something else of O(catalog_data) differs, that is an
            error, because the logo would be lost.
        type: path
  force:
    description: Whether to delete a repository with the images in it.
    type: bool
    default: false
extends_documentation_fragment:
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.aws_group
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.tags.modules
  - gpuops.runpod.aws
seealso:
  - module: gpuops.runpod.ecr_image_mirror
notes:
  - The API of ECR Public is in the region C(us-east-1) only. It is called there, whatever O(region) says. There is none
    in China, GovCloud and other partitions.
  - A repository that somebody else made is configured as asked for, but never deleted. RV(repository.managed) tells.
  - Tags that start with C(gpuops.runpod/) are this collection's own. They cannot be set, and are never removed.
  - Deleting a repository does not recall what was pulled from it. The name is free again for this account only, since
    the alias of the registry is a part of the URI.
  - "IAM actions for V(present): C(ecr-public:DescribeRepositories), C(ecr-public:GetRepositoryCatalogData),
    C(ecr-public:ListTagsForResource), C(ecr-public:CreateRepository), C(ecr-public:PutRepositoryCatalogData),
    C(ecr-public:TagResource) and C(ecr-public:UntagResource) on the repository. In check mode besides, when there is no
    repository yet: C(ecr-public:DescribeRegistries)."
  - "IAM actions for V(absent): C(ecr-public:DescribeRepositories), C(ecr-public:GetRepositoryCatalogData),
    C(ecr-public:ListTagsForResource) and C(ecr-public:DeleteRepository). In check mode besides:
    C(ecr-public:DescribeImages)."
  - Many organizations deny C(ecr-public:*) in a service control policy.
"""

EXAMPLES = r"""
- name: Ensure there is a public repository
  gpuops.runpod.ecr_public_repo:
    name: runpod-gpu-training
    acknowledge_public: true

- name: Tell the world what is in it
  gpuops.runpod.ecr_public_repo:
    name: runpod-gpu-training
    acknowledge_public: true
    catalog_data:
      description: Trains the demo model on GPUs
      usage_text: |
        ## How to run it
        Choose a GPU with 24 GB or more.
      architectures:
        - x86-64
      operating_systems:
        - Linux
    tags:
      team: ml
  register: public

- name: Show where it is
  ansible.builtin.debug:
    msg: "{{ public.repository.uri }}"

- name: Delete it, with all images in it
  gpuops.runpod.ecr_public_repo:
    name: runpod-gpu-training
    state: absent
    force: true
"""

RETURN = r"""
repository:
  description: The repository afterwards; a prediction in check mode, V(null) once it is absent.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      returned: always
      type: str
      sample: runpod-gpu-training
    arn:
      description: Its ARN. V(null) in check mode when the account has no public registry yet.
      returned: always
      type: str
      sample: arn:aws:ecr-public::123456789012:repository/runpod-gpu-training
    registry_id:
      description: Account of the registry. V(null) when RV(repository.arn) is.
      returned: always
      type: str
      sample: "123456789012"
    uri:
      description: >-
        What images are pulled from; add a tag or a digest. V(null) in check mode when the account has no public
        repository yet, because AWS gives it an alias with the first one.
      returned: always
      type: str
      sample: public.ecr.aws/a1b2c3d4/runpod-gpu-training
    alias:
      description: Alias of the registry in RV(repository.uri). V(null) when that is.
      returned: always
      type: str
      sample: a1b2c3d4
    created:
      description: When it was created, in UTC. V(null) in check mode when it does not exist yet.
      returned: always
      type: str
      sample: "2026-08-01T12:00:00Z"
    managed:
      description: Whether this collection made it, so that it may delete it.
      returned: always
      type: bool
      sample: true
    tags:
      description: Its tags, those of this collection included.
      returned: always
      type: dict
      sample:
        gpuops.runpod/managed: "true"
        team: ml
    catalog_data:
      description: What the gallery shows.
      returned: always
      type: dict
      contains:
        description:
          description: Short description; empty when there is none.
          returned: always
          type: str
          sample: Trains the demo model on GPUs
        about_text:
          description: Long description; empty when there is none.
          returned: always
          type: str
          sample: "# About"
        usage_text:
          description: How to use it; empty when that is not said.
          returned: always
          type: str
          sample: Choose a GPU with 24 GB or more.
        architectures:
          description: Architectures.
          returned: always
          type: list
          elements: str
          sample: [x86-64]
        operating_systems:
          description: Operating systems.
          returned: always
          type: list
          elements: str
          sample: [Linux]
        logo_url:
          description: Address of the logo; V(null) when there is none, or when check mode cannot know it.
          returned: always
          type: str
          sample: https://example.com/logo.png
"""


from ..module_utils._aws.module import AwsModule
from ..module_utils._core.module import execute
from ..module_utils._ecr.public_repository import connect, run


def main() -> None:
    catalog_data = {
        "description": {"type": "str"},
        "about_text": {"type": "str"},
        "usage_text": {"type": "str"},
        "architectures": {"type": "list", "elements": "str"},
        "operating_systems": {"type": "list", "elements": "str"},
        "logo": {"type": "path"},
    }
    spec = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "acknowledge_public": {"type": "bool"},
        "catalog_data": {"type": "dict", "options": catalog_data},
        "tags": {"type": "dict", "aliases": ["resource_tags"]},
        "purge_tags": {"type": "bool", "default": True},
        "force": {"type": "bool", "default": False},
    }
    execute(AwsModule(argument_spec=spec, supports_check_mode=True), run, "repository", connect)


if __name__ == "__main__":
    main()
