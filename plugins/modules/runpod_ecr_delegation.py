#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_ecr_delegation
short_description: Tell RunPod of ECR repositories that its own roles may pull
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Registers private repositories in Amazon ECR with RunPod, so that it pulls their images with its own AWS roles. No
    secret is involved, and nothing has to be refreshed.
  - RunPod looks at the policy of the repository when it is told of it, so M(gpuops.runpod.ecr_pull_grant) comes first.
    This module does not talk to AWS.
  - A delegation holds for every tag of the repository and for the whole team. Templates and pods need no credential
    for it. It is matched by the image that they name.
  - The account is read once, whatever the number of repositories, and only repositories that RunPod does not know yet
    are written.
  - RunPod documents delegations for pods as a beta. Whether serverless endpoints pull with them too, its sources
    contradict each other; M(gpuops.runpod.runpod_ecr_credential) works for both.
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.runpod_group
options:
  images:
    description:
      - URIs of images in private ECR repositories, each with a tag or a digest. Only the repository counts, and the tag
        as O(tag) says.
      - Exactly one of O(images) and O(repository_arns) is required.
    type: list
    elements: str
  repository_arns:
    description:
      - ARNs of private ECR repositories. Wildcards are not possible.
      - Exactly one of O(images) and O(repository_arns) is required.
    type: list
    elements: str
  tag:
    description:
      - The tag to name where a form carries one, for repositories given by ARN and for images given by digest alone. Of
        other images it is their own tag.
      - RunPod stores it and does not look at it when an image is pulled. Name one that exists, because it is not known
        whether RunPod looks for it when it is told of the repository.
      - Without it only the form V(arn) can be tried for such a repository. A repository that is named more than once
        has the first tag known for it.
    type: str
  name:
    description:
      - Name for the delegations that are made, all of them. When not set, they have none.
      - It is no identity. A delegation that exists keeps the name it has.
    type: str
  resource_form:
    description:
      - How the repository is named to RunPod, whose sources differ in what they ask for.
      - V(arn_with_tag) is its ARN with a colon and the tag after it, V(image_uri) the URI of an image with its tag, and
        V(arn) its ARN.
      - V(auto) tries them in this order. It goes on to the next one only when RunPod answers that it does not accept
        what was said, with HTTP status 400 or 422. What RunPod took for one repository is tried first for the next.
    type: str
    choices:
      - auto
      - arn_with_tag
      - image_uri
      - arn
    default: auto
  propagation_timeout:
    description:
      - Seconds for which a repository that RunPod refuses is asked for again, with growing pauses. The policy of a
        repository takes a while to arrive everywhere, and nothing tells its refusal from others.
      - The time is for all repositories together. Set V(0) when no policy is new.
    type: int
    default: 90
  state:
    description:
      - V(present) ensures that each repository is delegated, V(absent) that none is.
      - V(absent) removes all delegations of a repository, whatever their number, name and tag and whoever of the team
        made them. What runs goes on running, and pulls nothing any more unless it has a credential.
        RV(gpuops.runpod.runpod_info#module:references) tells what that would be.
    type: str
    choices:
      - present
      - absent
    default: present
seealso:
  - module: gpuops.runpod.ecr_pull_grant
  - module: gpuops.runpod.ecr_pull_check
  - module: gpuops.runpod.runpod_info
notes:
  - Two delegations are of the same repository when RunPod tells the same account, region and name. One that is there is
    taken as it is. RunPod cannot change a delegation, so another name or tag is told in RV(delegations[].differs) and
    is no change.
  - More than one delegation of a repository is a warning. None of them is removed with O(state=present).
  - The repositories must be in the partition C(aws), where RunPod's roles are.
  - A request without an answer is looked up before anything else happens. When RunPod made a delegation of another
    repository than it was told, this is taken back and counts as a refusal.
  - A repository that fails does not keep the others from being written, unless the failure concerns all of them, as a
    wrong API key, a spent quota or a server that does not answer. The module fails in the end and tells what was done.
  - The RunPod API key needs to read and write registry credentials (C(secrets:write)).
"""

EXAMPLES = r"""
- name: Let RunPod's roles pull the repositories
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - runpod-gpu-training
      - runpod-gpu-inference
      - arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app

- name: Tell RunPod of the repositories of these images
  gpuops.runpod.runpod_ecr_delegation:
    images:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-inference:v1

- name: Tell RunPod of a repository in another region, under a name
  gpuops.runpod.runpod_ecr_delegation:
    repository_arns:
      - arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app
    tag: v1
    name: team-app

- name: Run an image in a template without a credential
  gpuops.runpod.runpod_template:
    name: training
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1

- name: Ensure RunPod knows none of the repositories any more
  gpuops.runpod.runpod_ecr_delegation:
    repository_arns:
      - arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-inference
      - arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app
    state: absent
"""

RETURN = r"""
delegations:
  description:
    - All delegations of the repositories afterwards, in the order of the options; a prediction in check mode. Empty
      with O(state=absent).
    - A failure while repositories are written holds this too.
  type: list
  elements: dict
  returned: once the delegations were read
  contains:
    id:
      description: Id of the delegation.
      type: str
      returned: once the delegation exists
      sample: deleg_abc123
    name:
      description: Its name, or null.
      type: str
      returned: always
      sample: team-app
    repository_arn:
      description: ARN of the repository.
      type: str
      returned: always
      sample: arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training
    repository:
      description: Name of the repository.
      type: str
      returned: always
      sample: runpod-gpu-training
    tag:
      description: The tag it was made with. RunPod does not look at it when an image is pulled.
      type: str
      returned: always
      sample: v1
    aws_user:
      description: The AWS account that the repository lies in.
      type: str
      returned: always
      sample: "123456789012"
    aws_region:
      description: The AWS region that the repository lies in.
      type: str
      returned: always
      sample: us-east-1
    delegator_user_id:
      description: Id of the RunPod user who made it.
      type: str
      returned: once the delegation exists
      sample: user_xyz
    docker_registry_uri:
      description: Host of the registry.
      type: str
      returned: when RunPod tells it
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com
    created_at:
      description: When it was made.
      type: str
      returned: once the delegation exists
      sample: "2026-03-13T20:00:00Z"
    created:
      description: Whether this run made it, or would.
      type: bool
      returned: always
      sample: true
    differs:
      description: Which of O(name) and O(tag) are not as asked for.
      type: list
      elements: str
      returned: always
      sample: []
failed_items:
  description: The repositories that could not be written.
  type: list
  elements: dict
  returned: once the delegations were read
  contains:
    repository_arn:
      description: ARN of the repository.
      type: str
      returned: always
      sample: arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training
    action:
      description: What was tried, V(create) or V(delete).
      type: str
      returned: always
      sample: create
    msg:
      description: What went wrong and what to do about it.
      type: str
      returned: always
      sample: "POST /registries/delegations: HTTP 403: access denied"
    attempts:
      description: What RunPod was told, and what it answered.
      type: list
      elements: dict
      returned: when RunPod took no form
      contains:
        form:
          description: The form, as in O(resource_form).
          type: str
          returned: always
          sample: arn_with_tag
        resource:
          description: The repository in this form.
          type: str
          returned: always
          sample: arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training:v1
        status:
          description: HTTP status of the answer.
          type: int
          returned: always
          sample: 400
        detail:
          description: What RunPod said.
          type: str
          returned: always
          sample: resource is not a valid ECR resource
    status:
      description: HTTP status of RunPod's answer.
      type: int
      returned: when RunPod refused for another reason
      sample: 403
    problem:
      description: What RunPod answered.
      type: dict
      returned: when RunPod refused for another reason
      sample:
        title: Forbidden
        status: 403
        detail: access denied
"""


from ..module_utils._core.module import CollectionModule, execute
from ..module_utils._runpod.connection import ARGUMENTS, runpod_client
from ..module_utils._runpod.delegation import run
from ..module_utils._runpod.delegation_target import (
    FORMS,
)


def main() -> None:
    spec = {
        **ARGUMENTS,
        "images": {"type": "list", "elements": "str"},
        "repository_arns": {"type": "list", "elements": "str"},
        "tag": {"type": "str"},
        "name": {"type": "str"},
        "resource_form": {"type": "str", "choices": ["auto", *FORMS], "default": "auto"},
        "propagation_timeout": {"type": "int", "default": 90},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    module = CollectionModule(
        spec,
        mutually_exclusive=[("images", "repository_arns")],
        required_one_of=[("images", "repository_arns")],
        supports_check_mode=True,
    )
    execute(module, run, None, runpod_client)


if __name__ == "__main__":
    main()
