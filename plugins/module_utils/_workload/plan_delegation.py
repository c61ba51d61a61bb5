# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: access by delegation: RunPod's own roles may pull.

from __future__ import annotations

from .._core.errors import Json
from . import preview
from .access import Access, look_at
from .desired import DesiredState
from .look import Look
from .pull_look import require_no_denial
from .run_result import access_report
from .spec import users
from .step import Plan, step_of

NO_GRANT = "does not let RunPod's roles pull as it should"


def by_delegation(desired: DesiredState, look: Look) -> Access:
    source = look_at(desired, look)
    grant = preview.grant(look, desired, "present")
    require_no_denial(desired, look)
    delegation = preview.delegation(look, desired, desired.images, "present")
    names = ", ".join(item["repository"] for item in desired.items)
    steps = [step_of("grant", names, grant, NO_GRANT), step_of("delegation", names, delegation)]
    report = access_report(desired.access, None, delegations=delegation.results["delegations"])
    return Access(steps, {}, {}, source, [], report, [*unproven(desired), *delegation.warnings])


def unproven(desired: DesiredState) -> list[str]:
    serverless = [item["name"] for item in desired.items if item["template"].get("serverless")]
    if not serverless:
        return []
    return [
        "RunPod documents delegation, a beta, for pods, and its own texts disagree whether serverless workers pull by "
        f"it: {', '.join(serverless)}. See that workers start, or use runpod_ecr_access=credential"
    ]


def remove_delegation(desired: DesiredState, look: Look, account: Json) -> Plan:
    others = users(desired.items, account, {})
    used = {other["repository_arn"] for other in others}
    unused = [arn for arn in desired.repositories if arn not in used]
    steps = []
    if unused:
        names = ", ".join(arn.partition(":repository/")[2] for arn in unused)
        steps.append(step_of("delegation", names, preview.delegation(look, desired, unused, "absent")))
        steps.append(step_of("grant", names, preview.grant(look, desired, "absent", unused)))
    left = [one for one in account["delegations"] if one["repository_arn"] in used]
    warnings = list(dict.fromkeys(other["reason"] for other in others))
    return Plan(
        steps,
        {**access_report(desired.access, None, delegations=left), "warnings": warnings},
        {"repositories": unused},
    )
