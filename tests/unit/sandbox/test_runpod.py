# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re

import pytest
from werkzeug.test import Client

from ansible_collections.gpuops.runpod.tests.sandbox.runpod import API_KEY, ROUTES, RunpodSimulator, create_app
from ansible_collections.gpuops.runpod.tests.sandbox.runpod_world import SWITCHES, Refusal

HEADERS = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
REGISTRY = {"name": "ecr", "username": "AWS", "password": "first"}
TEMPLATE = {"name": "demo", "image": "demo:1"}
QUEUE = {"type": "QUEUE_DELAY", "queueDelay": 4}
COUNT = {"type": "REQUEST_COUNT", "requestCount": 2}
GPU = {"pools": ["ADA_24"], "count": 1}
ENDPOINT = {"name": "ep", "image": "demo:1", "type": "QUEUE", "scaling": QUEUE, "gpu": GPU}
ARN = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app"
LAST_PAGE = {"nextCursor": None, "hasNextPage": False}


class Account:
    """The simulator as a caller with a good key sees it, with a clock that the test moves."""

    def __init__(self):
        self.now = 1_800_000_000.0
        self.simulator = RunpodSimulator(clock=lambda: self.now)
        self.headers = {}

    def call(self, method, path, body=None, query=None):
        raw = b"" if body is None else json.dumps(body).encode()
        status, self.headers, document = self.simulator.handle(method, path, query or {}, HEADERS, raw)
        return status, document

    def make(self, path, body):
        status, document = self.call("POST", path, body)
        assert status == 201, document
        return document

    def registry(self, **changes):
        return self.make("/v2/registries", {**REGISTRY, **changes})

    def template(self, **changes):
        return self.make("/v2/templates", {**TEMPLATE, **changes})

    def endpoint(self, **changes):
        return self.make("/v2/serverless", {**ENDPOINT, **changes})


@pytest.fixture
def account():
    return Account()


# The key, the path, the body


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        ("", "missing bearer token"),
        (API_KEY, "malformed bearer token"),
        (f"Basic {API_KEY}", "malformed bearer token"),
        ("Bearer ", "malformed bearer token"),
        ("Bearer other", "invalid bearer token"),
    ],
)
@pytest.mark.parametrize("path", ["/v2/registries", "/v2/registries/delegations", "/v2/nothing"])
def test_a_wrong_key_gets_401_and_no_word_about_the_quota(authorization, detail, path):
    headers = {"Authorization": authorization} if authorization else {}
    answer = RunpodSimulator().handle("GET", path, {}, headers, b"")
    problem = {"title": "Unauthorized", "status": 401, "detail": detail}
    assert answer == (401, {"Content-Type": "application/problem+json"}, problem)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_header_name_and_scheme_are_case_insensitive(name, scheme):
    assert RunpodSimulator().handle("GET", "/v2/pods", {}, {name: f"{scheme} {API_KEY}"}, b"")[0] == 200


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_key_without_the_scope_gets_403(account, route):
    others = sorted({other.scope for other in ROUTES} - {route.scope})
    account.simulator.switch(scopes=others)
    path = re.sub(r"{\w+}", "some", route.path)
    status, document = account.call(route.method, path, {})
    assert (status, document["detail"]) == (403, "access denied")
    account.simulator.switch(scopes=[route.scope])
    assert account.call(route.method, path, {})[0] != 403


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("GET", "/registries", 404, None),
        ("GET", "/v1/registries", 404, None),
        ("GET", "/v2/registries/", 404, None),
        ("GET", "/v2/v2/registries", 404, None),
        ("GET", "/v2/registries/unknown", 404, None),
        ("DELETE", "/v2/registries/delegations/unknown", 404, None),
        ("PUT", "/v2/registries", 405, "GET, POST"),
        ("PATCH", "/v2/registries/delegations", 405, "GET, POST"),
        ("DELETE", "/v2/registries/delegations", 405, "GET, POST"),
        ("GET", "/v2/registries/delegations/some", 405, "DELETE"),
        ("POST", "/v2/registries/some", 405, "GET, PATCH, DELETE"),
        ("DELETE", "/v2/templates", 405, "GET, POST"),
        ("HEAD", "/v2/templates", 405, "GET, POST"),
    ],
)
def test_unknown_paths_and_methods(account, method, path, status, allow):
    assert account.call(method, path)[0] == status
    assert account.headers.get("Allow") == allow
    assert account.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("raw", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"name": NaN}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (json.dumps(REGISTRY).encode(), "text/plain", 400),
        (json.dumps(REGISTRY).encode(), "", 400),
        (json.dumps(REGISTRY).encode(), "application/json; charset=utf-8", 201),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
    ],
)
def test_bodies_that_are_no_json_objects(raw, content_type, status):
    headers = {**HEADERS, "Content-Type": content_type}
    assert RunpodSimulator().handle("POST", "/v2/registries", {}, headers, raw)[0] == status


MOUNTED = {**TEMPLATE, "mounts": {"persistent": {"size": 9, "path": "/w"}}}


