# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: a new secret for a registry credential. Where RunPod cannot write one in place, <name> is
# replaced by its alternate <name>-alt, and that by <name> the next time. Templates and endpoints are handed over before
# the former goes.

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from .._core.errors import ConflictError, Json
from .credential_cleanup import clear
from .credential_names import names
from .credential_users import movable, referring_to, releases, repoint, users_of
from .credential_write import GONE, NOT_OFFERED, create_credential, replace
from .references import label

if TYPE_CHECKING:
    from .client import Client


class Rank(NamedTuple):
    """Which credential to keep, the other, and whether that cannot give way first."""

    keep: Json
    spare: Json | None
    stuck: bool


class Renewal(NamedTuple):
    registry: Json
    leftovers: list[Json]
    moved: list[Json]
    warnings: tuple[str, ...] = ()


def rank(current: list[Json], users: list[Json], known: Mapping[str, bool]) -> Rank:
    """Return which of two equal credentials to keep.

    The other may have to go before a new one is made, its users with the kept one meanwhile; so that must not be one
    that only pods hold on to, unless its secret is known to work. Of two in use the one of unknown secret stays: an
    interrupted run made it last.
    """

    def cost(spare: Json) -> tuple[bool, bool, bool, bool]:
        other = current[1 - current.index(spare)]
        mine, others = referring_to(users, spare), referring_to(users, other)
        moving = movable(mine)
        trusted = bool(movable(others)) or known.get(other["id"], False)
        stuck = len(moving) < len(mine) or (bool(moving) and not trusted)
        return stuck, bool(moving), bool(mine), spare["id"] not in known

    spare = min(reversed(current), key=cost)  # in doubt the plain name is kept
    return Rank(current[1 - current.index(spare)], spare, cost(spare)[0])


def renew(
    api: Client,
    name: str,
    current: list[Json],
    login: Json,
    known: Mapping[str, bool] | None = None,
    forget: Callable[[list[Json]], object] = list,
) -> Renewal:
    """Give the credential a secret, and what refers to its alternate.

    `known` tells by id whether a secret still works; `forget` drops notes about credentials that are about to go.
    clear() the leftovers once the new secret is noted.
    """
    if not current:
        return Renewal(create_credential(api, name, login), [], [])
    users = users_of(api, current) if len(current) > 1 else []
    ranked = rank(current, users, known or {}) if len(current) > 1 else Rank(current[0], None, False)
    outcome = replace(api, ranked.keep, login)
    if outcome == NOT_OFFERED:
        return exchange(api, name, ranked.keep, vacate(api, ranked, users, forget), login)
    keep, spares = ranked.keep, [ranked.spare] if ranked.spare else []
    warnings: tuple[str, ...] = ()
    if outcome == GONE:
        keep = create_credential(api, ranked.keep["name"], login)
        warnings = (lost(ranked.keep, keep),)
    for spare in spares:
        replace(api, spare, login)  # pods may hold on to it
    moved = repoint(api, [user for spare in spares for user in referring_to(users, spare)], keep)
    return Renewal(keep, spares, moved, (*warnings, *releases(moved)))


def lost(gone: Json, made: Json) -> str:
    return (
        f"The credential {label(gone)} was deleted meanwhile and is made anew as {made['id']}. RunPod "
        "took it away from the templates that referred to it, and endpoints may still name the old id: ensure them "
        "again."
    )


def vacate(api: Client, ranked: Rank, users: list[Json], forget: Callable[[list[Json]], object]) -> list[Json]:
    """Free the other name and return what moved; raise ConflictError when that cannot be."""
    keep, spare, stuck = ranked
    if spare is None:
        return []
    if stuck:
        why = [user["reason"] for user in users if user["kind"] == "pod"]
        moved = []
    else:
        moved = repoint(api, referring_to(users, spare), keep)
        forget([spare])
        why = [kept.why for kept in clear(api, [spare])]
    if why:
        raise ConflictError(
            "This API does not offer to write a secret in place, and there is no name left for another credential: "
            f"neither {label(keep)} nor {label(spare)} can go. {' '.join(why)} "
            "End these pods or give them another credential, then run again."
        )
    return moved


def exchange(api: Client, name: str, former: Json, moved: list[Json], login: Json) -> Renewal:
    plain, alternate = names(name)
    made = create_credential(api, alternate if former["name"] == plain else plain, login)
    moved = moved + repoint(api, users_of(api, [former]), made)
    unique = list({(user["kind"], user["id"]): user for user in moved}.values())
    return Renewal(made, [former], unique, releases(unique))
