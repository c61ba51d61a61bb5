# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The open questions about both clouds that a run with throw-away things can answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.runpod_roles import IN_FORCE
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.repository_policy import statement

from .clouds import UNKNOWN, Answer, Clouds, Json, code_of

PROPAGATION = 90.0
SESSION, AFTER_SESSION = 900, 30  # seconds: the shortest session of a role, and until it is surely over
LOOKS = 10  # a second apart, until a policy shows
PULL_ONLY = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
SCALING = {"type": "QUEUE_DELAY", "queueDelay": 4}


class Context(NamedTuple):
    """What the questions are asked about."""

    clouds: Clouds
    prefix: str
    account: str
    tag: str
    layer: str
    boundary: str = ""
    patient: bool = False
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time

    @property
    def host(self) -> str:
        return f"{self.account}.dkr.ecr.{self.clouds.region}.amazonaws.com"

    @property
    def arn(self) -> str:
        return f"arn:aws:ecr:{self.clouds.region}:{self.account}:repository/{self.prefix}"


class Question(NamedTuple):
    """One open question: where it stands in the list of the cloud's facts, and what answers it, or why nothing does."""

    cloud: str
    number: str
    text: str
    ask: Callable[[Context], str] | None = None
    reason: str = ""


def answers(context: Context, say: Callable[[str], None]) -> Iterator[tuple[Question, str]]:
    for question in QUESTIONS:
        if question.ask is None:
            yield question, f"not asked: {question.reason}"
            continue
        say(f"{question.cloud} {question.number}: {question.text}")
        try:
            yield question, question.ask(context)
        except Exception as error:  # an answer of another shape is one more thing to tell
            yield question, f"not answered: {code_of(error)}: {str(error)[:200]}"


# RunPod: credentials and templates


@contextmanager
def made(context: Context, path: str, body: Json) -> Iterator[Answer]:
    """Make something at RunPod and remove it afterwards."""
    answer = context.clouds.runpod("POST", path, body)
    yield answer
    if answer.status == 201:
        context.clouds.runpod("DELETE", f"{path}/{answer.body['id']}")


def credential(context: Context, name: str) -> Json:
    return {"name": f"{context.prefix}-{name}", "username": "AWS", "password": "not a password"}


def template(context: Context, name: str, **options: Any) -> Json:
    image = f"{context.host}/{context.prefix}:{context.tag}"
    return {"name": f"{context.prefix}-{name}", "image": image, "disk": 5, "serverless": True, **options}


def told(answer: Answer) -> str:
    return f"{answer.status}" + (f" ({answer.detail})" if answer.detail else "")


def update_in_place(context: Context) -> str:
    with made(context, "registries", credential(context, "patch")) as first:
        path = f"registries/{first.body['id']}"
        body = {"username": "AWS", "password": "another one"}
        second = context.clouds.runpod("PATCH", path, body)
        if second.status != 200:
            return f"no: PATCH answers {told(second)}"
        same = second.body.get("id") == first.body["id"]
        text = f"yes: PATCH answers 200, {'the same id' if same else 'another id'}"
        if not context.clouds.limited_key:
            return f"{text}; without secrets:write: not asked, RUNPOD_LIMITED_API_KEY is not set"
        refused = context.clouds.runpod("PATCH", path, body, context.clouds.limited_key)
        return f"{text}; with the limited key: {told(refused)}"


def twice(context: Context, path: str, body: Json) -> str:
    with made(context, path, body), made(context, path, body) as second:
        return "allowed" if second.status == 201 else f"refused: {told(second)}"


def duplicate_names(context: Context) -> str:
    registries = twice(context, "registries", credential(context, "twice"))
    templates = twice(context, "templates", template(context, "twice"))
    return f"credential: {registries}; template: {templates}; in another account: not asked"


def default_disk(context: Context) -> str:
    body = {key: value for key, value in template(context, "disk").items() if key != "disk"}
    with made(context, "templates", body) as answer:
        return f"disk is {answer.body.get('disk')}" if answer.status == 201 else f"refused: {told(answer)}"


