# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded sandbox: the two simulators served on loopback, in this process or in one of their own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from . import aws, contract, images, registries, runpod
from .aws_calls import parse, refuse_raw
from .faults import CallName, Faults, Recorded, Recorder, Service
from .registries import Registries
from .registry_backend import MissingRegistryError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
REGION = "us-east-1"
# The key of AWS' documentation.
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
# Would send a call past the sandbox (AWS_ENDPOINT_URL_ECR, say), or with another identity. moto reads some of them too.
FOREIGN = ("AWS_", "RUNPOD_")
START_SECONDS = 60.0
STOP_SECONDS = 10.0

REGISTRIES = "registries-"  # begins the name of the folder of the registries
PID, LOG, ENV_JSON, ENV_SH, WRONG = "sandbox.pid", "sandbox.log", "env.json", "env.sh", "violations.txt"


class SandboxError(Exception):
    """The sandbox cannot do what was asked."""


# In this process


class _Handler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the calls are logged where a test can read them."""


class Sandbox:
    """Both servers in threads of this process; one at a time, for moto keeps its world per process.

    With `with_registries` there are real registries too, whose files are in a folder or else in a temporary one.
    """

    def __init__(self, with_registries: bool = False, files: Path | None = None) -> None:
        self._with_registries = with_registries
        self._files = files
        self._registries: Registries | None = None
        self.aws = aws.AwsSimulator()
        self.runpod = runpod.RunpodSimulator(policy_of=self.aws.repository_policy, has_tag=self.aws.has_tag)
        self._faults = {
            "aws": Faults(Service(aws.create_app(self.aws), _aws_name, refuse_raw, self._reset_aws)),
            "runpod": Faults(Service(runpod.create_app(self.runpod), _runpod_name, _problem, self.runpod.reset)),
        }
        self._session: Any = None
        self._clients: dict[tuple[Any, ...], Any] = {}
        self._images: aws.Images | None = None
        self._urls: dict[str, str] = {}
        self._running = ExitStack()

    def __enter__(self) -> Sandbox:
        with ExitStack() as starting:
            starting.enter_context(_unset([name for name in os.environ if name.startswith(FOREIGN)]))
            self._session = boto3.session.Session()
            if self._with_registries:
                self._registries = starting.enter_context(self._served_registries())
            self._urls = {name: starting.enter_context(_served(app)) for name, app in self._faults.items()}
            self.reset()
            self._running = starting.pop_all()
        return self

    def __exit__(self, *dummy: object) -> None:
        self._running.close()

    @contextmanager
    def _served_registries(self) -> Iterator[Registries]:
        with TemporaryDirectory(prefix=REGISTRIES, dir=self._files) as folder:
            try:
                with registries.served(HOST, Path(folder), self.aws) as served:
                    self.aws.registry = served
                    yield served
            except MissingRegistryError as error:
                raise SandboxError(str(error)) from error

    @property
    def registries(self) -> Registries:
        if self._registries is None:
            raise SandboxError("this sandbox was started without registries")
        return self._registries

    @property
    def apps(self) -> Mapping[str, Faults]:
        """The servers of both clouds, for who calls them without a socket."""
        return self._faults

    @property
    def aws_url(self) -> str:
        return self._urls["aws"]

    @property
    def runpod_url(self) -> str:
        return self._urls["runpod"]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead AWS' and RunPod's clients here."""
        return {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "RUNPOD_API_BASE_URL": self.runpod_url,
            "RUNPOD_API_KEY": runpod.API_KEY,
            "NO_PROXY": f"{HOST},localhost",
            "no_proxy": f"{HOST},localhost",
            **(self._registries.environment if self._registries else {}),
        }

    def client(self, service: str, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY, **options: Any) -> Any:
        """Return a boto3 client; the operator's, unless a key is given. Those of operators live on."""
        known = (service, access_key, *sorted(options.items()))
        if known in self._clients:
            return self._clients[known]
        lives_on = secret_key == SECRET_KEY and "config" not in options
        config = Config(proxies={}, user_agent="tests").merge(options.pop("config", None) or Config())
        identity = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
        given = {"region_name": REGION, **identity, "config": config, **options}
        made = self._session.client(service, endpoint_url=self.aws_url, **given)
        if lives_on:
            self._clients[known] = made
        return made

    def aws_calls(self) -> list[dict[str, Any]]:
        return self._faults["aws"].calls()

    def runpod_calls(self) -> list[dict[str, Any]]:
        return self._faults["runpod"].calls()

    def forget_calls(self) -> None:
        for log in self._logs():
            log.forget_calls()

    def fail(self, name: str, server: str = "", **rule: Any) -> None:
        """Break calls of aws, runpod or the registries, by the members of `faults.Fault`.

        Unless told, the server is known by the name: RunPod's are the ones with a space in them.
        """
        self._servers()[server or ("runpod" if " " in name else "aws")].fail(name=name, **rule)

    def mend(self) -> None:
        """Break no more calls."""
        for log in self._logs():
            log.mend()

    @contextmanager
    def recording(self) -> Iterator[list[Recorded]]:
        """Write the calls down that are answered while this context lasts, with the fields of their answers."""
        recorder = Recorder()
        for name, log in self._servers().items():
            log.note = partial(recorder.note, name)
        try:
            yield recorder.calls
        finally:
            for log in self._logs():
                log.note = None

    def _servers(self) -> dict[str, Faults | Registries]:
        return {**self._faults, **({"registries": self._registries} if self._registries else {})}

    def _logs(self) -> list[Faults | Registries]:
        return list(self._servers().values())

    def reset(self) -> None:
        """Go back to how the sandbox starts."""
        for faults in self._faults.values():
            faults.reset()

    def _reset_aws(self) -> None:
        self.aws.reset()
        if self._images is None:
            self._seed()
        else:
            self.aws.put_images(self._images)
            if self._registries:
                self._registries.restore()

    def _seed(self) -> None:
        """Push the images that there are from the beginning, once: each reset brings them back."""
        if self._registries:
            self._registries.reset()
        images.seed(self.client)
        self._images = self.aws.images()
        if self._registries:
            self._registries.backend.keep()


