# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is claimed is said everywhere alike, and is what the matrix tests."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from ansible.release import __version__ as TESTED
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tools.matrix import LINES, PAIRS, told

ROOT = Path(__file__).resolve().parents[2]
CORES = [Version(core) for core in LINES]
PYTHONS = sorted({Version(pair.python) for pair in PAIRS})
AMAZON = {pair: Version(pair.versions()[2]) for pair in PAIRS}
BOTO3 = min(Version(pair.versions()[3]) for pair in PAIRS)


def text(name: str) -> str:
    return (ROOT / name).read_text()


def load(name: str) -> Any:
    return yaml.safe_load(text(name))


def requirements() -> dict[str, SpecifierSet]:
    parsed = [Requirement(line) for line in text("requirements.txt").splitlines() if not line.startswith("#")]
    return {each.name: each.specifier for each in parsed}


def cell(page: str, row: str) -> str:
    """Return the version that a table of requirements names."""
    [found] = re.findall(rf"^\| (?:[^|]*\b)?{row}[^|]* \| ([^|]+) \|$", text(page), re.MULTILINE)
    return found


def test_requires_ansible_is_the_lowest_that_is_tested() -> None:
    assert load("meta/runtime.yml")["requires_ansible"] == f">={CORES[0]}.0"


def test_amazon_aws_is_claimed_from_the_lowest_to_the_newest_major_release_that_is_tested() -> None:
    majors = sorted({version.major for version in AMAZON.values()})
    assert majors == list(range(majors[0], majors[-1] + 1))
    assert load("galaxy.yml")["dependencies"] == {"amazon.aws": f">={majors[0]}.0.0,<{majors[-1] + 1}.0.0"}
    definition = load("extensions/awx/execution-environment.yml")["dependencies"]["galaxy"]["collections"]
    assert definition[0] == {"name": "amazon.aws", "version": f">={majors[0]}.0.0,<{majors[-1] + 1}.0.0"}


def test_the_lowest_sdk_is_tested_and_named_everywhere() -> None:
    lowest = SpecifierSet(f">={BOTO3}")
    assert requirements() == {"boto3": lowest, "botocore": lowest}
    fragment = text("plugins/doc_fragments/aws.py")
    assert f"- boto3 >= {BOTO3}\n" in fragment and f"- botocore >= {BOTO3}\n" in fragment


def test_the_lowest_python_is_named_everywhere() -> None:
    assert load("tests/config.yml")["modules"]["python_requires"] == f">={PYTHONS[0]}"
    for name in ("aws", "runpod"):
        assert f"  - python >= {PYTHONS[0]}\n" in text(f"plugins/doc_fragments/{name}.py")
    short = f"{PYTHONS[0].major}{PYTHONS[0].minor}"
    assert f'target-version = "py{short}"' in text("pyproject.toml")
    assert f'python_version = "{PYTHONS[0]}"' in text("pyproject.toml")


def test_modules_name_the_needs_of_their_own_fragments() -> None:
    """The fragment of amazon.aws names a Python that is too old."""
    for path in (ROOT / "plugins" / "modules").glob("*.py"):
        source = path.read_text()
        assert "- amazon.aws.boto3" not in source
        assert ("- gpuops.runpod.aws\n" in source) == ("- amazon.aws.common.modules" in source), path.name
        own = f"requirements:\n  - python >= {PYTHONS[0]}\n"
        assert any(each in source for each in ("- gpuops.runpod.aws\n", "- gpuops.runpod.runpod\n", own)), path.name


def test_readme_and_documentation_name_what_is_tested() -> None:
    majors = sorted({str(version.major) for version in AMAZON.values()})
    for page in ("README.md", "docs/compatibility.md"):
        assert cell(page, "ansible-core") == f"{CORES[0]} to {CORES[-1]}"
        assert cell(page, "Python, for").startswith(f"{PYTHONS[0]} to {PYTHONS[-1]}")
        assert cell(page, "collection amazon.aws") == f"{', '.join(majors[:-1])} or {majors[-1]}"
        assert cell(page, "boto3 and botocore").startswith(f"{BOTO3} or newer")
        assert cell(page, "skopeo") == "1.9 or newer"


def test_the_table_of_the_documentation_has_every_pair_with_its_versions() -> None:
    table = told(text("docs/compatibility.md"))
    assert list(table) == [tuple(pair.versions()) for pair in PAIRS]
    assert {each for cells in table.values() for each in cells} == {"passed"}


def test_every_lock_is_renewed_by_a_session() -> None:
    sessions = text("noxfile.py") + text("tools/locks.py")
    for path in (ROOT / "tools" / "requirements").glob("*.in"):
        assert f'"{path.stem}"' in sessions, path.name


def test_every_pair_is_locked_to_a_version_of_its_line() -> None:
    for pair in PAIRS:
        core, dummy, amazon, boto3 = pair.versions()
        assert ".".join(core.split(".")[:2]) == pair.core
        assert pair.lock("-tests").exists() and "ansible==" in pair.lock("-collections").read_text()
        assert Version(boto3) in requirements()["boto3"], pair


