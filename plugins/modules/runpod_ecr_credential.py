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
  - Where RunPod does not offer that, the credential is replaced. It is called in turns O(name) and O(name) with C(-alt)
    at its end, and both mean the same wherever a module of this collection takes the name of a credential. The other
    one is made with the fresh token, all templates and serverless endpoints that refer to the former one are made to
    refer to it, and then the former one is deleted. Each endpoint rolls out a release for that, which is a warning.
    The id changes, so refer to the credential by its name.
  - Pods are never changed. A credential that a pod refers to stays behind, which is a warning, and a later run deletes
    it, also one that finds the token fresh. As long as it stays, RunPod has no free name for the next replacement, and
    that fails.
  - A run that is interrupted anywhere leaves credentials that work, maybe both, and the next one finishes.
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
    silently take it away from templates. The same goes for its alternate. The pull user, its key and the entry are
    never removed.
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
      - Name of the registry credential. Two with this name are an error, and it cannot end in C(-alt).
      - The name is the ownership. A credential of this name gets an ECR token, whoever made it, and one with C(-alt) at
        its end counts as its alternate and is replaced or deleted.
      - When not set, C(<user>-<account>-<region>), where the tags of the secret store's entry say who the user is, and
        the entry's ARN names the account. Required without O(secret_store), and when the entry is not there.
    type: str
  image:
    description:
      - URI of an image in a private ECR repository. Only its region counts.
      - Exactly one of O(image) and O(registry_region) is required with O(state=present). With O(state=absent) one is
        required when O(name) is not set.
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
  - The RunPod API key needs to read and write registry credentials (C(secrets:write)). With O(state=absent) it also
    needs to read templates, serverless endpoints and pods, and where a credential is replaced instead of refreshed in
    place, to write templates and serverless endpoints too.
  - When a refresh fails, the error says how long the token still works that RunPod holds, and the failed result has
    RV(expires_at).
  - Check mode predicts a refresh in place, because only the write itself shows whether RunPod offers it.
  - >-
    IAM actions of the caller on the entry: C(secretsmanager:GetSecretValue), C(secretsmanager:DescribeSecret),
    C(secretsmanager:TagResource) and C(secretsmanager:UntagResource). With O(secret_store.type=ssm) these are
    C(ssm:GetParameter), C(ssm:ListTagsForResource), C(ssm:AddTagsToResource) and C(ssm:RemoveTagsFromResource).
  - "IAM actions of the pull user, or without O(secret_store) of the caller: C(ecr:GetAuthorizationToken)."
  - Without O(secret_store) RunPod gets all the rights that the caller has on the region's repositories. A warning names
    the caller.
  - Neither the token nor the key is ever returned or shown.
seealso:
  - module: gpuops.runpod.ecr_pull_user
  - module: gpuops.runpod.ecr_pull_check
  - module: gpuops.runpod.runpod_registry
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
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure the same, under a name of its own
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
      description: Its name at RunPod, which may be that of the alternate; V(null) in check mode when it is not known.
      type: str
      returned: always
      sample: ecr-us-east-1
    logical_name:
      description: The name that it shares with its alternate, as O(name) and other modules take it.
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
  description:
    - Until when its token works, in UTC; V(null) when that is not known, as in check mode before a refresh.
    - When a refresh failed, until when the token works that RunPod holds.
  type: str
  returned: success, and when a refresh failed
  sample: "2026-08-01T12:00:00Z"
refreshed:
  description: Whether a new token was or, in check mode, would be handed to RunPod.
  type: bool
  returned: success
  sample: true
repointed:
  description:
    - The templates and endpoints that were, or in check mode would be, made to refer to another credential. Check mode
      does not foresee a replacement that has not begun.
  type: list
  elements: dict
  returned: success
  contains:
    kind:
      description: V(template) or V(endpoint).
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
in_use_by:
  description:
    - What refers to a credential and keeps it from being removed; with O(state=present) that is a former one that was
      replaced.
  type: list
  elements: dict
  returned: success
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
    registry:
      description: Id of the credential.
      type: str
      returned: always
      sample: reg_2f9c
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
    logical_name:
      description: The name that it shares with its alternate.
      type: str
      returned: always
      sample: ecr-ap-northeast-2
    reason:
      description: The same as a sentence.
      type: str
      returned: always
      sample: The credential ecr-ap-northeast-2 (reg_81aa) holds a token of the same pull user.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ..module_utils._aws.client import Aws, aws_client
