# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what templates need of a way of access, and the look at images.

from __future__ import annotations

from typing import NamedTuple

from .._core.errors import Json
from .._ecr.pull_check import NotPullableError
from . import preview
from .desired import DesiredState
from .look import Look
from .pull_look import whole
from .step import Step


class Access(NamedTuple):
    """What templates need: `registries` maps regions to ids of credentials, `images` images to the public ones run
    instead.
    """

    steps: list[Step]
    registries: dict[str, str]
    images: dict[str, str]
    source: list[Json]
    proof: list[Json]
    report: Json
    warnings: list[str]
    account: str = ""
    identity: str = "caller"
    propagation_timeout: int | None = None


def look_at(desired: DesiredState, look: Look) -> list[Json]:
    """Raise NotPullableError for what no run could let RunPod pull."""
    return sound(preview.check_images(look, desired.images, "caller"))


def sound(reports: list[Json]) -> list[Json]:
    if any(report["pullable"] is False for report in reports):
        raise NotPullableError(reports)
    return reports


def require_whole(desired: DesiredState, look: Look, access: Access) -> None:
    """An unchanged run does without this question: what it proves is enough for it."""
    as_user = access.proof and access.identity == "secret_store"
    sound(whole(look, access.source, "secret_store" if as_user else "caller", desired.store))
