# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what the role decides about its workloads.

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from .._core.errors import InputError, Json
from .._oci.reference import PUBLIC_HOSTS, parse, parse_ecr, repository_of
from .._runpod import endpoint_fields as _endpoint
from .._runpod import template as _template
from .._runpod.credential_names import logical
from .._runpod.references import KINDS, in_use

WORKLOAD_KEYS = {"image", "template", "endpoint"}
OF_THE_WORKLOAD = {"image", "state"}  # what no workload sets for its template
OF_THE_TEMPLATE = {"image", "registry", "state", "template"}  # what no workload sets for its endpoint
CONTAINER = ("args", "disk", "env", "ports")  # what an endpoint has of its template unless it sets that


def plain(value: Any) -> Any:
    """Return plain dicts and lists: a deep copy of Ansible's own copies its template engine too."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def merge(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> Json:
    """Environments are merged key by key."""
    merged = {**defaults, **own}
    if defaults.get("env") and own.get("env"):
        merged["env"] = {**defaults["env"], **own["env"]}
    return merged


def workload(given: Any, template_defaults: Mapping[str, Any], endpoint_defaults: Mapping[str, Any]) -> Json:
    """Return the image taken apart, template and endpoint merged and named.

    The endpoint is None when no option names one.
    """
    if not isinstance(given, Mapping) or not given.get("image"):
        raise InputError("image is missing.")
    unknown = sorted(set(given) - WORKLOAD_KEYS)
    if unknown:
        raise InputError(f"{', '.join(unknown)} is not an option of a workload ({', '.join(sorted(WORKLOAD_KEYS))}).")
    image = parse_ecr(str(given["image"]))
    own = options_of(given, "template", OF_THE_WORKLOAD)
    template = merge(template_defaults, own)
    template.setdefault("name", image.repository.replace("/", "-"))
    template["image"] = image.reference
    _template.check(template)
    return {
        "name": template["name"],
        "image": image.reference,
        "region": image.region,
        "repository": image.repository,
        "repository_arn": image.repository_arn,
        "template": template,
        "endpoint": endpoint(template, merge(endpoint_defaults, options_of(given, "endpoint", set()))),
    }


def options_of(given: Mapping[str, Any], kind: str, derived: Collection[str]) -> Mapping[str, Any]:
    own = given.get(kind) or {}
    if not isinstance(own, Mapping):
        raise InputError(f"{kind} is not a dictionary of options.")
    wrong = sorted(derived & own.keys())
    if wrong:
        raise InputError(f"{kind}: {', '.join(wrong)} cannot be set, the workload and runpod_ecr_state say it.")
    return own


def endpoint(template: Json, options: Json) -> Json | None:
    """Return None without an endpoint.

    The container is here too: a template that check mode only foresees cannot tell it.
    """
    if not options:
        return None
    derived = sorted(OF_THE_TEMPLATE & options.keys())
    if derived:
        raise InputError(f"endpoint: {', '.join(derived)} cannot be set, the endpoint runs the workload's template.")
    container = {option: template[option] for option in CONTAINER if option in template}
    complete = {"name": template["name"], **merge(container, options), "template": template["name"]}
    _endpoint.check(complete)
    return complete


def twins(complete: Iterable[tuple[int, Json]], kind: str) -> list[str]:
    """Return what is wrong with names given to two things."""
    positions: dict[str, int] = {}
    wrong = []
    for position, item in complete:
        name = (item[kind] or {}).get("name")
        first = positions.setdefault(name, position) if name else position
        if first != position:
            wrong.append(
                f"Workloads {first} and {position} have the same {kind} name {name!r}: set {kind}.name in one of them."
            )
    return wrong


def workloads(
    given: Iterable[Any], template: Mapping[str, Any], endpoint: Mapping[str, Any] | None = None
) -> list[Json]:
    """Raise InputError that tells everything wrong, by position from 1."""
    complete: list[tuple[int, Json]] = []
    wrong: list[str] = []
    defaults = plain(template), plain(endpoint or {})
    try:
        options_of({"template": template}, "template", OF_THE_WORKLOAD)
    except InputError as error:
        wrong.append(f"runpod_ecr_{error}")
    for position, item in enumerate(given, start=1):
        try:
            complete.append((position, workload(plain(item), *defaults)))
        except InputError as error:
            wrong.append(f"Workload {position}: {error}")
    wrong += twins(complete, "template") + twins(complete, "endpoint")
    if wrong:
        raise InputError(" ".join(wrong))
    return [item for dummy, item in complete]


def templates(
    items: Iterable[Json], registries: Mapping[str, str] | None = None, images: Mapping[str, str] | None = None
) -> list[Json]:
    """Return templates with their regions' credentials.

    `registries` maps a region to the name or id of one, a region that it lacks needs none; None means that the
    templates are to go. `images` maps an image to the public one run instead.
    """
    if registries is None:
        return [{"name": item["name"], "state": "absent"} for item in items]
    public = images or {}
    return [
        {
            "registry": registries.get(item["region"], ""),
            **item["template"],
            "image": public.get(item["image"], item["image"]),
        }
        for item in items
    ]


def public_images(items: Iterable[Json], uris: Mapping[str, str]) -> dict[str, str]:
    """Return image -> mirror, by tag or digest as given. `uris` are the public repositories by private ARNs."""
    images = {item["image"]: parse_ecr(item["image"]) for item in items}
    return {
        given: uris[image.repository_arn] + (f"@{image.digest}" if image.digest else f":{image.tag}")
        for given, image in images.items()
    }


def users(items: Iterable[Json], current: Mapping[str, list[Json]], registries: Mapping[str, str]) -> list[Json]:
    """Return what else at RunPod runs an image of these repositories or refers to their credentials: {kind, id,
    name, region, repository_arn, reason}; what only refers has no repository_arn. `registries` maps a region to its
    credential's name.
    """
    wanted = list(items)
    repositories = {item["repository_arn"] for item in wanted}
    regions = {name: region for region, name in registries.items()}
    credentials = {registry["id"]: regions.get(logical(registry["name"])) for registry in current["registries"]}
    found = []
    for kind, thing in others(wanted, current):
        image = repository_of(thing.get("image"))
        uses = image is not None and image.repository_arn in repositories
        region = image.region if image and uses else credentials.get(thing.get("registry") or "")
        if region:
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


def others(items: Iterable[Json], current: Mapping[str, list[Json]]) -> Iterator[tuple[str, Json]]:
    """Yield what is not these workloads' own, with its kind."""
    wanted = list(items)
    ours = {("template", item["name"]) for item in wanted}
    ours |= {("endpoint", item["endpoint"]["name"]) for item in wanted if item["endpoint"]}
    for key, things in in_use(current).items():
        yield from ((KINDS[key], thing) for thing in things if (KINDS[key], thing["name"]) not in ours)


