# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of several regions: refreshed together, beside those of one region."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.system.fleet import REGIONS, REPOSITORIES, Fleet

from .table import Cost, Row, exactly, ratio
from .world import CONVERGE, REGISTRY, World, by_turns

REFRESH = "playbooks/refresh.yml"
IMAGES = [f"{REGISTRY.replace('us-east-1', region)}/{REPOSITORIES[0]}:v1" for region in REGIONS]
# Almost the life of a token: each is due a few seconds after it was made.
DUE: dict[str, Any] = {"runpod_ecr_min_validity_hours": 11.999}
RUNS: dict[str, dict[str, Any]] = {
    name: {
        "runpod_ecr_user_name": name,
        "runpod_ecr_workloads": [
            {"image": image, "template": {"name": f"{name}-{number}"}} for number, image in enumerate(images)
        ],
    }
    for name, images in {"one": IMAGES[:1], "three": IMAGES}.items()
}


def refresh(world: World) -> Iterator[Row]:
    world.reset()
    Fleet(world.sandbox).push()
    for variables in RUNS.values():
        world.play(CONVERGE, **variables)
    for what, due in {"due": DUE, "not due": {}}.items():
        counts = world.counted(REFRESH, **RUNS["three"], **due)
        yield exactly(f"module processes of a refresh of {len(IMAGES)} regions, {what}", 1, counts.processes)
    costs = defaultdict[str, list[Cost]](list)
    for number in range(world.rounds):
        for name in by_turns(number, *RUNS):
            costs[name].append(world.play(REFRESH, **RUNS[name], **DUE))
    yield ratio(f"refresh of {len(IMAGES)} regions, due, to one of one", 1.5, costs["three"], costs["one"])
