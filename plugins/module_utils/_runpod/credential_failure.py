# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what failed for some regions, and how long tokens at RunPod still work.

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from .._core.errors import CollectionError, Json
from .._core.result import ItemsFailedError, Result
from .._core.time import format_time
from .credential_result import iso


class RefreshError(CollectionError):
    """Tells how long the token at RunPod still works, as far as known."""

    def __init__(
        self, cause: CollectionError, expires_at: datetime | None, message: str, changed: bool = False
    ) -> None:
        super().__init__(f"{cause} {message}".rstrip())
        self.cause = cause
        self.expires_at = expires_at
        self.changed = changed

    def as_result(self) -> Json:
        changed = {"changed": True} if self.changed else {}
        return {**self.cause.as_result(), **changed, "msg": str(self), "expires_at": iso(self.expires_at)}


class Failure(NamedTuple):
    region: str | None
    error: CollectionError


def failed(error: CollectionError, expires_at: datetime | None, now: datetime, current: bool = True) -> RefreshError:
    if not current:
        message = ""
    elif expires_at is None:
        message = "Until when the token that RunPod holds works is not known."
    elif expires_at <= now:
        message = f"The token that RunPod holds has ended at {format_time(expires_at)}: nothing can be pulled with it."
    else:
        hours = (expires_at - now).total_seconds() / 3600
        message = f"The token that RunPod holds works until {format_time(expires_at)}, for another {hours:.1f} hours."
    return RefreshError(error, expires_at, message)


def regions_failed(failures: list[Failure], of: int, outcome: Result) -> ItemsFailedError:
    """The results tell what was done for the other regions."""
    errors = [{"region": one.region, **one.error.as_result()} for one in failures]
    message = " ".join(f"{one.region}: {one.error}" for one in failures)
    images = [image for error in errors for image in error.get("images", [])]
    results = {
        **outcome.results,
        "images": [*outcome.results["images"], *images],
        "failed_regions": [{key: error.get(key) for key in ("region", "msg", "expires_at")} for error in errors],
    }
    changed = outcome.changed or any(error.get("changed") for error in errors)
    message = f"{len(failures)} of {of} regions failed, and the others are done. {message}"
    return ItemsFailedError(message, outcome._replace(changed=changed, results=results))
