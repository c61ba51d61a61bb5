# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies are pasted into a shell: what a thing is called is data to it and to Ansible."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.finding import module_call
from ansible_collections.gpuops.runpod.plugins.modules import ecr_pull_user, ecr_pull_user_info, runpod_info

from .conftest import IMAGE, ROOT, House

NAMES = [
    "{{ lookup('pipe', 'touch carried-out') }} {% raw %} it's \"x\" a=b $(touch carried-out) `touch carried-out`",
    "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n[[ lookup('pipe', 'touch carried-out') ]]",
    "'; touch carried-out; ' \\x1b \\n é \x1b[31m \u202e \U0001f600",
]


CALL = re.compile(r"ansible localhost -m gpuops\.runpod\.\w+ -a '[^']*'")


def paste(house: House, remedy: str, folder: Path, programs: Path | str = "") -> None:
    """Paste a remedy into a shell in an empty folder; it succeeds, and makes nothing there."""
    environment = house.environment() | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["sh", "-c", remedy], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(folder.iterdir()) == []
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_remedy_acts_on_what_has_this_name_and_does_nothing_else(house: House, name: str, tmp_path: Path) -> None:
    house.sandbox.runpod.seed("templates", {"name": name})
    house.sandbox.runpod.seed("templates", {"name": "another"})
    paste(house, module_call("runpod_template", name=name, state="absent"), tmp_path)
    assert [each["name"] for each in house.runpod()["templates"]] == ["another"]


# What the account's findings say is to be done


def unused_credential(house: House, name: str) -> str:
    house.sandbox.runpod.seed("registries", {"name": name, "username": "AWS", "password": "x"})
    return "credential_unused"


def unused_delegation(house: House, name: str) -> str:
    house.sandbox.runpod.seed("delegations", {"name": name, "repository": "app", "awsUser": "123456789012"})
    return "delegation_unused"


def template_without_credential(house: House, name: str) -> str:
    house.sandbox.runpod.seed("templates", {"name": name, "image": IMAGE, "registry": "gone"})
    return "credential_gone"


def endpoint_without_credential(house: House, name: str) -> str:
    house.sandbox.runpod.seed("endpoints", {"name": name, "image": IMAGE, "registry": "gone"})
    return "credential_gone"


def no_credential(house: House) -> bool:
    return [each["name"] for each in house.runpod()["registries"]] == ["NAME"]


def no_delegation(house: House) -> bool:
    return house.runpod()["delegations"] == []


def repointed(kind: str) -> Callable[[House], bool]:
    def is_repointed(house: House) -> bool:
        [credential], [thing] = house.runpod()["registries"], house.runpod()[kind]
        return bool(thing["registry"] == credential["id"])

    return is_repointed


CASES: list[tuple[Callable[[House, str], str], str, Callable[[House], bool]]] = [
    (unused_credential, "runpod_ecr_credential", no_credential),
    (unused_delegation, "runpod_ecr_delegation", no_delegation),
    (template_without_credential, "runpod_template", repointed("templates")),
    (endpoint_without_credential, "runpod_endpoint", repointed("endpoints")),
]


def carry_out(house: House, command: str) -> None:
    """Run in this process the module of a command that is read as a shell, and then Ansible, reads it."""
    words = shlex.split(command)
    assert len(words) == 6
    house.typed(words)


@pytest.mark.parametrize(("seed", "module", "holds"), CASES, ids=[each[0].__name__ for each in CASES])
@pytest.mark.parametrize("name", NAMES)
def test_the_remedy_of_a_finding_does_what_it_says(
    house: House,
    seed: Callable[[House, str], str],
    module: str,
    holds: Callable[[House], bool],
    name: str,
) -> None:
    """The placeholder NAME is that of a credential here."""
    house.sandbox.runpod.seed("registries", {"name": "NAME", "username": "AWS", "password": "x"})
    code = seed(house, name)
    found: list[dict[str, Any]] = house.runs.outcome(runpod_info, {}).results["findings"]
    [remedy] = [each["remedy"] for each in found if each["code"] == code and each["name"] != "NAME"]
    assert remedy.isprintable()
    [command] = [each for each in CALL.findall(remedy) if f".{module} " in each]
    carry_out(house, command)
    assert holds(house)