from ..module_utils._aws.ecr_token import Token, get_token, retry_until
from ..module_utils._aws.secret_entry import (
    MANAGED,
    OURS,
    Entry,
    format_time,
    keyless,
    quarantine,
    token_records,
    young_until,
)
from ..module_utils._aws.secret_store import STORE_OPTIONS, SecretStore, store_of
from ..module_utils._core.errors import (
    ApiError,
    AwsError,
    CollectionError,
    ConflictError,
    InputError,
    Json,
    TransportError,
)
from ..module_utils._core.module import execute
from ..module_utils._core.result import Result
from ..module_utils._oci.reference import parse_ecr
from ..module_utils._runpod.client import Client
from ..module_utils._runpod.connection import ARGUMENTS, runpod_client
from ..module_utils._runpod.credential_replacement import (
    PATH,
    apply_cleanup,
    called,
    check_name,
    clear,
    identity,
    in_use,
    logical,
    pair,
    releases,
    renew,
    report,
    stays,
)

LONG_PAST = timedelta(days=1)


class Clients(NamedTuple):
    """Both clouds."""

    aws: Aws
    api: Client


class CredentialState(NamedTuple):
    """What the clouds hold: the store's entry with its tags (nothing when tokens are the caller's), and credentials.

    `pair` is the credential and its alternate, as far as they are there.
    """

    store: SecretStore | None
    entry: Entry | None
    tags: dict[str, str]
    registries: list[Json] = []
    pair: list[Json] = []


class RefreshError(CollectionError):
    """A refresh failed; tells how long the token that RunPod holds already still works, as far as that is known."""

    def __init__(self, cause: CollectionError, expires_at: datetime | None, message: str) -> None:
        super().__init__(f"{cause} {message}".rstrip())
        self.cause = cause
        self.expires_at = expires_at

    def as_result(self) -> Json:
        expires_at = self.expires_at and format_time(self.expires_at)
        return {**self.cause.as_result(), "msg": str(self), "expires_at": expires_at}


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    hours = params["min_validity_hours"]
    if not 0 < hours < 12:
        raise InputError(f"min_validity_hours is {hours:g}: it must be more than 0 and less than 12, a token's life.")
    region = parse_ecr(params["image"]).region if params["image"] is not None else params["registry_region"]
    if region == "":
        raise InputError("registry_region is empty: name the region of the ECR registries, as in us-east-1.")
    if params["name"] is not None:
        check_name(params["name"])
    store = store_of(client.aws, params["secret_store"]) if params["secret_store"] else None
    entry = store.read() if store else None
    current = CredentialState(store, entry, store.tags() if store and entry else {})
    if params["state"] == "absent":
        name = params["name"] or default_name(current, region)
        return remove(read_state(current, name, client.api), region, check_mode, client.api)
    return ensure(params, current, region, check_mode, client)


def default_name(current: CredentialState, region: str | None) -> str:
    """Return the name that follows from whose entry it is, from its account and from the region."""
    entry = current.store.name if current.store else ""
    if current.entry is None:
        raise InputError(f"name is required: the secret store's entry {entry}, from which it follows, is not there.")
    user = current.tags.get(MANAGED)
    if not user:
        raise InputError(
            f"name is required: the secret store's entry {entry} has no tag {MANAGED}, which says whose it is."
        )
    if not region:
        raise InputError("name is required, or image or registry_region, from whose region the name follows.")
    return f"{user}-{current.entry.arn.split(':')[4]}-{region}"


def read_state(current: CredentialState, name: str, api: Client) -> CredentialState:
    """Read RunPod, after the secret store."""
    registries = api.items(PATH, "registries")
    return current._replace(registries=registries, pair=pair(registries, name))


def ensure(params: Json, existing: CredentialState, region: str, check_mode: bool, client: Clients) -> Result:
    """Hand a token to RunPod unless the credential is fresh."""
    shut = quarantine(existing.tags, f"The secret store's entry {existing.store.name}") if existing.store else ""
    if shut:
        raise ConflictError(shut)
    missing = keyless(existing.entry, existing.store.name) if existing.store else ""
    if missing and not check_mode:
        raise InputError(missing)
    name, now = params["name"], client.aws.clock()
    if name or existing.entry:  # else the entry is still to come, and the name with it
        name = name or default_name(existing, region)
        try:
            existing = read_state(existing, name, client.api)
        except (ApiError, TransportError) as error:
            raise failed(error, only_expiry(existing), now) from error
    live = None if params["force"] else fresh(existing, now + timedelta(hours=params["min_validity_hours"]))
    if live:
        return finish(existing, live, region, check_mode, client.api)
    warnings = tuple(filter(None, (missing, "" if existing.store else whose(client.aws))))
    if check_mode:
        current = primary(existing)
        after = describe(current, name, region, None)
        before = to_diff(existing, current, existing.pair, region)
        return Result(True, before, after, {**results(after, True), **report()}, warnings)
    outcome = refresh(params, existing, name, region, client)
    return outcome._replace(warnings=(*warnings, *outcome.warnings))


