# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from threading import Event, Thread
from typing import Any

import pytest
from ansible.module_utils.urls import Request

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ApiError, NotFoundError, TransportError
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import client, worker_logs
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.worker_logs import last_lines, lines_of
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

REFUSED = "failed to pull image: pull access denied"


def line(text: str, source: str = "system", number: int = 0) -> dict[str, str]:
    return {"source": source, "line": text, "ts": f"2026-08-31T12:00:{number:02}Z"}


def runpod(*logs: dict[str, str]) -> SimulatedRunpod:
    account = SimulatedRunpod()
    account.simulator.switch(rollout_reads=None)
    account.seed("endpoints", id="e1", activeWorkers=[{"id": "w1", "logs": list(logs)}])
    return account


def test_the_last_lines_of_the_host_are_told() -> None:
    account = runpod(*(line(f"step {number}", number=number) for number in range(9)), line(REFUSED, number=9))
    told = last_lines(account.client, "e1", "w1")
    assert len(told) == worker_logs.TAIL
    assert told[-1] == f"2026-08-31T12:00:09Z {REFUSED}"
    assert account.requests() == ["GET /serverless/e1/workers/w1/logs?source=system&tail=5"]


def test_what_the_container_prints_is_not_read() -> None:
    assert last_lines(runpod(line("password=hunter2", "container")).client, "e1", "w1") == []


def test_a_secret_is_masked_and_control_characters_are_spelt_out() -> None:
    account = runpod(line("run -e TOKEN=s3cr3t-value \x1b[31m" + "x" * 999))
    [told] = last_lines(account.client, "e1", "w1", ["s3cr3t-value"])
    assert "s3cr3t-value" not in told
    assert r"\x1b[31m" in told
    assert len(told) == worker_logs.LONGEST


def test_a_worker_that_is_gone_is_an_error() -> None:
    with pytest.raises(NotFoundError):
        last_lines(runpod().client, "e1", "w2")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "\n\n",
        "data: not json\n\n",
        "data: [1]\n\n",
        'data: {"line": null}\n\n',
        "id: 1\n: a comment\n\n",
        'data: {"source": "system"}\n\n',
        'data: {"source": "container", "line": "x"}\n\n',
        '{"data": []}',
    ],
)
def test_what_is_no_event_is_left_out(answer: str) -> None:
    assert list(lines_of(answer)) == []


def test_a_line_without_a_time_is_told() -> None:
    assert list(lines_of('data: {"source": "system", "line": " pulling "}\n\n')) == ["pulling"]


@pytest.mark.parametrize(
    ("scripted", "error"),
    [
        ((403, {}, {"title": "Forbidden", "status": 403, "detail": "access denied"}), ApiError),
        (ConnectionResetError("reset"), TransportError),
    ],
)
def test_a_log_that_may_not_be_read_is_an_error_and_not_tried_again(scripted: Any, error: type[Exception]) -> None:
    account = runpod()
    account.answers = [scripted]
    with pytest.raises(error, match="/serverless/e1/workers/w1/logs"):
        last_lines(account.client, "e1", "w1")
    assert account.naps == []


EVENT = b'data: {"source": "system", "line": "pulling", "ts": "2026-08-31T12:00:00Z"}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: keep-alive\r\n\r\n"


@pytest.fixture(params=["stays open", "is cut", "says nothing"])
def open_stream(request: Any) -> Iterator[str]:
    """Serve one stream as RunPod does: it has no end of its own."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            connection, dummy = server.accept()
            connection.recv(65536)
            connection.sendall(HEAD if request.param == "says nothing" else HEAD + EVENT)
            if request.param != "is cut":
                time.sleep(30)
            connection.close()

        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_stream_that_stays_open_is_left_after_a_while(open_stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_logs, "WAIT", 0.3)
    begun = time.monotonic()
    told = last_lines(Client(open_stream, "key", Request()), "e1", "w1")
    assert time.monotonic() - begun < 20  # the stream stays open for longer
    assert told in ([], ["2026-08-31T12:00:00Z pulling"])


class Silent:
    """An opener whose answer has a line, and no other for as long as anybody waits."""

    def __init__(self) -> None:
        self.read, self.over = Event(), Event()

    def open(self, *dummy: Any, **dummies: Any) -> Any:
        return nullcontext(self._lines())

    def _lines(self) -> Iterator[bytes]:
        yield EVENT
        self.read.set()
        self.over.wait(60)


def test_what_has_come_is_told_while_the_rest_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Silent()
    monkeypatch.setattr(client, "wait", lambda *dummy: silent.read.wait(60))
    assert last_lines(Client("http://127.0.0.1:1", "key", silent), "e1", "w1") == ["2026-08-31T12:00:00Z pulling"]
    silent.over.set()


class Cut(Silent):
    def _lines(self) -> Iterator[bytes]:
        yield EVENT
        raise ConnectionResetError("reset")


def test_what_came_before_a_cut_is_told() -> None:
    assert last_lines(Client("http://127.0.0.1:1", "key", Cut()), "e1", "w1") == ["2026-08-31T12:00:00Z pulling"]
