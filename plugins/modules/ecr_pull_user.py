#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_pull_user
short_description: Manage an IAM user that can pull from Amazon ECR
version_added: 0.1.0
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
  - amazon.aws.boto3
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

from datetime import datetime
from functools import partial
from typing import NamedTuple

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ..module_utils._aws.client import Aws, aws_client
from ..module_utils._aws.ecr_token import verify_key
from ..module_utils._aws.secret_entry import GRANTED, MANAGED, QUARANTINED, Entry, TokenRecord, format_time, quarantine
from ..module_utils._aws.secret_store import STORE_OPTIONS, store_of
from ..module_utils._core.errors import ConflictError, InputError, Json
from ..module_utils._core.module import execute
from ..module_utils._core.result import Result
from ..module_utils._pull_user import policy_attachment as _attach
from ..module_utils._pull_user import pull_policy as _policy
from ..module_utils._pull_user import quarantine as _quarantine
from ..module_utils._pull_user.access_keys import ACTIVE, FOREIGN, MOST_KEYS, ORPHAN, KeyPlan, is_due, owners, plan_keys
from ..module_utils._pull_user.iam_user import (
    UserChange,
    UserSnapshot,
    check_user,
    delete_user,
    find_remaining,
    find_user,
    marked_keys,
    plan_marks,
    plan_user,
    read_snapshot,
    tags_after,
    user_after,
    write_tags,
    write_user,
)
from ..module_utils._pull_user.key_rotation import (
    KeyContext,
    KeyState,
    deactivate_keys,
    ensure_key,
    read_state,
    refuse,
    remove_keys,
    tokens,
)
from ..module_utils._pull_user.policy_attachment import DENY, find_document

CHECK_DELETED = (
    "The entry {0} of the secret store is pending deletion and would be restored. What it holds cannot be read before, "
    "so check mode cannot tell whether a new access key would be made."
)
FOREIGN_STAY = (
    "The user {0} has active access keys that this collection did not make and leaves as they are: {1}. They have no "
    "rights while it is quarantined. To deactivate one: aws iam update-access-key --user-name {0} --status Inactive "
    "--access-key-id ID"
)
TOKEN_HOURS = 12  # how long ECR's tokens live
CHECK_WAIT = "Another run is making the access key of the user {0}: outside check mode this one would wait for it."


class UserState(NamedTuple):
    """The user and what belongs to it, before a run or after it; `promised` is a key that check mode foresees."""

    user: Json | None
    policy: _attach.PolicyView
    current: KeyState
    promised: bool = False


class KeyChange(NamedTuple):
    """What became of the keys, or in check mode would; `promised` as in Picture."""

    current: KeyState
    wrote: bool = False
    rotated: bool = False
    promised: bool = False
    warnings: tuple[str, ...] = ()


class DesiredState(NamedTuple):
    """What the options come to: what the user lacks, the repositories asked for, and what to do about the policies."""

    change: UserChange
    asked: list[str] | None
    rights: _attach.AttachedPolicies
    move: _attach.PolicyChange


def run(params: Json, check_mode: bool, aws: Aws) -> Result:
    check_times(params)
    place = KeyContext(
        aws, store_of(aws, params["secret_store"], params["name"]), params["name"], params["propagation_timeout"]
    )
    user = find_user(aws, place.user)
    if params["state"] == "present":
        return present(place, params, user, check_mode)
    if params["state"] == "quarantined":
        return quarantined(place, params, user, check_mode)
    if user is None:
        return absent_user(place, params, check_mode)
    return absent(place, params, user, check_mode)


def check_times(params: Json) -> None:
    """Raise InputError for ages that would cut off what still works, or that mean nothing."""
    if params["retire_after_hours"] < TOKEN_HOURS:
        raise InputError(
            f"retire_after_hours is {params['retire_after_hours']}: it must be at least {TOKEN_HOURS}, the life of a "
            "token that was minted with the older key."
        )
    if params["rotate_after_days"] is not None and params["rotate_after_days"] < 0:
        raise InputError(f"rotate_after_days is {params['rotate_after_days']}: it must be 0 or more.")