@contextmanager
def _unset(names: Iterable[str]) -> Iterator[None]:
    """Take variables out of this process' environment for a while."""
    former = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(former)


@contextmanager
def _served(app: WSGIApplication) -> Iterator[str]:
    """Serve an application in a thread; yield its address."""
    server: BaseWSGIServer = make_server(HOST, 0, app, threaded=True, request_handler=_Handler)
    # Closing is enough for an answer that was sent; what shutdown_request does before would spoil a reset.
    server.shutdown_request = server.close_request  # type: ignore[method-assign]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _aws_name(environ: WSGIEnvironment) -> CallName:
    call = parse(environ)
    return CallName(call.name, call.access_key or None)


def _runpod_name(environ: WSGIEnvironment) -> CallName:
    return CallName(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")


def _problem(dummy: WSGIEnvironment, code: str, message: str, status: int) -> Response:
    document = {"title": code, "status": status, "detail": message}
    return Response(json.dumps(document), status, content_type="application/problem+json")


# In a process of its own


def start(state: Path) -> None:
    """Start the sandbox in the background; return when it serves."""
    if _running(state) is not None:
        raise _second(state)
    state.mkdir(parents=True, exist_ok=True)
    _remove_files(state)
    command = [sys.executable, "-m", "tests.sandbox", "serve", "--state", str(state.resolve())]
    with (state / LOG).open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=_root()
        )
    deadline = time.monotonic() + START_SECONDS
    while not (state / ENV_JSON).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            text = (state / LOG).read_text(errors="replace")
            process.kill()
            process.wait()
            _remove_files(state)
            raise SandboxError(f"the sandbox did not start:\n{text}")
        time.sleep(0.05)


