# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes of examples/ do their job as printed, with nothing in the environment but what they set themselves."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import IMAGE, ROOT, USER, House
from .shared_archives import sharing

EXAMPLES = ROOT / "examples"
INSTALLED = "/usr/local/lib/runpod-ecr"
COLLECTIONS = ROOT / "playbooks" / "collections"
TOOLS = Path(sys.executable).parent


def around(house: House) -> dict[str, str]:
    """Return the variables of the clouds, and of modules that are packed already."""
    return {**house.sandbox.environment, **sharing(house.archives)}


class Machine:
    """A machine that has the recipes' files in its /etc, and the tools where the recipes expect them."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.folder = house, folder
        (folder / "lib").mkdir()
        (folder / "lib" / "bin").symlink_to(TOOLS)
        (folder / "lib" / "collections").symlink_to(COLLECTIONS)
        (folder / "etc").mkdir()
        for name in ("runpod-ecr.env", "runpod-ecr.yml"):
            text = (EXAMPLES / "systemd" / name).read_text()
            (folder / "etc" / name).write_text(self.here(text))
        # The clouds of the test, with the one value that no example can have.
        ours = around(house)
        with (folder / "etc" / "runpod-ecr.env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in ours.items())

    def here(self, text: str) -> str:
        """Return a text with the paths of this machine."""
        return text.replace(INSTALLED, str(self.folder / "lib")).replace("/etc/", f"{self.folder}/etc/")

    def bare(self, command: list[str], environment: dict[str, str], cwd: Path | None = None) -> str:
        """Run a command with this environment and nothing else; return what it said."""
        given = {"HOME": str(self.folder), **environment}
        words = ["env", "-i", *(f"{name}={value}" for name, value in given.items()), *command]
        done = subprocess.run(
            words, cwd=cwd or self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def refreshed(self) -> bool:
        """Tell whether a token was minted since the last look, and spoil it for the next."""
        changed = [call["name"] for call in self.house.sandbox.runpod_calls() if call["method"] == "PATCH"]
        self.house.sandbox.forget_calls()
        return bool(changed)


@pytest.fixture
def machine(house: House, tmp_path: Path) -> Machine:
    """A machine on which somebody has converged, and whose token is about to end."""
    house.arrange()
    [registry] = house.runpod()["registries"]
    [key] = house.keys()
    tag = {"Key": f"gpuops.runpod/{registry['id']}", "Value": f"2020-01-01T00:00:00Z {key}"}
    house.client("secretsmanager").tag_resource(SecretId=f"runpod-ecr/{USER}", Tags=[tag])
    house.sandbox.forget_calls()
    return Machine(house, tmp_path)


def variables(text: str) -> dict[str, str]:
    """Return what an EnvironmentFile sets; a later line wins."""
    return dict(re.findall(r"^([A-Za-z_]+)=(.*)$", text, re.MULTILINE))


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((EXAMPLES / "systemd" / name).read_text())
    return parser


def test_the_systemd_service_refreshes_with_its_environment_file_alone(machine: Machine) -> None:
    service = unit("runpod-ecr-refresh.service")["Service"]
    assert service["EnvironmentFile"] == "/etc/runpod-ecr.env"
    environment = variables(Path(machine.here(service["EnvironmentFile"])).read_text())
    machine.bare(shlex.split(machine.here(service["ExecStart"])), environment)
    assert machine.refreshed()


def test_the_timer_starts_the_service_often_enough_for_a_missed_run() -> None:
    timer = unit("runpod-ecr-refresh.timer")
    assert timer["Timer"]["OnCalendar"] == "*-*-* 00/4:17" and timer["Timer"]["Persistent"] == "true"
    assert (EXAMPLES / "systemd" / "runpod-ecr-refresh.service").exists()


def test_the_cron_line_refreshes_with_what_its_file_sets(machine: Machine) -> None:
    text = machine.here((EXAMPLES / "cron" / "runpod-ecr").read_text())
    [line] = [one for one in text.splitlines() if re.match(r"\d", one)]
    schedule, user, command = line.split(maxsplit=6)[:5], line.split()[5], line.split(maxsplit=6)[6]
    assert (" ".join(schedule), user) == ("17 */4 * * *", "runpod-ecr")
    assert "%" not in command  # which cron takes for the end of the line
    settings = variables(text)
    said = machine.bare([settings["SHELL"], "-c", command], {"PATH": settings["PATH"], "SHELL": settings["SHELL"]})
    assert machine.refreshed() and said == ""


def test_a_cron_line_that_fails_says_why(machine: Machine) -> None:
    text = machine.here((EXAMPLES / "cron" / "runpod-ecr").read_text())
    [line] = [one for one in text.splitlines() if re.match(r"\d", one)]
    (machine.folder / "etc" / "runpod-ecr.yml").write_text("runpod_ecr_image: nginx\n")
    with pytest.raises(AssertionError, match="not in a private ECR registry"):
        machine.bare(["/bin/sh", "-c", line.split(maxsplit=6)[6]], {"PATH": variables(text)["PATH"]})


def workflow() -> Any:
    return yaml.safe_load((EXAMPLES / "github-actions" / "refresh.yml").read_text())


def test_the_workflow_refreshes_as_the_role_that_it_assumes(machine: Machine) -> None:
    steps = workflow()["jobs"]["refresh"]["steps"]
    [refresh] = [step for step in steps if step.get("name") == "Refresh"]
    assert refresh["env"] == {"RUNPOD_API_KEY": "${{ secrets.RUNPOD_API_KEY }}"}
    (machine.folder / "runpod-ecr.yml").write_text((EXAMPLES / "systemd" / "runpod-ecr.yml").read_text())
    found = {"PATH": f"{TOOLS}:/usr/bin:/bin", "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
    machine.bare(["sh", "-ec", refresh["run"]], {**found, **around(machine.house)})
    assert machine.refreshed()


def test_the_workflow_asks_for_no_more_than_a_token_of_its_own() -> None:
    given = workflow()
    assert given["permissions"] == {"contents": "read", "id-token": "write"}
    assert given[True]["schedule"] == [{"cron": "17 */4 * * *"}]
    trust = json.loads((EXAMPLES / "github-actions" / "trust-policy.json").read_text())
    [statement] = trust["Statement"]
    assert set(statement["Condition"]["StringEquals"]) == {
        f"token.actions.githubusercontent.com:{claim}" for claim in ("aud", "sub")
    }
    [assume] = [step for step in given["jobs"]["refresh"]["steps"] if "role-to-assume" in step.get("with", {})]
    readme = (EXAMPLES / "github-actions" / "README.md").read_text()
    assert assume["with"]["role-to-assume"].rpartition("/")[2] in readme


def test_the_workflow_of_a_pull_role_refreshes_as_the_role_itself_without_any_right_of_its_own(
    house: House, tmp_path: Path
) -> None:
    """GitHub's provider would lend the session; here whoever converges does."""
    folder = EXAMPLES / "github-actions"
    given = yaml.safe_load((folder / "runpod-ecr-role.yml").read_text())
    [people, provider] = given.pop("runpod_ecr_role_trust")
    operator = {"principal_arns": ["arn:aws:iam::123456789012:user/operator"]}
    made = {name.removeprefix("runpod_ecr_"): value for name, value in given.items()}
    assert house.role(**made, role_trust=[operator, provider]).failure == ""
    assert people["principal_arns"] and house.secrets() == house.users() == []

    plain, of_role = (yaml.safe_load((folder / name).read_text()) for name in ("refresh.yml", "refresh-role.yml"))
    steps = of_role["jobs"]["refresh"]["steps"]
    [assume] = [step["with"] for step in steps if "role-to-assume" in step.get("with", {})]
    role = house.client("iam").get_role(RoleName=USER)["Role"]
    assert assume["role-to-assume"] == role["Arn"] and {**of_role, "jobs": 0} == {**plain, "jobs": 0}
    assert [one["Action"] for one in role["AssumeRolePolicyDocument"]["Statement"]].count(
        "sts:AssumeRoleWithWebIdentity"
    )

    sts = house.client("sts")
    lent = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="GitHubActions")["Credentials"]
    machine = Machine(house, tmp_path)
    (tmp_path / "runpod-ecr-role.yml").write_text((folder / "runpod-ecr-role.yml").read_text())
    session = {
        "AWS_ACCESS_KEY_ID": lent["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": lent["SecretAccessKey"],
        "AWS_SESSION_TOKEN": lent["SessionToken"],
    }
    house.sandbox.forget_calls()
    machine.bare(["sh", "-ec", steps[-1]["run"]], {**environment(house), **session})
    assert {call["name"] for call in house.sandbox.aws_calls()} <= {
        *("sts:GetCallerIdentity", "sts:GetScopedCredentials", "ecr:GetAuthorizationToken")
    }
    assert machine.refreshed()


def environment(house: House) -> dict[str, str]:
    return {
        "PATH": f"{TOOLS}:/usr/bin:/bin",
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        **around(house),
    }


def test_environments_have_users_and_names_of_their_own(house: House, tmp_path: Path) -> None:
    machine = Machine(house, tmp_path)
    readme = (EXAMPLES / "environments" / "README.md").read_text()
    [commands] = re.findall(r"```sh\n(.+?)```", readme, re.DOTALL)
    for stage in ("dev", "stage", "prod"):
        house.arrange_host(EXAMPLES / "environments" / "inventory", stage)
    house.call("runpod_template", {"name": "training-dev", "state": "absent"})
    said = machine.bare(["sh", "-ec", commands], environment(house), EXAMPLES / "environments")
    [foretold, *changed] = re.findall(r"^(\w+) +: ok=\d+ +changed=(\d+)", said, re.MULTILINE)
    assert foretold == ("dev", "1")
    assert {stage: int(count) > 0 for stage, count in changed} == {"dev": True, "stage": False, "prod": False}
    stages = ("dev", "prod", "stage")
    assert sorted(house.users()) == [f"runpod-ecr-{stage}" for stage in stages]
    assert sorted(house.secrets()) == [f"runpod-ecr/runpod-ecr-{stage}" for stage in stages]
    held = house.runpod()
    assert sorted(one["name"] for one in held["templates"]) == [f"training-{stage}" for stage in stages]
    assert len({one["registry"] for one in held["templates"]}) == 3
    assert {one["name"]: one["env"] for one in held["templates"]}["training-prod"] == {"STAGE": "prod"}


def test_one_image_and_a_play_that_exists_run_as_printed(house: House, tmp_path: Path) -> None:
    machine = Machine(house, tmp_path)
    assert house.role().failure == ""
    house.call("runpod_template", {"name": "runpod-gpu-training", "state": "absent"})
    machine.bare(["ansible-playbook", "site.yml"], environment(house), EXAMPLES / "one-image")
    [template] = house.runpod()["templates"]
    assert template["image"] == IMAGE
    said = machine.bare(
        ["ansible-playbook", "site.yml", "--tags", "refresh"], environment(house), EXAMPLES / "existing-play"
    )
    assert "Refresh | Run with" in said or "Keep the token fresh" in said
    assert "Tell what is released" not in said and "changed=0" in said
    said = machine.bare(
        ["ansible-playbook", "site.yml", "--tags", "pull"], environment(house), EXAMPLES / "existing-play"
    )
    assert template["id"] in said


def test_every_example_is_in_the_list() -> None:
    listed = set(re.findall(r"^\| \[([a-z-]+)\]", (EXAMPLES / "README.md").read_text(), re.MULTILINE))
    assert listed - {"eda"} == {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
