# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m bench [--rounds N] [--slow] [PART…]: what the collection costs; see README.md beside this."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from tests.sandbox.server import Sandbox

from .fleets import accounts, fleet
from .mirror import mirror
from .quota import quota
from .refresh import refresh
from .shares import shares
from .table import Row, failed, table
from .workload import audit, converge, preflight, user
from .world import RunError, World

PARTS: dict[str, Callable[[World], Iterator[Row]]] = {
    "user": user,
    "converge": converge,
    "audit": audit,
    "preflight": preflight,
    "refresh": refresh,
    "fleet": fleet,
    "accounts": accounts,
    "mirror": mirror,
    "quota": quota,
    "shares": shares,
}
SLOW = ("quota",)


def measure(world: World, part: str) -> Iterator[Row]:
    """Yield the rows of a part. One that fails is a row too, and hides nothing of the others."""
    try:
        for row in PARTS[part](world):
            print(row, file=sys.stderr, flush=True)
            yield row
    except RunError as error:
        print(error, file=sys.stderr, flush=True)
        yield failed(part)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the collection against the sandbox.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each run is timed; the median counts")
    parser.add_argument("--slow", action="store_true", help=f"also {', '.join(SLOW)}, and a mirror of 1 GiB")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; else all that are not slow"
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    parts = options.parts or [part for part in PARTS if options.slow or part not in SLOW]
    with Sandbox(with_registries=True) as sandbox:
        world = World(sandbox, options.rounds, options.slow)
        rows = [row for part in parts for row in measure(world, part)]
    print(table(rows))
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