def credential_of_endpoint(context: Context) -> str:
    """No worker may start, so that nothing is paid for."""
    registry = context.clouds.runpod("POST", "registries", credential(context, "endpoint"))
    body = {
        **{key: value for key, value in template(context, "endpoint").items() if key != "serverless"},
        "type": "QUEUE",
        "scaling": SCALING,
        "gpu": {"pools": ["ADA_24"], "count": 1},
        "workers": {"min": 0, "max": 0},
        "registry": registry.body["id"],
    }
    with made(context, "serverless", body) as endpoint:
        if endpoint.status != 201:
            return f"not answered: an endpoint without workers is refused: {told(endpoint)}"
        context.clouds.runpod("DELETE", f"registries/{registry.body['id']}")
        shown = context.clouds.runpod("GET", f"serverless/{endpoint.body['id']}").body.get("registry")
        return "it shows null" if shown is None else "it shows the stale id"


def other_hosts(context: Context) -> str:
    hosts = {
        "dual-stack": f"{context.account}.dkr-ecr.{context.clouds.region}.on.aws",
        "FIPS": f"{context.account}.dkr.ecr-fips.{context.clouds.region}.amazonaws.com",
    }
    found = []
    for kind, host in hosts.items():
        body = template(context, "host", image=f"{host}/{context.prefix}:{context.tag}")
        with made(context, "templates", body) as answer:
            found.append(f"{kind}: {'taken' if answer.status == 201 else f'refused: {told(answer)}'}")
    return f"as the image of a template, {'; '.join(found)}"


def single_key_of_env(context: Context) -> str:
    with made(context, "templates", template(context, "env", env={"A": "1", "B": "2"})) as answer:
        path = f"templates/{answer.body['id']}"
        context.clouds.runpod("PATCH", path, {"env": {"A": "1"}})
        left = context.clouds.runpod("GET", path).body.get("env")
        return (
            "the whole map replaces" if left == {"A": "1"} else f"keys left after a map without B: {sorted(left or {})}"
        )


# RunPod: delegations


def set_policy(context: Context, *statements: Json) -> None:
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    context.clouds.aws("ecr").set_repository_policy(repositoryName=context.prefix, policyText=json.dumps(policy))


def read_statements(context: Context) -> list[Json]:
    text = context.clouds.aws("ecr").get_repository_policy(repositoryName=context.prefix)["policyText"]
    found: list[Json] = json.loads(text)["Statement"]
    return found


def settled_statements(context: Context, wanted: list[str]) -> list[Json]:
    """Return the statements once those with the wanted Sids show, in whatever order."""
    found: list[Json] = []
    for look in range(LOOKS):
        context.sleep(min(look, 1))
        try:
            found = read_statements(context)
        except UNKNOWN:
            continue
        if sorted(str(one.get("Sid")) for one in found) == sorted(wanted):
            break
    return found


def delegation(context: Context, resource: str) -> str:
    with made(context, "registries/delegations", {"resource": resource}) as answer:
        return "taken" if answer.status == 201 else f"refused: {told(answer)}"


def resource_forms(context: Context) -> str:
    uri = f"{context.host}/{context.prefix}"
    without = delegation(context, f"{uri}:{context.tag}")
    set_policy(context, statement("AllowRunpodPull", IN_FORCE))
    context.sleep(2)
    forms = {
        "ARN": context.arn,
        "ARN:tag": f"{context.arn}:{context.tag}",
        "URI:tag": f"{uri}:{context.tag}",
        "URI@digest": f"{uri}@{context.layer}",
        "URI with a tag that does not exist": f"{uri}:no-such-tag",
    }
    found = [f"{name}: {delegation(context, resource)}" for name, resource in forms.items()]
    return f"without a policy: {without}; {'; '.join(found)}"


def first_form_taken(context: Context) -> str:
    uri = f"{context.host}/{context.prefix}:{context.tag}"
    return next(
        (one for one in (context.arn, f"{context.arn}:{context.tag}", uri) if delegation(context, one) == "taken"), ""
    )


