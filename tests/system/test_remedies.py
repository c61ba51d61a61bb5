# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies are pasted into a shell: what a thing is called is data to it and to Ansible."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.finding import module_call

from .conftest import ROOT, House

NAMES = [
    "{{ lookup('pipe', 'touch carried-out') }} {% raw %} it's \"x\" a=b $(touch carried-out) `touch carried-out`",
    "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n[[ lookup('pipe', 'touch carried-out') ]]",
    "'; touch carried-out; ' \\x1b \\n é \x1b[31m \u202e \U0001f600",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_remedy_acts_on_what_has_this_name_and_does_nothing_else(house: House, name: str, tmp_path: Path) -> None:
    house.sandbox.runpod.seed("templates", {"name": name})
    house.sandbox.runpod.seed("templates", {"name": "another"})
    environment = house.environment() | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    remedy = module_call("runpod_template", name=name, state="absent")
    done = subprocess.run(
        ["sh", "-c", remedy], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [each["name"] for each in house.runpod()["templates"]] == ["another"]
    assert list(tmp_path.iterdir()) == []
    assert "\x1b" not in done.stdout + done.stderr
