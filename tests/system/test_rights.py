# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies of docs/policies let through what they are for, where AWS judges actions, resources and conditions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.sandbox.aws_calls import ACCOUNT
from tests.unit.rights.judge import Who, allowed
from tools.rights import documents

from .conftest import ENDPOINT, USER, House
from .worker import STORES

BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/runpod-pull-boundary"
PUBLIC = {"access": "public", "acknowledge_public": True}


def policy(names: str) -> Who:
    """Return who has these policies, with the placeholders filled in."""
    held = [documents()[name] for name in names.split()]
    whole = {**held[0], "Statement": [one for each in held for one in each["Statement"]]}
    filled = json.dumps(whole).replace("ACCOUNT", ACCOUNT).replace("repository/team/", "repository/")
    return Who(f"arn:aws:iam::{ACCOUNT}:user/operator", json.loads(filled))


@contextmanager
def limited(house: House, name: str) -> Iterator[list[str]]:
    """Let operators do what this policy allows, and tell what else was tried."""
    who, denied = policy(name), []

    def may(action: str, resource: str, keys: Mapping[str, str]) -> bool:
        request = (action, resource, tuple(keys.items()))
        if allowed(who, [request]):
            return True
        denied.append(f"{action} {resource} {dict(keys)}")
        return False

    house.sandbox.aws.limit_operators(may)
    yield denied
    house.sandbox.aws.limit_operators(lambda *dummy: True)


def make_boundary(house: House) -> None:
    document = json.dumps(policy("pull-boundary").policy)
    house.client("iam").create_policy(PolicyName="runpod-pull-boundary", PolicyDocument=document)


def through_its_life(
    house: House, options: Mapping[str, object], who: Mapping[str, str], may_lack: Collection[str] = ()
) -> None:
    """Check on an empty account, converge, and so on to a second teardown, each entry point as who runs it."""
    absent = {"state": "absent"}
    steps: list[tuple[str, dict[str, object], bool]] = [
        ("main", {}, True),
        ("main", {}, False),
        ("refresh", {}, False),
        ("rotate", {"rotate_after_days": 0}, False),
        ("audit", {}, False),
        ("main", absent, False),
        ("main", absent, False),
    ]
    for entry, more, check in [step for step in steps if step[0] in who]:
        with limited(house, who[entry]) as denied:
            run = house.role(entry, check=check, endpoint=ENDPOINT, **options, **more)
        missed = [one for one in denied if one.split()[0] not in may_lack]
        assert (run.failure, missed) == ("", []), (entry, check)


def test_a_pull_user_lives_within_the_policies(house: House) -> None:
    make_boundary(house)
    bound = {"user_permissions_boundary": BOUNDARY}
    who = {"main": "operator", "refresh": "refresher", "rotate": "operator", "audit": "auditor"}
    through_its_life(house, bound, who)
    assert (house.users(), house.secrets()) == ([], [])


@pytest.mark.parametrize("access", ["delegation", "public"])
def test_the_other_ways_of_access_live_within_their_policies(house: House, access: str) -> None:
    options: dict[str, object] = PUBLIC if access == "public" else {"access": access}
    through_its_life(house, options, {"main": access, "audit": "auditor"})


@pytest.mark.parametrize("store", STORES)
def test_each_store_and_a_quarantine_live_within_the_policies(house: House, store: str) -> None:
    make_boundary(house)
    bound = {"user_permissions_boundary": BOUNDARY, "secret_store": {"type": store}}
    steps: list[tuple[str, dict[str, object]]] = [
        ("main", {}),
        ("refresh", {"min_validity_hours": 11.99}),
        ("rotate", {"rotate_after_days": 0}),
        ("main", {"state": "quarantined"}),
        ("main", {"release_quarantine": True}),
        ("main", {"state": "absent"}),
        ("main", {"state": "absent"}),
    ]
    for entry, more in steps:
        with limited(house, "refresher" if entry == "refresh" else "operator") as denied:
            played = house.role(entry, **{**bound, **more})
        assert (played.failure, denied) == ("", []), more
    assert (house.users(), house.secrets()) == ([], [])


def test_a_caller_who_pulls_needs_no_more_than_to_pull(house: House) -> None:
    """What a user before it has left is looked for, and done without."""
    who = dict.fromkeys(["main", "refresh", "audit"], "pull-boundary")
    left = {"iam:GetUser", "iam:GetRole", "secretsmanager:DescribeSecret"}
    through_its_life(house, {"pull_identity": "caller"}, who, {"ecr:GetLifecyclePolicy", "ecr:DescribeImages", *left})


def test_a_move_that_retires_the_former_identity_lives_within_the_policies(house: House) -> None:
    make_boundary(house)
    trust = [{"principal_arns": [f"arn:aws:iam::{ACCOUNT}:user/operator"]}]
    options = {"user_permissions_boundary": BOUNDARY, "adopt": True, "retire_former_identity": True}
    for identity in ("user", "role", "user"):
        with limited(house, "operator operator-role") as denied:
            played = house.role(pull_identity=identity, role_trust=trust, **options)
        assert (played.failure, denied) == ("", []), identity
        with limited(house, "auditor") as denied:
            assert house.role("audit", pull_identity=identity).failure == ""
        assert [one for one in denied if not one.startswith("sts:AssumeRole")] == [], identity
    assert house.users() == [USER] and house.client("iam").list_roles()["Roles"] == []


def test_without_the_boundary_no_pull_user_is_made(house: House) -> None:
    make_boundary(house)
    with limited(house, "operator"):
        run = house.main_job()
    assert run.code != 0 and "iam:CreateUser" in run.output
    assert house.users() == [] and USER in run.output
