# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .._aws.runpod_roles import EVER_PUBLISHED, IN_FORCE
from .._core.errors import ApiError, CollectionError, InputError, Json, NotFoundError, concerns_all
from .._core.items import ItemResult, failed_items, require_all
from .._core.result import Result
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
from .duplicates import keep_one
from .fields import LONGEST_WAIT

PATH = "/registries/delegations"
OTHER_FORM_MAY_DO = {400, 422}
LONGEST_PAUSE = 16.0  # seconds
Reports = dict[Target, ItemResult]


class Asking(NamedTuple):
    """`known` are ids of what was there before, `form` one that RunPod took in this run."""

    client: Client
    name: str | None
    resource_form: str
    known: frozenset[str]
    form: str | None = None

    def forms(self, target: Target) -> list[str]:
        """What RunPod took once it takes again."""
        return sorted(target.forms(self.resource_form), key=lambda form: form != self.form)


class RefusedError(CollectionError):
    def __init__(self, message: str, attempts: list[Json]) -> None:
        super().__init__(message)
        self.attempts = attempts

    def as_result(self) -> Json:
        return {"msg": str(self), "attempts": self.attempts}


def run(params: Json, check_mode: bool, client: Client) -> Result:
    wanted, warnings = resolve(params)
    delegations = client.items(PATH, "delegations")
    reports = plan(params, wanted, delegations)
    if not check_mode:
        reports = apply(client, params, reports, delegations)
    outcome = build_result(reports, params)._replace(warnings=(*warnings, *several(reports)))
    return require_all(list(reports.values()), "repositories", outcome)


def resolve(params: Json) -> tuple[list[Target], tuple[str, ...]]:
    """Raise InputError before any request."""
    form, timeout = params["resource_form"], params["propagation_timeout"]
    if params["name"] == "":
        raise InputError("name is empty: leave it out for a delegation without one.")
    if not 0 <= timeout <= LONGEST_WAIT:
        raise InputError(f"propagation_timeout: {timeout} must be at least 0 and at most {LONGEST_WAIT} (seconds).")
    wanted, warnings = targets(params["images"] or [], params["repository_arns"] or [], params["tag"] or "")
    untagged = [target.arn for target in wanted if not target.forms(form)]
    if untagged and params["state"] == "present":
        raise InputError(f"The form {form} carries a tag: set tag for {', '.join(untagged)}.")
    return wanted, warnings


def plan(params: Json, wanted: Iterable[Target], delegations: Iterable[Json]) -> Reports:
    found = by_repository(delegations)
    absent = params["state"] == "absent"
    reports = {}
    for target in wanted:
        before = found.get(target.arn, [])
        after = [] if absent else before or [predicted(target, params["name"])]
        action = "unchanged" if after == before else "delete" if absent else "create"
        reports[target] = ItemResult(target.arn, action, before, after)
    return reports


def apply(client: Client, params: Json, planned: Reports, delegations: Iterable[Json]) -> Reports:
    left = [target for target, report in planned.items() if report.action != "unchanged"]
    if params["state"] == "absent":
        done = revoke_all(client, {target: planned[target] for target in left})
    else:
        known = frozenset(str(delegation.get("id")) for delegation in delegations)
        asking = Asking(client, params["name"], params["resource_form"], known)
        done = delegate_all(asking, left, params["propagation_timeout"])
    untried = {target: planned[target]._replace(after=planned[target].before, tried=False) for target in left}
    return {target: (planned | untried | done)[target] for target in planned}


# Telling RunPod of repositories


def delegate_all(asking: Asking, left: list[Target], propagation_timeout: int) -> Reports:
    """A young policy may not have arrived where RunPod looks, so refusals are asked for again until the time is
    over, unless another run was faster.
    """
    reports: Reports = {}
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
    return resolve_duplicates(asking, reports)


def resolve_duplicates(asking: Asking, reports: Reports) -> Reports:
    """Look once at what another run was told at the same time."""
    client = asking.client
    targets_by_arn = {report.name: target for target, report in reports.items()}
    made = {report.name: report.after[0] for report in reports.values() if report.after and not report.before}
    if not made or any(map(is_fatal, reports.values())):
        return reports

    def create(arn: str) -> Json:
        dummy, report = delegate(asking, targets_by_arn[arn])
        if report.error:
            raise report.error
        return report.after[0]

    def remove(delegation: Json) -> None:
        client.delete(f"{PATH}/{delegation['id']}")

    try:
        kept = keep_one(client, made, lambda: by_repository(client.items(PATH, "delegations")), remove, create)
    except CollectionError as error:
        kept = dict.fromkeys(made, error)
    return {
        target: with_kept(report, kept[report.name]) if report.name in kept else report
        for target, report in reports.items()
    }


