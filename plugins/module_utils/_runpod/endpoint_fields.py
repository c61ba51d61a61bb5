# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the fields of an endpoint, and what may be asked for.

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .._core.errors import Json
from . import fields as shared
from .fields import CONTAINER, LONGEST_WAIT, NO_DEFAULT, STRINGS, Field, cuda_errors
from .ownership import ADOPT

TIMEOUT = 300_000
SUBTABLES = {
    "gpu": {
        "pools": Field("pools", STRINGS),
        "count": Field("count", {"type": "int"}, 1),
        "excluded_types": Field("excludedTypes", STRINGS),
        "allowed_cuda_versions": Field("allowedCudaVersions", STRINGS, []),
        "min_cuda_version": Field("minCudaVersion", {"type": "str"}, None),
    },
    "cpu": {
        "id": Field("id", {"type": "str", "required": True}),
        "vcpu_count": Field("vcpuCount", {"type": "int", "required": True}),
    },
    "workers": {
        "min": Field("min", {"type": "int"}, 0),
        "max": Field("max", {"type": "int"}, 3),
        "idle_timeout": Field("idleTimeout", {"type": "int"}, 10),
    },
    "scaling": {
        "type": Field("type", {"type": "str", "choices": ["QUEUE_DELAY", "REQUEST_COUNT"], "required": True}),
        "queue_delay": Field("queueDelay", {"type": "float"}),
        "request_count": Field("requestCount", {"type": "int"}),
    },
}


def _block(name: str, default: Any = NO_DEFAULT, **more: Any) -> Field:
    return Field(name, {"type": "dict", "options": shared.specs(SUBTABLES[name]), **more}, default)


TABLE = {
    "name": Field("name", {"type": "str"}),
    **CONTAINER,
    "type": Field("type", {"type": "str", "choices": ["QUEUE", "LOAD_BALANCER"]}),
    "gpu": _block("gpu"),
    "cpu": _block("cpu", type="list", elements="dict"),
    "workers": _block("workers", shared.defaults(SUBTABLES["workers"])),
    "scaling": _block(
        "scaling",
        required_if=[("type", "QUEUE_DELAY", ["queue_delay"]), ("type", "REQUEST_COUNT", ["request_count"])],
        mutually_exclusive=[("queue_delay", "request_count")],
    ),
    "timeout": Field("timeout", {"type": "int"}, TIMEOUT),
    "flashboot": Field("flashboot", {"type": "str", "choices": ["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]}, "OFF"),
    "data_center_ids": Field("dataCenterIds", STRINGS, []),
    "network_volumes": Field("networkVolumes", STRINGS, []),
}
OPTIONS: Json = {
    **shared.specs(TABLE),
    "id": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "template": {"type": "str"},
    **ADOPT,
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 600},
}
ONE_OF = [("name", "id")]
NOT_BOTH = [("gpu", "cpu")]
FIELDS = shared.names(TABLE)
DEFAULTS = shared.defaults(TABLE)
GPU_DEFAULTS = shared.defaults(SUBTABLES["gpu"])
BLOCKS = ("gpu", "workers")  # RunPod takes these in parts, and replaces everything else
SELECTION = ("pools", "excludedTypes")  # new pools alone would clear the exclusions
UNLIMITED: Json = {"excludedTypes": [], "allowedCudaVersions": [], "minCudaVersion": ""}
BALANCED_BY_COUNT = "an endpoint of type LOAD_BALANCER needs scaling.type REQUEST_COUNT"


def validation_errors(options: Json) -> list[str]:
    """No value of env is repeated."""
    empty = [name for name in ("name", "id", "template") if options[name] == ""]
    return [
        *(f"{name} must not be empty" for name in empty),
        *shared.container_errors(options),
        *_out_of_range("", options, {"timeout": (0, None), "wait_timeout": (0, LONGEST_WAIT)}),
        *_gpu_errors(options["gpu"] or {}),
        *_cpu_errors(options["cpu"]),
        *_scaling_errors(options["workers"] or {}, options["scaling"] or {}),
        *([BALANCED_BY_COUNT] if unbalanced(options) else []),
    ]


def check(endpoint: Mapping[str, Any]) -> None:
    validated = shared.check_options(endpoint, OPTIONS, mutually_exclusive=NOT_BOTH, required_one_of=ONE_OF)
    shared.require_sound(validation_errors(validated))


def _out_of_range(
    place: str, options: Mapping[str, Any], limits: Mapping[str, tuple[float, float | None]]
) -> list[str]:
    found = []
    for name, (least, most) in limits.items():
        value = options.get(name)
        if value is not None and not value >= least:
            found.append(f"{place}{name} must be at least {least}")
        if value is not None and value > (math.inf if most is None else most):
            found.append(f"{place}{name} must be at most {most}")
    return found


def _gpu_errors(gpu: Json) -> list[str]:
    allowed, lowest = gpu.get("allowed_cuda_versions"), gpu.get("min_cuda_version")
    found = [
        (gpu.get("pools") == [], "gpu.pools must not be empty"),
        (not all(name.strip() for name in gpu.get("excluded_types") or ()), "gpu.excluded_types has an empty entry"),
        (bool(allowed and lowest), "gpu.allowed_cuda_versions and gpu.min_cuda_version exclude each other"),
    ]
    return [
        *(text for wrong, text in found if wrong),
        *_out_of_range("gpu.", gpu, {"count": (1, None)}),
        *cuda_errors("gpu.allowed_cuda_versions", allowed),
        *cuda_errors("gpu.min_cuda_version", [lowest] if lowest else []),
    ]


def _cpu_errors(cpu: list[Json] | None) -> list[str]:
    counts = [config["vcpu_count"] for config in cpu or ()]
    configs = {(config["id"], config["vcpu_count"]) for config in cpu or ()}
    found = [
        (cpu == [], "cpu must not be empty"),
        (any(not identifier for identifier, dummy in configs), "cpu.id must not be empty"),
        (any(count < 2 or count & (count - 1) for count in counts), "cpu.vcpu_count must be a power of two from 2 up"),
        (len(configs) < len(counts), "cpu has the same configuration twice"),
    ]
    return [text for wrong, text in found if wrong]


def _scaling_errors(workers: Json, scaling: Json) -> list[str]:
    delay = scaling.get("queue_delay")
    found = [
        (crossed(workers), "workers.min must not be above workers.max"),
        (delay is not None and math.isinf(delay), "scaling.queue_delay must be a number"),
    ]
    return [
        *_out_of_range("workers.", workers, {"min": (0, None), "max": (0, None), "idle_timeout": (1, 3600)}),
        *_out_of_range("scaling.", scaling, {"queue_delay": (0.5, None), "request_count": (1, None)}),
        *(text for wrong, text in found if wrong),
    ]


def crossed(workers: Mapping[str, Any]) -> bool:
    least, most = workers.get("min"), workers.get("max")
    return least is not None and most is not None and least > most


def unbalanced(endpoint: Mapping[str, Any]) -> bool:
    scaling = (endpoint.get("scaling") or {}).get("type")
    return endpoint.get("type") == "LOAD_BALANCER" and scaling not in (None, "REQUEST_COUNT")
