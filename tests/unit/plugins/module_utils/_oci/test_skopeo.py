# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import SkopeoError
from ansible_collections.gpuops.runpod.plugins.module_utils._oci import skopeo as _skopeo
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.progress import Progress
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.registry_client import Login
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.skopeo import (
    CopyProgress,
    Side,
    Skopeo,
    is_transient,
    terminable,
)

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SOURCE = Side("source.example:5000/app@sha256:aa", Login("AWS", SECRET))
TARGET = Side("public.ecr.aws/a1b2c3d4/app:v1", None)
DIGEST = "sha256:" + 64 * "a"
BLOBS = {"sha256:" + 64 * "b": 10, "sha256:" + 64 * "c": 5, "sha256:" + 64 * "d": 1}
BLOB, OTHER, CONFIG = (digest.removeprefix("sha256:") for digest in BLOBS)
# Tells its version, notes how it was called, says lines, and writes a digest.
PROGRAM = """\
#!{python}
import json, os, stat, sys, time
plan = json.load(open({plan!r}))
if sys.argv[1:] == ["--version"]:
    print("skopeo version", plan["version"])
    sys.exit()
options = dict(each.lstrip("-").partition("=")[::2] for each in sys.argv[1:] if each.startswith("--"))
files = {{name: path for name, path in options.items() if name.endswith("authfile") or name == "policy"}}
seen = {{
    "arguments": sys.argv[1:],
    "environment": dict(os.environ),
    "files": {{name: json.load(open(path)) for name, path in files.items()}},
    "modes": {{name: stat.S_IMODE(os.stat(path).st_mode) for name, path in files.items()}},
    "directory": os.path.dirname(options["digestfile"]),
    "mode": stat.S_IMODE(os.stat(os.path.dirname(options["digestfile"])).st_mode),
    "pid": os.getpid(),
}}
with open({seen!r} + ".new", "w") as file:
    json.dump(seen, file)
os.rename(file.name, {seen!r})
for line in plan["lines"]:
    print(line, flush=True)
time.sleep(plan["seconds"])
open(options["digestfile"], "w").write(plan["digest"])
sys.exit(plan["code"])
"""


