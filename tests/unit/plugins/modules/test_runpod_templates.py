# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    CollectionError,
    ConflictError,
    InputError,
    Json,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import ItemsFailedError, Result
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.template import OPTIONS
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.templates import (
    DEFAULT_OPTIONS,
    over_defaults,
    run,
)
from ansible_collections.gpuops.runpod.plugins.modules.runpod_templates import main
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod, Lost, refusal, template

UNSET: Json = {option: None for option in OPTIONS} | {"state": "present"}
REGISTRIES = [{"id": "r1", "name": "one"}]
NONE = {"created": 0, "changed": 0, "deleted": 0, "unchanged": 0, "failed": 0}
Capture = pytest.CaptureFixture[str]


def item(name: str, **options: Any) -> Json:
    return {**UNSET, "name": name, **options}


def gone(name: str) -> Json:
    return item(name, state="absent")


def go(fake: FakeRunpod, items: list[Json], check_mode: bool = False, **options: Any) -> Result:
    params = {"templates": items, "prune": False, "prune_pattern": None, "on_error": "continue", **options}
    return run(params, check_mode, fake.client)


def failed(fake: FakeRunpod, items: list[Json], **options: Any) -> Json:
    """Return what a run that fails half-way answers."""
    with pytest.raises(ItemsFailedError) as caught:
        go(fake, items, **options)
    return caught.value.as_result()


def test_nine_steps() -> None:
    fake = FakeRunpod(templates=[template("other")], registries=REGISTRIES)
    steps = (
        ([item("a", image="app:1", registry="one"), item("b", image="app:1")], ["POST /templates"] * 2),
        (
            [item("a", image="app:2", registry="one"), item("b", image="app:1", env={"A": 1})],
            ["PATCH /templates/id-1", "PATCH /templates/id-2"],
        ),
        ([gone("a"), gone("b")], ["DELETE /templates/id-1", "DELETE /templates/id-2"]),
    )
    for items, writes in steps:
        for check_mode, changed, expected in ((True, True, []), (False, True, writes), (False, False, [])):
            assert go(fake, items, check_mode).changed is changed
            assert fake.writes() == expected
    assert fake.current["templates"] == [template("other")]


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_an_unchanged_run_of_any_size_makes_two_requests(size: int) -> None:
    names = [f"t{number}" for number in range(size)]
    fake = FakeRunpod(templates=[template(name, registry="r1") for name in names], registries=REGISTRIES)
    outcome = go(fake, [item(name, image="app:1", registry="one") for name in names])
    assert (outcome.changed, outcome.results["summary"]) == (False, {**NONE, "unchanged": size})
    assert fake.requests() == ["GET /templates", "GET /registries"]


def test_a_new_template_gets_the_credential_that_took_the_others_over() -> None:
    both = [{"id": "p", "name": "ecr"}, {"id": "a", "name": "ecr-alt"}]
    fake = FakeRunpod(templates=[template("old", registry="a")], registries=both)
    items = [item("old", registry="ecr"), item("new", image="app:1", registry="ecr")]
    assert go(fake, items).results["summary"] == {**NONE, "created": 1, "unchanged": 1}
    assert [held["registry"] for held in fake.current["templates"]] == ["a", "a"]


def test_creates_come_before_changes_and_changes_before_deletes() -> None:
    fake = FakeRunpod(templates=[template("old"), template("same"), template("odd"), template("older")])
    items = [gone("old"), item("odd", disk=80), item("new", image="app:1"), item("same"), gone("older"), gone("never")]
    outcome = go(fake, items)
    assert fake.writes() == [
        "POST /templates",
        "PATCH /templates/t-odd",
        "DELETE /templates/t-old",
        "DELETE /templates/t-older",
    ]
    assert outcome.results["summary"] == {"created": 1, "changed": 1, "deleted": 2, "unchanged": 2, "failed": 0}
    assert outcome.results["failed_items"] == []


def test_the_templates_afterwards_are_those_that_were_named_by_name() -> None:
    fake = FakeRunpod(templates=[template("other"), template("b"), template("d")])
    outcome = go(fake, [item("c", image="app:1"), item("b"), item("a", image="app:1"), gone("d")])
    assert [(shown["name"], shown["id"]) for shown in outcome.results["templates"]] == [
        ("a", "id-1"),
        ("b", "t-b"),
        ("c", "id-2"),
    ]


