# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    CollectionError,
    ConflictError,
    IgnoredFieldError,
    InputError,
    Json,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.fields import Step, differing
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.template import (
    DEFAULTS,
    FIELDS,
    OPTIONS,
    check,
    desired,
    plan,
    read,
    template_diff,
    template_result,
    validation_errors,
    write,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import (
    TEMPLATE,
    FakeRunpod,
    Lost,
    refusal,
    template,
)

UNSET: Json = {option: None for option in OPTIONS} | {"name": "demo", "state": "present"}
REGISTRIES = [{"id": "r1", "name": "one"}, {"id": "r2", "name": "two"}, {"id": "r3", "name": "two"}]
BARE: Json = {"cmd": [], "entrypoint": []}
MOUNT = {"size": 20, "path": "/data"}


def test_each_option_but_state_has_its_field() -> None:
    assert set(OPTIONS) - {"state"} == set(FIELDS)
    assert set(DEFAULTS) == set(TEMPLATE) | {"cmd", "entrypoint"} == set(FIELDS.values()) - {"name", "image"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, []),
        ({"env": {"A": "x", "B": 1, "C": 1.5, "D": ""}}, []),
        ({"env": {"A": True}}, ["env.A must be a string: quote it"]),
        ({"env": {"A": None, "B": ["hush"]}}, ["env.A must be a string: quote it", "env.B must be a string: quote it"]),
        ({"name": ""}, ["name must not be empty"]),
        ({"image": ""}, ["image must not be empty"]),
        ({"disk": 1}, []),
        ({"disk": 0}, ["disk must be at least 1 (GB)"]),
        ({"persistent_mount": {"size": None, "path": None}}, []),
        ({"persistent_mount": {"size": 10, "path": "/data"}}, []),
        ({"persistent_mount": {"size": 9, "path": "/data"}}, ["persistent_mount.size must be at least 10 (GB)"]),
        ({"allowed_cuda_versions": ["12.8", "12.10"]}, []),
        ({"allowed_cuda_versions": ["12"]}, ["allowed_cuda_versions: '12' is not of the form '12.8'"]),
    ],
)
def test_faults(options: Json, said: list[str]) -> None:
    assert validation_errors({**UNSET, **options}) == said


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"image": "app:1"}, "missing required arguments: name"),
        ({"name": "demo", "dsik": 50}, "dsik"),
        ({"name": "demo", "disk": "much"}, "disk"),
        ({"name": "demo", "category": "GPU"}, "category"),
        ({"name": "demo", "persistent_mount": {"size": 20}}, "path"),
        ({"name": "demo", "disk": 0, "env": {"DEBUG": False}}, r"disk must be .*; env.DEBUG must be"),
    ],
)
def test_a_template_is_checked_as_somebody_wrote_it(given: Json, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check(given)


def test_a_sound_template_passes_the_check_unchanged() -> None:
    given = {"name": "demo", "disk": "50", "env": {"A": 1}, "ports": "22/tcp"}
    check(given)
    assert given == {"name": "demo", "disk": "50", "env": {"A": 1}, "ports": "22/tcp"}


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {}),
        ({"args": "", "ports": [], "env": {}}, {"args": "", "ports": [], "env": {}}),  # empty means clear
        ({"env": {"A": 1, "B": 1.5, "C": "x"}}, {"env": {"A": "1", "B": "1.5", "C": "x"}}),
        ({"registry": "one"}, {"registry": "r1"}),
        ({"registry": ""}, {"registry": None}),
        ({"persistent_mount": MOUNT}, {"mounts": {"persistent": MOUNT}}),
        ({"persistent_mount": {"size": None, "path": None}}, {"mounts": {}}),
        (
            {"start_ssh": False, "start_jupyter": False, "allowed_cuda_versions": ["12.8"]},
            {"startSsh": False, "startJupyter": False, "allowedCudaVersions": ["12.8"]},
        ),
    ],
)
def test_desired(options: Json, fields: Json) -> None:
    assert desired({**UNSET, **options}, REGISTRIES) == {"name": "demo", **fields}


@pytest.mark.parametrize(
    ("current", "fields", "left"),
    [
        ({"ports": ["a", "b"]}, {"ports": ["b", "a"]}, {}),  # the order of a list has no meaning
        ({"ports": ["a", "b"]}, {"ports": ["b"]}, {"ports": ["b"]}),
        ({"ports": ["a"]}, {"ports": ["c", "b"]}, {"ports": ["c", "b"]}),  # sent as it was written
        ({"env": {"A": "1", "B": "2"}}, {"env": {"A": "1"}}, {"env": {"A": "1"}}),  # env as a whole
        ({"registry": "r1"}, {"registry": None}, {"registry": None}),
        ({"mounts": {"persistent": MOUNT}}, {"mounts": {"persistent": dict(MOUNT)}}, {}),
    ],
)
def test_delta(current: Json, fields: Json, left: Json) -> None:
    assert differing(current, fields) == left


