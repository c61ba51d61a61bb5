# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: why a pull fails or may fail, as data. A new diagnosis is a new row.

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ._aws import DENIED, EXPIRED
from ._errors import Json


class Row(NamedTuple):
    """One diagnosis: it fits when AWS' code is among `codes` and the pattern `text` is found in its text.

    `code`, `cause` and `remedy` are templates. Codes that AWS does not have are the collection's own.
    """

    codes: set[str]
    code: str
    cause: str
    remedy: str
    severity: str = "error"
    text: str = ""


TABLE = [  # the first that fits counts
    Row(
        {"RepositoryNotFoundException"},
        "repository_not_found",
        "Account {account_id} has no repository {repository} in {region}.",
        "Correct the account, the region or the name in the URI, or create the repository and push the image.",
    ),
    Row(
        {"NAME_UNKNOWN"},
        "repository_not_found",
        "The registry {host} has no repository {repository}.",
        "Correct the host or the name in the image, or create the repository and push the image.",
    ),
    Row(
        {"ImageNotFound", "ImageNotFoundException", "MANIFEST_UNKNOWN"},
        "{kind}_not_found",
        "The repository {repository} holds no image with the {kind} {wanted}.",
        "Push it or name a {kind} that is there; a lifecycle policy may have expired it.",
    ),
    Row(
        {"ImageTagDoesNotMatchDigest"},
        "tag_moved",
        "The tag {tag} does not name {digest} any more. A pull takes the digest.",
        "Drop the tag or the digest from the URI.",
        severity="warning",
    ),
    Row(
        {"PlatformMissing"},
        "platform_missing",
        "The image is not for {platform}; it is for {platforms}.",
        "Build it for {platform} and push it, or name another image.",
    ),
    Row(
        {"PlatformUnread"},
        "platform_unverified",
        "The image may be pulled, but its configuration does not tell for which platform it is.",
        "Let this machine reach the host that serves ECR's layers, or check the platform where the image is built.",
        severity="warning",
    ),
    Row(
        {"LayerUnread", "BlobUnread"},
        "kms",
        "The KMS key that encrypts the repository {repository} cannot be used.",
        "Enable the key, cancel its deletion, or restore ECR's grant on it.",
        text=r"(?i)\bkms\b",
    ),
    Row(
        {"LayerUnread"},
        "layer_host_blocked",
        "The image may be pulled, but {layers}, which hands out its layers, is out of this machine's reach.",
        "Let this machine reach it (by a proxy, a firewall or the policy of a VPC endpoint of S3) when it has to pull.",
        severity="warning",
    ),
    Row(
        {"BlobUnread"},
        "layer_host_blocked",
        "The registry gives the image, but {layers} does not.",
        "Let this machine reach that host: look at the proxy, the firewall and the policy of a VPC endpoint of S3.",
    ),
    Row(
        {"LoginMissing"},
        "login_missing",
        "The registry {host} gives {repository} to nobody who has no login.",
        "Pull with a login for exactly this host.",
    ),
    Row(
        {"LoginRefused"},
        "login_refused",
        "The registry {host} does not accept the login of {who}.",
        "Check user name and password, and that they are for exactly this host.",
    ),
    Row(
        {"DENIED"},
        "token_expired",
        "The token is older than 12 hours, or for another region than that of {host}.",
        "Use a new token of the image's region.",
        text=r"(?i)token has expired",
    ),
    Row(
        {"NotAnImage"},
        "other",
        "What the URI names is not a container image.",
        "Name an image; charts and other artifacts cannot be run.",
    ),
    Row(
        {"KmsError", "KmsException"},
        "kms",
        "The KMS key that encrypts the repository {repository} cannot be used.",
        "Enable the key, cancel its deletion, or restore ECR's grant on it.",
    ),
    Row(
        {"Quarantined"},
        "quarantined",
        "The pull user is in quarantine.",
        "Once the incident is over, run ecr_pull_user with state present and release_quarantine true.",
    ),
    Row(
        {*DENIED, "DENIED"},
        "kms",
        "The KMS key that encrypts the repository {repository} cannot be used.",
        "Enable the key, cancel its deletion, or restore ECR's grant on it.",
        text=r"(?i)\bkms:|\bkms key",  # a repository may be called kms
    ),
    Row(
        {*DENIED, "DENIED", "HTTP 403"},
        "denied",
        "{Who} may not call {action} on {arn}.",
        "Allow it in the policies of {who}; look for an explicit deny, a boundary, or a service control policy too.",
    ),
    Row(
        {"InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"},
        "clock_skew",
        "The clock of this machine is wrong.",
        "Set it, by NTP for instance, and run again.",
        text=r"(?i)expired|not yet current|skewed",
    ),
    Row(
        {"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch"},
        "key_invalid",
        "AWS does not accept the access key of {who} in {region}.",
        "Check that the key exists, is active and has this secret, and that the region is enabled for its account.",
    ),
    Row(
        EXPIRED,
        "credentials_expired",
        "The credentials of this session have expired.",
        "Log in again.",
    ),
    Row(
        {"NoCredentialsError", "PartialCredentialsError"},
        "credentials_missing",
        "There are no AWS credentials to call with.",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or profile.",
    ),
    Row(
        {
            "ThrottlingException",
            "Throttling",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "TOOMANYREQUESTS",
            "HTTP 429",
        },
        "throttled",
        "Calls are refused for now, because there were too many.",
        "Wait, or check fewer images at a time.",
    ),
    Row(
        {
            "EndpointConnectionError",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "ConnectionClosedError",
            "ProxyConnectionError",
            "SSLError",
            "OptInRequired",
            "InvalidRegionError",
        },
        "endpoint_unreachable",
        "ECR cannot be reached in {region}.",
        "Check the region, its activation for the account, DNS, the proxy, the CA bundle and endpoint_url.",
    ),
    Row(
        {"NO_ANSWER"},
        "endpoint_unreachable",
        "The registry {host} cannot be reached.",
        "Check its name, DNS, the proxy, the firewall and the CA bundle.",
    ),
    Row(
        {"LayersNotFoundException", "LayerInaccessibleException", "BLOB_UNKNOWN"},
        "layer_unavailable",
        "A layer of the image is missing or damaged.",
        "Push the image again.",
    ),
    Row(
        {"ImageInaccessible"},
        "archived",
        "The image is archived.",
        "Restore it with UpdateImageStorageClass.",
    ),
]
OTHER = Row(set(), "other", "{action} failed.", "See what AWS said.")


def diagnose(code: str, text: str, facts: Mapping[str, str]) -> Json:
    """Return the finding for what AWS, or the collection, said: the code decides first, the text second.

    `facts` fill the templates.
    """
    row = next((row for row in TABLE if code in row.codes and re.search(row.text, text)), OTHER)
    return {
        "code": row.code.format_map(facts),
        "severity": row.severity,
        "cause": row.cause.format_map(facts),
        "remedy": row.remedy.format_map(facts),
        "raw": f"{code}: {text}",
    }
