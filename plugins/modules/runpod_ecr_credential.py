#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_ecr_credential
short_description: Keep RunPod registry credentials that hold fresh ECR tokens
description:
  - Mints an ECR token as the pull user that M(gpuops.runpod.ecr_pull_user) made, with the key from the secret store,
    and stores it at RunPod as the registry credential called O(name).
  - Does so for one region or for many. A region that fails does not keep the others from being refreshed. Then the
    module fails all the same and tells what was done.
  - An existing credential is refreshed in place and keeps its id, so that nothing that refers to it changes.
  - Where RunPod does not offer that, the credential is replaced. It is called in turns O(name) and O(name) with C(-alt)
    at its end, and both mean the same wherever a module of this collection takes the name of a credential. The other
    one is made with the fresh token, all templates and serverless endpoints that refer to the former one are made to
    refer to it, and then the former one is deleted. Each endpoint rolls out a release for that, which is a warning.
    The id changes, so refer to the credential by its name.
  - Pods are never changed. A credential that a pod refers to stays behind, which is a warning, and a later run deletes
    it, also one that finds the token fresh. As long as it stays, RunPod has no free name for the next replacement, and
    that fails.
  - A run that is interrupted anywhere leaves credentials that work, maybe both, and the next one finishes.
  - The credential is fresh, and nothing is written, when a tag of the secret store's entry says that its token works
    for O(min_validity_hours) more and that it was minted with the key that is in the entry now.
  - When O(secret_store) is not set, the token is minted as the caller, or as the role O(role_arn) that it assumes. Then
    nothing records until when the token at RunPod works, so each run refreshes it and reports a change.
  - A token opens the registries of one region, in every account where the pull user has rights.
  - RunPod tells neither the age nor the region of a stored token. A token that something else wrote since, or one for
    another region than O(registry_region), is not noticed. Give each region a credential name of its own, or use
    O(force).
  - When a tag of the entry says that the pull user is in quarantine, there is no new token until
    M(gpuops.runpod.ecr_pull_user) releases it. That is an error.
  - With O(state=absent), a credential that a template, an endpoint or a pod still refers to stays, because RunPod would
    silently take it away from templates. The same goes for its alternate. The pull user, its key and the entry are
    never removed.
author: The gpuops.runpod authors (@gpuops)
version_added: 1.0.0
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.secret_store
  - gpuops.runpod.token
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.both_groups
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
options:
  name:
    description:
      - Name of the registry credential. Two with this name are an error, and it cannot end in C(-alt).
      - The name is the ownership. A credential of this name gets an ECR token, whoever made it, and one with C(-alt) at
        its end counts as its alternate and is replaced or deleted.
      - A token opens one region, so it cannot be set with more than one.
      - When not set, C(<user>-<account>-<region>), where O(user) or the tags of the secret store's entry say who the
        user is, and the entry's ARN names the account, or without an entry the caller's identity does.
    type: str
  user:
    description:
      - The user that the names of the credentials start with when O(name) is not set. One that the tags of the secret
        store's entry contradict is an error.
      - When not set, the user that those tags name. Without O(secret_store), O(name) or this is required.
    type: str
  role_arn:
    description:
      - ARN of a role that the caller assumes to mint the tokens, such as one of M(gpuops.runpod.ecr_pull_role). No key
        of it exists. It is not for O(secret_store).
      - A caller that is a session of this role already mints as it is.
    type: str
  external_id:
    description: The external id that the trust of O(role_arn) asks for.
    type: str
  repositories:
    description:
      - Repositories, as names, ARNs or image URIs, that the session which mints the tokens is narrowed to by a session
        policy, with those of all images at RunPod that are pulled with the credential already. So RunPod gets no more
        than these, whatever the role may pull. It is not for O(secret_store).
      - A session policy takes 2,048 characters. When they are too many, it names the folders that they lie in, and when
        that is too long too there is none; either is a warning.
      - Without O(role_arn) the caller's own session is narrowed by C(sts:GetScopedCredentials), where the caller is a
        session of a role and boto3 knows it (1.44.8); else RunPod gets all that the caller may pull, with a warning.
      - That a token opens no more than the session which minted it, and outlives it, has not been tried on AWS.
    type: list
    elements: str
  former_secret_store:
    description:
      - The entry of a pull user that may tell of tokens in these credentials, when they get tokens of another identity
        under the same names. What it tells of them is taken back before a new token is handed over, as far as the
        caller may do that. It is not for O(secret_store).
    type: dict
    suboptions:
      type:
        description: The kind of store.
        type: str
        choices:
          - secretsmanager
          - ssm
        default: secretsmanager
      name:
        description: Name of the entry.
        type: str
        required: true
      region:
        description: Region of the store. When not set, the module's region.
        type: str
  image:
    description:
      - URI of an image in a private ECR repository. Only its region counts.
      - Exactly one of O(image), O(images), O(registry_region) and O(registry_regions) is required with
        O(state=present). With O(state=absent) one is required when O(name) is not set.
    type: str
  images:
    description: The same for many images. Each region gets one credential.
    type: list
    elements: str
  registry_region:
    description: Region of the ECR registries that the token opens.
    type: str
  registry_regions:
    description: Regions, each of which gets a credential.
    type: list
    elements: str
  verify_images:
    description:
      - URIs of images that the tokens must be able to pull. This is proved with each token before RunPod gets it, and
        where RunPod holds a fresh one, with another of the same kind.
      - When one cannot be pulled, the region fails and RunPod keeps the token it has.
    type: list
    elements: str
    default: []
  state:
    description: Whether the credential exists.
    type: str
    choices:
      - present
      - absent
    default: present
