# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    ApiError,
    CollectionError,
    ConflictError,
    InputError,
    Json,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import ItemsFailedError, Result
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.endpoint import RolloutError, run
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.endpoint_fields import OPTIONS
from ansible_collections.gpuops.runpod.plugins.modules.runpod_endpoint import main
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import Lost, refusal
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

TEMPLATE: Json = {
    "id": "t1",
    "name": "inference",
    "image": "app:1",
    "args": "serve",
    "disk": 80,
    "env": {"TOKEN": "hush-hush-1", "LEVEL": "info"},
    "ports": ["8000/http"],
    "registry": "r1",
    "serverless": True,
    "allowedCudaVersions": ["12.8"],
}
NEW: Json = {
    "name": "demo",
    "template": "inference",
    "type": "QUEUE",
    "gpu": {"pools": ["ADA_24"]},
    "scaling": {"type": "QUEUE_DELAY", "queue_delay": 4},
}
GONE: Json = {"name": "demo", "state": "absent"}
FOLLOWED: Json = {"name": "demo", "template": "inference", "wait": True}
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runpod() -> SimulatedRunpod:
    made = SimulatedRunpod()
    made.seed("registries", id="r1", name="one")
    made.seed("registries", id="r2", name="two")
    made.seed("templates", **TEMPLATE)
    return made


def go(runpod: SimulatedRunpod, options: Json, check_mode: bool = False, **more: Any) -> Result:
    """Run the module's logic with options as somebody writes them."""
    validated = ArgumentSpecValidator(OPTIONS).validate({**options, **more})
    assert not validated.error_messages
    return run(validated.validated_parameters, check_mode, runpod.client, runpod.clock)


def edit_template(runpod: SimulatedRunpod, **fields: Any) -> None:
    runpod.client.patch("/templates/t1", fields)
    runpod.calls.clear()


def test_nine_steps(runpod: SimulatedRunpod) -> None:
    other = runpod.seed("endpoints", name="other")
    steps = ((NEW, "POST /serverless"), ({**NEW, "workers": {"max": 5}}, "PATCH"), (GONE, "DELETE"))
    for options, write in steps:
        for check_mode, changed, writes in ((True, True, []), (False, True, [write]), (False, False, [])):
            assert go(runpod, options, check_mode).changed is changed
            assert [done[: len(write)] for done in runpod.writes()] == writes
    assert runpod.state("endpoints") == [other]


def test_what_is_created_is_what_was_asked_for_over_the_template(runpod: SimulatedRunpod) -> None:
    go(runpod, NEW, env={"LEVEL": "debug", "N": 1}, disk=90)
    assert [body for method, dummy, body in runpod.calls if method == "POST"] == [
        {
            "name": "demo",
            "type": "QUEUE",
            "gpu": {"pools": ["ADA_24"], "count": 1, "allowedCudaVersions": ["12.8"]},
            "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4.0},
            "timeout": 300000,
            "image": "app:1",
            "args": "serve",
            "disk": 90,
            "env": {"TOKEN": "hush-hush-1", "LEVEL": "debug", "N": "1"},
            "ports": ["8000/http"],
            "registry": "r1",
        }
    ]


def test_an_endpoint_without_a_template_gets_a_disk_and_a_timeout(runpod: SimulatedRunpod) -> None:
    made = go(runpod, NEW, template=None, image="app:1").results["endpoint"]
    assert (made["disk"], made["timeout"], made["gpu"]["allowed_cuda_versions"]) == (50, 300000, [])


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [({"min_cuda_version": "12.1"}, []), ({"allowed_cuda_versions": []}, []), ({"min_cuda_version": ""}, ["12.8"])],
)
def test_the_templates_cuda_versions_count_where_there_is_no_other_limit(
    runpod: SimulatedRunpod, limits: Json, allowed: list[str]
) -> None:
    made = go(runpod, NEW, gpu={"pools": ["ADA_24"], **limits}).results["endpoint"]
    assert made["gpu"]["allowed_cuda_versions"] == allowed


