# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets: of one account, which costs RunPod as few requests as one workload, and of several, whole or in slices."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .conftest import IMAGE, House
from .fleet import GROUP, HOSTS, Fleet

QUOTA = {"minute": 180, "hour": 7200, "day": 86400}
MAIN = "playbooks/runpod_ecr.yml"
ALL = ("-e", f"runpod_ecr_hosts={GROUP}")


def told(output: str) -> str:
    """Return an output without the breaks that Ansible puts into long lines."""
    return " ".join(output.split())


def test_an_unchanged_fleet_makes_four_requests_at_most(house: House, tmp_path: Path) -> None:
    workloads = [{"image": IMAGE, "template": {"name": f"fleet-{number}"}} for number in range(1000)]
    house.arrange(workloads[0])
    [registry] = house.runpod()["registries"]
    for workload in workloads[1:]:
        template = {"image": IMAGE, "registry": registry["id"], "serverless": True}
        house.sandbox.runpod.seed("templates", {**workload["template"], **template})
    variables = tmp_path / "fleet.json"
    variables.write_text(json.dumps({"runpod_ecr_workloads": workloads}))

    house.sandbox.forget_calls()
    run = house.play(MAIN, "-e", f"@{variables}")
    assert run.code == 0, run.output
    assert run.recap["changed"] == 0, run.output
    assert len(house.sandbox.runpod_calls()) <= 4
    for size in (1, 100):
        house.sandbox.forget_calls()
        house.arrange(*workloads[:size])
        assert len(house.sandbox.runpod_calls()) <= 4


def test_slices_at_once_end_like_one_run(house: House, tmp_path: Path) -> None:
    """Four accounts with three regions and 200 workloads, under one quota of RunPod, as AWX slices a job."""
    fleet = Fleet(house.sandbox)
    fleet.push()
    inventory = ("-i", str(fleet.write(tmp_path)))
    house.sandbox.runpod.switch(rate_limits=QUOTA)

    with ThreadPoolExecutor(len(HOSTS)) as pool:
        slices = list(pool.map(lambda host: house.play(MAIN, *inventory, *ALL, "--limit", host), HOSTS))
    assert [run.code for run in slices] == [0] * len(HOSTS), "".join(run.output for run in slices)
    assert [list(run.recaps) for run in slices] == [[host] for host in HOSTS]
    assert fleet.current() == fleet.wanted()

    before = house.runpod()
    whole = house.play(MAIN, *inventory, *ALL, ANSIBLE_SHOW_CUSTOM_STATS="1")
    assert whole.code == 0, whole.output
    assert {host: recap["changed"] for host, recap in whole.recaps.items()} == dict.fromkeys(HOSTS, 0), whole.output
    assert house.runpod() == before
    published = json.loads(whole.output.rpartition("RUN: ")[2])
    assert list(published) == ["runpod_ecr_results"]
    ids = [made["template_id"] for told in published["runpod_ecr_results"].values() for made in told["workloads"]]
    assert sorted(ids) == sorted(template["id"] for template in before["templates"])


def test_hosts_in_each_others_way_are_refused_before_anything_changes(house: House, tmp_path: Path) -> None:
    fleet = Fleet(house.sandbox, size=4)
    first, second, third, fourth = HOSTS
    fleet.keys[second] = fleet.keys[first]
    for workload in fleet.workloads[second]:
        workload["image"] = workload["image"].replace(HOSTS[second][0], HOSTS[first][0])
    fleet.workloads[third][0]["template"]["name"] = fleet.workloads[fourth][0]["template"]["name"]
    fleet.push()
    house.sandbox.forget_calls()

    run = house.play(MAIN, "-i", str(fleet.write(tmp_path)), *ALL)
    assert run.code != 0
    assert {host: recap["failed"] for host, recap in run.recaps.items()} == dict.fromkeys(HOSTS, 1), run.output
    assert f"The hosts {first} and {second} share the pull user runpod-ecr-access" in told(run.output)
    assert f"The hosts {third} and {fourth} have the template" in told(run.output)
    assert "Nothing was changed. The hosts" in told(run.output)
    assert house.writes() == []
