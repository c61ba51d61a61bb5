# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact, installed into an environment of a claimed ansible-core and Python, against the sandbox.

tools/matrix.py says which by BINARIES and ARTIFACT; without them it is what runs these tests, and the working tree.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import contract
from tests.sandbox.server import Sandbox
from tests.system.conftest import ENDPOINT, IMAGE, House, Run
from tools import artifact

BINARIES = Path(os.environ.get("BINARIES") or Path(sys.executable).parent)
VALUE = "template-long-value"
ARGS = '{"epochs": 3}'  # a text, though it looks like something else
TEMPLATE = {"runpod_ecr_template": {"env": {"HF_TOKEN": VALUE}}}
WAYS: dict[str, dict[str, Any]] = {
    "credential": {"runpod_ecr_endpoint": {**ENDPOINT, "data_center_ids": None, "args": ARGS}},
    "delegation": {"runpod_ecr_access": "delegation"},
    "public": {"runpod_ecr_access": "public", "runpod_ecr_acknowledge_public": True},
}


class Installed(House):
    """The sandbox, and the installed artifact, whose playbooks are run by name."""

    def __init__(self, sandbox: Sandbox, collections: Path) -> None:
        super().__init__(sandbox)
        self._collections = collections
        given = sandbox.environment
        self._secrets = {VALUE, given["RUNPOD_API_KEY"], given["AWS_SECRET_ACCESS_KEY"]}

    def environment(self) -> dict[str, str]:
        path = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"
        paths = {"ANSIBLE_COLLECTIONS_PATH": str(self._collections), "ANSIBLE_HOME": str(self._collections / "home")}
        return {**super().environment(), "PATH": path, **paths}

    def run(self, name: str, access: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook by name, at the highest verbosity: it succeeds, shows nothing secret, and is not outdated."""
        given = {"runpod_ecr_image": IMAGE, **WAYS[access], **TEMPLATE, **variables}
        done = self.play(f"gpuops.runpod.{name}", "-vvvv", "--diff", "-e", f"@{self.written(given)}", *arguments)
        assert done.code == 0, done.output
        assert f"task path: {self._collections}" in done.output
        self.note_secrets()
        assert not [secret for secret in self._secrets if secret in done.output]
        assert not outdated(done.output)
        return done

    def written(self, variables: dict[str, Any]) -> Path:
        path = self._collections / "variables.json"
        path.write_text(json.dumps(variables))
        return path

    def note_secrets(self) -> None:
        """Learn the pull user's key and the tokens that exist now."""
        if self.secrets():
            self._secrets.add(json.loads(self.entry())["secret_access_key"])
        self._secrets |= {registry["password"] for registry in self.runpod()["registries"]}


def outdated(output: str) -> list[str]:
    """Return what ansible-core deprecates, but for the modules that amazon.aws has in its group."""
    told = re.findall(r"^\[DEPRECATION WARNING\]: ((?:.+\n)+)", output, re.MULTILINE)
    return [text for text in told if not re.match(r"(\[\w+\])?\W*amazon\.aws\.", text)]


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    given = os.environ.get("ARTIFACT")
    built = Path(given) if given else artifact.build(folder)
    command = [BINARIES / "ansible-galaxy", "collection", "install", built, "--collections-path", folder, "--no-deps"]
    environment = {**os.environ, "ANSIBLE_HOME": str(folder / "home")}
    subprocess.run([*command, "--offline", "--force"], cwd=folder, env=environment, check=True)
    return folder


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(with_registries=True) as running:
        yield running


@pytest.fixture
def house(sandbox: Sandbox, collections: Path) -> Installed:
    sandbox.reset()
    return Installed(sandbox, collections)


@pytest.fixture(autouse=True)
def within_the_document() -> Iterator[None]:
    contract.taken()
    yield
    assert not contract.taken()


def test_main_job_makes_everything_and_again_changes_nothing(house: Installed) -> None:
    first = house.run("runpod_ecr", "credential")
    assert first.recap["changed"] == 4  # user, credential, template, endpoint
    again = house.run("runpod_ecr", "credential")
    assert again.recap["changed"] == 0
    [endpoint] = house.runpod()["endpoints"]
    assert endpoint["args"] == ARGS


def test_every_entry_point_of_the_role_with_a_pull_user(house: Installed) -> None:
    predicted = house.run("runpod_ecr", "credential", "--check")
    assert predicted.recap["changed"] == 1 and not house.writes()
    house.run("runpod_ecr", "credential")
    assert house.run("refresh", "credential", runpod_ecr_min_validity_hours=11.9).recap["changed"] in (0, 1)
    [former] = house.keys()
    house.run("rotate", "credential", runpod_ecr_rotate_after_days=0)
    assert house.stored() != former
    report = house._collections / "audit.html"
    audited = house.run("audit", "credential", runpod_ecr_audit_report=str(report), runpod_ecr_audit_fail_on="red")
    assert audited.recap["changed"] == 0 and report.exists()
    house.run("runpod_ecr", "credential", runpod_ecr_state="quarantined")
    assert "Active" not in house.keys().values()
    house.run("runpod_ecr", "credential", runpod_ecr_state="absent")
    assert not house.users() and not house.runpod()["templates"]


def test_a_delegation_is_made_audited_and_taken_back(house: Installed) -> None:
    assert house.run("runpod_ecr", "delegation").recap["changed"] == 3  # policy, delegation, template
    assert house.run("runpod_ecr", "delegation").recap["changed"] == 0
    house.run("audit", "delegation", runpod_ecr_audit_fail_on="red")
    house.run("runpod_ecr", "delegation", runpod_ecr_state="absent")
    assert not house.runpod()["delegations"]


def test_a_public_image_is_published_audited_and_taken_back(house: Installed) -> None:
    assert house.run("runpod_ecr", "public").recap["changed"] == 3  # repository, image, template
    assert house.run("runpod_ecr", "public").recap["changed"] == 0
    house.run("audit", "public", runpod_ecr_audit_fail_on="amber")
    house.run("runpod_ecr", "public", runpod_ecr_state="absent", runpod_ecr_public_force=True)
    assert not house.runpod()["templates"]
