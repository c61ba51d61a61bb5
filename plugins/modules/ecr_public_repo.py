#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_public_repo
short_description: Manage a repository in Amazon ECR Public
version_added: 0.1.0
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
  - amazon.aws.boto3
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

from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

from ..module_utils._aws.client import Aws, tolerating
from ..module_utils._aws.secret_entry import MANAGED, format_time
from ..module_utils._core.errors import AwsError, ConflictError, InputError, Json
from ..module_utils._core.module import execute
from ..module_utils._core.result import Result
from ..module_utils._ecr import public_catalog as _public

NOT_EMPTY = "RepositoryNotEmptyException"


class Clients(NamedTuple):
    """AWS, and what reads a file."""

    aws: Aws
    read: Callable[[str], bytes]

    def call(self, operation: str, **request: Any) -> Json:
        """Return the answer of an operation of ECR Public."""
        return self.aws.call("ecr-public", operation, region=_public.REGION, **request)


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    """Check all that can be checked before the first call: ECR Public and botocore tell little, and late."""
    _public.check_partition(client.aws.region)
    _public.check_name(params["name"])
    if params["state"] == "absent":
        return remove(params, check_mode, client)
    if not params["acknowledge_public"]:
        raise InputError(_public.WARNING)
    given = params["catalog_data"] or {}
    _public.check_catalog(given)
    logo = read_logo(given.get("logo"), client)
    _public.wanted_tags(params["tags"])
    return ensure(params, logo, check_mode, client)._replace(warnings=_public.badgeless(given))


def read_logo(path: str | None, client: Clients) -> _public.Logo | None:
    """Return the logo at a path; none is wanted for an empty text, and None leaves it alone."""
    if not path:
        return None if path is None else _public.Logo(b"")
    try:
        content = client.read(path)
    except OSError as error:
        raise InputError(f"catalog_data.logo: {path} cannot be read: {error.strerror}.") from error
    _public.check_logo(path, content)
    return _public.Logo(content)


def ensure(params: Json, logo: _public.Logo | None, check_mode: bool, client: Clients) -> Result:
    """Make the repository, or change what differs."""
    found = find(client, params["name"])
    change = _public.plan(found, params, logo)
    if check_mode:
        foreseen = _public.after(found or predicted(client, params["name"]), change)
        return Result(change.needed, _public.to_result(found), _public.to_result(foreseen))
    if found is None:
        made = create(client, params["name"], change)
        if made is not None:
            return Result(True, None, _public.to_result(made))
        again = ensure(params, logo, False, client)  # another run was faster, or an answer was lost
        return again._replace(changed=True, before=None)
    return Result(change.needed, _public.to_result(found), _public.to_result(update(client, found, change)))


def find(client: Clients, name: str) -> Json | None:
    """Return the repository with its catalogue data and tags, None when there is none."""
    with tolerating("RepositoryNotFoundException"):
        repository = client.call("describe_repositories", repositoryNames=[name])["repositories"][0]
        catalog: Json = {}
        with tolerating("RepositoryCatalogDataNotFoundException"):
            catalog = client.call("get_repository_catalog_data", repositoryName=name)["catalogData"]
        tags = client.call("list_tags_for_resource", resourceArn=repository["repositoryArn"])["tags"]
        return described(repository, catalog, boto3_tag_list_to_ansible_dict(tags))
    return None


def described(repository: Json, catalog: Json, tags: dict[str, str]) -> Json:
    """Return what is known of a repository."""
    return {
        "name": repository["repositoryName"],
        "arn": repository["repositoryArn"],
        "registry_id": repository["registryId"],
        "uri": repository["repositoryUri"],
        "created": format_time(repository["createdAt"].astimezone(UTC)),
        "catalog": catalog,
        "tags": tags,
    }


def predicted(client: Clients, name: str) -> Json:
    """Return a repository that is not there yet. The registry has no alias before its first repository."""
    registry: Json = next(iter(client.call("describe_registries")["registries"]), {})
    primary = [alias["name"] for alias in registry.get("aliases", []) if alias["primaryRegistryAlias"]]
    account = registry.get("registryId")
    return {
        "name": name,
        "arn": f"arn:aws:ecr-public::{account}:repository/{name}" if account else None,
        "registry_id": account,
        "uri": f"public.ecr.aws/{primary[0]}/{name}" if primary else None,
        "created": None,
        "catalog": {},
        "tags": {},
    }


def create(client: Clients, name: str, change: _public.Change) -> Json | None:
    """Make the repository with all that belongs to it; None when it is there after all."""
    catalog = {} if change.catalog is None else {"catalogData": change.catalog}
    tags = ansible_dict_to_boto3_tag_list(change.tag)
    with tolerating("RepositoryAlreadyExistsException"):
        answer = client.call("create_repository", repositoryName=name, tags=tags, **catalog)
        return described(answer["repository"], answer.get("catalogData", {}), change.tag)
    return None


def update(client: Clients, found: Json, change: _public.Change) -> Json:
    """Write what differs; the logo goes before the tag that says which it is."""
    after = _public.after(found, change)
    if change.catalog is not None:
        request = {"repositoryName": found["name"], "catalogData": change.catalog}
        after["catalog"] = client.call("put_repository_catalog_data", **request)["catalogData"]
    if change.tag:
        client.call("tag_resource", resourceArn=found["arn"], tags=ansible_dict_to_boto3_tag_list(change.tag))
    if change.untag:
        client.call("untag_resource", resourceArn=found["arn"], tagKeys=list(change.untag))
    return after


def remove(params: Json, check_mode: bool, client: Clients) -> Result:
    """Delete the repository, if it is ours."""
    found = find(client, params["name"])
    if found is None:
        return Result(False, None, None)
    if MANAGED not in found["tags"]:
        raise ConflictError(
            f"The repository {found['uri']} lacks the tag {MANAGED}, so somebody else made it, and it is not deleted. "
            f"To hand it over: aws ecr-public tag-resource --region {_public.REGION} --resource-arn {found['arn']} "
            f"--tags Key={MANAGED},Value=true"
        )
    try:
        delete(client, params, check_mode)
    except AwsError as error:
        if error.code != NOT_EMPTY:
            raise
        text = (
            f"The repository {found['uri']} holds images. Set force: true to delete it with them; that does not recall "
            "what was pulled."
        )
        raise AwsError(text, error.call, error.code, error.text, error.status) from error
    return Result(True, _public.to_result(found), None)


def delete(client: Clients, params: Json, check_mode: bool) -> None:
    """Delete the repository. Check mode fails as the deletion would when there are images."""
    name, force = params["name"], params["force"]
    if not check_mode:
        with tolerating("RepositoryNotFoundException"):  # someone was faster: gone is gone
            client.call("delete_repository", repositoryName=name, force=force)
    elif not force and client.call("describe_images", repositoryName=name, maxResults=1)["imageDetails"]:
        raise AwsError("", "ecr-public:DeleteRepository", NOT_EMPTY, "predicted: there are images")


def connect(module: AnsibleAWSModule) -> Clients:
    """Return the clients that the module's options describe; no region is needed."""
    region = module.region or _public.REGION
    return Clients(Aws(module.client, region, module.params["aws_config"]), lambda path: Path(path).read_bytes())


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
    execute(AnsibleAWSModule(argument_spec=spec, supports_check_mode=True), run, "repository", connect)


if __name__ == "__main__":
    main()
