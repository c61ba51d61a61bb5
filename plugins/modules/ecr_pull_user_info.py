#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_pull_user_info
short_description: Audit IAM users that pull from Amazon ECR
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Tells of one pull user, or of all under a path, what its keys, policies and entry of the secret store are, and what
    is wrong with them, each with the command that mends it.
  - Changes nothing. A user that does not exist is a finding, not an error.
  - The secret of a key is never returned, shown or logged.
options:
  name:
    description:
      - Name of the user.
      - IAM ignores the case of names, so a user of the same name in another spelling is an error.
      - Exactly one of O(name) and O(path_prefix) is needed.
    type: str
  path_prefix:
    description:
      - What the path of the users begins with, for example V(/runpod/). V(/) means all users of the account.
    type: str
  rotate_after_days:
    description:
      - Age in days from which the key that tokens are minted with is to be replaced.
      - When not set, no key is too old.
    type: int
  repositories:
    description:
      - The repositories that the policy should open, each as a name, an ARN or the URI of an image, as in
        M(gpuops.runpod.ecr_pull_user). They hold for each user that is read.
      - When not set, only changes that somebody made to the rest of the policy are found.
    type: list
    elements: str
  secret_store:
    description:
      - Which entry of a secret store holds the key. When not set, no store is read, and what only the store tells is
        missing from the results. An empty dictionary is enough for users whose tag records their entry, as those of
        M(gpuops.runpod.ecr_pull_user) do.
  events:
    description:
      - Whether and how to look up in AWS CloudTrail what each key pulled. When not set, it is not looked up. An empty
        dictionary takes the defaults.
      - CloudTrail takes two requests a second in a region and gives 50 events in one, up to 15 minutes late. One pull
        makes one event for the image and one for each of its layers.
    type: dict
    suboptions:
      regions:
        description: Regions to look in. When not set, those of the repositories that the user can pull from.
        type: list
        elements: str
      hours:
        description: How many hours to look back, at most 2160, which is 90 days.
        type: int
        default: 24
      limit:
        description: How many events to read at most for a key in a region, the newest first.
        type: int
        default: 200
extends_documentation_fragment:
  - gpuops.runpod.secret_store
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.aws_group
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
attributes:
  diff_mode:
    support: none
    description: Nothing is ever changed, so there is no difference to show.
seealso:
  - module: gpuops.runpod.ecr_pull_user
  - module: gpuops.runpod.ecr_pull_check
notes:
  - The region is that of the secret store, of repositories given by name, and of CloudTrail when the policy names none.
    IAM has no regions.
  - When O(secret_store.name) is not set, the entry is the one that the tag C(gpuops.runpod/secret) of the user records,
    else the one that M(gpuops.runpod.ecr_pull_user) would make. O(secret_store.kms_key_id) and O(secret_store.tags)
    have no meaning here.
  - The policies of this collection are the inline policy C(gpuops-runpod-pull), customer managed policies of the
    account whose name starts so, and C(AmazonEC2ContainerRegistryPullOnly) and C(AmazonEC2ContainerRegistryReadOnly) of
    AWS. What other policies and groups allow is not read; that they are there is a finding.
  - A user without the tag C(gpuops.runpod/managed) is told of, and nothing is said against it. In quarantine only what
    somebody else added is said besides.
  - An entry of the secret store that cannot be read is a finding. Whatever else AWS refuses is an error.
  - >-
    IAM actions for O(name): C(iam:GetUser), C(iam:ListUserPolicies), C(iam:GetUserPolicy),
    C(iam:ListAttachedUserPolicies), C(iam:ListGroupsForUser), C(iam:ListAccessKeys) and C(iam:GetAccessKeyLastUsed).
    For O(path_prefix): C(iam:GetAccountAuthorizationDetails), C(iam:ListAccessKeys) and C(iam:GetAccessKeyLastUsed).
    For customer managed policies of this collection besides C(iam:GetPolicy) and C(iam:GetPolicyVersion).
  - >-
    IAM actions for O(secret_store): C(secretsmanager:GetSecretValue) and C(secretsmanager:DescribeSecret), or with
    O(secret_store.type=ssm) C(ssm:GetParameter) and C(ssm:ListTagsForResource). For O(events)
    C(cloudtrail:LookupEvents).
