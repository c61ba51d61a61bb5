# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .._aws.runpod_roles import EVER_PUBLISHED, IN_FORCE
from .._core.errors import ApiError, CollectionError, InputError, Json, NotFoundError, concerns_all
from .._core.result import ItemsFailedError, Result
from .answers import details
from .client import Client
from .create_once import create_once
from .delegation_target import (
    Target,
    by_repository,
    delegated_arn,
    delegation_result,
    differs,
    predicted,
    targets,
)

PATH = "/registries/delegations"
OTHER_FORM_MAY_DO = {400, 422}
LONGEST_PAUSE = 16.0  # seconds


class ItemResult(NamedTuple):
    """What became of one repository; without `tried`, an earlier failure has kept it from being tried."""

    target: Target
    before: list[Json]
    after: list[Json]
    error: CollectionError | None = None
    tried: bool = True
    form: str | None = None  # the one that RunPod took


class Asking(NamedTuple):
    """How RunPod is asked: `known` are the ids of what was there before, `form` one that it took in this run."""

    client: Client
    name: str | None
    resource_form: str
    known: frozenset[str]
    form: str | None = None

    def forms(self, target: Target) -> list[str]:
        """Return the forms to try. What RunPod took once it takes again."""
        return sorted(target.forms(self.resource_form), key=lambda form: form != self.form)


class RefusedError(CollectionError):
    """RunPod took no form of a repository."""

    def __init__(self, message: str, attempts: list[Json]) -> None:
        super().__init__(message)
        self.attempts = attempts

    def as_result(self) -> Json:
        return {"msg": str(self), "attempts": self.attempts}


def run(params: Json, check_mode: bool, client: Client) -> Result:
    wanted, warnings = resolve(params)
    found = by_repository(client.items(PATH, "delegations"))
    current = {target.arn: found.get(target.arn, []) for target in wanted}
    if params["state"] == "absent":
        reports = revoke_all(client, wanted, current, check_mode)
    elif check_mode:
        reports = [preview(target, current[target.arn], params["name"]) for target in wanted]
    else:
        known = frozenset(delegation["id"] for each in found.values() for delegation in each)
        asking = Asking(client, params["name"], params["resource_form"], known)
        reports = delegate_all(asking, wanted, current, params["propagation_timeout"])
    outcome = build_result(reports, params)._replace(warnings=(*warnings, *several(reports)))
    if outcome.results["failed_items"]:
        raise ItemsFailedError(message(reports), outcome)
    return outcome


def resolve(params: Json) -> tuple[list[Target], tuple[str, ...]]:
    """Return the repositories that the options name, and warnings. Raises InputError before any request."""
    form, timeout = params["resource_form"], params["propagation_timeout"]
    if params["name"] == "":
        raise InputError("name is empty: leave it out for a delegation without one.")
    if timeout < 0:
        raise InputError(f"propagation_timeout: {timeout} must be at least 0 (seconds).")
    wanted, warnings = targets(params["images"] or [], params["repository_arns"] or [], params["tag"] or "")
    untagged = [target.arn for target in wanted if not target.forms(form)]
    if untagged and params["state"] == "present":
        raise InputError(f"The form {form} carries a tag: set tag for {', '.join(untagged)}.")
    return wanted, warnings


def preview(target: Target, current: list[Json], name: str | None) -> ItemResult:
    """Return what is to become of a repository."""
    return ItemResult(target, current, current or [predicted(target, name)])


# Telling RunPod of repositories


def delegate_all(
    asking: Asking, wanted: list[Target], current: dict[str, list[Json]], propagation_timeout: int
) -> list[ItemResult]:
    """Tell RunPod of the repositories that it does not know, and return what became of each.

    A policy that is seconds old may not have arrived where RunPod looks. So what was refused is asked for again until
    the patience is spent, unless another run was faster.
    """
    reports = {
        target: ItemResult(target, current[target.arn], current[target.arn]) for target in wanted if current[target.arn]
    }
    left = [target for target in wanted if target not in reports]
    for pause in (*pauses(propagation_timeout), None):
        asking, made = delegate_each(asking, left)
        reports |= made
        left = [target for target, report in made.items() if isinstance(report.error, RefusedError)]
        if not left or any(is_fatal(report) for report in made.values()):
            break
        if pause:
            asking.client.sleep(pause)
        appeared = look_again(asking.client, left)
        reports |= appeared
        left = [target for target in left if target not in appeared]
    return complete(wanted, reports, current)


def delegate_each(asking: Asking, wanted: list[Target]) -> tuple[Asking, dict[Target, ItemResult]]:
    """Ask for each repository once, until a failure concerns all of them; return what became of each that was tried."""
    reports = {}
    for target in wanted:
        report = reports[target] = delegate(asking, target)
        asking = asking._replace(form=report.form or asking.form)
        if is_fatal(report):
            break
    return asking, reports


def delegate(asking: Asking, target: Target) -> ItemResult:
    """Ask for one repository, in one form after the other while RunPod refuses what it says."""
    attempts = []
    for form in asking.forms(target):
        attempt: Json = {"form": form, "resource": target.resource(form)}
        try:
            made = ask(asking, target, attempt["resource"])
            if delegated_arn(made) == target.arn:
                return ItemResult(target, [], [made], form=form)
            attempts.append({**attempt, "status": 201, "detail": taken_back(asking, made)})
        except ApiError as error:
            if error.status not in OTHER_FORM_MAY_DO:
                return ItemResult(target, [], [], error)
            attempts.append({**attempt, "status": error.status, "detail": details(error.problem) or str(error)})
        except CollectionError as error:
            return ItemResult(target, [], [], error)
    return ItemResult(target, [], [], RefusedError(refused(asking, target, attempts), attempts))


