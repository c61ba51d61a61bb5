# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.faults [scenario ...]: break each scenario at each call in every way, and print a table."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from unittest.mock import patch

from tests.sandbox.server import Sandbox

from .harness import Harness, Verdict
from .scenarios import SCENARIOS


def kind(verdict: Verdict) -> str:
    """Return the kind of fault, for a column of the table."""
    return verdict.point.fault.partition(" $")[0] + (" field" if " $" in verdict.point.fault else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario")
    parser.add_argument("--every", type=int, default=1, help="of the points, only each nth")
    parser.add_argument("--first", type=int, default=0, help="the number of the first point")
    given = parser.parse_args()
    failed = 0
    with Sandbox(with_registries=True) as sandbox:
        here = {name: sandbox.environment[name] for name in ("NO_PROXY", "no_proxy", "SSL_CERT_FILE")}
        with patch.dict(os.environ, here):
            for name in given.scenarios or SCENARIOS:
                failed += report(Harness(sandbox, name), given.first, given.every)
    print(f"{failed} points went wrong")
    return min(failed, 1)


def report(harness: Harness, first: int, every: int) -> int:
    """Print a scenario's row of the table and what went wrong; return how many points that were."""
    began, tried, bad, seen = time.monotonic(), Counter[str](), 0, Counter[str]()
    for point in harness.points[first::every]:
        verdict = harness.tried(point)
        tried[kind(verdict)] += 1
        if verdict.wrong:
            bad += 1
            seen.update(verdict.wrong)
            print(f"  {point}", *verdict.wrong, sep="\n      ", flush=True)
    calls = len({(point.call, point.rule.get("skip")) for point in harness.points})
    row = ", ".join(f"{fault} {count}" for fault, count in sorted(tried.items()))
    print(
        f"{harness.name}: {calls} calls, {sum(tried.values())} points ({row}), {bad} wrong, "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    return bad


if __name__ == "__main__":
    sys.exit(main())
