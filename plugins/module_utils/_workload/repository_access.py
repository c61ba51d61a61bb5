# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a repository's policy means for a role of another account. A deny counts wherever it
# stands, an allow whoever put it there. A condition on what nobody outside can know may hold: None.

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .._core.errors import Json
from .._ecr.repository_policy import listed, statements

PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability")
EVERYBODY = "*"


class Access(NamedTuple):
    """`allowed` is None when that hangs on what cannot be known."""

    allowed: bool | None
    denied_by: tuple[str, ...] = ()


def access(policy: Json | None, role: str) -> Access:
    numbered = list(enumerate(statements(policy), start=1))
    results, denials = [], []
    for action in PULL:
        effects = [(number, one, applies(one, role, action)) for number, one in numbered]
        denying = [label(number, one) for number, one, fits in effects if one.get("Effect") == "Deny" and fits]
        unsure = any(one.get("Effect") == "Deny" and fits is None for dummy, one, fits in effects)
        allowing = [fits for dummy, one, fits in effects if one.get("Effect") == "Allow"]
        denials += denying
        results.append(verdict(bool(denying), unsure, allowing))
    allowed = False if False in results else None if None in results else True
    return Access(allowed, tuple(dict.fromkeys(denials)))


def denied_by(policy: Json | None, roles: Iterable[str]) -> list[str]:
    """Return statements that deny one of the roles to pull, for certain."""
    return list(dict.fromkeys(sid for role in roles for sid in access(policy, role).denied_by))


def verdict(denied: bool, unsure: bool, allowing: list[bool | None]) -> bool | None:
    if denied or not any(one is not False for one in allowing):
        return False
    return None if unsure or True not in allowing else True


def label(number: int, statement: Json) -> str:
    return str(statement.get("Sid") or f"number {number}")


def open_to_all(policy: Json | None) -> list[str]:
    return [label(number, one) for number, one in enumerate(statements(policy), start=1) if is_open_to_all(one)]


def is_open_to_all(statement: Json) -> bool:
    if statement.get("Effect") != "Allow" or statement.get("Condition"):
        return False
    pulls = any(covers(statement, action) for action in PULL)
    return pulls and EVERYBODY in named(statement.get("Principal", []))


def applies(statement: Json, role: str, action: str) -> bool | None:
    if not (covers(statement, action) and is_for(statement, role)):
        return False
    tests = list(conditions(statement, role))
    return False if False in tests else None if None in tests else True


def covers(statement: Json, action: str) -> bool:
    given = [str(one).lower() for one in listed(statement.get("Action", statement.get("NotAction", [])))]
    fits = any(like(pattern, action.lower()) for pattern in given)
    return fits if "Action" in statement else not fits


def is_for(statement: Json, role: str) -> bool:
    if "NotPrincipal" in statement:
        return not includes(statement["NotPrincipal"], role)
    return includes(statement.get("Principal", []), role)


def includes(principal: Any, role: str) -> bool:
    account = role.split(":")[4]
    return bool({EVERYBODY, role, account, f"arn:aws:iam::{account}:root"} & named(principal))


def named(principal: Any) -> set[str]:
    """Services and federated identities are nobody here."""
    given = principal.get("AWS", []) if isinstance(principal, dict) else principal
    return set(map(str, listed(given)))


# Conditions


def conditions(statement: Json, role: str) -> Iterator[bool | None]:
    for operator, tests in statement.get("Condition", {}).items():
        for key, values in tests.items():
            yield holds(operator, key.lower(), [str(value) for value in listed(values)], role)


def holds(operator: str, key: str, values: list[str], role: str) -> bool | None:
    facts = {
        "aws:principalarn": role,
        "aws:principalaccount": role.split(":")[4],
        "aws:principaltype": "AssumedRole",
        "aws:principalisawsservice": "false",
        "aws:securetransport": "true",
        "aws:viaawsservice": "false",
    }
    plain = operator.split(":")[-1]
    if key not in facts:
        return None
    if plain == "Null":
        return "false" in [value.lower() for value in values]
    test = TESTS.get(plain.removesuffix("IfExists"))
    return test(facts[key], values) if test else None


def like(pattern: str, text: str) -> bool:
    wildcard = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wildcard, text, re.DOTALL) is not None


def equals(fact: str, values: list[str]) -> bool:
    return fact in values


def equals_whatever_case(fact: str, values: list[str]) -> bool:
    return fact.lower() in [value.lower() for value in values]


def matches(fact: str, values: list[str]) -> bool:
    return any(like(value, fact) for value in values)


def other(test: Callable[[str, list[str]], bool]) -> Callable[[str, list[str]], bool]:
    return lambda fact, values: not test(fact, values)


TESTS: dict[str, Callable[[str, list[str]], bool]] = {
    "StringEquals": equals,
    "StringNotEquals": other(equals),
    "StringEqualsIgnoreCase": equals_whatever_case,
    "StringNotEqualsIgnoreCase": other(equals_whatever_case),
    "StringLike": matches,
    "StringNotLike": other(matches),
    "ArnEquals": matches,
    "ArnNotEquals": other(matches),
    "ArnLike": matches,
    "ArnNotLike": other(matches),
    "Bool": equals_whatever_case,
}
