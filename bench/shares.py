# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the CPU seconds of a converge go: a profile that explains what the other parts find."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from .table import Row, share
from .world import CONVERGE, IMAGE, ROOT, World

EMPTY = """\
- hosts: localhost
  gather_facts: false
  tasks: []
"""
RUNS = ("a first converge", "an unchanged one")
# Ansible packs a module with all that it imports anew in each run, and Python compiles that in each process: not so
# with archives of an earlier run that hold the bytecode.
PACKED = {"ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "system" / "callback")}


def shares(world: World) -> Iterator[Row]:
    """Beside the seconds of a run those of its parts; what is left are the tasks in Ansible's own processes."""
    with TemporaryDirectory() as folder:
        nothing = Path(folder) / "nothing.yml"
        nothing.write_text(EMPTY)
        archives = {**PACKED, "ARCHIVES": str(Path(folder) / "archives")}
        Path(archives["ARCHIVES"]).mkdir()
        costs = defaultdict[str, list[float]](list)
        for _round in range(world.rounds):
            costs["start"].append(world.play(str(nothing)).cpu)
            for settings in ({}, archives, archives):  # the second one fills the archives
                world.reset()
                for run in RUNS:
                    cost, processes = world.timed(CONVERGE, settings, runpod_ecr_image=IMAGE)
                    which = "packed" if settings else "plain"
                    costs[f"{run} {which}"].append(cost.cpu)
                    costs[f"{run} {which} processes"].append(processes)
    start = median(costs["start"])
    for run in RUNS:
        whole, processes = median(costs[f"{run} plain"]), median(costs[f"{run} packed processes"][1::2])
        packing = whole - median(costs[f"{run} packed"][1::2])
        yield share(f"CPU seconds of {run}", whole, whole)
        yield share("  to start Ansible, for a play without a task", start, whole)
        yield share("  to pack the modules and compile what is in them", packing, whole)
        yield share("  of the modules' processes without that: imports, clients, calls", processes, whole)
        yield share("  of Ansible for its tasks", whole - start - packing - processes, whole)
