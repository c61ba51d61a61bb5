# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: asks AWS about rights. It reads only, and keeps no answer.

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from .._aws import rights as table
from .._aws.pull_session import NAME as SESSION
from .._core.errors import DENIED, AwsError, Json
from .._pull_user import pull_policy
from .desired import DesiredState
from .look import ReadOnlyAws
from .preflight_rights import MISSING, OK, UNKNOWN, CallerContext, Right, Verdict, batches, verdicts

PUBLIC_REGION = "us-east-1"
AT_ONCE = 4  # simulations, and services that are read
NOBODYS = f"sha256:{'0' * 64}"  # of no layer
# Parts of codes for who may read what is not there.
NOT_THERE = ("NotFound", "NoSuchEntity", "InvalidResourceId", "VersionNotFound")


class Probe(NamedTuple):
    """A read that shows whether an action is allowed."""

    service: str
    operation: str
    request: Json
    region: str | None = None


def policy_source(aws: ReadOnlyAws, arn: str) -> str | None:
    """Return whose policies to simulate; None for who has none."""
    head, dummy, name = arn.partition("/")
    kind = head.rpartition(":")[2]
    if kind == "user":
        return arn
    if kind != "assumed-role":
        return None
    role = name.partition("/")[0]
    try:
        return str(aws.call("iam", "get_role", RoleName=role)["Role"]["Arn"])
    except AwsError:  # a role whose path is not known: most have none
        return f"{head.replace(':sts:', ':iam:').removesuffix('assumed-role')}role/{role}"


def judged(
    aws: ReadOnlyAws, desired: DesiredState, caller: CallerContext, rights: list[Right]
) -> tuple[list[Verdict], str]:
    """Return verdicts, and why no simulation tells them."""
    if caller.arn.endswith(":root"):
        return [Verdict(right, OK) for right in rights], ""
    source = policy_source(aws, caller.arn)
    if source is None:
        why = "a federated user is not simulated"
    else:
        try:
            found = simulated(aws, source, batches(rights))
        except AwsError as error:
            why = f"{error.code}: iam:SimulatePrincipalPolicy of {source}"
        else:
            return confirmed(aws, desired, caller, found), ""
    return probed(aws, desired, caller, rights), why