def second_delegation(context: Context) -> str:
    set_policy(context, statement("AllowRunpodPull", IN_FORCE))
    resource = first_form_taken(context)
    if not resource:
        return "not answered: no form of a resource is taken"
    body = {"resource": resource}
    with (
        made(context, "registries/delegations", body) as first,
        made(context, "registries/delegations", body) as second,
    ):
        if second.status != 201:
            return f"an error: {told(second)}"
        return "the first one again" if second.body["id"] == first.body["id"] else "a second record"


def token_action(context: Context) -> str:
    plain = statement("AllowRunpodPull", IN_FORCE)
    without = {**plain, "Action": [one for one in plain["Action"] if one != "ecr:GetAuthorizationToken"]}
    set_policy(context, without)
    context.sleep(2)
    uri = f"{context.host}/{context.prefix}:{context.tag}"
    answer = delegation(context, uri)
    return "no, it is taken without" if answer == "taken" else f"it seems so: {answer}"


# AWS


@contextmanager
def probe_user(context: Context) -> Iterator[tuple[str, str]]:
    """A user who may pull and nothing else, and its key, which stays in this process."""
    iam, name = context.clouds.aws("iam"), f"{context.prefix}-probe"
    boundary = {"PermissionsBoundary": context.boundary} if context.boundary else {}
    iam.create_user(UserName=name, Path="/runpod/", **boundary)
    iam.put_user_policy(UserName=name, PolicyName="pull", PolicyDocument=json.dumps(pull_of(context.arn)))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    context.clouds.secrets.add(key["SecretAccessKey"])
    yield key["AccessKeyId"], key["SecretAccessKey"]
    held = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    for one in held:
        iam.delete_access_key(UserName=name, AccessKeyId=one["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="pull")
    iam.delete_user(UserName=name)


def until_it_works(context: Context, attempt: Callable[[], object]) -> tuple[float, list[str]]:
    """Return the seconds until two tries in a row work, and the codes of those that did not."""
    start, codes, worked = context.clock(), list[str](), 0
    while worked < 2 and context.clock() - start < PROPAGATION:
        try:
            attempt()
            worked += 1
        except UNKNOWN as error:
            worked = 0
            codes.append(code_of(error))
            context.sleep(1)
    return context.clock() - start, list(dict.fromkeys(codes))


def propagation(context: Context) -> str:
    with probe_user(context) as (key, secret):
        sts = context.clouds.aws("sts", "", key, secret)
        seconds, codes = until_it_works(context, sts.get_caller_identity)
        more, ecr_codes = until_it_works(context, lambda: context.clouds.token(key, secret))
    return (
        f"STS knows a new key after {seconds:.0f} s ({', '.join(codes) or 'at once'}), "
        f"ECR {more:.0f} s later ({', '.join(ecr_codes) or 'at once'})"
    )


def last_used(context: Context) -> str:
    with probe_user(context) as (key, secret):
        until_it_works(context, lambda: context.clouds.token(key, secret))
        used = context.clouds.aws("iam").get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]
    return f"ServiceName is {used.get('ServiceName')} seconds after the first call to ECR"


def working_token(context: Context, *key: str) -> str:
    """Return a token once the rights of a new user or role have arrived too."""
    until_it_works(context, lambda: context.clouds.token(*key))
    token = context.clouds.token(*key)
    until_it_works(context, lambda: pulled(context, token))
    return token


def manifest(context: Context, token: str) -> int:
    """Return the status with which the registry answers to who pulls with a token."""
    return context.clouds.registry("GET", context.host, f"{context.prefix}/manifests/{context.tag}", token).status


def pulled(context: Context, token: str) -> int:
    status = manifest(context, token)
    if status != 200:
        raise OSError(f"status {status}")
    return status


def head_of_blob(context: Context) -> str:
    with probe_user(context) as (key, secret):
        token = working_token(context, key, secret)
        path = f"{context.prefix}/blobs/{context.layer}"
        status = context.clouds.registry("HEAD", context.host, path, token).status
    return f"HEAD of a blob answers {status} without ecr:BatchCheckLayerAvailability"


def life_of_token(context: Context) -> str:
    with probe_user(context) as (key, secret):
        token = working_token(context, key, secret)
        context.clouds.aws("iam").delete_access_key(UserName=f"{context.prefix}-probe", AccessKeyId=key)
        context.sleep(5)
        status = manifest(context, token)
    return f"{'still works' if status == 200 else f'is refused ({status})'} seconds after its key was deleted"


Lent = tuple[str, str, str]  # the key of a session, with its token


@contextmanager
def probe_role(context: Context) -> Iterator[str]:
    """A role that may pull and nothing else, for this account and whoever knows the prefix."""
    iam, name = context.clouds.aws("iam"), f"{context.prefix}-probe"
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{context.account}:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": context.prefix}},
            }
        ],
    }
    boundary = {"PermissionsBoundary": context.boundary} if context.boundary else {}
    made = iam.create_role(RoleName=name, Path="/runpod/", AssumeRolePolicyDocument=json.dumps(trust), **boundary)
    iam.put_role_policy(RoleName=name, PolicyName="pull", PolicyDocument=json.dumps(pull_of(context.arn)))
    yield made["Role"]["Arn"]
    iam.delete_role_policy(RoleName=name, PolicyName="pull")
    iam.delete_role(RoleName=name)


