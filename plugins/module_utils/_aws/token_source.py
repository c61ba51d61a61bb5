# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: as whom ECR's tokens are made, whatever receives them.

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from .._core.errors import AwsError, CollectionError, ConflictError, InputError, Json
from .._core.time import format_time, retry_until
from .client import Aws
from .ecr_token import Token, get_token
from .pull_session import Minting, PullSession, account_of_role, check_minting, pull_session
from .secret_entry import Entry, KeyPair, keyless, quarantine, young_until
from .secret_store import SecretStore
from .stored_key import read_with_key, store_of

LONGEST_PROPAGATION = 3600

# Returns the ARN of a repository by what names it, and the partition, account and region of a plain name.
RepositoryArn = Callable[[str, str, str, str], str]


class VerifyImages(Protocol):
    def __call__(self, images: list[str], token: Token, deadline: datetime | None, /) -> list[Json]:
        """Report on images tried with a token, of which a refusal may pass until that moment, or raise."""


class TokenSource(NamedTuple):
    """The secret store's entry with its tags, or as whom tokens are minted without one: None for the caller, with all
    rights.
    """

    store: SecretStore | None
    entry: Entry | None
    tags: dict[str, str]
    minting: Minting | None = None

    @property
    def key(self) -> KeyPair | None:
        return self.entry.key if self.entry else None


class Minted(NamedTuple):
    """`opens_more` warns of a token that opens more than what it is for."""

    token: Token
    opens_more: str = ""


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


def read_source(aws: Aws, params: Json, propagation_timeout: float, arn_of: RepositoryArn) -> TokenSource:
    store = store_of(aws, params["secret_store"]) if params["secret_store"] else None
    entry = read_with_key(store, propagation_timeout) if store else None
    tags = store.tags() if store and entry else {}
    return TokenSource(store, entry, tags, minting_of(aws, params, arn_of))


def minting_of(aws: Aws, params: Json, arn_of: RepositoryArn) -> Minting | None:
    """Raise InputError for what does not go together."""
    role, given = params.get("role_arn"), params.get("repositories")
    if role is None and given is None and params.get("external_id") is None:
        return None
    if params["secret_store"]:
        raise InputError("role_arn and repositories are for tokens that are minted without secret_store.")
    minting = Minting(role, params.get("external_id"))
    check_minting(minting)
    if given is None:
        return minting
    arn = (role if role else str(aws.call("sts", "get_caller_identity")["Arn"])).split(":")
    return minting._replace(repositories=tuple(arn_of(each, arn[1], arn[4], aws.region) for each in given))


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


def new_token(aws: Aws, source: TokenSource, region: str, more: Iterable[str] = (), holder: str = "RunPod") -> Minted:
    """`more` are repositories that are pulled with such a token already, `holder` is who gets it."""
    session = session_of(aws, source, region, more, holder)
    return Minted(get_token(aws, region, session.key), session.opens_more)


def session_of(
    aws: Aws, source: TokenSource, region: str, more: Iterable[str] = (), holder: str = "RunPod"
) -> PullSession:
    return pull_session(aws, source.minting, region, more, holder) if source.minting else PullSession(source.key)


def token_in_time(
    aws: Aws, source: TokenSource, region: str, timeout: float, more: Iterable[str] = (), holder: str = "RunPod"
) -> Minted:
    """A key or right that is seconds old gets its time."""
    minted: Minted = retry_until(
        aws, young_deadline(source, timeout, aws.clock()), lambda: new_token(aws, source, region, more, holder)
    )
    return minted


def young_deadline(source: TokenSource, timeout: float, now: datetime) -> datetime | None:
    """Nothing tells how old the rights of a role are that nobody asks IAM for."""
    if source.minting and source.minting.role_arn:
        return now + timedelta(seconds=timeout)
    return young_until(source.entry, source.tags, timeout) if source.entry else None


def account_of(aws: Aws, source: TokenSource) -> str:
    if source.entry:
        return source.entry.arn.split(":")[4]
    if source.minting and source.minting.role_arn:
        return account_of_role(source.minting.role_arn)
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
