# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.runpod_roles import EVER_PUBLISHED, IN_FORCE, PUBLISHED
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ConflictError, InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import repository_policy as _grant

SID = "AllowRunpodPull"
EAST, WEST = IN_FORCE
OLD = "arn:aws:iam::418399314813:role/prod-us-east-1-deployment-role"
MINE = "arn:aws:iam::210987654321:role/team/pull"
REPOSITORY = "arn:aws:ecr:us-east-1:123456789012:repository/app"
OURS = _grant.statement(SID, IN_FORCE)
PUSH = {
    "Sid": "Push",
    "Effect": "Allow",
    "Principal": {"AWS": ["arn:aws:iam::123456789012:role/build", "123456789012"]},
    "Action": ["ecr:PutImage", "ecr:InitiateLayerUpload"],
}
NAMELESS = {"Effect": "Deny", "Principal": "*", "Action": "ecr:DeleteRepository"}


def policy(*statements: Json, **fields: Any) -> Json:
    return {"Version": "2012-10-17", **fields, "Statement": list(statements)}


def narrowed_to(*arns: str) -> Json:
    return {"Condition": {"StringEquals": {"aws:PrincipalArn": list(arns)}}}


def test_the_statement_is_the_one_that_runpod_asks_for() -> None:
    assert len(json.dumps(policy(OURS), separators=(",", ":"))) == 399
    assert OURS == {
        "Sid": "AllowRunpodPull",
        "Effect": "Allow",
        "Principal": "*",
        "Action": [
            "ecr:GetAuthorizationToken",
            "ecr:BatchCheckLayerAvailability",
            "ecr:GetDownloadUrlForLayer",
            "ecr:BatchGetImage",
        ],
        "Condition": {
            "StringEquals": {
                "aws:PrincipalArn": [
                    "arn:aws:iam::550005742258:role/prod-us-east-1-deployment-role",
                    "arn:aws:iam::550005742258:role/prod-us-west-2-deployment-role",
                ]
            }
        },
    }


@pytest.mark.parametrize(
    ("sid", "arns", "why"),
    [
        (SID, [], "every identity"),
        (SID, ["*"], "wildcard"),
        (SID, [EAST, "arn:aws:iam::550005742258:role/*"], "wildcard"),
        (SID, ["arn:aws:iam::550005742258:role/prod-us-????-1"], "wildcard"),
        (SID, ["arn:aws:iam::55000574225*:role/x"], "wildcard"),
        (SID, ["550005742258"], "not the ARN of a role or user"),
        (SID, ["arn:aws:iam::550005742258:root"], "not the ARN of a role or user"),
        (SID, ["arn:aws:sts::550005742258:assumed-role/x/session"], "not the ARN of a role or user"),
        (SID, ["arn:aws-cn:iam::550005742258:role/x"], "not the ARN of a role or user"),
        (SID, [""], "not the ARN of a role or user"),
        ("", [EAST], "statement_id is empty"),
    ],
)
def test_a_statement_that_is_not_narrow_is_refused(sid: str, arns: list[str], why: str) -> None:
    with pytest.raises(InputError, match=why):
        _grant.statement(sid, arns)


def test_an_arn_given_twice_is_written_once() -> None:
    assert _grant.statement(SID, [MINE, MINE]) == _grant.statement(SID, [MINE])


@pytest.mark.parametrize(
    ("change", "equal"),
    [
        ({}, True),
        ({"Action": list(reversed(OURS["Action"]))}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": ["*"]}}, True),
        (narrowed_to(WEST, EAST), True),
        ({"Resource": "*"}, True),
        ({"Resource": ["*"]}, True),
        ({"Resource": REPOSITORY}, False),
        ({"Action": OURS["Action"][1:]}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {}}, False),
        (narrowed_to(EAST), False),
        (narrowed_to(EAST, OLD), False),
        ({"Condition": {"StringLike": OURS["Condition"]["StringEquals"]}}, False),
        ({"Condition": {**OURS["Condition"], "Bool": {"aws:SecureTransport": "true"}}}, False),
        ({"Principal": {"AWS": [EAST, WEST]}}, False),
    ],
)
def test_statements_are_compared_by_what_they_mean(change: Json, equal: bool) -> None:
    assert _grant.same({**OURS, **change}, OURS) is equal
    found = policy({**OURS, **change})
    assert (_grant.planned(found, SID, OURS) is found) is equal


