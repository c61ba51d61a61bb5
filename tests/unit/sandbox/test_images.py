# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample images: well formed, the same in every run, and in the registry from the start."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

from tests.sandbox.images import DOCKER, MEBIBYTE, SAMPLES, Sample, build, build_large, digest
from tests.sandbox.server import Sandbox

SINGLES = [sample for sample in SAMPLES if len(sample.architectures) == 1]
MULTI = next(sample for sample in SAMPLES if len(sample.architectures) > 1)


def test_the_samples_are_the_ones_that_examples_name() -> None:
    assert {(one.region, f"{one.repository}:{one.tag}"): one.architectures for one in SAMPLES} == {
        ("us-east-1", "runpod-gpu-training:v1"): ("amd64",),
        ("us-east-1", "runpod-gpu-training:v2"): ("amd64", "arm64"),
        ("us-east-1", "runpod-gpu-inference:v1"): ("amd64",),
        ("us-east-1", "runpod-arm-only:v1"): ("arm64",),
        ("ap-northeast-2", "team/app:v1"): ("amd64",),
    }


def test_an_image_is_the_same_in_every_run() -> None:
    expected = "sha256:49744c35fe4f5225766dae051f3aef82974ba5152640a7f1b72e197e821c084d"
    assert digest(build(SAMPLES[0]).manifest) == expected


@pytest.mark.parametrize("sample", SINGLES, ids=lambda sample: sample.repository)
def test_a_manifest_describes_its_blobs(sample: Sample) -> None:
    image = build(sample)
    manifest = json.loads(image.manifest)
    described = [manifest["config"], *manifest["layers"]]
    assert [(one["digest"], one["size"]) for one in described] == [(digest(blob), len(blob)) for blob in image.blobs]

    configuration, tar = json.loads(image.blobs[0]), gzip.decompress(image.blobs[1])
    assert (configuration["os"], configuration["architecture"]) == ("linux", *sample.architectures)
    assert configuration["rootfs"]["diff_ids"] == [digest(tar)]
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert archive.getnames() == ["hello.txt"]


def test_an_index_refers_to_the_manifest_of_each_platform() -> None:
    image = build(MULTI)
    listed = json.loads(image.manifest)["manifests"]
    assert [one["platform"] for one in listed] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64"},
    ]
    assert [(one["digest"], one["size"]) for one in listed] == [(digest(one), len(one)) for one in image.platforms]
    assert len(set(image.blobs)) == 4


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.repository}:{sample.tag}")
def test_every_sample_can_be_pulled_from_the_start(sandbox: Sandbox, sample: Sample) -> None:
    ecr, image = sandbox.client("ecr", region_name=sample.region), build(sample)
    wanted = [{"imageTag": sample.tag}, *({"imageDigest": digest(manifest)} for manifest in image.platforms)]
    answer = ecr.batch_get_image(repositoryName=sample.repository, imageIds=wanted)

    assert answer["failures"] == []
    assert [one["imageManifest"].encode() for one in answer["images"]] == [image.manifest, *image.platforms]
    for blob in image.blobs:
        assert ecr.get_download_url_for_layer(repositoryName=sample.repository, layerDigest=digest(blob))["downloadUrl"]


def test_an_image_can_be_in_dockers_formats() -> None:
    image = build(MULTI, DOCKER)
    listing, manifest = json.loads(image.manifest), json.loads(image.platforms[0])
    described = [listing, *listing["manifests"], manifest, manifest["config"], *manifest["layers"]]
    assert {one["mediaType"] for one in described} == set(DOCKER)


def test_an_attestation_stands_beside_each_platform() -> None:
    listed = json.loads(build(MULTI, attested=True).manifest)["manifests"]
    images, attestations = listed[:2], listed[2:]
    assert {one["platform"]["os"] for one in images} == {"linux"}
    assert [one["platform"] for one in attestations] == [{"architecture": "unknown", "os": "unknown"}] * 2
    assert [one["annotations"]["vnd.docker.reference.digest"] for one in attestations] == [
        one["digest"] for one in images
    ]
    with pytest.raises(ValueError, match="OCI"):
        build(MULTI, DOCKER, attested=True)


def test_a_large_layer_is_made_piece_by_piece_and_cannot_be_compressed() -> None:
    image = build_large(3)
    (layer,) = image.large
    content = b"".join(layer.pieces())
    manifest = json.loads(image.manifest)
    assert manifest["layers"] == [{**manifest["layers"][0], "digest": digest(content), "size": len(content)}]
    assert max(len(piece) for piece in layer.pieces()) <= 2 * MEBIBYTE
    tar = gzip.decompress(content)
    assert json.loads(image.blobs[0])["rootfs"]["diff_ids"] == [digest(tar)]
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert [member.size for member in archive] == [3 * MEBIBYTE]
    assert len(gzip.compress(tar)) > 3 * MEBIBYTE
