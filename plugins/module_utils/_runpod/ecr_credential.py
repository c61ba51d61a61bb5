# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from .._aws.client import Aws, aws_client
from .._aws.ecr_token import Token, get_token
from .._aws.secret_entry import MANAGED, OURS, Entry, keyless, quarantine, token_records, young_until
from .._aws.secret_store import SecretStore, store_of
from .._core.errors import (
    ApiError,
    AwsError,
    CollectionError,
    ConflictError,
    InputError,
    Json,
    TransportError,
)
from .._core.result import Result
from .._core.time import format_time, retry_until
from .._oci.reference import parse_ecr
from .client import Client
from .connection import runpod_client
from .credential_replacement import (
    PATH,
    apply_cleanup,
    called,
    check_name,
    clear,
    identity,
    in_use,
    logical,
    pair,
    releases,
    renew,
    report,
    stays,
)

LONG_PAST = timedelta(days=1)


class Clients(NamedTuple):
    """Both clouds."""

    aws: Aws
    api: Client


class CredentialState(NamedTuple):
    """What the clouds hold: the store's entry with its tags (nothing when tokens are the caller's), and credentials.

    `pair` is the credential and its alternate, as far as they are there.
    """

    store: SecretStore | None
    entry: Entry | None
    tags: dict[str, str]
    registries: list[Json] = []
    pair: list[Json] = []


class RefreshError(CollectionError):
    """A refresh failed; tells how long the token that RunPod holds already still works, as far as that is known."""

    def __init__(self, cause: CollectionError, expires_at: datetime | None, message: str) -> None:
        super().__init__(f"{cause} {message}".rstrip())
        self.cause = cause
        self.expires_at = expires_at

    def as_result(self) -> Json:
        expires_at = self.expires_at and format_time(self.expires_at)
        return {**self.cause.as_result(), "msg": str(self), "expires_at": expires_at}


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    hours = params["min_validity_hours"]
    if not 0 < hours < 12:
        raise InputError(f"min_validity_hours is {hours:g}: it must be more than 0 and less than 12, a token's life.")
    region = parse_ecr(params["image"]).region if params["image"] is not None else params["registry_region"]
    if region == "":
        raise InputError("registry_region is empty: name the region of the ECR registries, as in us-east-1.")
    if params["name"] is not None:
        check_name(params["name"])
    store = store_of(client.aws, params["secret_store"]) if params["secret_store"] else None
    entry = store.read() if store else None
    current = CredentialState(store, entry, store.tags() if store and entry else {})
    if params["state"] == "absent":
        name = params["name"] or default_name(current, region)
        return remove(read_state(current, name, client.api), region, check_mode, client.api)
    return ensure(params, current, region, check_mode, client)


def default_name(current: CredentialState, region: str | None) -> str:
    """Return the name that follows from whose entry it is, from its account and from the region."""
    entry = current.store.name if current.store else ""
    if current.entry is None:
        raise InputError(f"name is required: the secret store's entry {entry}, from which it follows, is not there.")
    user = current.tags.get(MANAGED)
    if not user:
        raise InputError(
            f"name is required: the secret store's entry {entry} has no tag {MANAGED}, which says whose it is."
        )
    if not region:
        raise InputError("name is required, or image or registry_region, from whose region the name follows.")
    return f"{user}-{current.entry.arn.split(':')[4]}-{region}"


def read_state(current: CredentialState, name: str, api: Client) -> CredentialState:
    """Read RunPod, after the secret store."""
    registries = api.items(PATH, "registries")
    return current._replace(registries=registries, pair=pair(registries, name))


def ensure(params: Json, existing: CredentialState, region: str, check_mode: bool, client: Clients) -> Result:
    """Hand a token to RunPod unless the credential is fresh."""
    shut = quarantine(existing.tags, f"The secret store's entry {existing.store.name}") if existing.store else ""
    if shut:
        raise ConflictError(shut)
    missing = keyless(existing.entry, existing.store.name) if existing.store else ""
    if missing and not check_mode:
        raise InputError(missing)
    name, now = params["name"], client.aws.clock()
    if name or existing.entry:  # else the entry is still to come, and the name with it
        name = name or default_name(existing, region)
        try:
            existing = read_state(existing, name, client.api)
        except (ApiError, TransportError) as error:
            raise failed(error, only_expiry(existing), now) from error
    live = None if params["force"] else fresh(existing, now + timedelta(hours=params["min_validity_hours"]))
    if live:
        return finish(existing, live, region, check_mode, client.api)
    warnings = tuple(filter(None, (missing, "" if existing.store else whose(client.aws))))
    if check_mode:
        current = primary(existing)
        after = describe(current, name, region, None)
        before = to_diff(existing, current, existing.pair, region)
        return Result(True, before, after, {**results(after, True), **report()}, warnings)
    outcome = refresh(params, existing, name, region, client)
    return outcome._replace(warnings=(*warnings, *outcome.warnings))


