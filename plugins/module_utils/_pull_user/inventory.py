# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from .._aws.client import Aws, tolerating
from .._aws.cloudtrail import LONGEST, PullEvents
from .._aws.stored_key import store_of
from .._core.errors import AwsError, ConflictError, InputError, Json
from .._core.result import Result
from .._oci.reference import repository_arn
from . import pull_policy as _policy
from .audit import findings, nobody
from .iam_user import find_keys, find_user
from .options import MOST_DAYS, PATH_PREFIX, check_name, check_number
from .policy_read import default_document, find_document
from .principal import USER, Principal
from .user_report import Expected, StoreState, Subject, kind_of, report, store_place

EVENT_OPTIONS: Json = {
    "regions": {"type": "list", "elements": "str"},
    "hours": {"type": "int", "default": 24},
    "limit": {"type": "int", "default": 200},
}


def run(params: Json, dummy: bool, aws: Aws) -> Result:
    check(params)
    name, prefix, repositories = params["name"], params["path_prefix"], params["repositories"]
    trail = PullEvents(aws, params["events"]["hours"], params["events"]["limit"]) if params["events"] else None
    users: list[Json] = []
    found: list[Json] = []
    for subject in by_name(aws, name) if name else by_path(aws, prefix):
        with tolerating("NoSuchEntity"):
            reported, wrong = examine(aws, params, subject)
            users.append(with_events(trail, params["events"], reported, aws.region) if trail else reported)
            found += wrong
    if not users:
        found = nobody(name, prefix, repositories)
    return Result(False, None, None, {"users": users, "findings": found})


def check(params: Json) -> None:
    if params["name"] is not None:
        check_name(params["name"])
    check_number("rotate_after_days", params["rotate_after_days"], 0, MOST_DAYS)
    prefix, store = params["path_prefix"], params["secret_store"]
    if prefix is not None and not prefix.startswith("/"):
        raise InputError(f"path_prefix {prefix!r} must start with a slash; / means all users of the account.")
    if prefix is not None and not PATH_PREFIX.fullmatch(prefix):
        raise InputError(f"path_prefix {prefix!r}: only printable ASCII without spaces may follow the slash.")
    if prefix is not None and store and store["name"]:
        raise InputError(
            "secret_store.name is the entry of one user: give name instead of path_prefix, or leave it out."
        )
    check_events(params["events"])


def check_events(events: Json | None) -> None:
    if events and not 1 <= events["hours"] <= LONGEST:
        raise InputError(f"events.hours must be from 1 to {LONGEST}: CloudTrail looks back 90 days.")
    if events and events["limit"] < 1:
        raise InputError("events.limit must be at least 1.")


# What IAM and the secret store hold


def by_name(aws: Aws, name: str) -> list[Subject]:
    with tolerating("NoSuchEntity"):
        user = find_user(aws, name)
        if user:
            inline = aws.pages("iam", "list_user_policies", "PolicyNames", UserName=name)
            documents = {policy: find_document(aws, Principal(USER, name), policy) for policy in inline}
            attached = aws.pages("iam", "list_attached_user_policies", "AttachedPolicies", UserName=name)
            groups = aws.pages("iam", "list_groups_for_user", "Groups", UserName=name)
            return [
                Subject(
                    user,
                    {policy: document for policy, document in documents.items() if document},
                    managed_documents(aws, user, attached),
                    [group["GroupName"] for group in groups],
                )
            ]
    return []


def by_path(aws: Aws, prefix: str) -> list[Subject]:
    """IAM tells of all users at once, and cannot be asked for less."""
    listed = aws.pages("iam", "get_account_authorization_details", "UserDetailList", Filter=["User"])
    chosen = [detail for detail in listed if detail["Path"].startswith(prefix)]
    return [from_detail(aws, detail) for detail in sorted(chosen, key=lambda detail: detail["UserName"])]


def from_detail(aws: Aws, detail: Json) -> Subject:
    user = {
        "name": detail["UserName"],
        "arn": detail["Arn"],
        "path": detail["Path"],
        "tags": {tag["Key"]: tag["Value"] for tag in detail.get("Tags", [])},
        "permissions_boundary": detail.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
    }
    inline = {policy["PolicyName"]: policy["PolicyDocument"] for policy in detail.get("UserPolicyList", [])}
    attached = managed_documents(aws, user, detail.get("AttachedManagedPolicies", []))
    return Subject(user, inline, attached, detail.get("GroupList", []))


def managed_documents(aws: Aws, user: Json, attached: list[Json]) -> dict[str, Json | None]:
    """Return ARN -> document; only this collection's policies are read."""
    account = user["arn"].split(":")[4]
    arns = [policy["PolicyArn"] for policy in attached]
    return {arn: default_document(aws, arn) if kind_of(arn, account) == "customer_managed" else None for arn in arns}


def read_store(aws: Aws, given: Json, user: Json) -> StoreState:
    """What keeps one entry from being read does not end the audit."""
    options = store_place(given, user["tags"])
    store = store_of(aws, options, user["name"])
    place = {"type": options["type"], "name": store.name, "region": store.region}
    try:
        entry = store.read()
        return StoreState(place, entry, store.tags() if entry else {})
    except (AwsError, ConflictError) as error:
        return StoreState(place, None, {}, str(error))


# The audit


def examine(aws: Aws, params: Json, subject: Subject) -> tuple[Json, list[Json]]:
    user, asked = subject.user, params["repositories"]
    partition, account = user["arn"].split(":")[1], user["arn"].split(":")[4]
    if asked is not None:
        asked = [repository_arn(name, partition, account, aws.region) for name in asked]
    expected = Expected(asked, params["rotate_after_days"])
    kept = read_store(aws, params["secret_store"], user) if params["secret_store"] else None
    reported = report(subject, find_keys(aws, user["name"]), kept, expected, aws.clock())
    return reported, findings(reported, expected, aws.clock())


def with_events(trail: PullEvents, options: Json, reported: Json, region: str) -> Json:
    opened = [arn for policy in reported["policies"] for arn in policy["repositories"]]
    regions = options["regions"] or _policy.regions_of(opened) or [region]
    events: list[Any] = []
    complete = True
    for key in reported["access_keys"]:
        for place in regions:
            pulls, truncated = trail.pulls(place, key["id"])
            events += pulls
            complete = complete and not truncated
    events.sort(key=lambda event: event["time"], reverse=True)
    return {**reported, "recent_events": events, "recent_events_complete": complete}
