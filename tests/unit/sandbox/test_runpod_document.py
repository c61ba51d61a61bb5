# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator against RunPod's own API document, which is not part of this repository.

tests/sandbox/contract.py looks for it; without it these tests are skipped.
"""

from __future__ import annotations

import json
import re

import pytest
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from openapi_core.validation.request.exceptions import RequestValidationError
from openapi_core.validation.response.exceptions import InvalidData

from ansible_collections.gpuops.runpod.tests.sandbox import contract, runpod
from ansible_collections.gpuops.runpod.tests.sandbox.contract import OF_SECRETS, REGISTRY_PATCH
from ansible_collections.gpuops.runpod.tests.sandbox.runpod import API_KEY, ROUTES, RunpodSimulator
from ansible_collections.gpuops.runpod.tests.sandbox.runpod_schemas import NOT_IN_DOCUMENT, SCHEMAS


@pytest.fixture(scope="module")
def document():
    if not contract.at_hand():
        pytest.skip(f"RunPod's API document is not at hand: neither RUNPOD_OPENAPI nor {contract.DOCUMENT} is a file")
    return contract.published()


@pytest.fixture(scope="module")
def amended(document):
    """The document with what is known to be newer."""
    return contract.amended()


# The schemas

LIMITS = (
    "const",
    "dependentRequired",
    "enum",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "uniqueItems",
)


def flat(schema, resolve):
    """Return what a schema demands with references resolved and compositions merged, without its prose."""
    if "$ref" in schema:
        schema = {**resolve(schema["$ref"]), **{key: value for key, value in schema.items() if key != "$ref"}}
    result = {key: schema[key] for key in LIMITS if key in schema}
    if "type" in schema:
        result["type"] = sorted([schema["type"]] if isinstance(schema["type"], str) else schema["type"])
    if "properties" in schema:
        result["properties"] = {name: flat(value, resolve) for name, value in schema["properties"].items()}
    if "required" in schema:
        result["required"] = set(schema["required"])
    if False in (schema.get("additionalProperties"), schema.get("unevaluatedProperties")):
        result["closed"] = True
    elif "additionalProperties" in schema:
        result["values"] = flat(schema["additionalProperties"], resolve)
    result |= {key: flat(schema[key], resolve) for key in ("items", "not") if key in schema}
    result |= {key: [flat(one, resolve) for one in schema[key]] for key in ("anyOf", "oneOf") if key in schema}
    if "if" in schema:
        result["conditions"] = [{key: flat(schema[key], resolve) for key in ("if", "then", "else") if key in schema}]
    for part in schema.get("allOf", ()):
        result = merged(result, flat(part, resolve))
    return result


def merged(left, right):
    """Return both demands as one; a limit that both state must be the same."""
    result = {**left, **right}
    for key in left.keys() & right.keys():
        if key == "properties":
            shared = left[key].keys() & right[key].keys()
            result[key] = {
                **left[key],
                **right[key],
                **{name: merged(left[key][name], right[key][name]) for name in shared},
            }
        elif key == "required":
            result[key] = left[key] | right[key]
        elif key == "conditions":
            result[key] = left[key] + right[key]
        else:
            assert left[key] == right[key], f"{key}: {left[key]} and {right[key]}"
    return result


def comparable(schema, resolve):
    result = flat(schema, resolve)
    result.get("conditions", []).sort(key=repr)
    return result


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_schema_demands_what_the_document_demands(amended, name):
    theirs = amended["components"]["schemas"]
    if name in NOT_IN_DOCUMENT:
        assert name not in theirs, "the document has caught up: compare it"
        return

    def resolve(reference):
        return theirs[reference.removeprefix("#/components/schemas/")]

    assert comparable(SCHEMAS[name], {}.get) == comparable(theirs[name], resolve)


def test_the_document_has_not_caught_up(document):
    text = json.dumps([document["components"], [document["paths"][path] for path in contract.LISTINGS]])
    assert not [name for name in ("cmd", "entrypoint", "pagination", "cursor", "limit") if f'"{name}"' in text]


def test_a_difference_would_be_noticed():
    ours = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
    composed = {
        "allOf": [{"$ref": "base"}, {"required": ["a"]}],
        "unevaluatedProperties": False,
        "description": "prose",
    }

    def theirs(**base):
        return comparable(composed, {"base": {"type": "object", "properties": {"a": {"type": "string"}}, **base}}.get)

    assert comparable(ours, {}.get) == theirs()
    differences = (
        {"properties": {"a": {"type": "string", "minLength": 1}}},
        {"properties": {"a": {"type": ["string", "null"]}}},
        {"properties": {"a": {"type": "string"}, "b": {}}},
        {"required": ["b"]},
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
    )
    for difference in differences:
        assert comparable(ours, {}.get) != theirs(**difference), difference
    opened = {key: value for key, value in ours.items() if key != "additionalProperties"}
    assert comparable(opened, {}.get) != theirs()


# The operations

MEDIA_TYPES = {"application/problem+json": json.loads, "text/event-stream": bytes.decode}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_operation_is_documented(document, route):
    operation = document["paths"].get(route.path, {}).get(route.method.lower())
    if (route.method, route.path) == REGISTRY_PATCH or (route.method.lower(), route.path) in OF_SECRETS:
        assert operation is None, "the document has caught up: compare it"
        return
    assert str(route.status) in operation["responses"]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    assert body.get("$ref") == (f"#/components/schemas/{route.schema}" if route.schema else None)


class Tour:
    """Calls the simulator and holds every answer, and every request that it accepts, against the document."""

    def __init__(self, openapi):
        self.openapi = openapi
        self.simulator = RunpodSimulator()
        self.covered = set()

    def call(self, expected, method, path, body=None, query=None, key=API_KEY):
        raw = b"" if body is None else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        status, headers, answer = self.simulator.handle(method, path, query or {}, given, raw)
        assert status == expected, answer
        request = MockRequest("https://api.runpod.io", method, path, args=query, headers=given, data=raw)
        if status < 400:
            self.openapi.validate_request(request)
            self.covered.add((method, matched_path(path)))
        data = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        response = MockResponse(data, status, headers, headers.get("Content-Type", ""))
        self.openapi.validate_response(request, response)
        return answer


def matched_path(path):
    """Return the path of the operation that serves this path."""
    fitting = (route.path for route in ROUTES if re.fullmatch(re.sub(r"{\w+}", "[^/]+", route.path), path))
    return next(fitting)


@pytest.fixture(scope="module")
def openapi(amended):
    return OpenAPI.from_dict(amended, Config(extra_media_type_deserializers=MEDIA_TYPES))


@pytest.fixture
def tour(openapi):
    return Tour(openapi)


def registry_part(tour):
    made = tour.call(201, "POST", "/v2/registries", {"name": "ecr", "username": "AWS", "password": "x"})
    path = f"/v2/registries/{made['id']}"
    tour.call(422, "POST", "/v2/registries", {"name": "ecr"})
    tour.call(400, "POST", "/v2/registries", {"name": "ecr", "username": "AWS", "password": "x"})
    tour.call(200, "GET", "/v2/registries")
    tour.call(401, "GET", "/v2/registries", key="other")
    tour.call(200, "GET", path)
    pod = tour.simulator.seed("pods", {"registry": made["id"]})
    tour.call(400, "DELETE", path)
    tour.simulator.world.current["pods"].pop(pod["id"])
    tour.call(204, "DELETE", path)
    tour.call(404, "GET", path)


def delegation_part(tour):
    resource = "arn:aws:ecr:us-east-1:123456789012:repository/app"
    made = tour.call(201, "POST", "/v2/registries/delegations", {"resource": resource})
    tour.call(400, "POST", "/v2/registries/delegations", {"resource": "app"})
    tour.call(200, "GET", "/v2/registries/delegations")
    tour.call(204, "DELETE", f"/v2/registries/delegations/{made['id']}")
    tour.call(404, "DELETE", f"/v2/registries/delegations/{made['id']}")


def template_part(tour):
    body = {
        "name": "all",
        "image": "demo:1",
        "cmd": ["serve"],
        "entrypoint": ["sh"],
        "disk": 20,
        "env": {"A": "1"},
        "ports": ["8000/http"],
        "registry": None,
        "mounts": {"persistent": {"size": 10, "path": "/w"}},
        "category": "AMD",
        "public": True,
        "startSsh": False,
        "startJupyter": False,
        "allowedCudaVersions": ["12.8"],
    }
    path = f"/v2/templates/{tour.call(201, 'POST', '/v2/templates', body)['id']}"
    tour.call(201, "POST", "/v2/templates", {"name": "least", "image": "demo:1"})
    tour.call(200, "PATCH", path, {"env": {}, "ports": [], "allowedCudaVersions": []})
    tour.call(422, "PATCH", path, {"imageName": "demo:2"})
    tour.call(200, "GET", "/v2/templates")
    cursor = tour.call(200, "GET", "/v2/templates", query={"limit": "1"})["pagination"]["nextCursor"]
    tour.call(200, "GET", "/v2/templates", query={"limit": "1", "cursor": cursor})
    tour.call(422, "GET", "/v2/templates", query={"cursor": "invented"})
    tour.call(200, "GET", path)
    tour.call(204, "DELETE", path)
    tour.call(404, "PATCH", path, {})


def endpoint_part(tour):
    template = tour.simulator.seed("templates", {"serverless": True})["id"]
    queue = {"name": "ep", "type": "QUEUE", "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4}, "templateId": template}
    gpu = {"pools": ["ADA_24", "AMPERE_24"], "excludedTypes": ["NVIDIA L4"], "count": 2}
    made = tour.call(201, "POST", "/v2/serverless", {**queue, "gpu": gpu, "workers": {"min": 1}, "timeout": 1000})
    balanced = {**queue, "type": "LOAD_BALANCER", "scaling": {"type": "REQUEST_COUNT", "requestCount": 2}}
    tour.call(201, "POST", "/v2/serverless", {**balanced, "cpu": [{"id": "cpu5c", "vcpuCount": 4}]})
    tour.call(400, "POST", "/v2/serverless", queue)
    tour.call(404, "POST", "/v2/serverless", {**queue, "gpu": gpu, "templateId": "unknown"})
    path = f"/v2/serverless/{made['id']}"
    tour.call(200, "PATCH", path, {"scaling": balanced["scaling"], "gpu": {"minCudaVersion": "12.1"}})
    tour.call(422, "PATCH", path, {"type": "QUEUE"})
    tour.call(200, "PATCH", path, {"image": "demo:2", "env": {"A": "1"}, "workers": {"min": 2}})
    for part in ("workers", "releases") * 3:  # while the roll-out is under way, and when it is over
        tour.call(200, "GET", f"{path}/{part}")
    worker = tour.simulator.world.current["endpoints"][made["id"]]["activeWorkers"][0]
    worker["logs"] = [{"source": "system", "line": "create container", "ts": "2026-08-31T12:00:00Z"}]
    logs = f"{path}/workers/{worker['id']}/logs"
    assert b"create container" in tour.call(200, "GET", logs, query={"source": "system", "tail": "5"})
    tour.call(404, "GET", f"{path}/workers/unknown/logs")
    tour.call(200, "GET", f"{path}/workers")
    tour.call(200, "GET", "/v2/serverless")
    tour.call(200, "GET", path)
    tour.call(204, "DELETE", path)
    tour.call(404, "GET", f"{path}/workers")
    tour.call(404, "GET", f"{path}/releases")


def pod_part(tour):
    pod = tour.simulator.seed("pods", {})
    tour.simulator.seed("pods", {"cluster": {"id": "c", "rank": None}})
    tour.call(200, "GET", "/v2/pods")
    tour.call(200, "GET", "/v2/pods", query={"includeClusterPods": "true"})
    tour.call(200, "GET", f"/v2/pods/{pod['id']}")


def cluster_part(tour):
    pods = {"total": 2, "byStatus": {"RUNNING": 2}}
    cluster = tour.simulator.seed("clusters", {"template": "t1", "pods": pods})
    tour.call(200, "GET", "/v2/clusters")
    tour.call(200, "GET", f"/v2/clusters/{cluster['id']}")
    tour.call(404, "GET", "/v2/clusters/unknown")


def secret_part(tour):
    body = {"name": "hub-token", "value": "x", "description": "y"}
    made = tour.call(201, "POST", "/v2/account/secrets", body)
    path = f"/v2/account/secrets/{made['id']}"
    tour.call(409, "POST", "/v2/account/secrets", {**body, "name": "HUB-token"})
    for wrong in ({"name": "Runpod-x"}, {"name": "1"}, {"value": ""}, {"value": "é" * 2**23}, {"more": "x"}):
        tour.call(422, "POST", "/v2/account/secrets", {**body, **wrong})
    listed = tour.call(200, "GET", "/v2/account/secrets", query={"name": "Hub-Token"})["secrets"]
    assert listed == [made] and "value" not in made
    assert tour.call(200, "GET", "/v2/account/secrets", query={"name": "hub"})["secrets"] == []
    assert tour.call(200, "GET", path) == made
    tour.call(422, "PATCH", path, {})
    tour.call(422, "PATCH", path, {"name": "other"})
    assert tour.call(200, "PATCH", path, {"description": ""})["valueLastUpdatedAt"] == made["valueLastUpdatedAt"]
    tour.call(200, "PATCH", path, {"value": "z"})
    tour.call(204, "DELETE", path)
    tour.call(404, "PATCH", path, {"value": "z"})


def catalog_part(tour):
    tour.simulator.switch(gpu_availability={"NVIDIA L4": "NONE"})
    tour.call(200, "GET", "/v2/catalog/gpus")
    tour.call(200, "GET", "/v2/catalog/gpus", query={"include": "AVAILABILITY", "product": "SERVERLESS"})
    tour.call(400, "GET", "/v2/catalog/gpus", query={"include": "AVAILABILITY"})


def limit_part(tour):
    tour.simulator.switch(scopes=[])
    tour.call(403, "GET", "/v2/templates")
    tour.simulator.switch(rate_limits={"minute": 1, "hour": 1, "day": 1})
    tour.call(429, "GET", "/v2/templates")


def test_a_tour_of_every_operation_stays_within_the_document(tour):
    parts = (
        registry_part,
        delegation_part,
        template_part,
        endpoint_part,
        pod_part,
        cluster_part,
        secret_part,
        catalog_part,
    )
    for part in (*parts, limit_part):
        part(tour)
    assert tour.covered == {(route.method, route.path) for route in ROUTES} - {REGISTRY_PATCH}


def test_the_tour_would_notice_an_answer_outside_the_document(tour):
    broken = tour.simulator.seed("templates", {})
    tour.simulator.world.current["templates"][broken["id"]]["disk"] = 0
    with pytest.raises(InvalidData):
        tour.call(200, "GET", "/v2/templates")


def test_the_tour_would_notice_a_request_outside_the_document(tour, monkeypatch):
    monkeypatch.setattr(runpod, "violations", lambda schema, body: [])
    with pytest.raises(RequestValidationError):
        tour.call(201, "POST", "/v2/templates", {"name": "a", "image": "demo:1", "readme": ""})
