# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong, and what only looks so, made through the clouds' own APIs.

A sabotage is a function of the house. What AWS does by itself, such as losing a layer, is done to what moto holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from moto.ecr.models import ecr_backends
from moto.iam.models import iam_backends

from tests.sandbox.images import Image, digest, push
from tests.system.conftest import IMAGE, REGISTRY, USER, House
from tests.system.test_audit import at_runpod, held, sample

from .bases import SERVED, STORES, TRAINING, Json

Sabotage = Callable[[House], None]
Links = dict[tuple[str, str], list[str]]

ACCOUNT = "123456789012"
OTHER = f"{REGISTRY}/runpod-gpu-inference:v1"
EAST, SEOULS = (f"{USER}-{ACCOUNT}-{region}" for region in ("us-east-1", "ap-northeast-2"))
PULL_POLICY = "gpuops-runpod-pull"
ARNS = [
    f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/runpod-gpu-training",
    f"arn:aws:ecr:ap-northeast-2:{ACCOUNT}:repository/team/app",
]
AT = {TRAINING: ("runpod-gpu-training", "us-east-1"), SERVED: ("team/app", "ap-northeast-2")}


class Case(NamedTuple):
    """Sabotages of a base, and what is to be told: the links that are not green with the codes, and the worst colour.

    `by_hand` is what somebody does who follows a remedy in words; `elsewhere` are codes of what is in no chain.
    """

    base: str
    sabotages: tuple[Sabotage, ...]
    links: Links
    status: str
    by_hand: tuple[Sabotage, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "+".join([self.base, *(name_of(each) for each in self.sabotages)])


class Bound(NamedTuple):
    """A sabotage with what it needs besides the house, which is behind the house in its parameters."""

    function: Callable[..., None]
    arguments: tuple[Any, ...]
    options: Json

    def __call__(self, house: House) -> None:
        self.function(house, *self.arguments, **self.options)


def name_of(sabotage: Any) -> str:
    if not isinstance(sabotage, Bound):
        return str(sabotage.__name__)
    words = [str(each["Sid"] if isinstance(each, dict) and "Sid" in each else each) for each in sabotage.arguments]
    words += [str(value) for value in sabotage.options.values()]
    plain = [re.sub(r"[^A-Za-z0-9:.-]+", "_", word)[-32:] for word in words]
    return "-".join([sabotage.function.__name__, *plain])


def both(kind: str, *codes: str) -> Links:
    return {(name, kind): list(codes) for name in (TRAINING, SERVED)}


def at(workload: str, kind: str, *codes: str) -> Links:
    return {(workload, kind): list(codes)}


# The pull user


def iam(house: House) -> Any:
    return house.client("iam")


def policy_gone(house: House) -> None:
    iam(house).delete_user_policy(UserName=USER, PolicyName=PULL_POLICY)


def policy_of(house: House) -> Json:
    document: Json = iam(house).get_user_policy(UserName=USER, PolicyName=PULL_POLICY)["PolicyDocument"]
    return document


def put_policy(house: House, document: Json, name: str = PULL_POLICY) -> None:
    iam(house).put_user_policy(UserName=USER, PolicyName=name, PolicyDocument=json.dumps(document))


def policy_without_seoul(house: House) -> None:
    document = policy_of(house)
    for statement in document["Statement"]:
        if isinstance(statement["Resource"], list):
            statement["Resource"] = [ARNS[0]]
    put_policy(house, document)


def policy_without_layers(house: House) -> None:
    document = policy_of(house)
    for statement in document["Statement"]:
        if isinstance(statement["Action"], list):
            statement["Action"] = ["ecr:BatchGetImage"]
    put_policy(house, document)


def policy_without_token(house: House) -> None:
    document = policy_of(house)
    document["Statement"] = [
        each for each in document["Statement"] if "ecr:GetAuthorizationToken" not in each["Action"]
    ]
    put_policy(house, document)


def policy_wider(house: House) -> None:
    document = policy_of(house)
    for statement in document["Statement"]:
        if isinstance(statement["Resource"], list):
            statement["Resource"].append(f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/runpod-gpu-inference")
    put_policy(house, document)


def denying(*actions: str) -> Json:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": list(actions), "Resource": "*"}]}


def allowing(*actions: str) -> Json:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}


def denied_inline(house: House, action: str) -> None:
    put_policy(house, denying(action), "somebodys")


def denied_attached(house: House, action: str) -> None:
    document = json.dumps(denying(action))
    arn = iam(house).create_policy(PolicyName="somebodys", PolicyDocument=document)["Policy"]["Arn"]
    iam(house).attach_user_policy(UserName=USER, PolicyArn=arn)


def more_rights(house: House) -> None:
    put_policy(house, allowing("s3:ListBucket"), "somebodys")


def bounded(house: House, *actions: str) -> None:
    arn = iam(house).create_policy(PolicyName="limit", PolicyDocument=json.dumps(allowing(*actions)))["Policy"]["Arn"]
    iam(house).put_user_permissions_boundary(UserName=USER, PermissionsBoundary=arn)


def widen_boundary(house: House) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:policy/limit"
    document = json.dumps(allowing("ecr:*"))
    iam(house).create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)


