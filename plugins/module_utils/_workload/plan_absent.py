# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what takes a run's things away.

from __future__ import annotations

from collections.abc import Callable

from .._core.errors import Json
from . import preview
from .desired import DesiredState
from .look import Look
from .plan_credential_removal import remove_credential
from .plan_delegation import remove_delegation
from .plan_public import remove_public
from .plan_workloads import remove_endpoints, remove_templates
from .spec import leftovers
from .step import Plan


def absent(desired: DesiredState, look: Look) -> Plan:
    """Images may be gone, so they are not looked at. Endpoints go first: they run templates."""
    look.api.prefetch(["registries", "delegations", "templates", "endpoints", "pods"])
    steps = [*remove_endpoints(desired, look), *remove_templates(desired, look)]
    plan = REMOVALS[desired.access](desired, look, preview.account(look))
    account = preview.account(look, ["registries", "delegations"])
    left = leftovers(desired.items, account, desired.access, desired.former_credentials)
    result = {**plan.result, "warnings": [*plan.result["warnings"], *left]}
    values = {
        "endpoints": [step.after for step in steps if step.step == "endpoint" and step.needed],
        "templates": [{"name": item["name"], "state": "absent"} for item in desired.items],
        "claims": desired.claims(""),
        **dict.fromkeys(("regions", "repositories", "public_repositories"), []),
        **plan.handover,
    }
    return Plan([*(step._replace(after=None) for step in steps), *plan.steps], result, values)


REMOVALS: dict[str, Callable[[DesiredState, Look, Json], Plan]] = {
    "credential": remove_credential,
    "delegation": remove_delegation,
    "public": remove_public,
}