def present(place: KeyContext, params: Json, user: Json | None, check_mode: bool) -> Result:
    """Read, decide, and only then write: what cannot be done changes nothing."""
    found = read_snapshot(place.aws, place.store, place.user, user, params["policy"])
    before = UserState(
        user,
        _attach.current_view(place.user, found.rights),
        KeyState(found.keys, found.entry, tokens_of_older_keys(place, params, found)),
    )
    releasing = is_released(place, params, user)
    current = without_ours(before) if releasing else before.current
    wanted = decide(place, params, found)
    plan_for = partial(key_plan, place, params, (user or {}).get("tags", {}))
    if params["key_state"] == "present" and not is_deleted(found.entry):
        refuse(plan_for(current), place.user)
    if not check_mode:
        if write_user(place.aws, place.user, wanted.change):
            current = read_state(place)
        if releasing:
            start_release(place, before, current)
        write_policy(place, found, wanted)
    keys = keep_keys(place, params, before._replace(current=current), wanted, plan_for, check_mode)
    after = UserState(user_with(found, place, wanted), policy_with(before, place, wanted), keys.current, keys.promised)
    after, marked = mark(place, after, check_mode)
    if releasing:
        after = end_release(place, after, check_mode)
    if not check_mode and not keys.rotated:
        prove_new(place, before, after, wanted.asked)
    changed = wanted.change != UserChange() or _attach.is_needed(wanted.move) or keys.wrote or marked or releasing
    return build_result(
        place, params, changed, before, after, wanted.asked, rotated=keys.rotated, warnings=keys.warnings
    )


def is_released(place: KeyContext, params: Json, user: Json | None) -> bool:
    """Return whether this run takes the user out of quarantine. Raises ConflictError when it is in one and stays."""
    if user is None:
        return False
    if not params["release_quarantine"]:
        why = quarantine(user["tags"], f"The user {place.user}")
        if why:
            raise ConflictError(f"{why} Nothing was changed.")
        return False
    return QUARANTINED in user["tags"] or find_document(place.aws, place.user, DENY) is not None


def without_ours(before: UserState) -> KeyState:
    """Return what is held without our keys, which are not trusted any more; an orphan goes later with its note."""
    whose = owners_of(before)
    keys = tuple(key for key in before.current.keys if whose[key.id] in (FOREIGN, ORPHAN))
    return before.current._replace(keys=keys)


def start_release(place: KeyContext, before: UserState, current: KeyState) -> None:
    """Remove the keys that are not held any more, and only then the policy that denies everything."""
    to_delete = tuple(key.id for key in before.current.keys if key not in current.keys)
    remove_keys(place.aws, place.user, before.current.keys, to_delete)
    _quarantine.remove_policy(place.aws, place.user, DENY)


def end_release(place: KeyContext, after: UserState, check_mode: bool) -> UserState:
    """Drop the tags of the quarantine. Returns the picture without them."""
    if not check_mode:
        _quarantine.untag(place.aws, place.store, place.user, after.current.entry is not None)
    user = after.user or {}
    return after._replace(user={**user, "tags": tags_after(user["tags"], {}, (QUARANTINED,))})


def tokens_of_older_keys(place: KeyContext, params: Json, found: UserSnapshot) -> tuple[TokenRecord, ...]:
    """Return what the entry's tags say of tokens, when a key may be retired at all."""
    readable = found.entry is not None and not found.entry.deleted
    if params["rotate_after_days"] is None or len(found.keys) < MOST_KEYS or not readable:
        return ()
    return tokens(place.store)