def organization_denies(house: House, *actions: str) -> None:
    house.sandbox.aws.limit_organization(allowing("*"), denying(*actions))


def organization_lacks_ecr(house: House) -> None:
    house.sandbox.aws.limit_organization(allowing("s3:*"))


def organization_relents(house: House) -> None:
    house.sandbox.aws.limit_organization()


def key_inactive(house: House) -> None:
    [key] = house.keys()
    iam(house).update_access_key(UserName=USER, AccessKeyId=key, Status="Inactive")


def key_gone(house: House) -> None:
    [key] = house.keys()
    iam(house).delete_access_key(UserName=USER, AccessKeyId=key)


def another_key(house: House) -> None:
    iam(house).create_access_key(UserName=USER)


def user_gone(house: House) -> None:
    for key in list(house.keys()):
        iam(house).delete_access_key(UserName=USER, AccessKeyId=key)
    policy_gone(house)
    iam(house).delete_user(UserName=USER)


def user_untagged(house: House) -> None:
    iam(house).untag_user(UserName=USER, TagKeys=["gpuops.runpod/managed"])


def user_tagged(house: House) -> None:
    iam(house).tag_user(UserName=USER, Tags=[{"Key": "team", "Value": "ml"}])


def quarantined(house: House) -> None:
    house.arrange(access="quarantined")


def key_old(house: House) -> None:
    [key] = iam_backends[ACCOUNT]["aws"].users[USER].access_keys
    key.create_date = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(days=100)


# The secret store


def store_of(house: House) -> Any:
    return house.client("secretsmanager")


NAME = STORES["secretsmanager"]


def entry_gone(house: House) -> None:
    store_of(house).delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)


def entry_going(house: House) -> None:
    store_of(house).delete_secret(SecretId=NAME)


def entry_is(house: House, value: str) -> None:
    store_of(house).put_secret_value(SecretId=NAME, SecretString=value)


def entry_is_binary(house: House) -> None:
    store_of(house).put_secret_value(SecretId=NAME, SecretBinary=b"\x00\x01")


def secret_wrong(house: House) -> None:
    entry = json.loads(house.entry()) | {"secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
    entry_is(house, json.dumps(entry))


def entry_of_a_console(house: House) -> None:
    entry = json.loads(house.entry())
    entry_is(house, json.dumps({"AccessKeyId": entry["access_key_id"], "SecretAccessKey": entry["secret_access_key"]}))


def entry_of_another(house: House) -> None:
    tag = {"Key": "gpuops.runpod/managed", "Value": "somebody-else"}
    store_of(house).tag_resource(SecretId=NAME, Tags=[tag])


def parameter_gone(house: House) -> None:
    house.client("ssm").delete_parameter(Name=STORES["ssm"])


def parameter_is_garbage(house: House) -> None:
    house.client("ssm").put_parameter(Name=STORES["ssm"], Value="hello", Type="SecureString", Overwrite=True)


def token_tag(house: House, name: str, moment: datetime) -> None:
    """Let the store tell that the token in a credential ends then, and let it end then."""
    [key] = house.keys()
    registry = held(house, "registries", name)
    tag = {"Key": f"gpuops.runpod/{registry}", "Value": f"{moment:%Y-%m-%dT%H:%M:%SZ} {key}"}
    store_of(house).tag_resource(SecretId=NAME, Tags=[tag])
    password = house.sandbox.runpod.world.current["registries"][registry]["password"]
    login = house.sandbox.aws.logins[password]
    house.sandbox.aws.logins[password] = login._replace(expires=moment.timestamp())


def token_over(house: House, name: str) -> None:
    token_tag(house, name, datetime.now(timezone.utc) - timedelta(hours=2))


def token_nearly_over(house: House, name: str) -> None:
    token_tag(house, name, datetime.now(timezone.utc) + timedelta(hours=1))


def token_unrecorded(house: House, name: str) -> None:
    key = f"gpuops.runpod/{held(house, 'registries', name)}"
    store_of(house).untag_resource(SecretId=NAME, TagKeys=[key])


# The images


def tag_gone(house: House, workload: str) -> None:
    repository, region = AT[workload]
    house.client("ecr", region).batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])


