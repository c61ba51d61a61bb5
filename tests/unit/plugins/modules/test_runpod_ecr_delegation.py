# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.runpod_roles import EVER_PUBLISHED
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError, InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import ItemsFailedError, Result
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.delegation import pauses, run
from ansible_collections.gpuops.runpod.plugins.modules.runpod_ecr_delegation import main
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import (
    FakeRunpod,
    Lost,
    delegated,
    delegation,
    refusal,
)

EAST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
APP, API, WEB = (f"arn:aws:ecr:us-east-1:123456789012:repository/{name}" for name in ("app", "api", "web"))
IMAGE = f"{EAST}/app:v1"
UNSET: Json = {
    "images": None,
    "repository_arns": None,
    "tag": None,
    "name": None,
    "resource_form": "auto",
    "propagation_timeout": 0,
    "state": "present",
}
LIST, POST = "GET /registries/delegations", "POST /registries/delegations"
NO = refusal(400, "not like this")
Capture = pytest.CaptureFixture[str]


def go(fake: FakeRunpod, check_mode: bool = False, **options: Any) -> Result:
    given = {} if {"images", "repository_arns"} & options.keys() else {"images": [IMAGE]}
    return run({**UNSET, **given, **options}, check_mode, fake.client)


def failed(fake: FakeRunpod, **options: Any) -> Json:
    """Return what a run that fails answers."""
    with pytest.raises(ItemsFailedError) as caught:
        go(fake, **options)
    return caught.value.as_result()


def asked(fake: FakeRunpod) -> list[str]:
    """Return the resources that RunPod was asked for."""
    return [body["resource"] for method, dummy, body in fake.calls if method == "POST" and body]


# What is wanted and what is there


def test_nine_steps() -> None:
    """There is no update: a delegation that differs stays as it is."""
    other = delegation(WEB)
    fake = FakeRunpod(delegations=[other])
    steps: tuple[tuple[Json, bool, list[str]], ...] = (
        ({"images": [IMAGE, f"{EAST}/api:v1"]}, True, [POST, POST]),
        ({"images": [f"{EAST}/app:v2", f"{EAST}/api:v2"], "name": "new"}, False, []),
        (
            {"repository_arns": [APP, API], "state": "absent"},
            True,
            ["DELETE /registries/delegations/id-1", "DELETE /registries/delegations/id-2"],
        ),
    )
    for options, changes, writes in steps:
        for check_mode, changed, expected in ((True, changes, []), (False, changes, writes), (False, False, [])):
            assert go(fake, check_mode, **options).changed is changed
            assert fake.writes() == expected
    assert fake.current["delegations"] == [other]


@pytest.mark.parametrize("size", [0, 1, 100])
def test_an_unchanged_run_of_any_size_makes_one_request(size: int) -> None:
    arns = [f"{APP}{number}" for number in range(size)]
    fake = FakeRunpod(delegations=[delegation(arn) for arn in arns])
    outcome = go(fake, repository_arns=arns)
    assert (outcome.changed, len(outcome.results["delegations"])) == (False, size)
    assert fake.requests() == [LIST]


def test_what_is_there_is_adopted_whatever_its_name_and_tag() -> None:
    fake = FakeRunpod(delegations=[delegation(f"{APP}:old", name="theirs")])
    outcome = go(fake, name="mine")
    [found] = outcome.results["delegations"]
    assert (outcome.changed, fake.writes()) == (False, [])
    assert (found["id"], found["name"], found["tag"]) == ("d-app", "theirs", "old")
    assert (found["created"], found["differs"]) == (False, ["name", "tag"])


@pytest.mark.parametrize(
    "other",
    [
        {"awsUser": "210987654321"},
        {"awsRegion": "eu-west-1"},
        {"repository": "application"},
    ],
)
def test_a_repository_of_another_account_region_or_name_is_another(other: Json) -> None:
    fake = FakeRunpod(delegations=[delegation(f"{APP}:v1", **other)])
    assert go(fake).changed
    assert fake.writes() == [POST]


def test_check_mode_predicts_what_a_run_does() -> None:
    fake = FakeRunpod(delegations=[delegation(API)])
    options: Json = {"images": [IMAGE, f"{EAST}/api:v1"], "name": "mine"}
    predicted = go(fake, check_mode=True, **options)
    assert fake.writes() == []
    done = go(fake, **options)
    made = done.results["delegations"][0]
    assert [made.pop(key) for key in ("id", "delegator_user_id", "created_at")] == [
        "id-1",
        "user",
        "2026-08-31T12:00:00Z",
    ]
    assert predicted.results == done.results
    assert made == {
        "name": "mine",
        "aws_user": "123456789012",
        "aws_region": "us-east-1",
        "repository": "app",
        "repository_arn": APP,
        "tag": "v1",
        "created": True,
        "differs": [],
    }


