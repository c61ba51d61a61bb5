# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.message import Message
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import (
    GRANTED,
    Entry,
    KeyPair,
    KeyReservation,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.stored_key import store_of
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.token_source import RefreshError, TokenSource
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    ApiError,
    AwsError,
    CollectionError,
    ConflictError,
    InputError,
    TransportError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._core.time import format_time
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_plan import fresh
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_state import (
    Clients,
    CredentialState,
    long_past,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.ecr_credential import run
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_credential
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import client
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import note

NOW = datetime(2026, 8, 1, tzinfo=timezone.utc)
LONG_AGO = NOW - timedelta(days=30)
KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NEW_KEY = KeyPair("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")
PENDING = KeyReservation(NOW, ())
STORE = {"type": "secretsmanager", "name": "runpod-ecr/puller", "region": None, "kms_key_id": None, "tags": None}
SSM_STORE = {**STORE, "type": "ssm", "name": "/runpod-ecr/puller"}
BOTH_STORES = pytest.mark.parametrize("world", [STORE, SSM_STORE], ids=["secretsmanager", "ssm"], indirect=True)
PRESENT = {
    "name": "ecr",
    "image": None,
    "registry_region": "us-east-1",
    "secret_store": STORE,
    "min_validity_hours": 9.0,
    "force": False,
    "propagation_timeout": 90,
    "state": "present",
}
ABSENT = {**PRESENT, "registry_region": None, "state": "absent"}
AS_CALLER = {**PRESENT, "secret_store": None}


class Answer(io.BytesIO):
    """What the opener returns: a body with a status."""

    headers: dict[str, str] = {}

    def __init__(self, status: int, document: Any) -> None:
        super().__init__(b"" if document is None else json.dumps(document).encode())
        self.status = status


class Registries:
    """RunPod as far as registry credentials go: an opener with a state, a log and faults.

    `faults` maps a verb to what its next calls meet: a status, "lost before" or "lost after" the effect, or None.
    `meanwhile` is called once before the next POST, as another run.
    """

    def __init__(self) -> None:
        self.current: dict[str, dict[str, Any]] = {}
        self.users: dict[str, list[dict[str, Any]]] = {"templates": [], "serverless": [], "pods": []}
        self.calls: list[tuple[str, str]] = []
        self.faults: dict[str, list[int | str | None]] = {}
        self.meanwhile: Callable[[], Any] = lambda: None
        self.next_id = 1

    def add(self, name: str, password: str = "theirs") -> str:
        identifier = f"reg_{self.next_id}"
        self.next_id += 1
        self.current[identifier] = {"id": identifier, "name": name, "username": "AWS", "password": password}
        return identifier

    def writes(self) -> list[str]:
        return [f"{method} {path}" for method, path in self.calls if method != "GET"]

    def open(self, method: str, url: str, data: str | None = None, headers: Any = None) -> Answer:
        path = urlsplit(url).path.removeprefix("/v2")
        self.calls.append((method, path))
        note(method, url, data, headers)
        if method == "POST":
            meanwhile, self.meanwhile = self.meanwhile, lambda: None
            meanwhile()
        faults = self.faults.get(method) or [None]
        fault = faults.pop(0)
        if fault == "lost before":
            raise ConnectionResetError("reset")
        status, document = (fault, {}) if isinstance(fault, int) else self.act(method, path, json.loads(data or "{}"))
        if fault == "lost after":
            raise ConnectionResetError("reset")
        if status >= 400:
            problem = {"title": "No", "status": status, "detail": f"refused with {data}"}
            raise HTTPError(url, status, "No", Message(), io.BytesIO(json.dumps(problem).encode()))
        return Answer(status, document)

    def act(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        kind, dummy, identifier = path.lstrip("/").partition("/")
        if kind != "registries":
            return 200, {"endpoints" if kind == "serverless" else kind: self.users[kind]}
        if method == "GET" and not identifier:
            return 200, {"registries": [self.shown(record) for record in self.current.values()]}
        if method == "POST":
            made = self.add(body["name"], body["password"])
            return 201, self.shown(self.current[made])
        if identifier not in self.current:
            return 404, None
        if method == "DELETE":
            del self.current[identifier]
            return 204, None
        self.current[identifier].update(body)
        return 200, self.shown(self.current[identifier])

    @staticmethod
    def shown(record: dict[str, Any]) -> dict[str, Any]:
        return {"id": record["id"], "name": record["name"]}


class Ecr:
    """Mints tokens that live for twelve hours; `refusals` are met first."""

    def __init__(self) -> None:
        self.meta = client("ecr").meta
        self.minted: list[str] = []
        self.identities: list[dict[str, Any]] = []
        self.refusals: list[str] = []
        self.life = timedelta(hours=12)

    def get_authorization_token(self, **dummy: Any) -> dict[str, Any]:
        if self.refusals:
            code = self.refusals.pop(0)
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetAuthorizationToken")
        self.minted.append(f"token-number-{len(self.minted) + 1}")
        data = base64.b64encode(f"AWS:{self.minted[-1]}".encode()).decode()
        return {"authorizationData": [{"authorizationToken": data, "expiresAt": NOW + self.life}]}


class World:
    """Both clouds, an entry in the store, and a client for them."""

    def __init__(self, connect: Callable[..., Any], store: dict[str, Any]) -> None:
        self.runpod, self.ecr, self.naps, self.now = Registries(), Ecr(), [], NOW

        def route(service: str, **options: Any) -> Any:
            if service != "ecr":
                return connect(service, **options)
            self.ecr.identities.append(options)
            return self.ecr

        def sleep(seconds: float) -> None:
            self.naps.append(seconds)
            self.now += timedelta(seconds=seconds)

        aws = Aws(route, "us-east-1", clock=lambda: self.now, sleep=sleep)
        self.store_option = store
        self.client = Clients(aws, Client("https://runpod.test", "api-key", self.runpod, sleep=sleep))
        self.store = store_of(aws, store)

    def keep(self, key: KeyPair | None, created: datetime = LONG_AGO, pending: KeyReservation | None = None) -> None:
        entry = self.store.read() or self.store.create("puller", Entry("", pending=PENDING))
        assert entry and self.store.put(entry, Entry(entry.arn, key, created, pending))

    def password(self) -> str:
        return next(iter(self.runpod.current.values()))["password"]

    def run(self, params: dict[str, Any], check_mode: bool = False) -> Result:
        store = {"secret_store": self.store_option} if params["secret_store"] else {}
        return run({**params, **store}, check_mode, self.client)


@pytest.fixture
def world(connect: Callable[..., Any], request: pytest.FixtureRequest) -> World:
    made = World(connect, getattr(request, "param", STORE))
    made.keep(KEY)
    return made


def tag(identifier: str, hours: float, key: KeyPair = KEY) -> dict[str, str]:
    """Return a freshness tag for a token that works so many hours more."""
    return {f"gpuops.runpod/{identifier}": f"{format_time(NOW + timedelta(hours=hours))} {key.access_key_id}"}


def held(tags: dict[str, str], key: KeyPair | None = KEY, current: str | None = "reg_1") -> CredentialState:
    registry = {"id": current, "name": "ecr"} if current else None
    there = [registry] if registry else []
    return CredentialState(TokenSource(None, Entry("arn", key, LONG_AGO), tags), there, there)


@pytest.mark.parametrize(
    "state, expected",
    [
        (held(tag("reg_1", 12)), True),
        (held(tag("reg_1", 9)), True),  # to the second
        (held(tag("reg_1", 8.99)), False),
        (held(tag("reg_1", -1)), False),
        (held(tag("reg_1", 12), key=NEW_KEY), False),  # minted with a key that is not in the store any more
        (held(tag("reg_1", 12), key=None), False),
        (held(tag("reg_2", 12)), False),  # another credential's
        (held({}), False),
        (held({"gpuops.runpod/reg_1": "nonsense"}), False),
        (held(tag("reg_1", 12), current=None), False),
        (
            CredentialState(TokenSource(None, None, {}), [{"id": "reg_1"}], [{"id": "reg_1"}]),
            False,
        ),  # minted as the caller: never known
    ],
)
def test_fresh(state: CredentialState, expected: bool) -> None:
    assert bool(fresh(state, NOW + timedelta(hours=9))) is expected


@pytest.mark.parametrize(
    "tags, expected",
    [
        (tag("reg_9", -25), ["gpuops.runpod/reg_9"]),
        (tag("reg_9", -23), []),
        (tag("reg_9", 1), []),  # it may be that of another RunPod account
        (tag("reg_1", -25), []),  # still there, so it is due, not gone
        ({"gpuops.runpod/managed": "puller", "team": "ml"}, []),
    ],
)
def test_long_past(tags: dict[str, str], expected: list[str]) -> None:
    assert long_past(held(tags), NOW) == expected


@BOTH_STORES
def test_nine_steps(world: World) -> None:
    refresh = {**PRESENT, "force": True}
    steps = [
        (PRESENT, "POST /registries", False),
        (refresh, "PATCH /registries/reg_1", True),
        (ABSENT, "DELETE /registries/reg_1", False),
    ]
    for params, write, always in steps:
        for check_mode, changed, writes in (
            (True, True, []),
            (False, True, [write]),
            (False, always, [write] * always),
        ):
            world.runpod.calls.clear()
            assert world.run(params, check_mode).changed is changed
            assert world.runpod.writes() == writes


@BOTH_STORES
def test_a_new_credential_holds_the_pull_users_token(world: World) -> None:
    outcome = world.run(PRESENT)
    assert world.runpod.current["reg_1"] == {
        "id": "reg_1",
        "name": "ecr",
        "username": "AWS",
        "password": world.ecr.minted[0],
    }
    assert world.ecr.identities[0]["aws_access_key_id"] == KEY.access_key_id
    registry = {
        "id": "reg_1",
        "name": "ecr",
        "logical_name": "ecr",
        "region": "us-east-1",
        "expires_at": "2026-08-01T12:00:00Z",
    }
    assert outcome.results == {
        "registry": registry,
        "registries": [{**registry, "refreshed": True, "repointed": [], "in_use_by": []}],
        "expires_at": "2026-08-01T12:00:00Z",
        "refreshed": True,
        "repointed": [],
        "in_use_by": [],
        "images": [],
    }
    assert outcome.after == outcome.results["registry"]
    assert world.store.tags()["gpuops.runpod/reg_1"] == f"2026-08-01T12:00:00Z {KEY.access_key_id}"


def test_the_image_names_the_region(world: World) -> None:
    image = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/team/app:v1"
    assert world.run({**PRESENT, "registry_region": None, "image": image}).after["region"] == "ap-northeast-2"
    assert [options["region"] for options in world.ecr.identities] == ["ap-northeast-2"]


@BOTH_STORES
def test_a_fresh_credential_is_left_alone(world: World) -> None:
    world.run(PRESENT)
    outcome = world.run(PRESENT)
    assert (outcome.changed, outcome.results["refreshed"]) == (False, False)
    assert outcome.results["expires_at"] == outcome.after["expires_at"] == "2026-08-01T12:00:00Z"
    assert len(world.ecr.minted) == 1


def test_a_token_that_ends_soon_is_replaced_in_place(world: World) -> None:
    world.run(PRESENT)
    world.now += timedelta(hours=4)
    world.ecr.life = timedelta(hours=16)
    outcome = world.run(PRESENT)
    assert outcome.changed and outcome.before["id"] == outcome.after["id"] == "reg_1"
    assert (outcome.before["expires_at"], outcome.after["expires_at"]) == (
        "2026-08-01T12:00:00Z",
        "2026-08-01T16:00:00Z",
    )
    assert world.password() == world.ecr.minted[-1] == "token-number-2"


@BOTH_STORES
def test_a_new_key_in_the_store_forces_a_refresh(world: World) -> None:
    world.run(PRESENT)
    world.keep(NEW_KEY)
    assert world.run(PRESENT).results["refreshed"] is True
    assert world.store.tags()["gpuops.runpod/reg_1"].endswith(NEW_KEY.access_key_id)
    assert world.run(PRESENT).changed is False


def test_a_key_that_is_being_rotated_still_mints(world: World) -> None:
    world.keep(KEY, pending=PENDING)
    assert world.run(PRESENT).changed is True


@BOTH_STORES
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_pull_user_in_quarantine_gets_no_token(world: World, check_mode: bool) -> None:
    world.run(PRESENT)
    world.store.tag({"gpuops.runpod/quarantined": "2026-08-01T00:00:00Z"})
    world.runpod.calls.clear()
    with pytest.raises(ConflictError, match="quarantined since 2026-08-01T00:00:00Z.*release_quarantine"):
        world.run({**PRESENT, "force": True}, check_mode)
    assert world.runpod.writes() == [] and len(world.ecr.minted) == 1
    assert world.run(ABSENT).changed is True


@BOTH_STORES
def test_the_name_follows_from_the_entry(world: World) -> None:
    unnamed = {**PRESENT, "name": None}
    assert world.run(unnamed).after["name"] == "puller-123456789012-us-east-1"
    assert world.run(unnamed).changed is False
    assert world.run({**unnamed, "state": "absent"}).changed is True and world.runpod.current == {}


@BOTH_STORES
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"registry_region": None, "state": "absent"}, "or image or registry_region"),
        ({"state": "absent", "gone": True}, "which it follows, is not there"),
        ({"unmanaged": True}, "no tag gpuops.runpod/managed"),
        ({"name": "", "state": "absent"}, "must not be empty"),
        ({"name": "ecr-alt"}, "use 'ecr'"),
    ],
)
def test_a_name_that_cannot_be_made_up_is_required(world: World, options: dict[str, Any], says: str) -> None:
    if "gone" in options:
        world.store.delete()
    if "unmanaged" in options:
        world.store.untag(["gpuops.runpod/managed"])
    with pytest.raises(InputError, match=says):
        world.run({**PRESENT, "name": None, **options})
    assert world.runpod.calls == []


