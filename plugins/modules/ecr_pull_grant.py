#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_pull_grant
short_description: Let RunPod's own roles pull from repositories in Amazon ECR
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Keeps one statement, found by its Sid, in the policy of each repository. It lets the AWS roles with which RunPod
    pulls read the repository, and is the text that RunPod asks for. No secret is involved.
  - All other statements of a policy stay as they are, and so do its version and its id.
  - All repositories are read before the first one is written. When a repository does not exist, when the Sid is taken
    by somebody else, or when a policy would become too long, nothing is written at all.
options:
  repositories:
    description:
      - The repositories, each as a name, an ARN or the URI of an image. Wildcards are not possible.
      - An ARN and a URI say which account and region they mean. A name means a repository of O(account_id) in the
        module's region.
      - All must be in the partition C(aws), where RunPod's roles are. A role of that partition has no access to
        repositories in China, GovCloud or other partitions.
    type: list
    elements: str
    required: true
  account_id:
    description:
      - The account of the repositories that are given by name.
      - When not set, that of whoever runs this.
    type: str
  statement_id:
    description: The Sid of the statement. It is told from statements of others by nothing else.
    type: str
    default: AllowRunpodPull
  principal_arns:
    description:
      - ARNs of the roles or users that may pull. Wildcards are refused, and so is an empty list.
      - When not set, the two roles that RunPod publishes. They can be read in RV(policies[].document).
      - Set this when RunPod publishes other roles than this version of the collection knows, and for statements that
        are for roles of your own.
    type: list
    elements: str
  state:
    description:
      - V(present) ensures the statement.
      - V(absent) removes it, and with the last statement the policy. A repository that does not exist has none; that is
        a warning.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.aws_group
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
seealso:
  - module: gpuops.runpod.runpod_ecr_delegation
  - module: gpuops.runpod.ecr_pull_check
  - module: gpuops.runpod.ecr_pull_user
notes:
  - Two statements are the same when they mean the same. The order in a list does not matter, nor does a C(Resource) of
    V(*). A statement that differs is replaced where it stands.
  - A statement of this Sid is taken for somebody else's when it is for roles, users, accounts or services that are
    neither in O(principal_arns) nor were ever published by RunPod, and when it allows nothing. That is an error, with
    O(state=absent) too. To take back a statement for roles of your own, name them in O(principal_arns).
  - The C(Principal) of the statement is V(*), as RunPod asks for it, and its C(Condition) narrows that to
    O(principal_arns). Scanners that do not read conditions report it.
  - ECR replaces a whole policy at once, and the last one who writes wins. The policy is read right before it is written
    and again after that. When the statement is not as it was written, somebody wrote who had not seen it. Then the
    module tries again, up to three times with growing pauses, and puts back statements of others that were lost with
    it. When the statement is there, but one of the others is not, that one was taken away on purpose and stays away.
    Both are warnings.
  - What somebody else writes in the moment between reading and writing is lost, and ECR has no means to notice it. Do
    not let other tools write the same policy at the same time.
  - A refusal of the policy because a principal is not known is tried again for a minute, because a role may be new. It
    may also come from a statement of others whose role was deleted.
  - RunPod looks at the policy when it is told of the repository. Whether a pull works is for RunPod to prove;
    M(gpuops.runpod.ecr_pull_check) cannot act as RunPod's roles.
  - "IAM actions on the repositories for V(present): C(ecr:GetRepositoryPolicy) and C(ecr:SetRepositoryPolicy)."
  - "IAM actions on the repositories for V(absent) besides: C(ecr:DeleteRepositoryPolicy)."
  - A repository of another account must allow them in its own policy too.
"""

EXAMPLES = r"""
- name: Let RunPod pull the repository of an image
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1

- name: Let RunPod pull several repositories, in two regions
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - runpod-gpu-training
      - runpod-gpu-inference
      - arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app
  register: grant