def test_the_difference_shows_these_repositories_only() -> None:
    fake = FakeRunpod(delegations=[delegation(WEB), delegation(API)])
    outcome = go(fake, repository_arns=[APP, API])
    before, after = ([shown["repository"] for shown in side["delegations"]] for side in (outcome.before, outcome.after))
    assert (before, after) == (["api"], ["app", "api"])


def test_a_repository_that_is_named_twice_counts_once() -> None:
    fake = FakeRunpod()
    outcome = go(fake, images=[IMAGE, f"{EAST}/app:v2"])
    assert asked(fake) == [f"{APP}:v1"]
    assert len(outcome.results["delegations"]) == 1


def test_several_delegations_of_a_repository_are_told_and_left_alone() -> None:
    fake = FakeRunpod(delegations=[delegation(APP, id="d2"), delegation(APP, id="d1")])
    outcome = go(fake)
    assert [found["id"] for found in outcome.results["delegations"]] == ["d1", "d2"]
    assert (outcome.changed, fake.writes()) == (False, [])
    assert len(outcome.warnings) == 1 and "2 delegations of it (ids d1, d2)" in outcome.warnings[0]


def test_an_image_with_an_odd_host_is_warned_of() -> None:
    fake = FakeRunpod()
    outcome = go(fake, images=["123456789012.dkr-ecr.us-east-1.on.aws/app:v1"])
    assert len(outcome.warnings) == 1
    assert asked(fake) == [f"{APP}:v1"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"images": ["app:1"]}, "not in a private ECR registry"),
        ({"repository_arns": ["arn:aws-cn:ecr:cn-north-1:123456789012:repository/app"]}, "in the partition aws-cn"),
        ({"repository_arns": [APP], "resource_form": "image_uri"}, f"image_uri carries a tag: set tag for {APP}"),
        ({"repository_arns": [APP], "resource_form": "arn_with_tag"}, "arn_with_tag carries a tag"),
        ({"name": ""}, "name is empty"),
        ({"propagation_timeout": -1}, "propagation_timeout: -1 must be at least 0"),
        ({"propagation_timeout": 10**12}, "propagation_timeout: 1000000000000 must be .* at most 86400"),
    ],
)
def test_what_is_wrong_with_the_options_is_said_before_a_request(options: Json, says: str) -> None:
    fake = FakeRunpod()
    with pytest.raises(InputError, match=says):
        go(fake, **options)
    assert fake.calls == []


# The forms


@pytest.mark.parametrize(
    ("options", "resources"),
    [
        ({}, [f"{APP}:v1", IMAGE, APP]),
        ({"repository_arns": [APP], "tag": "v1"}, [f"{APP}:v1", IMAGE, APP]),
        ({"repository_arns": [APP]}, [APP]),
        ({"resource_form": "arn_with_tag"}, [f"{APP}:v1"]),
        ({"resource_form": "image_uri"}, [IMAGE]),
        ({"resource_form": "arn"}, [APP]),
    ],
)
def test_each_form_is_tried_once_and_its_refusal_told(options: Json, resources: list[str]) -> None:
    fake = FakeRunpod()
    fake.answers = [None, *[refusal(status, f"no {status}") for status in (400, 422, 400)][: len(resources)]]
    result = failed(fake, **options)
    assert asked(fake) == resources
    [item] = result["failed_items"]
    assert [attempt["resource"] for attempt in item["attempts"]] == resources
    for attempt in item["attempts"]:
        assert "{form} ({resource}): HTTP {status}: {detail}".format_map(attempt) in item["msg"]
        assert attempt["detail"] == f"no {attempt['status']}"


@pytest.mark.parametrize(
    ("options", "told"),
    [({"repository_arns": [APP]}, True), ({"repository_arns": [APP], "resource_form": "arn"}, False), ({}, False)],
)
def test_forms_that_only_lack_a_tag_are_told_of(options: Json, told: bool) -> None:
    fake = FakeRunpod()
    fake.answers = [None, NO, *[NO, NO] * (not options)]
    assert ("Without tag, the forms" in failed(fake, **options)["msg"]) is told


def test_a_refusal_reminds_of_the_policy_and_the_roles_it_must_name() -> None:
    fake = FakeRunpod()
    fake.answers = [None, NO, NO, NO]
    said = failed(fake)["msg"]
    assert said.startswith(f"1 of 1 repositories failed. {APP}: RunPod does not take it.")
    assert all(role in said for role in EVER_PUBLISHED)
    assert "ecr_pull_grant" in said and "propagation_timeout" in said


