# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a plan predicted, with what only the steps could learn.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core.errors import InputError, Json
from .summary import state_lines

OPTIONS: Json = {"plan": {"type": "dict", "required": True}, "done": {"type": "dict", "default": {}}}
OF_THE_PLAN = ("steps", "needed", "changes", "handover")
CREDENTIAL = ("id", "name", "logical_name", "region", "expires_at")


def access_report(access: str, user: str | None, **known: Any) -> Json:
    """Only what is `known` is not empty."""
    empty: Json = {"role": None, "credentials": [], "delegations": [], "rotation_due": False}
    return {"access": access, "user": user, "workloads": [], **empty, **known, "warnings": []}


def run_result(plan: Json, done: Mapping[str, Json]) -> Json:
    """Return the plan as it came true. `done` has by kind what modules returned; raise InputError for anything else."""
    try:
        return joined(plan, done)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            "plan must be what runpod_ecr_plan returned, and done what the modules of its steps returned, by the kinds "
            f"of the steps ({type(error).__name__}: {error})."
        ) from error


def joined(plan: Json, done: Mapping[str, Json]) -> Json:
    predicted = plan["result"]
    result = {
        **predicted,
        "credentials": credentials(predicted["credentials"], done.get("credential", {})),
        "delegations": done.get("delegation", {}).get("delegations", predicted["delegations"]),
        "workloads": workloads(predicted["workloads"], done),
    }
    kept = {name: plan[name] for name in OF_THE_PLAN if name in plan}
    return {**kept, "result": result, "summary": state_lines(result)}


def credentials(predicted: list[Json], done: Json) -> list[Json]:
    """Leave out credentials that are gone."""
    made = {item["region"]: {key: item.get(key) for key in CREDENTIAL} for item in done.get("registries", [])}
    by_region = {item["region"]: item for item in predicted} | made
    return [item for item in by_region.values() if item.get("id", "unknown")]


def workloads(predicted: list[Json], done: Mapping[str, Json]) -> list[Json]:
    proofs = {
        report["image"]: report for kind in ("credential", "proof") for report in done.get(kind, {}).get("images", [])
    }
    templates = {template["name"]: template["id"] for template in done.get("template", {}).get("templates", [])}
    endpoints = endpoint_ids(done.get("endpoint", {}))
    return [
        {
            **one,
            "template_id": templates.get(one["name"], one["template_id"]),
            "endpoint_id": endpoints.get(position, one["endpoint_id"]),
            **proved(one, proofs.get(one["public_image"] or one["image"])),
        }
        for position, one in enumerate(predicted)
    ]


def endpoint_ids(done: Json) -> dict[int, str]:
    """Return ids by the workloads' places, over which the task loops."""
    made = [each for each in done.get("results", []) if each.get("endpoint")]
    return {each["__runpod_ecr_endpoint"]["position"]: each["endpoint"]["id"] for each in made}


def proved(workload: Json, report: Any) -> Json:
    return {"digest": workload["digest"] or report["digest"], "pullable": report["pullable"]} if report else {}
