# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each operation of the API does to the world.

An operation gets the world and a call whose body has passed its schema. It returns the answer's document or raises a
refusal; nothing here knows of HTTP beyond the status of a refusal. Where RunPod documents no answer and no switch
decides, the strict one is given: 400 for a registry credential that does not exist, for a serverless template with a
mount, for ports that are not port/protocol, for fewer workers at most than at least, and for hardware the catalogue
does not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from . import runpod_rollout as rollout
from .runpod_catalog import CPU_FLAVORS, POOLS
from .runpod_command import command
from .runpod_delegations import delegation
from .runpod_pages import page
from .runpod_schemas import CONTAINER, LOAD_BALANCER_URLS, QUEUE_URLS, SCHEMAS, violations
from .runpod_secrets import seed_secret
from .runpod_world import ACCOUNT, INTERNAL, Call, Json, Refusal, World, answer, invalid, not_found

_PORT = re.compile(r"(?P<number>[1-9][0-9]{0,4})/(http|tcp)")
_OTHER_ECR_HOST = re.compile(r"\d{12}\.(dkr-ecr|dkr-ecr-fips|dkr\.ecr-fips)\.[a-z0-9-]+\.(on\.aws|amazonaws\.com)/")


def lister(key: str) -> Callable[[World, Call], Json]:
    def list_all(world: World, call: Call) -> Json:
        return page(world, call, key, [answer(record) for record in world.own(key)])

    return list_all


def getter(key: str) -> Callable[[World, Call], Json]:
    def get_one(world: World, call: Call) -> Json:
        return answer(world.find_own(key, call.id))

    return get_one


def require_registry(world: World, body: Json) -> None:
    """Refuse a reference to a credential that the account does not hold."""
    identifier = body.get("registry")
    if identifier is not None and identifier not in {record["id"] for record in world.own("registries")}:
        raise Refusal(400, "registry credential not found")


def require_image(world: World, body: Json) -> None:
    """Refuse an image on a host of ECR that is not taken."""
    status = world.switches["other_ecr_hosts"]
    if status != "taken" and _OTHER_ECR_HOST.match(body.get("image", "")):
        raise Refusal(status, "image is not on a supported registry")


def require_ports(body: Json) -> None:
    """Refuse ports that are not port/protocol."""
    for port in body.get("ports", ()):
        match = _PORT.fullmatch(port)
        if match is None or int(match["number"]) > 65535:
            raise Refusal(400, f"ports must be formatted as port/protocol: {port}")


def require_free_name(candidates: Iterable[Json], name: str, policy: int | str, kind: str) -> None:
    if policy != "allowed" and any(record["name"] == name for record in candidates):
        raise Refusal(int(policy), f"{kind} name must be unique")


# Registry credentials


def create_registry(world: World, call: Call) -> Json:
    policy = world.switches["duplicate_registry_name"]
    require_free_name(world.own("registries"), call.body["name"], policy, "registry credential")
    return answer(world.add("registries", call.body))


def update_registry(world: World, call: Call) -> Json:
    record = world.find_own("registries", call.id)
    record |= call.body
    return answer(record)


def delete_registry(world: World, call: Call) -> None:
    """Refuse while a pod pulls with the credential; templates lose the reference silently."""
    world.find_own("registries", call.id)
    if any(pod["registry"] == call.id and pod["status"] != "TERMINATED" for pod in world.own("pods")):
        raise Refusal(400, "registry credential is in use by a pod and cannot be deleted")
    losers = world.own("templates")
    if world.switches["endpoint_after_registry_delete"] == "null":
        losers += world.own("endpoints")
    for record in losers:
        if record["registry"] == call.id:
            record["registry"] = None
    del world.current["registries"][call.id]


# Templates


def container_defaults(world: World) -> Json:
    command = {"args": "", "cmd": [], "entrypoint": []}
    return {**command, "disk": world.switches["default_disk"], "env": {}, "ports": [], "registry": None}


def template_defaults(world: World) -> Json:
    return {
        **container_defaults(world),
        "mounts": {},
        "serverless": False,
        "public": False,
        "category": "NVIDIA",
        "startSsh": True,
        "startJupyter": True,
        "allowedCudaVersions": [],
    }


def create_template(world: World, call: Call) -> Json:
    defaults = template_defaults(world)
    record = defaults | call.body | command(defaults, call.body)
    _require_template_name(world, record["name"], ())
    _require_sound_template(world, record, call.body)
    return answer(world.add("templates", record))


