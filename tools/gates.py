# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible Galaxy, Automation Hub and the ansible package ask of a collection, looked at on the artifact itself.

python -m tools.gates [GATE…]

Each gate reads what its tool says, not only its exit code: a warning is a problem.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tools import artifact, environments, sbom
from tools.environments import BIN, COLLECTION, ROOT, CheckError

LOCKS = ROOT / "tools" / "requirements"
BUILD = ROOT / ".build" / "gates"
LOG = BUILD / "environments.log"
PYTHON = "{}.{}".format(*sys.version_info)

# As Automation Hub certifies.
IMPORTER = {
    "CHECK_CHANGELOG": "true",
    "CHECK_REQUIRED_TAGS": "true",
    "REQUIRE_V1_OR_GREATER": "true",
    "RUN_ANSIBLE_DOC": "true",
    "RUN_ANSIBLE_LINT": "true",
    "RUN_FLAKE8": "true",
}
LINTED = "Passed: 0 failure(s), 0 warning(s)"
# A violation or a message; but it is offline, and playbooks/awx.yml uses awx.awx, which no package index has, or what a
# variable names in its place.
LINT_LOG = r"^\S+:\d+(:\d+)?: |^(WARNING|ERROR)(?!.*( offline mode\.| of (awx\.awx|\{\{ \w+ \}\})\.\w+ module\.)$)"
# Errors and warnings, but not what ansible-test and its pip say of the machine: that an index has no page, that a test
# needs another Python, that the locale en_US.UTF-8 is not installed; nor that it repeats its warnings at the end.
SANITY_LOG = r"^(ERROR|WARNING: (?!Location|Skipping|Using locale|Reviewing previous))"


class Subject(NamedTuple):
    """The artifact, and where it is unpacked beside amazon.aws."""

    archive: Path
    collections: Path

    @property
    def tree(self) -> Path:
        return self.collections / "ansible_collections" / "gpuops" / "runpod"


def prepared() -> Subject:
    subject = Subject(artifact.build(BUILD / "artifact"), BUILD / "collections")
    shutil.rmtree(subject.collections, ignore_errors=True)
    artifact.unpack(subject.archive, subject.collections)
    (subject.collections / "ansible_collections" / "amazon").mkdir()
    link_amazon(subject.collections, BIN)
    return subject


def link_amazon(collections: Path, binaries: Path) -> None:
    [packages] = binaries.parent.glob("lib/python*/site-packages")
    (collections / "ansible_collections" / "amazon" / "aws").symlink_to((packages / COLLECTION).resolve())


