# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with pulls by delegation.

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from .._core.errors import Json
from .._core.finding import module_call
from .audit_scene import Scene, has
from .findings import Finding, finding
from .observed import read
from .repository_access import access, denied_by, open_to_all


def policies(scene: Scene) -> Iterator[Finding]:
    """Policies that do not let all of RunPod's roles pull, or others too."""
    documents = read(scene.observed.documents, {})
    for policy in read(scene.observed.policies, []):
        arn = policy["arn"]
        concerned = scene.those(partial(has, "repository_arn", arn))
        verdicts = [access(documents.get(arn), role) for role in scene.judge.roles]
        denials = denied_by(documents.get(arn), scene.judge.roles)
        if denials:
            yield finding("statement_denies", concerned, arn=arn, sids=" and ".join(denials))
        if everybody := open_to_all(documents.get(arn)):
            yield finding("open_to_all", concerned, arn=arn, sids=" and ".join(everybody))
        if policy["changed"]:
            let_in = not denials and all(one.allowed is not False for one in verdicts)
            yield outdated(scene, policy, concerned, "warning" if let_in else None)


def outdated(scene: Scene, policy: Json, concerned: tuple[str, ...], severity: str | None) -> Finding:
    """None where RunPod gets in by another statement, or not yet out."""
    roles = scene.desired.options["pull_role_arns"]
    options = {"principal_arns": roles} if roles else {}
    arn, drift = policy["arn"], policy["drift"]
    code = "role_missing" if drift["missing"] else "role_outdated" if drift["outdated"] else "statement_missing"
    facts = {
        "arn": arn,
        "roles": ", ".join(drift["missing"] or drift["outdated"]),
        "grant": module_call("ecr_pull_grant", repositories=[arn], **options),
    }
    one = finding(code, concerned, json.dumps({"drift": drift}), **facts)
    return one._replace(severity=severity or one.severity)


def delegations(scene: Scene) -> Iterator[Finding]:
    if scene.desired.access == "delegation":
        for item in scene.desired.items:
            if scene.observed.cut_off(scene.desired, item):
                call = module_call("runpod_ecr_delegation", images=[item["image"]])
                yield finding("delegation_missing", (item["name"],), arn=item["repository_arn"], delegate=call)


def unproven(scene: Scene, found: list[Finding]) -> list[Finding]:
    """What is known to fail needs no proof."""
    if scene.desired.access != "delegation":
        return []
    broken = {name for one in found if one.severity == "error" for name in one.workloads}
    items = [item for item in scene.desired.items if item["name"] not in broken]
    return [
        finding("unproven_serverless" if item["template"].get("serverless") else "unproven", (item["name"],))
        for item in items
    ]
