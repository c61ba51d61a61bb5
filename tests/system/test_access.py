# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways of access as operators see them: chosen, changed, foreseen and taken back."""

from __future__ import annotations

import json

from .conftest import ENDPOINT, IMAGE, REGISTRY, USER, House

DELEGATION = ("-e", "runpod_ecr_access=delegation")
CALLER = {"pull_identity": "caller"}
LEFT = "another way of access, is still there"
OTHER_IMAGE = f"{REGISTRY}/runpod-gpu-inference:v1"


def granted(house: House, repository: str = "runpod-gpu-training") -> bool:
    """Return whether the repository has a policy."""
    ecr = house.client("ecr")
    try:
        ecr.get_repository_policy(repositoryName=repository)
    except ecr.exceptions.RepositoryPolicyNotFoundException:
        return False
    return True


def test_delegation_makes_nothing_secret_and_a_second_run_changes_nothing(house: House) -> None:
    first = house.main_job(*DELEGATION)
    assert first.code == 0, first.output
    assert (house.users(), house.secrets(), house.runpod()["registries"]) == ([], [], [])
    [delegation] = house.runpod()["delegations"]
    assert (delegation["awsUser"], delegation["repository"]) == ("123456789012", "runpod-gpu-training")
    assert granted(house)
    assert "[WARNING]: RunPod documents delegation, a beta" in first.output

    house.sandbox.forget_calls()
    second = house.role(access="delegation")
    assert (second.failure, second.changed) == ("", [])
    assert len(house.sandbox.runpod_calls()) <= 4


def test_check_mode_of_a_delegation_on_an_empty_account_writes_nothing(house: House) -> None:
    run = house.role(check=True, access="delegation", endpoint=ENDPOINT)
    assert run.failure == ""
    assert run.plan["needed"] == ["grant", "delegation", "template", "endpoint"]
    assert not granted(house)
    assert house.writes() == []


def test_absent_takes_a_delegation_back_and_leaves_that_of_another_workload(house: House) -> None:
    house.arrange(IMAGE, OTHER_IMAGE, access="delegation")
    assert house.role(access="delegation", state="absent").failure == ""
    assert [held["repository"] for held in house.runpod()["delegations"]] == ["runpod-gpu-inference"]
    assert (granted(house), granted(house, "runpod-gpu-inference")) == (False, True)


def test_the_old_way_stays_and_is_reported(house: House) -> None:
    house.arrange()
    to_delegation = house.role(access="delegation")
    assert to_delegation.failure == ""
    assert [template["registry"] for template in house.runpod()["templates"]] == [None]
    assert house.users() == [USER]
    [registry] = house.runpod()["registries"]
    assert [warning for warning in to_delegation.warnings if f"({registry['id']}), {LEFT}" in warning]
    assert to_delegation.warnings == to_delegation.result["warnings"]


def test_the_caller_may_be_who_pulls(house: House) -> None:
    first = house.role(**CALLER)
    assert first.failure == ""
    assert (house.users(), house.secrets()) == ([], [])
    [registry] = house.runpod()["registries"]
    assert [template["registry"] for template in house.runpod()["templates"]] == [registry["id"]]
    assert [text for text in first.warnings if text.startswith("RunPod can pull whatever arn:aws")]

    assert house.role(**CALLER).failure == ""
    [renewed] = house.runpod()["registries"]
    assert renewed["id"] == registry["id"] and renewed["password"] != registry["password"]

    assert house.role(**CALLER, state="absent").failure == ""
    assert (house.runpod()["registries"], house.runpod()["templates"]) == ([], [])


def test_a_role_of_which_no_key_exists_may_be_who_pulls(house: House) -> None:
    trust = [{"principal_arns": ["arn:aws:iam::123456789012:user/operator"]}]
    role = {"pull_identity": "role", "role_trust": trust}
    first = house.role(**role)
    assert first.failure == ""
    assert (house.users(), house.secrets()) == ([], [])
    [registry] = house.runpod()["registries"]
    assert [template["registry"] for template in house.runpod()["templates"]] == [registry["id"]]
    assert "the pull is proved" in str(first.plan["summary"]) and first.warnings == []

    variables = {"runpod_ecr_image": IMAGE, **{f"runpod_ecr_{name}": value for name, value in role.items()}}
    refreshed = house.play("playbooks/refresh.yml", "-e", json.dumps(variables))
    assert refreshed.code == 0, refreshed.output
    [renewed] = house.runpod()["registries"]
    assert renewed["id"] == registry["id"] and renewed["password"] != registry["password"]

    assert house.role(**role, state="absent").failure == ""
    assert (house.runpod()["registries"], house.client("iam").list_roles()["Roles"]) == ([], [])