"""

EXAMPLES = r"""
- name: Ensure a user to look at
  gpuops.runpod.ecr_pull_user:
    name: runpod-pull
    repositories:
      - runpod-gpu-training

- name: Look at the user and its entry of the secret store
  gpuops.runpod.ecr_pull_user_info:
    name: runpod-pull
    secret_store: {}
    rotate_after_days: 90
  register: audit

- name: Show what is wrong and how to mend it
  ansible.builtin.debug:
    var: audit.findings

- name: Tell whether the user can pull from these repositories and from no others
  gpuops.runpod.ecr_pull_user_info:
    name: runpod-pull
    repositories:
      - runpod-gpu-training
      - 123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/team/app:v1
  register: policy_audit

- name: Show what the policies lack and what they open besides
  ansible.builtin.debug:
    msg: "{{ policy_audit.users | map(attribute='policies') | flatten | map(attribute='drift') }}"

- name: Look at all users under a path in one pass
  gpuops.runpod.ecr_pull_user_info:
    path_prefix: /runpod/
    secret_store: {}
    rotate_after_days: 90
  register: fleet

- name: Fail when a user needs somebody's hand
  ansible.builtin.assert:
    that: fleet.findings | selectattr('severity', 'eq', 'error') | length == 0

- name: Look up what its keys pulled in the last week, if it exists
  gpuops.runpod.ecr_pull_user_info:
    name: runpod-pull-of-long-ago
    events:
      hours: 168
