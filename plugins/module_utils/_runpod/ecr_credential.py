# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: credentials with ECR tokens, one for each region.

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from .._aws.client import Aws
from .._aws.ecr_token import Token, get_token
from .._aws.secret_entry import MANAGED, OURS, Entry, token_records
from .._aws.secret_store import SecretStore
from .._aws.token_source import (
    RefreshError,
    TokenSource,
    account_of,
    check_validity,
    new_token,
    read_source,
    refusal,
    remaining,
    whose,
    young_deadline,
)
from .._core.errors import (
    ApiError,
    AwsError,
    CollectionError,
    InputError,
    Json,
    TransportError,
    concerns_all,
)
from .._core.result import ItemsFailedError, Result
from .._core.time import format_time
from .._oci.reference import parse_ecr
from .client import Client
from .credential_replacement import (
    PATH,
    RetainedCredential,
    apply_cleanup,
    called,
    check_name,
    clear,
    default_names,
    identity,
    in_use,
    logical,
    pair,
    releases,
    renew,
    report,
    stays,
)
from .references import Account, label, read_users, referring

LONG_PAST = timedelta(days=1)
KEEP, REFRESH, REMOVE = "keep", "refresh", "remove"

# Returns reports on images tried with a token, of which a refusal may pass until that moment, or raises.
VerifyImages = Callable[[list[str], Token, Any], list[Json]]


class Clients(NamedTuple):
    aws: Aws
    api: Client
    verify: VerifyImages = lambda images, token, deadline: []


class CredentialState(NamedTuple):
    """The store's entry with its tags (nothing when tokens are the caller's), and credentials: `pair` of one region
    and its alternate, `ours` of all regions of the run; `users` refer to those that may have to go.
    """

    store: SecretStore | None
    entry: Entry | None
    tags: dict[str, str]
    registries: list[Json] = []
    pair: list[Json] = []
    ours: list[Json] = []
    users: list[Json] = []

    @property
    def source(self) -> TokenSource:
        return TokenSource(self.store, self.entry, self.tags)


class CredentialPlan(NamedTuple):
    """`live` is the credential to keep. Only check mode has no name."""

    region: str | None
    name: str | None
    action: str
    state: CredentialState
    live: Json | None = None
    images: tuple[str, ...] = ()


class CredentialResult(NamedTuple):
    changed: bool
    before: Json | None
    after: Json | None
    item: Json
    warnings: tuple[str, ...] = ()
    images: tuple[Json, ...] = ()


class HandedOver(NamedTuple):
    """A token that RunPod holds, what it is in, and what may go for it."""

    plan: CredentialPlan
    token: Token
    registry: Json
    leftovers: list[Json]
    moved: list[Json]
    warnings: tuple[str, ...]
    images: tuple[Json, ...]


class Failure(NamedTuple):
    region: str | None
    error: CollectionError


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    validate(params)
    regions = regions_of(params)
    images = images_by_region(params.get("verify_images") or (), regions)
    current = read_entry(params, client.aws, 0 if check_mode else params["propagation_timeout"])
    lenient = check_mode and not params.get("key_required")
    missing = refusal(current.source, lenient, params.get("released", False)) if params["state"] == "present" else ""
    names = {region: name_of(params, current, region, client.aws) for region in regions}
    now = client.aws.clock()
    if any(names.values()):  # else they follow from an entry to come
        current = current._replace(registries=listed(params, current, client.api, now))
    if params.get("with_further_regions") and params["name"] is None:
        account = account_of(client.aws, current.source)
        names |= dict(default_names(current.registries, params["user"], account).values())
    current = read_users_of_ours(params, current, list(filter(None, names.values())), client.api)
    plans = [plan(params, current, region, name, tuple(images.get(region, ())), now) for region, name in names.items()]
    notes = tuple(filter(None, [missing, whose(client.aws, "RunPod") if hands_over_the_callers(plans) else ""]))
    failures: list[Failure] = []
    if check_mode:
        done = [predict(each, client) for each in plans]
    else:
        done, failures = apply(plans, params, client)
    if failures and len(plans) == 1:
        raise failures[0].error
    outcome = joined(done, notes)
    if failures:
        raise regions_failed(failures, len(plans), outcome)
    return outcome


# What is wanted


