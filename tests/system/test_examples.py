# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation run as they stand, in their order."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent

import pytest

from tests.sandbox import kubernetes

from . import controller
from .conftest import ROOT, House, Run
from .role import ROLE
from .worker import ACCOUNT

PASSWORD = "example"  # of the vault
OPS = ROOT / "examples" / "ops"
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
FILTERS = sorted((ROOT / "plugins" / "filter").glob("*.py"))


REGISTRY_FIELDS = [{"id": name} for name in ("host", "username", "password", "verify_ssl")]
PLAY = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    team_registry_token: example
  tags: TAGS
  tasks:
"""


def examples(plugin: Path) -> str:
    """Return the tasks of a plugin's EXAMPLES."""
    for node in ast.parse(plugin.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{plugin.name} has no EXAMPLES")


def make_role(house: House, name: str, path: str) -> None:
    """One that the examples name. It pulls, and trusts whoever runs this."""
    iam = house.client("iam")
    everything = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}
    trusting = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
    trust, policy = ({"Version": "2012-10-17", "Statement": [one]} for one in (trusting, everything))
    iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=name, PolicyName="pull", PolicyDocument=json.dumps(policy))


def play(tasks: str, tags: str) -> str:
    return PLAY.replace("TAGS", tags) + indent(tasks, "    ") + "\n"


def tasks_of(examples: str) -> list[str]:
    """Return examples as the texts of single tasks."""
    return [f"\n- name: {task}" for task in examples.split("\n- name: ")[1:]]


@contextmanager
def targets() -> Iterator[dict[str, str]]:
    """Serve what tokens are handed to; yield the variables that lead there."""
    awx = controller.Controller()
    awx.add(
        "credential_types", {"name": "Container Registry", "kind": "registry", "inputs": {"fields": REGISTRY_FIELDS}}
    )
    with kubernetes.serving(kubernetes.KubernetesApi()) as cluster, controller.serving(awx) as host:
        access = {"K8S_AUTH_HOST": cluster, "K8S_AUTH_API_KEY": kubernetes.TOKEN}
        yield {**access, "CONTROLLER_HOST": host, "CONTROLLER_OAUTH_TOKEN": controller.TOKEN}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_examples_run(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Path) -> None:
    make_role(house, "awx-node", "/")
    if module.stem != "ecr_pull_role":  # which makes it
        make_role(house, "runpod-pull", "/runpod/")
    monkeypatch.setenv("HOME", str(tmp_path))
    with targets() as places:
        for name, value in places.items():
            monkeypatch.setenv(name, value)
        house.perform(examples(module), team_registry_token="example")


def test_names_in_examples_resolve_and_modules_that_no_role_runs_are_run_by_ansible(
    house: House, tmp_path: Path
) -> None:
    """All examples are loaded as they stand, and of a module that the role does not run the first one is run."""
    house.arrange()
    role = "".join(path.read_text() for path in ROLE.glob("tasks/**/*.yml"))
    alone = [module for module in MODULES if f"gpuops.runpod.{module.stem}:" not in role]
    first = [
        next(task for task in tasks_of(examples(module)) if f"gpuops.runpod.{module.stem}:" in task) for module in alone
    ]
    run_tasks = "".join([*first, *map(examples, FILTERS)])
    plays = [play(run_tasks, tags="always"), play("".join(map(examples, MODULES)), tags="never")]
    playbook = tmp_path / "examples.yml"
    playbook.write_text("".join(plays))
    places = {"HOME": str(tmp_path), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    run = house.play(playbook, **places)
    assert run.code == 0, run.output
    assert run.recap["ok"] == run_tasks.count("- name: ") > len(alone) > 4


class Company:
    """The example of an operations repository, with the keys in its vault only."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.handover = house, folder
        password = folder / "vault-password"
        password.write_text(PASSWORD)
        self._environment = {
            "ANSIBLE_CONFIG": str(OPS / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections"),
            "ANSIBLE_VAULT_PASSWORD_FILE": str(password),
            **dict.fromkeys(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "RUNPOD_API_KEY"], ""),
        }

    def run(self, *arguments: str) -> Run:
        self.house.sandbox.forget_calls()
        arguments = ("-e", f"handover_folder={self.handover}", *arguments)
        run = self.house.play(OPS / "site.yml", *arguments, **self._environment)
        assert run.code == 0, run.output
        return run

    def changed(self, *arguments: str) -> dict[str, int]:
        """Run the repository's playbook and return how many tasks of each host changed something."""
        return {host: counters["changed"] for host, counters in self.run(*arguments).recaps.items()}

    def calls(self) -> set[str]:
        calls = self.house.sandbox.aws_calls() + self.house.sandbox.runpod_calls()
        return {call["name"] for call in calls}


def test_role_runs_among_the_roles_of_a_company(house: House, tmp_path: Path) -> None:
    company = Company(house, tmp_path)
    for host in ("inference", "training"):
        house.arrange_host(OPS / "inventory", host, PASSWORD)
    [credential] = [one["name"] for one in house.runpod()["registries"] if one["name"].startswith("runpod-training")]
    for module, name in (("runpod_template", "runpod-gpu-training"), ("runpod_registry", credential)):
        house.call(module, {"name": name, "state": "absent"})
    foretold = company.changed("--check", "--diff", "--limit", "training")
    assert list(foretold) == ["training"]
    assert foretold["training"] > 0
    assert [held["name"] for held in house.runpod()["templates"]] == ["runpod-gpu-inference"]

    done = company.changed()
    assert done["training"] > foretold["training"]  # whose plan foretells all steps in one task
    assert done["inference"] == 1  # what is handed over
    assert sorted(house.users()) == ["runpod-inference", "runpod-training"]

    handed_over = tmp_path / "inference.json"
    handed_over.unlink()
    assert company.changed("--tags", "handover") == {"inference": 1, "training": 0}
    assert company.calls() <= {"sts:GetCallerIdentity", "iam:ListAccountAliases", "GET /v2/templates"}
    [template] = json.loads(handed_over.read_text())
    assert template == "runpod-gpu-inference"

    company.run("-e", "runpod_ecr_state=absent", "--tags", "access", "--limit", "training")
    assert house.users() == ["runpod-inference"]
    assert [held["name"] for held in house.runpod()["templates"]] == ["runpod-gpu-inference"]
