#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_image_mirror
short_description: Keep the same image in another registry
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Ensures that the destination has the image with the same digest as the source, with all its platforms.
  - The digests are compared first, with one request for each side and tag, or for up to 100 tags of a private
    repository of ECR. Where they are equal nothing is written, so that tags which ECR keeps immutable are never pushed
    again. Only what differs is copied, with C(skopeo).
  - It copies from the digest that was compared, so a tag that moves meanwhile does no harm, and compares the digest
    that was written.
  - All images are looked at before the first one is copied. When one is missing, or must not be published, nothing is
    copied at all.
options:
  source:
    description:
      - The image, with a tag or a digest. With both, the digest counts.
      - With O(image_tags), the repository, without either.
    type: str
  destination:
    description:
      - Where it is to be. The repository must exist, where the registry does not make it by itself.
      - Without a tag, the tag of the source; when that has only a digest, the image gets no tag.
    type: str
  image_tags:
    description: The tags of O(source) to mirror to the same tags of O(destination).
    type: list
    elements: str
  images:
    description: Several images, with other repositories and digests too, instead of O(source) and O(destination).
    type: list
    elements: dict
    suboptions:
      source:
        description: As O(source).
        type: str
        required: true
      destination:
        description: As O(destination).
        type: str
        required: true
      image_tags:
        description: As O(image_tags).
        type: list
        elements: str
  platforms:
    description:
      - V(all) copies the image as it is, with its index.
      - V(one) copies the manifest of O(platform) out of an index. The digest is that of this manifest then, and an
        image without an index is copied as it is.
    type: str
    choices: [all, one]
    default: all
  platform:
    description: The one of O(platforms=one), as C(OS/ARCHITECTURE) or C(OS/ARCHITECTURE/VARIANT).
    type: str
    default: linux/amd64
  source_auth:
    description:
      - The login for the sources. When not set, it follows from the host.
      - For private repositories of ECR and for ECR Public it is a token, minted as whoever runs this. For other
        registries there is none.
      - An empty dictionary is no login.
    type: dict
    suboptions:
      username:
        description: The user name.
        type: str
      password:
        description: The password or token.
        type: str
  destination_auth:
    description: As O(source_auth), for the destinations.
    type: dict
    suboptions:
      username:
        description: The user name.
        type: str
      password:
        description: The password or token.
        type: str
  retries:
    description:
      - How often an image is tried again when a registry is busy or fails, or does not accept the login any more.
      - Each time it gets a fresh token, after a pause that doubles from 2 to 60 seconds. At most 100.
    type: int
    default: 3
  allow_suspected_secrets:
    description:
      - Whether to publish an image whose configuration holds what looks like a secret.
      - Only images for ECR Public are looked at. The environment, the labels and the history of all platforms are
        searched for names such as C(API_KEY), and for values that look like keys and tokens. The content of layers is
        not.
    type: bool
    default: false
extends_documentation_fragment:
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.aws_group
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
requirements:
  - skopeo >= 1.9
seealso:
  - module: gpuops.runpod.ecr_public_repo
  - module: gpuops.runpod.ecr_pull_check
notes:
  - Nothing is ever deleted. Tags that only the destination has stay, and so do the images that a tag named before.
  - What is in ECR Public can be pulled by everybody, and deleting it does not recall what was pulled.
  - ECR Public takes layers of at most 10,000 MiB, private repositories 52,000. An image with larger ones is refused
    before the first byte is copied.
  - The logins are handed to C(skopeo) in files that only their owner can read, and that are removed when it ends.
    Logins of C(docker login) or C(skopeo login) are not used.
  - C(skopeo) sees the environment of the module, so that E(HTTPS_PROXY), E(NO_PROXY) and E(SSL_CERT_FILE) count. When
    O(aws_ca_bundle) is set and E(SSL_CERT_FILE) is not, it takes that.
  - While it copies, a line every five seconds shows on the terminal how far it is, when the module runs on the
    controller (C(connection=local)), in the foreground and without C(no_log).
  - Registries must speak HTTPS. O(validate_certs=false) takes any certificate.
  - Where neither the system nor the user has a C(policy.json), C(skopeo) gets one that asks for no signatures.
    Signatures and referrers are not copied.
  - "IAM actions for sources in private repositories of ECR: C(ecr:GetAuthorizationToken) on all resources,
    C(ecr:BatchGetImage) and C(ecr:GetDownloadUrlForLayer) on the repositories."
  - "IAM actions for destinations in private repositories of ECR besides: C(ecr:BatchCheckLayerAvailability),
    C(ecr:InitiateLayerUpload), C(ecr:UploadLayerPart), C(ecr:CompleteLayerUpload) and C(ecr:PutImage)."
  - "IAM actions for ECR Public: C(ecr-public:GetAuthorizationToken) and C(sts:GetServiceBearerToken) on all resources,
    and for destinations C(ecr-public:BatchCheckLayerAvailability), C(ecr-public:InitiateLayerUpload),
    C(ecr-public:UploadLayerPart), C(ecr-public:CompleteLayerUpload) and C(ecr-public:PutImage) on the repositories."
