# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._oci import progress as _progress
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.progress import (
    FILE,
    MIB,
    Progress,
    ProgressReporter,
    line,
    listener,
)


@pytest.mark.parametrize(
    ("progress", "rate", "text"),
    [
        (
            Progress(2, 5, 256 * MIB, 1024 * MIB),
            96.0 * MIB,
            "2/5 blobs, 256.0/1,024.0 MiB, 96.0 MiB/s, 0:00:08 left",
        ),
        (Progress(0, 1, 0, MIB), 0.0, "0/1 blobs, 0.0/1.0 MiB, 0.0 MiB/s, time left unknown"),
        (Progress(0, 1, 0, 3600 * MIB), MIB, "0/1 blobs, 0.0/3,600.0 MiB, 1.0 MiB/s, 1:00:00 left"),
    ],
)
def test_a_line_tells_how_far_it_is(progress: Progress, rate: float, text: str) -> None:
    assert line(progress, rate) == text


def test_lines_come_every_few_seconds_with_the_rate_since_the_last_one() -> None:
    told: list[str] = []
    moments = iter([0.0, 4.9, 5.0, 9.0, 15.0, 20.0])
    teller = ProgressReporter("Copying app:v1", told.append, moments.__next__)
    for done in (5, 10, 90, 20, 15):  # another try starts over
        teller(Progress(0, 1, done * MIB, 100 * MIB))
    assert [text.split(", ")[2] for text in told] == ["2.0 MiB/s", "1.0 MiB/s", "0.0 MiB/s"]
    assert told[0] == "Copying app:v1: 0/1 blobs, 10.0/100.0 MiB, 2.0 MiB/s, 0:00:45 left"


def test_lines_go_to_the_file_that_waits_for_them_and_it_is_gone_at_once(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with (tmp_path / FILE).open() as stream:
        write = listener(str(tmp_path))
        assert list(tmp_path.iterdir()) == []
        write("one")
        write("two")
        assert stream.read() == "one\ntwo\n"


def test_nobody_may_wait_for_lines(tmp_path: Path) -> None:
    listener(str(tmp_path))("one")
    (tmp_path / "other").touch()
    (tmp_path / FILE).symlink_to(tmp_path / "other")
    listener(str(tmp_path))("one")
    assert (tmp_path / "other").read_text() == ""


def test_a_line_that_cannot_be_written_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).touch()
    write = listener(str(tmp_path))

    def full(*dummy: object) -> int:
        raise OSError("no space left")

    monkeypatch.setattr(_progress.os, "write", full)
    write("one")
    assert os.listdir(tmp_path) == []
