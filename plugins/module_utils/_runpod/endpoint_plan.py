# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is to be done with an endpoint, and what that makes of it.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core.errors import InputError, Json
from .._core.result import desired_fields, find_by_name
from . import fields as shared
from .answers import unfit
from .command import LISTS, predicted_command, with_command
from .endpoint_fields import (
    BALANCED_BY_COUNT,
    BLOCKS,
    DEFAULTS,
    FIELDS,
    GPU_DEFAULTS,
    SELECTION,
    SUBTABLES,
    TIMEOUT,
    UNLIMITED,
    crossed,
    unbalanced,
)
from .fields import CONTAINER, DISK, Step
from .ownership import require_ours
from .template import complete as complete_template


def find(endpoints: Iterable[Json], options: Json) -> Json | None:
    """Without an id the name counts; two of a name are an error."""
    if options["id"]:
        return next((endpoint for endpoint in endpoints if endpoint.get("id") == options["id"]), None)
    remedy = "Names of endpoints are not unique at RunPod: give the id of the one that is meant."
    return find_by_name(endpoints, options["name"], "endpoint", remedy)


def complete(endpoint: Mapping[str, Any]) -> Json:
    """Fill what an answer lacks of container and lists with empty values."""
    empty: Json = {"env": {}, "ports": [], "dataCenterIds": [], "networkVolumes": []}
    present = {field: value for field, value in endpoint.items() if value is not None}
    return {**endpoint, **empty, **with_command(present)}


def plan(options: Json, endpoints: Iterable[Json], template: Json | None, registries: Iterable[Json]) -> Step:
    """`template` may be predicted by its own plan."""
    listed, known = list(endpoints), list(registries)
    found = find(listed, options)
    current = found and complete(found)
    name = options["name"] or (current or {}).get("name") or options["id"]
    if options["state"] == "absent":
        return Step(name, current, None, None)
    if template:
        require_told(template)
    whole = template and complete_template(template)
    if whole and not whole["serverless"]:
        raise InputError(
            f"The template {options['template']!r} (id {whole.get('id')}) is for pods: set its option serverless to "
            "true, or name a template for serverless workers."
        )
    used = [endpoint.get("registry") for endpoint in listed]
    fields = desired(options, whole, known, (current or {}).get("registry"), used)
    if current is None:
        return _creation(options, fields, whole)
    if not options["id"]:
        require_ours("endpoint", current, fields, known, bool(options.get("adopt")))
    return _change(name, current, fields)


def require_told(template: Json) -> None:
    """Raise for a template of which RunPod does not say what an endpoint takes from it."""
    for field, kind in (("image", str), ("serverless", bool)):
        if not isinstance(template.get(field), kind):
            raise unfit("GET /templates", f"the template {template['id']} has no {field}")


def released(step: Step) -> list[str]:
    """A new endpoint, and one without workers, releases nothing."""
    return [option for option in CONTAINER if step.current and CONTAINER[option].name in (step.fields or {})]


def new_pools(step: Step) -> list[str]:
    has = ((step.current or {}).get("gpu") or {}).get("pools") or []
    wanted = ((step.fields or {}).get("gpu") or {}).get("pools") or []
    return [pool for pool in wanted if pool not in has]


def require_known_pools(step: Step, gpus: Iterable[Json]) -> None:
    """An empty catalogue tells nothing."""
    known = sorted({gpu["pool"] for gpu in gpus if gpu.get("pool")})
    unknown = [pool for pool in new_pools(step) if pool not in known]
    if known and unknown:
        raise InputError(
            f"gpu.pools: RunPod has no serverless GPU pool {', '.join(unknown)}. Its pools are {', '.join(known)}."
        )


def desired(
    options: Json,
    template: Json | None,
    registries: Iterable[Json],
    current: str | None = None,
    used: Iterable[str | None] = (),
) -> Json:
    """Return what the user set, over the template's container; `current` and `used` are for credential()."""
    fields = desired_fields(options, FIELDS)
    for block, table in SUBTABLES.items():
        if block in fields:
            given, names = fields[block], shared.names(table)
            fields[block] = (
                [desired_fields(one, names) for one in given] if block == "cpu" else desired_fields(given, names)
            )
    if "excludedTypes" in fields.get("gpu", {}):
        fields["gpu"]["excludedTypes"] = [name.strip() for name in fields["gpu"]["excludedTypes"]]
    fields = shared.container_fields(fields, registries, current, used)
    if template is None:
        return fields
    inherited = _inherited(template, fields)
    return {**inherited, **fields, "env": {**inherited["env"], **fields.get("env", {})}}


def _inherited(template: Json, own: Json) -> Json:
    """Return the template's container, its command as the endpoint's own options have it."""
    left_out = {"args"} if own.keys() & set(LISTS) else set(LISTS)
    return {field.name: template[field.name] for field in CONTAINER.values() if field.name not in left_out}


