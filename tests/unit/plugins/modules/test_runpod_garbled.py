# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever RunPod's answers lack, or have in another form, ends in a result or in an error of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import islice
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import account, registry
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_state import Clients
from ansible_collections.gpuops.runpod.tests.unit.plugins.modules.test_runpod_ecr_credential import (
    ABSENT,
    KEY,
    PRESENT,
    STORE,
    World,
    tag,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1"
LOGIN: Json = {
    "name": "ecr",
    "username": "me",
    "password": "hush-hush",
    "update_password": "always",
    "state": "present",
}
INFO = {"gather": list(account.KINDS), "credential_expiry": {"x": "2026-08-13T00:15:00Z"}}
NOTHING = object()
EVERY = 61  # all of them take minutes; this prime number spreads the sample over fields and values
OTHERS: tuple[Any, ...] = (NOTHING, None, 7, "", "text", [], {}, [None], {"id": None}, True)
WHOLE: tuple[Any, ...] = (b"", b"null", b"[]", b"7", b'"text"', b"{}", b'{"error": "no"}', b"<title", b"\xff", b"{")
RUNS: dict[str, Callable[[World, SimulatedRunpod], Any]] = {
    "info": lambda world, runpod: account.run(INFO, False, runpod.client),
    "registry": lambda world, runpod: registry.run(LOGIN, False, runpod.client),
    "registry gone": lambda world, runpod: registry.run({**LOGIN, "state": "absent"}, False, runpod.client),
    "token": lambda world, runpod: world.run({**PRESENT, "force": True}),
    "token kept": lambda world, runpod: world.run(PRESENT),
    "token gone": lambda world, runpod: world.run(ABSENT),
}


class Garbling(SimulatedRunpod):
    """Answers one call otherwise: `garble` gets its document."""

    def __init__(self, number: int = -1, garble: Callable[[Any], Any] = lambda document: document) -> None:
        super().__init__()
        self.number, self.garble, self.served = number, garble, 0
        self.documents: list[Any] = []

    def handle(self, method: str, path: str, body: Json | None) -> tuple[int, dict[str, str], Any]:
        status, headers, document = super().handle(method, path, body)
        self.documents.append(deepcopy(document))
        self.served += 1
        if self.served - 1 == self.number:
            return status, headers, self.garble(document)
        return status, headers, document


def ways(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of each value in a document."""
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield (*place, key)
            yield from ways(value, (*place, key))


def put(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = deepcopy(document)
    within = changed
    for key in place[:-1]:
        within = within[key]
    if value is NOTHING:
        del within[place[-1]]
    else:
        within[place[-1]] = value
    return changed


def garbled(document: Any) -> Iterator[Callable[[Any], Any]]:
    for text in WHOLE:
        yield lambda dummy, text=text: text
    for place in ways(document):
        for other in OTHERS:
            yield lambda current, place=place, other=other: put(current, place, other)


def prepared(world: World, runpod: SimulatedRunpod, offered: Any) -> SimulatedRunpod:
    """Let an account hold a credential, its alternate, and what refers to both."""
    runpod.simulator.switch(registry_patch=offered)
    plain, alternate = (
        runpod.seed("registries", name=name, username="AWS", password="x") for name in ("ecr", "ecr-alt")
    )
    for credential, hours in ((plain, 12), (alternate, 3)):
        world.store.tag(tag(credential["id"], hours))
    runpod.seed("templates", name="t", image=IMAGE, registry=plain["id"], serverless=True, mounts={})
    runpod.seed("endpoints", name="e", registry=alternate["id"])
    runpod.seed("pods", name="p", registry=None)
    runpod.seed("delegations", repository="app", awsUser="123456789012", awsRegion="us-east-1")
    world.client = Clients(world.client.aws, runpod.client)
    return runpod


@pytest.mark.parametrize("offered", ["present", 405])
@pytest.mark.parametrize("name", RUNS)
def test_no_answer_ends_in_a_traceback(name: str, offered: Any, connect: Callable[..., Any]) -> None:
    world = World(connect, STORE)
    world.keep(KEY)

    def run(runpod: Garbling) -> None:
        for each in world.store.tags():
            if each != "gpuops.runpod/managed":
                world.store.untag([each])
        RUNS[name](world, prepared(world, runpod, offered))  # type: ignore[arg-type]

    plain = Garbling()
    run(plain)
    tried = 0
    for number, document in enumerate(plain.documents):
        for garble in islice(garbled(document), number, None, EVERY):
            tried += 1
            try:
                run(Garbling(number, garble))
            except CollectionError as error:
                assert str(error) and json.dumps(error.as_result())
    assert tried > plain.served > 0
