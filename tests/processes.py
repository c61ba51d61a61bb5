# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of this machine, as Linux tells of them, and the end of a playbook with all that works for it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def of_each(file: str, processes: Iterable[int] | None = None) -> dict[int, bytes]:
    """Return what a file of /proc (stat, cmdline, environ) tells of processes, or of all, by their ids, unless that is
    secret.
    """
    if processes is None:
        processes = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = {}
    for each in processes:
        with suppress(OSError):  # it is gone, or somebody else's
            found[each] = Path(f"/proc/{each}/{file}").read_bytes()
    return found


def commands(processes: Iterable[int] | None = None) -> list[str]:
    """Return the command lines of processes, or of all."""
    lines = of_each("cmdline", processes).values()
    return [line.replace(b"\0", b" ").decode(errors="replace") for line in lines]


def running(text: str) -> list[str]:
    """Return the commands that run with a text in them."""
    return [command for command in commands() if text in command]


def descendants(process_id: int) -> set[int]:
    """Return a process and those that come from it."""
    children: dict[int, list[int]] = {}
    for child, stat in of_each("stat").items():
        children.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(child)
    found, newest = set(), [process_id]
    while newest:
        found.update(newest)
        newest = [child for parent in newest for child in children.get(parent, [])]
    return found


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a playbook unless it has ended, and what works for it: each worker of Ansible has a session of its own, and
    would finish its task. All are stopped first, so that none starts another meanwhile.
    """
    if process.poll() is not None:
        return
    stopped: set[int] = set()
    while going := descendants(process.pid) - stopped:
        send(signal.SIGSTOP, going)
        stopped |= going
    send(signal.SIGKILL, stopped)


def send(number: signal.Signals, processes: set[int]) -> None:
    for each in processes:
        with suppress(ProcessLookupError):
            os.kill(each, number)
