# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import NamedTuple

from .._core.errors import InputError, Json
from .._core.result import Result
from .client import Client
from .credential_cleanup import clear, in_use, report, stays
from .credential_names import called, check_name, identity, pair
from .credential_replacement import renew
from .credential_users import users_of
from .credential_write import PATH
from .references import label

WRITE, KEEP, REMOVE = "write", "keep", "remove"
LIMITS = {"username": 191, "password": 16384}


class RegistryState(NamedTuple):
    """The credential and its alternate, and what refers to them when they are to go."""

    pair: list[Json]
    users: list[Json]


def run(params: Json, check_mode: bool, client: Client) -> Result:
    validate(params)
    current = read(params, client)
    action = plan(params, current)
    if action == KEEP:
        found = results(current.pair, report())
        return Result(False, to_diff(current.pair), to_diff(current.pair), found, unfinished(current.pair))
    if action == REMOVE:
        return remove(current, check_mode, client)
    return predict(params, current.pair) if check_mode else write(params, current.pair, client)


def validate(params: Json) -> None:
    """Raise InputError for what RunPod would refuse, without repeating it."""
    check_name(params["name"])
    if params["state"] == "present":
        for option, limit in LIMITS.items():
            if not 0 < len(params[option] or "") <= limit:
                raise InputError(f"{option} must have 1 to {limit} characters.")


def read(params: Json, client: Client) -> RegistryState:
    current = pair(client.items(PATH, "registries"), params["name"])
    return RegistryState(current, users_of(client, current) if params["state"] == "absent" else [])


def plan(params: Json, current: RegistryState) -> str:
    """User and password cannot be compared, so they are written unless only a new credential gets them."""
    if params["state"] == "absent":
        return REMOVE
    return KEEP if current.pair and params["update_password"] == "on_create" else WRITE


def remove(current: RegistryState, check_mode: bool, client: Client) -> Result:
    kept = clear(client, current.pair, check_mode, current.users)
    left = [one.registry for one in kept]
    found = results(left, report([], kept))
    return Result(left != current.pair, to_diff(current.pair), to_diff(left), found, in_use(kept))


def predict(params: Json, current: list[Json]) -> Result:
    after = current or [{"name": params["name"]}]
    return Result(True, to_diff(current), to_diff(after), results(after, report()))


def write(params: Json, current: list[Json], client: Client) -> Result:
    renewal = renew(client, params["name"], current, {option: params[option] for option in LIMITS})
    kept = clear(client, renewal.leftovers)
    after = [renewal.registry, *(left.registry for left in kept)]
    found = results(after, report(renewal.moved, kept))
    return Result(True, to_diff(current), to_diff(after), found, (*renewal.warnings, *stays(kept)))


def to_diff(current: list[Json]) -> Json | None:
    """Return the credential, and while it is there the other that means the same."""
    return {**identity(current[0]), **called(current[1:])} if current else None


def results(current: list[Json], found: Json) -> Json:
    return {"registry": identity(current[0]) if current else None, **found}


def unfinished(current: list[Json]) -> tuple[str, ...]:
    """Of two credentials the newer cannot be told."""
    if len(current) < 2:
        return ()
    both = " and ".join(label(registry) for registry in current)
    return (f"{both} mean the same: a replacement is not finished. A run with update_password always finishes it.",)
