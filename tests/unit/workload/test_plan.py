# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan says is what the run does: from every start, for every wish, and nothing is left to do afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from urllib.request import Request, urlopen

import pytest

from ansible_collections.gpuops.runpod.tests.unit.plugins import rights
from tests.system.conftest import ENDPOINT, IMAGE, REGISTRY, SEOUL, USER, House
from tests.system.role import Role
from tests.system.worker import Json

LISTED = rights.listed("runpod_ecr_plan") | rights.listed("runpod_ecr_refresh") | rights.FOR_EVERYBODY
TRUST = [{"principal_arns": ["arn:aws:iam::123456789012:user/operator"]}]
AS_ROLE = {"runpod_ecr_pull_identity": "role", "runpod_ecr_role_trust": TRUST, "runpod_ecr_adopt": True}
OTHER_IMAGE = f"{REGISTRY}/runpod-gpu-inference:v1"
MODULES = {  # kind of a step -> the module that takes it
    "user": "ecr_pull_user",
    "role": "ecr_pull_role",
    "grant": "ecr_pull_grant",
    "delegation": "runpod_ecr_delegation",
    "public_repository": "ecr_public_repo",
    "mirror": "ecr_image_mirror",
    "credential": "runpod_ecr_credential",
    "template": "runpod_templates",
    "endpoint": "runpod_endpoint",
    "former_credential": "runpod_ecr_credential",
    "former_user": "ecr_pull_user",
    "former_role": "ecr_pull_role",
}

# Where a run starts


def empty(dummy: House) -> None: ...


def converged(house: House) -> None:
    house.arrange(endpoint=ENDPOINT)


def another_image(house: House) -> None:
    house.arrange(OTHER_IMAGE)


def two_regions(house: House) -> None:
    house.arrange(IMAGE, SEOUL, endpoint=ENDPOINT)


def quarantined(house: House) -> None:
    house.arrange(endpoint=ENDPOINT)
    house.arrange(access="quarantined")


def delegated(house: House) -> None:
    house.arrange(access="delegation")


def public(house: House) -> None:
    house.arrange(access="public")


def lent(house: House) -> None:
    house.arrange(access="caller")


def policy_gone(house: House) -> None:
    converged(house)
    house.client("iam").delete_user_policy(UserName=USER, PolicyName="gpuops-runpod-pull")


def policy_wider(house: House) -> None:
    house.arrange(IMAGE, OTHER_IMAGE)


def user_tagged(house: House) -> None:
    converged(house)
    house.client("iam").tag_user(UserName=USER, Tags=[{"Key": "team", "Value": "research"}])


def key_gone(house: House) -> None:
    converged(house)
    [key] = house.keys()
    house.client("iam").delete_access_key(UserName=USER, AccessKeyId=key)


def two_keys(house: House) -> None:
    converged(house)
    house.call("ecr_pull_user", rotated())


def entry_gone(house: House) -> None:
    converged(house)
    house.client("secretsmanager").delete_secret(SecretId=f"runpod-ecr/{USER}", ForceDeleteWithoutRecovery=True)


def token_near_its_end(house: House) -> None:
    converged(house)
    [registry] = house.runpod()["registries"]
    [key] = house.keys()
    tag = {"Key": f"gpuops.runpod/{registry['id']}", "Value": f"2020-01-01T00:00:00Z {key}"}
    house.client("secretsmanager").tag_resource(SecretId=f"runpod-ecr/{USER}", Tags=[tag])


def token_of_another_key(house: House) -> None:
    converged(house)
    [registry] = house.runpod()["registries"]
    tag = {"Key": f"gpuops.runpod/{registry['id']}", "Value": "2099-01-01T00:00:00Z AKIAIOSFODNN7EXAMPLE"}
    house.client("secretsmanager").tag_resource(SecretId=f"runpod-ecr/{USER}", Tags=[tag])


def credential_gone(house: House) -> None:
    converged(house)
    [registry] = house.runpod()["registries"]
    address = f"{house.sandbox.environment['RUNPOD_API_BASE_URL']}/v2/registries/{registry['id']}"
    key = house.sandbox.environment["RUNPOD_API_KEY"]
    urlopen(Request(address, method="DELETE", headers={"Authorization": f"Bearer {key}"})).close()


