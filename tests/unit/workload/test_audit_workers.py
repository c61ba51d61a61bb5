# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit_workers import Trouble, trouble
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.observed import EndpointLook

NOW = datetime(2026, 8, 31, 12, tzinfo=timezone.utc)
LONG_AGO, JUST_NOW = "2026-08-31T11:00:00Z", "2026-08-31T11:50:00Z"


@pytest.mark.parametrize(
    ("statuses", "released_at", "expected"),
    [
        ([], LONG_AGO, None),
        (["RUNNING", "IDLE"], LONG_AGO, None),
        (["RUNNING", "UNHEALTHY"], JUST_NOW, Trouble("workers_unhealthy", ("w1",))),
        (["UNHEALTHY", "INITIALIZING"], LONG_AGO, Trouble("workers_unhealthy", ("w0",))),
        (["THROTTLED", "THROTTLED"], JUST_NOW, Trouble("workers_throttled", ("w0", "w1"))),
        (["THROTTLED", "RUNNING"], LONG_AGO, None),
        (["INITIALIZING"], LONG_AGO, Trouble("workers_stuck", ("w0",), 60)),
        (["INITIALIZING", "THROTTLED"], LONG_AGO, Trouble("workers_stuck", ("w0",), 60)),
        (["INITIALIZING"], JUST_NOW, None),
        (["INITIALIZING", "RUNNING"], LONG_AGO, None),
        *((["INITIALIZING"], moment, None) for moment in (None, "", "yesterday", 7, [], "2026-13-99T99:99:99Z")),
        ([None], LONG_AGO, None),
    ],
)
def test_what_is_wrong_with_workers(statuses: list[Any], released_at: Any, expected: Trouble | None) -> None:
    workers = [{"id": f"w{number}", "status": status} for number, status in enumerate(statuses)]
    assert trouble(workers, released_at, NOW) == expected


@pytest.mark.parametrize(
    ("newest", "said"),
    [
        ({}, ""),
        ({"diff": []}, ""),
        ({"diff": None}, ""),
        ({"diff": "x"}, ""),
        ({"diff": ["x", None]}, ""),
        ({"diff": [{"field": "a"}], "createdAt": "t", "createdByUserId": None}, "made at t: a."),
        (
            {"diff": [{"field": "a"}, {"field": "b"}], "createdAt": "t", "createdByUserId": "u"},
            "at t by the user u: a, b.",
        ),
        ({"diff": [{"field": "\x1b[31m"}], "createdAt": "t"}, r"made at t: \x1b[31m."),
        ({"diff": [{}]}, "made at None: None."),
    ],
)
def test_who_made_the_newest_release(newest: dict[str, Any], said: str) -> None:
    changed = EndpointLook(None, None, None, newest=newest).changed
    assert changed.endswith(said) and bool(changed) == bool(said)
