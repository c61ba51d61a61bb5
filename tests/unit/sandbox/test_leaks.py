# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs say is held against what the sandbox has handed out."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.leaks import SIGNED, Watch
from tests.sandbox.server import Sandbox


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    with Sandbox() as sandbox:
        watch = Watch(sandbox)
        with watch.watching():
            yield watch


def say(text: str) -> None:
    program = "import sys; print('before', sys.stdin.read(), 'after', file=sys.stderr); sys.exit(1)"
    subprocess.run([sys.executable, "-c", program], input=text, capture_output=True, text=True, check=False)


def test_a_process_that_says_nothing_secret_is_let_be(watch: Watch) -> None:
    say("nothing")
    assert watch.taken() == []


def test_a_secret_is_found_in_what_a_failing_process_says(watch: Watch) -> None:
    sandbox = watch._sandbox
    iam = sandbox.client("iam")
    iam.create_user(UserName="puller")
    key = iam.create_access_key(UserName="puller")["AccessKey"]["SecretAccessKey"]
    token = sandbox.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = base64.b64decode(token).decode().partition(":")[2]
    for secret in (key, token, password, sandbox.environment["RUNPOD_API_KEY"], f"?{SIGNED}x"):
        say(f"{secret}")
    assert len({found.partition(" shows ")[2] for found in watch.taken()}) == 5