def public_users(items: Iterable[Json], current: Mapping[str, list[Json]], uris: Iterable[str]) -> list[Json]:
    """Return what else still runs images of these public repositories: {uri, reason}."""
    wanted = set(uris)
    return [
        {"uri": uri, "reason": f"The {kind} {thing['name']} ({thing['id']}) runs {thing['image']}"}
        for kind, thing in others(items, current)
        if (uri := public_repository(thing.get("image"))) in wanted
    ]


def public_repository(reference: str | None) -> str:
    """Return "" for an image outside ECR Public."""
    try:
        image = parse(reference or "")
    except InputError:
        return ""
    return f"{image.host}/{image.repository}" if image.host in PUBLIC_HOSTS else ""


def leftovers(
    items: Iterable[Json], current: Mapping[str, list[Json]], access: str, credentials: Mapping[str, str]
) -> list[str]:
    """Return a sentence for each way other than the wished one that RunPod has.

    `credentials` maps patterns for whole names to how such a one is removed.
    """
    repositories = {item["repository_arn"] for item in items}
    message = [
        f"The credential {registry['name']} ({registry['id']}), another way of access, is still there. "
        f"When nothing needs it, {remedy}."
        for registry in current["registries"]
        for pattern, remedy in credentials.items()
        if re.fullmatch(pattern, logical(registry["name"]))
    ]
    if access != "delegation":
        message += [
            f"The delegation of {arn} ({delegation['id']}), another way of access, is still there. "
            "When nothing needs it, remove it with runpod_ecr_delegation and its grant with ecr_pull_grant."
            for delegation in current["delegations"]
            if (arn := delegation["repository_arn"]) in repositories
        ]
    return message
