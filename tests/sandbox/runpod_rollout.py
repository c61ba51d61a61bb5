# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers and releases of serverless endpoints.

The record of an endpoint holds `releases`, newest first, `activeWorkers`, and `reads`, how often its roll-out was
looked at since the last change. A worker keeps the version that it was started with, and may have `logs`. The
switch rollout_reads says after how many looks the older ones are replaced; finish() does it at once.
"""

from __future__ import annotations

import json
from typing import Any

from .runpod_pages import page
from .runpod_schemas import LOG_SOURCES, LOG_TAIL, WORKER_STATUSES
from .runpod_world import ACCOUNT, Call, Json, World, invalid, not_found

# What a release calls the fields whose change makes one. The other fields act at once.
RELEASED = {
    "image": "template.imageName",
    "args": "template.dockerArgs",
    "disk": "template.containerDiskInGb",
    "env": "template.env",
    "ports": "template.ports",
    "registry": "template.containerRegistryAuthId",
}


def start(world: World, record: Json) -> None:
    """Give a new endpoint its first release and the workers that it always has."""
    record["releases"] = []
    record["activeWorkers"] = []
    _add_release(world, record, [])
    staff(world, record)


def release(world: World, record: Json, before: Json, asked: set[str]) -> None:
    """Make a release when the request names what one consists of, though it may be as it was."""
    if asked & set(RELEASED):
        diff = [
            {"field": name, "old": before.get(field), "new": record.get(field)}
            for field, name in RELEASED.items()
            if before.get(field) != record.get(field)
        ]
        _add_release(world, record, diff)
    staff(world, record)


def staff(world: World, record: Json) -> None:
    """Start workers up to the minimum and end those over the maximum. The count of looks begins anew."""
    workers, bounds = record["activeWorkers"], record["workers"]
    while len(workers) < bounds["min"]:
        workers.append(worker(world, record, {}))
    del workers[max(bounds["max"], bounds["min"]) :]
    record["reads"] = 0


def worker(world: World, record: Json, given: Json) -> Json:
    """Return a worker of the newest version that is about to start, but for what is given."""
    return {
        "id": world.new_id(),
        "status": "INITIALIZING",
        "version": _version(record),
        "gpuCount": (record.get("gpu") or {}).get("count", 0),
        "image": record.get("image"),
        "uptimeSeconds": None,
        "gpuTypeId": None,
        "dataCenterId": None,
        "startedAt": None,
        **given,
    }


def finish(world: World, record: Json) -> None:
    """Replace the workers of older versions, and let those that start come to what a switch says."""
    for number, one in enumerate(record["activeWorkers"]):
        if one["version"] != _version(record):
            one = record["activeWorkers"][number] = worker(world, record, {})
        if one["status"] == "INITIALIZING":
            one["status"] = world.switches["started_worker"]


def list_workers(world: World, call: Call) -> Json:
    record = _looked_at(world, call)
    workers = [
        {key: value for key, value in one.items() if key != "logs"} | {"isStale": one["version"] != _version(record)}
        for one in record["activeWorkers"]
    ]
    statuses = [one["status"] for one in workers]
    summary = {status.lower(): statuses.count(status) for status in WORKER_STATUSES} | {"total": len(workers)}
    return {**page(world, call, "workers", workers), "summary": summary, "endpointVersion": _version(record)}


def stream_logs(world: World, call: Call) -> bytes:
    """Return the last lines of a worker's `logs` as events; RunPod's stream stays open, this one ends."""
    workers = {one["id"]: one for one in world.find_own("endpoints", call.id)["activeWorkers"]}
    if call.worker not in workers:
        raise not_found()
    tail = call.query.get("tail", str(LOG_TAIL["default"]))
    if not tail.isdecimal() or int(tail) > LOG_TAIL["maximum"]:
        raise invalid([f"tail: got {tail}, want an integer from 0 to {LOG_TAIL['maximum']}"])
    source = call.query.get("source")
    if source not in (None, *LOG_SOURCES):
        raise invalid([f"source: value must be one of {', '.join(LOG_SOURCES)}"])
    lines = [one for one in workers[call.worker].get("logs", []) if source in (None, one["source"])]
    return "".join(map(event, lines[len(lines) - int(tail) :] if int(tail) < len(lines) else lines)).encode()


def event(line: Json) -> str:
    return f"id: {line['ts']}\ndata: {json.dumps(line)}\n\n"


def list_releases(world: World, call: Call) -> Json:
    record = _looked_at(world, call)
    versions = [one["version"] for one in record["activeWorkers"]]
    latest, total = versions.count(_version(record)), len(versions)
    rollout = {
        "inProgress": latest < total,
        "workersOnLatest": latest,
        "workersTotal": total,
        "percentOnLatest": round(100 * latest / total) if total else 0,
    }
    releases = [{**one, "workerCount": versions.count(one["version"])} for one in record["releases"]]
    return {"endpointVersion": _version(record), "rollout": rollout, **page(world, call, "releases", releases)}


def _looked_at(world: World, call: Call) -> Json:
    """Return the endpoint, and count the look; the further pages of a listing are part of the same one."""
    record = world.find_own("endpoints", call.id)
    if "cursor" in call.query:
        return record
    patience = world.switches["rollout_reads"]
    if patience is not None and record["reads"] >= patience:
        finish(world, record)
    record["reads"] += 1
    return record


def _version(record: Json) -> int:
    return record["releases"][0]["version"]


def _add_release(world: World, record: Json, diff: list[Any]) -> None:
    made = {
        "id": world.new_id(),
        "version": _version(record) + 1 if record["releases"] else 1,
        "source": "MANUAL",
        "buildId": None,
        "createdByUserId": ACCOUNT,
        "createdAt": world.now(),
        "diff": diff,
    }
    record["releases"].insert(0, made)
