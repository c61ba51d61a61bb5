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

from tests.system.shared_archives import sharing

from .table import Row, share
from .world import CONVERGE, IMAGE, World

EMPTY = """\
- hosts: localhost
  gather_facts: false
  tasks: []
"""
RUNS = ("a first converge", "an unchanged one")


def shares(world: World) -> Iterator[Row]:
    """Beside the seconds of a run those of its parts; what is left are the tasks in Ansible's own processes.

    Ansible packs a module with all that it imports anew in each run, and Python compiles that in each process: not so
    with archives of an earlier run that hold the bytecode.
    """
    starts, plain, packed, modules = [], *(defaultdict[str, list[float]](list) for _each in range(3))
    with TemporaryDirectory() as folder:
        nothing, archives = Path(folder) / "nothing.yml", Path(folder) / "archives"
        nothing.write_text(EMPTY)
        archives.mkdir()
        world.reset()
        world.timed(CONVERGE, sharing(archives), runpod_ecr_image=IMAGE)  # which fills them
        for _round in range(world.rounds):
            starts.append(world.play(str(nothing)).cpu)
            world.reset()
            for run in RUNS:
                plain[run].append(world.timed(CONVERGE, {}, runpod_ecr_image=IMAGE)[0].cpu)
            world.reset()
            for run in RUNS:
                cost, processes = world.timed(CONVERGE, sharing(archives), runpod_ecr_image=IMAGE)
                packed[run].append(cost.cpu)
                modules[run].append(processes)
    start = median(starts)
    for run in RUNS:
        whole, processes = median(plain[run]), median(modules[run])
        packing = whole - median(packed[run])
        yield share(f"CPU seconds of {run}", whole, whole)
        yield share("  to start Ansible, for a play without a task", start, whole)
        yield share("  to pack the modules and compile what is in them", packing, whole)
        yield share("  of the modules' processes without that: imports, clients, calls", processes, whole)
        yield share("  of Ansible for its tasks", whole - start - packing - processes, whole)
