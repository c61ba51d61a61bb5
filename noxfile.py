# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks, each a session of its own: `.venv/bin/nox -s lint`, or `test` for all of them.

The tools are those installed beside nox (tools/bootstrap test): no session downloads or makes an environment, but for
those of tools/sessions.py, which keep theirs below .build.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).resolve().parent))
from tests.system.shared_archives import sharing
from tools import sessions
from tools.ansible_test import has, make_home, make_repository

# They run side by side, the longest first; most of Molecule waits for one process.
CHECKS = ("molecule", "system", "units", "sanity", "ansible_lint", "docs", "lint", "isolated_units", sessions.SAMPLE)

ROOT = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
BUILD = ROOT / ".build"
REQUIREMENTS = Path("tools/requirements")
NPM_LOCK_ONLY = ("--package-lock-only", "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund")
PYTHON_VERSION = "{}.{}".format(*sys.version_info)
PROCESSES = os.environ.get("PROCESSES", str(os.cpu_count() or 1))  # of one check
SPREAD = (f"--numprocesses={PROCESSES}", "--dist=worksteal")

# Sanity tests that must have looked at something: ansible-test calls it a success when all targets are skipped.
SANITY_THAT_COUNTS = ("import", "pylint", "use-argspec-type-path", "validate-modules")

# The lines in which pytest, ansible-test, Molecule and linters name what failed, and how many of them end the output.
FAILURE = re.compile(r"(FAILED|ERROR:?|CRITICAL) \S|fatal: \[|.*\bFailed!|\S+:\d+(:\d+)?: ")
SHOWN = 20

# Variables of a caller that no check sees, and which of them `awx` does.
OF_AWX = ("CONTROLLER_", "TOWER_", "AAP_")
HIDDEN = ("ANSIBLE_", "AWS_", "MOLECULE_", "RUNPOD_", "K8S_AUTH_", "KUBECONFIG", *OF_AWX)

nox.options.default_venv_backend = "none"
nox.options.sessions = ["test"]


def isolate() -> dict[str, str]:
    """Let no check see the caller's accounts, or settings of Ansible and Python that others lack; return them."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(HIDDEN)}
    if "RUNPOD_OPENAPI" in hidden:
        os.environ["RUNPOD_OPENAPI"] = hidden["RUNPOD_OPENAPI"]
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    os.environ["ANSIBLE_HOME"] = str(BUILD / "ansible")
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / "playbooks" / "collections")
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of the many processes compiles all that it imports
    return hidden


CALLERS = isolate()


@nox.session
def test(session: nox.Session) -> None:
    """Every check, one more at a time than there are cores, each told whole when it ends, and a summary.

    Most have as many processes as there are cores, too: so none of them is left to end alone on one.
    """
    if session.posargs:
        session.error("name a check to pass arguments to it: nox -s units -- ARGUMENTS")
    (BUILD / "logs").mkdir(parents=True, exist_ok=True)
    results: dict[str, int] = {}
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as lanes:
        running = {lanes.submit(run_check, check): check for check in CHECKS}
        for ended in as_completed(running):
            check, (code, times) = running[ended], ended.result()
            print((BUILD / "logs" / f"{check}.log").read_text(errors="replace"))
            print(f"=== {check}: {'passed' if code == 0 else 'FAILED'} in {times}", flush=True)
            results[check] = code
    failed = [check for check in CHECKS if results[check]]
    if failed:
        session.error("\n".join([f"failed: {', '.join(failed)}", *(line for check in failed for line in told(check))]))


def told(check: str) -> list[str]:
    """Return which tests of a check failed, or else how its output ends, and where the rest of that is."""
    log = BUILD / "logs" / f"{check}.log"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    named = [line for line in lines if FAILURE.match(line)]
    return [f"=== {check}: more in {log.relative_to(ROOT)}", *(named or lines)[-SHOWN:]]


def run_check(check: str) -> tuple[int, str]:
    """Run a session with its output in a file; return its exit code and how long it and its processes took."""
    start = time.monotonic()
    with (BUILD / "logs" / f"{check}.log").open("wb") as log:
        command = [sys.executable, "-m", "nox", "--session", check]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        dummy, status, used = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    return code, f"{time.monotonic() - start:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU"


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types of the Python code."""
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


@nox.session
def ansible_lint(session: nox.Session) -> None:
    """Roles, playbooks, meta data and every other YAML."""
    session.run("ansible-lint", "--strict")


@nox.session
def docs(session: nox.Session) -> None:
    """Documentation of the plugins, and the changelog."""
    # It copies amazon.aws by git's list of files, and .venv is ignored where git takes it for a part of the repository.
    no_git_in_venv = {"GIT_CEILING_DIRECTORIES": str(BIN.parent)}
    session.run("antsibull-docs", "lint-collection-docs", "--plugin-docs", ".", env=no_git_in_venv)
    session.run("antsibull-changelog", "lint")


@nox.session
def units(session: nox.Session) -> None:
    """Unit tests, with coverage."""
    session.run("pytest", *SPREAD, "--durations=10", "--cov", *session.posargs)
    session.run("coverage", "report", "--include=plugins/module_utils/*", "--fail-under=100")


@nox.session
def isolated_units(session: nox.Session) -> None:
    """The unit tests of what modules share, the way ansible-test isolates them: nothing else is importable."""
    ansible_test(session, "units", f"--num-workers={PROCESSES}", "tests/unit/plugins/module_utils/", *session.posargs)


