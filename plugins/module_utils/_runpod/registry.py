# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from .._core.errors import InputError, Json
from .._core.result import Result
from .client import Client
from .credential_replacement import (
    PATH,
    called,
    check_name,
    clear,
    identity,
    in_use,
    pair,
    renew,
    report,
    stays,
)
from .references import label

LIMITS = {"username": 191, "password": 16384}


def run(params: Json, check_mode: bool, client: Client) -> Result:
    check_name(params["name"])
    if params["state"] == "present":
        check_login(params)
    current = pair(client.items(PATH, "registries"), params["name"])
    if params["state"] == "absent":
        kept = clear(client, current, check_mode)
        left = [one.registry for one in kept]
        return Result(left != current, shown(current), shown(left), results(left, report([], kept)), in_use(kept))
    if current and params["update_password"] == "on_create":
        return Result(False, shown(current), shown(current), results(current, report()), unfinished(current))
    return write(params, current, check_mode, client)


def check_login(params: Json) -> None:
    """Raise InputError for a user or password that RunPod would refuse. The value is not repeated."""
    for option, limit in LIMITS.items():
        if not 0 < len(params[option]) <= limit:
            raise InputError(f"{option} must have 1 to {limit} characters.")


def write(params: Json, current: list[Json], check_mode: bool, client: Client) -> Result:
    """Write user and password, which cannot be compared, and remove what they replaced."""
    if check_mode:
        after = current or [{"name": params["name"]}]
        return Result(True, shown(current), shown(after), results(after, report()))
    renewal = renew(client, params["name"], current, {option: params[option] for option in LIMITS})
    kept = clear(client, renewal.leftovers)
    after = [renewal.registry, *(left.registry for left in kept)]
    found = results(after, report(renewal.moved, kept))
    return Result(True, shown(current), shown(after), found, (*renewal.warnings, *stays(kept)))


def shown(current: list[Json]) -> Json | None:
    """Return the credential as diffs show it: with the other one that means the same, as long as it is there."""
    return {**identity(current[0]), **called(current[1:])} if current else None


def results(current: list[Json], found: Json) -> Json:
    """Return what each run reports."""
    return {"registry": identity(current[0]) if current else None, **found}


def unfinished(current: list[Json]) -> tuple[str, ...]:
    """Return a warning when there are two credentials: which of them is the newer one cannot be told."""
    if len(current) < 2:
        return ()
    both = " and ".join(label(registry) for registry in current)
    return (f"{both} mean the same: a replacement is not finished. A run with update_password always finishes it.",)