@pytest.mark.parametrize(
    ("options", "held", "action", "fields"),
    [
        ({"image": "app:1"}, None, "create", {"name": "demo", "image": "app:1", "disk": 50}),
        ({"image": "app:1", "disk": 80}, None, "create", {"name": "demo", "image": "app:1", "disk": 80}),
        ({}, {}, "unchanged", {}),
        ({"image": "app:1", "disk": 50}, {}, "unchanged", {}),
        ({"image": "app:2", "disk": 50}, {}, "change", {"image": "app:2"}),
        ({"disk": None}, {"disk": 80}, "unchanged", {}),  # 50 is for new templates
        ({"persistent_mount": {"size": None, "path": None}}, {}, "unchanged", {}),
        ({"persistent_mount": MOUNT}, {}, "change", {"mounts": {"persistent": MOUNT}}),
        ({"state": "absent"}, {}, "delete", None),
        ({"state": "absent"}, None, "unchanged", None),
        ({"state": "absent", "image": "app:2"}, {}, "delete", None),
    ],
)
def test_plan(options: Json, held: Json | None, action: str, fields: Json | None) -> None:
    templates = [template("other"), *([template("demo", **held)] if held is not None else [])]
    step = plan({**UNSET, **options}, templates, REGISTRIES)
    assert (step.action, step.fields) == (action, fields)


BOTH = [{"id": "p", "name": "ecr"}, {"id": "a", "name": "ecr-alt"}]


@pytest.mark.parametrize(
    ("held", "used", "fields"),
    [
        ({"registry": "a"}, ["p", "p"], {}),  # it refers to one of the two that mean the same
        ({"registry": "p"}, ["a", "a"], {}),
        ({"registry": None}, ["a", "a"], {"registry": "a"}),
        ({"registry": "x"}, ["p", "a"], {"registry": "p"}),
    ],
)
def test_a_template_stays_with_either_of_two_credentials_that_mean_the_same(
    held: Json, used: list[str], fields: Json
) -> None:
    assert plan({**UNSET, "registry": "ecr"}, [template("demo", **held)], BOTH, used).fields == fields


def test_a_new_template_needs_an_image() -> None:
    with pytest.raises(InputError, match="no template named 'demo': to create it, image is required"):
        plan(UNSET, [], [])


def test_a_mount_cannot_be_taken_away() -> None:
    held = template("demo", mounts={"persistent": MOUNT})
    with pytest.raises(InputError, match="persistent mount, which RunPod cannot take away"):
        plan({**UNSET, "persistent_mount": {"size": None, "path": None}}, [held], [])


def test_two_templates_with_the_name_are_an_error_whatever_is_wanted() -> None:
    held = [template("demo", id="b"), template("demo", id="a")]
    for state in ("present", "absent"):
        with pytest.raises(ConflictError, match=r"2 templates named 'demo' \(ids a, b\)"):
            plan({**UNSET, "state": state}, held, [])


@pytest.mark.parametrize(
    ("options", "held", "after"),
    [
        ({"state": "absent"}, {}, None),
        ({}, {}, template("demo")),
        ({"disk": 80}, {}, template("demo", disk=80)),
        ({"image": "a", "disk": 80}, None, {**DEFAULTS, "name": "demo", "image": "a", "disk": 80}),
    ],
)
def test_a_prediction_is_the_whole_template_without_the_id_it_will_get(
    options: Json, held: Json | None, after: Json | None
) -> None:
    templates = [] if held is None else [template("demo", **held)]
    assert plan({**UNSET, "image": "app:1", **options}, templates, []).after == (after and {**after, **BARE})


@pytest.mark.parametrize(
    ("items", "requests"),
    [
        ([{}], ["GET /templates"]),
        ([{"registry": ""}, {"registry": "one", "state": "absent"}], ["GET /templates"]),
        ([{"registry": "one"}, {"registry": "r2"}], ["GET /templates", "GET /registries"]),
    ],
)
def test_credentials_are_read_only_when_one_is_named(items: list[Json], requests: list[str]) -> None:
    fake = FakeRunpod(templates=[template("demo")], registries=REGISTRIES)
    templates, registries, warnings = read(fake.client, [{**UNSET, **item} for item in items], check_mode=False)
    assert (templates, registries) == ([template("demo")], REGISTRIES if len(requests) == 2 else [])
    assert (fake.requests(), warnings) == (requests, ())