def push_again(house: House, workload: str) -> None:
    repository, region = AT[workload]
    registry = house.client("ecr", region)
    with suppress(registry.exceptions.ImageAlreadyExistsException):  # its layers come first
        push(registry, repository, "v1", sample(repository))


def repository_gone(house: House, workload: str) -> None:
    repository, region = AT[workload]
    house.client("ecr", region).delete_repository(repositoryName=repository, force=True)


def repository_again(house: House, workload: str) -> None:
    repository, region = AT[workload]
    house.client("ecr", region).create_repository(repositoryName=repository)
    push_again(house, workload)


def another_platform(house: House, workload: str) -> None:
    repository, region = AT[workload]
    push(house.client("ecr", region), repository, "v1", sample("runpod-arm-only"))


def another_image(house: House, workload: str) -> None:
    repository, region = AT[workload]
    push(house.client("ecr", region), repository, "v1", sample("runpod-gpu-inference"))


def chart(house: House, workload: str) -> None:
    """Push what Helm pushes."""
    repository, region = AT[workload]
    config, layer = b'{"name":"app","version":"1.0.0"}', b"chart"
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.cncf.helm.config.v1+json", config),
        "layers": [described("application/vnd.cncf.helm.chart.content.v1.tar+gzip", layer)],
    }
    image = Image(json.dumps(manifest).encode(), (), (config, layer))
    push(house.client("ecr", region), repository, "v1", image)


def described(media_type: str, content: bytes) -> Json:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def layer_lost(house: House, workload: str) -> None:
    repository, region = AT[workload]
    layer = json.loads(sample(repository).manifest)["layers"][-1]["digest"]
    del ecr_backends[ACCOUNT][region].repositories[repository].layers[layer]


def lifecycle(house: House, workload: str, selection: Json) -> None:
    repository, region = AT[workload]
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    text = json.dumps({"rules": [rule]})
    house.client("ecr", region).put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text)


def expires_by_age(house: House, workload: str, days: int) -> None:
    of_age = {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}
    lifecycle(house, workload, of_age)


def expires_untagged(house: House, workload: str) -> None:
    of_age = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}
    lifecycle(house, workload, of_age)


def expires_by_count(house: House, workload: str) -> None:
    lifecycle(house, workload, {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1})
    repository, region = AT[workload]
    for number in range(2, 4):
        push(house.client("ecr", region), repository, f"v{number}", sample("runpod-gpu-inference"))
    newest = ecr_backends[ACCOUNT][region].repositories[repository].images[-1]
    newest.image_pushed_at += 60


def lifecycle_gone(house: House, workload: str) -> None:
    repository, region = AT[workload]
    house.client("ecr", region).delete_lifecycle_policy(repositoryName=repository)


# What RunPod holds


def credential_gone(house: House, name: str) -> None:
    at_runpod(house, "DELETE", f"registries/{held(house, 'registries', name)}")


def password_overwritten(house: House, name: str) -> None:
    body = {"username": "AWS", "password": "not-a-token"}
    at_runpod(house, "PATCH", f"registries/{held(house, 'registries', name)}", body)


