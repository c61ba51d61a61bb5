# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpuops.runpod.plugins.doc_fragments.runpod import ModuleDocFragment
from ansible_collections.gpuops.runpod.plugins.module_utils._core.module import CollectionModule, execute
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.connection import ARGUMENTS, runpod_client
from ansible_collections.gpuops.runpod.tests.module_args import SHOW_INVOCATION, patch_module_args

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    monkeypatch.delenv("RUNPOD_API_BASE_URL", raising=False)


def test_the_fragment_mirrors_the_arguments() -> None:
    yaml = pytest.importorskip("yaml")
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert list(documented) == list(ARGUMENTS)
    for name, option in ARGUMENTS.items():
        assert [documented[name].get(key) for key in ("type", "default", "required")] == [
            option.get(key) for key in ("type", "default", "required")
        ]


def test_the_connection_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "key-of-the-environment")
    monkeypatch.setenv("RUNPOD_API_BASE_URL", "http://127.0.0.1:8080")
    with patch_module_args({}):
        client = runpod_client(AnsibleModule(ARGUMENTS))
    assert isinstance(client, Client)
    assert (client.url, client.token) == ("http://127.0.0.1:8080/v2", "key-of-the-environment")


def test_a_missing_key_is_an_error_that_names_the_variable(capsys: Capture) -> None:
    with patch_module_args({}), pytest.raises(SystemExit):
        execute(CollectionModule(ARGUMENTS), lambda *dummy: pytest.fail("ran"), None, runpod_client)
    assert json.loads(capsys.readouterr().out)["msg"] == (
        "api_key is missing: set it, or the environment variable RUNPOD_API_KEY, to an API key."
    )


def test_a_password_in_the_address_is_not_echoed(capsys: Capture) -> None:
    given = {"api_key": "k", "api_url": "https://me:hush-hush@proxy.example/v2", **SHOW_INVOCATION}
    with patch_module_args(given), pytest.raises(SystemExit):
        execute(CollectionModule(ARGUMENTS), lambda *dummy: pytest.fail("ran"), None, runpod_client)
    answer = json.loads(capsys.readouterr().out)
    assert "holds a user or password" in answer["msg"] and "hush-hush" not in json.dumps(answer)
    assert answer["invocation"]["module_args"]["api_url"] == "https://********@proxy.example/v2"
