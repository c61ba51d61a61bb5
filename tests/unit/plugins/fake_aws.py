# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An AWS account in memory that notes every call, and loses, refuses or interrupts the calls it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

import boto3
import botocore
import botocore.exceptions
import pytest
from botocore.config import Config
from moto.core import responses
from moto.iam.models import AWSManagedPolicy, iam_backends

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.tests.unit.plugins.direct import shorten

Json = dict[str, Any]
UNSIGNED = Config(signature_version=botocore.UNSIGNED, user_agent="tests")  # moto looks at neither, and both take time
READS = ("get_", "list_", "describe_", "lookup_")

# moto looks through a class for the names of its methods at every call.
responses.method_names_from_class = cache(responses.method_names_from_class)  # type: ignore[attr-defined]


def lost() -> Exception:
    """Return what botocore raises when no answer comes."""
    return botocore.exceptions.ReadTimeoutError(endpoint_url="https://aws.example")


def refusal(code: str, status: int = 400, text: str = "refused") -> Exception:
    """Return what botocore raises when AWS says no."""
    answer = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(answer, "Operation")


@cache
def client(service: str, region: str = "us-east-1") -> Any:
    """Return a client of moto: one for all tests, as making one takes longer than all its calls."""
    # Outside AWS' main partition, moto takes IAM's region from the signature.
    config = None if region.startswith(("cn-", "us-gov-")) else UNSIGNED
    return shorten(boto3.client(service, region_name=region, config=config))


def options_of(kind: str) -> Json:
    """Return the option secret_store with nothing but its kind."""
    return {"type": kind, "name": None, "region": None, "kms_key_id": None, "tags": None}


def tag_list(tags: dict[str, str]) -> list[Json]:
    """Return tags in the form of AWS' calls."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tag_dict(listed: list[Json]) -> dict[str, str]:
    """Return tags by their names."""
    return {tag["Key"]: tag["Value"] for tag in listed}


class Secrets:
    """The user puller's default entry in Secrets Manager, without our own code, and the names of the calls."""

    options = options_of("secretsmanager")
    name = "runpod-ecr/puller"
    create, read, put = (f"secretsmanager:{call}" for call in ("create_secret", "get_secret_value", "put_secret_value"))
    tag, delete = "secretsmanager:tag_resource", "secretsmanager:delete_secret"

    def entries(self) -> list[str]:
        return [held["Name"] for held in client("secretsmanager").list_secrets()["SecretList"]]

    def value(self) -> Json:
        return json.loads(client("secretsmanager").get_secret_value(SecretId=self.name)["SecretString"])

    def arn(self) -> str:
        return client("secretsmanager").describe_secret(SecretId=self.name)["ARN"]

    def tags(self) -> dict[str, str]:
        return tag_dict(client("secretsmanager").describe_secret(SecretId=self.name).get("Tags", []))

    def make(self, value: Json, tags: dict[str, str]) -> None:
        text = json.dumps(value)
        client("secretsmanager").create_secret(Name=self.name, SecretString=text, Tags=tag_list(tags))

    def write(self, value: Json) -> None:
        client("secretsmanager").put_secret_value(SecretId=self.name, SecretString=json.dumps(value))

    def remove(self) -> None:
        client("secretsmanager").delete_secret(SecretId=self.name, ForceDeleteWithoutRecovery=True)


class Parameters:
    """The same in Parameter Store."""

    options = options_of("ssm")
    name = "/runpod-ecr/puller"
    create = put = "ssm:put_parameter"
    read, tag, delete = "ssm:get_parameter", "ssm:add_tags_to_resource", "ssm:delete_parameter"

    def entries(self) -> list[str]:
        return [held["Name"] for held in client("ssm").describe_parameters()["Parameters"]]

    def value(self) -> Json:
        return json.loads(self._held()["Value"])

    def arn(self) -> str:
        return self._held()["ARN"]

    def tags(self) -> dict[str, str]:
        listed = client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=self.name)
        return tag_dict(listed["TagList"])

    def make(self, value: Json, tags: dict[str, str]) -> None:
        text = json.dumps(value)
        client("ssm").put_parameter(Name=self.name, Value=text, Type="SecureString", Tags=tag_list(tags))

    def write(self, value: Json) -> None:
        client("ssm").put_parameter(Name=self.name, Value=json.dumps(value), Overwrite=True)

    def remove(self) -> None:
        client("ssm").delete_parameter(Name=self.name)

    def _held(self) -> Json:
        return client("ssm").get_parameter(Name=self.name, WithDecryption=True)["Parameter"]