@pytest.mark.parametrize("refusals", [0, 1, 2])
def test_the_next_form_is_tried_after_a_refusal_only(refusals: int) -> None:
    fake = FakeRunpod()
    fake.answers = [None, *[NO] * refusals]
    outcome = go(fake, name="mine")
    assert asked(fake) == [f"{APP}:v1", IMAGE, APP][: refusals + 1]
    assert (outcome.changed, outcome.results["delegations"][0]["created"]) == (True, True)
    assert outcome.results["delegations"][0]["tag"] == ("latest" if refusals == 2 else "v1")
    assert fake.calls[-2][2] == {"resource": asked(fake)[-1], "name": "mine"}


def test_a_name_that_is_not_set_is_not_sent() -> None:
    fake = FakeRunpod()
    go(fake)
    assert fake.calls[-2] == ("POST", "/registries/delegations", {"resource": f"{APP}:v1"})


def test_a_form_that_was_taken_is_tried_first_from_then_on() -> None:
    fake = FakeRunpod()
    fake.answers = [None, NO]
    go(fake, images=[IMAGE, f"{EAST}/api:v1"])
    assert asked(fake) == [f"{APP}:v1", IMAGE, f"{EAST}/api:v1"]


def test_what_runpod_misunderstands_is_taken_back() -> None:
    fake = FakeRunpod()
    odd = delegation(APP, id="odd", repository="app:v1")
    fake.current["delegations"].append(delegation(WEB))
    fake.answers = [None, (201, {}, odd), (204, {}, b"")]
    outcome = go(fake)
    assert fake.writes() == [POST, "DELETE /registries/delegations/odd", POST]
    assert outcome.results["delegations"][0]["id"] == "id-1"


def test_what_was_there_before_is_not_taken_back() -> None:
    fake = FakeRunpod(delegations=[delegation(WEB)])
    fake.answers = [None, (201, {}, delegation(WEB))]
    [item] = failed(fake, resource_form="arn")["failed_items"]
    assert fake.writes() == [POST]
    assert item["attempts"][0]["detail"] == f"RunPod took it for the repository {WEB}, of which it was told before"


def test_a_misunderstanding_that_cannot_be_taken_back_is_an_error() -> None:
    fake = FakeRunpod()
    fake.answers = [None, (201, {}, delegation(WEB, id="odd")), refusal(403, "access denied")]
    [item] = failed(fake)["failed_items"]
    assert (item["status"], "DELETE /registries/delegations/odd" in item["msg"]) == (403, True)


# New policies


def test_a_refusal_is_asked_again_while_the_policy_may_be_new() -> None:
    fake = FakeRunpod()
    fake.answers = [None, NO, NO, NO, None, NO, NO, NO, None]
    assert go(fake, propagation_timeout=90).changed
    assert fake.naps == [2, 4]
    once = [POST, POST, POST, LIST]
    assert fake.requests() == [LIST, *once, *once, POST, LIST]


@pytest.mark.parametrize(
    ("timeout", "naps"), [(0, []), (1, [1]), (20, [2, 4, 8, 6]), (90, [2, 4, 8, 16, 16, 16, 16, 12])]
)
def test_patience_ends(timeout: int, naps: list[float]) -> None:
    assert list(pauses(timeout)) == naps
    fake = FakeRunpod()
    fake.answers = [None, *[NO, None] * (len(naps) + 1)]
    failed(fake, resource_form="arn", propagation_timeout=timeout)
    assert fake.naps == naps
    assert len(asked(fake)) == len(naps) + 1


def test_a_repository_that_is_refused_does_not_keep_others_waiting() -> None:
    fake = FakeRunpod()
    fake.answers = [None, NO]
    outcome = go(fake, repository_arns=[APP, API], propagation_timeout=90)
    assert asked(fake) == [APP, API, APP]
    assert fake.naps == [2]
    assert [found["repository"] for found in outcome.results["delegations"]] == ["app", "api"]


@pytest.mark.parametrize("timeout", [0, 90])
def test_what_another_run_made_meanwhile_is_adopted(timeout: int) -> None:
    fake = FakeRunpod()
    theirs = delegation(APP, id="theirs")
    fake.answers = [None, NO, (200, {}, {"delegations": [theirs]})]
    outcome = go(fake, resource_form="arn", propagation_timeout=timeout)
    assert (outcome.changed, len(asked(fake))) == (False, 1)
    assert [(found["id"], found["created"]) for found in outcome.results["delegations"]] == [("theirs", False)]


def test_a_look_that_fails_does_not_hide_the_refusal() -> None:
    fake = FakeRunpod()
    fake.answers = [None, NO, refusal(403, "access denied")]
    assert "not like this" in failed(fake, resource_form="arn")["msg"]


# Failures