def finish(current: CredentialState, live: Json, region: str, check_mode: bool, api: Client) -> Result:
    """Leave a fresh credential alone, and bring a replacement to its end that an earlier run began."""
    spares = [registry for registry in current.pair if registry != live]
    stale = any(OURS + registry["id"] in current.tags for registry in spares)
    if not check_mode:
        forget(current, spares)
    moved, kept = apply_cleanup(api, spares, live, check_mode)
    shown = describe(live, None, region, expiry(current, live))
    found = {**results(shown, False), **report(moved, kept), "registry": shown}
    before = to_diff(current, live, current.pair, region)
    after = to_diff(current, live, [left.registry for left in kept], region)
    changed = stale or bool(moved) or before != after
    return Result(changed, before, after, found, (*releases(moved), *stays(kept)))


def refresh(params: Json, existing: CredentialState, name: str, region: str, client: Clients) -> Result:
    """Mint a token and hand it to RunPod. It is noted once everything refers to the credential that holds it."""
    current, now = primary(existing), client.aws.clock()
    try:
        token = new_token(client.aws, region, existing, params["propagation_timeout"])
        secret, known = login(token), working(existing, now)
        renewal = renew(client.api, name, existing.pair, secret, known, lambda former: forget(existing, former))
        record_token(existing, renewal.registry, token, client.aws.clock())
    except CollectionError as error:
        raise failed(error, expiry(existing, current), now, bool(current)) from error
    kept = clear(client.api, renewal.leftovers)
    shown = describe(renewal.registry, name, region, token.expires_at)
    before = to_diff(existing, current, existing.pair, region)
    after = {**shown, **called(left.registry for left in kept)}
    short = ""
    if token.expires_at < now + timedelta(hours=params["min_validity_hours"]):
        short = f"The new token works until {shown['expires_at']}, less than min_validity_hours: each run refreshes it."
    warnings = (*renewal.warnings, *stays(kept), *([short] if short else []))
    found = {**results(shown, True), **report(renewal.moved, kept), "registry": shown}
    return Result(True, before, after, found, warnings)


def failed(error: CollectionError, expires_at: datetime | None, now: datetime, current: bool = True) -> RefreshError:
    """Return the error of a refresh, with how long the token works that RunPod holds."""
    if not current:
        message = ""
    elif expires_at is None:
        message = "Until when the token that RunPod holds works is not known."
    elif expires_at <= now:
        message = f"The token that RunPod holds has ended at {format_time(expires_at)}: nothing can be pulled with it."
    else:
        hours = (expires_at - now).total_seconds() / 3600
        message = f"The token that RunPod holds works until {format_time(expires_at)}, for another {hours:.1f} hours."
    return RefreshError(error, expires_at, message)


def describe(registry: Json | None, name: str | None, region: str | None, expires_at: datetime | None) -> Json:
    """Return a credential as results show it; None stands for one that is still to be made."""
    what = registry or {"name": name}
    shown = identity(what) if what["name"] else {"name": None, "logical_name": None}
    return {**shown, "region": region, "expires_at": expires_at and format_time(expires_at)}


def to_diff(current: CredentialState, registry: Json | None, among: list[Json], region: str | None) -> Json | None:
    """Return a credential as diffs show it: with the other one that means the same, as long as it is there."""
    if registry is None:
        return None
    shown = describe(registry, None, region, expiry(current, registry))
    return {**shown, **called(other for other in among if other != registry)}


def results(shown: Json | None, refreshed: bool) -> Json:
    """Return what each run reports beside the credential."""
    return {"expires_at": shown["expires_at"] if shown else None, "refreshed": refreshed}


def expiry(current: CredentialState, registry: Json | None) -> datetime | None:
    """Return until when a credential's token works, as far as its freshness tag tells."""
    message = token_records(current.tags).get(registry["id"]) if registry else None
    return message.expires_at if message else None


def only_expiry(current: CredentialState) -> datetime | None:
    """Return until when the one token works that the freshness tags know of; None when they know of more or none."""
    ends = {message.expires_at for message in token_records(current.tags).values()}
    return ends.pop() if len(ends) == 1 else None


def primary(current: CredentialState) -> Json | None:
    """Return the credential whose token works longest, as far as is known; the one with the plain name in doubt."""
    never = datetime.min.replace(tzinfo=UTC)
    return max(current.pair, key=lambda registry: expiry(current, registry) or never, default=None)


