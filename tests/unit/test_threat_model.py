# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each claim of the threat model has a number, and each number a test that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
NUMBER = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")


def shown_by() -> dict[int, str]:
    return {int(number): test for number, test in re.findall(r"^(\d+)\. `(tests/\S+::\w+)`$", PAGE, re.MULTILINE)}


def claims() -> list[list[str]]:
    """Return the rows of the tables whose claims have numbers, but for their heads."""
    tables = PAGE.partition("## What falls into wrong hands")[2].partition("Each number")[0]
    rows = [line.strip("| ").split(" | ") for line in tables.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0] not in ("What", "Threat")]


def test_each_number_is_a_test_that_there_is() -> None:
    tests = shown_by()
    assert list(tests) == list(range(1, len(tests) + 1))
    named = re.findall(r"`(tests/\S+::\w+)`", PAGE + (ROOT / "SECURITY.md").read_text())
    assert {*tests.values()} < {*named}
    for test in named:
        file, dummy, name = test.partition("::")
        functions = [
            each.name for each in ast.parse((ROOT / file).read_text()).body if isinstance(each, ast.FunctionDef)
        ]
        assert name in functions, test


def test_each_number_stands_once_at_a_claim() -> None:
    used = [int(number.translate(DIGITS)) for number in NUMBER.findall(PAGE)]
    assert used == list(shown_by())


def test_each_claim_has_a_test_but_for_what_others_hold_to() -> None:
    bare = [row[0] for row in claims() if not NUMBER.search(" ".join(row))]
    assert bare == ["RunPod's API key"]  # opens nothing that is ours to test