@pytest.mark.parametrize(
    ("path", "body", "errors"),
    [
        ("registries", {**REGISTRY, "url": "x"}, ["$: additional properties 'url' not allowed"]),
        ("registries", {**REGISTRY, "name": ""}, ["$.name: minLength: got 0, want 1"]),
        ("registries", {**REGISTRY, "password": None}, ["$.password: got null, want string"]),
        ("registries", [], ["$: got array, want object"]),
        (
            "registries",
            {},
            ["$: missing property 'name'", "$: missing property 'username'", "$: missing property 'password'"],
        ),
        (
            "registries",
            {"name": "a", "username": "b"},
            ["$: missing property 'password'", "$: additional properties 'name', 'username' not allowed"],
        ),
        ("registries/delegations", {"resource": 1}, ["$.resource: got number, want string"]),
        (
            "templates",
            {"name": "a", "disk": 5},
            ["$: missing property 'image'", "$: additional properties 'disk', 'name' not allowed"],
        ),
        (
            "templates",
            {**TEMPLATE, "readme": "", "imageName": ""},
            ["$: additional properties 'imageName', 'readme' not allowed"],
        ),
        ("templates", {**TEMPLATE, "category": "TPU"}, ["$.category: value must be one of 'CPU', 'NVIDIA', 'AMD'"]),
        ("templates", {**TEMPLATE, "disk": 0}, ["$.disk: minimum: got 0, want 1"]),
        ("templates", {**TEMPLATE, "disk": 1.5}, ["$.disk: got number, want integer"]),
        ("templates", {**TEMPLATE, "args": ["a"]}, ["$.args: got array, want string"]),
        ("templates", {**TEMPLATE, "public": "yes"}, ["$.public: got string, want boolean"]),
        (
            "templates",
            {**TEMPLATE, "env": {"A": 1, "B": True}},
            [
                "$.env.A: got number, want string",
                "$.env.B: got boolean, want string",
            ],
        ),
        ("templates", {**TEMPLATE, "ports": [80]}, ["$.ports[0]: got number, want string"]),
        ("templates", {**TEMPLATE, "registry": 1}, ["$.registry: got number, want string or null"]),
        ("templates", MOUNTED, ["$.mounts.persistent.size: minimum: got 9, want 10"]),
        (
            "templates",
            {**TEMPLATE, "mounts": {"persistent": {"size": 10}}},
            [
                "$.mounts.persistent: missing property 'path'",
                "$.mounts.persistent: additional properties 'size' not allowed",
            ],
        ),
        (
            "templates",
            {**TEMPLATE, "mounts": {"network": []}},
            ["$.mounts: additional properties 'network' not allowed"],
        ),
        (
            "templates",
            {**TEMPLATE, "allowedCudaVersions": ["12"]},
            [r"$.allowedCudaVersions[0]: '12' does not match pattern '^\d+\.\d+$'"],
        ),
        (
            "serverless",
            {**ENDPOINT, "flashboot": True},
            [
                "$.flashboot: got boolean, want string",
                "$.flashboot: value must be one of 'OFF', 'FLASHBOOT', 'PRIORITY_FLASHBOOT'",
            ],
        ),
        ("serverless", {**ENDPOINT, "gpu": {"pools": []}}, ["$.gpu.pools: minItems: got 0, want 1"]),
        (
            "serverless",
            {**ENDPOINT, "workers": {"idleTimeout": 3601}},
            ["$.workers.idleTimeout: maximum: got 3601, want 3600"],
        ),
        ("serverless", {**ENDPOINT, "cpu": [{"id": "cpu3c", "vcpuCount": 2}] * 2}, ["$.cpu: items are not unique"]),
        (
            "serverless",
            {key: value for key, value in ENDPOINT.items() if key != "image"},
            [
                "$: missing property 'image'",
                "$: additional properties 'gpu', 'name', 'scaling', 'type' not allowed",
            ],
        ),
        (
            "serverless",
            {**ENDPOINT, "type": "LOAD_BALANCER"},
            [
                "$.scaling: missing property 'requestCount'",
                "$.scaling: additional properties 'queueDelay', 'type' not allowed",
                "$.scaling: additional properties 'queueDelay' not allowed",
                "$.scaling.type: value must be one of 'REQUEST_COUNT'",
            ],
        ),
    ],
)
def test_a_body_against_the_schema_gets_422_with_each_fault(account, path, body, errors):
    status, document = account.call("POST", f"/v2/{path}", body)
    assert (status, document["title"], document["detail"]) == (
        422,
        "Unprocessable Entity",
        "Request validation failed.",
    )
    assert document["errors"] == errors
    assert not any(account.simulator.state().values())


@pytest.mark.parametrize("path", ["/v2/registries", "/v2/templates", "/v2/serverless", "/v2/pods"])
def test_unknown_query_parameters_are_ignored(account, path):
    assert account.call("GET", path, query={"name": "x", "page": "2"})[0] == 200


# Pages


def pages(account, path, key, **query):
    """Return the ids of each page of a listing."""
    found = []
    while True:
        status, document = account.call("GET", path, query=query)
        assert status == 200, document
        found.append([item["id"] for item in document[key]])
        pagination = document["pagination"]
        assert pagination["hasNextPage"] is (pagination["nextCursor"] is not None)
        if not pagination["hasNextPage"]:
            return found
        query["cursor"] = pagination["nextCursor"]


SEEDED = {"registries": "registries", "registries/delegations": "delegations", "templates": "templates"}
SEEDED |= {"serverless": "endpoints", "pods": "pods", "clusters": "clusters"}


@pytest.mark.parametrize(("path", "key"), SEEDED.items())
def test_a_listing_comes_in_pages_of_the_size_that_is_asked_for(account, path, key):
    ids = [account.simulator.seed(key, {})["id"] for dummy in range(5)]
    assert pages(account, f"/v2/{path}", key) == [ids]
    assert pages(account, f"/v2/{path}", key, limit="1000") == [ids]
    assert pages(account, f"/v2/{path}", key, limit="2") == [ids[:2], ids[2:4], ids[4:]]
    assert pages(account, f"/v2/{path}", key, limit="5") == [ids]


def test_parts_of_an_endpoint_and_the_catalogue_come_in_pages(account):
    made = account.endpoint(workers={"min": 3})
    account.call("PATCH", f"/v2/serverless/{made['id']}", {"image": "demo:2"})
    workers = pages(account, f"/v2/serverless/{made['id']}/workers", "workers", limit="2")
    releases = pages(account, f"/v2/serverless/{made['id']}/releases", "releases", limit="1")
    assert ([len(page) for page in workers], [len(page) for page in releases]) == ([2, 1], [1, 1])
    assert account.simulator.state()["endpoints"][0]["reads"] == 2
    assert [len(page) for page in pages(account, "/v2/catalog/gpus", "gpus", limit="10")] == [10, 9]


def test_the_server_may_give_less_than_is_asked_for(account):
    ids = [account.simulator.seed("templates", {})["id"] for dummy in range(5)]
    account.simulator.switch(page_size=2)
    assert pages(account, "/v2/templates", "templates", limit="4") == [ids[:2], ids[2:4], ids[4:]]
    account.simulator.switch(paging="short", page_size=1000)
    assert pages(account, "/v2/templates", "templates") == [[], ids[:3], [], ids[3:4], [], ids[4:]]
    assert pages(account, "/v2/templates", "templates", limit="1") == [part for one in ids for part in ([], [one])]
    assert pages(account, "/v2/pods", "pods") == [[]]


def test_a_page_goes_on_behind_what_was_given_whatever_happens_between(account):
    first, second, third = (account.simulator.seed("templates", {})["id"] for dummy in range(3))
    page = account.call("GET", "/v2/templates", query={"limit": "2"})[1]
    assert [item["id"] for item in page["templates"]] == [first, second]
    account.call("DELETE", f"/v2/templates/{first}")
    fourth = account.simulator.seed("templates", {})["id"]
    query = {"cursor": page["pagination"]["nextCursor"]}
    asked_twice = [account.call("GET", "/v2/templates", query=query)[1]["templates"] for dummy in range(2)]
    assert [[item["id"] for item in rest] for rest in asked_twice] == [[third, fourth]] * 2