def get_template(world: World, call: Call) -> Json:
    return answer(readable_template(world, call.id))


def update_template(world: World, call: Call) -> Json:
    """Change only what the body names. A mount can be replaced and never be taken away."""
    record = world.find_own("templates", call.id)
    changed = record | call.body | command(record, call.body)
    changed["mounts"] = call.body.get("mounts") or record["mounts"]
    if world.switches["template_env"] == "merged":
        changed["env"] = {**record["env"], **call.body.get("env", {})}
    if "name" in call.body:
        _require_template_name(world, changed["name"], (call.id,))
    _require_sound_template(world, changed, call.body)
    record |= changed
    return answer(record)


def delete_template(world: World, call: Call) -> None:
    world.find_own("templates", call.id)
    in_use = any(user.get("template") == call.id for user in [*world.own("pods"), *world.own("clusters")])
    bound = any(endpoint.get("boundTemplate") == call.id for endpoint in world.own("endpoints"))
    if in_use or bound:
        raise Refusal(400, "template is in use by a pod, cluster or serverless endpoint and cannot be deleted")
    del world.current["templates"][call.id]


def readable_template(world: World, identifier: str) -> Json:
    """Return a template of the account or a public one."""
    record = world.current["templates"].get(identifier)
    if record is None or not (record["public"] or record["owner"] == ACCOUNT):
        raise not_found()
    return record


def _require_template_name(world: World, name: str, but: tuple[str, ...]) -> None:
    everybodys = world.switches["template_name_scope"] == "global"
    others = list(world.current["templates"].values()) if everybodys else world.own("templates")
    candidates = [record for record in others if record["id"] not in but]
    require_free_name(candidates, name, world.switches["duplicate_template_name"], "template")


def _require_sound_template(world: World, record: Json, body: Json) -> None:
    require_registry(world, body)
    require_image(world, body)
    require_ports(body)
    if record["serverless"] and record["mounts"]:
        raise Refusal(400, "serverless templates do not support mounts")


# Serverless endpoints

_NO_IDLE_TIMEOUT = "idleTimeout does not apply to queue-based endpoints scaling on requestCount"


def create_endpoint(world: World, call: Call) -> Json:
    body = call.body
    if ("gpu" in body) == ("cpu" in body):
        raise Refusal(400, "exactly one of gpu and cpu must be set")
    record = {
        "dataCenterIds": [],
        "networkVolumes": [],
        "timeout": 0,  # the document says 300000, but 0 is what was seen
        "flashboot": "OFF",
        **{field: value for field, value in body.items() if field not in {"templateId", *CONTAINER}},
        **container_defaults(world),
        **_container_settings(world, body, container_defaults(world)),
        "createdAt": world.now(),
    }
    record |= _compute(_seeded_gpu(world, body), {})
    record["workers"] = _workers(record, body, {"min": 0, "max": 3})
    require_registry(world, record)
    record["id"] = world.new_id()
    record["requestUrls"] = _request_urls(record["id"], body["type"])
    rollout.start(world, record)
    return answer(world.add("endpoints", record))


def update_endpoint(world: World, call: Call) -> Json:
    """Change only what the body names. The family of the compute stays what it is."""
    record, body = world.find_own("endpoints", call.id), call.body
    if ("cpu" if record.get("gpu") else "gpu") in body:
        raise Refusal(400, "the compute family of an endpoint cannot be changed")
    settings = _container_settings(world, body, record)
    require_registry(world, settings)
    plain = {field: value for field, value in body.items() if field not in {"templateId", *CONTAINER}}
    changed = {**record, **plain, **settings, **_compute(body, record)}
    if changed["type"] == "LOAD_BALANCER" and changed["scaling"]["type"] != "REQUEST_COUNT":
        raise Refusal(400, "load-balancing endpoints must scale on requestCount")
    changed["workers"] = _workers(changed, body, record["workers"])
    before = dict(record)
    record |= changed
    rollout.release(world, record, before, {*settings, *body})
    return answer(record)


def delete_endpoint(world: World, call: Call) -> None:
    """Delete the endpoint together with the template it is bound to."""
    record = world.find_own("endpoints", call.id)
    world.current["templates"].pop(record.get("boundTemplate") or "", None)
    del world.current["endpoints"][call.id]


