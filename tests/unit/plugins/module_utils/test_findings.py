# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import string

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._findings import OTHER, TABLE, Row, diagnose

FACTS = {
    "account_id": "123456789012",
    "action": "ecr:BatchGetImage",
    "arn": "arn:aws:ecr:us-east-1:123456789012:repository/app",
    "digest": "sha256:d",
    "host": "registry.example",
    "kind": "tag",
    "layers": "layers.test",
    "platform": "linux/amd64",
    "platforms": "linux/arm64",
    "region": "us-east-1",
    "repository": "app",
    "tag": "v1",
    "wanted": "v1",
    "Who": "The pull user",
    "who": "the pull user",
}
ENCRYPTED = "The ciphertext refers to a KMS key that is disabled"
SKEWED = "Signature expired: 20260801T000000Z is now earlier than 20260801T010000Z"


@pytest.mark.parametrize(
    "code, text, expected",
    [
        ("RepositoryNotFoundException", "", "repository_not_found"),
        ("ImageNotFound", "Requested image not found", "tag_not_found"),
        ("ImageNotFoundException", "", "tag_not_found"),
        ("ImageTagDoesNotMatchDigest", "", "tag_moved"),
        ("PlatformMissing", "linux/arm64", "platform_missing"),
        ("PlatformUnread", "host: HTTP 403", "platform_unverified"),
        ("NotAnImage", "", "other"),
        ("AccessDeniedException", "is not authorized to perform: ecr:BatchGetImage", "denied"),
        ("AccessDenied", "", "denied"),
        ("AccessDeniedException", "is not authorized to perform: ecr:BatchGetImage on repository/kms", "denied"),
        ("AccessDeniedException", "is not authorized to perform: kms:Decrypt", "kms"),
        ("AccessDeniedException", ENCRYPTED, "kms"),
        ("KmsError", "", "kms"),
        ("KmsException", "", "kms"),
        ("UnrecognizedClientException", "The security token included in the request is invalid.", "key_invalid"),
        ("InvalidClientTokenId", "", "key_invalid"),
        ("InvalidSignatureException", "The request signature we calculated does not match", "key_invalid"),
        ("InvalidSignatureException", SKEWED, "clock_skew"),
        ("SignatureDoesNotMatch", "Signature not yet current", "clock_skew"),
        ("ExpiredTokenException", "", "credentials_expired"),
        ("ExpiredToken", "", "credentials_expired"),
        ("NoCredentialsError", "", "credentials_missing"),
        ("ThrottlingException", "", "throttled"),
        ("EndpointConnectionError", "", "endpoint_unreachable"),
        ("LayersNotFoundException", "", "layer_unavailable"),
        ("LayerInaccessibleException", "", "layer_unavailable"),
        ("ImageInaccessible", "", "archived"),
        ("ServerException", "trouble", "other"),
        ("UpstreamUnavailable", "", "other"),
    ],
)
def test_diagnose(code: str, text: str, expected: str) -> None:
    finding = diagnose(code, text, FACTS)
    assert finding["code"] == expected and finding["raw"] == f"{code}: {text}"


@pytest.mark.parametrize("row", [*TABLE, OTHER])
def test_every_row_names_cause_and_remedy_and_its_templates_can_be_filled(row: Row) -> None:
    for template in (row.code, row.cause, row.remedy):
        names = {name for dummy, name, *dummies in string.Formatter().parse(template) if name}
        assert template and names <= set(FACTS)
    assert row.severity in ("error", "warning")


def test_texts_of_aws_are_never_taken_for_templates() -> None:
    assert diagnose("Odd", "{secret} {0}", FACTS)["raw"] == "Odd: {secret} {0}"


def test_a_finding_is_filled_with_facts() -> None:
    finding = diagnose("AccessDeniedException", "", FACTS)
    assert finding["cause"].startswith("The pull user may not call ecr:BatchGetImage on arn:aws:ecr:us-east-1:")
    assert finding["severity"] == "error"
