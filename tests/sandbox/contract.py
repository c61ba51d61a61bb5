# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds every request of the collection's client against RunPod's own API document, where that is at hand.

The document is no part of this repository. It is looked for where RUNPOD_OPENAPI says, else beside the checkout;
without it nothing is checked. Requests of other clients may be as wrong as a test wants.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator

from .runpod_schemas import COMMAND, PAGE_QUERY, PAGINATION, SCHEMAS

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = Path(os.environ.get("RUNPOD_OPENAPI") or ROOT.parent / "shared" / "runpod-openapi-v2.json")
AGENT = "gpuops.runpod"
# Newer than the document: two groups of operations, the pages of listings, and two fields of what runs in a container
REGISTRY_PATCH = ("PATCH", "/v2/registries/{id}")
SECRETS, SECRET = "/v2/account/secrets", "/v2/account/secrets/{id}"
LISTINGS = {
    "/v2/catalog/gpus": "ListGpuTypesResponse",
    "/v2/clusters": "ListClustersResponse",
    "/v2/pods": "ListPodsResponse",
    "/v2/registries": "ListRegistriesResponse",
    "/v2/registries/delegations": "ListDelegationsResponse",
    "/v2/serverless": "ListEndpointsResponse",
    "/v2/serverless/{id}/releases": "ListEndpointReleasesResponse",
    "/v2/serverless/{id}/workers": "ListEndpointWorkersResponse",
    "/v2/templates": "ListTemplatesResponse",
}
# Operation -> status, schemas of the body and of the answer.
OF_SECRETS = {
    ("get", SECRETS): ("200", None, "ListSecretsResponse"),
    ("post", SECRETS): ("201", "CreateSecretRequest", "Secret"),
    ("get", SECRET): ("200", None, "Secret"),
    ("patch", SECRET): ("200", "UpdateSecretRequest", "Secret"),
    ("delete", SECRET): ("204", None, None),
}

_violations: list[str] = []


class Operation(NamedTuple):
    """What the document says of one operation; `body` is None where it takes none."""

    method: str
    path: re.Pattern[str]
    query: Json
    body: Draft202012Validator | None


def at_hand() -> bool:
    """Tell whether there is a document."""
    return DOCUMENT.is_file()


def published() -> Json:
    """Return the document as RunPod published it."""
    return json.loads(DOCUMENT.read_text(encoding="utf-8"))


def amended() -> Json:
    """Return the document with what is known to be newer."""
    document = published()
    _add_registry_patch(document)
    _add_secrets(document)
    _add_pages(document)
    _add_command(document["components"]["schemas"])
    return document


def _add_registry_patch(document: Json) -> None:
    method, path = REGISTRY_PATCH
    reader = document["paths"][path]["get"]
    body = {"required": True, "content": {"application/json": {"schema": SCHEMAS["UpdateRegistryRequest"]}}}
    shared = {key: reader[key] for key in ("parameters", "responses", "security") if key in reader}
    document["paths"][path].setdefault(method.lower(), {**shared, "requestBody": body})


def _add_secrets(document: Json) -> None:
    one = document["paths"]["/v2/registries/{id}"]["get"]
    refusals = {status: answer for status, answer in one["responses"].items() if not status.startswith("2")}
    path_id = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    query = [{"name": name, "in": "query", "schema": schema} for name, schema in PAGE_QUERY.items()]
    name = {"name": "name", "in": "query", "schema": {"type": "string"}}
    for (method, path), (status, body, answer) in OF_SECRETS.items():
        parameters = [path_id] if path == SECRET else [name, *query] if method == "get" else []
        made: Json = {"parameters": parameters, "responses": {status: {"description": "", **_json(answer)}, **refusals}}
        made |= {"requestBody": {"required": True, **_json(body)}} if body else {}
        made |= {"security": one["security"]} if "security" in one else {}
        document["paths"].setdefault(path, {}).setdefault(method, made)


