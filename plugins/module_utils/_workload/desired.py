# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what an operator wants, from the options of a plan.

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .._aws.runpod_roles import IN_FORCE
from .._aws.store_options import STORE_OPTIONS
from .._core.errors import InputError, Json
from .._runpod.credential_names import default_names
from .fleet import claims_of, credential_name, puller_of
from .options import OPTIONS
from .spec import workloads

FOLDERS = {"secretsmanager": "runpod-ecr/", "ssm": "/runpod-ecr/"}
STATEMENT = "AllowRunpodPull"
MADE_BY = {"user": "its user with ecr_pull_user", "role": "its role with ecr_pull_role"}
RETIRE = "run again with runpod_ecr_retire_former_identity=true"
TAKE_AWAY = "run again with runpod_ecr_pull_identity={}"

# Options that are no variables of the role, and variables besides the options.
OF_MODULES = {"intent", "propagation_timeout", "variables"}
OF_THE_ROLE = {"api", "audit", "audit_events", "audit_fail_on", "audit_report", "audits", "aws", "hosts"}
OF_THE_ROLE |= {"audit_token_sinks", "preflight_intent", "result", "results", "state"}
VARIABLES = {f"runpod_ecr_{name}" for name in (OPTIONS.keys() - OF_MODULES) | OF_THE_ROLE | {"secret_store"}}


class DesiredState(NamedTuple):
    """The workloads, complete, and the options that they share."""

    intent: str
    items: list[Json]
    options: Json

    @property
    def access(self) -> str:
        return str(self.options["access"])

    @property
    def by_user(self) -> bool:
        return self.access == "credential" and self.options["pull_identity"] == "user"

    @property
    def by_role(self) -> bool:
        return self.access == "credential" and self.options["pull_identity"] == "role"

    @property
    def by_session(self) -> bool:
        """Return whether a role is assumed to mint tokens."""
        return self.by_role or (self.access == "credential" and bool(self.options["role_arn"]))

    @property
    def puller(self) -> str:
        """Return what the names of credentials begin with."""
        return puller_of(self.options)

    def minting(self, caller: str) -> Json:
        """Return how a credential's tokens are minted that no key mints; `caller` is an ARN."""
        if self.by_user:
            return {}
        dummy, partition, dummy_service, dummy_region, account, dummy_name = caller.split(":", 5)
        own = f"arn:{partition}:iam::{account}:role{self.options['user_path']}{self.options['role_name']}"
        role = own if self.by_role else self.options["role_arn"]
        further = self.options["user_repositories"] or []
        external = {"external_id": self.options["role_external_id"]} if self.options["role_external_id"] else {}
        named = {"role_arn": role, **external} if role else {}
        return {**named, "repositories": [*self.repositories, *further]}

    @property
    def images(self) -> list[str]:
        return unique(item["image"] for item in self.items)

    @property
    def regions(self) -> list[str]:
        return sorted(unique(item["region"] for item in self.items))

    @property
    def repositories(self) -> list[str]:
        return sorted(unique(item["repository_arn"] for item in self.items))

    @property
    def store(self) -> Json:
        given = {key: value for key, value in (self.options["secret_store"] or {}).items() if value is not None}
        kind = given.get("type", "secretsmanager")
        defaults = {**dict.fromkeys(STORE_OPTIONS), "type": kind, "name": FOLDERS[kind] + self.options["user_name"]}
        return {**defaults, **given}

    def credential_name(self, region: str, account: str) -> str:
        return credential_name(self.options, region, account)

    def claims(self, account: str) -> Json:
        """Return what no other host of a fleet may have; `account` may be unknown."""
        return claims_of(self.items, self.options, account)

    @property
    def credential_patterns(self) -> list[str]:
        """Return names of credentials as patterns, for who does not know the account."""
        given, puller = self.options["credential_name"], re.escape(self.puller)
        return [re.escape(given)] if given else [rf"{puller}-\d{{12}}-{re.escape(region)}" for region in self.regions]

    def as_identity(self, kind: str) -> DesiredState:
        """Return the same wish as of a user or role that a run without names of its own for credentials kept."""
        theirs = {"pull_identity": kind, **dict.fromkeys(("credential_name", "role_arn", "role_external_id"))}
        return self._replace(options={**self.options, **theirs})

    @property
    def former_identities(self) -> list[str]:
        """Return the kinds that another value of pull_identity may have left. A role that is assumed is in use."""
        lent = self.options["role_arn"] or ""
        in_use = {self.options["pull_identity"]}
        if lent.endswith(f":role{self.options['user_path']}{self.options['role_name']}"):
            in_use.add("role")
        return [kind for kind in MADE_BY if kind not in in_use] if self.access == "credential" else []

    @property
    def former_credentials(self) -> dict[str, str]:
        """Return how credentials of other ways and identities are removed, by patterns of their names."""
        if self.access == "credential" and self.options["credential_name"]:
            return {}
        kinds = {kind: f"remove it with runpod_ecr_credential and {module}" for kind, module in MADE_BY.items()}
        own: list[str] = []
        if self.access == "credential":
            remedy = TAKE_AWAY if self.intent == "absent" else RETIRE
            kinds, own = {kind: remedy.format(kind) for kind in self.former_identities}, self.credential_patterns
        return {
            pattern: remedy
            for kind, remedy in kinds.items()
            for pattern in self.as_identity(kind).credential_patterns
            if pattern not in own
        }

    @property
    def former_store(self) -> Json | None:
        """Return where a pull user's entry may tell of tokens that this run's take the place of: their credentials
        have the same names.
        """
        if self.by_user or self.access != "credential" or not (self.options["credential_name"] or not self.by_role):
            return None
        return {key: self.store[key] for key in ("type", "name", "region")}

    def default_names(self, registries: Iterable[Json], account: str) -> dict[str, tuple[str, str]]:
        """Return id -> region and name of the pull user's credentials, whichever run made them."""
        if not (self.by_user or self.by_role) or self.options["credential_name"]:
            return {}
        return default_names(registries, self.puller, account)

    @property
    def pull_roles(self) -> tuple[str, ...]:
        return tuple(self.options["pull_role_arns"] or IN_FORCE)

    @property
    def public_names(self) -> dict[str, str]:
        """Return ARN of a private repository -> name of the public one."""
        given = self.options["public_repository"]
        return {arn: given or arn.partition(":repository/")[2] for arn in self.repositories}


def unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def desired_state(params: Json) -> DesiredState:
    """Raise one InputError that tells all that is wrong."""
    wrong = misspelt(params["variables"] or [])
    items: list[Json] = []
    if params["intent"] != "quarantine":
        try:
            items = workloads(
                given_workloads(params), {"serverless": True, **(params["template"] or {})}, params["endpoint"]
            )
        except InputError as error:
            wrong.append(str(error))
    desired = DesiredState(params["intent"], items, params)
    wrong += [text for rule in RULES for text in rule(desired)]
    if wrong:
        raise InputError(" ".join(wrong))
    return desired


def given_workloads(params: Json) -> list[Json]:
    """A single image is a list of one."""
    given = params["workloads"] or ([{"image": params["image"]}] if params["image"] else [])
    if not any(isinstance(one, dict) and one.get("image") for one in given):
        raise InputError("Name an image in runpod_ecr_image, or a list of workloads in runpod_ecr_workloads.")
    return given


def misspelt(variables: Iterable[str]) -> list[str]:
    return [
        f"{name} is no variable of the role runpod_ecr{nearest(name)}" for name in sorted(set(variables) - VARIABLES)
    ]


def nearest(name: str) -> str:
    close = difflib.get_close_matches(name, sorted(VARIABLES), 1)
    return f"; did you mean {close[0]}?" if close else "."


# What is wrong with the options together


def one_credential_name(desired: DesiredState) -> list[str]:
    if not desired.options["credential_name"] or len(desired.regions) < 2:
        return []
    return [
        f"runpod_ecr_credential_name is one name, but the images lie in {' and '.join(desired.regions)}, and a token "
        "works for one region. Leave the variable unset."
    ]


def publishing_is_meant(desired: DesiredState) -> list[str]:
    if desired.access != "public" or desired.intent != "converge" or desired.options["acknowledge_public"]:
        return []
    return [
        "With runpod_ecr_access=public everybody on the internet can pull the images, without a login. Deleting them "
        "later does not recall what was pulled. When that is meant, set runpod_ecr_acknowledge_public=true."
    ]


def one_public_name(desired: DesiredState) -> list[str]:
    if desired.access != "public" or not desired.options["public_repository"] or len(desired.repositories) < 2:
        return []
    return [
        f"runpod_ecr_public_repository is one name, but the images lie in {' and '.join(desired.repositories)}. Leave "
        "the variable unset."
    ]


def something_to_do(desired: DesiredState) -> list[str]:
    texts = {
        "refresh": f"With runpod_ecr_access={desired.access} RunPod holds no token, so there is nothing to refresh.",
        "rotate": "Only a pull user has a key to rotate, that is with runpod_ecr_access=credential and "
        "runpod_ecr_pull_identity=user.",
        "quarantine": "Only a pull user can be put in quarantine. Take the access back with runpod_ecr_state=absent, "
        "or RunPod's grant with gpuops.runpod.ecr_pull_grant.",
    }
    if desired.by_role and desired.intent == "rotate":
        return ["A pull role has no key, so there is nothing to rotate: each refresh mints its tokens anew."]
    possible = desired.access == "credential" if desired.intent == "refresh" else desired.by_user
    return [texts[desired.intent]] if desired.intent in texts and not possible else []


def one_identity(desired: DesiredState) -> list[str]:
    """A role that is only assumed is somebody else's to keep."""
    given, caller = desired.options, desired.access == "credential" and desired.options["pull_identity"] == "caller"
    wrong = []
    if given["role_arn"] and not caller:
        wrong.append(
            "runpod_ecr_role_arn names a role that runpod_ecr_pull_identity=caller assumes. One that this keeps is "
            "named by runpod_ecr_role_name, with runpod_ecr_pull_identity=role."
        )
    if given["role_external_id"] and not (given["role_arn"] or desired.by_role):
        wrong.append("runpod_ecr_role_external_id is for a role that is assumed, and there is none.")
    return wrong


def times(desired: DesiredState) -> list[str]:
    hours = desired.options["min_validity_hours"]
    if 0 < hours < 12:
        return []
    return [f"runpod_ecr_min_validity_hours is {hours:g}: it must be more than 0 and less than 12, a token's life."]


def retiring_is_safe(desired: DesiredState) -> list[str]:
    if not desired.options["retire_former_identity"] or desired.intent != "converge":
        return []
    wrong = []
    if desired.access != "credential":
        wrong.append(
            f"runpod_ecr_retire_former_identity takes away whom RunPod pulled as before, and with runpod_ecr_access="
            f"{desired.access} it pulls as nobody of ours. Take the user or role away with runpod_ecr_state=absent and "
            "the way that it was kept for."
        )
    if not desired.options["verify"]:
        wrong.append(
            "runpod_ecr_retire_former_identity takes away whom RunPod pulled as before once the pull is proved: set "
            "runpod_ecr_verify=true."
        )
    return wrong


RULES: list[Callable[[DesiredState], list[str]]] = [
    one_credential_name,
    publishing_is_meant,
    one_public_name,
    something_to_do,
    one_identity,
    retiring_is_safe,
    times,
]
