# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ConflictError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.ownership import (
    foreign_signs,
    require_ours,
    same_credential,
    same_repository,
)

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
REGISTRIES: list[Json] = [
    {"id": "p", "name": "ecr"},
    {"id": "a", "name": "ecr-alt"},
    {"id": "o", "name": "staging"},
]
NAMES: dict[str | None, str] = {registry["id"]: registry["name"] for registry in REGISTRIES}
CURRENT: Json = {"id": "t1", "name": "demo", "image": "app:1", "registry": "p", "public": False}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("app:1", "app:2"),
        ("app:1", "docker.io/library/app"),
        ("me/app", "index.docker.io/me/app:1"),
        ("ghcr.io/me/app:1", f"ghcr.io/me/app@sha256:{'0' * 64}"),
        (f"{ECR}/team/app:1", f"{ECR}/team/app:2"),
        (f"{ECR}/team/app:1", "123456789012.dkr-ecr.us-east-1.on.aws/team/app:1"),
        (f"{ECR}/team/app:1", "public.ecr.aws/alias/team/app:1"),
        ("public.ecr.aws/alias/app:1", "public.ecr.aws/alias/app:2"),
        ("no image at all", "no image at all"),
    ],
)
def test_spellings_tags_and_the_public_mirror_are_of_one_repository(one: str, other: str) -> None:
    assert all(same_repository(*pair) for pair in ((one, other), (other, one)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("app:1", "api:1"),
        ("app:1", "ghcr.io/library/app:1"),
        ("me/app:1", "you/app:1"),
        (f"{ECR}/app:1", f"{ECR.replace('us-east-1', 'eu-west-1')}/app:1"),
        (f"{ECR}/app:1", f"{ECR.replace('1234', '4321')}/app:1"),
        (f"{ECR}/app:1", "app:1"),
        (f"{ECR}/team/app:1", "public.ecr.aws/alias/app:1"),
        ("app:1", "public.ecr.aws/alias/app:1"),
        ("ghcr.io/app:1", "public.ecr.aws/alias/app:1"),
        ("public.ecr.aws/one/app:1", "public.ecr.aws/other/app:1"),
        ("no image at all", "app:1"),
    ],
)
def test_another_name_host_account_or_region_is_another_repository(one: str, other: str) -> None:
    assert not any(same_repository(*pair) for pair in ((one, other), (other, one)))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("p", "p", True), ("p", "a", True), ("a", "p", True), ("p", "o", False), ("p", "ecr", True), ("x", "y", False)],
)
def test_a_credential_and_its_alternate_are_the_same(one: str, other: str, same: bool) -> None:
    assert same_credential(one, other, NAMES) is same


@pytest.mark.parametrize(
    ("current", "fields", "signs"),
    [
        ({}, {}, []),
        ({}, {"image": "app:2", "registry": "a"}, []),
        ({}, {"image": "api:1"}, ["it runs another repository than api:1"]),
        ({"image": None}, {"image": "api:1"}, []),
        ({"public": True}, {}, ["it is public, and public is not set"]),
        ({"public": True}, {"public": True}, []),
        ({"public": True}, {"public": False}, []),
        ({}, {"registry": "o"}, ["it does not pull with 'staging'"]),
        ({}, {"registry": "soon"}, ["it does not pull with 'soon'"]),
        ({}, {"registry": None}, []),
        ({"registry": None}, {"registry": "p"}, []),
        ({"registry": "gone"}, {"registry": "p"}, []),
        (
            {"image": "api:1", "public": True, "registry": "o"},
            {"image": "app:1", "registry": "p"},
            [
                "it runs another repository than app:1",
                "it is public, and public is not set",
                "it does not pull with 'ecr'",
            ],
        ),
    ],
)
def test_what_speaks_for_another_owner(current: Json, fields: Json, signs: list[str]) -> None:
    assert foreign_signs({**CURRENT, **current}, fields, NAMES) == signs


@pytest.mark.parametrize(
    ("registry", "told"), [("p", "the credential 'ecr'"), ("gone", "the credential 'gone'"), (None, "no credential")]
)
def test_an_error_names_the_thing_its_image_and_its_credential(registry: Any, told: str) -> None:
    current = {**CURRENT, "registry": registry}
    with pytest.raises(ConflictError) as caught:
        require_ours("template", current, {"image": "api:1"}, REGISTRIES, adopt=False)
    assert str(caught.value) == (
        f"The template 'demo' (id t1, image app:1, {told}) may be somebody else's: it runs another repository than "
        "api:1. Nothing was changed. To take it over, set adopt: true (the role's variable is runpod_ecr_adopt); "
        "else set another name."
    )


def test_what_is_ours_or_adopted_is_no_error() -> None:
    require_ours("template", CURRENT, {"image": "app:2"}, REGISTRIES, adopt=False)
    require_ours("template", CURRENT, {"image": "api:1"}, REGISTRIES, adopt=True)