def stop(state: Path) -> None:
    """End the sandbox of a directory, if there is one, and remove its files.

    Raise SandboxError when it was sent requests that RunPod's document does not allow.
    """
    pid = _running(state)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not _gone(state, STOP_SECONDS):
            os.kill(pid, signal.SIGKILL)
            _gone(state, STOP_SECONDS)
    wrong = (state / WRONG).read_text() if (state / WRONG).exists() else ""
    _remove_files(state)
    if wrong:
        raise _outside(wrong)


def serve(state: Path) -> None:
    """Serve until SIGTERM."""
    ended = Event()
    signal.signal(signal.SIGTERM, lambda dummy, frame: ended.set())
    signal.signal(signal.SIGINT, lambda dummy, frame: ended.set())
    with _claim(state), Sandbox(with_registries=True, files=state) as sandbox:
        _write_environment(state, sandbox.environment)
        ended.wait()
        if found := contract.taken():
            (state / WRONG).write_text("\n".join(found))


class _Ending:
    """What SIGTERM does: no exception, which would leave alive what is just being started, but the command's end."""

    process: subprocess.Popen[bytes] | None = None
    arrived = False

    def __call__(self, dummy_number: int, dummy_frame: FrameType | None) -> None:
        self.arrived = True
        if self.process:
            self.process.terminate()


def run(state: Path, command: list[str]) -> int:
    """Run a command with a sandbox, which lives in this process and so ends with it; return the exit code."""
    ending = _Ending()
    signal.signal(signal.SIGTERM, ending)
    with _claim(state):
        try:
            with Sandbox(with_registries=True, files=state.resolve()) as sandbox:
                _write_environment(state, sandbox.environment)
                code = _passed_on(command, sandbox.environment, ending)
        finally:
            _remove_files(state)
    if found := contract.taken():
        raise _outside("\n".join(found))
    return code


def _passed_on(command: list[str], environment: Mapping[str, str], ending: _Ending) -> int:
    try:
        process = ending.process = subprocess.Popen(command, env={**os.environ, **environment})
    except OSError as error:
        raise SandboxError(f"{command[0]}: {error.strerror}") from error
    if ending.arrived:
        process.terminate()
    try:
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return 128 - code if code < 0 else code


def _write_environment(state: Path, environment: Mapping[str, str]) -> None:
    names = " ".join(rf"-e 's/^\({prefix}[A-Za-z0-9_]*\)=.*/\1/p'" for prefix in FOREIGN)
    unset = f"unset $(env | sed -n {names})\n"
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    (state / ENV_SH).write_text(unset + exports)
    # Last and at once: who waits for the sandbox waits for this file.
    unfinished = state / f"{ENV_JSON}.new"
    unfinished.write_text(json.dumps(environment, indent=2) + "\n")
    unfinished.replace(state / ENV_JSON)


def _claim(state: Path) -> IO[str]:
    """Make this process the sandbox of a directory until the returned file is closed, at the latest by its end."""
    state.mkdir(parents=True, exist_ok=True)
    held = (state / PID).open("a+")
    try:
        flock(held, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        raise _second(state) from error
    held.truncate(0)
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held


def _second(state: Path) -> SandboxError:
    return SandboxError(f"a sandbox runs already in {state} (process {_running(state)}): stop it first")


def _outside(wrong: str) -> SandboxError:
    return SandboxError(f"requests that RunPod's document does not allow:\n{wrong}")


def _running(state: Path) -> int | None:
    """Return the process id of a directory's sandbox. It locks its file, so that no other process is taken for it."""
    try:
        with (state / PID).open() as held:
            flock(held, LOCK_SH | LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return int((state / PID).read_text())
    return None


def _gone(state: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _running(state) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _remove_files(state: Path) -> None:
    for name in (PID, LOG, ENV_JSON, f"{ENV_JSON}.new", ENV_SH, WRONG):
        (state / name).unlink(missing_ok=True)
    for folder in state.glob(f"{REGISTRIES}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _root() -> Path:
    return Path(__file__).resolve().parents[2]
