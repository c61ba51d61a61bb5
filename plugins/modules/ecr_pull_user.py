#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_pull_user
short_description: Manage an IAM user that can pull from Amazon ECR
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Keeps an IAM user that can pull these repositories and do nothing else, with one good access key in a secret store.
  - The secret of the key goes from the call that makes it straight into the store. It is never returned, shown or
    logged, and there is no way to have it returned. M(gpuops.runpod.runpod_ecr_credential) and
    M(gpuops.runpod.ecr_pull_check) read it from the store themselves.
  - A run that is interrupted anywhere leaves what works in place, and a plain second run finishes its job.
options:
  name:
    description:
      - Name of the user.
      - IAM ignores the case of names, so a user of the same name in another spelling is an error.
    type: str
    required: true
  state:
    description:
      - V(present) ensures the user, its policy, its key and the entry of the secret store.
      - V(absent) takes away the policies that this collection gave, then its keys, then the entry of the secret store
        at once and without a recovery window, then the user.
      - A user on which something else hangs stays, see RV(remaining). All that this collection made is removed, except
        that a user in quarantine stays in it.
      - V(quarantined) is for an incident. It removes the inline policy of this collection, denies everything by
        another one, C(gpuops-runpod-quarantine), which outweighs whatever else allows and also ends pulls with tokens
        already handed out, then deactivates the keys of this collection, and tags the user and the entry with
        C(gpuops.runpod/quarantined). Keys that others made are named in a warning; they have no rights either.
      - A user in quarantine stays so, and V(present) is an error, until O(release_quarantine).
    type: str
    choices: [present, absent, quarantined]
    default: present
  path:
    description:
      - Path of the user. It must begin and end with a slash.
      - A user with another path is moved, which changes its ARN. Policies that name the former ARN stop working.
    type: str
    default: /runpod/
  permissions_boundary:
    description:
      - ARN of the managed policy that is the user's permissions boundary.
      - When not set, the boundary is left alone. An empty text removes it.
    type: str
  user_tags:
    description:
      - Tags of the user.
      - When not set, tags are left alone.
      - Names that start with C(gpuops.runpod/) or look like the id of an access key cannot be set.
    type: dict
  purge_tags:
    description:
      - Whether tags that O(user_tags) does not name are removed, when O(user_tags) is set.
      - Tags of this collection, those of AWS itself, and those named like the id of an access key are never removed.
        The AWS console keeps the description of an access key in such a tag.
    type: bool
    default: true
  policy:
    description:
      - The kind of policy through which the user may pull.
      - V(repositories) opens O(repositories) and nothing else, with a policy of this collection. It is inline as long
        as IAM's quota for all inline policies of the user allows that, and one customer managed policy beyond.
      - V(pull_only) attaches C(AmazonEC2ContainerRegistryPullOnly), which opens every repository of the account in
        every region and lets pulls fill pull-through caches.
      - V(read_only) attaches C(AmazonEC2ContainerRegistryReadOnly), which also lists and describes repositories and
        images, and fills no pull-through cache.
      - Another kind than before is made first, and then the former is taken away. A policy of AWS that somebody else
        attached is left attached. What the former policy opened is forgotten when a policy of AWS takes its place.
      - V(repositories) without O(repositories) leaves whatever policy the user has alone.
    type: str
    choices: [repositories, pull_only, read_only]
    default: repositories
  repositories:
    description:
      - The repositories that the user can pull from, each as a name, an ARN or the URI of an image.
      - A name means a repository in the account of the user and in the module's region.
      - The wildcards V(*) and V(?) stand for any characters, C(/) included, so V(team/*) covers V(team/a/b).
      - When not set, the policy is left alone. A user without a policy cannot pull anything.
      - They must be well-formed, but have no effect on what the user may pull, with O(policy=pull_only) and
        O(policy=read_only). RV(policy.repositories) says what is open.
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
      - The policies of AWS have it or not, whatever this says.
    type: bool
    default: false
  key_state:
    description:
      - V(present) ensures that the secret store holds a key of the user that can be used.
      - V(absent) removes the keys of this collection and then the entry of the secret store. User and policy stay.
    type: str
    choices: [present, absent]
    default: present
  rotate_after_days:
    description:
      - Age in days from which the key in the store is replaced by a new one. The new key is made beside it, proved at
        STS and in each region of the policy's repositories, and only then takes its place, so that the key in the store
        works at any moment. The older key goes on working, see O(retire_after_hours).
      - When not set, no key is rotated or retired. RV(access_keys[].age_days) tells the age. Check mode tells what
        would be rotated.
      - V(0) rotates at once. Then each run rotates again as soon as the last rotation is over, and reports a change.
      - A rotation that is due while the older key of the last one is still being retired waits for that, with a
        warning. When another key is in the way, which is not ours or which something goes on using, it is an error,
        since IAM allows two keys.
    type: int
  retire_after_hours:
    description:
      - The older key of a rotation is deactivated this many hours after the new key was made, unless it was used after
        that moment, or a tag of the entry tells of a token at RunPod that was minted with it and still works.
      - It is deleted once twice the hours have passed. Only runs with O(rotate_after_days) do either.
      - At least V(12), the life of a token.
    type: int
    default: 24
  release_quarantine:
    description:
      - Whether O(state=present) takes a user in quarantine out of it. For one that is in none this means nothing.
      - The keys of this collection are deleted, since they are not trusted after an incident, and a new one is made.
        Set O(repositories), because the quarantine has removed the policy.
      - AWS cannot revoke ECR tokens. One that leaked and is less than 12 hours old works again after the release.
    type: bool
    default: false
  propagation_timeout:
    description:
      - Seconds that a new key may take until AWS accepts it everywhere. After that the module fails. The key is in the
        store then, and a second run does not make another.
      - Also the seconds that a run which finds another one making the key waits for it before it takes over.
    type: int
    default: 90
extends_documentation_fragment:
  - gpuops.runpod.secret_store
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.aws_group
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
seealso:
  - module: gpuops.runpod.runpod_ecr_credential
  - module: gpuops.runpod.ecr_pull_check
notes:
  - The region is that of the secret store and of repositories given by name. IAM has no regions.
  - When O(secret_store.name) is not set, the entry is named C(runpod-ecr/) and the name of the user, with
    O(secret_store.type=ssm) C(/runpod-ecr/) and the name of the user.
  - With O(policy=repositories) the policy allows C(ecr:GetAuthorizationToken), and C(ecr:BatchGetImage),
    C(ecr:GetDownloadUrlForLayer) and C(ecr:BatchCheckLayerAvailability) on the repositories. Two policies are the same
    when they mean the same; the order in a list does not matter. Whatever else somebody wrote into this policy is
    removed. Other policies of the user are never read for what they allow, and never changed.
  - IAM allows 2,048 characters for all inline policies of a user, and 6,144 for a managed policy; it does not count
    white space. The inline policy is named C(gpuops-runpod-pull), the managed one C(gpuops-runpod-pull-) and the name
    of the user, in the path that the user has when it is made. A policy that fits neither is refused with the figures
    before anything is changed. One that shrinks becomes inline again, and the managed one is deleted with all its
    versions. Of these it keeps five at most, and gives up the oldest.
  - The tag C(gpuops.runpod/policy) of the user names what this collection has attached, from before that happens. When
    it is missing, that is the inline policy alone. What it does not name is never detached.
  - A managed policy of this name without a tag C(gpuops.runpod/managed) that names the user was made by somebody else.
    It is an error, as is one of ours that something else uses too when it is to be deleted.
  - A user without the tag C(gpuops.runpod/managed), or an entry of the secret store whose tag of that name does not
    name the user, was made by somebody else. It is an error and nothing is changed.
  - An access key that somebody else made on the user is never changed. It is reported, and takes up one of the two
    keys that IAM allows.
  - Runs at the same time, and one that dies anywhere, cost no key. Each write of the entry is refused or taken back
    when another run has written it since it was read. A run that finds another at work on the key, and needs it, waits.
  - A key in the store that is not active is an error, because somebody may have deactivated it on purpose. Activate it,
    or delete it at IAM and run again; then a new one is made.
  - The module cannot compare the secret in the store with the one at IAM, which shows it only once. It compares the id.
  - >-
    IAM actions for V(present): C(iam:GetUser), C(iam:CreateUser), C(iam:UpdateUser), C(iam:TagUser), C(iam:UntagUser),
    C(iam:GetUserPolicy), C(iam:ListUserPolicies), C(iam:PutUserPolicy), C(iam:ListAccessKeys),
    C(iam:GetAccessKeyLastUsed), C(iam:CreateAccessKey), C(iam:DeleteAccessKey), with O(rotate_after_days)
    C(iam:UpdateAccessKey), with O(release_quarantine) C(iam:DeleteUserPolicy), and for a permissions boundary
    C(iam:PutUserPermissionsBoundary) and C(iam:DeleteUserPermissionsBoundary).
  - >-
    IAM actions to attach a policy of AWS, and to move from it or to it: C(iam:ListAttachedUserPolicies),
    C(iam:AttachUserPolicy), C(iam:DetachUserPolicy) and C(iam:DeleteUserPolicy). The condition key C(iam:PolicyARN) can
    limit what may be attached.
  - >-
    IAM actions for the customer managed policy besides: C(iam:GetPolicy), C(iam:GetPolicyVersion),
    C(iam:CreatePolicy), C(iam:TagPolicy), C(iam:ListPolicyVersions), C(iam:CreatePolicyVersion),
    C(iam:DeletePolicyVersion) and C(iam:DeletePolicy).
  - >-
    IAM actions for V(absent) besides: C(iam:DeleteUserPolicy), C(iam:ListAttachedUserPolicies),
    C(iam:ListGroupsForUser) and C(iam:DeleteUser). C(iam:ListUsers) is optional; with it the error about a name in
    another spelling can tell that spelling.
  - >-
    IAM actions for V(quarantined): C(iam:GetUser), C(iam:GetUserPolicy), C(iam:DeleteUserPolicy),
    C(iam:PutUserPolicy), C(iam:TagUser), C(iam:ListAccessKeys), C(iam:GetAccessKeyLastUsed) and
    C(iam:UpdateAccessKey). Where the policy is not the inline one, C(iam:ListAttachedUserPolicies), and for the
    customer managed one C(iam:GetPolicy) and C(iam:GetPolicyVersion).
  - >-
    IAM actions on the entry with O(secret_store.type=secretsmanager): C(secretsmanager:GetSecretValue),
    C(secretsmanager:DescribeSecret), C(secretsmanager:CreateSecret), C(secretsmanager:PutSecretValue),
    C(secretsmanager:TagResource), C(secretsmanager:RestoreSecret), to release it from quarantine
    C(secretsmanager:UntagResource), and to remove it C(secretsmanager:DeleteSecret).
  - >-
    IAM actions on the entry with O(secret_store.type=ssm): C(ssm:GetParameter), C(ssm:ListTagsForResource),
    C(ssm:PutParameter), C(ssm:AddTagsToResource), to release it from quarantine
    C(ssm:RemoveTagsFromResource), and to remove it C(ssm:DeleteParameter).
"""

EXAMPLES = r"""
- name: Ensure a user that can pull the repository of an image
  gpuops.runpod.ecr_pull_user:
    name: runpod-pull
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
  register: pull_user

- name: Let it pull from more repositories, with a boundary of what it may ever do
  gpuops.runpod.ecr_pull_user:
    name: runpod-pull
    repositories:
      - runpod-gpu-inference
      - arn:aws:ecr:ap-northeast-2:123456789012:repository/team/*
    user_tags:
      team: training

- name: Let it pull from exactly one repository, and rotate its key when it is 90 days old
  gpuops.runpod.ecr_pull_user:
    name: runpod-pull
    repositories:
      - runpod-gpu-training
    purge_repositories: true
    rotate_after_days: 90

- name: Let it pull from every repository of the account, with the policy of AWS instead
  gpuops.runpod.ecr_pull_user:
    name: runpod-pull
    policy: pull_only

- name: Let it pull from one team's repositories again, which may be a pull-through cache
  gpuops.runpod.ecr_pull_user:
    name: runpod-pull
    repositories:
      - team/*
    pull_through: true

- name: Shut it off after an incident
  gpuops.runpod.ecr_pull_user:
    name: runpod-pull
    state: quarantined

- name: Let it go again, with a new key
  gpuops.runpod.ecr_pull_user:
    name: runpod-pull
    repositories:
      - runpod-gpu-training
    release_quarantine: true

- name: Ensure a user whose key is kept in Parameter Store, under a name of your own
  gpuops.runpod.ecr_pull_user:
    name: team-pull
    path: /team/
    repositories:
      - team/*
    secret_store:
      type: ssm
      name: /team/registry-key
      tags:
        team: training

- name: Remove its key, and keep user and policy
  gpuops.runpod.ecr_pull_user:
    name: team-pull
    path: /team/
    key_state: absent
    secret_store:
      type: ssm
      name: /team/registry-key

- name: Remove the users and all that belongs to them
  gpuops.runpod.ecr_pull_user:
    name: "{{ item.name }}"
    state: absent
    secret_store: "{{ item.store }}"
  loop:
    - name: team-pull
      store:
        type: ssm
        name: /team/registry-key
    - name: runpod-pull
      store:
        name: runpod-ecr/runpod-pull
"""

RETURN = r"""
user:
  description: The user afterwards; a prediction in check mode, V(null) when there is none.
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
      sample: arn:aws:iam::123456789012:user/runpod/runpod-ecr-access
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
        team: training
    permissions_boundary:
      description: ARN of its permissions boundary, V(null) when it has none.
      returned: always
      type: str
      sample: arn:aws:iam::123456789012:policy/runpod-pull-boundary
policy:
  description: The policy through which the user may pull; a prediction in check mode.
  returned: success
  type: dict
  contains:
    kind:
      description: Its kind, as O(policy). V(null) when the user has no policy of this collection.
      returned: always
      type: str
      sample: repositories
    name:
      description: >-
        Its name. V(gpuops-runpod-pull) is the inline policy, one that ends in the name of the user the customer managed
        policy.
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
        How many characters IAM allows, for all inline policies of the user or for the managed policy. V(null) for a
        policy of AWS.
      returned: always
      type: int
      sample: 2048
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
access_keys:
  description: The access keys of the user, those that others made included. None of them has a secret.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Its id, V(null) in check mode for one that would be made.
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
      description: When it was last used, in UTC, as far as IAM knows. V(null) when it never was.
      returned: always
      type: str
      sample: "2026-08-12T08:15:00Z"
    ours:
      description: Whether this collection made it.
      returned: always
      type: bool
      sample: true
    stored:
      description: Whether it is the one in the secret store.
      returned: always
      type: bool
      sample: true
secret_store:
  description: The entry of the secret store.
  returned: success
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
    arn:
      description: ARN of the entry, V(null) when there is none.
      returned: always
      type: str
      sample: arn:aws:secretsmanager:us-east-1:123456789012:secret:runpod-ecr/runpod-ecr-access-AbCdEf
    region:
      description: Region of the entry.
      returned: always
      type: str
      sample: us-east-1
    access_key_id:
      description: Id of the key that it holds, V(null) when it holds none.
      returned: always
      type: str
      sample: AKIAIOSFODNN7EXAMPLE
rotation_due:
  description:
    - Whether the key that is in the store afterwards has reached O(rotate_after_days), as its rotation has to wait.
    - V(false) when O(rotate_after_days) is not set.
  returned: success
  type: bool
  sample: false
rotated:
  description: Whether the key was or, in check mode, would be replaced because of its age.
  returned: success
  type: bool
  sample: false
remaining:
  description: >-
    What keeps the user from being removed. This collection did not make it and does not remove it. A policy of its own
    that something else uses counts as such.
  returned: O(state=absent)
  type: list
  elements: dict
  contains:
    kind:
      description: >-
        What it is, for example V(access key), V(inline policy), V(attached policy), V(group) or V(policy in use).
      returned: always
      type: str
      sample: attached policy
    name:
      description: Its id, name or ARN, or the words of AWS.
      returned: always
      type: str
      sample: arn:aws:iam::aws:policy/ReadOnlyAccess
    remedy:
      description: How to remove it.
      returned: always
      type: str
      sample: >-
        aws iam detach-user-policy --policy-arn arn:aws:iam::aws:policy/ReadOnlyAccess --user-name runpod-ecr-access
"""


from ..module_utils._aws.client import aws_client
from ..module_utils._aws.module import AwsModule
from ..module_utils._aws.store_options import STORE_OPTIONS
from ..module_utils._core.module import execute
from ..module_utils._pull_user.pull_user import run


def main() -> None:
    spec = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent", "quarantined"], "default": "present"},
        "path": {"type": "str", "default": "/runpod/"},
        "permissions_boundary": {"type": "str"},
        "user_tags": {"type": "dict"},
        "purge_tags": {"type": "bool", "default": True},
        "policy": {"type": "str", "choices": ["repositories", "pull_only", "read_only"], "default": "repositories"},
        "repositories": {"type": "list", "elements": "str"},
        "purge_repositories": {"type": "bool", "default": False},
        "pull_through": {"type": "bool", "default": False},
        "key_state": {"type": "str", "choices": ["present", "absent"], "default": "present", "no_log": False},
        "rotate_after_days": {"type": "int"},
        "retire_after_hours": {"type": "int", "default": 24},
        "release_quarantine": {"type": "bool", "default": False},
        "secret_store": {"type": "dict", "options": STORE_OPTIONS, "apply_defaults": True, "no_log": False},
        "propagation_timeout": {"type": "int", "default": 90},
    }
    execute(AwsModule(argument_spec=spec, supports_check_mode=True), run, "user", connect=aws_client)


if __name__ == "__main__":
    main()