def pull_of(arn: str) -> Json:
    token = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    return {
        "Version": "2012-10-17",
        "Statement": [token, {"Effect": "Allow", "Action": PULL_ONLY, "Resource": arn}],
    }


def key_of(context: Context, credentials: Json) -> Lent:
    context.clouds.secrets |= {credentials["SecretAccessKey"], credentials["SessionToken"]}
    return credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]


def assumed(context: Context, role: str, policy: Json | None = None) -> Lent:
    """Return a session of the shortest life that STS lends, once the trust of a new role has arrived."""
    narrowed = {"Policy": json.dumps(policy)} if policy else {}
    given = {"RoleArn": role, "RoleSessionName": context.prefix, "ExternalId": context.prefix, **narrowed}
    sts = context.clouds.aws("sts")
    until_it_works(context, lambda: sts.assume_role(**given, DurationSeconds=SESSION))
    return key_of(context, sts.assume_role(**given, DurationSeconds=SESSION)["Credentials"])


def scope_of_token(context: Context) -> str:
    """Each narrowed session may pull from a repository that there is not, and the role from the one that there is."""
    elsewhere = pull_of(f"{context.arn}-elsewhere")
    with probe_role(context) as role:
        whole = assumed(context, role)
        working_token(context, *whole)
        by_role = opened(context, assumed(context, role, elsewhere))
        by_scope = scoped(context, whole, elsewhere)
    return f"by a session policy of AssumeRole: {by_role}; by GetScopedCredentials: {by_scope}"


def opened(context: Context, session: Lent) -> str:
    status = manifest(context, context.clouds.token(*session))
    return "no, it opens what the session may not pull" if status == 200 else f"yes, it is refused ({status})"


def scoped(context: Context, whole: Lent, policy: Json) -> str:
    key, secret, session = whole
    sts = context.clouds.aws("sts", "", key, secret, session)
    if "get_scoped_credentials" not in sts.meta.method_to_api_mapping:
        return "not asked, this boto3 does not know it"
    try:
        answer = sts.get_scoped_credentials(Policy=json.dumps(policy))
    except UNKNOWN as error:
        return f"not answered, it is refused: {code_of(error)}"
    return opened(context, key_of(context, answer["Credentials"]))


def life_beyond_session(context: Context) -> str:
    with probe_role(context) as role:
        session = assumed(context, role)
        working_token(context, *session)
        token, end = context.clouds.token_with_end(*session)
        hours = (end.timestamp() - context.clock()) / 3600
        promised = f"ECR says that it works for {hours:.2f} hours, and its session for {SESSION / 3600:.2f}"
        if not context.patient:
            return f"{promised}; what holds after that: not asked without --patient, which takes 16 minutes more"
        context.sleep(SESSION + AFTER_SESSION)
        status = manifest(context, token)
    return f"{promised}; after that it {'still works' if status == 200 else f'is refused ({status})'}"


