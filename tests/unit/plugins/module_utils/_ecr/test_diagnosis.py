# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
import string

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.diagnosis import (
    GRANTABLE,
    OTHER,
    TABLE,
    Rule,
    diagnose,
)

FACTS = {
    "answered": "Odd: something else",
    "arn": "arn:aws:ecr:us-east-1:123456789012:repository/app",
    "deed": "call ecr:BatchGetImage on arn:aws:ecr:us-east-1:123456789012:repository/app",
    "digest": "sha256:d",
    "host": "registry.example",
    "kind": "tag",
    "other": "eu-west-1",
    "place": "account 123456789012 in us-east-1",
    "what": "an HTML page in place of a manifest",
    "platform": "linux/amd64",
    "platforms": "linux/arm64",
    "region": "us-east-1",
    "repository": "app",
    "Service": "ECR in us-east-1",
    "tag": "v1",
    "wanted": "v1",
    "Who": "The pull user",
    "who": "the pull user",
}
SAID = "User: u is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:us-east-1:1:repository/kms"
NO_TOKEN = SAID.replace("ecr:BatchGetImage", "ecr:GetAuthorizationToken")
ENCRYPTED = "The ciphertext refers to a KMS key that is disabled"
SKEWED = "Signature expired: 20260801T000000Z is now earlier than 20260801T010000Z"
MISMATCH = "The request signature we calculated does not match the signature you provided."
INVALID = "The security token included in the request is invalid."
DOCKER = "pull access denied for app, repository does not exist or may require 'docker login'"
ABSENT = "The repository with name 'app' does not exist in the registry with id '123456789012'"
ENDED = "Your authorization token has expired. Reauthenticate and try again."
CASES = [  # what AWS, registries, container runtimes and this collection say
    ("WrongRegion", "", "wrong_region"),
    ("MANIFEST_DAMAGED", "a manifest whose layers[0] has no size", "manifest_damaged"),
    ("UNEXPECTED_ANSWER", "an HTML page in place of a manifest", "unexpected_answer"),
    ("ResponseParserError", "Unable to parse response", "unexpected_answer"),
    ("MalformedAnswer", "ecr:BatchGetImage: images[0].imageManifest is missing", "unexpected_answer"),
    ("WrongAccount", "", "wrong_account"),
    ("RepositoryNotFoundException", ABSENT, "repository_not_found"),
    ("NAME_UNKNOWN", ABSENT, "repository_not_found"),
    ("", f"name unknown: {ABSENT}", "repository_not_found"),
    ("ImageNotFound", "Requested image not found", "{kind}_not_found"),
    ("ImageNotFoundException", "", "{kind}_not_found"),
    ("MANIFEST_UNKNOWN", "Requested image not found", "{kind}_not_found"),
    ("", "manifest unknown: Requested image not found", "{kind}_not_found"),
    ("ImageTagDoesNotMatchDigest", "", "tag_moved"),
    ("ImageInaccessible", "", "archived"),
    ("PlatformMissing", "linux/arm64", "platform_missing"),
    ("", "no matching manifest for linux/amd64 in the manifest list entries", "platform_missing"),
    ("", "exec /usr/bin/app: exec format error", "platform_missing"),
    ("PlatformUnread", "no platform", "platform_unverified"),
    ("NotAnImage", "", "not_an_image"),
    ("LayersNotFoundException", "", "layer_unavailable"),
    ("LayerInaccessibleException", "", "layer_unavailable"),
    ("BLOB_UNKNOWN", "blob unknown to registry", "layer_unavailable"),
    ("KmsError", "", "kms"),
    ("KmsException", "", "kms"),
    ("AccessDenied", ENCRYPTED, "kms"),
    ("AccessDeniedException", "is not authorized to perform: kms:Decrypt", "kms"),
    ("UnauthorizedOperation", ENCRYPTED, "kms"),
    ("DENIED", ENCRYPTED, "kms"),
    ("BlobUnread", "host: HTTP 400: KMS.DisabledException: no", "kms"),
    ("BlobUnread", "host: HTTP 403: AccessDenied: Access Denied", "layer_host_blocked"),
    ("UpstreamAccessDenied", "", "upstream_denied"),
    ("UpstreamTooManyRequests", "", "upstream_throttled"),
    ("UpstreamUnavailable", "", "upstream_unavailable"),
    ("UnableToGetUpstreamImageException", "", "upstream_unavailable"),
    ("UnableToGetUpstreamLayerException", "", "upstream_unavailable"),
    ("Quarantined", "", "quarantined"),
    (
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        "clock_skew",
    ),
    ("InvalidSignatureException", SKEWED, "clock_skew"),
    ("SignatureDoesNotMatch", "Signature not yet current", "clock_skew"),
    ("InvalidSignatureException", MISMATCH, "secret_wrong"),
    ("SignatureDoesNotMatch", MISMATCH, "secret_wrong"),
    ("", MISMATCH, "secret_wrong"),
    ("UserGone", INVALID, "user_missing"),
    ("KeyGone", INVALID, "secret_key_mismatch"),
    ("KeyInactive", INVALID, "secret_key_inactive"),
    ("KeyTooNew", INVALID, "key_too_new"),
    ("RegionDisabled", INVALID, "region_disabled"),
    ("OptInRequired", "", "region_disabled"),
    ("UnrecognizedClientException", INVALID, "key_invalid"),
    ("InvalidClientTokenId", INVALID, "key_invalid"),
    ("", INVALID, "key_invalid"),
    ("ExpiredToken", "", "credentials_expired"),
    ("ExpiredTokenException", "", "credentials_expired"),
    ("RequestExpired", "", "credentials_expired"),
    ("NoCredentialsError", "", "credentials_missing"),
    ("PartialCredentialsError", "", "credentials_missing"),
    ("DENIED", ENDED, "token_expired"),
    ("", f"denied: {ENDED}", "token_expired"),
    ("LoginMissing", "", "login_missing"),
    ("", "no basic auth credentials", "login_missing"),
    ("LoginRefused", "", "login_refused"),
    ("DENIED", "Your Authorization Token is invalid.", "login_refused"),
    ("AccessDeniedException", f"{SAID} with an explicit deny in a service control policy", "organization_denies"),
    ("AccessDeniedException", f"{SAID} with an explicit deny in a resource control policy", "organization_denies"),
    ("AccessDenied", f"{SAID} because no service control policy allows the action", "organization_denies"),
    ("UnauthorizedOperation", f"{SAID} because no service control policy allows the action", "organization_denies"),
    ("DENIED", f"{SAID} with an explicit deny in a service control policy", "organization_denies"),
    ("AccessDenied", f"{SAID} with an explicit deny in a permissions boundary", "boundary_denies"),
    ("AccessDeniedException", f"{SAID} because no permissions boundary allows the action", "boundary_denies"),
    ("UnauthorizedOperation", f"{SAID} because no permissions boundary allows the action", "boundary_denies"),
    ("DENIED", f"{SAID} because no permissions boundary allows the action", "boundary_denies"),
    ("AccessDenied", f"{SAID} with an explicit deny in a session policy", "session_denies"),
    ("AccessDeniedException", f"{SAID} because no session policy allows the action", "session_denies"),
    ("UnauthorizedOperation", f"{SAID} because no session policy allows the action", "session_denies"),
    ("DENIED", f"{SAID} because no session policy allows the action", "session_denies"),
    ("AccessDenied", f"{SAID} because no VPC endpoint policy allows the action", "endpoint_denies"),
    ("AccessDeniedException", f"{SAID} with an explicit deny in a VPC endpoint policy", "endpoint_denies"),
    ("UnauthorizedOperation", f"{SAID} because no VPC endpoint policy allows the action", "endpoint_denies"),
    ("DENIED", f"{SAID} because no VPC endpoint policy allows the action", "endpoint_denies"),
    ("AccessDenied", f"{SAID} with an explicit deny in an identity-based policy", "explicit_deny"),
    ("AccessDeniedException", f"{SAID} with an explicit deny in a resource-based policy", "explicit_deny"),
    ("UnauthorizedOperation", f"{SAID} with an explicit deny", "explicit_deny"),
    ("DENIED", f"{SAID} with an explicit deny in an identity-based policy", "explicit_deny"),
    ("AccessDenied", NO_TOKEN, "token_not_allowed"),
    ("AccessDeniedException", f"{NO_TOKEN} because no identity-based policy allows the action", "token_not_allowed"),
    ("UnauthorizedOperation", NO_TOKEN, "token_not_allowed"),
    ("DENIED", NO_TOKEN, "token_not_allowed"),
    ("AccessDenied", f"{SAID} because no resource-based policy allows the action", "repository_policy_missing"),
    ("AccessDeniedException", f"{SAID} because no resource-based policy allows it", "repository_policy_missing"),
    ("UnauthorizedOperation", f"{SAID} because no resource-based policy allows it", "repository_policy_missing"),
    ("DENIED", f"{SAID} because no resource-based policy allows it", "repository_policy_missing"),
    ("AccessDenied", f"{SAID} because no identity-based policy allows the action", "repository_not_allowed"),
    ("AccessDeniedException", f"{SAID} because no identity-based policy allows it", "repository_not_allowed"),
    ("UnauthorizedOperation", f"{SAID} because no identity-based policy allows it", "repository_not_allowed"),
    ("DENIED", f"{SAID} because no identity-based policy allows it", "repository_not_allowed"),
    ("AccessDenied", "", "denied"),
    ("AccessDeniedException", SAID, "denied"),
    ("UnauthorizedOperation", "", "denied"),
    ("DENIED", "requested access to the resource is denied", "denied"),
    ("HTTP 403", "", "denied"),
    ("", DOCKER, "denied"),
    ("ThrottlingException", "Rate exceeded", "throttled"),
    ("Throttling", "", "throttled"),
    ("TooManyRequestsException", "", "throttled"),
    ("RequestLimitExceeded", "", "throttled"),
    ("TOOMANYREQUESTS", "Rate exceeded", "throttled"),
    ("HTTP 429", "", "throttled"),
    ("", "toomanyrequests: Rate exceeded", "throttled"),
    ("EndpointConnectionError", "", "endpoint_unreachable"),
    ("ConnectTimeoutError", "", "endpoint_unreachable"),
    ("ReadTimeoutError", "", "endpoint_unreachable"),
    ("ConnectionClosedError", "", "endpoint_unreachable"),
    ("ProxyConnectionError", "", "endpoint_unreachable"),
    ("SSLError", "", "endpoint_unreachable"),
    ("InvalidRegionError", "", "endpoint_unreachable"),
    ("NO_ANSWER", "registry.example: timed out", "endpoint_unreachable"),
    ("", "Could not connect to the endpoint URL", "endpoint_unreachable"),
    ("ServerException", "trouble", "service_unavailable"),
    ("InternalFailure", "", "service_unavailable"),
    ("ServiceUnavailable", "", "service_unavailable"),
    ("HTTP 500", "", "service_unavailable"),
    ("HTTP 502", "", "service_unavailable"),
    ("HTTP 503", "", "service_unavailable"),
    ("HTTP 504", "", "service_unavailable"),
    ("OddException", "trouble", "other"),
]


