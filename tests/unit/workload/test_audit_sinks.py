# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets of tokens besides RunPod's credentials, as an audit sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._sink.token_sink import RULES
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.findings import OF_SINKS
from tests.system.conftest import IMAGE, SEOUL, House

from .audits import STORE, Json, audited

ONE = [{"image": IMAGE}]


def target(folder: Path) -> Json:
    return {"type": "docker_config", "docker_config": {"path": str(folder / "config.json")}}


def of_sinks(report: Json) -> list[tuple[str, str]]:
    """Return status and code of what was found of targets of tokens."""
    return [(one["status"], one["code"]) for one in report["findings"] if not one["workloads"]]


def test_the_audit_knows_every_finding_of_a_target() -> None:
    assert set(OF_SINKS) == RULES.keys()


def test_a_target_is_judged_by_what_it_says_itself(house: House, tmp_path: Path) -> None:
    house.arrange()
    sinks = [target(tmp_path)]
    missing = audited(house, workloads=ONE, token_sinks=sinks)
    assert of_sinks(missing) == [("red", "sink_missing")] and missing["status"] == "red"
    assert "ecr_token_sink" in missing["findings"][0]["remedy"]

    keep(house, sinks[0])
    assert of_sinks(audited(house, workloads=ONE, token_sinks=sinks)) == []
    assert of_sinks(audited(house, workloads=ONE)) == []


def keep(house: House, sink: Json, **options: object) -> None:
    house.call("ecr_token_sink", {**sink, "image": IMAGE, "secret_store": STORE, **options})


def test_a_token_that_nobody_refreshed_is_amber(house: House, tmp_path: Path) -> None:
    house.arrange()
    house.sandbox.aws.switch(token_seconds=3600)
    keep(house, target(tmp_path))
    report = audited(house, workloads=ONE, token_sinks=[{**target(tmp_path), "registry_region": "us-east-1"}])
    assert of_sinks(report) == [("amber", "sink_ends_soon")]


def test_a_target_that_cannot_be_read_hides_nothing_of_the_rest(house: House, tmp_path: Path) -> None:
    house.arrange(IMAGE, SEOUL)
    (tmp_path / "config.json").write_text("{")
    both = {**target(tmp_path / "other"), "images": [IMAGE, SEOUL]}
    report = audited(house, workloads=ONE, token_sinks=[target(tmp_path), both])
    causes = [one["cause"] for one in report["findings"] if one["code"] == "unreadable"]
    assert len(causes) == 2 and "of the type docker_config" in causes[0]
    assert any("2 regions" in cause for cause in causes) and any("is not the JSON" in cause for cause in causes)


def test_a_caller_s_token_may_be_of_another_caller(house: House, tmp_path: Path) -> None:
    house.arrange()
    keep(house, target(tmp_path))  # as the pull user
    report = audited(house, workloads=ONE, pull_identity="caller", token_sinks=[target(tmp_path)])
    assert "sink_of_another" not in {one["code"] for one in report["findings"]}


@pytest.mark.parametrize("sink", [{"type": "docker_config"}, {"type": "ftp"}])
def test_options_are_those_of_the_module(house: House, sink: Json) -> None:
    with pytest.raises(SystemExit):
        audited(house, workloads=ONE, token_sinks=[sink])


def test_the_role_hands_its_variable_over(house: House, tmp_path: Path) -> None:
    house.arrange()
    played = house.role("audit", audit_token_sinks=[target(tmp_path)])
    assert not played.failure and of_sinks(played.variables["runpod_ecr_audit"]) == [("red", "sink_missing")]
