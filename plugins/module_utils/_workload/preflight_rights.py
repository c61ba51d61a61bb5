# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: which rights a run needs, and what AWS says of them.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .._aws import rights as table
from .._aws.policy_document import policy_size
from .._aws.stored_key import STORES
from .._core.errors import Json
from .._oci.reference import repository_arn
from .._pull_user import pull_policy
from .._pull_user.policy_state import OF_AWS, customer_arn, policy_of_aws
from .._pull_user.principal import INLINE_LIMITS, ROLE, USER, Principal
from .desired import DesiredState

OK, MISSING, UNKNOWN = "ok", "missing", "unknown"
BOUNDARY, ATTACHED = "iam:PermissionsBoundary", "iam:PolicyARN"
WRITES = ("converge", "rotate", "quarantine", "absent")
DOCUMENTS = "docs/policies"
SUFFIX = "-AbCdEf"  # Secrets Manager appends six characters at random


class Check(NamedTuple):
    """A line of the preflight. What is not required may be missing."""

    kind: str
    name: str
    status: str
    text: str
    remedy: str = ""
    required: bool = True


class CallerContext(NamedTuple):
    """Who runs this and where, and whose the pull user is; `boundary` is the one that it has or will get."""

    arn: str
    account: str
    partition: str
    region: str
    boundary: str = ""


class Right(NamedTuple):
    """One action on these resources, with condition keys as they will be."""

    rule: table.Rule
    action: str
    resources: tuple[str, ...]
    context: tuple[tuple[str, str], ...] = ()


class Verdict(NamedTuple):
    right: Right
    status: str
    reason: str = ""


def facts_of(desired: DesiredState) -> set[str]:
    """Return facts in the words of the table's `when`."""
    options, intent = desired.options, desired.intent
    kind = desired.store["type"]
    user = desired.by_user
    going = desired.former_identities if options["retire_former_identity"] and intent == "converge" else []
    found = {
        "write": intent in WRITES,
        "refresh": intent == "refresh",
        "audit": intent == "audit",
        "user": (user and intent != "refresh") or "user" in going,
        kind: user or "user" in going,
        "kms": user and bool(desired.store["kms_key_id"]),
        "role": (desired.by_role and intent != "refresh") or "role" in going,
        "assume": desired.by_session and intent in ("converge", "refresh", "audit"),
        "caller": desired.access == "credential" and not (user or desired.by_session) and intent != "absent",
        "images": intent in ("converge", "audit"),
        "unbound": options["user_permissions_boundary"] == "",
        "many": is_many(desired),
        "managed": is_many(desired) or options["user_policy"] != "repositories",
        desired.access: True,
        "force": intent == "absent" and options["public_force"],
        "events": intent == "audit" and options["events"] is not None,
        "mirror": "ecr_image_mirror" in options["modules"],
        "users": "ecr_pull_user_info" in options["modules"],
    }
    return {word for word, holds in found.items() if holds}


def is_many(desired: DesiredState) -> bool:
    """Return whether an inline policy is too small for the repositories."""
    if not desired.repositories:
        return False
    dummy_arn, partition, dummy_service, region, account, dummy_name = desired.repositories[0].split(":", 5)
    further = desired.options["user_repositories"] or []
    arns = [*desired.repositories, *(repository_arn(name, partition, account, region) for name in further)]
    return policy_size(pull_policy.document(arns)) > INLINE_LIMITS[ROLE if desired.by_role else USER]


def needed_rights(desired: DesiredState, caller: CallerContext) -> list[Right]:
    facts = facts_of(desired)
    rows = [rule for rule in table.RULES if rule.concerns(facts)]
    return [
        Right(rule, action, resources(rule, desired, caller), context(rule, desired, caller))
        for rule in rows
        for action in rule.named()
        if concerns(action, facts, caller)
    ]


def concerns(action: str, facts: set[str], caller: CallerContext) -> bool:
    """Not all actions of a rule may be needed."""
    if action in ("iam:PutUserPermissionsBoundary", "iam:PutRolePermissionsBoundary"):
        return bool(caller.boundary)
    needs = {
        "kms:GenerateDataKey": {"secretsmanager", "write"},
        "kms:Encrypt": {"ssm", "write"},
    }
    return needs.get(action, set()) <= facts


