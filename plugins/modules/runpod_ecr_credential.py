#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_ecr_credential
short_description: Keep a RunPod registry credential that holds a fresh ECR token
description:
  - Mints an ECR token as the pull user that M(gpuops.runpod.ecr_pull_user) made, with the key from the secret store,
    and stores it at RunPod as the registry credential called O(name).
  - An existing credential is refreshed in place and keeps its id, so that nothing that refers to it changes.
  - The credential is fresh, and nothing is written, when a tag of the secret store's entry says that its token works
    for O(min_validity_hours) more and that it was minted with the key that is in the entry now.
  - When O(secret_store) is not set, the token is minted as the caller. Then nothing records until when the token at
    RunPod works, so each run refreshes it and reports a change.
  - A token opens the registries of one region, in every account where the pull user has rights.
  - RunPod tells neither the age nor the region of a stored token. A token that something else wrote since, or one for
    another region than O(registry_region), is not noticed. Give each region a credential name of its own, or use
    O(force).
  - When a tag of the entry says that the pull user is in quarantine, there is no new token until
    M(gpuops.runpod.ecr_pull_user) releases it. That is an error.
  - With O(state=absent), a credential that a template, an endpoint or a pod still refers to stays, because RunPod would
    silently take it away from templates. The pull user, its key and the entry are never removed.
author: The gpuops.runpod authors (@gpuops)
version_added: 0.1.0
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.secret_store
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.both_groups
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
options:
  name:
    description:
      - Name of the registry credential. Two with this name are an error.
      - The name is the ownership. A credential of this name gets an ECR token, whoever made it.
    type: str
    required: true
  image:
    description:
      - URI of an image in a private ECR repository. Only its region counts.
      - Exactly one of O(image) and O(registry_region) is required with O(state=present).
    type: str
  registry_region:
    description: Region of the ECR registries that the token opens.
    type: str
  min_validity_hours:
    description:
      - Refresh the credential when its token works for less than this many hours. More than 0 and less than 12, which
        is how long a token lives.
      - At least twice the interval between two runs lets one run be missed.
    type: float
    default: 9
  force:
    description: Whether to refresh a fresh token too.
    type: bool
    default: false
  propagation_timeout:
    description:
      - Seconds after the key was made, or after the pull user's rights last grew, for which a refusal by AWS only means
        that this has not arrived everywhere.
    type: int
    default: 90
  state:
    description: Whether the credential exists.
    type: str
    choices:
      - present
      - absent
    default: present
attributes:
  idempotent:
    description: A second run with the same options changes nothing.
    support: partial
    details:
      - Without O(secret_store) or with O(force=true), each run refreshes the credential.
notes:
  - The RunPod API key needs to read and write registry credentials (C(secrets:write)), and with O(state=absent) to read
    templates, serverless endpoints and pods.
  - >-
    IAM actions of the caller on the entry: C(secretsmanager:GetSecretValue), C(secretsmanager:DescribeSecret),
    C(secretsmanager:TagResource) and C(secretsmanager:UntagResource). With O(secret_store.type=ssm) these are
    C(ssm:GetParameter), C(ssm:ListTagsForResource), C(ssm:AddTagsToResource) and C(ssm:RemoveTagsFromResource).
  - "IAM actions of the pull user, or without O(secret_store) of the caller: C(ecr:GetAuthorizationToken)."
  - Neither the token nor the key is ever returned or shown.
seealso:
  - module: gpuops.runpod.ecr_pull_user
  - module: gpuops.runpod.ecr_pull_check
"""

EXAMPLES = r"""
- name: Ensure there is a pull user whose key is in the secret store
  gpuops.runpod.ecr_pull_user:
    name: runpod-ecr-access
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure RunPod holds a token of that user that opens the image's registry
  gpuops.runpod.runpod_ecr_credential:
    name: ecr-us-east-1
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure RunPod holds a token for another region, minted as whoever runs this
  gpuops.runpod.runpod_ecr_credential:
    name: ecr-ap-northeast-2
    registry_region: ap-northeast-2

- name: Ensure a credential that nothing refers to is gone
  gpuops.runpod.runpod_ecr_credential:
    name: ecr-us-east-1
    secret_store:
      name: runpod-ecr/runpod-ecr-access
    state: absent