def keep_keys(
    place: KeyContext,
    params: Json,
    before: UserState,
    wanted: DesiredState,
    plan_for: partial[KeyPlan],
    check_mode: bool,
) -> KeyChange:
    """Remove the keys, or bring it about that there is a good one and that older ones are retired."""
    if params["key_state"] == "absent":
        return KeyChange(*drop_keys(place, before, check_mode))
    if check_mode:
        return preview_keys(place, before.current, plan_for)
    regions = regions_in_use(policy_with(before, place, wanted), wanted.asked)
    done = ensure_key(place, before.current, plan_for, regions)
    return KeyChange(*done, warnings=() if done.wrote else postponed(place, plan_for(done.current)))


def postponed(place: KeyContext, plan: KeyPlan) -> tuple[str, ...]:
    """Return the warning about a rotation that is due and has to wait."""
    if not plan.postponed:
        return ()
    return (f"The access key of {place.user} is due for rotation, which waits until {plan.postponed[0]} is retired.",)


def decide(place: KeyContext, params: Json, found: UserSnapshot) -> DesiredState:
    """Return what to make true. Raises InputError when the policy would not fit."""
    change = plan_user(found.user, params)
    asked = params["repositories"]
    if asked is not None:
        asked = [_policy.repository_arn(name, found.partition, found.account, place.aws.region) for name in asked]
    rights, move = _attach.plan_policies(
        place.aws, params, found.rights, asked, found.partition, found.account, found.user is not None
    )
    ahead, stale = _attach.plan_record((found.user or {}).get("tags", {}), move.ahead)
    change = change._replace(tag={**change.tag, **ahead}, untag=(*change.untag, *stale))
    return DesiredState(change, asked, rights, move)


def key_plan(place: KeyContext, params: Json, tags: Json, current: KeyState) -> KeyPlan:
    """Return what to do about the keys now; without rotate_after_days none is rotated or retired."""
    rotating = params["rotate_after_days"] is not None
    return plan_keys(
        current.keys,
        marked=marked_keys(tags),
        stored_id=stored_id(current.entry),
        pending=current.entry.pending if current.entry else None,
        fresh=current.fresh,
        now=place.aws.clock(),
        lock_seconds=place.propagation_timeout,
        rotate_after_days=params["rotate_after_days"],
        retire_after_hours=params["retire_after_hours"] if rotating else None,
    )


def stored_id(entry: Entry | None) -> str | None:
    """Return the id of the key that the entry holds."""
    return entry.key.access_key_id if entry and entry.key else None


def is_deleted(entry: Entry | None) -> bool:
    """Return whether the entry is in its recovery window."""
    return bool(entry and entry.deleted)


def user_with(found: UserSnapshot, place: KeyContext, wanted: DesiredState) -> Json:
    """Return the user as the run leaves it, but for what its tags say of keys."""
    user = user_after(found, place.user, wanted.change)
    return {**user, "tags": tags_after(user["tags"], *_attach.plan_record(user["tags"], wanted.move.record))}


def policy_with(before: UserState, place: KeyContext, wanted: DesiredState) -> _attach.PolicyView:
    """Return the policy as the run leaves it."""
    if wanted.move.target is None:
        return before.policy
    return _attach.policy_view(place.user, wanted.move.target, wanted.move.document)


def write_policy(place: KeyContext, found: UserSnapshot, wanted: DesiredState) -> None:
    """Make the policy that is wanted, then take away the former; `write_user` has recorded both.

    Readers of the key are told first to be patient with new rights.
    """
    rights, move = wanted.rights, wanted.move
    if stored_id(found.entry) and _attach.grants(rights, move):
        place.store.tag({GRANTED: format_time(place.aws.clock())})
    if move.attach:
        _attach.attach(place.aws, place.user, rights, move, place.deadline(), is_new=wanted.change.create)
    stuck = _attach.detach(place.aws, place.user, found.partition, rights, move.detach)
    if stuck:
        raise ConflictError(
            f"The user {place.user} has its new policy, and the former one, {stuck[0]['name']}, is detached from it, "
            f"but something else uses that one too. {stuck[0]['remedy']}"
        )
    tags = user_after(found, place.user, wanted.change)["tags"]
    write_tags(place.aws, place.user, *_attach.plan_record(tags, move.record))