def resources(rule: table.Rule, desired: DesiredState, caller: CallerContext) -> tuple[str, ...]:
    """Return what stands for the table's examples in this run."""
    iam = f"arn:{caller.partition}:iam::{caller.account}"
    user, path = desired.options["user_name"], desired.options["user_path"]
    role = desired.options["role_name"]
    lent = desired.options["role_arn"] if rule.sid == "AssumePullRole" else None
    public = f"arn:{caller.partition}:ecr-public::{caller.account}"
    found: dict[str, tuple[str, ...]] = {
        table.USERS: (f"{iam}:user{path}{user}",),
        table.NO_SUCH_USER: (f"{iam}:user/{user}",),
        table.ROLES: (lent or f"{iam}:role{path}{role}",),
        table.NO_SUCH_ROLE: (f"{iam}:role/{role}",),
        table.CUSTOMER_POLICIES: (customer_arn(caller.partition, caller.account, path, puller_of(desired)),),
        table.SECRETS: (store_arn("secretsmanager", desired, caller) + SUFFIX,),
        table.PARAMETERS: (store_arn("ssm", desired, caller),),
        table.REPOSITORIES: tuple(desired.repositories),
        table.PUBLIC_REPOSITORIES: tuple(f"{public}:repository/{name}" for name in public_names(desired)),
        table.PUBLIC_REGISTRIES: (f"{public}:registry/{caller.account}",),
        table.KEYS: (key_arn(desired, caller),),
        table.ALL: (table.ALL,),
    }
    return found[rule.resource]


def public_names(desired: DesiredState) -> list[str]:
    return sorted(set(desired.public_names.values()))


def store_arn(kind: str, desired: DesiredState, caller: CallerContext) -> str:
    store = desired.store
    dummy: Any = None
    return STORES[kind](dummy, store["name"], store["region"] or caller.region, None, {}).arn(
        caller.partition, caller.account
    )


def key_arn(desired: DesiredState, caller: CallerContext) -> str:
    key = str(desired.store["kms_key_id"])
    region = desired.store["region"] or caller.region
    head = f"arn:{caller.partition}:kms:{region}:{caller.account}:"
    return key if key.startswith("arn:") else head + (key if key.startswith("alias/") else f"key/{key}")


def context(rule: table.Rule, desired: DesiredState, caller: CallerContext) -> tuple[tuple[str, str], ...]:
    """Return the condition keys that AWS will see."""
    found = {}
    if BOUNDARY in rule.condition and caller.boundary:
        found[BOUNDARY] = caller.boundary
    if ATTACHED in rule.condition:
        found[ATTACHED] = attached_policy(desired, caller)
    return tuple(found.items())


def attached_policy(desired: DesiredState, caller: CallerContext) -> str:
    way = desired.options["user_policy"]
    if way in OF_AWS:
        return policy_of_aws(caller.partition, way)
    return customer_arn(caller.partition, caller.account, desired.options["user_path"], puller_of(desired))


def puller_of(desired: DesiredState) -> Principal:
    if desired.by_role:
        return Principal(ROLE, desired.options["role_name"])
    return Principal(USER, desired.options["user_name"])


# What AWS says


def batches(rights: Iterable[Right]) -> list[list[Right]]:
    """Return rights that one simulation can judge together."""
    found: dict[tuple[Any, ...], list[Right]] = {}
    for right in rights:
        found.setdefault((right.resources, right.context), []).append(right)
    return list(found.values())


def verdicts(batch: list[Right], results: Iterable[Json]) -> list[Verdict]:
    """A right that the simulation does not speak of is unknown."""
    denied: dict[str, str] = {}
    judged: set[str] = set()
    for result in results:
        action = result["EvalActionName"].lower()
        for one in result.get("ResourceSpecificResults") or [result]:
            judged.add(action)
            decision = one.get("EvalResourceDecision") or one["EvalDecision"]
            if decision != "allowed":
                denied.setdefault(action, reason_of(decision, {**result, **one}))
    return [
        Verdict(right, UNKNOWN, "the simulation does not tell")
        if right.action.lower() not in judged
        else Verdict(right, MISSING if right.action.lower() in denied else OK, denied.get(right.action.lower(), ""))
        for right in batch
    ]


