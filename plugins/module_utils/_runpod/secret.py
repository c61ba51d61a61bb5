# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: secrets of the account. A value cannot be read, only when it was last set.

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from .._core.errors import ConflictError, InputError, Json
from .._core.masking import printable, to_result
from .._core.result import Result
from .._core.time import parse_timestamp
from .client import Client
from .create_once import TAKEN, create_once
from .references import KINDS, Account, in_use, label, read_users

PATH = "/account/secrets"
NAME = re.compile(r"(?!runpod)[a-z_][a-z0-9_.\-/]{0,190}", re.IGNORECASE)
NAME_RULE = (
    "up to 191 letters, digits and characters of _.-/, of which the first is a letter or _, and which begin with "
    "anything but RUNPOD"
)
LONGEST = {"value": 2**24 - 1, "description": 2**16 - 1}  # bytes
PLACEHOLDER = re.compile(r"\{\{\s*RUNPOD_SECRET_([^\s{}]+)\s*\}\}")


class SecretPlan(NamedTuple):
    """`current` is what is there, `value` whether it is to be written, `description` the one to write, if any."""

    current: Json | None
    value: bool = False
    description: str | None = None

    @property
    def needed(self) -> bool:
        return self.value or self.description is not None


def run(params: Json, check_mode: bool, client: Client) -> Result:
    validate(params)
    current = find(client, params["name"])
    if params["state"] == "absent":
        return remove(client, current, check_mode)
    planned = plan(params, current)
    if planned.value and params["value"] is None:
        raise InputError("value is required: the secret is to be made or its value to be written.")
    before = summary(current)
    if not planned.needed:
        return Result(False, before, before, results(current))
    after = predicted(params, planned) if check_mode else apply(client, params, planned)
    return Result(True, before, summary(after), results(after))


# What is wanted


def validate(params: Json) -> None:
    """Raise InputError for what RunPod would refuse, without repeating the value."""
    check_name(params["name"])
    for option, most in LONGEST.items():
        if len((params[option] or "").encode()) > most:
            raise InputError(f"{option} must have {most:,} bytes at most.")
    if params["value"] == "":
        raise InputError("value must not be empty: RunPod keeps no secret without one.")
    if params["value_date"] is not None:
        try:
            parse_timestamp(params["value_date"])
        except ValueError:
            raise InputError(
                f"value_date is {params['value_date']!r}: it must be a timestamp with its zone, such as "
                "2026-08-01T12:00:00Z."
            ) from None


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InputError(f"RunPod takes no secret called {name!r}, but {NAME_RULE}.")


def find(client: Client, name: str) -> Json | None:
    """Return the secret. One whose name differs in its case only is an error: RunPod tells them not apart."""
    alike = [secret for secret in client.items(PATH, "secrets") if secret["name"].lower() == name.lower()]
    found = [secret for secret in alike if secret["name"] == name]
    if len(alike) > 1 or alike != found:
        others = ", ".join(label(secret) for secret in alike)
        raise ConflictError(f"RunPod has {others}, from which the name {name!r} differs in its case at most: use one.")
    return found[0] if found else None


def plan(params: Json, current: Json | None) -> SecretPlan:
    if current is None:
        return SecretPlan(None, True, params["description"])
    description = params["description"]
    same = description is None or description == (current.get("description") or "")
    return SecretPlan(current, is_due(params, current), None if same else description)


def is_due(params: Json, current: Json) -> bool:
    """Return whether to write a value that nobody can compare: unless the one that is there was set later."""
    if params["update_value"] == "on_create" or params["value"] is None:
        return False
    written = value_date(current)
    return params["value_date"] is None or written is None or written < parse_timestamp(params["value_date"])


def value_date(secret: Json) -> datetime | None:
    with suppress(ValueError):
        return parse_timestamp(secret.get("valueLastUpdatedAt") or "")
    return None


# Write


def predicted(params: Json, planned: SecretPlan) -> Json:
    current = planned.current or {"name": params["name"]}
    unknown = {"valueLastUpdatedAt": None} if planned.value else {}
    described = {} if planned.description is None else {"description": planned.description}
    return {**current, **unknown, **described}


def apply(client: Client, params: Json, planned: SecretPlan) -> Json:
    """RunPod would write both in one request one after the other, and may fail between them."""
    if planned.current is None:
        return create(client, params["name"], params["value"], planned.description)
    secret = planned.current
    if planned.value:
        secret = update(client, secret, {"value": params["value"]})
    if planned.description is not None:
        secret = update(client, secret, {"description": planned.description})
    return secret


def create(client: Client, name: str, value: str, description: str | None = None) -> Json:
    """Return the secret, or the one that another run or a lost answer has made, with this value."""
    described = {"description": description} if description is not None else {}

    def adopt() -> Json | None:
        found = find(client, name)
        return update(client, found, {"value": value, **described}) if found else None

    return create_once(client, PATH, {"name": name, "value": value, **described}, adopt, TAKEN)


def update(client: Client, secret: Json, fields: Json) -> Json:
    return client.patch(f"{PATH}/{secret['id']}", fields)


def delete(client: Client, secret: Json) -> None:
    client.delete(f"{PATH}/{secret['id']}")


# Remove


def remove(client: Client, current: Json | None, check_mode: bool) -> Result:
    users = users_of(read_users(client), current["name"]) if current else []
    before = summary(current)
    if current is None or users:
        return Result(False, before, before, results(current, users), stays(current, users))
    if not check_mode:
        delete(client, current)
    return Result(True, before, None, results(None))


def users_of(account: Account, name: str) -> list[Json]:
    return [
        {
            "kind": KINDS[kind],
            "id": thing["id"],
            "name": thing["name"],
            "reason": f"The {KINDS[kind]} {label(thing)} refers to the secret {printable(name)}.",
        }
        for kind, things in in_use(account).items()
        for thing in things
        if name.lower() in names_in(thing)
    ]


def names_in(thing: Json) -> set[str]:
    texts = [text for text in (thing.get("env") or {}).values() if isinstance(text, str)]
    return {name.lower() for text in texts for name in PLACEHOLDER.findall(text)}


def stays(current: Json | None, users: Iterable[Json]) -> tuple[str, ...]:
    reasons = " ".join(user["reason"] for user in users)
    return (f"The secret {label(current)} stays: {reasons}",) if current and reasons else ()


# Report


def summary(secret: Json | None) -> Json | None:
    return to_result(secret) if secret else None


def results(secret: Json | None, users: Iterable[Json] = ()) -> Json:
    return {"secret": summary(secret), "in_use_by": list(users)}
