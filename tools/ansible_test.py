# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test of any ansible-core, on an unpacked artifact, from the package index alone."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

# Stands in for the script that ansible-test fetches from a site of its own; its name has the version of pip.
GET_PIP_SCRIPT = """\
import subprocess, sys

packages = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
sys.exit(subprocess.call([{python!r}, "-m", "pip", "--python", sys.executable, "install", *packages]))
"""

# Tests that must have looked at something: ansible-test calls it a success when all targets are skipped.
THAT_COUNT = ("import", "validate-modules", "pylint")


def sanity(binaries: Path, tree: Path, home: Path, python: str, *arguments: str) -> list[str]:
    """Run the sanity tests of an ansible-core on a tree; return what is wrong, or that nothing was looked at.

    The arguments are those of ansible-test, such as --skip-test and a name.
    """
    make_repository(tree)
    make_home(binaries, home)
    environment = {**os.environ, "HOME": str(home), "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    command = [str(binaries / "ansible-test"), "sanity", "--local", "--python", python, "--junit", *arguments]
    code = subprocess.run(command, cwd=tree, env=environment, check=False).returncode
    reports = sorted((tree / "tests" / "output" / "junit").glob("*sanity-*.xml"))
    wrong = [f"exit code {code}"] if code else []
    wrong += [f"{path.stem}: failed" for path in reports if has(path, "failure") or has(path, "error")]
    wrong += [
        f"{name}: nothing was looked at" for name in THAT_COUNT if name not in arguments and not looked(reports, name)
    ]
    return wrong


def looked(reports: list[Path], name: str) -> bool:
    return any(f"sanity-{name}" in path.name and not has(path, "skipped") for path in reports)


def has(report: Path, tag: str) -> bool:
    return any(True for dummy in ElementTree.parse(report).iter(tag))


def make_repository(tree: Path) -> None:
    """Make a tree a repository of its own, or ansible-test finds nothing to look at."""
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", "-C", str(tree), *command], check=True)


def make_home(binaries: Path, home: Path) -> None:
    """Make the home in which ansible-test keeps its environments: with its pip at hand, and pip's settings in a file,
    as it does not pass them on from the environment.
    """
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in pips(binaries):
        script = cache / f"get_pip_{version.replace('.', '_')}.py"
        script.write_text(GET_PIP_SCRIPT.format(python=sys.executable))
    settings = home / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.touch(mode=0o600)
    settings.write_text("\n".join(["[global]", *pip_settings()]) + "\n")


def pips(binaries: Path) -> set[str]:
    """The versions of pip that an ansible-test may ask for."""
    [source] = binaries.parent.glob("lib/python*/site-packages/ansible_test/_internal/python_requirements.py")
    return set(re.findall(r"""\bpip(?:=|['"]: *)['"]([\d.]+)['"]""", source.read_text()))


def pip_settings() -> list[str]:
    """The user's settings of pip, as lines of a configuration file."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pairs = [line.split("=", maxsplit=1) for line in listing.splitlines()]
    values = {"quiet": "1"} | {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, value in pairs}
    return [f"{key} = {value}".replace("\n", "\n  ") for key, value in values.items()]


if __name__ == "__main__":
    [binaries, tree, home] = map(Path, sys.argv[1:4])
    sys.exit("\n".join(sanity(binaries, tree, home, *sys.argv[4:])) or None)
