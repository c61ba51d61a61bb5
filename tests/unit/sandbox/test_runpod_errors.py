# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules say when RunPod, or what stands in its place, goes wrong: whole runs of them over HTTP."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import client as _client
from ansible_collections.gpuops.runpod.plugins.modules import runpod_info, runpod_template, runpod_templates
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from tests.sandbox import contract
from tests.sandbox.runpod_world import SWITCHES
from tests.sandbox.server import HOST, Sandbox

Json = dict[str, Any]
Fails = Callable[..., Json]
PAGE = "<html><head><title>502 Bad Gateway</title></head></html>"
NOISE = ["$: missing property 'image'", "$: additional properties 'disk', 'name' not allowed"]


@pytest.fixture
def account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """RunPod's half of the sandbox as it starts, and a client that does not wait for troubled servers."""
    sandbox.runpod.reset()
    sandbox.runpod.switch(**{name: switch.default for name, switch in SWITCHES.items()})
    monkeypatch.setattr(_client, "TRIES", 1)
    monkeypatch.setenv("NO_PROXY", HOST)
    return sandbox


@pytest.fixture
def fails(account: Sandbox, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run a module, which has to fail, and return its result."""
    environment = account.environment
    defaults = {"api_key": environment["RUNPOD_API_KEY"], "api_url": account.runpod_url}

    def run(module: Any, **options: Any) -> Json:
        with patch_module_args({**defaults, **options}), pytest.raises(SystemExit):
            module.main()
        result = json.loads(capsys.readouterr().out)
        assert result["failed"] is True
        assert environment["RUNPOD_API_KEY"] not in result["msg"]
        return result

    return run


def test_two_of_one_name_are_listed(account: Sandbox, fails: Fails) -> None:
    for identifier in ("t1", "t2"):
        account.runpod.seed("templates", {"id": identifier, "name": "demo"})
        account.runpod.seed("registries", {"id": f"r-{identifier}", "name": "ecr"})
    assert "2 templates named 'demo' (ids t1, t2)" in fails(runpod_template, name="demo", image="app:1")["msg"]
    said = fails(runpod_template, name="new", image="app:1", registry="ecr")["msg"]
    assert "registry 'ecr' is the name or id of 2 credentials (ids r-t1, r-t2)" in said


def test_a_name_that_a_foreign_template_has_is_refused_and_the_template_left_alone(
    account: Sandbox, fails: Fails
) -> None:
    foreign = account.runpod.seed("templates", {"name": "demo", "owner": "somebody", "public": True})
    account.runpod.switch(template_name_scope="global")
    result = fails(runpod_template, name="demo", image="app:1")
    assert "POST /templates: HTTP 400" in result["msg"] and "name" in result["problem"]["detail"]
    assert account.runpod.state()["templates"] == [foreign]


def test_a_wrong_key(fails: Fails) -> None:
    result = fails(runpod_info, gather=["templates"], api_key="another-key")
    assert "HTTP 401: invalid bearer token. The API key is missing, malformed or expired" in result["msg"]
    assert (result["status"], "another-key" in result["msg"]) == (401, False)


@pytest.mark.parametrize(
    ("scopes", "lacks"),
    [
        ([], "GET /templates: HTTP 403: access denied. The API key is valid but lacks read access to templates:"),
        (["templates:read"], "POST /templates: HTTP 403: access denied. The API key is valid but lacks write access"),
    ],
)
def test_a_key_without_the_scope(account: Sandbox, fails: Fails, scopes: list[str], lacks: str) -> None:
    account.runpod.switch(scopes=scopes)
    assert lacks in fails(runpod_template, name="demo", image="app:1")["msg"]


def test_an_address_where_the_api_is_not(account: Sandbox, fails: Fails) -> None:
    result = fails(runpod_info, gather=["templates"], api_url=f"{account.runpod_url}/api")
    assert "GET /templates: HTTP 404: resource not found. It does not exist, or this API key" in result["msg"]
    contract.taken()  # the address is the test's


def test_a_call_that_is_not_offered(account: Sandbox, fails: Fails) -> None:
    answer = {"status": 405, "headers": {"Allow": "GET"}, "body": {"title": "No", "status": 405, "detail": "not here"}}
    account.fail("POST /v2/templates", answer=answer)
    said = fails(runpod_template, name="demo", image="app:1")["msg"]
    assert "POST /templates: HTTP 405: not here. This API does not offer the call." in said


def test_a_refused_body_is_told_without_the_validators_noise(account: Sandbox, fails: Fails) -> None:
    problem = {"title": "Unprocessable", "status": 422, "detail": "Request validation failed.", "errors": NOISE}
    account.fail("POST /v2/templates", answer={"status": 422, "body": problem})
    result = fails(runpod_template, name="demo", image="app:1")
    assert result["msg"].endswith("HTTP 422: Request validation failed.: $: missing property 'image'")
    assert result["problem"]["errors"] == NOISE


def test_a_quota_that_is_spent_for_an_hour(account: Sandbox, fails: Fails) -> None:
    account.runpod.switch(rate_limits={"minute": 60, "hour": 3, "day": 100})
    result = fails(runpod_templates, templates=[{"name": name, "image": "app:1"} for name in "abcd"])
    assert "not sent: the quota 'hour' of this API key is spent: 0 of 3 requests are left" in result["msg"]
    assert result["summary"] == {"created": 2, "changed": 0, "deleted": 0, "unchanged": 0, "failed": 1}
    assert len(account.runpod_calls()) == 3
    refused = fails(runpod_info, gather=["templates"])
    assert "HTTP 429: rate limit exceeded for the hour window. The quota" in refused["msg"]
    assert "Too long to wait: the quota 'hour' of this API key is spent" in refused["msg"]


def test_a_page_in_place_of_json(account: Sandbox, fails: Fails) -> None:
    account.fail("GET /v2/templates", answer="garbage")
    said = fails(runpod_info, gather=["templates"])["msg"]
    assert (
        "GET /templates: HTTP 200: the answer is an HTML page" in said and "api_url point at RunPod's API v2?" in said
    )
    account.fail("GET /v2/templates", answer={"status": 502, "body": PAGE})
    said = fails(runpod_info, gather=["templates"])["msg"]
    assert "HTTP 502: the answer is an HTML page ('502 Bad Gateway')" in said and "proxies and firewalls" in said


def test_a_connection_that_breaks(account: Sandbox, fails: Fails) -> None:
    account.fail("GET /v2/templates", answer="reset")
    assert "GET /templates: no answer from http://" in fails(runpod_info, gather=["templates"])["msg"]


def test_nobody_at_the_address(fails: Fails) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    said = fails(runpod_info, gather=["templates"], api_url=f"http://{HOST}:{port}")["msg"]
    assert "no answer from" in said and "refused" in said


@contextmanager
def trickling(head: bytes) -> Iterator[str]:
    """A server that sends this and then, for ever, a byte now and then; of nothing it sends nothing at all."""
    ended = Event()

    def serve(listener: socket.socket) -> None:
        connection = listener.accept()[0]
        with connection:
            connection.sendall(head)
            while not ended.wait(0.1):
                connection.sendall(b"x" if head else b"")

    with socket.create_server((HOST, 0)) as listener:
        thread = Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        yield f"http://{HOST}:{listener.getsockname()[1]}"
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{"],
    ids=["silent", "trickling header", "trickling body"],
)
def test_nothing_hangs_past_its_timeout(fails: Fails, head: bytes) -> None:
    with trickling(head) as address:
        began = time.monotonic()
        said = fails(runpod_info, gather=["templates"], api_url=address, api_timeout=1)["msg"]
        assert 1 <= time.monotonic() - began < 60
    assert "GET /templates: no answer from" in said


def test_a_timeout_of_nothing_is_refused(fails: Fails) -> None:
    said = fails(runpod_info, gather=["templates"], api_timeout=0)["msg"]
    assert said == "api_timeout must be 1 to 3600 (seconds), not 0."
