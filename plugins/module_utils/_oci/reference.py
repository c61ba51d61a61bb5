# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import re
from typing import NamedTuple

from .._core.errors import InputError

# The grammar of amazon-ecr-credential-helper (ecr-login/api/client.go): plain, dual-stack and FIPS hosts of all
# partitions.
HOST = re.compile(
    r"(?P<account>\d{12})\.dkr[.\-]ecr(?P<fips>-fips)?\.(?P<region>[a-z0-9][a-z0-9\-_]*)\."
    r"(?P<suffix>amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)"
    r"|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
# Names as the ECR API defines them; tags as Docker does, which refuses some that ECR takes.
REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}")
HOSTNAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?")
DOCKER_HUB = "docker.io"
PUBLIC_HOSTS = {"public.ecr.aws", "ecr-public.aws.com"}

# Region prefix -> partition; every other region lies in aws.
PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "eusc-": "aws-eusc",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
}


class Image(NamedTuple):
    """For hosts other than ECR, `account_id`, `region` and `partition` are empty."""

    reference: str
    host: str
    account_id: str
    region: str
    partition: str
    repository: str
    tag: str
    digest: str

    @property
    def repository_arn(self) -> str:
        return f"arn:{self.partition}:ecr:{self.region}:{self.account_id}:repository/{self.repository}"


def partition_of(region: str) -> str:
    return next((partition for prefix, partition in PARTITIONS.items() if region.startswith(prefix)), "aws")


def split(reference: str) -> tuple[str, str, str, str]:
    """Return host, with its port, repository, tag and digest; "" for what is missing."""
    rest = re.sub(r"^(?:https?|docker)://", "", reference)
    rest, at, digest = rest.partition("@")
    if at and not digest:
        raise InputError(f"Image {reference!r} ends in an at sign: name a digest after it.")
    host, slash, path = rest.partition("/")
    if not slash or not (re.search(r"[.:]", host) or host == "localhost"):
        host, path = "", rest
    path, colon, tag = path.partition(":")
    if colon and not tag:
        raise InputError(f"Image {reference!r} ends in a colon: name a tag after it.")
    return host.lower(), path, tag, digest


def parse(reference: str) -> Image:
    host, repository, tag, digest = split(reference)
    if host and not HOSTNAME.fullmatch(host):
        raise InputError(f"Image {reference!r}: {host!r} is not the name of a host.")
    if not REPOSITORY.fullmatch(repository):
        raise InputError(
            f"Image {reference!r}: {repository!r} is not a repository name "
            "(lower-case letters, digits, and single . _ - between them, parts separated by /)."
        )
    if tag and not TAG.fullmatch(tag):
        raise InputError(f"Image {reference!r}: {tag!r} is not a tag (letters, digits, _ . -; at most 128 characters).")
    if digest and not DIGEST.fullmatch(digest):
        raise InputError(f"Image {reference!r}: {digest!r} is not a digest (sha256: and 64 hexadecimal digits).")
    match = HOST.fullmatch(re.sub(r":\d+$", "", host))
    if match is None:
        return Image(reference, host, "", "", "", repository, tag, digest)
    region = match["region"]
    return Image(reference, host, match["account"], region, partition_of(region), repository, tag, digest)


def parse_ecr(reference: str) -> Image:
    """Raise InputError for other registries, and without tag and digest."""
    image = parse(reference)
    if not image.account_id:
        where = "Amazon ECR Public" if image.host in PUBLIC_HOSTS else image.host or "Docker Hub"
        raise InputError(
            f"Image {reference!r} is in {where}, not in a private ECR registry "
            "(ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG)."
        )
    return with_content(image)


def with_content(image: Image) -> Image:
    if not (image.tag or image.digest):
        raise InputError(f"Image {image.reference!r} names neither a tag nor a digest: add :TAG or @sha256:….")
    return image


ARN = re.compile(r"arn:aws[a-z-]*:ecr:(?P<region>[a-z0-9*?-]+):\d{12}:repository/(?P<name>.+)")


PATTERN = re.compile(r"[a-z0-9._/-]*[*?][a-z0-9._/*?-]*")


def repository_arn(given: str, partition: str, account: str, region: str) -> str:
    """Return the ARN of a name, an ARN or an image URI.

    A plain name, which may have wildcards, means this partition, account and region.
    """
    if given.startswith("arn:"):
        match = ARN.fullmatch(given)
        if match is None:
            raise InputError(
                f"Repository {given!r} is not the ARN of an ECR repository "
                "(arn:aws:ecr:REGION:ACCOUNT:repository/NAME)."
            )
        check_name(given, match["name"])
        return given
    host, name, tag, digest = split(given)
    registry = HOST.fullmatch(host)
    if registry:
        check_name(given, name)
        return (
            f"arn:{partition_of(registry['region'])}:ecr:{registry['region']}:{registry['account']}:repository/{name}"
        )
    if host or tag or digest:
        raise InputError(
            f"Repository {given!r} is neither a plain name nor an image of a private ECR registry. "
            "Give the ARN of a repository whose name looks like a host."
        )
    check_name(given, name)
    return f"arn:{partition}:ecr:{region}:{account}:repository/{name}"


def check_name(given: str, name: str) -> None:
    if not (REPOSITORY.fullmatch(name) or PATTERN.fullmatch(name)):
        raise InputError(
            f"Repository {given!r}: {name!r} is not a repository name (lower-case letters, digits, and single . _ - "
            "between them, parts separated by /; * and ? are wildcards)."
        )


def repository_of(reference: str | None) -> Image | None:
    try:
        image = parse(reference or "")
    except InputError:
        return None
    return image if image.account_id else None