def preview_keys(place: KeyContext, current: KeyState, plan_for: partial[KeyPlan]) -> KeyChange:
    """Return what would be held, and what cannot be foreseen."""
    if is_deleted(current.entry):
        return KeyChange(current, wrote=True, warnings=(CHECK_DELETED.format(place.store.name),))
    plan = plan_for(current)
    if plan.wait:
        return KeyChange(current, warnings=(CHECK_WAIT.format(place.user),))
    kept = (key for key in current.keys if key.id not in plan.delete)
    keys = tuple(key._replace(status="Inactive") if key.id in plan.deactivate else key for key in kept)
    entry = current.entry._replace(key=None, pending=None) if current.entry and plan.create else current.entry
    wrote = plan.create or plan.forget or bool(plan.delete or plan.deactivate)
    rotated = plan.create and plan.rotation_due
    return KeyChange(KeyState(keys, entry), wrote, rotated, plan.create, postponed(place, plan))


def drop_keys(place: KeyContext, before: UserState, check_mode: bool) -> tuple[KeyState, bool]:
    """Remove the keys that are ours, then the entry. Returns what is left, and whether anything was written."""
    keys, entry, dummy = before.current
    whose = owners_of(before)
    to_delete = tuple(key.id for key in keys if whose[key.id] != FOREIGN)
    there = entry is not None and not entry.deleted
    if not check_mode:
        remove_keys(place.aws, place.user, keys, to_delete)
        if there:
            place.store.delete()
    return KeyState(tuple(key for key in keys if key.id not in to_delete), None), bool(to_delete) or there


def mark(place: KeyContext, picture: UserState, check_mode: bool) -> tuple[UserState, bool]:
    """Make the user's tags name its entry and its keys. Returns the picture with them, and whether they changed."""
    if picture.user is None or picture.promised:
        return picture, picture.promised
    tag, untag = plan_marks(picture.user["tags"], picture.current.entry, picture.current.keys)
    if not check_mode:
        write_tags(place.aws, place.user, tag, untag)
    user = {**picture.user, "tags": tags_after(picture.user["tags"], tag, untag)}
    return picture._replace(user=user), bool(tag or untag)


def prove_new(place: KeyContext, before: UserState, after: UserState, asked: list[str] | None) -> None:
    """Return once AWS accepts the key in the store wherever it will be used, if it was not there before."""
    entry = after.current.entry
    if entry and entry.key and entry.key.access_key_id not in {key.id for key in before.current.keys}:
        verify_key(place.aws, entry.key, regions_in_use(after.policy, asked), place.deadline())


def regions_in_use(policy: _attach.PolicyView, asked: list[str] | None) -> list[str]:
    """Return the regions from which the user will pull: those of its policy, or of what was asked for."""
    return _policy.regions_of(_policy.repositories_of(policy.document) or asked or [])


def absent(place: KeyContext, params: Json, user: Json, check_mode: bool) -> Result:
    """Remove what is ours, rights first since that ends tokens in use, then the user when nothing else is on it."""
    found = read_snapshot(place.aws, place.store, place.user, user)
    rights = found.rights
    before = UserState(user, _attach.current_view(place.user, rights), KeyState(found.keys, found.entry))
    stuck = [] if check_mode else _attach.detach(place.aws, place.user, found.partition, rights, rights.there)
    current, wrote = drop_keys(place, before, check_mode)
    ours = _attach.attached_arns(found.partition, rights)
    hanging = [*stuck, *find_remaining(place.aws, place.user, current.keys, ours)]
    remaining = [thing for thing in hanging if thing["name"] != DENY]
    if not remaining and not check_mode:
        if hanging:
            _quarantine.remove_policy(place.aws, place.user, DENY)
        remaining = delete_user(place.aws, place.user)
    after = UserState(user if remaining else None, _attach.PolicyView(), current)
    after, recorded = record_rest(place, after, bool(stuck), check_mode)
    after, marked = mark(place, after, check_mode)
    changed = not remaining or bool(rights.there) or wrote or recorded or marked
    return build_result(place, params, changed, before, after, None, remaining)


