# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sample images that are the same in every run, and how they get into a registry. No container engine is needed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import Any, NamedTuple

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

Json = dict[str, Any]


class Sample(NamedTuple):
    """An image in a registry. With more than one architecture it is an index."""

    region: str
    repository: str
    tag: str
    architectures: tuple[str, ...]


SAMPLES = (
    Sample("us-east-1", "runpod-gpu-training", "v1", ("amd64",)),
    Sample("us-east-1", "runpod-gpu-training", "v2", ("amd64", "arm64")),
    Sample("us-east-1", "runpod-gpu-inference", "v1", ("amd64",)),
    Sample("us-east-1", "runpod-arm-only", "v1", ("arm64",)),
    Sample("ap-northeast-2", "team/app", "v1", ("amd64",)),
)


class Image(NamedTuple):
    """The bytes of an image: what its tag names, the manifests that this refers to, and their blobs."""

    manifest: bytes
    platforms: tuple[bytes, ...]
    blobs: tuple[bytes, ...]


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def build(sample: Sample) -> Image:
    """Return the image of a sample."""
    built = [_single(f"{sample.repository}:{sample.tag}", architecture) for architecture in sample.architectures]
    blobs = tuple(blob for dummy, held in built for blob in held)
    if len(built) == 1:
        return Image(built[0][0], (), blobs)
    platforms = tuple(manifest for manifest, dummy in built)
    listed = [
        {**_descriptor(MANIFEST, manifest), "platform": {"architecture": architecture, "os": "linux"}}
        for manifest, architecture in zip(platforms, sample.architectures, strict=True)
    ]
    return Image(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}), platforms, blobs)


def seed(connect: Any) -> None:
    """Push the samples; `connect` returns a boto3 client of the registry of a region."""
    for region in dict.fromkeys(sample.region for sample in SAMPLES):
        registry = connect("ecr", region_name=region)
        samples = [sample for sample in SAMPLES if sample.region == region]
        for repository in dict.fromkeys(sample.repository for sample in samples):
            registry.create_repository(repositoryName=repository)
        for sample in samples:
            push(registry, sample.repository, sample.tag, build(sample))


def push(registry: Any, repository: str, tag: str, image: Image) -> None:
    """Push an image as an engine does: its blobs, the manifests of its platforms, and the one that bears the tag."""
    for blob in image.blobs:
        upload = registry.initiate_layer_upload(repositoryName=repository)["uploadId"]
        registry.upload_layer_part(
            repositoryName=repository,
            uploadId=upload,
            partFirstByte=0,
            partLastByte=len(blob) - 1,
            layerPartBlob=blob,
        )
        registry.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest(blob)])
    for manifest in image.platforms:
        registry.put_image(repositoryName=repository, imageManifest=manifest.decode(), imageDigest=digest(manifest))
    registry.put_image(repositoryName=repository, imageManifest=image.manifest.decode(), imageTag=tag)


def _single(name: str, architecture: str) -> tuple[bytes, tuple[bytes, bytes]]:
    """Return the manifest of an image of one platform, and its blobs: the configuration and the layer."""
    tar = _tar("hello.txt", f"{name} for linux/{architecture}\n".encode())
    layer = gzip.compress(tar, mtime=0)
    configuration = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["cat", "/hello.txt"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(CONFIG, configuration),
        "layers": [_descriptor(LAYER, layer)],
    }
    return _json(manifest), (configuration, layer)


def _tar(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _descriptor(media_type: str, content: bytes) -> Json:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def _json(document: Json) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
