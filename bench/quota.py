# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New templates under a quota, in real time."""

from __future__ import annotations

from collections.abc import Iterator

from .table import Row, count, exactly, wall_ratio
from .world import IMAGE, World

QUOTA = {"minute": 180, "hour": 7200, "day": 86400}
NEW = 500


def quota(world: World) -> Iterator[Row]:
    """The quota dictates a minute for every 180 requests before the last one."""
    world.reset()
    world.sandbox.runpod.switch(rate_limits=QUOTA)
    world.sandbox.forget_calls()
    taken = world.module(
        "runpod_templates", {"templates": [{"name": f"t{number:04}", "image": IMAGE} for number in range(NEW)]}
    )
    calls = world.sandbox.runpod_calls()
    made = len(world.sandbox.runpod.state()["templates"])
    dictated = (len(calls) - 1) // QUOTA["minute"] * 60
    what = f"{NEW} new templates under a quota of {QUOTA['minute']} a minute"
    yield exactly(f"{what}: made", NEW, made)
    yield count(f"{what}: refused requests", 0, sum(call["status"] == 429 for call in calls))
    yield wall_ratio(f"{what}: time, to what it dictates", 1.1, [taken.wall], [dictated])
