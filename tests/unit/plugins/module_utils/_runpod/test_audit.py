# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import shlex
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.audit import (
    TABLE,
    findings,
    moments,
    references,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import delegation

NOW = datetime(2026, 8, 31, 12, tzinfo=timezone.utc)
EAST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
APP = "arn:aws:ecr:us-east-1:123456789012:repository/app"
PRIVATE = f"{EAST}/app:v1"
NOBODY: Json = {"templates": [], "endpoints": [], "pods": []}


def thing(name: str, registry: str | None = None, image: str = "app:1", **fields: Any) -> Json:
    return {"id": f"id-{name}", "name": name, "image": image, "registry": registry, **fields}


def account(**held: list[Json]) -> dict[str, list[Json]]:
    return {"registries": [], "delegations": [], "templates": [], "endpoints": [], "pods": [], **held}


def codes(held: dict[str, list[Json]], expiry: dict[str, datetime] | None = None) -> list[tuple[str, str]]:
    return [(found["code"], found["id"]) for found in findings(held, expiry, NOW)]


def hours(number: float) -> datetime:
    return NOW + timedelta(hours=number)


def test_references_tell_what_runs_images_of_a_delegated_repository() -> None:
    held = account(
        registries=[{"id": "r1", "name": "one"}],
        delegations=[delegation(APP, id="d2"), delegation(APP, id="d1")],
        templates=[thing("a", "r1", PRIVATE), thing("b", image="app:1")],
        endpoints=[{"id": "e", "name": "e", "image": f"{EAST}/app:v2"}],  # an endpoint need not tell its registry
        pods=[thing("p", image=PRIVATE, status="TERMINATED"), thing("q", image=f"{EAST}/other:v1")],
    )
    a, e = {"id": "id-a", "name": "a"}, {"id": "e", "name": "e"}
    assert references(held) == {
        "r1": {"kind": "registry", "name": "one", "ids": ["r1"], **NOBODY, "templates": [a]},
        APP: {
            "kind": "delegation",
            "name": "app",
            "ids": ["d1", "d2"],
            **NOBODY,
            "templates": [a],
            "endpoints": [e],
        },
    }


def test_references_need_everything_that_can_refer() -> None:
    held = account()
    del held["delegations"]
    assert references(held) == {}
    for kind in held:
        assert references({key: things for key, things in held.items() if key != kind}) is None


def test_a_sound_account_has_no_findings() -> None:
    held = account(
        registries=[{"id": "r1", "name": "one"}],
        delegations=[delegation(APP)],
        templates=[thing("a", "r1"), thing("b", image=PRIVATE), thing("c", "r1", f"{EAST}/other:v1")],
        pods=[thing("p", "lost", f"{EAST}/nowhere:1", status="TERMINATED")],
    )
    assert findings(held, None, NOW) == []
    assert findings(held, {"r1": hours(4), "long-gone": hours(-99)}, NOW) == []


@pytest.mark.parametrize("kind", ["templates", "endpoints", "pods"])
def test_a_credential_that_is_gone_is_found_wherever_it_is_referred_to(kind: str) -> None:
    held = account(**{kind: [thing("a", "lost"), thing("b")]})
    [found] = findings(held, None, NOW)
    assert (found["code"], found["severity"], found["kind"]) == ("credential_gone", "error", kind[:-1])
    assert "refers to the credential lost," in found["cause"]
    del held["registries"]
    assert findings(held, None, NOW) == []


@pytest.mark.parametrize("kind", ["templates", "endpoints", "pods"])
def test_a_private_image_that_nothing_opens_is_found(kind: str) -> None:
    public = thing("public", image="public.ecr.aws/abc/app:1")
    held = account(**{kind: [thing("a", image=PRIVATE), thing("b", image="app:1"), public]})
    [found] = findings(held, None, NOW)
    assert (found["code"], found["severity"], found["id"]) == ("access_missing", "error", "id-a")
    assert f"runs {PRIVATE} from a private" in found["cause"]
    del held["delegations"]
    assert findings(held, None, NOW) == []


def test_what_nothing_needs_is_found_when_everything_was_read() -> None:
    held = account(registries=[{"id": "r1", "name": "one"}], delegations=[delegation(APP)])
    assert codes(held) == [("credential_unused", "r1"), ("delegation_unused", "d-app")]
    assert {found["severity"] for found in findings(held, None, NOW)} == {"info"}
    del held["pods"]
    assert codes(held) == []


@pytest.mark.parametrize(
    ("expires", "code"),
    [
        (hours(-1), "token_expired"),
        (hours(0), "token_expired"),
        (hours(3.9), "token_ends_soon"),
        (hours(4), None),
        (None, "token_unknown"),
    ],
)
def test_tokens_are_judged_by_what_is_left_of_them(expires: datetime | None, code: str | None) -> None:
    held = account(registries=[{"id": "r1", "name": "one"}], endpoints=[thing("e", "r1", PRIVATE)])
    assert codes(held, {"r1": expires} if expires else {}) == ([(code, "r1")] if code else [])
    assert codes(held) == []


def test_credentials_for_other_registries_need_no_expiry() -> None:
    held = account(registries=[{"id": "r1", "name": "hub"}], templates=[thing("a", "r1", "ghcr.io/o/app:1")])
    assert codes(held, {}) == []


def test_tokens_are_judged_without_their_users() -> None:
    held = {"registries": [{"id": "r1", "name": "one"}]}
    assert codes(held, {"r1": hours(1)}) == [("token_ends_soon", "r1")]
    assert codes({"templates": []}, {"r1": hours(1)}) == []


def everything() -> list[Json]:
    held = account(
        registries=[{"id": name, "name": f"name-{name}"} for name in ("r1", "r2", "r3", "r4")],
        delegations=[delegation(APP.replace("app", "idle"))],
        templates=[
            thing("gone", "lost", PRIVATE),
            thing("bare", image=f"{EAST}/app@sha256:{'0' * 64}"),
            thing("user", "r1", PRIVATE),
            thing("docker", "lost"),
        ],
        endpoints=[thing("e", "lost")],
        pods=[thing("p", "lost")],
    )
    return findings(held, {"r2": hours(1), "r3": hours(-1)}, NOW)


def test_the_worst_comes_first() -> None:
    severities = [found["severity"] for found in everything()]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    assert {found["code"] for found in everything()} == {row.code for row in TABLE.values()}


def test_every_finding_tells_cause_and_remedy_without_a_gap() -> None:
    for found in everything():
        assert list(found) == ["kind", "id", "name", "code", "severity", "cause", "remedy"]
        assert found["cause"].endswith(".") and "None" not in found["cause"] + found["remedy"]


def test_every_command_of_a_remedy_is_one_that_a_shell_takes() -> None:
    for found in everything():
        words = shlex.split(found["remedy"])
        calls = [words[at : at + 6] for at, word in enumerate(words) if word == "ansible"]
        assert calls
        for call in calls:
            assert call[3].startswith("gpuops.runpod.") and json.loads(call[5])


def test_timestamps_of_any_zone_are_taken() -> None:
    given = {
        "a": "2026-08-31T12:00:00Z",
        "b": "2026-08-31 14:00:00+02:00",
        "c": "2026-08-31t12:00:00.0z",
        "d": "2026-08-31T12:00:00.000000001Z",
    }
    assert moments(given) == dict.fromkeys(given, NOW)


@pytest.mark.parametrize(
    "text", ["tomorrow", "2026-08-31T12:00:00", "2026-08-31T12:00:61Z", "2026-13-31T12:00:00Z", "", None, 12]
)
def test_what_is_no_moment_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match=r"credential_expiry\.r1: .* is not a timestamp such as"):
        moments({"r1": text})


def test_findings_show_foreign_names_printably() -> None:
    held = account(templates=[thing("\x1b[2Jt\u202e", "lost", PRIVATE)], delegations=[delegation(APP)])
    found = next(one for one in findings(held, None, NOW) if one["code"] == "credential_gone")
    assert found["name"] == "\x1b[2Jt\u202e"  # the data is as RunPod has it
    assert r"The template \x1b[2Jt\u202e refers to" in found["cause"]
    assert "\x1b" not in found["cause"] + found["remedy"] and "\u202e" not in found["cause"] + found["remedy"]
