# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is claimed, tested: the collection on every pair of ansible-core and Python. See docs/compatibility.md.

python -m tools.matrix [--sample] [--checks units,runs,sanity] [--jobs N] [--write] [PAIR…]

Each pair, such as 2.16-3.10, has environments of its own in .build/matrix, made from hash locks and the package index.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tools import artifact, environments
from tools.environments import COLLECTION, CheckError, call, interpreter

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "tools" / "requirements" / "matrix"
BUILD = ROOT / ".build" / "matrix"
LOGS = ROOT / ".build" / "logs"
PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- table of the matrix -->\n", "<!-- end of the table -->\n"

# The line of ansible-core, and the Pythons that it and the collection support, for controller and modules.
LINES = {
    "2.16": ("3.10", "3.11", "3.12"),
    "2.17": ("3.10", "3.11", "3.12"),
    "2.18": ("3.11", "3.12", "3.13"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13"),
    "2.21": ("3.12", "3.13"),
    "2.22": ("3.13",),
}


# Sanity tests whose requirements no package index has: a release candidate takes a part of pylint from GitHub.
UNAVAILABLE = {"2.22": ("pylint",)}


class Pair(NamedTuple):
    """A line of ansible-core with a Python."""

    core: str
    python: str

    @property
    def name(self) -> str:
        return f"{self.core}-{self.python}"

    @property
    def folder(self) -> Path:
        return BUILD / self.name

    def lock(self, kind: str = "") -> Path:
        return LOCKS / f"{self.core}{kind}.txt"

    def versions(self) -> list[str]:
        """What the pair is made of: ansible-core, Python, amazon.aws, boto3."""
        pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", self.lock().read_text(), re.MULTILINE))
        [amazon] = re.findall(r"amazon\.aws (\S+);", (LOCKS / f"{self.core}-collections.in").read_text())
        return [pinned["ansible-core"], self.python, amazon, pinned["boto3"]]


PAIRS = [Pair(core, python) for core, pythons in LINES.items() for python in pythons]


def environment(pair: Pair, kind: str, log: Path) -> Path:
    """Make an environment unless it is there: `` to run playbooks in, `-tests` for the unit tests; return its bin."""
    wheel_lock = pair.lock("-collections")
    made = environments.make(pair.folder / (kind.strip("-") or "run"), pair.python, pair.lock(kind), wheel_lock, log)
    [packages] = made.parent.glob("lib/python*/site-packages")
    manifest = json.loads((packages / COLLECTION / "MANIFEST.json").read_text())
    found, named = manifest["collection_info"]["version"], pair.versions()[2]
    if found != named:
        raise CheckError(f"the wheel holds amazon.aws {found}, and {pair.core}-collections.in says {named}")
    return made


def units(pair: Pair, dummy: Path, log: Path) -> None:
    """The unit tests of what modules share."""
    python = environment(pair, "-tests", log) / "python"
    processes = os.environ.get("PROCESSES", "1")
    folder = "tests/unit/plugins/module_utils"
    call(log, [str(python), "-m", "pytest", "-q", f"--numprocesses={processes}", "-p", "no:cacheprovider", folder])


def runs(pair: Pair, archive: Path, log: Path) -> None:
    """The artifact, installed: every entry point and way of access, with nothing secret at -vvvv."""
    installed_runs(pair, archive, log)


def main_job(pair: Pair, archive: Path, log: Path) -> None:
    """The artifact, installed: the main job, twice."""
    installed_runs(pair, archive, log, "-k", "main_job")


def installed_runs(pair: Pair, archive: Path, log: Path, *arguments: str) -> None:
    binaries = environment(pair, "", log)
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/matrix", *arguments]
    call(log, command, BINARIES=str(binaries), ARTIFACT=str(archive))


def sanity(pair: Pair, archive: Path, log: Path) -> None:
    """The sanity tests of that ansible-core on the artifact, which ignores none."""
    binaries = environment(pair, "", log)
    collections = pair.folder / "sanity"
    shutil.rmtree(collections, ignore_errors=True)
    tree = artifact.unpack(archive, collections)
    amazon = tree.parent.parent / "amazon"
    amazon.mkdir()
    (amazon / "aws").symlink_to(next(binaries.parent.glob("lib/python*/site-packages/" + COLLECTION)).resolve())
    command = [
        sys.executable,
        "-m",
        "tools.ansible_test",
        *map(str, (binaries, tree, pair.folder / "home", pair.python)),
    ]
    call(log, command + [part for name in UNAVAILABLE.get(pair.core, ()) for part in ("--skip-test", name)])


CHECKS: dict[str, Callable[[Pair, Path, Path], None]] = {
    "units": units,
    "runs": runs,
    "sanity": sanity,
    "main_job": main_job,
}
FULL = ("units", "runs", "sanity")
COLUMNS = ("ansible-core", "Python", "amazon.aws", "boto3")
NOT_RUN = "–"


class Verdict(NamedTuple):
    """What became of a check."""

    problem: str
    seconds: float


def judge(pair: Pair, check: str, archive: Path) -> Verdict:
    LOGS.mkdir(parents=True, exist_ok=True)
    log, start = LOGS / f"matrix-{pair.name}-{check}.log", time.monotonic()
    log.write_bytes(b"")
    try:
        CHECKS[check](pair, archive, log)
        problem = ""
    except CheckError as error:
        problem = str(error)
    seconds = time.monotonic() - start
    print(f"{pair.name} {check}: {problem or 'passed'} ({seconds:.0f} s)", flush=True)
    return Verdict(problem, seconds)


def judge_all(pair: Pair, checks: tuple[str, ...], archive: Path) -> dict[str, Verdict]:
    return {check: judge(pair, check, archive) for check in checks}


def table(verdicts: dict[Pair, dict[str, Verdict]], checks: tuple[str, ...]) -> str:
    rows = [[*pair.versions(), *(result(found[check]) for check in checks)] for pair, found in verdicts.items()]
    return as_table([[*COLUMNS, *checks], *rows])


def result(verdict: Verdict) -> str:
    return "FAILED" if verdict.problem else "passed"


def as_table(rows: list[list[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def told(page: str) -> dict[tuple[str, ...], list[str]]:
    """Return what the page's table says of each set of versions."""
    rows = page.partition(BEGIN)[2].partition(END)[0].splitlines()[2:]
    cells = [[each.strip() for each in row.strip("|").split("|")] for row in rows]
    return {tuple(row[:4]): row[4:] for row in cells}


def with_results(page: str, verdicts: dict[Pair, dict[str, Verdict]]) -> str:
    """Return the page with what was found now, and what it said before of the same versions."""
    before, rows = told(page), []
    for pair in PAIRS:
        versions = pair.versions()
        found = dict(zip(FULL, before.get(tuple(versions), [NOT_RUN] * len(FULL)), strict=True))
        found |= {check: result(verdict) for check, verdict in verdicts.get(pair, {}).items() if check in FULL}
        rows.append([*versions, *found.values()])
    start, dummy, rest = page.partition(BEGIN)
    return start + BEGIN + as_table([[*COLUMNS, *FULL], *rows]) + END + rest.partition(END)[2]


def chosen(options: argparse.Namespace) -> list[Pair]:
    """The pairs that are named, or all; for a sample the lowest and the newest that this machine has a Python for."""
    named = set(options.pairs)
    if unknown := named - {pair.name for pair in PAIRS} - set(LINES):
        raise CheckError(f"there is no pair {', '.join(sorted(unknown))}: {' '.join(pair.name for pair in PAIRS)}")
    if not options.sample:
        return [pair for pair in PAIRS if not named or {pair.name, pair.core} & named]
    there = {version for version in {pair.python for pair in PAIRS} if interpreter(version)}
    possible = [pair for pair in PAIRS if pair.python in there]
    return list(dict.fromkeys([possible[0], possible[-1]]))


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s matrix --", description="Test the collection on what it claims.")
    parser.add_argument(
        "pairs",
        nargs="*",
        metavar="PAIR",
        help="such as 2.16-3.10, or 2.16 for all of its Pythons; all when none is named",
    )
    parser.add_argument("--sample", action="store_true", help="the main job on the lowest and the newest pair")
    parser.add_argument("--checks", default="", help=f"some of {','.join(FULL)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many pairs at a time")
    parser.add_argument("--write", action="store_true", help="write the table into the documentation")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    checks = tuple(options.checks.split(",")) if options.checks else ("main_job",) if options.sample else FULL
    pairs = chosen(options)
    start = time.monotonic()
    archive = artifact.build(BUILD / "artifact")
    with ThreadPoolExecutor(options.jobs) as lanes:
        verdicts = dict(zip(pairs, lanes.map(lambda pair: judge_all(pair, checks, archive), pairs), strict=True))
    text = table(verdicts, checks)
    print(f"\n{text}\n{len(pairs)} pairs in {time.monotonic() - start:.0f} s")
    if options.write:
        PAGE.write_text(with_results(PAGE.read_text(), verdicts))
    return int(any(verdict.problem for found in verdicts.values() for verdict in found.values()))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CheckError as error:
        sys.exit(str(error))
