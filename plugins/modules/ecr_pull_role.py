#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_pull_role
short_description: Manage an IAM role that can pull from Amazon ECR
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Keeps an IAM role that can pull these repositories and do nothing else, for those who may not have IAM users.
    Nobody holds a key of it; whoever O(trust) names assumes it for the moment in which a token is minted.
  - It is to a role what M(gpuops.runpod.ecr_pull_user) is to a user, with the same policies.
  - A run that is interrupted anywhere leaves what works in place, and a plain second run finishes its job.
options:
  name:
    description:
      - Name of the role.
      - IAM ignores the case of names, so a role of the same name in another spelling is an error.
    type: str
    required: true
  state:
    description:
      - V(present) ensures the role, its trust and its policy.
      - V(absent) takes away the policy that this collection gave, which ends pulls with tokens already handed out, then
        the role.
      - A role on which something else hangs stays, see RV(remaining). All that this collection made is removed.
    type: str
    choices: [present, absent]
    default: present
  path:
    description:
      - Path of the role. It must begin and end with a slash.
      - IAM moves no role, so a role of this name at another path is an error.
    type: str
    default: /runpod/
  trust:
    description:
      - Who may assume the role. Each entry has either O(trust[].principal_arns) or O(trust[].oidc_provider_arn).
      - This is the whole trust. Whatever else somebody wrote into it is removed.
      - Required for a role that does not exist yet. When not set, the trust is left alone.
    type: list
    elements: dict
    suboptions:
      principal_arns:
        description:
          - ARNs of roles, users or accounts, such as the instance profile's role of the machine that refreshes, or of
            AWX's nodes. Twelve digits mean an account, whose own policies then say who may.
          - IAM refuses somebody who does not exist. Wildcards are refused.
        type: list
        elements: str
      external_id:
        description: The external id without which O(trust[].principal_arns) may not assume the role.
        type: str
      oidc_provider_arn:
        description: ARN of an OIDC provider of IAM, such as that of GitHub Actions.
        type: str
      audience:
        description:
          - For whom its tokens must be made out, C(sts.amazonaws.com) when not set.
        type: str
      subjects:
        description:
          - For whom it must vouch, such as V(repo:example/infra:ref:refs/heads/main). The wildcards V(*) and V(?) stand
            for any characters.
          - Required with O(trust[].oidc_provider_arn). A subject of GitHub must name the owner of the repository.
        type: list
        elements: str
  permissions_boundary:
    description:
      - ARN of the managed policy that is the role's permissions boundary.
      - When not set, the boundary is left alone. An empty text removes it.
    type: str
  role_tags:
    description:
      - Tags of the role.
      - When not set, tags are left alone.
      - Names that start with C(gpuops.runpod/) or look like the id of an access key cannot be set.
    type: dict
  purge_tags:
    description:
      - Whether tags that O(role_tags) does not name are removed, when O(role_tags) is set.
      - Tags of this collection and those of AWS itself are never removed.
    type: bool
    default: true
  policy:
    description:
      - The kind of policy through which the role may pull, as O(gpuops.runpod.ecr_pull_user#module:policy).
    type: str
    choices: [repositories, pull_only, read_only]
    default: repositories
  repositories:
    description:
      - The repositories that the role can pull from, each as a name, an ARN or the URI of an image, as
        O(gpuops.runpod.ecr_pull_user#module:repositories).
      - When not set, the policy is left alone. A role without a policy cannot pull anything.
    type: list
    elements: str
  purge_repositories:
    description:
      - With V(false), O(repositories) are added to those in the policy, and nothing is taken away.
      - With V(true), the policy has exactly O(repositories). An empty list leaves the right to get tokens only.
    type: bool
    default: false
  pull_through:
    description:
      - Whether pulls may fill a pull-through cache, with C(ecr:BatchImportUpstreamImage) on O(repositories).
    type: bool
    default: false
  propagation_timeout:
    description:
      - Seconds that IAM may take to show what was written.
    type: int
    default: 90
extends_documentation_fragment:
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.aws_group
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
seealso:
  - module: gpuops.runpod.ecr_pull_user
  - module: gpuops.runpod.runpod_ecr_credential
notes:
  - The region is that of repositories given by name. IAM has no regions.
  - The policies are those of M(gpuops.runpod.ecr_pull_user), under the same names and with the same rules. IAM allows
    10,240 characters for all inline policies of a role. Where others left too little room in it, the customer managed
    policy is named C(gpuops-runpod-pull-role-) and the name of the role.
  - A role without the tag C(gpuops.runpod/managed) was made by somebody else. It is an error and nothing is changed.
  - A run that has changed the policy looks again two seconds later, and adds what a run at the same time has
    overwritten.
  - >-
    IAM actions for V(present): C(iam:GetRole), C(iam:CreateRole), C(iam:UpdateAssumeRolePolicy), C(iam:TagRole),
    C(iam:UntagRole), C(iam:GetRolePolicy), C(iam:ListRolePolicies), C(iam:PutRolePolicy), and for a permissions
    boundary C(iam:PutRolePermissionsBoundary) and C(iam:DeleteRolePermissionsBoundary).
  - >-
    IAM actions to attach a policy of AWS, and to move from it or to it: C(iam:ListAttachedRolePolicies),
    C(iam:AttachRolePolicy), C(iam:DetachRolePolicy) and C(iam:DeleteRolePolicy).
  - >-
    IAM actions for the customer managed policy besides: C(iam:GetPolicy), C(iam:GetPolicyVersion),
    C(iam:CreatePolicy), C(iam:TagPolicy), C(iam:ListPolicyVersions), C(iam:CreatePolicyVersion),
    C(iam:DeletePolicyVersion) and C(iam:DeletePolicy).
  - >-
    IAM actions for V(absent) besides: C(iam:DeleteRolePolicy), C(iam:ListAttachedRolePolicies),
    C(iam:ListInstanceProfilesForRole) and C(iam:DeleteRole).
"""

EXAMPLES = r"""
- name: Ensure a role that a workflow of GitHub Actions assumes, and nobody else
  gpuops.runpod.ecr_pull_role:
    name: runpod-pull
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    trust:
      - oidc_provider_arn: arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com
        subjects:
          - repo:example/infra:ref:refs/heads/main

- name: Ensure one for the machine that refreshes, by the role of its instance profile
  gpuops.runpod.ecr_pull_role:
    name: team-pull
    path: /team/
    permissions_boundary: arn:aws:iam::123456789012:policy/runpod-pull-boundary
    repositories:
      - team/*
    purge_repositories: true
    role_tags:
      team: training
    trust:
      - principal_arns:
          - arn:aws:iam::123456789012:role/awx-node

- name: Remove the roles
  gpuops.runpod.ecr_pull_role:
    name: "{{ item.name }}"
    path: "{{ item.path }}"
    state: absent
  loop:
    - name: runpod-pull
      path: /runpod/
    - name: team-pull
      path: /team/
"""

RETURN = r"""
role:
  description: The role afterwards; a prediction in check mode, V(null) when there is none.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      returned: always
      type: str
      sample: runpod-ecr-access
    arn:
      description: Its ARN.
      returned: always
      type: str
      sample: arn:aws:iam::123456789012:role/runpod/runpod-ecr-access
    path:
      description: Its path.
      returned: always
      type: str
      sample: /runpod/
    tags:
      description: All its tags, those of this collection included.
      returned: always
      type: dict
      sample:
        gpuops.runpod/managed: "true"
    permissions_boundary:
      description: ARN of its permissions boundary, V(null) when it has none.
      returned: always
      type: str
      sample: arn:aws:iam::123456789012:policy/runpod-pull-boundary
    trust:
      description: The document of its trust.
      returned: always
      type: dict
      sample:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action: sts:AssumeRole
            Principal:
              AWS: arn:aws:iam::123456789012:role/awx-node
policy:
  description: >-
    The policy through which the role may pull, as RV(gpuops.runpod.ecr_pull_user#module:policy); a prediction in check
    mode.
  returned: success
  type: dict
  contains:
    kind:
      description: Its kind, as O(policy). V(null) when the role has no policy of this collection.
      returned: always
      type: str
      sample: repositories
    name:
      description: Its name.
      returned: always
      type: str
      sample: gpuops-runpod-pull
    document:
      description: Its document. V(null) when there is none, and for a policy of AWS.
      returned: always
      type: dict
      sample:
        Version: "2012-10-17"
        Statement:
          - Sid: Token
            Effect: Allow
            Action: ecr:GetAuthorizationToken
            Resource: "*"
    size:
      description: The characters of the document, as IAM counts them.
      returned: always
      type: int
      sample: 349
    limit:
      description: >-
        How many characters IAM allows, for all inline policies of the role or for the managed policy. V(null) for a
        policy of AWS.
      returned: always
      type: int
      sample: 10240
    repositories:
      description: ARNs of the repositories it opens; V(*) alone for a policy of AWS, which opens all.
      returned: always
      type: list
      elements: str
      sample: ["arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training"]
    extra_repositories:
      description: >-
        Those of them that O(repositories) does not name. None when O(repositories) is not set, or with a policy of AWS.
      returned: always
      type: list
      elements: str
      sample: ["arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-inference"]
remaining:
  description: >-
    What keeps the role from being removed. This collection did not make it and does not remove it. A policy of its own
    that something else uses counts as such.
  returned: O(state=absent)
  type: list
  elements: dict
  contains:
    kind:
      description: >-
        What it is, for example V(inline policy), V(attached policy), V(instance profile) or V(policy in use).
      returned: always
      type: str
      sample: attached policy
    name:
      description: Its name or ARN, or the words of AWS.
      returned: always
      type: str
      sample: arn:aws:iam::aws:policy/ReadOnlyAccess
    remedy:
      description: How to remove it.
      returned: always
      type: str
      sample: >-
        aws iam detach-role-policy --policy-arn arn:aws:iam::aws:policy/ReadOnlyAccess --role-name runpod-ecr-access
"""


from ..module_utils._aws.client import aws_client
from ..module_utils._aws.module import AwsModule
from ..module_utils._core.module import execute
from ..module_utils._pull_user.pull_role import run
from ..module_utils._pull_user.trust import OPTIONS as TRUST


def main() -> None:
    spec = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "path": {"type": "str", "default": "/runpod/"},
        "trust": {"type": "list", "elements": "dict", "options": TRUST},
        "permissions_boundary": {"type": "str"},
        "role_tags": {"type": "dict"},
        "purge_tags": {"type": "bool", "default": True},
        "policy": {"type": "str", "choices": ["repositories", "pull_only", "read_only"], "default": "repositories"},
        "repositories": {"type": "list", "elements": "str"},
        "purge_repositories": {"type": "bool", "default": False},
        "pull_through": {"type": "bool", "default": False},
        "propagation_timeout": {"type": "int", "default": 90},
    }
    execute(AwsModule(argument_spec=spec, supports_check_mode=True), run, "role", connect=aws_client)


if __name__ == "__main__":
    main()
