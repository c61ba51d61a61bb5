# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies, carried out to the letter: what is printed is read as a shell reads it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

from tests.sandbox import aws_cli
from tests.system.conftest import ROOT, House

from .bases import Base, converge

PROGRAMS = ("ansible-playbook ", "ansible localhost ", "aws ")


class NotCarriedOutError(AssertionError):
    """A remedy that prints something else than a command that works."""


def command_of(remedy: str) -> str:
    """Return the command that a remedy prints; empty when it is in words."""
    places = [
        0 if remedy.startswith(program) else place + 2
        for program in PROGRAMS
        if remedy.startswith(program) or (place := remedy.find(f": {program}")) >= 0
    ]
    return remedy[min(places) :] if places else ""


def carry_out(house: House, base: Base, remedy: str) -> None:
    """Do what the command of a remedy does, in this process."""
    for command in command_of(remedy).split(" && "):
        one_command(house, base, remedy, shlex.split(command))


def one_command(house: House, base: Base, remedy: str, words: list[str]) -> None:
    if words[0] == "aws":
        of_aws(house, words)
    elif words[0] == "ansible":
        if words[:3] != ["ansible", "localhost", "-m"] or words[4] != "-a" or len(words) != 6:
            raise NotCarriedOutError(remedy)
        house.typed(words)
    else:
        of_a_playbook(house, base, words)


def of_aws(house: House, words: list[str]) -> None:
    command = aws_cli.parse(words[1:], "us-east-1")
    aws_cli.call(command, house.client(command.service, command.region))


def of_a_playbook(house: House, base: Base, words: list[str]) -> None:
    entries = {"runpod_ecr": "main", "refresh": "refresh", "rotate": "rotate"}
    entry = entries[words[1].rpartition(".")[2]]
    given = [word for flag, word in zip(words[2::2], words[3::2], strict=True) if flag == "-e" and word[0] != "@"]
    more = {
        name.removeprefix("runpod_ecr_"): json.loads(value) for name, value in (each.split("=", 1) for each in given)
    }
    if failure := converge(house, base, entry, **more):
        raise NotCarriedOutError(f"{' '.join(words)}: {failure}")


def type_in(house: House, base: Base, remedy: str, folder: Path, programs: Path) -> None:
    """Give the command to a shell as it stands; only the file of variables gets the name that it has."""
    file = folder / "variables.yml"
    file.write_text(json.dumps({f"runpod_ecr_{name}": value for name, value in base.wish.items()}))
    command = command_of(remedy).replace("@VARIABLES.yml", f"@{file}")
    environment = house.environment() | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotCarriedOutError(f"{command}: {done.stdout}{done.stderr}")