def said(command: list[str], cwd: Path, **environment: str) -> tuple[int, str]:
    """Run a command of the checks' environment; return its exit code and all that it said."""
    given = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1", **environment}
    done = subprocess.run(
        command, cwd=cwd, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def problems(code: int, output: str, pattern: str) -> list[str]:
    """The lines that match, or the end of the output of a command that failed."""
    found = [line for line in output.splitlines() if re.search(pattern, line)]
    return found or ([f"exit code {code}", *output.splitlines()[-20:]] if code else [])


def built_twice(subject: Subject) -> list[str]:
    """Two builds are the same byte for byte."""
    with tempfile.TemporaryDirectory() as folder:
        again = artifact.build(Path(folder))
        return [] if again.read_bytes() == subject.archive.read_bytes() else ["two builds differ"]


def contents(subject: Subject) -> list[str]:
    """Nothing is in it but what is allowed, and no test is ignored."""
    with tarfile.open(subject.archive) as source:
        names = source.getnames()
    ignored = [name for name in names if re.search(r"(^|/)(ignore-.*|\.ansible-lint.*)$", name)]
    return [f"{name} is not allowed" for name in [*artifact.unexpected(subject.archive), *ignored]]


def importer(subject: Subject) -> list[str]:
    """galaxy-importer, as Automation Hub runs it, has no word of warning."""
    made = environments.make(BUILD / "importer", PYTHON, LOCKS / "importer.txt", LOCKS / "collections.txt", LOG)
    settings = {f"GALAXY_IMPORTER_{name}": value for name, value in IMPORTER.items()}
    path = f"{made}{os.pathsep}{os.environ['PATH']}"
    command = [str(made / "python"), "-m", "galaxy_importer.main", str(subject.archive)]
    code, output = said(command, BUILD, PATH=path, **settings)
    if not code and "Importer processing completed successfully" not in output:
        return ["the importer did not say that it completed", *output.splitlines()[-20:]]
    return problems(code, output, r"^(WARNING|ERROR|CRITICAL)|warning\(s\), [1-9]")


def lint(subject: Subject) -> list[str]:
    """ansible-lint at production, on the artifact and without a setting of ours."""
    command = ["ansible-lint", "--strict", "--offline", "--format=pep8", "--profile", "production"]
    code, output = said(command, subject.tree, ANSIBLE_COLLECTIONS_PATH=str(subject.collections))
    missing = [] if code or LINTED in output else [f"ansible-lint did not say '{LINTED}'", output]
    return problems(code, output, LINT_LOG) + missing


def docs(subject: Subject) -> list[str]:
    """antsibull-docs has nothing to say about the artifact, nor antsibull-changelog about the repository."""
    command = ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=all", "."]
    code, output = said(command, subject.tree, ANSIBLE_COLLECTIONS_PATH=str(subject.collections))
    found = problems(code, output, r"\S")
    code, output = said(["antsibull-changelog", "lint"], ROOT)
    return found + problems(code, output, r"\S")


def requirements_told(subject: Subject) -> list[str]:
    """ansible-doc tells of each module the Python and the SDK that it needs."""
    lowest = re.findall(r"python_requires: .>=([\d.]+)", (ROOT / "tests" / "config.yml").read_text())[0]
    names = [f"gpuops.runpod.{path.stem}" for path in sorted((subject.tree / "plugins" / "modules").glob("*.py"))]
    command = ["ansible-doc", "--type", "module", "--json", *names]
    code, output = said(command, BUILD, ANSIBLE_COLLECTIONS_PATH=str(subject.collections), ANSIBLE_NOCOLOR="1")
    if code:
        return [output]
    told = {name: page["doc"].get("requirements", []) for name, page in json.loads(output).items()}
    pythons = {name: [each for each in needs if each.startswith("python")] for name, needs in told.items()}
    return [f"{name}: {needs}" for name, needs in pythons.items() if needs != [f"python >= {lowest}"]]


def licences(subject: Subject) -> list[str]:
    """REUSE: every file of the repository and of the artifact has its licence."""
    made = environments.make(BUILD / "reuse", PYTHON, LOCKS / "reuse.txt", None, LOG, built=True)
    unpacked = BUILD / "reuse-tree"
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.copytree(subject.tree, unpacked)
    found = []
    for tree in (ROOT, unpacked):
        code, output = said([str(made / "reuse"), "--root", str(tree), "lint", "--lines"], tree)
        found += problems(code, output, r"\S")
    return found


def builder(subject: Subject) -> list[str]:
    """ansible-builder makes a context of each definition, and finds in the artifact what it needs."""
    found = []
    for definition in sorted((subject.tree / "extensions" / "awx").glob("execution-environment*.yml")):
        where = ["--context", str(BUILD / definition.stem), "--output-filename", "Containerfile"]
        code, output = said(["ansible-builder", "create", "--file", str(definition), *where], BUILD)
        found += problems(code, output, r"(?i)\b(warning|error)\b")
    return found


def sanity(subject: Subject) -> list[str]:
    """ansible-test sanity of the ansible-core of make test, on the artifact: none is ignored."""
    home = BUILD / "sanity-home"
    command = [sys.executable, "-m", "tools.ansible_test", str(BIN), str(subject.tree), str(home), PYTHON]
    code, output = said(command, ROOT)
    return problems(code, output, SANITY_LOG)


def bill(subject: Subject) -> list[str]:
    """The SBOM is one that CycloneDX' own schema takes."""
    made = environments.make(BUILD / "sbom", PYTHON, LOCKS / "sbom.txt", None, LOG)
    path = BUILD / "sbom.cdx.json"
    path.write_text(sbom.bill(subject.archive))
    code, output = said([str(made / "python"), str(ROOT / "tools" / "valid_sbom.py"), str(path)], BUILD)
    return problems(code, output, r"\S")


GATES: dict[str, Callable[[Subject], list[str]]] = {
    "built_twice": built_twice,
    "contents": contents,
    "lint": lint,
    "docs": docs,
    "requirements_told": requirements_told,
    "importer": importer,
    "licences": licences,
    "builder": builder,
    "bill": bill,
    "sanity": sanity,
}


def main(names: list[str]) -> int:
    if unknown := set(names) - set(GATES):
        raise CheckError(f"there is no gate {', '.join(sorted(unknown))}: {' '.join(GATES)}")
    BUILD.mkdir(parents=True, exist_ok=True)
    subject = prepared()
    failed = []
    for name in names or GATES:
        found = GATES[name](subject)
        print(f"{name}: {'passed' if not found else 'FAILED'}  {GATES[name].__doc__}", flush=True)
        if found:
            print("\n".join(f"    {line}" for line in found), flush=True)
            failed.append(name)
    return int(bool(failed))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CheckError as error:
        sys.exit(str(error))