def simulated(aws: ReadOnlyAws, source: str, asked: list[list[Right]]) -> list[Verdict]:
    """The first simulation goes alone: whoever may not make it is told once."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        first = [simulation(aws, source, batch) for batch in asked[:1]]
        rest = threads.map(lambda batch: simulation(aws, source, batch), asked[1:])
        return [verdict for found in [*first, *rest] for verdict in found]


def simulation(aws: ReadOnlyAws, source: str, batch: list[Right]) -> list[Verdict]:
    entries = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in batch[0].context
    ]
    request: Json = {
        "PolicySourceArn": source,
        "ActionNames": [right.action for right in batch],
        "ResourceArns": list(batch[0].resources),
        **({"ContextEntries": entries} if entries else {}),
    }
    return verdicts(batch, aws.pages("iam", "simulate_principal_policy", "EvaluationResults", **request))


def confirmed(aws: ReadOnlyAws, desired: DesiredState, caller: CallerContext, found: list[Verdict]) -> list[Verdict]:
    """Try by reads what no policy of the caller allows: policies of repositories and secrets allow too, unseen by a
    simulation.
    """
    doubted = [one.right for one in found if one.status != OK and one.reason == "no policy allows it"]
    granted = [one.right for one in probed(aws, desired, caller, doubted) if one.status == OK]
    return [Verdict(one.right, OK) if one.right in granted else one for one in found]


def probed(aws: ReadOnlyAws, desired: DesiredState, caller: CallerContext, rights: Iterable[Right]) -> list[Verdict]:
    """One thread reads a service: its client is made once."""
    by_service: dict[str, list[Right]] = {}
    for right in rights:
        by_service.setdefault(right.action.partition(":")[0], []).append(right)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        done = threads.map(lambda same: [probe(aws, desired, caller, right) for right in same], by_service.values())
        return [verdict for found in done for verdict in found]


def probe(aws: ReadOnlyAws, desired: DesiredState, caller: CallerContext, right: Right) -> Verdict:
    known = list(probes(right, desired, caller))
    if not known:
        return Verdict(right, UNKNOWN, "only a simulation would tell, or a write")
    for one in known:
        try:
            aws.call(one.service, one.operation, region=one.region, **one.request)
        except AwsError as error:
            if error.code in DENIED and right.action in error.text:
                return denied(aws, desired, right)
            if not any(part in error.code for part in NOT_THERE):
                return Verdict(right, UNKNOWN, error.code)
    return Verdict(right, OK)


def denied(aws: ReadOnlyAws, desired: DesiredState, right: Right) -> Verdict:
    """A user that does not exist is judged without its path."""
    if right.rule.resource == table.USERS and not has_user(aws, desired):
        return Verdict(right, UNKNOWN, "without a simulation, AWS tells it once the user exists")
    kept = desired.by_role or desired.options["retire_former_identity"]
    if right.rule.resource == table.ROLES and kept and not has_role(aws, desired):
        return Verdict(right, UNKNOWN, "without a simulation, AWS tells it once the role exists")
    return Verdict(right, MISSING, "AWS denies it")


def has_user(aws: ReadOnlyAws, desired: DesiredState) -> bool:
    try:
        aws.call("iam", "get_user", UserName=desired.options["user_name"])
    except AwsError:
        return False
    return True


def has_role(aws: ReadOnlyAws, desired: DesiredState) -> bool:
    try:
        aws.call("iam", "get_role", RoleName=desired.options["role_name"])
    except AwsError:
        return False
    return True


def probes(right: Right, desired: DesiredState, caller: CallerContext) -> Iterator[Probe]:
    """Yield a read for each thing; none where nothing harmless shows the action."""
    service, dummy, action = right.action.partition(":")
    by_service: dict[str, Callable[..., Iterator[Probe]]] = {
        "iam": iam_probes,
        "secretsmanager": store_probes,
        "ssm": store_probes,
        "ecr": ecr_probes,
        "ecr-public": public_probes,
        "sts": sts_probes,
        "cloudtrail": trail_probes,
    }
    if service in by_service:
        yield from by_service[service](action, right, desired, caller)


def iam_probes(action: str, right: Right, desired: DesiredState, dummy: CallerContext) -> Iterator[Probe]:
    user, role = {"UserName": desired.options["user_name"]}, {"RoleName": desired.options["role_name"]}
    requests: dict[str, tuple[str, Json]] = {
        "GetUser": ("get_user", user),
        "GetUserPolicy": ("get_user_policy", {**user, "PolicyName": pull_policy.NAME}),
        "ListUserPolicies": ("list_user_policies", user),
        "ListAttachedUserPolicies": ("list_attached_user_policies", user),
        "ListGroupsForUser": ("list_groups_for_user", user),
        "ListAccessKeys": ("list_access_keys", user),
        "GetRole": ("get_role", role),
        "GetRolePolicy": ("get_role_policy", {**role, "PolicyName": pull_policy.NAME}),
        "ListRolePolicies": ("list_role_policies", role),
        "ListAttachedRolePolicies": ("list_attached_role_policies", role),
        "ListInstanceProfilesForRole": ("list_instance_profiles_for_role", role),
        "ListUsers": ("list_users", {"MaxItems": 1}),
        "GetPolicy": ("get_policy", {"PolicyArn": right.resources[0]}),
        "GetPolicyVersion": ("get_policy_version", {"PolicyArn": right.resources[0], "VersionId": "v1"}),
        "ListPolicyVersions": ("list_policy_versions", {"PolicyArn": right.resources[0]}),
        "GetAccountAuthorizationDetails": (
            "get_account_authorization_details",
            {"Filter": ["User"], "MaxItems": 1},
        ),
    }
    if action in requests:
        yield Probe("iam", *requests[action])


def store_probes(action: str, right: Right, desired: DesiredState, dummy: CallerContext) -> Iterator[Probe]:
    name, region = desired.store["name"], desired.store["region"]
    requests: dict[str, tuple[str, str, Json]] = {
        "DescribeSecret": ("secretsmanager", "describe_secret", {"SecretId": name}),
        "GetSecretValue": ("secretsmanager", "get_secret_value", {"SecretId": name}),
        "GetParameter": ("ssm", "get_parameter", {"Name": name, "WithDecryption": True}),
        "ListTagsForResource": (
            "ssm",
            "list_tags_for_resource",
            {"ResourceType": "Parameter", "ResourceId": name},
        ),
    }
    if action in requests:
        yield Probe(*requests[action], region)


def ecr_probes(action: str, right: Right, desired: DesiredState, dummy: CallerContext) -> Iterator[Probe]:
    if action == "GetAuthorizationToken":
        yield from (Probe("ecr", "get_authorization_token", {}, region) for region in desired.regions)
        return
    requests: dict[str, tuple[str, Json]] = {
        "BatchGetImage": ("batch_get_image", {"imageIds": [{"imageDigest": NOBODYS}]}),
        "GetDownloadUrlForLayer": ("get_download_url_for_layer", {"layerDigest": NOBODYS}),
        "BatchCheckLayerAvailability": ("batch_check_layer_availability", {"layerDigests": [NOBODYS]}),
        "DescribeImages": ("describe_images", {"imageIds": [{"imageDigest": NOBODYS}]}),
        "GetLifecyclePolicy": ("get_lifecycle_policy", {}),
        "GetRepositoryPolicy": ("get_repository_policy", {}),
    }
    if action not in requests:
        return
    operation, request = requests[action]
    for arn in right.resources:
        dummy_head, dummy_partition, dummy_service, region, account, name = arn.split(":", 5)
        thing = {"registryId": account, "repositoryName": name.partition("/")[2]}
        yield Probe("ecr", operation, {**thing, **request}, region)


def sts_probes(action: str, right: Right, desired: DesiredState, caller: CallerContext) -> Iterator[Probe]:
    """A session that is opened and left changes nothing."""
    if action != "AssumeRole":
        yield from public_probes(action, right, desired, caller)
        return
    external = desired.options["role_external_id"]
    request = {"RoleArn": right.resources[0], "RoleSessionName": SESSION, "DurationSeconds": 900}
    yield Probe("sts", "assume_role", {**request, **({"ExternalId": external} if external else {})})


def public_probes(action: str, right: Right, dummy: DesiredState, caller: CallerContext) -> Iterator[Probe]:
    names = [arn.partition(":repository/")[2] for arn in right.resources]
    requests: dict[str, tuple[str, list[Json]]] = {
        "GetAuthorizationToken": ("get_authorization_token", [{}]),
        "GetServiceBearerToken": ("get_authorization_token", [{}]),
        "DescribeRegistries": ("describe_registries", [{}]),
        "DescribeRepositories": ("describe_repositories", [{"repositoryNames": [name]} for name in names]),
        "GetRepositoryCatalogData": ("get_repository_catalog_data", [{"repositoryName": name} for name in names]),
        "ListTagsForResource": ("list_tags_for_resource", [{"resourceArn": arn} for arn in right.resources]),
        "DescribeImages": ("describe_images", [{"repositoryName": name} for name in names]),
        "BatchCheckLayerAvailability": (
            "batch_check_layer_availability",
            [{"repositoryName": name, "layerDigests": [NOBODYS]} for name in names],
        ),
    }
    if action in requests:
        operation, given = requests[action]
        yield from (Probe("ecr-public", operation, request, PUBLIC_REGION) for request in given)


def trail_probes(*dummy: object) -> Iterator[Probe]:
    yield Probe("cloudtrail", "lookup_events", {"MaxResults": 1})
