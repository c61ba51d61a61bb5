# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the run of all checks hides from them, and what it says last."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nox")

ROOT = Path(__file__).resolve().parents[2]
ENDS = """\
import sys
from pathlib import Path
import noxfile
noxfile.ROOT, noxfile.BUILD = Path(sys.argv[1]), Path(sys.argv[1], ".build")
print("\\n".join(noxfile.told("units")))
"""


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (
            "..F\n===== short test summary info =====\nFAILED tests/unit/test_a.py::test_b[1] - assert 1 == 2\n"
            "ERROR tests/unit/test_c.py\n1 failed, 2 passed in 1s\n\nnox > Session units failed.\n",
            ["FAILED tests/unit/test_a.py::test_b[1] - assert 1 == 2", "ERROR tests/unit/test_c.py"],
        ),
        (
            "Running sanity test\nERROR: plugins/modules/a.py:3:1: unused\nFATAL: the 1 sanity test(s) failed\n",
            ["ERROR: plugins/modules/a.py:3:1: unused"],
        ),
        ("CRITICAL Ansible return code was 2\n", ["CRITICAL Ansible return code was 2"]),
        ("plugins/a.py:3: error: no such name\nFound 1 error\n", ["plugins/a.py:3: error: no such name"]),
        ("one\n\nTOTAL 99%\nCoverage failure: total of 99 is less than 100\n", None),
    ],
)
def test_a_failed_check_names_its_failures_and_where_more_is(tmp_path: Path, log: str, told: list[str] | None) -> None:
    (tmp_path / ".build" / "logs").mkdir(parents=True)
    (tmp_path / ".build" / "logs" / "units.log").write_text(log)
    command = [sys.executable, "-c", ENDS, str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == ["=== units: more in .build/logs/units.log", *(told or [line for line in log.splitlines() if line])]


def test_no_check_sees_the_accounts_of_the_caller_but_the_one_that_is_for_them() -> None:
    callers = {
        "AWS_PROFILE": "mine",
        "CONTROLLER_HOST": "https://awx.example.com",
        "K8S_AUTH_HOST": "x",
        "KUBECONFIG": "x",
    }
    command = [sys.executable, "-c", "import noxfile, os; print(*os.environ); print(*noxfile.CALLERS)"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **callers}, capture_output=True, text=True, check=True)
    seen, kept = (set(line.split()) for line in done.stdout.splitlines())
    assert not seen & callers.keys() and callers.keys() <= kept
