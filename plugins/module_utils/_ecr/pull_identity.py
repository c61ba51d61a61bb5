# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: as whom a pull is tried, and what a try tells.

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from .._aws.client import Aws
from .._aws.secret_entry import KeyPair
from .._core.errors import NOT_YET, AwsError, Json, RegistryError
from .._core.time import retry_until
from .._oci import manifest as manifests
from .._oci.reference import DOCKER_HUB, Image
from .._oci.registry_client import DAMAGED, UNEXPECTED, Login
from .answer import AnswerError
from .diagnosis import diagnose

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
