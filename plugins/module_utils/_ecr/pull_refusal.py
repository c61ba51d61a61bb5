# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: why AWS refused a pull, as far as the refusal and another look tell.

from __future__ import annotations

from datetime import datetime

from .._aws.answer import MALFORMED
from .._aws.client import Aws
from .._aws.secret_entry import KeyPair
from .._core.errors import AwsError, Json
from .._oci.reference import Image
from .answer import AnswerError, field
from .diagnosis import KEY_UNKNOWN, diagnose
from .pull_identity import NEW, NOT_THERE, Pull, PullIdentity, facts

NO_ANSWER_OF_AWS = (MALFORMED, "ResponseParserError")


def diagnose_refusal(aws: Aws, pull: Pull, image: Image, operation: str, error: AwsError) -> Json:
    """Return the finding, with what can be learned cheaply about why."""
    filled = facts(pull, image, operation)
    raw = f"{error.code}: {error.text}"
    if error.code in NO_ANSWER_OF_AWS:
        filled = {**filled, "what": f"an answer to {error.call} of which this is wrong: {error.text}"}
    if error.code in KEY_UNKNOWN and pull.puller.key:
        state = state_of_key(aws, pull.puller, pull.puller.key, image.region)
        return diagnose(state or error.code, error.text, filled, raw)
    code = f"HTTP {error.code}" if error.code.isdigit() else error.code  # which botocore makes of an answer without
    finding = diagnose(code, error.text, filled, raw)
    return elsewhere(aws, pull.puller, image, filled, finding) if error.code in NOT_THERE else finding


def state_of_key(aws: Aws, puller: PullIdentity, own: KeyPair, region: str) -> str:
    """Return a code of the diagnosis; empty when IAM does not tell."""
    call = "iam:ListAccessKeys"
    try:  # a user's two keys are one page
        answer = aws.call("iam", "list_access_keys", UserName=puller.user())
        keys = {
            field(key, call, "AccessKeyId"): (field(key, call, "Status"), field(key, call, "CreateDate", datetime))
            for key in field(answer, call, "AccessKeyMetadata", list)
        }
    except AwsError as error:
        return "UserGone" if error.code == "NoSuchEntity" else ""
    except AnswerError:
        return ""
    if own.access_key_id not in keys:
        return "KeyGone"
    status, created = keys[own.access_key_id]
    if status != "Active":
        return "KeyInactive"
    if aws.clock() - created < NEW:
        return "KeyTooNew"
    return "RegionDisabled" if region != aws.region and account_of(aws, puller) else ""


def account_of(aws: Aws, puller: PullIdentity) -> str:
    """Return "" when AWS does not tell."""
    try:
        answer = aws.call("sts", "get_caller_identity", identity=puller.key)
        return str(field(answer, "sts:GetCallerIdentity", "Account"))
    except (AwsError, AnswerError):
        return ""


def elsewhere(aws: Aws, puller: PullIdentity, image: Image, filled: dict[str, str], finding: Json) -> Json:
    """Return where a missing repository is, when in the likely other place."""

    def there(place: Image) -> bool:
        try:
            answer = aws.call(
                "ecr",
                "batch_get_image",
                region=place.region,
                identity=puller.key,
                registryId=place.account_id,
                repositoryName=place.repository,
                imageIds=[{"imageTag": "latest"}],
            )
        except AwsError:
            return False
        return any(isinstance(answer.get(key), list) for key in ("images", "failures"))

    if image.region != aws.region and there(image._replace(region=aws.region)):
        return diagnose("WrongRegion", "", {**filled, "other": aws.region}, finding["raw"])
    own = account_of(aws, puller)
    if own not in {"", image.account_id} and there(image._replace(account_id=own)):
        return diagnose("WrongAccount", "", {**filled, "other": own}, finding["raw"])
    return finding
