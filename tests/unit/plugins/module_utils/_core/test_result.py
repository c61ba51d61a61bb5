# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError, ConflictError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import (
    PartialError,
    Result,
    changed_fields,
    desired_fields,
    find_by_name,
    reporting,
)

FIELDS = {"image": "image", "disk_size": "disk"}


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        ({}, {}),
        ({"image": None, "disk_size": None}, {}),
        ({"image": "a", "disk_size": None, "state": "present"}, {"image": "a"}),
        ({"image": "", "disk_size": 0}, {"image": "", "disk": 0}),  # empty is not unset
    ],
)
def test_wanted(params: Json, fields: Json) -> None:
    assert desired_fields(params, FIELDS) == fields


@pytest.mark.parametrize(
    ("current", "desired", "delta"),
    [
        ({"image": "a"}, {"image": "a"}, {}),
        ({"image": "a", "disk": 5}, {"image": "b"}, {"image": "b"}),  # not asked for, not touched
        ({"ports": [1, 2]}, {"ports": [1]}, {"ports": [1]}),  # a shorter list is a change
        ({"ports": [1]}, {"ports": []}, {"ports": []}),  # empty means empty
        ({}, {"image": "a"}, {"image": "a"}),
        ({"env": {"A": "1", "B": "2"}}, {"env": {"A": "1"}}, {"env": {"A": "1"}}),
    ],
)
def test_changes(current: Json, desired: Json, delta: Json) -> None:
    assert changed_fields(current, desired) == delta


def test_a_name_is_found_once_or_not_at_all() -> None:
    things = [{"id": "1", "name": "one"}, {"id": "2", "name": "two"}]
    assert find_by_name(things, "two", "thing") == {"id": "2", "name": "two"}
    assert find_by_name(things, "three", "thing") is None


def test_two_things_with_one_name_are_an_error_with_both_ids() -> None:
    with pytest.raises(ConflictError, match=r"There are 2 things named 'one' \(ids 1, 2\)"):
        find_by_name([{"id": "2", "name": "one"}, {"id": "1", "name": "one"}], "one", "thing")


def test_an_outcome_needs_no_more_than_what_was_and_what_is() -> None:
    assert Result(False, None, None)[3:] == ({}, ())


def test_failure_after_writes_says_what_is_done_and_that_a_plain_re_run_continues() -> None:
    cause = AwsError("iam:PutUserPolicy: Throttling: slow down.", "iam:PutUserPolicy", "Throttling", "slow down.", 400)
    done: list[str] = []
    with pytest.raises(PartialError) as caught, reporting(done):
        done += ["the user is made", "the entry is made", "the user is made"]
        raise cause
    assert caught.value.as_result() == {
        "msg": "iam:PutUserPolicy: Throttling: slow down. Already done: the user is made; the entry is made. "
        "A plain re-run continues.",
        "error": cause.as_result()["error"],
        "changed": True,
    }
    assert (caught.value.cause, caught.value.done) == (cause, ("the user is made", "the entry is made"))


def test_failure_before_the_first_write_is_raised_as_it_is() -> None:
    cause = ConflictError("theirs")
    with pytest.raises(ConflictError) as caught, reporting([]):
        raise cause
    assert caught.value is cause


def test_what_is_done_is_said_once() -> None:
    with pytest.raises(PartialError) as caught, reporting(["outer"]), reporting(["inner"]):
        raise ConflictError("theirs")
    assert str(caught.value) == "theirs Already done: inner. A plain re-run continues."
