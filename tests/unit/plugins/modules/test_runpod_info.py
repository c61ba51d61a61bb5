# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ApiError, InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.account import KINDS, run
from ansible_collections.gpuops.runpod.plugins.modules.runpod_info import main
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod, refusal, template

ALL: Json = {"gather": list(KINDS), "credential_expiry": None}
NOW = datetime(2026, 8, 31, 12, tzinfo=timezone.utc)


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
        assert run(ALL, check_mode, fake.client).changed is False
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
    outcome = run({**ALL, "gather": [kind]}, False, fake.client)
    assert len(fake.calls) == 1
    assert set(outcome.results) == {kind, "references", "findings"}
    assert outcome.results["references"] is None


def test_things_are_shown_with_the_names_of_options_and_in_order() -> None:
    results = run(ALL, False, account().client).results
    assert [shown["name"] for shown in results["templates"]] == ["a", "b"]
    assert results["templates"][0]["persistent_mount"] == {"size": 20, "path": "/data"}
    assert results["templates"][1]["env"] == {"TOKEN": "********"}
    assert [shown["name"] for shown in results["registries"]] == ["one", "two"]
    assert results["delegations"][0]["aws_user"] == "123456789012"
    assert results["delegations"][0]["repository_arn"] == "arn:aws:ecr:eu-west-1:123456789012:repository/app"
    assert results["endpoints"][0]["workers"] == {"idle_timeout": 5}
    assert results["endpoints"][0]["data_center_ids"] == ["EU-RO-1"]
    assert "hush" not in str(results)


def test_references_tell_what_uses_a_credential() -> None:
    found = run(ALL, False, account().client).results["references"]
    nobody: Json = {"templates": [], "endpoints": [], "pods": []}
    assert found == {
        "r1": {
            "kind": "registry",
            "name": "one",
            "ids": ["r1"],
            "templates": [{"id": "t-b", "name": "b"}],
            "endpoints": [{"id": "id-e", "name": "e"}],
            "pods": [{"id": "id-p", "name": "p"}],
        },
        "r2": {"kind": "registry", "name": "two", "ids": ["r2"], **nobody},  # a terminated pod uses nothing
        "lost": {"kind": "registry", "name": None, "ids": [], **nobody, "pods": [{"id": "id-q", "name": "q"}]},
        "arn:aws:ecr:eu-west-1:123456789012:repository/app": {
            "kind": "delegation",
            "name": "app",
            "ids": ["d1"],
            **nobody,
        },
    }


def test_findings_need_no_further_request() -> None:
    fake = account()
    found = run({**ALL, "credential_expiry": {"r1": "2026-08-31T13:00:00Z"}}, False, fake.client, lambda: NOW).results
    assert [(one["code"], one["id"]) for one in found["findings"]] == [
        ("credential_gone", "id-q"),
        ("token_ends_soon", "r1"),
        ("credential_unused", "r2"),
        ("delegation_unused", "d1"),
    ]
    assert len(fake.calls) == len(KINDS)


def test_tokens_are_judged_only_on_request() -> None:
    found = run(ALL, False, account().client).results["findings"]
    assert {one["code"] for one in found} == {"credential_gone", "credential_unused", "delegation_unused"}


def test_a_timestamp_that_is_none_is_refused_before_a_request() -> None:
    fake = account()
    with pytest.raises(InputError, match="credential_expiry.r1: 'soon' is not a timestamp"):
        run({**ALL, "credential_expiry": {"r1": "soon"}}, False, fake.client)
    assert fake.calls == []


def test_a_missing_scope_is_an_error_and_no_empty_list() -> None:
    fake = account()
    fake.answers = [refusal(403, "access denied")]
    with pytest.raises(ApiError, match="GET /templates: HTTP 403: access denied.* lacks read access"):
        run(ALL, False, fake.client)


def test_another_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    args = {"api_key": "key-of-the-unit-tests", "gather": ["volumes"]}
    with patch_module_args(args), pytest.raises(SystemExit):
        main()
    assert "gather must be one or more of" in json.loads(capsys.readouterr().out)["msg"]