def template_changed(house: House) -> None:
    converged(house)
    house.call("runpod_template", {"name": "runpod-gpu-training", "disk": 77, "env": {"MODE": "hand"}})


def template_gone(house: House) -> None:
    house.arrange()
    house.call("runpod_template", {"name": "runpod-gpu-training", "state": "absent"})


def endpoint_changed(house: House) -> None:
    converged(house)
    house.call("runpod_endpoint", {"name": "runpod-gpu-training", "workers": {"max": 7}})


def pod_uses_the_token(house: House) -> None:
    converged(house)
    [registry] = house.runpod()["registries"]
    house.sandbox.runpod.seed("pods", {"name": "trainer", "image": IMAGE, "registry": registry["id"]})


def foreign_user(house: House) -> None:
    house.client("iam").create_user(UserName=USER, Path="/runpod/")


def as_role(house: House) -> None:
    assert house.role(pull_identity="role", role_trust=TRUST, endpoint=ENDPOINT).failure == ""


def role_policy_gone(house: House) -> None:
    as_role(house)
    house.client("iam").delete_role_policy(RoleName=USER, PolicyName="gpuops-runpod-pull")


def trust_widened(house: House) -> None:
    as_role(house)
    document = house.client("iam").get_role(RoleName=USER)["Role"]["AssumeRolePolicyDocument"]
    document["Statement"][0]["Principal"]["AWS"] = "arn:aws:iam::123456789012:root"
    house.client("iam").update_assume_role_policy(RoleName=USER, PolicyDocument=json.dumps(document))


def foreign_role(house: House) -> None:
    document = {"Version": "2012-10-17", "Statement": []}
    house.client("iam").create_role(RoleName=USER, Path="/runpod/", AssumeRolePolicyDocument=json.dumps(document))


def moved_to_role(house: House) -> None:
    converged(house)
    assert house.role(pull_identity="role", role_trust=TRUST, adopt=True, endpoint=ENDPOINT).failure == ""


def moved_to_user(house: House) -> None:
    as_role(house)
    assert house.role(adopt=True, endpoint=ENDPOINT).failure == ""


def moved_to_caller(house: House) -> None:
    """Its tokens take the place of the user's, in the same credential."""
    converged(house)
    assert house.role(pull_identity="caller", endpoint=ENDPOINT).failure == ""


def half_retired(house: House) -> None:
    """A run that retired the user ended after its credential."""
    moved_to_role(house)
    former = {"user": USER, "registry_region": "us-east-1", "secret_store": {"name": f"runpod-ecr/{USER}"}}
    house.call("runpod_ecr_credential", {**former, "state": "absent"})


def former_pod(house: House) -> None:
    moved_to_role(house)
    [registry] = [one for one in house.runpod()["registries"] if "-role-" not in one["name"]]
    house.sandbox.runpod.seed("pods", {"name": "trainer", "image": IMAGE, "registry": registry["id"]})


def former_user_attached(house: House) -> None:
    moved_to_role(house)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
    house.client("iam").put_user_policy(UserName=USER, PolicyName="theirs", PolicyDocument=json.dumps(document))


def former_credential_elsewhere(house: House) -> None:
    """A token of the user for another region, which no run of these workloads keeps."""
    moved_to_role(house)
    house.arrange(SEOUL)


def rotated() -> Json:
    return {"name": USER, "rotate_after_days": 0, "secret_store": {"name": f"runpod-ecr/{USER}"}}


STARTS: list[Callable[[House], None]] = [
    *(empty, converged, another_image, two_regions, quarantined, delegated, public, lent, policy_gone, policy_wider),
    *(user_tagged, key_gone, two_keys, entry_gone, token_near_its_end, token_of_another_key, credential_gone),
    *(template_changed, template_gone, endpoint_changed, pod_uses_the_token, foreign_user),
    *(as_role, role_policy_gone, trust_widened, foreign_role),
    *(moved_to_role, moved_to_user, moved_to_caller, half_retired, former_pod, former_user_attached),
    former_credential_elsewhere,
]

# What is wished for

