# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shlex

import pytest

from tests.sandbox.aws_cli import UsageError, parse

X = {"UserName": "x"}
TAG = {"Key": "k", "Value": "v"}
TAKEN = [
    (
        "iam delete-user-policy --user-name x --policy-name=-y",
        "DeleteUserPolicy",
        {**X, "PolicyName": "-y"},
    ),
    ("iam tag-user --user-name x --tags Key=k,Value=v", "TagUser", {**X, "Tags": [TAG]}),
    (
        """iam tag-user --user-name x --tags '[{"Key": "k", "Value": "v"}]'""",
        "TagUser",
        {"UserName": "x", "Tags": [TAG]},
    ),
    ("ec2 describe-regions --all-regions --region r", "DescribeRegions", {"AllRegions": True}),
    ("ec2 describe-regions --no-all-regions --region r", "DescribeRegions", {"AllRegions": False}),
    (
        "ssm put-parameter --region r --name n --value=-v --overwrite",
        "PutParameter",
        {"Name": "n", "Value": "-v", "Overwrite": True},
    ),
    ("iam list-users --max-items 7", "ListUsers", {"MaxItems": 7}),
    (
        "iam untag-user --user-name x --tag-keys a b",
        "UntagUser",
        {**X, "TagKeys": ["a", "b"]},
    ),
]
REFUSED = [
    "iam",
    "nowhere list-users",
    "iam list-everything",
    "iam list-users --nothing x",
    "iam delete-user-policy --user-name x --policy-name -y",
    "iam delete-user-policy --user-name x",
    "iam delete-user-policy --user-name x y --policy-name z",
    "iam delete-user-policy --user-name file:///x --policy-name z",
    "iam tag-user --user-name x --tags Key=k,Value=a,b",
    "iam tag-user --user-name x --tags Key=k,Value='a b'",
    "iam tag-user --user-name x --tags Key=k,Other=v",
    "iam tag-user --user-name x --tags",
    "iam list-users stray",
    "ec2 describe-regions --all-regions yes --region r",
    "ec2 describe-regions",
]


@pytest.mark.parametrize(("line", "operation", "parameters"), TAKEN)
def test_arguments_are_taken_as_the_cli_takes_them(line: str, operation: str, parameters: dict[str, object]) -> None:
    found = parse(shlex.split(line))
    assert (found.operation, found.parameters) == (operation, parameters)


@pytest.mark.parametrize("line", REFUSED)
def test_arguments_that_the_cli_does_not_take_are_refused(line: str) -> None:
    with pytest.raises(UsageError):
        parse(shlex.split(line))
