# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes .venv from the hash locks, and again whenever a lock or the Python has changed; adds what is no Python.

That is skopeo, which is installed with apt, and the registry of the sandbox, which is only unpacked into .venv:
installed, Debian would run it as a service. Nothing but the standard library is used here. Package indexes are those
the user has configured.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "tools" / "requirements"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "bootstrap.stamp"
REGISTRY = VENV / "bin" / "docker-registry"

NODE_LOCK = LOCKS / "node.txt"
OLDEST_NODE = 18
NPM_LOCK = LOCKS / "npm"
NPM = VENV / "npm"

COLLECTIONS = "ansible_collections"
AWX = VENV / "awx"  # apart, where only what asks for it finds it
ONLY_WHEEL = ("--no-deps", "--python-version", "3.13")  # it is taken apart for a collection, so any Python will do
LOCKED = ("--quiet", "--only-binary", ":all:", "--require-hashes", "--requirement")

SATISFIED_BY = {"demo": ("demo", "test"), "test": ("test",)}  # the test environment holds all of the demo's

NO_ENSUREPIP = """{python} cannot make a virtual environment: it comes without ensurepip, and uv is not there to help.
Install one of the two, for example with 'apt install python{version}-venv'."""

NOT_THERE = """{command} was not found. make demo and make test need it: {purpose}.
{problem}
{remedy}"""
NO_APT = "There is no apt-get here to get it with."
NO_ROOT = "To install it takes root, or a sudo that asks for no password."
SKOPEO_PURPOSE = "gpuops.runpod copies images with skopeo"
SKOPEO_REMEDY = "Install it, for example with 'apt install skopeo' or 'dnf install skopeo', and run this again."
REGISTRY_PURPOSE = "it is the registry of the sandbox"
REGISTRY_REMEDY = """Put it on PATH and run this again. On Debian 'apt install docker-registry' also starts a service,
which 'systemctl disable --now docker-registry' ends."""

NO_NODE = """
The evaluator of AWS policies runs on Node.js. It is not on PATH together with npm, or is older than {oldest}, and the
package index has none for this machine. Install both, for example with 'apt install nodejs npm' (Debian 12 or newer).
make demo does without."""


def digest(environment: str) -> str:
    """What the environment is made from: this script, the Python and the locks."""
    files = [Path(__file__), LOCKS / f"{environment}.txt", LOCKS / "collections.txt"]
    if environment == "test":
        files += [NODE_LOCK, NPM_LOCK / "package-lock.json", LOCKS / "awx.txt"]
    parts = [sys.base_prefix.encode(), platform.python_version().encode(), *(path.read_bytes() for path in files)]
    return environment + " " + hashlib.sha256(b"\0".join(parts)).hexdigest()


def locks(environment: str) -> list[Path]:
    """The locks of what is installed: for the tests also a Node.js with npm, where the user has none."""
    needs_node = environment == "test" and not has_node()
    return [LOCKS / f"{environment}.txt", *([NODE_LOCK] if needs_node else [])]


def collections(environment: str) -> dict[str, tuple[str, Path]]:
    """The collections by their locks: which is taken out of the wheel, and where it goes."""
    site_packages = next(VENV.glob("lib/python*/site-packages"))
    wanted = {"collections.txt": ("amazon/aws", site_packages)}
    return {**wanted, "awx.txt": ("awx/awx", AWX)} if environment == "test" else wanted


def is_ready(environment: str) -> bool:
    made_from = STAMP.read_text() if STAMP.exists() and PYTHON.exists() else ""
    return made_from in [digest(name) for name in SATISFIED_BY[environment]]


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


def set_up(environment: str) -> None:
    """Make .venv from nothing: with the uv on PATH, with a uv that pip fetches, or with pip alone."""
    may_use_uv = not pip_alone_has_an_index()
    uv = working_uv()
    if uv and may_use_uv:
        run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV)
        if filled_by_uv(uv, environment):
            return
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(NO_ENSUREPIP.format(python=sys.executable, version="{}.{}".format(*sys.version_info)))
    run(sys.executable, "-m", "venv", "--clear", VENV)
    may_fetch_uv = may_use_uv and not uv
    if not (may_fetch_uv and is_uv_fetched() and filled_by_uv(VENV / "bin" / "uv", environment)):
        fill_by_pip(environment)


def working_uv() -> str | None:
    """The uv on PATH; a shim of pyenv may be there without a uv behind it."""
    uv = shutil.which("uv")
    return uv if uv and not problem_of([uv, "--version"]) else None


