# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulator of the API of Amazon ECR Public, of which moto has nothing.

Requests and answers have to fit botocore's own model of the service, lengths and patterns included. What the model
cannot say stands here. A registry beside it asks `repository` and `token_works`, and notes what is pushed with
`put_image`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from struct import unpack
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from .aws_calls import ACCOUNTS, AwsCall, AwsRefusal

Json = dict[str, Any]

REGION = "us-east-1"
HOST = "public.ecr.aws"
# What the registries of the accounts are called once they have a repository
ALIASES = dict(zip(ACCOUNTS, ("a1b2c3d4", "b2c3d4e5", "c3d4e5f6", "d4e5f6a7"), strict=True))
TOKEN_BYTES = 1400
PAGE = 100
MOST_TAGS = 50  # as documented; the model has more
TAG_TEXT = re.compile(r"[\w\s+\-=.:/@]*")
PNG = b"\x89PNG\r\n\x1a\n"
LOGO_PIXELS = range(60, 2049)
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "blob": (str,),
    "list": (list,),
    "structure": (dict,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "timestamp": (int, float),
}
MODEL = ServiceModel(Loader().load_service_model("ecr-public", "service-2"), "ecr-public")


@dataclass
class PublicImage:
    """A manifest in a repository. Its tags are in their order."""

    digest: str
    tags: list[str]
    size: int
    media_type: str
    pushed: float


@dataclass
class PublicRepository:
    """A repository of an account's public registry."""

    account: str
    name: str
    created: float
    catalog: Json | None
    tags: dict[str, str]
    policy: str | None = None
    images: dict[str, PublicImage] = field(default_factory=dict)

    @property
    def described(self) -> Json:
        return {
            "repositoryArn": f"arn:aws:ecr-public::{self.account}:repository/{self.name}",
            "registryId": self.account,
            "repositoryName": self.name,
            "repositoryUri": f"{HOST}/{ALIASES[self.account]}/{self.name}",
            "createdAt": self.created,
        }


