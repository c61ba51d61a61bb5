# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import base64
from datetime import datetime, timezone
from typing import NamedTuple

from .._core.errors import AwsError, CollectionError
from .._core.time import retry_until
from .answer import Answer, malformed
from .client import Aws
from .secret_entry import KeyPair


class Token(NamedTuple):
    """A `docker login` for one region of ECR or for ECR Public. Its password shows in no repr."""

    username: str
    password: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at})"


def get_token(aws: Aws, region: str, identity: KeyPair | None = None) -> Token:
    answer = aws.call("ecr", "get_authorization_token", region=region, identity=identity)
    if not answer["authorizationData"]:
        raise malformed(answer.call, "authorizationData", "is empty")
    return _token(answer["authorizationData"][0])


def get_public_token(aws: Aws) -> Token:
    data = aws.call("ecr-public", "get_authorization_token", region="us-east-1")["authorizationData"]
    return _token(data)


def _token(data: Answer) -> Token:
    try:
        username, dummy, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    except ValueError:
        raise malformed(data.call, "authorizationToken", "is no token") from None
    if not (username and password):
        raise malformed(data.call, "authorizationToken", "is no token")
    return Token(username, password, data["expiresAt"].astimezone(timezone.utc))


def verify_key(aws: Aws, key: KeyPair, regions: list[str], deadline: datetime) -> None:
    """Return once AWS accepts the key in every region twice in a row, since one server may be quicker than its
    neighbours: STS first, then ECR's tokens. Raise CollectionError after the deadline.
    """

    def accepted() -> None:
        aws.call("sts", "get_caller_identity", identity=key)
        for region in regions:
            get_token(aws, region, key)

    def accepted_twice() -> None:
        accepted()
        accepted()

    try:
        retry_until(aws, deadline, accepted_twice)
    except AwsError as error:
        raise CollectionError(
            f"AWS still refuses the new access key {key.access_key_id}: {error} "
            "Run again; if it goes on, raise propagation_timeout and look for a service control policy or a boundary."
        ) from error
