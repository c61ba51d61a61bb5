# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import BlobStoreError, RegistryError
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.registry_client import Login, Registry, challenge
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_registry import (
    INDEX,
    Answer,
    Registries,
    digest_of,
    error,
)

HOST = "registry.example"
LOGIN = Login("me", "pass:word")
BASIC = base64.b64encode(b"me:pass:word").decode()
BEARER = f'Bearer realm="https://{HOST}/token",service="{HOST}"'
ABSENT = "sha256:" + 64 * "0"


@pytest.fixture
def world() -> Registries:
    made = Registries()
    made[f"{HOST}/team/app"].image("v1")
    return made


def registry(world: Registries, login: Login | None = None, naps: list[float] | None = None) -> Registry:
    return Registry(world, HOST, login, (naps if naps is not None else []).append)


def test_a_digest_costs_one_request_for_a_manifest(world: Registries) -> None:
    held = world[f"{HOST}/team/app"].tags["v1"]
    reader = registry(world)
    assert reader.digest("team/app", "v1") == held
    assert world.took() == [f"HEAD {HOST}/v2/team/app/manifests/v1"]
    assert reader.digest("team/app", "v2") is None
    assert reader.digest("team/app", ABSENT) is None


def test_a_digest_that_is_not_said_is_computed(world: Registries) -> None:
    world.says_digest = False
    assert registry(world).digest("team/app", "v1") == world[f"{HOST}/team/app"].tags["v1"]


def test_a_manifest_that_goes_meanwhile_has_no_digest(world: Registries) -> None:
    world.answers = [Answer(200), Answer(200), error(404, "MANIFEST_UNKNOWN")]
    assert registry(world).digest("team/app", "v1") is None


def test_a_manifest_is_returned_as_it_is_stored(world: Registries) -> None:
    repository = world[f"{HOST}/team/app"]
    digest = repository.index("v2", amd64=repository.tags["v1"])
    held = registry(world).manifest("team/app", digest)
    assert held is not None and held.digest == digest and INDEX.encode() in held.content
    assert registry(world).manifest("team/app", "v3") is None


def test_other_bytes_than_those_asked_for_are_refused(world: Registries) -> None:
    world.answers = [Answer(200), Answer(200, b"{}")]
    with pytest.raises(RegistryError, match="other bytes in place of sha256:0+. Something else"):
        registry(world).manifest("team/app", ABSENT)


def test_a_repository_that_is_not_there_is_told_from_a_tag_that_is_not(world: Registries) -> None:
    with pytest.raises(RegistryError, match="HTTP 404: NAME_UNKNOWN") as caught:
        registry(world).manifest("other", "v1")
    assert caught.value.as_result()["error"] == {"status": 404, "code": "NAME_UNKNOWN", "message": "name unknown"}


@pytest.mark.parametrize("store", ["", "store.example"])
@pytest.mark.parametrize("scheme", ['Basic realm="x"', BEARER])
def test_a_blob_is_read_wherever_it_is(world: Registries, scheme: str, store: str) -> None:
    world.challenges[HOST], world.logins[HOST], world.blob_store = scheme, {BASIC}, store
    content = b'{"os": "linux", "architecture": "amd64"}'
    assert registry(world, LOGIN).blob("team/app", digest_of(content)) == content


@pytest.mark.parametrize(
    ("scheme", "login"), [('Basic realm="x"', LOGIN), (BEARER, LOGIN), (BEARER, None), ("", LOGIN)]
)
def test_a_login_is_made_once(world: Registries, scheme: str, login: Login | None) -> None:
    world.challenges[HOST], world.logins[HOST] = scheme, {BASIC}
    reader = registry(world, login)
    for tag in ("v1", "v1", "v1"):
        assert reader.digest("team/app", tag)
    assert len([call for call in world.calls if "manifests" not in call]) == (2 if scheme == BEARER else 1)


def test_a_scope_that_the_registry_asks_for_is_kept(world: Registries) -> None:
    scheme = f'Bearer realm="https://{HOST}/token?x=1",service="{HOST}",scope="aws"'
    world.challenges[HOST], world.logins[HOST] = scheme, {BASIC}
    reader = registry(world, LOGIN)
    world[f"{HOST}/other"].image("v1")
    assert reader.digest("team/app", "v1") and reader.digest("other", "v1")
    assert world.calls.count(f"GET {HOST}/token") == 1


