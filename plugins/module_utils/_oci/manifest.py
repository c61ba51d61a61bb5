# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .._core.errors import CollectionError, InputError, Json
from .body import describe

MEDIA_TYPES = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]
CONFIGS = ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"]
MEMBERS = {"schemaVersion", "mediaType", "config", "layers", "manifests"}
PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?")
USUAL_VARIANTS = {"amd64": "v1", "arm64": "v8", "arm": "v7"}  # what an architecture without a variant means


class NotAManifestError(CollectionError):
    pass


class DamagedManifestError(CollectionError):
    pass


def read(content: bytes) -> Json:
    """Return a JSON object, or {} for anything else."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def parse(content: bytes) -> Json:
    """Return a manifest; an index or image has all the digests and sizes that its kind requires."""
    manifest = read(content)
    if not manifest and content.strip() != b"{}":
        raise NotAManifestError(f"{describe(content)} in place of a manifest")
    if manifest and not MEMBERS & manifest.keys():
        raise NotAManifestError("other JSON in place of a manifest")
    fault = next(_validation_errors(manifest), "")
    if fault:
        raise DamagedManifestError(f"a manifest whose {fault}")
    return manifest


def _validation_errors(manifest: Json) -> Iterator[str]:
    if manifest.get("manifests") is not None:
        yield from _validation_errors_of_all("manifests", manifest["manifests"], ("digest",))
    elif manifest.get("config"):
        yield from _faults_of("config", manifest["config"], ("digest", "size"))
        yield from _validation_errors_of_all("layers", manifest.get("layers"), ("digest", "size"))


def _validation_errors_of_all(name: str, listed: Any, needed: tuple[str, ...]) -> Iterator[str]:
    if isinstance(listed, list):
        for number, each in enumerate(listed):
            yield from _faults_of(f"{name}[{number}]", each, needed)
    else:
        yield f"{name} is no list"


def _faults_of(name: str, descriptor: Any, needed: tuple[str, ...]) -> Iterator[str]:
    kinds: dict[str, type] = {"digest": str, "size": int}
    if not isinstance(descriptor, dict):
        yield f"{name} is no object"
    else:
        yield from (f"{name} has no {key}" for key in needed if not isinstance(descriptor.get(key), kinds[key]))
        if not isinstance(descriptor.get("platform") or {}, dict):
            yield f"{name}.platform is no object"


def is_index(manifest: Json) -> bool:
    return manifest.get("manifests") is not None


def is_image(manifest: Json) -> bool:
    """Return whether it is one image's manifest: that of a chart has another configuration."""
    config = manifest.get("config")
    return not is_index(manifest) and bool(config) and (config or {}).get("mediaType", CONFIGS[0]) in CONFIGS


def checked(platform: str) -> str:
    if not PLATFORM.fullmatch(platform):
        raise InputError(f"Platform {platform!r} is not OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as linux/amd64 is.")
    return platform


def platform_of(described: Json) -> str:
    parts = [described.get("os"), described.get("architecture"), described.get("variant")]
    return "/".join(str(part) for part in parts if part) if all(parts[:2]) else ""


def same(one: str, other: str) -> bool:
    """Return whether two platforms are the same; the usual variant may be left out."""

    def full(platform: str) -> list[str]:
        parts = platform.split("/")
        return parts if len(parts) > 2 else [*parts, USUAL_VARIANTS.get(parts[-1], "")]

    return full(one) == full(other)


def offers(index: Json) -> dict[str, str]:
    """Return platform -> digest; attestations, of unknown platform, are left out."""
    found: dict[str, str] = {}
    for entry in index["manifests"]:
        platform = platform_of(entry.get("platform") or {})
        if platform and not platform.startswith("unknown/"):
            found.setdefault(platform, entry["digest"])
    return found


def choose(index: Json, platform: str) -> str | None:
    return next((digest for offered, digest in offers(index).items() if same(offered, platform)), None)


def size(manifest: Json) -> int:
    return sum(part["size"] for part in [manifest["config"], *manifest["layers"]])
