# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .._aws.runpod_roles import check_reach
from .._core.errors import InputError, Json
from .._core.masking import to_result
from .._oci.reference import TAG, Image, parse_ecr, repository_arn

# RunPod's sources disagree on the form of a delegation's resource. All that one of them names, in the order in which
# they are tried.
FORMS = {
    "arn_with_tag": "{arn}:{tag}",
    "image_uri": "{account}.dkr.ecr.{region}.amazonaws.com/{repository}:{tag}",
    "arn": "{arn}",
}


class Target(NamedTuple):
    """`tag` is for the forms that carry one; it may be empty."""

    arn: str
    tag: str

    @property
    def parts(self) -> dict[str, str]:
        region, account, name = self.arn.split(":", 5)[3:]
        repository = name.removeprefix("repository/")
        return {"arn": self.arn, "tag": self.tag, "account": account, "region": region, "repository": repository}

    def resource(self, form: str) -> str:
        return FORMS[form].format_map(self.parts)

    def forms(self, asked: str) -> list[str]:
        """Without a tag return only forms that need none."""
        wanted = FORMS if asked == "auto" else [asked]
        return [form for form in wanted if self.tag or "{tag}" not in FORMS[form]]


def targets(images: Iterable[str], arns: Iterable[str], tag: str) -> tuple[list[Target], tuple[str, ...]]:
    """Return each repository once, with the first tag known for it, and warnings.

    Raise InputError for what is none of ECR, or out of reach of RunPod's roles.
    """
    if tag and not TAG.fullmatch(tag):
        raise InputError(f"tag: {tag!r} is not a tag (letters, digits, _ . -; at most 128 characters).")
    parsed = [parse_ecr(image) for image in images]
    given = [(image.repository_arn, image.tag or tag) for image in parsed]
    given += [(checked_arn(arn), tag) for arn in arns]
    tags: dict[str, str] = {}
    for arn, known in given:
        check_reach(arn)
        tags[arn] = tags.get(arn) or known
    return [Target(arn, known) for arn, known in tags.items()], tuple(odd_hosts(parsed))


def checked_arn(given: str) -> str:
    """Raise InputError for what is no repository's ARN."""
    if not given.startswith("arn:"):
        raise InputError(f"repository_arns: {given!r} is not an ARN. Give the URIs of images as images.")
    return repository_arn(given, "", "", "")


def odd_hosts(images: Iterable[Image]) -> Iterable[str]:
    """Yield warnings: RunPod is told of the plain host instead."""
    for image in images:
        plain = Target(image.repository_arn, "").resource("image_uri").partition("/")[0]
        if image.host != plain:
            yield (
                f"{image.reference}: RunPod documents delegations for {plain} only. Whether it pulls from the host "
                f"{image.host} with one is unknown, so let templates name {plain}."
            )


def delegated_arn(delegation: Mapping[str, Any]) -> str:
    """RunPod does not repeat what it was told."""
    owner = str(delegation.get("awsUser"))  # "AWS user/role" in RunPod's document, whose example is an account
    found = re.search(r"(?<!\d)\d{12}(?!\d)", owner)
    account = found[0] if found else owner
    return f"arn:aws:ecr:{delegation.get('awsRegion')}:{account}:repository/{delegation.get('repository')}"


def by_repository(delegations: Iterable[Json]) -> dict[str, list[Json]]:
    """Return ARN -> delegations, the oldest first."""
    found: dict[str, list[Json]] = {}
    for delegation in sorted(delegations, key=lambda one: (one.get("createdAt") or "", str(one.get("id")))):
        found.setdefault(delegated_arn(delegation), []).append(delegation)
    return found


def predicted(target: Target, name: str | None) -> Json:
    """Return what RunPod is going to show, as far as can be known."""
    parts = target.parts
    return {
        "name": name,
        "awsUser": parts["account"],
        "awsRegion": parts["region"],
        "repository": parts["repository"],
        "tag": target.tag or None,
    }


def delegation_result(delegation: Json) -> Json:
    return {"name": None, **to_result(delegation), "repository_arn": delegated_arn(delegation)}


def differs(delegation: Json, target: Target, name: str | None) -> list[str]:
    """Return options that differ, which RunPod cannot change."""
    asked = {"name": name, "tag": target.tag or None}
    return [option for option, value in asked.items() if value is not None and delegation.get(option) != value]
