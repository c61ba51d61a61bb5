# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator of ECR Public, seen through boto3."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from struct import pack
from typing import Any

import pytest
from botocore.config import Config

from tests.sandbox.aws_public import MODEL, OPERATIONS, PublicRegistry
from tests.sandbox.server import Sandbox

from .test_aws import identity, new_user, policy, refusal

ARN = "arn:aws:ecr-public::123456789012:repository/team/app"
CATALOG = {"description": "An app", "architectures": ["x86-64"], "aboutText": "# About", "usageText": "Run it"}
DIGEST = "sha256:" + 64 * "a"
OTHER = "sha256:" + 64 * "b"


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + pack(">I4sII", 13, b"IHDR", width, height)


def tag(key: str, value: str = "") -> dict[str, str]:
    return {"Key": key, "Value": value}


@pytest.fixture
def public(sandbox: Sandbox) -> Iterator[Any]:
    """A client of ECR Public; nothing is there."""
    sandbox.aws.public.reset()
    # botocore checks the least length of some members only; the simulator is to check all.
    yield sandbox.client("ecr-public", config=Config(parameter_validation=False))
    sandbox.aws.public.reset()


@pytest.fixture
def made(public: Any) -> Any:
    public.create_repository(repositoryName="team/app")
    return public


# Repositories


def test_a_repository_is_created_described_and_deleted(public: Any) -> None:
    created = public.create_repository(repositoryName="team/app", catalogData=CATALOG, tags=[tag("team", "ml")])
    repository = created["repository"]
    assert repository["repositoryArn"] == ARN
    assert repository["repositoryUri"] == "public.ecr.aws/a1b2c3d4/team/app"
    assert repository["createdAt"].timestamp() == pytest.approx(time.time(), abs=30)
    assert created["catalogData"] == CATALOG
    assert public.describe_repositories(repositoryNames=["team/app"])["repositories"] == [repository]
    assert public.list_tags_for_resource(resourceArn=ARN)["tags"] == [tag("team", "ml")]

    assert public.delete_repository(repositoryName="team/app")["repository"] == repository
    gone = "The repository with name 'team/app' does not exist in the registry with id '123456789012'"
    called = refusal(public.describe_repositories, repositoryNames=["team/app"])
    assert called == ("RepositoryNotFoundException", gone)


def test_a_name_is_taken_once(made: Any) -> None:
    assert refusal(made.create_repository, repositoryName="team/app")[0] == "RepositoryAlreadyExistsException"


@pytest.mark.parametrize("name", ["a", "a__b", "a--b", "A", "a/", "a" * 206])
def test_a_name_has_to_fit_the_model(public: Any, name: str) -> None:
    code, text = refusal(public.create_repository, repositoryName=name)
    assert code == "InvalidParameterException"
    assert text.startswith("Invalid parameter at 'repositoryName' failed to satisfy constraint: ")


def test_the_default_alias_comes_with_the_first_repository_and_stays(public: Any) -> None:
    assert public.describe_registries()["registries"][0]["aliases"] == []

    public.create_repository(repositoryName="app")
    public.delete_repository(repositoryName="app")
    registry = public.describe_registries()["registries"][0]
    assert registry["registryUri"] == "public.ecr.aws/a1b2c3d4"
    (alias,) = registry["aliases"]
    assert (alias["name"], alias["status"], alias["defaultRegistryAlias"]) == ("a1b2c3d4", "ACTIVE", True)


def test_another_account_has_no_repositories_here(made: Any) -> None:
    request = {"registryId": "210987654321", "repositoryNames": ["team/app"]}
    assert refusal(made.describe_repositories, **request)[0] == "RepositoryNotFoundException"


def test_a_listing_has_pages(public: Any) -> None:
    for name in ("app", "web", "zoo"):
        public.create_repository(repositoryName=name)
    pages = public.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2})
    assert [[each["repositoryName"] for each in page["repositories"]] for page in pages] == [["app", "web"], ["zoo"]]
    assert refusal(public.describe_repositories, nextToken="zoo")[0] == "InvalidParameterException"


@pytest.mark.parametrize("region", ["us-west-2", "ap-northeast-2"])
def test_other_regions_know_no_command(sandbox: Sandbox, region: str) -> None:
    client = sandbox.client("ecr-public", region_name=region)
    refused = refusal(client.get_authorization_token)
    assert refused == (
        "UnsupportedCommandException",
        "GetAuthorizationToken command is only supported in us-east-1.",
    )


