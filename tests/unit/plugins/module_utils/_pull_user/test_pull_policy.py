# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.policy_document import compact, policy_size
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.reference import repository_arn
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user import pull_policy as _policy
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.principal import Principal

ARN = "arn:aws:ecr:us-east-1:123456789012:repository/"
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("given", "arn"),
    [
        ("app", ARN + "app"),
        ("team/app_1.x", ARN + "team/app_1.x"),
        ("team/*", ARN + "team/*"),
        ("*", ARN + "*"),
        ("app-?", ARN + "app-?"),
        (ARN + "team/app", ARN + "team/app"),
        ("arn:aws:ecr:*:123456789012:repository/team/*", "arn:aws:ecr:*:123456789012:repository/team/*"),
        (
            "arn:aws-cn:ecr:cn-north-1:1" + "0" * 11 + ":repository/a",
            "arn:aws-cn:ecr:cn-north-1:100000000000:repository/a",
        ),
        (f"{HOST}/team/app", ARN + "team/app"),
        (f"{HOST}/team/app:v1", ARN + "team/app"),
        (f"{HOST}/team/app@sha256:{'0' * 64}", ARN + "team/app"),
        (f"docker://{HOST}/team/app:v1", ARN + "team/app"),
        (f"{HOST}/team/*", ARN + "team/*"),
        (
            "999999999999.dkr.ecr.cn-north-1.amazonaws.com.cn/app",
            "arn:aws-cn:ecr:cn-north-1:999999999999:repository/app",
        ),
        (
            "999999999999.dkr.ecr-fips.us-gov-west-1.amazonaws.com/app",
            "arn:aws-us-gov:ecr:us-gov-west-1:999999999999:repository/app",
        ),
    ],
)
def test_repository_arn(given: str, arn: str) -> None:
    assert repository_arn(given, "aws", "123456789012", "us-east-1") == arn


def test_name_means_the_given_partition_account_and_region() -> None:
    arn = "arn:aws-us-gov:ecr:us-gov-east-1:210987654321:repository/app"
    assert repository_arn("app", "aws-us-gov", "210987654321", "us-gov-east-1") == arn


@pytest.mark.parametrize(
    "given",
    [
        "",
        "App",
        "app:v1",
        "app:",
        "a//b",
        "team/App*",
        "ghcr.io/org/app",
        "public.ecr.aws/x/app",
        "localhost:5000/app",
        f"{HOST}/App",
        "arn:aws:ecr:us-east-1:123456789012:repository/",
        "arn:aws:ecr:us-east-1:123456789012:repository/App",
        "arn:aws:ecr:us-east-1:*:repository/app",
        "arn:aws:s3:::bucket",
    ],
)
def test_what_is_no_repository_is_refused_and_named(given: str) -> None:
    with pytest.raises(InputError) as caught:
        repository_arn(given, "aws", "123456789012", "us-east-1")
    assert repr(given) in str(caught.value)


def test_document_allows_what_a_pull_needs_and_nothing_else() -> None:
    assert _policy.document([ARN + "b", ARN + "a", ARN + "b"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Token", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
            {
                "Sid": "Pull",
                "Effect": "Allow",
                "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
                "Resource": [ARN + "a", ARN + "b"],
            },
        ],
    }
    assert [statement["Sid"] for statement in _policy.document([])["Statement"]] == ["Token"]


@pytest.mark.parametrize(
    ("policy", "repositories"),
    [
        (None, []),
        ({}, []),
        ({"Statement": []}, []),
        ({"Statement": {"Sid": "Pull", "Resource": ARN + "a"}}, [ARN + "a"]),
        ({"Statement": [{"Sid": "Pull", "Resource": [ARN + "b", ARN + "a"]}]}, [ARN + "a", ARN + "b"]),
        ({"Statement": [{"Sid": "Pull", "Resource": ["*", ARN + "a", "arn:aws:s3:::x"]}]}, [ARN + "a"]),
        ({"Statement": [{"Sid": "Pull", "NotResource": ARN + "a"}]}, []),
        ({"Statement": [{"Sid": "Other", "Resource": ARN + "a"}]}, []),
        (_policy.document([ARN + "a"]), [ARN + "a"]),
    ],
)
def test_repositories_of(policy: Any, repositories: list[str]) -> None:
    assert _policy.repositories_of(policy) == repositories


@pytest.mark.parametrize(
    ("held", "asked", "purge", "expected"),
    [
        (["a"], [], False, ["a"]),
        (["a"], ["b"], False, ["a", "b"]),
        (["a"], ["b"], True, ["b"]),
        (["a"], [], True, []),
        ([], ["a"], False, ["a"]),
    ],
)
def test_wanted_document(held: list[str], asked: list[str], purge: bool, expected: list[str]) -> None:
    current = _policy.document((ARN + name for name in held), pull_through=True)
    for pull_through in (False, True):
        wanted = _policy.desired_document(current, [ARN + name for name in asked], purge, pull_through)
        assert wanted == _policy.document((ARN + name for name in expected), pull_through)


