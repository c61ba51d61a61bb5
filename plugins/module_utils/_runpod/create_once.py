# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. Apart from the client, so that pure code need not import HTTP and TLS.

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from .._core.errors import SERVER_ERRORS, ApiError, CollectionError, Json, TransportError

if TYPE_CHECKING:
    from .client import Client

TAKEN = {400, 409, 422}  # RunPod does not say which is the status of a second thing with a unique name


def create_once(
    client: Client, path: str, body: Json, find: Callable[[], Json | None], taken: Collection[int] = ()
) -> Json:
    """POST once; when its outcome is unknown, or `taken` because another run may have been faster, look up and
    adopt. `find` returns the thing as it should be, or None: then the error of the POST is raised, an unknown
    outcome with the remark that a re-run is safe.
    """
    try:
        return client.post(path, body)
    except (TransportError, ApiError) as error:
        if isinstance(error, ApiError) and error.status in taken:
            found = find()
            if found is None:
                raise
            return found
        if isinstance(error, ApiError) and error.status not in SERVER_ERRORS and error.status not in range(200, 300):
            raise
        return adopt(error, find)


def adopt(error: CollectionError, find: Callable[[], Json | None]) -> Json:
    """Raise `error` with what the look-up said when nothing is there."""
    try:
        found = find()
    except (TransportError, ApiError) as failure:
        raise TransportError(f"{error} (Looking it up failed too: {failure} Outcome unknown, run again.)") from error
    if found is None:
        raise CollectionError(f"{error} (A look-up shows that nothing was created: run again.)") from error
    return found
