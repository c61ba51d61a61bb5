# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments for the checks, below .build, made from hash locks and the package index, and kept while those stay."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tools.bootstrap import pip_alone_has_an_index

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
COLLECTION = "ansible_collections/amazon/aws/"
LOCKED = ("--quiet", "--only-binary", ":all:", "--require-hashes", "--requirement")
HIDDEN = ("PYTHONPATH", "VIRTUAL_ENV")


class CheckError(Exception):
    """What keeps a check from passing."""


def interpreter(version: str) -> str | None:
    """Return a Python of a version: on PATH, under pyenv, or known to uv."""
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [sys.executable, shutil.which(name), *sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"))]
    for path in candidates:
        if path and is_python(str(path), version):
            return str(path)
    command = [str(BIN / "uv"), "python", "find", "--no-project", "--no-python-downloads", version]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return found if found and is_python(found, version) else None


def is_python(path: str, version: str) -> bool:
    """Whether a path is a Python of a version; a shim of pyenv may be none."""
    command = [path, "-c", "import sys; print('{}.{}'.format(*sys.version_info))"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == version
    except OSError:
        return False


def make(folder: Path, python: str, lock: Path, wheel_lock: Path | None, log: Path, built: bool = False) -> Path:
    """Make an environment unless it is there, with amazon.aws when a lock names a wheel of it; return its bin.

    `built` lets packages be built that have no wheel.
    """
    stamp = folder / "stamp"
    state = hashlib.sha256(lock.read_bytes() + (wheel_lock.read_bytes() if wheel_lock else b"")).hexdigest()
    if stamp.exists() and stamp.read_text() == state:
        return folder / "bin"
    found = interpreter(python)
    if not found:
        raise CheckError(f"there is no Python {python}: install one, such as 'pyenv install {python}'")
    call(log, [found, "-m", "venv", "--clear", "--without-pip", str(folder)])
    made = str(folder / "bin" / "python")
    locked = [each for each in LOCKED if not (built and each in ("--only-binary", ":all:"))]
    if pip_alone_has_an_index():
        call(log, [sys.executable, "-m", "pip", "--python", made, "install", *locked, str(lock)])
    else:
        call(log, [str(BIN / "uv"), "pip", "install", "--python", made, *locked, str(lock)])
    if wheel_lock:
        keep_collection(next(folder.glob("lib/python*/site-packages")), wheel_lock, log)
    stamp.write_text(state)
    return folder / "bin"


def keep_collection(packages: Path, wheel_lock: Path, log: Path) -> None:
    """Put amazon.aws, and nothing else of the wheel that carries it, where Ansible finds it."""
    wheels = ROOT / ".build" / "wheels" / hashlib.sha256(wheel_lock.read_bytes()).hexdigest()[:16]
    if not list(wheels.glob("*.whl")):
        # Only taken apart, so never mind which Python it is for.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--python-version", "3.13"]
        call(log, [*command, "--dest", str(wheels), *LOCKED, str(wheel_lock)])
    [wheel] = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages, [name for name in archive.namelist() if name.startswith(COLLECTION)])


def call(log: Path, command: list[str], cwd: Path = ROOT, **environment: str) -> None:
    """Run a command with its output in a file. Raises CheckError when it fails."""
    kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    with log.open("ab") as file:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**kept, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            check=False,
        )
    if done.returncode:
        name = f"{Path(command[0]).name} {' '.join(command[1:3])}"
        raise CheckError(f"{name} ended with {done.returncode}, see {log.relative_to(ROOT)}")
