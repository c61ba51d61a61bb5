# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's runs without a playbook around them: its modules in its order, with their own options and clients.

An ansible-playbook takes seconds to start. These runs take none, so that two of them meet anywhere in their work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any
from unittest.mock import patch

import boto3
from ansible.module_utils.testing import patch_module_args
from ansible_collections.amazon.aws.plugins.module_utils.retries import RetryingBotoClientWrapper
from botocore.config import Config

from ansible_collections.gpuops.runpod.plugins.module_utils._aws import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import runpod_client
from ansible_collections.gpuops.runpod.plugins.module_utils._secret_store import store_of
from ansible_collections.gpuops.runpod.plugins.module_utils._tokens import mint
from ansible_collections.gpuops.runpod.plugins.modules import (
    ecr_pull_check,
    ecr_pull_user,
    runpod_ecr_credential,
    runpod_info,
    runpod_templates,
)

Json = dict[str, Any]

REGION = "us-east-1"
USER = "runpod-ecr-access"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/runpod-gpu-training:v1"
CREDENTIAL = f"{USER}-123456789012-{REGION}"
STORES = {"secretsmanager": f"runpod-ecr/{USER}", "ssm": f"/runpod-ecr/{USER}"}
HASTE = 20  # by how much a worker's pauses are shorter than those of the modules
PATIENCE = 120.0  # seconds until one process takes the other for dead
SPAWN = get_context("spawn")


def now() -> datetime:
    return datetime.now(UTC)


class Runs:
    """The runs against the sandbox of an environment, with the pull user's key in a kind of store.

    `sleep` is what the clients pause with, and `clock` what those of AWS tell the time by.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        store: str = "secretsmanager",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.store = store
        self._sleep, self._clock = sleep, clock
        self._session = boto3.session.Session()
        self._clients: dict[ModuleType, Any] = {}
        self._aws = {
            "region": environment["AWS_REGION"],
            "endpoint_url": environment["AWS_ENDPOINT_URL"],
            "access_key": environment["AWS_ACCESS_KEY_ID"],
            "secret_key": environment["AWS_SECRET_ACCESS_KEY"],
        }
        self._api = {"api_url": environment["RUNPOD_API_BASE_URL"], "api_key": environment["RUNPOD_API_KEY"]}

    # The role's entry points

    def converge(self, image: str = IMAGE) -> None:
        self._run(ecr_pull_check, self._aws, images=[image], identity="caller")
        self._run(runpod_info, self._api, gather=["registries", "delegations"])
        self._run(ecr_pull_user, self._aws, name=USER, repositories=[image], secret_store=self._stored)
        self.refresh()
        self._prove()
        name = image.rpartition("/")[2].partition(":")[0]
        template = {"name": name, "image": image, "registry": CREDENTIAL, "serverless": True}
        self._run(runpod_templates, self._api, templates=[template])

    def rotate(self) -> None:
        """Rotate a key of any age, or go on with what the last rotation left to do."""
        self._run(runpod_info, self._api, gather=["registries"])
        self.replace_key()
        self.refresh()
        self._prove()

    def refresh(self, force: bool = False) -> None:
        both = {**self._aws, **self._api}
        options = {"name": CREDENTIAL, "registry_region": REGION, "force": force, "secret_store": self._stored}
        self._run(runpod_ecr_credential, both, **options)

    def renew(self) -> None:
        """Refresh a token that is fresh, as one that is not."""
        self.refresh(force=True)

    # Their parts

    def replace_key(self) -> None:
        self._run(ecr_pull_user, self._aws, name=USER, rotate_after_days=0, secret_store=self._stored)

    def minter(self) -> Callable[[], None]:
        """Return what reads the entry and mints a token as a refresh does, but with no patience for a refusal."""
        params, aws = self._ready(ecr_pull_user, self._aws, name=USER, secret_store=self._stored)
        store = store_of(aws, params["secret_store"])

        def read_and_mint() -> None:
            entry = store.read()
            mint(aws, REGION, entry and entry.key)

        return read_and_mint

    @property
    def _stored(self) -> Json:
        return {"type": self.store, "name": STORES[self.store]}

    def _prove(self) -> None:
        self._run(ecr_pull_check, self._aws, images=[IMAGE], identity="secret_store", secret_store=self._stored)

    def _run(self, module: ModuleType, access: Json, **options: Any) -> None:
        params, client = self._ready(module, access, **options)
        module.run(params, False, client)

    def _ready(self, module: ModuleType, access: Json, **options: Any) -> tuple[Json, Any]:
        """Return the module's parameters and its client, as its own main() makes them; the client lives on."""
        made: list[tuple[Any, Any]] = []

        def execute(it: Any, dummy: Any, key: str | None, connect: Any = runpod_client) -> None:
            made.append((it, connect))

        with patch_module_args({**access, **options}), patch.object(module, "execute", execute):
            module.main()
        [(it, connect)] = made
        if module not in self._clients:
            self._clients[module] = self._hurried(connect(it))
        return it.params, self._clients[module]

    def _hurried(self, client: Any) -> Any:
        """Give a client, or each of several, the clock and the pauses of these runs."""
        for one in client if isinstance(client, tuple) else [client]:
            if isinstance(one, Aws | Client):
                one.sleep = self._sleep
            if isinstance(one, Aws):
                one.clock, one.connect = self._clock, self._connect
        return client

    def _connect(
        self, service: str, region: str, retry_decorator: Any = None, aws_config: Json | None = None, **identity: Any
    ) -> Any:
        """Make a client as AnsibleAWSModule does, but of a session that lives on, which takes a tenth of the time."""
        access = {
            "endpoint_url": self._aws["endpoint_url"],
            "aws_access_key_id": self._aws["access_key"],
            "aws_secret_access_key": self._aws["secret_key"],
            **identity,
        }
        made = self._session.client(service, region, config=Config(**(aws_config or {})), **access)
        return RetryingBotoClientWrapper(made, retry_decorator) if retry_decorator else made


