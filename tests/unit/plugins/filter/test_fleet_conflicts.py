# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleUndefinedVariable

from ansible_collections.gpuops.runpod.plugins.filter.fleet_conflicts import account_of_runpod, fleet_conflicts

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1"


class Lazy(dict[str, Any]):
    """Variables of which one hangs on what only the host's own run knows."""

    def get(self, name: str, default: Any = None) -> Any:
        if name == "runpod_ecr_user_name":
            raise AnsibleUndefinedVariable("made_later is undefined")
        return super().get(name, default)


def claimed(**own: Any) -> dict[str, Any]:
    claims = {"user": "puller", "account": "123456789012", "runpod": account_of_runpod({}), "templates": ["app"]}
    return {"__runpod_ecr_claimed": {**claims, "endpoints": [], "credentials": [], **own}}


def test_a_host_without_workloads_is_not_looked_at() -> None:
    assert fleet_conflicts(["a", "b"], {"a": claimed(), "b": {}}) == {"a": [], "b": []}
    found = fleet_conflicts(["a", "b", "c"], {"a": claimed(), "b": {}, "c": claimed()})
    assert found["b"] == [] and len(found["a"]) == len(found["c"]) == 2


def test_a_host_of_another_slice_is_known_by_its_variables() -> None:
    other = {"runpod_ecr_image": IMAGE, "runpod_ecr_user_name": "puller"}
    found = fleet_conflicts(["a", "b"], {"a": claimed(), "b": other})
    assert [said.split(" the ")[1].split()[0] for said in found["a"]] == ["pull", "template"]
    assert fleet_conflicts(["a", "b"], {"a": claimed(templates=["x"], user="u"), "b": other}) == {"a": [], "b": []}


def test_a_variable_that_cannot_be_known_yet_is_left_out() -> None:
    [said] = fleet_conflicts(["a", "b"], {"a": claimed(), "b": Lazy(runpod_ecr_image=IMAGE)})["a"]
    assert "have the template app at RunPod in common" in said
