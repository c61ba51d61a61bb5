# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.policy import compare_policies

from .._aws.policy_document import compact
from .._aws.runpod_roles import EVER_PUBLISHED
from .._core.errors import ConflictError, InputError, Json
from .answer import AnswerError

LIMIT = 10240  # characters of a repository's policy
EMPTY: Json = {"Version": "2012-10-17", "Statement": []}


# RunPod's text: the first action has no effect here, but RunPod may look for this shape.
ACTIONS = (
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
)
PRINCIPAL_ARN = re.compile(r"arn:aws:iam::\d{12}:(?:role|user)/[\w+=,.@/-]+")
POSITIVE = {"StringEquals", "StringLike", "ArnEquals", "ArnLike"}  # narrow to the values they list
GONE = re.compile(r"A(?:ROA|IDA)[A-Z0-9]{12,}")  # how AWS shows a deleted role or user


def statement(sid: str, arns: Iterable[str]) -> Json:
    """Raise InputError when the statement would not be narrow."""
    given = list(dict.fromkeys(arns))
    if not sid:
        raise InputError("statement_id is empty: the statement is found again by it.")
    if not (sid.isascii() and sid.isprintable()):
        raise InputError(f"statement_id: {sid!r} holds characters that a Sid cannot have.")
    if not given:
        raise InputError("principal_arns is empty: the statement would let every identity on AWS pull.")
    for arn in given:
        if re.search(r"[*?]", arn):
            raise InputError(f"principal_arns: {arn!r} holds a wildcard; name each role or user by its full ARN.")
        if not PRINCIPAL_ARN.fullmatch(arn):
            raise InputError(f"principal_arns: {arn!r} is not the ARN of a role or user (arn:aws:iam::ACCOUNT:role/…).")
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": "*",
        "Action": list(ACTIONS),
        "Condition": {"StringEquals": {"aws:PrincipalArn": given}},
    }


def parse(arn: str, text: str) -> Json:
    """Raise CollectionError for what no policy can be."""
    try:
        policy = json.loads(text)
        fault = fault_of(policy)
    except (ValueError, RecursionError):
        fault = "it is not JSON"
    if fault:
        raise AnswerError("ecr:GetRepositoryPolicy", f"{arn}: what came is not the policy of a repository: {fault}")
    return policy


def fault_of(policy: Any) -> str:
    """Return "" for a policy."""
    if not isinstance(policy, dict) or "Statement" not in policy:
        return "it has no Statement"
    for number, each in enumerate(listed(policy["Statement"])):
        place = f"Statement[{number}]"
        if not isinstance(each, dict):
            return f"{place} is no object"
        if not isinstance(each.get("Sid", ""), str):
            return f"{place}.Sid is no text"
        if not all(map(is_principal, listed(each.get("Principal", "*")))):
            return f"{place}.Principal is neither a text nor an object of texts"
        condition = each.get("Condition", {})
        if not (isinstance(condition, dict) and all(isinstance(tests, dict) for tests in condition.values())):
            return f"{place}.Condition is no object of objects"
    return ""


def is_principal(value: Any) -> bool:
    names = value.values() if isinstance(value, dict) else [value]
    return all(isinstance(name, str) for one in names for name in listed(one))


def statements(policy: Json | None) -> list[Json]:
    """A single statement may stand without a list."""
    return listed((policy or EMPTY)["Statement"])


def own(policy: Json | None, sid: str) -> list[Json]:
    """ECR lets several statements bear one Sid."""
    return [each for each in statements(policy) if each.get("Sid") == sid]


def foreign(policy: Json | None, sid: str) -> list[Json]:
    return [each for each in statements(policy) if each.get("Sid") != sid]


def same(one: Json, other: Json) -> bool:
    """Order, one-item lists and a needless Resource do not matter."""
    return not compare_policies({"Statement": [without_resource(one)]}, {"Statement": [without_resource(other)]})


