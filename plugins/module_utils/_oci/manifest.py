# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what image manifests and configurations say (OCI image specification). Pure.

from __future__ import annotations

import json
import re

from .._core.errors import InputError, Json

MEDIA_TYPES = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]
PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?")
USUAL_VARIANTS = {"amd64": "v1", "arm64": "v8", "arm": "v7"}  # what an architecture without a variant means


def read(text: str) -> Json:
    """Return a manifest, or {} for what is none."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def is_index(manifest: Json) -> bool:
    """Return whether it lists manifests for several platforms."""
    return isinstance(manifest.get("manifests"), list)


def is_image(manifest: Json) -> bool:
    """Return whether it is the manifest of one image."""
    return bool((manifest.get("config") or {}).get("digest"))


def checked(platform: str) -> str:
    """Return the platform as given, or raise InputError."""
    if not PLATFORM.fullmatch(platform):
        raise InputError(f"Platform {platform!r} is not OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as linux/amd64 is.")
    return platform


def platform_of(described: Json) -> str:
    """Return the platform that an index entry's `platform` or an image's configuration names; empty when none."""
    parts = [described.get("os"), described.get("architecture"), described.get("variant")]
    return "/".join(str(part) for part in parts if part) if all(parts[:2]) else ""


def same(one: str, other: str) -> bool:
    """Return whether two platforms are the same, with the usual variant spelled out or not."""

    def full(platform: str) -> list[str]:
        parts = platform.split("/")
        return parts if len(parts) > 2 else [*parts, USUAL_VARIANTS.get(parts[-1], "")]

    return full(one) == full(other)


def offers(index: Json) -> dict[str, str]:
    """Return platform -> digest of what an index lists; attestations, of unknown platform, are left out."""
    found: dict[str, str] = {}
    for entry in index["manifests"]:
        platform = platform_of(entry.get("platform") or {})
        if platform and not platform.startswith("unknown/"):
            found.setdefault(platform, entry["digest"])
    return found


def choose(index: Json, platform: str) -> str | None:
    """Return the digest of the manifest for this platform."""
    return next((digest for offered, digest in offers(index).items() if same(offered, platform)), None)


def size(manifest: Json) -> int:
    """Return the bytes that a pull transfers: the configuration and the compressed layers."""
    return sum(part.get("size", 0) for part in [manifest["config"], *manifest.get("layers", [])])
