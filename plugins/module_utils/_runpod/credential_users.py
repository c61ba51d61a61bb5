# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what refers to a registry credential, and handing it over to another one.

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .._core.errors import ApiError, CollectionError, Json, NotFoundError
from .references import KINDS, LISTINGS, label, read_users, referring

if TYPE_CHECKING:
    from .client import Client

PATHS = {KINDS[kind]: path for kind, path in LISTINGS.items()}
REFUSALS = {400, 409, 422}  # of this one thing; the next may go well


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


@contextmanager
def needing(advice: str) -> Iterator[None]:
    """Add to a refusal which rights the call needs."""
    try:
        yield
    except ApiError as error:
        if error.status != 403:
            raise
        raise ApiError(f"{error} {advice}", error.status, error.problem) from error
