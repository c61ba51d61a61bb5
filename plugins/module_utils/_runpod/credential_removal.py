# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what goes: the alternate of a credential that stays, or all of a region.

from __future__ import annotations

from .._aws.secret_entry import OURS
from .._core.errors import Json
from .client import Client
from .credential_cleanup import apply_cleanup, clear, in_use, report, stays
from .credential_plan import CredentialPlan
from .credential_result import CredentialResult, describe, item_of, to_diff
from .credential_state import expiry, forget, others, primary
from .credential_users import releases


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