def pip_alone_has_an_index() -> bool:
    """Whether the user named an index to pip and none to uv: then uv would ask the wrong one."""
    if any(os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE")):
        return False
    command = [sys.executable, "-m", "pip", "config", "list"]
    return ".index-url=" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


def is_uv_fetched() -> bool:
    command = [str(PYTHON), "-m", "pip", "install", *LOCKED, str(LOCKS / "uv.txt")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def filled_by_uv(uv: str | Path, environment: str) -> bool:
    install = [str(uv), "pip", "install", "--python", str(PYTHON)]
    try:
        for lock in locks(environment):
            run(*install, *LOCKED, lock)
        for name, (collection, place) in collections(environment).items():
            with tempfile.TemporaryDirectory(dir=VENV) as folder:
                run(*install, *ONLY_WHEEL, "--target", folder, *LOCKED, LOCKS / name)
                keep_collection(Path(folder), collection, place)
    except subprocess.CalledProcessError:
        print("uv could not install what the locks name: trying plain pip ...", flush=True)
        return False
    return True


def fill_by_pip(environment: str) -> None:
    pip = [str(PYTHON), "-m", "pip"]
    for lock in locks(environment):
        run(*pip, "install", *LOCKED, lock)
    for name, (collection, place) in collections(environment).items():
        with tempfile.TemporaryDirectory(dir=VENV) as folder:
            run(*pip, "download", *ONLY_WHEEL, "--dest", folder, *LOCKED, LOCKS / name)
            unpack_collection(next(Path(folder).glob("*.whl")), collection)
            keep_collection(Path(folder), collection, place)


def unpack_collection(wheel: Path, collection: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(f"{COLLECTIONS}/{collection}/")]
        archive.extractall(wheel.parent, names)


def keep_collection(unpacked: Path, collection: str, place: Path) -> None:
    """Move one collection, and nothing else, in one step to where Ansible finds it."""
    target = place / COLLECTIONS / collection
    target.parent.mkdir(parents=True)
    os.rename(unpacked / COLLECTIONS / collection, target)


def has_node() -> bool:
    """Whether the user has a Node.js that is new enough, and npm."""
    if not (shutil.which("node") and shutil.which("npm")):
        return False
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    number = told.strip().removeprefix("v").partition(".")[0]
    return number.isdecimal() and int(number) >= OLDEST_NODE


def fill_by_npm() -> None:
    """Install what the lock of npm names beside the Python packages, from the registry that the user has configured."""
    NPM.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy2(NPM_LOCK / name, NPM)
    own = VENV / "bin" / "npm"
    quietly = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    run(own if own.exists() else "npm", "ci", "--prefix", NPM, *quietly)


def provide_skopeo() -> None:
    """Install skopeo where there is none."""
    if shutil.which("skopeo"):
        return
    print("Installing skopeo ...", flush=True)
    problem = apt_get("install", "--yes", "--no-install-recommends", "skopeo")
    if problem:
        said = {"command": "skopeo", "purpose": SKOPEO_PURPOSE, "problem": problem, "remedy": SKOPEO_REMEDY}
        sys.exit(NOT_THERE.format(**said))


def provide_registry() -> None:
    """Unpack docker-registry into .venv where there is none."""
    if shutil.which("docker-registry") or REGISTRY.exists():
        return
    print("Fetching docker-registry ...", flush=True)
    with tempfile.TemporaryDirectory(dir=VENV) as folder:
        problem = apt_get("download", "docker-registry", folder=folder)
        if problem:
            said = {"command": "docker-registry", "purpose": REGISTRY_PURPOSE, "problem": problem}
            sys.exit(NOT_THERE.format(**said, remedy=REGISTRY_REMEDY))
        run("dpkg-deb", "--extract", next(Path(folder).glob("*.deb")), folder)
        os.rename(Path(folder) / "usr" / "bin" / "docker-registry", REGISTRY)


def apt_get(*arguments: str, folder: str | None = None) -> str:
    """Run apt-get in a folder, again with fresh lists of packages if it failed; return what went wrong."""
    if not shutil.which("apt-get"):
        return NO_APT
    root = as_root()
    if arguments[0] != "download" and root is None:
        return NO_ROOT
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    command += ["-o", "DPkg::Lock::Timeout=60", "-o", "APT::Sandbox::User=root"]
    wanted = [*(root if root and arguments[0] != "download" else []), *command, *arguments]
    problem = problem_of(wanted, folder)
    if problem and root is not None:
        problem_of([*root, *command, "update"])
        problem = problem_of(wanted, folder)
    return problem


def as_root() -> list[str] | None:
    """Return what goes before a command to run it as root without a question, or None."""
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    return sudo if shutil.which("sudo") and not problem_of([*sudo, "true"]) else None


def problem_of(command: list[str], folder: str | None = None) -> str:
    """Run a command; return it with what it said if it failed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return f"{shlex.join(command)}\n{done.stdout}{done.stderr}".strip() if done.returncode else ""


def make_environment(environment: str) -> None:
    os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    print(f"Setting up .venv for make {environment} with Python {platform.python_version()} ...", flush=True)
    try:
        set_up(environment)
        if environment == "test":
            fill_by_npm()
    except subprocess.CalledProcessError as error:
        hint = NO_NODE.format(oldest=OLDEST_NODE) if str(NODE_LOCK) in error.cmd else ""
        sys.exit(f"Could not set up .venv: this command failed, see above.\n{shlex.join(error.cmd)}{hint}")
    STAMP.write_text(digest(environment))  # last: an interrupted run starts over


def main() -> None:
    environment = sys.argv[1]
    provide_skopeo()
    if not is_ready(environment):
        make_environment(environment)
    provide_registry()


if __name__ == "__main__":
    main()
