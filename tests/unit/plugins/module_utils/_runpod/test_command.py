# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import Json
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.command import (
    parsed,
    predicted_command,
    stored,
    with_command,
)

BOTH = '{"entrypoint": ["sh", "-c"], "cmd": ["a b"]}'


@pytest.mark.parametrize(
    ("args", "cmd", "entrypoint"),
    [
        ("", [], []),
        ("serve --port 80", ["serve", "--port", "80"], []),
        ("serve 'a b'", ["serve", "a b"], []),
        ("it's", ["it's"], []),
        (BOTH, ["a b"], ["sh", "-c"]),
        ('{"entrypoint": ["sh"]}', [], ["sh"]),
        ('{"entrypoint": null, "cmd": ["a"]}', ["a"], []),
        ("{}", ["{}"], []),
        ("[1]", ["[1]"], []),
        ("7", ["7"], []),
        ('{"cmd": 5}', ["{cmd:", "5}"], []),
        ('{"cmd": ["a", 5]}', ["{cmd:", "[a,", "5]}"], []),
        ('{"cmd": ["a"], "more": 1}', ["{cmd:", "[a],", "more:", "1}"], []),
    ],
)
def test_args_stand_for_a_command_and_an_entrypoint(args: str, cmd: list[str], entrypoint: list[str]) -> None:
    assert parsed(args) == {"cmd": cmd, "entrypoint": entrypoint}


@pytest.mark.parametrize(
    ("cmd", "entrypoint", "args"),
    [([], [], ""), (["serve", "a b", "it's"], [], "serve 'a b' 'it'\"'\"'s'"), (["a b"], ["sh", "-c"], BOTH)],
)
def test_what_is_stored_means_what_was_given(cmd: list[str], entrypoint: list[str], args: str) -> None:
    assert stored(cmd, entrypoint) == args
    assert parsed(args) == {"cmd": cmd, "entrypoint": entrypoint}


@pytest.mark.parametrize(
    ("answer", "args", "cmd", "entrypoint"),
    [
        ({}, "", [], []),
        ({"args": None, "cmd": None}, "", [], []),
        ({"args": "a b"}, "a b", ["a", "b"], []),
        ({"args": BOTH}, BOTH, ["a b"], ["sh", "-c"]),
        ({"cmd": ["a b"]}, "'a b'", ["a b"], []),
        ({"args": "", "cmd": ["a b"], "entrypoint": ["sh", "-c"]}, BOTH, ["a b"], ["sh", "-c"]),
        ({"args": "a b", "cmd": ["a", "b"], "entrypoint": []}, "a b", ["a", "b"], []),
    ],
)
def test_an_answer_is_filled_in_whichever_form_it_has(
    answer: Json, args: str, cmd: list[str], entrypoint: list[str]
) -> None:
    assert with_command({"id": "t1", **answer}) == {"id": "t1", "args": args, "cmd": cmd, "entrypoint": entrypoint}


@pytest.mark.parametrize(
    ("sent", "after"),
    [
        ({"image": "app:2"}, {}),
        ({"args": "c d"}, {"args": "c d", "cmd": ["c", "d"], "entrypoint": []}),
        ({"args": ""}, {"args": "", "cmd": [], "entrypoint": []}),
        ({"cmd": ["a b"]}, {"args": BOTH, "cmd": ["a b"], "entrypoint": ["sh", "-c"]}),
        ({"entrypoint": []}, {"args": "serve", "cmd": ["serve"], "entrypoint": []}),
        ({"cmd": [], "entrypoint": []}, {"args": "", "cmd": [], "entrypoint": []}),
    ],
)
def test_a_list_that_is_not_sent_stays(sent: Json, after: Json) -> None:
    current = {"args": '{"entrypoint": ["sh", "-c"], "cmd": ["serve"]}', "cmd": ["serve"], "entrypoint": ["sh", "-c"]}
    assert predicted_command(current, sent) == after