# Catalogue data


def test_catalogue_data_are_replaced_as_a_whole(made: Any) -> None:
    assert refusal(made.get_repository_catalog_data, repositoryName="team/app")[0] == (
        "RepositoryCatalogDataNotFoundException"
    )
    for data in (CATALOG, {"operatingSystems": ["Linux"]}, {}):
        assert made.put_repository_catalog_data(repositoryName="team/app", catalogData=data)["catalogData"] == data
        assert made.get_repository_catalog_data(repositoryName="team/app")["catalogData"] == data


def test_of_a_logo_only_an_address_is_read_back(made: Any) -> None:
    data = {"description": "An app", "logoImageBlob": png(60, 2048)}
    catalog = made.put_repository_catalog_data(repositoryName="team/app", catalogData=data)["catalogData"]
    assert catalog.keys() == {"description", "logoUrl"}
    assert catalog["logoUrl"].startswith("https://")


@pytest.mark.parametrize(
    "data",
    [
        {"description": "x" * 1025},
        {"aboutText": "x" * 25601},
        {"usageText": "x" * 25601},
        {"architectures": ["x"] * 51},
        {"architectures": [""]},
        {"operatingSystems": ["x" * 51]},
        {"logoImageBlob": b"x" * 512001},
        {"logoImageBlob": b"GIF89a"},
        {"logoImageBlob": png(59, 100)},
        {"logoImageBlob": png(100, 2049)},
    ],
)
def test_catalogue_data_have_limits(made: Any, data: dict[str, Any]) -> None:
    for call in (made.put_repository_catalog_data, made.create_repository):
        code, text = refusal(call, repositoryName="team/app", catalogData=data)
        assert code == "InvalidParameterException"
        assert next(iter(data)) in text


# Tags


def test_tags_are_set_and_removed(made: Any) -> None:
    made.tag_resource(resourceArn=ARN, tags=[tag("team", "ml"), tag("stage")])
    made.tag_resource(resourceArn=ARN, tags=[tag("team", "ops")])
    assert made.list_tags_for_resource(resourceArn=ARN)["tags"] == [tag("team", "ops"), tag("stage")]

    made.untag_resource(resourceArn=ARN, tagKeys=["team", "absent"])
    assert made.list_tags_for_resource(resourceArn=ARN)["tags"] == [tag("stage")]


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([tag("aws:team")], "InvalidTagParameterException"),
        ([tag("team", "a*b")], "InvalidTagParameterException"),
        ([tag("team"), tag("team")], "InvalidTagParameterException"),
        ([tag(str(number)) for number in range(51)], "TooManyTagsException"),
        ([tag("x" * 129)], "InvalidParameterException"),
    ],
)
def test_tags_have_rules(made: Any, tags: list[dict[str, str]], code: str) -> None:
    assert refusal(made.tag_resource, resourceArn=ARN, tags=tags)[0] == code
    assert refusal(made.create_repository, repositoryName="other", tags=tags)[0] == code


def test_what_is_tagged_is_a_repository(made: Any) -> None:
    refused = refusal(made.list_tags_for_resource, resourceArn="arn:aws:ecr:us-east-1:123456789012:repository/app")
    assert refused[0] == "InvalidParameterException"


# Images


def test_images_are_described_by_tag_and_digest(sandbox: Sandbox, made: Any) -> None:
    for digest in (DIGEST, OTHER):
        sandbox.aws.public.put_image("team/app", digest, "v1", 42, "application/vnd.oci.image.manifest.v1+json")
    images = made.describe_images(repositoryName="team/app")["imageDetails"]
    assert [(image["imageDigest"], image.get("imageTags")) for image in images] == [(DIGEST, None), (OTHER, ["v1"])]

    for given in ({"imageTag": "v1"}, {"imageDigest": OTHER}):
        (image,) = made.describe_images(repositoryName="team/app", imageIds=[given])["imageDetails"]
        assert (image["imageDigest"], image["imageSizeInBytes"]) == (OTHER, 42)
    for given in ({"imageTag": "v2"}, {"imageTag": "v1", "imageDigest": DIGEST}, {}):
        refused = refusal(made.describe_images, repositoryName="team/app", imageIds=[given])
        assert refused[0] == "ImageNotFoundException"


