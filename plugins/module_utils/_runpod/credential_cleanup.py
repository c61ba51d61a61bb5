# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: registry credentials that go once nothing refers to them, and what is told of those that
# stay.

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from .._core.errors import ApiError, Json
from .._core.masking import printable
from .credential_users import REFUSALS, movable, needing, referring_to, repoint, users_of
from .credential_write import PATH, SCOPE
from .references import label

if TYPE_CHECKING:
    from .client import Client


class RetainedCredential(NamedTuple):
    """What refers to a credential that could not go, and why it stays."""

    registry: Json
    users: list[Json]
    why: str


def clear(
    api: Client, registries: list[Json], check_mode: bool = False, users: list[Json] | None = None
) -> list[RetainedCredential]:
    """Return the credentials that stay because something refers to them."""
    users = users_of(api, registries) if users is None else users
    kept = []
    for registry in registries:
        mine = referring_to(users, registry)
        why = " ".join(user["reason"] for user in mine)
        if not mine and not check_mode:
            why = delete(api, registry)
        if why:
            kept.append(RetainedCredential(registry, mine, why))
    return kept


def delete(api: Client, registry: Json) -> str:
    """Return why RunPod refuses; empty when the credential is gone."""
    try:
        with needing(SCOPE):
            api.delete(f"{PATH}/{registry['id']}")
    except ApiError as error:
        if error.status not in REFUSALS:
            raise
        return str(error)
    return ""


def apply_cleanup(
    api: Client, leftovers: list[Json], current: Json, check_mode: bool
) -> tuple[list[Json], list[RetainedCredential]]:
    """Hand over what refers to leftovers, and delete them. Return what was or would be handed over, and what stays."""
    users = users_of(api, leftovers)
    if not check_mode:
        return repoint(api, users, current), clear(api, leftovers)
    pods = [user for user in users if user["kind"] == "pod"]
    return movable(users), [
        RetainedCredential(leftover, mine, " ".join(user["reason"] for user in mine))
        for leftover in leftovers
        if (mine := referring_to(pods, leftover))
    ]


def report(moved: Iterable[Json] = (), kept: Iterable[RetainedCredential] = ()) -> Json:
    """Return users that were handed over, and those that keep a credential."""
    return {
        "repointed": [{key: user[key] for key in ("kind", "id", "name")} for user in moved],
        "in_use_by": [user for left in kept for user in left.users],
    }


def stays(kept: Iterable[RetainedCredential]) -> tuple[str, ...]:
    return tuple(
        f"The former credential {label(left.registry)} stays until a later run can delete it: {left.why}"
        for left in kept
    )


def in_use(kept: Iterable[RetainedCredential]) -> tuple[str, ...]:
    return tuple(f"The credential {printable(left.registry['name'])} stays: {left.why}" for left in kept)
