# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

from .._core.errors import CollectionError, ConflictError, InputError, Json, NotFoundError
from .._core.masking import to_diff, to_result
from .._core.result import Result
from .client import Client
from .create_once import create_once
from .credential_replacement import missing
from .endpoint_fields import (
    FIELDS,
    Step,
    field_changes,
    plan,
    validation_errors,
)
from .rollout import RolloutStatus, follow, read_status
from .template import PATH as TEMPLATES

PATH = "/serverless"


class RolloutError(CollectionError):
    """The workers did not come to the newest version in time; the results tell what was done all the same."""

    def __init__(self, message: str, outcome: Result, workers: list[Json]) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.workers = workers

    def as_result(self) -> Json:
        done = self.outcome
        diff = {"before": done.before or {}, "after": done.after or {}}
        return {"msg": str(self), "changed": done.changed, "diff": diff, **done.results, "workers": self.workers}


def run(params: Json, check_mode: bool, client: Client, clock: Callable[[], float] = time.monotonic) -> Result:
    wrong = validation_errors(params)
    if wrong:
        raise InputError("; ".join(wrong) + ".")
    endpoints = client.items(PATH, "endpoints")
    template, registries, warnings = read(client, params, check_mode)
    step = plan(params, endpoints, template, registries)
    after = step.after if check_mode else write(client, step, endpoints)
    if step.current and step.fields is None:
        warnings += (consequences(step.current, check_mode),)
    observed = progress(params, check_mode, client, clock, after)
    outcome = build_result(step, after, observed, warnings)
    if params["wait"] and not check_mode and observed and not observed.over:
        raise RolloutError(too_late(after, params["wait_timeout"], observed), outcome, observed.workers_as_result())
    return outcome


def read(client: Client, params: Json, check_mode: bool) -> tuple[Json | None, list[Json], tuple[str, ...]]:
    """Return the template that is named, the registry credentials if one is named, and warnings about both."""
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
    registries = client.items("/registries", "registries") if named else []
    return template, registries, warnings + missing(named, registries, check_mode)


def find_template(client: Client, given: str) -> Json | None:
    """Return the serverless template with this name or id: of the account, or a public one by its id."""
    current = client.items(TEMPLATES, "templates")
    found = {template["id"]: template for template in current if given in (template["name"], template["id"])}
    if len(found) > 1:
        ids = ", ".join(sorted(found))
        raise ConflictError(f"template {given!r} is the name or id of {len(found)} templates (ids {ids}).")
    template = next(iter(found.values()), None) or public_template(client, given)
    if template and not template["serverless"]:
        raise InputError(
            f"The template {given!r} (id {template['id']}) is for pods: set its option serverless to true, "
            "or name a template for serverless workers."
        )
    return template


def public_template(client: Client, given: str) -> Json | None:
    try:
        return client.get(f"{TEMPLATES}/{quote(given, safe='')}")
    except NotFoundError:
        return None


def write(client: Client, step: Step, known: list[Json]) -> Json | None:
    """Take the step and return the endpoint afterwards, read back from RunPod's answer."""
    if step.fields is None:
        if step.current:
            client.delete(f"{PATH}/{step.current['id']}")
        return None
    if not step.fields:
        return step.current
    if step.current:
        return read_back(step.fields, client.patch(f"{PATH}/{step.current['id']}", step.fields))
    name, before = step.fields["name"], {endpoint["id"] for endpoint in known}

    def look_up() -> Json | None:
        now = [endpoint for endpoint in client.items(PATH, "endpoints") if endpoint["name"] == name]
        new = [endpoint for endpoint in now if endpoint["id"] not in before]
        if len(new) > 1:
            ids = ", ".join(sorted(endpoint["id"] for endpoint in new))
            raise ConflictError(
                f"The answer to the creation of the endpoint {name!r} was lost, and {len(new)} of that name are new "
                f"(ids {ids}). Delete all but one, then run again."
            )
        return new[0] if new else None

    return read_back(step.fields, create_once(client, PATH, step.fields, look_up))


def read_back(sent: Json, answer: Json) -> Json:
    """Return the answer to a write once it shows everything that was sent."""
    if not isinstance(answer, dict) or "id" not in answer:
        raise CollectionError("RunPod did not answer with the endpoint that it was sent: run again.")
    fields = {field: value for field, value in sent.items() if field != "type" or "type" in answer}
    lost = field_changes(answer, fields)
    if lost:
        options = ", ".join(option for option, field in FIELDS.items() if field in lost)
        raise CollectionError(
            f"RunPod accepted the endpoint {answer.get('name')!r} (id {answer['id']}) but holds other values than were "
            f"sent for {options}. Run again; if it goes on, set them in RunPod's console."
        )
    return answer


def consequences(endpoint: Json, check_mode: bool) -> str:
    """Return what a deletion does besides."""
    would = "would end" if check_mode else "ended"
    return (
        f"Deleting the endpoint {endpoint['name']!r} (id {endpoint['id']}) {would} its workers and jobs, and RunPod "
        "deletes the template bound to it, if there is one."
    )


def progress(
    params: Json, check_mode: bool, client: Client, clock: Callable[[], float], endpoint: Json | None
) -> RolloutStatus | None:
    """Return how far the workers are, None for an endpoint that does not exist."""
    if endpoint is None or "id" not in endpoint:
        return None
    path = f"{PATH}/{endpoint['id']}"
    if params["wait"] and not check_mode:
        return follow(client, path, params["wait_timeout"], clock)
    return read_status(client, path)


def build_result(step: Step, after: Json | None, observed: RolloutStatus | None, warnings: tuple[str, ...]) -> Result:
    """Return what a run did as the module's result."""
    before_shown, after_shown = to_diff(step.current, after)
    results = {"endpoint": after and to_result(after), "release": observed and observed.as_result(step.released)}
    return Result(step.changed, before_shown, after_shown, results, warnings)


def too_late(endpoint: Json | None, seconds: int, observed: RolloutStatus) -> str:
    """Return what to say when the time to wait is over."""
    name, identifier = (endpoint or {}).get("name"), (endpoint or {}).get("id")
    return (
        f"The workers of the endpoint {name!r} (id {identifier}) have not come to its newest version in {seconds} "
        f"seconds: {observed.told()}. One that stays INITIALIZING or UNHEALTHY may fail to pull or to start "
        "the image, as its logs at RunPod show; one that is THROTTLED waits for a free machine. The roll-out goes on: "
        "run again with wait to follow it further."
    )
