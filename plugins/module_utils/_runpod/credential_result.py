# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what was done for each region, as one result.

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from .._core.errors import Json
from .._core.result import Result
from .._core.time import format_time
from .credential_names import called, identity
from .credential_state import CredentialState, expiry


class CredentialResult(NamedTuple):
    changed: bool
    before: Json | None
    after: Json | None
    item: Json
    warnings: tuple[str, ...] = ()
    images: tuple[Json, ...] = ()


def iso(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def describe(registry: Json | None, name: str | None, region: str | None, expires_at: datetime | None) -> Json:
    """`registry` None is still to be made."""
    what = registry or {"name": name}
    described = identity(what) if what["name"] else {"name": None, "logical_name": None}
    return {**described, "region": region, "expires_at": iso(expires_at)}


def to_diff(current: CredentialState, registry: Json | None, among: list[Json], region: str | None) -> Json | None:
    """Return the credential, and while it is there the other that means the same."""
    if registry is None:
        return None
    described = describe(registry, None, region, expiry(current, registry))
    return {**described, **called(other for other in among if other != registry)}


def item_of(described: Json, refreshed: bool, found: Json) -> Json:
    return {**described, "refreshed": refreshed, **found}


def joined(done: list[CredentialResult], warnings: tuple[str, ...]) -> Result:
    """Return a single region as the resource."""
    items = [one.item for one in done]
    listed = ["repointed", "in_use_by", *(["other_registries"] if items and "other_registries" in items[0] else [])]
    ends = [item["expires_at"] for item in items]
    results: Json = {
        "registry": registry_of(items[0]) if len(items) == 1 else None,
        "registries": items,
        "expires_at": None if None in ends else min(ends, default=None),
        "refreshed": any(item["refreshed"] for item in items),
        **{key: unique(entry for item in items for entry in item[key]) for key in listed},
        "images": [image for one in done for image in one.images],
    }
    changed, texts = any(one.changed for one in done), (*warnings, *(text for one in done for text in one.warnings))
    if len(done) == 1:
        return Result(changed, done[0].before, done[0].after, results, texts)
    before = {one.item["region"]: one.before for one in done}
    after = {one.item["region"]: one.after for one in done}
    return Result(changed, before, after, results, texts)


def registry_of(item: Json) -> Json | None:
    """Return the credential of the only region; None once it is gone."""
    fields = ("id", "name", "logical_name", "region", "expires_at")
    gone = "id" in item and item["id"] is None
    return None if gone else {key: item[key] for key in fields if key in item}


def unique(entries: Iterable[Json]) -> list[Json]:
    found: list[Json] = []
    for entry in entries:
        if entry not in found:
            found.append(entry)
    return found