attributes:
  idempotent:
    description: A second run with the same options changes nothing.
    support: partial
    details:
      - Without O(secret_store) or with O(force=true), each run refreshes the credential.
notes:
  - The RunPod API key needs to read and write registry credentials (C(secrets:write)). With O(state=absent) it also
    needs to read templates, serverless endpoints and pods, and where a credential is replaced instead of refreshed in
    place, to write templates and serverless endpoints too.
  - When a refresh fails, the error says how long the token still works that RunPod holds, and the failed result has
    RV(expires_at).
  - Check mode predicts a refresh in place, because only the write itself shows whether RunPod offers it.
  - >-
    IAM actions of the caller on the entry: C(secretsmanager:GetSecretValue), C(secretsmanager:DescribeSecret),
    C(secretsmanager:TagResource) and C(secretsmanager:UntagResource). With O(secret_store.type=ssm) these are
    C(ssm:GetParameter), C(ssm:ListTagsForResource), C(ssm:AddTagsToResource) and C(ssm:RemoveTagsFromResource).
  - "With O(former_secret_store) the same actions on that entry, but for that which gets its value."
  - "IAM actions of the pull user, or without O(secret_store) of the caller or the role: C(ecr:GetAuthorizationToken)."
  - "IAM actions of the caller with O(role_arn): C(sts:AssumeRole)."
  - Where STS refuses C(GetScopedCredentials), a caller without O(role_arn) keeps all its rights, with a warning.
  - With O(verify_images) the registry is asked with the token, whose owner also needs C(ecr:BatchGetImage) and
    C(ecr:GetDownloadUrlForLayer) on the repository.
  - Without O(secret_store) and O(repositories) RunPod gets all the rights that the caller has on the region's
    repositories. A warning names the caller.
  - Neither the token nor the key is ever returned or shown.
seealso:
  - module: gpuops.runpod.ecr_pull_user
  - module: gpuops.runpod.ecr_pull_check
  - module: gpuops.runpod.runpod_registry
"""

EXAMPLES = r"""
- name: Ensure there is a pull user whose key is in the secret store
  gpuops.runpod.ecr_pull_user:
    name: runpod-ecr-access
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure RunPod holds a token of that user that opens the image's registry
  gpuops.runpod.runpod_ecr_credential:
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure the same, under a name of its own
  gpuops.runpod.runpod_ecr_credential:
    name: ecr-us-east-1
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure RunPod holds a token for another region, minted as whoever runs this
  gpuops.runpod.runpod_ecr_credential:
    name: ecr-ap-northeast-2
    registry_region: ap-northeast-2

- name: Ensure RunPod holds a token that opens one repository, minted as a role that is assumed
  gpuops.runpod.runpod_ecr_credential:
    user: runpod-pull
    role_arn: arn:aws:iam::123456789012:role/runpod/runpod-pull
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training