def test_the_name_of_an_entry_to_come_is_not_known_in_check_mode(world: World) -> None:
    world.store.delete()
    predicted = world.run({**PRESENT, "name": None}, check_mode=True)
    assert predicted.after == {"name": None, "logical_name": None, "region": "us-east-1", "expires_at": None}
    assert predicted.changed and "does not exist" in predicted.warnings[0] and world.runpod.calls == []


@pytest.mark.parametrize("check_mode", [True, False])
def test_as_the_caller_a_warning_names_whose_rights_runpod_gets(world: World, check_mode: bool) -> None:
    [warning] = world.run(AS_CALLER, check_mode).warnings
    assert "gets a token of arn:aws:sts::123456789012:" in warning


def test_as_the_caller_a_run_does_not_need_to_know_who_that_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call = world.client.aws.call

    def without_sts(service: str, *operation: str, **request: Any) -> Any:
        if service == "sts":
            raise AwsError("no", "sts:GetCallerIdentity", "EndpointConnectionError", "no")
        return call(service, *operation, **request)

    monkeypatch.setattr(world.client.aws, "call", without_sts)
    assert "gets a token of whoever runs this" in world.run(AS_CALLER).warnings[0]


@BOTH_STORES
def test_a_failed_refresh_tells_how_long_the_token_at_runpod_works(world: World) -> None:
    world.run(PRESENT)
    for hours, said in ((6, "works until 2026-08-01T12:00:00Z, for another 6.0 hours"), (7, "has ended at 2026-08")):
        world.now += timedelta(hours=hours)
        for part in ("ecr", "PATCH", "GET"):
            world.ecr.refusals = ["ThrottlingException"] if part == "ecr" else []
            world.runpod.faults = {part: ["lost before"] * 5}
            with pytest.raises(RefreshError, match=said) as caught:
                world.run(PRESENT)
            assert caught.value.as_result()["expires_at"] == "2026-08-01T12:00:00Z"
    world.runpod.faults.clear()
    assert world.run(PRESENT).changed is True


