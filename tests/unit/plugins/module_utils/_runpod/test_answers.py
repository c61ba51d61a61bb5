# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What RunPod answers with success and all the same is none: each names the call and the field."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ApiError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client
from ansible_collections.gpuops.runpod.tests.sandbox import contract
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod

NAMED = {"id": "t1", "name": "one"}
NO_SEGMENTS = (".", "..", "a/b", "a?b=c", "\ud7ff")  # of a path


@pytest.fixture(autouse=True)
def any_request_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "note", lambda *dummy: None)


def answering(status: int, document: Any, *more: Any) -> Client:
    fake = FakeRunpod()
    fake.answers = [(status, {}, document), *more]
    return fake.client


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "HTTP 200: the answer is empty"),
        ([], "the answer has no list 'templates'"),
        ("templates", "the answer has no list 'templates'"),
        ({"error": "upstream"}, r"the answer has no list 'templates' \(upstream\)"),
        ({"templates": {"t1": NAMED}}, "the answer has no list 'templates'"),
        ({"templates": [None]}, "an item is no object"),
        ({"templates": ["t1"]}, "an item is no object"),
        ({"templates": [{"name": "one"}]}, "an item has no id"),
        ({"templates": [{"id": None, "name": "one"}]}, "an item has no id"),
        ({"templates": [{"id": "", "name": "one"}]}, "an item has no id"),
        ({"templates": [{"id": 17, "name": "one"}]}, "an item has id that is no text: 17"),
        (
            {"templates": [{"id": "../pods/p1", "name": "one"}]},
            "an item has an id that no address can have: ../pods/p1",
        ),
        ({"templates": [{"id": "t1"}]}, "an item has no name"),
        ({"templates": [{"id": "t1", "name": ["x"]}]}, "an item has name that is no text"),
        ({"templates": [{**NAMED, "registry": {"id": "r1"}}]}, r"an item \(t1\) has registry that is not a text"),
        ({"templates": [{**NAMED, "env": ["A=1"]}]}, r"an item \(t1\) has env that is not an object"),
        ({"templates": [{**NAMED, "ports": "80/http"}]}, r"an item \(t1\) has ports that is not a list"),
        (
            {"templates": [{**NAMED, "ports": ["80/http", None]}]},
            r"an item \(t1\) has ports that is not a list of texts",
        ),
        ({"templates": [{**NAMED, "cmd": ["a", {}]}]}, r"an item \(t1\) has cmd that is not a list of texts"),
        ({"templates": [{**NAMED, "entrypoint": "sh"}]}, r"an item \(t1\) has entrypoint that is not a list of texts"),
        (
            {"templates": [{**NAMED, "allowedCudaVersions": [12.8]}]},
            r"an item \(t1\) has allowedCudaVersions that is not a list of texts",
        ),
        (
            {"templates": [{**NAMED, "gpu": {"excludedTypes": [None]}}]},
            r"an item \(t1\) has gpu.excludedTypes that is not a list of texts",
        ),
        ({"templates": [{**NAMED, "cpu": [None]}]}, r"an item \(t1\) has cpu that is not a list of objects"),
        ({"templates": [{**NAMED, "disk": "50"}]}, r"an item \(t1\) has disk that is not a number"),
        ({"templates": [{**NAMED, "workers": {"max": [3]}}]}, r"an item \(t1\) has workers.max that is not a number"),
        ({"templates": [{**NAMED, "gpu": {"count": True}}]}, r"an item \(t1\) has gpu.count that is not a number"),
        ({"templates": [{**NAMED, "pool": ["A"]}]}, r"an item \(t1\) has pool that is not a text"),
    ],
)
def test_a_listing_that_is_none_names_call_and_field(document: Any, said: str) -> None:
    with pytest.raises(ApiError, match=f"^GET /templates: {said}") as caught:
        answering(200, document).items("/templates", "templates")
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("path", "key", "item"),
    [
        ("/templates", "templates", NAMED),  # without registry
        ("/templates", "templates", {**NAMED, "registry": None, "env": None}),
        ("/serverless", "endpoints", {"id": "e1"}),
        ("/pods", "pods", {"id": "p1", "name": None}),
        ("/serverless/e1/workers", "workers", {"id": "w1", "status": "IDLE"}),
        ("/catalog/gpus", "gpus", {"id": "g1"}),
    ],
)
def test_what_the_document_lets_lack_is_tolerated(path: str, key: str, item: Json) -> None:
    assert answering(200, {key: [item]}).items(path, key) == [{**item, "name": item.get("name") or ""}]