def validate(params: Json) -> None:
    check_validity(params["min_validity_hours"], params["propagation_timeout"])
    if params["name"] is not None:
        check_name(params["name"])
    if params.get("user") == "":
        raise InputError("user must not be empty.")


def regions_of(params: Json) -> list[str | None]:
    images = params.get("images") or ([] if params["image"] is None else [params["image"]])
    regions = params.get("registry_regions")
    if regions is None:
        regions = [parse_ecr(image).region for image in images] or [params["registry_region"]]
    if not regions or "" in regions:
        raise InputError("registry_region is empty: name the region of the ECR registries, as in us-east-1.")
    regions = list(dict.fromkeys(regions))
    if len(regions) > 1 and params["name"] is not None:
        raise InputError(
            f"name is {params['name']!r}, but a token opens one region and there are {len(regions)} "
            f"({', '.join(regions)}): leave it out, so that the names follow, or set user."
        )
    return regions


def images_by_region(references: Iterable[str], regions: list[str | None]) -> dict[str | None, list[str]]:
    """Raise InputError for an image that no token of this run opens."""
    found: dict[str | None, list[str]] = {}
    for reference in references:
        region = parse_ecr(reference).region
        if region not in regions:
            raise InputError(f"verify_images: {reference} is in {region}, for which this run keeps no credential.")
        found.setdefault(region, []).append(reference)
    return found


def name_of(params: Json, current: CredentialState, region: str | None, aws: Aws) -> str | None:
    """Return None when the name follows from an entry to come."""
    if params["name"] is not None:
        return str(params["name"])
    store, user = current.store, params.get("user")
    owner = current.tags.get(MANAGED)
    if not (store or user):
        raise InputError("name or user is required without secret_store.")
    if user and owner and owner != user:
        raise InputError(f"user is {user}, but the secret store's entry {store and store.name} is that of {owner}.")
    if not user:
        if current.entry is None:
            if params["state"] == "present":
                return None
            raise InputError(
                f"name or user is required: the secret store's entry {store and store.name}, from which it follows, "
                "is not there."
            )
        if not owner:
            raise InputError(
                f"name or user is required: the secret store's entry {store and store.name} has no tag {MANAGED}, "
                "which says whose it is."
            )
    if not region:
        raise InputError("name is required, or image or registry_region, from whose region the name follows.")
    return f"{user or owner}-{account_of(aws, current.source)}-{region}"


# Read


def read_entry(params: Json, aws: Aws, propagation_timeout: float) -> CredentialState:
    timeout = propagation_timeout if params["state"] == "present" else 0
    return CredentialState(*read_source(aws, params["secret_store"], timeout))


def listed(params: Json, current: CredentialState, api: Client, now: datetime) -> list[Json]:
    try:
        return api.items(PATH, "registries")
    except (ApiError, TransportError) as error:
        if params["state"] == "absent":
            raise
        raise failed(error, only_expiry(current), now) from error


def read_users_of_ours(params: Json, current: CredentialState, names: list[str], api: Client) -> CredentialState:
    pairs = [pair(current.registries, name) for name in names]
    ours = [registry for one in pairs for registry in one]
    going = [registry for one in pairs for registry in one if params["state"] == "absent" or len(one) > 1]
    users: Account = read_users(api) if going else {}
    return current._replace(ours=ours, users=referring(users, going))


# Plan


def plan(
    params: Json, current: CredentialState, region: str | None, name: str | None, images: tuple[str, ...], now: datetime
) -> CredentialPlan:
    state = current._replace(pair=pair(current.registries, name) if name else [])
    if params["state"] == "absent":
        return CredentialPlan(region, name, REMOVE, state)
    live = None if params["force"] else fresh(state, now + timedelta(hours=params["min_validity_hours"]))
    return CredentialPlan(region, name, KEEP if live else REFRESH, state, live, images)


def hands_over_the_callers(plans: list[CredentialPlan]) -> bool:
    return any(each.action == REFRESH and each.state.store is None for each in plans)


def fresh(existing: CredentialState, at: datetime) -> Json | None:
    """Return the credential whose token works so long and was minted with the stored key."""
    key = existing.entry.key if existing.entry else None
    current = primary(existing)
    message = token_records(existing.tags).get(current["id"]) if current else None
    return (
        current if message and key and message.access_key_id == key.access_key_id and message.expires_at >= at else None
    )


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