def record_rest(place: KeyContext, picture: UserState, stuck: bool, check_mode: bool) -> tuple[UserState, bool]:
    """Make the tags of a user that stays name the policy that could not be deleted, or none. As `mark` for keys."""
    if picture.user is None:
        return picture, False
    made = frozenset({_attach.CUSTOMER if stuck else _attach.INLINE})
    tag, untag = _attach.plan_record(picture.user["tags"], made)
    if not check_mode:
        write_tags(place.aws, place.user, tag, untag)
    user = {**picture.user, "tags": tags_after(picture.user["tags"], tag, untag)}
    return picture._replace(user=user), bool(tag or untag)


def quarantined(place: KeyContext, params: Json, user: Json | None, check_mode: bool) -> Result:
    """Take the rights, which ends tokens in use too and needs nothing of the store, then deactivate our keys."""
    if user is None:
        raise InputError(f"There is no IAM user {place.user} to quarantine.")
    arn = user["arn"].split(":")
    check_user(user, place.store.arn(partition=arn[1], account=arn[4]))
    inline = find_document(place.aws, place.user, _policy.NAME)
    denied = _quarantine.is_denied(place.aws, place.user) and inline is None
    if not (denied or check_mode):
        _quarantine.deny(place.aws, place.user)
    tag = {} if QUARANTINED in user["tags"] else {QUARANTINED: format_time(place.aws.clock())}
    if not check_mode:
        write_tags(place.aws, place.user, tag, ())
    found = read_snapshot(place.aws, place.store, place.user, user, params["policy"])
    shown = _attach.current_view(place.user, found.rights._replace(inline=inline))
    before = UserState(user, shown, KeyState(found.keys, found.entry))
    whose = owners_of(before)
    to_delete = tuple(key.id for key in found.keys if key.status == ACTIVE and whose[key.id] != FOREIGN)
    if not check_mode:
        deactivate_keys(place.aws, place.user, found.keys, to_delete)
    keys = tuple(key._replace(status="Inactive") if key.id in to_delete else key for key in found.keys)
    reported = tell_readers(place, found.entry, check_mode)
    tags = {**user["tags"], **tag}
    left = _attach.current_view(place.user, found.rights._replace(inline=None))
    after = UserState({**user, "tags": tags}, left, KeyState(keys, found.entry))
    foreign = [key.id for key in keys if key.status == ACTIVE]
    warnings = (FOREIGN_STAY.format(place.user, ", ".join(foreign)),) if foreign else ()
    changed = bool(not denied or tag or to_delete or reported)
    return build_result(place, params, changed, before, after, None, warnings=warnings)


def tell_readers(place: KeyContext, entry: Entry | None, check_mode: bool) -> bool:
    """Tag the entry, so that readers of the key, which do not ask IAM, know. Returns whether that was needed."""
    if entry is None or entry.deleted or QUARANTINED in place.store.tags():
        return False
    if not check_mode:
        place.store.tag({QUARANTINED: format_time(place.aws.clock())})
    return True


def absent_user(place: KeyContext, params: Json, check_mode: bool) -> Result:
    """Remove the entry that a user which is gone has left behind; an entry of somebody else is none of it."""
    ours = place.store.tags().get(MANAGED) == place.user
    entry = place.store.read() if ours else None
    there = entry is not None and not entry.deleted
    if there and not check_mode:
        place.store.delete()
    before = UserState(None, _attach.PolicyView(), KeyState((), entry if there else None))
    return build_result(
        place, params, there, before, UserState(None, _attach.PolicyView(), KeyState((), None)), None, []
    )