def _json(schema: str | None) -> Json:
    return {"content": {"application/json": {"schema": SCHEMAS[schema]}}} if schema else {}


def _add_pages(document: Json) -> None:
    query = [{"name": name, "in": "query", "schema": schema} for name, schema in PAGE_QUERY.items()]
    for path, response in LISTINGS.items():
        reader = document["paths"][path]["get"]
        reader["parameters"] = [*reader.get("parameters", []), *query]
        document["components"]["schemas"][response]["properties"].setdefault("pagination", PAGINATION)


def _add_command(schemas: Json) -> None:
    for part in schemas["ContainerConfig"]["allOf"]:
        if "properties" in part:
            part["properties"] |= {**COMMAND, **part["properties"]}
    for name in ("Template", "Pod"):
        for part in schemas[name]["allOf"]:
            if "required" in part:
                part["required"] = sorted({*part["required"], *COMMAND})


def note(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> None:
    """Check a request, whatever becomes of it, and keep what is wrong with it for `taken`."""
    given = {name.lower(): value for name, value in headers.items()}
    if given.get("user-agent") == AGENT and at_hand():
        _violations.extend(f"{method} {path}: {fault}" for fault in faults(method, path, query, given, body))


def taken() -> list[str]:
    """Return what was wrong with the requests since the last time, and forget it."""
    found = list(_violations)
    _violations.clear()
    return found


def faults(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> list[str]:
    """Return what is wrong with a request by the document."""
    operation = next((one for one in _operations() if one.method == method and one.path.fullmatch(path)), None)
    if operation is None:
        return ["there is no such operation"]
    found = [] if headers.get("authorization", "").startswith("Bearer ") else ["the key is missing"]
    found += [
        f"query {name}={value} is not in the document"
        for name, value in query.items()
        if not _fits(operation.query.get(name), value)
    ]
    return found + _faults_of_body(operation, headers.get("content-type", ""), body)


def _fits(schema: Json | None, value: str) -> bool:
    """Tell whether the text of a query parameter is a value of its schema; lists are parted by commas."""
    if schema is None:
        return False
    try:
        parsed = _parsed(schema.get("type"), value)
    except ValueError:
        return False
    return Draft202012Validator({**schema, **_shared()}).is_valid(parsed)


def _parsed(kind: str | None, value: str) -> Any:
    if kind == "array":
        return value.split(",")
    return value if kind in {"string", None} else json.loads(value)


def _faults_of_body(operation: Operation, content_type: str, body: bytes) -> list[str]:
    if operation.body is None:
        return ["a body where none is taken"] if body else []
    if content_type != "application/json":
        return [f"the body is {content_type or 'of no type'}"]
    try:
        document = json.loads(body)
    except ValueError:
        return ["the body is no JSON"]
    return [f"{error.json_path}: {error.message}" for error in operation.body.iter_errors(document)]


def _resolved(document: Json, thing: Json) -> Json:
    """Return what a reference leads to, or the thing itself when it is none."""
    for part in thing.get("$ref", "").split("/")[1:]:
        document = document[part]
    return document if "$ref" in thing else thing


@cache
def _document() -> Json:
    return amended()


def _shared() -> Json:
    """Return what references lead to."""
    return {"components": _document()["components"]}


@cache
def _operations() -> list[Operation]:
    """Return what the document offers. The first that fits wins, so a fixed path stands before one with an id."""
    document = _document()
    found = []
    for path in sorted(document["paths"], key=lambda path: path.count("{")):
        pattern = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path))
        item = document["paths"][path]
        for method in item.keys() & {"get", "post", "put", "patch", "delete"}:
            given = [*item.get("parameters", []), *item[method].get("parameters", [])]
            parameters = [_resolved(document, one) for one in given]
            query = {one["name"]: one["schema"] for one in parameters if one["in"] == "query"}
            content = item[method].get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            body = None if schema is None else Draft202012Validator({**schema, **_shared()})
            found.append(Operation(method.upper(), pattern, query, body))
    return found