# Predict


def predict(planned: CredentialPlan, client: Clients) -> CredentialResult:
    if planned.action == REMOVE:
        return remove(planned, True, client.api)
    images, warnings = preview_proof(planned, client)
    if planned.action == KEEP:
        kept = finish(planned, images, True, client.api)
        return kept._replace(warnings=(*warnings, *kept.warnings))
    current = primary(planned.state)
    after = describe(current, planned.name, planned.region, None)
    before = to_diff(planned.state, current, planned.state.pair, planned.region)
    return CredentialResult(True, before, after, item_of(after, True, report()), warnings, images)


def preview_proof(planned: CredentialPlan, client: Clients) -> tuple[tuple[Json, ...], tuple[str, ...]]:
    """Return the reports, as far as somebody could pull the images, and why there are none."""
    entry = planned.state.entry
    if not planned.images or planned.region is None or (planned.state.store and not (entry and entry.key)):
        return (), ()
    try:
        token = get_token(client.aws, planned.region, entry.key if entry else None)
    except AwsError as error:
        return (), (f"Whether the images can be pulled cannot be told yet: {error}",)
    return tuple(client.verify(list(planned.images), token, None)), ()


# Apply


def apply(plans: list[CredentialPlan], params: Json, client: Clients) -> tuple[list[CredentialResult], list[Failure]]:
    """Carry each plan out as far as it goes; tokens are noted together after the hand-over."""
    done: dict[str | None, CredentialResult] = {}
    handed: list[HandedOver] = []
    failures: list[Failure] = []
    for number, each in enumerate(plans, 1):
        try:
            if each.action == REFRESH:
                handed.append(hand_over(each, params, client))
            else:
                done[each.region] = keep_or_remove(each, params, client)
        except CollectionError as error:
            failures.append(Failure(each.region, error))
            if concerns_all(getattr(error, "cause", error)):
                why = CollectionError("Not tried, as RunPod would refuse it too.")
                failures += [Failure(rest.region, why) for rest in plans[number:]]
                break
    if handed:
        noted, unfinished = note_all(handed, client)
        done |= noted
        failures += unfinished
    return [done[each.region] for each in plans if each.region in done], failures


def keep_or_remove(planned: CredentialPlan, params: Json, client: Clients) -> CredentialResult:
    if planned.action == REMOVE:
        return remove(planned, False, client.api)
    images: tuple[Json, ...] = ()
    if planned.images:
        images = verify_images(planned, token_for(planned, params, client), params, client)
    return finish(planned, images, False, client.api)


def verify_images(planned: CredentialPlan, token: Token, params: Json, client: Clients) -> tuple[Json, ...]:
    if not planned.images:
        return ()
    deadline = young_deadline(planned.state.source, params["propagation_timeout"])
    return tuple(client.verify(list(planned.images), token, deadline))


def token_for(planned: CredentialPlan, params: Json, client: Clients) -> Token:
    return new_token(client.aws, planned.state.source, str(planned.region), params["propagation_timeout"])


def hand_over(planned: CredentialPlan, params: Json, client: Clients) -> HandedOver:
    state, current, now = planned.state, primary(planned.state), client.aws.clock()
    try:
        token = token_for(planned, params, client)
        images = verify_images(planned, token, params, client)
        login = {"username": token.username, "password": token.password}
        renewal = renew(
            client.api, str(planned.name), state.pair, login, working(state, now), lambda gone: forget(state, gone)
        )
    except CollectionError as error:
        raise failed(error, expiry(state, current), now, bool(current)) from error
    short = ""
    if token.expires_at < now + timedelta(hours=params["min_validity_hours"]):
        ends = format_time(token.expires_at)
        short = f"The new token works until {ends}, less than min_validity_hours: each run refreshes it."
    warnings = (*renewal.warnings, *filter(None, [short]))
    return HandedOver(planned, token, renewal.registry, renewal.leftovers, renewal.moved, warnings, images)


