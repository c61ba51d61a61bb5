# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key's life as operators see it: rotated on schedule, shut off in an incident, and let go again."""

from __future__ import annotations

import json

from .conftest import IMAGE, USER, House, Run

DENY = "gpuops-runpod-quarantine"


def rotate(house: House, *arguments: str) -> Run:
    return house.play("playbooks/rotate.yml", "-e", f"runpod_ecr_image={IMAGE}", *arguments)


def minted_by(house: House) -> set[str]:
    """Return the keys with which tokens were minted since the calls were forgotten."""
    return {call["access_key"] for call in house.sandbox.aws_calls() if call["name"] == "ecr:GetAuthorizationToken"}


def test_rotation_puts_a_new_key_into_the_store_and_its_token_at_runpod(house: House) -> None:
    house.arrange()
    [old] = house.keys()
    [registry] = house.runpod()["registries"]
    house.sandbox.forget_calls()

    run = rotate(house, "-v", "-e", "runpod_ecr_rotate_after_days=0")
    assert run.code == 0, run.output
    new = json.loads(house.entry())["access_key_id"]
    assert house.keys() == {old: "Active", new: "Active"}
    assert minted_by(house) == {new}
    [refreshed] = house.runpod()["registries"]
    assert refreshed["id"] == registry["id"] and refreshed["password"] != registry["password"]
    assert f"(gets a new key; a later run retires {old})" in run.output

    again = house.role("rotate", rotate_after_days=0)  # which waits: the older key is still being retired
    assert (again.failure, again.changed) == ("", [])


def test_a_key_that_is_not_old_stays(house: House) -> None:
    house.arrange()
    [key] = house.keys()
    assert (house.role("rotate").failure, house.role("rotate").changed) == ("", [])
    assert list(house.keys()) == [key]


def test_rotation_makes_no_user(house: House) -> None:
    assert house.role("rotate").failure.startswith(f"Nothing was changed. There is no IAM user {USER}")
    assert house.users() == []


def test_quarantine_ends_everything_until_it_is_released(house: House) -> None:
    house.arrange()
    [old] = house.keys()
    house.sandbox.forget_calls()
    shut = house.play("playbooks/runpod_ecr.yml", "-e", "runpod_ecr_state=quarantined")
    assert shut.code == 0 and shut.recap["changed"] == 1, shut.output
    writes = ("Put", "Delete", "Update", "Tag")
    calls = [call["name"] for call in house.sandbox.aws_calls() if call["name"].partition(":")[2].startswith(writes)]
    assert calls == [
        "iam:DeleteUserPolicy",
        "iam:PutUserPolicy",
        "iam:TagUser",
        "iam:UpdateAccessKey",
        "secretsmanager:TagResource",
    ]
    assert house.keys() == {old: "Inactive"}
    assert house.client("iam").list_user_policies(UserName=USER)["PolicyNames"] == [DENY]

    for entry in ("main", "rotate"):
        assert "release_quarantine" in house.role(entry).failure
    assert house.client("iam").list_user_policies(UserName=USER)["PolicyNames"] == [DENY]

    assert house.role(release_quarantine=True).failure == ""
    [(new, status)] = house.keys().items()
    assert new != old and status == "Active"


def test_absent_works_from_quarantine(house: House) -> None:
    house.arrange()
    house.arrange(access="quarantined")
    assert house.role(state="absent").failure == ""
    assert (house.users(), house.secrets(), house.runpod()["registries"]) == ([], [], [])
