# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of the account, which environment variables refer to. Their names are unique whatever their case.

Where the reference names no status, a reserved name is 422, and so is a value that is long in bytes only.
"""

from __future__ import annotations

from .runpod_pages import page
from .runpod_world import Call, Json, Refusal, World, answer, invalid

RESERVED = "runpod"
LONGEST_VALUE, LONGEST_DESCRIPTION = 2**24 - 1, 65535  # bytes


def list_secrets(world: World, call: Call) -> Json:
    """Return only the secret that is named, in whatever case."""
    name = call.query.get("name")
    found = [record for record in world.own("secrets") if name is None or _same(record["name"], name)]
    return page(world, call, "secrets", [answer(record) for record in found])


def create_secret(world: World, call: Call) -> Json:
    body = call.body
    _require_lengths(body)
    if body["name"].lower().startswith(RESERVED):
        raise invalid([f"$.name: names that begin with {RESERVED.upper()} are reserved"])
    if any(_same(record["name"], body["name"]) for record in world.own("secrets")):
        raise Refusal(409, "a secret with this name already exists")
    times = {"createdAt": world.now(), "valueLastUpdatedAt": world.now()}
    return answer(world.add("secrets", {"description": None, **body, **times}))


def update_secret(world: World, call: Call) -> Json:
    record = world.find_own("secrets", call.id)
    _require_lengths(call.body)
    if "value" in call.body:
        record["valueLastUpdatedAt"] = world.now()
    record |= call.body
    return answer(record)


def delete_secret(world: World, call: Call) -> None:
    """Nothing that refers to it keeps it; what boots later does not find it."""
    del world.current["secrets"][world.find_own("secrets", call.id)["id"]]


def seed_secret(world: World) -> Json:
    times = {"createdAt": world.now(), "valueLastUpdatedAt": world.now()}
    return {"name": "seeded", "value": "unknown", "description": None, **times}


def _require_lengths(body: Json) -> None:
    limits = {"value": LONGEST_VALUE, "description": LONGEST_DESCRIPTION}
    if errors := [f"$.{name}: too long" for name, most in limits.items() if len(body.get(name, "").encode()) > most]:
        raise invalid(errors)


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()