def reason_of(decision: str, result: Json) -> str:
    if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
        return "a service control policy of the organization does not allow it"
    if result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
        return "the permissions boundary does not allow it"
    return "a policy denies it" if decision == "explicitDeny" else "no policy allows it"


# What is told


def right_checks(found: Iterable[Verdict], desired: DesiredState, caller: CallerContext) -> list[Check]:
    """Return a line for each missing right; others of a rule share one for what is said alike."""
    together: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict in found:
        rule, status = verdict.right.rule, status_of(verdict)
        apart = verdict.right.action if status == MISSING or is_of_key(verdict) else ""
        together.setdefault((rule.sid, status, verdict.reason, apart), []).append(verdict)
    return [right_check(same, desired, caller) for same in together.values()]


def right_check(same: list[Verdict], desired: DesiredState, caller: CallerContext) -> Check:
    first = same[0]
    actions = list(dict.fromkeys(one.right.action for one in same))
    name = actions[0] if len(actions) == 1 else f"{actions[0]} and {len(actions) - 1} more"
    text = f"{', '.join(actions[1:])}{' ' * (len(actions) > 1)}on {resource_names(first.right.resources)}"
    message = f"{text}: {first.reason}" if first.reason else text
    advice = "" if first.status == OK else remedy(first, desired, caller)
    return Check("right", name, status_of(first), message, advice, first.right.rule.required)


def status_of(verdict: Verdict) -> str:
    return UNKNOWN if may_be_granted_elsewhere(verdict) else verdict.status


def is_of_key(verdict: Verdict) -> bool:
    return verdict.right.action.startswith("kms:")


def may_be_granted_elsewhere(verdict: Verdict) -> bool:
    """Return whether a policy that no simulation sees may allow it."""
    return is_of_key(verdict) and verdict.reason == "no policy allows it"


def remedy(verdict: Verdict, desired: DesiredState, caller: CallerContext) -> str:
    right = verdict.right
    if verdict.reason.startswith("a service control policy"):
        return f"Let who keeps the organization's policies allow {right.action} for {caller.arn}."
    allow = f"Allow {right.action} on {resource_names(right.resources)} for {caller.arn}{source(right.rule)}"
    if verdict.status == UNKNOWN:
        return f"See that {caller.arn} has them{source(right.rule)}."
    if verdict.reason == "a policy denies it":
        return f"Look for a Deny in the policies of {caller.arn}, its groups and its boundary, and take it away."
    if is_of_key(verdict):
        return f"{allow}, or let the key's own policy do so."
    if right.action == "sts:AssumeRole":
        return f"{allow}, and name it in the trust of the role."
    if BOUNDARY in right.rule.condition and not caller.boundary:
        return f"Set runpod_ecr_user_permissions_boundary, where the operator is bound to it. Else a{allow[1:]}."
    return f"{allow}."


def source(rule: table.Rule) -> str:
    return f": statement {rule.sid} of {DOCUMENTS}/{rule.documents.split()[0]}.json" if rule.documents else ""


def resource_names(resources: tuple[str, ...]) -> str:
    more = f" and {len(resources) - 1} more" if len(resources) > 1 else ""
    return f"{resources[0]}{more}"


def lines_of(checks: Iterable[Check], intent: str, ready: bool) -> list[str]:
    """Return a summary, then what is wrong first."""
    order = {MISSING: 0, UNKNOWN: 1, OK: 2}
    listed = sorted(checks, key=lambda one: order[one.status])
    count = {status: sum(one.status == status for one in listed) for status in order}
    summary = f"{'Ready' if ready else 'Not ready'} to {intent}: " + ", ".join(
        f"{number} {status}" for status, number in count.items()
    )
    width = max((len(one.name) for one in listed), default=0)
    return [summary, *(line_of(one, width) for one in listed)]


def line_of(check: Check, width: int) -> str:
    optional = "" if check.required or check.status == OK else " (optional)"
    advice = f" -> {check.remedy}" if check.remedy and check.status != OK else ""
    return f"{check.status.upper():8}{check.name:{width}}  {check.text}{optional}{advice}"
