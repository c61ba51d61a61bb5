# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a credential is replaced where RunPod writes no secret in place, and what a fault at any call of that leaves."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from moto import mock_aws

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import (
    Entry,
    KeyPair,
    KeyReservation,
    token_records,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.stored_key import store_of
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._core.time import format_time
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_state import Clients
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_credential, runpod_registry
from ansible_collections.gpuops.runpod.tests.sandbox.runpod import API_KEY, RunpodSimulator
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import (
    STORES,
    UNMEASURED,
    Account,
    Killed,
    lost,
    refusal,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import Answer, answer

KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NO_PATCH = pytest.mark.parametrize("patch", [405, 404])
FAULTS = ("refused", "500", "reset", "lost", "killed before", "killed after", "down")


class Cloud(Account):
    """AWS, whose ECR hands out numbered tokens."""

    def __init__(self, store: str) -> None:
        super().__init__(STORES[store])
        self.tokens: list[str] = []

    def get_authorization_token(self, dummy: Any, request: Json) -> Json:
        self.tokens.append(f"token-number-{len(self.tokens) + 1}")
        data = base64.b64encode(f"AWS:{self.tokens[-1]}".encode()).decode()
        return {"authorizationData": [{"authorizationToken": data, "expiresAt": self.now + timedelta(hours=12)}]}


class House:
    """Both clouds. `fault` is what happens at the RunPod call of a number: one of FAULTS, "down" also at all later."""

    def __init__(self, patch: int | str = 405, store: str = "secretsmanager") -> None:
        numbers = count(1)
        self.simulator = RunpodSimulator(new_id=lambda: f"id{next(numbers)}")
        self.simulator.switch(registry_patch=patch, rate_limits=None)
        self.cloud = Cloud(store)
        self.aws = self.cloud.aws()
        self.api = Client("https://runpod.test", API_KEY, self, sleep=lambda dummy: None)
        self.calls: list[str] = []
        self.fault: tuple[int, str] | None = None
        if self.cloud.store.entries():  # of the house before
            self.cloud.store.remove()
        self.store = store_of(self.aws, self.cloud.store.options, "puller")
        entry = self.store.create("puller", Entry("", pending=KeyReservation(self.cloud.now, ())))
        assert entry and self.store.put(entry, Entry(entry.arn, KEY, self.cloud.now - timedelta(days=30)))

    # The opener of RunPod's client

    def open(self, method: str, url: str, data: str | None = None, headers: dict[str, str] | None = None) -> Answer:
        number, parts = len(self.calls), urlsplit(url)
        self.calls.append(f"{method} {parts.path.removeprefix('/v2')}")
        at, what = self.fault or (-1, "")
        if what == "down" and number > at >= 0:
            raise ConnectionResetError("reset")
        self.before(what if number == at else "", url)
        query, body = dict(parse_qsl(parts.query)), (data or "").encode()
        status, given, document = self.simulator.handle(method, parts.path, query, headers or {}, body)
        if number == at and what == "lost":
            raise TimeoutError("timed out")
        if number == at and what == "killed after":
            raise Killed
        return answer(url, status, given, b"" if document is None else document)

    @staticmethod
    def before(what: str, url: str) -> None:
        if what == "killed before":
            raise Killed
        if what in ("reset", "down"):
            raise ConnectionResetError("reset")
        if what in ("500", "refused"):
            status = 500 if what == "500" else 400
            answer(url, status, {}, {"title": "No", "status": status, "detail": what})

    # What is run

    def run(self, check_mode: bool = False, **options: Any) -> Result:
        params = {
            "name": "ecr",
            "image": None,
            "registry_region": "us-east-1",
            "secret_store": {**self.cloud.store.options, "name": self.cloud.store.name},
            "min_validity_hours": 9.0,
            "force": False,
            "propagation_timeout": 90,
            "state": "present",
        }
        self.calls.clear()
        self.cloud.calls.clear()
        clients = Clients(self.aws, self.api)
        return runpod_ecr_credential.run({**params, **options}, check_mode, clients)

    def registry(self, check_mode: bool = False, **options: Any) -> Result:
        params = {"name": "team", "username": "u", "password": "p", "update_password": "always", "state": "present"}
        self.calls.clear()
        return runpod_registry.run({**params, **options}, check_mode, self.api)

    def seed(self, key: str, name: str, registry: str | None) -> None:
        self.simulator.seed(key, {"id": name, "name": name, "registry": registry})

    # What is there

    def current(self, key: str) -> list[Json]:
        return self.simulator.state()[key]

    def names(self) -> dict[str, str]:
        return {registry["name"]: registry["password"] for registry in self.current("registries")}

    def references(self) -> dict[str, str | None]:
        """Return for each thing the name of the credential that it refers to."""
        called = {registry["id"]: registry["name"] for registry in self.current("registries")}
        return {
            thing["name"]: called.get(thing["registry"], thing["registry"])
            for key in ("templates", "endpoints", "pods")
            for thing in self.current(key)
        }

    def noted(self) -> dict[str, str]:
        """Return for the credentials that freshness tags name until when they say that the token works."""
        called = {registry["id"]: registry["name"] for registry in self.current("registries")}
        told = token_records(self.cloud.store.tags()).items()
        return {called.get(identifier, identifier): format_time(said.expires_at) for identifier, said in told}

    def hours(self, hours: float) -> str:
        return format_time(self.cloud.now + timedelta(hours=hours))


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY.secret_access_key)
    with mock_aws():
        yield


def in_use(patch: int | str = 405, store: str = "secretsmanager", pods: bool = False) -> House:
    """Return both clouds with a credential in use whose token ends soon."""
    house = House(patch, store)
    identifier = house.run().after["id"]
    for key, name in (("templates", "t1"), ("templates", "t2"), ("endpoints", "e1"), ("endpoints", "e2")):
        house.seed(key, name, identifier)
    if pods:
        house.seed("pods", "p1", identifier)
    house.simulator.seed("registries", {"id": "other", "name": "somebodys"})
    house.seed("templates", "t9", "other")
    house.seed("endpoints", "e9", None)
    house.cloud.now += timedelta(hours=6)
    return house


OTHERS = {"t9": "somebodys", "e9": None}
USERS = ("t1", "t2", "e1", "e2")


@NO_PATCH
@pytest.mark.parametrize("store", STORES)
def test_a_credential_is_replaced_by_its_alternate_and_back(patch: int, store: str) -> None:
    house = in_use(patch, store)
    for name, token in (("ecr-alt", "token-number-2"), ("ecr", "token-number-3")):
        predicted = house.run(check_mode=True)
        assert predicted.changed and house.calls == ["GET /registries"]
        done = house.run()
        assert done.changed and done.results["refreshed"]
        assert (done.after["name"], done.after["logical_name"]) == (name, "ecr")
        assert house.names() == {name: token, "somebodys": "unknown"}
        assert house.references() == {**dict.fromkeys(USERS, name), **OTHERS}
        assert house.noted() == {name: house.hours(12)}
        assert [user["name"] for user in done.results["repointed"]] == list(USERS)
        assert done.warnings == (
            "These endpoints refer to another credential now and each roll out a release: e1 (e1), e2 (e2).",
        )
        again = house.run()
        assert (again.changed, house.calls) == (False, ["GET /registries"])
        house.cloud.now += timedelta(hours=6)


def test_the_order_is_make_before_break() -> None:
    house = in_use()
    house.run()
    writes = [call for call in house.calls if not call.startswith("GET")]
    assert writes == [
        "PATCH /registries/id1",
        "POST /registries",
        "PATCH /templates/t1",
        "PATCH /templates/t2",
        "PATCH /serverless/e1",
        "PATCH /serverless/e2",
        "DELETE /registries/id1",
    ]
    assert house.calls[-4:] == ["GET /templates", "GET /serverless", "GET /pods", "DELETE /registries/id1"]


def finished(house: House, pods: bool) -> None:
    """Check that a plain re-run, which check mode predicts, comes to what a run without faults comes to."""
    ids = {registry["id"] for registry in house.current("registries")}
    assert {thing["registry"] for key in ("templates", "endpoints") for thing in house.current(key)} <= ids | {None}
    predicted = house.run(check_mode=True).changed
    done = house.run()
    assert done.changed is predicted
    name = done.after["name"]
    left = {"ecr", "ecr-alt"} if pods else {name}
    assert set(house.names()) == left | {"somebodys"}
    assert house.names()[name] in house.cloud.tokens[1:]
    assert house.references() == {**dict.fromkeys(USERS, name), **OTHERS, **({"p1": done_by(name)} if pods else {})}
    assert house.noted() == {name: house.hours(12)}
    assert not house.run().changed and not house.run(check_mode=True).changed


def done_by(name: str) -> str:
    """Return the name of the credential that another one took the place of."""
    return "ecr" if name == "ecr-alt" else "ecr-alt"


def attempt(house: House) -> None:
    """Run as a job would that may fail or die."""
    with suppress(CollectionError, Killed):
        house.run()
    house.fault = None
    house.cloud.before.clear()
    house.cloud.after.clear()


@UNMEASURED
@pytest.mark.parametrize(
    ("fault", "pods"), [*((fault, False) for fault in FAULTS), ("down", True), ("killed after", True)]
)
def test_a_plain_rerun_mends_a_fault_at_any_call_to_runpod(fault: str, pods: bool) -> None:
    whole = in_use(pods=pods)
    whole.run()
    for number in range(len(whole.calls)):
        house = in_use(pods=pods)
        house.fault = (number, fault)
        attempt(house)
        finished(house, pods)


@UNMEASURED
@pytest.mark.parametrize("store", STORES)
def test_a_plain_rerun_mends_a_fault_at_any_call_to_aws(store: str) -> None:
    whole = in_use(store=store)
    whole.run()
    assert "ecr:get_authorization_token" in whole.cloud.calls
    for number in range(len(whole.cloud.calls)):
        for before, event in (
            (True, refusal("AccessDeniedException")),
            (True, refusal("InternalServiceError", 500)),
            (False, lost()),
            (True, Killed()),
            (False, Killed()),
        ):
            house = in_use(store=store)
            (house.cloud.before if before else house.cloud.after)[number] = event
            attempt(house)
            finished(house, pods=False)


@UNMEASURED
def test_a_plain_rerun_mends_two_runs_that_died_one_after_the_other() -> None:
    whole = in_use()
    whole.run()
    for first in range(5, len(whole.calls), 2):
        for second in range(5, 24, 6):
            house = in_use()
            for number in (first, second):
                house.fault = (number, "killed after")
                attempt(house)
            finished(house, pods=False)


def test_a_credential_that_a_pod_holds_stays_until_a_later_run_though_the_token_is_fresh() -> None:
    house = in_use(pods=True)
    done = house.run()
    assert "former credential ecr (id1) stays until a later run can delete it: The pod p1" in done.warnings[-1]
    assert [user["id"] for user in done.results["in_use_by"]] == ["p1"] and done.after["leftovers"] == ["ecr (id1)"]
    again = house.run()
    assert (again.changed, again.warnings) == (False, done.warnings[-1:])
    house.simulator.world.current["pods"]["p1"]["status"] = "TERMINATED"
    house.seed("templates", "t3", "id1")  # somebody still knew the former one
    house.seed("endpoints", "e3", "id1")
    predicted = house.run(check_mode=True)
    assert set(house.names()) == {"ecr", "ecr-alt", "somebodys"}
    finished = house.run()
    for outcome in (predicted, finished):
        assert outcome.changed and not outcome.results["refreshed"]
        assert [user["id"] for user in outcome.results["repointed"]] == ["t3", "e3"]
        assert "e3 (e3)" in outcome.warnings[0]
        assert outcome.before["leftovers"] == ["ecr (id1)"] and "leftovers" not in outcome.after
        assert outcome.results["registry"] == outcome.after
    assert set(house.names()) == {"ecr-alt", "somebodys"}
    assert house.references()["t3"] == house.references()["e3"] == "ecr-alt"
    assert house.run().changed is False


def test_no_name_is_left_while_a_pod_holds_the_former_credential() -> None:
    house = in_use(pods=True)
    house.run()
    house.cloud.now += timedelta(hours=6)
    before = house.names(), house.references()
    with pytest.raises(CollectionError, match=r"no name left.*The pod p1.*works until .* for another 6.0 hours"):
        house.run()
    assert (house.names(), house.references()) == before
    house.simulator.world.current["pods"].clear()
    assert house.run().after["name"] == "ecr"
    assert house.names() == {"ecr": house.cloud.tokens[-1], "somebodys": "unknown"}


def test_a_pod_keeps_a_secret_that_works_once_runpod_writes_in_place_again() -> None:
    house = in_use(pods=True)
    house.run()
    house.simulator.switch(registry_patch="present")
    house.cloud.now += timedelta(hours=6)
    outcome = house.run()
    assert outcome.after["name"] == "ecr-alt" and "The pod p1" in outcome.warnings[-1]
    assert house.names() == {**dict.fromkeys(("ecr", "ecr-alt"), house.cloud.tokens[-1]), "somebodys": "unknown"}
    assert house.references() == {**dict.fromkeys(USERS, "ecr-alt"), "p1": "ecr", **OTHERS}


def test_a_replacement_that_runpod_refuses_for_one_endpoint_goes_on_later() -> None:
    whole = in_use()
    whole.run()
    house = in_use()
    house.fault = (whole.calls.index("PATCH /serverless/e1"), "refused")
    with pytest.raises(CollectionError, match="Not everything could be handed over.*e1: HTTP 400"):
        house.run()
    assert house.references() == {**dict.fromkeys(USERS, "ecr-alt"), "e1": "ecr", **OTHERS}
    house.fault = None
    finished(house, pods=False)


def test_both_are_removed_together() -> None:
    house = in_use(pods=True)
    house.run()
    for key in ("templates", "endpoints", "pods"):
        house.simulator.world.current[key].clear()
    predicted = house.run(check_mode=True, state="absent")
    assert predicted.changed and set(house.names()) == {"ecr", "ecr-alt", "somebodys"}
    done = house.run(state="absent")
    assert done.changed and done.after is None and done.before["leftovers"] == ["ecr (id1)"]
    assert set(house.names()) == {"somebodys"} and house.noted() == {}
    assert house.run(state="absent").changed is False


def test_as_the_caller_a_credential_is_replaced_in_each_run() -> None:
    house = in_use()
    assert [house.run(secret_store=None).after["name"] for dummy in range(3)] == ["ecr-alt", "ecr", "ecr-alt"]
    assert house.names() == {"ecr-alt": house.cloud.tokens[-1], "somebodys": "unknown"}


@NO_PATCH
def test_a_credential_of_any_registry_is_replaced_too(patch: int) -> None:
    house = House(patch)
    identifier = house.registry().after["id"]
    house.seed("templates", "t1", identifier)
    house.seed("endpoints", "e1", identifier)
    assert house.registry(check_mode=True, password="new").after["name"] == "team"
    done = house.registry(password="new")
    assert done.results["registry"]["name"] == "team-alt" and house.names() == {"team-alt": "new"}
    assert set(house.references().values()) == {"team-alt"} and "e1 (e1)" in done.warnings[0]
    assert house.registry(update_password="on_create").changed is False
    assert house.registry(state="absent").results["in_use_by"][0]["id"] == "t1"


@pytest.mark.parametrize("duplicates", [400, 422, "allowed"])
def test_two_runs_at_once_leave_what_the_next_one_finishes(duplicates: int | str) -> None:
    house = in_use()
    house.simulator.switch(duplicate_registry_name=duplicates)
    post = house.api.post

    def later(path: str, body: Json) -> Any:
        house.api.post = post  # type: ignore[method-assign]
        house.simulator.seed("registries", {"id": "id0", "name": "ecr-alt", "password": house.cloud.tokens[-1]})
        return post(path, body)

    house.api.post = later  # type: ignore[method-assign]
    with suppress(CollectionError):
        house.run()
    finished(house, pods=False)
