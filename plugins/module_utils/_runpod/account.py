# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from .._core.errors import Json
from .._core.masking import to_result
from .._core.result import Result
from .audit import findings, moments, references
from .client import Client
from .delegation_target import delegation_result
from .references import LISTINGS
from .template import template_result

# Kind -> path, key of the answer, field to sort by.
KINDS = {
    "templates": (LISTINGS["templates"], "templates", "name"),
    "registries": ("/registries", "registries", "name"),
    "delegations": ("/registries/delegations", "delegations", "repository"),
    "endpoints": (LISTINGS["endpoints"], "endpoints", "name"),
    "pods": (LISTINGS["pods"], "pods", "name"),
}
RESULTS: dict[str, Callable[[Json], Any]] = {"templates": template_result, "delegations": delegation_result}


def run(
    params: Json, dummy: bool, client: Client, clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
) -> Result:
    expiry = None if params["credential_expiry"] is None else moments(params["credential_expiry"])
    current = {kind: listed(client, kind) for kind in KINDS if kind in params["gather"]}
    results: Json = {
        kind: [RESULTS.get(kind, to_result)(thing) for thing in things] for kind, things in current.items()
    }
    results["references"] = references(current)
    results["findings"] = findings(current, expiry, clock())
    return Result(False, None, None, results)


def listed(client: Client, kind: str) -> list[Json]:
    """Return a stable order."""
    path, key, field = KINDS[kind]
    return sorted(client.items(path, key), key=lambda thing: (thing[field], thing["id"]))
