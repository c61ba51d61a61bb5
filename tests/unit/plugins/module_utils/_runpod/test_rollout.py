# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from unittest.mock import patch

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ApiError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.rollout import RolloutStatus, follow, read_status
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

OLD = {"id": "w1", "status": "RUNNING", "isStale": True}
PATH = "/serverless/e1"


def worker(status: str) -> Json:
    return {"id": f"w-{status}", "status": status, "isStale": False}


def sight(*workers: Json, under_way: bool = False) -> RolloutStatus:
    return RolloutStatus(4, {"inProgress": under_way}, workers)


@pytest.mark.parametrize(
    ("seen", "over"),
    [
        (RolloutStatus(), False),
        (sight(), True),
        (sight(under_way=True), False),
        (sight(worker("IDLE"), under_way=True), False),
        (sight(worker("IDLE"), OLD), False),
        (sight(worker("RUNNING")), True),
        (sight(worker("INITIALIZING")), False),
        (sight(worker("UNHEALTHY"), worker("THROTTLED")), False),
        (sight(worker("UNHEALTHY"), worker("IDLE")), True),
    ],
)
def test_when_a_roll_out_is_over(seen: RolloutStatus, over: bool) -> None:
    assert seen.over is over


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (RolloutStatus(), "RunPod does not tell of the endpoint yet"),
        (sight(), "RunPod tells of no worker"),
        (
            sight(worker("UNHEALTHY"), OLD),
            "w-UNHEALTHY is UNHEALTHY with the newest version, w1 is RUNNING with an older version",
        ),
    ],
)
def test_a_sight_in_words(seen: RolloutStatus, says: str) -> None:
    assert seen.describe() == says


def test_workers_are_asked_for_only_when_they_count() -> None:
    runpod = SimulatedRunpod()
    runpod.simulator.switch(rollout_reads=None)
    runpod.seed("endpoints", id="e1", activeWorkers=[{"id": "w1", "version": 0, "status": "RUNNING"}])
    seen = read_status(runpod.client, PATH)
    assert (seen.version, seen.workers, runpod.requests()) == (1, (), [f"GET {PATH}/releases"])
    assert seen.as_result(["image"]) == {
        "version": 1,
        "rollout": {"in_progress": True, "workers_on_latest": 0, "workers_total": 1, "percent_on_latest": 0},
        "changes": ["image"],
    }
    assert read_status(runpod.client, PATH, with_workers=True).workers_as_result()[0]["is_stale"] is True


def test_other_refusals_than_not_found_are_errors() -> None:
    runpod = SimulatedRunpod()
    runpod.simulator.switch(scopes=[])
    with pytest.raises(ApiError, match="403"):
        read_status(runpod.client, PATH)


@pytest.mark.parametrize(("seconds", "naps"), [(0, []), (4, [4.0]), (10, [10.0]), (35, [10.0, 10.0, 10.0, 5.0])])
def test_the_last_look_is_when_the_time_is_over(seconds: float, naps: list[float]) -> None:
    runpod = SimulatedRunpod()
    runpod.simulator.switch(rollout_reads=None)
    runpod.seed("endpoints", id="e1", activeWorkers=[{"id": "w1"}])
    assert not follow(runpod.client, PATH, seconds, runpod.clock).over
    assert runpod.naps == naps


def test_following_ends_with_the_roll_out() -> None:
    runpod = SimulatedRunpod()
    runpod.simulator.switch(rollout_reads=4)
    runpod.seed("endpoints", id="e1", activeWorkers=[{"id": "w1", "version": 0}, {"id": "w2"}])
    assert follow(runpod.client, PATH, 600, runpod.clock).over
    assert runpod.naps == [10.0, 10.0]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ({"endpointVersion": "4"}, "endpointVersion that is not a number"),
        ({"rollout": "done"}, "rollout that is not an object"),
        ({"releases": {}}, "releases that is not a list"),
        ({"releases": [7]}, "does not say when it was made"),
        ({"releases": [{"createdAt": 7}]}, "does not say when it was made"),
        ({"releases": [{"diff": 7}]}, "does not say when it was made"),
        ({"releases": [{"diff": [{}]}]}, "does not say when it was made"),
    ],
)
def test_releases_of_another_form_are_an_error_that_names_the_call(answer: Json, what: str) -> None:
    runpod = SimulatedRunpod()
    with (
        patch.object(runpod.client, "get", lambda dummy: answer),
        pytest.raises(ApiError, match=f"GET /serverless/e1/releases: .*{what}"),
    ):
        read_status(runpod.client, PATH)


@pytest.mark.parametrize("answer", [{}, {"releases": []}, {"releases": [{}], "rollout": None}])
def test_releases_of_which_nothing_is_told_yet_are_known_to_be_unknown(answer: Json) -> None:
    runpod = SimulatedRunpod()
    with patch.object(runpod.client, "get", lambda dummy: answer):
        assert read_status(runpod.client, PATH) == RolloutStatus()
