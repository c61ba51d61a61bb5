# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The launcher: what it starts and leaves, and the variables it hands out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.sandbox import server
from tests.sandbox.__main__ import main
from tests.sandbox.server import Sandbox, SandboxError

ROOT = Path(__file__).resolve().parents[3]
SHOW = (
    "import json, os, sys, urllib.request;"
    "urllib.request.urlopen(os.environ['RUNPOD_API_BASE_URL'] + '/_sandbox/state');"
    "print(json.dumps(dict(os.environ)));"
    "sys.exit(7)"
)
NAMES = {
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_EC2_METADATA_DISABLED",
    "RUNPOD_API_BASE_URL",
    "RUNPOD_API_KEY",
    "NO_PROXY",
    "no_proxy",
}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/_sandbox/calls", timeout=60).close()
    except urllib.error.URLError:
        return False
    return True


@pytest.fixture
def on_sigterm() -> Iterator[None]:
    former = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, former)


def launcher(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sandbox", *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "AWS_PROFILE": "elsewhere", "AWS_ENDPOINT_URL_ECR": "http://elsewhere"},
    )


def test_a_sandbox_of_this_process_answers_until_it_is_left() -> None:
    with Sandbox() as sandbox:
        urls = (sandbox.aws_url, sandbox.runpod_url)
        assert [answers(url) for url in urls] == [True, True]
        assert sandbox.environment.keys() == NAMES
        assert all(url.startswith("http://127.0.0.1:") for url in urls)
    assert [answers(url) for url in urls] == [False, False]


def test_start_serves_in_a_group_of_its_own_and_stop_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    server.start(state)
    try:
        environment = json.loads((state / "env.json").read_text())
        pid = int((state / "sandbox.pid").read_text())
        files = {path.name for path in state.iterdir() if not path.name.startswith(server.REGISTRIES)}
        assert files == {"sandbox.pid", "sandbox.log", "env.json", "env.sh"}
        assert os.getpgid(pid) == pid != os.getpgid(0)
        assert answers(environment["AWS_ENDPOINT_URL"]) and answers(environment["RUNPOD_API_BASE_URL"])
        foreign = {**os.environ, "AWS_SESSION_TOKEN": "elsewhere", "RUNPOD_OTHER": "elsewhere"}
        source = ["sh", "-c", ". ./env.sh; env"]
        sourced = subprocess.run(source, env=foreign, cwd=state, capture_output=True, text=True, check=True).stdout
        assert {f"{name}={value}" for name, value in environment.items()} <= set(sourced.splitlines())
        assert "elsewhere" not in sourced
        with pytest.raises(SandboxError, match=f"runs already .* \\(process {pid}\\)"):
            server.start(state)
        assert answers(environment["AWS_ENDPOINT_URL"])
    finally:
        server.stop(state)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert list(state.iterdir()) == []
    assert not answers(environment["AWS_ENDPOINT_URL"])
    server.stop(state)


def test_stop_kills_a_sandbox_that_does_not_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STOP_SECONDS", 0.5)
    server.start(tmp_path)
    pid = int((tmp_path / "sandbox.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    server.stop(tmp_path)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_stop_leaves_a_process_alone_that_is_no_sandbox(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        (tmp_path / "sandbox.pid").write_text(f"{other.pid}\n")
        server.stop(tmp_path)
        assert other.poll() is None
        other.kill()
    assert list(tmp_path.iterdir()) == []


def test_start_says_why_it_failed_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SandboxError, match="did not start"):
        server.start(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_run_hands_the_variables_and_the_exit_code_on_and_leaves_nothing(tmp_path: Path) -> None:
    process = launcher("run", "--state", str(tmp_path), "--", sys.executable, "-c", SHOW)
    shown, errors = process.communicate(timeout=60)
    assert process.returncode == 7, errors
    environment = json.loads(shown)
    assert environment.keys() >= NAMES
    assert not {"AWS_PROFILE", "AWS_ENDPOINT_URL_ECR"} & environment.keys()
    assert environment["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert processes.running(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "survives"), [(signal.SIGTERM, False), (signal.SIGKILL, True)])
def test_the_sandbox_of_run_ends_with_it(tmp_path: Path, number: signal.Signals, survives: bool) -> None:
    with launcher("run", "--state", str(tmp_path), "--", "sh", "-c", "echo $$; exec sleep 60") as process:
        assert process.stdout
        command = int(process.stdout.readline())
        url = json.loads((tmp_path / "env.json").read_text())["AWS_ENDPOINT_URL"]
        assert answers(url)
        process.send_signal(number)
        process.wait(60)
        assert not answers(url)
        assert processes.running(str(tmp_path)) == []
        assert alive(command) == survives
        if survives:
            os.kill(command, signal.SIGKILL)
    server.stop(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("told_at", ["serve", "sleep"])
def test_what_run_just_starts_as_it_is_told_to_end_ends_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_sigterm: None, told_at: str
) -> None:
    started = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], **options: Any) -> None:
            super().__init__(command, **options)
            started.append(self.pid)
            if told_at in command:
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    assert server.run(tmp_path, ["sleep", "60"]) == 128 + signal.SIGTERM
    assert [alive(pid) for pid in started] == [False, False]
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_launcher_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], on_sigterm: None
) -> None:
    assert main(["run", "--state", str(tmp_path), "--", "/nonexistent/command"]) == 1
    assert capsys.readouterr().err == "/nonexistent/command: No such file or directory\n"
