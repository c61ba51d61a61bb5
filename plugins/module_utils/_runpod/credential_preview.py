# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a run would do for a region's credential.

from __future__ import annotations

from .._core.errors import AwsError, Json
from .credential_cleanup import report
from .credential_failure import Failure, failed
from .credential_minting import mint_token, open_session
from .credential_plan import KEEP, REMOVE, CredentialPlan
from .credential_removal import finish, remove
from .credential_result import CredentialResult, describe, item_of, to_diff
from .credential_state import Clients, expiry, primary


def predict_all(
    plans: list[CredentialPlan], client: Clients, lenient: bool
) -> tuple[list[CredentialResult], list[Failure]]:
    """What an earlier task may still bring is no failure when `lenient`."""
    done, failures = [], []
    for each in plans:
        try:
            done.append(predict(each, client, lenient))
        except AwsError as error:
            current, now = primary(each.state), client.aws.clock()
            failures.append(Failure(each.region, failed(error, expiry(each.state, current), now, bool(current))))
    return done, failures


def predict(planned: CredentialPlan, client: Clients, lenient: bool) -> CredentialResult:
    if planned.action == REMOVE:
        return remove(planned, True, client.api)
    images, warnings = preview_token(planned, client, lenient)
    if planned.action == KEEP:
        kept = finish(planned, images, True, client.api)
        return kept._replace(warnings=(*warnings, *kept.warnings))
    current = primary(planned.state)
    after = describe(current, planned.name, planned.region, None)
    before = to_diff(planned.state, current, planned.state.pair, planned.region)
    return CredentialResult(True, before, after, item_of(after, True, report()), warnings, images)


def preview_token(planned: CredentialPlan, client: Clients, lenient: bool) -> tuple[tuple[Json, ...], tuple[str, ...]]:
    """Return the reports, as far as somebody could pull the images, and warnings of what the token opens."""
    state = planned.state
    keyless = state.store is not None and not (state.entry and state.entry.key)
    if planned.region is None or keyless or not (planned.images or state.minting):
        return (), ()
    try:
        if not planned.images and lenient:
            return (), tuple(filter(None, [open_session(client.aws, planned).opens_more]))
        minted = mint_token(client.aws, planned)
    except AwsError as error:
        if not lenient:
            raise
        return (), (f"Whether the images can be pulled cannot be told yet: {error}",) if planned.images else ()
    images = client.verify(list(planned.images), minted.token, None) if planned.images else []
    return tuple(images), tuple(filter(None, [minted.opens_more]))
