# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

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
from ansible_collections.gpuops.runpod.plugins.modules import runpod_secret
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args, result_of
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import Lost, refusal
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

VALUE = "hush-hush-of-the-test"
PRESENT: Json = {
    "name": "hub-token",
    "value": VALUE,
    "value_date": None,
    "update_value": "always",
    "description": None,
    "state": "present",
}
ON_CREATE = {**PRESENT, "update_value": "on_create"}
DESCRIBED = {**ON_CREATE, "description": "For the hub"}
ABSENT = {**PRESENT, "value": None, "state": "absent"}
NOW, LATER = "2027-01-15T08:00:00Z", "2027-01-15T09:00:00+00:30"
POST, PATCH, DELETE = ("POST /account/secrets", "PATCH /account/secrets/s1", "DELETE /account/secrets/s1")


@pytest.fixture
def runpod() -> SimulatedRunpod:
    return SimulatedRunpod()


def seed(runpod: SimulatedRunpod, **fields: Any) -> Json:
    return runpod.seed("secrets", **{"id": "s1", "name": "hub-token", "value": "former", **fields})


def run(runpod: SimulatedRunpod, params: Json, check_mode: bool = False, **changes: Any) -> Result:
    return runpod_secret.run({**params, **changes}, check_mode, runpod.client)


def test_nine_steps(runpod: SimulatedRunpod) -> None:
    runpod.simulator.world._new_id = lambda: "s1"
    steps = [
        (DESCRIBED, POST, False),
        ({**DESCRIBED, "description": "For another"}, PATCH, False),
        (PRESENT, PATCH, True),
        (ABSENT, DELETE, False),
    ]
    for params, write, always in steps:
        for check_mode, changed, writes in (
            (True, True, []),
            (False, True, [write]),
            (False, always, [write] * always),
        ):
            runpod.requests()
            assert run(runpod, params, check_mode).changed is changed
            assert [request for request in runpod.requests() if not request.startswith("GET")] == writes


def test_a_new_secret_is_what_was_asked_for(runpod: SimulatedRunpod) -> None:
    predicted = run(runpod, PRESENT, True, description="For the hub")
    assert predicted.after == {"name": "hub-token", "description": "For the hub", "value_last_updated_at": None}
    done = run(runpod, PRESENT, description="For the hub")
    [held] = runpod.state("secrets")
    assert (held["name"], held["value"], held["description"]) == ("hub-token", VALUE, "For the hub")
    assert (
        done.after
        == done.results["secret"]
        == {
            "id": held["id"],
            "name": "hub-token",
            "description": "For the hub",
            "created_at": NOW,
            "value_last_updated_at": NOW,
        }
    )


@pytest.mark.parametrize(
    ("date", "written"),
    [("2027-01-15T07:59:59Z", False), (NOW, False), (LATER, True), ("2027-01-15T08:00:01Z", True)],
)
def test_a_value_is_written_when_it_is_younger_than_the_one_that_is_there(
    runpod: SimulatedRunpod, date: str, written: bool
) -> None:
    seed(runpod, valueLastUpdatedAt=NOW)
    assert run(runpod, PRESENT, value_date=date).changed is written
    assert runpod.state("secrets")[0]["value"] == (VALUE if written else "former")


@pytest.mark.parametrize("there", [None, "", "yesterday"])
def test_a_value_of_unknown_age_is_written(runpod: SimulatedRunpod, there: str | None) -> None:
    seed(runpod, valueLastUpdatedAt=there)
    assert run(runpod, PRESENT, value_date="2020-01-01T00:00:00Z").changed


def test_on_create_leaves_the_value_alone_and_a_description_is_cleared_when_empty(runpod: SimulatedRunpod) -> None:
    seed(runpod, description="Theirs")
    assert run(runpod, ON_CREATE).changed is False
    done = run(runpod, ON_CREATE, description="")
    assert done.before["description"] == "Theirs" and not done.after["description"]
    assert run(runpod, ON_CREATE, description="").changed is False
    assert runpod.state("secrets")[0]["value"] == "former"


def test_value_and_description_are_written_one_after_the_other(runpod: SimulatedRunpod) -> None:
    seed(runpod)
    run(runpod, PRESENT, description="For the hub")
    bodies = [body for method, dummy, body in runpod.calls if method == "PATCH"]
    assert bodies == [{"value": VALUE}, {"description": "For the hub"}]