def credential_twice(house: House, name: str) -> None:
    house.sandbox.runpod.seed("registries", {"name": name, "username": "AWS", "password": "not-a-token"})


def credential_once(house: House, name: str) -> None:
    used = {each["registry"] for each in house.runpod()["templates"]}
    for each in house.runpod()["registries"]:
        if each["name"] == name and each["id"] not in used:
            at_runpod(house, "DELETE", f"registries/{each['id']}")


def template(house: House, workload: str, **changes: Any) -> None:
    at_runpod(house, "PATCH", f"templates/{held(house, 'templates', workload)}", changes)


def endpoint(house: House, workload: str, **changes: Any) -> None:
    at_runpod(house, "PATCH", f"serverless/{held(house, 'endpoints', workload)}", changes)


def template_runs(house: House, workload: str, image: str) -> None:
    template(house, workload, image=image)


def endpoint_runs(house: House, workload: str, image: str) -> None:
    endpoint(house, workload, image=image)


def template_unlinked(house: House, workload: str) -> None:
    template(house, workload, registry=None)


def endpoint_unlinked(house: House, workload: str) -> None:
    endpoint(house, workload, registry=None)


def template_of_another_region(house: House, workload: str) -> None:
    template(house, workload, registry=held(house, "registries", {TRAINING: SEOULS, SERVED: EAST}[workload]))


def endpoint_of_another_region(house: House, workload: str) -> None:
    endpoint(house, workload, registry=held(house, "registries", {TRAINING: SEOULS, SERVED: EAST}[workload]))


def template_of_a_stranger(house: House, workload: str) -> None:
    stranger = house.sandbox.runpod.seed("registries", {"name": "strangers"})["id"]
    template(house, workload, registry=stranger)


def template_disk(house: House, workload: str) -> None:
    template(house, workload, disk=77)


def template_gone(house: House, workload: str) -> None:
    at_runpod(house, "DELETE", f"templates/{held(house, 'templates', workload)}")


def endpoint_gone(house: House, workload: str) -> None:
    at_runpod(house, "DELETE", f"serverless/{held(house, 'endpoints', workload)}")


def endpoint_scaled(house: House, workload: str) -> None:
    endpoint(house, workload, scaling={"type": "QUEUE_DELAY", "queueDelay": 9})


PULL_FAILED = "failed to pull image: manifest unknown"


