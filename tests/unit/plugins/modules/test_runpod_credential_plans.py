# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What check mode says of credentials is what a run does, from many starts and for many wishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.token_source import RefreshError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ConflictError, InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import registry
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_state import Clients
from ansible_collections.gpuops.runpod.tests.unit.plugins.modules.test_runpod_ecr_credential import (
    ABSENT,
    AS_CALLER,
    KEY,
    NEW_KEY,
    PRESENT,
    STORE,
    World,
    tag,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

WISHES: dict[str, Json] = {
    "present": PRESENT,
    "force": {**PRESENT, "force": True},
    "as the caller": AS_CALLER,
    "absent": ABSENT,
}
CONTENT: Json = {"image": "app:1", "serverless": True, "mounts": {}}


class Start:
    """A world before a run: the pull user's entry in the store, and RunPod's account in the simulator."""

    def __init__(self, world: World) -> None:
        self.world, self.runpod = world, SimulatedRunpod()
        world.client = Clients(world.client.aws, self.runpod.client)

    def credential(self, name: str, hours: float | None = None, key: Any = KEY, **users: int) -> str:
        identifier = str(self.runpod.seed("registries", name=name, username="AWS", password="theirs")["id"])
        if hours is not None:
            self.world.store.tag(tag(identifier, hours, key))
        for kind, number in users.items():
            for each in range(number):
                self.user(kind, f"{name}-{each}", identifier)
        return identifier

    def user(self, kind: str, name: str, identifier: str, **fields: Any) -> None:
        extra = CONTENT if kind == "templates" else {}
        self.runpod.seed(kind, name=name, registry=identifier, **{**extra, **fields})

    def state(self) -> Any:
        """Return what both clouds hold."""
        kinds = ("registries", "templates", "endpoints", "pods")
        tags = self.world.store.tags() if self.world.store.read() else {}
        return {kind: self.runpod.state(kind) for kind in kinds}, tags


def nothing(dummy: Start) -> None:
    """Neither credential nor note."""


def fresh(it: Start) -> None:
    it.credential("ecr", 12, templates=1, endpoints=1)


def near_its_end(it: Start) -> None:
    it.credential("ecr", 3, templates=1)


def minted_with_another_key(it: Start) -> None:
    it.credential("ecr", 12, NEW_KEY)


def of_unknown_age(it: Start) -> None:
    it.credential("ecr", endpoints=1)


def only_the_alternate(it: Start) -> None:
    it.credential("ecr-alt", 12, templates=1)


def an_alternate_left_over(it: Start) -> None:
    it.credential("ecr", 12, templates=1)
    it.credential("ecr-alt", 3)


def both_in_use(it: Start) -> None:
    it.credential("ecr", 12, templates=1)
    it.credential("ecr-alt", 2, templates=1, endpoints=1)


def in_use_by_a_pod(it: Start) -> None:
    it.credential("ecr", 12, pods=1)


def the_alternate_in_use_by_a_pod(it: Start) -> None:
    it.credential("ecr", 12, templates=1)
    it.credential("ecr-alt", 2, pods=1)


def the_alternate_in_use_by_a_terminated_pod(it: Start) -> None:
    it.credential("ecr", 12)
    it.user("pods", "over", it.credential("ecr-alt"), status="TERMINATED")


def an_alternate_with_nothing_but_its_note(it: Start) -> None:
    it.credential("ecr", 12)
    it.world.store.tag(tag("reg-gone", 5))


STARTS = [
    nothing,
    fresh,
    near_its_end,
    minted_with_another_key,
    of_unknown_age,
    only_the_alternate,
    an_alternate_left_over,
    both_in_use,
    in_use_by_a_pod,
    the_alternate_in_use_by_a_pod,
    the_alternate_in_use_by_a_terminated_pod,
    an_alternate_with_nothing_but_its_note,
]


@pytest.fixture
def start(connect: Callable[..., Any]) -> Start:
    world = World(connect, STORE)
    world.keep(KEY)
    return Start(world)


@pytest.mark.parametrize("offered", ["present", 405])
@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("begin", STARTS)
def test_a_run_does_what_check_mode_says(begin: Callable[[Start], None], wish: str, offered: Any, start: Start) -> None:
    begin(start)
    start.runpod.simulator.switch(registry_patch=offered)
    before = start.state()
    predicted = start.world.run(WISHES[wish], check_mode=True)
    assert start.state() == before
    if begin is the_alternate_in_use_by_a_pod and wish == "as the caller" and offered == 405:
        with pytest.raises(RefreshError, match="no name left"):  # only the write shows what RunPod offers
            start.world.run(WISHES[wish])
        return
    done = start.world.run(WISHES[wish])
    assert predicted.changed == done.changed == (start.state() != before)
    assert predicted.before == done.before
    assert predicted.results["refreshed"] == done.results["refreshed"]
    if not done.results["refreshed"]:
        assert predicted._replace(warnings=()) == done._replace(warnings=())
        assert predicted.warnings == done.warnings
    again = PRESENT if wish == "force" else WISHES[wish]
    settled = start.state()
    if wish == "as the caller":
        return  # is refreshed by each run
    assert [start.world.run(again, check_mode).changed for check_mode in (True, False)] == [False, False]
    assert start.state() == settled


@pytest.mark.parametrize("begin", STARTS)
def test_without_an_entry_check_mode_predicts_and_a_run_says_who_makes_it(
    begin: Callable[[Start], None], start: Start
) -> None:
    begin(start)
    start.world.store.delete()
    predicted = start.world.run(PRESENT, check_mode=True)
    assert predicted.changed and "does not exist: ecr_pull_user makes it" in predicted.warnings[0]
    with pytest.raises(InputError, match="does not exist: ecr_pull_user makes it"):
        start.world.run(PRESENT)
    gone = start.world.run(ABSENT, check_mode=True)
    assert gone == start.world.run(ABSENT)


# A registry credential of any other registry

LOGIN: Json = {
    "name": "ecr",
    "username": "me",
    "password": "hush-hush",
    "update_password": "always",
    "state": "present",
}
REGISTRY_WISHES: dict[str, Json] = {
    "present": LOGIN,
    "on create": {**LOGIN, "update_password": "on_create"},
    "absent": {**LOGIN, "state": "absent"},
}


@pytest.mark.parametrize("offered", ["present", 405])
@pytest.mark.parametrize("wish", REGISTRY_WISHES)
@pytest.mark.parametrize("begin", STARTS)
def test_any_credential_is_kept_as_check_mode_says(
    begin: Callable[[Start], None], wish: str, offered: Any, start: Start
) -> None:
    begin(start)
    start.runpod.simulator.switch(registry_patch=offered)

    def run(check_mode: bool) -> Result:
        return registry.run(REGISTRY_WISHES[wish], check_mode, start.runpod.client)

    before = start.state()
    predicted = run(True)
    assert start.state() == before
    if begin is the_alternate_in_use_by_a_pod and wish == "present" and offered == 405:
        with pytest.raises(ConflictError, match="no name left"):
            run(False)
        return
    done = run(False)
    assert predicted.changed == done.changed == (start.state() != before)
    assert predicted.before == done.before
    if wish == "absent":
        assert predicted == done
    if wish != "present":  # what cannot be compared is always written
        assert [run(True).changed, run(False).changed] == [False, False]
