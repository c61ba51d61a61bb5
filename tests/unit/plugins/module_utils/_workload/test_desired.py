# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.desired import (
    MADE_BY,
    VARIABLES,
    DesiredState,
    desired_state,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.options import OPTIONS

ROLE = Path(__file__).resolve().parents[5] / "roles" / "runpod_ecr"
EAST = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:v1"
SEOUL = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/team/app:v1"
BOTH = [{"image": EAST}, {"image": SEOUL, "template": {"name": "seoul"}}]
ENDPOINT = {
    "type": "QUEUE",
    "gpu": {"pools": ["ADA_24"]},
    "scaling": {"type": "QUEUE_DELAY", "queue_delay": 4},
}


def desired(**options: Any) -> DesiredState:
    defaults = {name: option.get("default") for name, option in OPTIONS.items()}
    return desired_state({**defaults, "secret_store": None, "image": EAST, **options})


def refusal(**options: Any) -> str:
    with pytest.raises(InputError) as caught:
        desired(**options)
    return str(caught.value)


def test_one_image_is_a_list_of_one_workload() -> None:
    [item] = desired().items
    assert (item["name"], item["template"]["serverless"], item["endpoint"]) == ("team-app", True, None)


def test_workloads_are_merged_over_the_options_of_all() -> None:
    given = [{"image": EAST, "template": {"disk": 7}}, {"image": SEOUL, "template": {"name": "seoul"}}]
    wished = desired(workloads=given, template={"disk": 9, "env": {"A": "1"}}, endpoint=ENDPOINT)
    assert [item["template"]["disk"] for item in wished.items] == [7, 9]
    assert wished.regions == ["ap-northeast-2", "us-east-1"]
    assert [item["endpoint"]["name"] for item in wished.items] == ["team-app", "seoul"]


def test_a_quarantine_needs_no_image() -> None:
    assert desired(intent="quarantine", image=None).items == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": None}, "Name an image in runpod_ecr_image"),
        ({"workloads": [{}]}, "Name an image in runpod_ecr_image"),
        ({"credential_name": "mine", "workloads": BOTH}, "credential_name is one name"),
        ({"access": "public"}, "everybody on the internet"),
        (
            {
                "access": "public",
                "acknowledge_public": True,
                "public_repository": "x",
                "workloads": BOTH,
            },
            "public_repository is one name",
        ),
        ({"intent": "refresh", "access": "delegation"}, "nothing to refresh"),
        ({"intent": "rotate", "pull_identity": "caller"}, "Only a pull user has a key to rotate"),
        ({"intent": "rotate", "pull_identity": "role"}, "A pull role has no key"),
        ({"role_arn": "arn:aws:iam::123456789012:role/x"}, "runpod_ecr_role_arn names a role that"),
        ({"role_external_id": "team"}, "runpod_ecr_role_external_id is for a role"),
        ({"intent": "quarantine", "access": "public"}, "Only a pull user can be put in quarantine"),
        (
            {"retire_former_identity": True, "access": "delegation"},
            "with runpod_ecr_access=delegation it pulls as nobody",
        ),
        ({"retire_former_identity": True, "verify": False}, "set runpod_ecr_verify=true."),
        ({"min_validity_hours": 12}, "runpod_ecr_min_validity_hours is 12"),
        ({"min_validity_hours": 0}, "runpod_ecr_min_validity_hours is 0"),
        ({"template": {"state": "absent"}}, "runpod_ecr_template: state cannot be set"),
        ({"workloads": [{"image": EAST, "template": {"image": "x"}}]}, "Workload 1: template: image cannot be set"),
        (
            {"workloads": [{"image": EAST, "endpoint": {"registry": "x"}}]},
            "Workload 1: endpoint: registry cannot be set",
        ),
        ({"workloads": [{"image": EAST, "endpoint": 3}]}, "Workload 1: endpoint is not a dictionary"),
        ({"variables": ["runpod_ecr_imgae"]}, "runpod_ecr_imgae is no variable of the role runpod_ecr; did you mean"),
        ({"variables": ["runpod_ecr_zzzzzzzzzzzz"]}, "runpod_ecr_zzzzzzzzzzzz is no variable of the role runpod_ecr."),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    assert words in refusal(**options)


def test_all_that_is_wrong_is_told_at_once() -> None:
    said = refusal(image="nonsense:", variables=["runpod_ecr_imgae"], min_validity_hours=13)
    assert [said.count(words) for words in ("Workload 1", "no variable", "min_validity_hours is 13")] == [1, 1, 1]


def test_variables_that_the_role_knows_are_no_fault() -> None:
    known = ["runpod_ecr_image", "runpod_ecr_state", "runpod_ecr_result", "runpod_ecr_hosts", "runpod_ecr_adopt"]
    assert desired(variables=known).images == [EAST]