@nox.session
def sanity(session: nox.Session) -> None:
    """ansible-test's sanity tests."""
    tree = ansible_test(session, "sanity", "--junit", *session.posargs)
    report = tree / "tests" / "output" / "junit"
    for name in () if session.posargs else SANITY_THAT_COUNTS:
        if not any(not has(file, "skipped") for file in report.glob(f"*sanity-{name}*.xml")):
            session.error(f"ansible-test found nothing to check for {name}")


@nox.session
def system(session: nox.Session) -> None:
    """Real runs of the playbooks against the sandbox."""
    session.run("pytest", *SPREAD, "--durations=10", "tests/system", *session.posargs)


@nox.session
def orders(session: nox.Session) -> None:
    """Units and real runs in an order that nobody chose, as two processes that share them may come to any:
    `-- --random-order-seed=7` goes back to one that is printed.
    """
    seed = f"--random-order-seed={random.randrange(1_000_000)}"  # which all processes have to know
    session.run("pytest", *SPREAD, "--random-order", seed, "tests/unit", "tests/system", *session.posargs)


@nox.session
def molecule(session: nox.Session) -> None:
    """The role's scenarios, one after the other: they share a sandbox."""
    home = BUILD / "molecule"
    archives = home / "archives"  # of modules, which the many playbooks of a run share
    shutil.rmtree(home / "tmp", ignore_errors=True)  # what a run that was killed believes to be running
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir(parents=True)
    session.run("molecule", "test", "--all", *session.posargs, env={"ANSIBLE_HOME": str(home), **sharing(archives)})


@nox.session
def demo(session: nox.Session) -> None:
    """The playbook against the sandbox, twice."""
    session.run("python", "-m", "tests.sandbox", "run", "--state", ".sandbox/demo", "--", "tools/demo")


@nox.session
def bench(session: nox.Session) -> None:
    """What the collection costs, against the sandbox; see bench/README.md."""
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def locks(session: nox.Session) -> None:
    """Renew the hash locks; `-- --upgrade` also moves what the .in files leave open."""
    command = ["uv", "pip", "compile", "--quiet", "--no-config", "--universal", "--generate-hashes", "--no-header"]
    command += ["--python-version=3.12", "--no-emit-index-url", "--no-emit-find-links", *session.posargs]
    with session.chdir(REQUIREMENTS):
        for name in ("uv", "node", "demo", "test"):
            session.run(*command, f"{name}.in", "--output-file", f"{name}.txt", external=True)
        for name in ("collections", "awx"):
            session.run(*command, "--no-deps", f"{name}.in", "--output-file", f"{name}.txt", external=True)
    verb = "update" if "--upgrade" in session.posargs else "install"
    with session.chdir(REQUIREMENTS / "npm"):
        session.run("npm", verb, *NPM_LOCK_ONLY, external=True)


def ansible_test(session: nox.Session, command: str, *arguments: str) -> Path:
    """Run ansible-test in a tree and a home of its own; return the tree."""
    home, tree = BUILD / command / "home", ansible_test_tree(command)
    make_home(BIN, home)
    with session.chdir(tree):
        session.run("ansible-test", command, "--local", "--python", PYTHON_VERSION, *arguments, env={"HOME": str(home)})
    return tree


def ansible_test_tree(command: str) -> Path:
    """Lay out the working tree as ansible-test wants it: its own repository at ansible_collections/gpuops/runpod."""
    collections = BUILD / command / "ansible_collections"
    tree = collections / "gpuops" / "runpod"
    shutil.rmtree(collections, ignore_errors=True)
    for name in git("ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if os.path.lexists(ROOT / name):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
    make_repository(tree)
    (collections / "amazon").mkdir()
    installed = next(BIN.parent.glob("lib/python*/site-packages/ansible_collections/amazon/aws"))
    (collections / "amazon" / "aws").symlink_to(installed)
    return tree


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@nox.session
def sandbox(session: nox.Session) -> None:
    """A shell in which both clouds are the sandbox; leaving it stops everything."""
    session.run("python", "-m", "tests.sandbox", "run", "--state", ".sandbox/shell", "--", "tools/sandbox")


@nox.session
def faults(session: nox.Session) -> None:
    """Every call of every scenario, broken in every way, and every pair of runs at once; see tests/faults."""
    here = os.pathsep.join([str(ROOT), str(ROOT / "playbooks" / "collections")])
    session.run("python", "-m", "tests.faults", *session.posargs, env={"PYTHONPATH": here})


@nox.session
def audits(session: nox.Session) -> None:
    """Every sabotage of the table that audits are held against, a thousand combinations of three, typed remedies."""
    parts = ["tests/unit/audit", "tests/system/test_audit_remedies.py", "-q", *session.posargs]
    session.run("pytest", f"--numprocesses={PROCESSES}", *parts, env={"AUDIT_CASES": "all"})


@nox.session
def awx(session: nox.Session) -> None:
    """All of the playbook for AWX against the stand-in of its API, or a controller that CONTROLLER_HOST names."""
    controller = {name: value for name, value in CALLERS.items() if name.startswith(OF_AWX)}
    environment = {**controller, "AWX_WHOLE": "1"}
    session.run("pytest", "--numprocesses=2", "tests/system/test_awx.py", *session.posargs, env=environment)