- name: Ensure RunPod holds fresh tokens for all regions in use, which were shown to pull
  gpuops.runpod.runpod_ecr_credential:
    registry_regions:
      - us-east-1
      - ap-northeast-2
    secret_store:
      name: runpod-ecr/runpod-ecr-access
    verify_images:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1

- name: Ensure a credential that nothing refers to is gone
  gpuops.runpod.runpod_ecr_credential:
    name: ecr-us-east-1
    secret_store:
      name: runpod-ecr/runpod-ecr-access
    state: absent
"""

RETURN = r"""
registry:
  description:
    - The credential afterwards; a prediction in check mode, V(null) once it is gone, and with more than one region.
  type: dict
  returned: success
  contains:
    id:
      description: Its id.
      type: str
      returned: once it exists
      sample: reg_2f9c
    name:
      description: Its name at RunPod, which may be that of the alternate; V(null) in check mode when it is not known.
      type: str
      returned: always
      sample: ecr-us-east-1
    logical_name:
      description: The name that it shares with its alternate, as O(name) and other modules take it.
      type: str
      returned: always
      sample: ecr-us-east-1
    region:
      description: The region of O(image) or O(registry_region); V(null) when neither is set.
      type: str
      returned: always
      sample: us-east-1
    expires_at:
      description: The same as RV(expires_at).
      type: str
      returned: always
      sample: "2026-08-01T12:00:00Z"
expires_at:
  description:
    - Until when its token works, in UTC; V(null) when that is not known, as in check mode before a refresh.
    - With more than one region, of the token that ends first.
    - When a refresh failed, until when the token works that RunPod holds.
  type: str
  returned: success, and when a refresh failed
  sample: "2026-08-01T12:00:00Z"
refreshed:
  description: Whether a new token was or, in check mode, would be handed to RunPod, for any region.
  type: bool
  returned: success
  sample: true
repointed:
  description:
    - The templates and endpoints that were, or in check mode would be, made to refer to another credential. Check mode
      does not foresee a replacement that has not begun.
  type: list
  elements: dict
  returned: success
  contains:
    kind:
      description: V(template) or V(endpoint).
      type: str
      returned: always
      sample: template
    id:
      description: Its id.
      type: str
      returned: always
      sample: tpl_7d01
    name:
      description: Its name.
      type: str
      returned: always
      sample: runpod-gpu-training
in_use_by:
  description:
    - What refers to a credential and keeps it from being removed; with O(state=present) that is a former one that was
      replaced.
  type: list
  elements: dict
  returned: success
  contains:
    kind:
      description: V(template), V(endpoint) or V(pod).
      type: str
      returned: always
      sample: template
    id:
      description: Its id.
      type: str
      returned: always
      sample: tpl_7d01
    name:
      description: Its name.
      type: str
      returned: always
      sample: runpod-gpu-training
    registry:
      description: Id of the credential.
      type: str
      returned: always
      sample: reg_2f9c
    reason:
      description: The same as a sentence.
      type: str
      returned: always
      sample: The template runpod-gpu-training (tpl_7d01) refers to the credential ecr-us-east-1.
registries:
  description: The credentials of all regions, in the order given.
  type: list
  elements: dict
  returned: success, and when some regions failed, for the others
  contains:
    id:
      description: Its id; V(null) once it is gone.
      type: str
      returned: once it exists
      sample: reg_2f9c
    name:
      description: Its name at RunPod; V(null) in check mode when it is not known.
      type: str
      returned: always
      sample: runpod-ecr-access-123456789012-us-east-1
    logical_name:
      description: The name that it shares with its alternate.
      type: str
      returned: always
      sample: runpod-ecr-access-123456789012-us-east-1
    region:
      description: Its region; V(null) when none is given.
      type: str
      returned: always
      sample: us-east-1
    expires_at:
      description: Until when its token works; V(null) when that is not known.
      type: str
      returned: always
      sample: "2026-08-01T12:00:00Z"
    refreshed:
      description: Whether it was or, in check mode, would be given a new token.
      type: bool
      returned: always
      sample: true
    repointed:
      description: As RV(repointed), of this region.
      type: list
      elements: dict
      returned: always
      sample: []
    in_use_by:
      description: As RV(in_use_by), of this region.
      type: list
      elements: dict
      returned: always
      sample: []
    other_registries:
      description: As RV(other_registries).
      type: list
      elements: dict
      returned: with O(state=absent)
      sample: []
