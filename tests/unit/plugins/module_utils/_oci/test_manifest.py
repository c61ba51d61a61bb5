# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.manifest import (
    DamagedManifestError,
    NotAManifestError,
    checked,
    choose,
    is_image,
    is_index,
    offers,
    parse,
    platform_of,
    read,
    same,
    size,
)


def entry(digest: str, os: str, architecture: str, variant: str | None = None) -> dict[str, Any]:
    platform = {"os": os, "architecture": architecture, **({"variant": variant} if variant else {})}
    return {"digest": digest, "platform": platform}


INDEX = {
    "manifests": [
        entry("sha256:amd", "linux", "amd64"),
        entry("sha256:attest", "unknown", "unknown"),
        entry("sha256:arm", "linux", "arm64", "v8"),
        {"digest": "sha256:bare"},
    ]
}


@pytest.mark.parametrize("text", ["", "not json", "[]", '"text"'])
def test_what_is_no_manifest_reads_as_empty(text: str) -> None:
    assert read(text.encode()) == {}


def test_a_manifest_is_read() -> None:
    assert read(b'{"config": {}}') == {"config": {}}


@pytest.mark.parametrize(
    "manifest, index, image",
    [
        (INDEX, True, False),
        ({"config": {"digest": "sha256:c"}}, False, True),
        ({"config": None}, False, False),
        ({}, False, False),
    ],
)
def test_kinds_of_manifests(manifest: dict[str, Any], index: bool, image: bool) -> None:
    assert (is_index(manifest), is_image(manifest)) == (index, image)


def test_attestations_and_entries_without_a_platform_are_left_out() -> None:
    assert offers(INDEX) == {"linux/amd64": "sha256:amd", "linux/arm64/v8": "sha256:arm"}


@pytest.mark.parametrize(
    "platform, digest",
    [
        ("linux/amd64", "sha256:amd"),
        ("linux/arm64", "sha256:arm"),
        ("linux/arm64/v8", "sha256:arm"),
        ("linux/arm64/v9", None),
        ("windows/amd64", None),
    ],
)
def test_choose(platform: str, digest: str | None) -> None:
    assert choose(INDEX, platform) == digest


@pytest.mark.parametrize(
    "one, other, expected",
    [
        ("linux/amd64", "linux/amd64/v1", True),
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/riscv64", "linux/riscv64", True),
        ("linux/amd64", "", False),
    ],
)
def test_same(one: str, other: str, expected: bool) -> None:
    assert same(one, other) is expected


@pytest.mark.parametrize(
    "described, platform",
    [
        ({"os": "linux", "architecture": "arm", "variant": "v6", "rootfs": {}}, "linux/arm/v6"),
        ({"architecture": "amd64"}, ""),
        ({}, ""),
    ],
)
def test_platform_of(described: dict[str, Any], platform: str) -> None:
    assert platform_of(described) == platform


def test_size_is_that_of_the_configuration_and_all_layers() -> None:
    assert size({"config": {"size": 10}, "layers": [{"size": 200}, {"size": 3000}]}) == 3210
    assert size({"config": {"size": 10}, "layers": []}) == 10


@pytest.mark.parametrize("platform", ["linux", "linux/amd64/v1/x", "Linux/AMD64", "", "linux/"])
def test_malformed_platforms_are_refused(platform: str) -> None:
    with pytest.raises(InputError, match="is not OS/ARCHITECTURE"):
        checked(platform)


def test_a_platform_is_taken_as_given() -> None:
    assert checked("linux/arm64/v8") == "linux/arm64/v8"


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (b'{"error": "blocked"}', NotAManifestError, "other JSON"),
        (b'{"manifests": 1}', DamagedManifestError, "manifests is no list"),
        (b'{"manifests": [null]}', DamagedManifestError, r"manifests\[0\] is no object"),
        (b'{"manifests": [{"digest": "d", "platform": 1}]}', DamagedManifestError, "platform is no object"),
        (b'{"config": {"digest": "d", "size": 1}}', DamagedManifestError, "layers is no list"),
        (b'{"config": {"digest": "d"}, "layers": []}', DamagedManifestError, "config has no size"),
        (b'{"config": {"digest": "d", "size": 1}, "layers": {}}', DamagedManifestError, "layers is no list"),
        (b'{"config": {"digest": "d", "size": 1}, "layers": [7]}', DamagedManifestError, r"layers\[0\] is no object"),
    ],
)
def test_what_a_manifest_lacks_is_named(text: bytes, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        parse(text)
