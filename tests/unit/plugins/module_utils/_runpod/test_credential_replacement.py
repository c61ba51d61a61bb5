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
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_cleanup import apply_cleanup, clear
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_names import (
    check_name,
    credential,
    identity,
    missing,
    pair,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_replacement import rank, renew
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_users import repoint, users_of
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_write import (
    GONE,
    NOT_OFFERED,
    WRITTEN,
    replace,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod, refusal, template

REGISTRIES = [{"id": "r1", "name": "one"}, {"id": "r2", "name": "two"}, {"id": "r3", "name": "two"}]
PLAIN, ALTERNATE = {"id": "p", "name": "ecr"}, {"id": "a", "name": "ecr-alt"}
BOTH = [PLAIN, ALTERNATE]
LOGIN = {"username": "u", "password": "secret-of-the-test"}


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([None], WRITTEN),
        ([refusal(404, "no such path"), (200, {}, PLAIN)], NOT_OFFERED),
        ([refusal(404, "no such credential"), refusal(404, "no such credential")], GONE),
        ([refusal(405, "not allowed")], NOT_OFFERED),
    ],
)
def test_a_path_that_is_not_found_is_told_from_a_credential_that_is_gone(answers: list[Any], outcome: str) -> None:
    fake = FakeRunpod(registries=[dict(PLAIN)])
    fake.answers = list(answers)
    assert replace(fake.client, PLAIN, LOGIN) == outcome and fake.answers == []


@pytest.mark.parametrize("name", ["", "ecr-alt"])
def test_a_name_that_no_credential_of_ours_can_have_is_refused(name: str) -> None:
    check_name("ecr")
    with pytest.raises(InputError, match="must not be empty|use 'ecr'"):
        check_name(name)


def test_a_pair_is_the_credential_and_its_alternate() -> None:
    others = [{"id": "x", "name": "ecr-alternate"}, {"id": "y", "name": "ec"}]
    assert pair([*others, ALTERNATE, PLAIN], "ecr") == BOTH
    assert pair([ALTERNATE], "ecr") == [ALTERNATE] and pair(others, "ecr") == []
    with pytest.raises(ConflictError, match=r"2 registry credentials named 'ecr-alt' \(ids a, b\)"):
        pair([ALTERNATE, {"id": "b", "name": "ecr-alt"}], "ecr")


def test_an_identity_holds_no_more_than_is_known() -> None:
    assert identity({"name": "ecr-alt"}) == {"name": "ecr-alt", "logical_name": "ecr"}
    assert identity({**PLAIN, "surprise": 1}) == {**PLAIN, "logical_name": "ecr"}


@pytest.mark.parametrize(
    ("given", "registries", "identifier"),
    [
        ("one", REGISTRIES, "r1"),
        ("r3", REGISTRIES, "r3"),
        ("", REGISTRIES, None),
        ("three", REGISTRIES, "three"),  # to be made by an earlier task of this check run
        ("same", [{"id": "same", "name": "same"}], "same"),
    ],
)
def test_a_credential_is_found_by_name_or_id(given: str, registries: list[Json], identifier: str | None) -> None:
    assert credential(given, registries) == identifier


@pytest.mark.parametrize(
    ("given", "registries", "ids"),
    [
        ("two", REGISTRIES, "r2, r3"),
        ("r1", [*REGISTRIES, {"id": "r4", "name": "r1"}], "r1, r4"),  # the id of one, the name of another
    ],
)
def test_an_ambiguous_credential_is_an_error_with_the_ids(given: str, registries: list[Json], ids: str) -> None:
    with pytest.raises(ConflictError, match=rf"name or id of 2 credentials \(ids {ids}\)"):
        credential(given, registries)


def test_a_missing_credential_is_an_error_and_in_check_mode_a_warning() -> None:
    assert missing(["one", "r2"], REGISTRIES, check_mode=False) == ()
    with pytest.raises(InputError, match="name or id: four, three"):
        missing(["three", "one", "four"], REGISTRIES, check_mode=False)
    [warning] = missing(["three", "one"], REGISTRIES, check_mode=True)
    assert "'three'" in warning


@pytest.mark.parametrize(
    ("registries", "current", "used", "identifier"),
    [
        ([PLAIN], "a", ["a"], "p"),
        ([ALTERNATE], None, [], "a"),  # it has taken the plain one's place
        (BOTH, None, [], "p"),
        (BOTH, "a", ["p"], "a"),  # what refers to either is left as it is
        (BOTH, "p", ["a"], "p"),
        (BOTH, "x", [None, "a", "x", "a"], "a"),  # everything else was handed over to it
        (BOTH, None, ["p", "a"], "p"),  # half handed over
    ],
)
def test_a_name_means_the_alternate_too(
    registries: list[Json], current: str | None, used: list[str | None], identifier: str
) -> None:
    assert credential("ecr", registries, current, used) == identifier
    assert missing(["ecr"], registries, check_mode=False) == ()


