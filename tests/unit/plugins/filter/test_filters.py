# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as Ansible uses them: loaded all at once, by each fork anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ansible_collections.gpuops.runpod.plugins.filter.fleet_conflicts import fleet_conflicts

ROOT = Path(__file__).resolve().parents[4]


def test_no_filter_needs_the_sdk_of_aws() -> None:
    names = [path.stem for path in (ROOT / "plugins" / "filter").glob("*.py")]
    lines = [f"import ansible_collections.gpuops.runpod.plugins.filter.{name}" for name in sorted(names)]
    script = "\n".join(["import sys", *lines, "print(sorted({'boto3', 'botocore'} & sys.modules.keys()))"])
    path = str(ROOT / "playbooks" / "collections")
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_host_that_has_told_nothing_is_not_looked_at() -> None:
    claimed = {
        "__runpod_ecr_claimed": {
            "user": "puller",
            "account": "123456789012",
            "runpod": "",
            "templates": ["app"],
            "endpoints": [],
            "credentials": [],
        }
    }
    assert fleet_conflicts(["a", "b"], {"a": claimed, "b": {}}) == {"a": [], "b": []}
    found = fleet_conflicts(["a", "b", "c"], {"a": claimed, "b": {}, "c": claimed})
    assert found["b"] == [] and len(found["a"]) == len(found["c"]) == 2
