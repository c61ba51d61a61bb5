# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from .._core.errors import CollectionError, ConflictError, InputError, Json, concerns_all
from .._core.result import ItemsFailedError, Result
from .client import Client
from .template import (
    IgnoredFieldError,
    Step,
    plan,
    read,
    template_diff,
    template_result,
    validation_errors,
    write,
)

ORDER = ("unchanged", "create", "change", "delete")
DONE = {"create": "created", "change": "changed", "delete": "deleted", "unchanged": "unchanged"}


class ItemResult(NamedTuple):
    """What became of one step; without `tried`, an earlier failure has kept it from being taken."""

    step: Step
    after: Json | None
    error: CollectionError | None = None
    tried: bool = True


def run(params: Json, check_mode: bool, client: Client) -> Result:
    items = params["templates"]
    require_sound(items)
    templates, registries, warnings = read(client, items, check_mode)
    steps = plan_all(items, templates, registries)
    if params["prune"]:
        steps += pruned(templates, {item["name"] for item in items}, params["prune_pattern"])
    steps.sort(key=lambda step: (ORDER.index(step.action), step.name))
    if check_mode:
        reports = [ItemResult(step, step.prediction) for step in steps]
    else:
        reports = carry_out(client, steps, params["on_error"])
    outcome = build_result(reports, {item["name"] for item in items})._replace(warnings=warnings)
    if outcome.results["failed_items"]:
        raise ItemsFailedError(message(reports), outcome)
    return outcome


def require_sound(items: Iterable[Json]) -> None:
    """Raise InputError that tells everything wrong with the items, by position from 1."""
    wrong = []
    positions: dict[str, int] = {}
    for position, item in enumerate(items, start=1):
        wrong += [f"Template {position} ({item['name']!r}): {fault}." for fault in validation_errors(item)]
        first = positions.setdefault(item["name"], position)
        if first != position:
            wrong.append(f"Templates {first} and {position} have the same name {item['name']!r}.")
    if wrong:
        raise InputError(" ".join(wrong))


def plan_all(items: Iterable[Json], templates: Iterable[Json], registries: list[Json]) -> list[Step]:
    """Return what is to be done about each item. Raises one error for all items about which that cannot be said."""
    by_name: dict[str, list[Json]] = {}
    used: set[str | None] = set()
    for template in templates:
        by_name.setdefault(template["name"], []).append(template)
        used.add(template["registry"])
    steps = []
    wrong: list[CollectionError] = []
    for item in items:
        try:
            steps.append(plan(item, by_name.get(item["name"], []), registries, used))
        except (InputError, ConflictError) as error:
            wrong.append(error)
    if wrong:
        raise type(wrong[0])(" ".join(str(error) for error in wrong))
    return steps


def pruned(templates: Iterable[Json], named: set[str], pattern: str) -> list[Step]:
    """Return the steps that delete the templates which match the pattern and are not named."""
    others = [template for template in templates if template["name"] not in named]
    return [Step(template["name"], template, None) for template in others if fnmatchcase(template["name"], pattern)]


def carry_out(client: Client, steps: list[Step], on_error: str) -> list[ItemResult]:
    """Take the steps in this order and return what became of each."""
    reports = []
    for step in steps:
        report = attempt(client, step)
        reports.append(report)
        if report.error and (on_error == "stop" or concerns_all(report.error)):
            break
    return reports + [ItemResult(step, step.current, tried=False) for step in steps[len(reports) :]]


def attempt(client: Client, step: Step) -> ItemResult:
    """Take one step."""
    try:
        return ItemResult(step, write(client, step))
    except IgnoredFieldError as error:
        return ItemResult(step, error.template, error)
    except CollectionError as error:
        return ItemResult(step, step.current, error)


def build_result(reports: list[ItemResult], named: set[str]) -> Result:
    """Return what a run did as the module's result."""
    tried = [report for report in reports if report.tried]
    count = Counter("failed" if report.error else DONE[report.step.action] for report in tried)
    by_name = sorted(reports, key=lambda report: report.step.name)
    changed = [report for report in by_name if report.after != report.step.current]
    differences = [template_diff(report.step.current, report.after) for report in changed]
    return Result(
        changed=bool(changed),
        before={"templates": [old for old, dummy in differences if old]},
        after={"templates": [new for dummy, new in differences if new]},
        results={
            "templates": [
                template_result(report.after) for report in by_name if report.after and report.step.name in named
            ],
            "summary": {key: count[key] for key in (*DONE.values(), "failed")},
            "failed_items": [
                {"name": report.step.name, "action": report.step.action, **report.error.as_result()}
                for report in by_name
                if report.error
            ],
        },
    )


def message(reports: list[ItemResult]) -> str:
    """Return what to say about a run in which templates failed."""
    failed = [report for report in reports if report.error]
    untried = sum(not report.tried for report in reports)
    skipped = f" {untried} were not tried after that." if untried else ""
    first = failed[0]
    return f"{len(failed)} of {len(reports)} templates failed.{skipped} {first.step.name}: {first.error}"
