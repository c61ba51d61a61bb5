# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of many regions in one run, and tokens that are proved before they are handed over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.ecr_token import Token
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.token_source import RefreshError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError, InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import ItemsFailedError
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_state import Clients
from ansible_collections.gpuops.runpod.tests.unit.plugins.modules.test_runpod_ecr_credential import (
    ABSENT,
    BOTH_STORES,
    KEY,
    NOW,
    PRESENT,
    STORE,
    World,
    tag,
)

EAST, SEOUL, DUBLIN = "us-east-1", "ap-northeast-2", "eu-west-1"
REGIONS = [EAST, SEOUL, DUBLIN]
MANY = {**PRESENT, "name": None, "registry_region": None, "registry_regions": REGIONS}
GONE = {**MANY, "state": "absent"}
NAMES = [f"puller-123456789012-{region}" for region in REGIONS]


def image(region: str, name: str = "app:v1") -> str:
    return f"123456789012.dkr.ecr.{region}.amazonaws.com/{name}"


class Prover:
    """Tries images; those in `bad` cannot be pulled, with any token."""

    def __init__(self, *bad: str) -> None:
        self.bad = bad
        self.tried: list[tuple[list[str], str, datetime | None]] = []

    def __call__(self, images: list[str], token: Token, deadline: datetime | None) -> list[Json]:
        self.tried.append((images, token.password, deadline))
        reports = [{"image": each, "pullable": each not in self.bad} for each in images]
        if set(images) & set(self.bad):
            raise UnpullableError(reports)
        return reports


class UnpullableError(CollectionError):
    """What the real prover raises."""

    def __init__(self, images: list[Json]) -> None:
        super().__init__("1 of 1 images cannot be pulled.")
        self.images = images

    def as_result(self) -> Json:
        return {"msg": str(self), "images": self.images}


@pytest.fixture
def world(connect: Callable[..., Any], request: pytest.FixtureRequest) -> World:
    made = World(connect, getattr(request, "param", STORE))
    made.keep(KEY)
    return made


