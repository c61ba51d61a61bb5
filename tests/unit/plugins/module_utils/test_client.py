# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import http.client
import io
from email.message import Message
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError

from ansible_collections.gpuops.runpod.plugins.module_utils._client import (
    Client,
    api_error,
    base_url,
    create,
    details,
    opener,
    problem_of,
    read,
    retry_delay,
    seconds,
    secrets_in,
    without,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._errors import (
    ApiError,
    InputError,
    Json,
    NotFoundError,
    RunpodError,
    TransportError,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import KEY, FakeRunpod, Lost, refusal

BODY = {"name": "demo", "password": "a-password-of-some-length"}


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
    ("method", "status", "retry_after", "attempt", "delay"),
    [
        ("GET", None, None, 1, 1.0),
        ("GET", None, None, 4, 8.0),
        ("GET", None, None, 5, None),  # enough is enough
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
def test_retry_delay(
    method: str, status: int | None, retry_after: float | None, attempt: int, delay: float | None
) -> None:
    assert retry_delay(method, status, retry_after, attempt) == delay


@pytest.mark.parametrize(
    ("text", "value"),
    [(None, None), ("", None), ("7", 7.0), ("0.5", 0.5), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)
def test_seconds(text: str | None, value: float | None) -> None:
    assert seconds(text) == value


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
        (403, {"detail": "no"}, "give it that scope"),
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
        "Content-Type": "application/json",
    }
    assert "Content-Type" not in fake.headers[1]
    assert fake.calls == [("POST", "/registries", BODY), ("GET", "/registries", None)]


def test_answers_are_parsed() -> None:
    fake = FakeRunpod(registries=[{"id": "r1", "name": "one"}])
    assert fake.client.items("/registries", "registries") == [{"id": "r1", "name": "one"}]
    assert fake.client.patch("/registries/r1", {"username": "AWS"}) == {"id": "r1", "name": "one", "username": "AWS"}
    fake.client.delete("/registries/r1")
    assert fake.held["registries"] == []


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
    with pytest.raises(ApiError, match="day window"):
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


def make(fake: FakeRunpod) -> Json:
    def find() -> Json | None:
        return next(iter(fake.client.items("/registries", "registries")), None)

    return create(fake.client, "/registries", BODY, find)


def test_what_is_created_is_not_looked_up() -> None:
    fake = FakeRunpod()
    assert make(fake)["id"] == "id-1"
    assert fake.requests() == ["POST /registries"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_creation_is_not_looked_up(status: int) -> None:
    fake = FakeRunpod()
    fake.answers = [refusal(status, "no")]
    with pytest.raises(ApiError) as caught:
        make(fake)
    assert (caught.value.status, fake.requests()) == (status, ["POST /registries"])


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_name_that_another_run_takes_meanwhile_is_adopted(status: int) -> None:
    fake = FakeRunpod(registries=[{"id": "theirs", "name": BODY["name"]}])
    fake.answers = [refusal(status, "must be unique")]
    assert make(fake)["id"] == "theirs"
    assert fake.requests() == ["POST /registries", "GET /registries"]


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_refusal_for_another_reason_stays_one(status: int) -> None:
    fake = FakeRunpod()
    fake.answers = [refusal(status, "no")]
    with pytest.raises(ApiError, match="no") as caught:
        make(fake)
    assert (caught.value.status, fake.requests()) == (status, ["POST /registries", "GET /registries"])


def test_a_creation_whose_answer_was_lost_is_adopted() -> None:
    fake = FakeRunpod()
    fake.answers = [Lost()]
    assert make(fake)["id"] == "id-1"
    assert fake.requests() == ["POST /registries", "GET /registries"]
    assert len(fake.held["registries"]) == 1


@pytest.mark.parametrize("trouble", [TimeoutError("timed out"), refusal(500, "oops"), (201, {}, b"garbage")])
def test_a_creation_that_left_nothing_is_an_error_and_not_repeated(trouble: Any) -> None:
    fake = FakeRunpod()
    fake.answers = [trouble]
    with pytest.raises(RunpodError, match="nothing was created: run again") as caught:
        make(fake)
    assert not isinstance(caught.value, TransportError)  # the outcome is known
    assert fake.requests() == ["POST /registries", "GET /registries"]


def test_a_creation_that_cannot_be_looked_up_is_said_to_be_unknown() -> None:
    fake = FakeRunpod()
    fake.answers = [TimeoutError("timed out")] + [refusal(500, "down")] * 5
    with pytest.raises(TransportError, match="Outcome unknown"):
        make(fake)


def test_the_opener_reads_no_netrc_and_follows_no_redirect() -> None:
    made = opener({"api_timeout": 7, "validate_certs": False, "ca_path": "/ca.pem"})
    assert (made.use_netrc, made.follow_redirects) == (False, "none")
    assert (made.timeout, made.validate_certs, made.ca_path) == (7, False, "/ca.pem")


def test_the_client_is_built_without_asking() -> None:
    fake = FakeRunpod()
    assert Client("https://runpod.test/v2/", KEY, fake).url == "https://runpod.test/v2"
    assert fake.calls == []
