# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.ecr_token import Token
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    ApiError,
    CollectionError,
    ConflictError,
    InputError,
    Json,
    SupersededError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._sink import awx
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.awx import Awx
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.target import Registries, SinkState
from ansible_collections.gpuops.runpod.tests.unit.plugins.sinks import HOST, AwxTarget

OTHER = HOST.replace("123456789012", "111122223333")
TOKEN = Token("AWS", "secret-of-the-token", datetime(2026, 8, 1, 12, tzinfo=timezone.utc))
NOBODY: Json = dict.fromkeys(("host", "oauth_token", "username", "password", "ca_path"))
OPTIONS: Json = {**NOBODY, "name": "ECR", "organization": "Default", "validate_certs": True}


@pytest.fixture(params=["/api/", "/api/controller/"])
def target(tmp_path: Path, request: pytest.FixtureRequest) -> AwxTarget:
    """AWX by itself, and behind the gateway of Ansible Automation Platform."""
    return AwxTarget(tmp_path, request.param)


def sink(target: AwxTarget, host: str = HOST) -> Awx:
    return target.connect(Registries("us-east-1", (host,)))


def write(target: AwxTarget, host: str = HOST) -> SinkState:
    credential = sink(target, host)
    return credential.write(credential.read(), TOKEN, "AKIAIOSFODNN7EXAMPLE")


def test_the_credential_is_what_execution_environments_pull_with(target: AwxTarget) -> None:
    assert write(target).metadata
    held = target.credential()
    assert held and held["inputs"] == {
        "host": HOST,
        "username": "AWS",
        "password": "secret-of-the-token",
        "verify_ssl": True,
    }
    assert (held["credential_type"], held["organization"]) == (target.kind, 1)
    assert held["description"].startswith("Amazon ECR token for us-east-1 [gpuops.runpod: 2026-08-01T12:00:00Z ")


def test_what_others_have_set_stays(target: AwxTarget) -> None:
    target.let_others_write()
    held = target.credential()
    assert held
    held["inputs"]["verify_ssl"], held["description"] = False, "Of team B"
    write(target)
    assert held["inputs"]["verify_ssl"] is False and held["description"].startswith("Of team B [gpuops.runpod: ")


def test_another_registry_or_user_is_set_back(target: AwxTarget) -> None:
    assert not write(target).drift
    assert sink(target, OTHER).read().drift
    held = target.credential()
    assert held
    held["inputs"]["username"] = "somebody"
    assert sink(target).read().drift and not write(target).drift


def test_any_later_change_makes_the_password_unknown(target: AwxTarget) -> None:
    write(target)
    assert sink(target).read().metadata
    target.now += timedelta(minutes=2)
    held = target.credential()
    assert held
    target.controller.modified["credentials", held["id"]] = target.now
    assert sink(target).read().metadata is None


@pytest.mark.parametrize("modified", [None, 7, "yesterday"])
def test_a_date_of_another_form_tells_nothing(target: AwxTarget, modified: Any) -> None:
    state = write(target)
    assert sink(target)._is_settled(state.metadata, {"modified": modified}) is False  # type: ignore[arg-type]


def test_a_credential_that_environments_pull_with_stays(target: AwxTarget) -> None:
    write(target)
    held = target.credential()
    assert held
    target.state = "absent"
    environment = target.controller.add("execution_environments", {"name": "GPU", "credential": held["id"]})
    assert "execution environments pull with it (GPU)" in sink(target).read().retained
    environment["credential"] = None
    assert sink(target).read().retained == ""


def test_one_that_another_run_has_made_meanwhile_is_noticed(target: AwxTarget) -> None:
    credential = sink(target)
    state = credential.read()
    write(target)
    with pytest.raises(SupersededError, match="has made AWX' credential ECR meanwhile"):
        credential.write(state, TOKEN, "KEY")


def test_a_refusal_names_the_field_and_not_the_token(target: AwxTarget) -> None:
    credential = sink(target)
    state = credential.read()
    target.controller.things["credential_types"][target.kind]["inputs"] = {"fields": []}
    with pytest.raises(ApiError, match="HTTP 400: inputs: .*Additional properties") as caught:
        credential.write(state, TOKEN, "KEY")
    assert TOKEN.password not in str(caught.value)


def test_what_is_not_there_is_told(target: AwxTarget) -> None:
    state = sink(target).read()
    target.controller.things["organizations"][1]["name"] = "Other"
    with pytest.raises(InputError, match="no organization 'Default'"):
        sink(target).write(state, TOKEN, "KEY")
    del target.controller.things["credential_types"][target.kind]
    with pytest.raises(ConflictError, match="no credential type for container registries"):
        sink(target).read()


@pytest.mark.parametrize("listed", [{}, {"results": {}}, {"results": [1]}, {"results": [{}]}])
def test_a_listing_of_another_form_is_told(target: AwxTarget, listed: Json) -> None:
    plain = target.handle
    target.opener.handle = lambda method, path, *more: (
        (200, listed) if "credential_types" in path else plain(method, path, *more)
    )
    with pytest.raises(CollectionError, match="AWX: GET credential_types: the answer h"):
        sink(target).read()


def test_a_credential_is_for_one_registry(target: AwxTarget) -> None:
    with pytest.raises(InputError, match="for one registry"):
        target.connect(Registries("us-east-1", (HOST, OTHER)))


def connected(**options: Any) -> Awx:
    module = SimpleNamespace(params={"state": "present"})
    return awx.connect({**OPTIONS, **options}, Registries("us-east-1", (HOST,)), module)


def test_an_address_and_a_login_are_needed() -> None:
    assert connected(host="awx.example.com", oauth_token="t").api.headers["Authorization"] == "Bearer t"
    basic = connected(host="http://127.0.0.1:8052/", username="me", password="p").api
    assert (basic.url, basic.headers["Authorization"]) == ("http://127.0.0.1:8052", "Basic bWU6cA==")
    for options, named in (
        ({"oauth_token": "t"}, "awx.host is missing"),
        ({"host": "awx.example.com"}, "awx.oauth_token is missing"),
        ({"host": "https://me:hush@awx.example.com", "oauth_token": "t"}, "without a login"),
        ({"host": "ftp://awx.example.com", "oauth_token": "t"}, "must be an address"),
    ):
        with pytest.raises(InputError, match=named) as caught:
            connected(**options)
        assert "hush" not in str(caught.value)