def test_the_difference_is_sorted_and_holds_only_what_changed() -> None:
    fake = FakeRunpod(templates=[template("same"), template("b"), template("a")])
    outcome = go(fake, [item("same"), item("b", disk=80), gone("a"), item("c", image="app:1")])
    assert [shown["name"] for shown in outcome.before["templates"]] == ["a", "b"]
    assert [(shown["name"], shown["disk"]) for shown in outcome.after["templates"]] == [("b", 80), ("c", 50)]


def test_check_mode_predicts_what_a_run_does() -> None:
    items = [item("new", image="app:1", env={"A": 1}), item("odd", disk=80), gone("old")]
    fake = FakeRunpod(templates=[template("old"), template("odd")])
    predicted = go(fake, items, check_mode=True)
    assert fake.writes() == []
    done = go(fake, items)
    assert done.results["templates"][0].pop("id") == "id-1"
    assert predicted.results == done.results


def test_a_credential_to_come_is_warned_of_once() -> None:
    fake = FakeRunpod()
    items = [item(name, image="app:1", registry="soon") for name in ("a", "b")]
    outcome = go(fake, items, check_mode=True)
    assert len(outcome.warnings) == 1 and outcome.results["templates"][0]["registry"] == "soon"
    with pytest.raises(InputError, match="soon"):
        go(fake, items)
    assert fake.writes() == []


def test_everything_wrong_with_the_items_is_said_at_once_and_before_a_request() -> None:
    fake = FakeRunpod()
    items = [item("a", image="app:1"), item("b", disk=0), item("a", env={"TOKEN": True}), item("b")]
    with pytest.raises(InputError) as caught:
        go(fake, items)
    assert str(caught.value) == (
        "Template 2 ('b'): disk must be at least 1 (GB). "
        "Template 3 ('a'): env.TOKEN must be a string: quote it. "
        "Templates 1 and 3 have the same name 'a'. "
        "Templates 2 and 4 have the same name 'b'."
    )
    assert fake.calls == []


@pytest.mark.parametrize(
    ("items", "kind", "says"),
    [
        ([item("fine", image="app:1"), item("x"), item("y")], InputError, "'x'.*image is required.*'y'.*image is"),
        ([item("fine", image="app:1"), gone("twice"), item("x")], ConflictError, "ids a, b.*'x'.*image is required"),
    ],
)
def test_what_cannot_be_planned_is_an_error_before_anything_is_written(
    items: list[Json], kind: type[CollectionError], says: str
) -> None:
    fake = FakeRunpod(templates=[template("twice", id="a"), template("twice", id="b")])
    for check_mode in (True, False):
        with pytest.raises(kind, match=says):
            go(fake, items, check_mode)
    assert fake.writes() == []


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("team-?", ["Team-c", "other", "team-a", "team-long"]),
        ("team-*", ["Team-c", "other", "team-a"]),
        ("*", ["team-a"]),
        ("team", ["Team-c", "other", "team-a", "team-b", "team-b", "team-long"]),  # the whole name counts
    ],
)
def test_only_what_matches_the_pattern_and_is_not_named_is_pruned(pattern: str, left: list[str]) -> None:
    held = [template(name) for name in ("team-a", "team-b", "team-long", "Team-c", "other")]
    fake = FakeRunpod(templates=[*held, template("team-b", id="twin")])
    predicted = go(fake, [item("team-a")], check_mode=True, prune=True, prune_pattern=pattern)
    assert fake.writes() == []
    outcome = go(fake, [item("team-a")], prune=True, prune_pattern=pattern)
    assert sorted(thing["name"] for thing in fake.current["templates"]) == left
    assert outcome.results["summary"]["deleted"] == predicted.results["summary"]["deleted"] == 6 - len(left)
    assert [shown["name"] for shown in outcome.results["templates"]] == ["team-a"]
    assert not go(fake, [item("team-a")], prune=True, prune_pattern=pattern).changed


def test_a_pattern_alone_prunes_nothing() -> None:
    fake = FakeRunpod(templates=[template("a"), template("b")])
    assert not go(fake, [item("a")], prune_pattern="*").changed