@pytest.mark.parametrize("code, text, expected", CASES)
def test_diagnose(code: str, text: str, expected: str) -> None:
    finding = diagnose(code, text, FACTS)
    assert finding["code"] == expected.format_map(FACTS) and finding["raw"] == f"{code}: {text}"


@pytest.mark.parametrize("row", [*TABLE, OTHER], ids=lambda row: row.code)
def test_every_code_and_every_word_of_a_row_has_a_case(row: Rule) -> None:
    mine = [(code, text) for code, text, expected in CASES if expected == row.code]
    for sign in row.signs:
        assert set(sign.codes) <= {code for code, text in mine if re.search(sign.text, text)}
    assert not row.words or any(not code and re.search(row.words, text) for code, text in mine)
    assert mine


@pytest.mark.parametrize("row", [*TABLE, OTHER], ids=lambda row: row.code)
def test_every_row_names_cause_and_remedy_and_its_templates_can_be_filled(row: Rule) -> None:
    for template in (row.code, row.cause, row.remedy):
        names = {name for dummy, name, *dummies in string.Formatter().parse(template) if name}
        assert template and names <= set(FACTS)
    assert row.severity in ("error", "warning")


def test_a_code_names_one_row() -> None:
    codes = [row.code for row in [*TABLE, OTHER]]
    assert len(codes) == len(set(codes)) and set(codes) >= GRANTABLE


def test_texts_of_aws_are_never_taken_for_templates() -> None:
    assert diagnose("Odd", "{secret} {0}", FACTS)["raw"] == "Odd: {secret} {0}"


def test_a_finding_is_filled_with_facts_and_keeps_what_was_answered() -> None:
    finding = diagnose("KeyGone", "", FACTS, "UnrecognizedClientException: invalid")
    assert finding["cause"] == "The secret store holds an access key of the pull user that was deleted."
    assert finding["severity"] == "error" and finding["raw"] == "UnrecognizedClientException: invalid"