def test_the_cuda_versions_of_the_template_are_not_for_cpus(runpod: SimulatedRunpod) -> None:
    made = go(runpod, NEW, gpu=None, cpu=[{"id": "cpu5c", "vcpu_count": 4}]).results["endpoint"]
    assert (made["cpu"][0]["memory"], "gpu" in made) == (8, False)


def test_a_prediction_agrees_with_what_is_made_but_for_what_only_runpod_knows(runpod: SimulatedRunpod) -> None:
    predicted, done = go(runpod, NEW, check_mode=True), go(runpod, NEW)
    made = done.results["endpoint"]
    for key in ("id", "created_at", "request_urls"):
        made.pop(key)
    assert predicted.results["endpoint"] == made
    assert (predicted.results["release"], done.results["release"]["version"]) == (None, 1)


def test_an_edited_template_is_taken_over(runpod: SimulatedRunpod) -> None:
    go(runpod, NEW)
    edit_template(runpod, image="app:2", env={"TOKEN": "hush-hush-2"}, registry=None)
    assert go(runpod, NEW, check_mode=True).results["release"]["changes"] == ["image", "env", "registry"]
    outcome = go(runpod, NEW)
    assert [call for call in runpod.calls if call[0] == "PATCH"] == [
        (
            "PATCH",
            f"/serverless/{outcome.results['endpoint']['id']}",
            {"image": "app:2", "env": {"TOKEN": "hush-hush-2"}, "registry": None},
        )
    ]
    assert outcome.results["release"]["changes"] == ["image", "env", "registry"]
    assert outcome.results["release"]["version"] == 2
    assert outcome.after["env"] == {"TOKEN": "******** (changed)"}
    assert not go(runpod, NEW).changed


def test_what_acts_at_once_makes_no_release(runpod: SimulatedRunpod) -> None:
    go(runpod, NEW)
    outcome = go(runpod, NEW, workers={"max": 5}, timeout=1000)
    assert outcome.changed
    assert (outcome.results["release"]["version"], outcome.results["release"]["changes"]) == (1, [])


def test_an_unchanged_run_only_reads(runpod: SimulatedRunpod) -> None:
    made = go(runpod, NEW, registry="two").results["endpoint"]
    runpod.calls.clear()
    assert not go(runpod, NEW, registry="r2").changed
    assert runpod.requests() == [
        "GET /serverless",
        "GET /templates",
        "GET /registries",
        f"GET /serverless/{made['id']}/releases",
    ]


def test_an_id_finds_and_a_name_beside_it_renames(runpod: SimulatedRunpod) -> None:
    for identifier in ("a", "b"):
        runpod.seed("endpoints", id=identifier, name="twin")
    for options in (GONE, {"timeout": 5}):
        with pytest.raises(ConflictError, match="2 endpoints named 'twin' .ids a, b.*give the id"):
            go(runpod, {**options, "name": "twin"})
    assert runpod.writes() == []
    assert go(runpod, {"id": "a", "name": "blue"}).results["endpoint"]["name"] == "blue"
    assert runpod.writes() == ["PATCH /serverless/a"]
    assert not go(runpod, {"id": "b"}).changed
    go(runpod, {"name": "twin", "state": "absent"})
    assert [endpoint["id"] for endpoint in runpod.state("endpoints")] == ["a"]
    assert not go(runpod, {"id": "b", "state": "absent"}).changed


def test_a_deletion_says_what_it_takes_along(runpod: SimulatedRunpod) -> None:
    runpod.seed("endpoints", name="demo", boundTemplate="t1")
    assert "would end its workers and jobs" in go(runpod, GONE, check_mode=True).warnings[0]
    outcome = go(runpod, GONE)
    assert "deletes the template bound to it" in outcome.warnings[0]
    assert outcome.results == {"endpoint": None, "release": None}
    assert outcome.before["name"] == "demo" and outcome.after is None
    assert runpod.state("templates") == []
    assert go(runpod, GONE).warnings == ()


def test_no_template_is_bound_so_a_shared_one_stays(runpod: SimulatedRunpod) -> None:
    go(runpod, NEW)
    assert "templateId" not in str(runpod.calls)
    go(runpod, GONE)
    assert [template["id"] for template in runpod.state("templates")] == ["t1"]


