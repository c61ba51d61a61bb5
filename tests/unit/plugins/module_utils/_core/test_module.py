# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ApiError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.module import CollectionModule, Run, execute
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.connection import ARGUMENTS, runpod_client
from ansible_collections.gpuops.runpod.tests.module_args import (
    SHOW_INVOCATION,
    patch_module_args,
    result_of,
    warnings_of,
)

SPEC: Json = {
    **ARGUMENTS,
    "name": {"type": "str"},
    "env": {"type": "dict", "no_log": False},
    "items": {"type": "list", "elements": "dict", "options": {"env": {"type": "dict", "no_log": False}}},
}
VALUE = "hush-hush-hush"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    monkeypatch.delenv("RUNPOD_API_BASE_URL", raising=False)


@pytest.fixture(autouse=True)
def no_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let warnings be kept for the result, whatever of ansible other tests have imported."""
    with suppress(ImportError):  # before ansible-core 2.17
        monkeypatch.setattr(import_module("ansible.module_utils._internal"), "is_controller", False, raising=False)


def end(run: Run, key: str | None, capsys: Capture, **given: Any) -> Json:
    """Return what a module with this run answers."""
    args = {"api_key": "key-of-the-unit-tests", **SHOW_INVOCATION, **given}
    with patch_module_args(args), pytest.raises(SystemExit):
        execute(CollectionModule(SPEC, supports_check_mode=True), run, key, runpod_client)
    return result_of(capsys.readouterr().out)


def test_an_outcome_becomes_the_result(capsys: Capture) -> None:
    def run(params: Json, check_mode: bool, client: Client) -> Result:
        return Result(True, None, {"id": "1"}, {"extra": params["name"]}, ("mind this outcome",))

    answer = end(run, "thing", capsys, name="demo")
    assert (answer["changed"], answer["thing"], answer["extra"]) == (True, {"id": "1"}, "demo")
    assert answer["diff"] == {"before": {}, "after": {"id": "1"}}
    assert "mind this outcome" in str(answer["warnings"])


def test_results_win_over_the_diffs_version_of_the_resource(capsys: Capture) -> None:
    def run(params: Json, check_mode: bool, client: Client) -> Result:
        return Result(False, {"id": "1"}, {"id": "marked"}, {"thing": {"id": "plain"}})

    assert end(run, "thing", capsys)["thing"] == {"id": "plain"}


def test_without_a_key_only_the_results_are_returned(capsys: Capture) -> None:
    def run(params: Json, check_mode: bool, client: Client) -> Result:
        return Result(False, None, None, {"things": []})

    answer = end(run, None, capsys)
    assert set(answer) - {"warnings"} == {"changed", "diff", "things", "invocation"}
    assert answer["things"] == []


def test_check_mode_and_options_reach_the_run(capsys: Capture) -> None:
    seen: list[Any] = []

    def run(params: Json, check_mode: bool, client: Client) -> Result:
        seen.extend([params["name"], check_mode, client.token])
        return Result(False, None, None)

    end(run, "thing", capsys, name="demo", _ansible_check_mode=True)
    assert seen == ["demo", True, "key-of-the-unit-tests"]


def test_an_error_becomes_a_failure_with_its_own_words(capsys: Capture) -> None:
    def run(params: Json, check_mode: bool, client: Client) -> Result:
        raise ApiError("no", 400, {"detail": "no"})

    answer = end(run, "thing", capsys)
    assert (answer["failed"], answer["msg"], answer["status"], answer["problem"]) == (True, "no", 400, {"detail": "no"})


def test_a_wrong_address_is_a_failure_without_a_traceback(capsys: Capture) -> None:
    answer = end(lambda params, check_mode, client: Result(False, None, None), "thing", capsys, api_url="runpod")
    assert "api_url 'runpod' is not an address" in answer["msg"]


@pytest.mark.parametrize(("key", "said"), [("", "is empty"), ("key-in-a-file\n", "has a blank"), ("k\u00e4y", "has a")])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str, said: str, capsys: Capture) -> None:
    answer = end(lambda params, check_mode, client: Result(False, None, None), "thing", capsys, api_key=key)
    assert answer["msg"].startswith(f"api_key {said}") and "RUNPOD_API_KEY" in answer["msg"]
    assert not key or key.strip() not in json.dumps(answer)


def test_env_is_echoed_by_key_in_success_and_failure(capsys: Capture) -> None:
    def fine(params: Json, check_mode: bool, client: Client) -> Result:
        assert params["env"] == {"TOKEN": VALUE}
        return Result(False, None, None)

    def refused(params: Json, check_mode: bool, client: Client) -> Result:
        raise ApiError("no", 400)

    for run in (fine, refused):
        answer = end(run, "thing", capsys, env={"TOKEN": VALUE}, items=[{"env": {"TOKEN": VALUE}}])
        echo = answer["invocation"]["module_args"]
        assert echo["env"] == {"TOKEN": "********"} and echo["items"] == [{"env": {"TOKEN": "********"}}]
        assert VALUE not in json.dumps(answer) and "key-of-the-unit-tests" not in json.dumps(answer)


@pytest.mark.parametrize(
    "given",
    [
        {"env": VALUE},
        {"enviroment": {"TOKEN": VALUE}},
        {"items": [{"env": {"TOKEN": VALUE}, "colour": "red"}]},
        {"items": [{"env": VALUE}]},
        {"items": VALUE},
        {"env": {"TOKEN": VALUE}, "api_timeout": "soon"},
    ],
)
def test_env_is_not_echoed_when_the_arguments_are_refused(given: Json, capsys: Capture) -> None:
    answer = end(lambda params, check_mode, client: Result(False, None, None), "thing", capsys, **given)
    assert answer["failed"] and answer["invocation"]
    assert VALUE not in json.dumps(answer)


@pytest.mark.skipif(not SHOW_INVOCATION, reason="ansible-core before 2.19 shows the invocation unasked")
def test_without_invocation_there_is_none(capsys: Capture) -> None:
    def run(params: Json, check_mode: bool, client: Client) -> Result:
        return Result(False, None, None)

    assert "invocation" not in end(run, "thing", capsys, _ansible_inject_invocation=False)


def test_the_system_log_holds_no_value_of_env(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []

    def log(module: AnsibleModule, msg: str, log_args: Json | None = None) -> None:
        logged.append(msg + str(log_args))

    monkeypatch.setattr(AnsibleModule, "log", log)
    with patch_module_args({"api_key": "key-of-the-unit-tests", "name": "demo", "env": {"TOKEN": VALUE}}):
        module = CollectionModule(SPEC)
    module.log("a message of its own")
    assert "name=demo" in logged[0] and "TOKEN" in logged[0]
    assert VALUE not in logged[0] and "key-of-the-unit-tests" not in logged[0]
    assert logged[1] == "a message of its ownNone"


def test_escape_sequences_reach_no_terminal(capsys: Capture) -> None:
    def warned(params: Json, check_mode: bool, client: Client) -> Result:
        return Result(False, None, None, {}, ("mind \x1b[2J this\nand that",))

    def refused(params: Json, check_mode: bool, client: Client) -> Result:
        raise ApiError("no \x1b[2J", 400)

    assert r"mind \x1b[2J this" in warnings_of(end(warned, None, capsys))[-1]
    assert end(refused, None, capsys)["msg"] == r"no \x1b[2J"
