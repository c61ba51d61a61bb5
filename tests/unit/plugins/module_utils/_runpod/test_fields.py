# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.fields import (
    CONTAINER,
    Field,
    Step,
    check_options,
    container_errors,
    cuda_errors,
    defaults,
    differing,
    lost_options,
    mapping_errors,
    names,
    port_errors,
    require_sound,
    specs,
)

UNSET: Json = dict.fromkeys(CONTAINER)
TABLE = {"one_option": Field("oneField", {"type": "str"}, None), "two": Field("two", {"type": "int"})}
SPEC: Json = {"size": {"type": "int"}, "mount": {"type": "dict", "options": {"size": {"type": "int"}, "path": {}}}}


def test_a_table_says_spec_name_and_default_of_each_option() -> None:
    assert specs(TABLE) == {"one_option": {"type": "str"}, "two": {"type": "int"}}
    assert names(TABLE) == {"one_option": "oneField", "two": "two"}
    assert defaults(TABLE) == {"oneField": None}
    assert lost_options(TABLE, ["two", "oneField"]) == "one_option, two"


@pytest.mark.parametrize(
    ("current", "fields", "action"),
    [
        (None, {"name": "demo"}, "create"),
        ({"id": "t1"}, {"disk": 80}, "change"),
        ({"id": "t1"}, {}, "unchanged"),
        ({"id": "t1"}, None, "delete"),
        (None, None, "unchanged"),
    ],
)
def test_a_step_knows_what_it_does(current: Json | None, fields: Json | None, action: str) -> None:
    assert Step("demo", current, fields, None).action == action


@pytest.mark.parametrize("port", ["22/tcp", "8888/http", "1/http", "65535/tcp"])
def test_a_port_has_a_protocol(port: str) -> None:
    assert port_errors([port]) == []


@pytest.mark.parametrize(
    "port", ["22", "http/8888", "8888/https", "53/udp", "0/http", "65536/tcp", "123456/tcp", "-1/tcp", " 22/tcp", ""]
)
def test_a_port_that_runpod_would_refuse_is_named(port: str) -> None:
    assert port_errors(["22/tcp", port]) == [
        f"ports: {port!r} is not of the form 8888/http or 22/tcp, with a port from 1 to 65535"
    ]


@pytest.mark.parametrize("version", ["12", "12.8.1", "v12.8", "12.8 ", ""])
def test_a_cuda_version_has_two_numbers(version: str) -> None:
    assert cuda_errors("cuda", ["12.8", version]) == [f"cuda: {version!r} is not of the form '12.8'"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, []),
        ({"args": "a", "disk": 1, "ports": []}, []),
        ({"cmd": ["a"], "entrypoint": ["b"]}, []),
        ({"args": "", "cmd": []}, ["args and cmd exclude each other: args stands for both"]),
        ({"args": "a", "entrypoint": ["b"]}, ["args and entrypoint exclude each other: args stands for both"]),
        (
            {"args": "a", "cmd": ["a"], "entrypoint": ["b"]},
            ["args and cmd and entrypoint exclude each other: args stands for both"],
        ),
        (
            {"image": "", "disk": 0, "ports": ["22"], "env": {"A": None}},
            [
                "image must not be empty",
                "disk must be at least 1 (GB)",
                "ports: '22' is not of the form 8888/http or 22/tcp, with a port from 1 to 65535",
                "env.A must be a string: quote it",
            ],
        ),
    ],
)
def test_everything_wrong_with_a_container_is_said(options: Json, says: list[str]) -> None:
    assert container_errors({**UNSET, **options}) == says


@pytest.mark.parametrize(
    ("field", "is_now", "value", "changes"),
    [
        ("ports", ["22/tcp", "80/http"], ["80/http", "22/tcp"], False),
        ("ports", ["22/tcp"], ["80/http"], True),
        ("cmd", ["a", "b"], ["a", "b"], False),
        ("cmd", ["a", "b"], ["b", "a"], True),
        ("entrypoint", ["a", "b"], ["b", "a"], True),
        ("args", "a  b", "a b", False),
        ("args", '{"cmd": ["a"], "entrypoint": ["b"]}', '{"entrypoint": ["b"], "cmd": ["a"]}', False),
        ("args", "a b", "b a", True),
        ("args", None, "", False),
        ("args", None, "a", True),
        ("scaling", {"queueDelay": 0.699999988079071}, {"queueDelay": 0.7}, False),
        ("scaling", {"queueDelay": 0.71}, {"queueDelay": 0.7}, True),
        ("env", {"A": "1", "B": "2"}, {"B": "2", "A": "1"}, False),
        ("env", {"A": "1"}, {}, True),
        ("cpu", [{"id": "a"}, {"id": "b"}], [{"id": "b"}, {"id": "a"}], False),
    ],
)
def test_only_what_means_something_else_is_a_change(field: str, is_now: Any, value: Any, changes: bool) -> None:
    assert differing({field: is_now}, {field: value}) == ({field: value} if changes else {})


def test_options_are_taken_as_ansible_takes_them() -> None:
    given = {"size": "7", "mount": {"size": 20, "path": "/data"}}
    assert check_options(given, SPEC) == {"size": 7, "mount": {"size": 20, "path": "/data"}}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mount": 7}, "mount must be a dictionary with size, path, not 7."),
        ({"mount": True}, "mount must be a dictionary with size, path, not True."),
        ({"sise": 7}, "sise. Supported parameters include: mount, size.."),
        ({"size": "big"}, "argument 'size' is of type .* unable to convert to int"),
    ],
)
def test_options_that_ansible_would_not_take_are_told(given: Json, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_options(given, SPEC)


def test_only_numbers_and_booleans_trouble_a_mapping() -> None:
    assert mapping_errors({"size": 7, "mount": {"size": 20}, "other": 1}, SPEC) == []
    assert mapping_errors({"mount": 1.5}, SPEC) == ["mount must be a dictionary with size, path, not 1.5"]


def test_faults_are_said_in_one_sentence() -> None:
    require_sound([])
    with pytest.raises(InputError, match=r"^one; two\.$"):
        require_sound(["one", "two"])
