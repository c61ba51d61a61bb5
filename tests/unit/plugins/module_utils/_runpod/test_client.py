# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from email.message import Message
from threading import Event
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    ApiError,
    InputError,
    Json,
    NotFoundError,
    TransportError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.masking import mask_secrets
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import client
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.answers import (
    api_error,
    details,
    page_title,
    problem_of,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import (
    Client,
    base_url,
    opener,
    read,
    retry_delay,
    secrets_in,
    within,
)
from ansible_collections.gpuops.runpod.tests.sandbox import contract
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import KEY, FakeRunpod, refusal
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

BODY = {"name": "demo", "password": "a-password-of-some-length"}


@pytest.fixture(autouse=True)
def any_request_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about HTTP: what is sent is no request of a module."""
    monkeypatch.setattr(contract, "note", lambda *dummy: None)


@pytest.mark.parametrize(
    "given",
    [
        "https://api.runpod.io",
        "https://api.runpod.io/",
        "https://api.runpod.io/v2",
        "https://api.runpod.io/v2/",
        "https://api.runpod.io/v2//",
    ],
)
def test_the_address_ends_in_v2_once(given: str) -> None:
    assert base_url(given) == "https://api.runpod.io/v2"


@pytest.mark.parametrize("given", ["", "api.runpod.io", "file:///etc/passwd", "https://", "https:///v2"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="api_url"):
        base_url(given)


@pytest.mark.parametrize(
    ("method", "status", "told", "attempt", "delay"),
    [
        ("GET", None, None, 1, 1.0),
        ("GET", None, None, 4, 8.0),
        ("GET", None, None, 5, None),  # enough is enough
        ("GET", 429, 2.0, 9, 2.0),  # others may have been faster more than once
        ("GET", 429, 2.0, 10, None),
        ("PATCH", 500, None, 2, 2.0),
        ("DELETE", 599, None, 1, 1.0),
        ("POST", 500, None, 1, None),  # may have taken effect
        ("POST", None, None, 1, None),
        ("POST", 429, None, 1, 1.0),  # refused before it took effect
        ("POST", 429, 60.0, 1, 60.0),
        ("GET", 429, 0.0, 1, 1.0),  # a wait of nothing would be a busy loop
        ("GET", 429, 90.0, 1, 90.0),
        ("GET", 429, 45012.0, 1, None),  # a day's quota is spent
        ("GET", 503, 7.0, 1, 7.0),
        ("GET", 400, None, 1, None),
        ("GET", 404, None, 1, None),
        ("GET", 422, 5.0, 1, None),
    ],
)
def test_retry_delay(method: str, status: int | None, told: float | None, attempt: int, delay: float | None) -> None:
    assert retry_delay(method, status, told, attempt) == delay


@pytest.mark.parametrize(
    ("body", "problem"),
    [(b'{"detail": "no"}', {"detail": "no"}), (b"<html>", {}), (b"", {}), (b"[1]", {}), (b"\xff", {})],
)
def test_problem_of(body: bytes, problem: Json) -> None:
    assert problem_of(body) == problem


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ({}, ""),
        ({"title": "Bad Request"}, "Bad Request"),
        ({"title": "Bad Request", "detail": "image: no"}, "image: no"),
        ({"detail": "invalid", "errors": ["$: a", "$: b"]}, "invalid: $: a: $: b"),
        (
            {
                "detail": "invalid",
                "errors": ["$: missing property 'name'", "$: additional properties 'image' not allowed"],
            },
            "invalid: $: missing property 'name'",  # the other one is noise
        ),
        ({"error": "of v1"}, "of v1"),
        ({"message": "of v1"}, "of v1"),
    ],
)
def test_details(problem: Json, said: str) -> None:
    assert details(problem) == said


@pytest.mark.parametrize(
    ("body", "secrets"),
    [
        (None, []),
        ({"name": "a-long-enough-name"}, []),
        ({"password": "12345678"}, ["12345678"]),
        ({"env": {"A": "12345678", "B": "1234567"}}, ["12345678", "1234567"]),
        ({"env": None}, []),
    ],
)
def test_secrets_in(body: Json | None, secrets: list[str]) -> None:
    assert secrets_in(body) == secrets


def test_secrets_are_blotted_out_at_any_depth() -> None:
    echo = {"detail": "bad hush!", "errors": ["hush!", {"at": "hush!"}], "status": 400}
    assert mask_secrets(echo, ["hush!"]) == {
        "detail": "bad ********",
        "errors": ["********", {"at": "********"}],
        "status": 400,
    }


@pytest.mark.parametrize(
    ("status", "problem", "said"),
    [
        (400, {"detail": "in use"}, "GET /x: HTTP 400: in use"),
        (401, {"detail": "no"}, "check api_key or RUNPOD_API_KEY"),
        (403, {"detail": "no"}, "give it that in RunPod's console"),
        (404, {"detail": "no"}, "or this API key may not see it"),
        (405, {"detail": "no"}, "does not offer"),
        (429, {"detail": "no"}, "quota"),
        (500, {}, "does api_url point at RunPod's API v2"),
        (400, {"error": "no free GPUs", "status": 400}, "GET /x: HTTP 400: no free GPUs"),
        (400, {"message": "x"}, "GET /x: HTTP 400: x"),
        (302, {}, "redirected"),
    ],
)
def test_an_error_says_cause_and_remedy(status: int, problem: Json, said: str) -> None:
    error = api_error("GET", "/x", status, problem)
    assert said in str(error) and "v1" not in str(error)
    assert error.as_result() == {"msg": str(error), "status": status, "problem": problem}


def test_only_404_is_not_found() -> None:
    assert isinstance(api_error("GET", "/x", 404, {}), NotFoundError)
    assert not isinstance(api_error("GET", "/x", 403, {}), NotFoundError)


def test_a_request_carries_the_key_and_json() -> None:
    fake = FakeRunpod()
    fake.client.post("/registries", BODY)
    fake.client.get("/registries")
    assert fake.headers[0] == {
        "Authorization": f"Bearer {KEY}",
        "Accept": "application/json",
        "User-Agent": "gpuops.runpod",
        "Content-Type": "application/json",
    }
    assert "Content-Type" not in fake.headers[1]
    assert fake.calls == [("POST", "/registries", BODY), ("GET", "/registries", None)]


def test_answers_are_parsed() -> None:
    fake = FakeRunpod(registries=[{"id": "r1", "name": "one"}])
    assert fake.client.items("/registries", "registries") == [{"id": "r1", "name": "one"}]
    assert fake.client.patch("/registries/r1", {"username": "AWS"}) == {"id": "r1", "name": "one", "username": "AWS"}
    fake.client.delete("/registries/r1")
    assert fake.current["registries"] == []


def test_what_is_gone_already_counts_as_deleted() -> None:
    fake = FakeRunpod()
    fake.client.delete("/registries/r1")
    assert fake.requests() == ["DELETE /registries/r1"]


@pytest.mark.parametrize("document", [{}, {"registries": None}, {"data": {"registries": []}}, []])
def test_a_listing_without_its_list_is_an_error(document: Any) -> None:
    fake = FakeRunpod()
    fake.answers = [(200, {}, document)]
    with pytest.raises(ApiError, match="has no list 'registries'"):
        fake.client.items("/registries", "registries")


@pytest.mark.parametrize(
    "trouble",
    [
        refusal(500, "upstream"),
        (502, {}, b"<html>Bad Gateway</html>"),
        TimeoutError("timed out"),
        URLError("connection refused"),
        http.client.RemoteDisconnected("closed"),
        http.client.IncompleteRead(b""),
        AnsibleConnectionError("no route"),
    ],
)
def test_trouble_is_waited_out_where_a_second_time_does_no_harm(trouble: Any) -> None:
    fake = FakeRunpod()
    fake.answers = [trouble, trouble]
    assert fake.client.get("/registries") == {"registries": []}
    assert fake.naps == [1.0, 2.0]


def test_trouble_that_stays_ends_the_tries() -> None:
    fake = FakeRunpod()
    fake.answers = [TimeoutError("timed out")] * 5
    with pytest.raises(TransportError, match="GET /registries: no answer from https://runpod.test/v2: timed out"):
        fake.client.get("/registries")
    assert fake.naps == [1.0, 2.0, 4.0, 8.0]


def test_a_refused_post_is_sent_once() -> None:
    fake = FakeRunpod()
    fake.answers = [refusal(422, "name: too short")]
    with pytest.raises(ApiError, match="POST /registries: HTTP 422: name: too short"):
        fake.client.post("/registries", BODY)
    assert (fake.requests(), fake.naps) == (["POST /registries"], [])


def test_a_spent_minute_is_waited_for_and_a_spent_day_is_not() -> None:
    fake = FakeRunpod()
    fake.answers = [refusal(429, "minute", Retry_After="12")]
    fake.client.post("/registries", BODY)
    assert fake.naps == [12.0]
    fake.answers = [refusal(429, "rate limit exceeded for the day window", Retry_After="45012")]
    with pytest.raises(ApiError, match=r"day window.*Too long to wait: it is fresh in 45012 s \(12 h 31 min\)\."):
        fake.client.get("/registries")
    assert fake.naps == [12.0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><title>Log in</title></html>", "the answer is an HTML page \\('Log in'\\)"),
        (b"\xff\xfe\xfd", "the answer is not JSON"),
        (b"[" * 100_000, "the answer is not JSON"),
        (b"", "the answer is empty"),
    ],
)
def test_a_success_that_is_not_json_is_an_error(body: bytes, said: str) -> None:
    fake = FakeRunpod()
    fake.answers = [(200, {}, body)]
    with pytest.raises(ApiError, match=f"GET /registries: HTTP 200: {said}") as caught:
        fake.client.get("/registries")
    assert caught.value.status == 200


def test_an_error_repeats_neither_key_nor_secret() -> None:
    fake = FakeRunpod()
    fake.answers = [refusal(400, f"cannot use {BODY['password']} with {KEY}")]
    with pytest.raises(ApiError) as caught:
        fake.client.post("/registries", BODY)
    assert "cannot use ******** with ********" in str(caught.value)
    assert KEY not in str(caught.value.as_result()) and BODY["password"] not in str(caught.value.as_result())


def test_an_error_whose_body_breaks_off_keeps_its_status() -> None:
    class Broken(io.BytesIO):
        def read(self, *dummy: Any) -> bytes:
            raise http.client.IncompleteRead(b"")

    error = HTTPError("https://runpod.test", 400, "", Message(), Broken())
    assert read(error) == b""
    fake = FakeRunpod()
    fake.answers = [error]
    with pytest.raises(ApiError, match="HTTP 400"):
        fake.client.get("/registries")


def test_the_opener_reads_no_netrc_and_follows_no_redirect() -> None:
    made = opener({"api_timeout": 7, "validate_certs": False, "ca_path": "/ca.pem"})
    assert (made.use_netrc, made.follow_redirects) == (False, "none")
    assert (made.timeout, made.validate_certs, made.ca_path) == (7, False, "/ca.pem")


def test_the_client_is_built_without_asking() -> None:
    fake = FakeRunpod()
    assert Client("https://runpod.test/v2/", KEY, fake).url == "https://runpod.test/v2"
    assert fake.calls == []


# The quota


def limits(minute: int, resets: int = 30, **day: int) -> dict[str, str]:
    """Return the headers of an answer that leaves so many requests of 60 in this minute."""
    left, fresh = day.get("day", 900), day.get("day_resets", 45012)
    return {
        "RateLimit": f'"minute";r={minute};t={resets}, "day";r={left};t={fresh}',
        "RateLimit-Policy": '"minute";q=60;w=60, "day";q=1000;w=86400',
    }


def timed(*answers: Any) -> FakeRunpod:
    """Return an account with these answers, whose client sleeps on a clock of its own."""
    fake = FakeRunpod()
    fake.answers = list(answers)
    fake.client.clock = lambda: sum(fake.naps)
    return fake


def test_a_spent_minute_is_waited_for_before_the_next_request() -> None:
    fake = timed((200, limits(1), {}), (200, limits(0, 29), {}), (200, limits(59, 60), {}))
    for naps in ([], [], [29.0], [29.0]):
        fake.client.get("/registries")
        assert fake.naps == naps


def test_a_request_that_would_meet_a_spent_day_is_not_sent() -> None:
    fake = timed((200, limits(9, day=0), {}))
    fake.client.get("/registries")
    with pytest.raises(ApiError) as caught:
        fake.client.post("/registries", BODY)
    assert str(caught.value) == (
        "POST /registries: not sent: the quota 'day' of this API key is spent: 0 of 1000 requests are left, and it is "
        "fresh in 45012 s (12 h 31 min). The quota of this API key is spent: run again later, run less often, or ask "
        "RunPod for a higher limit."
    )
    assert (caught.value.status, fake.requests(), fake.naps) == (429, ["GET /registries"], [])


def test_a_refusal_is_waited_out_for_the_longest_of_the_spent_windows() -> None:
    refused = (429, limits(0, 50, day=0, day_resets=70) | {"Retry-After": "12"}, {"detail": "no"})
    fake = timed(refused, refused)
    fake.client.post("/registries", BODY)
    assert fake.naps == [70.0, 70.0]


def test_a_refusal_that_cannot_be_waited_out_names_the_window() -> None:
    fake = timed((429, limits(0, day=0) | {"Retry-After": "12"}, {"title": "Too Many Requests"}))
    with pytest.raises(ApiError, match="Too long to wait: the quota 'day' of this API key is spent: 0 of 1000"):
        fake.client.get("/registries")
    assert fake.naps == []


def test_a_quota_that_others_spend_as_well_is_left_with_room_for_them() -> None:
    fake = timed(*[(200, limits(left), {}) for left in (20, 16, 12, 8, 4)])
    for naps in ([], [], [], [], [], [30.0]):  # three of others for each of ours: six are left to them
        fake.client.get("/registries")
        assert fake.naps == naps


def test_words_about_the_quota_that_make_no_sense_are_ignored() -> None:
    fake = timed((200, {"RateLimit": "minute=0", "RateLimit-Policy": ";;;"}, {}), (429, {"Retry-After": "nan"}, {}))
    fake.client.get("/registries")
    fake.client.get("/registries")
    assert fake.naps == [1.0]


# Servers that are slow, or none of RunPod's


def test_what_takes_longer_than_its_limit_is_a_timeout() -> None:
    with pytest.raises(TimeoutError, match="not complete after 0.05 seconds"):
        within(0.05, Event().wait)


def test_what_ends_in_time_is_as_it_was() -> None:
    assert within(5, lambda: "done") == within(None, lambda: "done") == "done"
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (b"", None),
        (b'{"title": "No"}', None),
        (b"<html><body>It works!</body></html>", ""),
        (b"\n<!DOCTYPE html><head><Title lang='en'> Bad Gateway </title>", "Bad Gateway"),
        (b"<title>\x1b[31mred</title>", r"\x1b[31mred"),
    ],
)
def test_page_title(body: bytes, title: str | None) -> None:
    assert page_title(body) == title


def test_a_page_does_not_speak_for_runpod() -> None:
    fake = FakeRunpod()
    fake.answers = [(403, {}, b"<html><title>Attention Required!</title></html>")]
    with pytest.raises(ApiError, match="an HTML page .'Attention Required!'.*proxies and firewalls") as caught:
        fake.client.get("/registries")
    assert "console" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "path", "lacks"),
    [
        ("GET", "/registries", "read access to registry credentials:"),
        ("POST", "/registries", "write access to registry credentials:"),
        ("PATCH", "/registries/r1", "write access to registry credentials (scope secrets:write):"),
        ("DELETE", "/templates/t1", "write access to templates:"),
        ("GET", "/serverless", "read access to serverless endpoints:"),
        ("GET", "/pods?includeClusterPods=true", "read access to pods:"),
        ("GET", "/clusters", "read access to clusters:"),
    ],
)
def test_what_a_key_may_not_do_is_named(method: str, path: str, lacks: str) -> None:
    assert lacks in str(api_error(method, path, 403, {"detail": "access denied"}))


@pytest.mark.parametrize("timeout", [0, -1, 3601, 10**12])
def test_a_timeout_that_cannot_be_waited_for_is_refused(timeout: int) -> None:
    with pytest.raises(InputError, match="api_timeout must be 1 to 3600"):
        opener({"api_timeout": timeout, "validate_certs": True, "ca_path": None})


def test_a_long_page_costs_no_time() -> None:
    begun = time.process_time()
    assert page_title(b"<title " * 50_000) == ""
    assert time.process_time() - begun < 1


def test_short_values_of_the_environment_are_not_repeated() -> None:
    fake = FakeRunpod()
    fake.answers = [refusal(422, 'env.PIN: "4711" and env.QUOTED: a\\"b are no good, 47110 is')]
    with pytest.raises(ApiError) as caught:
        fake.client.post("/templates", {"name": "demo", "env": {"PIN": "4711", "QUOTED": 'a"b', "EMPTY": ""}})
    assert str(caught.value).endswith('env.PIN: "********" and env.QUOTED: ******** are no good, 47110 is')


# Pages


@pytest.mark.parametrize("paging", ["full", "short", "absent"])
@pytest.mark.parametrize("path", ["/pods?includeClusterPods=true", "/templates"])
def test_a_listing_is_read_to_its_end(paging: str, path: str) -> None:
    runpod = SimulatedRunpod()
    key = path.strip("/").partition("?")[0]
    names = {runpod.seed(key, name=f"thing-{number}")["name"] for number in range(7)}
    runpod.simulator.world.set_switches({"paging": paging, "page_size": 3})
    assert {thing["name"] for thing in runpod.client.items(path, key)} == names
    assert set(runpod.requests()) == {f"GET {path}"}


@pytest.mark.parametrize("trouble", [refusal(403, "no"), (200, {}, {}), refusal(422, "cursor: not one")])
def test_a_later_page_that_fails_fails_the_listing(trouble: Any) -> None:
    fake = FakeRunpod()
    fake.answers = [(200, {}, page([{"id": "r1", "name": "one"}], "next")), trouble]
    with pytest.raises(ApiError, match="GET /registries: "):
        fake.client.items("/registries", "registries")


def page(items: list[Json], cursor: Any = None) -> Json:
    return {"registries": items, "pagination": {"nextCursor": cursor, "hasNextPage": cursor is not None}}


def test_an_item_that_moves_between_pages_is_listed_once() -> None:
    fake, one, two = FakeRunpod(), {"id": "r1", "name": "one"}, {"id": "r2", "name": "two"}
    fake.answers = [(200, {}, page([one, two], "next")), (200, {}, page([two]))]
    assert fake.client.items("/registries", "registries") == [one, two]


def test_a_page_that_leads_to_itself_is_an_error() -> None:
    runpod = SimulatedRunpod()
    runpod.simulator.world.set_switches({"paging": "repeating"})
    with pytest.raises(ApiError, match="GET /templates: a page names one as the next that was there before"):
        runpod.client.items("/templates", "templates")


def test_pages_without_end_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_PAGES", 3)
    fake = FakeRunpod()
    fake.answers = [(200, {}, page([], f"c{number}")) for number in range(3)]
    with pytest.raises(ApiError, match="GET /registries: after 3 pages there is no end"):
        fake.client.items("/registries", "registries")


@pytest.mark.parametrize(
    "pagination", ["next", [], {"nextCursor": "c"}, {"hasNextPage": True}, {"hasNextPage": True, "nextCursor": 5}]
)
def test_a_page_that_does_not_say_how_to_go_on_is_an_error(pagination: Any) -> None:
    fake = FakeRunpod()
    fake.answers = [(200, {}, {"registries": [], "pagination": pagination})]
    with pytest.raises(ApiError, match="does not say whether and where its next page is"):
        fake.client.items("/registries", "registries")


# Hosts that cannot be reached


def bound() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(10)
    return listening


@pytest.mark.parametrize(
    ("failure", "said", "naps"),
    [
        (URLError(socket.gaierror(-2, "Name or service not known")), "host name is not known: check api_url", [1.0]),
        (URLError(ConnectionRefusedError(111, "Connection refused")), "Nothing listens there: check host and", [1.0]),
        (URLError(OSError(113, "No route to host")), "No connection can be made", [1.0]),
        (URLError(ssl.SSLCertVerificationError("self-signed")), "The certificate is not trusted.*or ca_path", []),
        (URLError(ssl.SSLError("wrong version number")), "does not speak TLS there: check scheme and port", []),
        (http.client.BadStatusLine("SSH-2.0"), "does not speak HTTP there: check scheme and port", []),
        (client.Silence("no connection after 4 seconds"), "No connection can be made", []),
    ],
)
def test_a_host_that_never_answered_is_given_up_soon(failure: Exception, said: str, naps: list[float]) -> None:
    fake = FakeRunpod()
    fake.answers = [failure] * 5
    with pytest.raises(TransportError, match=f"GET /registries: no answer from https://runpod.test/v2: .*{said}"):
        fake.client.get("/registries")
    assert fake.naps == naps


def test_a_host_that_has_answered_is_waited_for() -> None:
    fake = FakeRunpod()
    fake.client.get("/registries")
    fake.answers = [URLError(ConnectionRefusedError(111, "Connection refused"))] * 4
    assert fake.client.get("/registries") == {"registries": []}
    assert fake.naps == [1.0, 2.0, 4.0, 8.0]


def test_a_port_where_nothing_listens_is_named_within_seconds() -> None:
    options = {"api_timeout": 30, "validate_certs": True, "ca_path": None}
    begun = time.monotonic()
    with socket.socket() as held, pytest.raises(TransportError, match="Connection refused. Nothing listens there"):
        held.bind(("127.0.0.1", 0))  # and nobody else can listen there meanwhile
        Client(f"http://127.0.0.1:{held.getsockname()[1]}", KEY, opener(options), timeout=30).get("/registries")
    assert time.monotonic() - begun < 25


@pytest.mark.parametrize("accepts", [True, False])
def test_a_host_that_is_silent_is_waited_for_when_it_takes_connections(
    accepts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SILENCE_TIMEOUT", 0.05)
    monkeypatch.setattr(client, "PROBE", 30.0)
    over = Event()
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Silent:
        def open(self, *dummy: Any, **options: Any) -> Any:
            over.wait(0.3 if accepts else 60)
            raise HTTPError("u", 401, "", Message(), io.BytesIO(b""))

    with bound() as listening:
        port = listening.getsockname()[1]
        if not accepts:
            listening.close()
        made = Client(f"http://127.0.0.1:{port}", KEY, Silent(), timeout=90)
        with pytest.raises(ApiError if accepts else TransportError, match="401" if accepts else "no connection after"):
            made.get("/registries")
    over.set()


def test_behind_a_proxy_the_host_itself_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(socket, "create_connection", lambda address: pytest.fail(f"tried {address}"))
    FakeRunpod().client._probe()


def test_a_call_that_takes_longer_than_the_probe_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SILENCE_TIMEOUT", 0.01)
    monkeypatch.setattr(client, "PROBE", 30.0)
    assert within(90, lambda: Event().wait(0.1) or "done") == "done"  # type: ignore[comparison-overlap, arg-type, return-value]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "https://puller:hush-hush@api.runpod.io/v2",
            "api_url 'https://.*@api.runpod.io/v2' holds a user",
        ),
        ("puller:hush-hush@api.runpod.io", "api_url 'api.runpod.io' is not an address"),
        ("https://api.runpod.io:port/v2", "its port is no number"),
        ("https://api.runpod.io:99999", "its port is no number"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        base_url(url)
    assert "hush-hush" not in str(caught.value)
