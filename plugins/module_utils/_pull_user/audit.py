# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. A new finding is a new row, and what yields it.

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from .._aws.policy_document import policy_size
from .._aws.secret_entry import MANAGED, QUARANTINED, Entry, token_records
from .._core.errors import Json
from .._core.finding import MISSED, Rule, module_call, worst_first
from .._core.time import format_time, parse_time
from . import pull_policy as _policy
from .access_keys import ACTIVE, FOREIGN, AccessKey, is_due, owners
from .iam_user import RANDOM_SUFFIX, SECRET, marked_keys
from .policy_attachment import DENY

DENY_ALL = "AWSDenyAll"
AWS_POLICIES = {
    "AmazonEC2ContainerRegistryPullOnly": "pull_only",
    "AmazonEC2ContainerRegistryReadOnly": "read_only",
}
MANAGED_LIMIT = 6144
LIMITS = {"inline_characters": _policy.LIMIT, "attached_policies": 10, "groups": 10, "tags": 50, "access_keys": 2}
NEAR = 0.8  # of a limit
UNUSED = timedelta(days=30)  # a refresh uses the key several times a day
UNTRIED = timedelta(days=1)  # until a new key is used for the first time
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


# What is told of a user


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


# What is wrong with it


TABLE = {
    "user_missing": Rule(
        "user_missing",
        "error",
        "There is no IAM user {user}.",
        "{create}",
    ),
    "path_empty": Rule(
        "user_missing",
        "warning",
        "No IAM user has a path that begins with {prefix}.",
        "Correct path_prefix, or make a user there: {create}",
    ),
    "not_managed": Rule(
        "not_managed",
        "info",
        "The user lacks the tag gpuops.runpod/managed, so somebody else made it, and nothing else of it is judged.",
        "Leave it, or hand it over: aws iam tag-user --user-name{user!o} --tags Key=gpuops.runpod/managed,Value=true",
    ),
    "quarantined": Rule(
        "quarantined",
        "error",
        "The user is in quarantine: it cannot pull, and its keys are neither rotated nor refreshed.",
        "When the incident is over: {release}",
    ),
    "rotation_due": Rule(
        "rotation_due",
        "warning",
        "The access key {id} is {age_days} days old.",
        "{rotate}",
    ),
    "stored_key_unused": Rule(
        "key_unused",
        "warning",
        "The access key {id} is {age_days} days old and was last used {used}, so nothing refreshes tokens with it.",
        "Schedule the refresh, or if nothing needs the user any more: {remove}",
    ),
    "key_unused": Rule(
        "key_unused",
        "warning",
        "The access key {id} is {age_days} days old and was last used {used}.",
        "aws iam update-access-key --access-key-id{id!o} --status Inactive --user-name{user!o}",
    ),
    "key_inactive": Rule(
        "key_inactive",
        "info",
        "The access key {id} of this collection is {status} and takes up one of two.",
        "aws iam delete-access-key --access-key-id{id!o} --user-name{user!o}",
    ),
    "foreign_key": Rule(
        "foreign_key",
        "warning",
        "Somebody else made the access key {id}, which is {age_days} days old and was last used {used}.",
        "When nothing needs it: aws iam update-access-key --access-key-id{id!o} --status Inactive --user-name{user!o}",
    ),
    "foreign_key_inactive": Rule(
        "foreign_key",
        "info",
        "Somebody else made the access key {id}. It is {status} and takes up one of two.",
        "aws iam delete-access-key --access-key-id{id!o} --user-name{user!o}",
    ),
    "two_active_keys": Rule(
        "two_active_keys",
        "warning",
        "Two access keys work, {ids}. While a key is being rotated that is as it should be.",
        "When no token needs it: aws iam update-access-key --access-key-id{id!o} --status Inactive --user-name{user!o}",
    ),
    MISSING: Rule(
        "secret_missing",
        "error",
        "The secret store has no entry {store}.",
        "{converge}",
    ),
    DELETED: Rule(
        "secret_missing",
        "error",
        "The entry {store} of the secret store is being deleted.",
        "{converge}",
    ),
    PENDING: Rule(
        "secret_missing",
        "error",
        "The entry {store} of the secret store holds no key, only a note that one is being made.",
        "{converge}",
    ),
    UNREADABLE: Rule(
        "secret_unreadable",
        "error",
        "The entry {store} of the secret store could not be read: {error}",
        "Mend what the cause tells, then run this again.",
    ),
    "secret_key_mismatch": Rule(
        "secret_key_mismatch",
        "error",
        "The entry {store} of the secret store holds the access key {id}, which the user does not have.",
        "{converge}",
    ),
    "secret_key_inactive": Rule(
        "secret_key_inactive",
        "error",
        "The access key {id} is the one in the secret store, and it is {status}.",
        "When nobody did that on purpose: aws iam update-access-key --access-key-id{id!o} --status Active "
        "--user-name{user!o}",
    ),
    "policy_missing": Rule(
        "policy_missing",
        "error",
        "The user has no policy of this collection, so it cannot pull anything.",
        "{exactly}",
    ),
    "drift_missing": Rule(
        "policy_drift",
        "error",
        "The policy {policy} does not open {repositories}.",
        "{exactly}",
    ),
    "drift_extra": Rule(
        "policy_drift",
        "warning",
        "The policy {policy} opens {repositories} besides what it should.",
        "{exactly}",
    ),
    "drift_other": Rule(
        "policy_drift",
        "error",
        "Somebody changed what the policy {policy} allows on its repositories, or on others.",
        "{exactly}",
    ),
    "foreign_inline": Rule(
        "foreign_policy",
        "warning",
        "Somebody else gave the user the inline policy {policy}.",
        "aws iam delete-user-policy --policy-name{policy!o} --user-name{user!o}",
    ),
    "foreign_attached": Rule(
        "foreign_policy",
        "warning",
        "Somebody else attached the policy {policy} to the user.",
        "aws iam detach-user-policy --policy-arn{policy!o} --user-name{user!o}",
    ),
    "foreign_group": Rule(
        "foreign_policy",
        "warning",
        "The user is in the group {group} and has the rights of its policies.",
        "aws iam remove-user-from-group --group-name{group!o} --user-name{user!o}",
    ),
    "boundary_missing": Rule(
        "boundary_missing",
        "info",
        "The user has no permissions boundary, so whoever may write its policies may give it any right.",
        "With the ARN of your boundary: {bound}",
    ),
    "inline_near": Rule(
        "quota_near",
        "warning",
        "The inline policies of the user have {used} of {limit} characters.",
        "Open a prefix instead of single repositories, and with it whatever else begins so: {shorter}",
    ),
    "policy_near": Rule(
        "quota_near",
        "warning",
        "The policy {policy} has {used} of {limit} characters.",
        "Open a prefix instead of single repositories, and with it whatever else begins so: {shorter}",
    ),
    "count_near": Rule(
        "quota_near",
        "warning",
        "The user has {used} of {limit} {things}.",
        "Remove some, or ask AWS for more: aws service-quotas list-service-quotas --service-code iam "
        "--region us-east-1",
    ),
    "token_expired": Rule(
        "token_expired",
        "error",
        "The token in the RunPod credential {registry_id} expired at {expires_at}.",
        "With the credential's name and the region of its images: {refresh}",
    ),
    "token_ends_soon": Rule(
        "token_ends_soon",
        "warning",
        "The token in the RunPod credential {registry_id} expires at {expires_at}, so a refresh was missed.",
        "With the credential's name and the region of its images: {refresh}",
    ),
}

