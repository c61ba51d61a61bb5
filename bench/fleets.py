# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets in which nothing has changed: many templates of one host, and workloads over several accounts and regions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.system.fleet import GROUP, HOSTS, REGIONS, Fleet

from .table import Cost, Row, count, exactly, ratio
from .world import CONVERGE, IMAGE, World, by_turns

COUNTED = (1, 50, 1000)
SMALL, LARGE = 1, 500


def fleet(world: World) -> Iterator[Row]:
    """A fleet that grows, so that a small one does not pay for reading what a large one left."""
    world.reset()
    for size in COUNTED:
        variables = fleet_of(size)
        world.play(CONVERGE, **variables)
        counts = world.counted(CONVERGE, **variables)
        yield count(f"RunPod requests of an unchanged fleet of {size} templates", 4, len(counts.runpod))
    costs = defaultdict[int, list[Cost]](list)
    for _round in range(world.rounds):
        world.reset()
        for size in (SMALL, LARGE):
            variables = fleet_of(size)
            world.play(CONVERGE, **variables)
            costs[size].append(world.play(CONVERGE, **variables))
    yield ratio(f"unchanged fleet of {LARGE} templates, to one of one", 1.5, costs[LARGE], costs[SMALL])


def fleet_of(size: int) -> dict[str, Any]:
    workloads = [{"image": IMAGE, "template": {"name": f"t{number:04}"}} for number in range(size)]
    return {"runpod_ecr_workloads": workloads}


def accounts(world: World) -> Iterator[Row]:
    """A fleet as an inventory with a host for each account, beside one workload of another pull user."""
    world.reset()
    many = Fleet(world.sandbox)
    many.push()
    size = sum(len(items) for items in many.workloads.values())
    what = f"fleet of {size} workloads in {len(HOSTS)} accounts and {len(REGIONS)} regions"
    one: dict[str, Any] = {
        "runpod_ecr_image": IMAGE,
        "runpod_ecr_user_name": "one",
        "runpod_ecr_template": {"name": "one"},
    }
    costs = defaultdict[str, list[Cost]](list)
    with TemporaryDirectory() as folder:
        inventory = many.write(Path(folder))
        world.play(CONVERGE, inventory, runpod_ecr_hosts=GROUP)
        made = len(world.sandbox.runpod.state()["templates"])
        yield exactly(f"{what}: made by one run", size, made, right=many.current() == many.wanted())
        world.play(CONVERGE, **one)
        for number in range(world.rounds):
            for name in by_turns(number, "one", "many"):
                cost = (
                    world.play(CONVERGE, **one)
                    if name == "one"
                    else world.play(CONVERGE, inventory, runpod_ecr_hosts=GROUP)
                )
                costs[name].append(cost)
    yield ratio(f"unchanged {what}, to one workload", 2.5, costs["many"], costs["one"])