def finish(current: CredentialState, live: Json, region: str, check_mode: bool, api: Client) -> Result:
    """Leave a fresh credential alone, and bring a replacement to its end that an earlier run began."""
    spares = [registry for registry in current.pair if registry != live]
    stale = any(OURS + registry["id"] in current.tags for registry in spares)
    if not check_mode:
        forget(current, spares)
    moved, kept = apply_cleanup(api, spares, live, check_mode)
    shown = describe(live, None, region, expiry(current, live))
    found = {**results(shown, False), **report(moved, kept), "registry": shown}
    before = to_diff(current, live, current.pair, region)
    after = to_diff(current, live, [left.registry for left in kept], region)
    changed = stale or bool(moved) or before != after
    return Result(changed, before, after, found, (*releases(moved), *stays(kept)))


def refresh(params: Json, existing: CredentialState, name: str, region: str, client: Clients) -> Result:
    """Mint a token and hand it to RunPod. It is noted once everything refers to the credential that holds it."""
    current, now = primary(existing), client.aws.clock()
    try:
        token = new_token(client.aws, region, existing, params["propagation_timeout"])
        secret, known = login(token), working(existing, now)
        renewal = renew(client.api, name, existing.pair, secret, known, lambda former: forget(existing, former))
        record_token(existing, renewal.registry, token, client.aws.clock())
    except CollectionError as error:
        raise failed(error, expiry(existing, current), now, bool(current)) from error
    kept = clear(client.api, renewal.leftovers)
    shown = describe(renewal.registry, name, region, token.expires_at)
    before = to_diff(existing, current, existing.pair, region)
    after = {**shown, **called(left.registry for left in kept)}
    short = ""
    if token.expires_at < now + timedelta(hours=params["min_validity_hours"]):
        short = f"The new token works until {shown['expires_at']}, less than min_validity_hours: each run refreshes it."
    warnings = (*renewal.warnings, *stays(kept), *([short] if short else []))
    found = {**results(shown, True), **report(renewal.moved, kept), "registry": shown}
    return Result(True, before, after, found, warnings)


def failed(error: CollectionError, expires_at: datetime | None, now: datetime, current: bool = True) -> RefreshError:
    """Return the error of a refresh, with how long the token works that RunPod holds."""
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


def describe(registry: Json | None, name: str | None, region: str | None, expires_at: datetime | None) -> Json:
    """Return a credential as results show it; None stands for one that is still to be made."""
    what = registry or {"name": name}
    shown = identity(what) if what["name"] else {"name": None, "logical_name": None}
    return {**shown, "region": region, "expires_at": expires_at and format_time(expires_at)}


def to_diff(current: CredentialState, registry: Json | None, among: list[Json], region: str | None) -> Json | None:
    """Return a credential as diffs show it: with the other one that means the same, as long as it is there."""
    if registry is None:
        return None
    shown = describe(registry, None, region, expiry(current, registry))
    return {**shown, **called(other for other in among if other != registry)}


def results(shown: Json | None, refreshed: bool) -> Json:
    """Return what each run reports beside the credential."""
    return {"expires_at": shown["expires_at"] if shown else None, "refreshed": refreshed}


def expiry(current: CredentialState, registry: Json | None) -> datetime | None:
    """Return until when a credential's token works, as far as its freshness tag tells."""
    message = token_records(current.tags).get(registry["id"]) if registry else None
    return message.expires_at if message else None


def only_expiry(current: CredentialState) -> datetime | None:
    """Return until when the one token works that the freshness tags know of; None when they know of more or none."""
    ends = {message.expires_at for message in token_records(current.tags).values()}
    return ends.pop() if len(ends) == 1 else None