def calls_of_the_store(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    called: list[str] = []
    plain = world.client.aws.call

    def call(service: str, operation: str, **request: Any) -> Any:
        called.append(f"{service}:{operation}")
        return plain(service, operation, **request)

    monkeypatch.setattr(world.client.aws, "call", call)
    return called


def test_many_regions_take_one_reading_and_one_note(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    called = calls_of_the_store(world, monkeypatch)
    outcome = world.run(MANY)
    assert called == [
        "secretsmanager:get_secret_value",
        "secretsmanager:describe_secret",
        *["ecr:get_authorization_token"] * 3,
        "secretsmanager:tag_resource",
    ]
    listings = [path for method, path in world.runpod.calls if (method, path) == ("GET", "/registries")]
    assert len(listings) == 4  # the first, and one behind each that was made
    assert [item["name"] for item in outcome.results["registries"]] == NAMES
    assert [options["region"] for options in world.ecr.identities] == REGIONS
    assert set(outcome.after) == set(REGIONS) and outcome.changed
    assert (outcome.results["registry"], outcome.results["refreshed"]) == (None, True)
    assert outcome.results["expires_at"] == "2026-08-01T12:00:00Z"


@BOTH_STORES
def test_nine_steps_of_many_regions(world: World) -> None:
    for params, verb, always in (
        (MANY, "POST", False),
        ({**MANY, "force": True}, "PATCH", True),
        (GONE, "DELETE", False),
    ):
        for check_mode, changed, writes in ((True, True, 0), (False, True, 3), (False, always, 3 * always)):
            world.runpod.calls.clear()
            outcome = world.run(params, check_mode)
            assert outcome.changed is changed and len(outcome.results["registries"]) == 3
            assert [write.split()[0] for write in world.runpod.writes()] == [verb] * writes
    assert set(world.store.tags()) == {"gpuops.runpod/managed"}


def test_the_images_name_the_regions_each_once(world: World) -> None:
    images = [image(SEOUL), image(EAST), image(SEOUL, "other:v1")]
    outcome = world.run({**MANY, "registry_regions": None, "images": images})
    assert [item["region"] for item in outcome.results["registries"]] == [SEOUL, EAST]


def test_only_the_region_that_needs_it_is_refreshed(world: World) -> None:
    world.run(MANY)
    world.store.tag(tag("reg_2", 3))
    predicted, outcome = world.run(MANY, check_mode=True), world.run(MANY)
    for each in (predicted, outcome):
        assert [item["refreshed"] for item in each.results["registries"]] == [False, True, False]
    assert predicted.results["expires_at"] is None
    assert world.runpod.writes()[3:] == ["PATCH /registries/reg_2"]


@pytest.mark.parametrize("before", [False, True], ids=["new", "there"])
def test_a_region_that_fails_keeps_no_other_from_its_token(
    world: World, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before:
        world.run(MANY)
        world.now += timedelta(hours=6)
        world.ecr.life = timedelta(hours=18)
    plain = world.client.aws.call

    def call(service: str, operation: str, **request: Any) -> Any:
        if operation == "get_authorization_token" and request["region"] == SEOUL:
            raise CollectionError("ecr:GetAuthorizationToken: OptInRequired: no Opt in to the region.")
        return plain(service, operation, **request)

    monkeypatch.setattr(world.client.aws, "call", call)
    with pytest.raises(ItemsFailedError, match=f"1 of 3 regions failed.*{SEOUL}: ecr:GetAuth.*OptInRequired") as caught:
        world.run(MANY)
    result = caught.value.as_result()
    assert result["changed"] is True
    assert [(item["region"], item["refreshed"]) for item in result["registries"]] == [(EAST, True), (DUBLIN, True)]
    (failed,) = result["failed_regions"]
    assert failed["expires_at"] == ("2026-08-01T12:00:00Z" if before else None)
    assert (failed["region"], "for another 6.0 hours" in failed["msg"]) == (SEOUL, before)
    ends = "2026-08-01T18" if before else "2026-08-01T12"
    assert [value[:13] for value in world.store.tags().values()].count(ends) == 2
    monkeypatch.undo()
    assert [item["refreshed"] for item in world.run(MANY).results["registries"]] == [False, True, False]


def test_what_runpod_refuses_for_all_is_not_tried_on(world: World) -> None:
    world.runpod.faults["POST"] = [403]
    with pytest.raises(ItemsFailedError, match="3 of 3 regions failed.*HTTP 403.*Not tried") as caught:
        world.run(MANY)
    result = caught.value.as_result()
    assert world.runpod.writes() == ["POST /registries"] and len(world.ecr.minted) == 1
    assert (result["changed"], result["registries"], len(result["failed_regions"])) == (False, [], 3)


def test_tokens_that_cannot_be_noted_are_said_to_be_at_runpod(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*dummy: Any) -> None:
        raise CollectionError("secretsmanager:TagResource: AccessDenied: no")

    monkeypatch.setattr(type(world.store), "tag", no)
    with pytest.raises(ItemsFailedError, match="3 of 3 regions failed.*holds a new token, which works until") as caught:
        world.run(MANY)
    assert caught.value.as_result()["changed"] is True
    with pytest.raises(RefreshError, match="TagResource.*a plain re-run mends it") as alone:
        world.run(PRESENT)
    assert (alone.value.as_result()["changed"], alone.value.as_result()["expires_at"]) == (True, "2026-08-01T12:00:00Z")


def test_what_a_replacement_leaves_behind_does_not_hide_the_token(world: World) -> None:
    world.run(MANY)
    world.runpod.faults["PATCH"] = [405]
    world.runpod.faults["DELETE"] = [403]
    with pytest.raises(
        ItemsFailedError, match=f"1 of 3 regions failed.*{EAST}.*HTTP 403.*plain re-run removes"
    ) as caught:
        world.run({**MANY, "force": True})
    result = caught.value.as_result()
    assert [item["region"] for item in result["registries"]] == [SEOUL, DUBLIN] and result["changed"]
    world.runpod.faults.clear()
    assert world.run(MANY).changed and world.run(MANY).changed is False
    assert "reg_1" not in world.runpod.current


def test_absent_reports_each_region(world: World) -> None:
    world.run(MANY)
    world.run(PRESENT)  # one more, of another name
    world.runpod.users["templates"] = [{"id": "tpl_1", "name": "app", "registry": "reg_2"}]
    predicted, outcome = world.run(GONE, check_mode=True), world.run(GONE)
    assert predicted == outcome
    east, seoul, dublin = outcome.results["registries"]
    assert (east["id"], east["name"], seoul["id"], dublin["id"]) == (None, NAMES[0], "reg_2", None)
    assert [user["id"] for user in seoul["in_use_by"]] == ["tpl_1"] and not east["in_use_by"]
    assert [other["id"] for other in outcome.results["other_registries"]] == ["reg_4"]
    assert outcome.after == {EAST: None, SEOUL: outcome.after[SEOUL], DUBLIN: None}
    reads = [path for method, path in world.runpod.calls if method == "GET"]
    assert reads[-4:] == ["/registries", "/templates", "/serverless", "/pods"]  # once, for all


# Names


def test_names_follow_the_given_user_without_an_entry(connect: Callable[..., Any]) -> None:
    world = World(connect, STORE)
    params = {**MANY, "user": "puller"}
    predicted = world.run(params, check_mode=True)
    assert [item["name"] for item in predicted.results["registries"]] == NAMES
    as_caller = world.run({**params, "secret_store": None})
    assert [item["name"] for item in as_caller.results["registries"]] == NAMES
    assert len(as_caller.warnings) == 1 and "a token of" in as_caller.warnings[0]
    assert world.run({**params, "secret_store": None, "state": "absent"}).changed


def test_a_user_and_a_name_go_together(world: World) -> None:
    assert world.run({**PRESENT, "user": "puller"}).after["name"] == "ecr"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "ecr"}, r"a token opens one region and there are 3 \(us-east-1, ap-northeast-2, eu-west-1\)"),
        ({"user": "other"}, "user is other, but the secret store's entry runpod-ecr/puller is that of puller"),
        ({"user": ""}, "user must not be empty"),
        ({"registry_regions": []}, "name the region"),
        ({"registry_regions": [EAST, ""]}, "name the region"),
        ({"secret_store": None}, "name or user is required without secret_store"),
        ({"propagation_timeout": 10**12}, "propagation_timeout must be 0 to 3600"),
        ({"propagation_timeout": -1}, "propagation_timeout must be 0 to 3600"),
        ({"min_validity_hours": float("nan")}, "more than 0 and less than 12"),
        (
            {"verify_images": [image("eu-central-1")]},
            "is in eu-central-1, for which this run keeps no",
        ),
        ({"verify_images": ["python:3"]}, "python:3"),
    ],
)
def test_what_contradicts_itself_is_refused_before_a_write(world: World, options: Json, says: str) -> None:
    with pytest.raises(InputError, match=says):
        world.run({**MANY, **options})
    assert world.runpod.calls == [] and world.ecr.minted == []