def test_a_cursor_of_another_listing_is_refused(account):
    for key in ("templates", "templates", "registries", "registries"):
        account.simulator.seed(key, {})
    one, other = (account.endpoint(workers={"min": 2})["id"] for dummy in range(2))
    foreign = account.call("GET", "/v2/registries", query={"limit": "1"})[1]["pagination"]["nextCursor"]
    theirs = account.call("GET", f"/v2/serverless/{one}/workers", query={"limit": "1"})[1]["pagination"]["nextCursor"]
    for path, cursor in (
        ("/v2/templates", foreign),
        ("/v2/templates", "invented"),
        ("/v2/templates", ""),
        (f"/v2/serverless/{other}/workers", theirs),
        (f"/v2/serverless/{one}/releases", theirs),
    ):
        status, document = account.call("GET", path, query={"cursor": cursor})
        assert (status, document["errors"]) == (422, ["cursor: not a cursor of this listing"])
    account.simulator.reset()
    assert account.call("GET", "/v2/registries", query={"cursor": foreign})[0] == 422


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.5", "many", "", " 1"])
def test_a_limit_outside_its_bounds_is_refused(account, limit):
    assert account.call("GET", "/v2/templates", query={"limit": limit})[0] == 422


def test_an_older_server_knows_nothing_of_pages(account):
    account.simulator.switch(paging="absent", page_size=1)
    made = [account.template(name=name) for name in ("a", "b")]
    query = {"limit": "0", "cursor": "invented"}
    assert account.call("GET", "/v2/templates", query=query) == (200, {"templates": made})


def test_a_broken_server_leads_from_a_page_to_itself(account):
    account.simulator.switch(paging="repeating", page_size=1)
    made = [account.template(name=name) for name in ("a", "b")]
    first = account.call("GET", "/v2/templates")[1]
    again = account.call("GET", "/v2/templates", query={"cursor": first["pagination"]["nextCursor"]})[1]
    assert first == again
    assert (first["templates"], first["pagination"]["hasNextPage"]) == (made[:1], True)


# The catalogue

STOCK = {"include": "AVAILABILITY", "product": "SERVERLESS"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 200),
        (STOCK, 200),
        ({**STOCK, "product": "POD,SERVERLESS", "count": "2"}, 200),
        ({"include": "AVAILABILITY"}, 400),
        ({"product": "SERVERLESS"}, 400),
        ({"count": "1"}, 400),
        ({"countryCodes": "FR"}, 400),
        ({"include": "PRICE", "product": "SERVERLESS"}, 422),
        ({**STOCK, "product": "SERVERLESS,OTHER"}, 422),
        ({**STOCK, "count": "0"}, 422),
        ({**STOCK, "count": "many"}, 422),
    ],
)
def test_stock_is_asked_for_together_with_a_product(account, query, status):
    got, document = account.call("GET", "/v2/catalog/gpus", query=query)
    assert got == status
    if status == 200:
        assert all(("availability" in gpu) is ("include" in query) for gpu in document["gpus"])


def test_every_pool_of_the_catalogue_makes_an_endpoint_and_no_other_does(account):
    gpus = account.call("GET", "/v2/catalog/gpus", query=STOCK)[1]["gpus"]
    pools = {gpu["pool"] for gpu in gpus}
    assert None in pools
    assert all(("serverless" in gpu["price"]) is (gpu["pool"] is not None) for gpu in gpus)
    for pool in pools - {None}:
        account.endpoint(gpu={"pools": [pool], "count": 1})
    status, document = account.call("POST", "/v2/serverless", {**ENDPOINT, "gpu": {"pools": ["ADA_24", "ADA_25"]}})
    assert (status, document["detail"]) == (400, "unknown GPU pool: ADA_25")


def test_stock_is_what_the_switch_says(account):
    account.simulator.switch(gpu_availability={"NVIDIA L4": "NONE", "NVIDIA A40": "LOW"})

    def stock(**query):
        gpus = account.call("GET", "/v2/catalog/gpus", query={**STOCK, **query})[1]["gpus"]
        return {gpu["id"]: (gpu["availability"], "dataCenters" in gpu) for gpu in gpus}

    found = stock()
    assert found["NVIDIA L4"] == ("NONE", False)
    assert found["NVIDIA A40"] == ("LOW", True)
    assert found["NVIDIA GeForce RTX 4090"] == ("HIGH", True)
    assert set(stock(count="9").values()) == {("NONE", False)}


# Rate limits


def test_every_authenticated_answer_tells_the_quota(account):
    account.simulator.switch(rate_limits={"minute": 3, "hour": 10, "day": 20})
    assert account.call("GET", "/v2/templates")[0] == 200
    assert account.headers["RateLimit"] == '"minute";r=2;t=60, "hour";r=9;t=3600, "day";r=19;t=86400'
    assert account.headers["RateLimit-Policy"] == '"minute";q=3;w=60, "hour";q=10;w=3600, "day";q=20;w=86400'
    account.now += 10.5
    assert account.call("GET", "/v2/nothing")[0] == 404
    assert account.headers["RateLimit"] == '"minute";r=1;t=50, "hour";r=8;t=3590, "day";r=18;t=86390'


def test_a_spent_window_refuses_until_it_is_over(account):
    account.simulator.switch(rate_limits={"minute": 2, "hour": 3, "day": 100})
    assert [account.call("GET", "/v2/pods")[0] for dummy in range(3)] == [200, 200, 429]
    assert account.headers["Retry-After"] == "60"
    assert account.headers["RateLimit"].startswith('"minute";r=0;t=60, "hour";r=1;')
    account.now += 60
    status, document = account.call("GET", "/v2/pods")
    assert status == 200, document
    status, document = account.call("GET", "/v2/pods")
    assert (status, document["detail"]) == (429, "rate limit exceeded for the hour window")
    assert account.headers["Retry-After"] == "3540"


def test_an_exempt_caller_hears_nothing_of_quotas(account):
    account.simulator.switch(rate_limits=None)
    assert account.call("GET", "/v2/pods")[0] == 200
    assert account.headers == {"Content-Type": "application/json"}


def test_a_wrong_key_spends_nothing(account):
    account.simulator.switch(rate_limits={"minute": 1, "hour": 1, "day": 1})
    assert account.simulator.handle("GET", "/v2/pods", {}, {}, b"")[0] == 401
    assert account.call("GET", "/v2/pods")[0] == 200


# Registry credentials


