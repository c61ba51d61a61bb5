# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell of `make sandbox`: both clouds are the sandbox in it, and leaving it stops everything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT

TOOLS = Path(sys.executable).parent
COMMANDS = """
sandbox-break
sandbox-show
echo "address $AWS_ENDPOINT_URL $RUNPOD_API_BASE_URL image $IMAGE prompt $PS1"
false
echo "not reached"
"""


def test_a_shell_has_the_clouds_and_its_commands_and_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = subprocess.run(
        [sys.executable, "-m", "tests.sandbox", "run", "--state", state, "--", "tools/sandbox"],
        cwd=ROOT,
        env={"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8"},
        input=COMMANDS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1 and "not reached" not in done.stdout, done.stdout
    assert "sandbox-break policy" in done.stdout and "(sandbox)" in done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.startswith("address ")]
    assert line.count("http://127.0.0.1:") == 2 and "runpod-gpu-training:v1" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]
    assert list(state.iterdir()) == []
