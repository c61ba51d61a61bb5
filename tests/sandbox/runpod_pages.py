# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How listings come in pages."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from .runpod_schemas import PAGE_QUERY
from .runpod_world import Call, Cursor, Json, World, invalid


def page(world: World, call: Call, key: str, items: Sequence[Json]) -> Json:
    """Return the part of a listing's answer that a call asks for: items, each with an id, and how to go on."""
    mode = world.switches["paging"]
    if mode == "absent":
        return {key: list(items)}
    size = min(_limit(call), world.switches["page_size"])
    cursor = _cursor(world, call, (key, call.id))
    rest = [item for item in items if item["id"] not in cursor.given]
    paused = False
    if mode == "short":
        paused = bool(rest) and not cursor.paused
        size = 0 if paused else min(size, (len(rest) + 1) // 2)
    part = rest[:size]
    following: str | None = None
    if mode == "repeating":
        following = call.query.get("cursor") or _new_cursor(world, cursor)
    elif len(part) < len(rest):
        given = cursor.given | {item["id"] for item in part}
        following = _new_cursor(world, cursor._replace(given=given, paused=paused))
    return {key: part, "pagination": {"nextCursor": following, "hasNextPage": following is not None}}


def _limit(call: Call) -> int:
    bounds = PAGE_QUERY["limit"]
    text = call.query.get("limit", str(bounds["maximum"]))
    if not text.isdecimal() or not bounds["minimum"] <= int(text) <= bounds["maximum"]:
        raise invalid([f"limit: got {text}, want an integer from {bounds['minimum']} to {bounds['maximum']}"])
    return int(text)


def _cursor(world: World, call: Call, listing: tuple[str, str]) -> Cursor:
    """Return where the call wants to go on; a cursor of another listing is as bad as an invented one."""
    if "cursor" not in call.query:
        return Cursor(listing)
    known = world.cursors.get(call.query["cursor"])
    if known is None or known.listing != listing:
        raise invalid(["cursor: not a cursor of this listing"])
    return known


def _new_cursor(world: World, cursor: Cursor) -> str:
    text = secrets.token_urlsafe(12)
    world.cursors[text] = cursor
    return text