def test_a_credential_shows_id_and_name_only(account):
    made = account.registry()
    assert made == {"id": made["id"], "name": "ecr"}
    assert account.call("GET", f"/v2/registries/{made['id']}") == (200, made)
    assert account.call("GET", "/v2/registries") == (200, {"registries": [made], "pagination": LAST_PAGE})
    [held] = account.simulator.state()["registries"]
    assert (held["username"], held["password"]) == ("AWS", "first")


def test_a_patch_replaces_the_password_and_keeps_id_and_name(account):
    made = account.registry()
    path = f"/v2/registries/{made['id']}"
    assert account.call("PATCH", path, {"username": "AWS", "password": "second"}) == (200, made)
    assert account.simulator.state()["registries"][0]["password"] == "second"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (
            {"password": "x"},
            ["$: missing property 'username'", "$: additional properties 'password' not allowed"],
        ),
        ({"username": "a", "password": "b", "name": "c"}, ["$: additional properties 'name' not allowed"]),
        ({"username": "a" * 192, "password": "b"}, ["$.username: maxLength: got 192, want 191"]),
        ({"username": "a", "password": "b" * 16385}, ["$.password: maxLength: got 16385, want 16384"]),
    ],
)
def test_a_patch_takes_both_halves_of_a_login_and_nothing_else(account, body, errors):
    made = account.registry()
    status, document = account.call("PATCH", f"/v2/registries/{made['id']}", body)
    assert (status, document["errors"]) == (422, errors)


@pytest.mark.parametrize(("mode", "status", "allow"), [(405, 405, "GET, DELETE"), (404, 404, None)])
def test_the_patch_of_credentials_can_be_missing(account, mode, status, allow):
    made = account.registry()
    account.simulator.switch(registry_patch=mode)
    path = f"/v2/registries/{made['id']}"
    assert account.call("PATCH", path, {"username": "AWS", "password": "second"})[0] == status
    assert account.headers.get("Allow") == allow
    assert account.call("GET", path) == (200, made)
    assert account.simulator.state()["registries"][0]["password"] == "first"


@pytest.mark.parametrize("kind", ["registry", "template"])
@pytest.mark.parametrize(("policy", "status"), [(400, 400), (422, 422), ("allowed", 201)])
def test_a_second_object_with_one_name(account, kind, policy, status):
    path, body = {"registry": ("/v2/registries", REGISTRY), "template": ("/v2/templates", TEMPLATE)}[kind]
    account.make(path, body)
    account.simulator.switch(**{f"duplicate_{kind}_name": policy})
    assert account.call("POST", path, body)[0] == status


@pytest.mark.parametrize(
    ("pod", "status"),
    [
        ({}, 400),
        ({"status": "EXITED"}, 400),
        ({"cluster": {"id": "c", "rank": 0}}, 400),
        ({"status": "TERMINATED"}, 204),
        ({"registry": None}, 204),
    ],
)
def test_a_credential_cannot_be_deleted_while_a_pod_uses_it(account, pod, status):
    made = account.registry()
    account.simulator.seed("pods", {"registry": made["id"], **pod})
    assert account.call("DELETE", f"/v2/registries/{made['id']}")[0] == status
    assert len(account.simulator.state()["registries"]) == (1 if status == 400 else 0)


@pytest.mark.parametrize("mode", ["stale", "null"])
def test_deleting_a_credential_unlinks_templates_silently(account, mode):
    account.simulator.switch(endpoint_after_registry_delete=mode)
    made, other = account.registry(), account.registry(name="other")
    template, kept = account.template(registry=made["id"]), account.template(name="kept", registry=other["id"])
    endpoint = account.endpoint(registry=made["id"])
    assert account.call("DELETE", f"/v2/registries/{made['id']}") == (204, None)
    assert "Content-Type" not in account.headers
    assert account.call("GET", f"/v2/templates/{template['id']}")[1]["registry"] is None
    assert account.call("GET", f"/v2/templates/{kept['id']}")[1]["registry"] == other["id"]
    expected = made["id"] if mode == "stale" else None
    assert account.call("GET", f"/v2/serverless/{endpoint['id']}")[1]["registry"] == expected
    assert account.call("DELETE", f"/v2/registries/{made['id']}")[0] == 404


# Delegations


@pytest.mark.parametrize(
    ("resource", "forms", "status", "tag"),
    [
        (ARN, ["arn"], 201, "latest"),
        (f"{ARN}:v1", ["arn_tag"], 201, "v1"),
        (f"{URI}:v1", ["uri_tag"], 201, "v1"),
        (ARN, ["arn_tag", "uri_tag"], 400, None),
        (f"{ARN}:v1", ["arn", "uri_tag"], 400, None),
        (f"{URI}:v1", ["arn", "arn_tag"], 400, None),
        (URI, ["arn", "arn_tag", "uri_tag"], 400, None),
        (f"{URI}@sha256:{'0' * 64}", ["arn", "arn_tag", "uri_tag"], 400, None),
        ("arn:aws-cn:ecr:cn-north-1:123456789012:repository/app", ["arn"], 400, None),
        ("", ["arn", "arn_tag", "uri_tag"], 400, None),
    ],
)
def test_a_delegation_takes_the_forms_that_are_switched_on(account, resource, forms, status, tag):
    account.simulator.switch(delegation_forms=forms)
    got, document = account.call("POST", "/v2/registries/delegations", {"resource": resource, "name": "d"})
    assert got == status
    if status == 201:
        assert (document["awsUser"], document["awsRegion"]) == ("123456789012", "us-east-1")
        assert (document["repository"], document["tag"], document["name"]) == ("team/app", tag, "d")
        assert document["createdAt"] == "2027-01-15T08:00:00Z"
        assert account.call("GET", "/v2/registries/delegations") == (
            200,
            {"delegations": [document], "pagination": LAST_PAGE},
        )


@pytest.mark.parametrize(
    ("mode", "status", "tags"), [("record", 201, ["a", "b"]), ("error", 422, ["a"]), ("upsert", 201, ["b"])]
)
def test_a_second_delegation_of_a_repository(account, mode, status, tags):
    account.simulator.switch(duplicate_delegation=mode, delegation_refusal=422)
    first = account.make("/v2/registries/delegations", {"resource": f"{ARN}:a"})
    got, document = account.call("POST", "/v2/registries/delegations", {"resource": f"{URI}:b"})
    assert got == status
    held = account.call("GET", "/v2/registries/delegations")[1]["delegations"]
    assert [item["tag"] for item in held] == tags
    assert held[0]["id"] == first["id"]


def test_a_delegation_is_revoked_once(account):
    made = account.make("/v2/registries/delegations", {"resource": ARN})
    path = f"/v2/registries/delegations/{made['id']}"
    assert [account.call("DELETE", path)[0] for dummy in range(2)] == [204, 404]


