# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. Free of boto3, which each use of a filter would load.

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from .._core.errors import ConflictError, Json
from .._core.time import format_time, parse_time

MANAGED = "gpuops.runpod/managed"  # marks a user or entry as ours; on an entry its value is the user's name
OURS = "gpuops.runpod/"
QUARANTINED = "gpuops.runpod/quarantined"  # since when user and entry are shut off, until somebody releases them
GRANTED = "gpuops.runpod/granted"  # when the user's rights last grew: new rights need seconds to arrive


class KeyPair(NamedTuple):
    """The secret shows in no representation. The key of a session has its token."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    @property
    def owner(self) -> str:
        return "the pull user" if self.session_token is None else "the session that mints tokens"

    def __repr__(self) -> str:
        return f"KeyPair({self.access_key_id})"


class KeyReservation(NamedTuple):
    """The note before CreateAccessKey, which later tells an orphan from a foreign key: when it was made and which
    keys there were. `abandoned` means that no key of it is on its way.
    """

    since: datetime
    known_key_ids: tuple[str, ...]
    abandoned: bool = False


class Entry(NamedTuple):
    """A key, a note about one being made, both during a rotation, or neither.

    `lock` is when the run that holds it wrote last; `deleted` marks an entry in its recovery window, whose value cannot
    be read; `version` tells this value from all others.
    """

    arn: str
    key: KeyPair | None = None
    created: datetime | None = None
    pending: KeyReservation | None = None
    lock: datetime | None = None
    deleted: bool = False
    version: str = ""

    def __repr__(self) -> str:
        return f"Entry({self.arn}, {self.key!r})"


class TokenRecord(NamedTuple):
    """Until when the token at RunPod works and which key minted it."""

    expires_at: datetime
    access_key_id: str


def encode(entry: Entry, run: str = "") -> str:
    """Return flat JSON, so that other tools can read the key. `run` tells equal values of two runs apart."""
    value: Json = {}
    key, pending, run_id = entry.key, entry.pending, {"run": run} if run else {}
    if key and entry.created:
        value = {
            "access_key_id": key.access_key_id,
            "secret_access_key": key.secret_access_key,
            "created": format_time(entry.created),
        }
    if pending:
        reserved = {"since": format_time(pending.since), "known_key_ids": sorted(pending.known_key_ids), **run_id}
        value["pending"] = {**reserved, "abandoned": True} if pending.abandoned else reserved
    if entry.lock:
        value["lock"] = {"since": format_time(entry.lock), **run_id}
    return json.dumps(value)


def decode(arn: str, text: str) -> Entry:
    """Return the entry that encode wrote; the error for anything else repeats nothing of it."""
    try:
        value = json.loads(text)
        reserved, locked = value.get("pending"), value.get("lock")
        pending = reserved and KeyReservation(
            parse_time(reserved["since"]), tuple(reserved["known_key_ids"]), bool(reserved.get("abandoned", False))
        )
        lock = parse_time(locked["since"]) if locked else None
        if "access_key_id" not in value and (pending or lock):
            return Entry(arn, pending=pending, lock=lock)
        key = KeyPair(value["access_key_id"], value["secret_access_key"])
        if not all(key_part and isinstance(key_part, str) for key_part in key[:2]):
            raise TypeError("a key is two texts")
        return Entry(arn, key, parse_time(value["created"]), pending, lock)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise not_ours(arn) from None


def not_ours(arn: str) -> ConflictError:
    return ConflictError(
        f"The secret store's entry {arn} does not hold what this collection writes (JSON with access_key_id, "
        "secret_access_key and created): name another entry in secret_store, or remove this one."
    )


def token_records(tags: dict[str, str]) -> dict[str, TokenRecord]:
    """Return registry id -> record; tags of another form are none."""
    found = {}
    for name, value in tags.items():
        expiry, dummy, key_id = value.partition(" ")
        if not (name.startswith(OURS) and key_id):
            continue
        try:
            found[name.removeprefix(OURS)] = TokenRecord(parse_time(expiry), key_id)
        except ValueError:
            continue
    return found


def young_until(entry: Entry, tags: dict[str, str], timeout: float) -> datetime | None:
    """Return until when a refusal may only mean that key or rights are young."""
    moments = [entry.created] if entry.created else []
    with suppress(ValueError):
        moments.append(parse_time(tags.get(GRANTED, "")))
    return max(moments) + timedelta(seconds=timeout) if moments else None


def is_young(moment: datetime | None, now: datetime, seconds: float) -> bool:
    """Return whether the run that wrote this moment may still be at work."""
    return moment is not None and abs((now - moment).total_seconds()) < seconds


def is_busy(entry: Entry | None, now: datetime, seconds: float) -> bool:
    if entry is None:
        return False
    pending = entry.pending
    making = pending.since if pending and not pending.abandoned else None
    return is_young(entry.lock, now, seconds) or is_young(making, now, seconds)


def keyless(entry: Entry | None, name: str) -> str:
    """Return why an entry gives no key and what to do; empty when it has one."""
    if entry is not None and entry.key:
        return ""
    why = "does not exist"
    if entry is not None:
        why = "is being deleted" if entry.deleted else "holds no key yet, only a note that one is being made"
    return (
        f"The secret store's entry {name} {why}: ecr_pull_user makes it. Run the playbook gpuops.runpod.runpod_ecr "
        "first, or the module gpuops.runpod.ecr_pull_user with the same secret_store."
    )


def quarantine(tags: dict[str, str], thing: str) -> str:
    """Return why a quarantined thing is not used and what to do; empty without the tag."""
    if QUARANTINED not in tags:
        return ""
    return (
        f"{thing} is quarantined since {tags[QUARANTINED]}. Once the incident is over, release it by running "
        "ecr_pull_user with state present and release_quarantine true; this replaces its access key."
    )