def _container_settings(world: World, body: Json, current: Json) -> Json:
    """Return the container settings a body asks for: a template's, once, under its own; env is merged."""
    require_image(world, body)
    require_ports(body)
    own = {field: body[field] for field in CONTAINER if field in body}
    if "templateId" not in body:
        return own | command(current, body)
    template = readable_template(world, body["templateId"])
    if not template["serverless"]:
        raise Refusal(422, "template is not a serverless template")
    inherited = {field: answer(template)[field] for field in CONTAINER}
    return {**inherited, **own, **command(inherited, body), "env": {**inherited["env"], **own.get("env", {})}}


def _seeded_gpu(world: World, body: Json) -> Json:
    """Return the body with the template's CUDA versions where a GPU create says nothing about CUDA."""
    if "gpu" not in body or "templateId" not in body or {"allowedCudaVersions", "minCudaVersion"} & set(body["gpu"]):
        return body
    versions = readable_template(world, body["templateId"])["allowedCudaVersions"]
    return {**body, "gpu": {**body["gpu"], "allowedCudaVersions": versions}}


def _compute(body: Json, record: Json) -> Json:
    if "gpu" in body:
        return {"gpu": _gpu(body["gpu"], record.get("gpu") or {})}
    return {"cpu": [_cpu(config) for config in body["cpu"]]} if "cpu" in body else {}


def _gpu(asked: Json, current: Json) -> Json:
    """Return the GPU block after a request; new pools without exclusions clear the exclusions."""
    kept = {field: value for field, value in current.items() if not ("pools" in asked and field == "excludedTypes")}
    gpu = {"count": 1, "allowedCudaVersions": [], "minCudaVersion": None, **kept, **asked}
    gpu["minCudaVersion"] = gpu["minCudaVersion"] or None
    if gpu["allowedCudaVersions"] and gpu["minCudaVersion"]:
        raise Refusal(400, "allowedCudaVersions and minCudaVersion are mutually exclusive")
    if unknown := set(gpu["pools"]) - set(POOLS):
        raise Refusal(400, f"unknown GPU pool: {sorted(unknown)[0]}")
    if "excludedTypes" in gpu:
        gpu["excludedTypes"] = [name.strip() for name in gpu["excludedTypes"]]
        _require_sound_exclusions(set(gpu["excludedTypes"]), set().union(*(POOLS[pool] for pool in gpu["pools"])))
    return gpu


def _require_sound_exclusions(excluded: set[str], selected: set[str]) -> None:
    if excluded - selected:
        raise Refusal(400, f"not a GPU type in the selected pools: {sorted(excluded - selected)[0]}")
    if excluded == selected:
        raise Refusal(400, "the selection leaves no GPU type")


def _cpu(config: Json) -> Json:
    count = config["vcpuCount"]
    if config["id"] not in CPU_FLAVORS or count & (count - 1):
        raise Refusal(400, f"not a valid CPU configuration: {config['id']} with {count} vCPUs")
    return {**config, "memory": count * CPU_FLAVORS[config["id"]]}


def _workers(record: Json, body: Json, current: Json) -> Json:
    """Return the workers block; queues that scale on requests have no idle timeout."""
    workers = {"idleTimeout": 10, **current, **body.get("workers", {})}
    if workers["min"] > workers["max"]:
        raise Refusal(400, "workers.min must not be greater than workers.max")
    if (record["type"], record["scaling"]["type"]) != ("QUEUE", "REQUEST_COUNT"):
        return workers
    if "idleTimeout" in body.get("workers", {}):
        raise Refusal(422, _NO_IDLE_TIMEOUT)
    return {field: workers[field] for field in ("min", "max")}


def _request_urls(identifier: str, kind: str) -> Json:
    if kind == "LOAD_BALANCER":
        base = f"https://{identifier}.api.runpod.ai"
        return dict(zip(LOAD_BALANCER_URLS.split(), (base, f"{base}/ping"), strict=True))
    base = f"https://api.runpod.ai/v2/{identifier}"
    tails = {"runSync": "runsync", "purgeQueue": "purge-queue"} | {
        name: f"{name}/{{job_id}}" for name in ("status", "stream", "cancel", "retry")
    }
    return {name: f"{base}/{tails.get(name, name)}" for name in QUEUE_URLS.split()}


# Pods