def test_an_alternate_can_be_named_as_it_is_called() -> None:
    assert credential("ecr-alt", BOTH, "p", ["p"]) == "a"
    assert credential("a", BOTH, "p", ["p"]) == "a" and credential("p", BOTH, "a", ["a"]) == "p"


def test_two_alternates_are_an_error() -> None:
    with pytest.raises(ConflictError, match="ids a, b"):
        credential("ecr", [PLAIN, ALTERNATE, {"id": "b", "name": "ecr-alt"}])


def users(**held: str) -> list[Json]:
    """Return users by kind: the letters of the credentials that one of them refers to."""
    return [
        {"kind": kind, "id": f"{kind}-{letter}", "name": kind, "registry": letter, "reason": ""}
        for kind, letters in held.items()
        for letter in letters
    ]


@pytest.mark.parametrize(
    ("refer", "known", "keep", "stuck"),
    [
        ({}, {}, "p", False),
        ({"template": "p"}, {"p": True}, "p", False),  # died right after the other one was made
        ({"template": "a"}, {"p": True}, "a", False),  # died right before the former one was deleted
        ({"template": "pa"}, {"p": True}, "a", False),  # died in the middle: the newer one is the unknown one
        ({"template": "pa"}, {"p": False}, "a", False),
        ({"endpoint": "pa"}, {"a": False}, "p", False),
        ({"template": "pa", "pod": "p"}, {}, "p", False),  # the former one cannot go, so the newer one does
        ({"template": "a", "pod": "p"}, {"p": True}, "p", False),
        ({"template": "a", "pod": "p"}, {"p": False, "a": True}, "a", True),  # only pods hold on to an old secret
        ({"template": "a", "pod": "p"}, {"a": True}, "a", True),
        ({"pod": "p"}, {"a": True}, "p", False),
        ({"pod": "pa"}, {}, "p", True),
    ],
)
def test_which_of_two_gives_way(refer: dict[str, str], known: dict[str, bool], keep: str, stuck: bool) -> None:
    ranked = rank(BOTH, users(**refer), known)
    assert ranked.spare and {ranked.keep["id"], ranked.spare["id"]} == {"p", "a"}
    assert (ranked.keep["id"], ranked.stuck) == (keep, stuck)


def account(**held: list[Json]) -> FakeRunpod:
    return FakeRunpod(**{"registries": [dict(PLAIN), dict(ALTERNATE)], **held})


def test_users_are_found_by_any_of_the_credentials() -> None:
    fake = account(
        templates=[template("t1", registry="p"), template("t2", registry=None), template("t3", registry="x")],
        endpoints=[{"id": "e1", "name": "e1", "registry": "a"}],
        pods=[
            {"id": f"p{n}", "name": f"p{n}", "registry": "a", "status": s}
            for n, s in enumerate(("EXITED", "TERMINATED"))
        ],
    )
    found = users_of(fake.client, BOTH)
    assert [(user["kind"], user["id"], user["registry"]) for user in found] == [
        ("template", "t-t1", "p"),
        ("endpoint", "e1", "a"),
        ("pod", "p0", "a"),
    ]
    assert found[0]["reason"] == "The template t1 (t-t1) refers to the credential ecr."


def test_what_runpod_refuses_to_hand_over_does_not_keep_the_rest() -> None:
    fake = account(templates=[template(name, registry="p") for name in ("t1", "t2", "t3")])
    fake.answers = [None, None, None, refusal(422, "not today"), (200, {}, template("t2", registry="p"))]
    with pytest.raises(
        CollectionError, match=r"credential ecr-alt \(a\).*HTTP 422: not today.*t-t2: RunPod accepted.*run again"
    ):
        repoint(fake.client, users_of(fake.client, [PLAIN]), ALTERNATE)
    assert [held["registry"] for held in fake.current["templates"]] == ["p", "p", "a"]


def test_a_key_that_may_not_write_templates_is_told_so_at_once() -> None:
    fake = account(templates=[template(name, registry="p") for name in ("t1", "t2")])
    found = users_of(fake.client, [PLAIN])
    fake.requests()
    fake.answers = [refusal(403, "access denied")]
    with pytest.raises(ApiError, match="must be allowed to write templates and serverless endpoints"):
        repoint(fake.client, found, ALTERNATE)
    assert fake.requests() == ["PATCH /templates/t-t1"]


def test_what_went_meanwhile_needs_no_credential() -> None:
    fake = account(templates=[template("t1", registry="p")])
    found = users_of(fake.client, [PLAIN])
    fake.current["templates"].clear()
    assert repoint(fake.client, found, ALTERNATE) == []


def test_where_secrets_are_written_in_place_both_get_it_and_one_stays() -> None:
    fake = account(
        templates=[template("t1", registry="a"), template("t2", registry="p")],
        endpoints=[{"id": "e1", "name": "e1", "registry": "a"}],
    )
    renewal = renew(fake.client, "ecr", pair(fake.current["registries"], "ecr"), LOGIN)
    assert renewal.registry["id"] == "p" and [left["id"] for left in renewal.leftovers] == ["a"]
    assert {held["password"] for held in fake.current["registries"]} == {LOGIN["password"]}
    assert [user["id"] for user in renewal.moved] == ["t-t1", "e1"]
    assert "e1 (e1)" in renewal.warnings[0]
    assert clear(fake.client, renewal.leftovers) == [] and [held["id"] for held in fake.current["registries"]] == ["p"]


