# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import http.client
import io
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
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import (
    Client,
    api_error,
    base_url,
    details,
    opener,
    page_title,
    problem_of,
    read,
    retry_delay,
    secrets_in,
    within,
    without,
)
from ansible_collections.gpuops.runpod.tests.sandbox import contract
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import KEY, FakeRunpod, refusal

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
        ({"env": {"A": "12345678", "B": "1234567"}}, ["12345678"]),  # short ones would blot out harmless words
        ({"env": None}, []),
    ],
)
def test_secrets_in(body: Json | None, secrets: list[str]) -> None:
    assert secrets_in(body) == secrets


def test_secrets_are_blotted_out_at_any_depth() -> None:
    echo = {"detail": "bad hush!", "errors": ["hush!", {"at": "hush!"}], "status": 400}
    assert without(echo, ["hush!"]) == {
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
        (400, {"error": "x", "status": 400}, "RunPod's API v1"),
        (400, {"message": "x"}, "RunPod's API v1"),
        (302, {}, "redirected"),
    ],
)
def test_an_error_says_cause_and_remedy(status: int, problem: Json, said: str) -> None:
    error = api_error("GET", "/x", status, problem)
    assert said in str(error)
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


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"\xff\xfe\xfd"])
def test_a_success_that_is_not_json_is_an_error(body: bytes) -> None:
    fake = FakeRunpod()
    fake.answers = [(200, {}, body)]
    with pytest.raises(ApiError, match="the answer is not JSON") as caught:
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


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_timeout_of_nothing_is_refused(timeout: int) -> None:
    with pytest.raises(InputError, match="api_timeout must be at least 1"):
        opener({"api_timeout": timeout, "validate_certs": True, "ca_path": None})