Store = Secrets | Parameters
STORES: dict[str, Store] = {"secretsmanager": Secrets(), "ssm": Parameters()}
BOTH_STORES = pytest.mark.parametrize("account", STORES, indirect=True)

# For what breaks one call after the other: measuring takes half its time, and no line should need it to be covered.
UNMEASURED = pytest.mark.unmeasured


def turn(account: Account, *conditions: bool) -> int:
    """Return 0 or 1: with which call a test of every other call begins, so that it takes half the time.

    The two stores take turns, and so do the two sides of each condition: together they meet every call.
    """
    return (list(STORES.values()).index(account.store) + sum(conditions)) % 2


def provide(arn: str) -> None:
    """Let moto have this policy, when it is one of AWS' own: it has none of the many unless it has all."""
    partition, owner, name = arn.split(":")[1], arn.split(":")[4], arn.rpartition("/")[2]
    if owner == "aws":
        region = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}[partition]
        day = "2024-10-04T00:00:00+00:00"
        data = {"DefaultVersionId": "v1", "Path": "/", "Document": {}, "CreateDate": day, "UpdateDate": day}
        policy = AWSManagedPolicy.from_data(name, "123456789012", region, data)
        iam_backends["123456789012"][partition].managed_policies.setdefault(arn, policy)


class Killed(BaseException):
    """The run's process dies."""


# What goes wrong around a call. A run that dies before a call is one that died after the call before it.
FAILURES = pytest.mark.parametrize(("moment", "fault"), [("before", lost), ("after", lost), ("after", Killed)])