# Templates


def test_a_template_has_every_field_with_its_default(account):
    made = account.template()
    defaults = {
        "args": "",
        "cmd": [],
        "entrypoint": [],
        "disk": 50,
        "env": {},
        "ports": [],
        "registry": None,
        "mounts": {},
        "serverless": False,
        "public": False,
        "category": "NVIDIA",
        "startSsh": True,
        "startJupyter": True,
        "allowedCudaVersions": [],
    }
    assert made == {**TEMPLATE, **defaults, "id": made["id"]}
    assert account.call("GET", "/v2/templates") == (200, {"templates": [made], "pagination": LAST_PAGE})
    account.simulator.switch(default_disk=10)
    assert account.template(name="other")["disk"] == 10


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ({}, {}),
        ({"image": "demo:2"}, {"image": "demo:2"}),
        ({"name": "renamed"}, {"name": "renamed"}),
        ({"name": "demo"}, {}),
        ({"env": {"B": "2"}}, {"env": {"B": "2"}}),
        ({"env": {}, "ports": [], "registry": None}, {"env": {}, "ports": [], "registry": None}),
        ({"allowedCudaVersions": []}, {"allowedCudaVersions": []}),
        ({"startSsh": False, "category": "CPU"}, {"startSsh": False, "category": "CPU"}),
        ({"mounts": {}}, {}),
        (
            {"mounts": {"persistent": {"size": 30, "path": "/d"}}},
            {"mounts": {"persistent": {"size": 30, "path": "/d"}}},
        ),
    ],
)
def test_a_patch_changes_what_it_names(account, body, after):
    made = account.template(
        env={"A": "1"},
        ports=["80/http"],
        registry=account.registry()["id"],
        mounts={"persistent": {"size": 20, "path": "/w"}},
        allowedCudaVersions=["12.8"],
    )
    assert account.call("PATCH", f"/v2/templates/{made['id']}", body) == (200, {**made, **after})
    assert account.call("GET", f"/v2/templates/{made['id']}") == (200, {**made, **after})


@pytest.mark.parametrize(
    "body",
    [
        {"registry": "unknown"},
        {"serverless": True, "mounts": {"persistent": {"size": 20, "path": "/w"}}},
        {"name": "taken"},
        {"ports": ["8888"]},
        {"args": "serve", "cmd": ["other"]},
    ],
)
def test_rules_for_templates_hold_for_post_and_patch(account, body):
    account.template(name="taken")
    made = account.template()
    assert account.call("POST", "/v2/templates", {**TEMPLATE, "name": "new", **body})[0] == 400
    assert account.call("PATCH", f"/v2/templates/{made['id']}", body)[0] == 400
    assert account.call("GET", f"/v2/templates/{made['id']}") == (200, made)


def test_foreign_public_templates_can_be_read_and_no_more(account):
    foreign = account.simulator.seed("templates", {"owner": "other", "public": True, "registry": "theirs"})
    secret = account.simulator.seed("templates", {"owner": "other"})
    path = f"/v2/templates/{foreign['id']}"
    status, document = account.call("GET", path)
    assert (status, document["registry"]) == (200, None)
    assert account.call("GET", f"/v2/templates/{secret['id']}")[0] == 404
    assert account.call("GET", "/v2/templates") == (200, {"templates": [], "pagination": LAST_PAGE})
    assert account.call("PATCH", path, {"image": "x"})[0] == 404
    assert account.call("DELETE", path)[0] == 404


@pytest.mark.parametrize(("scope", "status"), [("account", 201), ("global", 400)])
def test_whose_template_names_count(account, scope, status):
    account.simulator.seed("templates", {"owner": "other", "name": "demo"})
    account.simulator.switch(template_name_scope=scope)
    assert account.call("POST", "/v2/templates", TEMPLATE)[0] == status


def test_a_template_in_use_cannot_be_deleted(account):
    free, used, bound, clustered = (account.template(name=name) for name in ("free", "used", "bound", "clustered"))
    account.simulator.seed("pods", {"template": used["id"]})
    account.simulator.seed("endpoints", {"boundTemplate": bound["id"]})
    account.simulator.seed("clusters", {"template": clustered["id"]})
    account.simulator.seed("clusters", {"template": free["id"], "owner": "other"})
    statuses = [account.call("DELETE", f"/v2/templates/{made['id']}")[0] for made in (free, used, bound, clustered)]
    assert statuses == [204, 400, 400, 400]


def test_a_cluster_is_listed_with_the_template_that_its_pods_were_made_from(account):
    made = account.simulator.seed("clusters", {"template": "t1"})
    status, document = account.call("GET", f"/v2/clusters/{made['id']}")
    assert (status, document["template"], document["compute"]["podCount"]) == (200, "t1", 2)
    assert account.call("GET", "/v2/clusters") == (200, {"clusters": [document], "pagination": LAST_PAGE})
    assert "template" not in account.call("GET", f"/v2/clusters/{account.simulator.seed('clusters', {})['id']}")[1]


@pytest.mark.parametrize(
    ("port", "status"),
    [
        ("8888/http", 201),
        ("22/tcp", 201),
        ("65535/tcp", 201),
        ("65536/tcp", 400),
        ("0/tcp", 400),
        ("080/http", 400),
        ("8888", 400),
        ("http", 400),
        ("8888/", 400),
        ("8888/HTTP", 400),
        ("8888/udp", 400),
        ("8888:80/http", 400),
        ("8888/http,22/tcp", 400),
        (" 8888/http", 400),
        ("", 400),
    ],
)
def test_ports_are_a_number_and_a_protocol(account, port, status):
    assert account.call("POST", "/v2/templates", {**TEMPLATE, "ports": ["1/tcp", port]})[0] == status
    assert account.call("POST", "/v2/serverless", {**ENDPOINT, "ports": ["1/tcp", port]})[0] == status


# What the container runs