images:
  description: What M(gpuops.runpod.ecr_pull_check) returns of each of O(verify_images) that was tried.
  type: list
  elements: dict
  returned: success, and when an image cannot be pulled
  sample: []
failed_regions:
  description: The regions that failed, each with C(region), C(msg) and until when the token at RunPod still works.
  type: list
  elements: dict
  returned: when some of many regions failed
  contains:
    region:
      description: The region.
      type: str
      returned: always
      sample: ap-northeast-2
    msg:
      description: Cause and remedy.
      type: str
      returned: always
      sample: "ecr:GetAuthorizationToken: AccessDeniedException: no"
    expires_at:
      description: Until when the token works that RunPod holds; V(null) when that is not known.
      type: str
      returned: always
      sample: "2026-08-01T12:00:00Z"
other_registries:
  description:
    - Further credentials at RunPod, beside those of all regions given, that hold tokens of the same entry of the
      secret store, so that the pull user is still needed.
  type: list
  elements: dict
  returned: with O(state=absent)
  contains:
    id:
      description: Its id.
      type: str
      returned: always
      sample: reg_81aa
    name:
      description: Its name.
      type: str
      returned: always
      sample: ecr-ap-northeast-2
    logical_name:
      description: The name that it shares with its alternate.
      type: str
      returned: always
      sample: ecr-ap-northeast-2
    reason:
      description: The same as a sentence.
      type: str
      returned: always
      sample: The credential ecr-ap-northeast-2 (reg_81aa) holds a token of the same pull user.
"""


from functools import partial

from ..module_utils._aws.client import aws_client
from ..module_utils._aws.module import AwsModule
from ..module_utils._aws.store_options import STORE_OPTIONS
from ..module_utils._core.module import execute
from ..module_utils._ecr.pull_check import registry_opener
from ..module_utils._ecr.token_proof import token_proof
from ..module_utils._oci.registry_client import Registry
from ..module_utils._runpod.connection import ARGUMENTS, runpod_client
from ..module_utils._runpod.credential_state import Clients
from ..module_utils._runpod.ecr_credential import run

FORMER_STORE = {
    "type": STORE_OPTIONS["type"],
    "name": {"type": "str", "required": True},
    "region": STORE_OPTIONS["region"],
}
REGIONS = ("image", "images", "registry_region", "registry_regions")


def connect(module: AwsModule) -> Clients:
    """Return the clients that the module's options describe, with the proof that ECR's side knows to give."""
    opener = registry_opener(module.params["validate_certs"], module.params["aws_ca_bundle"])
    aws = aws_client(module)
    params = module.params
    who = "the pull user" if params["secret_store"] else params["role_arn"] or "the caller"
    return Clients(aws, runpod_client(module), token_proof(aws, partial(Registry, opener), who, module.check_mode))


def main() -> None:
    spec = {
        **ARGUMENTS,
        "name": {"type": "str"},
        "user": {"type": "str"},
        "role_arn": {"type": "str"},
        "external_id": {"type": "str"},
        "repositories": {"type": "list", "elements": "str"},
        "image": {"type": "str"},
        "images": {"type": "list", "elements": "str"},
        "registry_region": {"type": "str"},
        "registry_regions": {"type": "list", "elements": "str"},
        "secret_store": {"type": "dict", "options": STORE_OPTIONS, "no_log": False},
        "former_secret_store": {"type": "dict", "options": FORMER_STORE, "no_log": False},
        "verify_images": {"type": "list", "elements": "str", "default": []},
        "min_validity_hours": {"type": "float", "default": 9},
        "force": {"type": "bool", "default": False},
        "propagation_timeout": {"type": "int", "default": 90},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    module = AwsModule(
        argument_spec=spec,
        required_if=[("state", "present", REGIONS, True)],
        required_one_of=[("name", "user", "secret_store")],
        mutually_exclusive=[
            REGIONS,
            ("secret_store", "role_arn"),
            ("secret_store", "repositories"),
            ("secret_store", "former_secret_store"),
        ],
        supports_check_mode=True,
    )
    execute(module, run, "registry", connect)


if __name__ == "__main__":
    main()