def echo_of_policy(context: Context) -> str:
    wanted = statement("EchoOfPolicy", IN_FORCE)
    set_policy(context, wanted)
    [held] = settled_statements(context, ["EchoOfPolicy"])
    differing = sorted(key for key in {*wanted, *held} if wanted.get(key) != held.get(key))
    return (
        "accepted, and echoed unchanged"
        if not differing
        else f"accepted, but {', '.join(differing)} is echoed otherwise"
    )


def read_after_write(context: Context) -> str:
    set_policy(context, {**statement("AllowRunpodPull", IN_FORCE), "Sid": "ReadAfterWrite"})
    try:
        seen = [one["Sid"] for one in read_statements(context)]
    except UNKNOWN as error:
        return f"a read right after answers {code_of(error)}"
    return "a read right after the write shows it" if seen == ["ReadAfterWrite"] else f"a read right after shows {seen}"


def order_of_statements(context: Context) -> str:
    names = ["Zulu", "AllowRunpodPull", "Mike"]
    set_policy(context, *({**statement("AllowRunpodPull", IN_FORCE), "Sid": name} for name in names))
    seen = [one["Sid"] for one in settled_statements(context, names)]
    return "the order stays" if seen == names else f"the order becomes {', '.join(seen)}"


def public_elsewhere(context: Context) -> str:
    try:
        context.clouds.aws("ecr-public", "us-west-2").describe_registries()
    except UNKNOWN as error:
        return f"no: {code_of(error)}"
    return "yes, it answers"


GPU = "it takes a GPU, which costs"
TIME = "it takes days"
QUESTIONS = (
    Question("RunPod", "14.1", "Is a credential updated in place?", update_in_place),
    Question("RunPod", "14.2", "Which forms of a delegation's resource are taken?", resource_forms),
    Question("RunPod", "14.3", "May two things have one name?", duplicate_names),
    Question("RunPod", "14.4", "What becomes of a second delegation?", second_delegation),
    Question("RunPod", "14.5", "What is the disk of a template made without one?", default_disk),
    Question("RunPod", "14.6", "What does an endpoint show whose credential was deleted?", credential_of_endpoint),
    Question("RunPod", "14.7", "Does a serverless endpoint pull by delegation alone?", None, GPU),
    Question("RunPod", "14.8", "Which wins, a delegation or a credential?", None, GPU),
    Question("RunPod", "14.9", "Does a running worker use a refreshed password?", None, GPU),
    Question("RunPod", "14.10", "Is a policy validated again later?", None, TIME),
    Question("RunPod", "14.11", "Must a repository's policy allow ecr:GetAuthorizationToken?", token_action),
    Question("RunPod", "14.12", "Are dual-stack and FIPS hosts taken? (AWS 17.12)", other_hosts),
    Question("RunPod", "14.13", "How is one key of env removed?", single_key_of_env),
    Question("AWS", "17.1", "How long until a new key works, and what is said before?", propagation),
    Question("AWS", "17.2", "What service has a key that ECR has seen?", last_used),
    Question("AWS", "17.3", "Is HEAD of a blob refused to who may only pull?", head_of_blob),
    Question("AWS", "17.4", "Is RunPod's statement echoed unchanged?", echo_of_policy),
    Question("AWS", "17.5", "Does a policy show right after it was set?", read_after_write),
    Question("AWS", "17.6", "Is ECR Public in us-west-2?", public_elsewhere),
    Question("AWS", "17.7", "Which skopeo is in UBI?", None, "it takes a container engine"),
    Question("AWS", "17.8", "How long does a token outlive its key?", life_of_token),
    Question("AWS", "17.9", "Has ECR Public referrers?", None, "it would publish an image"),
    Question("AWS", "17.10", "How does CloudTrail show RunPod's pulls?", None, GPU),
    Question("AWS", "17.11", "Does ECR reorder statements?", order_of_statements),
    Question("AWS", "19.1", "Does a token open no more than the session that minted it?", scope_of_token),
    Question("AWS", "19.2", "Does a token outlive the session that minted it?", life_beyond_session),
)