@pytest.mark.parametrize("scheme", ['Basic realm="x"', BEARER])
def test_a_login_that_is_refused_is_an_error_without_it(world: Registries, scheme: str) -> None:
    world.challenges[HOST], world.logins[HOST] = scheme, {"other"}
    with pytest.raises(RegistryError, match="HTTP 401: UNAUTHORIZED: unauthorized. The registry does not") as caught:
        registry(world, LOGIN).manifest("team/app", "v1")
    assert "pass" not in str(caught.value.as_result()) and "pass" not in repr(LOGIN)


def test_a_store_that_refuses_is_told_from_the_registry(world: Registries) -> None:
    naps: list[float] = []
    body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    moved = Answer(307, Location="https://store.example/blob?signature=secret")
    world.answers = [Answer(200), moved, Answer(403, body)]
    with pytest.raises(BlobStoreError, match="GET https://store.example/blob: HTTP 403: AccessDenied: Acc") as caught:
        registry(world).blob("team/app", ABSENT)
    assert (caught.value.status, caught.value.code, caught.value.text) == (403, "AccessDenied", "Access Denied")
    world.answers = [Answer(200), moved, *[TimeoutError()] * 4]
    with pytest.raises(BlobStoreError, match="no answer: TimeoutError") as caught:
        registry(world, naps=naps).blob("team/app", ABSENT)
    assert caught.value.status is None and caught.value.text == "store.example: TimeoutError"
    assert "secret" not in str(caught.value.as_result())


def test_a_manifest_that_must_be_there_is_an_error_in_the_registrys_words(world: Registries) -> None:
    assert registry(world).fetched("team/app", "v1").digest == world[f"{HOST}/team/app"].tags["v1"]
    with pytest.raises(RegistryError, match="HTTP 404: MANIFEST_UNKNOWN: manifest unknown"):
        registry(world).fetched("team/app", "v2")


def test_what_is_no_registry_is_an_error(world: Registries) -> None:
    world.answers = [Answer(404, b"no JSON")]
    with pytest.raises(RegistryError, match=f"GET https://{HOST}/v2/: HTTP 404."):
        registry(world).digest("team/app", "v1")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"errors": []}', b'{"errors": ["x"]}'])
def test_an_error_may_have_any_body(world: Registries, body: bytes) -> None:
    world.answers = [Answer(200), Answer(403, body)]
    with pytest.raises(RegistryError, match="HTTP 403. The registry refuses this login"):
        registry(world).manifest("team/app", "v1")


@pytest.mark.parametrize("trouble", [Answer(500), Answer(429), OSError("reset"), TimeoutError()])
def test_trouble_passes(world: Registries, trouble: Any) -> None:
    naps: list[float] = []
    world.answers = [Answer(200), trouble, trouble]
    assert registry(world, naps=naps).digest("team/app", "v1")
    assert naps == [1, 2]


def test_trouble_that_stays_is_an_error(world: Registries) -> None:
    world.answers = [Answer(200), *[Answer(503)] * 4]
    with pytest.raises(RegistryError, match="HTTP 503"):
        registry(world).digest("team/app", "v1")
    world.answers = [OSError("reset")] * 4  # type: ignore[assignment]
    with pytest.raises(RegistryError, match="no answer: OSError. Check the registry's name") as caught:
        registry(world).digest("team/app", "v1")
    assert caught.value.status is None


@pytest.mark.parametrize("host", ["", "docker.io"])
def test_docker_hub_has_an_address_of_its_own(world: Registries, host: str) -> None:
    digest = world["registry-1.docker.io/library/python"].image("3")
    world["registry-1.docker.io/team/app"].image("v1")
    hub = Registry(world, host)
    assert hub.digest("python", "3") == digest
    assert hub.digest("team/app", "v1")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", ("", {})),
        ('Basic realm="x"', ("basic", {"realm": "x"})),
        ('Bearer realm="https://x/token",service="x",scope="a:b"', None),
    ],
)
def test_challenges(header: str, said: Any) -> None:
    expected = ("bearer", {"realm": "https://x/token", "service": "x", "scope": "a:b"})
    assert challenge(header) == (said or expected)
