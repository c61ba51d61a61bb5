# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

from .._core.errors import CollectionError, ConflictError, IgnoredFieldError, InputError, Json, NotFoundError
from .._core.masking import to_diff, to_result
from .._core.result import ItemsFailedError, Result
from . import fields as shared
from .client import Client
from .create_once import create_once
from .credential_names import missing
from .duplicates import keep_one
from .endpoint_fields import TABLE, validation_errors
from .endpoint_plan import complete, field_changes, find, new_pools, plan, released, require_known_pools
from .fields import Step
from .ownership import require_ours
from .rollout import READY, RolloutStatus, follow, read_status
from .template import PATH as TEMPLATES

PATH = "/serverless"
CATALOG = "/catalog/gpus?include=AVAILABILITY&product=SERVERLESS"


class RolloutError(ItemsFailedError):
    """The results tell what was done all the same."""

    def __init__(self, message: str, outcome: Result, workers: list[Json]) -> None:
        super().__init__(message, outcome)
        self.workers = workers

    def as_result(self) -> Json:
        return {**super().as_result(), "workers": self.workers}


def run(params: Json, check_mode: bool, client: Client, clock: Callable[[], float] = time.monotonic) -> Result:
    shared.require_sound(validation_errors(params))
    endpoints = client.items(PATH, "endpoints")
    template, registries, warnings = read(client, params, check_mode, find(endpoints, params))
    step = plan(params, endpoints, template, registries)
    require_known_pools(step, read_catalog(client) if new_pools(step) else [])
    try:
        after = step.after if check_mode else apply(client, step)
    except IgnoredFieldError as error:
        raise ItemsFailedError(str(error), build_result(step, error.thing, None, warnings)) from error
    if step.action == "delete":
        warnings += (consequences(step.current or {}, check_mode),)
    observed = progress(params, check_mode, client, clock, after)
    outcome = build_result(step, after, observed, warnings)
    if params["wait"] and not check_mode and observed and not observed.over:
        raise RolloutError(too_late(after, params["wait_timeout"], observed), outcome, observed.workers_as_result())
    return outcome


# What is there


def read(
    client: Client, params: Json, check_mode: bool, current: Json | None = None
) -> tuple[Json | None, list[Json], tuple[str, ...]]:
    """Registry credentials are read where they matter."""
    if params["state"] == "absent":
        return None, [], ()
    template = find_template(client, params["template"]) if params["template"] else None
    warnings: tuple[str, ...] = ()
    if params["template"] and template is None:
        text = f"No template has the name or id {params['template']!r}"
        if not check_mode:
            raise InputError(f"{text}: make it first, or leave template unset.")
        warnings = (f"{text} yet. Unless something makes it first, this fails; what it would bring is not shown.",)
    named = {params["registry"]} - {None, ""}
    ours = (template or {}).get("registry")
    in_doubt = ours and params["registry"] is None and (current or {}).get("registry") not in (None, ours)
    registries = client.items("/registries", "registries") if named or in_doubt else []
    return template, registries, warnings + missing(named, registries, check_mode)


def find_template(client: Client, given: str) -> Json | None:
    """Look in the account by name or id, among public templates by id."""
    current = client.items(TEMPLATES, "templates")
    matches = [template for template in current if given in (template.get("name"), template.get("id"))]
    found = {str(template.get("id")): template for template in matches}
    if len(found) > 1:
        ids = ", ".join(sorted(found))
        raise ConflictError(f"template {given!r} is the name or id of {len(found)} templates (ids {ids}).")
    return next(iter(found.values()), None) or public_template(client, given)


def public_template(client: Client, given: str) -> Json | None:
    try:
        return client.get(f"{TEMPLATES}/{quote(given, safe='')}")
    except NotFoundError:
        return None


def read_catalog(client: Client) -> list[Json]:
    """Return nothing when the catalogue cannot be read."""
    try:
        return client.items(CATALOG, "gpus")
    except CollectionError:
        return []


# What is done


def apply(client: Client, step: Step) -> Json | None:
    after = write(client, step)
    if step.action != "create" or after is None:
        return after
    kept = keep_created(client, step, after)
    if kept["id"] == after["id"]:
        return after
    return brought_up(client, step, kept)


