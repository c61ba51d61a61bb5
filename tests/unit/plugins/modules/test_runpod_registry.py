# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    ApiError,
    CollectionError,
    ConflictError,
    InputError,
    Json,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.modules import runpod_registry
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod, Lost, refusal, template

PASSWORD = "password-of-the-test"
PRESENT: Json = {
    "name": "team",
    "username": "puller",
    "password": PASSWORD,
    "update_password": "always",
    "state": "present",
}
ON_CREATE = {**PRESENT, "update_password": "on_create"}
ABSENT = {**PRESENT, "username": None, "password": None, "state": "absent"}
HELD = {"id": "r1", "name": "team"}
SHOWN = {**HELD, "logical_name": "team"}


def run(fake: FakeRunpod, params: Json, check_mode: bool = False) -> Result:
    return runpod_registry.run(params, check_mode, fake.client)


def test_nine_steps() -> None:
    fake = FakeRunpod()
    steps = [
        (PRESENT, "POST /registries", True, "PATCH /registries/id-1"),
        ({**PRESENT, "password": "another"}, "PATCH /registries/id-1", True, "PATCH /registries/id-1"),
        (ABSENT, "DELETE /registries/id-1", False, ""),
    ]
    for params, write, always, second in steps:
        for check_mode, changed, writes in (
            (True, True, []),
            (False, True, [write]),
            (False, always, [second][:always]),
        ):
            assert run(fake, params, check_mode).changed is changed
            assert fake.writes() == writes


def test_a_new_credential_is_what_was_asked_for() -> None:
    fake = FakeRunpod()
    predicted = run(fake, PRESENT, check_mode=True)
    assert predicted.results["registry"] == {"name": "team", "logical_name": "team"} and predicted.before is None
    done = run(fake, PRESENT)
    assert fake.current["registries"] == [{"id": "id-1", "name": "team", "username": "puller", "password": PASSWORD}]
    assert done.after == done.results["registry"] == {"id": "id-1", "name": "team", "logical_name": "team"}


def test_user_and_password_are_written_together() -> None:
    fake = FakeRunpod(registries=[dict(HELD)])
    assert run(fake, PRESENT).after == SHOWN
    assert fake.calls[1] == ("PATCH", "/registries/r1", {"username": "puller", "password": PASSWORD})


def test_on_create_leaves_an_existing_credential_alone() -> None:
    fake = FakeRunpod()
    assert run(fake, ON_CREATE).changed is True
    fake.requests()
    for check_mode in (True, False):
        outcome = run(fake, ON_CREATE, check_mode)
        assert (outcome.changed, outcome.warnings, fake.requests()) == (False, (), ["GET /registries"])


def test_on_create_tells_of_a_replacement_that_is_not_finished() -> None:
    fake = FakeRunpod(registries=[dict(HELD), {"id": "r2", "name": "team-alt"}])
    outcome = run(fake, ON_CREATE)
    assert outcome.changed is False and "team (r1) and team-alt (r2) mean the same" in outcome.warnings[0]
    assert run(fake, PRESENT).changed and [held["id"] for held in fake.current["registries"]] == ["r1"]


@pytest.mark.parametrize(("key", "kind"), [("templates", "template"), ("endpoints", "endpoint"), ("pods", "pod")])
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_credential_in_use_stays(key: str, kind: str, check_mode: bool) -> None:
    user = {**template("app", id="u1"), "registry": "r1", "status": "RUNNING"}
    fake = FakeRunpod(registries=[dict(HELD)], **{key: [user]})
    outcome = run(fake, ABSENT, check_mode)
    reason = f"The {kind} app (u1) refers to the credential team."
    assert (outcome.changed, outcome.after, fake.writes()) == (False, SHOWN, [])
    assert outcome.results["in_use_by"] == [
        {"kind": kind, "id": "u1", "name": "app", "registry": "r1", "reason": reason}
    ]
    assert outcome.warnings == (f"The credential team stays: {reason}",)


def test_of_two_that_mean_the_same_the_one_in_use_stays() -> None:
    fake = FakeRunpod(
        registries=[dict(HELD), {"id": "r2", "name": "team-alt"}], templates=[template("app", registry="r2")]
    )
    outcome = run(fake, ABSENT)
    assert outcome.changed and outcome.before["leftovers"] == ["team-alt (r2)"]
    assert outcome.results["registry"] == {"id": "r2", "name": "team-alt", "logical_name": "team"}
    assert run(fake, ABSENT).changed is False


def test_a_creation_whose_answer_was_lost_is_adopted_and_written() -> None:
    fake = FakeRunpod()
    fake.answers = [None, Lost()]
    assert run(fake, PRESENT).after["id"] == "id-1"
    assert fake.writes() == ["POST /registries", "PATCH /registries/id-1"]


@pytest.mark.parametrize(("held", "call"), [([], "POST /registries"), ([HELD], "PATCH /registries/r1")])
def test_a_key_without_the_scope_is_told_which(held: list[Json], call: str) -> None:
    fake = FakeRunpod(registries=[dict(one) for one in held])
    fake.answers = [None, refusal(403, "access denied")]
    with pytest.raises(ApiError, match=f"{call}: HTTP 403: access denied.*secrets:write") as caught:
        run(fake, PRESENT)
    assert caught.value.status == 403 and fake.writes() == [call]


@pytest.mark.parametrize("status", [400, 422])
def test_no_secret_shows(status: int) -> None:
    fake = FakeRunpod(registries=[dict(HELD)])
    outcomes = [run(fake, params, check) for params in (PRESENT, ABSENT) for check in (True, False)]
    assert PASSWORD not in repr(outcomes)
    fake.answers = [None, refusal(status, f"refused {PASSWORD}")]
    with pytest.raises(CollectionError, match=f"HTTP {status}") as caught:
        run(fake, PRESENT)
    assert PASSWORD not in json.dumps(caught.value.as_result()) + repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": ""}, "name must not be empty"),
        ({"name": "team-alt"}, "use 'team'"),
        ({"username": ""}, "username must have 1 to 191"),
        ({"username": "u" * 192}, "username must have 1 to 191"),
        ({"password": ""}, "password must have 1 to 16384"),
        ({"password": "p" * 16385}, "password must have 1 to 16384"),
    ],
)
def test_what_runpod_would_refuse_is_refused_before_any_call(options: Json, says: str) -> None:
    fake = FakeRunpod()
    with pytest.raises(InputError, match=says) as caught:
        run(fake, {**PRESENT, **options})
    assert fake.calls == [] and "pppp" not in str(caught.value)


def test_two_credentials_with_the_name_are_an_error() -> None:
    fake = FakeRunpod(registries=[dict(HELD), {**HELD, "id": "r2"}])
    for params in (PRESENT, ON_CREATE, ABSENT):
        with pytest.raises(ConflictError, match="ids r1, r2"):
            run(fake, params)
    assert fake.writes() == []


def test_a_new_credential_needs_a_login(capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {"name": "team", "api_key": "k", "username": "u"}
    with patch_module_args(given), pytest.raises(SystemExit):
        runpod_registry.main()
    assert "missing: password" in json.loads(capsys.readouterr().out)["msg"]
