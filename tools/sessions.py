# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of nox about publication: where it runs, what is published, and its site."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
SAMPLE = "sample"  # of these, the one that is part of `test`


@nox.session
def matrix(session: nox.Session) -> None:
    """Units, runs of the artifact and sanity on every claimed ansible-core and Python; `-- 2.16-3.10` for a pair."""
    session.run("python", "-m", "tools.matrix", *session.posargs)


@nox.session
def sample(session: nox.Session) -> None:
    """The main job of the artifact on the lowest and the newest pair."""
    session.run("python", "-m", "tools.matrix", "--sample", *session.posargs)


@nox.session
def gates(session: nox.Session) -> None:
    """What Galaxy, Automation Hub and REUSE look at, on the artifact; `-- lint` for one of them."""
    session.run("python", "-m", "tools.gates", *session.posargs)


@nox.session
def matrix_locks(session: nox.Session) -> None:
    """Renew the hash locks of the matrix and the gates; `-- --upgrade` also moves what the .in files leave open."""
    session.run("python", "-m", "tools.locks", *session.posargs)


@nox.session
def site(session: nox.Session) -> None:
    """The documentation site, in .build/site/html; its tools come from the package index once."""
    environment = BUILD / "site" / "environment"
    lock = ROOT / "tools" / "requirements" / "site.txt"
    installed = environment / "lock.txt"
    if not installed.exists() or installed.read_text() != lock.read_text():
        session.run("uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(environment))
        own = {"VIRTUAL_ENV": str(environment)}
        session.run("uv", "pip", "sync", "--quiet", "--require-hashes", str(lock), env=own)
        installed.write_text(lock.read_text())
    session.run("python", "-m", "tools.docsite", str(environment))


@nox.session
def integration(session: nox.Session) -> None:
    """ansible-test integration against the sandbox."""
    session.run("python", "-m", "tests.sandbox", "run", "--state", str(BUILD / "integration"), "--", *SMOKE)


SMOKE = (sys.executable, "-m", "tools.integration")


def sandbox_config(environment: dict[str, str]) -> str:
    """What the smoke target is told of a sandbox, as YAML."""
    names = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "AWS_CA_BUNDLE")
    config = {
        "aws_region": environment["AWS_REGION"],
        "aws_access_key": environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_key": environment["AWS_SECRET_ACCESS_KEY"],
        "aws_endpoint_url": environment["AWS_ENDPOINT_URL"],
        "runpod_api_key": environment["RUNPOD_API_KEY"],
        "runpod_api_url": environment["RUNPOD_API_BASE_URL"],
        "ca_bundle": environment["SSL_CERT_FILE"],
        "smoke_image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1",
        "smoke_environment": {name: environment[name] for name in names if name in environment},
    }
    return json.dumps(config, indent=2)
