# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: a registry credential's secret, written in place or into a new one.

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core.errors import ApiError, Json, NotFoundError
from .._core.result import find_by_name
from .create_once import TAKEN, create_once
from .credential_names import KIND
from .credential_users import needing, users_of

if TYPE_CHECKING:
    from .client import Client

PATH = "/registries"
SCOPE = "The scope for this is secrets:write."
WRITTEN, GONE, NOT_OFFERED = "written", "gone", "not offered"


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
