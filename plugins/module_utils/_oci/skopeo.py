# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the one client of skopeo. It knows nothing of options, AWS or Ansible.

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
import time
from asyncio import CancelledError
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, NamedTuple

from .._core.errors import SkopeoError
from .progress import Progress
from .registry_client import DOCKER_HUB, Login

OLDEST = (1, 6)  # the first with --all and --preserve-digests
FLAGS_SINCE = {(1, 16): ["--image-parallel-copies=8"], (1, 18): ["--retry-delay=2s"]}
POLICIES = ("~/.config/containers/policy.json", "/etc/containers/policy.json")
# Signatures need no proof: the digest is known before, and compared after.
POLICY = {"default": [{"type": "insecureAcceptAnything"}]}
COPYING = re.compile(r"Copying (?P<kind>blob|config) (?:sha256:)?(?P<digest>[0-9a-f]{8,64})(?P<rest>.*)")
FATAL = re.compile(r'level=fatal msg="(?P<text>.*)"')
SIGNED = re.compile(r'(https?://[^\s"?\\]+)\?[^\s"\\]*')  # the query is a secret
TROUBLE = re.compile(
    r"\b429\b|too ?many ?requests|rate exceeded|\b5\d\d\b|\b401\b|unauthorized|authentication required"
    r"|authorization token has expired|status code from registry 403"
    r"|connection reset|connection refused|broken pipe|unexpected EOF|i/o timeout"
    r"|TLS handshake timeout",
    re.IGNORECASE,
)
BAD_REQUEST = re.compile(r"\b400\b")
LAST_LINES = 20
AT_ONCE = 6
LOOK_SECONDS = 1.0
PIECE = 1 << 16


class Side(NamedTuple):
    """`login` None is anonymous; `reference` begins with the host."""

    reference: str
    login: Login | None

    @property
    def host(self) -> str:
        host, slash, dummy = self.reference.partition("/")
        return host if slash and re.search(r"[.:]|^localhost$", host) else DOCKER_HUB


