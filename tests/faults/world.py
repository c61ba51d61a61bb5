# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in both clouds: to go back to, to compare, and whether RunPod can pull with it at this moment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from moto.ecr.models import ecr_backends
from moto.iam.models import iam_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import is_young
from ansible_collections.gpuops.runpod.plugins.module_utils._core.time import parse_time
from tests.sandbox.aws_roles import session_of
from tests.sandbox.server import ACCESS_KEY, SECRET_KEY, Sandbox
from tests.system.conftest import USER, House
from tests.system.worker import ACCOUNT, REGION, STORES

Json = dict[str, Any]

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
ALTERNATE = re.compile(r"(-[a-z]{2}-[a-z]+-\d)-alt\b")  # which name a credential bears changes with each replacement
SECRET_ARN = re.compile(r"(:secret:[^\"\s]*?)-\w{6}(?=[\"\s]|$)")
TOKEN = re.compile(MOMENT.pattern + r" [A-Z0-9]{16,}$")
GRANTED = (
    "gpuops.runpod/granted"  # a time, of rights that grew while a key was stored: a run that was broken has two parts
)
LOCKED = 90.0  # seconds
PULL = "ecr:BatchGetImage"
PUBLIC = "public.ecr.aws/"


class Snapshot:
    """Both clouds as they are now, without what the registries hold, which no run but a mirror changes."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._objects = list(_parts(sandbox))
        self._parameters = [
            parameters for one in self._objects if (parameters := vars(one).get("_parameters")) is not None
        ]
        self._held = [self._copied(vars(one)) for one in self._objects]
        self._stored = [self._copied(dict(one)) for one in self._parameters]
        self._logins = dict(sandbox.aws.logins)
        self._policies = {place: repository.policy for place, repository in _repositories()}

    def restore(self) -> None:
        for one, held in zip(self._objects, self._held, strict=True):
            _put(vars(one), self._copied(held))
        for one, held in zip(self._parameters, self._stored, strict=True):
            _put(one, self._copied(held))
        self._sandbox.aws.logins = dict(self._logins)
        for place, repository in _repositories():
            repository.policy = self._policies[place]
        self._sandbox.mend()
        self._sandbox.forget_calls()

    def _copied(self, held: Json) -> Json:
        """Copy what is held, and nothing that is held beside it; moto's parameters do not know how to be copied."""
        kept = (*self._objects, *self._parameters, self._sandbox.aws, self._sandbox.runpod)
        return deepcopy(held, {id(one): one for one in kept})


def _put(place: Json, held: Json) -> None:
    place.clear()
    place.update(held)


def _parts(sandbox: Sandbox) -> Iterator[Any]:
    for backends, region in ((iam_backends, "aws"), (secretsmanager_backends, REGION), (ssm_backends, REGION)):
        assert backends[ACCOUNT][region]  # which makes one that nobody has used yet
        for regions in backends.values():
            yield from regions.values()
    yield from (sandbox.runpod.world, sandbox.aws.access, sandbox.aws.trail, *sandbox.aws.publics.values())


def _repositories() -> Iterator[tuple[tuple[str, str, str], Any]]:
    for account, regions in ecr_backends.items():
        for region, backend in regions.items():
            for name, repository in backend.repositories.items():
                yield (account, region, name), repository


# To compare


def state(house: House) -> Json:
    """Return all that is there, without ids and times: keys are told by whether the store holds them."""
    held = _held(house)
    names = {record["id"]: f"<{kind} {record.get('name')}>" for kind, all_ in held["runpod"].items() for record in all_}
    names |= {name.lower(): shown for name, shown in names.items()}
    names |= {key: "<a key>" for key in dict(house.keys())} if USER in house.users() else {}
    names |= {
        key: f"<the key of {store}>" for store in STORES if (key := stored_key(house, store).get("access_key_id"))
    }
    text = json.dumps(held, sort_keys=True, default=str)
    for name, shown in names.items():
        text = text.replace(name, shown)
    clean: Json = json.loads(ALTERNATE.sub(r"\1", SECRET_ARN.sub(r"\1", MOMENT.sub("<time>", text))))
    return ordered({**clean, "runpod": ordered(clean["runpod"])})


def ordered(parts: Json) -> Json:
    return {name: sorted(part, key=str) if isinstance(part, list) else part for name, part in parts.items()}


def _held(house: House) -> Json:
    iam, world = house.client("iam"), house.runpod()
    users = [_user(iam, name) for name in house.users()]
    roles = [_role(iam, one["RoleName"]) for one in iam.list_roles()["Roles"]]
    for kind, drop in (("registries", "password"), ("templates", ""), ("endpoints", "reads"), ("delegations", "")):
        for record in world[kind]:
            if kind == "registries":
                record["opens"] = _holder(house, record[drop])
            for name in (drop, "releases", "activeWorkers", "reads"):
                record.pop(name, None)
    return {
        "users": users,
        "roles": roles,
        "entries": [_entry(house, store, {record["id"] for record in world["registries"]}) for store in STORES],
        "policies": {str(place): held.policy for place, held in _repositories() if held.policy},
        "public": {
            name: {"tags": held.tags, "images": {digest: image.tags for digest, image in held.images.items()}}
            for registry in house.sandbox.aws.publics.values()
            for name, held in registry.repositories.items()
        },
        "runpod": world,
    }