def test_a_single_value_is_the_same_as_a_list_of_it() -> None:
    wanted = _grant.statement(SID, [MINE])
    assert _grant.same({**wanted, "Condition": {"StringEquals": {"aws:PrincipalArn": MINE}}}, wanted)


OUTDATED = {**OURS, **narrowed_to(OLD)}


@pytest.mark.parametrize(
    ("found", "merged"),
    [
        (None, policy(OURS)),
        (policy(), policy(OURS)),
        (policy(PUSH), policy(PUSH, OURS)),
        (policy(OUTDATED), policy(OURS)),
        (policy(PUSH, OUTDATED, NAMELESS), policy(PUSH, OURS, NAMELESS)),
        (policy(OUTDATED, PUSH, OURS), policy(OURS, PUSH)),
        (policy(PUSH, Id="mine"), policy(PUSH, OURS, Id="mine")),
        ({"Version": "2008-10-17", "Statement": PUSH}, {"Version": "2008-10-17", "Statement": [PUSH, OURS]}),
        ({"Statement": [PUSH]}, {"Statement": [PUSH, OURS]}),
        (policy({**PUSH, "Sid": SID.lower()}), policy({**PUSH, "Sid": SID.lower()}, OURS)),
    ],
)
def test_the_statement_is_merged_in_and_all_else_stays(found: Json | None, merged: Json) -> None:
    untouched = copy.deepcopy(found)
    assert _grant.merge(found, OURS) == merged
    assert _grant.planned(found, SID, OURS) == merged
    assert found == untouched
    assert policy() == _grant.EMPTY


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (None, None),
        (policy(PUSH), policy(PUSH)),
        (policy(), policy()),
        (policy(OURS), None),
        ({"Version": "2012-10-17", "Statement": OURS}, None),
        (policy(OURS, OUTDATED), None),
        (policy(PUSH, OURS, NAMELESS, Id="mine"), policy(PUSH, NAMELESS, Id="mine")),
    ],
)
def test_the_statement_is_taken_out_and_all_else_stays(found: Json | None, left: Json | None) -> None:
    untouched = copy.deepcopy(found)
    assert _grant.planned(found, SID, None) == left
    assert found == untouched


def test_what_has_no_statement_of_ours_is_not_rewritten() -> None:
    for found in (None, policy(PUSH), policy()):
        assert _grant.planned(found, SID, None) is found


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (policy(PUSH, NAMELESS), []),
        (policy(NAMELESS, {**PUSH, "Action": list(reversed(PUSH["Action"]))}), []),
        (policy(NAMELESS), [PUSH]),
        (policy({**PUSH, "Action": "ecr:PutImage"}, NAMELESS), []),  # another version of it
        (policy(PUSH), [NAMELESS]),
        (policy(PUSH, {**NAMELESS, "Action": "ecr:PutImage"}), [NAMELESS]),
        (None, [PUSH, NAMELESS]),
    ],
)
def test_statements_that_went_lost_can_be_put_back(found: Json | None, missing: list[Json]) -> None:
    assert _grant.lost(found, [PUSH, NAMELESS]) == missing
    back = _grant.restored(found, missing)
    assert _grant.lost(back, [PUSH, NAMELESS]) == []
    assert _grant.statements(back) == [*_grant.statements(found), *missing]


