# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret shows: not in the most verbose output, not in Ansible's log, not in a process list."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import House, sampled_processes

ENV_VALUE = "an-environment-value-that-nobody-should-see"


def test_no_secret_shows_anywhere(house: House, tmp_path: Path) -> None:
    log = tmp_path / "ansible.log"
    template = json.dumps({"runpod_ecr_template": {"env": {"TOKEN": ENV_VALUE}}})
    variables = tmp_path / "variables.json"
    variables.write_text(template)
    arguments = ("-vvvv", "--diff", "-e", f"@{variables}")
    processes: set[str] = set()
    with sampled_processes(processes):
        first = house.main_job(*arguments, ANSIBLE_LOG_PATH=str(log))
        entry = json.loads(house.entry())
        [registry] = house.runpod()["registries"]
        changed = house.main_job(*arguments, "-e", "runpod_ecr_min_validity_hours=11.99", ANSIBLE_LOG_PATH=str(log))
        failed = house.main_job(
            *arguments, "-e", '{"runpod_ecr_template": {"env": {"TOKEN": true}}}', ANSIBLE_LOG_PATH=str(log)
        )
        gone = house.main_job(*arguments, "-e", "runpod_ecr_state=absent", ANSIBLE_LOG_PATH=str(log))
    assert (first.code, changed.code, gone.code) == (0, 0, 0), first.output
    assert failed.code != 0

    shown = "\n".join([first.output, changed.output, failed.output, gone.output, log.read_text(), *processes])
    assert entry["access_key_id"] in shown  # the sieve below would find a secret: the key's id is not one
    assert "ansible-playbook" in "\n".join(processes)
    secrets = {
        "secret access key": entry["secret_access_key"],
        "ECR token": registry["password"],
        "RunPod API key": house.sandbox.environment["RUNPOD_API_KEY"],
        "operator's secret key": house.sandbox.environment["AWS_SECRET_ACCESS_KEY"],
        "environment value": ENV_VALUE,
    }
    assert [name for name, secret in secrets.items() if secret in shown] == []
