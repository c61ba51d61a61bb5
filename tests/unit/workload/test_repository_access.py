# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a whole policy means for a role of another account."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.repository_access import access, open_to_all

Json = dict[str, Any]

ROLE = "arn:aws:iam::550005742258:role/prod-us-east-1-deployment-role"
OURS: Json = {"Sid": "Ours", "Effect": "Allow", "Principal": "*", "Action": "ecr:*"}


def policy(*statements: Json) -> Json:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def on(operator: str, key: str, *values: str) -> Json:
    return {"Condition": {operator: {key: list(values)}}}


def deny(**more: Any) -> Json:
    return {"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": "ecr:BatchGetImage", **more}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([], False),
        ([OURS], True),
        ([{**OURS, "Action": "ecr:BatchGetImage"}], False),
        ([{**OURS, "Principal": {"AWS": ROLE}}], True),
        ([{**OURS, "Principal": {"AWS": ["550005742258"]}}], True),
        ([{**OURS, "Principal": {"Service": "ecs.amazonaws.com"}}], False),
        ([{**OURS, **on("StringEquals", "aws:PrincipalArn", ROLE)}], True),
        ([{**OURS, **on("StringEquals", "aws:PrincipalOrgID", "o-1")}], None),
        ([OURS, deny()], False),
        ([OURS, deny(Action="ecr:PutImage")], True),
        ([OURS, {"Effect": "Deny", "Principal": "*", "NotAction": "ecr:PutImage"}], False),
        ([OURS, {"Effect": "Deny", "NotPrincipal": {"AWS": ROLE}, "Action": "*"}], True),
        ([OURS, deny(**on("StringNotEquals", "aws:PrincipalAccount", "123456789012"))], False),
        ([OURS, deny(**on("StringEqualsIgnoreCase", "aws:PrincipalArn", ROLE.upper()))], False),
        ([OURS, deny(**on("StringNotEqualsIgnoreCase", "aws:PrincipalArn", ROLE.upper()))], True),
        ([OURS, deny(**on("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::550005742258:role/*"))], True),
        ([OURS, deny(**on("Bool", "aws:SecureTransport", "false"))], True),
        ([OURS, deny(**on("Null", "aws:PrincipalArn", "true"))], True),
        ([OURS, deny(**on("ForAnyValue:StringLikeIfExists", "aws:PrincipalArn", "*"))], False),
        ([OURS, deny(**on("DateLessThan", "aws:PrincipalArn", "2020"))], None),
        ([OURS, deny(**on("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"))], None),
    ],
)
def test_a_deny_counts_wherever_it_stands(statements: list[Json], allowed: bool | None) -> None:
    assert access(policy(*statements) if statements else None, ROLE).allowed is allowed


def test_what_denies_is_named_once() -> None:
    nameless = {key: value for key, value in deny(Action="ecr:*").items() if key != "Sid"}
    assert access(policy(OURS, deny(Action="*"), nameless), ROLE).denied_by == ("No", "number 3")


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (OURS, ["Ours"]),
        ({**OURS, "Principal": {"AWS": "*"}}, ["Ours"]),
        ({**OURS, "Action": "ecr:PutImage"}, []),
        ({**OURS, "Principal": {"AWS": ROLE}}, []),
        ({**OURS, **on("StringEquals", "aws:PrincipalArn", ROLE)}, []),
        (deny(), []),
    ],
)
def test_who_lets_everybody_in_is_named(statement: Json, found: list[str]) -> None:
    assert open_to_all(policy(statement)) == found
