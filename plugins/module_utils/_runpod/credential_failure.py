# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what failed for some regions, and how long tokens at RunPod still work.

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from .._aws.token_source import RefreshError, remaining
from .._core.errors import CollectionError
from .._core.result import ItemsFailedError, Result


class Failure(NamedTuple):
    region: str | None
    error: CollectionError


def failed(error: CollectionError, expires_at: datetime | None, now: datetime, current: bool = True) -> RefreshError:
    return RefreshError(error, expires_at, remaining("RunPod", expires_at, now) if current else "")


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
