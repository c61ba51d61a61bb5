# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from ansible_collections.amazon.aws.plugins.module_utils.policy import compare_policies

from .._aws.policy_document import listed, policy_size
from .._aws.pull_document import IMPORT, pull_document
from .._core.errors import InputError, Json
from .._oci.reference import ARN
from .principal import INLINE_LIMITS, USER, Principal

NAME = "gpuops-runpod-pull"
LIMIT = INLINE_LIMITS[USER]
MANAGED_LIMIT = 6144
document = pull_document


def pull_statement(policy: Json | None) -> Json:
    statements = (policy or {}).get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    return next((statement for statement in statements if statement.get("Sid") == "Pull"), {})


def repositories_of(policy: Json | None) -> list[str]:
    """Return the repositories that ours opens; other resources there are not of our making."""
    return sorted(arn for arn in listed(pull_statement(policy).get("Resource", [])) if ARN.fullmatch(arn))


def pulls_through(policy: Json | None) -> bool:
    return IMPORT in listed(pull_statement(policy).get("Action", []))


def merged(one: Json | None, two: Json | None) -> Json | None:
    """Either document may be missing."""
    if one is None or two is None:
        return one or two
    return document([*repositories_of(one), *repositories_of(two)], pulls_through(one) or pulls_through(two))


def desired_document(current: Json | None, arns: list[str], purge: bool, pull_through: bool = False) -> Json:
    """Return these repositories, and present ones unless they are purged."""
    return document(arns if purge else [*arns, *repositories_of(current)], pull_through)


def differs(current: Json | None, wanted: Json | None) -> bool:
    """Order and one-item lists do not matter."""
    if current is None or wanted is None:
        return current is not wanted
    return compare_policies(current, wanted)


def grows(current: Json | None, wanted: Json | None) -> bool:
    had = repositories_of(current)
    enough = [document(had, pull_through) for pull_through in (True, pulls_through(wanted))]
    return not set(repositories_of(wanted)) <= set(had) or all(differs(current, known) for known in enough)


def regions_of(arns: Iterable[str]) -> list[str]:
    """A repository with a wildcard names no region."""
    return sorted({region for region in (arn.split(":")[3] for arn in arns) if not re.search(r"[*?]", region)})


def commonest_prefix(arns: Iterable[str]) -> str:
    """Return the pattern for most repositories; empty when no two share a prefix."""
    names = (arn.partition(":repository/")[2] for arn in arns)
    prefixes = Counter(name.rpartition("/")[0] for name in names if "/" in name and not name.endswith("*"))
    prefix, count = prefixes.most_common(1)[0] if prefixes else ("", 0)
    return f"{prefix}/*" if count > 1 else ""


def check_size(principal: Principal, policy: Json, others_size: int = 0) -> None:
    """Raise InputError when no policy can take the document."""
    own, limit = policy_size(policy), principal.inline_limit
    if own <= max(MANAGED_LIMIT, limit - others_size):
        return
    arns = repositories_of(policy)
    pattern = commonest_prefix(arns)
    example = f"such as {pattern!r}, " if pattern else ""
    kind = principal.kind
    raise InputError(
        f"The policy of the {kind} {principal.name} for {len(arns)} repositories would have {own} characters, but IAM "
        f"allows {limit} for all inline policies of a {kind} and {MANAGED_LIMIT} for a managed policy. Nothing was "
        f"changed. Name a prefix with a wildcard, {example}instead of single repositories, with purge_repositories: "
        "true so that it replaces them."
    )
