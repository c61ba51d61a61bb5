# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. A cluster refers by its template and its pods.

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from .._core.errors import Json
from .._core.masking import printable
from .._oci.reference import repository_of

if TYPE_CHECKING:
    from .client import Client

Account = Mapping[str, list[Json]]  # kind -> what RunPod lists of it, for the kinds that were read

KINDS = {"templates": "template", "endpoints": "endpoint", "pods": "pod"}
LISTINGS = {"templates": "/templates", "endpoints": "/serverless", "pods": "/pods?includeClusterPods=true"}


def read_users(api: Client) -> Account:
    return {kind: api.items(path, kind) for kind, path in LISTINGS.items()}


def in_use(current: Account) -> dict[str, list[Json]]:
    """A terminated pod refers to nothing."""
    return {
        kind: [thing for thing in current[kind] if thing.get("status") != "TERMINATED"]
        for kind in KINDS
        if kind in current
    }


def users(current: Account, key_of: Callable[[Json], str | None]) -> dict[str, dict[str, list[Json]]]:
    """Return key -> kind -> id and name."""
    found: dict[str, dict[str, list[Json]]] = {}
    for kind, things in in_use(current).items():
        for thing in things:
            key = key_of(thing)
            if key:
                named = {"id": thing["id"], "name": thing["name"]}
                found.setdefault(key, {each: [] for each in KINDS})[kind].append(named)
    return found


def credential_users(current: Account) -> dict[str, dict[str, list[Json]]]:
    return users(current, lambda thing: thing.get("registry"))


def repository_used(thing: Json) -> str | None:
    image = repository_of(thing.get("image"))
    return image.repository_arn if image else None


def repositories_by_credential(current: Account) -> dict[str, list[str]]:
    """Return id -> ARNs of what is pulled with it."""
    found: dict[str, list[str]] = {}
    for things in in_use(current).values():
        for thing in things:
            if thing.get("registry") and (arn := repository_used(thing)):
                found.setdefault(thing["registry"], []).append(arn)
    return found


def referring(current: Account, registries: Iterable[Json]) -> list[Json]:
    listed, found = list(registries), credential_users(current)
    return [
        {
            "kind": KINDS[kind],
            **user,
            "registry": registry["id"],
            "reason": f"The {KINDS[kind]} {label(user)} refers to the credential {printable(registry['name'])}.",
        }
        for kind in KINDS
        for registry in listed
        for user in found.get(registry["id"], {}).get(kind, [])
    ]


def label(thing: Json) -> str:
    identifier = printable(thing["id"])
    return f"{printable(thing['name'])} ({identifier})" if thing.get("name") else identifier