"""

RETURN = r"""
users:
  description: The users, by name. None when there is none.
  returned: success
  type: list
  elements: dict
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
      sample: arn:aws:iam::123456789012:user/runpod/runpod-ecr-access
    path:
      description: Its path.
      returned: always
      type: str
      sample: /runpod/
    tags:
      description: All its tags.
      returned: always
      type: dict
      sample:
        gpuops.runpod/managed: "true"
        team: training
    permissions_boundary:
      description: ARN of its permissions boundary, V(null) when it has none.
      returned: always
      type: str
      sample: arn:aws:iam::123456789012:policy/runpod-pull-boundary
    managed:
      description: Whether it is one of this collection, by its tag C(gpuops.runpod/managed).
      returned: always
      type: bool
      sample: true
    quarantined:
      description: Whether it is in quarantine, by its tag C(gpuops.runpod/quarantined).
      returned: always
      type: bool
      sample: false
    policies:
      description: The policies of this collection.
      returned: always
      type: list
      elements: dict
      contains:
        kind:
          description: V(inline), V(customer_managed), or of AWS V(pull_only) or V(read_only).
          returned: always
          type: str
          sample: inline
        name:
          description: Name of an inline policy, ARN of another.
          returned: always
          type: str
          sample: gpuops-runpod-pull
        document:
          description: Its document, V(null) for policies of AWS and for one that is gone meanwhile.
          returned: always
          type: dict
          sample:
            Version: "2012-10-17"
            Statement:
              - Sid: Token
                Effect: Allow
                Action: ecr:GetAuthorizationToken
                Resource: "*"
        repositories:
          description: ARNs of the repositories it opens.
          returned: always
          type: list
          elements: str
          sample: ["arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training"]
        size:
          description: Its characters, as IAM counts them; 0 when there is no document.
          returned: always
          type: int
          sample: 349
        limit:
          description: How many characters IAM allows, for all inline policies together or for this one.
          returned: always
          type: int
          sample: 2048
        drift:
          description: How it differs from what it should be.
          returned: always
          type: dict
          contains:
            missing:
              description: ARNs in O(repositories) that it does not open.
              returned: always
              type: list
              elements: str
              sample: []
            extra:
              description: ARNs that it opens and O(repositories) lacks.
              returned: always
              type: list
              elements: str
              sample: ["arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-inference"]
            other:
              description: Whether it allows anything else, or not the same on its repositories.
              returned: always
              type: bool
              sample: false
    other_policies:
      description: The policies that others gave the user.
      returned: always
      type: list
      elements: dict
      contains:
        kind:
          description: V(inline) or V(attached).
          returned: always
          type: str
          sample: attached
        name:
          description: Name of an inline policy, ARN of an attached one.
          returned: always
          type: str
          sample: arn:aws:iam::aws:policy/ReadOnlyAccess
    groups:
      description: The groups that it is in.
      returned: always
      type: list
      elements: str
      sample: []
    access_keys:
      description: Its access keys, those that others made included. None of them has a secret.
      returned: always
      type: list
      elements: dict
      contains:
        id:
          description: Its id.
          returned: always
          type: str
          sample: AKIAIOSFODNN7EXAMPLE
        status:
          description: Its status, only V(Active) is usable.
          returned: always
          type: str
          sample: Active
        created:
          description: When it was made, in UTC.
          returned: always
          type: str
          sample: "2026-08-01T12:00:00Z"
        age_days:
          description: Its age in whole days.
          returned: always
          type: int
          sample: 12
        last_used:
          description: When it was last used, as far as IAM knows. V(null) when it never was.
          returned: always
          type: dict
          contains:
            date:
              description: The time, in UTC.
              returned: always
              type: str
              sample: "2026-08-12T08:15:00Z"
            service:
              description: The service of AWS.
              returned: always
              type: str
              sample: ecr
            region:
              description: The region.
              returned: always
              type: str
              sample: us-east-1
        never_used:
          description: Whether nobody ever used it.
          returned: always
          type: bool
          sample: false
        ours:
          description: Whether this collection made it.
          returned: always
          type: bool
          sample: true
        stored:
          description: Whether it is the one in the secret store, V(null) when no store was read.
          returned: always
          type: bool
          sample: true
        rotation_due:
          description: >-
            Whether it is the one that tokens are minted with, and older than O(rotate_after_days). When no store was
            read, that is the newest active one of this collection.
          returned: always
          type: bool
          sample: false
    quotas:
      description: How much the user takes of what IAM allows one user unless AWS raised it.
      returned: always
      type: dict
      contains:
        inline_characters:
          description: Characters of all inline policies, as C(used) and C(limit).
          returned: always
          type: dict
          sample:
            used: 349
            limit: 2048
        attached_policies:
          description: Policies that are attached, as C(used) and C(limit).
          returned: always
          type: dict
          sample:
            used: 0
            limit: 10
        groups:
          description: Groups, as C(used) and C(limit).
          returned: always
          type: dict
          sample:
            used: 0
            limit: 10
        tags:
          description: Tags, as C(used) and C(limit).
          returned: always
          type: dict
          sample:
            used: 3
            limit: 50
        access_keys:
          description: Access keys, inactive ones included, as C(used) and C(limit).
          returned: always
          type: dict
          sample:
            used: 1
            limit: 2
    secret_store:
      description: The entry of the secret store, V(null) when O(secret_store) is not set.
      returned: always
      type: dict
      contains:
        type:
          description: The kind of store.
          returned: always
          type: str
          sample: secretsmanager
        name:
          description: Name of the entry.
          returned: always
          type: str
          sample: runpod-ecr/runpod-ecr-access
        region:
          description: Region of the entry.
          returned: always
          type: str
          sample: us-east-1
        arn:
          description: ARN of the entry, V(null) when there is none or it could not be read.
          returned: always
          type: str
          sample: arn:aws:secretsmanager:us-east-1:123456789012:secret:runpod-ecr/runpod-ecr-access-AbCdEf
        state:
          description:
            - V(key) when it holds a key, V(pending) when it holds only a note that one is being made, V(deleted) when
              it is in its recovery window, V(missing) when there is none, and V(unreadable) when it could not be read.
          returned: always
          type: str
          sample: key
        error:
          description: Why it could not be read, else V(null).
          returned: always
          type: str
          sample: null
        access_key_id:
          description: Id of the key that it holds, V(null) when it holds none.
          returned: always
          type: str
          sample: AKIAIOSFODNN7EXAMPLE
        tokens:
          description: The tokens that were handed to RunPod, as the tags of the entry tell.
          returned: always
          type: list
          elements: dict
          contains:
            registry_id:
              description: Id of the RunPod credential that holds the token.
              returned: always
              type: str
              sample: clzdaifot0001l90809257ynb
            expires_at:
              description: Until when it works, in UTC.
              returned: always
              type: str
              sample: "2026-08-13T00:15:00Z"
            access_key_id:
              description: Id of the key that it was minted with.
              returned: always
              type: str
              sample: AKIAIOSFODNN7EXAMPLE
    recent_events:
      description: What its keys pulled, or tried to, the newest first.
      returned: O(events) is set
      type: list
      elements: dict
      contains:
        time:
          description: When, in UTC.
          returned: always
          type: str
          sample: "2026-08-12T08:15:00Z"
        access_key_id:
          description: Id of the key, or of the one that the token in use was minted with.
          returned: always
          type: str
          sample: AKIAIOSFODNN7EXAMPLE
        region:
          description: Region of the repository.
          returned: always
          type: str
          sample: us-east-1
        registry_id:
          description: Account of the repository, V(null) when CloudTrail does not tell.
          returned: always
          type: str
          sample: "123456789012"
        repository:
          description: Name of the repository, V(null) when CloudTrail does not tell, as of a pull that was refused.
          returned: always
          type: str
          sample: runpod-gpu-training
        images:
          description: The tags, or else digests, that were asked for.
          returned: always
          type: list
          elements: str
          sample:
            - v1
        source_ip:
          description: Address that it came from.
          returned: always
          type: str
          sample: 192.0.2.7
        user_agent:
          description: Program that asked.
          returned: always
          type: str
          sample: containerd/2.1.4
        error_code:
          description: Why it was refused, as a code of AWS. V(null) when it was not.
          returned: always
          type: str
          sample: null
        error_message:
          description: Why it was refused, in the words of AWS. V(null) when it was not.
          returned: always
          type: str
          sample: null
    recent_events_complete:
      description: Whether all events of the time were read, or O(events.limit) left some out.
      returned: O(events) is set
      type: bool
      sample: true