def test_one_failing_item_hides_nothing() -> None:
    fake = FakeRunpod(templates=[template("odd"), template("old")])
    fake.answers = [None, None, refusal(422, "image: no"), None, None, refusal(400, "in use by a pod")]
    items = [
        item("a", image="app:1"),
        item("b", image="no:1"),
        item("odd", disk=80),
        gone("old"),
        item("x", state="absent"),
    ]
    answer = failed(fake, items)
    assert answer["msg"] == "2 of 5 templates failed. b: POST /templates: HTTP 422: image: no"
    assert answer["changed"] is True
    assert answer["summary"] == {"created": 1, "changed": 1, "deleted": 0, "unchanged": 1, "failed": 2}
    assert answer["failed_items"] == [
        {
            "name": "b",
            "action": "create",
            "msg": "POST /templates: HTTP 422: image: no",
            "status": 422,
            "problem": {"title": "Refused", "status": 422, "detail": "image: no"},
        },
        {
            "name": "old",
            "action": "delete",
            "msg": "DELETE /templates/t-old: HTTP 400: in use by a pod",
            "status": 400,
            "problem": {"title": "Refused", "status": 400, "detail": "in use by a pod"},
        },
    ]
    assert [shown["name"] for shown in answer["templates"]] == ["a", "odd", "old"]
    assert [shown["name"] for shown in answer["diff"]["before"]["templates"]] == ["odd"]
    assert [shown["name"] for shown in answer["diff"]["after"]["templates"]] == ["a", "odd"]


def test_a_re_run_finishes_what_failed() -> None:
    fake = FakeRunpod()
    items = [item(name, image="app:1") for name in ("a", "b", "c")]
    fake.answers = [None, None, refusal(500, "upstream")]
    assert failed(fake, items)["summary"] == {**NONE, "created": 2, "failed": 1}
    assert go(fake, items).results["summary"] == {**NONE, "created": 1, "unchanged": 2}
    assert len(fake.current["templates"]) == 3


def test_stop_writes_nothing_more() -> None:
    fake = FakeRunpod(templates=[template("old"), template("same")])
    fake.answers = [None, None, refusal(422, "no")]
    items = [item("a", image="app:1"), item("b", image="app:1"), item("c", image="app:1"), gone("old"), item("same")]
    answer = failed(fake, items, on_error="stop")
    assert fake.writes() == ["POST /templates", "POST /templates"]
    assert answer["summary"] == {**NONE, "created": 1, "unchanged": 1, "failed": 1}
    assert answer["msg"].startswith("1 of 5 templates failed. 2 were not tried after that. b: ")
    assert [shown["name"] for shown in answer["templates"]] == ["a", "old", "same"]


@pytest.mark.parametrize(
    "trouble",
    [
        [refusal(401, "no")],
        [refusal(403, "no")],
        [refusal(429, "day", Retry_After="45012")],
        [TimeoutError("timed out")] * 6,  # the POST and five tries to look it up
    ],
)
def test_what_every_template_would_meet_ends_the_run(trouble: list[Any]) -> None:
    fake = FakeRunpod()
    fake.answers = [None, *trouble]
    answer = failed(fake, [item(name, image="app:1") for name in ("a", "b", "c")])
    assert fake.writes() == ["POST /templates"]
    assert (answer["changed"], answer["summary"]) == (False, {**NONE, "failed": 1})


def test_a_write_that_was_not_taken_whole_is_a_failure_that_changed_something() -> None:
    fake = FakeRunpod(registries=REGISTRIES)
    fake.answers = [None, None, (201, {}, template("a", registry=None))]
    answer = failed(fake, [item("a", image="app:1", registry="one"), item("b", image="app:1")])
    assert (answer["changed"], answer["summary"]) == (True, {**NONE, "created": 1, "failed": 1})
    assert "sent for registry" in answer["failed_items"][0]["msg"]
    assert answer["templates"][0]["id"] == "t-a"


def test_a_lost_answer_makes_no_second_template() -> None:
    fake = FakeRunpod()
    fake.answers = [None, Lost(), None, Lost()]
    outcome = go(fake, [item("a", image="app:1"), item("b", image="app:1")])
    assert outcome.results["summary"] == {**NONE, "created": 2}
    assert [thing["name"] for thing in fake.current["templates"]] == ["a", "b"]


def test_no_value_of_env_is_in_a_result() -> None:
    fake = FakeRunpod(templates=[template("a", env={"TOKEN": "hush-hush-1"})])
    items = [item("a", env={"TOKEN": "hush-hush-2"}), item("b", image="app:1", env={"TOKEN": "hush-hush-3"})]
    assert "hush-hush" not in str(go(fake, items, check_mode=True))
    fake.answers = [None, refusal(400, "no: hush-hush-3")]
    assert "hush-hush" not in str(failed(fake, items))
    assert "hush-hush" not in str(go(fake, items))


def over(**options: Any) -> Json:
    return {option: None for option in DEFAULT_OPTIONS} | options


