# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials whose tokens are minted as a role that is assumed, or as the caller's narrowed session."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError, InputError
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import client
from ansible_collections.gpuops.runpod.tests.unit.plugins.modules.test_runpod_ecr_credential import (
    AS_CALLER,
    PRESENT,
    STORE,
    World,
)

ROLE = "arn:aws:iam::123456789012:role/runpod/puller"
APP = "arn:aws:ecr:us-east-1:123456789012:repository/app"
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
AS_ROLE: dict[str, Any] = {
    **AS_CALLER,
    "name": None,
    "user": "puller-role",
    "role_arn": ROLE,
    "external_id": None,
    "repositories": ["app"],
}
NAME = "puller-role-123456789012-us-east-1"


class Sts:
    """Lends the role, but for what `refusals` say first."""

    def __init__(self) -> None:
        self.meta = client("sts").meta
        self.refusals: list[str] = []
        self.requests: list[dict[str, Any]] = []

    def get_caller_identity(self, **dummy: Any) -> dict[str, str]:
        return {"Arn": "arn:aws:iam::123456789012:user/operator", "Account": "123456789012", "UserId": "x"}

    def assume_role(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if self.refusals:
            raise ClientError({"Error": {"Code": self.refusals.pop(0), "Message": "no"}}, "AssumeRole")
        keys = {"AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": "secret", "SessionToken": "session"}
        return {"Credentials": {**keys, "Expiration": client("sts").get_session_token()["Credentials"]["Expiration"]}}

    def opened(self) -> list[str]:
        """Return what the last session was narrowed to."""
        statements = json.loads(self.requests[-1]["Policy"])["Statement"]
        return [name for statement in statements[1:] for name in statement["Resource"]]


@pytest.fixture
def sts() -> Sts:
    return Sts()


@pytest.fixture
def world(connect: Callable[..., Any], sts: Sts) -> Iterator[World]:
    def route(service: str, **options: Any) -> Any:
        return sts if service == "sts" else connect(service, **options)

    yield World(route, STORE)


def test_the_token_is_the_role_s_and_of_its_repositories_alone(world: World, sts: Sts) -> None:
    done = world.run(AS_ROLE)
    assert done.changed and done.warnings == () and done.after["name"] == NAME
    assert sts.opened() == [APP] and sts.requests[0]["RoleArn"] == ROLE
    identity = world.ecr.identities[-1]
    assert (identity["aws_access_key_id"], identity["aws_session_token"]) == ("ASIAIOSFODNN7EXAMPLE", "session")
    assert world.password() == world.ecr.minted[-1]


def test_each_run_renews_it_and_check_mode_tells_so_without_a_write(world: World) -> None:
    world.run(AS_ROLE)
    for check_mode in (True, False):
        world.runpod.calls.clear()
        found = world.run(AS_ROLE, check_mode)
        assert found.changed and found.results["refreshed"]
        assert world.runpod.writes() == ([] if check_mode else ["PATCH /registries/reg_1"])


def test_what_is_pulled_with_the_credential_already_stays_open(world: World, sts: Sts) -> None:
    world.run(AS_ROLE)
    uses = {"id": "tpl_1", "name": "theirs", "image": f"{HOST}/team/api:v1", "registry": "reg_1"}
    others = {"id": "tpl_2", "name": "others", "image": f"{HOST}/others:v1", "registry": "reg_9"}
    world.runpod.users["templates"] = [uses, others, {"id": "tpl_3", "name": "none", "image": "x", "registry": "reg_1"}]
    world.run(AS_ROLE)
    assert sts.opened() == [APP, APP.replace("/app", "/team/api")]


def test_a_role_that_is_young_gets_its_time(world: World, sts: Sts) -> None:
    sts.refusals = ["AccessDenied", "AccessDenied"]
    assert world.run(AS_ROLE).changed and world.naps == [1.0, 2.0]
    sts.refusals = ["AccessDenied"]
    with pytest.raises(CollectionError, match="sts:AssumeRole: AccessDenied"):
        world.run({**AS_ROLE, "propagation_timeout": 0})


def test_check_mode_waits_for_no_role_that_is_still_to_come(world: World, sts: Sts) -> None:
    sts.refusals = ["AccessDenied"] * 2
    assert world.run(AS_ROLE, True).warnings == ()
    found = world.run({**AS_ROLE, "verify_images": [f"{HOST}/app:v1"]}, True)
    assert "Whether the images can be pulled cannot be told yet: sts:AssumeRole" in found.warnings[0]
    assert world.naps == []


def test_a_session_that_opens_more_is_a_warning_in_check_mode_too(world: World) -> None:
    many = {**AS_ROLE, "repositories": [f"{number:060}" for number in range(40)]}
    foreseen, done = world.run(many, True), world.run(many)
    assert foreseen.warnings == done.warnings and "too many for a session policy" in done.warnings[0]


def test_a_caller_without_a_session_is_warned_of_once(world: World) -> None:
    found = world.run({**AS_ROLE, "role_arn": None})
    assert len(found.warnings) == 1 and "RunPod can pull whatever arn:aws:iam::123456789012:user/operator can" in str(
        found.warnings
    )


def test_the_account_of_a_name_is_the_role_s(world: World) -> None:
    role = ROLE.replace("123456789012", "210987654321")
    done = world.run({**AS_ROLE, "role_arn": role, "repositories": None})
    assert done.after["name"] == "puller-role-210987654321-us-east-1"


def test_what_does_not_go_together_is_refused(world: World) -> None:
    for options in ({"role_arn": ROLE}, {"repositories": ["app"]}, {"external_id": "team"}):
        with pytest.raises(InputError, match="minted without secret_store"):
            world.run({**PRESENT, **options})
    with pytest.raises(InputError, match="is no ARN of an IAM role"):
        world.run({**AS_ROLE, "role_arn": "puller"})
    with pytest.raises(InputError, match="set role_arn too"):
        world.run({**AS_ROLE, "role_arn": None, "external_id": "team", "repositories": None})
    with pytest.raises(InputError, match="App"):
        world.run({**AS_ROLE, "repositories": ["App"]})


def test_a_failed_refresh_says_what_is_known(world: World, sts: Sts) -> None:
    world.run(AS_ROLE)
    sts.refusals = ["ExpiredToken"]
    with pytest.raises(CollectionError, match="Until when the token that RunPod holds works is not known"):
        world.run(AS_ROLE)


def test_the_check_of_a_refresh_fails_where_the_refresh_does(world: World, sts: Sts) -> None:
    told = []
    for check_mode in (True, False):
        sts.refusals = ["AccessDenied"]
        with pytest.raises(CollectionError, match="sts:AssumeRole: AccessDenied") as caught:
            world.run({**AS_ROLE, "key_required": True, "propagation_timeout": 0}, check_mode)
        told.append(str(caught.value))
    assert told[0] == told[1]
    sts.refusals = []
    assert world.run({**AS_ROLE, "key_required": True}, True).changed and world.runpod.writes() == []
