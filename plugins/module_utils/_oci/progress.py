# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: lines that an action plugin shows while its module runs.

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

FILE = "progress"  # in the module's temporary directory, when somebody waits for lines
SECONDS = 5.0  # between two lines
MIB = 1024 * 1024


class Progress(NamedTuple):
    """Blobs that the destination has already count as done."""

    blobs_done: int
    blobs_all: int
    bytes_done: int
    bytes_all: int


class ProgressReporter:
    def __init__(self, what: str, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._write = write
        self._clock = clock
        self._told = clock()
        self._bytes = 0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        if now - self._told >= SECONDS:
            rate = max(0.0, (progress.bytes_done - self._bytes) / (now - self._told))
            self._told, self._bytes = now, progress.bytes_done
            self._write(f"{self._what}: {line(progress, rate)}")


def line(progress: Progress, rate: float) -> str:
    left = progress.bytes_all - progress.bytes_done
    time_left = f"{timedelta(seconds=round(left / rate))} left" if rate else "time left unknown"
    return (
        f"{progress.blobs_done}/{progress.blobs_all} blobs, "
        f"{progress.bytes_done / MIB:,.1f}/{progress.bytes_all / MIB:,.1f} MiB, {rate / MIB:,.1f} MiB/s, {time_left}"
    )


def unheard(dummy: str) -> None:
    """Nobody waits for lines."""


def listener(folder: str) -> Callable[[str], None]:
    """Return what takes the lines. The file loses its name at once, so that nothing is left of it."""
    path = Path(folder) / FILE
    try:
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
    except OSError:
        return unheard
    with suppress(OSError):
        path.unlink()

    def write(text: str) -> None:
        with suppress(OSError):  # a full disk ends no copy
            os.write(number, f"{text}\n".encode())

    return write