WISHES: dict[str, Json] = {
    "converge": {"runpod_ecr_image": IMAGE, "runpod_ecr_endpoint": ENDPOINT},
    "another image": {"runpod_ecr_image": OTHER_IMAGE},
    "two regions": {"runpod_ecr_workloads": [{"image": IMAGE}, {"image": SEOUL, "endpoint": ENDPOINT}]},
    "only these": {
        "runpod_ecr_image": IMAGE,
        "runpod_ecr_purge_repositories": True,
        "runpod_ecr_user_tags": {"team": "mlops"},
    },
    "another template": {"runpod_ecr_image": IMAGE, "runpod_ecr_template": {"env": {"MODE": "new"}, "disk": 60}},
    "delegation": {"runpod_ecr_image": IMAGE, "runpod_ecr_access": "delegation"},
    "public": {"runpod_ecr_image": IMAGE, "runpod_ecr_access": "public", "runpod_ecr_acknowledge_public": True},
    "release": {"runpod_ecr_image": IMAGE, "runpod_ecr_release_quarantine": True},
    "quarantine": {"runpod_ecr_state": "quarantined"},
    "absent": {"runpod_ecr_image": IMAGE, "runpod_ecr_endpoint": ENDPOINT, "runpod_ecr_state": "absent"},
    "delegation absent": {
        "runpod_ecr_image": IMAGE,
        "runpod_ecr_access": "delegation",
        "runpod_ecr_state": "absent",
    },
    "public absent": {
        "runpod_ecr_image": IMAGE,
        "runpod_ecr_access": "public",
        "runpod_ecr_public_force": True,
        "runpod_ecr_state": "absent",
    },
    "rotate": {"entry": "rotate", "runpod_ecr_image": IMAGE, "runpod_ecr_rotate_after_days": 0},
    "refresh": {"entry": "refresh", "runpod_ecr_image": IMAGE},
    "role": {"runpod_ecr_image": IMAGE, "runpod_ecr_endpoint": ENDPOINT, **AS_ROLE},
    "role only these": {"runpod_ecr_image": IMAGE, "runpod_ecr_user_tags": {"team": "mlops"}, **AS_ROLE},
    "role absent": {
        "runpod_ecr_image": IMAGE,
        "runpod_ecr_endpoint": ENDPOINT,
        "runpod_ecr_state": "absent",
        **AS_ROLE,
    },
    "role refresh": {"entry": "refresh", "runpod_ecr_image": IMAGE, "runpod_ecr_pull_identity": "role"},
    "retire": {
        "runpod_ecr_image": IMAGE,
        "runpod_ecr_endpoint": ENDPOINT,
        "runpod_ecr_adopt": True,
        "runpod_ecr_retire_former_identity": True,
    },
    "role retire": {
        "runpod_ecr_image": IMAGE,
        "runpod_ecr_endpoint": ENDPOINT,
        "runpod_ecr_retire_former_identity": True,
        **AS_ROLE,
    },
    "caller retire": {
        "runpod_ecr_image": IMAGE,
        "runpod_ecr_endpoint": ENDPOINT,
        "runpod_ecr_adopt": True,
        "runpod_ecr_pull_identity": "caller",
        "runpod_ecr_retire_former_identity": True,
    },
}
RENEWING = {
    "role",
    "role only these",
    "role refresh",
    "role retire",
    "caller retire",
}  # nothing tells when their tokens end
EVERYWHERE = ("converge", "absent")
MEASURED = (converged, policy_wider, half_retired)
RARE = {"half_retired", "former_pod", "former_user_attached", "former_credential_elsewhere"}  # with wishes of their own
MORE = {
    "empty": set(WISHES) - {*EVERYWHERE},
    "converged": set(WISHES) - {*EVERYWHERE},
    "another_image": {"two regions", "only these"},
    "two_regions": {"only these", "rotate", "refresh"},
    "quarantined": {"release", "rotate", "refresh", "quarantine"},
    "delegated": {"delegation", "delegation absent", "public"},
    "public": {"public", "public absent", "delegation"},
    "user_tagged": {"only these"},
    "policy_wider": {"only these"},
    "two_keys": {"rotate", "quarantine"},
    "token_near_its_end": {"refresh", "rotate"},
    "token_of_another_key": {"refresh"},
    "credential_gone": {"refresh", "delegation"},
    "pod_uses_the_token": {"delegation"},
    "as_role": {"role", "role only these", "role absent", "role refresh"},
    "role_policy_gone": {"role", "role absent", "role refresh"},
    "trust_widened": {"role"},
    "foreign_role": {"role", "role absent", "retire"},
    "foreign_user": {"quarantine", "rotate", "role retire"},
    "moved_to_role": {"role", "role retire", "retire", "role absent", "caller retire"},
    "moved_to_user": {"retire", "role retire"},
    "moved_to_caller": {"caller retire", "retire", "role retire"},
    "half_retired": {"role retire", "retire"},
    "former_pod": {"role retire", "retire"},
    "former_user_attached": {"role retire"},
    "former_credential_elsewhere": {"role retire"},
}