class Account:
    """Needs moto to be on; `connect` has the shape of AnsibleAWSModule.client.

    `before` and `after` map a call, by its name or its number from 0, to what happens once around it: an exception to
    raise, or a function to run. `during_nap` runs in the first pause.
    """

    def __init__(self, store: Store = STORES["secretsmanager"]) -> None:
        self.store = store
        self.now = datetime.now(timezone.utc)
        self.calls: list[str] = []
        self.requests: list[tuple[str, Json]] = []
        self.naps: list[float] = []
        self.before: dict[str | int, Any] = {}
        self.after: dict[str | int, Any] = {}
        self.during_nap: Callable[[], Any] | None = None
        self.boundaries: dict[str, str] = {}
        self.events: dict[tuple[str, str], list[Json]] = {}  # by region and access key, the newest first
        self.lookups: dict[str, list[datetime]] = {}
        self.used: dict[str, datetime] = {}

    def aws(self, region: str = "us-east-1") -> Aws:
        return Aws(self.connect, region, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += timedelta(seconds=seconds)
        if self.during_nap:
            run, self.during_nap = self.during_nap, None
            run()

    def connect(self, service: str, region: str, **dummy: Any) -> Any:
        return Recorder(self, service, client(service, region))

    def writes(self) -> list[str]:
        return [call for call in self.calls if not call.partition(":")[2].startswith(READS)]

    def forget(self) -> None:
        self.calls.clear()
        self.requests.clear()
        self.naps.clear()

    def happen(self, events: dict[str | int, Any], name: str, number: int) -> None:
        for key in (name, number):
            event = events.pop(key, None)
            if isinstance(event, BaseException):
                raise event
            if event:
                event()

    # What is there, read without our own code

    def keys(self, user: str) -> dict[str, str]:
        found = client("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]
        return {key["AccessKeyId"]: key["Status"] for key in found}

    def tags(self, user: str) -> dict[str, str]:
        return tag_dict(client("iam").list_user_tags(UserName=user)["Tags"])

    def policy(self, user: str) -> Json:
        return client("iam").get_user_policy(UserName=user, PolicyName="gpuops-runpod-pull")["PolicyDocument"]

    def attached(self, user: str) -> list[str]:
        listed = client("iam").list_attached_user_policies(UserName=user)["AttachedPolicies"]
        return [policy["PolicyArn"] for policy in listed]

    def secret(self, name: str, region: str = "us-east-1") -> Json:
        text = client("secretsmanager", region).get_secret_value(SecretId=name)["SecretString"]
        return json.loads(text)

    # The keys' dates, which moto takes from the real clock, and their use, which it does not see

    def create_access_key(self, moto: Any, request: Json) -> Json:
        answer = moto.create_access_key(**request)
        made = answer["AccessKey"]
        made["CreateDate"] = self.now.replace(microsecond=0)
        users = [backend.users.get(request["UserName"]) for backend in iam_backends["123456789012"].values()]
        for key in [key for user in users if user for key in user.access_keys]:
            if key.access_key_id == made["AccessKeyId"]:
                key.create_date = made["CreateDate"].replace(tzinfo=None)
        return answer

    def get_access_key_last_used(self, moto: Any, request: Json) -> Json:
        answer = moto.get_access_key_last_used(**request)
        if used := self.used.get(request["AccessKeyId"]):
            answer["AccessKeyLastUsed"]["LastUsedDate"] = used
        return answer

    # A user's boundary, which moto does not keep, and its partition, which is wrong for GovCloud

    def create_user(self, moto: Any, request: Json) -> Json:
        boundary = request.get("PermissionsBoundary")
        answer = moto.create_user(**request)
        if boundary:
            self.boundaries[request["UserName"]] = boundary
        return answer

    def get_user(self, moto: Any, request: Json) -> Json:
        answer = moto.get_user(**request)
        answer["User"]["Arn"] = f"arn:{moto.meta.partition}:" + answer["User"]["Arn"].split(":", 2)[2]
        if boundary := self.boundaries.get(request["UserName"]):
            answer["User"]["PermissionsBoundary"] = {"PermissionsBoundaryArn": boundary}
        return answer

    def put_user_permissions_boundary(self, dummy: Any, request: Json) -> Json:
        self.boundaries[request["UserName"]] = request["PermissionsBoundary"]
        return {}

    def delete_user_permissions_boundary(self, dummy: Any, request: Json) -> Json:
        del self.boundaries[request["UserName"]]
        return {}

    # A user's tags, which moto loses with the user's former path

    def update_user(self, moto: Any, request: Json) -> Json:
        tags = moto.list_user_tags(UserName=request["UserName"])["Tags"]
        moto.update_user(**request)
        return moto.tag_user(UserName=request["UserName"], Tags=tags)

    # Managed policies, with whose names and deletion moto is less strict than AWS

    def attach_user_policy(self, moto: Any, request: Json) -> Json:
        provide(request["PolicyArn"])
        return moto.attach_user_policy(**request)

    def attach_role_policy(self, moto: Any, request: Json) -> Json:
        provide(request["PolicyArn"])
        return moto.attach_role_policy(**request)

    def create_policy(self, moto: Any, request: Json) -> Json:
        if request["PolicyName"] in {policy["PolicyName"] for policy in moto.list_policies(Scope="Local")["Policies"]}:
            raise refusal("EntityAlreadyExists", 409, "Duplicate names are not allowed.")
        return moto.create_policy(**request)

    def delete_policy(self, moto: Any, request: Json) -> Json:
        arn = request["PolicyArn"]
        if moto.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"]:
            raise refusal("DeleteConflict", 409, "Cannot delete a policy attached to entities.")
        if len(moto.list_policy_versions(PolicyArn=arn)["Versions"]) > 1:
            raise refusal("DeleteConflict", 409, "This policy has more than one version.")
        return moto.delete_policy(**request)

    # CloudTrail, in which moto looks nothing up

    def lookup_events(self, moto: Any, request: Json) -> Json:
        region = moto.meta.region_name
        lately = [moment for moment in self.lookups.get(region, []) if self.now - moment < timedelta(seconds=1)]
        if len(lately) == 2:
            raise refusal("ThrottlingException")
        self.lookups[region] = [*lately, self.now]
        (attribute,) = request["LookupAttributes"]
        assert attribute["AttributeKey"] == "AccessKeyId" and request["MaxResults"] <= 50
        held = [
            event
            for event in self.events.get((region, attribute["AttributeValue"]), [])
            if event["EventTime"] >= request["StartTime"]
        ]
        start = int(request.get("NextToken", "0"))
        end = start + request["MaxResults"]
        more = {"NextToken": str(end)} if end < len(held) else {}
        return {"Events": held[start:end], **more}


class Recorder:
    """One client of an account."""

    def __init__(self, account: Account, service: str, moto: Any) -> None:
        self.account = account
        self.service = service
        self.moto = moto
        self.meta = moto.meta

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(aws_retry: bool = False, **request: Any) -> Any:
            account, name, number = self.account, f"{self.service}:{operation}", len(self.account.calls)
            account.calls.append(name)
            account.requests.append((name, request))
            account.happen(account.before, name, number)
            own = getattr(account, operation, None)
            try:
                return own(self.moto, request) if own else getattr(self.moto, operation)(**request)
            finally:
                account.happen(account.after, name, number)

        return call
