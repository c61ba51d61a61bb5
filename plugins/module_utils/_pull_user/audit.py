# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with a user, and what mends it.

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from .._core.errors import Json
from .._core.finding import MISSED, module_call, worst_first
from .._core.time import parse_time
from . import pull_policy as _policy
from .access_keys import ACTIVE
from .findings import TABLE
from .user_report import KEY, Expected, store_place

DENY_ALL = "AWSDenyAll"
NEAR = 0.8  # of a limit
UNUSED = timedelta(days=30)  # a refresh uses the key several times a day
UNTRIED = timedelta(days=1)  # until a new key is used for the first time
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