# Two processes


def hurry(seconds: float) -> None:
    time.sleep(seconds / HASTE)


def serve(connection: Connection, barrier: Any, environment: dict[str, str]) -> None:
    """Take orders (the name of a run, the store, an offset in seconds) until there is none, and say how each went."""
    os.environ.clear()
    os.environ.update(environment)
    runs = Runs(environment, sleep=hurry)
    connection.send("ready")
    while order := connection.recv():
        name, runs.store, offset = order
        barrier.wait(PATIENCE)
        time.sleep(offset)
        try:
            getattr(runs, name)()
            connection.send("")
        except Exception as error:
            connection.send(f"{name}: {type(error).__name__}: {error}")


class Pair:
    """Two processes that start their runs at the same moment."""

    def __init__(self, connections: list[Connection]) -> None:
        self._connections = connections

    def run(self, names: tuple[str, str], store: str, offset: float) -> list[str]:
        """Do both runs at once, the second one later by an offset that may be negative. Returns what failed."""
        offsets = (max(-offset, 0.0), max(offset, 0.0))
        for connection, name, wait in zip(self._connections, names, offsets, strict=True):
            connection.send((name, store, wait))
        return [said for said in [answer(connection) for connection in self._connections] if said]


def answer(connection: Connection) -> str:
    """Return what a process says next."""
    assert connection.poll(PATIENCE), "a process does not answer"
    return connection.recv()


@contextmanager
def pair(environment: dict[str, str]) -> Iterator[Pair]:
    """Start both processes; they end with the block."""
    barrier = SPAWN.Barrier(2)
    ends = [SPAWN.Pipe() for dummy in range(2)]
    connections = [ours for ours, dummy in ends]
    processes = [SPAWN.Process(target=serve, args=(theirs, barrier, environment)) for dummy, theirs in ends]
    try:
        for process in processes:
            process.start()
        assert [answer(ours) for ours in connections] == ["ready", "ready"]
        yield Pair(connections)
    finally:
        for process in processes:
            process.kill()
            process.join()
