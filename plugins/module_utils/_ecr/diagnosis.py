# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. A new diagnosis is a new row.

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from .._aws.answer import MALFORMED
from .._core.errors import DENIED, EXPIRED, Json
from .._core.masking import printable


class Match(NamedTuple):
    """The code is among these, and the pattern is found in the text.

    Codes in capitals are registries'; `HTTP 403` is a refusal without one; what the collection found out has its own,
    such as `KeyGone`.
    """

    codes: Collection[str]
    text: str = ""


class Rule(NamedTuple):
    """`code`, `cause` and `remedy` are templates; `words` find it in the text of an unknown code."""

    code: str
    cause: str
    remedy: str
    signs: tuple[Match, ...] = ()
    words: str = ""
    severity: str = "error"


KEY_UNKNOWN = frozenset({"UnrecognizedClientException", "InvalidClientTokenId"})
SIGNATURE = {"InvalidSignatureException", "SignatureDoesNotMatch"}
REFUSED = {*DENIED, "DENIED"}

TABLE = [  # the first that fits counts
    # Where the image is
    Rule(
        "wrong_region",
        "There is no repository {repository} in {place}, but there is one in {other}.",
        "Name the region {other} in the image, or push the image to {region}.",
        (Match({"WrongRegion"}),),
    ),
    Rule(
        "wrong_account",
        "There is no repository {repository} in {place}, but there is one in account {other}, which {who} belongs to.",
        "Name the account {other} in the image, or use credentials of the other account.",
        (Match({"WrongAccount"}),),
    ),
    Rule(
        "repository_not_found",
        "There is no repository {repository} in {place}.",
        "Compare account, region and name in the image with those of the repository, or create it and push the image.",
        (Match({"RepositoryNotFoundException", "NAME_UNKNOWN"}),),
        r"(?i)name unknown|repository with name .* does not exist",
    ),
    Rule(
        "{kind}_not_found",
        "The repository {repository} holds no image with the {kind} {wanted}.",
        "Push it or name a {kind} that is there; a lifecycle policy may have expired it. From a pull-through cache "
        "{who} also needs ecr:BatchImportUpstreamImage.",
        (Match({"ImageNotFound", "ImageNotFoundException", "MANIFEST_UNKNOWN"}),),
        r"(?i)manifest unknown|requested image not found",
    ),
    Rule(
        "tag_moved",
        "The tag {tag} does not name {digest} any more. A pull takes the digest.",
        "Drop the tag or the digest from the URI.",
        (Match({"ImageTagDoesNotMatchDigest"}),),
        severity="warning",
    ),
    Rule(
        "archived",
        "The image is archived.",
        "Restore it with UpdateImageStorageClass.",
        (Match({"ImageInaccessible"}),),
    ),
    # What the image is
    Rule(
        "platform_missing",
        "The image is not for {platform}; it is for {platforms}.",
        "Build it for {platform} and push it, or name another image.",
        (Match({"PlatformMissing"}),),
        r"(?i)no matching manifest for|exec format error",
    ),
    Rule(
        "platform_unverified",
        "The image may be pulled, but its configuration does not tell for which platform it is.",
        "Let this machine reach the host that serves ECR's layers, or check the platform where the image is built.",
        (Match({"PlatformUnread"}),),
        severity="warning",
    ),
    Rule(
        "not_an_image",
        "What the URI names is not a container image.",
        "Name an image; charts and other artifacts cannot be run.",
        (Match({"NotAnImage"}),),
    ),
    Rule(
        "layer_unavailable",
        "A layer of the image is missing or damaged.",
        "Push the image again.",
        (Match({"LayersNotFoundException", "LayerInaccessibleException", "BLOB_UNKNOWN"}),),
    ),
    Rule(
        "kms",
        "The KMS key that encrypts the repository {repository} cannot be used.",
        "Enable the key, cancel its deletion, or restore ECR's grant on it. Who pulls needs no right on the key.",
        (
            Match({"KmsError", "KmsException"}),
            Match({*REFUSED, "BlobUnread"}, r"(?i)\bkms[:.]|\bkms key"),  # a repository may be called kms
        ),
    ),
    Rule(
        "layer_host_blocked",
        "The host that hands out the layers gives this machine nothing.",
        "Let whatever pulls reach it: look at the proxy, the firewall and the policy of a VPC endpoint of S3.",
        (Match({"BlobUnread"}),),
        severity="warning",  # this machine may stand elsewhere than what pulls
    ),
    Rule(
        "manifest_damaged",
        "{Service} gave {what}.",
        "Push the image again.",
        (Match({"MANIFEST_DAMAGED"}),),
    ),
    # Upstream of a pull-through cache
    Rule(
        "upstream_denied",
        "The registry behind the pull-through cache does not let ECR have the image.",
        "Renew the secret of the pull-through cache rule, and check that its login may pull the image.",
        (Match({"UpstreamAccessDenied"}),),
    ),
    Rule(
        "upstream_throttled",
        "The registry behind the pull-through cache refuses ECR for now, because it asked too often.",
        "Wait, or give the pull-through cache rule a login with a higher quota.",
        (Match({"UpstreamTooManyRequests"}),),
    ),
    Rule(
        "upstream_unavailable",
        "ECR cannot get the image from the registry behind the pull-through cache.",
        "Check that the image is there, and wait when that registry has trouble.",
        (
            Match(
                {"UpstreamUnavailable", "UnableToGetUpstreamImageException", "UnableToGetUpstreamLayerException"},
            ),
        ),
    ),
    # Who pulls
    Rule(
        "quarantined",
        "The pull user is in quarantine.",
        "Once the incident is over, run ecr_pull_user with state present and release_quarantine true.",
        (Match({"Quarantined"}),),
    ),
    Rule(
        "clock_skew",
        "The clock of this machine is wrong.",
        "Set it, by NTP for instance, and run again.",
        (Match({"RequestTimeTooSkewed"}), Match(SIGNATURE, r"(?i)expired|not yet current")),
    ),
    Rule(
        "secret_wrong",
        "The secret access key of {who} is not the one of the access key.",
        "Enter it again, without lost characters such as + and /, or rotate the key.",
        (Match(SIGNATURE),),
        r"(?i)signature we calculated does not match",
    ),
    Rule(
        "user_missing",
        "The access key of {who} belongs to a user that was deleted.",
        "Run ecr_pull_user: it makes the user and a key again.",
        (Match({"UserGone"}),),
    ),
    Rule(
        "secret_key_mismatch",
        "The secret store holds an access key of {who} that was deleted.",
        "Run ecr_pull_user: it makes a new key.",
        (Match({"KeyGone"}),),
    ),
    Rule(
        "secret_key_inactive",
        "The access key of {who} in the secret store is not active.",
        "When nobody did that on purpose, activate it again with UpdateAccessKey, or let ecr_pull_user rotate it.",
        (Match({"KeyInactive"}),),
    ),
    Rule(
        "key_too_new",
        "The access key of {who} is good, but so new that AWS does not know it everywhere yet.",
        "Run again in a minute, or raise propagation_timeout.",
        (Match({"KeyTooNew"}),),
    ),
    Rule(
        "region_disabled",
        "AWS accepts the access key of {who}, but not in {region}.",
        "Enable the region {region} for the account, or use a repository in a region that is enabled.",
        (Match({"RegionDisabled"}), Match({"OptInRequired"})),
    ),
    Rule(
        "key_invalid",
        "AWS does not accept the access key of {who} in {region}.",
        "Check that the key exists, is active, and that the region is enabled for its account. A session token of "
        "another identity in the environment makes a good key fail too.",
        (Match(KEY_UNKNOWN),),
        r"(?i)security token included in the request is invalid",
    ),
    Rule(
        "credentials_expired",
        "The credentials of this session have expired.",
        "Log in again.",
        (Match(EXPIRED),),
    ),
    Rule(
        "credentials_missing",
        "There are no AWS credentials to call with.",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or profile.",
        (Match({"NoCredentialsError", "PartialCredentialsError"}),),
    ),
    Rule(
        "token_expired",
        "The token is older than 12 hours, or for another region than that of {host}.",
        "Use a new token of the image's region.",
        (Match({"DENIED"}, r"(?i)token has expired"),),
        r"(?i)authorization token has expired",
    ),
    Rule(
        "login_missing",
        "The registry {host} gives {repository} to nobody without a login.",
        "Pull with a login that is for exactly this host.",
        (Match({"LoginMissing"}),),
        r"(?i)no basic auth credentials",
    ),
    Rule(
        "login_refused",
        "The registry {host} does not accept the login of {who}.",
        "Check user name and password, and that they are for exactly this host.",
        (Match({"LoginRefused"}), Match({"DENIED"}, r"(?i)token is invalid")),
    ),
    # What the policies say
    Rule(
        "organization_denies",
        "A policy of the organization keeps {who} from being allowed to {deed}.",
        "Have the service or resource control policy changed by who manages the organization.",
        (Match(REFUSED, r"(?i)(service|resource) control policy"),),
    ),
    Rule(
        "boundary_denies",
        "The permissions boundary of {who} does not let it {deed}.",
        "Allow it in the boundary, or set another one.",
        (Match(REFUSED, r"(?i)permissions boundary"),),
    ),
    Rule(
        "session_denies",
        "The policy of the session of {who} does not let it {deed}.",
        "Begin the session without that policy, or with one that allows it.",
        (Match(REFUSED, r"(?i)session policy"),),
    ),
    Rule(
        "endpoint_denies",
        "The policy of a VPC endpoint does not let {who} {deed}.",
        "Allow it in the policy of the VPC endpoint of ECR.",
        (Match(REFUSED, r"(?i)VPC endpoint policy"),),
    ),
    Rule(
        "explicit_deny",
        "A policy denies {who} to {deed}.",
        "Find the statement with the effect Deny, in the policies of {who} or of the repository, and narrow it.",
        (Match(REFUSED, r"(?i)explicit deny"),),
    ),
    Rule(
        "token_not_allowed",
        "{Who} may not get a token for ECR.",
        "Allow ecr:GetAuthorizationToken in a statement of its own with the resource *.",
        (Match(REFUSED, r"not authorized to perform: ecr:GetAuthorizationToken"),),
    ),
    Rule(
        "repository_policy_missing",
        "The policy of the repository does not let {who}, who is of another account, {deed}.",
        "Allow it in the policy of the repository {arn} too.",
        (Match(REFUSED, r"(?i)no resource-based policy allows"),),
    ),
    Rule(
        "repository_not_allowed",
        "No policy of {who} allows to {deed}.",
        "Add {arn} to them, for the pull user by its repositories in ecr_pull_user; compare region, account and name.",
        (Match(REFUSED, r"(?i)no identity-based policy allows"),),
    ),
    Rule(
        "denied",
        "{Who} may not {deed}.",
        "Allow it in the policies of {who}; look for an explicit deny, a boundary, or a service control policy too.",
        (Match({*REFUSED, "HTTP 403"}),),
        r"(?i)access denied|requested access to the resource is denied",
    ),
    # What lies between
    Rule(
        "unexpected_answer",
        "{Service} did not answer, but something else did, with {what}.",
        "Look at the proxy, a captive portal, DNS and endpoint_url: answers must come through as they are.",
        (Match({"UNEXPECTED_ANSWER", "ResponseParserError", MALFORMED}),),
    ),
    Rule(
        "throttled",
        "{Service} refuses calls for now, because there were too many.",
        "Wait, or check fewer images at a time; at a public registry a login raises the quota.",
        (
            Match({"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}),
            Match({"TOOMANYREQUESTS", "HTTP 429"}),
        ),
        r"(?i)rate exceeded|toomanyrequests",
    ),
    Rule(
        "endpoint_unreachable",
        "{Service} cannot be reached.",
        "Check region and host, DNS, the proxy, the firewall, the CA bundle and endpoint_url.",
        (
            Match({"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError"}),
            Match({"ProxyConnectionError", "SSLError", "InvalidRegionError", "NO_ANSWER"}),
        ),
        r"(?i)could not connect to the endpoint",
    ),
    Rule(
        "service_unavailable",
        "{Service} has trouble.",
        "Run again; if it goes on, look at the status page of whoever runs it.",
        (
            Match({"ServerException", "InternalFailure", "ServiceUnavailable"}),
            Match({"HTTP 500", "HTTP 502", "HTTP 503", "HTTP 504"}),
        ),
    ),
]
OTHER = Rule(
    "other", "Asking for {arn} failed: {answered}.", "Look that up in the documentation of ECR, and run again."
)
# Rights that an earlier task may be about to grant.
GRANTABLE = {"boundary_denies", "denied", "repository_not_allowed", "repository_policy_missing", "token_not_allowed"}


def rule_for(code: str, text: str) -> Rule:
    """The code decides first, the text second."""
    for row in TABLE:
        if any(code in sign.codes and re.search(sign.text, text) for sign in row.signs):
            return row
    return next((row for row in TABLE if row.words and re.search(row.words, text)), OTHER)


def diagnose(code: str, text: str, facts: Mapping[str, str], raw: str = "") -> Json:
    """`facts` fill the templates; `raw` is the answer when `code` is the collection's own."""
    answered = raw or f"{code}: {text}"
    return filled(rule_for(code, text), {**facts, "answered": answered.rstrip(".")}, answered)


def filled(row: Rule, facts: Mapping[str, object], raw: str) -> Json:
    return {
        "code": row.code.format_map(facts),
        "severity": row.severity,
        "cause": printable(row.cause.format_map(facts)),
        "remedy": printable(row.remedy.format_map(facts)),
        "raw": raw,
    }