@pytest.mark.parametrize(
    ("asked", "args", "cmd", "entrypoint"),
    [
        ({}, "", [], []),
        ({"args": "serve --name 'a b'"}, "serve --name 'a b'", ["serve", "--name", "a b"], []),
        ({"args": "don't"}, "don't", ["don't"], []),
        ({"args": '{"other": 1}'}, '{"other": 1}', ["{other:", "1}"], []),
        ({"cmd": ["serve", "a b"]}, "serve 'a b'", ["serve", "a b"], []),
        ({"cmd": []}, "", [], []),
        ({"entrypoint": ["sh"]}, '{"entrypoint": ["sh"], "cmd": []}', [], ["sh"]),
        (
            {"entrypoint": ["sh", "-c"], "cmd": ["a b"]},
            '{"entrypoint": ["sh", "-c"], "cmd": ["a b"]}',
            ["a b"],
            ["sh", "-c"],
        ),
        ({"args": "serve  x", "cmd": ["serve", "x"], "entrypoint": []}, "serve  x", ["serve", "x"], []),
        ({"args": '{"entrypoint": ["sh"], "cmd": ["x"]}'}, '{"entrypoint": ["sh"], "cmd": ["x"]}', ["x"], ["sh"]),
    ],
)
def test_args_are_how_cmd_and_entrypoint_are_stored(account, asked, args, cmd, entrypoint):
    shown = {"args": args, "cmd": cmd, "entrypoint": entrypoint}
    for made in (account.template(**asked), account.endpoint(**asked), account.simulator.seed("pods", asked)):
        assert {field: made[field] for field in shown} == shown


@pytest.mark.parametrize(
    ("asked", "args", "cmd", "entrypoint"),
    [
        ({"image": "demo:2"}, '{"entrypoint": ["sh"], "cmd": ["x"]}', ["x"], ["sh"]),
        ({"cmd": ["y"]}, '{"entrypoint": ["sh"], "cmd": ["y"]}', ["y"], ["sh"]),
        ({"entrypoint": []}, "x", ["x"], []),
        ({"args": "y z"}, "y z", ["y", "z"], []),
        ({"args": ""}, "", [], []),
    ],
)
def test_a_patch_of_one_half_of_the_command_keeps_the_other(account, asked, args, cmd, entrypoint):
    before = {"cmd": ["x"], "entrypoint": ["sh"]}
    shown = {"args": args, "cmd": cmd, "entrypoint": entrypoint}
    for path, made in (("templates", account.template(**before)), ("serverless", account.endpoint(**before))):
        changed = account.call("PATCH", f"/v2/{path}/{made['id']}", asked)[1]
        assert {field: changed[field] for field in shown} == shown


def test_a_command_of_an_endpoint_goes_over_that_of_its_template(account):
    template = account.template(serverless=True, cmd=["x"], entrypoint=["sh"])["id"]
    made = account.endpoint(templateId=template, cmd=["y"])
    assert (made["cmd"], made["entrypoint"]) == (["y"], ["sh"])
    assert account.endpoint(templateId=template)["args"] == '{"entrypoint": ["sh"], "cmd": ["x"]}'
    assert account.endpoint(templateId=template, args="z")["entrypoint"] == []


# Serverless endpoints


def test_an_endpoint_fills_in_what_was_left_out(account):
    made = account.endpoint(gpu={"pools": ["ADA_24"]})
    assert made["gpu"] == {"pools": ["ADA_24"], "count": 1, "allowedCudaVersions": [], "minCudaVersion": None}
    assert made["workers"] == {"min": 0, "max": 3, "idleTimeout": 10}
    assert (made["timeout"], made["flashboot"], made["registry"]) == (0, "OFF", None)
    assert made["requestUrls"]["purgeQueue"] == f"https://api.runpod.ai/v2/{made['id']}/purge-queue"
    assert "cpu" not in made and "templateId" not in made
    assert account.call("GET", "/v2/serverless") == (200, {"endpoints": [made], "pagination": LAST_PAGE})


def test_a_cpu_endpoint_with_a_load_balancer(account):
    body = {key: value for key, value in ENDPOINT.items() if key != "gpu"}
    body |= {"cpu": [{"id": "cpu5g", "vcpuCount": 4}], "type": "LOAD_BALANCER", "scaling": COUNT}
    made = account.make("/v2/serverless", body)
    assert made["cpu"] == [{"id": "cpu5g", "vcpuCount": 4, "memory": 16}]
    assert set(made["requestUrls"]) == {"base", "health"}
    assert "gpu" not in made
    assert account.call("PATCH", f"/v2/serverless/{made['id']}", {"gpu": GPU})[0] == 400
    assert account.call("PATCH", f"/v2/serverless/{made['id']}", {"scaling": QUEUE})[0] == 400


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"cpu": [{"id": "cpu3c", "vcpuCount": 2}]}, 400),
        ({"gpu": None}, 422),
        ({"gpu": {**GPU, "pools": ["NVIDIA GeForce RTX 4090"]}}, 400),
        ({"gpu": {**GPU, "excludedTypes": ["NVIDIA L4"]}}, 400),
        ({"gpu": {**GPU, "excludedTypes": ["NVIDIA GeForce RTX 4090"]}}, 400),
        ({"gpu": {**GPU, "pools": ["ADA_24", "AMPERE_24"], "excludedTypes": [" NVIDIA L4"]}}, 201),
        ({"gpu": {**GPU, "allowedCudaVersions": ["12.8"], "minCudaVersion": "12.1"}}, 400),
        ({"gpu": {**GPU, "allowedCudaVersions": [], "minCudaVersion": "12.1"}}, 201),
        ({"registry": "unknown"}, 400),
        ({"templateId": "unknown"}, 404),
        ({"templateId": "pods"}, 422),
        ({"ports": ["8888"]}, 400),
        ({"args": "serve", "entrypoint": ["serve"]}, 400),
        ({"args": "serve", "cmd": ["serve"], "entrypoint": []}, 201),
        ({"workers": {"min": 2, "max": 1}}, 400),
        ({"workers": {"min": 4}}, 400),
        ({"workers": {"min": 1, "max": 1}}, 201),
        ({"workers": {"max": 0}}, 201),
        ({"type": "LOAD_BALANCER"}, 422),
        ({"type": "LOAD_BALANCER", "scaling": COUNT, "workers": {"idleTimeout": 5}}, 201),
        ({"scaling": COUNT, "workers": {"idleTimeout": 5}}, 422),
        ({"scaling": COUNT}, 201),
    ],
)
def test_rules_for_a_new_endpoint(account, changes, status):
    account.simulator.seed("templates", {"id": "pods", "name": "for pods"})
    assert account.call("POST", "/v2/serverless", {**ENDPOINT, **changes})[0] == status


@pytest.mark.parametrize(("field", "status"), [("gpu", 400), ("scaling", 422), ("type", 422), ("image", 422)])
def test_an_endpoint_says_what_it_runs_on_and_how_it_scales(account, field, status):
    body = {key: value for key, value in ENDPOINT.items() if key != field}
    assert account.call("POST", "/v2/serverless", body)[0] == status