class Fake:
    """A program in place of skopeo."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.program = directory / "skopeo"
        self.workspace = directory / "work"
        self.workspace.mkdir()
        text = PROGRAM.format(python=sys.executable, plan=str(directory / "plan"), seen=str(directory / "seen"))
        self.program.write_text(text)
        self.program.chmod(0o700)
        self.plan()

    def plan(self, version: str = "1.9.3", **plan: Any) -> None:
        given = {"version": version, "lines": [], "seconds": 0, "digest": DIGEST, "code": 0, **plan}
        (self.directory / "plan").write_text(json.dumps(given))

    def seen(self) -> dict[str, Any]:
        return json.loads((self.directory / "seen").read_text())

    def skopeo(self, **options: Any) -> Skopeo:
        given = {"executable": str(self.program), "workspace": str(self.workspace), **options}
        return Skopeo({"HTTPS_PROXY": "http://proxy.example"}, **given)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


def test_the_digest_that_was_written_is_returned(fake: Fake) -> None:
    assert fake.skopeo().copy(SOURCE, TARGET) == DIGEST
    seen = fake.seen()
    assert seen["arguments"][-2:] == [f"docker://{SOURCE.reference}", f"docker://{TARGET.reference}"]
    assert {"copy", "--all", "--preserve-digests"} <= set(seen["arguments"])
    assert seen["environment"]["HTTPS_PROXY"] == "http://proxy.example"


def test_logins_are_in_private_files_that_go_away(fake: Fake) -> None:
    fake.skopeo().copy(SOURCE, TARGET)
    seen = fake.seen()
    assert seen["files"]["src-authfile"] == {"auths": {"source.example:5000": {"auth": SOURCE.login.basic}}}  # type: ignore[union-attr]
    assert seen["files"]["dest-authfile"] == {"auths": {}}
    assert {seen["modes"]["src-authfile"], seen["modes"]["dest-authfile"]} == {stat.S_IRUSR | stat.S_IWUSR}
    assert seen["mode"] == stat.S_IRWXU
    assert SECRET not in str(seen["arguments"]) and SOURCE.login.basic not in str(seen["arguments"])  # type: ignore[union-attr]
    assert list(fake.workspace.iterdir()) == []


@pytest.mark.parametrize("reference", ["python:3", "team/app:v1"])
def test_a_login_for_docker_hub_has_its_name(reference: str) -> None:
    assert Side(reference, None).host == "docker.io"
    assert Side(f"localhost/{reference}", None).host == "localhost"


@pytest.mark.parametrize(
    ("version", "flags"),
    [
        ("1.6.0", set()),
        ("1.15.2-dev", set()),
        ("1.16.0", {"--image-parallel-copies=8"}),
        ("1.18.0", {"--image-parallel-copies=8", "--retry-delay=2s"}),
        ("2.0.0", {"--image-parallel-copies=8", "--retry-delay=2s"}),
    ],
)
def test_flags_follow_the_version(fake: Fake, version: str, flags: set[str]) -> None:
    fake.plan(version)
    fake.skopeo().copy(SOURCE, TARGET)
    optional = {"--image-parallel-copies=8", "--retry-delay=2s"}
    assert optional & set(fake.seen()["arguments"]) == flags


@pytest.mark.parametrize("version", ["1.5.2", "0.2"])
def test_a_version_that_changes_digests_is_refused(fake: Fake, version: str) -> None:
    fake.plan(version)
    with pytest.raises(SkopeoError, match="is too old to keep digests: 1.6 or newer"):
        fake.skopeo().copy(SOURCE, TARGET)


def test_the_version_is_asked_for_once(fake: Fake) -> None:
    skopeo = fake.skopeo()
    assert skopeo.version() == (1, 9)
    fake.plan("2.0.0")
    assert skopeo.version() == (1, 9)


def test_another_program_of_that_name_is_refused(fake: Fake) -> None:
    fake.plan("of nothing")
    with pytest.raises(SkopeoError, match="does not tell its version"):
        fake.skopeo().version()


def test_a_missing_program_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(SkopeoError, match="cannot be run .No such file.*Install it"):
        Skopeo({}, executable=str(tmp_path / "absent")).version()


def test_a_policy_is_given_where_there_is_none(fake: Fake, tmp_path: Path) -> None:
    fake.skopeo(policies=(str(tmp_path / "absent"),)).copy(SOURCE, TARGET)
    assert fake.seen()["files"]["policy"] == {"default": [{"type": "insecureAcceptAnything"}]}
    fake.skopeo(policies=(str(fake.program),)).copy(SOURCE, TARGET)
    assert "policy" not in fake.seen()["files"]


def test_certificates_are_checked_unless_told_otherwise(fake: Fake) -> None:
    fake.skopeo().copy(SOURCE, TARGET)
    assert not [each for each in fake.seen()["arguments"] if "tls" in each]
    fake.skopeo(verify=False).copy(SOURCE, TARGET)
    assert {"--src-tls-verify=false", "--dest-tls-verify=false"} <= set(fake.seen()["arguments"])


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (
            [
                "Copying blob x",
                'time="now" level=fatal msg="writing blob: PUT \\"https://s3.example/x?X-Amz-Signature=s\\": 500"',
            ],
            'writing blob: PUT "https://s3.example/x": 500',
        ),
        (["something", "else"], "something else"),
        ([], "no reason given"),
    ],
)
def test_a_failure_says_why_and_holds_no_signature(fake: Fake, lines: list[str], text: str) -> None:
    fake.plan(lines=lines, code=1)
    with pytest.raises(SkopeoError) as caught:
        fake.skopeo().copy(SOURCE, TARGET)
    assert str(caught.value) == f"skopeo could not copy {SOURCE.reference} to {TARGET.reference}: {text}"
    assert caught.value.as_result()["error"] == {"message": text}
    assert list(fake.workspace.iterdir()) == []


def test_only_the_last_lines_are_kept(fake: Fake) -> None:
    fake.plan(lines=[f"line {number}" for number in range(100)], code=1)
    with pytest.raises(SkopeoError) as caught:
        fake.skopeo().copy(SOURCE, TARGET)
    assert "line 99" in caught.value.text and "line 79" not in caught.value.text


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            [
                f"Copying blob sha256:{BLOB}",
                f"Copying blob sha256:{OTHER}",
                f"Copying config sha256:{CONFIG}",
                "Writing manifest",
            ],
            [Progress(2, 3, 15, 16), Progress(3, 3, 16, 16)],
        ),
        (
            [
                f"Copying blob sha256:{BLOB}",
                f"Copying blob {BLOB[:12]} done   |",
                f"Copying blob {OTHER[:12]} skipped: already exists",
                f"Copying config {CONFIG[:12]} done",
                "Writing manifest to image destination",
            ],
            [Progress(1, 3, 10, 16), Progress(2, 3, 15, 16), Progress(3, 3, 16, 16)],
        ),
        (["Getting image source signatures", "Copying blob sha256:ffffffffffff"], []),
    ],
)
def test_progress_is_told(fake: Fake, monkeypatch: pytest.MonkeyPatch, lines: list[str], told: list[Progress]) -> None:
    monkeypatch.setattr(_skopeo, "LOOK_SECONDS", 600)  # else there is a look between the lines of a slow machine
    fake.plan(lines=lines)
    heard: list[Progress] = []
    fake.skopeo().copy(SOURCE, TARGET, BLOBS, heard.append)
    assert heard == told


def test_what_is_under_way_counts_by_what_was_written(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_skopeo, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(_skopeo, "written", lambda dummy: 7)
    fake.plan(lines=[f"Copying blob {OTHER[:12]} skipped: already exists", f"Copying blob {BLOB}"], seconds=2)
    heard: list[Progress] = []
    fake.skopeo().copy(SOURCE, TARGET, BLOBS, heard.append)
    assert heard[-1] == Progress(1, 3, 12, 16)


@pytest.mark.parametrize(
    ("begun", "written", "told"),
    [(9, 0, Progress(3, 9, 0, 9)), (9, 100, Progress(3, 9, 9, 9)), (2, 1, Progress(0, 9, 1, 9))],
)
def test_older_versions_are_understood(begun: int, written: int, told: Progress) -> None:
    blobs = {f"sha256:{number:064}": 1 for number in range(9)}
    heard: list[Progress] = []
    meter = CopyProgress(blobs, heard.append)
    for digest in [*blobs][:begun]:
        meter.read(f"Copying blob {digest}")
    meter.update(written)
    assert heard == [told]


def test_a_blob_of_two_platforms_counts_once() -> None:
    heard: list[Progress] = []
    meter = CopyProgress({f"sha256:{BLOB}": 3}, heard.append)
    for line in (f"Copying blob sha256:{BLOB}", f"Copying config {CONFIG}", f"Copying blob sha256:{BLOB}"):
        meter.read(line)
    meter.update(9)
    assert heard == [Progress(1, 1, 3, 3), Progress(1, 1, 3, 3)]


def test_what_a_process_has_written_is_known_where_the_system_tells(fake: Fake) -> None:
    assert _skopeo.written(os.getpid()) > 0
    assert _skopeo.written(-1) == 0


def test_a_last_line_needs_no_end() -> None:
    async def told() -> list[str | None]:
        stream = asyncio.StreamReader()
        stream.feed_data(b"one\ntwo")
        stream.feed_eof()
        return [line async for line in _skopeo.lines(stream)]

    assert asyncio.run(told()) == ["one", "two"]


def test_progress_may_interest_nobody(fake: Fake) -> None:
    fake.plan(lines=[f"Copying blob {BLOB} done"])
    assert fake.skopeo().copy(SOURCE, TARGET, BLOBS) == DIGEST


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit), (signal.SIGINT, KeyboardInterrupt)],
)
def test_an_interruption_leaves_neither_a_file_nor_a_process(
    fake: Fake, number: int, raised: type[BaseException]
) -> None:
    fake.plan(lines=["Copying blob x"], seconds=30)
    former = signal.getsignal(signal.SIGTERM)

    def interrupt() -> None:
        while not (fake.directory / "seen").exists():
            threading.Event().wait(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(raised):
        fake.skopeo().copy(SOURCE, TARGET)
    thread.join()
    threading.Event().wait(0.05)
    assert list(fake.workspace.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == former
    with pytest.raises(ProcessLookupError):
        os.kill(fake.seen()["pid"], 0)


def test_a_process_that_just_starts_does_not_outlive_an_interruption(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.plan(seconds=30)
    started = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], **options: Any) -> None:
            super().__init__(command, **options)
            started.append(self.pid)
            if "copy" in command:
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    with pytest.raises(SystemExit) as ended:
        fake.skopeo().copy(SOURCE, TARGET)
    assert ended.value.code == 128 + signal.SIGTERM
    assert list(fake.workspace.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(started[-1], 0)


@pytest.mark.usefixtures("heeded")
def test_an_interruption_before_anything_starts_is_one_too() -> None:
    with pytest.raises(KeyboardInterrupt), terminable():
        os.kill(os.getpid(), signal.SIGINT)


def test_a_thread_leaves_signals_alone() -> None:
    passed = []

    def body() -> None:
        with terminable():
            passed.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert passed == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize(
    ("text", "public", "expected"),
    [
        ("received unexpected HTTP status: 503 Service Unavailable", False, True),
        ("invalid status code from registry 429 (Too Many Requests)", False, True),
        ("toomanyrequests: Rate exceeded", False, True),
        ("unauthorized: authentication required", False, True),
        ("denied: Your authorization token has expired. Reauthenticate and try again.", False, True),
        ("Error fetching blob: invalid status code from registry 403 (Forbidden)", False, True),
        ("denied: User: arn:aws:iam::123456789012:user/x is not authorized to perform: ecr:PutImage", False, False),
        ("read tcp: connection reset by peer", False, True),
        ("unexpected http code: 400 (Bad Request)", True, True),
        ("unexpected http code: 400 (Bad Request)", False, False),
        ("tag invalid: The image tag 'v1' cannot be overwritten because the repository is immutable.", True, False),
        ("manifest unknown: manifest unknown", True, False),
        ("reading blob sha256:4295000", True, False),
    ],
)
def test_what_another_try_may_mend(text: str, public: bool, expected: bool) -> None:
    assert is_transient(text, public) is expected


def test_a_skopeo_that_names_no_digest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SkopeoError, match="did not say which digest"):
        _skopeo.digest_in(tmp_path / "digest")
