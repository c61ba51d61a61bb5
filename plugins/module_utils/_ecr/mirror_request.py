# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from typing import NamedTuple

from .._core.errors import InputError, Json
from .._oci.reference import PUBLIC_HOSTS, TAG, Image, parse
from .._oci.secret_scan import Suspect

MIB = 1024 * 1024
LARGEST_PUBLIC_LAYER = 10_000 * MIB


class Job(NamedTuple):
    """Both have a tag or a digest."""

    source: Image
    destination: Image

    @property
    def public(self) -> bool:
        return self.destination.host in PUBLIC_HOSTS


class Content(NamedTuple):
    """Sizes of blobs by digest, which are layers, the manifests' bytes, and suspected secrets."""

    blobs: dict[str, int]
    layers: dict[str, int]
    manifests: int
    suspects: tuple[Suspect, ...] = ()

    @property
    def size(self) -> int:
        return sum(self.blobs.values()) + self.manifests


def reference(image: Image) -> str:
    """Return tag or digest; with both the digest counts, as in a pull."""
    return image.digest or image.tag


def uri(image: Image) -> str:
    name = f"{image.host}/{image.repository}" if image.host else image.repository
    return f"{name}@{image.digest}" if image.digest else f"{name}:{image.tag}"


def jobs(params: Json) -> list[Job]:
    """Raise one InputError with all that is wrong."""
    listed = params["images"]
    if listed == []:
        raise InputError("images is empty: name at least one image.")
    entries = [params] if listed is None else listed
    found: list[Job] = []
    wrong: list[str] = []
    for entry in entries:
        try:
            found += _of_entry(entry["source"], entry["destination"], entry["image_tags"])
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        raise InputError(" ".join(wrong))
    _check_distinct(found)
    return list(dict.fromkeys(found))


def _of_entry(source: str, destination: str, tags: list[str] | None) -> list[Job]:
    origin, target = parse(source), parse(destination)
    if target.digest:
        raise InputError(f"destination: {destination!r} names a digest; the source says what is copied.")
    if tags is not None:
        return [_tagged(origin, target, tag) for tag in tags]
    if not reference(origin):
        raise InputError(f"source: {source!r} names neither a tag nor a digest, and image_tags is not set.")
    tag = target.tag or origin.tag
    written = target._replace(tag=tag) if tag else target._replace(digest=origin.digest)
    return [Job(origin, written)]


def _tagged(origin: Image, target: Image, tag: str) -> Job:
    for option, image in (("source", origin), ("destination", target)):
        if reference(image):
            raise InputError(f"{option}: {image.reference!r} names a tag or a digest, and image_tags is set: drop one.")
    if not TAG.fullmatch(tag):
        raise InputError(f"image_tags: {tag!r} is not a tag (letters, digits, _ . -; at most 128 characters).")
    return Job(origin._replace(tag=tag), target._replace(tag=tag))


def _check_distinct(found: list[Job]) -> None:
    sources: dict[str, str] = {}
    for job in found:
        source, destination = uri(job.source), uri(job.destination)
        if source == destination:
            raise InputError(f"{source} is both source and destination.")
        if sources.setdefault(destination, source) != source:
            raise InputError(f"{destination} is to be a mirror of both {sources[destination]} and {source}.")


def check_publishable(job: Job, content: Content, allow_suspected_secrets: bool) -> None:
    """Raise InputError for what ECR Public refuses, or what is better not published."""
    if not job.public:
        return
    large = [
        f"{digest} has {size // MIB:,} MiB" for digest, size in content.layers.items() if size > LARGEST_PUBLIC_LAYER
    ]
    if large:
        raise InputError(
            f"{uri(job.source)}: ECR Public takes layers of at most {LARGEST_PUBLIC_LAYER // MIB:,} MiB, but "
            f"{', '.join(large)}. Build the image with smaller layers."
        )
    if content.suspects and not allow_suspected_secrets:
        raise InputError(
            f"{uri(job.source)} is not published, because its configuration holds what looks like secrets: "
            f"{'; '.join(map(str, content.suspects))}. Build it without them (with secret mounts, say) and replace "
            "those that were exposed, or set allow_suspected_secrets: true when they are none."
        )
