# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what an audit sees of RunPod.

from __future__ import annotations

from functools import partial

from .._core.errors import Json
from .._core.masking import to_diff
from .._oci.reference import PUBLIC_HOSTS, Image
from .._runpod import account, endpoint, endpoint_plan, rollout
from .._runpod.worker_logs import last_lines
from . import preview
from .audit_verdict import in_use, parsed
from .audit_workers import Trouble, trouble
from .desired import DesiredState
from .look import LISTINGS, Look
from .observed import EndpointLook, Failure, ObservedState, guarded, read
from .plan_workloads import plan_templates
from .pull_look import check
from .spec import templates


def at_runpod(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Each listing is read by itself: a key may lack the right to one."""
    listed = {kind: guarded(partial(account.listed, look.api, kind)) for kind in LISTINGS}
    readable = [kind for kind, things in listed.items() if not isinstance(things, Failure)]
    options = {"gather": readable, "credential_expiry": expiry(desired, found)}
    results = account.run(options, False, look.api, look.aws.clock).results
    runpod: dict[str, list[Json] | Failure] = {
        kind: things if isinstance(things, Failure) else results[kind] for kind, things in listed.items()
    }
    return found._replace(runpod=runpod, runpod_findings=results["findings"])


def expiry(desired: DesiredState, found: ObservedState) -> Json | None:
    """Return None where the store's own fault is told."""
    if desired.access != "credential":
        return None
    sound = not desired.by_user or any(each["secret_store"]["state"] == "key" for each in found.users)
    return found.expiry if sound else None


def what_runs(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Check images that run and are not wished, as their puller where that can be told."""
    known = {*desired.images, *found.public_images.values()}
    ours = {each["id"] for region in desired.regions for each in found.current(desired, region)}
    others: dict[str, Json] = {}
    for item in desired.items:
        for thing in (each for things in in_use(found, item).values() for each in things):
            image = parsed(thing.get("image"))
            if image is None or image.reference in known or not (image.account_id or image.host in PUBLIC_HOSTS):
                continue
            identity = identity_of(desired, thing, image, ours)
            reports = check(look, [image.reference], identity, desired.store)
            for each in read(reports, []):
                others[thing["image"]] = {**each, "image": thing["image"], "by_puller": identity != "caller"}
    return found._replace(others=others)


def identity_of(desired: DesiredState, thing: Json, image: Image, ours: set[str]) -> str:
    """Return as whom to check what runs."""
    if image.host in PUBLIC_HOSTS:
        return "anonymous"
    return "secret_store" if desired.by_user and thing.get("registry") in ours else "caller"


def containers(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """See what a run would change, as far as what it depends on was read."""
    if not (found.was_read("templates") and found.was_read("registries")):
        return found
    items = templates(desired.items, found.credential_names(desired), found.public_images)
    steps = guarded(lambda: plan_templates(desired, look, items)[0])
    found = found._replace(templates=steps)
    if isinstance(steps, Failure) or not found.was_read("endpoints"):
        return found
    wanted = [item["endpoint"] for item in desired.items if item["endpoint"]]
    looks = {given["name"]: guarded(partial(endpoint_look, desired, look, given)) for given in wanted}
    return found._replace(endpoints=looks)


def endpoint_look(desired: DesiredState, look: Look, given: Json) -> EndpointLook:
    step = preview.endpoint(look, desired, given)
    before, after = to_diff(step.current, step.after)
    if step.current is None:
        return EndpointLook(None, after, None)
    status = rollout.read_status(look.api, f"{endpoint.PATH}/{step.current['id']}", with_workers=True)
    workers = tuple(status.workers_as_result())
    found = trouble(workers, status.newest.get("createdAt"), look.aws.clock())
    changes = status.as_result(endpoint_plan.released(step))
    return EndpointLook(before, after, changes, workers, status.newest, found, logs_of(look, step.current, found))


def logs_of(look: Look, current: Json, found: Trouble | None) -> list[str] | Failure:
    """A worker that is throttled has none yet."""
    if found is None or found.code == "workers_throttled":
        return []
    secrets = [str(value) for value in (current.get("env") or {}).values()]
    return guarded(lambda: last_lines(look.api, current["id"], found.ids[0], secrets))
