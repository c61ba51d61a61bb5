# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what becomes of a region's credential.

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from .._aws.ecr_token import Token
from .._aws.secret_entry import token_records
from .._core.errors import Json
from .credential_names import pair
from .credential_state import CredentialState, primary

KEEP, REFRESH, REMOVE = "keep", "refresh", "remove"


class CredentialPlan(NamedTuple):
    """`live` is the credential to keep. Only check mode has no name."""

    region: str | None
    name: str | None
    action: str
    state: CredentialState
    live: Json | None = None
    images: tuple[str, ...] = ()


class HandedOver(NamedTuple):
    """A token that RunPod holds, what it is in, and what may go for it."""

    plan: CredentialPlan
    token: Token
    registry: Json
    leftovers: list[Json]
    moved: list[Json]
    warnings: tuple[str, ...]
    images: tuple[Json, ...]


def plan(
    params: Json, current: CredentialState, region: str | None, name: str | None, images: tuple[str, ...], now: datetime
) -> CredentialPlan:
    state = current._replace(pair=pair(current.registries, name) if name else [])
    if params["state"] == "absent":
        return CredentialPlan(region, name, REMOVE, state)
    live = None if params["force"] else fresh(state, now + timedelta(hours=params["min_validity_hours"]))
    return CredentialPlan(region, name, KEEP if live else REFRESH, state, live, images)


def hands_over_the_callers(plans: list[CredentialPlan]) -> bool:
    return any(each.action == REFRESH and not (each.state.store or each.state.minting) for each in plans)


def fresh(existing: CredentialState, at: datetime) -> Json | None:
    """Return the credential whose token works so long and was minted with the stored key."""
    key = existing.entry.key if existing.entry else None
    current = primary(existing)
    message = token_records(existing.tags).get(current["id"]) if current else None
    return (
        current if message and key and message.access_key_id == key.access_key_id and message.expires_at >= at else None
    )