class Skopeo:
    """`environment` is what skopeo sees; `workspace` holds private temporary directories, None for the system's;
    `verify` False takes any certificate.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        workspace: str | None = None,
        verify: bool = True,
        executable: str = "skopeo",
        policies: tuple[str, ...] = POLICIES,
    ) -> None:
        self._environment = dict(environment)
        self._workspace = workspace
        self._verify = verify
        self._executable = executable
        self._policies = policies
        self._version: tuple[int, int] | None = None

    def version(self) -> tuple[int, int]:
        """Raise SkopeoError when skopeo is missing or too old."""
        if self._version is None:
            self._version = self._asked_version()
        return self._version

    def _asked_version(self) -> tuple[int, int]:
        try:
            message = asyncio.run(self._output("--version"))
        except OSError as error:
            raise SkopeoError(
                f"skopeo cannot be run ({error.strerror}). Install it where this runs, from the package skopeo of your "
                "distribution, or use an execution environment that has it."
            ) from error
        match = re.search(r"version v?(\d+)\.(\d+)", message)
        if match is None:
            raise SkopeoError("skopeo does not tell its version.", redacted(message))
        version = (int(match[1]), int(match[2]))
        if version < OLDEST:
            raise SkopeoError(
                f"skopeo {version[0]}.{version[1]} is too old to keep digests: {OLDEST[0]}.{OLDEST[1]} or newer is "
                "needed."
            )
        return version

    def copy(
        self,
        source: Side,
        destination: Side,
        blobs: Mapping[str, int] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> str:
        """Copy an image with all its platforms, and return the digest that was written.

        `blobs` are sizes by digest; `progress` is told when a blob is done, and every second. Logins are in private
        files that are gone when this ends.
        """
        version = self.version()
        with terminable() as ending, TemporaryDirectory(prefix="skopeo-", dir=self._workspace) as directory:
            files = Path(directory)
            command = self._command(version, files, source, destination)
            meter = CopyProgress(blobs or {}, progress or ignored)
            code, lines = self._run(command, meter, ending)
            if code:
                text = redacted(fatal(lines))
                raise SkopeoError(f"skopeo could not copy {source.reference} to {destination.reference}: {text}", text)
            return digest_in(files / "digest")

    def _command(self, version: tuple[int, int], files: Path, source: Side, destination: Side) -> list[str]:
        command = [self._executable]
        if not any(Path(path).expanduser().exists() for path in self._policies):
            command.append(f"--policy={private(files / 'policy.json', POLICY)}")
        command += ["copy", "--all", "--preserve-digests", "--retry-times=2", f"--digestfile={files / 'digest'}"]
        for name, side in (("src", source), ("dest", destination)):
            auths = {} if side.login is None else {side.host: {"auth": side.login.basic}}
            command.append(f"--{name}-authfile={private(files / f'{name}.json', {'auths': auths})}")
            if not self._verify:
                command.append(f"--{name}-tls-verify=false")
        for since, flags in FLAGS_SINCE.items():
            command += flags if version >= since else []
        return [*command, f"docker://{source.reference}", f"docker://{destination.reference}"]

    def _run(self, command: list[str], meter: CopyProgress, ending: Ending) -> tuple[int, list[str]]:
        """Return exit code and last lines. skopeo does not outlive an interruption."""
        with suppress(CancelledError):
            ended = asyncio.run(self._followed(command, meter, ending))
        if ending.number:
            raise ending.error()
        return ended

    async def _followed(self, command: list[str], meter: CopyProgress, ending: Ending) -> tuple[int, list[str]]:
        last: list[str] = []
        with ending.cancelling():
            process = await self._started(command)
            try:
                async for line in lines(process.stdout):
                    if line is None:
                        meter.update(written(process.pid))
                    else:
                        meter.read(line)
                        last = [*last, line.rstrip()][-LAST_LINES:]
                return await process.wait(), last
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    async def _output(self, *arguments: str) -> str:
        process = await self._started([self._executable, *arguments])
        return (await process.communicate())[0].decode(errors="replace")

    async def _started(self, command: list[str]) -> Process:
        return await asyncio.create_subprocess_exec(
            *command, env=self._environment, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )


class CopyProgress:
    """Reads from skopeo's lines which blobs are done.

    Older versions tell only their beginnings: then they are done when the configuration, which comes last, begins;
    until then all are but those under way, of which so many are at once. What is under way counts by the bytes that
    skopeo has written.
    """

    def __init__(self, blobs: Mapping[str, int], tell: Callable[[Progress], None]) -> None:
        self._blobs = blobs
        self._tell = tell
        self._begun: set[str] = set()
        self._done: set[str] = set()
        self._skipped: set[str] = set()
        self._written = 0

    def update(self, written: int) -> None:
        self._written = written
        self._tell(self._progress())

    def read(self, line: str) -> None:
        match = COPYING.match(line)
        if match:
            named = {digest for digest in self._blobs if digest.removeprefix("sha256:").startswith(match["digest"])}
            if match["kind"] == "config":
                self._finish(self._begun)
            self._begun |= named - self._done
            if end := re.match(r"\s*(done|skipped)", match["rest"]):
                self._skipped |= named if end[1] == "skipped" else set()
                self._finish(named)
        elif line.startswith("Writing manifest"):
            self._finish(self._begun)

    def _finish(self, digests: set[str]) -> None:
        new = digests - self._done
        self._done |= new
        self._begun -= new
        if new:
            self._tell(self._progress())

    def _progress(self) -> Progress:
        done, begun = self._size(self._done), self._size(self._begun)
        count = len(self._done) + max(0, len(self._begun) - AT_ONCE)
        copied = min(max(done, self._size(self._skipped) + self._written), done + begun)
        return Progress(count, len(self._blobs), copied, self._size(self._blobs))

    def _size(self, digests: Iterable[str]) -> int:
        return sum(self._blobs[each] for each in digests)


async def lines(stream: Any) -> AsyncIterator[str | None]:
    """Yield the lines as they come, and None every second."""
    rest, due = b"", time.monotonic() + LOOK_SECONDS
    while True:
        try:
            piece = await asyncio.wait_for(stream.read(PIECE), max(0.0, due - time.monotonic()))
        except asyncio.TimeoutError:  # the built-in one only since Python 3.11
            piece = None
        if time.monotonic() >= due:
            due = time.monotonic() + LOOK_SECONDS
            yield None
        if piece is not None:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
            if not piece:
                break
    if rest:
        yield rest.decode(errors="replace")


def written(process_id: int) -> int:
    """Return the bytes that a process has written, over the network too; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{process_id}/io").read_text().partition("wchar: ")[2].split()[0])
    except (OSError, LookupError, ValueError):
        return 0


def ignored(dummy: Progress) -> None:
    """Tell nobody."""


def private(path: Path, document: Mapping[str, Any]) -> Path:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file)
    return path


def digest_in(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        raise SkopeoError("skopeo ended well, but did not say which digest it wrote: is it the real one?") from None


def fatal(lines: list[str]) -> str:
    for line in reversed(lines):
        if match := FATAL.search(line):
            return match["text"].replace('\\"', '"')
    return " ".join(lines) or "no reason given"


def redacted(text: str) -> str:
    return SIGNED.sub(r"\1", text)


def is_transient(text: str, public: bool) -> bool:
    """Return whether another try with a fresh login may help. ECR Public answers 400 when a login has expired."""
    return bool(TROUBLE.search(text) or (public and BAD_REQUEST.search(text)))


class Ending:
    """A handler of signals: it raises, but while a process may just be starting it cancels what awaits that."""

    number = 0
    _cancel: Callable[[], object] | None = None

    def __call__(self, number: int, dummy: FrameType | None) -> None:
        self.number = number
        if self._cancel is None:
            raise self.error()
        self._cancel()

    def error(self) -> BaseException:
        return KeyboardInterrupt() if self.number == signal.SIGINT else SystemExit(128 + self.number)

    @contextmanager
    def cancelling(self) -> Iterator[None]:
        task: Any = asyncio.current_task()
        self._cancel = partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
        try:
            yield
        finally:
            self._cancel = None


@contextmanager
def terminable() -> Iterator[Ending]:
    """Let a request to terminate interrupt this process, so that it cleans up."""
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending
        return
    former = {number: signal.signal(number, ending) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        yield ending
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
