# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: a pull role. Nothing of it can be locked, so a run that has written looks again, and adds
# what another run has meanwhile taken away by adding to what it had read before.

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from .._aws.client import Aws
from .._core.errors import CollectionError, ConflictError, Json
from .._core.result import PartialError, Result
from .._oci.reference import repository_arn
from . import policy_attachment, policy_change, policy_read, policy_state
from .iam_role import (
    RoleAppearedError,
    RoleChange,
    RoleState,
    find_role,
    plan_role,
    role_after,
    write_role,
    write_trust,
)
from .options import check_role_options
from .policy_change import PolicyChange, is_needed, plan_record
from .principal import ROLE, Principal
from .principal_fields import FieldChange, check_managed, delete_principal, find_others, tags_after, write_tags
from .user_result import policy_result, still_there

SETTLING = 2.0  # seconds within which another run writes what it has read before
MOST_ROUNDS = 4


class RoleContext(NamedTuple):
    """`propagation_timeout` is how many seconds something new may take to arrive everywhere."""

    aws: Aws
    principal: Principal
    propagation_timeout: float

    def deadline(self) -> datetime:
        return self.aws.clock() + timedelta(seconds=self.propagation_timeout)


class RolePlan(NamedTuple):
    after: RoleState
    changed: bool
    role: RoleChange = RoleChange()
    policies: PolicyChange = PolicyChange()
    asked: list[str] | None = None


def run(params: Json, check_mode: bool, aws: Aws) -> Result:
    check_role_options(params)
    context = RoleContext(aws, Principal(ROLE, params["name"]), params["propagation_timeout"])
    former = len(aws.writes)
    try:
        return converge(context, params, check_mode)
    except CollectionError as error:
        if len(aws.writes) == former:
            raise
        raise PartialError(error, aws.writes[former:]) from error


def converge(context: RoleContext, params: Json, check_mode: bool) -> Result:
    before = state = read(context, params)
    plan = plan_for(state, params, context.aws.region)
    if check_mode or not plan.changed:
        return build_result(context, params, plan.changed, before, plan.after, plan.asked)
    rounds = MOST_ROUNDS
    while plan.changed:
        if not rounds:
            raise ConflictError(
                f"Something else keeps changing the IAM role {params['name']}: what this run writes is gone seconds "
                "later. Find it, and run again."
            )
        rounds -= 1
        try:
            state = apply(context, params, state, plan)
            if not plan.policies.attach:
                break
        except RoleAppearedError:
            pass
        context.aws.sleep(SETTLING)
        state = read(context, params)
        plan = plan_for(state, params, context.aws.region)
    result = build_result(context, params, True, before, state, plan.asked)
    return result._replace(changed=result.before != result.after)


# Reading


def read(context: RoleContext, params: Json) -> RoleState:
    aws, principal = context.aws, context.principal
    role = find_role(aws, principal.name)
    arn = (role["arn"] if role else aws.call("sts", "get_caller_identity")["Arn"]).split(":")
    state = RoleState(arn[1], arn[4], role)
    if params["state"] == "present":
        desired = desired_policy(params, state, aws.region)
        return state._replace(policies=policy_read.read_policies(aws, principal, role, desired))
    if role is None:
        return state
    check_managed(principal, role["tags"])
    state = state._replace(policies=policy_read.read_policies(aws, principal, role))
    ours = policy_state.attached_arns(state.partition, state.policies)
    return state._replace(others=tuple(find_others(aws, principal, (), ours)))


def desired_policy(params: Json, state: RoleState, region: str) -> policy_state.DesiredPolicy:
    asked, principal = params["repositories"], Principal(ROLE, params["name"])
    if asked is not None:
        asked = [repository_arn(name, state.partition, state.account, region) for name in asked]
    return policy_state.DesiredPolicy(
        principal,
        state.partition,
        params["policy"],
        asked,
        params["purge_repositories"],
        params["pull_through"],
        policy_state.customer_arn(state.partition, state.account, params["path"], principal),
    )


# Planning


