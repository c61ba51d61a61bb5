# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.masking import (
    CHANGED,
    MASK,
    mask_arguments,
    mask_env,
    to_diff,
    to_result,
)

SPEC: Json = {
    "name": {"type": "str"},
    "env": {"type": "dict"},
    "items": {"type": "list", "elements": "dict", "options": {"name": {"type": "str"}, "env": {"type": "dict"}}},
    "mount": {"type": "dict", "options": {"size": {"type": "int"}}},
}


@pytest.mark.parametrize(
    ("env", "said"),
    [({"A": "1", "B": 2}, {"A": MASK, "B": MASK}), ({}, {}), (None, None), ("A=1", MASK), (["A"], MASK)],
)
def test_an_environment_shows_its_keys(env: Any, said: Any) -> None:
    assert mask_env(env) == said


def test_a_thing_is_shown_in_snake_case_but_for_its_environment() -> None:
    thing = {"id": "1", "startSsh": True, "workers": {"idleTimeout": 5}, "env": {"someKey": "x"}}
    assert to_result(thing) == {"id": "1", "start_ssh": True, "workers": {"idle_timeout": 5}, "env": {"someKey": MASK}}
    assert to_result({"createdAt": "now"}) == {"created_at": "now"}
    assert to_result({"env": None}) == {"env": None}


@pytest.mark.parametrize(
    ("before", "after", "diff"),
    [
        (None, None, (None, None)),
        (None, {"env": {"A": "1"}}, (None, {"env": {"A": MASK}})),
        ({"env": {"A": "1"}}, None, ({"env": {"A": MASK}}, None)),
        ({"env": {"A": "1"}}, {"env": {"A": "1"}}, ({"env": {"A": MASK}}, {"env": {"A": MASK}})),
        ({"env": {"A": "1"}}, {"env": {"A": "2"}}, ({"env": {"A": MASK}}, {"env": {"A": CHANGED}})),
        ({"env": {"A": "1"}}, {"env": {"B": "1"}}, ({"env": {"A": MASK}}, {"env": {"B": MASK}})),
        ({"id": "1"}, {"id": "1", "env": {"A": "1"}}, ({"id": "1"}, {"id": "1", "env": {"A": MASK}})),
    ],
)
def test_a_difference_tells_which_values_changed_and_not_to_what(before: Any, after: Any, diff: Any) -> None:
    assert to_diff(before, after) == diff


@pytest.mark.parametrize(
    ("given", "echo"),
    [
        ({"name": "a", "env": {"K": "v"}}, {"name": "a", "env": {"K": MASK}}),
        ({"env": "K=v"}, {"env": MASK}),  # refused, but echoed
        ({"enviroment": {"K": "v"}}, {"enviroment": MASK}),
        ({"items": [{"name": "a", "env": {"K": "v"}}]}, {"items": [{"name": "a", "env": {"K": MASK}}]}),
        ({"items": [{"ENV": {"K": "v"}}, "K=v", None]}, {"items": [{"ENV": MASK}, MASK, None]}),
        ({"items": '[{"env": {"K": "v"}}]'}, {"items": MASK}),
        ({"items": {"env": {"K": "v"}}}, {"items": {"env": {"K": MASK}}}),
        ({"items": None, "mount": {"size": 1}}, {"items": None, "mount": {"size": 1}}),
    ],
)
def test_arguments_are_echoed_without_the_values_of_env(given: Json, echo: Json) -> None:
    assert mask_arguments(given, SPEC) == echo
