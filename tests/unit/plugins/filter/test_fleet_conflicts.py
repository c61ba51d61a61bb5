# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.gpuops.runpod.plugins.filter.fleet_conflicts import fleet_conflicts


def test_a_host_that_has_told_nothing_is_not_looked_at() -> None:
    claims = {
        "user": "puller",
        "account": "123456789012",
        "runpod": "",
        "templates": ["app"],
        "endpoints": [],
        "credentials": [],
    }
    claimed = {"__runpod_ecr_plan": {"handover": {"claims": claims}}, "looked": {"handover": {}}}
    assert fleet_conflicts(["a", "b"], {"a": claimed, "b": {}}) == {"a": [], "b": []}
    found = fleet_conflicts(["a", "b", "c"], {"a": claimed, "b": {}, "c": claimed})
    assert found["b"] == [] and len(found["a"]) == len(found["c"]) == 2
    assert fleet_conflicts(["a", "c"], {"a": claimed, "c": claimed}, "looked") == {"a": [], "c": []}
