# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.look import Look, ReadOnlyAws, ReadOnlyRunpod
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.options import OPTIONS
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.planning import connect
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_plan
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins import documented
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import Account
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import KEY
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:v1"
ACCESS = {"api_key": KEY, "region": "us-east-1"}


def end(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    with patch_module_args({**ACCESS, **options}), pytest.raises(SystemExit):
        runpod_ecr_plan.main()
    ended: dict[str, Any] = json.loads(capsys.readouterr().out)
    return ended


def test_what_is_wrong_with_the_options_is_told_before_anything_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    ended = end(capsys, image="nginx", variables=["runpod_ecr_imgae"])
    assert ended["msg"].startswith("Nothing was changed. ") and "did you mean runpod_ecr_image" in ended["msg"]
    assert "not in a private ECR registry" in ended["msg"]


def test_no_environment_is_echoed(capsys: pytest.CaptureFixture[str]) -> None:
    env = {"env": {"HF_TOKEN": "distinctive-value"}}
    ended = end(capsys, workloads=[{"image": "nginx", "template": env, "endpoint": env}], template=env, endpoint=env)
    assert "distinctive-value" not in json.dumps(ended) and KEY not in json.dumps(ended)


def test_the_documented_options_are_those_of_the_module() -> None:
    page = documented.options(runpod_ecr_plan)
    assert page.keys() == OPTIONS.keys()
    for name, option in OPTIONS.items():
        assert page[name].get("default") == option.get("default"), name


def test_a_look_makes_each_call_once_and_writes_nothing(account: Account) -> None:
    aws = ReadOnlyAws.of(account.aws())
    assert [aws.call("sts", "get_caller_identity") for dummy in range(2)]
    assert len(account.calls) == 1
    with pytest.raises(AssertionError, match="a look calls iam:create_user"):
        aws.call("iam", "create_user", UserName="x")


def test_a_look_asks_again_once_it_has_waited(account: Account) -> None:
    aws = ReadOnlyAws.of(account.aws())
    for seconds in (1, 1):
        aws.call("sts", "get_caller_identity")
        aws.sleep(seconds)
    assert len(account.calls) == 2 and account.naps == [1, 1]


def test_a_look_shows_the_account_as_the_steps_before_leave_it() -> None:
    runpod = SimulatedRunpod()
    made = runpod.seed("registries", name="one", username="AWS", password="x")
    api = ReadOnlyRunpod(runpod.client)
    api.prefetch(["registries"])
    api.add("registries", {"name": "two"})
    assert [each["name"] for each in api.items("/registries", "registries")] == ["one", "two"]
    api.remove(made["id"])
    api.remove("(known after the run)")
    assert api.items("/registries", "registries") == []
    assert [api.get(f"/registries/{made['id']}")["name"] for dummy in range(2)] == ["one", "one"]
    assert len(runpod.requests()) == 2
    with pytest.raises(AssertionError, match="a look sends DELETE"):
        api.delete("/registries/x")


def test_the_clients_are_those_of_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(runpod_ecr_plan, "execute", lambda module, *dummy: made.append(module))
    with patch_module_args({**ACCESS, "image": IMAGE}):
        runpod_ecr_plan.main()
    look = Look.through(connect(made[0]))
    assert (look.aws.region, look.api.url) == ("us-east-1", "https://api.runpod.io/v2")
