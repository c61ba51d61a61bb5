# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan says of ways of access beside those of the table in test_plan."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.plan_retirement import runs_as
from ansible_collections.gpuops.runpod.plugins.modules import ecr_pull_check
from tests.system.conftest import ENDPOINT, IMAGE, SEOUL, House
from tests.system.role import Played, Role
from tests.system.worker import HASTE

Play = Callable[..., Played]


@pytest.fixture
def play(house: House) -> Iterator[Play]:
    role = Role(house.runs)

    def run(**options: Any) -> Played:
        return role.play(**{"runpod_ecr_image": IMAGE, **options})

    with patch.dict(os.environ, house.environment()):
        yield run


CALLER = {"runpod_ecr_pull_identity": "caller"}


def test_tokens_of_the_caller_are_renewed_by_each_run_which_says_whose_rights_they_have(play: Play) -> None:
    first = play(**CALLER)
    assert (first.failure, set(first.changed)) == ("", {"runpod_ecr_credential", "runpod_templates"})
    assert any(text.startswith("RunPod can pull whatever arn:aws:") for text in first.result["warnings"])
    assert [one["pullable"] for one in first.result["workloads"]] == [True]
    assert play(check=True, **CALLER).plan["needed"] == ["credential"]
    assert play(entry="refresh", check=True, **CALLER).plan["needed"] == ["credential"]
    gone = play(runpod_ecr_state="absent", **CALLER)
    assert (gone.failure, set(gone.changed)) == ("", {"runpod_ecr_credential", "runpod_templates"})


OPERATOR = "arn:aws:iam::123456789012:user/operator"
TRUST = [{"principal_arns": [OPERATOR]}]
ROLE = {"runpod_ecr_pull_identity": "role", "runpod_ecr_role_trust": TRUST}
NAME = "runpod-ecr-access"
TWO = {"runpod_ecr_workloads": [{"image": IMAGE}, {"image": SEOUL}]}
MINTED = {"ecr_pull_role", "runpod_ecr_credential", "runpod_templates"}


def roles(house: House) -> list[str]:
    return [one["RoleName"] for one in house.client("iam").list_roles()["Roles"]]


def credentials(house: House) -> list[str]:
    return sorted(one["name"] for one in house.runpod()["registries"])


def test_a_role_is_made_proved_and_taken_back_without_a_key_anywhere(house: House, play: Play) -> None:
    foreseen = play(check=True, **ROLE)
    assert house.writes() == [] and foreseen.plan["needed"] == ["role", "credential", "template"]
    first = play(**ROLE)
    assert (first.failure, set(first.changed)) == ("", MINTED) and first.warnings == []
    assert foreseen.plan["changes"] == first.plan["changes"]
    assert (house.users(), house.secrets(), roles(house)) == ([], [], [NAME])
    assert credentials(house) == [f"{NAME}-role-123456789012-us-east-1"]
    assert (first.result["user"], first.result["role"]) == (None, NAME)
    assert [one["pullable"] for one in first.result["workloads"]] == [True]

    again, check = play(**ROLE), play(check=True, **ROLE)
    assert (again.failure, again.changed, again.warnings) == ("", ["runpod_ecr_credential"], [])
    assert [one["id"] for one in again.result["credentials"]] == [one["id"] for one in first.result["credentials"]]
    assert check.plan["needed"] == ["credential"] and check.result["workloads"][0]["pullable"] is True

    gone = play(runpod_ecr_state="absent", **ROLE)
    assert (gone.failure, set(gone.changed)) == ("", MINTED)
    assert (roles(house), credentials(house), house.runpod()["templates"]) == ([], [], [])
    assert play(runpod_ecr_state="absent", **ROLE).changed == []


