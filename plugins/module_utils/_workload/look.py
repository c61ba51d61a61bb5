# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: one look at both clouds. Each read is made once, and nothing is written. What a step will
# change is laid over it for the steps to come.

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from .._aws.answer import Answer
from .._aws.client import Aws
from .._core.errors import Json
from .._oci.registry_client import Login, Registry
from .._oci.skopeo import Skopeo
from .._runpod.client import Client
from .._sink.target import Registries, TokenSink
from .summary import KNOWN_LATER

READS = ("assume_", "batch_check_", "batch_get_", "describe_", "get_", "list_", "lookup_", "simulate_")
LISTINGS = {
    "registries": "/registries",
    "delegations": "/registries/delegations",
    "templates": "/templates",
    "endpoints": "/serverless",
    "pods": "/pods?includeClusterPods=true",
}


class ReadOnlyAws(Aws):
    """AWS, asked each question once."""

    @classmethod
    def of(cls, aws: Aws) -> ReadOnlyAws:
        return cls(aws.connect, aws.region, aws.config, aws.clock, aws.sleep)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._answers: dict[tuple[Any, ...], Answer] = {}
        self._pause, self.sleep = self.sleep, self._wait

    def _wait(self, seconds: float) -> None:
        """Let time pass, after which nothing is known any more."""
        self._pause(seconds)
        self.forget()

    def forget(self) -> None:
        self._answers.clear()

    def call(self, service: str, operation: str, **request: Any) -> Answer:
        if not operation.startswith(READS):
            raise AssertionError(f"a look calls {service}:{operation}")
        identity = request.get("identity")
        key = (service, operation, identity, json.dumps({**request, "identity": None}, sort_keys=True, default=str))
        if key not in self._answers:
            self._answers[key] = super().call(service, operation, **request)
        return self._answers[key]


class ReadOnlyRunpod(Client):
    """Reads each listing once, with what is going to change laid over it."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.url, client.token, client.opener, client.sleep, client.clock, client.timeout)
        self._listings: dict[str, Future[list[Json]]] = {}
        self._answers: dict[str, Any] = {}
        self._added: dict[str, list[Json]] = {}
        self._gone: set[str] = set()
        self._readers = ThreadPoolExecutor(len(LISTINGS))

    def prefetch(self, kinds: Iterable[str]) -> None:
        """Begin to read these listings, side by side."""
        for kind in kinds:
            self._listing(LISTINGS[kind], kind)

    def items(self, path: str, key: str) -> list[Json]:
        listed = [thing for thing in self._listing(path, key).result() if thing["id"] not in self._gone]
        return listed + self._added.get(key, []) if path == LISTINGS.get(key) else listed

    def get(self, path: str) -> Any:
        if path not in self._answers:
            self._answers[path] = super().get(path)
        return self._answers[path]

    def request(self, method: str, path: str, body: Json | None = None, query: Mapping[str, str] | None = None) -> Any:
        if method != "GET":
            raise AssertionError(f"a look sends {method} {path}")
        return super().request(method, path, body, query)

    def add(self, kind: str, thing: Json) -> None:
        """Show a thing in the place of what has its id."""
        if "id" in thing:
            self._gone.add(thing["id"])
        self._added.setdefault(kind, []).append({"id": KNOWN_LATER, **thing})

    def remove(self, identifier: str) -> None:
        self._gone.add(identifier)
        for things in self._added.values():
            things[:] = [thing for thing in things if thing["id"] != identifier]

    def _listing(self, path: str, key: str) -> Future[list[Json]]:
        if path not in self._listings:
            self._listings[path] = self._readers.submit(super().items, path, key)
        return self._listings[path]


class Clients(NamedTuple):
    """Both clouds, what fetches layers, registries by host and login, skopeo, and for an audit other targets of tokens
    by their options.
    """

    aws: Aws
    api: Client
    opener: Any
    registry: Callable[[str, Login | None], Registry]
    skopeo: Skopeo
    connect_sink: Callable[[Json, Registries], TokenSink] | None = None


class Look(NamedTuple):
    """The same, read only."""

    aws: ReadOnlyAws
    api: ReadOnlyRunpod
    opener: Any
    registry: Callable[[str, Login | None], Registry]
    skopeo: Skopeo

    @classmethod
    def through(cls, clients: Clients) -> Look:
        return cls(ReadOnlyAws.of(clients.aws), ReadOnlyRunpod(clients.api), *clients[2:5])
