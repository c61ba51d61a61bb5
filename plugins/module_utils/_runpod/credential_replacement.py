# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: registry credentials at RunPod. Where RunPod cannot write a secret in place, <name> is
# replaced by its alternate <name>-alt, and that by <name> the next time. Both mean the same. Templates and endpoints
# are handed over before the former goes.

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from .._core.errors import ApiError, CollectionError, ConflictError, InputError, Json, NotFoundError
from .._core.masking import printable
from .._core.result import find_by_name
from .create_once import TAKEN, create_once
from .references import KINDS, LISTINGS, label, read_users, referring

if TYPE_CHECKING:
    from .client import Client

PATH = "/registries"
KIND = "registry credential"
ALTERNATE = "-alt"
PATHS = {KINDS[kind]: path for kind, path in LISTINGS.items()}
REFUSALS = {400, 409, 422}  # of this one thing; the next may go well
SCOPE = "The scope for this is secrets:write."

WRITTEN, GONE, NOT_OFFERED = "written", "gone", "not offered"


class RetainedCredential(NamedTuple):
    """What refers to a credential that could not go, and why it stays."""

    registry: Json
    users: list[Json]
    why: str


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


# Names


def logical(name: str) -> str:
    return name.removesuffix(ALTERNATE)


def names(name: str) -> tuple[str, str]:
    return name, name + ALTERNATE


def default_names(registries: Iterable[Json], user: str, account: str) -> dict[str, tuple[str, str]]:
    """Return id -> region and name, of those that bear a default name of the pull user."""
    pattern = re.compile(rf"{re.escape(user)}-{account}-([a-z]+(?:-[a-z]+)+-\d+)")
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


# Who refers to them


def users_of(api: Client, registries: list[Json]) -> list[Json]:
    return referring(read_users(api), registries) if registries else []


def referring_to(users: Iterable[Json], registry: Json) -> list[Json]:
    return [user for user in users if user["registry"] == registry["id"]]


def movable(users: Iterable[Json]) -> list[Json]:
    """Pods are never changed."""
    return [user for user in users if user["kind"] != "pod"]


def repoint(api: Client, users: Iterable[Json], registry: Json) -> list[Json]:
    """Return what was handed over. All refusals are raised in the end."""
    moved, refused = [], []
    for user in movable(users):
        path = f"{PATHS[user['kind']]}/{user['id']}"
        try:
            with needing("The key must be allowed to write templates and serverless endpoints."):
                answer = api.patch(path, {"registry": registry["id"]})
        except NotFoundError:  # it went meanwhile
            continue
        except ApiError as error:
            if error.status not in REFUSALS:
                raise
            refused.append(str(error))
            continue
        if isinstance(answer, dict) and answer.get("registry") == registry["id"]:
            moved.append(user)
        else:
            refused.append(f"PATCH {path}: RunPod accepted the credential {registry['id']} but holds another one.")
    if refused:
        raise CollectionError(
            f"Not everything could be handed over to the credential {label(registry)}, so the "
            f"former one stays: {' '.join(refused)} Mend that, then run again."
        )
    return moved


def releases(moved: Iterable[Json]) -> tuple[str, ...]:
    """Return a warning: each endpoint that was handed over rolls out a release."""
    endpoints = [label(user) for user in moved if user["kind"] == "endpoint"]
    if not endpoints:
        return ()
    return (f"These endpoints refer to another credential now and each roll out a release: {', '.join(endpoints)}.",)


# Write them


@contextmanager
def needing(advice: str) -> Iterator[None]:
    """Add to a refusal which rights the call needs."""
    try:
        yield
    except ApiError as error:
        if error.status != 403:
            raise
        raise ApiError(f"{error} {advice}", error.status, error.problem) from error


def replace(api: Client, registry: Json, login: Json) -> str:
    path = f"{PATH}/{registry['id']}"
    try:
        with needing(SCOPE):
            api.patch(path, login)
    except ApiError as error:
        if error.status == 404 and not exists(api, path):
            return GONE
        if error.status in (404, 405):
            return NOT_OFFERED
        raise
    return WRITTEN


def exists(api: Client, path: str) -> bool:
    try:
        api.get(path)
    except NotFoundError:
        return False
    return True


def create_credential(api: Client, name: str, login: Json) -> Json:
    """Return the credential, or the one that another run made at the same moment."""
    adopted: list[Json] = []

    def adopt() -> Json | None:
        """Return what an unanswered POST made, our secret written in place.

        Where it cannot be, what was not there before has one as young.
        """
        found = find_by_name(api.items(PATH, "registries"), name, KIND)
        if found and replace(api, found, login) != GONE:
            adopted.append(found)
        return adopted[0] if adopted else None

    with needing(SCOPE):
        made = create_once(api, PATH, {"name": name, **login}, adopt, TAKEN)
    return made if adopted else keep_lowest_id(api, made, login)


def keep_lowest_id(api: Client, made: Json, login: Json) -> Json:
    """Keep the credential of the lowest id; drop this run's when that is another."""
    twins = [registry for registry in api.items(PATH, "registries") if registry["name"] == made["name"]]
    lowest = min([made, *twins], key=lambda registry: registry["id"])
    if lowest["id"] == made["id"]:
        return made
    if users_of(api, [made]):
        find_by_name([lowest, made], made["name"], KIND)  # raises: neither may be chosen
    api.delete(f"{PATH}/{made['id']}")
    return create_credential(api, made["name"], login) if replace(api, lowest, login) == GONE else lowest


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


# Remove them


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


# What a run reports


def identity(registry: Json) -> Json:
    """Return id once it is there, name, and the name shared with the alternate."""
    known: Json = {key: registry[key] for key in ("id", "name") if key in registry}
    return {**known, "logical_name": logical(registry["name"])}


def called(registries: Iterable[Json]) -> Json:
    listed = [label(registry) for registry in registries]
    return {"leftovers": listed} if listed else {}


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