def test_a_refresh_as_the_role_calls_sts_and_ecr_alone_and_its_check_and_plan_tell_it(house: House, play: Play) -> None:
    play(**ROLE, **TWO)
    house.sandbox.forget_calls()
    foreseen = play(entry="refresh", check=True, **ROLE)
    done = play(entry="refresh", **ROLE)
    calls = {call["name"] for call in house.sandbox.aws_calls()}
    assert calls == {"sts:GetCallerIdentity", "sts:AssumeRole", "ecr:GetAuthorizationToken"}
    assert foreseen.plan["changes"] == done.plan["changes"] and len(done.result["credentials"]) == 2
    assert (done.result["role"], done.warnings) == (NAME, [])


def test_a_token_of_a_role_opens_what_it_is_for_and_nothing_else(house: House, play: Play) -> None:
    """The role may pull more: a session policy narrows each token."""
    play(**ROLE, runpod_ecr_user_policy="read_only")
    other = IMAGE.replace("training", "inference")
    assert [pullable(house, image) for image in (IMAGE, other)] == [True, False]
    play(**ROLE, runpod_ecr_image=other, runpod_ecr_user_policy="read_only")
    assert [pullable(house, image) for image in (IMAGE, other)] == [True, True]  # a run cuts no other one off
    play(entry="refresh", **ROLE)
    assert [pullable(house, image) for image in (IMAGE, other)] == [True, True]


def pullable(house: House, image: str) -> bool:
    """Return whether RunPod can pull an image with the token that it holds."""
    held = next(one for one in house.runpod()["registries"] if one["name"].endswith("us-east-1"))
    given = {"identity": "given", "credentials": {"username": held["username"], "password": held["password"]}}
    options = {"images": [image], "fail_when_denied": False, **given}
    found: bool = house.runs.outcome(ecr_pull_check, options).results["pullable"]
    return found


def test_drift_of_a_role_is_mended(house: House, play: Play) -> None:
    play(**ROLE)
    iam = house.client("iam")
    iam.delete_role_policy(RoleName=NAME, PolicyName="gpuops-runpod-pull")
    document = iam.get_role(RoleName=NAME)["Role"]["AssumeRolePolicyDocument"]
    document["Statement"][0]["Principal"]["AWS"] = "arn:aws:iam::123456789012:root"
    iam.update_assume_role_policy(RoleName=NAME, PolicyDocument=json.dumps(document))
    assert play(check=True, **ROLE).plan["needed"] == ["role", "credential"]
    assert set(play(**ROLE).changed) == {"ecr_pull_role", "runpod_ecr_credential"}
    [statement] = iam.get_role(RoleName=NAME)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"]["AWS"] in (OPERATOR, [OPERATOR])


def test_who_may_not_assume_the_role_is_told_before_anything_is_changed(house: House, play: Play) -> None:
    play(**ROLE, runpod_ecr_verify=False)
    role = house.client("iam").get_role(RoleName=NAME)["Role"]["AssumeRolePolicyDocument"]
    role["Statement"][0]["Condition"] = {"StringEquals": {"sts:ExternalId": "team"}}
    house.client("iam").update_assume_role_policy(RoleName=NAME, PolicyDocument=json.dumps(role))
    house.sandbox.forget_calls()
    refused = play(**{**ROLE, "runpod_ecr_role_trust": None})
    assert refused.failure.startswith("Nothing was changed. sts:AssumeRole: AccessDenied") and house.writes() == []
    known = play(**{**ROLE, "runpod_ecr_role_trust": None, "runpod_ecr_role_external_id": "team"})
    assert (known.failure, known.changed) == ("", ["runpod_ecr_credential"])


def test_user_and_role_take_each_other_s_place_and_the_former_is_reported(house: House, play: Play) -> None:
    assert play().failure == ""
    assert "pull with" in play(**ROLE).failure  # what another identity's credential serves is taken over on request
    to_role = play(**ROLE, runpod_ecr_adopt=True)
    assert (to_role.failure, set(to_role.changed)) == ("", MINTED)
    [left] = to_role.result["warnings"]
    assert f"{NAME}-123456789012-us-east-1" in left and "runpod_ecr_retire_former_identity=true" in left
    assert (house.users(), roles(house)) == ([NAME], [NAME])
    assert [pullable(house, IMAGE), len(credentials(house))] == [True, 2]
    back = play(runpod_ecr_adopt=True)
    assert (back.failure, back.changed) == ("", ["runpod_templates"])
    [left] = back.result["warnings"]
    assert f"{NAME}-role-123456789012-us-east-1" in left and "runpod_ecr_retire_former_identity=true" in left


