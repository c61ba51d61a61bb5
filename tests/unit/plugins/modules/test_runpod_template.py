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
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.template import OPTIONS, run
from ansible_collections.gpuops.runpod.plugins.modules.runpod_template import main
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod, Lost, refusal, template

UNSET: Json = {option: None for option in OPTIONS} | {"name": "demo", "state": "present"}
V1 = {**UNSET, "image": "app:1", "env": {"TOKEN": "hush-hush-1", "N": 1}, "registry": "one"}
V2 = {**V1, "image": "app:2", "env": {"TOKEN": "hush-hush-2", "N": 1}, "ports": ["22/tcp"]}
GONE = {**UNSET, "state": "absent"}
REGISTRIES = [{"id": "r1", "name": "one"}]
MOUNT: Json = {"size": 20, "path": "/data"}
Capture = pytest.CaptureFixture[str]


def test_nine_steps() -> None:
    fake = FakeRunpod(templates=[template("other")], registries=REGISTRIES)
    steps = (
        (V1, "POST /templates"),
        (V2, "PATCH /templates/id-1"),
        (GONE, "DELETE /templates/id-1"),
    )
    for params, write in steps:
        for check_mode, changed, writes in ((True, True, []), (False, True, [write]), (False, False, [])):
            assert run(params, check_mode, fake.client).changed is changed
            assert fake.writes() == writes
    assert fake.current["templates"] == [template("other")]


def test_what_is_created_is_what_was_asked_for_and_the_disk() -> None:
    fake = FakeRunpod(registries=REGISTRIES)
    run(V1, False, fake.client)
    assert fake.calls[-2] == (
        "POST",
        "/templates",
        {
            "name": "demo",
            "image": "app:1",
            "disk": 50,
            "env": {"TOKEN": "hush-hush-1", "N": "1"},
            "registry": "r1",
        },
    )


def test_a_new_template_gets_the_credential_that_took_the_others_over() -> None:
    both = [{"id": "p", "name": "ecr"}, {"id": "a", "name": "ecr-alt"}]
    fake = FakeRunpod(templates=[template("old", registry="a")], registries=both)
    run({**V1, "registry": "ecr"}, False, fake.client)
    assert fake.current["templates"][-1]["registry"] == "a"


def test_a_change_sends_only_what_differs() -> None:
    fake = FakeRunpod(templates=[template("demo", disk=80, args="serve")])
    run({**UNSET, "image": "app:2", "args": "serve"}, False, fake.client)
    assert fake.calls[-1] == ("PATCH", "/templates/t-demo", {"image": "app:2"})


@pytest.mark.parametrize(
    ("option", "value", "field", "cleared"),
    [
        ("args", "", "args", ""),
        ("env", {}, "env", {}),
        ("ports", [], "ports", []),
        ("registry", "", "registry", None),
        ("allowed_cuda_versions", [], "allowedCudaVersions", []),
    ],
)
def test_empty_means_clear(option: str, value: object, field: str, cleared: object) -> None:
    full = {"args": "x", "env": {"A": "1"}, "ports": ["22/tcp"], "registry": "r1", "allowedCudaVersions": ["12.8"]}
    fake = FakeRunpod(templates=[template("demo", **full)])
    assert run({**UNSET, option: value}, False, fake.client).changed
    assert fake.calls[-1] == ("PATCH", "/templates/t-demo", {field: cleared})
    assert not run({**UNSET, option: value}, False, fake.client).changed


def test_a_prediction_agrees_with_what_is_made_but_for_the_id() -> None:
    fake = FakeRunpod(registries=REGISTRIES)
    predicted = run(V1, True, fake.client).results["template"]
    made = run(V1, False, fake.client).results["template"]
    assert made.pop("id") == "id-1"
    assert predicted == made


def test_an_absent_template_is_null_and_its_deletion_a_difference() -> None:
    fake = FakeRunpod(templates=[template("demo")])
    outcome = run(GONE, False, fake.client)
    assert (outcome.results["template"], outcome.after) == (None, None)
    assert outcome.before["id"] == "t-demo"


def test_a_credential_to_come_is_predicted_by_its_name() -> None:
    fake = FakeRunpod(templates=[template("demo", registry=None)])
    outcome = run({**UNSET, "registry": "soon"}, True, fake.client)
    assert outcome.changed and outcome.results["template"]["registry"] == "soon"
    assert "'soon'" in outcome.warnings[0]
    with pytest.raises(InputError, match="soon"):
        run({**UNSET, "registry": "soon"}, False, fake.client)
    assert fake.writes() == []


@pytest.mark.parametrize(
    ("params", "kind", "says"),
    [
        ({**V1, "env": {"TOKEN": True}}, InputError, "env.TOKEN must be a string"),
        ({**UNSET, "name": "fresh"}, InputError, "image is required"),
        ({**UNSET, "name": "twice"}, ConflictError, "ids a, b"),
        ({**UNSET, "persistent_mount": {"size": None, "path": None}}, InputError, "cannot take away"),
        ({**UNSET, "serverless": True}, InputError, "would be serverless and have a persistent_mount: make the templ"),
        ({**UNSET, "name": "bare", "persistent_mount": MOUNT}, InputError, "have a persistent_mount: leave it unset"),
        ({**V1, "name": "fresh", "serverless": True, "persistent_mount": MOUNT}, InputError, "mount is for pods only"),
        ({**UNSET, "persistent_mount": {**MOUNT, "size": 9}}, InputError, "persistent_mount.size must be at least 10"),
        ({**UNSET, "ports": ["8888/udp"]}, InputError, "ports: '8888/udp' is not of the form"),
    ],
)
def test_what_cannot_be_is_an_error_before_anything_is_written(
    params: Json, kind: type[CollectionError], says: str
) -> None:
    held = [
        template("demo", mounts={"persistent": {"size": 20, "path": "/data"}}),
        template("bare", serverless=True),
        template("twice", id="a"),
        template("twice", id="b"),
    ]
    fake = FakeRunpod(templates=held, registries=REGISTRIES)
    for check_mode in (True, False):
        with pytest.raises(kind, match=says):
            run(params, check_mode, fake.client)
    assert fake.writes() == []