def with_kept(report: ItemResult, kept: Json | CollectionError) -> ItemResult:
    return report._replace(error=kept) if isinstance(kept, CollectionError) else report._replace(after=[kept])


def delegate_each(asking: Asking, wanted: list[Target]) -> tuple[Asking, Reports]:
    reports = {}
    for target in wanted:
        form, report = delegate(asking, target)
        reports[target] = report
        asking = asking._replace(form=form or asking.form)
        if is_fatal(report):
            break
    return asking, reports


def delegate(asking: Asking, target: Target) -> tuple[str | None, ItemResult]:
    """Return which form RunPod took, tried until it does not refuse."""
    report = ItemResult(target.arn, "create", [], [])
    attempts = []
    for form in asking.forms(target):
        attempt: Json = {"form": form, "resource": target.resource(form)}
        try:
            made = ask(asking, target, attempt["resource"])
            if delegated_arn(made) == target.arn:
                return form, report._replace(after=[made])
            attempts.append({**attempt, "status": 201, "detail": taken_back(asking, made)})
        except ApiError as error:
            if error.status not in OTHER_FORM_MAY_DO:
                return None, report._replace(error=error)
            attempts.append({**attempt, "status": error.status, "detail": details(error.problem) or str(error)})
        except CollectionError as error:
            return None, report._replace(error=error)
    return None, report._replace(error=RefusedError(refused(asking, target, attempts), attempts))


def ask(asking: Asking, target: Target, resource: str) -> Json:
    """When the answer is lost, return what a listing shows."""

    def find() -> Json | None:
        return next(iter(by_repository(asking.client.items(PATH, "delegations")).get(target.arn, [])), None)

    name = {"name": asking.name} if asking.name else {}
    return create_once(asking.client, PATH, {"resource": resource, **name}, find)


def taken_back(asking: Asking, made: Json) -> str:
    """Delete a delegation of another repository than asked for; return what to say."""
    text = f"RunPod took it for the repository {delegated_arn(made)}"
    if made["id"] in asking.known:
        return f"{text}, of which it was told before"
    asking.client.delete(f"{PATH}/{made['id']}")
    return f"{text}, and that was taken back"


def look_again(client: Client, wanted: list[Target]) -> Reports:
    """Return those that RunPod knows by now, because another run was faster."""
    try:
        found = by_repository(client.items(PATH, "delegations"))
    except CollectionError:  # the refusal says more
        return {}
    return {
        target: ItemResult(target.arn, "unchanged", found[target.arn], found[target.arn])
        for target in wanted
        if target.arn in found
    }


def is_fatal(report: ItemResult) -> bool:
    """Return whether the next would fail alike; a path that is not found is wrong for all."""
    return report.error is not None and (concerns_all(report.error) or isinstance(report.error, NotFoundError))


def pauses(seconds: float) -> Iterator[float]:
    """Yield pauses that grow, so many seconds together."""
    pause = 2.0
    while seconds > 0:
        yield min(pause, seconds)
        seconds -= pause
        pause = min(pause * 2, LONGEST_PAUSE)


def refused(asking: Asking, target: Target, attempts: list[Json]) -> str:
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


def revoke_all(client: Client, planned: Reports) -> Reports:
    reports: Reports = {}
    for target, report in planned.items():
        reports[target] = revoke(client, report)
        if is_fatal(reports[target]):
            break
    return reports


def revoke(client: Client, report: ItemResult) -> ItemResult:
    for number, delegation in enumerate(report.before):
        try:
            client.delete(f"{PATH}/{delegation['id']}")
        except CollectionError as error:
            return report._replace(after=report.before[number:], error=error)
    return report


# What a run tells


def build_result(reports: Reports, params: Json) -> Result:
    before = [delegation_result(delegation) for report in reports.values() for delegation in report.before]
    after = [delegation_result(delegation) for report in reports.values() for delegation in report.after]
    results = {
        "delegations": [
            {
                **delegation_result(delegation),
                "created": delegation not in report.before,
                "differs": differs(delegation, target, params["name"]),
            }
            for target, report in reports.items()
            for delegation in report.after
        ],
        "failed_items": failed_items(reports.values(), "repository_arn"),
    }
    changed = any(report.before != report.after for report in reports.values())
    return Result(changed, {"delegations": before}, {"delegations": after}, results)


def several(reports: Reports) -> Iterator[str]:
    for report in reports.values():
        if len(report.after) > 1:
            ids = ", ".join(str(delegation.get("id")) for delegation in report.after)
            yield (
                f"{report.name}: RunPod holds {len(report.after)} delegations of it (ids {ids}), where one would "
                "do. They are left alone; state absent removes all of them."
            )
