# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's runs without a playbook around them: its modules in its order, with their own options and clients.

An ansible-playbook takes seconds to start. These runs take none, so that two of them meet anywhere in their work.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import cache, lru_cache
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import boto3
from ansible_collections.amazon.aws.plugins.module_utils.retries import RetryingBotoClientWrapper
from botocore.config import Config

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.ecr_token import get_token
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.stored_key import store_of
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.connection import runpod_client
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.targets import SINKS
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import public_images, templates, workloads
from ansible_collections.gpuops.runpod.plugins.modules import (
    ecr_image_mirror,
    ecr_public_repo,
    ecr_pull_check,
    ecr_pull_grant,
    ecr_pull_user,
    runpod_ecr_credential,
    runpod_ecr_delegation,
    runpod_endpoint,
    runpod_info,
    runpod_templates,
)
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args

Json = dict[str, Any]

REGION = "us-east-1"
USER = "runpod-ecr-access"
ACCOUNT = "123456789012"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/runpod-gpu-training:v1"
PUBLIC = "public.ecr.aws/a1b2c3d4"  # with the account's alias
CREDENTIAL = f"{USER}-{ACCOUNT}-{REGION}"
MODULES = "ansible_collections.gpuops.runpod.plugins.modules"
STORES = {"secretsmanager": f"runpod-ecr/{USER}", "ssm": f"/runpod-ecr/{USER}"}
HASTE = 20  # by how much a worker's pauses are shorter than those of the modules
PATIENCE = 600.0  # seconds until a process is taken for dead, on whatever machine
SPAWN = get_context("spawn")


def now() -> datetime:
    return datetime.now(timezone.utc)


class Clock:
    """Goes on when somebody sleeps, and else as the real one."""

    def __init__(self) -> None:
        self.slept = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def now(self) -> datetime:
        return now() + timedelta(seconds=self.slept)