Match = tuple[str, Json]  # a row of TABLE, and what its templates need besides the user


def findings(reported: Json, expected: Expected, now: datetime) -> list[Json]:
    calls = remedies(reported, expected)
    hits = [hit for check in checks(reported) for hit in check(reported, now)]
    found = [finding(name, reported["name"], {**calls, **facts}) for name, facts in hits]
    return worst_first(found)


def checks(reported: Json) -> list[Callable[[Json, datetime], Iterator[Match]]]:
    """In quarantine what does not work is as it should be."""
    if not reported["managed"]:
        return [not_managed]
    if reported["quarantined"]:
        return [quarantined, foreign_keys, foreign_policies]
    return [store, tokens, policies, keys_of_ours, foreign_keys, two_keys, foreign_policies, limits]


def finding(name: str, user: str | None, facts: Json) -> Json:
    return {"user": user, **TABLE[name].filled({"user": user, **facts})}


def nobody(name: str | None, prefix: str | None, repositories: list[str] | None) -> list[Json]:
    there: Json = {"path": prefix if prefix.endswith("/") else f"{prefix}/"} if prefix else {}
    create = module_call("ecr_pull_user", name=name or "NAME", **there, repositories=repositories or ["REPOSITORY"])
    return [finding("user_missing" if name else "path_empty", name, {"prefix": prefix, "create": create})]


def not_managed(dummy_told: Json, dummy: datetime) -> Iterator[Match]:
    yield "not_managed", {}


def quarantined(dummy_told: Json, dummy: datetime) -> Iterator[Match]:
    yield "quarantined", {}


def store(reported: Json, dummy: datetime) -> Iterator[Match]:
    current = reported["secret_store"]
    if current is None:
        return
    facts = {"store": current["name"], "error": current["error"], "id": current["access_key_id"]}
    if current["state"] != KEY:
        yield current["state"], facts
        return
    status = {key["id"]: key["status"] for key in reported["access_keys"]}.get(current["access_key_id"])
    if status is None:
        yield "secret_key_mismatch", facts
    elif status != ACTIVE:
        yield "secret_key_inactive", {**facts, "status": status}


def tokens(reported: Json, now: datetime) -> Iterator[Match]:
    for token in (reported["secret_store"] or {"tokens": []})["tokens"]:
        left = parse_time(token["expires_at"]) - now
        if left <= timedelta(0):
            yield "token_expired", token
        elif left < MISSED:
            yield "token_ends_soon", token


