# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: pulls by ECR's API, or as a container runtime asks the registry.

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, Protocol
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError

from .._aws.answer import MALFORMED
from .._aws.client import Aws
from .._aws.ecr_token import get_token
from .._aws.secret_entry import KeyPair
from .._core.errors import NOT_YET, AwsError, BlobStoreError, Json, RegistryError
from .._core.time import retry_until
from .._oci import manifest as manifests
from .._oci.reference import DOCKER_HUB, Image
from .._oci.registry_client import DAMAGED, UNEXPECTED, Answer, Login, Registry, digest_of, error_of, words
from .answer import AnswerError, field
from .diagnosis import KEY_UNKNOWN, diagnose

BATCH_GET_IMAGE = "ecr:BatchGetImage"
LARGEST_CONFIG = 1024 * 1024  # bytes
NEW = timedelta(minutes=5)  # until a key is known everywhere
NOT_THERE = {"RepositoryNotFoundException", "NAME_UNKNOWN"}
MAY_PASS = r"(?is)^(?!.*token has expired)"  # said of a young right, not of an old token


class PullDeniedError(Exception):
    def __init__(self, finding: Json) -> None:
        super().__init__(finding["cause"])
        self.finding = finding


class PullIdentity(NamedTuple):
    """The owner of `key`, the caller (`calls`), or whoever has `login`, maybe nobody.

    `young_until`: how long a refusal may pass; `quarantine`: why it is for good.
    """

    who: str
    key: KeyPair | None = None
    calls: bool = True
    login: Login | None = None
    young_until: Callable[[], datetime | None] = lambda: None
    user: Callable[[], str] = lambda: ""
    quarantine: Callable[[], str] = lambda: ""

    def patient_until(self, deadline: datetime | None) -> PullIdentity:
        return self._replace(young_until=lambda: deadline)


class Pull(Protocol):
    """Its methods raise PullDeniedError."""

    puller: PullIdentity
    platform: str

    def manifest(self, image: Image) -> tuple[str, Json]:
        """Return the digest and the manifest of a digest, tag or both."""

    def configuration(self, image: Image, digest: str) -> Json:
        """Return {} for what is no image."""


def facts(pull: Pull, image: Image, operation: str = "") -> dict[str, str]:
    who, host = pull.puller.who, image.host or DOCKER_HUB
    thing = image.repository_arn if image.account_id else f"{host}/{image.repository}"
    arn = "*" if operation == "get_authorization_token" else thing
    action = "ecr:" + "".join(part.capitalize() for part in operation.split("_"))
    return {
        **{key: str(value) for key, value in image._asdict().items()},
        "arn": arn,
        "deed": f"call {action} on {arn}" if image.account_id else f"pull {arn}",
        "host": host,
        "kind": "digest" if image.digest else "tag",
        "place": f"account {image.account_id} in {image.region}" if image.account_id else host,
        "platform": pull.platform,
        "platforms": "others",
        "Service": f"ECR in {image.region}" if image.account_id else f"The registry {host}",
        "wanted": image.digest or image.tag,
        "what": "an answer that is none of AWS",
        "who": who,
        "Who": who[0].upper() + who[1:],
    }


def retry_while_young(
    aws: Aws, puller: PullIdentity, attempt: Callable[[], Any], finding: Callable[[Any], Json]
) -> Any:
    """Raise PullDeniedError once the key and its rights are old enough."""
    codes = {*NOT_YET, "DENIED"}
    try:
        return attempt()
    except (AwsError, RegistryError) as error:
        refusal = error
    if refusal.code in codes and (shut := puller.quarantine()):
        raise PullDeniedError(diagnose("Quarantined", shut, {})) from refusal
    deadline = puller.young_until() if refusal.code in codes else None
    if deadline and deadline > aws.clock():
        try:
            return retry_until(aws, deadline, attempt, codes, MAY_PASS)
        except (AwsError, RegistryError) as error:
            refusal = error
    raise PullDeniedError(finding(refusal)) from refusal


def parsed_manifest(digest: str, content: bytes) -> Json:
    """Whether another manifest than an image's was changed on its way decides who is to blame."""
    try:
        manifest = manifests.parse(content)
    except manifests.DamagedManifestError as failure:
        if digest_of(content) == digest:
            raise
        raise manifests.NotAManifestError(str(failure)) from None
    if not (manifests.is_index(manifest) or manifests.is_image(manifest) or digest_of(content) == digest):
        raise manifests.NotAManifestError("a manifest that was changed on its way")
    return manifest


@contextmanager
def understood(pull: Pull, image: Image) -> Iterator[None]:
    code = UNEXPECTED
    try:
        yield
    except manifests.DamagedManifestError as failure:
        code, what = DAMAGED, str(failure)
    except manifests.NotAManifestError as failure:
        what = str(failure)
    except AnswerError as failure:
        what = failure.what
    else:
        return
    raise PullDeniedError(diagnose(code, what, {**facts(pull, image), "what": what}))


