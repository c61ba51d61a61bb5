# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The execution environment: what ansible-builder makes of its definition, and finds in the collection."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from importlib import resources
from pathlib import Path

import pytest
import yaml
from ansible.release import __version__ as TESTED
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tools.matrix import PAIRS

from .conftest import ROOT

DEFINITION = ROOT / "extensions" / "awx" / "execution-environment.yml"
OF_AAP = DEFINITION.with_name("execution-environment-aap.yml")


def run(command: str, *arguments: str) -> str:
    tool = Path(sys.executable).parent / command
    done = subprocess.run([str(tool), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lines(path: Path) -> list[str]:
    """Return the requirements of a file, without what ansible-builder says of where each is from."""
    kept = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in kept if line]


def created(definition: Path, folder: Path) -> Path:
    where = ["--context", str(folder), "--output-filename", "Containerfile"]
    run("ansible-builder", "create", "--file", str(definition), *where)
    return folder


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return created(DEFINITION, tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def needs(tmp_path_factory: pytest.TempPathFactory, context: Path, archive: Path) -> Path:
    """What ansible-builder finds in the collections, as it will in the image: in what is published of this one."""
    folder = tmp_path_factory.mktemp("collections")
    collections = folder / "ansible_collections"
    with tarfile.open(archive) as content:
        content.extractall(collections / "gpuops" / "runpod", filter="data")
    manifest = Path(str(resources.files("ansible_collections.amazon.aws").joinpath("MANIFEST.json")))
    shutil.copytree(manifest.parent, collections / "amazon" / "aws", ignore=shutil.ignore_patterns("plugins"))
    found = [f"--write-pip={folder}/python", f"--write-bindep={folder}/system"]
    exclude = f"--exclude-pip-reqs={context}/_build/exclude-requirements.txt"
    assert "aiobotocore" in run("ansible-builder", "introspect", str(folder))
    run("ansible-builder", "introspect", str(folder), exclude, *found)
    return folder


def test_image_gets_what_the_collections_need_and_nothing_else(needs: Path) -> None:
    assert {Requirement(line).name for line in lines(needs / "python")} == {"boto3", "botocore"}
    system = [line for line in lines(needs / "system") if "[test " not in line]  # what amazon.aws' own tests need
    assert sorted(system) == ["skopeo [platform:dpkg]", "skopeo [platform:rpm]"]


def test_context_holds_what_the_collection_needs_and_nothing_else(context: Path) -> None:
    assert {Requirement(line).name for line in lines(context / "_build" / "requirements.txt")} == {"boto3", "botocore"}
    assert lines(context / "_build" / "bindep.txt") == ["skopeo [platform:dpkg]", "skopeo [platform:rpm]"]


def test_context_holds_the_collections_and_nothing_of_the_checkout(context: Path) -> None:
    made = {str(path.relative_to(context)) for path in context.rglob("*") if path.is_file()}
    scripts = {name for name in made if name.startswith("_build/scripts/")}
    files = ("requirements.yml", "requirements.txt", "bindep.txt", "exclude-requirements.txt")
    assert made - scripts == {"Containerfile", *(f"_build/{name}" for name in files)}
    galaxy = yaml.safe_load((context / "_build" / "requirements.yml").read_text())
    metadata = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert galaxy == {
        "collections": [
            *({"name": name, "version": version} for name, version in metadata["dependencies"].items()),
            {"name": f"{metadata['repository']}.git", "type": "git", "version": "main"},
        ]
    }
    assert lines(context / "_build" / "exclude-requirements.txt") == ["aiobotocore"]


def test_image_is_built_with_an_ansible_that_the_collection_runs_on(context: Path) -> None:
    steps = (context / "Containerfile").read_text().splitlines()
    [references] = [line for line in steps if line.startswith("ARG ANSIBLE_INSTALL_REFS=")]
    core, runner = (Requirement(part) for part in references.partition("=")[2].strip('"').split())
    assert (core.name, runner.name) == ("ansible-core", "ansible-runner")
    lowest = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["requires_ansible"]
    assert Version(TESTED) in core.specifier and Version(TESTED) in SpecifierSet(lowest)
    major, minor = Version(TESTED).release[:2]
    assert f"{major}.{minor - 1}.9" not in core.specifier and f"{major}.{minor + 1}.0" not in core.specifier


def test_image_for_aap_keeps_the_ansible_of_its_base_and_gets_what_runs_on_it(tmp_path: Path) -> None:
    context = created(OF_AAP, tmp_path)
    steps = (context / "Containerfile").read_text()
    assert 'ARG EE_BASE_IMAGE="registry.redhat.io/ansible-automation-platform-26/ee-minimal-rhel9:latest"' in steps
    assert "ANSIBLE_INSTALL_REFS=" not in steps
    assert {Requirement(line).name for line in lines(context / "_build" / "requirements.txt")} == {"boto3", "botocore"}
    galaxy = yaml.safe_load((context / "_build" / "requirements.yml").read_text())["collections"]
    on_2_16 = next(pair for pair in PAIRS if pair.core == "2.16").versions()[2]
    assert on_2_16 in SpecifierSet(galaxy[0]["version"])


def test_git_is_where_collections_are_fetched_and_not_in_the_image(context: Path) -> None:
    stages: dict[str, list[str]] = {}
    stage = ""
    for line in (context / "Containerfile").read_text().splitlines():
        stage = line.rpartition(" AS ")[2] if line.startswith("FROM ") else stage
        stages.setdefault(stage, []).append(line)
    fetching = [
        number for number, line in enumerate(stages["galaxy"]) if "git-core" in line or "collection install" in line
    ]
    assert "git-core" in stages["galaxy"][fetching[0]] and len(fetching) == 2
    assert not [line for name in ("base", "final") for line in stages[name] if "git-core" in line]
    assert "FROM base AS final" in stages["final"]


def test_needs_of_python_are_no_more_than_those_of_amazon_aws() -> None:
    theirs = resources.files("ansible_collections.amazon.aws").joinpath("requirements.txt").read_text().splitlines()
    lowest = {Requirement(line).name: line.partition(">=")[2] for line in lines(ROOT / "requirements.txt")}
    needed = {Requirement(line).name: line.partition(">=")[2] for line in theirs if line.startswith("boto")}
    assert lowest.keys() == needed.keys()
    assert all(Version(lowest[name]) <= Version(needed[name]) for name in needed)