def primary(current: CredentialState) -> Json | None:
    """Return the credential whose token works longest, as far as is known; the one with the plain name in doubt."""
    never = datetime.min.replace(tzinfo=UTC)
    return max(current.pair, key=lambda registry: expiry(current, registry) or never, default=None)


def working(current: CredentialState, now: datetime) -> dict[str, bool]:
    """Return for each credential whose token's end is known whether it still works."""
    return {identifier: message.expires_at > now for identifier, message in token_records(current.tags).items()}


def fresh(existing: CredentialState, at: datetime) -> Json | None:
    """Return the credential whose token works until then at least and was minted with the key now in the store."""
    key = existing.entry.key if existing.entry else None
    current = primary(existing)
    message = token_records(existing.tags).get(current["id"]) if current else None
    return (
        current if message and key and message.access_key_id == key.access_key_id and message.expires_at >= at else None
    )


def long_past(current: CredentialState, now: datetime) -> list[str]:
    """Return the freshness tags whose token ended long ago and whose credential is not there any more."""
    there = {registry["id"] for registry in current.registries}
    return [
        OURS + identifier
        for identifier, message in token_records(current.tags).items()
        if identifier not in there and message.expires_at < now - LONG_PAST
    ]


def whose(aws: Aws) -> str:
    """Return the warning that RunPod gets the caller's own rights, with who that is."""
    caller = "whoever runs this"
    with suppress(AwsError):
        caller = aws.call("sts", "get_caller_identity")["Arn"]
    return (
        f"Without secret_store RunPod gets a token of {caller}: it opens every repository of the region that this "
        "identity may pull. Name the entry of a pull user to hand over no more than its rights."
    )


def new_token(aws: Aws, region: str, current: CredentialState, timeout: float) -> Token:
    """Return a token of the pull user, or of the caller; a key or right that is seconds old gets its time."""
    if current.entry is None:
        return get_token(aws, region)
    key = current.entry.key
    return retry_until(aws, young_until(current.entry, current.tags, timeout), lambda: get_token(aws, region, key))


def login(token: Token) -> Json:
    """Return the part of a credential that is its secret."""
    return {"username": token.username, "password": token.password}


def record_token(current: CredentialState, registry: Json, token: Token, now: datetime) -> None:
    """Tag the entry with the token's end and the key that minted it, and drop the tags that are done with.

    Those are the tags long past, and that of a credential which this one takes the place of.
    """
    if not (current.store and current.entry and current.entry.key):
        return
    current.store.tag({OURS + registry["id"]: f"{format_time(token.expires_at)} {current.entry.key.access_key_id}"})
    forget(current, [former for former in current.pair if former["id"] != registry["id"]], long_past(current, now))


def forget(current: CredentialState, registries: Iterable[Json], more: Iterable[str] = ()) -> None:
    """Drop freshness tags; an entry that is being deleted takes its tags along."""
    names = [OURS + registry["id"] for registry in registries if OURS + registry["id"] in current.tags]
    names += more
    if names and current.store and current.entry and not current.entry.deleted:
        current.store.untag(names)


def others(current: CredentialState) -> list[Json]:
    """Return the further credentials that hold tokens of the same entry."""
    return [
        {
            "id": registry["id"],
            "name": registry["name"],
            "logical_name": logical(registry["name"]),
            "reason": f"The credential {registry['name']} ({registry['id']}) holds a token of the same pull user.",
        }
        for registry in current.registries
        if registry["id"] in token_records(current.tags) and registry not in current.pair
    ]


def remove(existing: CredentialState, region: str | None, check_mode: bool, api: Client) -> Result:
    """Delete the credential and its alternate, but for what something refers to."""
    current = primary(existing)
    kept = clear(api, existing.pair, check_mode)
    left = [one.registry for one in kept]
    gone = [registry for registry in existing.pair if registry not in left]
    if not check_mode:
        forget(existing, gone)
    rest = current if current in left else next(iter(left), None)
    before, after = to_diff(existing, current, existing.pair, region), to_diff(existing, rest, left, region)
    shown = describe(rest, None, region, expiry(existing, rest)) if rest else None
    found = {**results(shown, False), **report([], kept), "other_registries": others(existing), "registry": shown}
    return Result(bool(gone), before, after, found, in_use(kept))


def connect(module: AnsibleAWSModule) -> Clients:
    """Return the clients that the module's options describe."""
    return Clients(aws_client(module), runpod_client(module))
