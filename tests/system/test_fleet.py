# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets: of one account, which costs RunPod as few requests as one workload, and of several, whole or in slices."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .conftest import IMAGE, ROOT, House
from .fleet import GROUP, HOSTS, Fleet

QUOTA = {"minute": 24, "hour": 7200, "day": 86400}  # less than what two slices ask for together
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
    """Two accounts with three regions and 12 workloads, under one quota of RunPod, as AWX slices a job."""
    hosts = list(HOSTS)[:2]
    fleet = Fleet(house.sandbox, size=12, hosts=hosts)
    fleet.push()
    inventory = ("-i", str(fleet.write(tmp_path)))
    house.sandbox.runpod.switch(rate_limits=QUOTA)
    house.sandbox.forget_calls()

    with ThreadPoolExecutor(len(hosts)) as pool:
        slices = list(pool.map(lambda host: house.play(MAIN, *inventory, *ALL, "--limit", host), hosts))
    assert [run.code for run in slices] == [0] * len(hosts), "".join(run.output for run in slices)
    assert [list(run.recaps) for run in slices] == [[host] for host in hosts]
    assert fleet.current() == fleet.wanted()
    assert len(house.sandbox.runpod_calls()) > QUOTA["minute"]

    before = house.runpod()
    whole = house.play(MAIN, *inventory, *ALL, ANSIBLE_SHOW_CUSTOM_STATS="1")
    assert whole.code == 0, whole.output
    assert {host: recap["changed"] for host, recap in whole.recaps.items()} == dict.fromkeys(hosts, 0), whole.output
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


def test_a_host_beyond_the_limit_is_compared_too(house: House, tmp_path: Path) -> None:
    """Each slice by a limit sees the whole inventory: one that would flip another's template changes nothing."""
    fleet = Fleet(house.sandbox, size=4)
    first, second, third, fourth = HOSTS
    fleet.keys[second] = fleet.keys[first]
    for workload in fleet.workloads[second]:
        workload["image"] = workload["image"].replace(HOSTS[second][0], HOSTS[first][0])
    fleet.workloads[third][0]["template"]["name"] = fleet.workloads[fourth][0]["template"]["name"]
    fleet.push()
    inventory = ("-i", str(fleet.write(tmp_path)))
    house.sandbox.forget_calls()

    for host, said in (
        (first, f"The hosts {first} and {second} share the pull user runpod-ecr-access"),
        (fourth, f"The hosts {third} and {fourth} have the template"),
    ):
        run = house.play(MAIN, *inventory, *ALL, "--limit", host)
        assert run.code != 0 and said in told(run.output), run.output
    assert house.writes() == []

    check = house.play("playbooks/fleet.yml", *inventory, *ALL)
    assert {host: recap["failed"] for host, recap in check.recaps.items()} == dict.fromkeys(HOSTS, 1), check.output
    assert house.writes() == []


def test_a_slice_of_awx_does_not_take_over_what_another_has_made(house: House, tmp_path: Path) -> None:
    """AWX gives a slice its own hosts alone, so that what the other has made is all there is to see."""
    fleet = Fleet(house.sandbox, size=4)
    first, *dummies, last = HOSTS
    fleet.workloads[last][0]["template"]["name"] = fleet.workloads[first][0]["template"]["name"]
    fleet.push()
    folder = fleet.write(tmp_path)
    for host in (first, last):
        (folder / f"{host}.json").write_text(json.dumps({"all": {"children": {GROUP: {"hosts": {host: {}}}}}}))
    house.arrange_host(folder / f"{first}.json", first)
    before = house.runpod()
    for _again in range(2):
        refused = house.play(MAIN, "-i", str(folder / f"{last}.json"), *ALL)
        assert refused.code != 0 and "runpod_ecr_adopt" in refused.output, refused.output
    after = house.runpod()
    assert after["templates"] == before["templates"]
    assert [held for held in before["registries"] if held not in after["registries"]] == []


def test_the_example_for_awx_has_no_conflict_and_becomes_one_with_a_name_in_common(
    house: House, tmp_path: Path
) -> None:
    example = ROOT / "examples" / "awx-fleet" / "inventory.yml"
    arguments = ("playbooks/fleet.yml", "-e", "runpod_ecr_hosts=accounts", "-i")
    run = house.play(*arguments, str(example))
    assert run.code == 0 and set(run.recaps) == {"research", "production"}, run.output
    copy = tmp_path / "inventory.yml"
    copy.write_text(example.read_text().replace("name: inference", "name: runpod-gpu-training"))
    run = house.play(*arguments, str(copy))
    assert run.code != 0 and "have the template runpod-gpu-training at RunPod in common" in told(run.output), run.output
