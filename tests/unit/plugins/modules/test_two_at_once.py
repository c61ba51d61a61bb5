# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs that create the same thing at once end with one of it, in whatever order their calls arrive."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError, ConflictError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import ItemsFailedError, Result
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import (
    delegation,
    endpoint,
    endpoint_fields,
    template,
    templates,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.duplicates import keep_one
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import KEY, URL, Lost
from ansible_collections.gpuops.runpod.tests.unit.plugins.interleave import Interleaving
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

Run = Callable[[Json, bool, Client], Result]
SEEDS = range(10)
IMAGES = [f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{name}:v1" for name in ("app", "api")]


def given(options: Json, spec: Json) -> Json:
    return ArgumentSpecValidator(spec).validate(options).validated_parameters


ENDPOINT = given(
    {
        "name": "demo",
        "image": "app:1",
        "type": "QUEUE",
        "gpu": {"pools": ["ADA_24"]},
        "scaling": {"type": "QUEUE_DELAY", "queue_delay": 4},
    },
    endpoint_fields.OPTIONS,
)
TEMPLATE = given({"name": "demo", "image": "app:1"}, template.OPTIONS)
TEMPLATES = {
    "templates": [TEMPLATE, {**TEMPLATE, "name": "other"}],
    "prune": False,
    "prune_pattern": None,
    "on_error": "continue",
}
DELEGATION = {
    "images": IMAGES,
    "repository_arns": None,
    "tag": None,
    "name": None,
    "resource_form": "auto",
    "propagation_timeout": 0,
    "state": "present",
}
# What is run, with which options; what it makes, and where its result has the ids.
PAIRS: dict[str, tuple[Run, Json, str, Callable[[Json], list[str]]]] = {
    "endpoint": (endpoint.run, ENDPOINT, "endpoints", lambda results: [results["endpoint"]["id"]]),
    "template": (template.run, TEMPLATE, "templates", lambda results: [results["template"]["id"]]),
    "templates": (templates.run, TEMPLATES, "templates", lambda results: [one["id"] for one in results["templates"]]),
    "delegation": (
        delegation.run,
        DELEGATION,
        "delegations",
        lambda results: [one["id"] for one in results["delegations"]],
    ),
}


class Opener:
    """What a client of one run sends its requests by."""

    def __init__(self, runpod: SimulatedRunpod, schedule: Interleaving) -> None:
        self.runpod = runpod
        self.schedule = schedule

    def open(self, *given: Any, **more: Any) -> Any:
        self.schedule.switch()
        return self.runpod.open(*given, **more)


def two(seed: int, run: Run, first: Json, second: Json, **switches: Any) -> tuple[SimulatedRunpod, list[Any]]:
    """Return the account after two runs at once, and what each of them returned."""
    ids = Random(seed)
    runpod, schedule = SimulatedRunpod(), Interleaving(seed)
    runpod.simulator.world.new_id = lambda: f"{ids.getrandbits(40):010x}"
    runpod.simulator.switch(duplicate_template_name="allowed", **switches)

    def job(params: Json) -> Callable[[], Result]:
        client = Client(URL, KEY, Opener(runpod, schedule), schedule.sleep)
        return lambda: run(params, False, client)

    return runpod, schedule.run(job(first), job(second))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", PAIRS)
def test_two_runs_end_with_one_of_each_and_both_tell_of_it(kind: str, seed: int) -> None:
    run, params, key, ids = PAIRS[kind]
    runpod, results = two(seed, run, params, params)
    assert [isinstance(result, Result) for result in results] == [True, True], results
    stays = sorted(thing["id"] for thing in runpod.state(key))
    assert len(stays) == len({thing.get("repository") or thing["name"] for thing in runpod.state(key)})
    assert [sorted(ids(result.results)) for result in results] == [stays, stays]
    assert (not run(params, False, runpod.client).changed, any(result.changed for result in results)) == (True, True)


@pytest.mark.parametrize("kind", PAIRS)
def test_the_seeds_make_both_runs_create(kind: str) -> None:
    run, params, dummy, dummy_ids = PAIRS[kind]
    both = [all(result.changed for result in two(seed, run, params, params)[1]) for seed in SEEDS]
    assert sum(both) >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_two_wishes_end_with_one_thing_that_one_of_them_asked_for(seed: int) -> None:
    for run, params, key in ((endpoint.run, ENDPOINT, "endpoints"), (template.run, TEMPLATE, "templates")):
        runpod, results = two(seed, run, params, {**params, "disk": 80})
        assert not [result for result in results if not isinstance(result, Result)]
        [stays] = runpod.state(key)
        assert stays["disk"] in (50, 80)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_name_that_runpod_gives_once_is_taken_by_one(seed: int) -> None:
    runpod, results = two(seed, template.run, TEMPLATE, TEMPLATE)
    strict, same = two(seed, templates.run, TEMPLATES, TEMPLATES)
    assert len(runpod.state("templates")) == 1 and len(strict.state("templates")) == 2
    assert all(isinstance(result, Result) for result in [*results, *same])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_crashed_rival_is_adopted(seed: int) -> None:
    """The other run made its own and died: this one takes back what it made, or waits and then does."""
    runpod = SimulatedRunpod()
    ids = Random(seed)
    runpod.simulator.world.new_id = lambda: f"{ids.getrandbits(40):010x}"
    posted = runpod.client.post

    def post(path: str, body: Json) -> Json:
        posted(path, body)
        return posted(path, body)

    runpod.client.post = post  # type: ignore[method-assign]  # the rival's request arrives first
    made = endpoint.run(ENDPOINT, False, runpod.client).results["endpoint"]
    assert [one["id"] for one in runpod.state("endpoints")] == [made["id"]]
    assert sum(runpod.naps) in (0.0, 7.0)


def test_a_lost_answer_and_a_rival_leave_one() -> None:
    runpod = SimulatedRunpod()
    plain = runpod.handle

    def handle(method: str, path: str, body: Json | None) -> Any:
        if method == "POST":
            runpod.seed("endpoints", id="0-rival", name="demo", image="app:1")
        return plain(method, path, body)

    runpod.handle = handle  # type: ignore[method-assign]
    runpod.answers = [None, None, Lost()]
    made = endpoint.run(ENDPOINT, False, runpod.client).results["endpoint"]
    assert [one["id"] for one in runpod.state("endpoints")] == [made["id"]]


# What cannot be settled


def rival(runpod: SimulatedRunpod, key: str, **fields: Any) -> None:
    """Let another run make one with the lowest id just before this one does."""
    plain = runpod.handle

    def handle(method: str, path: str, body: Json | None) -> Any:
        if method == "POST" and not any(thing["id"] == "0-rival" for thing in runpod.state(key)):
            runpod.seed(key, id="0-rival", name="demo", image="app:1", **fields)
        return plain(method, path, body)

    runpod.handle = handle  # type: ignore[method-assign]
    runpod.simulator.switch(duplicate_template_name="allowed")


def test_an_endpoint_with_ready_workers_is_not_taken_back() -> None:
    runpod = SimulatedRunpod()
    rival(runpod, "endpoints")
    runpod.simulator.switch(rollout_reads=0)
    busy = {**ENDPOINT, "workers": {"min": 1, "max": 3, "idle_timeout": None}}
    with pytest.raises(ConflictError, match="Another run made an endpoint 'demo' at the same time.* delete one of"):
        endpoint.run(busy, False, runpod.client)
    assert len(runpod.state("endpoints")) == 2


@pytest.mark.parametrize(("status", "says"), [(400, "is in use already: delete one of them"), (403, "HTTP 403")])
def test_a_template_that_cannot_be_taken_back_is_an_error(status: int, says: str) -> None:
    refused = (status, {}, {"title": "no", "status": status, "detail": "in use by a pod"})
    for run, params, before in ((template.run, TEMPLATE, 3), (templates.run, TEMPLATES, 4)):
        runpod = SimulatedRunpod()
        rival(runpod, "templates")
        runpod.answers = [*[None] * before, refused]
        with pytest.raises(CollectionError, match=says):
            run(params, False, runpod.client)


def test_the_others_template_is_brought_to_what_this_run_wants() -> None:
    runpod = SimulatedRunpod()
    rival(runpod, "templates", disk=99)
    made = template.run(TEMPLATE | {"disk": 50}, False, runpod.client).results["template"]
    assert (made["id"], made["disk"], len(runpod.state("templates"))) == ("0-rival", 50, 1)
    runpod = SimulatedRunpod()
    rival(runpod, "templates", disk=99)
    runpod.answers = [*[None] * 5, (403, {}, {"title": "no", "status": 403, "detail": "no"})]
    with pytest.raises(CollectionError, match="PATCH /templates/0-rival: HTTP 403"):
        template.run(TEMPLATE | {"disk": 50}, False, runpod.client)


@pytest.mark.parametrize(("run", "params", "before"), [(templates.run, TEMPLATES, 3), (delegation.run, DELEGATION, 3)])
def test_a_look_that_fails_is_a_failure_of_what_was_made(run: Run, params: Json, before: int) -> None:
    runpod = SimulatedRunpod()
    runpod.answers = [*[None] * before, (403, {}, {"title": "no", "status": 403, "detail": "no"})]
    with pytest.raises(ItemsFailedError, match="2 of 2 .* failed") as caught:
        run(params, False, runpod.client)
    assert caught.value.as_result()["changed"] is True


def test_what_both_took_back_is_made_again() -> None:
    runpod = SimulatedRunpod()
    other = {"id": "0", "name": "demo"}
    looks = iter([[other], [], [{"id": "2", "name": "demo"}]])
    kept = keep_one(
        runpod.client,
        {"demo": {"id": "1", "name": "demo"}},
        lambda: {"demo": next(looks)},
        lambda thing: None,
        lambda key: {"id": "2", "name": key},
    )
    assert kept == {"demo": {"id": "2", "name": "demo"}}


@pytest.mark.parametrize("trouble", [None, CollectionError("no")])
def test_what_is_taken_back_again_and_again_is_an_error(trouble: CollectionError | None) -> None:
    runpod = SimulatedRunpod()
    looks = iter([[{"id": "0", "name": "demo"}], []] * 3)

    def create(key: str) -> Json:
        if trouble:
            raise trouble
        return {"id": "1", "name": key}

    made = {"demo": {"id": "1", "name": "demo"}}
    kept = keep_one(runpod.client, made, lambda: {"demo": next(looks)}, lambda thing: None, create)
    assert str(kept["demo"]).startswith("no" if trouble else "Other runs create and remove it at the same time: run")


@pytest.mark.parametrize("kind", ["endpoint", "template", "templates"])
def test_what_both_runs_took_back_at_runpod_is_made_again(kind: str) -> None:
    run, params, key, ids = PAIRS[kind]
    path = "/serverless" if key == "endpoints" else "/templates"
    runpod = SimulatedRunpod()
    runpod.simulator.switch(duplicate_template_name="allowed")
    plain = runpod.handle
    seen: list[str] = []

    def handle(method: str, where: str, body: Json | None) -> Any:
        if method == "POST" and "POST" not in seen:
            runpod.seed(key, id="0-rival", name="demo", image="app:1")
        answer = plain(method, where, body)
        if method == "DELETE":
            plain("DELETE", f"{path}/0-rival", None)
        seen.append(method)
        return answer

    runpod.handle = handle  # type: ignore[method-assign]
    outcome = run(params, False, runpod.client)
    left = [thing["id"] for thing in runpod.state(key)]
    assert outcome.changed and sorted(ids(outcome.results)) == sorted(left) and "0-rival" not in left
    assert (seen.count("DELETE"), seen.count("POST")) == (1, len(left) + 1)


def test_a_delegation_that_both_took_back_is_asked_for_again() -> None:
    for refused in (False, True):
        runpod = SimulatedRunpod()
        rival = {"id": "0", "awsUser": "123456789012", "awsRegion": "us-east-1", "repository": "app"}
        listing = {"delegations": [rival]}
        no = (403, {}, {"title": "no", "status": 403, "detail": "no"})
        runpod.answers = [None, None, (200, {}, listing), None, None, *([no] if refused else [])]
        params = {**DELEGATION, "images": IMAGES[:1]}
        if refused:
            with pytest.raises(ItemsFailedError, match="HTTP 403"):
                delegation.run(params, False, runpod.client)
        else:
            [made] = delegation.run(params, False, runpod.client).results["delegations"]
            assert [one["id"] for one in runpod.state("delegations")] == [made["id"]]