@pytest.mark.parametrize("cpu", [{"id": "cpu3c", "vcpuCount": 6}, {"id": "unknown", "vcpuCount": 2}])
def test_cpu_counts_are_powers_of_two_of_known_flavors(account, cpu):
    body = {key: value for key, value in ENDPOINT.items() if key != "gpu"}
    assert account.call("POST", "/v2/serverless", {**body, "cpu": [cpu]})[0] == 400


def test_a_template_is_applied_once_and_the_body_wins(account):
    registry = account.registry()["id"]
    template = account.template(
        serverless=True, env={"A": "1", "B": "1"}, registry=registry, disk=7, allowedCudaVersions=["12.8"]
    )
    body = {key: value for key, value in ENDPOINT.items() if key != "image"}
    made = account.make("/v2/serverless", {**body, "templateId": template["id"], "env": {"B": "2"}, "disk": 9})
    assert (made["image"], made["disk"], made["registry"]) == ("demo:1", 9, registry)
    assert made["env"] == {"A": "1", "B": "2"}
    assert made["gpu"]["allowedCudaVersions"] == ["12.8"]
    account.call("PATCH", f"/v2/templates/{template['id']}", {"image": "demo:2", "env": {"C": "3"}})
    path = f"/v2/serverless/{made['id']}"
    assert account.call("GET", path) == (200, made)
    status, changed = account.call("PATCH", path, {"templateId": template["id"]})
    assert (status, changed["image"], changed["env"], changed["disk"]) == (200, "demo:2", {"C": "3"}, 7)
    pod_template = account.template(name="for pods")
    assert account.call("PATCH", path, {"templateId": pod_template["id"]})[0] == 422


@pytest.mark.parametrize(
    ("body", "status", "after"),
    [
        ({"type": "QUEUE"}, 422, {}),
        ({"env": {}}, 200, {"env": {}}),
        ({"timeout": 5}, 200, {"timeout": 5}),
        ({"workers": {"max": 1}}, 200, {"workers": {"min": 0, "max": 1, "idleTimeout": 10}}),
        ({"scaling": COUNT}, 200, {"scaling": COUNT, "workers": {"min": 0, "max": 3}}),
        ({"scaling": COUNT, "workers": {"idleTimeout": 5}}, 422, {}),
        ({"registry": "unknown"}, 400, {}),
        ({"ports": ["8888"]}, 400, {}),
        ({"workers": {"min": 4}}, 400, {}),
        ({"workers": {"min": 4, "max": 4}}, 200, {"workers": {"min": 4, "max": 4, "idleTimeout": 10}}),
        ({"gpu": {"pools": ["ADA_25"]}}, 400, {}),
        ({"cpu": [{"id": "cpu3c", "vcpuCount": 2}]}, 400, {}),
        ({"gpu": {"excludedTypes": ["NVIDIA L4"]}}, 422, {}),
        ({"gpu": {"minCudaVersion": "12.1"}}, 400, {}),
    ],
)
def test_a_patch_of_an_endpoint(account, body, status, after):
    made = account.endpoint(env={"A": "1"}, gpu={**GPU, "allowedCudaVersions": ["12.8"]})
    path = f"/v2/serverless/{made['id']}"
    assert account.call("PATCH", path, body)[0] == status
    assert account.call("GET", path) == (200, {**made, **after})


@pytest.mark.parametrize(
    ("gpu", "after"),
    [
        ({"count": 2}, {"count": 2}),
        ({"minCudaVersion": ""}, {"minCudaVersion": None}),
        (
            {"minCudaVersion": "", "allowedCudaVersions": ["12.8"]},
            {
                "minCudaVersion": None,
                "allowedCudaVersions": ["12.8"],
            },
        ),
        ({"pools": ["AMPERE_24"]}, {"pools": ["AMPERE_24"], "excludedTypes": None}),
    ],
)
def test_a_patch_of_the_gpu_block(account, gpu, after):
    block = {"pools": ["AMPERE_24"], "excludedTypes": ["NVIDIA L4"], "count": 1, "minCudaVersion": "12.1"}
    made = account.endpoint(gpu=block)
    changed = account.call("PATCH", f"/v2/serverless/{made['id']}", {"gpu": gpu})[1]
    expected = {**made["gpu"], **after}
    assert changed["gpu"] == {key: value for key, value in expected.items() if key != "excludedTypes" or value}


def test_an_endpoint_takes_its_bound_template_along(account):
    bound, other = account.template(name="bound"), account.template(name="other")
    endpoint = account.simulator.seed("endpoints", {"boundTemplate": bound["id"]})
    path = f"/v2/serverless/{endpoint['id']}"
    assert "boundTemplate" not in account.call("GET", path)[1]
    assert [account.call("DELETE", path)[0] for dummy in range(2)] == [204, 404]
    assert account.call("GET", "/v2/templates") == (200, {"templates": [other], "pagination": LAST_PAGE})


# Releases and workers of serverless endpoints


def rollout(account, endpoint):
    """Return the version, the share of workers on it, and each worker's version and status."""
    told = account.call("GET", f"/v2/serverless/{endpoint['id']}/releases")[1]
    workers = account.call("GET", f"/v2/serverless/{endpoint['id']}/workers")[1]
    states = [(worker["version"], worker["status"]) for worker in workers["workers"]]
    assert workers["endpointVersion"] == told["endpointVersion"]
    assert [worker["isStale"] for worker in workers["workers"]] == [
        version != told["endpointVersion"] for version, dummy in states
    ]
    return told["endpointVersion"], told["rollout"]["percentOnLatest"], states


def test_an_endpoint_starts_with_the_workers_it_always_has(account):
    account.simulator.switch(rollout_reads=None)
    assert rollout(account, account.endpoint()) == (1, 0, [])
    made = account.endpoint(workers={"min": 2})
    assert rollout(account, made) == (1, 100, [(1, "INITIALIZING")] * 2)
    account.call("PATCH", f"/v2/serverless/{made['id']}", {"workers": {"min": 0, "max": 1}})
    assert rollout(account, made) == (1, 100, [(1, "INITIALIZING")])


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ({"image": "demo:2"}, 2),
        ({"registry": None}, 2),
        ({"cmd": ["serve"]}, 2),
        ({"env": {"A": "1"}, "timeout": 5}, 2),
        ({"timeout": 5, "workers": {"max": 5}, "scaling": COUNT}, 1),
        ({"name": "other", "gpu": {"count": 2}, "dataCenterIds": ["EU-RO-1"]}, 1),
    ],
)
def test_only_what_the_container_is_made_of_makes_a_release(account, body, version):
    made = account.endpoint()
    account.call("PATCH", f"/v2/serverless/{made['id']}", body)
    assert rollout(account, made)[0] == version


