# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""That requests outside RunPod's document are noticed, wherever they are sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox import contract, server
from tests.sandbox.runpod import API_KEY, RunpodSimulator

ROOT = Path(__file__).resolve().parents[3]
HEADERS = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json", "User-Agent": contract.AGENT}
SEND = (
    "import os, urllib.request as r;"
    "u = os.environ['RUNPOD_API_BASE_URL'] + '/v2/templates';"
    "r.urlopen(r.Request(u, headers={'Authorization': 'Bearer ' + os.environ['RUNPOD_API_KEY'],"
    " 'User-Agent': 'gpuops.runpod'}), b'{}')"
)

needs_document = pytest.mark.skipif(not contract.at_hand(), reason="RunPod's API document is not at hand")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    contract.taken()


def sent(method: str, path: str, body: bytes = b"", **headers: str) -> list[str]:
    """Return what is noticed about a request to the simulator."""
    RunpodSimulator().handle(method, path, {}, {**HEADERS, **headers}, body)
    return contract.taken()


@needs_document
@pytest.mark.parametrize(
    ("method", "path", "body", "wrong"),
    [
        ("GET", "/v2/templates", b"", ""),
        ("GET", "/v2/templates", b"{}", "a body where none is taken"),
        ("POST", "/v2/templates", b'{"name": "a", "image": "b", "disk": 5}', ""),
        ("POST", "/v2/templates", b'{"name": "a", "image": "b", "cmd": ["c"], "entrypoint": []}', ""),  # newer, too
        ("POST", "/v2/templates", b'{"name": "a", "image": "b", "cmd": "c"}', "is not of type 'array'"),
        ("POST", "/v2/templates", b'{"name": "a"}', "'image' is a required property"),
        ("POST", "/v2/templates", b'{"name": "a", "image": "b", "readme": ""}', "'readme' was unexpected"),
        ("POST", "/v2/templates", b"", "no JSON"),
        ("PATCH", "/v2/registries/some", b'{"username": "AWS", "password": "x"}', ""),  # newer than the document
        ("PATCH", "/v2/registries/some", b'{"password": "x"}', "'username' is a required property"),
        ("DELETE", "/v2/registries/delegations/some", b"", ""),
        ("PUT", "/v2/templates", b"", "no such operation"),
        ("GET", "/v2/v2/templates", b"", "no such operation"),
    ],
)
def test_a_request_is_held_against_the_document(method: str, path: str, body: bytes, wrong: str) -> None:
    found = sent(method, path, body)
    assert (bool(found), wrong in "".join(found)) == (bool(wrong), True)


@needs_document
@pytest.mark.parametrize(
    ("path", "query", "right"),
    [
        ("pods", {"includeClusterPods": "true"}, True),
        ("pods", {"includeClusterPods": "True"}, False),
        ("pods", {"includeClusterPods": "1"}, False),
        ("pods", {"includeClusters": "true"}, False),
        ("pods", {"cursor": "some", "limit": "1000"}, True),
        ("pods", {"limit": "1001"}, False),
        ("pods/some", {"cursor": "some"}, False),
        ("catalog/gpus", {"include": "AVAILABILITY", "product": "POD,SERVERLESS"}, True),
        ("catalog/gpus", {"product": "serverless"}, False),
    ],
)
def test_a_query_that_runpod_would_ignore_is_noticed(path: str, query: dict[str, str], right: bool) -> None:
    RunpodSimulator().handle("GET", f"/v2/{path}", query, HEADERS, b"")
    assert (contract.taken() == []) is right


@needs_document
def test_a_body_of_another_type_is_noticed() -> None:
    assert sent("POST", "/v2/templates", b"{}", **{"Content-Type": "text/plain"}) == [
        "POST /v2/templates: the body is text/plain"
    ]


@needs_document
def test_a_request_without_the_key_is_noticed_and_one_of_another_client_is_not() -> None:
    assert len(sent("GET", "/v2/templates", Authorization="")) == 1
    assert sent("PUT", "/v2/nothing", **{"User-Agent": "curl"}) == []


def test_without_the_document_nothing_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(contract, "DOCUMENT", tmp_path / "none.json")
    assert sent("PUT", "/v2/nothing") == []


@needs_document
def test_the_sandbox_of_a_command_fails_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.sandbox", "run", "--state", str(tmp_path), "--", sys.executable, "-c", SEND]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "requests that RunPod's document does not allow:\nPOST /v2/templates: " in done.stderr


def test_a_sandbox_that_left_violations_cannot_be_stopped_in_silence(tmp_path: Path) -> None:
    (tmp_path / server.WRONG).write_text("PUT /v2/nothing: not found")
    with pytest.raises(server.SandboxError, match="PUT /v2/nothing"):
        server.stop(tmp_path)
    server.stop(tmp_path)
    assert list(tmp_path.iterdir()) == []