def ask(asking: Asking, target: Target, resource: str) -> Json:
    """Create a delegation; when its answer is lost, return what a listing shows."""

    def find() -> Json | None:
        return next(iter(by_repository(asking.client.items(PATH, "delegations")).get(target.arn, [])), None)

    name = {"name": asking.name} if asking.name else {}
    return create_once(asking.client, PATH, {"resource": resource, **name}, find)


def taken_back(asking: Asking, made: Json) -> str:
    """Delete a delegation that RunPod made of another repository than the one asked for; return what to say of it."""
    text = f"RunPod took it for the repository {delegated_arn(made)}"
    if made["id"] in asking.known:
        return f"{text}, of which it was told before"
    asking.client.delete(f"{PATH}/{made['id']}")
    return f"{text}, and that was taken back"


def look_again(client: Client, wanted: list[Target]) -> dict[Target, ItemResult]:
    """Return the repositories of these that RunPod knows by now, because another run was faster."""
    try:
        found = by_repository(client.items(PATH, "delegations"))
    except CollectionError:  # the refusal says more
        return {}
    return {
        target: ItemResult(target, found[target.arn], found[target.arn]) for target in wanted if target.arn in found
    }


def is_fatal(report: ItemResult) -> bool:
    """Return whether the next repository would fail like this one; a path that is not found is wrong for all."""
    return report.error is not None and (concerns_all(report.error) or isinstance(report.error, NotFoundError))


def pauses(seconds: float) -> Iterator[float]:
    """Yield pauses that grow, and are so many seconds together."""
    pause = 2.0
    while seconds > 0:
        yield min(pause, seconds)
        seconds -= pause
        pause = min(pause * 2, LONGEST_PAUSE)


def refused(asking: Asking, target: Target, attempts: list[Json]) -> str:
    """Return what to say when RunPod took no form of a repository."""
    tried = "; ".join("{form} ({resource}): HTTP {status}: {detail}".format_map(attempt) for attempt in attempts)
    former = ", ".join(sorted(EVER_PUBLISHED - set(IN_FORCE)))
    all_tried = target.tag or asking.resource_form != "auto"
    untagged = "" if all_tried else " Without tag, the forms that carry one were not tried."
    return (
        f"{target.arn}: RunPod does not take it. {tried}.{untagged} RunPod refuses a repository whose policy does not "
        f"let its roles pull, too: each of {', '.join(IN_FORCE)} must be named there ({former} is not enough "
        "any more). ecr_pull_grant sees to it and shows as drift which of them are missing or outdated. Such a policy "
        "takes a while to arrive: raise propagation_timeout when it is new."
    )


# Revoking


def revoke_all(
    client: Client, wanted: list[Target], current: dict[str, list[Json]], check_mode: bool
) -> list[ItemResult]:
    """Delete all delegations of the repositories, and return what became of each."""
    reports: dict[Target, ItemResult] = {}
    for target in wanted:
        there = current[target.arn]
        report = reports[target] = ItemResult(target, there, []) if check_mode else revoke(client, target, there)
        if is_fatal(report):
            break
    return complete(wanted, reports, current)


def revoke(client: Client, target: Target, current: list[Json]) -> ItemResult:
    """Delete the delegations of one repository."""
    for number, delegation in enumerate(current):
        try:
            client.delete(f"{PATH}/{delegation['id']}")
        except CollectionError as error:
            return ItemResult(target, current, current[number:], error)
    return ItemResult(target, current, [])


# What a run tells


def complete(
    wanted: list[Target], reports: dict[Target, ItemResult], current: dict[str, list[Json]]
) -> list[ItemResult]:
    """Return the reports in the order of the repositories, with those that were not tried."""
    return [
        reports.get(target) or ItemResult(target, current[target.arn], current[target.arn], tried=False)
        for target in wanted
    ]


def build_result(reports: list[ItemResult], params: Json) -> Result:
    """Return what a run did as the module's result."""
    action = "delete" if params["state"] == "absent" else "create"
    before = [delegation_result(delegation) for report in reports for delegation in report.before]
    after = [delegation_result(delegation) for report in reports for delegation in report.after]
    results = {
        "delegations": [
            {
                **delegation_result(delegation),
                "created": delegation not in report.before,
                "differs": differs(delegation, report.target, params["name"]),
            }
            for report in reports
            for delegation in report.after
        ],
        "failed_items": [
            {"repository_arn": report.target.arn, "action": action, **report.error.as_result()}
            for report in reports
            if report.error
        ],
    }
    changed = any(report.before != report.after for report in reports)
    return Result(changed, {"delegations": before}, {"delegations": after}, results)


def several(reports: list[ItemResult]) -> Iterator[str]:
    """Yield warnings about repositories that are delegated more than once."""
    for report in reports:
        if len(report.after) > 1:
            ids = ", ".join(delegation["id"] for delegation in report.after)
            yield (
                f"{report.target.arn}: RunPod holds {len(report.after)} delegations of it (ids {ids}), where one would "
                "do. They are left alone; state absent removes all of them."
            )


def message(reports: list[ItemResult]) -> str:
    """Return what to say about a run in which repositories failed."""
    failed = [report for report in reports if report.error]
    untried = sum(not report.tried for report in reports)
    skipped = f" {untried} were not tried after that." if untried else ""
    arn, text = failed[0].target.arn, str(failed[0].error)
    about = "" if arn in text else f"{arn}: "
    return f"{len(failed)} of {len(reports)} repositories failed.{skipped} {about}{text}"
