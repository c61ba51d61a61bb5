# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation run as they stand, in their order."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import indent

import pytest

from .conftest import ROOT, House

PLUGINS = sorted(path for kind in ("modules", "filter") for path in (ROOT / "plugins" / kind).glob("*.py"))


PLAY = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    team_registry_token: example
  tasks:
"""


def examples(plugin: Path) -> str:
    """Return the tasks of a plugin's EXAMPLES."""
    for node in ast.parse(plugin.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{plugin.name} has no EXAMPLES")


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.stem)
def test_examples_run(house: House, tmp_path: Path, plugin: Path) -> None:
    tasks = examples(plugin)
    playbook = tmp_path / "examples.yml"
    playbook.write_text(PLAY + indent(tasks, "    "))
    run = house.play(playbook, ANSIBLE_COLLECTIONS_PATH=str(ROOT / "playbooks" / "collections"))
    assert run.code == 0, run.output
    assert run.recap["ok"] == tasks.count("\n- name: ")