RETIRE = {"runpod_ecr_adopt": True, "runpod_ecr_retire_former_identity": True}
AS_USER, AS_ROLE = f"{NAME}-123456789012-us-east-1", f"{NAME}-role-123456789012-us-east-1"


def test_a_run_that_is_asked_to_retires_the_former_identity_last(house: House, play: Play) -> None:
    play()
    to_role = play(**ROLE, **RETIRE)
    assert (to_role.failure, to_role.warnings) == ("", [])
    assert to_role.changed[-2:] == ["runpod_ecr_credential", "ecr_pull_user"]
    assert to_role.plan["changes"][-2:] == [
        f"- former credential {AS_USER} (is not wanted any more)",
        f"- former pull user {NAME} (is not wanted any more)",
    ]
    assert (house.users(), house.secrets(), credentials(house), roles(house)) == ([], [], [AS_ROLE], [NAME])
    assert pullable(house, IMAGE) and play(**ROLE, **RETIRE).changed == ["runpod_ecr_credential"]

    to_user = play(**RETIRE)
    assert (to_user.failure, to_user.warnings, to_user.changed[-1]) == ("", [], "ecr_pull_role")
    assert (house.users(), credentials(house), roles(house)) == ([NAME], [AS_USER], [])
    assert pullable(house, IMAGE) and play(**RETIRE).changed == []


def test_the_caller_takes_the_place_of_both(house: House, play: Play) -> None:
    play()
    play(**ROLE, runpod_ecr_adopt=True)
    assert play(**CALLER, **RETIRE).failure == ""
    assert (house.users(), roles(house), credentials(house)) == ([], [], [AS_USER])
    assert play(**CALLER, **RETIRE).changed == ["runpod_ecr_credential"]


def test_a_role_that_the_caller_assumes_or_is_is_never_retired(house: House, play: Play) -> None:
    play(**ROLE)
    own = f"arn:aws:iam::123456789012:role/runpod/{NAME}"
    assert play(**CALLER, **RETIRE, runpod_ecr_role_arn=own).failure == "" and roles(house) == [NAME]
    assert [runs_as(arn, kind, NAME) for arn, kind in WHOSE] == [True, False, True, False]


WHOSE = [
    (f"arn:aws:sts::123456789012:assumed-role/{NAME}/refresh", "role"),
    (f"arn:aws:sts::123456789012:assumed-role/{NAME}/refresh", "user"),
    (f"arn:aws:iam::123456789012:user/runpod/{NAME}", "user"),
    ("arn:aws:iam::123456789012:root", "user"),
]


def test_what_something_else_needs_is_not_retired_and_says_why(house: House, play: Play) -> None:
    play()
    other = IMAGE.replace("training", "inference")
    play(runpod_ecr_image=other)
    kept = play(**ROLE, **RETIRE)
    assert kept.failure == "" and (house.users(), len(house.secrets())) == ([NAME], 1)
    assert credentials(house) == [AS_USER, AS_ROLE]
    assert [text for text in kept.warnings if text.startswith(f"The former pull user {NAME} stays, for something")]
    assert play(**ROLE, **RETIRE, runpod_ecr_image=other).failure == ""
    assert (house.users(), house.secrets(), credentials(house)) == ([], [], [AS_ROLE])


def test_a_credential_of_another_region_keeps_the_former_identity(house: House, play: Play) -> None:
    play(**ROLE, **TWO)
    kept = play(**RETIRE)
    [text] = [text for text in kept.warnings if "stays" in text]
    assert "ap-northeast-2" in text and text.endswith("holds a token of the same pull role.")
    assert roles(house) == [NAME] and credentials(house) == [AS_USER, AS_ROLE.replace("us-east-1", "ap-northeast-2")]