def test_a_failed_refresh_says_nothing_that_is_not_known(world: World) -> None:
    world.ecr.refusals = ["ThrottlingException"] * 2
    with pytest.raises(RefreshError) as caught:
        world.run(PRESENT)
    assert "RunPod holds" not in str(caught.value) and caught.value.as_result()["expires_at"] is None
    world.runpod.add("ecr")
    with pytest.raises(RefreshError, match="that RunPod holds works is not known"):
        world.run(PRESENT)
    world.store.tag({**tag("reg_1", 3), **tag("reg_2", 5)})
    world.runpod.faults["GET"] = ["lost before"] * 5
    with pytest.raises(RefreshError, match="that RunPod holds works is not known"):
        world.run(PRESENT)


def test_as_the_caller_each_run_refreshes(world: World) -> None:
    outcomes = [world.run(AS_CALLER), world.run(AS_CALLER)]
    assert [(outcome.changed, outcome.results["refreshed"]) for outcome in outcomes] == [(True, True), (True, True)]
    assert world.runpod.writes() == ["POST /registries", "PATCH /registries/reg_1"]
    assert "aws_access_key_id" not in world.ecr.identities[0]


@pytest.mark.parametrize("key, created, says", [(None, NOW, "holds no key yet"), ("deleted", NOW, "is being deleted")])
def test_an_entry_without_a_key(world: World, key: Any, created: datetime, says: str) -> None:
    if key == "deleted":
        world.store._call("delete_secret", SecretId=world.store.name)
    else:
        world.keep(None, created, PENDING)
    with pytest.raises(InputError, match=f"{says}.*ecr_pull_user makes it"):
        world.run(PRESENT)
    predicted = world.run(PRESENT, check_mode=True)
    assert predicted.changed and says in predicted.warnings[0]
    assert world.runpod.writes() == [] and world.ecr.minted == []


