# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.fields import CHANGES, NUMBER, changed, paths

TWO = {"a": [{"id": "x", "n": None}, {"id": "y"}], "b": {"c.d": [1], 'e"f': {}}}
XML = b"""<?xml version="1.0"?><R xmlns="https://iam.example/"><Users>
<member><Name>x</Name></member><member><Name>y</Name><Path>/</Path></member></Users><Id>1</Id></R>"""


def test_every_field_of_json_has_its_path_once() -> None:
    assert paths(json.dumps(TWO).encode()) == [
        "$.a",
        "$.a[*]",
        "$.a[*].id",
        "$.a[*].n",
        "$.b",
        '$.b["c.d"]',
        '$.b["c.d"][*]',
        '$.b["e\\"f"]',
    ]


def test_every_field_of_xml_has_its_path_once_whatever_its_namespace() -> None:
    assert paths(XML) == ["$.Users", "$.Users.member", "$.Users.member.Name", "$.Users.member.Path", "$.Id"]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"3", b'"text"', b"[]", b"{}", b"It works!", b"\xff\x00", b"<p><br></p>"]
)
def test_a_body_without_fields_has_no_path_and_is_not_changed(body: bytes) -> None:
    assert paths(body) == []
    assert changed(body, "remove", "$.a") is None


@pytest.mark.parametrize(
    ("change", "path", "after"),
    [
        ("remove", "$.a", {"b": TWO["b"]}),
        ("remove", "$.a[*].id", {**TWO, "a": [{"n": None}, {}]}),
        ("remove", "$.a[1].id", {**TWO, "a": [{"id": "x", "n": None}, {}]}),
        ("remove", "$.a[*]", {**TWO, "a": []}),
        ("remove", "$.a[0]", {**TWO, "a": [{"id": "y"}]}),
        ("null", "$.a", {**TWO, "a": None}),
        ("null", "$.a[*]", {**TWO, "a": [None, None]}),
        ("number", "$.a[*].id", {**TWO, "a": [{"id": NUMBER, "n": None}, {"id": NUMBER}]}),
        ("null", '$.b["c.d"][0]', {**TWO, "b": {"c.d": [None], 'e"f': {}}}),
        ("remove", '$.b["e\\"f"]', {**TWO, "b": {"c.d": [1]}}),
    ],
)
def test_a_field_of_json_is_changed_and_nothing_else(change: str, path: str, after: Any) -> None:
    body = changed(json.dumps(TWO).encode(), change, path)
    assert body is not None and json.loads(body) == after


@pytest.mark.parametrize(
    ("change", "path", "after"),
    [
        ("remove", "$.Users", "<R><Id>1</Id></R>"),
        ("null", "$.Users", "<R><Users/><Id>1</Id></R>"),
        ("number", "$.Id", f"<Id>{NUMBER}</Id></R>"),
        ("remove", "$.Users.member", "</Users><Id>1</Id></R>"),
        ("null", "$.Users.member.Name", "<member><Name/></member><member><Name/><Path>/</Path></member>"),
        ("remove", "$.Users.member.Path", "<member><Name>y</Name></member>"),
    ],
)
def test_a_field_of_xml_is_changed(change: str, path: str, after: str) -> None:
    body = changed(XML, change, path)
    assert body is not None and after in body.decode().replace("\n", "").replace(" />", "/>")


@pytest.mark.parametrize("body", [json.dumps({**TWO, "a": [{"id": "x", "n": 1}]}).encode(), XML])
def test_every_path_can_be_changed_in_every_way(body: bytes) -> None:
    for path in paths(body):
        for change in CHANGES:
            assert changed(body, change, path) not in (None, body)
        assert path not in paths(changed(body, "remove", path) or b"")


@pytest.mark.parametrize("path", ["$.absent", "$.a.id", "$.a[2]", "$.a[*].absent", "$.b[0]", "$.a[*].id.more"])
def test_a_field_that_is_not_there_is_not_changed(path: str) -> None:
    assert changed(json.dumps(TWO).encode(), "null", path) is None


@pytest.mark.parametrize("path", ["", "$", "a", "a.b", "$a", "$.", "$..a", "$.a[", "$.a[-1]", "$.a['b']", "$.a b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not the path of a field"):
        changed(b"{}", "null", path)