def test_what_make_test_runs_on_is_one_of_the_lines() -> None:
    manifest = resources.files("ansible_collections.amazon.aws").joinpath("MANIFEST.json").read_text()
    [line] = [pair for pair in PAIRS if pair.versions()[0] == TESTED][:1]
    assert json.loads(manifest)["collection_info"]["version"] == line.versions()[2]
    ignored = [path.name for path in (ROOT / "tests" / "sanity").glob("ignore-*.txt")]
    assert ignored == [f"ignore-{line.core}.txt"]


def test_an_execution_environment_gets_the_files_that_the_collection_names() -> None:
    named = load("meta/execution-environment.yml")["dependencies"]
    assert named == {"python": "requirements.txt", "system": "bindep.txt"}
    for definition in ("execution-environment.yml", "execution-environment-aap.yml"):
        given = load(f"extensions/awx/{definition}")["dependencies"]
        assert [given["python"], given["system"]] == ["../../requirements.txt", "../../bindep.txt"]
    assert re.findall(r"^(\w+) \[platform:(\w+)\]$", text("bindep.txt"), re.MULTILINE) == [
        ("skopeo", "dpkg"),
        ("skopeo", "rpm"),
    ]


def test_the_readme_links_absolutely_and_installs_no_ansible_by_pip() -> None:
    readme = text("README.md")
    assert not re.findall(r"\]\((?!https://|#)[^)]*\)", readme)
    assert "pip install ansible" not in readme
    for heading in ("Requirements", "Install", "Communication", "Licence"):
        assert f"\n## {heading}" in readme
    assert "CHANGELOG.md" in readme


def test_workflows_pin_actions_and_only_call_our_commands() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        jobs = yaml.safe_load(path.read_text())["jobs"].values()
        used = [job["uses"] for job in jobs if "uses" in job]
        steps = [step for job in jobs for step in job.get("steps", [])]
        used += [step["uses"] for step in steps if "uses" in step]
        assert all(re.fullmatch(r"\./\S+|[\w/.-]+@[0-9a-f]{40}", each) for each in used), path.name
        run = [step["run"] for step in steps if "run" in step]
        ours = re.compile(r"make (test|demo)|tools/bootstrap test|\.venv/bin/\S+ .*|gh release create .*")
        assert all(ours.fullmatch(line) for line in run), path.name


def test_everything_came_with_a_release_that_there_is_or_will_be() -> None:
    """1.0.0 is the first that is published."""
    sources = [path.read_text() for path in [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "roles").rglob("*.yml")]]
    named = {found for source in sources for found in re.findall(r"^ *version_added: *(\S+)", source, re.MULTILINE)}
    assert {
        each for each in named if not Version("1.0.0") <= Version(each) <= Version(load("galaxy.yml")["version"])
    } == set()


def test_no_code_needs_a_newer_python_or_ansible_core_than_the_lowest() -> None:
    """What is tested in one process is found here; what a run shows is for the matrix."""
    newer = re.compile(r"\bimport .*\bUTC\b|\bdatetime\.UTC\b|ansible\.module_utils\.testing|^ *except\*", re.MULTILINE)
    paths = [path for folder in ("plugins", "tests", "tools") for path in (ROOT / folder).rglob("*.py")]
    for path in paths:
        source = path.read_text()
        ast.parse(source, feature_version=(PYTHONS[0].major, PYTHONS[0].minor))
        assert path == Path(__file__) or not newer.search(source), path


BINARY = {"and", "or", "in", "is", "not", *"+-*/%|&^<>", "**", "//", "==", "!=", "<=", ">=", "<<", ">>", "@"}


def breaks(source: str) -> list[int]:
    """Return the lines of which flake8 says W503 or E203: they begin with an operator, or a colon follows a blank."""
    tokens = [each for each in tokenize.generate_tokens(io.StringIO(source).readline) if each.type != tokenize.COMMENT]
    found = []
    for before, broken, token in zip(tokens, tokens[1:], tokens[2:], strict=False):
        operand = before.type in (tokenize.NAME, tokenize.NUMBER, tokenize.STRING) or before.string in {
            ")",
            "]",
            "}",
            '"',
        }
        if broken.type == tokenize.NL and operand and before.string not in BINARY and token.string in BINARY:
            found.append(token.start[0])
        if token.string == ":" and token.type == tokenize.OP and broken.end[0] == token.start[0]:
            found += [token.start[0]] if broken.end[1] < token.start[1] else []
    return found


def test_galaxys_importer_will_not_warn_of_operators_and_slices() -> None:
    """It runs flake8 with what ruff's formatter does not heed."""
    assert breaks("x = (a\n    and b)\n") == [2] and breaks("x = y[a : b]\n") == [1]
    assert not breaks("x = f(\n    *a,\n    -b,\n    not c,\n)\n") and not breaks("x = y[a:b]\n")
    wrong = {path: breaks(path.read_text()) for path in (ROOT / "plugins").rglob("*.py")}
    assert {str(path.relative_to(ROOT)): lines for path, lines in wrong.items() if lines} == {}
