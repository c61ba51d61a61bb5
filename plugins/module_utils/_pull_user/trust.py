# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: who may assume a pull role.

from __future__ import annotations

import re

from .._aws.policy_document import policy_size
from .._core.errors import InputError, Json

ACCOUNT = re.compile(r"\d{12}")
PRINCIPAL = re.compile(
    r"arn:[\w-]+:(iam::\d{12}:(root|user/[^*?]+|role/[^*?]+)|sts::\d{12}:assumed-role/[^*?]+)", re.ASCII
)
PROVIDER = re.compile(r"arn:[\w-]+:iam::\d{12}:oidc-provider/(?P<host>\S+)", re.ASCII)
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
GITHUB = "token.actions.githubusercontent.com"
OWNED = re.compile(r"repo:[^*?/]+/.+")  # a subject of GitHub that names whose repositories
AUDIENCE = "sts.amazonaws.com"
LIMIT = 4096  # characters, the most that IAM's quota can be raised to
OF_PRINCIPALS, OF_PROVIDER = ("principal_arns", "external_id"), ("oidc_provider_arn", "audience", "subjects")
OPTIONS: Json = {
    "principal_arns": {"type": "list", "elements": "str"},
    "external_id": {"type": "str", "no_log": False},
    "oidc_provider_arn": {"type": "str"},
    "audience": {"type": "str"},
    "subjects": {"type": "list", "elements": "str"},
}


def trust_document(trust: list[Json], partition: str) -> Json:
    """Raise InputError for what IAM refuses, and for what would let anybody in."""
    if not trust:
        raise InputError(
            "trust is empty, but IAM has no role that nobody may assume: name somebody, or remove the role."
        )
    statements = [statement(each, position, partition) for position, each in enumerate(trust, start=1)]
    document = {"Version": "2012-10-17", "Statement": statements}
    size = policy_size(document)
    if size > LIMIT:
        raise InputError(f"trust would be a policy of {size} characters, and IAM allows {LIMIT} at most.")
    return document


def statement(given: Json, position: int, partition: str) -> Json:
    named = {key for key in (*OF_PRINCIPALS, *OF_PROVIDER) if given.get(key) is not None}
    where = f"trust, entry {position}"
    if "principal_arns" in named and named <= set(OF_PRINCIPALS):
        return of_principals(given, where, partition)
    if "oidc_provider_arn" in named and named <= set(OF_PROVIDER):
        return of_provider(given, where)
    raise InputError(
        f"{where}: name either principal_arns, with or without external_id, or oidc_provider_arn with subjects."
    )


def of_principals(given: Json, where: str, partition: str) -> Json:
    arns = [f"arn:{partition}:iam::{one}:root" if ACCOUNT.fullmatch(one) else one for one in given["principal_arns"]]
    wrong = [arn for arn in arns if not PRINCIPAL.fullmatch(arn)]
    if wrong or not arns:
        raise InputError(
            f"{where}: principal_arns {', '.join(wrong) or 'is empty'}: name ARNs of roles, users or accounts, without "
            "wildcards."
        )
    found = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": sorted(set(arns))}}
    external = given.get("external_id")
    if external is None:
        return found
    if not EXTERNAL_ID.fullmatch(external):
        raise InputError(f"{where}: external_id is 2 to 1224 of A-Z, a-z, 0-9 and _+=,.@:/-.")
    return {**found, "Condition": {"StringEquals": {"sts:ExternalId": external}}}


def of_provider(given: Json, where: str) -> Json:
    provider = PROVIDER.fullmatch(given["oidc_provider_arn"])
    if provider is None:
        raise InputError(
            f"{where}: oidc_provider_arn {given['oidc_provider_arn']!r} is no ARN of an OIDC provider of IAM."
        )
    host, subjects = provider["host"], sorted(set(given.get("subjects") or []))
    if not subjects or not all(one.strip("*?") for one in subjects):
        raise InputError(
            f"{where}: subjects must tell whom {host} has to vouch for; without them that is everybody it knows."
        )
    open_to_all = [one for one in subjects if host == GITHUB and re.search(r"[*?]", one) and not OWNED.fullmatch(one)]
    if open_to_all:
        raise InputError(
            f"{where}: subjects {', '.join(open_to_all)}: anybody's repository at GitHub fits. Name the owner, as in "
            "repo:OWNER/REPOSITORY:ref:refs/heads/main."
        )
    exact = {f"{host}:aud": given.get("audience") or AUDIENCE}
    like = any(re.search(r"[*?]", one) for one in subjects)
    condition: Json = {"StringEquals": exact, "StringLike": {f"{host}:sub": subjects}}
    if not like:
        condition = {"StringEquals": {**exact, f"{host}:sub": subjects}}
    return {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": given["oidc_provider_arn"]},
        "Condition": condition,
    }