def without_resource(given: Json) -> Json:
    """A policy hangs on one repository, so Resource says nothing."""
    return {key: value for key, value in given.items() if not (key == "Resource" and value in ("*", ["*"]))}


def merge(policy: Json | None, wanted: Json) -> Json:
    """Return the policy with the statement in the place of its Sid, else at the end."""
    sid = wanted["Sid"]
    place = next((at for at, each in enumerate(statements(policy)) if each.get("Sid") == sid), None)
    merged = foreign(policy, sid)
    merged.insert(len(merged) if place is None else place, wanted)
    return {**(policy or EMPTY), "Statement": merged}


def without(policy: Json, sid: str) -> Json | None:
    """Return None when no statement is left."""
    others = foreign(policy, sid)
    return {**policy, "Statement": others} if others else None


def planned(policy: Json | None, sid: str, wanted: Json | None) -> Json | None:
    """Return the policy itself when nothing is to be done. `wanted` None removes the statement."""
    found = own(policy, sid)
    if wanted is None:
        return without(policy, sid) if policy and found else policy
    if len(found) == 1 and same(found[0], wanted):
        return policy
    return merge(policy, wanted)


def lost(policy: Json | None, written: Iterable[Json]) -> list[Json]:
    """Return written statements that the policy lacks in any version."""
    found = statements(policy)
    sids = {each["Sid"] for each in found if each.get("Sid")}
    return [each for each in written if each.get("Sid") not in sids and not any(same(each, other) for other in found)]


def restored(policy: Json | None, missing: list[Json]) -> Json | None:
    return {**(policy or EMPTY), "Statement": [*statements(policy), *missing]} if missing else policy


def principals(given: Json) -> set[str]:
    """Return the Principal, or the ARNs to which the Condition narrows "*"."""
    principal = given.get("Principal", [])
    kinds = principal.values() if isinstance(principal, dict) else [principal]
    named = {name for kind in kinds for name in listed(kind)}
    if "*" not in named:
        return named
    return (named - {"*"}) | (narrowed(given.get("Condition", {})) or {"*"})


def narrowed(condition: Json) -> set[str]:
    return {
        arn
        for operator, tests in condition.items()
        if operator in POSITIVE
        for key, arns in tests.items()
        if key.lower() == "aws:principalarn"
        for arn in map(str, listed(arns))
    }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def drift(found: list[Json], wanted: Json | None) -> dict[str, list[str]]:
    """Return missing and surplus ARNs."""
    if not (found and wanted):
        return {"missing": [], "outdated": []}
    has, needs = set().union(*map(principals, found)), principals(wanted)
    return {"missing": sorted(needs - has), "outdated": sorted(has - needs)}


def check_own(arn: str, found: list[Json], known: Iterable[str]) -> None:
    """Raise ConflictError for a statement of others than the known, or that grants nothing."""
    for each in found:
        strangers = sorted(
            name for name in principals(each) - {*known} - EVER_PUBLISHED if name == "*" or not GONE.fullmatch(name)
        )
        about = f"{arn}: the statement {each['Sid']} in its policy"
        remedy = "Remove that statement, or choose another statement_id."
        if each.get("Effect") != "Allow" or "Principal" not in each or "NotAction" in each:
            raise ConflictError(f"{about} is not one that allows actions to principals. {remedy}")
        if strangers:
            raise ConflictError(
                f"{about} is for {', '.join(strangers)}: neither in principal_arns nor ever published by RunPod. "
                f"{remedy} Statements for other roles of yours need those in principal_arns."
            )


def size(policy: Json | None) -> int:
    """Return the characters of the policy as sent."""
    return len(compact(policy)) if policy else 0


def check_size(arn: str, policy: Json | None) -> None:
    """Raise InputError with the figures."""
    if size(policy) > LIMIT:
        raise InputError(
            f"{arn}: its policy would have {size(policy)} characters in {len(statements(policy))} statements, but ECR "
            f"allows {LIMIT}. Remove or shorten statements of others first."
        )