"""

RETURN = r"""
registry:
  description: The credential afterwards; a prediction in check mode, V(null) once it is gone.
  type: dict
  returned: success
  contains:
    id:
      description: Its id.
      type: str
      returned: once it exists
      sample: reg_2f9c
    name:
      description: Its name.
      type: str
      returned: always
      sample: ecr-us-east-1
    region:
      description: The region of O(image) or O(registry_region); V(null) when neither is set.
      type: str
      returned: always
      sample: us-east-1
    expires_at:
      description: The same as RV(expires_at).
      type: str
      returned: always
      sample: "2026-08-01T12:00:00Z"
expires_at:
  description: Until when its token works, in UTC; V(null) when that is not known, as in check mode before a refresh.
  type: str
  returned: success
  sample: "2026-08-01T12:00:00Z"
refreshed:
  description: Whether a new token was or, in check mode, would be handed to RunPod.
  type: bool
  returned: success
  sample: true
in_use_by:
  description: What refers to the credential and keeps it from being removed.
  type: list
  elements: dict
  returned: with O(state=absent)
  contains:
    kind:
      description: V(template), V(endpoint) or V(pod).
      type: str
      returned: always
      sample: template
    id:
      description: Its id.
      type: str
      returned: always
      sample: tpl_7d01
    name:
      description: Its name.
      type: str
      returned: always
      sample: runpod-gpu-training
    reason:
      description: The same as a sentence.
      type: str
      returned: always
      sample: The template runpod-gpu-training (tpl_7d01) refers to the credential ecr-us-east-1.
other_registries:
  description:
    - Further credentials at RunPod that hold tokens of the same entry of the secret store, so that the pull user is
      still needed.
  type: list
  elements: dict
  returned: with O(state=absent)
  contains:
    id:
      description: Its id.
      type: str
      returned: always
      sample: reg_81aa
    name:
      description: Its name.
      type: str
      returned: always
      sample: ecr-ap-northeast-2
    reason:
      description: The same as a sentence.
      type: str
      returned: always
      sample: The credential ecr-ap-northeast-2 (reg_81aa) holds a token of the same pull user.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ..module_utils._aws import Aws, aws_client
from ..module_utils._client import Client, create
from ..module_utils._entry import OURS, Entry, format_time, freshness, keyless, quarantine, young_until
from ..module_utils._errors import ApiError, ConflictError, InputError, Json, NotFoundError, RunpodError
from ..module_utils._image import parse_ecr
from ..module_utils._runpod import ARGUMENTS, execute, runpod_client
from ..module_utils._secret_store import STORE_OPTIONS, SecretStore, store_of
from ..module_utils._state import Outcome, one_by_name
from ..module_utils._tokens import Token, mint, patiently

PATH = "/registries"
KIND = "registry credential"
LONG_PAST = timedelta(days=1)
USERS = {  # kind -> path of the listing, its key
    "template": ("/templates", "templates"),
    "endpoint": ("/serverless", "endpoints"),
    "pod": ("/pods?includeClusterPods=true", "pods"),
}


class Clients(NamedTuple):
    """Both clouds."""

    aws: Aws
    api: Client


class Held(NamedTuple):
    """What the clouds hold: the store's entry with its tags (nothing when tokens are the caller's), and credentials."""

    store: SecretStore | None
    entry: Entry | None
    tags: dict[str, str]
    registries: list[Json]
    current: Json | None


def run(params: Json, check_mode: bool, client: Clients) -> Outcome:
    hours = params["min_validity_hours"]
    if not 0 < hours < 12:
        raise InputError(f"min_validity_hours is {hours:g}: it must be more than 0 and less than 12, a token's life.")
    region = parse_ecr(params["image"]).region if params["image"] is not None else params["registry_region"]
    if region == "":
        raise InputError("registry_region is empty: name the region of the ECR registries, as in us-east-1.")
    held = look(params, client)
    if params["state"] == "absent":
        return remove(held, region, check_mode, client.api)
    return ensure(params, held, region, check_mode, client)


def look(params: Json, client: Clients) -> Held:
    """Read the secret store, then RunPod."""
    store = store_of(client.aws, params["secret_store"]) if params["secret_store"] else None
    entry = store.read() if store else None
    tags = store.tags() if store and entry else {}
    registries = client.api.items(PATH, "registries")
    return Held(store, entry, tags, registries, one_by_name(registries, params["name"], KIND))