@pytest.mark.parametrize("lost", [Lost(), (500, {}, b"oops"), (201, {}, b"<html>")])
def test_a_lost_answer_is_looked_up_and_what_is_there_adopted(lost: Any) -> None:
    fake = FakeRunpod()
    fake.answers = [None, lost]
    if not isinstance(lost, Lost):
        fake.answers.append((200, {}, {"delegations": [{"id": "id-1", **delegated({"resource": APP})}]}))
    outcome = go(fake)
    assert fake.requests() == [LIST, POST, LIST, LIST]
    assert [(found["id"], found["created"]) for found in outcome.results["delegations"]] == [("id-1", True)]


def test_a_lost_request_is_not_repeated() -> None:
    fake = FakeRunpod()
    fake.answers = [None, (502, {}, b"")]
    result = failed(fake, propagation_timeout=90)
    assert fake.requests() == [LIST, POST, LIST]
    assert "nothing was created: run again" in result["msg"]
    assert (result["changed"], result["delegations"]) == (False, [])


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_failure_that_concerns_all_ends_the_run(status: int) -> None:
    fake = FakeRunpod()
    fake.answers = [None, None, refusal(status, "no")]
    result = failed(fake, repository_arns=[APP, API, WEB], tag="v1", propagation_timeout=90)
    assert fake.requests() == [LIST, POST, POST]
    assert (result["changed"], [found["repository"] for found in result["delegations"]]) == (True, ["app"])
    [item] = result["failed_items"]
    assert (item["repository_arn"], item["action"], item["status"]) == (API, "create", status)
    assert result["msg"].startswith(f"1 of 3 repositories failed. 1 were not tried after that. {API}: POST ")


def test_a_failure_of_one_repository_does_not_hide_the_others() -> None:
    fake = FakeRunpod()
    fake.answers = [None, refusal(402, "insufficient balance"), None, NO, None, NO]
    result = failed(fake, repository_arns=[APP, API, WEB], propagation_timeout=2)
    assert [found["repository"] for found in result["delegations"]] == ["api"]
    assert [item["repository_arn"] for item in result["failed_items"]] == [APP, WEB]
    assert result["diff"]["after"]["delegations"][0]["repository"] == "api"


def test_a_listing_that_fails_is_an_error_and_no_empty_list() -> None:
    fake = FakeRunpod()
    fake.answers = [refusal(403, "access denied")]
    with pytest.raises(CollectionError, match="GET /registries/delegations: HTTP 403"):
        go(fake)
    assert fake.writes() == []


# Absent


def test_absent_removes_all_delegations_of_a_repository() -> None:
    fake = FakeRunpod(delegations=[delegation(APP, id="d1"), delegation(WEB), delegation(APP, id="d2", name="theirs")])
    outcome = go(fake, state="absent")
    assert fake.writes() == ["DELETE /registries/delegations/d1", "DELETE /registries/delegations/d2"]
    assert (outcome.results["delegations"], outcome.warnings) == ([], ())
    assert len(outcome.before["delegations"]) == 2


def test_absent_needs_no_tag() -> None:
    assert not go(FakeRunpod(), repository_arns=[APP], resource_form="image_uri", state="absent").changed


def test_what_is_gone_already_is_as_good() -> None:
    fake = FakeRunpod(delegations=[delegation(APP)])
    fake.answers = [None, refusal(404, "resource not found")]
    assert go(fake, state="absent").changed


def test_a_delegation_that_cannot_be_removed_does_not_hide_the_others() -> None:
    fake = FakeRunpod(delegations=[delegation(APP, id="d1"), delegation(APP, id="d2"), delegation(API)])
    fake.answers = [None, None, refusal(400, "no")]
    result = failed(fake, repository_arns=[APP, API], state="absent")
    assert [found["id"] for found in result["delegations"]] == ["d2"]
    assert [(item["repository_arn"], item["action"]) for item in result["failed_items"]] == [(APP, "delete")]
    assert result["changed"] and fake.writes()[-1] == "DELETE /registries/delegations/d-api"


def test_a_wrong_key_ends_the_removal() -> None:
    fake = FakeRunpod(delegations=[delegation(APP), delegation(API)])
    fake.answers = [None, refusal(403, "access denied")]
    result = failed(fake, repository_arns=[APP, API], state="absent")
    assert (len(fake.writes()), len(result["delegations"]), result["changed"]) == (1, 2, False)


# The module


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "one of the following is required: images, repository_arns"),
        ({"images": [IMAGE], "repository_arns": [APP]}, "parameters are mutually exclusive: images|repository_arns"),
        ({"images": [IMAGE], "resource_form": "uri"}, "value of resource_form must be one of"),
    ],
)
def test_what_the_options_say_is_checked(capsys: Capture, options: Json, says: str) -> None:
    with patch_module_args({"api_key": "key-of-the-unit-tests", **options}), pytest.raises(SystemExit):
        main()
    assert says in json.loads(capsys.readouterr().out)["msg"]
