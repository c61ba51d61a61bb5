# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations


class ModuleDocFragment:
    """The options of modules that take workloads; mirrors OPTIONS in module_utils/_workload/options.py."""

    DOCUMENTATION = r"""
options:
  access:
    description: How RunPod reaches the images.
    type: str
    choices:
      - credential
      - delegation
      - public
    default: credential
  image:
    description: URI of one image in a private ECR repository, when O(workloads) is not set.
    type: str
  workloads:
    description:
      - The images with their templates and endpoints.
      - A workload has an C(image), and may have a C(template) and an C(endpoint), which are merged over those of all.
    type: list
    elements: dict
  pull_identity:
    description: As whom RunPod pulls with O(access=credential).
    type: str
    choices:
      - user
      - role
      - caller
    default: user
  role_name:
    description: Name of the pull role.
    type: str
    default: runpod-ecr-access
  role_arn:
    description: ARN of a role that O(pull_identity=caller) assumes.
    type: str
  role_external_id:
    description: The external id that the trust of the role asks for.
    type: str
  user_path:
    description: IAM path of the pull user or role.
    type: str
    default: /runpod/
  user_repositories:
    description: Further repositories that it may pull, as names, ARNs or wildcards.
    type: list
    elements: str
  user_name:
    description: Name of the pull user.
    type: str
    default: runpod-ecr-access
  credential_name:
    description: >-
      Name of the credential at RunPod. When not set, C(<user>-<account>-<region>), with a pull role
      C(<role>-role-<account>-<region>).
    type: str
  variables:
    description: Names of variables that start with C(runpod_ecr_). One that the role does not know is an error.
    type: list
    elements: str
"""

    # How all of the chain from the image to the endpoint is to be.
    CHAIN = r"""
options:
  template:
    description: Options of every template, as M(gpuops.runpod.runpod_template) takes them.
    type: dict
  endpoint:
    description: Options of every serverless endpoint, as M(gpuops.runpod.runpod_endpoint) takes them. Empty means none.
    type: dict
  role_trust:
    description: Who may assume the pull role, as O(gpuops.runpod.ecr_pull_role#module:trust).
    type: list
    elements: dict
    suboptions:
      principal_arns:
        description: ARNs of roles, users or accounts.
        type: list
        elements: str
      external_id:
        description: The external id without which they may not.
        type: str
      oidc_provider_arn:
        description: ARN of an OIDC provider of IAM.
        type: str
      audience:
        description: For whom its tokens must be made out.
        type: str
      subjects:
        description: For whom it must vouch.
        type: list
        elements: str
  user_tags:
    description: Tags of the pull user or role. When not set they are left alone.
    type: dict
  user_permissions_boundary:
    description: ARN of its permissions boundary. When not set it is left alone, an empty text removes it.
    type: str
  user_policy:
    description: What the pull user or role may pull, as O(gpuops.runpod.ecr_pull_user#module:policy).
    type: str
    choices:
      - repositories
      - pull_only
      - read_only
    default: repositories
  purge_repositories:
    description: Whether it loses the repositories that are not named.
    type: bool
    default: false
  rotate_after_days:
    description: Age in days at which its key is due for rotation.
    type: int
    default: 90
  pull_role_arns:
    description: RunPod's roles for O(access=delegation). When not set, those that it published last.
    type: list
    elements: str
  public_repository:
    description: Name of the repository in ECR Public. When not set, that of the private one.
    type: str
  public_catalog_data:
    description: Its catalogue data, as O(gpuops.runpod.ecr_public_repo#module:catalog_data).
    type: dict
  allow_suspected_secrets:
    description: Whether images are published whose configuration holds what looks like secrets.
    type: bool
    default: false
"""

    # How tokens are handed over.
    TOKENS = r"""
options:
  min_validity_hours:
    description: A token that works for less than this is renewed.
    type: float
    default: 9
  propagation_timeout:
    description:
      - Seconds for which a refusal may mean that a right has not arrived yet. In check mode nothing is waited for.
    type: int
    default: 90
"""
