# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what modules predict with the options that the role's tasks give.

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .._aws.pull_session import Minting, pull_session
from .._core.errors import Json
from .._core.result import Result
from .._ecr import image_mirror, public_catalog, pull_check, pull_grant
from .._ecr import public_repository as public
from .._ecr.pull_identity import PullIdentity
from .._pull_user import pull_role as roles
from .._pull_user import pull_user as users
from .._runpod import account as accounts
from .._runpod import delegation as delegations
from .._runpod import ecr_credential, endpoint_fields, endpoint_plan
from .._runpod import endpoint as endpoints
from .._runpod import template as template_fields
from .._runpod import templates as bulk
from .._runpod.credential_state import Clients
from .._runpod.fields import Step
from .desired import STATEMENT, DesiredState
from .look import LISTINGS, Look

NEVER = 0
CATALOG = (*public_catalog.FIELDS, "logo")


def propagation_timeout(desired: DesiredState) -> int:
    """A preview waits for no young right."""
    return NEVER if desired.options["check_mode"] else int(desired.options["propagation_timeout"])


def caller(look: Look) -> Json:
    return look.aws.call("sts", "get_caller_identity")


# The pull user


def user_options(desired: DesiredState, **changed: Any) -> Json:
    return {
        "name": desired.options["user_name"],
        "state": "present",
        "path": desired.options["user_path"],
        "permissions_boundary": None,
        "user_tags": None,
        "purge_tags": True,
        "policy": "repositories",
        "repositories": None,
        "purge_repositories": False,
        "pull_through": False,
        "key_state": "present",
        "rotate_after_days": None,
        "retire_after_hours": 24,
        "release_quarantine": False,
        "secret_store": desired.store,
        "propagation_timeout": desired.options["propagation_timeout"],
        **changed,
    }


def preview_user(look: Look, options: Json) -> Result:
    return users.run(options, True, look.aws)


def pull_user(look: Look, desired: DesiredState) -> Result:
    given = desired.options
    return preview_user(
        look,
        user_options(
            desired,
            permissions_boundary=given["user_permissions_boundary"],
            user_tags=given["user_tags"],
            policy=given["user_policy"],
            repositories=[*desired.repositories, *(given["user_repositories"] or [])],
            purge_repositories=given["purge_repositories"],
            release_quarantine=given["release_quarantine"],
        ),
    )


def rotated_user(look: Look, desired: DesiredState) -> Result:
    ages = {name: desired.options[name] for name in ("rotate_after_days", "retire_after_hours")}
    return preview_user(look, user_options(desired, **ages))


def quarantined_user(look: Look, desired: DesiredState) -> Result:
    return preview_user(look, user_options(desired, path="/runpod/", state="quarantined"))


def changed_user(look: Look, desired: DesiredState, **changed: Any) -> Result:
    return preview_user(look, user_options(desired, **changed))


# The pull role


def role_options(desired: DesiredState, **changed: Any) -> Json:
    return {
        "name": desired.options["role_name"],
        "state": "present",
        "path": desired.options["user_path"],
        "trust": None,
        "permissions_boundary": None,
        "role_tags": None,
        "purge_tags": True,
        "policy": "repositories",
        "repositories": None,
        "purge_repositories": False,
        "pull_through": False,
        "propagation_timeout": desired.options["propagation_timeout"],
        **changed,
    }


def preview_role(look: Look, desired: DesiredState, **changed: Any) -> Result:
    return roles.run(role_options(desired, **changed), True, look.aws)


def pull_role(look: Look, desired: DesiredState) -> Result:
    given = desired.options
    return preview_role(
        look,
        desired,
        trust=given["role_trust"],
        permissions_boundary=given["user_permissions_boundary"],
        role_tags=given["user_tags"],
        policy=given["user_policy"],
        repositories=[*desired.repositories, *(given["user_repositories"] or [])],
        purge_repositories=given["purge_repositories"],
    )


def session_identity(look: Look, desired: DesiredState, region: str) -> PullIdentity:
    """Raise AwsError when no session can be opened."""
    minting = desired.minting(str(caller(look)["Arn"]))
    role, arns = minting.get("role_arn"), tuple(desired.repositories)
    session = pull_session(look.aws, Minting(role, minting.get("external_id"), arns), region)
    return PullIdentity(role or "the caller", session.key)


def check_as_session(look: Look, desired: DesiredState) -> list[Json]:
    """Raise AwsError where no session can be opened."""
    reports = []
    for region in desired.regions:
        images = list(dict.fromkeys(item["image"] for item in desired.items if item["region"] == region))
        puller = session_identity(look, desired, region)
        reports += pull_check.check_images(look.aws, look.opener, images, puller)
    return reports