def test_a_template_makes_a_release_too(account):
    template, made = account.template(serverless=True, image="demo:2"), account.endpoint(env={"A": "1"})
    account.call("PATCH", f"/v2/serverless/{made['id']}", {"templateId": template["id"]})
    newest, first = account.call("GET", f"/v2/serverless/{made['id']}/releases")[1]["releases"]
    assert newest["diff"] == [
        {"field": "template.imageName", "old": "demo:1", "new": "demo:2"},
        {"field": "template.env", "old": {"A": "1"}, "new": {}},
    ]
    assert (newest["version"], first["version"], first["diff"]) == (2, 1, [])


def test_workers_are_replaced_after_so_many_reads(account):
    account.simulator.switch(rollout_reads=4)
    made = account.simulator.seed("endpoints", {"activeWorkers": [{"status": "RUNNING"}] * 2})
    account.call("PATCH", f"/v2/serverless/{made['id']}", {"image": "demo:2"})
    assert [rollout(account, made) for dummy in range(2)] == [(2, 0, [(1, "RUNNING")] * 2)] * 2
    assert rollout(account, made) == (2, 100, [(2, "IDLE")] * 2)


def test_workers_are_replaced_on_command_and_come_to_what_the_switch_says(account):
    account.simulator.switch(rollout_reads=None, started_worker="UNHEALTHY")
    made = account.simulator.seed("endpoints", {"activeWorkers": [{"version": 0}, {"status": "IDLE"}]})
    account.simulator.finish_rollout(made["id"])
    assert rollout(account, made) == (1, 100, [(1, "UNHEALTHY"), (1, "IDLE")])


# Pods


def test_members_of_clusters_are_listed_on_request(account):
    alone = account.simulator.seed("pods", {})
    member = account.simulator.seed("pods", {"cluster": {"id": "c", "rank": 0}})
    account.simulator.seed("pods", {"owner": "other"})

    def listed(query):
        return [pod["id"] for pod in account.call("GET", "/v2/pods", query=query)[1]["pods"]]

    assert listed({}) == listed({"includeClusterPods": "false"}) == [alone["id"]]
    assert listed({"includeClusterPods": "true"}) == [alone["id"], member["id"]]
    assert account.call("GET", "/v2/pods", query={"includeClusterPods": "maybe"})[0] == 422
    assert account.call("GET", f"/v2/pods/{member['id']}")[1]["cluster"] == {"id": "c", "rank": 0}


# Around the API


def test_ids_are_never_handed_out_twice():
    ids = iter(["a", "a", "b"])
    simulator = RunpodSimulator(new_id=lambda: next(ids))
    assert [simulator.seed("pods", {})["id"], simulator.seed("templates", {})["id"]] == ["a", "b"]


def test_an_answer_is_a_copy(account):
    made = account.template(env={"A": "1"})
    made["env"]["A"] = "2"
    assert account.simulator.state()["templates"][0]["env"] == {"A": "1"}


def test_reset_forgets_everything(account):
    fresh = RunpodSimulator().state()
    account.simulator.switch(default_disk=10, rate_limits={"minute": 1, "hour": 1, "day": 1})
    account.template()
    account.simulator.reset()
    assert account.simulator.state() == fresh
    assert account.template()["disk"] == 50
    assert account.headers["RateLimit"].startswith('"minute";r=179;t=60')


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("templates", {"disk": 0}),
        ("templates", {"bogus": 1}),
        ("pods", {"status": "ASLEEP"}),
        ("registries", {"name": None}),
        ("endpoints", "no object"),
        ("endpoints", {"activeWorkers": [{"status": "ASLEEP"}]}),
    ],
)
def test_a_seed_is_checked(account, key, given):
    with pytest.raises(Refusal, match="Request validation failed"):
        account.simulator.seed(key, given)


def test_a_seed_keeps_ids_and_may_repeat_names(account):
    seeds = [{"id": "first", "name": "twin"}, {"id": "second", "name": "twin"}]
    assert [account.simulator.seed("registries", seed)["id"] for seed in seeds] == ["first", "second"]
    with pytest.raises(Refusal):
        account.simulator.seed("registries", seeds[0])


@pytest.mark.parametrize("changes", [{"unknown": 1}, {"registry_patch": 500}, {"rate_limits": {"minute": 1}}])
def test_a_switch_is_checked(account, changes):
    with pytest.raises(Refusal):
        account.simulator.switch(**changes)


def test_the_application_serves_the_api_and_the_control_paths():
    client = Client(create_app())
    made = client.post("/v2/registries", headers=HEADERS, json=REGISTRY)
    assert (made.status_code, made.content_type) == (201, "application/json")
    assert "RateLimit-Policy" in made.headers
    gone = client.delete(f"/v2/registries/{made.json['id']}", headers=HEADERS)
    assert (gone.status_code, gone.data, gone.content_type) == (204, b"", None)
    refused = client.get("/v2/registries")
    assert (refused.status_code, refused.content_type) == (401, "application/problem+json")
    assert client.get("/_sandbox/switches").json == {name: switch.default for name, switch in SWITCHES.items()}
    assert client.patch("/_sandbox/switches", json={"registry_patch": 405}).json["registry_patch"] == 405
    assert client.patch("/_sandbox/switches", json={"registry_patch": 500}).status_code == 422
    seeded = client.post("/_sandbox/seed/templates", json=[{"name": "a"}, {"name": "b"}])
    assert (seeded.status_code, [one["name"] for one in seeded.json]) == (201, ["a", "b"])
    assert client.post("/_sandbox/seed/pods", json={"registry": "x"}).json["registry"] == "x"
    assert client.get("/_sandbox/state").json["templates"] == seeded.json
    endpoint = client.post("/_sandbox/seed/endpoints", json={"activeWorkers": [{"version": 0}]}).json
    assert client.post(f"/_sandbox/rollout/{endpoint['id']}").status_code == 200
    assert [worker["version"] for worker in client.get("/_sandbox/state").json["endpoints"][0]["activeWorkers"]] == [1]
    listed = client.get("/v2/pods?includeClusterPods=true", headers=HEADERS).json["pods"]
    assert [pod["registry"] for pod in listed] == ["x"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_sandbox/unknown"),
        ("POST", "/_sandbox/state"),
        ("DELETE", "/_sandbox/switches"),
        ("POST", "/_sandbox/seed/volumes"),
        ("GET", "/_sandbox/seed/pods"),
        ("POST", "/_sandbox/pods"),
        ("POST", "/_sandbox/rollout/unknown"),
    ],
)
def test_unknown_control_paths_are_not_found(method, path):
    assert Client(create_app()).open(path, method=method).status_code == 404