def build_result(
    place: KeyContext,
    params: Json,
    changed: bool,
    before: UserState,
    after: UserState,
    asked: list[str] | None,
    remaining: list[Json] | None = None,
    rotated: bool = False,
    warnings: tuple[str, ...] = (),
) -> Result:
    """Return what the module reports."""
    now = place.aws.clock()
    stored = next((key for key in after.current.keys if key.id == stored_id(after.current.entry)), None)
    results = {
        "user": after.user,
        "policy": policy_result(after.policy, asked),
        "access_keys": keys_result(after, now),
        "secret_store": {
            "type": params["secret_store"]["type"],
            "name": place.store.name,
            "arn": after.current.entry.arn if after.current.entry else None,
            "region": place.store.region,
            "access_key_id": stored_id(after.current.entry),
        },
        "rotation_due": bool(stored and is_due(stored, now, params["rotate_after_days"])),
        "rotated": rotated,
    }
    if remaining is not None:
        results["remaining"] = remaining
    if remaining:
        warnings = (*warnings, still_there(place.user, remaining))
    return Result(changed, for_diff(before), for_diff(after), results, warnings)


def policy_result(policy: _attach.PolicyView, asked: list[str] | None) -> Json:
    """Return what is reported of the policy."""
    of_aws = policy.kind in _attach.OF_AWS
    repositories = ["*"] if of_aws else _policy.repositories_of(policy.document)
    return {
        "kind": policy.kind,
        "name": policy.name,
        "document": policy.document,
        "size": _policy.size(policy.document),
        "limit": policy.limit,
        "repositories": repositories,
        "extra_repositories": [] if asked is None or of_aws else [arn for arn in repositories if arn not in asked],
    }


def keys_result(picture: UserState, now: datetime) -> list[Json]:
    """Return what is reported of the keys, one that check mode foresees included."""
    whose, stored = owners_of(picture), stored_id(picture.current.entry)
    found = [
        {
            "id": key.id,
            "status": key.status,
            "created": format_time(key.created),
            "age_days": max((now - key.created).days, 0),
            "last_used": format_time(key.last_used) if key.last_used else None,
            "ours": whose[key.id] != FOREIGN,
            "stored": key.id == stored,
        }
        for key in picture.current.keys
    ]
    if picture.promised:
        new = {"id": None, "status": "Active", "created": None, "age_days": 0, "last_used": None}
        found.append({**new, "ours": True, "stored": True})
    return found


def owners_of(picture: UserState) -> dict[str, str]:
    """Return key id -> whose it is, for the keys of a picture."""
    keys, entry, dummy = picture.current
    marked = marked_keys(picture.user["tags"]) if picture.user else set()
    return owners(keys, marked, stored_id(entry), entry.pending if entry else None)


def for_diff(picture: UserState) -> Json | None:
    """Return what the diff shows: nothing secret, and nothing that changes by itself."""
    keys, entry, dummy = picture.current
    if not (picture.user or entry):
        return None
    access_keys = [{"id": key.id, "status": key.status} for key in keys]
    return {
        "user": picture.user,
        "policy": {"kind": picture.policy.kind, "name": picture.policy.name, "document": picture.policy.document},
        "access_keys": [*access_keys, {"id": None, "status": "Active"}] if picture.promised else access_keys,
        "secret_store": None if entry is None or entry.deleted else entry.arn,
    }


def still_there(user: str, remaining: list[Json]) -> str:
    """Return the warning about a user that could not be removed."""
    things = "; ".join(f"{thing['kind']} {thing['name']} ({thing['remedy']})" for thing in remaining)
    return f"The user {user} stays, without anything of this collection on it, because of what others gave it: {things}"


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
    execute(AnsibleAWSModule(argument_spec=spec, supports_check_mode=True), run, "user", connect=aws_client)


if __name__ == "__main__":
    main()