def test_a_serverless_template_that_has_a_mount_already_may_be_changed_otherwise() -> None:
    fake = FakeRunpod(templates=[template("demo", serverless=True, mounts={"persistent": MOUNT})])
    assert run({**UNSET, "disk": 80}, False, fake.client).changed
    assert run({**UNSET, "serverless": False, "disk": 90}, False, fake.client).changed
    assert fake.current["templates"][0]["serverless"] is False


def test_an_answer_that_lacks_fields_is_read_as_their_defaults() -> None:
    fake = FakeRunpod(templates=[{"id": "t1", "name": "demo", "image": "app:1", "env": None, "ports": None}])
    wanted = {"env": {}, "ports": [], "start_ssh": True, "serverless": False, "category": "NVIDIA", "cmd": []}
    outcome = run({**UNSET, **wanted}, False, fake.client)
    assert not outcome.changed and fake.writes() == []
    assert (outcome.results["template"]["env"], outcome.results["template"]["start_ssh"]) == ({}, True)


def test_a_refused_write_is_reported_and_not_retried() -> None:
    fake = FakeRunpod()
    fake.answers = [None, refusal(422, "image: not on the registry")]
    with pytest.raises(ApiError, match="POST /templates: HTTP 422: image: not on the registry"):
        run({**UNSET, "image": "app:1"}, False, fake.client)
    assert fake.requests() == ["GET /templates", "POST /templates", "GET /templates"]  # was the name taken meanwhile?
    assert fake.naps == []


def test_a_spent_quota_is_waited_for() -> None:
    fake = FakeRunpod()
    fake.answers = [refusal(429, "minute", Retry_After="30"), None, refusal(429, "minute", Retry_After="20")]
    assert run({**UNSET, "image": "app:1"}, False, fake.client).changed
    assert fake.naps == [30.0, 20.0]


def test_a_lost_answer_makes_no_second_template() -> None:
    fake = FakeRunpod()
    fake.answers = [None, Lost()]
    assert run({**UNSET, "image": "app:1"}, False, fake.client).results["template"]["id"] == "id-1"
    assert len(fake.current["templates"]) == 1


def faster(fake: FakeRunpod, **fields: Any) -> Any:
    """Another run makes the template just before this one."""
    fake.current["templates"].append(template("demo", **fields))
    return refusal(400, "a template of this name exists")


def test_a_template_that_another_run_makes_first_gets_the_fields_of_this_one() -> None:
    fake = FakeRunpod()
    fake.answers = [None, lambda: faster(fake, image="app:2")]
    assert run({**UNSET, "image": "app:1"}, False, fake.client).changed
    assert fake.writes() == ["POST /templates", "PATCH /templates/t-demo"]
    assert [made["image"] for made in fake.current["templates"]] == ["app:1"]


def test_a_template_that_somebody_else_makes_first_stays() -> None:
    fake = FakeRunpod()
    fake.answers = [None, lambda: faster(fake, image="theirs:1")]
    with pytest.raises(ConflictError, match="may be somebody else's: it runs another repository than app:1"):
        run({**UNSET, "image": "app:1"}, False, fake.client)
    assert fake.writes() == ["POST /templates"]


def test_no_value_of_env_is_in_an_outcome() -> None:
    fake = FakeRunpod(registries=REGISTRIES)
    for check_mode in (True, False):
        for params in (V1, V2, GONE):
            assert "hush-hush" not in str(run(params, check_mode, fake.client))


def test_a_changed_value_of_env_is_seen_in_the_difference() -> None:
    fake = FakeRunpod(templates=[template("demo", env={"TOKEN": "hush-hush-1", "N": "1"})])
    outcome = run({**UNSET, "env": {"TOKEN": "hush-hush-2", "N": 1}}, False, fake.client)
    assert outcome.before["env"] == {"TOKEN": "********", "N": "********"}
    assert outcome.after["env"] == {"TOKEN": "******** (changed)", "N": "********"}
    assert outcome.results["template"]["env"] == {"TOKEN": "********", "N": "********"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "missing required arguments: name"),
        ({"name": "demo", "category": "GPU"}, "category must be one of"),
        ({"name": "demo", "persistent_mount": {"path": "/data"}}, "size"),
        ({"name": "demo", "env": {"TOKEN": False}}, "env.TOKEN must be a string: quote it"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: Json, says: str, capsys: Capture) -> None:
    with patch_module_args({"api_key": "key-of-the-unit-tests", **options}), pytest.raises(SystemExit):
        main()
    assert says in json.loads(capsys.readouterr().out)["msg"]