NEW = Step("demo", None, {"name": "demo", "image": "app:1", "disk": 50, "registry": "r1"}, None)


def test_a_step_is_one_request() -> None:
    fake = FakeRunpod()
    made = write(fake.client, NEW)
    assert made == {**TEMPLATE, **BARE, "id": "id-1", "name": "demo", "image": "app:1", "registry": "r1"}
    assert write(fake.client, Step("demo", made, {"disk": 80}, None)) == {**made, "disk": 80}
    assert write(fake.client, Step("demo", made, {}, None)) == made
    assert write(fake.client, Step("demo", made, None, None)) is None
    assert write(fake.client, Step("demo", None, None, None)) is None
    assert fake.requests() == ["POST /templates", "PATCH /templates/id-1", "DELETE /templates/id-1"]


def test_a_creation_whose_answer_was_lost_is_adopted() -> None:
    fake = FakeRunpod(templates=[template("other")])
    fake.answers = [Lost()]
    made = write(fake.client, NEW)
    assert made and made["id"] == "id-1" and len(fake.current["templates"]) == 2


def test_a_field_that_the_api_ignored_is_an_error_with_what_it_holds() -> None:
    fake = FakeRunpod()
    held = template("demo", registry=None, disk=10)
    fake.answers = [(201, {}, held)]
    with pytest.raises(
        IgnoredFieldError, match=r"id t-demo\) but holds other values than were sent for disk, registry\."
    ) as caught:
        write(fake.client, NEW)
    assert caught.value.thing == {**held, **BARE}


@pytest.mark.parametrize("answer", [None, [], {}, {"name": "demo"}])
def test_an_answer_that_is_no_template_is_an_error(answer: Any) -> None:
    fake = FakeRunpod()
    fake.answers = [(201, {}, answer)]
    with pytest.raises(CollectionError, match="POST /templates: .*the answer (is empty|is no object|has no id)"):
        write(fake.client, NEW)


def test_a_template_in_use_is_not_deleted_and_the_api_says_why() -> None:
    fake = FakeRunpod(templates=[template("demo")])
    fake.answers = [refusal(400, "template is in use by a pod")]
    with pytest.raises(CollectionError, match="DELETE /templates/t-demo: HTTP 400: template is in use by a pod"):
        write(fake.client, Step("demo", template("demo"), None, None))


def test_a_template_that_is_gone_already_is_as_good_as_deleted() -> None:
    assert write(FakeRunpod().client, Step("demo", template("demo"), None, None)) is None


def test_a_result_has_the_names_of_the_options_and_no_value_of_env() -> None:
    shown = template_result(template("demo", env={"TOKEN": "hush"}, mounts={"persistent": MOUNT}))
    assert shown and set(shown) == (set(OPTIONS) - {"state"}) | {"id"}
    assert shown["persistent_mount"] == MOUNT and shown["env"] == {"TOKEN": "********"}
    without_mount = template_result(template("demo"))
    assert without_mount and without_mount["persistent_mount"] is None
    assert template_result(None) is None


def test_a_difference_marks_the_value_that_changed() -> None:
    old, new = template_diff(template("demo", env={"A": "1", "B": "1"}), template("demo", env={"A": "1", "B": "2"}))
    assert old and old["env"] == {"A": "********", "B": "********"}
    assert new and new["env"] == {"A": "********", "B": "******** (changed)"}


def test_the_two_modules_document_the_same_options() -> None:
    yaml = pytest.importorskip("yaml")
    one, many = (
        importlib.import_module(f"ansible_collections.gpuops.runpod.plugins.modules.{name}")
        for name in ("runpod_template", "runpod_templates")
    )
    documented = yaml.safe_load(one.DOCUMENTATION)["options"]
    assert documented.pop("adopt")["default"] is False
    of_many = yaml.safe_load(many.DOCUMENTATION)["options"]
    assert of_many["templates"]["suboptions"] == documented
    general = {option: text for option, text in documented.items() if option not in ("name", "state")}
    assert of_many["defaults"]["suboptions"] == general
    assert list(documented) == list(OPTIONS)
    returned = yaml.safe_load(one.RETURN)["template"]["contains"]
    assert yaml.safe_load(many.RETURN)["templates"]["contains"] == returned
    assert set(returned) == (set(OPTIONS) - {"state"}) | {"id"}
