# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. Changes are made under the entry's lock, so that of two runs the second builds on the
# first.

from __future__ import annotations

from .._aws.client import Aws
from .._aws.ecr_token import verify_key
from .._aws.secret_entry import is_busy
from .._aws.stored_key import store_of
from .._core.errors import CollectionError, ConflictError, Json
from .._core.result import PartialError, Result
from . import pull_policy as _policy
from . import quarantine as _quarantine
from .entry_lock import KeyContext, LockLostError
from .iam_user import UserState
from .options import check_options
from .user_apply import apply, repositories_in_use
from .user_plan import UserPlan, check_warnings, plan_for
from .user_read import read, read_anew
from .user_result import build_result

SECOND_LOOK = 4.0  # seconds until a name is tried again whose entry is being deleted


def run(params: Json, check_mode: bool, aws: Aws) -> Result:
    check_options(params)
    store = store_of(aws, params["secret_store"], params["name"])
    context = KeyContext(aws, store, params["name"], params["propagation_timeout"])
    former = len(aws.writes)
    try:
        if params["state"] == "quarantined":
            return _quarantine.run(context, params, check_mode)
        return converge(context, params, check_mode)
    except CollectionError as error:
        if len(aws.writes) == former:
            raise
        raise PartialError(error, aws.writes[former:]) from error


def converge(context: KeyContext, params: Json, check_mode: bool) -> Result:
    aws, deadline, written = context.aws, context.deadline(), len(context.aws.writes)
    state = before = read(context, params)
    pause = 1.0
    while True:
        former_entry = state.entry
        try:
            plan = plan_for(state, params, aws.region, aws.clock())
        except ConflictError:
            former, state = state, read_anew(context, params)
            if state == former:
                raise
            continue
        if check_mode or not plan.changed:
            warnings = (*plan.warnings, *check_warnings(context, state, plan))
            changed = plan.changed or len(aws.writes) > written
            return build_result(context, params, changed, before, plan.after, plan.asked, plan.rotated, warnings)
        lost = None
        if is_busy(state.entry, aws.clock(), context.propagation_timeout):
            aws.sleep(pause)
            pause = min(pause * 2, 8.0)
        elif plan.keep_key and state.entry and state.entry.deleted:
            context.store.restore()
        else:
            try:
                return finish(context, params, before, *apply(context, params, state, plan))
            except LockLostError as error:
                lost = error
        state = read(context, params)
        if lost and state.entry == former_entry:  # nobody was faster: the store refuses
            if aws.clock() >= deadline:
                raise lost
            aws.sleep(SECOND_LOOK)


def finish(context: KeyContext, params: Json, before: UserState, after: UserState, plan: UserPlan) -> Result:
    """A user that only AWS keeps has not changed."""
    prove_new(context, before, after, plan)
    result = build_result(context, params, True, before, after, plan.asked, plan.rotated, plan.warnings)
    stays = params["state"] == "absent" and after.user is not None
    return result._replace(changed=result.before != result.after if stays else True)


def prove_new(context: KeyContext, before: UserState, after: UserState, plan: UserPlan) -> None:
    """Prove the stored key wherever it will be used, unless it was there before."""
    entry = after.entry
    if plan.rotated or not (entry and entry.key) or entry.key.access_key_id in {key.id for key in before.keys}:
        return
    regions = _policy.regions_of(repositories_in_use(context.user, plan))
    verify_key(context.aws, entry.key, regions, context.deadline())