# What the audit of a pull user says is to be done, and what keeps one alive

PULLER = "-team.a=b@c+e"  # IAM allows it
FOLDER = "/$(touch${IFS}carried-out)'`touch`\"{{7*7}}/"  # and any of ASCII but spaces in a path


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stand-in for the AWS CLI."""
    folder = tmp_path_factory.mktemp("programs")
    program = folder / "aws"
    lines = ["import sys", f"sys.path.insert(0, {str(ROOT)!r})", "from tests.sandbox.aws_cli import main"]
    program.write_text("\n".join([f"#!{sys.executable}", *lines, "sys.exit(main())", ""]))
    program.chmod(0o755)
    return folder


def strange_user(house: House) -> None:
    """A pull user with all that others can give it."""
    house.call("ecr_pull_user", {"name": PULLER, "path": FOLDER, "repositories": ["team/app"], "secret_store": {}})
    iam = house.client("iam")
    document = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
    arn = iam.create_policy(PolicyName="-b,c=d", Path=FOLDER, PolicyDocument=document)["Policy"]["Arn"]
    iam.put_user_policy(UserName=PULLER, PolicyName="-i,j=k", PolicyDocument=document)
    iam.attach_user_policy(UserName=PULLER, PolicyArn=arn)
    iam.create_group(GroupName="-g,h=i", Path=FOLDER)
    iam.add_user_to_group(UserName=PULLER, GroupName="-g,h=i")
    iam.create_access_key(UserName=PULLER)


def told_of(house: House) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = house.runs.outcome(ecr_pull_user_info, {"name": PULLER}).results["findings"]
    return found


def test_what_others_gave_a_user_goes_by_the_remedies(house: House, programs: Path, tmp_path: Path) -> None:
    strange_user(house)
    codes = {"foreign_policy", "foreign_key", "two_active_keys"}
    while remedies := [one["remedy"] for one in told_of(house) if one["code"] in codes]:
        remedy = remedies[0]
        assert remedy.isprintable()
        paste(house, remedy[remedy.index("aws iam ") :], tmp_path, programs)
    iam = house.client("iam")
    assert iam.list_user_policies(UserName=PULLER)["PolicyNames"] == ["gpuops-runpod-pull"]
    assert iam.list_attached_user_policies(UserName=PULLER)["AttachedPolicies"] == []
    assert iam.list_groups_for_user(UserName=PULLER)["Groups"] == []


def test_what_keeps_a_user_goes_by_the_remedies(house: House, programs: Path, tmp_path: Path) -> None:
    strange_user(house)
    absent = {"name": PULLER, "path": FOLDER, "secret_store": {}, "state": "absent"}
    kept = house.runs.outcome(ecr_pull_user, absent).results["remaining"]
    assert len(kept) == 4
    for one in kept:
        paste(house, one["remedy"], tmp_path, programs)
    house.call("ecr_pull_user", absent)
    assert house.users() == []


def test_a_user_is_handed_over_and_given_its_policy_back_by_the_remedies(
    house: House, programs: Path, tmp_path: Path
) -> None:
    house.client("iam").create_user(UserName=PULLER, Path=FOLDER)
    [stranger] = told_of(house)
    paste(house, stranger["remedy"].partition(": ")[2], tmp_path, programs)
    [missing] = [one["remedy"] for one in told_of(house) if one["code"] == "policy_missing"]
    paste(house, missing.replace("REPOSITORY", "team/app"), tmp_path, programs)
    assert [one["code"] for one in told_of(house)] == ["boundary_missing"]


def test_a_grant_is_made_by_the_remedy(house: House, programs: Path, tmp_path: Path) -> None:
    house.sandbox.runpod.seed("templates", {"name": NAMES[0], "image": IMAGE, "registry": None})
    [found] = house.runs.outcome(runpod_info, {}).results["findings"]
    calls = [call for call in CALL.findall(found["remedy"]) if "ecr_pull_grant" in call]
    assert len(calls) == 1
    paste(house, calls[0], tmp_path, programs)
    assert house.client("ecr").get_repository_policy(repositoryName="runpod-gpu-training")["policyText"]
