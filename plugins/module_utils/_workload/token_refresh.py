# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: tokens renewed, or foreseen to be. The module does it, and a plan tells it.

from __future__ import annotations

from typing import NamedTuple

from .._aws.client import Aws
from .._core.errors import Json
from .._core.result import Result
from .._runpod import ecr_credential
from .._runpod.credential_state import Clients
from .desired import DesiredState
from .run_result import CREDENTIAL, access_report
from .step import Step, credential_reason, minimum, step_of


class TokenRefresh(NamedTuple):
    found: Result
    steps: list[Step]
    result: Json

    @property
    def regions(self) -> list[str]:
        return [item["region"] for item in self.found.results["registries"]]


def refresh_tokens(desired: DesiredState, clients: Clients, check_mode: bool) -> TokenRefresh:
    found = ecr_credential.run(credential_options(desired, clients.aws), check_mode, clients)
    steps = credential_steps(found, minimum(desired, clients.aws.clock()))
    credentials = [{key: item[key] for key in CREDENTIAL if key in item} for item in found.results["registries"]]
    user = desired.options["user_name"] if desired.by_user else None
    role = desired.options["role_name"] if desired.by_role else None
    report = access_report(desired.access, user, role=role, credentials=credentials)
    return TokenRefresh(found, steps, {**report, "warnings": list(found.warnings)})


def credential_options(desired: DesiredState, aws: Aws) -> Json:
    """A role's rights are not new in a refresh, so a refusal is one."""
    given = desired.options
    minting = {} if desired.by_user else desired.minting(str(aws.call("sts", "get_caller_identity")["Arn"]))
    return {
        **minting,
        **dict.fromkeys(("image", "images", "registry_region")),
        "name": given["credential_name"],
        "user": desired.puller,
        "registry_regions": desired.regions,
        "secret_store": desired.store if desired.by_user else None,
        "former_secret_store": desired.former_store,
        "min_validity_hours": given["min_validity_hours"],
        "force": False,
        "propagation_timeout": given["propagation_timeout"] if desired.by_user else 0,
        "state": "present",
        "key_required": True,
        "with_further_regions": desired.by_user or desired.by_role,
    }


def credential_steps(found: Result, enough: str) -> list[Step]:
    items = found.results["registries"]
    states = [(found.before, found.after)]
    if len(items) > 1:
        states = [(found.before[item["region"]], found.after[item["region"]]) for item in items]
    steps = []
    for item, (before, after) in zip(items, states, strict=True):
        one = Result(item["refreshed"] or before != after, before, after)
        steps.append(step_of("credential", item["logical_name"], one, credential_reason(one, enough)))
    return steps
