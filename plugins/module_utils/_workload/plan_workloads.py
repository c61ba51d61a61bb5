# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: templates and endpoints, made and removed.

from __future__ import annotations

from collections.abc import Iterable

from .._core.errors import Json
from .._core.masking import to_diff
from .._runpod import endpoint_plan, template
from . import preview
from .access import Access
from .desired import DesiredState
from .look import KNOWN_LATER, Look
from .spec import templates
from .step import Step, resource_step


def plan_templates(desired: DesiredState, look: Look, items: list[Json]) -> tuple[list[Step], list[str]]:
    planned, warnings = preview.templates(look, desired, items)
    steps = []
    for one in planned:
        steps.append(resource_step("template", one.name, one.action, *template.template_diff(one.current, one.after)))
        if one.action == "create":
            look.api.add("templates", {"id": f"{one.name} {KNOWN_LATER}", **(one.after or {})})
        elif one.action == "change":
            look.api.add("templates", one.after or {})
    return steps, list(warnings)


def plan_endpoints(desired: DesiredState, look: Look) -> list[Step]:
    steps = []
    for item in desired.items:
        if item["endpoint"]:
            one = preview.endpoint(look, desired, item["endpoint"])
            name = item["endpoint"].get("name") or item["endpoint"]["id"]
            steps.append(resource_step("endpoint", name, one.action, *to_diff(one.current, one.after)))
            if one.action == "change":
                look.api.add("endpoints", one.after or {})
    return steps


def endpoint_values(desired: DesiredState, steps: list[Step]) -> list[Json]:
    """Return which endpoints to change, not what they hold, which may be secret."""
    needed = {step.name for step in steps if step.needed}
    return [
        {"position": position, "name": item["endpoint"]["name"], "template": item["name"]}
        for position, item in enumerate(desired.items)
        if item["endpoint"] and (item["endpoint"].get("name") in needed or item["endpoint"].get("id") in needed)
    ]


def workload_results(desired: DesiredState, look: Look, access: Access) -> list[Json]:
    """`pullable` is null where nothing was proved."""
    source = {one["image"]: one for one in access.source}
    proof = {one["image"]: one for one in access.proof}
    ids = {one["name"]: one["id"] for one in look.api.items("/templates", "templates")}
    listed = look.api.items("/serverless", "endpoints") if any(item["endpoint"] for item in desired.items) else []
    return [
        {
            "name": item["name"],
            "image": item["image"],
            "digest": source.get(item["image"], {}).get("digest"),
            "template_id": known(ids.get(item["name"])),
            "endpoint_id": known(found["id"] if (found := endpoint_of(item, listed)) else None),
            "public_image": access.images.get(item["image"]),
            "pullable": proof.get(access.images.get(item["image"], item["image"]), {}).get("pullable"),
        }
        for item in desired.items
    ]


def endpoint_of(item: Json, listed: Iterable[Json]) -> Json | None:
    wanted = item["endpoint"] or {}
    field = "id" if wanted.get("id") else "name"
    return next((one for one in listed if wanted and one.get(field) == wanted[field]), None)


def known(identifier: str | None) -> str | None:
    return None if identifier is None or identifier.endswith(KNOWN_LATER) else identifier


def remove_endpoints(desired: DesiredState, look: Look) -> list[Step]:
    steps = []
    for item in desired.items:
        if item["endpoint"]:
            options = preview.endpoint_options(item["endpoint"])
            found = endpoint_plan.find(look.api.items("/serverless", "endpoints"), options)
            name = item["endpoint"].get("name") or item["endpoint"]["id"]
            steps.append(removal(look, "endpoint", name, found))
    return steps


def remove_templates(desired: DesiredState, look: Look) -> list[Step]:
    planned, dummy = preview.templates(look, desired, templates(desired.items))
    return [removal(look, "template", one.name, one.current) for one in planned]


def removal(look: Look, step: str, name: str, found: Json | None) -> Step:
    """Return the step that deletes what was found, and hide it from later steps."""
    if found is None:
        return Step(step, name, "none", "")
    look.api.remove(found["id"])
    before = {"id": found["id"], "name": found["name"], "image": found.get("image")}
    return Step(step, name, "delete", "is not wanted any more", before, {"id": found["id"], "name": found["name"]})
