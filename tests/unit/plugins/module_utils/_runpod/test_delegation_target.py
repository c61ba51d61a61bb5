# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.delegation_target import (
    FORMS,
    Target,
    by_repository,
    delegated_arn,
    delegation_result,
    differs,
    predicted,
    targets,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import delegated, delegation

EAST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
APP = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("form", "resource"),
    [("arn_with_tag", f"{APP}:v1"), ("image_uri", f"{EAST}/team/app:v1"), ("arn", APP)],
)
def test_a_repository_is_named_in_each_form(form: str, resource: str) -> None:
    assert Target(APP, "v1").resource(form) == resource
    assert delegated_arn(delegated({"resource": resource})) == APP


@pytest.mark.parametrize(
    ("tag", "asked", "forms"),
    [
        ("v1", "auto", ["arn_with_tag", "image_uri", "arn"]),
        ("", "auto", ["arn"]),
        ("v1", "image_uri", ["image_uri"]),
        ("", "image_uri", []),
        ("", "arn", ["arn"]),
    ],
)
def test_a_form_that_carries_a_tag_needs_one(tag: str, asked: str, forms: list[str]) -> None:
    assert Target(APP, tag).forms(asked) == forms
    assert set(forms) <= set(FORMS)


@pytest.mark.parametrize(
    ("images", "tag", "known"),
    [
        ([f"{EAST}/team/app:v1"], "", "v1"),
        ([f"{EAST}/team/app:v1"], "v9", "v1"),  # its own tag counts
        ([f"{EAST}/team/app@{DIGEST}"], "", ""),
        ([f"{EAST}/team/app@{DIGEST}"], "v9", "v9"),
        ([f"{EAST}/team/app:v1@{DIGEST}"], "v9", "v1"),
        ([f"{EAST}/team/app:v1", f"{EAST}/team/app:v2"], "", "v1"),
        ([f"{EAST}/team/app@{DIGEST}", f"{EAST}/team/app:v2"], "", "v2"),
    ],
)
def test_a_repository_counts_once_with_the_first_tag_known(images: list[str], tag: str, known: str) -> None:
    assert targets(images, [], tag) == ([Target(APP, known)], ())


def test_repositories_are_named_by_arn_too() -> None:
    assert targets([], [APP, APP], "v1") == ([Target(APP, "v1")], ())


@pytest.mark.parametrize(
    ("images", "arns", "tag", "says"),
    [
        (["app:1"], [], "", "is in Docker Hub"),
        (["public.ecr.aws/abc/app:1"], [], "", "is in Amazon ECR Public"),
        ([f"{EAST}/app"], [], "", "neither a tag nor a digest"),
        (["123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/app:1"], [], "", "in the partition aws-cn"),
        ([], ["arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/app"], "", "in the partition aws-us-gov"),
        ([], ["team/app"], "", "'team/app' is not an ARN"),
        ([], ["arn:aws:s3:::bucket"], "", "is not the ARN of an ECR repository"),
        ([], [f"{APP}:v1"], "", "'team/app:v1' is not a repository name"),
        ([], [APP.replace("app", "*")], "", "holds a wildcard"),
        ([], [APP], "a tag", "tag: 'a tag' is not a tag"),
    ],
)
def test_what_cannot_be_delegated_is_refused(images: list[str], arns: list[str], tag: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        targets(images, arns, tag)


@pytest.mark.parametrize(
    "host",
    ["123456789012.dkr-ecr.us-east-1.on.aws", "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", f"{EAST}:443"],
)
def test_another_host_than_the_plain_one_is_a_warning(host: str) -> None:
    found, warnings = targets([f"{host}/team/app:v1"], [], "")
    assert found == [Target(APP, "v1")]
    assert len(warnings) == 1 and f"let templates name {EAST}" in warnings[0]


@pytest.mark.parametrize(
    ("owner", "account"),
    [("123456789012", "123456789012"), ("arn:aws:iam::123456789012:role/x", "123456789012"), ("somebody", "somebody")],
)
def test_the_account_is_found_in_whatever_runpod_tells(owner: str, account: str) -> None:
    assert delegated_arn(delegation(APP, awsUser=owner)) == APP.replace("123456789012", account)


def test_the_oldest_delegation_of_a_repository_comes_first() -> None:
    late, early = delegation(APP, id="a"), delegation(APP, id="b", createdAt="2026-08-01T00:00:00Z")
    other = delegation(APP.replace("team", "other"))
    assert by_repository([late, other, early]) == {APP: [early, late], delegated_arn(other): [other]}


def test_what_is_predicted_is_what_runpod_tells() -> None:
    made = delegation(f"{APP}:v1", name="mine")
    assert predicted(Target(APP, "v1"), "mine").items() <= made.items()
    assert delegation_result(made) == {
        "id": "d-team/app",
        "name": "mine",
        "delegator_user_id": "user",
        "aws_user": "123456789012",
        "aws_region": "us-east-1",
        "repository": "team/app",
        "repository_arn": APP,
        "tag": "v1",
        "created_at": "2026-08-31T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("tag", "name", "found"),
    [("v1", None, []), ("", None, []), ("v2", None, ["tag"]), ("v1", "other", ["name"]), ("", "mine", [])],
)
def test_differences_are_told_of_what_was_asked_for(tag: str, name: str | None, found: list[str]) -> None:
    assert differs(delegation(f"{APP}:v1", name="mine"), Target(APP, tag), name) == found
