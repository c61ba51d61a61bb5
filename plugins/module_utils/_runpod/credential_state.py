# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: credentials at RunPod, and what the store's entry tells of their tokens.

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from .._aws.client import Aws
from .._aws.pull_session import Minting
from .._aws.secret_entry import OURS, Entry, token_records
from .._aws.secret_store import SecretStore
from .._aws.store_options import STORE_OPTIONS
from .._aws.stored_key import store_of
from .._aws.token_source import TokenSource, VerifyImages, read_source
from .._core.errors import DENIED, AwsError, Json
from .._oci.reference import repository_arn
from .client import Client
from .credential_names import logical, pair
from .references import Account, label, read_users, referring, repositories_by_credential

LONG_PAST = timedelta(days=1)


class Clients(NamedTuple):
    aws: Aws
    api: Client
    verify: VerifyImages = lambda images, token, deadline: []


class CredentialState(NamedTuple):
    """Credentials: `pair` of one region and its alternate, `ours` of all regions of the run; `users` refer to those
    that may have to go, and `pulled` has the repositories that are pulled with each.
    """

    source: TokenSource
    registries: list[Json] = []
    pair: list[Json] = []
    ours: list[Json] = []
    users: list[Json] = []
    pulled: dict[str, list[str]] = {}

    @property
    def store(self) -> SecretStore | None:
        return self.source.store

    @property
    def entry(self) -> Entry | None:
        return self.source.entry

    @property
    def tags(self) -> dict[str, str]:
        return self.source.tags

    @property
    def minting(self) -> Minting | None:
        return self.source.minting


def read_entry(params: Json, aws: Aws, propagation_timeout: float) -> CredentialState:
    timeout = propagation_timeout if params["state"] == "present" else 0
    return CredentialState(read_source(aws, params, timeout, repository_arn))


def read_users_of_ours(params: Json, current: CredentialState, names: list[str], api: Client) -> CredentialState:
    pairs = [pair(current.registries, name) for name in names]
    ours = [registry for one in pairs for registry in one]
    going = [registry for one in pairs for registry in one if params["state"] == "absent" or len(one) > 1]
    narrowed = current.minting is not None and current.minting.repositories is not None
    users: Account = read_users(api) if going or (narrowed and ours) else {}
    return current._replace(ours=ours, users=referring(users, going), pulled=repositories_by_credential(users))


def primary(current: CredentialState) -> Json | None:
    """Return the credential whose token works longest; in doubt the plain name."""
    never = datetime.min.replace(tzinfo=timezone.utc)
    return max(current.pair, key=lambda registry: expiry(current, registry) or never, default=None)


def expiry(current: CredentialState, registry: Json | None) -> datetime | None:
    message = token_records(current.tags).get(registry["id"]) if registry else None
    return message.expires_at if message else None


def only_expiry(current: CredentialState) -> datetime | None:
    """Return None when the freshness tags know of no or several tokens."""
    ends = {message.expires_at for message in token_records(current.tags).values()}
    return ends.pop() if len(ends) == 1 else None


def working(current: CredentialState, now: datetime) -> dict[str, bool]:
    """Return only credentials whose token's end is known."""
    return {identifier: message.expires_at > now for identifier, message in token_records(current.tags).items()}


def long_past(current: CredentialState, now: datetime) -> list[str]:
    """Return freshness tags of credentials that are gone, and whose token ended long ago."""
    there = {registry["id"] for registry in current.registries}
    return [
        OURS + identifier
        for identifier, message in token_records(current.tags).items()
        if identifier not in there and message.expires_at < now - LONG_PAST
    ]


def others(current: CredentialState) -> list[Json]:
    """Return credentials beside the run's that hold tokens of the same entry."""
    return [
        {
            "id": registry["id"],
            "name": registry["name"],
            "logical_name": logical(registry["name"]),
            "reason": f"The credential {label(registry)} holds a token of the same pull user.",
        }
        for registry in current.registries
        if registry["id"] in token_records(current.tags) and registry not in current.ours
    ]


def told_of(registries: Iterable[Json], tags: Container[str]) -> list[str]:
    """Return the freshness tags of these credentials that there are."""
    return [name for registry in registries if (name := OURS + registry["id"]) in tags]


def disown(params: Json, registries: Iterable[Json], aws: Aws) -> tuple[str, ...]:
    """Take back what a pull user's entry tells of credentials that get another identity's tokens, as far as whoever
    runs this may: else a run as that user takes them for its own.
    """
    given = params.get("former_secret_store")
    if not given:
        return ()
    store = store_of(aws, {**dict.fromkeys(STORE_OPTIONS), **given})
    try:
        names = told_of(registries, store.tags())
    except AwsError as error:
        if error.code not in DENIED:
            raise
        return ()
    try:
        if names:
            store.untag(names)
    except AwsError as error:
        return (f"The secret store's entry {store.name} still tells of tokens that are no more at RunPod: {error}",)
    return ()


def forget(current: CredentialState, registries: Iterable[Json], more: Iterable[str] = ()) -> None:
    """An entry that is being deleted takes its tags along."""
    names = [*told_of(registries, current.tags), *more]
    if names and current.store and current.entry and not current.entry.deleted:
        current.store.untag(names)
