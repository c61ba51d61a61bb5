# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: tokens and keys alone.

from __future__ import annotations

from .._core.errors import InputError, Json
from .._core.result import Result
from .._pull_user.iam_user import find_user
from .._runpod.credential_state import Clients
from . import preview
from .access import Access
from .desired import DesiredState
from .look import Look
from .plan_credential import new_key, proof_of_user
from .plan_tokens import minting_values, plan_credentials, verified_on_the_way
from .plan_workloads import workload_results
from .run_result import access_report
from .step import Plan, step_of
from .token_refresh import refresh_tokens


def covered_regions(desired: DesiredState, look: Look, account: str) -> list[str]:
    """Return the images' regions, and others that RunPod has of the user."""
    current = desired.default_names(look.api.items("/registries", "registries"), account)
    return list(dict.fromkeys([*desired.regions, *(region for region, dummy in current.values())]))


def refresh(desired: DesiredState, look: Look) -> Plan:
    foreseen = refresh_tokens(desired, Clients(look.aws, look.api), True)
    return Plan(foreseen.steps, foreseen.result, {"regions": foreseen.regions, "verify_images": []})


def rotate(desired: DesiredState, look: Look) -> Plan:
    name = desired.options["user_name"]
    if find_user(look.aws, name) is None:
        raise InputError(f"There is no IAM user {name}. Run the role first, which makes it with a new key.")
    user = preview.rotated_user(look, desired)
    made = new_key(user)
    steps = [step_of("user", name, user, reason_of_rotation(user, made))]
    account = user.results["user"]["arn"].split(":")[4]
    regions = covered_regions(desired, look, account)
    planned = plan_credentials(desired, look, account, force=made, regions=regions)
    steps += planned.steps
    proof: list[Json] = []
    if desired.options["verify"] and not user.results["rotated"]:
        proof = proof_of_user(desired, look)
    older = [key["id"] for key in user.results["access_keys"] if key["ours"] and not (key["stored"] or made)]
    access = Access([], {}, {}, proof, proof, {}, [])
    report = access_report(
        desired.access, name, credentials=planned.registries, rotation_due=user.results["rotation_due"]
    )
    result = {
        **report,
        "workloads": workload_results(desired, look, access),
        "warnings": [
            *(f"{key} is an older key of the pull user that is not retired yet" for key in older),
            *user.warnings,
        ],
    }
    verify = verified_on_the_way(steps, desired)
    values = {"claims": desired.claims(account), "regions": regions, "verify_images": verify}
    values |= minting_values(desired, look)
    return Plan(steps, result, values)


def reason_of_rotation(user: Result, made: bool) -> str:
    """Return "" for what differs besides the keys."""
    before, after = user.before or {}, user.after or {}
    if made:
        older = [key["id"] for key in before.get("access_keys", [])]
        return "gets a new key" + (f"; a later run retires {', '.join(older)}" if older else "")
    return "" if before.get("access_keys") == after.get("access_keys") else "an older key is retired"


def quarantine(desired: DesiredState, look: Look) -> Plan:
    """For an incident: neither images nor RunPod are asked."""
    name = desired.options["user_name"]
    user = preview.quarantined_user(look, desired)
    foreign = [key["id"] for key in user.results["access_keys"] if key["status"] == "Active"]
    warnings = [
        f"Nothing can be pulled with the credentials of {name} until it is released",
        *(f"{key} was made by somebody else and is still active, without any rights" for key in foreign),
    ]
    step = step_of("user", name, user, "loses its rights and its keys")
    return Plan([step], {**access_report(desired.access, name), "warnings": warnings})
