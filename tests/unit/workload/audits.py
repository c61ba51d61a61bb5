# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits in this process of what stands in the sandbox."""

from __future__ import annotations

import os
from typing import Any
from unittest.mock import patch

from ansible_collections.gpuops.runpod.plugins.module_utils._workload import auditing
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.desired import DesiredState
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.observed import ObservedState
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_audit
from tests.system.conftest import ENDPOINT, IMAGE, SEOUL, USER, House

Json = dict[str, Any]

TRAINING, SERVED = "training", "served"
WORKLOADS = [
    {"image": IMAGE, "template": {"name": TRAINING}},
    {"image": SEOUL, "template": {"name": SERVED}, "endpoint": ENDPOINT},
]
STORE = {"name": f"runpod-ecr/{USER}"}


def results(house: House, **options: Any) -> Any:
    wish = {"workloads": WORKLOADS, "template": {"serverless": True}, "secret_store": STORE, **options}
    with patch.dict(os.environ, house.environment()):
        house.sandbox.forget_calls()
        return house.runs.outcome(runpod_ecr_audit, wish).results


def audited(house: House, **options: Any) -> Json:
    """Return what an audit reports; it has written nothing."""
    report: Json = results(house, **options)["audit"]
    assert set(house.writes()) <= {"cloudtrail:LookupEvents"}
    return report


def observed(house: House, **options: Any) -> tuple[DesiredState, ObservedState]:
    """Return what an audit judges."""
    with patch.object(auditing, "audit", lambda *seen: seen):
        seen: tuple[DesiredState, ObservedState] = results(house, **options)["audit"]
    return seen


def broken(report: Json) -> dict[tuple[str, str], list[str]]:
    """Return every link that is not green, with the codes of what is wrong."""
    codes = {one["number"]: one["code"] for one in report["findings"] if one["status"] != "green"}
    return {
        (workload["name"], link["kind"]): [codes[number] for number in link["findings"] if number in codes]
        for workload in report["workloads"]
        for link in workload["links"]
        if link["status"] != "green"
    }


def everywhere(kind: str, *codes: str) -> dict[tuple[str, str], list[str]]:
    return {(name, kind): list(codes) for name in (TRAINING, SERVED)}