def ensure(params: Json, held: Held, region: str, check_mode: bool, client: Clients) -> Outcome:
    """Hand a token to RunPod unless the credential is fresh."""
    shut = quarantine(held.tags, f"The secret store's entry {held.store.name}") if held.store else ""
    if shut:
        raise ConflictError(shut)
    missing = keyless(held.entry, held.store.name) if held.store else ""
    if missing and not check_mode:
        raise InputError(missing)
    name, needed = params["name"], client.aws.clock() + timedelta(hours=params["min_validity_hours"])
    before = show(held.current, name, region, expiry(held)) if held.current else None
    if fresh(held, needed) and not params["force"]:
        return Outcome(False, before, before, results(before, False))
    if check_mode:
        after = show(held.current, name, region, None)
        return Outcome(True, before, after, results(after, True), (missing,) if missing else ())
    token = new_token(client.aws, region, held, params["propagation_timeout"])
    registry = hand_over(client.api, name, held.current, token)
    note(held, registry, token, client.aws.clock())
    after = show(registry, name, region, token.expires_at)
    short = f"The new token works until {after['expires_at']}, less than min_validity_hours: each run will refresh it."
    return Outcome(True, before, after, results(after, True), (short,) if token.expires_at < needed else ())


def show(registry: Json | None, name: str, region: str | None, expires_at: datetime | None) -> Json:
    """Return a credential as results show it; None stands for one that is still to be made."""
    identity = {"id": registry["id"]} if registry else {}
    return {**identity, "name": name, "region": region, "expires_at": expires_at and format_time(expires_at)}


def results(shown: Json | None, refreshed: bool) -> Json:
    """Return what each run reports beside the credential."""
    return {"expires_at": shown["expires_at"] if shown else None, "refreshed": refreshed}


def expiry(held: Held) -> datetime | None:
    """Return until when the credential's token works, as far as its freshness tag tells."""
    said = freshness(held.tags).get(held.current["id"]) if held.current else None
    return said.expires_at if said else None


def fresh(held: Held, at: datetime) -> bool:
    """Return whether the credential's token works until then at least and was minted with the key now in the store."""
    said = freshness(held.tags).get(held.current["id"]) if held.current else None
    key = held.entry.key if held.entry else None
    return bool(said and key and said.access_key_id == key.access_key_id and said.expires_at >= at)


def long_past(held: Held, now: datetime) -> list[str]:
    """Return the freshness tags whose token ended long ago and whose credential is not there any more."""
    there = {registry["id"] for registry in held.registries}
    return [
        OURS + identifier
        for identifier, said in freshness(held.tags).items()
        if identifier not in there and said.expires_at < now - LONG_PAST
    ]


def new_token(aws: Aws, region: str, held: Held, timeout: float) -> Token:
    """Return a token of the pull user, or of the caller; a key or right that is seconds old gets its time."""
    if held.entry is None:
        return mint(aws, region)
    key = held.entry.key
    return patiently(aws, young_until(held.entry, held.tags, timeout), lambda: mint(aws, region, key))


def note(held: Held, registry: Json, token: Token, now: datetime) -> None:
    """Tag the entry with the token's end and the key that minted it, and drop tags long past."""
    if not (held.store and held.entry and held.entry.key):
        return
    held.store.tag({OURS + registry["id"]: f"{format_time(token.expires_at)} {held.entry.key.access_key_id}"})
    stale = long_past(held, now)
    if stale:
        held.store.untag(stale)


def login(token: Token) -> Json:
    """Return the part of a credential that is its secret."""
    return {"username": token.username, "password": token.password}


def hand_over(api: Client, name: str, current: Json | None, token: Token) -> Json:
    """Write the token into the credential, or into a new one, and return that."""
    if current and replace(api, current, token):
        return current
    return make(api, name, token)


def replace(api: Client, registry: Json, token: Token) -> bool:
    """Write the token in place; return False when the credential is gone."""
    path = f"{PATH}/{registry['id']}"
    try:
        api.patch(path, login(token))
    except ApiError as error:
        if error.status == 404 and not exists(api, path):
            return False
        if error.status in (404, 405):
            raise RunpodError(
                f"This API does not offer to replace the token of a credential in place: {error} Point api_url at "
                f"RunPod's current API v2; or delete the credential {registry['name']!r} ({registry['id']}) when "
                "nothing refers to it any more, and run again to have it made anew."
            ) from error
        raise
    return True