def until(passed: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not passed():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@cache
def session() -> Any:
    return boto3.session.Session()


@lru_cache(64)
def client_of(service: str, region: str, options: str) -> Any:
    """Return a client, which lives on: making one takes longer than its calls."""
    given = json.loads(options)
    config = Config(**{**given.pop("config"), "user_agent": "tests"})  # which takes time to word, and nobody reads
    return session().client(service, region, config=config, **given)


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
        self._sleep, self.clock = sleep, clock
        self._clients: dict[tuple[ModuleType, Any, str], Any] = {}
        self._aws = {
            "region": environment["AWS_REGION"],
            "endpoint_url": environment["AWS_ENDPOINT_URL"],
            "access_key": environment["AWS_ACCESS_KEY_ID"],
            "secret_key": environment["AWS_SECRET_ACCESS_KEY"],
        }
        self._api = {"api_url": environment["RUNPOD_API_BASE_URL"], "api_key": environment["RUNPOD_API_KEY"]}

    # The role's entry points, and its ways of access. Workloads are images, or what the role takes as such.

    def converge(self, *given: Any, policy: str = "repositories", endpoint: Json | None = None) -> None:
        items = self._looked_at(given, endpoint)
        arns = sorted({item["repository_arn"] for item in items})
        self._run(ecr_pull_user, self._aws, name=USER, repositories=arns, policy=policy, secret_store=self._stored)
        registries = {region: self.refresh(region=region) for region in regions(items)}
        self._prove(images(items))
        self._hand_over(items, registries)

    def delegate(self, *given: Any) -> None:
        items = self._looked_at(given)
        arns = sorted({item["repository_arn"] for item in items})
        self._run(ecr_pull_grant, self._aws, repositories=arns)
        self._run(runpod_ecr_delegation, self._api, images=images(items))
        self._hand_over(items, {})

    def publish(self, *given: Any) -> None:
        """Publish repositories under their own names."""
        items = self._looked_at(given)
        for name in sorted({item["repository"] for item in items}):
            self._run(ecr_public_repo, self._aws, name=name, acknowledge_public=True)
        uris = {item["repository_arn"]: f"{PUBLIC}/{item['repository']}" for item in items}
        public = public_images(items, uris)
        mirrors = [{"source": source, "destination": target.partition("@")[0]} for source, target in public.items()]
        self._run(ecr_image_mirror, self._aws, images=mirrors)
        self._run(runpod_templates, self._api, templates=templates(items, {}, public))

    def lend(self, *given: Any) -> None:
        """Give RunPod tokens of the caller's own."""
        items = self._looked_at(given)
        self._hand_over(items, {region: self._credential(region) for region in regions(items)})

    def quarantine(self) -> None:
        self._run(ecr_pull_user, self._aws, name=USER, secret_store=self._stored, state="quarantined")

    def rotate(self) -> None:
        """Rotate a key of any age, or go on with what the last rotation left to do."""
        self._run(runpod_info, self._api, gather=["registries"])
        self.replace_key()
        self.refresh()
        self._prove([IMAGE])

    def refresh(self, force: bool = False, region: str = REGION) -> str:
        """Return the id of the region's credential."""
        return self._credential(region, force=force, secret_store=self._stored)

    def renew(self) -> None:
        """Refresh a token that is fresh, as one that is not."""
        self.refresh(force=True)

    # Their parts

    def call(self, name: str, options: Json) -> None:
        """Run a module of the collection with what the environment says of access."""
        self._run(import_module(f"{MODULES}.{name}"), {}, **options)

    def replace_key(self) -> None:
        self._run(ecr_pull_user, self._aws, name=USER, rotate_after_days=0, secret_store=self._stored)

    def minter(self) -> tuple[Callable[[], Any], Callable[[Any], None]]:
        """Return what reads the entry, and what mints a token with it as a refresh does, but with no patience."""
        params, aws, dummy = self._ready(ecr_pull_user, self._aws, name=USER, secret_store=self._stored)
        store = store_of(aws, params["secret_store"])

        def mint(entry: Any) -> None:
            get_token(aws, REGION, entry and entry.key)

        return store.read, mint

    @property
    def _stored(self) -> Json:
        return {"type": self.store, "name": STORES[self.store]}

    def _looked_at(self, given: tuple[Any, ...], endpoint: Json | None = None) -> list[Json]:
        """Return the workloads complete, once all images have been seen, and RunPod has said what it has."""
        named = [{"image": each} if isinstance(each, str) else each for each in given or (IMAGE,)]
        items = workloads(named, {"serverless": True}, endpoint)
        self._run(ecr_pull_check, self._aws, images=images(items), identity="caller")
        self._run(runpod_info, self._api, gather=["registries", "delegations"])
        return items

    def _credential(self, region: str, **options: Any) -> str:
        """Let RunPod hold a fresh token for a region; return the id of the credential."""
        given = {"name": f"{USER}-{ACCOUNT}-{region}", "registry_region": region, **options}
        return self._run(runpod_ecr_credential, {**self._aws, **self._api}, **given).after["id"]

    def _prove(self, pulled: list[str]) -> None:
        self._run(ecr_pull_check, self._aws, images=pulled, identity="secret_store", secret_store=self._stored)

    def _hand_over(self, items: list[Json], registries: dict[str, str]) -> None:
        """Let templates, and then endpoints, run the images with the credentials of their regions."""
        self._run(runpod_templates, self._api, templates=templates(items, registries))
        for item in items:
            if item["endpoint"]:
                own = {"image": item["image"], "registry": registries.get(item["region"], "")}
                self._run(runpod_endpoint, self._api, **item["endpoint"], **own)

    def _run(self, module: ModuleType, access: Json, **options: Any) -> Any:
        """Return what the module makes of its options."""
        params, client, dummy = self._ready(module, access, **options)
        return module.run(params, False, client)

    def outcome(self, module: ModuleType, options: Json, check: bool = False) -> Any:
        """Return what a module of either cloud, or of both, makes of its options."""
        source = Path(module.__file__ or "").read_text()
        access = {
            **(self._aws if "amazon.aws.common" in source else {}),
            **(self._api if "gpuops.runpod.runpod\n" in source else {}),
        }
        params, client, key = self._ready(module, access, **options)
        found = module.run(params, check, client)
        return found._replace(results={**({key: found.after} if key else {}), **found.results})

    def _ready(self, module: ModuleType, access: Json, /, **options: Any) -> tuple[Json, Any, str | None]:
        """Return the module's parameters, its client, which lives on, and what its result calls the resource, as its
        own main() makes them.
        """
        made: list[tuple[Any, Any, str | None]] = []

        def execute(it: Any, dummy: Any, key: str | None, connect: Any = runpod_client) -> None:
            made.append((it, connect, key))

        with patch_module_args({**access, **options}), patch.object(module, "execute", execute):
            module.main()
        [(it, connect, key)] = made
        sinks = [it.params.get(name) for name in SINKS]  # each with a client of its own
        kind = module, it.params.get("identity"), repr(sinks)  # nobody's pull needs no region
        if kind not in self._clients:
            self._clients[kind] = self._hurried(connect(it))
        return it.params, self._clients[kind], key

    def _hurried(self, client: Any) -> Any:
        """Give a client, or each of several, the clock and the pauses of these runs."""
        for one in client if isinstance(client, tuple) else [client]:
            if isinstance(one, Aws | Client):
                one.sleep = self._sleep
            if isinstance(one, Aws):
                one.clock, one.connect = self.clock, self._connect
        return client

    def _connect(
        self, service: str, region: str, retry_decorator: Any = None, aws_config: Json | None = None, **identity: Any
    ) -> Any:
        """Make a client as AnsibleAWSModule does."""
        options = {
            "config": aws_config or {},
            "endpoint_url": self._aws["endpoint_url"],
            "aws_access_key_id": self._aws["access_key"],
            "aws_secret_access_key": self._aws["secret_key"],
            **identity,
        }
        made = client_of(service, region, json.dumps(options, sort_keys=True))
        return RetryingBotoClientWrapper(made, retry_decorator) if retry_decorator else made


def images(items: list[Json]) -> list[str]:
    """Return the images of workloads, each once."""
    return list(dict.fromkeys(item["image"] for item in items))


def regions(items: list[Json]) -> list[str]:
    """Return the regions of workloads, each once."""
    return list(dict.fromkeys(item["region"] for item in items))


# Two processes


def hurry(seconds: float) -> None:
    time.sleep(seconds / HASTE)


def play_role(runs: Runs) -> None:
    """Run the role as a first run does, with a plan before and after its steps."""
    from .role import Role  # which knows these runs

    played = Role(runs).play(runpod_ecr_image=IMAGE, runpod_ecr_secret_store={"type": runs.store})
    assert not played.failure, played.failure


RUNS: dict[str, Callable[[Runs], None]] = {
    "converge": Runs.converge,
    "role": play_role,
    "rotate": Runs.rotate,
    "renew": Runs.renew,
}


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
            RUNS[name](runs)
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


if __name__ == "__main__":  # what a first run of the role does, with the options of `converge`
    Runs(os.environ).converge(**json.loads(sys.argv[1]))
