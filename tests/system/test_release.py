# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release, as far as the upload, in a clone of the last commit."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import yaml

from .conftest import ROOT

VERSION = "9.8.7"


def test_a_dry_run_makes_all_of_a_release_and_leaves_the_checkout_alone(tmp_path: Path) -> None:
    def git(*arguments: str, tree: Path = ROOT) -> str:
        return subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, check=True).stdout

    def state() -> tuple[str, ...]:
        return (
            git("status", "--porcelain", "galaxy.yml", "CHANGELOG.md", "changelogs"),
            git("rev-parse", "HEAD"),
            git("tag"),
        )

    before = state()
    command = [Path(sys.executable).with_name("ansible-playbook"), "tools/release/release.yml"]
    given = {"release_version": VERSION, "release_dry_run": True, "release_build": str(tmp_path / "release")}
    author = {"GIT_AUTHOR_NAME": "tests", "GIT_AUTHOR_EMAIL": "tests@example.com"}
    environment = {**author, **{name.replace("AUTHOR", "COMMITTER"): value for name, value in author.items()}}
    run = subprocess.run(
        [*command, "-e", json.dumps(given)],
        cwd=ROOT,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert state() == before

    release = tmp_path / "release"
    archive, bill = release / f"gpuops-runpod-{VERSION}.tar.gz", release / f"gpuops-runpod-{VERSION}.cdx.json"
    for line in (release / "SHA256SUMS").read_text().splitlines():
        checksum, dummy, name = line.partition("  ")
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == checksum
    assert json.loads(bill.read_text())["metadata"]["component"]["version"] == VERSION
    with tarfile.open(archive) as content:
        changelog = yaml.safe_load(content.extractfile("changelogs/changelog.yaml"))  # type: ignore[arg-type]
    assert list(changelog["releases"]) == [VERSION] and changelog["releases"][VERSION]["changes"]
    clone = release / "clone"
    assert git("describe", "--exact-match", tree=clone).strip() == VERSION
    assert not list((clone / "changelogs" / "fragments").glob("*.yml"))
    assert f"v{VERSION}" in (clone / "CHANGELOG.md").read_text().replace("\\", "")  # which are Markdown's
