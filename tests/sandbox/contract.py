# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds every request of the collection's client against RunPod's own API document, where that is at hand.

The document is no part of this repository. It is looked for where RUNPOD_OPENAPI says, else beside the checkout;
without it, or without openapi-core, nothing is checked. Requests of other clients may be as wrong as a test wants.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from .runpod_schemas import SCHEMAS

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = Path(os.environ.get("RUNPOD_OPENAPI") or ROOT.parent / "shared" / "runpod-openapi-v2.json")
AGENT = "gpuops.runpod"
BASE = "https://api.runpod.io"
REGISTRY_PATCH = ("PATCH", "/v2/registries/{id}")  # newer than the document

_violations: list[str] = []


def at_hand() -> bool:
    """Tell whether there is a document."""
    return DOCUMENT.is_file()


def published() -> Json:
    """Return the document as RunPod published it."""
    return json.loads(DOCUMENT.read_text(encoding="utf-8"))


def amended() -> Json:
    """Return the document with what is known of an operation that is newer."""
    document = published()
    method, path = REGISTRY_PATCH
    reader = document["paths"][path]["get"]
    body = {"required": True, "content": {"application/json": {"schema": SCHEMAS["UpdateRegistryRequest"]}}}
    shared = {key: reader[key] for key in ("parameters", "responses", "security") if key in reader}
    document["paths"][path].setdefault(method.lower(), {**shared, "requestBody": body})
    return document


def note(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> None:
    """Check a request, whatever becomes of it, and keep what is wrong with it for `taken`."""
    openapi = _openapi()
    given = {name.lower(): value for name, value in headers.items()}
    if openapi is None or given.get("user-agent") != AGENT:
        return
    from openapi_core.exceptions import OpenAPIError
    from openapi_core.testing import MockRequest

    kind = given.get("content-type", "application/json")
    request = MockRequest(BASE, method.lower(), path, args=dict(query), headers=given, data=body, content_type=kind)
    try:
        openapi.validate_request(request)
    except OpenAPIError as error:
        why = getattr(error.__cause__, "schema_errors", None) or [error.__cause__ or error]
        _violations.append(f"{method} {path}: {'; '.join(str(one).partition(chr(10))[0] for one in why)}")


def taken() -> list[str]:
    """Return what was wrong with the requests since the last time, and forget it."""
    found = list(_violations)
    _violations.clear()
    return found


@cache
def _openapi() -> Any:
    try:
        from openapi_core import OpenAPI
    except ImportError:  # not in the environment of the demo
        return None
    return OpenAPI.from_dict(amended()) if at_hand() else None
