# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What RunPod's API v2 accepts and answers, as JSON Schema 2020-12, and the words it refuses a body with.

The schemas are written by hand, flat where RunPod's document composes them, and bear its names; a unit test compares
the two. Requests are closed (an unknown key is refused), answers are open, as in the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

Schema = dict[str, Any]


def _object(properties: Schema, required: str = "", **more: Any) -> Schema:
    named = {"required": required.split()} if required else {}
    return {"type": "object", "properties": properties, **named, **more}


def _closed(properties: Schema, required: str = "", **more: Any) -> Schema:
    return _object(properties, required, additionalProperties=False, **more)


def _array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _list_of(key: str, schema: Schema) -> Schema:
    return _object({key: _array(schema), "pagination": PAGINATION}, key)


STRING: Schema = {"type": "string"}
FILLED: Schema = {"type": "string", "minLength": 1}
NULLABLE_STRING: Schema = {"type": ["string", "null"]}
BOOLEAN: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer"}
NULLABLE_INTEGER: Schema = {"type": ["integer", "null"]}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
STRINGS = _array(STRING)
CUDA_VERSION: Schema = {"type": "string", "pattern": r"^\d+\.\d+$"}
CUDA_VERSIONS = _array(CUDA_VERSION)

# Newer than the document, and part of the answer of every listing; older answers lack it.
PAGINATION = _object({"nextCursor": NULLABLE_STRING, "hasNextPage": BOOLEAN}, "nextCursor hasNextPage")
PAGE_QUERY: Schema = {"cursor": STRING, "limit": {"type": "integer", "minimum": 1, "maximum": 1000}}

# What the container runs: newer than the document, but for `args`, which is how the other two are stored.
COMMAND: Schema = {"cmd": STRINGS, "entrypoint": STRINGS}
CONTAINER: Schema = {
    **COMMAND,
    "args": STRING,
    "disk": POSITIVE,
    "env": {"type": "object", "additionalProperties": STRING},
    "image": STRING,
    "ports": STRINGS,
    "registry": NULLABLE_STRING,
}
CONTAINER_KEYS = " ".join(CONTAINER)

# Registry credentials and delegations

REGISTRY = _object({"id": STRING, "name": STRING}, "id name")
CREATE_REGISTRY = _closed({"name": FILLED, "username": FILLED, "password": FILLED}, "name username password")
UPDATE_REGISTRY = _closed(
    {
        "username": {"type": "string", "minLength": 1, "maxLength": 191},
        "password": {"type": "string", "minLength": 1, "maxLength": 16384},
    },
    "username password",
)

DELEGATION = _object(
    {
        "id": STRING,
        "name": NULLABLE_STRING,
        "delegatorUserId": STRING,
        "awsUser": STRING,
        "repository": STRING,
        "tag": STRING,
        "awsRegion": STRING,
        "dockerRegistryUri": STRING,
        "createdAt": STRING,
    },
    "id delegatorUserId awsUser repository tag awsRegion createdAt",
)
CREATE_DELEGATION = _closed({"resource": STRING, "name": NULLABLE_STRING}, "resource")

# Templates

PERSISTENT_MOUNT = _closed({"size": {"type": "integer", "minimum": 10}, "path": STRING}, "size path")
NETWORK_MOUNT = _closed({"volumeId": STRING, "path": STRING}, "volumeId path")
TEMPLATE_FIELDS: Schema = {
    "mounts": _closed({"persistent": PERSISTENT_MOUNT}),
    "serverless": BOOLEAN,
    "public": BOOLEAN,
    "category": {"type": "string", "enum": ["CPU", "NVIDIA", "AMD"]},
    "startSsh": BOOLEAN,
    "startJupyter": BOOLEAN,
}
TEMPLATE_BODY: Schema = {**CONTAINER, **TEMPLATE_FIELDS, "name": FILLED, "allowedCudaVersions": CUDA_VERSIONS}
TEMPLATE = _object(
    {**CONTAINER, **TEMPLATE_FIELDS, "id": STRING, "name": STRING, "allowedCudaVersions": STRINGS},
    f"id name {CONTAINER_KEYS} {' '.join(TEMPLATE_FIELDS)} allowedCudaVersions",
)

# Serverless endpoints

