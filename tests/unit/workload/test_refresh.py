# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokens of all regions, renewed by one module: what it does, says and asks of the clouds."""

from __future__ import annotations

import json
import os
from typing import Any
from unittest.mock import patch

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.time import format_time
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_plan
from ansible_collections.gpuops.runpod.tests.unit.plugins import rights
from tests.system.conftest import IMAGE, SEOUL, USER, House
from tests.system.role import Role
from tests.system.worker import Runs, now

MODULE = "runpod_ecr_refresh"
TWO_REGIONS = [{"image": IMAGE}, {"image": SEOUL}]


@pytest.fixture
def due(house: House) -> House:
    house.sandbox.aws.switch(token_seconds=3600)
    house.arrange(IMAGE, SEOUL)
    house.sandbox.aws.switch(token_seconds=12 * 3600)
    house.sandbox.forget_calls()
    return house


def test_a_due_refresh_is_one_module_and_its_check_tells_it(due: House) -> None:
    foreseen = due.role("refresh", check=True, workloads=TWO_REGIONS)
    assert due.writes() == []
    done = due.role("refresh", workloads=TWO_REGIONS)
    assert (foreseen.ran, foreseen.changed, done.ran, done.changed) == ([MODULE],) * 4
    assert foreseen.plan["changes"] == done.plan["changes"]
    assert [line[:35] for line in done.plan["changes"]] == ["~ credential runpod-ecr-access-1234"] * 2
    assert [one["id"] for one in foreseen.result["credentials"]] == [one["id"] for one in done.result["credentials"]]
    assert {call["name"] for call in due.sandbox.aws_calls()} <= rights.listed(MODULE) | rights.FOR_EVERYBODY

    again = due.role("refresh", workloads=TWO_REGIONS)
    assert (again.changed, again.plan["needed"], again.plan["changes"]) == ([], [], [])
    assert again.result == done.result
    assert done.result["user"] == "runpod-ecr-access" and len(done.result["credentials"]) == 2


def test_one_region_alone_has_the_same_answer(house: House) -> None:
    house.sandbox.aws.switch(token_seconds=3600)
    house.arrange(IMAGE)
    house.sandbox.aws.switch(token_seconds=12 * 3600)
    done = house.role("refresh")
    assert done.plan["needed"] == ["credential"] and len(done.plan["steps"]) == 1
    assert set(done.result["credentials"][0]) == {"id", "name", "logical_name", "region", "expires_at"}


def test_a_region_that_fails_says_what_is_done_all_the_same(due: House) -> None:
    seoul = next(held for held in due.runpod()["registries"] if "ap-northeast-2" in held["name"])
    due.sandbox.fail(f"PATCH /v2/registries/{seoul['id']}", answer={"status": 422, "body": {"detail": "no"}})
    failed = due.role("refresh", workloads=TWO_REGIONS)
    assert "1 of 2 regions failed" in failed.failure
    assert failed.failure.endswith("Already done: the credentials at RunPod. A plain re-run continues.")


def test_a_failure_before_the_first_write_says_how_long_the_token_works(house: House) -> None:
    house.arrange()
    house.sandbox.fail("GET /v2/registries", answer={"status": 403, "body": {"detail": "no"}}, times=None)
    failed = house.role("refresh")
    assert "works until" in failed.failure and "Already done" not in failed.failure


def test_the_caller_s_token_is_renewed_each_time_with_a_warning(house: House) -> None:
    done = house.role("refresh", pull_identity="caller")
    assert done.result["user"] is None
    assert [text[:23] for text in done.warnings] == ["RunPod can pull whatever"[:23]]
    assert done.result["warnings"] == done.warnings


@pytest.mark.parametrize("options", [{}, {"credential_name": "mine"}, {"pull_identity": "caller"}])
def test_a_plan_of_a_refresh_tells_what_the_refresh_does(house: House, options: dict[str, Any]) -> None:
    house.sandbox.aws.switch(token_seconds=3600)
    house.arrange(IMAGE, SEOUL)
    house.sandbox.aws.switch(token_seconds=12 * 3600)
    house.sandbox.runpod.seed("registries", {"name": "somebody-else", "username": "AWS"})
    store = {"name": f"runpod-ecr/{USER}"}
    given = {"intent": "refresh", "image": IMAGE, "secret_store": store, **options}
    foreseen = house.runs.outcome(runpod_ecr_plan, given)
    done = house.role("refresh", **options)
    assert foreseen.results["changes"] == done.plan["changes"] != []
    named = [step["name"] for step in done.plan["steps"]]
    assert len(named) == (1 if options else 2) and "somebody-else" not in named


def test_a_plan_of_a_refresh_before_the_first_run_says_what_to_run(house: House) -> None:
    with pytest.raises(CollectionError, match="Run the playbook gpuops.runpod.runpod_ecr first"):
        store = {"name": f"runpod-ecr/{USER}"}
        house.runs.outcome(runpod_ecr_plan, {"intent": "refresh", "image": IMAGE, "secret_store": store})


def test_a_key_on_its_way_is_waited_for_alike_by_refresh_check_and_plan(house: House) -> None:
    house.arrange(IMAGE)
    client, name = house.client("secretsmanager"), f"runpod-ecr/{USER}"
    value = house.entry()
    answers = []

    def arrive(dummy: float) -> None:
        client.put_secret_value(SecretId=name, SecretString=value)

    runs = Runs(house.sandbox.environment, sleep=arrive)
    for run in ("plan", "check", "refresh"):
        making = {"pending": {"since": format_time(now()), "known_key_ids": []}}
        client.put_secret_value(SecretId=name, SecretString=json.dumps(making))
        if run == "plan":
            given = {"intent": "refresh", "image": IMAGE, "secret_store": {"name": name}}
            answers.append(runs.outcome(runpod_ecr_plan, given).results["steps"])
        else:
            with patch.dict(os.environ, house.environment()):
                played = Role(runs).play("refresh", run == "check", runpod_ecr_image=IMAGE)
            assert played.failure == ""
            answers.append(played.plan["steps"])
    assert answers[0] == answers[1] == answers[2] != []
