# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: as whom ECR's tokens are made, whatever receives them.

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from .._core.errors import AwsError, CollectionError, ConflictError, InputError, Json
from .._core.time import format_time, retry_until
from .client import Aws
from .ecr_token import Token, get_token
from .secret_entry import Entry, KeyPair, keyless, quarantine, young_until
from .secret_store import SecretStore, read_with_key, store_of

LONGEST_PROPAGATION = 3600


class TokenSource(NamedTuple):
    """The secret store's entry with its tags: nothing when tokens are the caller's."""

    store: SecretStore | None
    entry: Entry | None
    tags: dict[str, str]

    @property
    def key(self) -> KeyPair | None:
        return self.entry.key if self.entry else None


class RefreshError(CollectionError):
    """Tells how long the token that is there still works, as far as known."""

    def __init__(
        self, cause: CollectionError, expires_at: datetime | None, message: str, changed: bool = False
    ) -> None:
        super().__init__(f"{cause} {message}".rstrip())
        self.cause = cause
        self.expires_at = expires_at
        self.changed = changed

    def as_result(self) -> Json:
        changed = {"changed": True} if self.changed else {}
        ends = format_time(self.expires_at) if self.expires_at else None
        return {**self.cause.as_result(), **changed, "msg": str(self), "expires_at": ends}


def check_validity(hours: float, propagation_timeout: int) -> None:
    if not 0 < hours < 12:
        raise InputError(f"min_validity_hours is {hours:g}: it must be more than 0 and less than 12, a token's life.")
    if not 0 <= propagation_timeout <= LONGEST_PROPAGATION:
        raise InputError(
            f"propagation_timeout must be 0 to {LONGEST_PROPAGATION} (seconds), not {propagation_timeout}."
        )


def read_source(aws: Aws, secret_store: Json | None, propagation_timeout: float) -> TokenSource:
    store = store_of(aws, secret_store) if secret_store else None
    entry = read_with_key(store, propagation_timeout) if store else None
    return TokenSource(store, entry, store.tags() if store and entry else {})


def refusal(source: TokenSource, lenient: bool, released: bool = False) -> str:
    """Return why the entry gives no key.

    Unless `lenient`, and always for a quarantine, that is an error; a preview may know that it will have been
    `released`.
    """
    if source.store is None:
        return ""
    shut = quarantine(source.tags, f"The secret store's entry {source.store.name}")
    if shut and not released:
        raise ConflictError(shut)
    missing = keyless(source.entry, source.store.name)
    if missing and not lenient:
        raise InputError(missing)
    return missing


def new_token(aws: Aws, source: TokenSource, region: str, timeout: float) -> Token:
    """A key or right that is seconds old gets its time."""
    return retry_until(aws, young_deadline(source, timeout), lambda: get_token(aws, region, source.key))


def young_deadline(source: TokenSource, timeout: float) -> datetime | None:
    return young_until(source.entry, source.tags, timeout) if source.entry else None


def account_of(aws: Aws, source: TokenSource) -> str:
    if source.entry:
        return source.entry.arn.split(":")[4]
    return str(aws.call("sts", "get_caller_identity")["Account"])


def whose(aws: Aws, holder: str) -> str:
    caller = "whoever runs this"
    with suppress(AwsError):
        caller = aws.call("sts", "get_caller_identity")["Arn"]
    return (
        f"Without secret_store {holder} gets a token of {caller}: it opens every repository of the region that this "
        "identity may pull. Name the entry of a pull user to hand over no more than its rights."
    )


def remaining(holder: str, expires_at: datetime | None, now: datetime) -> str:
    """Return how long the token that is there works, for the error of a refresh."""
    if expires_at is None:
        return f"Until when the token that {holder} holds works is not known."
    if expires_at <= now:
        return f"The token that {holder} holds has ended at {format_time(expires_at)}: nothing can be pulled with it."
    hours = (expires_at - now).total_seconds() / 3600
    return f"The token that {holder} holds works until {format_time(expires_at)}, for another {hours:.1f} hours."
