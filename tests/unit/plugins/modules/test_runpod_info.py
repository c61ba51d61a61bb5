# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpuops.runpod.plugins.module_utils._errors import ApiError, Json
from ansible_collections.gpuops.runpod.plugins.modules.runpod_info import KINDS, main, references, run
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod, refusal, template


def thing(name: str, **fields: Any) -> Json:
    return {"id": f"id-{name}", "name": name, "image": "app:1", "registry": None, "env": {"TOKEN": "hush"}, **fields}


def account() -> FakeRunpod:
    return FakeRunpod(
        registries=[{"id": "r2", "name": "two"}, {"id": "r1", "name": "one"}],
        delegations=[
            {"id": "d1", "name": None, "repository": "app", "awsUser": "123456789012", "awsRegion": "eu-west-1"}
        ],
        templates=[
            template("b", registry="r1", env={"TOKEN": "hush"}),
            template("a", mounts={"persistent": {"size": 20, "path": "/data"}}),
        ],
        endpoints=[thing("e", registry="r1", workers={"idleTimeout": 5}, dataCenterIds=["EU-RO-1"])],
        pods=[
            thing("p", registry="r1", status="RUNNING"),
            thing("q", registry="lost", status="EXITED"),
            thing("z", registry="r2", status="TERMINATED"),
        ],
    )


def test_each_kind_is_one_request_and_nothing_is_written() -> None:
    fake = account()
    for check_mode in (True, False):
        assert run({"gather": list(KINDS)}, check_mode, fake.client).changed is False
        assert fake.requests() == [
            "GET /templates",
            "GET /registries",
            "GET /registries/delegations",
            "GET /serverless",
            "GET /pods?includeClusterPods=true",
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_asked_for_is_read(kind: str) -> None:
    fake = account()
    outcome = run({"gather": [kind]}, False, fake.client)
    assert len(fake.calls) == 1
    assert set(outcome.results) == {kind, "references"}
    assert outcome.results["references"] is None


def test_things_are_shown_with_the_names_of_options_and_in_order() -> None:
    results = run({"gather": list(KINDS)}, False, account().client).results
    assert [shown["name"] for shown in results["templates"]] == ["a", "b"]
    assert results["templates"][0]["persistent_mount"] == {"size": 20, "path": "/data"}
    assert results["templates"][1]["env"] == {"TOKEN": "********"}
    assert [shown["name"] for shown in results["registries"]] == ["one", "two"]
    assert results["delegations"][0]["aws_user"] == "123456789012"
    assert results["endpoints"][0]["workers"] == {"idle_timeout": 5}
    assert results["endpoints"][0]["data_center_ids"] == ["EU-RO-1"]
    assert "hush" not in str(results)


def test_references_tell_what_uses_a_credential() -> None:
    found = run({"gather": list(KINDS)}, False, account().client).results["references"]
    assert found == {
        "r1": {
            "name": "one",
            "templates": [{"id": "t-b", "name": "b"}],
            "endpoints": [{"id": "id-e", "name": "e"}],
            "pods": [{"id": "id-p", "name": "p"}],
        },
        "r2": {"name": "two", "templates": [], "endpoints": [], "pods": []},  # a terminated pod uses nothing
        "lost": {"name": None, "templates": [], "endpoints": [], "pods": [{"id": "id-q", "name": "q"}]},
    }


def test_references_need_everything_that_can_refer() -> None:
    held: dict[str, list[Json]] = {"registries": [], "templates": [], "endpoints": [], "pods": []}
    assert references(held) == {}
    for kind in held:
        assert references({key: things for key, things in held.items() if key != kind}) is None


def test_a_missing_scope_is_an_error_and_no_empty_list() -> None:
    fake = account()
    fake.answers = [refusal(403, "access denied")]
    with pytest.raises(ApiError, match="GET /templates: HTTP 403: access denied.* lacks read access"):
        run({"gather": list(KINDS)}, False, fake.client)


def test_another_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    args = {"api_key": "key-of-the-unit-tests", "gather": ["volumes"]}
    with patch_module_args(args), pytest.raises(SystemExit):
        main()
    assert "gather must be one or more of" in json.loads(capsys.readouterr().out)["msg"]