class ByApi:
    """Asks ECR's API in the image's region and account, and the host of its layers."""

    def __init__(self, aws: Aws, opener: Any, puller: PullIdentity, platform: str) -> None:
        self._aws = aws
        self._opener = opener
        self.puller = puller
        self.platform = platform

    def manifest(self, image: Image) -> tuple[str, Json]:
        given = {"imageDigest": image.digest, "imageTag": image.tag}
        image_id = {key: value for key, value in given.items() if value}
        answer = self._ask(image, "batch_get_image", imageIds=[image_id], acceptedMediaTypes=manifests.MEDIA_TYPES)
        with understood(self, image):
            if not answer.get("images"):
                code = field(answer, BATCH_GET_IMAGE, "failures.0.failureCode")
                text = str(answer["failures"][0].get("failureReason") or "")
                raise PullDeniedError(diagnose(code, text, facts(self, image, "batch_get_image")))
            digest = field(answer, BATCH_GET_IMAGE, "images.0.imageId.imageDigest")
            content = field(answer, BATCH_GET_IMAGE, "images.0.imageManifest").encode(errors="replace")
            return digest, parsed_manifest(digest, content)

    def configuration(self, image: Image, digest: str) -> Json:
        answer = self._ask(image, "get_download_url_for_layer", layerDigest=digest)
        with understood(self, image):
            address = field(answer, "ecr:GetDownloadUrlForLayer", "downloadUrl")
        host = urlsplit(address).hostname
        try:
            with self._opener.open("GET", address) as answer:
                document = json.loads(answer.read(LARGEST_CONFIG))
        except HTTPError as failure:
            with failure:
                answered = Answer(failure.code, failure.headers, failure.read(LARGEST_CONFIG))
            why = words(answered.status, *error_of(answered))
        except (OSError, http.client.HTTPException, AnsibleConnectionError, ValueError) as failure:
            why = type(failure).__name__  # its text may hold the address, which is a secret
        else:
            if isinstance(document, dict):
                return document
            why = "not a configuration"
        raise PullDeniedError(diagnose("BlobUnread", f"{host}: {why}", facts(self, image)))

    def _ask(self, image: Image, operation: str, **request: Any) -> Json:
        def attempt() -> Json:
            return self._aws.call(
                "ecr",
                operation,
                region=image.region,
                identity=self.puller.key,
                registryId=image.account_id,
                repositoryName=image.repository,
                **request,
            )

        return retry_while_young(
            self._aws, self.puller, attempt, partial(diagnose_refusal, self._aws, self, image, operation)
        )


class ByRegistry:
    """`registry` returns the reader of a host with a login."""

    def __init__(
        self, aws: Aws, registry: Callable[[str, Login | None], Registry], puller: PullIdentity, platform: str
    ) -> None:
        self._aws = aws
        self._registry = registry
        self._registries: dict[str, Registry] = {}
        self.puller = puller
        self.platform = platform

    def manifest(self, image: Image) -> tuple[str, Json]:
        registry = self._reader(image)
        if image.tag and image.digest:
            current = self._ask(image, "batch_get_image", lambda: registry.manifest(image.repository, image.tag))
            if current is None or current.digest != image.digest:
                code, text = "ImageTagDoesNotMatchDigest", current.digest if current else "no such tag"
                raise PullDeniedError(diagnose(code, text, facts(self, image)))
        wanted = image.digest or image.tag
        current = self._ask(image, "batch_get_image", lambda: registry.fetched(image.repository, wanted))
        return current.digest, current.document

    def configuration(self, image: Image, digest: str) -> Json:
        registry = self._reader(image)
        content = self._ask(image, "get_download_url_for_layer", lambda: registry.blob(image.repository, digest))
        return manifests.read(content)

    def _reader(self, image: Image) -> Registry:
        if image.host not in self._registries:
            self._registries[image.host] = self._registry(image.host, self._login(image))
        return self._registries[image.host]

    def _login(self, image: Image) -> Login | None:
        """Return a fresh token of AWS, or what was given."""
        if not self.puller.calls:
            return self.puller.login
        token = retry_while_young(
            self._aws,
            self.puller,
            lambda: get_token(self._aws, image.region, self.puller.key),
            partial(diagnose_refusal, self._aws, self, image, "get_authorization_token"),
        )
        return Login(token.username, token.password)

    def _ask(self, image: Image, operation: str, attempt: Callable[[], Any]) -> Any:
        return retry_while_young(self._aws, self.puller, attempt, partial(self._finding, image, operation))

    def _finding(self, image: Image, operation: str, error: RegistryError) -> Json:
        filled = {**facts(self, image, operation), "what": error.text}
        if isinstance(error, BlobStoreError):  # what pulls as this does goes without layers too
            return {**diagnose("BlobUnread", str(error), filled), "severity": "error"}
        if error.status is None or error.code == UNEXPECTED:
            return diagnose(error.code, error.text, filled)
        raw = words(error.status, error.code, error.text)
        code = error.code or f"HTTP {error.status}"
        if error.status == 401:
            code = "LoginRefused" if self.puller.calls or self.puller.login else "LoginMissing"
        if code in NOT_THERE and self.puller.calls:
            return elsewhere(self._aws, self.puller, image, filled, diagnose(code, error.text, filled, raw))
        return diagnose(code, error.text, filled, raw)


# What a refusal does not tell

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
