# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit prints as a remedy is typed into a shell as it stands, one of each kind, and mends the thing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.audit.bases import Worlds
from tests.unit.audit.cases import named
from tests.unit.audit.conftest import worlds
from tests.unit.audit.measures import audited
from tests.unit.audit.remedies import command_of, type_in

from .test_remedies import programs

__all__ = ["programs", "worlds"]

# A case of the table -> how its remedy begins. Each is of another kind.
KINDS = {
    "credential+denied_inline-ecr:BatchGetImage": "aws iam delete-user-policy ",
    "credential+template_unlinked-training": "ansible localhost -m gpuops.runpod.runpod_template ",
    "credential+secret_wrong": "aws secretsmanager put-secret-value ",
    "credential+policy_gone": "ansible-playbook gpuops.runpod.runpod_ecr -e @",
    "credential+endpoint_of_another_region-served": "ansible-playbook gpuops.runpod.runpod_ecr -e @",
    "credential+quarantined": "ansible-playbook gpuops.runpod.runpod_ecr -e @",
    "credential+template_of_a_stranger-training": "ansible localhost -m gpuops.runpod.runpod_template ",
    "credential+key_old": "ansible-playbook gpuops.runpod.rotate -e @",
    "credential+user_untagged": "aws iam tag-user ",
    "credential+key_inactive": "aws iam update-access-key ",
    "credential+entry_of_another": "aws secretsmanager tag-resource ",
    "ssm+parameter_is_garbage": "aws ssm put-parameter ",
    "delegation+role_lacking-training": "ansible localhost -m gpuops.runpod.ecr_pull_grant ",
    "delegation+delegation_gone-training": "ansible localhost -m gpuops.runpod.runpod_ecr_delegation ",
}
SHARE = KINDS if os.environ.get("AUDIT_CASES") == "all" else list(KINDS)[:3]


@pytest.mark.parametrize("name", SHARE)
def test_a_remedy_is_typed_as_it_stands_and_mends(worlds: Worlds, programs: Path, name: str, tmp_path: Path) -> None:
    case = named(name)
    base = worlds.enter(case.base)
    for sabotage in case.sabotages:
        sabotage(worlds.house)
    report = audited(worlds.house, base)
    told = [one for one in report["findings"] if one["status"] in ("red", "amber")]
    remedies = list(dict.fromkeys(one["remedy"] for one in told))
    assert remedies and all(command_of(remedy).startswith(KINDS[name]) for remedy in remedies)
    for remedy in remedies:
        type_in(worlds.house, base, remedy, tmp_path, programs)
    left = audited(worlds.house, base)
    assert [one["cause"] for one in left["findings"] if one["status"] in ("red", "amber")] == []
