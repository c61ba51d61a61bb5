# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the two names of a registry credential at RunPod, <name> and its alternate <name>-alt,
# which mean the same, and what they are found by.

from __future__ import annotations

import re
from collections.abc import Iterable

from .._core.errors import ConflictError, InputError, Json
from .._core.result import find_by_name
from .references import label

KIND = "registry credential"
ALTERNATE = "-alt"


def logical(name: str) -> str:
    return name.removesuffix(ALTERNATE)


def names(name: str) -> tuple[str, str]:
    return name, name + ALTERNATE


def default_names(registries: Iterable[Json], user: str, account: str) -> dict[str, tuple[str, str]]:
    """Return id -> region and name, of those that bear a default name of the pull user."""
    pattern = re.compile(rf"{re.escape(user)}-{re.escape(account)}-([a-z]+(?:-[a-z]+)+-\d+)")
    named = {each["id"]: pattern.fullmatch(logical(each["name"])) for each in registries}
    return {identifier: (found[1], found[0]) for identifier, found in named.items() if found}


def check_name(name: str) -> None:
    if not name:
        raise InputError("name must not be empty.")
    if name.endswith(ALTERNATE):
        raise InputError(
            f"name is {name!r}, but {ALTERNATE} at the end marks the alternate of a credential: use {logical(name)!r}."
        )


def pair(registries: Iterable[Json], name: str) -> list[Json]:
    """Return the credential and its alternate; two of one name are an error."""
    listed = list(registries)
    return [found for each in names(name) if (found := find_by_name(listed, each, KIND))]


def credential(
    given: str, registries: Iterable[Json], current: str | None = None, used: Iterable[str | None] = ()
) -> str | None:
    """Return the id of a credential given by name or id, None for the empty name.

    A name means the alternate too: of both, the one in `current` stays; else the one that alone is in `used`, or the
    plain name. A name that nothing has is returned as it is: missing() has decided about it.
    """
    listed = list(registries)
    ids = sorted({registry["id"] for registry in listed if given in (registry["name"], registry["id"])})
    if len(ids) > 1:
        raise ConflictError(f"registry {given!r} is the name or id of {len(ids)} credentials (ids {', '.join(ids)}).")
    if not given or ids == [given]:
        return given or None
    alternate = find_by_name(listed, given + ALTERNATE, KIND)
    both = [*ids, *([alternate["id"]] if alternate else [])]
    if current in both:
        return current
    in_use = set(both).intersection(used) if len(both) == 2 else set()
    return in_use.pop() if len(in_use) == 1 else [*both, given][0]


def missing(given: Iterable[str], registries: Iterable[Json], check_mode: bool) -> tuple[str, ...]:
    """Return warnings in check mode; else raise InputError."""
    known = {
        value for registry in registries for value in (registry["name"], logical(registry["name"]), registry["id"])
    }
    unknown = sorted(set(given) - known)
    if unknown and not check_mode:
        raise InputError(
            f"No registry credential has this name or id: {', '.join(unknown)}. "
            "Make it before what refers to it, or set registry to the empty string for none."
        )
    return tuple(
        f"No registry credential has the name or id {name!r} yet. Unless something makes it first, this fails."
        for name in unknown
    )


def identity(registry: Json) -> Json:
    """Return id once it is there, name, and the name shared with the alternate."""
    known: Json = {key: registry[key] for key in ("id", "name") if key in registry}
    return {**known, "logical_name": logical(registry["name"])}


def called(registries: Iterable[Json]) -> Json:
    listed = [label(registry) for registry in registries]
    return {"leftovers": listed} if listed else {}
