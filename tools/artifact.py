# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact that is published: built of the working tree so that two builds are the same byte for byte.

python -m tools.artifact FOLDER
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# All that may be in it. A name matches a pattern part by part: a * does not reach into folders.
ALLOWED = (
    *("MANIFEST.json", "FILES.json", "README.md", "LICENSE", "LICENSES/*.txt", "REUSE.toml"),
    *("CHANGELOG.md", "changelogs/changelog.yaml", "changelogs/config.yaml"),
    *("CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("bindep.txt", "requirements.txt", "meta/execution-environment.yml", "meta/runtime.yml"),
    *("docs/*.md", "docs/policies/*.json", "docs/docsite/*.yml", "docs/docsite/rst/*.rst"),
    *("extensions/awx/*.yml", "extensions/awx/controller/*.yml"),
    *("extensions/audit/*.yml", "extensions/eda/*/*.yml", "extensions/eda/*/*.py"),
    *("playbooks/*.yml", "playbooks/tasks/*.yml", "playbooks/tasks/vars/*.yml"),
    *("plugins/action/*.py", "plugins/doc_fragments/*.py", "plugins/filter/*.py", "plugins/modules/*.py"),
    "plugins/module_utils/*/*.py",
    *("roles/*/README.md", "roles/*/defaults/*.yml", "roles/*/meta/*.yml", "roles/*/vars/*.yml"),
    *("roles/*/tasks/*.yml", "roles/*/tasks/steps/*.yml", "roles/*/templates/*.j2"),
    "tests/config.yml",  # which Python the sanity tests take
)


def build(folder: Path) -> Path:
    """Build the artifact into a folder; return its path."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        copy_tree(tree)
        command = [
            str(Path(sys.executable).with_name("ansible-galaxy")),
            "collection",
            "build",
            "--output-path",
            scratch,
        ]
        subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)
        [built] = Path(scratch).glob("*.tar.gz")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / built.name).write_bytes(normalised(built.read_bytes(), last_change()))
        return folder / built.name


def copy_tree(target: Path) -> None:
    """Copy what is, or is about to be, under version control, and nothing that else lies about."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if os.path.lexists(ROOT / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def last_change() -> int:
    """The time of the last commit, or what SOURCE_DATE_EPOCH says."""
    command = ["git", "log", "-1", "--format=%ct"]
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def normalised(archive: bytes, moment: int) -> bytes:
    """Return an artifact with its files in the order of their names, all of one time and one owner."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as source:
        contents = {each.name: (each, content(source, each)) for each in source.getmembers()}
    listing = json.loads(contents["FILES.json"][1])
    listing["files"].sort(key=lambda each: each["name"])
    manifest = json.loads(contents["MANIFEST.json"][1])
    files = as_json(listing)
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(files).hexdigest()
    texts = {"FILES.json": files, "MANIFEST.json": as_json(manifest)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as target:
        for name in sorted(contents, key=lambda name: (name not in texts, name)):
            member, data = contents[name]
            data = texts.get(name, data)
            target.addfile(plain_member(member, len(data), moment), io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=moment)


def content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member) if member.isfile() else None
    return file.read() if file else b""


def plain_member(member: tarfile.TarInfo, size: int, moment: int) -> tarfile.TarInfo:
    """Return what a tar says of a file, without what differs from machine to machine."""
    plain = tarfile.TarInfo(member.name)
    plain.type, plain.linkname, plain.size, plain.mtime = member.type, member.linkname, size, moment
    plain.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return plain


def as_json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def unexpected(archive: Path) -> list[str]:
    """Return the files of an artifact that are not among those allowed."""
    with tarfile.open(archive) as source:
        return [each.name for each in source.getmembers() if not each.isdir() and not is_allowed(each.name)]


def is_allowed(name: str) -> bool:
    parts = name.split("/")
    return any(
        len(parts) == len(pattern.split("/")) and all(map(fnmatchcase, parts, pattern.split("/")))
        for pattern in ALLOWED
    )


def unpack(archive: Path, collections: Path) -> Path:
    """Unpack an artifact below a folder of collections; return its folder."""
    target = collections / "ansible_collections" / "gpuops" / "runpod"
    shutil.rmtree(target, ignore_errors=True)
    with tarfile.open(archive) as source:
        source.extractall(target, filter="data")
    return target


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