def plan_for(state: RoleState, params: Json, region: str) -> RolePlan:
    """Raise InputError or ConflictError before anything is changed."""
    return plan_absent(state) if params["state"] == "absent" else plan_present(state, params, region)


def plan_present(state: RoleState, params: Json, region: str) -> RolePlan:
    change = plan_role(state, params)
    desired = desired_policy(params, state, region)
    move = policy_change.plan_policies(state.policies, desired)
    ahead, stale = plan_record(state.tags, move.ahead)
    fields = change.fields
    fields = fields._replace(tag={**fields.tag, **ahead}, untag=(*fields.untag, *stale))
    change = change._replace(fields=fields)
    role = role_after(state, params["name"], change)
    role["tags"] = tags_after(role["tags"], *plan_record(role["tags"], move.record))
    after = state._replace(role=role, policies=policy_change.policies_after(state.policies, move))
    return RolePlan(after, change != RoleChange() or is_needed(move), change, move, desired.asked)


def plan_absent(state: RoleState) -> RolePlan:
    """What is ours goes, and the role unless others gave it something."""
    there = state.policies.there
    after = RoleState(state.partition, state.account, None, others=state.others)
    tags: tuple[Json, tuple[str, ...]] = ({}, ())
    if state.role and state.others:
        tags = plan_record(state.tags, frozenset({policy_state.INLINE}))
        after = after._replace(role={**state.role, "tags": tags_after(state.tags, *tags)})
    gone = state.role is not None and not state.others
    fields = FieldChange(None, *tags)
    return RolePlan(after, gone or bool(there) or any(tags), RoleChange(fields=fields), PolicyChange(detach=there))


# Writing


def apply(context: RoleContext, params: Json, state: RoleState, plan: RolePlan) -> RoleState:
    return apply_removal(context, state, plan) if params["state"] == "absent" else apply_present(context, state, plan)


def apply_present(context: RoleContext, state: RoleState, plan: RolePlan) -> RoleState:
    """Rights come before the trust in whoever may use them, and the former ones go when the new ones are there."""
    aws, principal, change, move = context.aws, context.principal, plan.role, plan.policies
    write_role(aws, principal, change)
    policy_attachment.replace(
        aws, principal, state.partition, state.policies, move, context.deadline(), is_new=change.create
    )
    tags = role_after(state, principal.name, change)["tags"]
    write_tags(aws, principal, *plan_record(tags, move.record))
    if change.trust and not change.create:
        write_trust(aws, principal, change.trust)
    return plan.after


def apply_removal(context: RoleContext, state: RoleState, plan: RolePlan) -> RoleState:
    """Rights go first, which ends tokens in use."""
    aws, principal = context.aws, context.principal
    stuck = policy_attachment.detach(aws, principal, state.partition, state.policies, plan.policies.detach)
    others = [*stuck, *state.others] or delete_principal(aws, principal)
    if not others:
        return plan.after
    made = frozenset({policy_state.CUSTOMER if stuck else policy_state.INLINE})
    tags = plan_record(state.tags, made)
    write_tags(aws, principal, *tags)
    return plan.after._replace(role={**(state.role or {}), "tags": tags_after(state.tags, *tags)}, others=tuple(others))


# Reporting


def build_result(
    context: RoleContext, params: Json, changed: bool, before: RoleState, after: RoleState, asked: list[str] | None
) -> Result:
    view = policy_state.current_view(context.principal, after.policies)
    results: Json = {"role": after.role, "policy": policy_result(view, asked)}
    warnings: tuple[str, ...] = ()
    if params["state"] == "absent":
        results["remaining"] = list(after.others)
        warnings = (still_there(context.principal, list(after.others)),) if after.others else ()
    return Result(changed, for_diff(context, before), for_diff(context, after), results, warnings)


def for_diff(context: RoleContext, state: RoleState) -> Json | None:
    if state.role is None:
        return None
    view = policy_state.current_view(context.principal, state.policies)
    policy = {"kind": view.kind, "name": view.name, "document": view.document}
    return {"role": state.role, "policy": policy}