def workers(house: House, *statuses: str, minutes: int = 90) -> None:
    """Let the endpoint have workers of its newest version that are so for minutes, with the last word of their host."""
    house.sandbox.runpod.switch(rollout_reads=None)
    record = house.sandbox.runpod.world.current["endpoints"][held(house, "endpoints", SERVED)]
    begun = (datetime.now(timezone.utc) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    record["releases"][0]["createdAt"] = begun
    record["workers"]["min"] = 0
    record["activeWorkers"] = [
        {
            "id": f"worker-{number}",
            "status": status,
            "version": record["releases"][0]["version"],
            "gpuCount": 1,
            "image": record["image"],
            "uptimeSeconds": minutes * 60 if status in ("RUNNING", "IDLE") else None,
            "gpuTypeId": None,
            "dataCenterId": None,
            "startedAt": begun if status in ("RUNNING", "IDLE") else None,
            "logs": [{"source": "system", "line": PULL_FAILED, "ts": begun}],
        }
        for number, status in enumerate(statuses, start=1)
    ]


def pod(house: House, image: str = IMAGE, registry: str | None = EAST, name: str = "notebook", **given: Any) -> None:
    identifier = held(house, "registries", registry) if registry else None
    house.sandbox.runpod.seed("pods", {"name": name, "image": image, "registry": identifier, **given})


def pod_of_an_older_credential(house: House) -> None:
    """A credential that was replaced by its twin and that no refresh renews any more, and a pod that still uses it."""
    older = {"name": f"{EAST}-alt", "username": "AWS", "password": "not-a-token"}
    registry = house.sandbox.runpod.seed("registries", older)["id"]
    house.sandbox.runpod.seed("pods", {"name": "notebook", "image": IMAGE, "registry": registry})


def pod_again(house: House, name: str) -> None:
    """Make a pod anew, from its template."""
    [pod] = [each for each in house.sandbox.runpod.world.current["pods"].values() if each["name"] == name]
    pod["registry"] = held(house, "registries", EAST)


def pod_terminated(house: House) -> None:
    registry = house.sandbox.runpod.seed("registries", {"name": "staging"})["id"]
    house.sandbox.runpod.seed("pods", {"name": "gone", "image": IMAGE, "registry": registry, "status": "TERMINATED"})


def another_environment(house: House) -> None:
    registry = house.sandbox.runpod.seed("registries", {"name": "staging-123456789012-us-east-1"})["id"]
    for kind in ("templates", "endpoints", "pods"):
        house.sandbox.runpod.seed(kind, {"name": f"staging-{kind}", "image": IMAGE, "registry": registry})


# The policy of a repository, and RunPod's word of it


def repository_policy(house: House, workload: str) -> Json:
    repository, region = AT[workload]
    text = house.client("ecr", region).get_repository_policy(repositoryName=repository)["policyText"]
    policy: Json = json.loads(text)
    return policy


def put_repository_policy(house: House, workload: str, policy: Json) -> None:
    repository, region = AT[workload]
    house.client("ecr", region).set_repository_policy(repositoryName=repository, policyText=json.dumps(policy))


def statement_added(house: House, workload: str, statement: Json) -> None:
    policy = repository_policy(house, workload)
    put_repository_policy(house, workload, {**policy, "Statement": [*policy["Statement"], statement]})


def statement_taken(house: House, workload: str, sid: str) -> None:
    policy = repository_policy(house, workload)
    kept = [each for each in policy["Statement"] if each.get("Sid") != sid]
    put_repository_policy(house, workload, {**policy, "Statement": kept})


def statement(sid: str, effect: str, principal: Any, condition: Json | None = None, action: Any = "ecr:*") -> Json:
    given = {"Sid": sid, "Effect": effect, "Principal": principal, "Action": action}
    return {**given, "Condition": condition} if condition else given


def repository_policy_gone(house: House, workload: str) -> None:
    repository, region = AT[workload]
    house.client("ecr", region).delete_repository_policy(repositoryName=repository)


def role_lacking(house: House, workload: str) -> None:
    policy = repository_policy(house, workload)
    policy["Statement"][0]["Condition"]["StringEquals"]["aws:PrincipalArn"].pop()
    put_repository_policy(house, workload, policy)


def former_role(house: House, workload: str, only: bool = False) -> None:
    policy = repository_policy(house, workload)
    arns = policy["Statement"][0]["Condition"]["StringEquals"]["aws:PrincipalArn"]
    former = "arn:aws:iam::418399314813:role/prod-us-east-1-deployment-role"
    arns[:] = [former] if only else [*arns, former]
    put_repository_policy(house, workload, policy)


def granted_otherwise(house: House, workload: str, other: Json) -> None:
    """Let another statement than ours be what lets RunPod in."""
    put_repository_policy(house, workload, {"Version": "2012-10-17", "Statement": [other]})


def delegation_gone(house: House, workload: str) -> None:
    [found] = [each for each in house.runpod()["delegations"] if each["repository"] == AT[workload][0]]
    at_runpod(house, "DELETE", f"registries/delegations/{found['id']}")


# ECR Public


def public_repository_gone(house: House) -> None:
    house.client("ecr-public").delete_repository(repositoryName="runpod-gpu-training", force=True)


def public_tag_gone(house: House) -> None:
    for image in house.sandbox.aws.public.repositories["runpod-gpu-training"].images.values():
        image.tags.clear()


# What whoever looks may not, or cannot


FORBIDDEN = {"status": 403, "body": {"title": "Forbidden", "status": 403, "detail": "no such scope"}}
DENIED = {"code": "AccessDenied", "message": "not authorized", "status": 403}
EXPIRED = {"code": "ExpiredTokenException", "message": "expired", "status": 400}


def refused(house: House, call: str, answer: Json) -> None:
    house.sandbox.fail(call, times=None, answer=answer)


def heard(house: House) -> None:
    house.sandbox.mend()


def nothing(dummy: House) -> None:
    """Leave the world as it is."""