GPU_SELECTION: Schema = {
    "pools": _array(STRING, minItems=1),
    "excludedTypes": _array({"type": "string", "pattern": r"^\s*[^-\s]"}, uniqueItems=True),
    "count": POSITIVE,
}
CREATE_GPU = _closed({**GPU_SELECTION, "allowedCudaVersions": CUDA_VERSIONS, "minCudaVersion": CUDA_VERSION}, "pools")
UPDATE_GPU = _closed(
    {
        **GPU_SELECTION,
        "allowedCudaVersions": CUDA_VERSIONS,
        "minCudaVersion": {"type": "string", "pattern": r"^$|^\d+\.\d+$"},
    },
    dependentRequired={"excludedTypes": ["pools"]},
)
ENDPOINT_GPU = _object(
    {**GPU_SELECTION, "allowedCudaVersions": STRINGS, "minCudaVersion": NULLABLE_STRING},
    "pools allowedCudaVersions minCudaVersion",
)
CPU_SELECTION: Schema = {"id": FILLED, "vcpuCount": {"type": "integer", "minimum": 2}}
REQUESTED_CPUS = _array(_closed(CPU_SELECTION, "id vcpuCount"), minItems=1, uniqueItems=True)
CPU_CONFIG = _object({**CPU_SELECTION, "memory": POSITIVE}, "id vcpuCount memory")
QUEUE_DELAY = _closed(
    {"type": {"type": "string", "enum": ["QUEUE_DELAY"]}, "queueDelay": {"type": "number", "minimum": 0.5}},
    "type queueDelay",
)
REQUEST_COUNT = _closed(
    {"type": {"type": "string", "enum": ["REQUEST_COUNT"]}, "requestCount": POSITIVE}, "type requestCount"
)
SCALING: Schema = {"oneOf": [QUEUE_DELAY, REQUEST_COUNT]}
WORKER_FIELDS: Schema = {
    "min": COUNT,
    "max": COUNT,
    "idleTimeout": {"type": "integer", "minimum": 1, "maximum": 3600},
}
ENDPOINT_TYPE: Schema = {"type": "string", "enum": ["QUEUE", "LOAD_BALANCER"]}
QUEUE_URLS = "run runSync status stream cancel retry purgeQueue health"
LOAD_BALANCER_URLS = "base health"
REQUEST_URLS: Schema = {
    "oneOf": [_closed(dict.fromkeys(names.split(), STRING), names) for names in (QUEUE_URLS, LOAD_BALANCER_URLS)]
}
ENDPOINT_FIELDS: Schema = {
    **CONTAINER,
    "scaling": SCALING,
    "dataCenterIds": STRINGS,
    "networkVolumes": STRINGS,
    "timeout": INTEGER,
    "flashboot": {"type": "string", "enum": ["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]},
}
ENDPOINT = _object(
    {
        **ENDPOINT_FIELDS,
        "id": STRING,
        "name": STRING,
        "type": ENDPOINT_TYPE,
        "requestUrls": REQUEST_URLS,
        "gpu": {"anyOf": [ENDPOINT_GPU, {"type": "null"}]},
        "cpu": _array(CPU_CONFIG, minItems=1),
        "workers": _closed(WORKER_FIELDS, "min max"),
        "createdAt": STRING,
    },
    "id name workers scaling dataCenterIds networkVolumes timeout flashboot createdAt",
)
CREATE_ENDPOINT = _closed(
    {
        **ENDPOINT_FIELDS,
        "name": FILLED,
        "type": ENDPOINT_TYPE,
        "gpu": CREATE_GPU,
        "cpu": REQUESTED_CPUS,
        "workers": _closed(WORKER_FIELDS),
        "templateId": FILLED,
    },
    "name type scaling",
    allOf=[
        {"if": {"not": {"required": ["templateId"]}}, "then": {"required": ["image"]}},
        {
            "if": {"required": ["type"], "properties": {"type": {"const": "LOAD_BALANCER"}}},
            "then": {"properties": {"scaling": REQUEST_COUNT}},
        },
    ],
)
UPDATE_ENDPOINT = _closed(
    {
        **ENDPOINT_FIELDS,
        "name": FILLED,
        "gpu": UPDATE_GPU,
        "cpu": REQUESTED_CPUS,
        "workers": _closed(WORKER_FIELDS),
        "templateId": STRING,
    }
)

WORKER_STATUSES = ("RUNNING", "IDLE", "INITIALIZING", "THROTTLED", "UNHEALTHY")
WORKER = _object(
    {
        "id": STRING,
        "status": {"type": "string", "enum": list(WORKER_STATUSES)},
        "isStale": BOOLEAN,
        "version": NULLABLE_INTEGER,
        "gpuCount": COUNT,
        "image": NULLABLE_STRING,
        "uptimeSeconds": {"type": ["integer", "null"], "minimum": 0},
        "gpuTypeId": NULLABLE_STRING,
        "dataCenterId": NULLABLE_STRING,
        "startedAt": NULLABLE_STRING,
    },
    "id status gpuCount isStale",
)
LOG_SOURCES = ("container", "system")
LOG_TAIL: Schema = {"type": "integer", "minimum": 0, "maximum": 5000, "default": 100}
_COUNTED = [status.lower() for status in WORKER_STATUSES] + ["total"]
WORKERS_ANSWER = _object(
    {
        "workers": _array(WORKER),
        "summary": _object(dict.fromkeys(_COUNTED, COUNT), " ".join(_COUNTED)),
        "endpointVersion": NULLABLE_INTEGER,
        "pagination": PAGINATION,
    },
    "workers summary",
)
RELEASE = _object(
    {
        "id": STRING,
        "version": NULLABLE_INTEGER,
        "source": {"type": "string", "enum": ["GIT_BUILD", "MANUAL"]},
        "buildId": NULLABLE_STRING,
        "createdByUserId": NULLABLE_STRING,
        "workerCount": COUNT,
        "createdAt": STRING,
        "diff": _array(_object({"field": STRING, "old": {}, "new": {}}, "field old new")),
    },
    "id source createdAt workerCount diff",
)
ROLLOUT = _object(
    {
        "inProgress": BOOLEAN,
        "workersOnLatest": COUNT,
        "workersTotal": COUNT,
        "percentOnLatest": {"type": "integer", "minimum": 0, "maximum": 100},
    },
    "inProgress workersOnLatest workersTotal percentOnLatest",
)
RELEASES_ANSWER = _object(
    {
        "endpointVersion": NULLABLE_INTEGER,
        "rollout": ROLLOUT,
        "releases": _array(RELEASE),
        "pagination": PAGINATION,
    },
    "rollout releases",
)

# Pods and clusters (only read here)

UTILIZATION = _object({"util": INTEGER})
SSH_WAY: Schema = {
    "anyOf": [
        _object({"host": STRING, "port": INTEGER, "username": STRING, "command": STRING}, "host port username command"),
        {"type": "null"},
    ]
}
POD_RUNTIME = _object(
    {
        "uptime": INTEGER,
        "gpus": _array(_object({"util": INTEGER, "memoryUtil": INTEGER})),
        "cpu": UTILIZATION,
        "memory": UTILIZATION,
        "ports": _array(
            _object({"private": INTEGER, "public": NULLABLE_INTEGER, "type": STRING, "ip": NULLABLE_STRING})
        ),
    }
)
POD_CLUSTER = _closed(
    {
        "id": STRING,
        "rank": NULLABLE_INTEGER,
        "role": {"type": "string", "enum": ["SLURM_CONTROLLER", "SLURM_COMPUTE", "RAY_HEAD", "RAY_WORKER"]},
        "ip": STRING,
    },
    "id rank",
)
POD_STATUS: Schema = {
    "type": "string",
    "enum": ["PROVISIONING", "STARTING", "RUNNING", "EXITED", "ERROR", "TERMINATED"],
}
POD = _object(
    {
        **CONTAINER,
        "id": STRING,
        "name": STRING,
        "status": POD_STATUS,
        "actions": _array({"type": "string", "enum": ["start", "stop", "restart", "terminate"]}),
        "mounts": _closed({"persistent": PERSISTENT_MOUNT, "network": _array(NETWORK_MOUNT, maxItems=1)}),
        "gpu": _object({"id": STRING, "count": POSITIVE}, "id"),
        "cpu": CPU_CONFIG,
        "cloud": {"type": "string", "enum": ["SECURE", "COMMUNITY"]},
        "dataCenterId": NULLABLE_STRING,
        "cudaVersion": NULLABLE_STRING,
        "ssh": _object({"proxy": SSH_WAY, "direct": SSH_WAY}, "proxy direct"),
        "cluster": POD_CLUSTER,
        "template": NULLABLE_STRING,
        "cost": {"type": "number"},
        "locked": BOOLEAN,
        "globalNetworking": _object({"enabled": BOOLEAN, "ip": STRING, "internalDns": STRING}, "enabled"),
        "runtime": {"anyOf": [POD_RUNTIME, {"type": "null"}]},
        "createdAt": STRING,
        "startedAt": NULLABLE_STRING,
    },
    f"id name status actions {CONTAINER_KEYS} mounts cloud dataCenterId cudaVersion ssh template cost locked runtime "
    "createdAt startedAt globalNetworking",
)

CLUSTER = _object(
    {
        "id": STRING,
        "name": STRING,
        "type": {"type": "string", "enum": ["APPLICATION", "TRAINING", "SLURM", "RAY"]},
        "compute": _closed(
            {
                "gpuTypeId": FILLED,
                "gpuCountPerPod": POSITIVE,
                "podCount": {"type": "integer", "minimum": 2, "maximum": 250},
            },
            "gpuTypeId gpuCountPerPod podCount",
        ),
        "template": STRING,
        "dataCenterId": STRING,
        "pods": _closed(
            {"total": INTEGER, "byStatus": {"type": "object", "additionalProperties": INTEGER}}, "total byStatus"
        ),
        "network": _closed({"cidr": STRING, "vxlanId": INTEGER, "vxlanPort": INTEGER}, "cidr"),
        "primary": _closed({"podId": STRING, "status": POD_STATUS, "sshEndpoint": STRING}, "podId status"),
        "createdAt": STRING,
    },
    "id name type compute pods createdAt",
)

# The catalogue

AVAILABILITY: Schema = {"type": "string", "enum": ["NONE", "LOW", "MEDIUM", "HIGH"]}
PRODUCTS = ("POD", "CLUSTER", "SERVERLESS")
GPU_TYPE = _object(
    {
        "id": STRING,
        "name": STRING,
        "pool": NULLABLE_STRING,
        "manufacturer": {"type": "string", "enum": ["NVIDIA", "AMD", "UNKNOWN"]},
        "memory": INTEGER,
        "secure": BOOLEAN,
        "community": BOOLEAN,
        "price": _object(dict.fromkeys(("secure", "community", "serverless"), {"type": "number"}), "secure community"),
        "maxCount": _object({"secure": INTEGER, "community": INTEGER}, "secure community"),
        "availability": AVAILABILITY,
        "dataCenters": _array(
            _object({"id": STRING, "name": STRING, "availability": AVAILABILITY}, "id name availability")
        ),
        "cudaVersions": _array(_object({"version": CUDA_VERSION, "available": BOOLEAN}, "version available")),
    },
    "id name pool manufacturer memory secure community price maxCount",
)

# Secrets of the account, newer than the document: https://docs.runpod.io/api-reference-v2/account/create-a-secret

SECRET_VALUE: Schema = {"type": "string", "minLength": 1, "maxLength": 16777216}
SECRET_DESCRIPTION: Schema = {"type": "string", "maxLength": 65535}
CREATE_SECRET = _closed(
    {
        "name": {"type": "string", "minLength": 1, "maxLength": 191, "pattern": r"^[a-zA-Z_][a-zA-Z0-9_.\-/]*$"},
        "value": SECRET_VALUE,
        "description": SECRET_DESCRIPTION,
    },
    "name value",
)
UPDATE_SECRET = _closed({"value": SECRET_VALUE, "description": SECRET_DESCRIPTION}, minProperties=1)
SECRET = _object(
    {
        "id": STRING,
        "name": STRING,
        "description": NULLABLE_STRING,
        "createdAt": STRING,
        "valueLastUpdatedAt": NULLABLE_STRING,
    },
    "id name createdAt",
)

ERROR = _object({"title": STRING, "status": INTEGER, "detail": STRING, "errors": STRINGS}, "title status detail")

SCHEMAS: dict[str, Schema] = {
    "Cluster": CLUSTER,
    "CreateDelegationRequest": CREATE_DELEGATION,
    "CreateEndpointRequest": CREATE_ENDPOINT,
    "CreateRegistryRequest": CREATE_REGISTRY,
    "CreateSecretRequest": CREATE_SECRET,
    "CreateTemplateRequest": _closed(TEMPLATE_BODY, "name image"),
    "EcrDelegation": DELEGATION,
    "Endpoint": ENDPOINT,
    "ErrorResponse": ERROR,
    "GpuType": GPU_TYPE,
    "ListClustersResponse": _list_of("clusters", CLUSTER),
    "ListDelegationsResponse": _list_of("delegations", DELEGATION),
    "ListEndpointReleasesResponse": RELEASES_ANSWER,
    "ListEndpointWorkersResponse": WORKERS_ANSWER,
    "ListEndpointsResponse": _list_of("endpoints", ENDPOINT),
    "ListGpuTypesResponse": _list_of("gpus", GPU_TYPE),
    "ListPodsResponse": _list_of("pods", POD),
    "ListRegistriesResponse": _list_of("registries", REGISTRY),
    "ListSecretsResponse": _list_of("secrets", SECRET),
    "ListTemplatesResponse": _list_of("templates", TEMPLATE),
    "Pod": POD,
    "Registry": REGISTRY,
    "Release": RELEASE,
    "RolloutSummary": ROLLOUT,
    "Secret": SECRET,
    "Template": TEMPLATE,
    "UpdateEndpointRequest": UPDATE_ENDPOINT,
    "UpdateRegistryRequest": UPDATE_REGISTRY,
    "UpdateSecretRequest": UPDATE_SECRET,
    "UpdateTemplateRequest": _closed(TEMPLATE_BODY),
    "Worker": WORKER,
}
# Newer than the published document; their shape is known from the reference pages of the operations alone.
NOT_IN_DOCUMENT = frozenset(
    {"UpdateRegistryRequest", "CreateSecretRequest", "UpdateSecretRequest", "Secret", "ListSecretsResponse"}
)

_VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}


def violations(name: str, document: Any) -> list[str]:
    """Return what is wrong with the document, in the words of the API; an empty list when nothing is."""
    return violations_of(_VALIDATORS[name], document)


def violations_of(validator: Draft202012Validator, document: Any) -> list[str]:
    """Return what the validator finds wrong with the document, each text once."""
    texts: dict[str, None] = {}
    for error in sorted(validator.iter_errors(document), key=lambda found: [str(part) for part in found.absolute_path]):
        texts.update(dict.fromkeys(_texts(error)))
    return list(texts)


def _texts(error: ValidationError) -> Iterator[str]:
    place = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    if error.validator == "required":
        yield from _missing(place, error)
        return
    yield f"{place}: {_WORDS[str(error.validator)](error)}"
    for branch in error.context or ():
        yield from _texts(branch)


def _missing(place: str, error: Any) -> Iterator[str]:
    """Name the missing keys and, as RunPod's validator does then, every key that is there as one too many."""
    for key in error.validator_value:
        if key not in error.instance:
            yield f"{place}: missing property '{key}'"
    if error.instance:
        yield f"{place}: {_additional(error.instance)}"


def _additional(keys: Any) -> str:
    return f"additional properties {_quoted(sorted(keys))} not allowed"


def _quoted(values: Any) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _kind(value: Any) -> str:
    """Return the JSON type of a value as the API calls it."""
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _wanted_kinds(kinds: str | list[str]) -> str:
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


_WORDS: dict[str, Callable[[Any], str]] = {
    "additionalProperties": lambda error: _additional(set(error.instance) - set(error.schema["properties"])),
    "anyOf": lambda error: "anyOf failed, none matched",
    "const": lambda error: f"value must be '{error.validator_value}'",
    "dependentRequired": lambda error: "; ".join(
        f"properties {_quoted(needed)} required, if '{key}' exists"
        for key, needed in error.validator_value.items()
        if key in error.instance
    ),
    "enum": lambda error: f"value must be one of {_quoted(error.validator_value)}",
    "maxItems": lambda error: f"maxItems: got {len(error.instance)}, want {error.validator_value}",
    "maxLength": lambda error: f"maxLength: got {len(error.instance)}, want {error.validator_value}",
    "maximum": lambda error: f"maximum: got {error.instance}, want {error.validator_value}",
    "minItems": lambda error: f"minItems: got {len(error.instance)}, want {error.validator_value}",
    "minLength": lambda error: f"minLength: got {len(error.instance)}, want {error.validator_value}",
    "minimum": lambda error: f"minimum: got {error.instance}, want {error.validator_value}",
    "minProperties": lambda error: f"minProperties: got {len(error.instance)}, want {error.validator_value}",
    "oneOf": lambda error: "oneOf failed, none matched",
    "pattern": lambda error: f"'{error.instance}' does not match pattern '{error.validator_value}'",
    "type": lambda error: f"got {_kind(error.instance)}, want {_wanted_kinds(error.validator_value)}",
    "uniqueItems": lambda error: "items are not unique",
}
