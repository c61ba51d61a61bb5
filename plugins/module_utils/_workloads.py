# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what the role decides about its workloads. Pure; the filters only pass it on.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._errors import InputError, Json
from ._image import Image, parse, parse_ecr
from ._registry import logical
from ._template import check

WORKLOAD_KEYS = {"image", "template"}
KINDS = {"templates": "template", "endpoints": "endpoint", "pods": "pod"}


def merge(defaults: Mapping[str, Any], template: Mapping[str, Any]) -> Json:
    """Return the template's options over the defaults; their environments are merged key by key."""
    merged = {**defaults, **template}
    if defaults.get("env") and template.get("env"):
        merged["env"] = {**defaults["env"], **template["env"]}
    return merged


def workload(given: Any, defaults: Mapping[str, Any]) -> Json:
    """Return one workload, complete: its image taken apart, its template merged over the defaults and named."""
    if not isinstance(given, Mapping) or not given.get("image"):
        raise InputError("image is missing.")
    unknown = sorted(set(given) - WORKLOAD_KEYS)
    if unknown:
        raise InputError(f"{', '.join(unknown)} is not an option of a workload ({', '.join(sorted(WORKLOAD_KEYS))}).")
    image = parse_ecr(given["image"])
    template = merge(defaults, given.get("template") or {})
    template.setdefault("name", image.repository.replace("/", "-"))
    template["image"] = image.reference
    check(template)
    return {
        "name": template["name"],
        "image": image.reference,
        "region": image.region,
        "repository_arn": image.repository_arn,
        "template": template,
    }


def workloads(given: Iterable[Any], template: Mapping[str, Any]) -> list[Json]:
    """Return all workloads complete. Raises InputError that tells everything wrong with them, by position from 1."""
    complete: list[Json] = []
    positions: dict[str, int] = {}
    wrong: list[str] = []
    for position, item in enumerate(given, start=1):
        try:
            done = workload(item, template)
        except InputError as error:
            wrong.append(f"Workload {position}: {error}")
            continue
        first = positions.setdefault(done["name"], position)
        if first != position:
            wrong.append(
                f"Workloads {first} and {position} have the same template name {done['name']!r}: "
                "set template.name in one of them."
            )
        complete.append(done)
    if wrong:
        raise InputError(" ".join(wrong))
    return complete


def templates(items: Iterable[Json], registries: Mapping[str, str] | None = None) -> list[Json]:
    """Return the templates to ensure, each with the credential of its image's region unless it names another.

    `registries` maps a region to the name of its credential; without it, the templates are to be absent.
    """
    if registries is None:
        return [{"name": item["name"], "state": "absent"} for item in items]
    return [{"registry": registries[item["region"]], **item["template"]} for item in items]


def results(items: Iterable[Json], source: list[Json], proof: list[Json], templates: list[Json]) -> list[Json]:
    """Return what a run reports of each workload; `pullable` is null when nothing was proved."""
    found = {image["image"]: image for image in source}
    proved = {image["image"]: image for image in proof}
    ids = {template["name"]: template.get("id") for template in templates}
    return [
        {
            "name": item["name"],
            "image": item["image"],
            "digest": found.get(item["image"], {}).get("digest"),
            "template_id": ids.get(item["name"]),
            "pullable": proved.get(item["image"], {}).get("pullable"),
        }
        for item in items
    ]


def repository_of(reference: str | None) -> Image | None:
    """Return the image a thing at RunPod runs when it lies in a private ECR repository."""
    try:
        image = parse(reference or "")
    except InputError:
        return None
    return image if image.account_id else None


def users(items: Iterable[Json], held: Mapping[str, list[Json]], registries: Mapping[str, str]) -> list[Json]:
    """Return what at RunPod still needs these workloads' access, the workloads' own templates left out.

    That is what runs an image of their repositories or refers to one of their credentials. `held` is what runpod_info
    returned, `registries` maps a region to the name of its credential.
    Each user is {kind, id, name, region, repository_arn, reason}; what only refers to the credential has no
    repository_arn.
    """
    wanted = list(items)
    ours = {item["name"] for item in wanted}
    repositories = {item["repository_arn"] for item in wanted}
    regions = {name: region for region, name in registries.items()}
    credentials = {registry["id"]: regions.get(logical(registry["name"])) for registry in held["registries"]}
    found = []
    for key, kind in KINDS.items():
        for thing in held[key]:
            image = repository_of(thing.get("image"))
            uses = image is not None and image.repository_arn in repositories
            region = image.region if image and uses else credentials.get(thing.get("registry") or "")
            if region and not (kind == "template" and thing["name"] in ours):
                what = f"runs {image.reference}" if image and uses else "uses the credential of " + region
                found.append(
                    {
                        "kind": kind,
                        "id": thing["id"],
                        "name": thing["name"],
                        "region": region,
                        "repository_arn": image.repository_arn if image and uses else None,
                        "reason": f"The {kind} {thing['name']} ({thing['id']}) {what}",
                    }
                )
    return found