def test_a_repository_with_images_is_deleted_by_force_only(sandbox: Sandbox, made: Any) -> None:
    sandbox.aws.public.put_image("team/app", DIGEST)
    assert refusal(made.delete_repository, repositoryName="team/app")[0] == "RepositoryNotEmptyException"
    assert made.delete_repository(repositoryName="team/app", force=True)["repository"]["repositoryArn"] == ARN


# Policies


def test_a_policy_is_set_read_and_deleted(made: Any) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": [policy("ecr-public:*")]})
    assert refusal(made.get_repository_policy, repositoryName="team/app")[0] == "RepositoryPolicyNotFoundException"
    for call in ("set", "get", "delete"):
        request = {"policyText": text} if call == "set" else {}
        answer = getattr(made, f"{call}_repository_policy")(repositoryName="team/app", **request)
        assert answer["policyText"] == text
    assert refusal(made.delete_repository_policy, repositoryName="team/app")[0] == "RepositoryPolicyNotFoundException"


@pytest.mark.parametrize("text", ["no JSON", "{}", "[]", "x" * 10241])
def test_a_policy_has_to_be_one(made: Any, text: str) -> None:
    refused = refusal(made.set_repository_policy, repositoryName="team/app", policyText=text)
    assert refused[0] == "InvalidParameterException"


# Tokens


def test_a_token_is_a_login_for_twelve_hours(sandbox: Sandbox, public: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = public.get_authorization_token()["authorizationData"]
    assert data["expiresAt"].timestamp() - time.time() == pytest.approx(12 * 3600, abs=30)
    username, dummy, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    works = sandbox.aws.public.token_works
    assert works(username, password)
    assert not works("me", password)
    assert not works(username, "other")

    monkeypatch.setattr(sandbox.aws, "clock", lambda: data["expiresAt"].timestamp() + 1)
    assert not works(username, password)


def test_a_registry_learns_which_repositories_there_are(sandbox: Sandbox, public: Any) -> None:
    registry: PublicRegistry = sandbox.aws.public
    assert registry.repository("a1b2c3d4/team/app") is None
    public.create_repository(repositoryName="team/app")
    found = registry.repository("a1b2c3d4/team/app")
    assert found is not None and found.name == "team/app"
    assert registry.repository("other/team/app") is None
    assert registry.repository("team/app") is None


# Rights


@pytest.mark.parametrize("missing", ["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"])
def test_a_token_needs_two_rights(sandbox: Sandbox, missing: str) -> None:
    both = {"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"}
    allowed = sandbox.client("ecr-public", **identity(new_user(sandbox, policy(sorted(both)))))
    assert allowed.get_authorization_token()["authorizationData"]

    refused = sandbox.client("ecr-public", **identity(new_user(sandbox, policy(sorted(both - {missing})))))
    code, text = refusal(refused.get_authorization_token)
    assert code == "AccessDeniedException"
    assert f"not authorized to perform: {missing} on resource: *" in text


@pytest.mark.parametrize(
    ("operation", "request_", "resource"),
    [
        ("list_tags_for_resource", {"resourceArn": ARN}, ARN),
        ("describe_repositories", {"repositoryNames": ["team/app"]}, ARN),
        ("describe_repositories", {}, "*"),
        ("delete_repository", {"repositoryName": "team/app"}, ARN),
        ("describe_registries", {}, "*"),
    ],
)
def test_rights_are_for_repositories(
    sandbox: Sandbox, public: Any, operation: str, request_: dict[str, Any], resource: str
) -> None:
    client = sandbox.client("ecr-public", **identity(new_user(sandbox)))
    code, text = refusal(getattr(client, operation), **request_)
    assert code == "AccessDeniedException"
    assert f" on resource: {resource} because" in text


def test_the_model_is_followed_in_all_that_is_simulated() -> None:
    assert set(OPERATIONS) <= set(MODEL.operation_names)


def test_a_reset_forgets_everything(sandbox: Sandbox, made: Any) -> None:
    made.get_authorization_token()
    sandbox.aws.reset()
    registry = sandbox.aws.public
    assert (registry.repositories, registry.tokens, registry.alias) == ({}, {}, "")