def test_a_lost_answer_makes_no_second_endpoint(runpod: SimulatedRunpod) -> None:
    runpod.answers = [None, None, None, Lost()]
    made = go(runpod, NEW).results["endpoint"]
    assert [endpoint["id"] for endpoint in runpod.state("endpoints")] == [made["id"]]


def test_an_endpoint_that_another_run_makes_while_the_answer_is_lost_gets_the_fields_of_this_one(
    runpod: SimulatedRunpod,
) -> None:
    def faster() -> TimeoutError:
        go(runpod, NEW, workers={"max": 5})
        return TimeoutError("timed out")

    runpod.answers = [None, None, None, faster]
    made = go(runpod, NEW, workers={"max": 4}).results["endpoint"]
    [endpoint] = runpod.state("endpoints")
    assert (endpoint["id"], endpoint["workers"]["max"]) == (made["id"], 4)


def test_a_lost_answer_without_effect_is_an_error(runpod: SimulatedRunpod) -> None:
    runpod.answers = [None, None, None, TimeoutError("timed out")]
    with pytest.raises(CollectionError, match="nothing was created: run again"):
        go(runpod, NEW)
    assert runpod.writes() == ["POST /serverless"]


def test_a_refused_write_is_reported_and_not_retried(runpod: SimulatedRunpod) -> None:
    with pytest.raises(ApiError, match="POST /serverless: HTTP 400: not a GPU type in the selected pools: A40"):
        go(runpod, NEW, gpu={"pools": ["ADA_24"], "excluded_types": ["A40"]})
    assert (runpod.writes(), runpod.naps) == (["POST /serverless"], [])


def test_a_spent_quota_is_waited_for(runpod: SimulatedRunpod) -> None:
    runpod.answers = [refusal(429, "minute", Retry_After="30"), None, None, refusal(429, "minute", Retry_After="20")]
    assert go(runpod, NEW).changed
    assert runpod.naps == [30.0, 20.0]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"id": "e", "name": "demo"}, "holds other values than were sent for image, .*registry"),
        ({}, "POST /serverless: the answer has no id"),
    ],
)
def test_what_runpod_did_not_take_is_an_error(runpod: SimulatedRunpod, answer: Json, says: str) -> None:
    runpod.answers = [None, None, None, (201, {}, answer)]
    with pytest.raises(CollectionError, match=says):
        go(runpod, NEW)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "fresh"}, "these are required: type, scaling, gpu or cpu, template or image"),
        ({**NEW, "name": "fresh", "gpu": {"count": 2}}, "required: gpu.pools"),
        ({"id": "unknown"}, "no endpoint with the id 'unknown'"),
        ({"name": "queue", "type": "LOAD_BALANCER"}, "of type QUEUE, which RunPod cannot change to LOAD_BALANCER"),
        ({"name": "queue", "cpu": [{"id": "cpu5c", "vcpu_count": 4}]}, "runs on GPUs, which RunPod cannot change to"),
        ({"name": "cpu", "gpu": {"pools": ["ADA_24"]}}, "runs on CPUs, which RunPod cannot change to GPUs"),
        ({"name": "count", "workers": {"idle_timeout": 5}}, "^Workers.idle_timeout does not apply"),
        ({"name": "balanced", "scaling": NEW["scaling"]}, "LOAD_BALANCER needs scaling.type REQUEST_COUNT"),
        ({**NEW, "name": "fresh", "type": "LOAD_BALANCER"}, "LOAD_BALANCER needs scaling.type REQUEST_COUNT"),
        (
            {"name": "queue", "gpu": {"min_cuda_version": "12.1"}},
            "CUDA versions 12.8 and 12.1 as the lowest",
        ),
        ({"name": "queue", "template": "pods"}, "template 'pods' .id t2. is for pods"),
        ({"name": "queue", "env": {"TOKEN": True}}, "env.TOKEN must be a string"),
        ({"name": "queue", "ports": ["8000"]}, "ports: '8000' is not of the form"),
        ({"name": "queue", "workers": {"min": 3, "max": 2}}, "workers.min must not be above workers.max"),
        ({"name": "queue", "workers": {"min": 4}}, "would have at least 4 and at most 3 workers: set both"),
        ({"name": "busy", "workers": {"max": 1}}, "would have at least 2 and at most 1 workers: set both"),
        ({**NEW, "name": "fresh", "workers": {"min": 4}}, "would have at least 4 and at most 3 workers"),
        ({"name": "queue", "gpu": {"pools": ["ADA_24", "ADA_42"]}}, "no serverless GPU pool ADA_42. Its pools are A"),
        ({**NEW, "name": "fresh", "gpu": {"pools": ["A40"]}}, "no serverless GPU pool A40"),
        ({**NEW, "name": "fresh", "gpu": None}, "these are required: gpu or cpu"),
        ({**NEW, "name": "fresh", "scaling": None}, "these are required: scaling"),
        ({"id": "e0", "type": "LOAD_BALANCER", "scaling": NEW["scaling"]}, "LOAD_BALANCER needs scaling.type"),
    ],
)
def test_what_cannot_be_is_an_error_before_anything_is_written(
    runpod: SimulatedRunpod, options: Json, says: str
) -> None:
    count = {"type": "REQUEST_COUNT", "requestCount": 2}
    runpod.seed("templates", id="t2", name="pods")
    gpu = {"pools": ["ADA_24"], "allowedCudaVersions": ["12.8"], "minCudaVersion": None}
    runpod.seed("endpoints", name="queue", gpu=gpu)
    runpod.seed("endpoints", name="cpu", cpu=[{"id": "cpu5c", "vcpuCount": 2, "memory": 4}])
    runpod.seed("endpoints", name="count", scaling=count, workers={"min": 0, "max": 3})
    runpod.seed("endpoints", name="balanced", type="LOAD_BALANCER", scaling=count)
    runpod.seed("endpoints", name="busy", workers={"min": 2, "max": 3, "idleTimeout": 10})
    for check_mode in (True, False):
        with pytest.raises(InputError, match=says):
            go(runpod, options, check_mode)
    assert runpod.writes() == []