def working(current: CredentialState, now: datetime) -> dict[str, bool]:
    """Return for each credential whose token's end is known whether it still works."""
    return {identifier: message.expires_at > now for identifier, message in token_records(current.tags).items()}


def fresh(existing: CredentialState, at: datetime) -> Json | None:
    """Return the credential whose token works until then at least and was minted with the key now in the store."""
    key = existing.entry.key if existing.entry else None
    current = primary(existing)
    message = token_records(existing.tags).get(current["id"]) if current else None
    return (
        current if message and key and message.access_key_id == key.access_key_id and message.expires_at >= at else None
    )


def long_past(current: CredentialState, now: datetime) -> list[str]:
    """Return the freshness tags whose token ended long ago and whose credential is not there any more."""
    there = {registry["id"] for registry in current.registries}
    return [
        OURS + identifier
        for identifier, message in token_records(current.tags).items()
        if identifier not in there and message.expires_at < now - LONG_PAST
    ]


def whose(aws: Aws) -> str:
    """Return the warning that RunPod gets the caller's own rights, with who that is."""
    caller = "whoever runs this"
    with suppress(AwsError):
        caller = aws.call("sts", "get_caller_identity")["Arn"]
    return (
        f"Without secret_store RunPod gets a token of {caller}: it opens every repository of the region that this "
        "identity may pull. Name the entry of a pull user to hand over no more than its rights."
    )


def new_token(aws: Aws, region: str, current: CredentialState, timeout: float) -> Token:
    """Return a token of the pull user, or of the caller; a key or right that is seconds old gets its time."""
    if current.entry is None:
        return get_token(aws, region)
    key = current.entry.key
    return retry_until(aws, young_until(current.entry, current.tags, timeout), lambda: get_token(aws, region, key))


def login(token: Token) -> Json:
    """Return the part of a credential that is its secret."""
    return {"username": token.username, "password": token.password}


def record_token(current: CredentialState, registry: Json, token: Token, now: datetime) -> None:
    """Tag the entry with the token's end and the key that minted it, and drop the tags that are done with.

    Those are the tags long past, and that of a credential which this one takes the place of.
    """
    if not (current.store and current.entry and current.entry.key):
        return
    current.store.tag({OURS + registry["id"]: f"{format_time(token.expires_at)} {current.entry.key.access_key_id}"})
    forget(current, [former for former in current.pair if former["id"] != registry["id"]], long_past(current, now))


def forget(current: CredentialState, registries: Iterable[Json], more: Iterable[str] = ()) -> None:
    """Drop freshness tags; an entry that is being deleted takes its tags along."""
    names = [OURS + registry["id"] for registry in registries if OURS + registry["id"] in current.tags]
    names += more
    if names and current.store and current.entry and not current.entry.deleted:
        current.store.untag(names)


def others(current: CredentialState) -> list[Json]:
    """Return the further credentials that hold tokens of the same entry."""
    return [
        {
            "id": registry["id"],
            "name": registry["name"],
            "logical_name": logical(registry["name"]),
            "reason": f"The credential {registry['name']} ({registry['id']}) holds a token of the same pull user.",
        }
        for registry in current.registries
        if registry["id"] in token_records(current.tags) and registry not in current.pair
    ]


def remove(existing: CredentialState, region: str | None, check_mode: bool, api: Client) -> Result:
    """Delete the credential and its alternate, but for what something refers to."""
    current = primary(existing)
    kept = clear(api, existing.pair, check_mode)
    left = [one.registry for one in kept]
    gone = [registry for registry in existing.pair if registry not in left]
    if not check_mode:
        forget(existing, gone)
    rest = current if current in left else next(iter(left), None)
    before, after = to_diff(existing, current, existing.pair, region), to_diff(existing, rest, left, region)
    shown = describe(rest, None, region, expiry(existing, rest)) if rest else None
    found = {**results(shown, False), **report([], kept), "other_registries": others(existing), "registry": shown}
    return Result(bool(gone), before, after, found, in_use(kept))


def connect(module: AnsibleAWSModule) -> Clients:
    """Return the clients that the module's options describe."""
    return Clients(aws_client(module), runpod_client(module))


def main() -> None:
    spec = {
        **ARGUMENTS,
        "name": {"type": "str"},
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
        required_one_of=[("name", "secret_store")],
        mutually_exclusive=[("image", "registry_region")],
        supports_check_mode=True,
    )
    execute(module, run, "registry", connect)


if __name__ == "__main__":
    main()