findings:
  description: What is wrong, by user, the worst first.
  returned: success
  type: list
  elements: dict
  contains:
    user:
      description: Name of the user, V(null) for a path without users.
      returned: always
      type: str
      sample: runpod-ecr-access
    code:
      description:
        - One of V(user_missing), V(not_managed), V(quarantined), V(rotation_due), V(key_unused), V(key_inactive),
          V(foreign_key), V(two_active_keys), V(secret_missing), V(secret_unreadable), V(secret_key_mismatch),
          V(secret_key_inactive), V(policy_missing), V(policy_drift), V(foreign_policy), V(boundary_missing),
          V(quota_near), V(token_expired) and V(token_ends_soon).
        - A key is V(key_unused) when nobody used it for 30 days, or never within a day. A quota is V(quota_near) from
          80 percent of the limit. A token is V(token_ends_soon) when it works for less than four hours.
      returned: always
      type: str
      sample: rotation_due
    severity:
      description: V(error) when pulls fail or soon will, or a human must decide; V(warning) or V(info) for the rest.
      returned: always
      type: str
      sample: warning
    cause:
      description: What is wrong.
      returned: always
      type: str
      sample: The access key AKIAIOSFODNN7EXAMPLE is 97 days old.
    remedy:
      description: The command that mends it, with words in capitals for what only you know.
      returned: always
      type: str
      sample: >-
        ansible localhost -m gpuops.runpod.ecr_pull_user -a '{"name": "runpod-ecr-access", "path": "/runpod/",
        "rotate_after_days": 90}'
"""


from ..module_utils._aws.client import aws_client
from ..module_utils._aws.module import AwsModule
from ..module_utils._aws.store_options import STORE_OPTIONS
from ..module_utils._core.module import execute
from ..module_utils._pull_user.inventory import EVENT_OPTIONS, run


def main() -> None:
    spec = {
        "name": {"type": "str"},
        "path_prefix": {"type": "str"},
        "secret_store": {"type": "dict", "options": STORE_OPTIONS, "no_log": False},
        "rotate_after_days": {"type": "int"},
        "repositories": {"type": "list", "elements": "str"},
        "events": {"type": "dict", "options": EVENT_OPTIONS},
    }
    module = AwsModule(
        argument_spec=spec,
        mutually_exclusive=[("name", "path_prefix")],
        required_one_of=[("name", "path_prefix")],
        supports_check_mode=True,
    )
    execute(module, run, None, connect=aws_client)


if __name__ == "__main__":
    main()
