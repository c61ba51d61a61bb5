# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Break each scenario at each call in every way, and let each pair of runs meet under many seeds; print a table.

python -m tests.faults                          all of it
python -m tests.faults calls [scenario ...]     the calls alone, of these scenarios
python -m tests.faults pairs [start ...]        the pairs alone, from these starts
python -m tests.faults inputs                   anything as options of the modules, and as variables of the role, alone
python -m tests.faults answers                  whole runs on answers that are mutated alone
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TypeVar
from unittest.mock import patch

from tests.sandbox.server import Sandbox

from .answers import Mutations
from .at_once import PAIRS, STARTS, Meetings
from .breaks import Point
from .harness import Harness, Verdict
from .inputs import MODULES, Inputs, RoleInputs, ended_badly, nowhere
from .scenarios import SCENARIOS

PARTS = ("calls", "pairs", "inputs", "answers")
COLLECTED = 25  # points
SMALL = 20 * COLLECTED  # of those that run one module
T = TypeVar("T")
OF_THE_ROLE = 10  # of so many inputs one is for the role
AGAIN = 10  # of so many runs on mutated answers one is run again


def kind(verdict: Verdict) -> str:
    """Return the kind of fault, for a column of the table."""
    return verdict.point.fault.partition(" $")[0] + (" field" if " $" in verdict.point.fault else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["all", *PARTS], default="all")
    parser.add_argument("names", nargs="*", metavar="name", help="of scenarios, or of starts")
    parser.add_argument("--every", type=int, default=1, help="of the points, only each nth")
    parser.add_argument("--fault", action="append", default=[], help="only faults whose names hold this, such as $")
    parser.add_argument("--first", type=int, default=0, help="the number of the first point, or the first seed")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds each pair meets under")
    parser.add_argument("--inputs", type=int, default=100_000, help="how many inputs are drawn")
    parser.add_argument("--answers", type=int, default=100_000, help="how many answers are mutated")
    given = parser.parse_args()
    of_modules = given.inputs - given.inputs // OF_THE_ROLE
    wrong = 0 if given.what not in ("all", "inputs") else give_anything(range(given.first, given.first + of_modules))
    with Sandbox(with_registries=True) as sandbox:
        here = {name: sandbox.environment[name] for name in ("NO_PROXY", "no_proxy", "SSL_CERT_FILE")}
        with patch.dict(os.environ, here):
            if given.what in ("all", "calls"):
                for name in given.names or SCENARIOS:
                    wrong += break_calls(Harness(sandbox, name), given.first, given.every, given.fault)
            if given.what in ("all", "pairs"):
                for start in given.names or STARTS:
                    wrong += let_meet(Meetings(sandbox), start, range(given.first, given.first + given.seeds))
            if given.what in ("all", "inputs"):
                wrong += give_the_role_anything(sandbox, range(given.first, given.first + given.inputs // OF_THE_ROLE))
            if given.what in ("all", "answers"):
                wrong += mutate(Mutations(sandbox), given.first, given.answers)
    print(f"{wrong} went wrong")
    return min(wrong, 1)


def chosen(points: list[Point], kinds: list[str]) -> list[Point]:
    return [point for point in points if not kinds or any(each in point.fault for each in kinds)]


def tidied(points: Iterable[T], often: int = COLLECTED) -> Iterator[T]:
    """Of its own accord Python seldom looks for what long runs have left, which holds threads and memory, and never for
    what a module has frozen when it began, as it does in a process of its own.
    """
    for number, point in enumerate(points):
        if not number % often:
            gc.unfreeze()
            gc.collect()
        yield point


def break_calls(harness: Harness, first: int, every: int, kinds: list[str]) -> int:
    """Print a scenario's row of the table and what went wrong; return how many points that were."""
    began, tried, bad = time.monotonic(), Counter[str](), 0
    for point in tidied(chosen(harness.points, kinds)[first::every]):
        verdict = harness.tried(point)
        tried[kind(verdict)] += 1
        if verdict.wrong:
            bad += 1
            print(f"  {point}", *verdict.wrong, sep="\n      ", flush=True)
    calls = len({(point.call, point.rule.get("skip")) for point in harness.points if point.rule})
    row = ", ".join(f"{fault} {count}" for fault, count in sorted(tried.items()))
    seconds = time.monotonic() - began
    print(f"{harness.name}: {calls} calls, {tried.total()} points ({row}), {bad} wrong, {seconds:.0f} s", flush=True)
    return bad


def let_meet(meetings: Meetings, start: str, seeds: range) -> int:
    """Print a row for each pair and what went wrong; return how many meetings that were."""
    all_bad = 0
    for pair in PAIRS:
        bad = 0
        for seed in tidied(seeds):
            if wrong := meetings.wrong(start, pair, seed):
                bad += 1
                print(f"  {start}: {' and '.join(pair)}, seed {seed}", *wrong, sep="\n      ", flush=True)
        print(f"{start}: {' and '.join(pair)}: {len(seeds)} seeds, {bad} wrong", flush=True)
        all_bad += bad
    return all_bad


def give_anything(seeds: range) -> int:
    """Print what went wrong with options that a seed draws; return how many times that was."""
    bad = 0
    with nowhere():
        for seed in tidied(seeds, SMALL):
            module = MODULES[seed % len(MODULES)]
            options = Inputs(seed).options(module)
            if found := ended_badly(module, options):
                bad += 1
                print(f"  {module}, seed {seed}: {found}\n      {options}", flush=True)
    print(f"options of {len(MODULES)} modules: seeds {seeds.start} to {seeds.stop - 1}, {bad} wrong", flush=True)
    return bad


def give_the_role_anything(sandbox: Sandbox, seeds: range) -> int:
    inputs, bad = RoleInputs(sandbox), 0
    for seed in tidied(seeds):
        if found := inputs.ended_badly(seed):
            bad += 1
            print(f"  role, seed {seed}: {found}\n      {inputs.variables(seed)}", flush=True)
    print(f"variables of the role: seeds {seeds.start} to {seeds.stop - 1}, {bad} wrong", flush=True)
    return bad


def mutate(mutations: Mutations, first: int, answers: int) -> int:
    """Run until so many answers were mutated; print what went wrong, and return how many runs that were."""
    began, mutated, again, bad = time.process_time(), 0, 0, 0
    for seed in tidied(count(first)):
        verdict = mutations.tried(seed, again=seed % AGAIN == 0)
        mutated, again = mutated + verdict.mutated, again + verdict.again
        if verdict.wrong:
            bad += 1
            print(f"  seed {seed}:", *verdict.wrong, sep="\n      ", flush=True)
        if mutated >= answers:
            break
    seconds = time.process_time() - began
    print(
        f"mutated answers: {mutated} in the runs of seeds {first} to {seed}, {again} of which had written and were "
        f"run again, {bad} wrong, {seconds:.0f} s of CPU",
        flush=True,
    )
    return bad


if __name__ == "__main__":
    sys.exit(main())
