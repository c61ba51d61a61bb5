# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Costs, and the rows of the table that sets them beside their targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

LAYOUT = "{:<72} {:>8}  {:>20}  {:>20}  {}"
HEADING = LAYOUT.format("what", "target", "wall time", "CPU time", "verdict")


class Cost(NamedTuple):
    """Seconds of a command: until it ended, and those that its processes had a core for."""

    wall: float
    cpu: float


class Row(NamedTuple):
    what: str
    target: str
    wall: str
    cpu: str
    kept: bool

    def __str__(self) -> str:
        verdict = "" if self.kept and not self.target else "kept" if self.kept else "MISSED"
        return LAYOUT.format(self.what, self.target, self.wall, self.cpu, verdict).rstrip()


def median_ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """Return the median over the rounds, each of which has its own ratio."""
    return median(one / other for one, other in zip(ours, others, strict=True))


def ratio(what: str, most: float, ours: Sequence[Cost], others: Sequence[Cost]) -> Row:
    """Return a row for what may cost `most` times as much as another. CPU time decides: it is the steadier one."""
    shown: list[str] = []
    ratios: list[float] = []
    for index in range(len(Cost._fields)):
        one, other = [cost[index] for cost in ours], [cost[index] for cost in others]
        ratios.append(median_ratio(one, other))
        shown.append(f"{median(one):.1f}/{median(other):.1f} s {ratios[-1]:.2f} x")
    wall, cpu = shown
    return Row(what, f"<= {most} x", wall, cpu, ratios[1] <= most)


def wall_ratio(what: str, most: float, ours: Sequence[float], others: Sequence[float]) -> Row:
    """The same for what mostly waits, so that its wall time decides."""
    found = median_ratio(ours, others)
    return Row(what, f"<= {most} x", f"{median(ours):.1f}/{median(others):.1f} s {found:.2f} x", "", found <= most)


def seconds(what: str, most: float, costs: Sequence[Cost]) -> Row:
    """Return a row for what somebody waits for. CPU time decides here too."""
    wall, cpu = (median(cost[index] for cost in costs) for index in range(len(Cost._fields)))
    return Row(what, f"<= {most} s", f"{wall:.1f} s", f"{cpu:.1f} s", cpu <= most)


def count(what: str, most: int, found: int) -> Row:
    return Row(what, f"<= {most}", str(found), "", found <= most)


def exactly(what: str, wanted: int, found: int, right: bool = True) -> Row:
    return Row(what, str(wanted), str(found), "", found == wanted and right)


def share(what: str, part: float, whole: float) -> Row:
    """Return a row that has no target: it explains others."""
    return Row(what, "", "", f"{part:.2f} s {part / whole:4.0%}", True)


def failed(what: str) -> Row:
    return Row(what, "", "could not run", "", False)


def table(rows: Iterable[Row]) -> str:
    return "\n".join([HEADING, *map(str, rows)])
