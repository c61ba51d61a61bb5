# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import islice
from typing import NamedTuple

from .._core.errors import CollectionError, ConflictError, IgnoredFieldError, InputError, Json, concerns_all
from .._core.items import ItemResult, failed_items, require_all
from .._core.result import Result
from .client import Client
from .command import LISTS
from .fields import Step
from .template import (
    OPTIONS,
    complete,
    credentials_in_use,
    keep_created,
    plan,
    read,
    template_diff,
    template_result,
    validation_errors,
    write,
)

ORDER = ("unchanged", "create", "change", "delete")
DONE = {"create": "created", "change": "changed", "delete": "deleted", "unchanged": "unchanged"}
DEFAULT_OPTIONS: Json = {option: spec for option, spec in OPTIONS.items() if option not in ("name", "state")}


class State(NamedTuple):
    templates: list[Json]
    registries: list[Json]
    warnings: tuple[str, ...]


def run(params: Json, check_mode: bool, client: Client) -> Result:
    require_sound(params["templates"], params.get("defaults"))
    items = complete_items(params)
    state = State(*read(client, items, check_mode))
    steps = plan_all(params, items, state)
    reports = (
        [to_report(step, step.after) for step in steps] if check_mode else apply(client, steps, params["on_error"])
    )
    outcome = build_result(reports, {item["name"] for item in items})._replace(warnings=state.warnings)
    return require_all(reports, "templates", outcome)


# What is wanted


def complete_items(params: Json) -> list[Json]:
    adopt = {"adopt": params.get("adopt")}
    return [{**over_defaults(item, params.get("defaults") or {}), **adopt} for item in params["templates"]]


def over_defaults(item: Json, defaults: Json) -> Json:
    """`env` is merged by key."""
    own = {option: value for option, value in item.items() if value is not None}
    command = {"args", *LISTS}
    replaced = {"args"} if own.keys() & set(LISTS) else command if "args" in own else set()
    inherited = {option: value for option, value in defaults.items() if option not in replaced}
    env = {**(defaults.get("env") or {}), **(own.get("env") or {})}
    return {**item, **inherited, **own, **({"env": env} if env else {})}


def require_sound(items: Iterable[Json], defaults: Json | None = None) -> None:
    """Raise InputError that tells all, by position from 1."""
    general = validation_errors({**defaults, "name": "any"}) if defaults else []
    wrong = [f"defaults: {fault}." for fault in general]
    positions: dict[str, int] = {}
    for position, item in enumerate(items, start=1):
        errors = validation_errors(over_defaults(item, defaults or {}))
        wrong += [f"Template {position} ({item['name']!r}): {fault}." for fault in errors if fault not in general]
        first = positions.setdefault(item["name"], position)
        if first != position:
            wrong.append(f"Templates {first} and {position} have the same name {item['name']!r}.")
    if wrong:
        raise InputError(" ".join(wrong))


# What is to be done


def plan_all(params: Json, items: list[Json], state: State) -> list[Step]:
    """Raise one error for all items that cannot be planned."""
    by_name: dict[str, list[Json]] = {}
    for template in state.templates:
        by_name.setdefault(template.get("name", ""), []).append(template)
    used = credentials_in_use(state.templates)
    steps = []
    wrong: list[CollectionError] = []
    for item in items:
        try:
            steps.append(plan(item, by_name.get(item["name"], []), state.registries, used))
        except (InputError, ConflictError) as error:
            wrong.append(error)
    if wrong:
        raise type(wrong[0])(" ".join(str(error) for error in wrong))
    if params["prune"]:
        steps += pruned(state.templates, {item["name"] for item in items}, params["prune_pattern"])
    return sorted(steps, key=lambda step: (ORDER.index(step.action), step.name))


def pruned(templates: Iterable[Json], named: set[str], pattern: str) -> list[Step]:
    others = [(template.get("name", ""), template) for template in templates]
    return [
        Step(name, complete(template), None, None)
        for name, template in others
        if name not in named and fnmatchcase(name, pattern)
    ]


# What is done


def apply(client: Client, steps: list[Step], on_error: str) -> list[ItemResult]:
    reports = []
    for step in steps:
        report = attempt(client, step)
        reports.append(report)
        if report.error and (on_error == "stop" or concerns_all(report.error)):
            break
    untried = [to_report(step, step.current)._replace(tried=False) for step in islice(steps, len(reports), None)]
    return resolve_duplicates(client, steps, reports) + untried


def attempt(client: Client, step: Step) -> ItemResult:
    try:
        return to_report(step, write(client, step))
    except IgnoredFieldError as error:
        return to_report(step, error.thing, error)
    except CollectionError as error:
        return to_report(step, step.current, error)


def resolve_duplicates(client: Client, steps: list[Step], reports: list[ItemResult]) -> list[ItemResult]:
    """Look once at what another run created at the same time."""
    made = {report.name: report.after for report in reports if report.action == "create" and not report.error}
    if not made or any(report.error and concerns_all(report.error) for report in reports):
        return reports
    try:
        kept = keep_created(client, {step.name: step for step in steps}, made)
    except CollectionError as error:
        kept = dict.fromkeys(made, error)
    return [with_kept(report, kept[report.name]) if report.name in kept else report for report in reports]


def with_kept(report: ItemResult, kept: Json | CollectionError) -> ItemResult:
    return report._replace(error=kept) if isinstance(kept, CollectionError) else report._replace(after=kept)


# What is told


def to_report(step: Step, after: Json | None, error: CollectionError | None = None) -> ItemResult:
    return ItemResult(step.name, step.action, step.current, after, error)


def build_result(reports: list[ItemResult], named: set[str]) -> Result:
    tried = [report for report in reports if report.tried]
    count = Counter("failed" if report.error else DONE[report.action] for report in tried)
    by_name = sorted(reports, key=lambda report: report.name)
    changed = [report for report in by_name if report.after != report.before]
    differences = [template_diff(report.before, report.after) for report in changed]
    return Result(
        changed=bool(changed),
        before={"templates": [old for old, dummy in differences if old]},
        after={"templates": [new for dummy, new in differences if new]},
        results={
            "templates": [template_result(report.after) for report in by_name if report.after and report.name in named],
            "summary": {key: count[key] for key in (*DONE.values(), "failed")},
            "failed_items": failed_items(by_name, "name"),
        },
    )
