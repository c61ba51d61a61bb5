# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes everything whose name begins with the prefix of a run, whoever made it and whatever was lost on the way."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from .clouds import UNKNOWN, Clouds, code_of

PREFIX = re.compile(r"gpuops-live-[0-9a-f]{8}")
LOOKS = 6  # until what was made a moment ago shows in every listing
PAUSE = 2.0
Removal = tuple[str, Callable[[], object]]


def found(clouds: Clouds, prefix: str) -> Iterator[Removal]:
    """Yield what stands in both clouds, in the order in which it can go."""
    for things in IN_ORDER:
        yield from things(clouds, prefix)


def endpoints(clouds: Clouds, prefix: str) -> Iterator[Removal]:
    yield from of_runpod(clouds, prefix, "serverless", "endpoints", "endpoint")


def templates(clouds: Clouds, prefix: str) -> Iterator[Removal]:
    yield from of_runpod(clouds, prefix, "templates", "templates", "template")


def registries(clouds: Clouds, prefix: str) -> Iterator[Removal]:
    yield from of_runpod(clouds, prefix, "registries", "registries", "credential")


def delegations(clouds: Clouds, prefix: str) -> Iterator[Removal]:
    for one in clouds.listed("registries/delegations", "delegations"):
        if str(one["repository"]).startswith(prefix):
            path = f"registries/delegations/{one['id']}"
            yield f"delegation of {one['repository']}", lambda path=path: delete(clouds, path)  # type: ignore[misc]


def of_runpod(clouds: Clouds, prefix: str, path: str, kind: str, name: str) -> Iterator[Removal]:
    for one in clouds.listed(path, kind):
        if str(one.get("name") or "").startswith(prefix):
            place = f"{path}/{one['id']}"
            yield f"{name} {one['name']}", lambda place=place: delete(clouds, place)  # type: ignore[misc]


def delete(clouds: Clouds, path: str) -> None:
    answer = clouds.runpod("DELETE", path)
    if answer.status not in (204, 404):
        raise OSError(f"DELETE {path.partition('/')[0]}: {answer.status} {answer.detail}")


def users(clouds: Clouds, prefix: str) -> Iterator[Removal]:
    yield from of_iam(clouds, prefix, "User", delete_user)


def roles(clouds: Clouds, prefix: str) -> Iterator[Removal]:
    yield from of_iam(clouds, prefix, "Role", delete_role)


def of_iam(clouds: Clouds, prefix: str, kind: str, remove: Callable[[Any, str], None]) -> Iterator[Removal]:
    iam = clouds.aws("iam")
    for page in iam.get_paginator(f"list_{kind.lower()}s").paginate(PathPrefix="/runpod/"):
        for one in page[f"{kind}s"]:
            name = one[f"{kind}Name"]
            if name.startswith(prefix):
                yield f"IAM {kind.lower()} {name}", lambda name=name: remove(iam, name)  # type: ignore[misc]


def delete_user(iam: Any, name: str) -> None:
    for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy)
    for policy in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
        iam.detach_user_policy(UserName=name, PolicyArn=policy["PolicyArn"])
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def delete_role(iam: Any, name: str) -> None:
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def secrets(clouds: Clouds, prefix: str) -> Iterator[Removal]:
    """The entry's name is known: a listing may lag behind."""
    store, name = clouds.aws("secretsmanager"), f"runpod-ecr/{prefix}"
    try:
        deleted = "DeletedDate" in store.describe_secret(SecretId=name)
    except store.exceptions.ResourceNotFoundException:
        return
    if not deleted:
        yield f"secret {name}", lambda: store.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def repositories(clouds: Clouds, prefix: str) -> Iterator[Removal]:
    registry = clouds.aws("ecr")
    try:
        held = registry.describe_repositories(repositoryNames=[prefix])["repositories"]
    except registry.exceptions.RepositoryNotFoundException:
        return
    for one in held:
        name = one["repositoryName"]
        yield f"ECR repository {name}", lambda: registry.delete_repository(repositoryName=prefix, force=True)


IN_ORDER = (endpoints, templates, registries, delegations, users, roles, secrets, repositories)


def clean(
    clouds: Clouds, prefix: str, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> list[str]:
    """Remove all of it, looking again until nothing shows; return what could not be removed, and why."""
    if not PREFIX.fullmatch(prefix):
        raise ValueError(f"{prefix} is no prefix of a live check")
    quiet = 0
    left: list[str] = []
    for look in range(LOOKS):
        left = removed(clouds, prefix, say)
        quiet = quiet + 1 if left == [] else 0
        if quiet == 2:
            return []
        if look < LOOKS - 1:
            sleep(PAUSE)
    return [one for one in left if one != REMOVED]


REMOVED = ""


def removed(clouds: Clouds, prefix: str, say: Callable[[str], None]) -> list[str]:
    """Remove what shows; return a text for each thing, the empty one when it went."""
    said = []
    for things in IN_ORDER:
        try:
            for name, remove in list(things(clouds, prefix)):
                said.append(attempt(name, remove, say))
        except UNKNOWN as error:
            said.append(f"{things.__name__}: cannot be listed: {code_of(error)}")
    return said


def attempt(name: str, remove: Callable[[], object], say: Callable[[str], None]) -> str:
    try:
        remove()
    except UNKNOWN as error:
        return f"{name}: {code_of(error)}: {str(error)[:200]}"
    say(f"removed {name}")
    return REMOVED