@pytest.mark.parametrize(
    ("own", "defaults", "field", "value"),
    [
        ({}, {"disk": 80}, "disk", 80),
        ({"disk": 90}, {"disk": 80}, "disk", 90),
        ({"serverless": False}, {"serverless": True}, "serverless", False),
        ({"ports": []}, {"ports": ["22/tcp"]}, "ports", []),
        ({"args": ""}, {"args": "serve"}, "args", ""),
        ({"env": {"B": "own", "C": 3}}, {"env": {"A": 1, "B": "all"}}, "env", {"A": "1", "B": "own", "C": "3"}),
        ({"env": {}}, {"env": {"A": 1}}, "env", {"A": "1"}),
        ({"registry": ""}, {"registry": "one"}, "registry", None),
        ({}, {"registry": "one"}, "registry", "r1"),
        ({}, {"image": "all:1"}, "image", "all:1"),
    ],
)
def test_an_items_own_options_stand_over_the_defaults(own: Json, defaults: Json, field: str, value: Any) -> None:
    fake = FakeRunpod(registries=REGISTRIES)
    items, given = [item("a", **{"image": "app:1"} | own)], over(**defaults)
    if field == "image":
        items[0]["image"] = None
    predicted = go(fake, items, check_mode=True, defaults=given).results["templates"]
    done = go(fake, items, defaults=given).results["templates"]
    made = fake.current["templates"][0]
    assert made.get(field) == value
    assert predicted == [{key: shown for key, shown in done[0].items() if key != "id"}]
    assert not go(fake, items, defaults=given).changed


@pytest.mark.parametrize(
    ("own", "defaults", "command"),
    [
        ({"args": "run"}, {"cmd": ["serve"], "entrypoint": ["sh"]}, ("run", None, None)),
        ({"cmd": ["run"]}, {"args": "serve"}, (None, ["run"], None)),
        ({"cmd": ["run"]}, {"entrypoint": ["sh"]}, (None, ["run"], ["sh"])),
        ({}, {"cmd": ["serve"]}, (None, ["serve"], None)),
    ],
)
def test_a_command_of_an_item_replaces_one_of_the_other_form(own: Json, defaults: Json, command: Any) -> None:
    merged = over_defaults(item("a", **own), over(**defaults))
    assert (merged["args"], merged["cmd"], merged["entrypoint"]) == command


def test_a_fault_of_the_defaults_is_said_once_and_one_that_they_make_is_said_of_the_item() -> None:
    fake = FakeRunpod()
    items = [
        item("a", image="app:1"),
        item("b", image="app:1", persistent_mount={"size": 20, "path": "/data"}),
        item("c", image="app:1", disk=1),
    ]
    with pytest.raises(InputError) as caught:
        go(fake, items, defaults=over(disk=0, ports=["22"], serverless=True))
    assert str(caught.value) == (
        "defaults: disk must be at least 1 (GB). "
        "defaults: ports: '22' is not of the form 8888/http or 22/tcp, with a port from 1 to 65535. "
        "Template 2 ('b'): persistent_mount is for pods only: leave it unset, or set serverless to false."
    )
    assert fake.calls == []


def test_no_templates_are_fine() -> None:
    assert go(FakeRunpod(), []).results == {"templates": [], "summary": NONE, "failed_items": []}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "missing required arguments: templates"),
        ({"templates": [], "prune": True}, "prune is True but all of the following are missing: prune_pattern"),
        ({"templates": [{"image": "app:1"}]}, "missing required arguments: name found in templates"),
        ({"templates": [{"name": "a", "dsik": 1}]}, "templates.dsik"),
        ({"templates": [], "defaults": {"name": "a"}}, "defaults.name"),
        ({"templates": [], "defaults": {"disk": 0}}, "defaults: disk must be at least 1 (GB)."),
        ({"templates": [{"name": "a"}, {"name": "a"}]}, "Templates 1 and 2 have the same name 'a'."),
    ],
)
def test_options_that_do_not_fit_are_refused(options: Json, says: str, capsys: Capture) -> None:
    with patch_module_args({"api_key": "key-of-the-unit-tests", **options}), pytest.raises(SystemExit):
        main()
    assert says in json.loads(capsys.readouterr().out)["msg"]


@pytest.mark.parametrize("items", [[None], [{"name": "one", "image": "app:1"}, None], [3], [[None]]])
def test_an_item_that_is_no_mapping_is_refused_by_its_options_name(
    items: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with patch_module_args({"api_key": "key-of-the-unit-tests", "templates": items}), pytest.raises(SystemExit):
        main()
    ended = json.loads(capsys.readouterr().out)
    assert ended["failed"] and "templates" in ended["msg"]