# Proof


def proving(world: World, *bad: str) -> Prover:
    prover = Prover(*bad)
    world.client = Clients(world.client.aws, world.client.api, prover)
    return prover


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_token_is_proved_before_it_is_handed_over(world: World, check_mode: bool) -> None:
    prover = proving(world)
    seen: list[int] = []
    world.runpod.meanwhile = lambda: seen.append(len(prover.tried))
    outcome = world.run({**MANY, "verify_images": [image(SEOUL), image(SEOUL, "b:v1"), image(EAST)]}, check_mode)
    assert [images for images, *dummy in prover.tried] == [[image(EAST)], [image(SEOUL), image(SEOUL, "b:v1")]]
    assert [report["image"] for report in outcome.results["images"]] == [
        image(EAST),
        image(SEOUL),
        image(SEOUL, "b:v1"),
    ]
    assert seen == ([] if check_mode else [1])
    if not check_mode:
        assert [password for dummy, password, more in prover.tried] == [
            world.runpod.current[identifier]["password"] for identifier in ("reg_1", "reg_2")
        ]


def test_an_image_that_cannot_be_pulled_leaves_runpod_its_token(world: World) -> None:
    world.run(MANY)
    kept = world.runpod.current["reg_2"]["password"]
    proving(world, image(SEOUL))
    forced = {**MANY, "force": True, "verify_images": [image(EAST), image(SEOUL)]}
    with pytest.raises(ItemsFailedError, match=f"{SEOUL}: 1 of 1 images cannot be pulled") as caught:
        world.run(forced)
    assert world.runpod.current["reg_2"]["password"] == kept != world.runpod.current["reg_1"]["password"]
    result = caught.value.as_result()
    assert {report["image"]: report["pullable"] for report in result["images"]} == {
        image(EAST): True,
        image(SEOUL): False,
    }
    alone = {**PRESENT, "verify_images": [image(EAST)]}
    proving(world, image(EAST))
    with pytest.raises(RefreshError, match="images cannot be pulled") as one:
        world.run(alone)
    assert one.value.as_result()["images"] == [{"image": image(EAST), "pullable": False}]