def note_all(handed: list[HandedOver], client: Clients) -> tuple[dict[str | None, CredentialResult], list[Failure]]:
    try:
        record_tokens(handed, client.aws.clock())
    except CollectionError as error:
        return {}, [Failure(one.plan.region, unnoted(error, one.token)) for one in handed]
    leftovers = [registry for one in handed for registry in one.leftovers]
    try:
        kept = clear(client.api, leftovers)
    except CollectionError as error:
        replaced = [one for one in handed if one.leftovers]
        return {one.plan.region: refreshed(one, []) for one in handed if not one.leftovers}, [
            Failure(one.plan.region, left_behind(error, one)) for one in replaced
        ]
    return {one.plan.region: refreshed(one, kept) for one in handed}, []


def record_tokens(handed: list[HandedOver], now: datetime) -> None:
    """Tag each token's end and the key that minted it; drop tags long past, and of replaced credentials."""
    state = handed[0].plan.state
    if not (state.store and state.entry and state.entry.key):
        return
    key = state.entry.key.access_key_id
    state.store.tag({OURS + one.registry["id"]: f"{format_time(one.token.expires_at)} {key}" for one in handed})
    former = [each for one in handed for each in one.plan.state.pair if each["id"] != one.registry["id"]]
    forget(state, former, long_past(state, now))


def refreshed(one: HandedOver, all_kept: list[RetainedCredential]) -> CredentialResult:
    kept = [left for left in all_kept if left.registry in one.leftovers]
    state, region = one.plan.state, one.plan.region
    described = describe(one.registry, one.plan.name, region, one.token.expires_at)
    before = to_diff(state, primary(state), state.pair, region)
    after = {**described, **called(left.registry for left in kept)}
    item = item_of(described, True, report(one.moved, kept))
    return CredentialResult(True, before, after, item, (*one.warnings, *stays(kept)), one.images)


def finish(planned: CredentialPlan, images: tuple[Json, ...], check_mode: bool, api: Client) -> CredentialResult:
    state, live, region = planned.state, planned.live or {}, planned.region
    spares = [registry for registry in state.pair if registry != live]
    stale = any(OURS + registry["id"] in state.tags for registry in spares)
    if not check_mode:
        forget(state, spares)
    moved, kept = apply_cleanup(api, spares, live, check_mode)
    described = describe(live, None, region, expiry(state, live))
    before = to_diff(state, live, state.pair, region)
    after = to_diff(state, live, [left.registry for left in kept], region)
    changed = stale or bool(moved) or before != after
    item = item_of(described, False, report(moved, kept))
    return CredentialResult(changed, before, after, item, (*releases(moved), *stays(kept)), images)


def remove(planned: CredentialPlan, check_mode: bool, api: Client) -> CredentialResult:
    state, region = planned.state, planned.region
    current = primary(state)
    kept = clear(api, state.pair, check_mode, state.users)
    left = [one.registry for one in kept]
    gone = [registry for registry in state.pair if registry not in left]
    if not check_mode:
        forget(state, gone)
    rest = current if current in left else next(iter(left), None)
    before, after = to_diff(state, current, state.pair, region), to_diff(state, rest, left, region)
    described = describe(rest, planned.name, region, expiry(state, rest)) if rest else None
    none = {**describe(None, planned.name, region, None), "id": None}
    item = {**item_of(described or none, False, report([], kept)), "other_registries": others(state)}
    return CredentialResult(bool(gone), before, after, item, in_use(kept))


def forget(current: CredentialState, registries: Iterable[Json], more: Iterable[str] = ()) -> None:
    """An entry that is being deleted takes its tags along."""
    names = [OURS + registry["id"] for registry in registries if OURS + registry["id"] in current.tags]
    names += more
    if names and current.store and current.entry and not current.entry.deleted:
        current.store.untag(names)


def failed(error: CollectionError, expires_at: datetime | None, now: datetime, current: bool = True) -> RefreshError:
    return RefreshError(error, expires_at, remaining("RunPod", expires_at, now) if current else "")


def unnoted(error: CollectionError, token: Token) -> RefreshError:
    ends = format_time(token.expires_at)
    message = f"RunPod holds a new token, which works until {ends}, but nothing notes that: a plain re-run mends it."
    return RefreshError(error, token.expires_at, message, changed=True)


def left_behind(error: CollectionError, one: HandedOver) -> RefreshError:
    former = ", ".join(label(registry) for registry in one.leftovers)
    message = f"The new token is at RunPod and in use; a plain re-run removes what it replaced ({former})."
    return RefreshError(error, one.token.expires_at, message, changed=True)


# Report


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
