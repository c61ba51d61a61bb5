# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpuops.runpod.plugins.doc_fragments.runpod import ModuleDocFragment
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.connection import ARGUMENTS, runpod_client

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


def test_the_key_is_required(capsys: Capture) -> None:
    with patch_module_args({}), pytest.raises(SystemExit):
        AnsibleModule(ARGUMENTS)
    assert "api_key" in json.loads(capsys.readouterr().out)["msg"]
