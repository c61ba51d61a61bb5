# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ApiError, CollectionError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.items import ItemResult, failed_items, require_all
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import ItemsFailedError, Result

OUTCOME = Result(True, {"a": 1}, {"a": 2}, {"things": []}, ("careful",))
FINE = ItemResult("fine", "create", None, {"id": "1"})
REFUSED = ItemResult("api", "change", {}, {}, ApiError("no", 400, {"detail": "why"}))
BROKEN = ItemResult("app", "delete", {}, {}, CollectionError("app: broken"))
UNTRIED = ItemResult("late", "create", None, None, tried=False)


def test_a_run_without_a_failure_is_its_outcome() -> None:
    assert require_all([FINE], "things", OUTCOME) is OUTCOME
    assert require_all([], "things", OUTCOME) is OUTCOME


@pytest.mark.parametrize(
    ("reports", "says"),
    [
        ([FINE, REFUSED], "1 of 2 things failed. api: no"),
        ([BROKEN, REFUSED], "2 of 2 things failed. app: broken"),
        ([REFUSED, FINE, UNTRIED, UNTRIED], "1 of 4 things failed. 2 were not tried after that. api: no"),
    ],
)
def test_the_first_failure_is_told_with_how_many_there_are(reports: list[ItemResult], says: str) -> None:
    with pytest.raises(ItemsFailedError) as caught:
        require_all(reports, "things", OUTCOME)
    assert str(caught.value) == says
    assert caught.value.outcome is OUTCOME


def test_failures_are_shown_with_name_action_and_what_the_error_tells() -> None:
    assert failed_items([FINE, REFUSED, UNTRIED, BROKEN], "name") == [
        {"name": "api", "action": "change", "msg": "no", "status": 400, "problem": {"detail": "why"}},
        {"name": "app", "action": "delete", "msg": "app: broken"},
    ]
