# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of RunPod's templates against the simulator, which is as strict as the API."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ApiError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import ItemsFailedError, Result
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.template import OPTIONS
from ansible_collections.gpuops.runpod.plugins.modules import runpod_info, runpod_template, runpod_templates
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import refusal
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

UNSET: Json = {option: None for option in OPTIONS} | {"name": "demo", "state": "present"}


@pytest.fixture
def account() -> SimulatedRunpod:
    made = SimulatedRunpod()
    made.seed("registries", id="r1", name="one")
    return made


def go(account: SimulatedRunpod, check_mode: bool = False, **options: Any) -> Result:
    return runpod_template.run({**UNSET, **options}, check_mode, account.client)


EVERYTHING: Json = {
    "image": "app:1",
    "args": "serve --fast",
    "disk": 80,
    "env": {"A": "x", "B": 1, "C": 2.5},
    "ports": ["8888/http", "22/tcp"],
    "registry": "one",
    "persistent_mount": {"size": 20, "path": "/data"},
    "serverless": False,
    "public": True,
    "category": "CPU",
    "start_ssh": False,
    "start_jupyter": False,
    "allowed_cuda_versions": ["12.8", "12.6"],
}


def check_then_do_then_again(account: SimulatedRunpod, options: Json, write: str) -> Json | None:
    """Take a step in check mode, for real, and again; return the template, which the check must have predicted."""
    predicted = go(account, check_mode=True, **options)
    assert (predicted.changed, account.writes()) == (True, [])
    done = go(account, **options)
    assert (done.changed, [made.split()[0] for made in account.writes()]) == (True, [write])
    assert (go(account, **options).changed, account.writes()) == (False, [])
    made = done.results["template"]
    foreseen = predicted.results["template"]
    unknown = {"cmd", "entrypoint"} | ({"id"} - set(foreseen or ()))  # how RunPod reads the args, and a new id
    assert without(unknown, foreseen) == without(unknown, made)
    return made


def without(fields: set[str], template: Json | None) -> Json | None:
    return template and {key: value for key, value in template.items() if key not in fields}


def test_nine_steps_with_every_option(account: SimulatedRunpod) -> None:
    made = check_then_do_then_again(account, EVERYTHING, "POST")
    assert made and made["registry"] == "r1" and made["persistent_mount"] == {"size": 20, "path": "/data"}
    check_then_do_then_again(account, {**EVERYTHING, "image": "app:2", "disk": 90, "env": {"A": "y"}}, "PATCH")
    assert check_then_do_then_again(account, {"state": "absent"}, "DELETE") is None


def test_the_least_template_gets_the_defaults_that_are_predicted(account: SimulatedRunpod) -> None:
    check_then_do_then_again(account, {"image": "app:1"}, "POST")


def test_a_key_of_env_that_RunPod_keeps_is_told(account: SimulatedRunpod) -> None:
    """Nobody knows yet whether a PATCH replaces env or adds to it: in neither case a key stays unseen."""
    account.simulator.switch(template_env="merged")
    assert go(account, image="app:1", env={"A": "x", "B": "y"}).changed
    assert go(account, env={"A": "z", "B": "y"}).results["template"]["env"].keys() == {"A", "B"}
    with pytest.raises(ItemsFailedError, match="env"):
        go(account, env={"A": "z"})


@pytest.mark.parametrize("status", [400, 422])
def test_a_host_of_ECR_that_RunPod_does_not_take_is_told(account: SimulatedRunpod, status: int) -> None:
    account.simulator.switch(other_ecr_hosts=status)
    image = "123456789012.dkr-ecr.us-east-1.on.aws/app:1"
    with pytest.raises(ApiError, match="not on a supported registry"):
        go(account, image=image)
    assert go(account, image="123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1").changed


def test_a_refused_template_tells_why(account: SimulatedRunpod) -> None:
    account.answers = [(200, {}, {"templates": []}), refusal(400, "this image is not allowed")]
    with pytest.raises(ApiError, match="POST /templates: HTTP 400: this image is not allowed"):
        go(account, image="app:1")


def test_a_fleet_is_made_changed_and_pruned(account: SimulatedRunpod) -> None:
    def fleet(image: str, size: int) -> tuple[bool, Json]:
        items = [{**UNSET, "name": f"t{n:02}", "image": image, "registry": "one"} for n in range(size)]
        params = {"templates": items, "prune": True, "prune_pattern": "t*", "on_error": "continue"}
        outcome = runpod_templates.run(params, False, account.client)
        return outcome.changed, {key: number for key, number in outcome.results["summary"].items() if number}

    assert fleet("app:1", 20) == (True, {"created": 20})
    assert fleet("app:1", 20) == (False, {"unchanged": 20})
    assert fleet("app:2", 15) == (True, {"changed": 15, "deleted": 5})


def test_what_an_account_holds_is_read(account: SimulatedRunpod) -> None:
    go(account, **EVERYTHING)
    account.seed("endpoints", name="e", image="app:1", registry="r1")
    account.seed("pods", name="p", image="app:1")
    params = {"gather": list(runpod_info.KINDS), "credential_expiry": None}
    results = runpod_info.run(params, False, account.client).results
    assert [len(results[kind]) for kind in runpod_info.KINDS] == [1, 1, 0, 1, 1]
    used = results["references"]["r1"]
    assert (used["name"], [len(used[kind]) for kind in ("templates", "endpoints", "pods")]) == ("one", [1, 1, 0])