def test_a_catalog_that_cannot_be_read_does_not_stop_a_run(runpod: SimulatedRunpod) -> None:
    runpod.answers = [None, None, refusal(403, "no catalog")]
    assert go(runpod, NEW).changed and runpod.answers == []
    runpod.calls.clear()
    with pytest.raises(InputError, match="no serverless GPU pool A40"):
        go(runpod, {"name": "demo", "gpu": {"pools": ["A40"]}})
    assert "GET /catalog/gpus?include=AVAILABILITY&product=SERVERLESS" in runpod.requests()


def test_pools_that_an_endpoint_has_already_need_no_catalog(runpod: SimulatedRunpod) -> None:
    go(runpod, NEW)
    runpod.calls.clear()
    go(runpod, NEW, workers={"max": 5})
    assert not [request for request in runpod.requests() if "catalog" in request]


def test_an_answer_that_lacks_fields_is_read_as_their_empty_values(runpod: SimulatedRunpod) -> None:
    thin: Json = dict.fromkeys(("gpu", "workers", "args", "cmd", "env", "ports")) | {
        "id": "e1",
        "name": "demo",
        "image": "app:1",
    }
    runpod.answers = [(200, {}, {"endpoints": [thin]}), refusal(404, "no release")]
    wanted = {"env": {}, "ports": [], "cmd": [], "data_center_ids": [], "network_volumes": []}
    outcome = go(runpod, {"name": "demo", **wanted}, check_mode=True)
    assert not outcome.changed
    shown = outcome.results["endpoint"]
    assert (shown["env"], shown["entrypoint"], shown["workers"]) == ({}, [], {"min": 0, "max": 3, "idle_timeout": 10})


@pytest.mark.parametrize("answer", [[], {}, {"name": "demo"}])
def test_an_answer_to_a_change_that_is_no_endpoint_is_an_error(runpod: SimulatedRunpod, answer: Any) -> None:
    runpod.seed("endpoints", name="demo")
    runpod.answers = [None, (200, {}, answer)]
    with pytest.raises(CollectionError, match="PATCH /serverless/.*: the answer (is no object|has no id)"):
        go(runpod, {"name": "demo", "disk": 80})


