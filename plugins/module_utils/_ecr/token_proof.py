# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .._aws.client import Aws
from .._aws.ecr_token import Token
from .._core.errors import Json
from .._oci.reference import parse_ecr
from .._oci.registry_client import Login, Registry
from .pull_check import NotPullableError, examine, predicted, verdict
from .pull_identity import PullIdentity
from .pull_probe import ByRegistry

PLATFORM = "linux/amd64"


def token_proof(
    aws: Aws, registry: Callable[[str, Login | None], Registry], who: str, check_mode: bool
) -> Callable[[list[str], Token, datetime | None], list[Json]]:
    """Try images as RunPod does; in check mode an earlier task may end a denial."""

    def verify(images: list[str], token: Token, deadline: datetime | None) -> list[Json]:
        login = Login(token.username, token.password)
        puller = PullIdentity(who, calls=False, login=login, young_until=lambda: deadline)
        pull = ByRegistry(aws, registry, puller, PLATFORM)
        reports = [examine(pull, parse_ecr(image)) for image in images]
        if check_mode:
            reports = [predicted(one) for one in reports]
        if verdict([one["pullable"] for one in reports]) is False:
            raise NotPullableError(reports)
        return reports

    return verify
