# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies are pasted into a shell: what a thing is called is data to it and to Ansible."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.finding import module_call
from ansible_collections.gpuops.runpod.plugins.modules import runpod_info

from .conftest import IMAGE, ROOT, House

NAMES = [
    "{{ lookup('pipe', 'touch carried-out') }} {% raw %} it's \"x\" a=b $(touch carried-out) `touch carried-out`",
    "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n[[ lookup('pipe', 'touch carried-out') ]]",
    "'; touch carried-out; ' \\x1b \\n é \x1b[31m \u202e \U0001f600",
]


CALL = re.compile(r"ansible localhost -m gpuops\.runpod\.\w+ -a '[^']*'")


def paste(house: House, remedy: str, folder: Path) -> None:
    """Paste a remedy into a shell in an empty folder; it succeeds, and makes nothing there."""
    environment = house.environment() | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
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


@pytest.mark.parametrize(("seed", "module", "holds"), CASES, ids=[each[0].__name__ for each in CASES])
@pytest.mark.parametrize("name", NAMES[:1])
def test_the_remedy_of_a_finding_does_what_it_says(
    house: House,
    seed: Callable[[House, str], str],
    module: str,
    holds: Callable[[House], bool],
    name: str,
    tmp_path: Path,
) -> None:
    """The placeholder NAME is that of a credential here."""
    house.sandbox.runpod.seed("registries", {"name": "NAME", "username": "AWS", "password": "x"})
    code = seed(house, name)
    found: list[dict[str, Any]] = house.runs.outcome(runpod_info, {}).results["findings"]
    [remedy] = [each["remedy"] for each in found if each["code"] == code and each["name"] != "NAME"]
    assert remedy.isprintable()
    [command] = [each for each in CALL.findall(remedy) if f".{module} " in each]
    paste(house, command, tmp_path)
    assert holds(house)