def test_a_creation_that_is_held_in_part_fails_with_the_endpoint_that_there_is(runpod: SimulatedRunpod) -> None:
    held = {"id": "e1", "name": "demo", "type": "QUEUE", "image": "app:1", "disk": 20}
    runpod.answers = [None, None, None, (201, {}, held)]
    with pytest.raises(ItemsFailedError, match="holds other values than were sent for .*disk.*Run again") as caught:
        go(runpod, NEW)
    result = caught.value.as_result()
    assert (result["changed"], result["endpoint"]["id"], result["endpoint"]["disk"]) == (True, "e1", 20)
    assert "hush-hush" not in str(result)


def test_a_string_that_means_two_templates_is_an_error(runpod: SimulatedRunpod) -> None:
    runpod.seed("templates", id="t2", name="t1", serverless=True)
    with pytest.raises(ConflictError, match="'t1' is the name or id of 2 templates .ids t1, t2"):
        go(runpod, NEW, template="t1")


def test_a_public_template_is_taken_by_its_id(runpod: SimulatedRunpod) -> None:
    runpod.seed("templates", id="p1", name="theirs", image="public:1", owner="other", public=True, serverless=True)
    assert go(runpod, NEW, template="p1").results["endpoint"]["image"] == "public:1"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"template": "unknown"}, "No template has the name or id 'unknown': make it first"),
        ({"registry": "unknown"}, "No registry credential has this name or id: unknown"),
    ],
)
def test_what_is_named_must_exist(runpod: SimulatedRunpod, options: Json, says: str) -> None:
    with pytest.raises(InputError, match=says):
        go(runpod, {**NEW, **options})
    assert runpod.writes() == []


def test_what_is_still_to_come_is_predicted_with_a_warning(runpod: SimulatedRunpod) -> None:
    outcome = go(runpod, NEW, check_mode=True, template="soon", registry="later")
    assert ["'soon'" in outcome.warnings[0], "'later'" in outcome.warnings[1]] == [True, True]
    predicted = outcome.results["endpoint"]
    assert (predicted["registry"], "image" in predicted) == ("later", False)
    assert runpod.writes() == []


def test_no_value_of_env_is_in_an_outcome(runpod: SimulatedRunpod) -> None:
    runpod.seed("templates", id="t2", name="second", image="app:1", serverless=True, env={"TOKEN": "hush-hush-3"})
    for options in (NEW, {**NEW, "env": {"TOKEN": "hush-hush-2"}}, {**NEW, "template": "second"}, GONE):
        for check_mode in (True, False):
            assert "hush-hush" not in str(go(runpod, options, check_mode))


# Following a roll-out


def with_workers(runpod: SimulatedRunpod, *statuses: str) -> Json:
    """Hold an endpoint as the template is, with workers of its newest version."""
    go(runpod, NEW)
    made = runpod.state("endpoints")[0]
    workers = [{"id": f"w{number}", "status": status} for number, status in enumerate(statuses)]
    runpod.simulator.world.current["endpoints"].clear()
    return runpod.seed("endpoints", **{**made, "activeWorkers": workers})


def test_without_workers_nothing_is_waited_for(runpod: SimulatedRunpod) -> None:
    go(runpod, NEW)
    edit_template(runpod, image="app:2")
    outcome = go(runpod, FOLLOWED)
    assert runpod.naps == []
    assert outcome.results["release"]["rollout"] == {
        "in_progress": False,
        "workers_on_latest": 0,
        "workers_total": 0,
        "percent_on_latest": 0,
    }


def test_a_roll_out_is_followed_until_no_worker_is_old(runpod: SimulatedRunpod) -> None:
    with_workers(runpod, "RUNNING", "IDLE")
    edit_template(runpod, image="app:2")
    assert go(runpod, {**FOLLOWED, "wait": False}).results["release"]["rollout"]["in_progress"]
    outcome = go(runpod, FOLLOWED)
    assert not outcome.changed and runpod.naps == [10.0]
    assert outcome.results["release"]["rollout"]["workers_on_latest"] == 2