def test_an_entry_that_is_not_there(connect: Callable[..., Any]) -> None:
    world = World(connect, STORE)
    with pytest.raises(InputError, match="entry runpod-ecr/puller does not exist: ecr_pull_user makes it"):
        world.run(PRESENT)
    predicted = world.run(PRESENT, check_mode=True)
    assert predicted.after == {"name": "ecr", "logical_name": "ecr", "region": "us-east-1", "expires_at": None}
    assert predicted.changed and "does not exist" in predicted.warnings[0]


@pytest.mark.parametrize("hours", [0, -1, 12, 13])
def test_a_validity_no_token_can_have_is_refused(world: World, hours: float) -> None:
    with pytest.raises(InputError, match="more than 0 and less than 12"):
        world.run({**PRESENT, "min_validity_hours": hours})
    assert world.runpod.calls == []


@pytest.mark.parametrize(
    "options", [{"registry_region": ""}, {"image": "", "registry_region": None}, {"image": "python:3"}]
)
def test_a_region_that_is_not_named_is_refused_before_any_call(world: World, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        world.run({**AS_CALLER, **options})
    assert world.runpod.calls == [] and world.ecr.minted == []


def test_a_token_shorter_than_asked_for_is_a_warning_and_no_loop(world: World) -> None:
    world.ecr.life = timedelta(hours=2)
    outcome = world.run(PRESENT)
    assert "until 2026-08-01T02:00:00Z" in outcome.warnings[0] and len(world.ecr.minted) == 1


def test_a_young_key_gets_its_time(world: World) -> None:
    world.keep(KEY, created=NOW)
    world.ecr.refusals = ["UnrecognizedClientException", "AccessDeniedException"]
    assert world.run(PRESENT).changed is True
    assert world.naps == [1, 2]


@BOTH_STORES
def test_a_young_right_gets_its_time(world: World) -> None:
    world.store.tag({GRANTED: format_time(NOW)})
    world.ecr.refusals = ["AccessDeniedException"]
    assert world.run(PRESENT).changed is True


def test_an_old_key_that_is_refused_fails_at_once(world: World) -> None:
    world.ecr.refusals = ["UnrecognizedClientException"]
    with pytest.raises(RefreshError, match="UnrecognizedClientException") as caught:
        world.run(PRESENT)
    assert isinstance(caught.value.cause, AwsError) and caught.value.as_result()["error"]["code"]
    assert world.naps == [] and world.runpod.writes() == []


def test_a_created_credential_is_adopted_when_the_answer_is_lost(world: World) -> None:
    world.runpod.faults["POST"] = ["lost after"]
    assert world.run(PRESENT).after["id"] == "reg_1"
    assert world.runpod.writes() == ["POST /registries", "PATCH /registries/reg_1"]
    assert world.password() == world.ecr.minted[0]
    assert world.run(PRESENT).changed is False


def test_a_run_after_a_post_that_never_arrived_mends_it(world: World) -> None:
    world.runpod.faults["POST"] = ["lost before"]
    with pytest.raises(CollectionError, match="nothing was created: run again"):
        world.run(PRESENT)
    assert world.run(PRESENT).changed is True and len(world.runpod.current) == 1


@pytest.mark.parametrize("fault", ["lost before", "lost after", 500])
def test_a_refresh_is_repeated_when_its_answer_is_lost(world: World, fault: int | str) -> None:
    world.run(PRESENT)
    world.runpod.faults["PATCH"] = [fault]
    assert world.run({**PRESENT, "force": True}).changed is True
    assert world.password() == world.ecr.minted[-1]


def test_a_refresh_that_is_never_answered_is_not_noted_as_done(world: World) -> None:
    world.run(PRESENT)
    world.now += timedelta(hours=6)
    world.runpod.faults["PATCH"] = ["lost after"] * 5
    with pytest.raises(RefreshError, match="holds works until 2026-08-01T12:00:00Z, for another 6.0 hours") as caught:
        world.run(PRESENT)
    assert isinstance(caught.value.cause, TransportError)
    assert caught.value.as_result()["expires_at"] == "2026-08-01T12:00:00Z"
    assert world.store.tags()["gpuops.runpod/reg_1"].startswith("2026-08-01T12:00:00Z")
    assert world.run(PRESENT).changed is True


def test_a_credential_that_goes_meanwhile_is_made_anew(world: World) -> None:
    world.run(PRESENT)
    client = world.client.api
    patch = client.patch

    def too_late(path: str, body: dict[str, Any]) -> Any:
        world.runpod.current.clear()
        return patch(path, body)

    client.patch = too_late  # type: ignore[method-assign]
    outcome = world.run({**PRESENT, "force": True})
    assert outcome.after["id"] == "reg_2" and "ecr (reg_1) was deleted meanwhile" in outcome.warnings[0]
    assert set(world.store.tags()) == {"gpuops.runpod/managed", "gpuops.runpod/reg_2"}


@pytest.mark.parametrize("verb, params", [("POST", PRESENT), ("PATCH", {**PRESENT, "force": True}), ("DELETE", ABSENT)])
def test_a_refused_write_is_reported_and_not_repeated(world: World, verb: str, params: dict[str, Any]) -> None:
    if verb != "POST":
        world.run(PRESENT)
    world.runpod.calls.clear()
    world.runpod.faults[verb] = [403]
    with pytest.raises(CollectionError, match=f"{verb} /registries.*HTTP 403.*secrets:write") as caught:
        world.run(params)
    assert caught.value.as_result()["status"] == 403 and len(world.runpod.writes()) == 1


def test_two_credentials_with_the_name_are_an_error(world: World) -> None:
    world.runpod.add("ecr")
    world.runpod.add("ecr")
    for params in (PRESENT, ABSENT):
        with pytest.raises(ConflictError, match="ids reg_1, reg_2"):
            world.run(params)
    assert world.runpod.writes() == []


def test_of_two_runs_the_later_removes_what_it_made(world: World) -> None:
    world.runpod.meanwhile = lambda: world.runpod.add("ecr")
    assert world.run(PRESENT).after["id"] == "reg_1"
    assert world.runpod.writes() == ["POST /registries", "DELETE /registries/reg_2", "PATCH /registries/reg_1"]
    assert world.password() == world.ecr.minted[0]


def test_of_two_runs_the_earlier_keeps_what_it_made(world: World) -> None:
    world.runpod.next_id = 2

    def later() -> None:
        world.runpod.current["reg_9"] = {"id": "reg_9", "name": "ecr", "username": "AWS", "password": "theirs"}

    world.runpod.meanwhile = later
    assert world.run(PRESENT).after["id"] == "reg_2"
    assert world.runpod.writes() == ["POST /registries"] and set(world.runpod.current) == {"reg_2", "reg_9"}


def test_of_two_runs_nothing_that_is_in_use_is_removed(world: World) -> None:
    world.runpod.users["templates"] = [{"id": "tpl_1", "name": "app", "registry": "reg_2"}]
    world.runpod.meanwhile = lambda: world.runpod.add("ecr")
    with pytest.raises(CollectionError, match="ids reg_1, reg_2"):
        world.run(PRESENT)
    assert set(world.runpod.current) == {"reg_1", "reg_2"}


@BOTH_STORES
def test_notes_of_credentials_long_gone_are_dropped(world: World) -> None:
    world.store.tag({**tag("reg_8", -25), **tag("reg_9", 3), "team": "ml"})
    world.run(PRESENT)
    assert set(world.store.tags()) == {"gpuops.runpod/managed", "gpuops.runpod/reg_1", "gpuops.runpod/reg_9", "team"}


@pytest.mark.parametrize(
    "listing, user, kind",
    [
        ("templates", {"id": "tpl_1", "name": "app", "registry": "reg_1"}, "template"),
        ("serverless", {"id": "ep_1", "name": "app", "registry": "reg_1"}, "endpoint"),
        ("pods", {"id": "pod_1", "name": "app", "registry": "reg_1", "status": "EXITED"}, "pod"),
    ],
)
def test_a_credential_in_use_stays(world: World, listing: str, user: dict[str, Any], kind: str) -> None:
    world.run(PRESENT)
    world.runpod.users[listing] = [{"id": "x", "name": "other", "registry": None}, user]
    outcome = world.run(ABSENT)
    reason = f"The {kind} app ({user['id']}) refers to the credential ecr."
    assert outcome.changed is False and outcome.after["id"] == "reg_1" and reason in outcome.warnings[0]
    said = {"kind": kind, "id": user["id"], "name": "app", "registry": "reg_1", "reason": reason}
    assert outcome.results["in_use_by"] == [said]
    assert "reg_1" in world.runpod.current and "gpuops.runpod/reg_1" in world.store.tags()


def test_cluster_pods_are_looked_at_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []
    serve = world.runpod.open

    def noting(method: str, url: str, **options: Any) -> Answer:
        urls.append(url)
        return serve(method, url, **options)

    monkeypatch.setattr(world.runpod, "open", noting)
    world.runpod.add("ecr")
    world.run(ABSENT)
    assert "https://runpod.test/v2/pods?includeClusterPods=true&limit=1000" in urls


@pytest.mark.parametrize("before", [1, 2, 3], ids=["templates", "endpoints", "pods"])
def test_a_credential_whose_users_cannot_be_listed_stays(world: World, before: int) -> None:
    world.runpod.add("ecr")
    world.runpod.faults["GET"] = [*[None] * before, 403]
    with pytest.raises(ApiError, match="HTTP 403"):
        world.run(ABSENT)
    assert world.runpod.writes() == []


@pytest.mark.parametrize("listing", ["registries", "templates", "serverless", "pods"])
def test_a_listing_without_its_key_is_an_error_and_not_an_empty_one(
    world: World, monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    world.runpod.add("ecr")
    act = world.runpod.act
    monkeypatch.setattr(
        world.runpod, "act", lambda method, path, body: (200, {}) if path == f"/{listing}" else act(method, path, body)
    )
    with pytest.raises(ApiError, match="has no list"):
        world.run(ABSENT)
    assert world.runpod.writes() == []


def test_a_terminated_pod_keeps_no_credential(world: World) -> None:
    world.run(PRESENT)
    world.runpod.users["pods"] = [{"id": "pod_1", "name": "app", "registry": "reg_1", "status": "TERMINATED"}]
    assert world.run(ABSENT).after is None and world.runpod.current == {}


@BOTH_STORES
def test_a_removed_credential_takes_its_note_along_and_names_those_left(world: World) -> None:
    world.run(PRESENT)
    world.run({**PRESENT, "name": "ecr-seoul", "registry_region": "ap-northeast-2"})
    world.runpod.add("somebody's")
    world.store.tag(tag("reg_99", 5))  # not at RunPod
    outcome = world.run(ABSENT)
    assert outcome.changed and outcome.after is None and outcome.results["in_use_by"] == []
    assert [(other["id"], other["name"]) for other in outcome.results["other_registries"]] == [("reg_2", "ecr-seoul")]
    assert "gpuops.runpod/reg_1" not in world.store.tags() and "gpuops.runpod/reg_2" in world.store.tags()
    assert len(world.ecr.minted) == 2


def test_absent_needs_no_entry(connect: Callable[..., Any]) -> None:
    world = World(connect, STORE)
    world.runpod.add("ecr")
    assert world.run(ABSENT).results["other_registries"] == [] and world.runpod.current == {}
    assert world.run({**ABSENT, "secret_store": None}).changed is False


def test_absent_copes_with_an_entry_that_is_being_deleted(world: World) -> None:
    world.run(PRESENT)
    world.store._call("delete_secret", SecretId=world.store.name)
    assert world.run(ABSENT).changed is True and world.runpod.current == {}


@BOTH_STORES
def test_no_secret_shows_in_outcomes(world: World) -> None:
    outcomes = [world.run(params, check) for params in (PRESENT, AS_CALLER, ABSENT) for check in (True, False)]
    said = repr(outcomes) + repr(world.store.read())
    assert len(world.ecr.minted) == 2
    assert not [secret for secret in (KEY.secret_access_key, "api-key", *world.ecr.minted) if secret in said]


@pytest.mark.parametrize("status", [400, 422])
def test_no_secret_shows_in_errors_though_the_server_echoes_it(world: World, status: int) -> None:
    world.run(PRESENT)
    world.runpod.faults["PATCH"] = [status]
    with pytest.raises(CollectionError) as caught:
        world.run({**PRESENT, "force": True})
    assert world.ecr.minted[-1] not in json.dumps(caught.value.as_result()) + repr(caught.value.__cause__)


@pytest.mark.parametrize(
    "options, says",
    [
        ({}, "state is present but any of the following are missing: image, images, registry_region, "),
        ({"image": "i", "registry_region": "r"}, "mutually exclusive: image|images|registry_region|registry_regions"),
        ({"name": None, "registry_region": "r"}, "one of the following is required: name, user, secret_store"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = {name: value for name, value in {"name": "ecr", "api_key": "k", **options}.items() if value is not None}
    with patch_module_args(given), pytest.raises(SystemExit):
        runpod_ecr_credential.main()
    assert says in json.loads(capsys.readouterr().out)["msg"]


@BOTH_STORES
@pytest.mark.parametrize("lock", [True, False])
def test_key_that_another_run_is_making_is_waited_for(world: World, lock: bool) -> None:
    note = KeyReservation(NOW, (), abandoned=lock)  # with which the run begins, and the one before CreateAccessKey
    entry = world.store.read()
    assert entry and world.store.put(entry, Entry(entry.arn, pending=note, lock=NOW if lock else None))
    pause = world.client.aws.sleep

    def sleep(seconds: float) -> None:
        pause(seconds)
        if len(world.naps) == 3:
            world.keep(KEY)

    world.client.aws.sleep = sleep
    predicted = world.run(PRESENT, check_mode=True)
    assert "holds no key yet" in predicted.warnings[0] and world.naps == []
    assert world.run(PRESENT).changed and world.naps == [1, 2, 4]


def test_key_that_no_run_makes_is_waited_for_as_long_as_one_may_be_at_work(world: World) -> None:
    world.keep(None, NOW, KeyReservation(NOW, ()))
    with pytest.raises(InputError, match="holds no key yet"):
        world.run({**PRESENT, "propagation_timeout": 20})
    assert sum(world.naps) == 23
