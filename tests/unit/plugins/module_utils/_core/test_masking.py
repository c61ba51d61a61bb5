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
    NO_LOG,
    mask_arguments,
    mask_env,
    mask_login,
    mask_secrets,
    printable,
    secret_values,
    texts,
    to_diff,
    to_result,
)

SPEC: Json = {
    "name": {"type": "str"},
    "env": {"type": "dict"},
    "items": {"type": "list", "elements": "dict", "options": {"name": {"type": "str"}, "env": {"type": "dict"}}},
    "mount": {"type": "dict", "options": {"size": {"type": "int"}}},
    "key": {"type": "str", "no_log": True, "aliases": ["old_key"]},
    "logins": {"type": "list", "elements": "dict", "options": {"password": {"type": "str", "no_log": True}}},
    "url": {"type": "str"},
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
        ({"key": "hush", "old_key": "hush"}, {"key": NO_LOG, "old_key": NO_LOG}),
        ({"key": None, "logins": [{"password": ["hush"]}]}, {"key": None, "logins": [{"password": NO_LOG}]}),
        ({"url": "https://me:hush@host/v2"}, {"url": f"https://{MASK}@host/v2"}),
    ],
)
def test_arguments_are_echoed_without_secrets(given: Json, echo: Json) -> None:
    assert mask_arguments(given, SPEC) == echo


def test_an_env_in_an_option_that_is_not_described_is_masked_by_key() -> None:
    given = {"spec": {"template": {"env": {"TOKEN": "hush"}, "disk": 80}, "list": [{"env": {"A": "hush"}}, 1]}}
    assert mask_arguments(given, {"spec": {"type": "raw"}}) == {
        "spec": {"template": {"env": {"TOKEN": MASK}, "disk": 80}, "list": [{"env": {"A": MASK}}, 1]}
    }


def test_the_secrets_of_arguments_are_found_at_any_depth() -> None:
    given = {"old_key": "one", "logins": [{"password": ["two", {"a": 3}]}, None], "name": "four", "key": True, "x": "y"}
    assert secret_values(given, SPEC) == {"one", "two", "3"}
    assert texts(None) == set()


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("with long-enough-a and b7", f"with {MASK} and {MASK}"),
        ("xlong-enough-ay", f"x{MASK}y"),  # a long one is found inside of words too
        ("b77 xb7 b7.", f"b77 xb7 {MASK}."),
        ({"b7": ["b7", 7, None], "t": ("b7",)}, {"b7": [MASK, 7, None], "t": [MASK]}),
        (r'as JSON: "quo\"te"', f'as JSON: "{MASK}"'),
        ("long-enough-a-and-more", MASK),  # the longest first
    ],
)
def test_secrets_are_masked_wherever_they_occur(value: Any, masked: Any) -> None:
    assert mask_secrets(value, ["long-enough-a", "long-enough-a-and-more", "b7", 'quo"te', ""]) == masked


def test_without_secrets_nothing_is_masked() -> None:
    assert mask_secrets("as it is", []) == "as it is"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain, \u00e4\u4e2d \U0001f600", "plain, \u00e4\u4e2d \U0001f600"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("a\nb\tc\rd\x9bm", r"a\nb\tc\rd\x9bm"),
        ("\u202egnp.exe\u2028", r"\u202egnp.exe\u2028"),
        (17, "17"),
    ],
)
def test_foreign_text_is_printable(text: object, said: str) -> None:
    assert printable(text) == said


def test_line_breaks_of_our_own_are_kept() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


def test_an_address_is_shown_without_its_login() -> None:
    assert mask_login("see https://a:b@c.d/e and mail@x.y") == f"see https://{MASK}@c.d/e and mail@x.y"
