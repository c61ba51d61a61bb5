# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan says of ways of access beside those of the table in test_plan."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest

from tests.system.conftest import IMAGE, House
from tests.system.role import Played, Role

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
        {"policy_read_seconds": 0.5},
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
