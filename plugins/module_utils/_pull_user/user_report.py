# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is told of a user, its policies, its keys and its entry in the secret store.

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from .._aws.policy_document import policy_size
from .._aws.secret_entry import MANAGED, QUARANTINED, Entry, token_records
from .._core.errors import Json
from .._core.time import format_time
from . import pull_policy as _policy
from .access_keys import ACTIVE, FOREIGN, AccessKey, is_due, owners
from .iam_user import RANDOM_SUFFIX, SECRET, marked_keys
from .policy_state import DENY

AWS_POLICIES = {
    "AmazonEC2ContainerRegistryPullOnly": "pull_only",
    "AmazonEC2ContainerRegistryReadOnly": "read_only",
}
MANAGED_LIMIT = 6144
LIMITS = {"inline_characters": _policy.LIMIT, "attached_policies": 10, "groups": 10, "tags": 50, "access_keys": 2}
STORE_ARN = re.compile(
    r"arn:[a-z-]+:(?P<type>secretsmanager|ssm):(?P<region>[a-z0-9-]+):\d+:(?:secret:|parameter/)(?P<name>.+)"
)
KEY, MISSING, DELETED, PENDING, UNREADABLE = "key", "missing", "deleted", "pending", "unreadable"


class Subject(NamedTuple):
    """Policies that are attached go by ARN, documents by name or ARN."""

    user: Json
    inline: dict[str, Json]
    attached: dict[str, Json | None]
    groups: list[str]


class StoreState(NamedTuple):
    """`error` when the entry is unreadable."""

    place: Json
    entry: Entry | None
    tags: dict[str, str]
    error: str | None = None


class Expected(NamedTuple):
    """`repositories` None leaves the policy alone, `rotate_after_days` None the age."""

    repositories: list[str] | None
    rotate_after_days: int | None


def store_place(given: Json, tags: Json) -> Json:
    """Return the entry that the user's tag records, unless the options name one."""
    recorded = STORE_ARN.fullmatch(RANDOM_SUFFIX.sub(r"\1", tags.get(SECRET, "")))
    if given["name"] or not recorded:
        return given
    name = recorded["name"]
    level = "/" if recorded["type"] == "ssm" and "/" in name else ""  # which a parameter's ARN lacks
    return {**given, **recorded.groupdict(), "name": level + name}


def kind_of(arn: str, account: str) -> str | None:
    name = arn.rpartition("/")[2]
    if arn.split(":")[4] == "aws":
        return AWS_POLICIES.get(name)
    return "customer_managed" if arn.split(":")[4] == account and name.startswith(_policy.NAME) else None


def report(
    subject: Subject, keys: tuple[AccessKey, ...], kept: StoreState | None, expected: Expected, now: datetime
) -> Json:
    user = subject.user
    mine = own_policies(subject, expected.repositories)
    names = {policy["name"] for policy in mine} | {DENY}
    theirs = [("inline", name) for name in subject.inline] + [("attached", arn) for arn in subject.attached]
    return {
        **user,
        "managed": MANAGED in user["tags"],
        "quarantined": QUARANTINED in user["tags"],
        "policies": mine,
        "other_policies": [{"kind": kind, "name": name} for kind, name in theirs if name not in names],
        "groups": subject.groups,
        "access_keys": keys_report(user["tags"], keys, kept, expected.rotate_after_days, now),
        "quotas": quotas(subject, len(keys)),
        "secret_store": store_report(kept) if kept else None,
    }


def own_policies(subject: Subject, wanted: list[str] | None) -> list[Json]:
    partition, account = subject.user["arn"].split(":")[1], subject.user["arn"].split(":")[4]
    found = [
        policy_report("inline", name, document, _policy.LIMIT, _policy.repositories_of(document), wanted)
        for name, document in subject.inline.items()
        if name == _policy.NAME
    ]
    for arn, document in subject.attached.items():
        kind = kind_of(arn, account)
        if kind == "customer_managed":
            opened = _policy.repositories_of(document)
            found.append(policy_report(kind, arn, document, MANAGED_LIMIT, opened, wanted))
        elif kind:
            everything = [f"arn:{partition}:ecr:*:*:repository/*"]
            found.append(policy_report(kind, arn, None, MANAGED_LIMIT, everything, wanted))
    return found


def policy_report(
    kind: str, name: str, document: Json | None, limit: int, opened: list[str], wanted: list[str] | None
) -> Json:
    """AWS' own policies open all repositories, so none is missing there."""
    asked = set(opened if wanted is None else wanted)
    drift = {
        "missing": sorted(asked - set(opened)) if document else [],
        "extra": sorted(set(opened) - asked),
        "other": False,
    }
    if document is not None:
        drift["other"] = _policy.differs(document, _policy.document(opened, _policy.pulls_through(document)))
    size = policy_size(document)
    return {
        "kind": kind,
        "name": name,
        "document": document,
        "repositories": opened,
        "size": size,
        "limit": limit,
        "drift": drift,
    }


def keys_report(
    tags: Json, keys: tuple[AccessKey, ...], kept: StoreState | None, rotate_after_days: int | None, now: datetime
) -> list[Json]:
    """Only the key that mints tokens is ever due."""
    entry = kept.entry if kept else None
    stored = entry.key.access_key_id if entry and entry.key else None
    whose = owners(keys, marked_keys(tags), stored, entry.pending if entry else None)
    mine = [key for key in keys if whose[key.id] != FOREIGN and key.status == ACTIVE]
    current = stored or max(mine, key=lambda key: key.created, default=AccessKey("", "", now)).id
    return [
        {
            "id": key.id,
            "status": key.status,
            "created": format_time(key.created),
            "age_days": max((now - key.created).days, 0),
            "last_used": last_used(key),
            "never_used": key.last_used is None,
            "ours": whose[key.id] != FOREIGN,
            "stored": key.id == stored if kept and not kept.error else None,
            "rotation_due": key.id == current and is_due(key, now, rotate_after_days),
        }
        for key in keys
    ]


def last_used(key: AccessKey) -> Json | None:
    if key.last_used is None:
        return None
    return {"date": format_time(key.last_used), "service": key.service, "region": key.region}


def quotas(subject: Subject, keys: int) -> dict[str, Json]:
    used = {
        "inline_characters": sum(policy_size(document) for document in subject.inline.values()),
        "attached_policies": len(subject.attached),
        "groups": len(subject.groups),
        "tags": len(subject.user["tags"]),
        "access_keys": keys,
    }
    return {name: {"used": used[name], "limit": limit} for name, limit in LIMITS.items()}


def store_report(kept: StoreState) -> Json:
    """Return what is told of the entry: never its secret."""
    entry = kept.entry
    tokens = [
        {"registry_id": key, "expires_at": format_time(reported.expires_at), "access_key_id": reported.access_key_id}
        for key, reported in sorted(token_records(kept.tags).items())
    ]
    return {
        **kept.place,
        "arn": entry.arn if entry else None,
        "state": entry_state(kept),
        "error": kept.error,
        "access_key_id": entry.key.access_key_id if entry and entry.key else None,
        "tokens": tokens,
    }


def entry_state(kept: StoreState) -> str:
    if kept.error:
        return UNREADABLE
    if kept.entry is None:
        return MISSING
    if kept.entry.deleted:
        return DELETED
    return KEY if kept.entry.key else PENDING
