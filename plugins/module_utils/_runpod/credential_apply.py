# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: a token is handed over, then noted, then what it replaced is cleared away.

from __future__ import annotations

from datetime import datetime, timedelta

from .._aws.ecr_token import Token
from .._aws.secret_entry import OURS
from .._aws.token_source import RefreshError, young_deadline
from .._core.errors import CollectionError, Json, concerns_all
from .._core.time import format_time
from .credential_cleanup import RetainedCredential, clear, report, stays
from .credential_failure import Failure, failed
from .credential_minting import mint_in_time
from .credential_names import called
from .credential_plan import REFRESH, REMOVE, CredentialPlan, HandedOver
from .credential_removal import finish, remove
from .credential_replacement import renew
from .credential_result import CredentialResult, describe, item_of, to_diff
from .credential_state import Clients, expiry, forget, long_past, primary, working
from .references import label


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
        minted = mint_in_time(client.aws, planned, params["propagation_timeout"])
        images = verify_images(planned, minted.token, params, client)
    return finish(planned, images, False, client.api)


def verify_images(planned: CredentialPlan, token: Token, params: Json, client: Clients) -> tuple[Json, ...]:
    if not planned.images:
        return ()
    until_then = young_deadline(planned.state.source, params["propagation_timeout"], client.aws.clock())
    return tuple(client.verify(list(planned.images), token, until_then))


def hand_over(planned: CredentialPlan, params: Json, client: Clients) -> HandedOver:
    state, current, now = planned.state, primary(planned.state), client.aws.clock()
    try:
        token, opens_more = mint_in_time(client.aws, planned, params["propagation_timeout"])
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
    warnings = (*renewal.warnings, *filter(None, [short, opens_more]))
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


def unnoted(error: CollectionError, token: Token) -> RefreshError:
    ends = format_time(token.expires_at)
    message = f"RunPod holds a new token, which works until {ends}, but nothing notes that: a plain re-run mends it."
    return RefreshError(error, token.expires_at, message, changed=True)


def left_behind(error: CollectionError, one: HandedOver) -> RefreshError:
    former = ", ".join(label(registry) for registry in one.leftovers)
    message = f"The new token is at RunPod and in use; a plain re-run removes what it replaced ({former})."
    return RefreshError(error, one.token.expires_at, message, changed=True)