@pytest.mark.parametrize(
    ("given", "whom"),
    [
        (OURS, {EAST, WEST}),
        ({"Principal": "*"}, {"*"}),
        ({"Principal": {"AWS": "*"}, "Condition": {"StringEquals": {"aws:principalarn": EAST}}}, {EAST}),
        ({"Principal": {"AWS": ["*", MINE]}, **narrowed_to(EAST)}, {EAST, MINE}),
        ({"Principal": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": [EAST]}}}, {EAST}),
        ({"Principal": "*", "Condition": {"StringNotEquals": {"aws:PrincipalArn": [EAST]}}}, {"*"}),
        ({"Principal": "*", "Condition": {"StringEqualsIfExists": {"aws:PrincipalArn": [EAST]}}}, {"*"}),
        ({"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalAccount": "210987654321"}}}, {"*"}),
        ({"Principal": {"AWS": [EAST], "Service": "codebuild.amazonaws.com"}}, {EAST, "codebuild.amazonaws.com"}),
        ({"Principal": {"AWS": MINE}, **narrowed_to(EAST)}, {MINE}),
        ({"NotPrincipal": {"AWS": MINE}}, set()),
    ],
)
def test_principals_of_a_statement(given: Json, whom: set[str]) -> None:
    assert _grant.principals(given) == whom


@pytest.mark.parametrize(
    "given",
    [
        OURS,
        OUTDATED,
        {**OURS, **narrowed_to(EAST)},
        {**OURS, **narrowed_to(MINE, OLD)},
        {**OURS, "Principal": {"AWS": [EAST]}},
        {**OURS, "Principal": {"AWS": ["AROAEXAMPLEEXAMPLE123"]}},
    ],
)
def test_statements_for_known_roles_are_ours(given: Json) -> None:
    _grant.check_own(REPOSITORY, [given], [MINE])


@pytest.mark.parametrize(
    ("given", "who"),
    [
        ({**OURS, **narrowed_to(EAST, "arn:aws:iam::999999999999:role/other")}, "999999999999:role/other"),
        ({**OURS, "Condition": {}}, r"\*"),
        ({**OURS, "Principal": {"AWS": "550005742258"}}, "550005742258"),
        ({**OURS, "Principal": {"AWS": "arn:aws:iam::550005742258:root"}}, "root"),
        ({**OURS, "Principal": {"Service": "codebuild.amazonaws.com"}}, "codebuild"),
        ({**OURS, "Condition": {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::550005742258:role/*"}}}, "role/"),
        ({**OURS, "Effect": "Deny"}, "not one that allows"),
        ({"Sid": SID, "Effect": "Allow", "NotPrincipal": {"AWS": EAST}, "Action": "ecr:*"}, "not one that allows"),
        ({"Sid": SID, "Effect": "Allow", "Principal": "*", "NotAction": "x:y", **narrowed_to(EAST)}, "not one that"),
    ],
)
def test_a_statement_of_somebody_else_under_our_sid_is_a_conflict(given: Json, who: str) -> None:
    with pytest.raises(ConflictError, match=who) as caught:
        _grant.check_own(REPOSITORY, [OURS, given], [MINE])
    assert REPOSITORY in str(caught.value)


@pytest.mark.parametrize(
    ("found", "missing", "outdated"),
    [
        ([], [], []),
        ([OURS], [], []),
        ([OUTDATED], [EAST, WEST], [OLD]),
        ([{**OURS, **narrowed_to(EAST)}], [WEST], []),
        ([{**OURS, **narrowed_to(EAST)}, {**OURS, **narrowed_to(OLD, WEST)}], [], [OLD]),
    ],
)
def test_drift_names_the_roles_that_differ(found: list[Json], missing: list[str], outdated: list[str]) -> None:
    assert _grant.drift(found, OURS) == {"missing": missing, "outdated": outdated}
    assert _grant.drift(found, None) == {"missing": [], "outdated": []}


def test_the_roles_in_force_are_the_latest_that_were_published() -> None:
    assert max(PUBLISHED) == list(PUBLISHED)[-1]
    assert {EAST, WEST, OLD} == EVER_PUBLISHED


def test_a_policy_may_be_as_long_as_ecr_allows_and_no_longer() -> None:
    def of_size(characters: int) -> Json:
        return policy(OURS, Id="x" * (characters - _grant.size(policy(OURS, Id=""))))

    _grant.check_size(REPOSITORY, of_size(10240))
    with pytest.raises(InputError, match=r"10241 characters in 1 statements, but ECR allows 10240"):
        _grant.check_size(REPOSITORY, of_size(10241))
    assert _grant.size(None) == 0
