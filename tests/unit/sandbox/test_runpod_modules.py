# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of RunPod's templates against the simulator, which is as strict as the API."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._errors import ApiError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._template import OPTIONS
from ansible_collections.gpuops.runpod.plugins.modules import runpod_info, runpod_template, runpod_templates
from ansible_collections.gpuops.runpod.tests.sandbox.runpod import API_KEY, RunpodSimulator
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import Answer, answer

UNSET: Json = {option: None for option in OPTIONS} | {"name": "demo", "state": "present"}


class Account:
    """The simulator behind the real client, as its opener."""

    def __init__(self) -> None:
        self.simulator = RunpodSimulator()
        self.client = Client("https://runpod.test", API_KEY, self)
        self.writes: list[str] = []

    def open(self, method: str, url: str, data: str | None = None, headers: dict[str, str] | None = None) -> Answer:
        parts = urlsplit(url)
        if method != "GET":
            self.writes.append(method)
        query, body = dict(parse_qsl(parts.query)), (data or "").encode()
        status, given, document = self.simulator.handle(method, parts.path, query, headers or {}, body)
        return answer(url, status, given, b"" if document is None else document)

    def template(self, check_mode: bool = False, **options: Any) -> Any:
        return runpod_template.run({**UNSET, **options}, check_mode, self.client)


@pytest.fixture
def account() -> Account:
    made = Account()
    made.simulator.seed("registries", {"id": "r1", "name": "one"})
    return made


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


def check_then_do_then_again(account: Account, options: Json, write: str) -> Json | None:
    """Take a step in check mode, for real, and again; return the template, which the check must have predicted."""
    predicted = account.template(check_mode=True, **options)
    assert (predicted.changed, account.writes) == (True, [])
    done = account.template(**options)
    assert (done.changed, account.writes) == (True, [write])
    assert (account.template(**options).changed, account.writes) == (False, [write])
    account.writes.clear()
    made = done.results["template"]
    expected = made and {
        key: value for key, value in made.items() if key != "id" or "id" in predicted.results["template"]
    }
    assert predicted.results["template"] == expected
    return made


def test_nine_steps_with_every_option(account: Account) -> None:
    made = check_then_do_then_again(account, EVERYTHING, "POST")
    assert made and made["registry"] == "r1" and made["persistent_mount"] == {"size": 20, "path": "/data"}
    check_then_do_then_again(account, {**EVERYTHING, "image": "app:2", "disk": 90, "env": {"A": "y"}}, "PATCH")
    assert check_then_do_then_again(account, {"state": "absent"}, "DELETE") is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("image", "app:2"),
        ("args", ""),
        ("disk", 81),
        ("env", {}),
        ("env", {"A": "y"}),
        ("ports", []),
        ("ports", ["22/tcp"]),
        ("registry", ""),
        ("persistent_mount", {"size": 30, "path": "/data"}),
        ("public", False),
        ("category", "AMD"),
        ("start_ssh", True),
        ("start_jupyter", True),
        ("allowed_cuda_versions", []),
    ],
)
def test_each_option_alone_can_be_changed_or_cleared(account: Account, option: str, value: Any) -> None:
    account.template(**EVERYTHING)
    account.writes.clear()
    check_then_do_then_again(account, {option: value}, "PATCH")


def test_the_least_template_gets_the_defaults_that_are_predicted(account: Account) -> None:
    check_then_do_then_again(account, {"image": "app:1"}, "POST")


def test_a_refused_template_tells_why(account: Account) -> None:
    with pytest.raises(ApiError, match="POST /templates: HTTP 400: .*mount"):
        account.template(image="app:1", serverless=True, persistent_mount={"size": 20, "path": "/data"})


def test_a_fleet_is_made_changed_and_pruned(account: Account) -> None:
    def fleet(image: str, size: int) -> tuple[bool, Json]:
        items = [{**UNSET, "name": f"t{n:02}", "image": image, "registry": "one"} for n in range(size)]
        params = {"templates": items, "prune": True, "prune_pattern": "t*", "on_error": "continue"}
        outcome = runpod_templates.run(params, False, account.client)
        return outcome.changed, {key: number for key, number in outcome.results["summary"].items() if number}

    assert fleet("app:1", 20) == (True, {"created": 20})
    assert fleet("app:1", 20) == (False, {"unchanged": 20})
    assert fleet("app:2", 15) == (True, {"changed": 15, "deleted": 5})


def test_what_an_account_holds_is_read(account: Account) -> None:
    account.template(**EVERYTHING)
    account.simulator.seed("endpoints", {"name": "e", "image": "app:1", "registry": "r1"})
    account.simulator.seed("pods", {"name": "p", "image": "app:1"})
    results = runpod_info.run(
        {"gather": list(runpod_info.KINDS), "credential_expiry": None}, False, account.client
    ).results
    assert [len(results[kind]) for kind in runpod_info.KINDS] == [1, 1, 0, 1, 1]
    used = results["references"]["r1"]
    assert (used["name"], [len(used[kind]) for kind in ("templates", "endpoints", "pods")]) == ("one", [1, 1, 0])
