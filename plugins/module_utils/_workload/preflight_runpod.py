# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a preflight asks of RunPod.

from __future__ import annotations

from collections.abc import Iterator

from .._core.errors import ApiError, CollectionError, NotFoundError
from .._runpod.answers import AREAS, REMEDIES, missing_access
from .desired import DesiredState
from .look import LISTINGS, Look
from .preflight_rights import (
    MISSING,
    OK,
    UNKNOWN,
    Check,
)

PATHS = {kind: path.partition("?")[0] for kind, path in LISTINGS.items()}


def kinds_of(desired: DesiredState) -> list[str]:
    if desired.intent == "quarantine":
        return []
    left_out = {
        "pods": desired.intent not in ("absent", "audit"),
        "delegations": desired.access != "delegation" and desired.intent not in ("absent", "audit"),
    }
    return [kind for kind in LISTINGS if not left_out.get(kind)]


def runpod(look: Look, desired: DesiredState) -> Iterator[Check]:
    for kind in kinds_of(desired):
        check = scope(look, kind)
        yield check
        if check.name == "RunPod API key":
            return
    yield from write_scopes(desired)


def scope(look: Look, kind: str) -> Check:
    """A key that opens nothing is told of itself."""
    path = LISTINGS[kind]
    name = f"RunPod: read {'delegations' if kind == 'delegations' else area(kind)}"
    try:
        look.api.items(path, kind)
    except ApiError as error:
        if error.status == 401:
            return Check("scope", "RunPod API key", MISSING, "RunPod does not know it", REMEDIES[401])
        if error.status == 403:
            return Check("scope", name, MISSING, "the API key may not", missing_access("GET", path))
        remedy = REMEDIES.get(error.status) or "Run this again; when it stays so, look at RunPod's status page."
        return Check("scope", name, MISSING if isinstance(error, NotFoundError) else UNKNOWN, str(error), remedy)
    except CollectionError as error:
        remedy = "Look at RUNPOD_API_BASE_URL, DNS and proxies."
        return Check("scope", "RunPod API key", MISSING, str(error), remedy)
    return Check("scope", name, OK, "the API key may")


def area(kind: str) -> str:
    return AREAS[PATHS[kind].split("/")[1]]


def write_scopes(desired: DesiredState) -> Iterator[Check]:
    """No read tells what the key may write."""
    endpoints = any(item["endpoint"] for item in desired.items)
    areas = {
        "converge": ["registry credentials", "templates", *(["serverless endpoints"] if endpoints else [])],
        "refresh": ["registry credentials"],
        "rotate": ["registry credentials"],
        "absent": ["registry credentials", "templates", *(["serverless endpoints"] if endpoints else [])],
    }
    for one in areas.get(desired.intent, []):
        if desired.access == "public" and one == "registry credentials":
            continue
        remedy = f"Look at the key in RunPod's console: it has to write {one}."
        yield Check("scope", f"RunPod: write {one}", UNKNOWN, "RunPod tells it only to who writes", remedy, False)
