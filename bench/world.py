# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox, and what runs against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, NamedTuple

from tests.sandbox.server import Sandbox

from .table import Cost

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = f"{REGISTRY}/runpod-gpu-training:v1"
CONVERGE = "playbooks/runpod_ecr.yml"
COUNTING_PYTHON = """\
#!/bin/sh
echo >> '{log}'
exec '{python}' "$@"
"""
TIMING_PYTHON = """\
#!/bin/sh
'{python}' "$@"
code=$?
times >> '{log}'
exit $code
"""


class RunError(Exception):
    """A command failed; the text is what it said."""


class Counts(NamedTuple):
    """What a run consisted of."""

    processes: int
    aws: list[str]
    runpod: list[str]
    registry: list[str]


class World:
    """Runs commands against a sandbox and tells their costs."""

    def __init__(self, sandbox: Sandbox, rounds: int, slow: bool = False) -> None:
        self.sandbox = sandbox
        self.rounds = rounds
        self.slow = slow
        self.said = ""  # by the last command

    def reset(self) -> None:
        """Start the sandbox's world anew, without a quota."""
        self.sandbox.reset()
        self.sandbox.runpod.switch(rate_limits=None)

    def play(
        self,
        playbook: str,
        inventory: Path | None = None,
        settings: Mapping[str, str] | None = None,
        **variables: Any,
    ) -> Cost:
        with TemporaryDirectory() as folder:
            given = Path(folder) / "variables.json"
            given.write_text(json.dumps(variables))
            where = ["-i", str(inventory)] if inventory else []
            return self.run(["ansible-playbook", playbook, "-e", f"@{given}", *where], settings)

    def module(self, name: str, options: Mapping[str, Any]) -> Cost:
        return self.run(["ansible", "localhost", "-m", f"gpuops.runpod.{name}", "-a", json.dumps(options)])

    def counted(self, playbook: str, **variables: Any) -> Counts:
        """Run a playbook and count its module processes and calls, which costs time: that is not told."""
        with noting_python(COUNTING_PYTHON) as (python, log):
            self.sandbox.forget_calls()
            self.play(playbook, ansible_python_interpreter=str(python), **variables)
            return Counts(len(log.read_text().splitlines()), *self.calls())

    def timed(self, playbook: str, settings: Mapping[str, str], **variables: Any) -> tuple[Cost, float]:
        """Run a playbook with settings of Ansible; return also the CPU seconds of its module processes."""
        with noting_python(TIMING_PYTHON) as (python, log):
            cost = self.play(playbook, settings=settings, ansible_python_interpreter=str(python), **variables)
            return cost, sum(map(in_seconds, log.read_text().split()))

    def calls(self) -> tuple[list[str], list[str], list[str]]:
        """Return the names of the calls to AWS, RunPod and the registries since they were forgotten."""
        aws, runpod, registry = (
            self.sandbox.aws_calls(),
            self.sandbox.runpod_calls(),
            self.sandbox.registries.calls(),
        )
        return [call["name"] for call in aws], [call["name"] for call in runpod], [call["name"] for call in registry]

    def run(self, command: list[str], settings: Mapping[str, str] | None = None) -> Cost:
        """Run a command to its good end. The processes that it waits for, and those that they do, count."""
        environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            **self.sandbox.environment,
            **(settings or {}),
        }
        with TemporaryFile("w+") as output:
            began = time.monotonic()
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
            dummy, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            self.said = output.read()
        if process.returncode:
            raise RunError(f"{' '.join(command)}\n{self.said}")
        return Cost(wall, usage.ru_utime + usage.ru_stime)


def in_seconds(time: str) -> float:
    """Return what the shell's `times` tells, such as 1m2.345s."""
    minutes, seconds = time.rstrip("s").split("m")
    return int(minutes) * 60 + float(seconds)


@contextmanager
def noting_python(script: str) -> Iterator[tuple[Path, Path]]:
    """Yield an interpreter that writes a line for each process that is started with it, and the file it writes to."""
    with TemporaryDirectory() as folder:
        python, log = Path(folder) / "python", Path(folder) / "processes"
        log.touch()
        python.write_text(script.format(log=log, python=sys.executable))
        python.chmod(0o700)
        yield python, log


def by_turns(number: int, *sides: str) -> list[str]:
    """Return the order of a round: who begins changes, so that a drift of the machine's speed favours nobody."""
    return list(sides if number % 2 == 0 else reversed(sides))