def test_of_a_credential_that_went_meanwhile_nothing_is_handed_over() -> None:
    fake = FakeRunpod(templates=[template("t1", registry=None)])
    fake.answers = [refusal(404, "not found"), refusal(404, "not found")]
    renewal = renew(fake.client, "ecr", [PLAIN], LOGIN)
    assert (renewal.registry["id"], renewal.leftovers, renewal.moved) == ("id-1", [], [])
    assert "ecr (p) was deleted meanwhile and is made anew as id-1" in renewal.warnings[0]
    assert fake.writes() == ["PATCH /registries/p", "POST /registries"]


def test_where_nothing_is_written_in_place_an_adopted_credential_is_taken_as_it_is() -> None:
    fake = FakeRunpod(registries=[dict(ALTERNATE)])
    fake.answers = [refusal(503, "busy"), None, refusal(405, "no")]
    renewal = renew(fake.client, "ecr-alt", [], LOGIN)
    assert renewal.registry["id"] == "a" and len(fake.current["registries"]) == 1


@pytest.mark.parametrize("status", [400, 409, 422])
def test_what_runpod_refuses_to_delete_stays_with_its_words(status: int) -> None:
    fake = account()
    fake.answers = [None, None, None, refusal(status, "in use by a pod")]
    [kept] = clear(fake.client, [PLAIN])
    assert kept.registry == PLAIN and "in use by a pod" in kept.why and kept.users == []


def test_a_name_that_cannot_be_freed_is_an_error_that_says_why() -> None:
    pods = [{"id": f"pod-{letter}", "name": "pod", "registry": letter, "status": "RUNNING"} for letter in "pa"]
    fake = account(pods=pods)
    fake.answers = [None, None, None, refusal(405, "no")]
    with pytest.raises(ConflictError, match=r"no name left.*pod-p\).*pod-a\).*End these pods"):
        renew(fake.client, "ecr", BOTH, LOGIN)
    assert fake.writes() == ["PATCH /registries/p"]


def test_a_name_that_runpod_does_not_free_is_an_error_too() -> None:
    fake = account()
    dropped: list[Any] = []
    fake.answers = [None, None, None, refusal(405, "no"), None, None, None, refusal(400, "in use")]
    with pytest.raises(ConflictError, match="no name left.*HTTP 400: in use"):
        renew(fake.client, "ecr", BOTH, LOGIN, forget=dropped.append)
    assert dropped == [[ALTERNATE]]


def test_check_mode_tells_what_finishing_a_replacement_comes_to() -> None:
    held = {
        "templates": [template("t1", registry="p")],
        "pods": [{"id": "pod", "name": "pod", "registry": "p", "status": "RUNNING"}],
    }
    fake = account(**held)
    predicted = apply_cleanup(fake.client, [PLAIN], ALTERNATE, check_mode=True)
    assert fake.writes() == []
    done = apply_cleanup(fake.client, [PLAIN], ALTERNATE, check_mode=False)
    assert predicted == done and done[1][0].users[0]["id"] == "pod"
    assert fake.writes() == ["PATCH /templates/t-t1"]


def test_a_credential_that_goes_again_while_it_is_settled_is_made_anew() -> None:
    fake = FakeRunpod()
    twins = {"registries": [{"id": "id-0", "name": "ecr"}, {"id": "id-1", "name": "ecr"}]}
    fake.answers = [None, (200, {}, twins), None, None, None, None, refusal(404, "gone"), refusal(404, "gone")]
    assert renew(fake.client, "ecr", [], LOGIN).registry["id"] == "id-2"
    assert fake.writes() == [
        "POST /registries",
        "DELETE /registries/id-1",
        "PATCH /registries/id-0",
        "POST /registries",
    ]


def test_an_unanswered_creation_that_goes_again_is_an_error() -> None:
    fake = FakeRunpod(registries=[dict(PLAIN)])
    fake.answers = [refusal(503, "busy"), None, refusal(404, "gone"), refusal(404, "gone")]
    with pytest.raises(CollectionError, match="nothing was created: run again"):
        renew(fake.client, "ecr", [], LOGIN)


def test_of_two_made_at_once_neither_goes_while_it_is_in_use() -> None:
    fake = FakeRunpod(templates=[template("t1", registry="id-1")])
    twins = {"registries": [{"id": "id-0", "name": "ecr"}, {"id": "id-1", "name": "ecr"}]}
    fake.answers = [None, (200, {}, twins)]
    with pytest.raises(ConflictError, match="ids id-0, id-1"):
        renew(fake.client, "ecr", [], LOGIN)


def test_a_delete_that_fails_otherwise_is_an_error() -> None:
    fake = account()
    fake.answers = [None, None, None, refusal(403, "access denied")]
    with pytest.raises(ApiError, match="secrets:write"):
        clear(fake.client, [PLAIN])
