# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    ApiError,
    CollectionError,
    Json,
    TransportError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.create_once import TAKEN, create_once
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod, Lost, refusal

BODY = {"name": "demo", "username": "AWS", "password": "a-password-of-some-length"}


def make(fake: FakeRunpod) -> Json:
    def find() -> Json | None:
        return next(iter(fake.client.items("/registries", "registries")), None)

    return create_once(fake.client, "/registries", BODY, find, TAKEN)


def test_what_is_created_is_not_looked_up() -> None:
    fake = FakeRunpod()
    assert make(fake)["id"] == "id-1"
    assert fake.requests() == ["POST /registries"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_creation_is_not_looked_up(status: int) -> None:
    fake = FakeRunpod()
    fake.answers = [refusal(status, "no")]
    with pytest.raises(ApiError) as caught:
        make(fake)
    assert (caught.value.status, fake.requests()) == (status, ["POST /registries"])


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_name_that_another_run_takes_meanwhile_is_adopted(status: int) -> None:
    fake = FakeRunpod(registries=[{"id": "theirs", "name": BODY["name"]}])
    fake.answers = [refusal(status, "must be unique")]
    assert make(fake)["id"] == "theirs"
    assert fake.requests() == ["POST /registries", "GET /registries"]


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_refusal_for_another_reason_stays_one(status: int) -> None:
    fake = FakeRunpod()
    fake.answers = [refusal(status, "no")]
    with pytest.raises(ApiError, match="no") as caught:
        make(fake)
    assert (caught.value.status, fake.requests()) == (status, ["POST /registries", "GET /registries"])


def test_a_refusal_is_not_looked_into_where_names_are_not_unique() -> None:
    fake = FakeRunpod(registries=[{"id": "theirs", "name": BODY["name"]}])
    fake.answers = [refusal(400, "no")]
    with pytest.raises(ApiError, match="no"):
        create_once(fake.client, "/registries", BODY, lambda: None)
    assert fake.requests() == ["POST /registries"]


def test_a_creation_whose_answer_was_lost_is_adopted() -> None:
    fake = FakeRunpod()
    fake.answers = [Lost()]
    assert make(fake)["id"] == "id-1"
    assert fake.requests() == ["POST /registries", "GET /registries"]
    assert len(fake.current["registries"]) == 1


@pytest.mark.parametrize("trouble", [TimeoutError("timed out"), refusal(500, "oops"), (201, {}, b"garbage")])
def test_a_creation_that_left_nothing_is_an_error_and_not_repeated(trouble: Any) -> None:
    fake = FakeRunpod()
    fake.answers = [trouble]
    with pytest.raises(CollectionError, match="nothing was created: run again") as caught:
        make(fake)
    assert not isinstance(caught.value, TransportError)  # the outcome is known
    assert fake.requests() == ["POST /registries", "GET /registries"]


def test_a_creation_that_cannot_be_looked_up_is_said_to_be_unknown() -> None:
    fake = FakeRunpod()
    fake.answers = [TimeoutError("timed out")] + [refusal(500, "down")] * 5
    with pytest.raises(TransportError, match="Outcome unknown"):
        make(fake)
