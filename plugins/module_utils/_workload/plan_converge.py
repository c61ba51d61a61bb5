# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what gives RunPod access and keeps it.

from __future__ import annotations

from collections.abc import Callable, Iterable

from .._core.errors import Json
from . import preview
from .access import Access, require_whole
from .desired import DesiredState
from .look import Look
from .plan_credential import by_credential
from .plan_delegation import by_delegation
from .plan_public import NO_ALIAS, PUBLIC, by_public, public_names
from .plan_retirement import retirement
from .plan_tokens import minting_values, verified_on_the_way
from .plan_workloads import endpoint_values, plan_endpoints, plan_templates, workload_results
from .spec import leftovers, templates
from .step import Plan, Step


def converge(desired: DesiredState, look: Look) -> Plan:
    endpoints = ["endpoints"] if any(item["endpoint"] for item in desired.items) else []
    users = ["endpoints", "pods"] if desired.options["retire_former_identity"] else endpoints
    look.api.prefetch(["registries", "delegations", "templates", *users])
    access = ACCESS[desired.access](desired, look)
    items = templates(desired.items, access.registries, access.images)
    template_steps, warnings = plan_templates(desired, look, items)
    endpoint_steps = plan_endpoints(desired, look)
    retired = retirement(desired, look, access.account)
    steps = [*access.steps, *template_steps, *endpoint_steps, *retired.steps]
    if desired.options["check_mode"] or any(step.needed for step in steps):
        require_whole(desired, look, access)
    account = preview.account(look, ["registries", "delegations"])
    result = {
        **access.report,
        "workloads": workload_results(desired, look, access),
        "warnings": [
            *access.warnings,
            *warnings,
            *retired.warnings,
            *public_images_left(desired, template_steps),
            *leftovers(desired.items, account, desired.access, desired.former_credentials),
        ],
    }
    values = {
        **access_values(desired, look, access),
        "templates": [{key: item[key] for key in ("name", "image", "registry") if key in item} for item in items],
        "endpoints": endpoint_values(desired, endpoint_steps),
        **retired.handover,
    }
    return Plan(steps, result, values)


def access_values(desired: DesiredState, look: Look, access: Access) -> Json:
    further = desired.options["user_repositories"] or [] if desired.by_user or desired.by_role else []
    mirrors = [{"source": source, "destination": target.partition("@")[0]} for source, target in access.images.items()]
    return {
        "claims": desired.claims(access.account),
        "images": list(access.images.values()) or desired.images,
        "repositories": [*desired.repositories, *further],
        "regions": desired.regions,
        "identity": access.identity,
        "verify_images": verified_on_the_way(access.steps, desired),
        "public_repositories": public_names(desired),
        "alias_to_come": any(NO_ALIAS in image for image in access.images.values()),
        "mirrors": mirrors,
        **(minting_values(desired, look, access.propagation_timeout) if desired.access == "credential" else {}),
    }


def public_images_left(desired: DesiredState, steps: Iterable[Step]) -> list[str]:
    """A public image is left when a template moves away from it."""
    if desired.access == "public":
        return []
    images = dict.fromkeys(step.before["image"] for step in steps if step.before and step.before.get("image"))
    return [
        f"The public image {image}, another way of access, is still there. When nothing needs it, remove its "
        "repository with ecr_public_repo."
        for image in images
        if image.startswith(PUBLIC)
    ]


ACCESS: dict[str, Callable[[DesiredState, Look], Access]] = {
    "credential": by_credential,
    "delegation": by_delegation,
    "public": by_public,
}
