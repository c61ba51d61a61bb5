# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sample images that are the same in every run, and how they get into a registry. No container engine is needed."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Json = dict[str, Any]


class MediaTypes(NamedTuple):
    """How a family of formats calls the parts of an image."""

    listing: str
    manifest: str
    config: str
    layer: str


OCI = MediaTypes(
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
)
DOCKER = MediaTypes(
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)
ATTESTATION = "application/vnd.in-toto+json"
MEBIBYTE = 1 << 20


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


class Stream(NamedTuple):
    """A blob that is too large to hold: `pieces` makes it anew each time, always the same."""

    digest: str
    size: int
    pieces: Callable[[], Iterator[bytes]]


class Image(NamedTuple):
    """The bytes of an image: what its tag names, the manifests that this refers to, and their blobs."""

    manifest: bytes
    platforms: tuple[bytes, ...]
    blobs: tuple[bytes, ...]
    large: tuple[Stream, ...] = ()


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def build(sample: Sample, types: MediaTypes = OCI, attested: bool = False) -> Image:
    """Return the image of a sample; an attested one is an index, with an attestation beside each platform.

    BuildKit attests images in OCI's formats only, and skopeo copies no other attestation.
    """
    if attested and types is not OCI:
        raise ValueError("only an image in OCI's formats is attested")
    name = f"{sample.repository}:{sample.tag}"
    built = [_single(name, architecture, types) for architecture in sample.architectures]
    platforms = [{"architecture": architecture, "os": "linux"} for architecture in sample.architectures]
    listed = [
        {**_descriptor(types.manifest, manifest), "platform": platform}
        for (manifest, dummy), platform in zip(built, platforms, strict=True)
    ]
    if attested:
        proofs = [_attestation(one) for one in listed]
        listed += [_reference(one, manifest) for one, (manifest, dummy) in zip(listed, proofs, strict=True)]
        built += proofs
    blobs = tuple(blob for dummy, held in built for blob in held)
    if len(built) == 1:
        return Image(built[0][0], (), blobs)
    index = _json({"schemaVersion": 2, "mediaType": types.listing, "manifests": listed})
    return Image(index, tuple(manifest for manifest, dummy in built), blobs)


def build_large(mebibytes: int) -> Image:
    """Return an image for linux/amd64 with a layer of about this size, which no client can compress."""
    plain, packed, size = hashlib.sha256(), hashlib.sha256(), 0
    for piece in _packed(mebibytes, plain.update):
        packed.update(piece)
        size += len(piece)
    layer = Stream(f"sha256:{packed.hexdigest()}", size, lambda: _packed(mebibytes))
    configuration = _configuration("amd64", f"sha256:{plain.hexdigest()}")
    described = {"mediaType": OCI.layer, "digest": layer.digest, "size": layer.size}
    return Image(_manifest(OCI, configuration, described), (), (configuration,), (layer,))


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


def _single(name: str, architecture: str, types: MediaTypes) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the manifest of an image of one platform, and its blobs: the configuration and the layer."""
    tar = _tar("hello.txt", f"{name} for linux/{architecture}\n".encode())
    packer = zlib.compressobj(9, wbits=31)  # gzip's own header is another one since Python 3.13
    layer = packer.compress(tar) + packer.flush()
    configuration = _configuration(architecture, digest(tar))
    return _manifest(types, configuration, _descriptor(types.layer, layer)), (configuration, layer)


def _configuration(architecture: str, diff_id: str) -> bytes:
    return _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["cat", "/hello.txt"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
    )


def _manifest(types: MediaTypes, configuration: bytes, layer: Json) -> bytes:
    described = _descriptor(types.config, configuration)
    return _json({"schemaVersion": 2, "mediaType": types.manifest, "config": described, "layers": [layer]})


def _attestation(platform: Json) -> tuple[bytes, tuple[bytes, ...]]:
    """Return what BuildKit puts beside the image of a platform: a manifest whose layer is a statement about it."""
    subject = {"name": "sample", "digest": {"sha256": platform["digest"].removeprefix("sha256:")}}
    statement = _json({"_type": "https://in-toto.io/Statement/v0.1", "subject": [subject], "predicate": {}})
    unknown = {"architecture": "unknown", "os": "unknown", "config": {}}
    configuration = _json({**unknown, "rootfs": {"type": "layers", "diff_ids": [digest(statement)]}})
    return _manifest(OCI, configuration, _descriptor(ATTESTATION, statement)), (configuration, statement)


def _reference(platform: Json, manifest: bytes) -> Json:
    """Return the entry of an attestation in the index."""
    annotations = {
        "vnd.docker.reference.digest": platform["digest"],
        "vnd.docker.reference.type": "attestation-manifest",
    }
    unknown = {"architecture": "unknown", "os": "unknown"}
    return {**_descriptor(OCI.manifest, manifest), "annotations": annotations, "platform": unknown}


def _packed(mebibytes: int, plain: Callable[[bytes], Any] = len) -> Iterator[bytes]:
    """Yield a gzip of a tar with one file of noise, stored and not deflated; hand the tar to `plain` meanwhile."""
    packer = zlib.compressobj(level=0, wbits=31)
    for piece in _noise(mebibytes):
        plain(piece)
        yield packer.compress(piece)
    yield packer.flush()


def _noise(mebibytes: int) -> Iterator[bytes]:
    """Yield a tar with one file of noise. It repeats itself, but farther apart than gzip looks back."""
    member = tarfile.TarInfo("noise")
    member.size = mebibytes * MEBIBYTE
    yield member.tobuf(tarfile.USTAR_FORMAT)
    block = random.Random(0).randbytes(MEBIBYTE)
    for number in range(mebibytes):
        yield number.to_bytes(8, "big") + block[8:]
    yield bytes(2 * tarfile.BLOCKSIZE)


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
