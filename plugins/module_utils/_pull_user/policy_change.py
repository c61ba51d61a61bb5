# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: which policies are made and taken away. A run that dies after any step leaves the rights,
# and a tag that names what is to be finished:
#
#   1. the tag names the new way beside the former ones
#   2. the new policy is made and attached
#   3. the former ones are taken away
#   4. the tag names the new way alone

from __future__ import annotations

from typing import NamedTuple

from .._core.errors import Json
from . import pull_policy as _policy
from .policy_state import (
    CUSTOMER,
    INLINE,
    NOTHING,
    OF_AWS,
    RECORD,
    AttachedPolicies,
    CustomerPolicy,
    DesiredPolicy,
    choose,
    policy_of_aws,
)


class PolicyChange(NamedTuple):
    """Make one policy, take others away, keep the record; without a target, nothing. The tag records `ahead` during
    the move and `record` afterwards; `arn` is the managed policy's.
    """

    target: str | None = None
    ahead: frozenset[str] | None = None
    record: frozenset[str] | None = None
    document: Json | None = None
    arn: str = ""
    attach: bool = False
    detach: frozenset[str] = frozenset()


def plan_record(tags: Json, made: frozenset[str] | None) -> tuple[Json, tuple[str, ...]]:
    """Return tags to add and to drop; `made` None leaves the record alone."""
    if made is None:
        return {}, ()
    if made == {INLINE}:
        return {}, (RECORD,) if RECORD in tags else ()
    value = " ".join(sorted(made)) or NOTHING
    return ({} if tags.get(RECORD) == value else {RECORD: value}), ()


def plan_policies(rights: AttachedPolicies, desired: DesiredPolicy) -> PolicyChange:
    """Raise InputError when no policy can hold what is wanted."""
    if desired.kind in OF_AWS:
        return plan_change(rights, desired.kind, None, policy_of_aws(desired.partition, desired.kind))
    document = desired.document(rights)
    if document is None:
        return PolicyChange()
    target = choose(desired.principal, rights, document)
    return plan_change(rights, target, document, rights.customer.arn if rights.customer else desired.arn)


def plan_change(rights: AttachedPolicies, target: str, document: Json | None, arn: str) -> PolicyChange:
    if target == INLINE:
        make = _policy.differs(rights.inline, document)
    elif target == CUSTOMER:
        current = rights.customer
        make = current is None or not current.attached or _policy.differs(current.document, document)
    else:
        make = target not in rights.attached
    theirs = target in OF_AWS and not make and target not in rights.made  # somebody else attached it
    record = frozenset() if theirs else frozenset({target})
    return PolicyChange(target, rights.made | record, record, document, arn, make, rights.there - {target})


def is_needed(move: PolicyChange) -> bool:
    return move.attach or bool(move.detach) or move.ahead != move.record


def grants(rights: AttachedPolicies, move: PolicyChange) -> bool:
    """Return whether a pull during the move may meet rights that have not arrived."""
    return move.attach and (bool(move.detach) or move.target in OF_AWS or _policy.grows(rights.granted, move.document))


def policies_after(rights: AttachedPolicies, move: PolicyChange) -> AttachedPolicies:
    if move.target is None or move.record is None:
        return rights
    if move.target in OF_AWS:
        return AttachedPolicies(move.record, attached=frozenset({move.target}))
    if move.target == CUSTOMER and move.document:
        return AttachedPolicies(move.record, customer=CustomerPolicy(move.arn, move.document, True))
    return AttachedPolicies(move.record, move.document)
