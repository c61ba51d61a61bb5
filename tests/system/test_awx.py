# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook for AWX, with stand-ins for the modules of awx.awx, and against a controller where there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.awx import options

from .conftest import IMAGE, ROOT, Run, install

PLAYBOOK = "playbooks/awx.yml"
STAND_IN = """\
import json, os
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule(argument_spec={spec!r}, supports_check_mode=True)
given = {{name: value for name, value in module.params.items() if value is not None}}
with open({record!r}, "a") as file:
    file.write(json.dumps([{name!r}, given]) + "\\n")
module.exit_json(changed=False)
"""
LOOKUP = """\
DOCUMENTATION = "name: controller_api\\nshort_description: Stands in"
from ansible.plugins.lookup import LookupBase

class LookupModule(LookupBase):
    pass
"""
CONTROLLER = pytest.mark.skipif(not os.environ.get("CONTROLLER_HOST"), reason="there is no CONTROLLER_HOST")


def play(*arguments: str, **environment: str) -> Run:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    here = {"PATH": path, "HOME": os.environ["HOME"], "LANG": "C.UTF-8", **environment}
    command = ["ansible-playbook", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Run(done.returncode, done.stdout)


def stand_in(folder: Path) -> Path:
    """Make a collection awx.awx whose modules take its options, and write down what they are given."""
    record = folder / "record"
    plugins = folder / "ansible_collections" / "awx" / "awx" / "plugins"
    (plugins / "modules").mkdir(parents=True)
    (plugins / "lookup").mkdir()
    (plugins / "lookup" / "controller_api.py").write_text(LOOKUP)
    for name in options.MODULES:
        source = STAND_IN.format(spec=options.argument_spec(name), record=str(record), name=name)
        (plugins / "modules" / f"{name}.py").write_text(source)
    return record


def test_without_awx_awx_it_says_how_to_get_it(tmp_path: Path) -> None:
    run = play(PLAYBOOK, ANSIBLE_COLLECTIONS_PATH=str(tmp_path))
    assert run.code == 2
    assert "ansible-galaxy collection install awx.awx" in run.output
    assert run.recap["failed"] == 1


def test_everything_arrives_in_an_order_in_which_names_exist(archive: Path, tmp_path: Path) -> None:
    record = stand_in(tmp_path)
    install(archive, tmp_path)
    secrets = {"runpod_awx_api_key": "rpa_example", "runpod_awx_aws_secret_key": "example-of-a-secret"}
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"runpod_awx_image": IMAGE, **secrets}))
    run = play("gpuops.runpod.awx", "-vvv", "-e", f"@{settings}", ANSIBLE_COLLECTIONS_PATH=str(tmp_path))
    assert run.code == 0, run.output
    assert str(tmp_path / "ansible_collections" / "gpuops") in run.output  # not the checkout's
    assert not [secret for secret in secrets.values() if secret in run.output]

    given = [json.loads(line) for line in record.read_text().splitlines()]
    order = list(dict.fromkeys(name for name, dummy in given))
    assert order == [*list(options.VARIABLES.values())[:-1], "workflow_job_template_node", "schedule"]
    told = {(name, arguments.get("name") or arguments["identifier"]): arguments for name, arguments in given}
    injected = told["credential_type", "RunPod"]["injectors"]["env"]
    assert injected["RUNPOD_API_KEY"] == "{{ api_key }}"
    assert told["credential", "RunPod ECR"]["inputs"] == {"api_key": "rpa_example"}
    assert told["schedule", "RunPod ECR refresh every 4 hours"]["extra_data"] == {"runpod_ecr_image": IMAGE}
    survey = told["job_template", "RunPod ECR converge"]["survey_spec"]["spec"]
    assert survey[0]["default"] == IMAGE
    nodes = [arguments for name, arguments in given if name == "workflow_job_template_node"]
    assert [(node["identifier"], node.get("success_nodes")) for node in nodes] == [
        ("look", None),
        ("approve", None),
        ("remove", None),
        ("look", ["approve"]),
        ("approve", ["remove"]),
    ]
    # Links go apart: the module would look for those of an approval at an address that AWX does not have.
    assert not [node for node in nodes if "approval_node" in node and "success_nodes" in node]


@CONTROLLER
def test_a_second_run_leaves_a_controller_unchanged() -> None:
    there = {name: value for name, value in os.environ.items() if name.startswith("CONTROLLER_")}
    places = [os.environ.get("ANSIBLE_COLLECTIONS_PATH"), "~/.ansible/collections", "/usr/share/ansible/collections"]
    there["ANSIBLE_COLLECTIONS_PATH"] = os.pathsep.join(filter(None, places))
    first, second = play(PLAYBOOK, **there), play(PLAYBOOK, **there)
    assert first.code == second.code == 0, first.output + second.output
    assert second.recap["changed"] == 0