def test_wanted_document_without_a_policy_before() -> None:
    assert _policy.desired_document(None, [], False) == _policy.document([])


def test_import_of_upstream_images_is_allowed_on_request() -> None:
    plain, cache = _policy.document([ARN + "a"]), _policy.document([ARN + "a"], pull_through=True)
    assert set(cache["Statement"][1]["Action"]) - set(plain["Statement"][1]["Action"]) == {
        "ecr:BatchImportUpstreamImage"
    }
    assert cache["Statement"][0] == plain["Statement"][0]
    assert (_policy.pulls_through(plain), _policy.pulls_through(cache), _policy.pulls_through(None)) == (
        False,
        True,
        False,
    )


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (None, None, None),
        (_policy.document([ARN + "a"]), None, _policy.document([ARN + "a"])),
        (None, _policy.document([ARN + "a"]), _policy.document([ARN + "a"])),
        (_policy.document([ARN + "a"]), _policy.document([ARN + "b"]), _policy.document([ARN + "a", ARN + "b"])),
        (_policy.document([ARN + "a"]), _policy.document([ARN + "a"], True), _policy.document([ARN + "a"], True)),
    ],
)
def test_merged(one: Any, two: Any, expected: Any) -> None:
    assert _policy.merged(one, two) == expected


def reordered() -> Any:
    policy = _policy.document([ARN + "a"])
    policy["Statement"].reverse()
    policy["Statement"][0]["Action"] = sorted(policy["Statement"][0]["Action"])
    policy["Statement"][0]["Resource"] = ARN + "a"
    policy["Statement"][1]["Action"] = ["ecr:GetAuthorizationToken"]
    return policy


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (_policy.document([ARN + "a"]), False),
        (reordered(), False),
        (_policy.document([ARN + "b"]), True),
        (_policy.document([]), True),
        ({**_policy.document([ARN + "a"]), "Version": "2008-10-17"}, True),
        (None, True),
    ],
)
def test_differs(current: Any, expected: bool) -> None:
    assert _policy.differs(current, _policy.document([ARN + "a"])) is expected


def test_nothing_does_not_differ_from_nothing() -> None:
    assert _policy.differs(None, None) is False


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (None, True),
        (_policy.document([]), True),
        (_policy.document([ARN + "a"]), False),
        (_policy.document([ARN + "a", ARN + "b"]), False),
        ({"Statement": [{"Sid": "Pull", "Resource": ARN + "a"}]}, True),  # the rest of it was missing
    ],
)
def test_grows(current: Any, expected: bool) -> None:
    assert _policy.grows(current, _policy.document([ARN + "a"])) is expected


def test_import_of_upstream_images_grows_a_policy_and_its_end_does_not() -> None:
    plain, cache = _policy.document([ARN + "a"]), _policy.document([ARN + "a"], pull_through=True)
    assert _policy.grows(plain, cache) is True
    assert _policy.grows(cache, plain) is False
    assert _policy.grows(cache, cache) is False


def test_size_is_that_of_the_document_without_white_space() -> None:
    policy = _policy.document([ARN + "a"])
    assert policy_size(policy) == len("".join(json.dumps(policy, indent=4).split())) == len(compact(policy))
    assert policy_size({"Sid": "two words"}) == len('{"Sid":"twowords"}')
    assert policy_size(None) == 0


def test_document_up_to_the_limit_of_a_managed_policy_fits() -> None:
    def sized(length: int) -> Any:
        return _policy.document([ARN + "a" * length])

    spare = _policy.MANAGED_LIMIT - policy_size(sized(0))
    _policy.check_size(Principal("user", "puller"), sized(spare))
    with pytest.raises(InputError, match=r"1 repositories would have 6145 characters, .* 2048 .* 6144 for a managed"):
        _policy.check_size(Principal("user", "puller"), sized(spare + 1))


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["a", "b"], ""),
        (["team/a", "b"], ""),
        (["team/a", "team/b", "other/c"], "team/*"),
        (["x/team/a", "x/team/b"], "x/team/*"),
        (["team/*", "team/a"], ""),
        ([], ""),
    ],
)
def test_commonest_prefix(names: list[str], pattern: str) -> None:
    assert _policy.commonest_prefix(ARN + name for name in names) == pattern


def test_regions_of() -> None:
    arns = [ARN + "a", ARN + "b", "arn:aws:ecr:eu-west-1:1:repository/a", "arn:aws:ecr:*:1:repository/a"]
    assert _policy.regions_of(arns) == ["eu-west-1", "us-east-1"]
