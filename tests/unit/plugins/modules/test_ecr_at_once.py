# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once, whose calls take turns as a seed says."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from threading import Condition, Thread, current_thread
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError, Json, SkopeoError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_registry import Registries
from ansible_collections.gpuops.runpod.tests.unit.plugins.modules import (
    test_ecr_image_mirror,
    test_ecr_public_repo,
    test_ecr_pull_grant,
)

SEEDS = pytest.mark.parametrize("seed", range(20))


class Turns:
    """Lets one thread run at a time; which one is drawn anew before each call."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.condition = Condition()
        self.names: list[str] = []
        self.current = ""
        self.ended: dict[str, Any] = {}

    def step(self) -> None:
        with self.condition:
            if current_thread().name in self.names:
                self._draw()
                self.condition.wait_for(lambda: self.current == current_thread().name)

    def _draw(self) -> None:
        self.current = self.random.choice(self.names) if self.names else ""
        self.condition.notify_all()

    def play(self, *runs: Callable[[], Any]) -> list[Any]:
        """Return what the runs return or raise."""
        self.names = [str(number) for number in range(len(runs))]
        threads = [Thread(target=self._run, args=(run,), name=name) for name, run in zip(self.names, runs, strict=True)]
        for thread in threads:
            thread.start()
        with self.condition:
            self._draw()
        for thread in threads:
            thread.join(60)
        return [self.ended[str(number)] for number in range(len(runs))]

    def _run(self, run: Callable[[], Any]) -> None:
        name = current_thread().name
        with self.condition:
            self.condition.wait_for(lambda: self.current == name)
        try:
            self.ended[name] = run()
        except Exception as error:
            self.ended[name] = error
        with self.condition:
            self.names.remove(name)
            self._draw()


def taking_turns(monkeypatch: pytest.MonkeyPatch, seed: int) -> Turns:
    """Let the calls of AWS and the requests to registries take turns."""
    turns = Turns(seed)
    call, open = Aws.call, Registries.open

    def called(aws: Aws, service: str, operation: str, **request: Any) -> Any:
        turns.step()
        return call(aws, service, operation, **request)

    def opened(registries: Registries, method: str, url: str, headers: dict[str, str]) -> Any:
        turns.step()
        return open(registries, method, url, headers)

    monkeypatch.setattr(Aws, "call", called)
    monkeypatch.setattr(Registries, "open", opened)
    return turns


def good(ended: list[Any]) -> list[Result]:
    assert [one for one in ended if not isinstance(one, Result)] == []
    return ended


@SEEDS
@pytest.mark.parametrize("exists", [True, False])
def test_two_runs_for_one_public_repository_end_in_one(
    monkeypatch: pytest.MonkeyPatch, seed: int, exists: bool
) -> None:
    world = test_ecr_public_repo.World()
    if exists:
        world.run(tags={"old": "1"})
    wish: Json = {"catalog_data": {"description": "one", "logo": "logo.png"}, "tags": {"team": "ml"}}
    ended = good(taking_turns(monkeypatch, seed).play(lambda: world.run(**wish), lambda: world.run(**wish)))
    assert any(one.changed for one in ended)
    assert ended[0].after == ended[1].after
    again = world.run(**wish)
    assert again.changed is False and again.after == ended[0].after
    assert again.after["tags"].keys() - {test_ecr_public_repo.LOGO} == {"team", test_ecr_public_repo.MANAGED}


@SEEDS
def test_two_runs_that_add_tags_to_one_public_repository_both_do(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    world = test_ecr_public_repo.World()
    one: Json = {"tags": {"one": "1"}, "purge_tags": False}
    other: Json = {"tags": {"other": "2"}, "purge_tags": False}
    good(taking_turns(monkeypatch, seed).play(lambda: world.run(**one), lambda: world.run(**other)))
    assert world.run().after["tags"].keys() >= {"one", "other", test_ecr_public_repo.MANAGED}


@SEEDS
def test_of_two_runs_that_delete_a_public_repository_none_fails(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    world = test_ecr_public_repo.World()
    world.run()
    good(taking_turns(monkeypatch, seed).play(lambda: world.run(state="absent"), lambda: world.run(state="absent")))
    assert world.registry.repositories == {}


class Immutable(test_ecr_image_mirror.FakeSkopeo):
    """Copies to a repository whose tags may not be written twice, not even with the same image."""

    turns: Turns

    def _copied(self, source: Any, target: Any, digest: str) -> None:
        self.turns.step()
        tag = self.world.copies[-1][1].reference.rpartition(":")[2]
        if tag in target.tags:
            raise SkopeoError("skopeo could not copy", f"tag invalid: The image tag '{tag}' already exists")
        target.manifests[digest], target.tags[tag] = source.manifests[digest], digest


@SEEDS
def test_two_runs_that_mirror_one_image_end_with_that_image(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    turns = taking_turns(monkeypatch, seed)
    monkeypatch.setattr(test_ecr_image_mirror, "FakeSkopeo", Immutable)
    Immutable.turns = turns
    world = test_ecr_image_mirror.World()
    digest = world.source.image("v1")
    target = f"{test_ecr_image_mirror.ECR}/frozen"
    world.registries[target].image("old")
    ended = good(turns.play(lambda: world.run(destination=target), lambda: world.run(destination=target)))
    assert {one.results["digest"] for one in ended} == {digest} == {world.registries[target].tags["v1"]}
    assert world.run(destination=target).changed is False


@SEEDS
def test_two_runs_that_grant_alike_end_in_one_statement(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    world = test_ecr_pull_grant.World(connect, test_ecr_pull_grant.APP)
    world.write(test_ecr_pull_grant.PUSH)
    good(taking_turns(monkeypatch, seed).play(world.run, world.run))
    assert (world.policy() or {})["Statement"] == [test_ecr_pull_grant.PUSH, test_ecr_pull_grant.OURS]


def test_a_failed_copy_is_told_although_the_destination_cannot_be_asked() -> None:
    world = test_ecr_image_mirror.World()
    world.source.image("v1")
    target = f"{test_ecr_image_mirror.ECR}/other"
    world.registries[target].image("old")

    class Failing(list[str]):
        def pop(self, *dummy: Any) -> str:
            world.failure = "KmsError"
            return "manifest invalid"

    world.failures = Failing([""])
    with pytest.raises(CollectionError, match="manifest invalid"):
        world.run(destination=target)