def test_somebody_elses_user_of_the_name_is_no_former_identity(house: House, play: Play) -> None:
    house.client("iam").create_user(UserName=NAME)
    done = play(**ROLE, **RETIRE)
    assert (done.failure, house.users()) == ("", [NAME])
    assert [text for text in done.warnings if text.startswith(f"The pull user {NAME} is not retired: The IAM user")]


def test_an_endpoint_that_moves_with_its_template_keeps_nothing(house: House, play: Play) -> None:
    play(runpod_ecr_endpoint=ENDPOINT)
    foreseen = play(check=True, **ROLE, **RETIRE, runpod_ecr_endpoint=ENDPOINT)
    assert foreseen.plan["needed"][-2:] == ["former_credential", "former_user"]


@pytest.mark.parametrize("entry", ["main", "refresh"])
def test_a_user_does_not_take_another_s_tokens_for_its_own(house: House, play: Play, entry: str) -> None:
    """The caller's tokens are handed over in the credential of the user's name."""
    play()
    assert play(check=True).plan["needed"] == []
    assert play(entry=entry, **CALLER).failure == ""
    assert play(check=True).plan["needed"] == ["credential"]
    assert (play().changed, play().changed) == (["runpod_ecr_credential"], [])


@pytest.mark.parametrize(
    ("call", "code", "warned", "failed"),
    [
        ("secretsmanager:DescribeSecret", "AccessDeniedException", False, False),
        ("secretsmanager:DescribeSecret", "InternalServiceError", False, True),
        ("secretsmanager:UntagResource", "AccessDeniedException", True, False),
    ],
)
def test_a_caller_without_rights_on_the_entry_hands_its_token_over_all_the_same(
    house: House, play: Play, call: str, code: str, warned: bool, failed: bool
) -> None:
    play()
    house.sandbox.fail(call, times=None, answer={"status": 400, "code": code, "message": "no"})
    done = play(**CALLER)
    assert bool(done.failure) is failed
    told = [text for text in done.warnings if "still tells of tokens that are no more at RunPod" in text]
    assert bool(told) is warned


def test_a_role_does_not_leave_its_tokens_under_the_user_s_name(house: House, play: Play) -> None:
    named = {"runpod_ecr_credential_name": "ecr", "runpod_ecr_secret_store": {"type": "ssm"}}
    play(**named)
    assert play(**ROLE, **named).failure == ""
    assert play(check=True, **named).plan["needed"] == ["credential"]
    assert play(**ROLE, **named, **RETIRE).failure == "" and (house.users(), credentials(house)) == ([], ["ecr"])


def test_a_role_that_something_else_needs_stays_and_loses_what_nothing_uses(house: House, play: Play) -> None:
    play(**ROLE, **TWO)
    other = IMAGE.replace("training", "inference")
    play(**ROLE, runpod_ecr_image=other)
    kept = play(runpod_ecr_state="absent", **ROLE)
    assert kept.failure == "" and roles(house) == [NAME] and kept.result["role"] == NAME
    document = house.client("iam").get_role_policy(RoleName=NAME, PolicyName="gpuops-runpod-pull")["PolicyDocument"]
    opened = [arn.rpartition("/")[2] for arn in document["Statement"][1]["Resource"]]
    assert opened == ["app", "runpod-gpu-inference"]
    play(runpod_ecr_state="absent", **ROLE, runpod_ecr_image=other)
    assert roles(house) == [NAME]  # for the token of the other region
    assert play(runpod_ecr_state="absent", **ROLE, runpod_ecr_image=SEOUL).failure == "" and roles(house) == []


