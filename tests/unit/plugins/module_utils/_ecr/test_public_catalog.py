# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
from struct import pack
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import MANAGED
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ConflictError, InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.public_catalog import (
    LOGO,
    Change,
    Logo,
    alike,
    check_catalog,
    check_logo,
    check_name,
    check_partition,
    plan,
    wanted_tags,
)

IMAGE = Logo(b"an image")
MARK = hashlib.sha256(b"an image").hexdigest()


def png(width: int, height: int, size: int = 24) -> bytes:
    return (b"\x89PNG\r\n\x1a\n" + pack(">I4sII", 13, b"IHDR", width, height)).ljust(size, b"\0")


def found(catalog: Json | None = None, **tags: str) -> Json:
    return {"catalog": catalog or {}, "tags": tags}


def options(catalog: Json | None = None, tags: Json | None = None, purge_tags: bool = True) -> Json:
    return {"catalog_data": catalog, "tags": tags, "purge_tags": purge_tags}


@pytest.mark.parametrize("name", ["ab", "a.b", "team/app", "a_b-c.d/e", "a" * 205, "0/1"])
def test_names_that_ecr_public_takes(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a__b", "private repositories only"),
        ("a--b", "private repositories only"),
        ("team/a---b", "private repositories only"),
        ("a/", "not the name of a repository"),
        ("/app", "not the name of a repository"),
        ("a..b", "not the name of a repository"),
        ("public.ecr.aws/a1/app:v1", "without registry, alias and tag"),
        ("", "0 characters"),
    ],
)
def test_names_that_it_does_not_take(name: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        check_name(name)


def test_it_is_in_one_partition() -> None:
    check_partition("eu-central-1")
    with pytest.raises(InputError, match="partition aws-cn"):
        check_partition("cn-north-1")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"description": None, "architectures": None},
        {"description": "x" * 1024, "about_text": "x" * 25600, "usage_text": "x" * 25600},
        {"architectures": ["x" * 50] * 50, "operating_systems": []},
    ],
)
def test_catalogue_data_within_the_limits(given: Json) -> None:
    check_catalog(given)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"about_text": "x" * 25601}, "about_text has 25601 characters of at most 25600"),
        ({"usage_text": "x" * 25601}, "usage_text has 25601 characters"),
        ({"architectures": ["x"] * 51}, "architectures has 51 items of at most 50"),
        ({"operating_systems": ["x" * 51]}, "must have 1 to 50 characters"),
    ],
)
def test_catalogue_data_beyond_them(given: Json, why: str) -> None:
    with pytest.raises(InputError, match=why):
        check_catalog(given)


@pytest.mark.parametrize("content", [png(60, 60), png(2048, 2048), png(100, 100, 512_000)])
def test_logos_that_can_be_put(content: bytes) -> None:
    check_logo("logo.png", content)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (png(100, 100, 512_001), "has 512001 bytes of at most 512000"),
        (b"GIF89a" + bytes(30), "is not a PNG image"),
        (png(100, 100)[:20], "is not a PNG image"),
        (png(59, 100), "has 59 x 100 pixels; 60 to 2048 are allowed"),
        (png(100, 2049), "has 100 x 2049 pixels"),
    ],
)
def test_logos_that_cannot(content: bytes, why: str) -> None:
    with pytest.raises(InputError, match=f"catalog_data.logo: logo.png {why}"):
        check_logo("logo.png", content)


@pytest.mark.parametrize(
    "tags",
    [{"aws:x": ""}, {"gpuops.runpod/x": ""}, {"": "x"}, {"x" * 129: ""}, {"x": "y" * 257}, {"x": "a*b"}, {"a*b": ""}],
)
def test_tags_that_cannot_be_set(tags: Json) -> None:
    with pytest.raises(InputError, match="tags: "):
        wanted_tags(tags)


def test_values_of_tags_are_texts() -> None:
    assert wanted_tags({"number": 1, "text": "größe @ 1"}) == {"number": "1", "text": "größe @ 1"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, "", True),
        (None, [], True),
        (["a", "b"], ["b", "a"], True),
        (["a"], ["a", "a"], False),
        ("a", None, False),
    ],
)
def test_alike(one: Any, other: Any, same: bool) -> None:
    assert [alike(*pair) for pair in ((one, other), (other, one))] == [same, same]


@pytest.mark.parametrize(
    ("held", "wanted", "logo", "change"),
    [
        (None, options(), None, Change(True, None, {MANAGED: "true"}, ())),
        (
            None,
            options({"description": "An app", "usage_text": ""}),
            IMAGE,
            Change(True, {"description": "An app", "logoImageBlob": b"an image"}, {LOGO: MARK, MANAGED: "true"}, ()),
        ),
        (found(), options(), None, Change(False, None, {}, ())),
        (found({"aboutText": "x"}), options({"about_text": "x"}), None, Change(False, None, {}, ())),
        (found({"aboutText": "x"}), options({"about_text": ""}), None, Change(False, {}, {}, ())),
        (
            found({"aboutText": "x", "marketplaceCertified": False}),
            options({"description": "y"}),
            None,
            Change(False, {"aboutText": "x", "description": "y"}, {}, ()),
        ),
        (found({}, **{LOGO: MARK}), options(), IMAGE, Change(False, None, {}, ())),
        (found({"logoUrl": "x"}), options(), IMAGE, Change(False, {"logoImageBlob": b"an image"}, {LOGO: MARK}, ())),
        (found({"logoUrl": "x"}), options(), Logo(b""), Change(False, {}, {}, ())),
        (found({}, **{LOGO: MARK}), options(), Logo(b""), Change(False, {}, {}, (LOGO,))),
        (found(), options(), Logo(b""), Change(False, None, {}, ())),
        (found({}, a="1", b="2"), options(tags={"a": "3"}), None, Change(False, None, {"a": "3"}, ("b",))),
        (found({}, a="1"), options(tags={"b": "2"}, purge_tags=False), None, Change(False, None, {"b": "2"}, ())),
        (found({}, a="1", **{"aws:x": "y", MANAGED: "true"}), options(tags={}), None, Change(False, None, {}, ("a",))),
    ],
)
def test_plan(held: Json | None, wanted: Json, logo: Logo | None, change: Change) -> None:
    assert plan(held, wanted, logo) == change


@pytest.mark.parametrize("held", [found({"logoUrl": "x"}), found({}, **{LOGO: MARK})])
def test_a_logo_that_would_be_lost_is_a_conflict(held: Json) -> None:
    assert not plan(held, options(), None).needed
    with pytest.raises(ConflictError, match="set catalog_data.logo to its file"):
        plan(held, options({"description": "x"}), None)


@pytest.mark.parametrize("held", [None, found({}, **{MANAGED: "true"})])
def test_too_many_tags_are_refused(held: Json | None) -> None:
    tags = {str(number): "" for number in range(50)}
    with pytest.raises(InputError, match="would have 51 tags, ours included; 50 are allowed"):
        plan(held, options(tags=tags), None)