class PublicRegistry:
    """The public registry of an account."""

    def __init__(self, account: str, clock: Callable[[], float], switches: Callable[[], Mapping[str, Any]]) -> None:
        self.account = account
        self._clock = clock
        self._switches = switches
        self.reset()

    def reset(self) -> None:
        self.repositories: dict[str, PublicRepository] = {}
        self.tokens: dict[str, float] = {}  # password -> when it expires
        self.alias = ""

    # For a registry

    def repository(self, path: str) -> PublicRepository | None:
        """Return the repository of a path in the registry, as a1b2c3d4/team/app is."""
        alias, dummy, name = path.partition("/")
        return self.repositories.get(name) if self.alias and alias == self.alias else None

    def token_works(self, username: str, password: str) -> bool:
        """Return whether this is a login that GetAuthorizationToken gave and that has not expired."""
        return username == "AWS" and self._clock() < self.tokens.get(password, 0.0)

    def put_image(self, name: str, digest: str, tag: str = "", size: int = 0, media_type: str = "") -> None:
        """Note a manifest that was pushed; a tag moves to it."""
        images = self.repositories[name].images
        image = images.setdefault(digest, PublicImage(digest, [], size, media_type, self._clock()))
        if tag:
            for other in images.values():
                other.tags = [each for each in other.tags if each != tag]
            image.tags.append(tag)

    # For AWS' clients

    def answer(self, call: AwsCall) -> Json:
        """Return the result of a call. Raises AwsRefusal."""
        regions = self._switches()["public_regions"]
        if call.region not in regions:
            text = f"{call.operation} command is only supported in {', '.join(regions)}."
            raise AwsRefusal("UnsupportedCommandException", text)
        operation = MODEL.operation_model(call.operation)
        for at, problem in _problems(operation.input_shape, call.parameters, ""):
            text = f"Invalid parameter at '{at}' failed to satisfy constraint: '{problem}'"
            raise AwsRefusal("InvalidParameterException", text)
        result = OPERATIONS[call.operation](self, call.parameters)
        wrong = list(_problems(operation.output_shape, result, call.operation))
        if wrong:
            raise AssertionError(f"the answer does not fit the model of ECR Public: {wrong}")
        return result

    def _held(self, given: Mapping[str, Any]) -> PublicRepository:
        name, registry = given["repositoryName"], given.get("registryId", self.account)
        if registry != self.account or name not in self.repositories:
            text = f"The repository with name '{name}' does not exist in the registry with id '{registry}'"
            raise AwsRefusal("RepositoryNotFoundException", text)
        return self.repositories[name]

    def _of_arn(self, given: Mapping[str, Any]) -> PublicRepository:
        match = re.fullmatch(r"arn:aws:ecr-public::(\d{12}):repository/(.+)", given["resourceArn"])
        if match is None:
            text = "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'"
            raise AwsRefusal("InvalidParameterException", text)
        return self._held({"registryId": match[1], "repositoryName": match[2]})

    def _create(self, given: Mapping[str, Any]) -> Json:
        name = given["repositoryName"]
        tags = _with_tags({}, given.get("tags", []))
        catalog = _catalog(given["catalogData"]) if "catalogData" in given else None
        if name in self.repositories:
            text = f"The repository with name '{name}' already exists in the registry with id '{self.account}'"
            raise AwsRefusal("RepositoryAlreadyExistsException", text)
        made = PublicRepository(self.account, name, self._clock(), catalog, tags)
        self.repositories[name] = made
        self.alias = ALIASES[self.account]
        return {"repository": made.described, "catalogData": catalog or {}}

    def _describe(self, given: Mapping[str, Any]) -> Json:
        names = given.get("repositoryNames", sorted(self.repositories))
        found = [self._held({**given, "repositoryName": name}).described for name in names]
        return _page(given, "repositories", found)

    def _delete(self, given: Mapping[str, Any]) -> Json:
        repository = self._held(given)
        if repository.images and not given.get("force"):
            text = (
                f"The repository with name '{repository.name}' in registry with id '{self.account}' cannot be deleted "
                "because it still contains images"
            )
            raise AwsRefusal("RepositoryNotEmptyException", text)
        return {"repository": self.repositories.pop(repository.name).described}

    def _get_catalog(self, given: Mapping[str, Any]) -> Json:
        repository = self._held(given)
        if repository.catalog is None:
            text = (
                f"Catalog data does not exist for the repository with name '{repository.name}' in the registry with "
                f"id '{self.account}'"
            )
            raise AwsRefusal("RepositoryCatalogDataNotFoundException", text)
        return {"catalogData": repository.catalog}

    def _put_catalog(self, given: Mapping[str, Any]) -> Json:
        repository = self._held(given)
        repository.catalog = _catalog(given["catalogData"])
        return {"catalogData": repository.catalog}

    def _tag(self, given: Mapping[str, Any]) -> Json:
        repository = self._of_arn(given)
        repository.tags = _with_tags(repository.tags, given["tags"])
        return {}

    def _untag(self, given: Mapping[str, Any]) -> Json:
        repository = self._of_arn(given)
        repository.tags = {key: value for key, value in repository.tags.items() if key not in given["tagKeys"]}
        return {}

    def _list_tags(self, given: Mapping[str, Any]) -> Json:
        tags = self._of_arn(given).tags
        return {"tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _registries(self, given: Mapping[str, Any]) -> Json:
        flags = {"status": "ACTIVE", "primaryRegistryAlias": True, "defaultRegistryAlias": True}
        registry = {
            "registryId": self.account,
            "registryArn": f"arn:aws:ecr-public::{self.account}:registry/{self.account}",
            "registryUri": f"{HOST}/{self.alias}" if self.alias else "",
            "verified": False,
            "aliases": [{"name": self.alias, **flags}] if self.alias else [],
        }
        return _page(given, "registries", [registry])

    def _images(self, given: Mapping[str, Any]) -> Json:
        repository = self._held(given)
        ids = given.get("imageIds")
        images = list(repository.images.values())
        found = images if ids is None else [_image(repository, each) for each in ids]
        return _page(given, "imageDetails", [_detail(repository, image) for image in found])

    def _token(self, dummy: Mapping[str, Any]) -> Json:
        password = base64.b64encode(secrets.token_bytes(TOKEN_BYTES)).decode()
        expires = self._clock() + self._switches()["token_seconds"]
        self.tokens[password] = expires
        token = base64.b64encode(f"AWS:{password}".encode()).decode()
        return {"authorizationData": {"authorizationToken": token, "expiresAt": expires}}

    def _get_policy(self, given: Mapping[str, Any]) -> Json:
        repository = self._held(given)
        if repository.policy is None:
            text = (
                f"Repository policy does not exist for the repository with name '{repository.name}' in the registry "
                f"with id '{self.account}'"
            )
            raise AwsRefusal("RepositoryPolicyNotFoundException", text)
        return {"registryId": self.account, "repositoryName": repository.name, "policyText": repository.policy}

    def _set_policy(self, given: Mapping[str, Any]) -> Json:
        repository, text = self._held(given), given["policyText"]
        try:
            valid = bool(json.loads(text)["Statement"])
        except (KeyError, TypeError, ValueError):
            valid = False
        if not valid:
            said = (
                "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'"
            )
            raise AwsRefusal("InvalidParameterException", said)
        repository.policy = text
        return self._get_policy(given)

    def _delete_policy(self, given: Mapping[str, Any]) -> Json:
        removed = self._get_policy(given)
        self._held(given).policy = None
        return removed


OPERATIONS: dict[str, Callable[[PublicRegistry, Mapping[str, Any]], Json]] = {
    "CreateRepository": PublicRegistry._create,
    "DescribeRepositories": PublicRegistry._describe,
    "DeleteRepository": PublicRegistry._delete,
    "GetRepositoryCatalogData": PublicRegistry._get_catalog,
    "PutRepositoryCatalogData": PublicRegistry._put_catalog,
    "TagResource": PublicRegistry._tag,
    "UntagResource": PublicRegistry._untag,
    "ListTagsForResource": PublicRegistry._list_tags,
    "DescribeRegistries": PublicRegistry._registries,
    "DescribeImages": PublicRegistry._images,
    "GetAuthorizationToken": PublicRegistry._token,
    "GetRepositoryPolicy": PublicRegistry._get_policy,
    "SetRepositoryPolicy": PublicRegistry._set_policy,
    "DeleteRepositoryPolicy": PublicRegistry._delete_policy,
}


# What the model says


def _problems(shape: Any, value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Yield where a value does not fit a shape of the model, and why."""
    fits: bool = isinstance(value, TYPES[shape.type_name])
    if not fits:
        yield at, f"must be a {shape.type_name}"
    elif shape.type_name == "structure":
        yield from _members(shape, value, at)
    elif shape.type_name == "list":
        yield from _length(shape, len(value), at)
        for number, each in enumerate(value, 1):
            yield from _problems(shape.member, each, f"{at}.{number}")
    else:
        yield from _scalar(shape, value, at)


def _members(shape: Any, value: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    path = f"{at}." if at else ""
    for name in shape.required_members:
        if name not in value:
            yield path + name, "Member must not be null"
    for name, each in value.items():
        if name not in shape.members:
            yield path + name, "No such member"
        else:
            yield from _problems(shape.members[name], each, path + name)


def _scalar(shape: Any, value: Any, at: str) -> Iterator[tuple[str, str]]:
    pattern = shape.metadata.get("pattern")
    if shape.type_name == "blob":
        yield from _length(shape, len(_decoded(value)), at)
    elif shape.type_name == "string":
        yield from _length(shape, len(value), at)
        if pattern and not re.fullmatch(pattern, value):
            yield at, f"must satisfy regular expression '{pattern}'"
        if value not in shape.metadata.get("enum", [value]):
            yield at, f"must be one of {shape.metadata['enum']}"
    else:
        least, most = shape.metadata.get("min", value), shape.metadata.get("max", value)
        if not least <= value <= most:
            yield at, f"must be from {least} to {most}"


def _length(shape: Any, length: int, at: str) -> Iterator[tuple[str, str]]:
    if length < shape.metadata.get("min", 0):
        yield at, f"Member must have length greater than or equal to {shape.metadata['min']}"
    if length > shape.metadata.get("max", length):
        yield at, f"Member must have length less than or equal to {shape.metadata['max']}"


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise AwsRefusal("SerializationException", f"not base64: {error}") from error


# What it does not say


def _with_tags(held: Mapping[str, str], given: list[Json]) -> dict[str, str]:
    """Return the tags of a repository once the given ones are set."""
    keys = [tag.get("Key", "") for tag in given]
    if len(set(keys)) < len(keys):
        raise AwsRefusal("InvalidTagParameterException", "Duplicate tag keys found.")
    for tag in given:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not key or key.lower().startswith("aws:") or not (TAG_TEXT.fullmatch(key) and TAG_TEXT.fullmatch(value)):
            raise AwsRefusal("InvalidTagParameterException", f"The tag with key '{key}' is not valid.")
    tags = {**held, **{tag["Key"]: tag.get("Value", "") for tag in given}}
    if len(tags) > MOST_TAGS:
        text = f"A repository cannot have more than {MOST_TAGS} tags."
        raise AwsRefusal("TooManyTagsException", text)
    return tags


def _catalog(given: Mapping[str, Any]) -> Json:
    """Return catalogue data as they are read back: of the logo only an address."""
    catalog = {name: value for name, value in given.items() if name != "logoImageBlob"}
    logo = _decoded(given.get("logoImageBlob", ""))
    if logo:
        _check_logo(logo)
        catalog["logoUrl"] = f"https://logos.example/{hashlib.sha256(logo).hexdigest()[:32]}.png"
    return catalog


def _check_logo(logo: bytes) -> None:
    pixels = unpack(">II", logo[16:24]) if logo.startswith(PNG) and len(logo) >= 24 else ()
    if not pixels or any(each not in LOGO_PIXELS for each in pixels):
        text = (
            "Invalid parameter at 'logoImageBlob' failed to satisfy constraint: 'Logo must be a PNG image of "
            f"{LOGO_PIXELS[0]} to {LOGO_PIXELS[-1]} pixels in either direction'"
        )
        raise AwsRefusal("InvalidParameterException", text)


def _image(repository: PublicRepository, given: Mapping[str, str]) -> PublicImage:
    tag, digest = given.get("imageTag"), given.get("imageDigest")
    for image in repository.images.values():
        if (tag or digest) and (tag is None or tag in image.tags) and digest in (None, image.digest):
            return image
    text = (
        f"The image with imageId {{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}} does not exist "
        f"within the repository with name '{repository.name}' in the registry with id '{repository.account}'"
    )
    raise AwsRefusal("ImageNotFoundException", text)


def _detail(repository: PublicRepository, image: PublicImage) -> Json:
    tags = {"imageTags": image.tags} if image.tags else {}
    return {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "imageDigest": image.digest,
        **tags,
        "imageSizeInBytes": image.size,
        "imagePushedAt": image.pushed,
        "imageManifestMediaType": image.media_type,
    }


def _page(given: Mapping[str, Any], key: str, items: list[Json]) -> Json:
    """Return one page of a listing, and a token for the next; it is the number of items before that."""
    token = given.get("nextToken", "0")
    if not token.isdecimal():
        text = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"
        raise AwsRefusal("InvalidParameterException", text)
    start = int(token)
    end = start + given.get("maxResults", PAGE)
    return {key: items[start:end], **({"nextToken": str(end)} if end < len(items) else {})}