def test_workers_that_start_are_waited_for(runpod: SimulatedRunpod) -> None:
    go(runpod, NEW, workers={"min": 2}, wait=True)
    assert runpod.naps == [10.0]


def test_one_ready_worker_of_the_newest_version_is_enough(runpod: SimulatedRunpod) -> None:
    runpod.simulator.switch(rollout_reads=None)
    with_workers(runpod, "UNHEALTHY", "THROTTLED", "RUNNING")
    go(runpod, FOLLOWED)
    assert runpod.naps == []


def test_a_worker_that_does_not_come_up_is_told_when_the_time_is_over(runpod: SimulatedRunpod) -> None:
    runpod.simulator.switch(rollout_reads=None)
    endpoint = with_workers(runpod, "RUNNING", "INITIALIZING")
    endpoint["activeWorkers"][1]["version"] = 2
    runpod.simulator.world.current["endpoints"][endpoint["id"]]["activeWorkers"] = endpoint["activeWorkers"]
    edit_template(runpod, env={"TOKEN": "hush-hush-2"})
    with pytest.raises(RolloutError) as caught:
        go(runpod, FOLLOWED, wait_timeout=35)
    told = caught.value.as_result()
    assert (
        "have not come to its newest version in 35 seconds: w0 is RUNNING with an older version, "
        "w1 is INITIALIZING with the newest version." in told["msg"]
    )
    assert (told["changed"], told["endpoint"]["id"], runpod.naps) == (True, endpoint["id"], [10.0, 10.0, 10.0, 5.0])
    assert told["release"]["rollout"]["percent_on_latest"] == 50
    assert [(worker["id"], worker["is_stale"]) for worker in told["workers"]] == [("w0", True), ("w1", False)]
    assert "hush-hush" not in str(told) and told["diff"]["after"]["env"] == {"TOKEN": "******** (changed)"}


def test_an_endpoint_that_runpod_does_not_know_yet_is_waited_for(runpod: SimulatedRunpod) -> None:
    unknown = refusal(404, "resource not found")
    runpod.answers = [None, None, None, None, None, unknown]
    assert go(runpod, NEW).results["release"] == {"version": None, "rollout": None, "changes": []}
    runpod.answers = [None, None, unknown, None]
    go(runpod, FOLLOWED)
    assert runpod.naps == [10.0]
    runpod.answers = [None, None, unknown]
    with pytest.raises(RolloutError, match="does not tell of the endpoint yet"):
        go(runpod, FOLLOWED, wait_timeout=0)


def test_check_mode_does_not_wait(runpod: SimulatedRunpod) -> None:
    with_workers(runpod, "INITIALIZING")
    go(runpod, FOLLOWED, check_mode=True)
    assert runpod.naps == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "one of the following is required: name, id"),
        ({"name": "demo", "gpu": {"pools": ["ADA_24"]}, "cpu": []}, "mutually exclusive: gpu|cpu"),
        ({"name": "demo", "scaling": {"type": "QUEUE_DELAY"}}, "queue_delay"),
        ({"name": "demo", "env": {"TOKEN": False}}, "env.TOKEN must be a string: quote it"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: Json, says: str, capsys: Capture) -> None:
    with patch_module_args({"api_key": "key-of-the-unit-tests", **options}), pytest.raises(SystemExit):
        main()
    assert says in json.loads(capsys.readouterr().out)["msg"]


@pytest.mark.parametrize(("option", "value"), [("workers", 3), ("gpu", True), ("cpu", [3]), ("scaling", 0.5)])
def test_a_number_in_place_of_a_mapping_is_an_error_that_names_the_option(
    option: str, value: Any, capsys: Capture
) -> None:
    given = {"api_key": "key-of-the-unit-tests", "name": "demo", option: value}
    with patch_module_args(given), pytest.raises(SystemExit):
        main()
    assert f"{option} must be a dictionary of options" in json.loads(capsys.readouterr().out)["msg"]
