# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts of the benchmark, and how it counts."""

from __future__ import annotations

import subprocess

import pytest

from bench import table
from bench.table import Cost
from bench.world import COUNTING_PYTHON, TIMING_PYTHON, by_turns, in_seconds, noting_python


def test_the_median_of_the_rounds_ratios_counts_and_not_the_ratio_of_medians() -> None:
    assert table.median_ratio([1, 4, 9], [2, 4, 3]) == 1


@pytest.mark.parametrize(("cpu", "kept"), [(4.0, True), (4.1, False)])
def test_cpu_time_decides_whatever_the_wall_time_is(cpu: float, kept: bool) -> None:
    for wall in (1.0, 100.0):
        row = table.ratio("converge", 0.4, [Cost(wall, cpu)], [Cost(10, 10)])
        assert row.kept is kept


def test_wall_time_decides_of_what_waits() -> None:
    assert table.wall_ratio("quota", 1.1, [110], [100]).kept
    assert not table.wall_ratio("quota", 1.1, [111], [100]).kept


def test_cpu_time_decides_of_what_somebody_waits_for() -> None:
    assert table.seconds("preflight", 5, [Cost(9, 4.9)]).kept
    assert not table.seconds("preflight", 5, [Cost(9, 5.1)]).kept


def test_what_could_not_run_is_a_target_that_is_missed() -> None:
    assert not table.failed("audit").kept
    assert "MISSED" in table.table([table.failed("audit")])


def test_fewer_module_processes_than_wanted_are_not_the_wanted_number() -> None:
    assert not table.exactly("module processes", 1, 0).kept
    assert not table.exactly("templates", 2, 2, right=False).kept
    assert table.count("calls", 8, 7).kept


def test_who_begins_changes_from_round_to_round() -> None:
    assert [by_turns(number, "ours", "peer")[0] for number in range(3)] == ["ours", "peer", "ours"]


def test_each_process_of_the_counting_interpreter_is_counted_and_does_its_work() -> None:
    with noting_python(COUNTING_PYTHON) as (python, log):
        for number in range(3):
            done = subprocess.run(
                [python, "-c", "print(input())"], input=f"{number}\n", capture_output=True, text=True, check=True
            )
            assert done.stdout == f"{number}\n"
        assert len(log.read_text().splitlines()) == 3


def test_the_timing_interpreter_tells_the_seconds_of_its_process_and_how_that_ended() -> None:
    work = "import sys, time\nwhile time.process_time() < 0.3: pass\nsys.exit(3)"
    with noting_python(TIMING_PYTHON) as (python, log):
        assert subprocess.run([python, "-c", work], check=False).returncode == 3
        assert 0.25 < sum(map(in_seconds, log.read_text().split())) < 3
    assert in_seconds("2m1.500s") == 121.5


def test_a_share_has_no_target_to_miss() -> None:
    row = table.share("start", 0.5, 2)
    assert row.kept and "25%" in row.cpu and not str(row).endswith(("kept", "MISSED"))
