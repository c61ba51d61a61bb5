# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.reference import parse, parse_ecr, partition_of

A = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("reference", "host", "region", "partition", "repository", "tag", "digest"),
    [
        (f"{A}/team/app:v1", A, "us-east-1", "aws", "team/app", "v1", ""),
        (f"{A}/app@{DIGEST}", A, "us-east-1", "aws", "app", "", DIGEST),
        (f"{A}/app:v1@{DIGEST}", A, "us-east-1", "aws", "app", "v1", DIGEST),
        (f"{A}/app", A, "us-east-1", "aws", "app", "", ""),
        (f"{A}:443/app:1", f"{A}:443", "us-east-1", "aws", "app", "1", ""),
        (f"https://{A}/app:1", A, "us-east-1", "aws", "app", "1", ""),
        (f"docker://{A}/app:1", A, "us-east-1", "aws", "app", "1", ""),
        (f"{A.upper()}/app:1", A, "us-east-1", "aws", "app", "1", ""),
        (f"{A}/a__b/c-d.e_f:1", A, "us-east-1", "aws", "a__b/c-d.e_f", "1", ""),
        (f"{A}/app:" + "x" * 128, A, "us-east-1", "aws", "app", "x" * 128, ""),
    ],
)
def test_a_reference_is_taken_apart(
    reference: str, host: str, region: str, partition: str, repository: str, tag: str, digest: str
) -> None:
    assert parse(reference) == (reference, host, "123456789012", region, partition, repository, tag, digest)


@pytest.mark.parametrize(
    ("host", "region", "partition"),
    [
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", "aws-us-gov"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "aws-cn"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1", "aws"),
        ("123456789012.dkr-ecr-fips.us-east-2.on.aws", "us-east-2", "aws"),
        ("123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1", "aws-cn"),
        ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", "aws-eusc"),
        ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", "aws-iso"),
        ("123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", "aws-iso-b"),
        ("123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1", "aws-iso-e"),
        ("123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1", "aws-iso-f"),
    ],
)
def test_every_partition_is_known_by_its_hosts(host: str, region: str, partition: str) -> None:
    image = parse(f"{host}/app:1")
    assert (image.account_id, image.region, image.partition) == ("123456789012", region, partition)
    assert image.repository_arn == f"arn:{partition}:ecr:{region}:123456789012:repository/app"
    assert partition_of(region) == partition


@pytest.mark.parametrize(
    ("reference", "host", "repository", "where"),
    [
        ("public.ecr.aws/abc123/team/app:1", "public.ecr.aws", "abc123/team/app", "Amazon ECR Public"),
        ("ecr-public.aws.com/abc123/app:1", "ecr-public.aws.com", "abc123/app", "Amazon ECR Public"),
        ("localhost:5000/app:1", "localhost:5000", "app", "localhost:5000"),
        ("localhost/app:1", "localhost", "app", "localhost"),
        ("ghcr.io/o/app:1", "ghcr.io", "o/app", "ghcr.io"),
        ("runpod/pytorch:1", "", "runpod/pytorch", "Docker Hub"),
        ("app", "", "app", "Docker Hub"),
        (f"{A[1:]}/app:1", A[1:], "app", A[1:]),  # an account of eleven digits
        (f"{A}.evil.com/app:1", f"{A}.evil.com", "app", f"{A}.evil.com"),
        (f"x{A}/app:1", f"x{A}", "app", f"x{A}"),
    ],
)
def test_another_registry_is_told_from_ecr(reference: str, host: str, repository: str, where: str) -> None:
    image = parse(reference)
    assert (image.host, image.account_id, image.region, image.repository) == (host, "", "", repository)
    with pytest.raises(InputError, match="not in a private ECR registry") as caught:
        parse_ecr(reference)
    assert f"is in {where}," in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("", "is not a repository name"),
        (f"{A}/App:1", "'App' is not a repository name"),
        (f"{A}/:1", "is not a repository name"),
        (f"{A}/a//b:1", "is not a repository name"),
        (f"{A}/a___b:1", "is not a repository name"),
        (f"{A}/app:", "ends in a colon"),
        (f"{A}/app:" + "x" * 129, "is not a tag"),
        (f"{A}/app:-v1", "is not a tag"),
        (f"{A}/app:v1:v2", "is not a tag"),
        (f"{A}/app@sha256:short", "is not a digest"),
        (f"{A}/app@", "ends in an at sign"),
    ],
)
def test_what_is_wrong_with_a_reference_is_said(reference: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse(reference)


def test_an_image_in_ecr_must_name_a_tag_or_a_digest() -> None:
    assert parse_ecr(f"{A}/app:1").tag == "1"
    assert parse_ecr(f"{A}/app@{DIGEST}").digest == DIGEST
    with pytest.raises(InputError, match="neither a tag nor a digest"):
        parse_ecr(f"{A}/app")
