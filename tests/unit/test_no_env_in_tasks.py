# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible prints loop items, facts and messages: none of them is made of what holds an environment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = [*(ROOT / "roles").rglob("tasks/**/*.yml"), *(ROOT / "playbooks").rglob("*.yml")]
# What holds environments: the user's variables, and what the role makes of whole workloads.
HOLDERS = re.compile(
    r"\brunpod_ecr_(template|endpoint|workloads)\b|\b__runpod_ecr_(items|endpoints|options|own)\b|\benv\b"
)
# Filters that leave nothing of an environment.
NAMES_ONLY = re.compile(r"\w*(template|endpoints?|workloads|items)\s*\|\s*(length|map\(attribute='(name|image)'\))")
PRINTED = ("debug", "fail", "assert", "set_fact", "set_stats")

Task = dict[str, Any]


def tasks(thing: Any) -> Iterator[Task]:
    """Yield each task, in blocks and plays too."""
    for each in thing if isinstance(thing, list) else []:
        if isinstance(each, dict):
            yield each
            for key in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
                yield from tasks(each.get(key))


def printed(task: Task) -> Iterator[str]:
    """Yield what Ansible prints of a task beside its module's own result."""
    for key, value in task.items():
        if key == "loop" or key.startswith("with_") or key == "loop_control":
            yield json.dumps(value)
        if key.rpartition(".")[2] in PRINTED:
            yield json.dumps(value)
    if any(key.rpartition(".")[2] in PRINTED for key in task):
        yield json.dumps(task.get("vars"))


def holders(task: Task) -> list[str]:
    return [text for text in printed(task) if HOLDERS.search(NAMES_ONLY.sub("", text))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_loop_item_fact_or_message_holds_an_environment(path: Path) -> None:
    assert {
        task.get("name"): found for task in tasks(yaml.safe_load(path.read_text())) if (found := holders(task))
    } == {}


@pytest.mark.parametrize(
    "task",
    [
        {"loop": "{{ __runpod_ecr_endpoints }}"},
        {"with_items": "{{ __runpod_ecr_items }}"},
        {"loop": "{{ runpod_ecr_workloads | map(attribute='endpoint') }}"},
        {"ansible.builtin.set_fact": {"kept": "{{ runpod_ecr_endpoint }}"}},
        {"ansible.builtin.set_fact": {"kept": "{{ it }}"}, "vars": {"it": "{{ __runpod_ecr_options.env }}"}},
        {"ansible.builtin.fail": {"msg": "{{ __runpod_ecr_own }}"}},
    ],
)
def test_a_task_that_shows_an_environment_is_found(task: Task) -> None:
    assert holders({"name": "x", **task})


def test_names_of_workloads_may_be_looped_over() -> None:
    assert not holders({"loop": "{{ __runpod_ecr_endpoints | map(attribute='name') }}"})