def list_pods(world: World, call: Call) -> Json:
    """Leave out the members of clusters unless the query asks for them."""
    wanted = call.query.get("includeClusterPods", "false")
    if wanted not in {"true", "false"}:
        raise invalid(["includeClusterPods: got string, want boolean"])
    pods = [pod for pod in world.own("pods") if wanted == "true" or "cluster" not in pod]
    return page(world, call, "pods", [answer(pod) for pod in pods])


# What a seeded object is when the seed does not say otherwise


def _seed_registry(world: World) -> Json:
    return {"name": "seeded", "username": "someone", "password": "unknown"}


def _seed_delegation(world: World) -> Json:
    return delegation(world, "arn:aws:ecr:us-east-1:123456789012:repository/seeded")


def _seed_template(world: World) -> Json:
    return {"name": "seeded", "image": "example/seeded:1", **template_defaults(world)}


def _seed_endpoint(world: World) -> Json:
    return {
        **container_defaults(world),
        "name": "seeded",
        "image": "example/seeded:1",
        "type": "QUEUE",
        "gpu": _gpu({"pools": ["ADA_24"]}, {}),
        "workers": {"min": 0, "max": 3, "idleTimeout": 10},
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
        "dataCenterIds": [],
        "networkVolumes": [],
        "timeout": 300000,
        "flashboot": "OFF",
        "createdAt": world.now(),
        "boundTemplate": None,
    }


def _seed_pod(world: World) -> Json:
    return {
        **container_defaults(world),
        "name": "seeded",
        "image": "example/seeded:1",
        "status": "RUNNING",
        "actions": ["stop", "restart", "terminate"],
        "mounts": {},
        "gpu": {"id": "NVIDIA GeForce RTX 4090", "count": 1},
        "cloud": "SECURE",
        "dataCenterId": "US-KS-2",
        "cudaVersion": "12.8",
        "ssh": {"proxy": None, "direct": None},
        "template": None,
        "cost": 0.44,
        "locked": False,
        "globalNetworking": {"enabled": False},
        "runtime": {},
        "createdAt": world.now(),
        "startedAt": world.now(),
    }


def _seed_cluster(world: World) -> Json:
    return {
        "name": "seeded",
        "type": "TRAINING",
        "compute": {"gpuTypeId": "NVIDIA H100 80GB HBM3", "gpuCountPerPod": 8, "podCount": 2},
        "pods": {"total": 0, "byStatus": {}},
        "createdAt": world.now(),
    }


SEEDS: dict[str, Callable[[World], Json]] = {
    "registries": _seed_registry,
    "delegations": _seed_delegation,
    "templates": _seed_template,
    "endpoints": _seed_endpoint,
    "pods": _seed_pod,
    "clusters": _seed_cluster,
    "secrets": seed_secret,
}

ITEM_SCHEMAS = {
    "registries": "Registry",
    "delegations": "EcrDelegation",
    "templates": "Template",
    "endpoints": "Endpoint",
    "pods": "Pod",
    "clusters": "Cluster",
    "secrets": "Secret",
}


def _seed_rollout(world: World, record: Json, given: Json) -> None:
    """Give an endpoint its first release and the workers that are given. Version 0 is an older one."""
    rollout.start(world, record)
    if "activeWorkers" in given:
        record["activeWorkers"] = [rollout.worker(world, record, one) for one in given["activeWorkers"]]
    errors = [error for one in record["activeWorkers"] for error in violations("Worker", {**one, "isStale": False})]
    if errors:
        raise invalid(errors)


def seed(world: World, key: str, given: Any) -> Json:
    """Hold an object that was made elsewhere: in the console, by an older API, in a foreign account (owner)."""
    if not isinstance(given, dict):
        raise invalid(["$: want object"])
    defaults = SEEDS[key](world)
    if "cpu" in given:
        del defaults["gpu"]
    record = {"id": given.get("id") or world.new_id(), "owner": ACCOUNT, **defaults, **given}
    if "args" in defaults:
        record |= command(defaults, given)
    errors = violations(ITEM_SCHEMAS[key], answer(record))
    unknown = set(record) - set(SCHEMAS[ITEM_SCHEMAS[key]]["properties"]) - INTERNAL
    errors += [f"$: additional properties '{name}' not allowed" for name in sorted(unknown)]
    if record["id"] in world.current[key]:
        errors.append(f"$.id: '{record['id']}' is taken")
    if errors:
        raise invalid(errors)
    if key == "endpoints":
        _seed_rollout(world, record, given)
    return world.add(key, record)
