# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No module shows what its spec calls secret, whatever ansible-core does about it: newer versions do nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.module import CollectionModule, execute
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.tests.module_args import SHOW_INVOCATION, patch_module_args, result_of

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
ASKS_NO_CLOUD = {"runpod_ecr_result"}  # so it takes no secret
MODULES = sorted({path.stem for path in (PLUGINS / "modules").glob("*.py")} - ASKS_NO_CLOUD)
ALIASES = {"secret_key": "aws_secret_access_key", "session_token": "aws_session_token"}
Capture = pytest.CaptureFixture[str]


class SpecError(Exception):
    """What a module's main() would make its module of."""


@pytest.fixture(autouse=True)
def ansible_core_masks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basic, "remove_values", lambda value, secrets: value)
    monkeypatch.setitem(AnsibleAWSModule.default_settings, "module_class", basic.AnsibleModule)


def spec_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Json:
    def capture(dummy: Any, argument_spec: Json, **options: Any) -> None:
        raise SpecError(argument_spec)

    module = import_module(f"ansible_collections.gpuops.runpod.plugins.modules.{name}")
    with monkeypatch.context() as patched, pytest.raises(SpecError) as caught:
        patched.setattr(CollectionModule, "__init__", capture)
        module.main()
    return caught.value.args[0]


def planted(spec: Json, place: str = "secret") -> Iterator[tuple[str, Any]]:
    """Yield an option and a value for each that is secret, or holds one that is."""
    for name, option in spec.items():
        if option.get("no_log"):
            yield ALIASES.get(name, name), f"{place}-of-{name}"
        elif inner := dict(planted(option.get("options") or {}, f"{place}-of-{name}")):
            yield name, [inner] if option["type"] == "list" else inner


def without_demands(spec: Json) -> Json:
    """Return a spec of the same types and secrets that takes whatever is planted."""
    kept = ("type", "elements", "no_log", "aliases", "options")
    return {
        name: {
            key: without_demands(option[key]) if key == "options" else option[key]
            for key in kept
            if option.get(key) is not None
        }
        for name, option in spec.items()
    }


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("ending", ["success", "failure", "refused arguments"])
def test_no_secret_option_shows_in_a_result(
    name: str, ending: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    spec = spec_of(name, monkeypatch)
    plants = dict(planted(spec))
    assert plants, "each module has at least its own or AWS' credentials"
    logged: list[str] = []
    monkeypatch.setattr(
        basic.AnsibleModule, "log", lambda dummy, msg, log_args=None: logged.append(f"{msg} {log_args}")
    )

    def run(params: Json, check_mode: bool, dummy: Any) -> Result:
        if ending == "failure":
            raise CollectionError(f"refused with {plants}")
        return Result(False, {"was": plants}, {"is": plants}, {"echo": plants}, ())

    more = {"colour": "red"} if ending == "refused arguments" else {}
    with patch_module_args({**plants, **more, **SHOW_INVOCATION}), pytest.raises(SystemExit):
        execute(CollectionModule(without_demands(spec), supports_check_mode=True), run, "thing", lambda module: None)
    answer = result_of(capsys.readouterr().out)
    text = json.dumps(answer)
    assert answer.get("failed", False) is (ending != "success")
    assert set(plants) <= set(answer["invocation"]["module_args"])
    assert "secret-of-" not in text and "secret-of-" not in "".join(logged)
    assert logged or ending == "refused arguments"


@pytest.mark.parametrize("name", MODULES)
def test_each_module_ends_in_the_one_way(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Also where amazon.aws makes the module: credentials of the environment show no more than those of the task."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-environment")
    monkeypatch.setenv("RUNPOD_API_KEY", "secret-of-the-environment")
    module = import_module(f"ansible_collections.gpuops.runpod.plugins.modules.{name}")
    with patch_module_args({"colour": "red", **SHOW_INVOCATION}), pytest.raises(SystemExit):
        module.main()
    answer = result_of(capsys.readouterr().out)
    text = json.dumps(answer)
    assert answer["failed"]
    assert "secret-of-" not in text and "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in text
