# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .errors import CollectionError, Json
from .result import ItemsFailedError, Result


class ItemResult(NamedTuple):
    """Without `tried`, an earlier failure kept it from being tried."""

    name: str
    action: str
    before: Any
    after: Any
    error: CollectionError | None = None
    tried: bool = True


def failed_items(reports: Iterable[ItemResult], key: str) -> list[Json]:
    return [
        {key: report.name, "action": report.action, **report.error.as_result()} for report in reports if report.error
    ]


def require_all(reports: list[ItemResult], kind: str, outcome: Result) -> Result:
    failed = [report for report in reports if report.error]
    if not failed:
        return outcome
    untried = sum(not report.tried for report in reports)
    skipped = f" {untried} were not tried after that." if untried else ""
    name, text = failed[0].name, str(failed[0].error)
    about = "" if text.startswith(name) else f"{name}: "
    raise ItemsFailedError(f"{len(failed)} of {len(reports)} {kind} failed.{skipped} {about}{text}", outcome)