# ECR


def check_images(
    look: Look, images: list[str], identity: str, store: Json | None = None, timeout: int = NEVER
) -> list[Json]:
    """Check for linux/amd64."""
    who = {"caller": pull_check.caller_identity, "anonymous": pull_check.anonymous_identity}
    puller = who[identity]() if identity in who else pull_check.stored_identity(look.aws, store or {}, timeout)[0]
    return pull_check.check_images(look.aws, look.opener, images, puller)


def grant(look: Look, desired: DesiredState, state: str, repositories: list[str] | None = None) -> Result:
    options = {
        "repositories": desired.repositories if repositories is None else repositories,
        "account_id": None,
        "statement_id": STATEMENT,
        "principal_arns": desired.options["pull_role_arns"],
        "state": state,
    }
    return pull_grant.run(options, True, look.aws)


def public_repository(look: Look, desired: DesiredState, name: str, state: str) -> Result:
    options = {
        "name": name,
        "state": state,
        "acknowledge_public": desired.options["acknowledge_public"],
        "catalog_data": {**dict.fromkeys(CATALOG), **(desired.options["public_catalog_data"] or {})},
        "tags": None,
        "purge_tags": True,
        "force": True,
    }
    return public.run(options, True, public.Clients(look.aws, lambda path: Path(path).read_bytes()))


def mirror(look: Look, desired: DesiredState, images: dict[str, str]) -> Result:
    """The digest is the source's, not one that is asked for."""
    options = {
        **dict.fromkeys(("source", "destination", "image_tags", "source_auth", "destination_auth")),
        "images": [
            {"source": source, "destination": target.partition("@")[0], "image_tags": None}
            for source, target in images.items()
        ],
        "platforms": "all",
        "platform": "linux/amd64",
        "retries": 3,
        "allow_suspected_secrets": desired.options["allow_suspected_secrets"],
    }
    return image_mirror.run(options, True, image_mirror.Clients(look.aws, look.registry, look.skopeo))


# RunPod


def account(look: Look, kinds: Iterable[str] = tuple(LISTINGS)) -> Json:
    return accounts.run({"gather": list(kinds), "credential_expiry": None}, True, look.api).results


def credential(
    look: Look, desired: DesiredState, region: str, name: str, force: bool = False, state: str = "present"
) -> Result:
    options = {
        "name": name,
        "image": None,
        "registry_region": region,
        "secret_store": desired.store if desired.by_user else None,
        **({} if desired.by_user else desired.minting(str(caller(look)["Arn"]))),
        "min_validity_hours": desired.options["min_validity_hours"],
        "force": force,
        "propagation_timeout": NEVER,
        "released": desired.intent == "converge" and desired.options["release_quarantine"],
        "state": state,
    }
    return ecr_credential.run(options, True, Clients(look.aws, look.api))


def delegation(look: Look, desired: DesiredState, given: list[str], state: str) -> Result:
    """`given` are images, or ARNs of repositories."""
    arns = state == "absent"
    options = {
        "images": None if arns else given,
        "repository_arns": given if arns else None,
        "tag": None,
        "name": None,
        "resource_form": "auto",
        "propagation_timeout": desired.options["propagation_timeout"],
        "state": state,
    }
    return delegations.run(options, True, look.api)


def validated(spec: Json, options: Json) -> Json:
    parameters: Json = ArgumentSpecValidator(spec).validate(options).validated_parameters
    return parameters


def templates(look: Look, desired: DesiredState, items: list[Json]) -> tuple[list[Step], tuple[str, ...]]:
    options = {
        "templates": [validated(template_fields.OPTIONS, item) for item in items],
        "adopt": desired.options["adopt"],
        "prune": False,
    }
    bulk.require_sound(options["templates"])
    complete = bulk.complete_items(options)
    state = bulk.State(*template_fields.read(look.api, complete, True))
    return bulk.plan_all(options, complete, state), state.warnings


def endpoint_options(options: Json) -> Json:
    return validated(endpoint_fields.OPTIONS, options)


def endpoint(look: Look, desired: DesiredState, given: Json) -> Step:
    options = {**endpoint_options(given), "adopt": desired.options["adopt"]}
    listed = look.api.items("/serverless", "endpoints")
    current = endpoint_plan.find(listed, options)
    template, registries, dummy = endpoints.read(look.api, options, True, current)
    step = endpoint_plan.plan(options, listed, template, registries)
    if endpoint_plan.new_pools(step):
        endpoint_plan.require_known_pools(step, endpoints.read_catalog(look.api))
    return step