def policies(reported: Json, dummy: datetime) -> Iterator[Match]:
    if not reported["policies"]:
        yield "policy_missing", {}
    for policy in reported["policies"]:
        drift = policy["drift"]
        for name in ("missing", "extra"):
            if drift[name]:
                yield f"drift_{name}", {"policy": policy["name"], "repositories": ", ".join(drift[name])}
        if drift["other"]:
            yield "drift_other", {"policy": policy["name"]}
    if not reported["permissions_boundary"]:
        yield "boundary_missing", {}


def keys_of_ours(reported: Json, now: datetime) -> Iterator[Match]:
    for key in reported["access_keys"]:
        if not key["ours"]:
            continue
        if key["status"] != ACTIVE:
            if not key["stored"]:
                yield "key_inactive", key
            continue
        if key["rotation_due"]:
            yield "rotation_due", key
        if is_unused(key, now):
            yield "key_unused" if key["stored"] is False else "stored_key_unused", {**key, "used": used(key)}


def is_unused(key: Json, now: datetime) -> bool:
    if key["never_used"]:
        return now - parse_time(key["created"]) >= UNTRIED
    return now - parse_time(key["last_used"]["date"]) >= UNUSED


def used(key: Json) -> str:
    return "never" if key["never_used"] else "at {date} for {service} in {region}".format_map(key["last_used"])


def foreign_keys(reported: Json, dummy: datetime) -> Iterator[Match]:
    for key in reported["access_keys"]:
        if not key["ours"]:
            yield "foreign_key" if key["status"] == ACTIVE else "foreign_key_inactive", {**key, "used": used(key)}


def two_keys(reported: Json, dummy: datetime) -> Iterator[Match]:
    """The one to end is not in the store, and where that does not tell the older."""
    active = [key for key in reported["access_keys"] if key["status"] == ACTIVE]
    if len(active) > 1:
        to_delete = min(active, key=lambda key: (bool(key["stored"]), key["created"]))
        yield "two_active_keys", {**to_delete, "ids": " and ".join(key["id"] for key in active)}


def foreign_policies(reported: Json, dummy: datetime) -> Iterator[Match]:
    """What others gave the user; the quarantine's denial is ours."""
    for policy in reported["other_policies"]:
        if not (reported["quarantined"] and policy["name"].endswith(f":policy/{DENY_ALL}")):
            yield f"foreign_{policy['kind']}", {"policy": policy["name"]}
    for group in reported["groups"]:
        yield "foreign_group", {"group": group}


def limits(reported: Json, dummy: datetime) -> Iterator[Match]:
    """Two keys are told of in a finding of their own."""
    for name, quota in reported["quotas"].items():
        if name != "access_keys" and is_near(quota["used"], quota["limit"]):
            row = "inline_near" if name == "inline_characters" else "count_near"
            yield row, {**quota, "things": name.replace("_", " ")}
    for policy in reported["policies"]:
        if policy["kind"] == "customer_managed" and is_near(policy["size"], policy["limit"]):
            yield "policy_near", {"policy": policy["name"], "used": policy["size"], "limit": policy["limit"]}


def is_near(size: int, limit: int) -> bool:
    return size >= NEAR * limit


# What mends it


def remedies(reported: Json, expected: Expected) -> dict[str, str]:
    current = reported["secret_store"] or store_place({"name": None}, reported["tags"])
    place: Json = {key: current[key] for key in ("type", "name", "region")} if current["name"] else {}
    entry = {"secret_store": place} if place else {}
    user = {"name": reported["name"], "path": reported["path"], **entry}
    opened = sorted({arn for policy in reported["policies"] if policy["document"] for arn in policy["repositories"]})
    wanted = opened if expected.repositories is None else expected.repositories
    exactly = {"repositories": wanted or ["REPOSITORY"], "purge_repositories": True}
    shorter = {"repositories": shortened(wanted), "purge_repositories": True}
    account = reported["arn"].rpartition(":")[0]
    calls = {
        "converge": user,
        "exactly": {**user, **exactly},
        "shorter": {**user, **shorter},
        "rotate": {**user, "rotate_after_days": expected.rotate_after_days},
        "release": {**user, "release_quarantine": True},
        "remove": {**user, "state": "absent"},
        "bound": {**user, "permissions_boundary": f"{account}:policy/BOUNDARY"},
    }
    refresh = module_call("runpod_ecr_credential", name="NAME", registry_region="REGION", **entry)
    return {**{name: module_call("ecr_pull_user", **options) for name, options in calls.items()}, "refresh": refresh}


def shortened(arns: Iterable[str]) -> list[str]:
    pattern = _policy.commonest_prefix(arns := list(arns))
    if not pattern:
        return ["PREFIX/*"]
    prefix = f":repository/{pattern[:-1]}"
    return sorted({arn.partition(prefix)[0] + f"{prefix}*" if prefix in arn else arn for arn in arns})
