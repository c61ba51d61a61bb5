# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How RunPod is told of ECR repositories, and what it looks for in the policy of one."""

from __future__ import annotations

import json
import re
from typing import Any

from .policies import Document, covers, fits, listed
from .runpod_world import ACCOUNT, Call, Json, Refusal, World, answer

# The roles that pull; both must be let in.
PULL_ROLES = tuple(
    f"arn:aws:iam::550005742258:role/prod-{region}-deployment-role" for region in ("us-east-1", "us-west-2")
)
PULL_ACTIONS = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
TOKEN_ACTION = "ecr:GetAuthorizationToken"  # has no effect in a repository's policy, but stands in RunPod's text

_REPOSITORY = r"(?P<repository>[a-z0-9][a-z0-9._/-]*)"
_TAG = r":(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})"
_ARN = rf"arn:aws:ecr:(?P<region>[a-z0-9-]+):(?P<account>\d{{12}}):repository/{_REPOSITORY}"
_HOST = r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com"
_RESOURCES = {
    "arn": re.compile(_ARN),
    "arn_tag": re.compile(_ARN + _TAG),
    "uri_tag": re.compile(_HOST + "/" + _REPOSITORY + _TAG),
}


def create_delegation(world: World, call: Call) -> Json:
    record = delegation(world, call.body["resource"]) | {"name": call.body.get("name")}
    require_access(world, record)
    require_tag(world, record)
    identity = ("awsUser", "awsRegion", "repository")
    same = [other for other in world.own("delegations") if all(other[field] == record[field] for field in identity)]
    policy = world.switches["duplicate_delegation"]
    if not same or policy == "record":
        return answer(world.add("delegations", record))
    if policy == "error":
        raise Refusal(world.switches["delegation_refusal"], "delegation already exists")
    same[0].update(name=record["name"], tag=record["tag"])
    return answer(same[0])


def delegation(world: World, resource: str) -> Json:
    """Return the delegation that a resource asks for."""
    for form in world.switches["delegation_forms"]:
        if match := _RESOURCES[form].fullmatch(resource):
            parts = match.groupdict()
            return {
                "delegatorUserId": ACCOUNT,
                "awsUser": parts["account"],
                "repository": parts["repository"],
                "tag": parts.get("tag", "latest"),
                "awsRegion": parts["region"],
                "dockerRegistryUri": f"{parts['account']}.dkr.ecr.{parts['region']}.amazonaws.com",
                "createdAt": world.now(),
            }
    raise Refusal(world.switches["delegation_refusal"], "resource is not a valid ECR resource")


def delete_delegation(world: World, call: Call) -> None:
    del world.current["delegations"][world.find_own("delegations", call.id)["id"]]


def require_access(world: World, record: Json) -> None:
    """Refuse a repository whose policy does not let both roles pull. Without an AWS to ask, none is refused."""
    if world.policy_of is None:
        return
    account, region, repository = record["awsUser"], record["awsRegion"], record["repository"]
    text = world.policy_of(account, region, repository)
    arn = f"arn:aws:ecr:{region}:{account}:repository/{repository}"
    actions = [*PULL_ACTIONS, TOKEN_ACTION] if world.switches["delegation_token_action"] else PULL_ACTIONS
    lacking = [role for role in PULL_ROLES if not all(allowed(text, role, action, arn) for action in actions)]
    if lacking:
        raise Refusal(world.switches["delegation_policy_refusal"], "the ECR repository policy does not allow access")


def require_tag(world: World, record: Json) -> None:
    place = (record["awsUser"], record["awsRegion"], record["repository"])
    if world.switches["delegation_tag"] == "existing" and world.has_tag and not world.has_tag(*place, record["tag"]):
        raise Refusal(world.switches["delegation_refusal"], "the image does not exist")


# What a repository's policy says


def allowed(text: str | None, role: str, action: str, repository: str) -> bool:
    """Tell whether a policy lets a role of another account do something with its repository."""
    statements = listed(json.loads(text)["Statement"]) if text else []
    effects = {statement["Effect"] for statement in statements if _is_about(statement, role, action, repository)}
    return effects == {"Allow"}


def _is_about(statement: Document, role: str, action: str, repository: str) -> bool:
    """Tell whether a statement has its effect. One whose condition is not understood only has it when it denies."""
    about_all = {"Resource": "*", **statement} if "NotResource" not in statement else statement
    conditions = [
        _holds(operator, key, listed(values), role, statement["Effect"] == "Deny")
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    ]
    return covers(about_all, action, repository) and _is_for(statement, role) and all(conditions)


def _is_for(statement: Document, role: str) -> bool:
    if "NotPrincipal" in statement:
        return not _named(statement["NotPrincipal"], role)
    return _named(statement["Principal"], role)


def _named(principal: Any, role: str) -> bool:
    """Tell whether a principal is everybody, the role, or its whole account."""
    account = role.split(":")[4]
    given = listed(principal["AWS"]) if isinstance(principal, dict) and "AWS" in principal else [principal]
    return any(one in ("*", role, account, f"arn:aws:iam::{account}:root") for one in given)


def _holds(operator: str, key: str, values: list[str], role: str, unknown: bool) -> bool:
    """Tell whether one test of a condition holds for a call by the role; `unknown` is the answer for other keys."""
    facts = {"aws:principalarn": role, "aws:principalaccount": role.split(":")[4]}
    fact = facts.get(key.lower())
    if fact is None:
        return unknown
    tests = {
        "StringEquals": fact in values,
        "StringNotEquals": fact not in values,
        "ArnEquals": any(fits(value, fact) for value in values),
        "ArnNotEquals": not any(fits(value, fact) for value in values),
    }
    tests |= {"StringLike": tests["ArnEquals"], "ArnLike": tests["ArnEquals"]}
    tests |= {"StringNotLike": tests["ArnNotEquals"], "ArnNotLike": tests["ArnNotEquals"]}
    return tests.get(operator, unknown)
