# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published works without the checkout: built, installed, and run by name."""

from __future__ import annotations

import tarfile
from pathlib import Path

from .conftest import IMAGE, House, install


def test_installed_collection_runs_by_name(house: House, archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as content:
        names = content.getnames()
    assert "playbooks/runpod_ecr.yml" in names
    assert [name for name in names if name.startswith("tests/")] == ["tests/config.yml"]  # for sanity tests of it
    shipped = {name.split("/")[0] for name in names}
    assert not shipped & {"collections", "examples", "tools", ".venv", ".build", ".git"}

    install(archive, tmp_path)
    run = House(house.sandbox).play(  # with no module that a run of the checkout has packed
        "gpuops.runpod.runpod_ecr", "-e", f"runpod_ecr_image={IMAGE}", ANSIBLE_COLLECTIONS_PATH=str(tmp_path)
    )
    assert run.code == 0, run.output
    assert str(tmp_path) in run.output  # not the checkout's
    assert run.recap["failed"] == 0 < run.recap["changed"]