def pairs() -> Iterator[Any]:
    """One start is measured with every wish, and a few that end elsewhere: the others meet the same lines."""
    for start in STARTS:
        wished = {*MORE.get(start.__name__, ()), *(() if start.__name__ in RARE else EVERYWHERE)}
        marks = [] if start in MEASURED else [pytest.mark.unmeasured]
        yield from (pytest.param(start, wish, marks=marks) for wish in WISHES if wish in wished)


@pytest.mark.parametrize(
    ("start", "wish"), list(pairs()), ids=lambda one: one if isinstance(one, str) else one.__name__
)
def test_the_plan_is_what_the_run_does(house: House, start: Callable[[House], None], wish: str) -> None:
    start(house)
    role, variables = Role(house.runs), {"entry": "main", **WISHES[wish]}
    with patch.dict(os.environ, house.environment()):
        house.sandbox.forget_calls()
        foreseen = role.play(check=True, **variables)
        assert house.writes() == []
        assert {call["name"] for call in house.sandbox.aws_calls()} <= LISTED

        done = role.play(**variables)
        if foreseen.failure:
            assert done.failure == foreseen.failure
            assert (wish in RENEWING or "Nothing was changed." in done.failure) and house.writes() == []
            return
        assert done.failure == ""
        modules = MODULES | ({"credential": "runpod_ecr_refresh"} if wish.endswith("refresh") else {})
        planned = {modules[kind] for kind in foreseen.plan["needed"] if kind != "proof"}
        assert set(done.changed) == planned
        assert bool(foreseen.changed) == bool(planned)
        assert json.dumps(foreseen.plan["steps"]).count("RUNPOD") == 0

        if wish in RENEWING:
            again = role.play(**variables)
            assert (again.failure, again.plan["needed"], again.changed) == ("", ["credential"], [modules["credential"]])
        elif wish != "rotate":  # which is due again at once, when every key is old enough
            house.sandbox.forget_calls()
            again = role.play(**variables)
            only = "runpod_ecr_refresh" if wish == "refresh" else "runpod_ecr_plan"
            assert (again.failure, again.plan["needed"], again.ran) == ("", [], [only])
            assert house.writes() == []
            assert lasting(done.result) == lasting(again.result)
            assert set(again.result["warnings"]) <= set(done.result["warnings"])


def lasting(result: Json) -> Json:
    """Return what a result tells of how things are: what this run made, or moved away from, is told once."""
    delegations = [{**one, "created": None} for one in result["delegations"]]
    return {**result, "delegations": delegations, "warnings": None}


def test_a_step_of_keys_says_what_becomes_of_them(house: House) -> None:
    def changes(entry: str, **options: object) -> list[str]:
        played = house.role(entry, check=True, **options)
        assert played.failure == ""
        return [line for line in played.plan["changes"] if line.startswith("~ pull user")]

    plain, ahead = house.runs.clock, [timedelta()]
    house.runs.clock = lambda: plain() + ahead[0]
    house.arrange()
    [key] = house.keys()
    made = f"~ pull user {USER} (gets a new key; a later run retires {key})"
    assert changes("rotate", rotate_after_days=0) == [made]
    assert changes("main", state="quarantined") == [f"~ pull user {USER} (loses its rights and its keys)"]
    house.arrange(access="quarantined")
    assert changes("main", release_quarantine=True) == [f"~ pull user {USER} (is released from quarantine)"]
    assert house.role(release_quarantine=True).failure == ""
    assert house.role("rotate", rotate_after_days=0).failure == ""
    ahead[0] = timedelta(days=2)
    assert changes("rotate") == [f"~ pull user {USER} (an older key is retired)"]


def test_a_new_key_is_no_reason_to_warn_of_the_one_before_it(house: House) -> None:
    house.arrange()
    assert house.role("rotate", rotate_after_days=0).result["warnings"] == []
    [warning] = house.role("rotate").result["warnings"]
    assert "is an older key of the pull user that is not retired yet" in warning
