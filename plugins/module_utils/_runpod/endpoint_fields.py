# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a serverless endpoint is and how one becomes another. All of it is pure.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .._core.errors import InputError, Json
from .._core.result import desired_fields, find_by_name
from .credential_replacement import credential
from .template import DEFAULTS as TEMPLATE_DEFAULTS
from .template import DISK, cuda_errors, env_errors, strings
from .template import OPTIONS as TEMPLATE_OPTIONS

# Option -> field of the API. A change of the container makes a release; the other fields act at once.
CONTAINER = {name: name for name in ("image", "args", "disk", "env", "ports", "registry")}
OPTIONS: Json = {
    "name": {"type": "str"},
    "id": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "template": {"type": "str"},
    **{name: TEMPLATE_OPTIONS[name] for name in CONTAINER},
    "type": {"type": "str", "choices": ["QUEUE", "LOAD_BALANCER"]},
    "gpu": {
        "type": "dict",
        "options": {
            "pools": {"type": "list", "elements": "str"},
            "count": {"type": "int"},
            "excluded_types": {"type": "list", "elements": "str"},
            "allowed_cuda_versions": {"type": "list", "elements": "str"},
            "min_cuda_version": {"type": "str"},
        },
    },
    "cpu": {
        "type": "list",
        "elements": "dict",
        "options": {"id": {"type": "str", "required": True}, "vcpu_count": {"type": "int", "required": True}},
    },
    "workers": {
        "type": "dict",
        "options": {"min": {"type": "int"}, "max": {"type": "int"}, "idle_timeout": {"type": "int"}},
    },
    "scaling": {
        "type": "dict",
        "options": {
            "type": {"type": "str", "choices": ["QUEUE_DELAY", "REQUEST_COUNT"], "required": True},
            "queue_delay": {"type": "float"},
            "request_count": {"type": "int"},
        },
        "required_if": [("type", "QUEUE_DELAY", ["queue_delay"]), ("type", "REQUEST_COUNT", ["request_count"])],
        "mutually_exclusive": [("queue_delay", "request_count")],
    },
    "timeout": {"type": "int"},
    "flashboot": {"type": "str", "choices": ["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]},
    "data_center_ids": {"type": "list", "elements": "str"},
    "network_volumes": {"type": "list", "elements": "str"},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 600},
}
ONE_OF = [("name", "id")]
NOT_BOTH = [("gpu", "cpu")]

FIELDS = {
    **CONTAINER,
    "name": "name",
    "type": "type",
    "gpu": "gpu",
    "cpu": "cpu",
    "workers": "workers",
    "scaling": "scaling",
    "timeout": "timeout",
    "flashboot": "flashboot",
    "data_center_ids": "dataCenterIds",
    "network_volumes": "networkVolumes",
}
SUBFIELDS = {
    "gpu": {
        "pools": "pools",
        "count": "count",
        "excluded_types": "excludedTypes",
        "allowed_cuda_versions": "allowedCudaVersions",
        "min_cuda_version": "minCudaVersion",
    },
    "cpu": {"id": "id", "vcpu_count": "vcpuCount"},
    "workers": {"min": "min", "max": "max", "idle_timeout": "idleTimeout"},
    "scaling": {"type": "type", "queue_delay": "queueDelay", "request_count": "requestCount"},
}
BLOCKS = ("gpu", "workers")  # what RunPod takes in parts; it replaces everything else as a whole
SELECTION = ("pools", "excludedTypes")  # new pools without exclusions would clear the exclusions

# What RunPod gives a new endpoint for what was not asked for, and what is always sent because its word on the default
# is missing (disk) or not what was seen (timeout: 300000, and 0; gpu.count: 1, and none).
TIMEOUT = 300_000
DEFAULTS: Json = {
    **{name: TEMPLATE_DEFAULTS[name] for name in CONTAINER if name != "image"},
    "workers": {"min": 0, "max": 3, "idleTimeout": 10},
    "timeout": TIMEOUT,
    "flashboot": "OFF",
    "dataCenterIds": [],
    "networkVolumes": [],
}
GPU_DEFAULTS: Json = {"count": 1, "allowedCudaVersions": [], "minCudaVersion": None}
# What an answer may leave out, as it is compared.
EMPTY: Json = {"args": "", "env": {}, "ports": [], "dataCenterIds": [], "networkVolumes": []}
UNLIMITED: Json = {"excludedTypes": [], "allowedCudaVersions": [], "minCudaVersion": ""}


class Step(NamedTuple):
    """What is to be done about one endpoint.

    `fields` are what the API gets to see, None when the endpoint is to be gone; `after` is the endpoint after the
    step, as far as it can be known before.
    """

    current: Json | None
    fields: Json | None
    after: Json | None

    @property
    def changed(self) -> bool:
        return bool(self.current if self.fields is None else self.fields)

    @property
    def released(self) -> list[str]:
        """The options whose change makes RunPod roll out a release; none for a new endpoint, which has no worker."""
        return [option for option, field in CONTAINER.items() if self.current and field in (self.fields or {})]


def validation_errors(options: Json) -> list[str]:
    """Return what is wrong with the options beyond their types. No value of env is repeated."""
    empty = [name for name in ("name", "id", "template", "image") if options[name] == ""]
    return [
        *(f"{name} must not be empty" for name in empty),
        *_too_small("", options, {"disk": 1, "timeout": 0}),
        *env_errors(options["env"]),
        *_gpu_errors(options["gpu"] or {}),
        *_cpu_errors(options["cpu"]),
        *_scaling_errors(options["workers"] or {}, options["scaling"] or {}),
    ]


def check(endpoint: Mapping[str, Any]) -> None:
    """Raise InputError that tells everything wrong with an endpoint's options as somebody wrote them."""
    validator = ArgumentSpecValidator(OPTIONS, mutually_exclusive=NOT_BOTH, required_one_of=ONE_OF)
    result = validator.validate(dict(endpoint))
    wrong = result.error_messages or validation_errors(result.validated_parameters)
    if wrong:
        raise InputError("; ".join(wrong) + ".")


def _too_small(place: str, options: Mapping[str, Any], least: Mapping[str, float]) -> list[str]:
    given = {name: options.get(name) for name in least}
    return [
        f"{place}{name} must be at least {least[name]}"
        for name, value in given.items()
        if value is not None and value < least[name]
    ]


def _gpu_errors(gpu: Json) -> list[str]:
    allowed, lowest = gpu.get("allowed_cuda_versions"), gpu.get("min_cuda_version")
    found = [
        (gpu.get("pools") == [], "gpu.pools must not be empty"),
        (not all(name.strip() for name in gpu.get("excluded_types") or ()), "gpu.excluded_types has an empty entry"),
        (bool(allowed and lowest), "gpu.allowed_cuda_versions and gpu.min_cuda_version exclude each other"),
    ]
    return [
        *(text for wrong, text in found if wrong),
        *_too_small("gpu.", gpu, {"count": 1}),
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
    propagation_timeout = workers.get("idle_timeout")
    too_long = propagation_timeout is not None and propagation_timeout > 3600
    return [
        *_too_small("workers.", workers, {"min": 0, "max": 0, "idle_timeout": 1}),
        *(["workers.idle_timeout must be at most 3600"] if too_long else []),
        *_too_small("scaling.", scaling, {"queue_delay": 0.5, "request_count": 1}),
    ]


def find(endpoints: Iterable[Json], options: Json) -> Json | None:
    """Return the endpoint with the id, or without an id the one with the name; two of a name are an error."""
    if options["id"]:
        return next((endpoint for endpoint in endpoints if endpoint["id"] == options["id"]), None)
    remedy = "Names of endpoints are not unique at RunPod: give the id of the one that is meant."
    return find_by_name(endpoints, options["name"], "endpoint", remedy)


def desired(
    options: Json,
    template: Json | None,
    registries: Iterable[Json],
    current: str | None = None,
    used: Iterable[str | None] = (),
) -> Json:
    """Return the API fields that the user set, over the container of the template.

    `current` and `used` are for credential().
    """
    fields = desired_fields(options, FIELDS)
    for name, names in SUBFIELDS.items():
        if name in fields:
            given = fields[name]
            fields[name] = (
                [desired_fields(one, names) for one in given] if name == "cpu" else desired_fields(given, names)
            )
    if "excludedTypes" in fields.get("gpu", {}):
        fields["gpu"]["excludedTypes"] = [name.strip() for name in fields["gpu"]["excludedTypes"]]
    if "env" in fields:
        fields["env"] = strings(fields["env"])
    if "registry" in fields:
        fields["registry"] = credential(fields["registry"], registries, current, used)
    if template is None:
        return fields
    inherited = {field: template[field] for field in CONTAINER.values()}
    return {**inherited, **fields, "env": {**inherited["env"], **fields.get("env", {})}}


def plan(options: Json, endpoints: Iterable[Json], template: Json | None, registries: Iterable[Json]) -> Step:
    """Return what is to be done about the endpoint, given what the account holds."""
    listed = list(endpoints)
    current = find(listed, options)
    if options["state"] == "absent":
        return Step(current, None, None)
    used = [endpoint.get("registry") for endpoint in listed]
    fields = desired(options, template, registries, (current or {}).get("registry"), used)
    return _creation(options, fields, template) if current is None else _change(current, fields)


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
    _require_sound(after, fields)
    return Step(None, fields, after)


def _new_gpu(gpu: Json, template: Json | None) -> Json:
    """Return the GPU block of a new endpoint, with the template's CUDA versions where it names none."""
    asked = {field: value for field, value in gpu.items() if (field, value) != ("minCudaVersion", "")}
    versions = template["allowedCudaVersions"] if template else []
    if versions and not {"allowedCudaVersions", "minCudaVersion"} & asked.keys():
        asked["allowedCudaVersions"] = versions
    return {"count": 1, **asked}


def _change(current: Json, fields: Json) -> Step:
    what = f"The endpoint {current['name']!r} (id {current['id']})"
    anew = "To change that, make another endpoint, move its callers, and delete this one."
    kind = fields.pop("type", None)
    if kind and current.get("type") not in (None, kind):
        raise InputError(f"{what} is of type {current['type']}, which RunPod cannot change to {kind}. {anew}")
    family = "gpu" if current.get("gpu") else "cpu"
    other = {"gpu": "cpu", "cpu": "gpu"}[family]
    if other in fields:
        raise InputError(f"{what} runs on {family.upper()}s, which RunPod cannot change to {other.upper()}s. {anew}")
    sent = field_changes(current, fields)
    after = prediction(current, sent)
    _require_sound(after, fields)
    return Step(current, sent, after)


def prediction(current: Json, sent: Json) -> Json:
    """Return an endpoint as it is after these fields were sent."""
    after = {**current, **sent}
    if "gpu" in sent:
        after["gpu"] = {**GPU_DEFAULTS, **(current.get("gpu") or {}), **sent["gpu"]}
        after["gpu"]["minCudaVersion"] = after["gpu"]["minCudaVersion"] or None
    after["workers"] = {**DEFAULTS["workers"], **current["workers"], **sent.get("workers", {})}
    if _never_idle(after):
        del after["workers"]["idleTimeout"]
    return after


def _never_idle(endpoint: Json) -> bool:
    """Return whether the endpoint is of the one kind whose workers have no idle timeout."""
    return (endpoint.get("type"), endpoint["scaling"]["type"]) == ("QUEUE", "REQUEST_COUNT")


def _require_sound(after: Json, fields: Json) -> None:
    """Raise InputError when the endpoint, as it would be, or what is asked for it breaks a rule of RunPod."""
    gpu = after.get("gpu") or {}
    found = [
        (
            after.get("type") == "LOAD_BALANCER" and after["scaling"]["type"] != "REQUEST_COUNT",
            "an endpoint of type LOAD_BALANCER needs scaling.type REQUEST_COUNT",
        ),
        (
            _never_idle(after) and "idleTimeout" in fields.get("workers", {}),
            "workers.idle_timeout does not apply to type QUEUE with scaling.type REQUEST_COUNT: leave it unset",
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
    """Return the fields that the endpoint does not have as they are, with the parts of them that RunPod needs.

    The order of a list has no meaning. Of gpu and workers only the parts that differ are returned.
    """
    existing = _filled(current)
    whole = _differing(existing, {field: value for field, value in fields.items() if field not in BLOCKS})
    parts = {name: _differing(existing.get(name) or {}, fields[name]) for name in BLOCKS if name in fields}
    if set(SELECTION) & parts.get("gpu", {}).keys():
        selection = {**(existing.get("gpu") or {}), **fields["gpu"]}
        parts["gpu"] |= {field: selection[field] for field in SELECTION if field in selection}
    return {**whole, **{name: part for name, part in parts.items() if part}}


def _filled(endpoint: Json) -> Json:
    """Return an endpoint with the empty value for what RunPod left out, and without what it adds to a CPU."""
    filled = {**EMPTY, **endpoint}
    if endpoint.get("gpu"):
        filled["gpu"] = {**UNLIMITED, **{field: value for field, value in endpoint["gpu"].items() if value is not None}}
    if endpoint.get("cpu"):
        filled["cpu"] = [{field: one[field] for field in SUBFIELDS["cpu"].values()} for one in endpoint["cpu"]]
    return filled


def _differing(current: Json, fields: Json) -> Json:
    return {field: value for field, value in fields.items() if _comparable(current.get(field)) != _comparable(value)}


def _comparable(value: Any) -> Any:
    """Return a value in a form that is equal for all that mean the same. RunPod's numbers have single precision."""
    if isinstance(value, list):
        return frozenset(_comparable(item) for item in value)
    if isinstance(value, dict):
        return frozenset((key, _comparable(item)) for key, item in value.items())
    return round(value, 4) if isinstance(value, float) else value