@pytest.mark.parametrize(("key", "kind"), [("templates", "template"), ("endpoints", "endpoint"), ("pods", "pod")])
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_secret_in_use_stays(runpod: SimulatedRunpod, key: str, kind: str, check_mode: bool) -> None:
    seed(runpod)
    runpod.seed(key, id="u1", name="app", env={"A": "1", "TOKEN": "Bearer {{RUNPOD_SECRET_hub-token }}"})
    runpod.seed(key, id="u2", name="other", env={"TOKEN": "{{ RUNPOD_SECRET_hub-token-2 }}"})
    outcome = run(runpod, ABSENT, check_mode)
    reason = f"The {kind} app (u1) refers to the secret hub-token."
    assert outcome.changed is False and len(runpod.state("secrets")) == 1
    assert outcome.results["in_use_by"] == [{"kind": kind, "id": "u1", "name": "app", "reason": reason}]
    assert outcome.warnings == (f"The secret hub-token (s1) stays: {reason}",)


def test_names_that_differ_in_their_case_are_never_chosen_between(runpod: SimulatedRunpod) -> None:
    seed(runpod, name="HUB-token")
    with pytest.raises(ConflictError, match=r"HUB-token \(s1\)"):
        run(runpod, PRESENT)
    seed(runpod, id="s2")
    with pytest.raises(ConflictError, match="HUB-token"):
        run(runpod, ABSENT)


@pytest.mark.parametrize("fault", [None, 409])
def test_what_another_run_or_a_lost_answer_has_made_is_adopted(runpod: SimulatedRunpod, fault: int | None) -> None:
    if fault:
        plain, seeded = runpod.handle, []

        def handle(method: str, path: str, body: Json | None) -> Any:
            if method == "POST" and not seeded:
                seeded.append(seed(runpod))
            return plain(method, path, body)

        runpod.handle = handle  # type: ignore[method-assign]
    else:
        runpod.answers = [None, Lost()]
    outcome = run(runpod, PRESENT, description="For the hub")
    [held] = runpod.state("secrets")
    assert outcome.after["id"] == held["id"] and (held["value"], held["description"]) == (VALUE, "For the hub")


def test_a_creation_that_came_to_nothing_is_an_error(runpod: SimulatedRunpod) -> None:
    runpod.answers = [None, refusal(422, "value: refused")]
    with pytest.raises(ApiError, match="HTTP 422"):
        run(runpod, PRESENT)
    assert runpod.state("secrets") == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": ""}, "takes no secret called ''"),
        ({"name": "1st"}, "takes no secret"),
        ({"name": "RunPod_x"}, "anything but RUNPOD"),
        ({"name": "a" * 192}, "up to 191"),
        ({"value": ""}, "must not be empty"),
        ({"value": "é" * 2**23}, "16,777,215 bytes"),
        ({"description": "x" * 65536}, "65,535 bytes"),
        ({"value": None}, "value is required"),
        ({"value_date": "yesterday"}, "value_date is 'yesterday'"),
    ],
)
def test_what_runpod_would_refuse_is_refused_before_anything_is_written(
    runpod: SimulatedRunpod, changes: Json, named: str
) -> None:
    with pytest.raises(InputError, match=named):
        run(runpod, PRESENT, **changes)
    assert not runpod.writes()


def test_a_refused_write_does_not_repeat_the_value(runpod: SimulatedRunpod) -> None:
    seed(runpod)
    runpod.answers = [None, refusal(400, f"not {VALUE}")]
    with pytest.raises(CollectionError) as caught:
        run(runpod, PRESENT)
    assert VALUE not in str(caught.value.as_result())


def test_a_key_without_the_right_is_told_so(runpod: SimulatedRunpod) -> None:
    runpod.simulator.switch(scopes=["secrets:read"])
    with pytest.raises(ApiError, match="lacks write access to secrets of the account"):
        run(runpod, PRESENT)


def test_the_module_wants_a_value_beside_its_date(capsys: pytest.CaptureFixture[str]) -> None:
    with patch_module_args({"name": "x", "value_date": NOW, "api_key": "k"}), pytest.raises(SystemExit):
        runpod_secret.main()
    assert "value" in result_of(capsys.readouterr().out)["msg"]