@pytest.mark.parametrize("lacking", ["id", "awsUser", "awsRegion", "repository"])
def test_a_delegation_has_its_repository(lacking: str) -> None:
    whole = {"id": "d1", "awsUser": "123456789012", "awsRegion": "us-east-1", "repository": "app"}
    item = {key: value for key, value in whole.items() if key != lacking}
    with pytest.raises(ApiError, match=f"GET /registries/delegations: an item has no {lacking}"):
        answering(200, {"delegations": [item]}).items("/registries/delegations", "delegations")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "HTTP 20[01]: the answer is empty"),
        ([], "the answer is no object"),
        ({}, "the answer has no id"),
        ({"error": "upstream"}, r"the answer has no id \(upstream\)"),
        ({"title": "No", "status": 500, "errors": "a, b"}, r"the answer has no id \(No: a, b\)"),
        ({"id": 5}, "the answer has id that is no text: 5"),
        *(({"id": odd, "name": "n"}, "the answer has an id that no address can have: ") for odd in NO_SEGMENTS),
    ],
)
def test_a_write_whose_answer_shows_nothing_is_an_error(document: Any, said: str) -> None:
    with pytest.raises(ApiError, match=f"^POST /serverless: {said}"):
        answering(201, document).post("/serverless", {})
    with pytest.raises(ApiError, match=f"^PATCH /registries/r1: {said}"):
        answering(200, document).patch("/registries/r1", {})
    with pytest.raises(ApiError, match=f"^GET /templates/t1: {said}"):
        answering(200, document).get("/templates/t1")


def test_an_update_without_content_is_read() -> None:
    assert answering(204, b"", (200, {}, NAMED)).patch("/templates/t1", {}) == NAMED


@pytest.mark.parametrize("document", [{"error": "no"}, {"errors": ["no"]}])
def test_a_success_that_says_it_failed_is_none(document: Json) -> None:
    with pytest.raises(ApiError, match="DELETE /registries/r1: the answer is an error"):
        answering(200, document).delete("/registries/r1")
    with pytest.raises(ApiError, match="GET /serverless/e1/releases: the answer is an error"):
        answering(200, document).get("/serverless/e1/releases")


@pytest.mark.parametrize(("status", "body"), [(200, b""), (200, b"null"), (204, b"")])
def test_what_is_deleted_needs_no_words(status: int, body: bytes) -> None:
    answering(status, body).delete("/registries/r1")


def test_a_login_page_deletes_nothing() -> None:
    with pytest.raises(ApiError, match="DELETE /registries/r1: HTTP 200: the answer is an HTML page"):
        answering(200, b"<html><title>Log in</title></html>").delete("/registries/r1")


def test_foreign_text_in_an_error_is_printable() -> None:
    with pytest.raises(ApiError, match=r"GET /templates: HTTP 400: \\x1b\[2Jgone") as caught:
        answering(400, {"detail": "\x1b[2Jgone"}).items("/templates", "templates")
    assert "\x1b" not in str(caught.value)


def test_a_value_of_env_is_a_text() -> None:
    told = {"templates": [{**NAMED, "env": {"HF_TOKEN": None}}]}
    with pytest.raises(ApiError, match=r"GET /templates: an item \(t1\) has a value in env that is no text"):
        answering(200, told).items("/templates", "templates")


@pytest.mark.parametrize("pools", [None, 0.5, [None], ["ADA_24", 7]])
def test_the_pools_of_an_endpoint_are_a_list_of_texts(pools: Any) -> None:
    told = {"endpoints": [{**NAMED, "gpu": {"pools": pools}}]}
    with pytest.raises(ApiError, match=r"GET /serverless: an item \(t1\) has gpu.pools that is not a list of texts"):
        answering(200, told).items("/serverless", "endpoints")
    told["endpoints"][0]["gpu"] = {"pools": ["ADA_24"]}
    assert answering(200, told).items("/serverless", "endpoints")