def test_a_caller_may_assume_a_role_that_somebody_else_keeps(house: House, play: Play) -> None:
    house.call("ecr_pull_role", {"name": "lent", "trust": TRUST, "policy": "read_only"})
    lent = {**CALLER, "runpod_ecr_role_arn": "arn:aws:iam::123456789012:role/runpod/lent"}
    first = play(**lent)
    assert (first.failure, first.warnings, set(first.changed)) == ("", [], MINTED - {"ecr_pull_role"})
    assert [one["pullable"] for one in first.result["workloads"]] == [True]
    assert [pullable(house, image) for image in (IMAGE, IMAGE.replace("training", "inference"))] == [True, False]
    again, refreshed = play(**lent), play(entry="refresh", **lent)
    assert again.changed == ["runpod_ecr_credential"] and refreshed.warnings == []
    ids = [[one["id"] for one in each.result["credentials"]] for each in (first, again, refreshed)]
    assert ids == [ids[0]] * 3
    gone = play(runpod_ecr_state="absent", **lent)
    assert (gone.failure, credentials(house), roles(house)) == ("", [], ["lent"])


def test_a_role_has_nothing_to_rotate_and_no_quarantine(play: Play) -> None:
    assert "A pull role has no key" in play(entry="rotate", **ROLE).failure
    assert "Only a pull user can be put in quarantine" in play(runpod_ecr_state="quarantined", **ROLE).failure


def test_no_key_is_rotated_where_there_is_no_user(house: House, play: Play) -> None:
    refused = play(entry="rotate")
    assert refused.failure.startswith(f"Nothing was changed. There is no IAM user {NAME}. Run the role first")
    assert house.writes() == []


def test_an_image_that_is_not_there_stops_a_run_before_anything_changes(house: House, play: Play) -> None:
    house.sandbox.forget_calls()
    refused = play(runpod_ecr_image=IMAGE.replace(":v1", ":missing"))
    assert refused.failure.startswith("Nothing was changed. 1 of 1 images cannot be pulled.")
    assert house.writes() == []


def test_nothing_is_proved_when_that_is_not_wished(house: House, play: Play) -> None:
    house.arrange()
    unproved = play(check=True, runpod_ecr_verify=False)
    assert (unproved.plan["needed"], unproved.plan["result"]["workloads"][0]["pullable"]) == ([], None)
    public = play(check=True, runpod_ecr_verify=False, runpod_ecr_access="public", runpod_ecr_acknowledge_public=True)
    assert public.plan["needed"] == ["public_repository", "mirror", "template"]


@pytest.mark.parametrize("serverless", [True, False])
def test_only_serverless_workers_make_a_delegation_doubtful(play: Play, serverless: bool) -> None:
    planned = play(check=True, runpod_ecr_access="delegation", runpod_ecr_template={"serverless": serverless})
    warned = [text for text in planned.plan["result"]["warnings"] if "serverless workers" in text]
    assert len(warned) == serverless


def test_public_repositories_stay_unless_their_end_is_forced(house: House, play: Play) -> None:
    house.arrange(access="public")
    kept = play(runpod_ecr_access="public", runpod_ecr_state="absent")
    assert (kept.failure, kept.changed) == ("", ["runpod_templates"])
    assert any(text.startswith("Public repositories stay") for text in kept.result["warnings"])


@pytest.mark.parametrize(
    "switches",
    [
        {"policy_text": "reordered"},
        {"policy_read_seconds": 0.5 / HASTE},
        {"token_outlives_key": False},
        {"key_use_seconds": 3600},
    ],
    ids=lambda switches: next(iter(switches)),
)
@pytest.mark.parametrize("access", ["credential", "delegation"])
def test_whatever_AWS_does_where_it_documents_nothing_a_second_run_changes_nothing(
    house: House, switches: dict[str, Any], access: str
) -> None:
    house.sandbox.aws.switch(**switches)
    assert house.role(access=access).failure == ""
    time.sleep(switches.get("policy_read_seconds", 0))
    again = house.role(access=access)
    assert (again.failure, again.plan["needed"]) == ("", [])
    assert house.role(access=access, state="absent").failure == ""
