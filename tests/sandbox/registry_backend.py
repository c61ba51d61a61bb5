# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's docker-registry, which keeps the manifests and blobs of all registries of the sandbox.

It listens on an abstract socket: no port can be taken by another meanwhile, and nothing of it outlives the process.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from threading import local
from urllib.parse import urlencode

from .registry_front import PIECE, Reply, Request

COMMAND = "docker-registry"
START_SECONDS = 30.0
KEPT = "kept"  # a folder beside the registry's own
PASSED_ON = ("Content-Type", "Content-Length", "Docker-Content-Digest", "Docker-Upload-UUID", "Range", "ETag")
DIGEST = re.compile(r"sha256:([0-9a-f]{2})[0-9a-f]{62}")


class MissingRegistryError(Exception):
    """There is no docker-registry on this machine."""

    def __init__(self) -> None:
        super().__init__(f"{COMMAND} was not found, on PATH or beside Python: tools/bootstrap puts it there")


class _Connection(HTTPConnection):
    def __init__(self, address: str) -> None:
        super().__init__("registry")
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._address)


class Backend:
    """A client of the registry; each thread keeps a connection of its own."""

    def __init__(self, address: str, storage: Path) -> None:
        self._address = address
        self._storage = storage
        self._held = local()
        self._world = 0

    def reset(self) -> None:
        """Start with empty repositories."""
        self._world += 1

    def keep(self) -> None:
        """Remember all repositories, for `restore`."""
        shutil.copytree(self._repositories(), self._storage / KEPT)

    def restore(self) -> None:
        """Start with what was kept."""
        self.reset()
        shutil.copytree(self._storage / KEPT, self._repositories())

    def _repositories(self) -> Path:
        return self._storage / "docker/registry/v2/repositories" / f"w{self._world}"

    def blob_file(self, digest: str) -> Path:
        """Return where the bytes of a blob are, if there is one."""
        match = DIGEST.fullmatch(digest)
        folder = f"{match[1]}/{digest.removeprefix('sha256:')}" if match else "none"
        return self._storage / "docker/registry/v2/blobs/sha256" / folder / "data"

    def has_blob(self, folder: str, digest: str) -> bool:
        return self._ask("HEAD", self._path(folder, f"blobs/{digest}")).status == 200

    def put_blob(self, folder: str, digest: str, pieces: Iterable[bytes]) -> None:
        if self.has_blob(folder, digest):
            return
        begun = self._ask("POST", self._path(folder, "blobs/uploads/"))
        url = f"{begun.headers['Location']}&{urlencode({'digest': digest})}"
        done = self._ask("PUT", url, {"Content-Type": "application/octet-stream"}, pieces)
        if done.status != 201:
            raise RuntimeError(f"the registry refused a blob: {done}")

    def put_manifest(self, folder: str, reference: str, manifest: bytes, media_type: str) -> bool:
        """Put a manifest; return whether all that it refers to is there."""
        headers = {"Content-Type": media_type}
        return self._ask("PUT", self._path(folder, f"manifests/{reference}"), headers, manifest).status == 201

    def forward(
        self,
        folder: str,
        request: Request,
        name: str,
        rest: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] = b"",
    ) -> Reply:
        """Pass a request on, and the answer back as the host that was asked would give it."""
        query = f"?{urlencode(request.query)}" if request.query else ""
        given = dict(headers or {})
        if body is request.body and request.body.ended:
            body = b""
        elif body is request.body and request.headers.get("Content-Length"):
            given["Content-Length"] = request.headers["Content-Length"]
        reply = self._ask(request.method, self._path(folder, rest) + query, given, body)
        kept = {name: reply.headers[name] for name in PASSED_ON if name in reply.headers}
        if "Location" in reply.headers:
            location = reply.headers["Location"].removeprefix(self._path(folder, ""))
            kept["Location"] = f"https://{request.host}/v2/{name}/{location}"
        return reply._replace(headers={**kept, "Docker-Distribution-Api-Version": "registry/2.0"})

    def _path(self, folder: str, rest: str) -> str:
        return f"/v2/w{self._world}/{folder}/{rest}"

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | Iterable[bytes] = b""
    ) -> Reply:
        connection = getattr(self._held, "connection", None) or _Connection(self._address)
        self._held.connection = None  # until this exchange has ended well
        connection.request(method, path, body=body or None, headers=dict(headers or {}))
        answer = connection.getresponse()
        if method == "HEAD" or int(answer.headers.get("Content-Length") or 0) <= PIECE:
            content = answer.read()
            self._held.connection = connection
            return Reply(answer.status, dict(answer.headers), content)
        pieces = self._pieces(connection, answer)
        return Reply(answer.status, dict(answer.headers), pieces, int(answer.headers["Content-Length"]))

    def _pieces(self, connection: HTTPConnection, answer: HTTPResponse) -> Iterator[bytes]:
        while piece := answer.read(PIECE):
            yield piece
        self._held.connection = connection


@contextmanager
def started(folder: Path) -> Iterator[Backend]:
    """Run the registry with its files in a folder."""
    command = _command()
    name = f"gpuops-{os.getpid()}-{secrets.token_hex(8)}"
    storage = folder / "storage"
    configuration = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "cache": {"blobdescriptor": "inmemory"}},
        "http": {"net": "unix", "addr": f"@{name}", "relativeurls": True},
    }
    (folder / "registry.yml").write_text(json.dumps(configuration))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "serve", str(folder / "registry.yml")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _wait(process, f"\0{name}", folder / "registry.log")
        yield Backend(f"\0{name}", storage)
    finally:
        process.kill()
        process.wait()


def _command() -> list[str]:
    """Return the command; the process ends with this one, however that ends, where util-linux can see to it."""
    beside = Path(sys.executable).parent
    found = shutil.which(COMMAND) or shutil.which(COMMAND, path=str(beside))
    if found is None:
        raise MissingRegistryError
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", found] if setpriv else [found]


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = _Connection(address)
            connection.request("GET", "/v2/")
            connection.getresponse().read()
            connection.close()
            return
        except (OSError, HTTPException):
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(errors="replace")
                raise RuntimeError(f"{COMMAND} did not start:\n{text}") from None
        time.sleep(0.01)