- name: Show which roles RunPod published anew, and which it gave up
  ansible.builtin.debug:
    msg: "{{ item.repository }}: {{ item.drift.missing }} were missing, {{ item.drift.outdated }} were outdated"
  loop: "{{ grant.policies | selectattr('changed') }}"
  loop_control:
    label: "{{ item.arn }}"

- name: Let a role of another account pull too, in a statement of its own
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - runpod-gpu-training
    account_id: "123456789012"
    statement_id: AllowPartnerPull
    principal_arns:
      - arn:aws:iam::210987654321:role/partner-pull

- name: Take back what RunPod may do, and leave the partner's statement alone
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - runpod-gpu-training
      - runpod-gpu-inference
      - arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app
    state: absent

- name: Take back what the partner may do, and with it the policy that is empty then
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - runpod-gpu-training
    statement_id: AllowPartnerPull
    principal_arns:
      - arn:aws:iam::210987654321:role/partner-pull
    state: absent
"""

RETURN = r"""
policies:
  description:
    - The policy of each repository, in the order of O(repositories); one that is named twice is listed once.
    - A failure after the first write holds those that were done before it.
  returned: success
  type: list
  elements: dict
  contains:
    repository:
      description: Name of the repository.
      returned: always
      type: str
      sample: team/app
    arn:
      description: ARN of the repository.
      returned: always
      type: str
      sample: arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app
    document:
      description: The whole policy afterwards, V(null) when there is none; a prediction in check mode.
      returned: always
      type: dict
      sample:
        Version: "2012-10-17"
        Statement:
          - Sid: AllowRunpodPull
            Effect: Allow
            Principal: "*"
            Action:
              - ecr:GetAuthorizationToken
              - ecr:BatchCheckLayerAvailability
              - ecr:GetDownloadUrlForLayer
              - ecr:BatchGetImage
            Condition:
              StringEquals:
                aws:PrincipalArn:
                  - arn:aws:iam::550005742258:role/prod-us-east-1-deployment-role
                  - arn:aws:iam::550005742258:role/prod-us-west-2-deployment-role
    changed:
      description: Whether it was written, or would be.
      returned: always
      type: bool
      sample: true
    drift:
      description: How the roles of the statement that was there differed; empty when there was none.
      returned: always
      type: dict
      contains:
        missing:
          description: ARNs that it lacked.
          returned: always
          type: list
          elements: str
          sample: ["arn:aws:iam::550005742258:role/prod-us-west-2-deployment-role"]
        outdated:
          description: ARNs that it had and should not have any more.
          returned: always
          type: list
          elements: str
          sample: ["arn:aws:iam::418399314813:role/prod-us-east-1-deployment-role"]
    size:
      description: Its characters, as they are sent.
      returned: always
      type: int
      sample: 399
    limit:
      description: How many characters ECR allows.
      returned: always
      type: int
      sample: 10240
foreign_statements:
  description: The statements of others in these policies, which this module never changes.
  returned: success
  type: list
  elements: dict
  contains:
    arn:
      description: ARN of the repository.
      returned: always
      type: str
      sample: arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training
    statement:
      description: The statement.
      returned: always
      type: dict
      sample:
        Sid: AllowBuildPush
        Effect: Allow
        Principal:
          AWS: arn:aws:iam::123456789012:role/build
        Action: ecr:PutImage
"""


from ..module_utils._aws.client import aws_client
from ..module_utils._aws.module import AwsModule
from ..module_utils._core.module import execute
from ..module_utils._ecr.pull_grant import run


def main() -> None:
    spec = {
        "repositories": {"type": "list", "elements": "str", "required": True},
        "account_id": {"type": "str"},
        "statement_id": {"type": "str", "default": "AllowRunpodPull"},
        "principal_arns": {"type": "list", "elements": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    execute(AwsModule(argument_spec=spec, supports_check_mode=True), run, None, connect=aws_client)


if __name__ == "__main__":
    main()