def brought_up(client: Client, step: Step, found: Json) -> Json | None:
    """Give an endpoint that another run may have made at the same moment the fields of this one."""
    fields = {field: value for field, value in (step.fields or {}).items() if field != "type"}
    require_ours("endpoint", found, fields, (), False)
    return write(client, step._replace(current=complete(found), fields=field_changes(found, fields)))


def write(client: Client, step: Step) -> Json | None:
    if step.fields is None:
        if step.current:
            client.delete(f"{PATH}/{step.current['id']}")
        return None
    if not step.fields:
        return step.current
    if step.current:
        return read_back(step, client.patch(f"{PATH}/{step.current['id']}", step.fields))

    def look_up() -> Json | None:
        found = min(named(client, step.name), key=lambda endpoint: str(endpoint["id"]), default=None)
        return brought_up(client, step, found) if found else None

    return read_back(step, create_once(client, PATH, step.fields, look_up))


def named(client: Client, name: str) -> list[Json]:
    return [endpoint for endpoint in client.items(PATH, "endpoints") if endpoint.get("name") == name]


def keep_created(client: Client, step: Step, made: Json) -> Json:
    """Another run may have made one of that name at the same time."""

    def remove(endpoint: Json) -> None:
        path = f"{PATH}/{endpoint['id']}"
        if any(worker.get("status") in READY for worker in read_status(client, path, with_workers=True).workers):
            raise ConflictError(
                f"Another run made an endpoint {step.name!r} at the same time, and the one that this run made (id "
                f"{endpoint['id']}) has workers already: delete one of them, then run again."
            )
        client.delete(path)

    def create(dummy: str) -> Json:
        return write(client, step) or {}

    kept = keep_one(client, {step.name: made}, lambda: {step.name: named(client, step.name)}, remove, create)[step.name]
    if isinstance(kept, CollectionError):
        raise kept
    return kept


def read_back(step: Step, answer: Json) -> Json:
    """Return the answer once it shows everything that was sent."""
    endpoint = complete(answer)
    sent = {field: value for field, value in (step.fields or {}).items() if field != "type" or "type" in answer}
    lost = field_changes(endpoint, sent)
    if lost:
        raise IgnoredFieldError(
            f"RunPod accepted the endpoint {answer.get('name')!r} (id {answer['id']}) but holds other values than were "
            f"sent for {shared.lost_options(TABLE, lost)}. Run again; if it goes on, set them in RunPod's console.",
            endpoint,
        )
    return endpoint


# What is told


def consequences(endpoint: Json, check_mode: bool) -> str:
    name, identifier = endpoint.get("name"), endpoint.get("id")
    would = "would end" if check_mode else "ended"
    return (
        f"Deleting the endpoint {name!r} (id {identifier}) {would} its workers and jobs, and RunPod deletes the "
        "template bound to it, if there is one."
    )


def progress(
    params: Json, check_mode: bool, client: Client, clock: Callable[[], float], endpoint: Json | None
) -> RolloutStatus | None:
    """Return None for an endpoint that does not exist."""
    if endpoint is None or "id" not in endpoint:
        return None
    path = f"{PATH}/{endpoint['id']}"
    if params["wait"] and not check_mode:
        return follow(client, path, params["wait_timeout"], clock)
    return read_status(client, path)


def build_result(step: Step, after: Json | None, observed: RolloutStatus | None, warnings: tuple[str, ...]) -> Result:
    before_shown, after_shown = to_diff(step.current, after)
    results = {"endpoint": after and to_result(after), "release": observed and observed.as_result(released(step))}
    return Result(step.action != "unchanged", before_shown, after_shown, results, warnings)


def too_late(endpoint: Json | None, seconds: int, observed: RolloutStatus) -> str:
    name, identifier = (endpoint or {}).get("name"), (endpoint or {}).get("id")
    return (
        f"The workers of the endpoint {name!r} (id {identifier}) have not come to its newest version in {seconds} "
        f"seconds: {observed.describe()}. One that stays INITIALIZING or UNHEALTHY may fail to pull or to start "
        "the image, as its logs at RunPod show; one that is THROTTLED waits for a free machine. The roll-out goes on: "
        "run again with wait to follow it further."
    )