"""

EXAMPLES = r"""
- name: Ensure there is a public repository
  gpuops.runpod.ecr_public_repo:
    name: runpod-gpu-training
    acknowledge_public: true
  register: public

- name: Show what publishing an image would do
  gpuops.runpod.ecr_image_mirror:
    source: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    destination: "{{ public.repository.uri }}"
  check_mode: true

- name: Publish it
  gpuops.runpod.ecr_image_mirror:
    source: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    destination: "{{ public.repository.uri }}"

- name: Publish two releases
  gpuops.runpod.ecr_image_mirror:
    source: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training
    destination: "{{ public.repository.uri }}"
    image_tags:
      - v1
      - v2
  register: mirror

- name: Show what can be pulled
  ansible.builtin.debug:
    msg: "{{ item.destination }} is {{ item.digest }}"
  loop: "{{ mirror.images }}"
  loop_control:
    label: "{{ item.destination }}"
"""

RETURN = r"""
digest:
  description: Digest of the image; V(null) when there are several with different ones.
  returned: success
  type: str
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
copied:
  description: Whether anything was copied, or would be.
  returned: success
  type: bool
  sample: true
seconds:
  description: How long the copying took; 0 in check mode.
  returned: success
  type: float
  sample: 12.3
bytes:
  description: Size of what was copied, or would be. What the destination had of it was not transferred again.
  returned: success
  type: int
  sample: 4312345678
images:
  description:
    - Each image, in the order of the options.
    - A failure after the first copy holds those that were done before it.
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: Where it comes from.
      returned: always
      type: str
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    destination:
      description: Where it is afterwards.
      returned: always
      type: str
      sample: public.ecr.aws/a1b2c3d4/runpod-gpu-training:v1
    digest:
      description: Its digest, on both sides.
      returned: always
      type: str
      sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    digest_before:
      description: Digest that the destination had; V(null) when there was none.
      returned: always
      type: str
      sample: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    copied:
      description: Whether it was copied, or would be.
      returned: always
      type: bool
      sample: true
    seconds:
      description: How long that took.
      returned: always
      type: float
      sample: 12.3
    bytes:
      description: Size of the image when it was copied, or would be, else 0.
      returned: always
      type: int
      sample: 4312345678
"""


from ..module_utils._aws.module import AwsModule
from ..module_utils._core.module import execute
from ..module_utils._ecr.image_mirror import connect, run


def main() -> None:
    image = {
        "source": {"type": "str", "required": True},
        "destination": {"type": "str", "required": True},
        "image_tags": {"type": "list", "elements": "str"},
    }
    auth = {
        "type": "dict",
        "options": {"username": {"type": "str"}, "password": {"type": "str", "no_log": True}},
        "required_together": [("username", "password")],
    }
    spec = {
        "source": {"type": "str"},
        "destination": {"type": "str"},
        "image_tags": {"type": "list", "elements": "str"},
        "images": {"type": "list", "elements": "dict", "options": image},
        "platforms": {"type": "str", "choices": ["all", "one"], "default": "all"},
        "platform": {"type": "str", "default": "linux/amd64"},
        "source_auth": auth,
        "destination_auth": auth,
        "retries": {"type": "int", "default": 3},
        "allow_suspected_secrets": {"type": "bool", "default": False, "no_log": False},
    }
    module = AwsModule(
        argument_spec=spec,
        mutually_exclusive=[("images", name) for name in ("source", "destination", "image_tags")],
        required_one_of=[("images", "source")],
        required_together=[("source", "destination")],
        supports_check_mode=True,
    )
    execute(module, run, None, connect)


if __name__ == "__main__":
    main()