def exists(api: Client, path: str) -> bool:
    """Return whether RunPod finds the thing at this path."""
    try:
        api.get(path)
    except NotFoundError:
        return False
    return True


def make(api: Client, name: str, token: Token) -> Json:
    """Create the credential and return it, or the one that another run made at the same moment."""
    adopted: list[Json] = []

    def adopt() -> Json | None:
        """Look for what an unanswered POST made; whose token it holds cannot be told, so it gets ours."""
        found = one_by_name(api.items(PATH, "registries"), name, KIND)
        if found and replace(api, found, token):
            adopted.append(found)
        return adopted[0] if adopted else None

    made = create(api, PATH, {"name": name, **login(token)}, adopt)
    return made if adopted else settle(api, made, token)


def settle(api: Client, made: Json, token: Token) -> Json:
    """Return the credential of this name with the lowest id; drop the one this run made when that is another."""
    twins = [registry for registry in api.items(PATH, "registries") if registry["name"] == made["name"]]
    lowest = min([made, *twins], key=lambda registry: registry["id"])
    if lowest["id"] == made["id"]:
        return made
    if users_of(api, made):
        one_by_name([lowest, made], made["name"], KIND)  # raises: neither may be chosen
    api.delete(f"{PATH}/{made['id']}")
    return hand_over(api, made["name"], lowest, token)


def users_of(api: Client, registry: Json) -> list[Json]:
    """Return what refers to a credential; a terminated pod needs it no more."""
    return [
        {
            "kind": kind,
            "id": thing["id"],
            "name": thing["name"],
            "reason": f"The {kind} {thing['name']} ({thing['id']}) refers to the credential {registry['name']}.",
        }
        for kind, (path, key) in USERS.items()
        for thing in api.items(path, key)
        if thing.get("registry") == registry["id"] and thing.get("status") != "TERMINATED"
    ]


def others(held: Held) -> list[Json]:
    """Return the further credentials that hold tokens of the same entry."""
    return [
        {
            "id": registry["id"],
            "name": registry["name"],
            "reason": f"The credential {registry['name']} ({registry['id']}) holds a token of the same pull user.",
        }
        for registry in held.registries
        if registry["id"] in freshness(held.tags) and registry != held.current
    ]


def remove(held: Held, region: str | None, check_mode: bool, api: Client) -> Outcome:
    """Delete the credential unless something refers to it."""
    current = held.current
    users = users_of(api, current) if current else []
    before = show(current, current["name"], region, expiry(held)) if current else None
    after = before if users else None
    found = {**results(after, False), "in_use_by": users, "other_registries": others(held)}
    if current is None or users:
        stays = ("The credential stays: " + " ".join(user["reason"] for user in users),) if users else ()
        return Outcome(False, before, after, found, stays)
    if not check_mode:
        api.delete(f"{PATH}/{current['id']}")
        forget(held, OURS + current["id"])
    return Outcome(True, before, after, found)


def forget(held: Held, tag: str) -> None:
    """Drop a freshness tag; an entry that is being deleted takes its tags along."""
    if held.store and held.entry and not held.entry.deleted and tag in held.tags:
        held.store.untag([tag])


def connect(module: AnsibleAWSModule) -> Clients:
    """Return the clients that the module's options describe."""
    return Clients(aws_client(module), runpod_client(module))


def main() -> None:
    spec = {
        **ARGUMENTS,
        "name": {"type": "str", "required": True},
        "image": {"type": "str"},
        "registry_region": {"type": "str"},
        "secret_store": {"type": "dict", "options": STORE_OPTIONS, "no_log": False},
        "min_validity_hours": {"type": "float", "default": 9},
        "force": {"type": "bool", "default": False},
        "propagation_timeout": {"type": "int", "default": 90},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    module = AnsibleAWSModule(
        argument_spec=spec,
        required_if=[("state", "present", ["image", "registry_region"], True)],
        mutually_exclusive=[("image", "registry_region")],
        supports_check_mode=True,
    )
    execute(module, run, "registry", connect)


if __name__ == "__main__":
    main()
