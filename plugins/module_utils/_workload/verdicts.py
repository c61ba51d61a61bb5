# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: why RunPod cannot pull, judged from what the modules return in check mode. Pure.

from __future__ import annotations

import json
from collections.abc import Iterator

from .._core.errors import Json
from .._core.finding import module_call
from .._ecr.diagnosis import verdict


def of_policy(reported: Json, **options: object) -> Iterator[Json]:
    """Judge one of the `policies` of ecr_pull_grant; `options` are those that it was called with besides."""
    if not reported["changed"]:
        return
    arn, drift = reported["arn"], reported["drift"]
    code, roles = "statement_missing", []
    if drift["missing"]:
        code, roles = "role_missing", drift["missing"]
    elif drift["outdated"]:
        code, roles = "role_outdated", drift["outdated"]
    grant = module_call("ecr_pull_grant", repositories=[arn], **options)
    yield verdict(code, {"arn": arn, "roles": ", ".join(roles), "grant": grant}, json.dumps({"drift": drift}))


def of_template(reported: Json, credential: Json) -> Iterator[Json]:
    """Judge one of the `templates` of runpod_info that is to refer to one of its `registries`."""
    if reported["registry"] == credential["id"]:
        return
    facts = {
        "name": reported["name"],
        "credential": credential["name"],
        "registry": reported["registry"] or "none",
        "repoint": module_call("runpod_template", name=reported["name"], registry=credential["name"]),
    }
    yield verdict("credential_unlinked", facts, json.dumps({"registry": reported["registry"]}))


def of_endpoint(reported: Json, template: str) -> Iterator[Json]:
    """Judge what runpod_endpoint returns for an endpoint and its template."""
    endpoint, release = reported["endpoint"], reported["release"]
    if not (release and endpoint.get("id")):
        return
    rollout = release["rollout"] or {}
    facts = {
        **rollout,
        "name": endpoint["name"],
        "changes": ", ".join(release["changes"]),
        "release": module_call("runpod_endpoint", id=endpoint["id"], template=template),
        "wait": module_call("runpod_endpoint", id=endpoint["id"], wait=True),
    }
    if release["changes"]:
        yield verdict("template_not_rolled_out", facts, json.dumps({"changes": release["changes"]}))
    elif rollout.get("in_progress"):
        yield verdict("rollout_unfinished", facts, json.dumps({"rollout": rollout}))
