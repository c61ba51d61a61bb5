# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever command a plugin prints is one, of a program that takes it, and says nothing else whatever names are in it.

A new command is covered by being there.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sandbox.aws_cli import parse

from .plugins.documented import options
from .printed_commands import PACKAGE, ROOT, Printed, commands, printed

PRINTED = printed()
NAMES = [
    "it's \"x\" $(touch carried-out) `touch carried-out` ${HOME} \\ a=b,c=d {{ lookup('pipe', 'id') }} {% raw %} é",
    "-x; touch carried-out; #' || touch carried-out & > carried-out",
    "--profile=other 'touch carried-out",
    "x\ntouch carried-out\n'",
]
KEY = "AKIAIOSFODNN7EXAMPLE"  # whose place ID takes
PLACEHOLDERS = {"NAME", "REGION", "ENTRY", "REPOSITORY", "TAG"}
RECORDS = '#!/bin/sh\nfor word in "${0##*/}" "$@"; do printf "%s\\0" "$word"; done >> "$RECORD"\n'


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs that write down with which words they were called."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("aws", "ansible", "ansible-playbook"):
        program = folder / name
        program.write_text(RECORDS)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def pasted(command: str, programs: Path, folder: Path) -> list[list[str]]:
    """Paste a command into a shell in an empty folder; return the words of each program that it called."""
    record, work = folder / "record", folder / "empty"
    record.write_bytes(b"")
    work.mkdir(exist_ok=True)
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "RECORD": str(record)}
    done = subprocess.run(["sh", "-c", command], cwd=work, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), command
    assert list(work.iterdir()) == []
    words = record.read_bytes().decode().split("\0")[:-1]
    starts = [number for number, word in enumerate(words) if word in ("aws", "ansible", "ansible-playbook")]
    return [words[start:end] for start, end in zip(starts, [*starts[1:], len(words)], strict=True)]


def texts(value: Any) -> list[str]:
    """Return the texts within parameters."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_the_search_finds_commands_of_each_kind() -> None:
    found = [command for each in PRINTED for command in commands(each.filled("NAME"))]
    assert {command.split()[0] for command in found} == {"aws", "ansible", "ansible-playbook"}
    assert len(PRINTED) >= 44


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PRINTED, ids=lambda each: each.name)
def test_a_command_is_taken_whatever_names_are_in_it(place: Printed, name: str, programs: Path, tmp_path: Path) -> None:
    found = commands(place.filled(name))
    assert found, place.filled(name)
    for command in found:
        for program, *words in pasted(command, programs, tmp_path):
            TAKES[program](words, name)


def of_aws(words: list[str], name: str) -> None:
    given = parse([KEY if word == "ID" else word for word in words])
    known = {name, KEY, *PLACEHOLDERS}
    fixed = {"Active", "Inactive", "Parameter", "SecureString", "true", "iam", "us-east-1", "gpuops.runpod/managed"}
    strange = [text for text in texts(given.parameters) if text not in known | fixed]
    assert all(text.startswith('{"pending"') for text in strange), strange


def of_ansible(words: list[str], dummy: str) -> None:
    host, dash, module, of, arguments = words
    assert (host, dash, of) == ("localhost", "-m", "-a")
    called = import_module(f"{PACKAGE}plugins.modules.{module.removeprefix('gpuops.runpod.')}")
    assert json.loads(arguments).keys() <= options(called).keys() | {"secret_store"}


def of_a_playbook(words: list[str], dummy: str) -> None:
    playbook, *rest = words
    assert (ROOT / "playbooks" / f"{playbook.removeprefix('gpuops.runpod.')}.yml").exists()
    variables = yaml.safe_load((ROOT / "roles/runpod_ecr/meta/argument_specs.yml").read_text())["argument_specs"]
    for flag, word in zip(rest[::2], rest[1::2], strict=True):
        assert flag == "-e"
        known = variables["main"]["options"].keys()
        assert word == "@VARIABLES.yml" or re.split("=", word)[0] in known, word


TAKES = {"aws": of_aws, "ansible": of_ansible, "ansible-playbook": of_a_playbook}
