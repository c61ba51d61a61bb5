# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A template or endpoint that may be somebody else's is taken over when that is asked for only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ConflictError, InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import ItemsFailedError, Result
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import (
    endpoint,
    endpoint_fields,
    template,
    templates,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.ownership import ADOPT
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

Go = Callable[..., Result]
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
OURS: Json = {"name": "demo", "image": f"{ECR}/app:1", "registry": "r1"}


@pytest.fixture
def runpod() -> SimulatedRunpod:
    made = SimulatedRunpod()
    for identifier, name in (("r1", "ecr"), ("r2", "ecr-alt"), ("r3", "staging")):
        made.seed("registries", id=identifier, name=name)
    return made


def go_template(runpod: SimulatedRunpod, options: Json, check_mode: bool = False, **more: Any) -> Result:
    spec = {**template.OPTIONS, **ADOPT}
    return template.run(given({**options, **more}, spec), check_mode, runpod.client)


def go_templates(runpod: SimulatedRunpod, options: Json, check_mode: bool = False, **more: Any) -> Result:
    items = [given(options, template.OPTIONS)]
    params = {"templates": items, "prune": False, "prune_pattern": None, "on_error": "continue", **more}
    return templates.run(params, check_mode, runpod.client)


def go_endpoint(runpod: SimulatedRunpod, options: Json, check_mode: bool = False, **more: Any) -> Result:
    params = given({**options, **more}, endpoint_fields.OPTIONS)
    return endpoint.run(params, check_mode, runpod.client, runpod.clock)


def given(options: Json, spec: Json) -> Json:
    validated = ArgumentSpecValidator(spec).validate(options)
    assert not validated.error_messages
    return validated.validated_parameters


KINDS: dict[str, tuple[Go, str]] = {
    "template": (go_template, "templates"),
    "templates": (go_templates, "templates"),
    "endpoint": (go_endpoint, "endpoints"),
}
each_kind = pytest.mark.parametrize(("go", "key"), KINDS.values(), ids=KINDS)


@each_kind
@pytest.mark.parametrize(
    ("held", "sign"),
    [
        ({"image": f"{ECR}/api:1"}, "it runs another repository than"),
        ({"image": "ghcr.io/app:1"}, "it runs another repository than"),
        ({"registry": "r3"}, "the credential 'staging'. may be .* it does not pull with 'ecr'"),
    ],
)
def test_what_may_be_another_owners_is_named_and_left_until_it_is_adopted(
    runpod: SimulatedRunpod, go: Go, key: str, held: Json, sign: str
) -> None:
    before = runpod.seed(key, **{**OURS, **held})
    wanted = {**OURS, "image": f"{ECR}/app:2", "registry": "ecr"}
    for check_mode in (True, False):
        with pytest.raises(ConflictError, match=sign) as caught:
            go(runpod, wanted, check_mode)
        assert before["id"] in str(caught.value) and "adopt: true" in str(caught.value)
    assert runpod.writes() == [] and runpod.state(key) == [before]
    assert go(runpod, wanted, check_mode=True, adopt=True).changed
    assert runpod.writes() == []
    assert go(runpod, wanted, adopt=True).changed
    after = runpod.state(key)
    assert [(one["id"], one["image"]) for one in after] == [(before["id"], f"{ECR}/app:2")]
    assert after[0]["registry"] in ("r1", "r2")
    runpod.calls.clear()
    assert not go(runpod, wanted).changed


@each_kind
@pytest.mark.parametrize(
    "held",
    [
        {"registry": None},
        {"registry": "r2"},
        {"image": "public.ecr.aws/alias/app:1"},
        {"image": "123456789012.dkr-ecr.us-east-1.on.aws/app:0"},
    ],
)
def test_what_runs_our_repository_with_our_credential_or_none_is_ours(
    runpod: SimulatedRunpod, go: Go, key: str, held: Json
) -> None:
    before = runpod.seed(key, **{**OURS, **held})
    assert go(runpod, {**OURS, "image": f"{ECR}/app:2", "registry": "ecr"}).changed
    assert [(one["id"], one["image"]) for one in runpod.state(key)] == [(before["id"], f"{ECR}/app:2")]


@each_kind
def test_what_names_no_image_and_no_credential_claims_nothing(runpod: SimulatedRunpod, go: Go, key: str) -> None:
    runpod.seed(key, **{**OURS, "image": "ghcr.io/theirs:1", "registry": "r3"})
    go(runpod, {"name": "demo", "disk": 70})
    assert [(one["image"], one["registry"], one["disk"]) for one in runpod.state(key)] == [
        ("ghcr.io/theirs:1", "r3", 70)
    ]


@each_kind
def test_what_may_be_another_owners_is_removed_by_its_name(runpod: SimulatedRunpod, go: Go, key: str) -> None:
    runpod.seed(key, **{**OURS, "image": "ghcr.io/theirs:1"})
    assert go(runpod, {"name": "demo", "state": "absent"}).changed
    assert runpod.state(key) == []


@pytest.mark.parametrize("go", [go_template, go_templates])
def test_a_public_template_is_ours_once_public_is_set(runpod: SimulatedRunpod, go: Go) -> None:
    runpod.seed("templates", **OURS, public=True)
    with pytest.raises(ConflictError, match="it is public, and public is not set"):
        go(runpod, {**OURS, "disk": 70})
    assert runpod.writes() == []
    assert go(runpod, {**OURS, "public": False}).changed
    assert runpod.state("templates")[0]["public"] is False


def test_all_templates_of_others_are_named_at_once_and_none_is_written(runpod: SimulatedRunpod) -> None:
    for name in ("one", "two"):
        runpod.seed("templates", name=name, image="ghcr.io/theirs:1")
    wanted = {
        "templates": [given({"name": name, "image": "app:1"}, template.OPTIONS) for name in ("new", "one", "two")]
    }
    params = {**wanted, "prune": False, "prune_pattern": None, "on_error": "continue"}
    with pytest.raises(ConflictError, match=r"'one' .* 'two' "):
        templates.run(params, False, runpod.client)
    assert runpod.writes() == []
    templates.run({**params, "adopt": True}, False, runpod.client)
    assert {one["image"] for one in runpod.state("templates")} == {"app:1"}


def test_an_id_means_the_endpoint_whoever_made_it(runpod: SimulatedRunpod) -> None:
    held = runpod.seed("endpoints", **{**OURS, "image": "ghcr.io/theirs:1", "registry": "r3"})
    assert go_endpoint(runpod, {"id": held["id"], "image": f"{ECR}/app:1", "registry": "ecr"}).changed
    assert runpod.state("endpoints")[0]["image"] == f"{ECR}/app:1"


@pytest.mark.parametrize(
    ("of_template", "sign"),
    [({"image": f"{ECR}/api:1"}, "another repository"), ({"registry": "r3"}, "does not pull with 'staging'")],
)
def test_the_image_and_the_credential_of_an_endpoints_template_count(
    runpod: SimulatedRunpod, of_template: Json, sign: str
) -> None:
    runpod.seed("templates", **{**OURS, "name": "shared", "serverless": True, **of_template})
    runpod.seed("endpoints", **OURS)
    for check_mode in (True, False):
        with pytest.raises(ConflictError, match=sign):
            go_endpoint(runpod, {"name": "demo", "template": "shared"}, check_mode)
    assert runpod.writes() == []
    assert go_endpoint(runpod, {"name": "demo", "template": "shared", "adopt": True}).changed


# The command


@each_kind
def test_a_command_is_read_predicted_and_set_in_its_order(runpod: SimulatedRunpod, go: Go, key: str) -> None:
    runpod.seed(key, name="demo", image="app:1")
    wanted = {"name": "demo", "cmd": ["b", "a c"], "entrypoint": ["sh", "-c"]}
    shown = "template" if go is go_template else "endpoint"
    predicted, done = go(runpod, wanted, check_mode=True), go(runpod, wanted)
    assert predicted.results.get(shown) == done.results.get(shown)
    assert predicted.after == done.after
    assert runpod.state(key)[0]["args"] == '{"entrypoint": ["sh", "-c"], "cmd": ["b", "a c"]}'
    assert not go(runpod, wanted).changed
    assert go(runpod, {**wanted, "cmd": ["a c", "b"]}, check_mode=True).changed
    assert go(runpod, {"name": "demo", "entrypoint": []}).changed
    assert runpod.state(key)[0]["args"] == "b 'a c'"
    assert not go(runpod, {"name": "demo", "args": 'b "a c"'}).changed
    assert go(runpod, {"name": "demo", "args": ""}).changed
    assert (runpod.state(key)[0]["cmd"], runpod.state(key)[0]["entrypoint"]) == ([], [])


@each_kind
@pytest.mark.parametrize("lists", [{"cmd": ["a"]}, {"entrypoint": ["a"]}, {"cmd": []}])
def test_args_beside_a_command_is_refused_before_a_request(
    runpod: SimulatedRunpod, go: Go, key: str, lists: Json
) -> None:
    with pytest.raises(InputError, match="args and .* exclude each other"):
        go(runpod, {"name": "demo", "image": "app:1", "args": "a", **lists})
    assert runpod.calls == [] and runpod.state(key) == []


@pytest.mark.parametrize(
    ("of_template", "own", "sent"),
    [
        ({"args": "serve"}, {}, {"args": "serve"}),
        ({"args": "serve"}, {"args": ""}, {"args": ""}),
        ({"args": "serve"}, {"cmd": ["run"]}, {"cmd": ["run"], "entrypoint": []}),
        (
            {"args": '{"entrypoint": ["sh"], "cmd": ["serve"]}'},
            {"cmd": ["run"]},
            {"cmd": ["run"], "entrypoint": ["sh"]},
        ),
    ],
)
def test_an_endpoint_has_its_own_command_over_its_templates(
    runpod: SimulatedRunpod, of_template: Json, own: Json, sent: Json
) -> None:
    runpod.client.post("/templates", {"name": "shared", "image": "app:1", "serverless": True, **of_template})
    runpod.calls.clear()
    new = {
        "name": "demo",
        "template": "shared",
        "type": "QUEUE",
        "gpu": {"pools": ["ADA_24"]},
        "scaling": {"type": "QUEUE_DELAY", "queue_delay": 4},
        **own,
    }
    go_endpoint(runpod, new)
    (body,) = [body for method, dummy, body in runpod.calls if method == "POST" and body]
    assert {field: body[field] for field in ("args", "cmd", "entrypoint") if field in body} == sent
    assert not go_endpoint(runpod, new).changed


# What a write did in part


@each_kind
def test_a_write_that_is_held_in_part_fails_with_what_is_there(runpod: SimulatedRunpod, go: Go, key: str) -> None:
    held = runpod.seed(key, name="demo", image="app:1", disk=20)
    runpod.answers = [None, (200, {}, {**held, "disk": 70})]
    with pytest.raises(ItemsFailedError, match="holds other values than were sent for ports") as caught:
        go(runpod, {"name": "demo", "disk": 70, "ports": ["22/tcp"]})
    outcome = caught.value.outcome
    after = outcome.after["templates"][0] if go is go_templates else outcome.after
    assert outcome.changed and (after["disk"], after["ports"]) == (70, [])
    assert caught.value.as_result()["diff"]["after"] == outcome.after
