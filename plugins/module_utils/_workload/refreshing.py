# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: options and run of runpod_ecr_refresh.

from __future__ import annotations

from .._aws.token_source import RefreshError
from .._core.errors import CollectionError, Json, NothingChangedError
from .._core.result import ItemsFailedError, PartialError, Result
from .._runpod import ecr_credential
from .._runpod.ecr_credential import Clients
from .desired import DesiredState, desired_state
from .options import OPTIONS as ALL_OPTIONS
from .run_result import CREDENTIAL, access_report
from .step import Step, credential_reason, minimum, step_of
from .summary import diff_of, planned, state_lines

ASKED = ("access", "image", "workloads", "pull_identity", "user_name", "credential_name", "min_validity_hours")
OPTIONS: Json = {name: ALL_OPTIONS[name] for name in (*ASKED, "propagation_timeout", "variables")}
DONE = ("the credentials at RunPod",)


def run(params: Json, check_mode: bool, clients: Clients) -> Result:
    try:
        desired = desired_state({**dict.fromkeys(ALL_OPTIONS), **params, "intent": "refresh"})
        found = ecr_credential.run(credential_options(desired), check_mode, clients)
    except (RefreshError, ItemsFailedError) as error:
        if error.as_result().get("changed"):
            raise PartialError(error, DONE) from error
        raise
    except CollectionError as error:
        raise NothingChangedError(error) from error
    steps = credential_steps(found, minimum(desired, clients.aws.clock()))
    credentials = [{key: item[key] for key in CREDENTIAL if key in item} for item in found.results["registries"]]
    user = desired.options["user_name"] if desired.by_user else None
    result = {**access_report(desired.access, user, credentials=credentials), "warnings": list(found.warnings)}
    results = planned(steps, result)
    if not check_mode:
        results["summary"] = state_lines(result)
    return Result(found.changed, *diff_of(steps), results, found.warnings)


def credential_options(desired: DesiredState) -> Json:
    given = desired.options
    return {
        **dict.fromkeys(("image", "images", "registry_region")),
        "name": given["credential_name"],
        "user": given["user_name"],
        "registry_regions": desired.regions,
        "secret_store": desired.store if desired.by_user else None,
        "min_validity_hours": given["min_validity_hours"],
        "force": False,
        "propagation_timeout": given["propagation_timeout"],
        "state": "present",
        "key_required": True,
        "with_further_regions": desired.by_user,
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
