# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One workload: converged for the first time, unchanged, and audited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .table import Cost, Row, count, exactly, ratio, seconds
from .world import CONVERGE, IMAGE, World, by_turns

PLAYBOOKS = {"peer": "bench/peer.yml", "ours": CONVERGE}
AUDIT = "playbooks/audit.yml"
PREFLIGHT = "playbooks/preflight.yml"


def converge(world: World) -> Iterator[Row]:
    """Beside the same job made of other modules, in one world: its names are not ours."""
    yield from converge_counts(world)
    first, unchanged = defaultdict[str, list[Cost]](list), defaultdict[str, list[Cost]](list)
    for number in range(world.rounds):
        world.reset()
        for costs in (first, unchanged):
            for who in by_turns(number, *PLAYBOOKS):
                costs[who].append(world.play(PLAYBOOKS[who], runpod_ecr_image=IMAGE))
    yield ratio("first converge, to the peer's", 0.65, first["ours"], first["peer"])
    yield ratio("unchanged converge, to the peer's", 0.4, unchanged["ours"], unchanged["peer"])


def converge_counts(world: World) -> Iterator[Row]:
    world.reset()
    world.play(CONVERGE, runpod_ecr_image=IMAGE)
    counts = world.counted(CONVERGE, runpod_ecr_image=IMAGE)
    yield exactly("module processes of an unchanged converge", 1, counts.processes)
    yield count("AWS calls of an unchanged converge with proof", 8, len(counts.aws))


def audit(world: World) -> Iterator[Row]:
    """Beside an unchanged converge, by turns in one world."""
    costs = defaultdict[str, list[Cost]](list)
    world.reset()
    world.play(CONVERGE, runpod_ecr_image=IMAGE)
    for number in range(world.rounds):
        for playbook in by_turns(number, AUDIT, CONVERGE):
            costs[playbook].append(world.play(playbook, runpod_ecr_image=IMAGE))
    yield ratio("audit of one workload, to an unchanged converge", 1.3, costs[AUDIT], costs[CONVERGE])


def preflight(world: World) -> Iterator[Row]:
    """On an empty account, which is where somebody waits for it, and on one that has converged."""
    for name in ("an empty account", "a converged one"):
        world.reset()
        if name != "an empty account":
            world.play(CONVERGE, runpod_ecr_image=IMAGE)
        costs = [world.play(PREFLIGHT, runpod_ecr_image=IMAGE) for dummy in range(world.rounds)]
        yield seconds(f"preflight of {name}", 5, costs)


def user(world: World) -> Iterator[Row]:
    """The module of the pull user alone."""
    world.reset()
    options = {"name": "runpod-ecr-access", "repositories": ["runpod-gpu-training"], "secret_store": {}}
    world.module("ecr_pull_user", options)
    world.sandbox.forget_calls()
    world.module("ecr_pull_user", options)
    yield count("AWS calls of an unchanged pull user", 5, len(world.sandbox.aws_calls()))
