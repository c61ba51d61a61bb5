# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list

from .._aws.client import Aws, tolerating
from .._aws.secret_entry import MANAGED
from .._core.errors import AwsError, ConflictError, InputError, Json
from .._core.finding import as_option
from .._core.result import Result, reporting
from .._core.time import format_time
from . import public_catalog as _public
from .answer import field

NOT_EMPTY = "RepositoryNotEmptyException"


class Clients(NamedTuple):
    aws: Aws
    read: Callable[[str], bytes]

    def call(self, operation: str, **request: Any) -> Json:
        return self.aws.call("ecr-public", operation, region=_public.REGION, **request)


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    """Check what can be checked before the first call: ECR Public and botocore tell little, and late."""
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
    """An empty text wants none, and None leaves the logo alone."""
    if not path:
        return None if path is None else _public.Logo(b"")
    try:
        content = client.read(path)
    except OSError as error:
        raise InputError(f"catalog_data.logo: {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"catalog_data.logo: {path!r} is no path: {error}.") from error
    _public.check_logo(path, content)
    return _public.Logo(content)


def ensure(params: Json, logo: _public.Logo | None, check_mode: bool, client: Clients) -> Result:
    found = read(client, params["name"])
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
    return Result(change.needed, _public.to_result(found), _public.to_result(apply(client, found, change)))


def read(client: Clients, name: str) -> Json | None:
    with tolerating("RepositoryNotFoundException"):
        answer = client.call("describe_repositories", repositoryNames=[name])
        repository = field(answer, "ecr-public:DescribeRepositories", "repositories.0", dict)
        catalog: Json = {}
        with tolerating("RepositoryCatalogDataNotFoundException"):
            answer = client.call("get_repository_catalog_data", repositoryName=name)
            catalog = catalog_data(answer, "ecr-public:GetRepositoryCatalogData")
        described_so_far = described(repository, catalog, {}, "ecr-public:DescribeRepositories")
        return {**described_so_far, "tags": tags_of(client, described_so_far["arn"])}
    return None


def tags_of(client: Clients, arn: str) -> dict[str, str]:
    call = "ecr-public:ListTagsForResource"
    tags = field(client.call("list_tags_for_resource", resourceArn=arn), call, "tags", list)
    return {field(tag, call, "Key"): field(tag, call, "Value") for tag in tags}


def catalog_data(answer: Json, call: str) -> Json:
    data = field(answer, call, "catalogData", dict)
    kinds = {member: str if option in _public.LONGEST else list for option, member in _public.FIELDS.items()}
    kinds["logoUrl"] = str
    return {member: field(data, call, member, kinds[member]) for member in data.keys() & kinds.keys()}


def described(repository: Json, catalog: Json, tags: dict[str, str], call: str) -> Json:
    return {
        "name": field(repository, call, "repositoryName"),
        "arn": field(repository, call, "repositoryArn"),
        "registry_id": field(repository, call, "registryId"),
        "uri": field(repository, call, "repositoryUri"),
        "created": format_time(field(repository, call, "createdAt", datetime).astimezone(timezone.utc)),
        "catalog": catalog,
        "tags": tags,
    }


def predicted(client: Clients, name: str) -> Json:
    """The registry has no alias before its first repository."""
    call = "ecr-public:DescribeRegistries"
    registries = field(client.call("describe_registries"), call, "registries", list)
    account = field(registries, call, "0.registryId") if registries else None
    aliases = field(registries, call, "0.aliases", list) if registries else []
    primary = [field(alias, call, "name") for alias in aliases if field(alias, call, "primaryRegistryAlias", bool)]
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
    """Return None when it is there after all."""
    catalog = {} if change.catalog is None else {"catalogData": change.catalog}
    tags = ansible_dict_to_boto3_tag_list(change.tag)
    with tolerating("RepositoryAlreadyExistsException"):
        answer = client.call("create_repository", repositoryName=name, tags=tags, **catalog)
        call = "ecr-public:CreateRepository"
        with reporting([f"the repository {name} was made"]):
            kept = catalog_data(answer, call) if change.catalog is not None else {}
            return described(field(answer, call, "repository", dict), kept, change.tag, call)
    return None


def apply(client: Clients, found: Json, change: _public.Change) -> Json:
    """The logo goes before the tag that says which it is."""
    after, arn = _public.after(found, change), found["arn"]
    done: list[str] = []
    with reporting(done):
        if change.catalog is not None:
            request = {"repositoryName": found["name"], "catalogData": change.catalog}
            answer = client.call("put_repository_catalog_data", **request)
            done.append(f"the catalogue data of {found['uri']} were written")
            after["catalog"] = catalog_data(answer, "ecr-public:PutRepositoryCatalogData")
        if change.tag:
            client.call("tag_resource", resourceArn=arn, tags=ansible_dict_to_boto3_tag_list(change.tag))
            done.append(f"the tags {', '.join(change.tag)} were set")
        if change.untag:
            client.call("untag_resource", resourceArn=arn, tagKeys=list(change.untag))
    return after


def remove(params: Json, check_mode: bool, client: Clients) -> Result:
    found = read(client, params["name"])
    if found is None:
        return Result(False, None, None)
    if MANAGED not in found["tags"]:
        raise ConflictError(
            f"The repository {found['uri']} lacks the tag {MANAGED}, so somebody else made it, and it is not deleted. "
            f"To hand it over: aws ecr-public tag-resource --region {_public.REGION} "
            f"--resource-arn{as_option(found['arn'])} --tags Key={MANAGED},Value=true"
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
    """Check mode fails as the deletion would when there are images."""
    name, force = params["name"], params["force"]
    if not check_mode:
        with tolerating("RepositoryNotFoundException"):  # gone is gone
            client.call("delete_repository", repositoryName=name, force=force)
    elif not force and holds_images(client, name):
        raise AwsError("", "ecr-public:DeleteRepository", NOT_EMPTY, "predicted: there are images")


def holds_images(client: Clients, name: str) -> bool:
    answer = client.call("describe_images", repositoryName=name, maxResults=1)
    return bool(field(answer, "ecr-public:DescribeImages", "imageDetails", list))


def connect(module: AnsibleAWSModule) -> Clients:
    region = module.region or _public.REGION
    return Clients(Aws(module.client, region, module.params["aws_config"]), lambda path: Path(path).read_bytes())
