# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the credentials of a run's regions, and how their tokens are minted.

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .._core.errors import Json
from . import preview
from .desired import DesiredState
from .look import KNOWN_LATER, Look
from .step import Step, credential_reason, minimum, step_of

NEW_KEY = "the pull user gets a new key"


class Credentials(NamedTuple):
    """The steps, and the credentials after them."""

    steps: list[Step]
    registries: list[Json]
    warnings: list[str]

    @property
    def ids(self) -> dict[str, str]:
        """Return region -> id, or the name where there is no id yet."""
        return {registry["region"]: registry.get("id") or registry["name"] for registry in self.registries}


def plan_credentials(
    desired: DesiredState, look: Look, account: str, force: bool = False, regions: list[str] | None = None
) -> Credentials:
    """Without `regions` plan those of the images."""
    steps: list[Step] = []
    registries: list[Json] = []
    warnings: list[str] = []
    for region in regions or desired.regions:
        name = desired.credential_name(region, account)
        found = preview.credential(look, desired, region, name, force)
        registry = found.results.get("registry") or found.after
        reason = NEW_KEY if force else credential_reason(found, minimum(desired, look.aws.clock()))
        steps.append(step_of("credential", name, found, reason))
        registries.append({**registry, "region": region})
        warnings += found.warnings if not desired.by_user else ()
        if "id" not in registry:
            look.api.add("registries", {"id": f"{name} {KNOWN_LATER}", "name": name})
    return Credentials(steps, registries, list(dict.fromkeys(warnings)))


def verified_on_the_way(steps: Iterable[Step], desired: DesiredState) -> list[str]:
    """Return images that the credential's step proves before the hand-over."""
    as_caller = desired.options["pull_identity"] == "caller" and not desired.options["role_arn"]
    proved_there = desired.access == "credential" and not as_caller and any(is_handed_over(step) for step in steps)
    return desired.images if proved_there and desired.options["verify"] else []


def is_handed_over(step: Step) -> bool:
    return step.step == "credential" and step.needed


def minting_values(desired: DesiredState, look: Look, timeout: int | None = None) -> Json:
    """Return how the role's tasks let tokens be minted."""
    minting = {} if desired.by_user else desired.minting(str(preview.caller(look)["Arn"]))
    return {
        "puller": desired.puller,
        "minting": minting,
        "former_store": desired.former_store,
        "propagation_timeout": timeout,
    }