def test_what_a_fresh_token_may_pull_is_proved_with_another(world: World) -> None:
    world.run(MANY)
    prover = proving(world)
    for check_mode in (True, False):
        outcome = world.run({**MANY, "verify_images": [image(EAST)]}, check_mode)
        assert outcome.changed is False and outcome.results["images"] == [{"image": image(EAST), "pullable": True}]
    assert [password for dummy, password, more in prover.tried] == ["token-number-4", "token-number-5"]
    proving(world, image(EAST))
    for check_mode in (True, False):
        with pytest.raises(CollectionError, match="cannot be pulled"):
            world.run({**MANY, "verify_images": [image(EAST)]}, check_mode)


def test_a_young_right_has_its_time_in_a_proof(world: World) -> None:
    world.keep(KEY, created=NOW)
    prover = proving(world)
    world.run({**PRESENT, "verify_images": [image(EAST)]})
    assert prover.tried[0][2] == NOW + timedelta(seconds=90)


def test_check_mode_proves_nothing_while_nobody_could_pull(connect: Callable[..., Any]) -> None:
    world = World(connect, STORE)
    prover = proving(world)
    params = {**PRESENT, "verify_images": [image(EAST)]}
    assert world.run(params, check_mode=True).results["images"] == [] and prover.tried == []
    world.keep(KEY)
    world.ecr.refusals = ["UnrecognizedClientException"]
    predicted = world.run(params, check_mode=True)
    assert predicted.changed and "cannot be told yet: ecr:GetAuthorizationToken" in predicted.warnings[-1]


# Names of others


def test_no_escape_sequence_of_a_foreign_name_is_in_a_sentence(world: World) -> None:
    world.run(MANY)
    hostile = "\x1b[2Japp\u202e"
    world.runpod.users["pods"] = [{"id": "pod\x1b_1", "name": hostile, "registry": "reg_1", "status": "RUNNING"}]
    outcome = world.run(GONE)
    (user,) = outcome.results["in_use_by"]
    assert user["name"] == hostile and r"\x1b[2Japp\u202e (pod\x1b_1)" in user["reason"]
    assert "\x1b" not in user["reason"] + "".join(outcome.warnings)


def test_a_nameless_pod_is_named_by_its_id(world: World) -> None:
    world.run(PRESENT)
    world.runpod.users["pods"] = [{"id": "pod_1", "registry": "reg_1"}]
    assert world.run(ABSENT).results["in_use_by"][0]["reason"] == "The pod pod_1 refers to the credential ecr."