def _creation(options: Json, fields: Json, template: Json | None) -> Step:
    if options["id"]:
        raise InputError(f"There is no endpoint with the id {options['id']!r}: to create one, give a name and no id.")
    needed = {
        "type": "type" in fields,
        "scaling": "scaling" in fields,
        "gpu or cpu": "gpu" in fields or "cpu" in fields,
        "gpu.pools": "pools" in fields.get("gpu", {"pools": []}),
        "template or image": bool(options["template"] or options["image"]),
    }
    lacking = [name for name, there in needed.items() if not there]
    if lacking:
        raise InputError(
            f"There is no endpoint named {options['name']!r}: to create it, these are required: {', '.join(lacking)}."
        )
    fields = {"disk": DISK, "timeout": TIMEOUT, **fields}
    if "gpu" in fields:
        fields["gpu"] = _new_gpu(fields["gpu"], template)
    after = prediction(DEFAULTS, fields)
    _require_possible(after, fields)
    return Step(options["name"], None, fields, after)


def _new_gpu(gpu: Json, template: Json | None) -> Json:
    """The template's CUDA versions count where it names some."""
    asked = {field: value for field, value in gpu.items() if (field, value) != ("minCudaVersion", "")}
    versions = template["allowedCudaVersions"] if template else []
    if versions and not {"allowedCudaVersions", "minCudaVersion"} & asked.keys():
        asked["allowedCudaVersions"] = versions
    return {"count": GPU_DEFAULTS["count"], **asked}


def _change(name: str, current: Json, fields: Json) -> Step:
    _require_same_kind(current, fields)
    sent = field_changes(current, {field: value for field, value in fields.items() if field != "type"})
    after = prediction(current, sent)
    _require_possible(after, fields)
    return Step(name, current, sent, after)


def _require_same_kind(current: Json, fields: Json) -> None:
    what = f"The endpoint {current.get('name')!r} (id {current.get('id')})"
    anew = "To change that, make another endpoint, move its callers, and delete this one."
    is_now, kind = current.get("type"), fields.get("type")
    if kind and is_now and is_now != kind:
        raise InputError(f"{what} is of type {is_now}, which RunPod cannot change to {kind}. {anew}")
    for family, other in (("gpu", "cpu"), ("cpu", "gpu")):
        if current.get(family) and other in fields:
            raise InputError(
                f"{what} runs on {family.upper()}s, which RunPod cannot change to {other.upper()}s. {anew}"
            )


def prediction(current: Json, sent: Json) -> Json:
    after = {**current, **sent, **predicted_command(current, sent)}
    if "gpu" in sent:
        after["gpu"] = {**GPU_DEFAULTS, **(current.get("gpu") or {}), **sent["gpu"]}
        after["gpu"]["minCudaVersion"] = after["gpu"]["minCudaVersion"] or None
    after["workers"] = {**DEFAULTS["workers"], **(current.get("workers") or {}), **sent.get("workers", {})}
    if _never_idle(after):
        del after["workers"]["idleTimeout"]
    return after


def _never_idle(endpoint: Json) -> bool:
    """Only one kind's workers have no idle timeout."""
    scaling = endpoint.get("scaling") or {}
    return (endpoint.get("type"), scaling.get("type")) == ("QUEUE", "REQUEST_COUNT")


def _require_possible(after: Json, fields: Json) -> None:
    gpu, workers = after.get("gpu") or {}, after["workers"]
    found = [
        (unbalanced(after), BALANCED_BY_COUNT),
        (
            _never_idle(after) and "idleTimeout" in fields.get("workers", {}),
            "workers.idle_timeout does not apply to type QUEUE with scaling.type REQUEST_COUNT: leave it unset",
        ),
        (
            crossed(workers) and "workers" in fields,
            f"the endpoint would have at least {workers['min']} and at most {workers['max']} workers: set both "
            "workers.min and workers.max",
        ),
        (
            bool(gpu.get("allowedCudaVersions") and gpu.get("minCudaVersion")),
            f"the endpoint would have the CUDA versions {', '.join(gpu.get('allowedCudaVersions') or [])} and "
            f"{gpu.get('minCudaVersion')} as the lowest, which exclude each other: set gpu.allowed_cuda_versions to [] "
            "or gpu.min_cuda_version to the empty string",
        ),
    ]
    wrong = [text for broken, text in found if broken]
    if wrong:
        text = "; ".join(wrong) + "."
        raise InputError(text[0].upper() + text[1:])


def field_changes(current: Json, fields: Json) -> Json:
    """Return fields that differ, with what RunPod needs beside them; of gpu and workers only the parts that differ."""
    existing = _comparable(current)
    whole = shared.differing(existing, {field: value for field, value in fields.items() if field not in BLOCKS})
    parts = {name: shared.differing(existing.get(name) or {}, fields[name]) for name in BLOCKS if name in fields}
    if set(SELECTION) & parts.get("gpu", {}).keys():
        selection = {**(existing.get("gpu") or {}), **fields["gpu"]}
        parts["gpu"] |= {field: selection[field] for field in SELECTION if field in selection}
    return {**whole, **{name: part for name, part in parts.items() if part}}


def _comparable(endpoint: Json) -> Json:
    """Drop what RunPod leaves out of GPUs, or adds to CPUs."""
    filled = complete(endpoint)
    if endpoint.get("gpu"):
        filled["gpu"] = {**UNLIMITED, **{field: value for field, value in endpoint["gpu"].items() if value is not None}}
    if endpoint.get("cpu"):
        fields = shared.names(SUBTABLES["cpu"]).values()
        filled["cpu"] = [{field: one.get(field) for field in fields} for one in endpoint["cpu"]]
    return filled