def test_the_entry_is_named_after_the_user_unless_it_is_named() -> None:
    assert desired().store["name"] == "runpod-ecr/runpod-ecr-access"
    assert desired(secret_store={"type": "ssm", "name": None}).store["name"] == "/runpod-ecr/runpod-ecr-access"
    assert desired(secret_store={"type": "ssm", "name": "/mine"}).store["name"] == "/mine"


def test_a_host_claims_what_no_other_may_have() -> None:
    both = desired(endpoint={**ENDPOINT, "id": "e1"}, credential_name="mine").claims("123456789012")
    assert both == {
        "user": "runpod-ecr-access",
        "role": "",
        "account": "123456789012",
        "templates": ["team-app"],
        "endpoints": ["e1"],
        "credentials": ["mine"],
    }
    assert desired().claims("1")["credentials"] == []
    lent = desired(pull_identity="caller").claims("123456789012")
    assert (lent["user"], lent["credentials"]) == ("", ["runpod-ecr-access-123456789012-us-east-1"])
    retiring = desired(pull_identity="role", retire_former_identity=True).claims("123456789012")
    assert (retiring["user"], retiring["role"]) == ("runpod-ecr-access", "runpod-ecr-access")


def test_a_host_with_a_pull_role_claims_the_role() -> None:
    claims = desired(pull_identity="role", role_name="lent").claims("123456789012")
    assert (claims["user"], claims["role"], claims["credentials"]) == ("", "lent", [])


@pytest.mark.parametrize(
    ("options", "identities"),
    [
        ({}, ["role"]),
        ({"pull_identity": "role"}, ["user"]),
        ({"pull_identity": "caller"}, ["role"]),
        ({"access": "delegation"}, ["user", "role"]),
        ({"credential_name": "mine"}, []),
    ],
)
def test_credentials_of_others_are_known_by_their_names(options: dict[str, Any], identities: list[str]) -> None:
    patterns = {
        "user": r"runpod\-ecr\-access-\d{12}-us\-east\-1",
        "role": r"runpod\-ecr\-access\-role-\d{12}-us\-east\-1",
    }
    found = desired(**options).former_credentials
    assert list(found) == [patterns[identity] for identity in identities]
    retired = "run again with runpod_ecr_retire_former_identity=true"
    removed = {kind: f"remove it with runpod_ecr_credential and {MADE_BY[kind]}" for kind in patterns}
    by_name = options.get("access") == "delegation"
    assert [*found.values()] == [removed[identity] if by_name else retired for identity in identities]
    at_the_end = desired(**options, intent="absent").former_credentials
    assert by_name or [*at_the_end.values()] == [f"run again with runpod_ecr_pull_identity={one}" for one in identities]


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, ["role"]),
        ({"pull_identity": "role"}, ["user"]),
        ({"pull_identity": "caller"}, ["user", "role"]),
        ({"pull_identity": "caller", "role_arn": "arn:aws:iam::123456789012:role/lent"}, ["user", "role"]),
        ({"pull_identity": "caller", "role_arn": "arn:aws:iam::123456789012:role/runpod/runpod-ecr-access"}, ["user"]),
        ({"access": "delegation"}, []),
    ],
)
def test_a_role_that_is_assumed_is_no_former_identity(options: dict[str, Any], kinds: list[str]) -> None:
    assert desired(**options).former_identities == kinds


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, False),
        ({"pull_identity": "role"}, False),
        ({"pull_identity": "role", "credential_name": "mine"}, True),
        ({"pull_identity": "caller"}, True),
        ({"access": "public", "acknowledge_public": True}, False),
    ],
)
def test_the_entry_of_a_user_may_tell_of_credentials_of_the_same_names(options: dict[str, Any], told: bool) -> None:
    store = {"type": "secretsmanager", "name": "runpod-ecr/runpod-ecr-access", "region": None}
    assert desired(**options).former_store == (store if told else None)


def test_tokens_are_minted_as_a_role_at_the_caller_s_account() -> None:
    caller = "arn:aws-cn:sts::123456789012:assumed-role/deploy/session"
    role = desired(pull_identity="role", role_external_id="team", user_repositories=["team/*"]).minting(caller)
    assert role["role_arn"] == "arn:aws-cn:iam::123456789012:role/runpod/runpod-ecr-access"
    assert role["external_id"] == "team" and role["repositories"][-1] == "team/*"
    assert desired().minting(caller) == {}
    assert desired(pull_identity="caller").minting(caller).keys() == {"repositories"}


def test_credentials_are_found_without_their_account() -> None:
    assert desired().credential_patterns == [r"runpod\-ecr\-access-\d{12}-us\-east\-1"]
    assert desired(credential_name="a.b").credential_patterns == [r"a\.b"]


def test_the_variables_that_are_known_are_those_of_the_role() -> None:
    of_the_role = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text()).keys()
    set_elsewhere = {f"runpod_ecr_{name}" for name in ("audit", "audits", "hosts", "result", "results")}
    assert of_the_role | set_elsewhere == VARIABLES