def _user(iam: Any, name: str) -> Json:
    inline = iam.list_user_policies(UserName=name)["PolicyNames"]
    keys = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    return {
        "name": name,
        "tags": {tag["Key"]: tag["Value"] for tag in iam.list_user_tags(UserName=name)["Tags"]},
        "keys": [[key["AccessKeyId"], key["Status"]] for key in keys],
        "inline": {one: iam.get_user_policy(UserName=name, PolicyName=one)["PolicyDocument"] for one in inline},
        "attached": [one["PolicyArn"] for one in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]],
    }


def _role(iam: Any, name: str) -> Json:
    role = iam.get_role(RoleName=name)["Role"]
    inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return {
        "name": name,
        "path": role["Path"],
        "tags": {tag["Key"]: tag["Value"] for tag in role.get("Tags", [])},
        "trust": role["AssumeRolePolicyDocument"],
        "inline": {one: iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in inline},
        "attached": [one["PolicyArn"] for one in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]],
    }


def stored_key(house: House, store: str) -> Json:
    """Return the value of the entry in a store, if there is one."""
    if STORES[store] not in (_parameters(house) if store == "ssm" else house.secrets()):
        return {}
    value: Json = json.loads(house.entry(store))
    return value


def _parameters(house: House) -> list[str]:
    return [held["Name"] for held in house.client("ssm").describe_parameters()["Parameters"]]


def _entry(house: House, store: str, registries: set[str]) -> Json:
    """Tags of tokens of credentials that are gone stay until those have ended."""
    value = stored_key(house, store)
    if not value:
        return {}
    if "lock" in value and not is_young(parse_time(value["lock"]["since"]), house.runs.clock(), LOCKED):
        del value["lock"]  # of a dead run, which nobody heeds
    client = house.client(store)
    if store == "ssm":
        tags = client.list_tags_for_resource(ResourceType="Parameter", ResourceId=STORES[store])["TagList"]
    else:
        tags = client.describe_secret(SecretId=STORES[store]).get("Tags", [])
    listed = {tag["Key"]: tag["Value"] for tag in tags if tag["Key"] != GRANTED}
    ended = {key for key, text in listed.items() if TOKEN.match(text) and key.rpartition("/")[2] not in registries}
    listed = {key: text for key, text in listed.items() if key not in ended}
    shown = {**value, "secret_access_key": bool(value.get("secret_access_key"))}
    return {"store": store, "value": shown, "tags": listed}


def _holder(house: House, password: str) -> str:
    login = house.sandbox.aws.logins.get(password)
    if login is None:
        return "nothing"
    session = session_of(login.access_key)  # each has a key of its own
    return f"{login.region} as {session.role_arn if session else login.access_key}"


# Whether RunPod can pull


def pulls(house: House) -> set[str]:
    """Return the templates whose image RunPod can pull at this moment."""
    world = house.runpod()
    registries = {record["id"]: record for record in world["registries"]}
    return {record["name"] for record in world["templates"] if _pulls(house, world, registries, record)}


def _pulls(house: House, world: Json, registries: Json, template: Json) -> bool:
    host, dummy, rest = str(template["image"]).partition("/")
    if host == PUBLIC.rstrip("/"):
        return house.sandbox.aws.public.repository(re.split("[:@]", rest)[0]) is not None
    account, region, name = host.split(".")[0], host.split(".")[3], re.split("[:@]", rest)[0]
    arn = f"arn:aws:ecr:{region}:{account}:repository/{name}"
    if template.get("registry"):
        held = registries.get(template["registry"], {})
        login = house.sandbox.aws.logins.get(held.get("password", ""))
        return bool(login and login.region == region and not house.sandbox.aws.denial(login, PULL, arn))
    told = any((record["repository"], record["awsRegion"]) == (name, region) for record in world["delegations"])
    return told and bool(house.sandbox.aws.repository_policy(account, region, name))


# What nobody may be told


def secrets(house: House) -> set[str]:
    """Return the secrets that there are."""
    passwords = {record["password"] for record in house.runpod()["registries"] if record.get("password")}
    keys = {stored_key(house, store).get("secret_access_key") for store in STORES}
    issued = {
        key.secret_access_key for regions in iam_backends.values() for one in regions.values() for key in _keys(one)
    }
    known = {SECRET_KEY, house.sandbox.environment["RUNPOD_API_KEY"], *passwords, *keys, *issued}
    return {str(one) for one in known if one} - {ACCESS_KEY}


def _keys(backend: Any) -> Iterator[Any]:
    for user in backend.users.values():
        yield from user.access_keys
