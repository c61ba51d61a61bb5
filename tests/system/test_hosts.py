# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that would find nothing to do says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import House

PLAYBOOKS = ("runpod_ecr", "refresh", "rotate", "audit")


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_hosts_that_match_nothing_end_the_playbook_with_a_remedy(house: House, name: str) -> None:
    run = house.play(f"playbooks/{name}.yml", "-e", "runpod_ecr_hosts=nobody")
    assert run.code != 0
    assert "No host of the inventory matches runpod_ecr_hosts=nobody. Name a group" in run.output
    assert "PLAY" not in run.output


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_pattern_that_matches_is_taken_as_it_is(house: House, name: str, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    inventory.write_text("[fleet]\na\nb\nc\n")
    run = house.play(f"playbooks/{name}.yml", "-i", str(inventory), "-e", "runpod_ecr_hosts=fleet:!b", "--list-hosts")
    assert run.code == 0 and "pattern: ['fleet:!b']\n    hosts (2):" in run.output, run.output
