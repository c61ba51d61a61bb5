# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs that are broken at each of their calls: where each starts, and what it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.system.conftest import ENDPOINT, IMAGE, REGISTRY, House
from tests.system.worker import USER

Json = dict[str, Any]

NEXT = f"{REGISTRY}/runpod-gpu-training:v2"
OTHER = f"{REGISTRY}/runpod-gpu-inference:v1"
ENV = {"HF_TOKEN": "a-token-that-nobody-may-be-told"}
TEMPLATE = {"serverless": True, "env": ENV}
WORKLOADS = [
    {"image": IMAGE, "template": {**TEMPLATE, "name": f"bulk-{number}"}, "endpoint": {}} for number in range(3)
]
TRUST = [{"principal_arns": ["arn:aws:iam::123456789012:user/operator"]}]
AS_ROLE = {"pull_identity": "role", "role_trust": TRUST}
RETIRING = {"adopt": True, "retire_former_identity": True}
PUBLIC = {"access": "public", "acknowledge_public": True}


class Scenario(NamedTuple):
    """A start, an entry point of the role and its variables. `mirrors` says that it writes to a registry."""

    start: Callable[[House], None]
    entry: str = "main"
    options: Json = {}
    mirrors: bool = False


def nothing(dummy: House) -> None: ...


def done(house: House, entry: str = "main", **options: Any) -> None:
    played = house.role(entry, **{"template": TEMPLATE, **options})
    assert not played.failure, played.failure


def converged(house: House) -> None:
    done(house, endpoint=ENDPOINT)


def converged_ssm(house: House) -> None:
    done(house, secret_store={"type": "ssm"})


def token_ends(house: House) -> None:
    """The token at RunPod has an hour left."""
    converged(house)
    [registry], [key] = house.runpod()["registries"], house.keys()
    tag = {"Key": f"gpuops.runpod/{registry['id']}", "Value": f"2020-01-01T00:00:00Z {key}"}
    house.client("secretsmanager").tag_resource(SecretId=f"runpod-ecr/{USER}", Tags=[tag])


def token_ends_without_patch(house: House) -> None:
    token_ends(house)
    house.sandbox.runpod.switch(registry_patch=405)


def rotated(house: House) -> None:
    converged(house)
    done(house, "rotate", rotate_after_days=0)


def delegated(house: House) -> None:
    done(house, access="delegation")


def as_role(house: House) -> None:
    done(house, **AS_ROLE, endpoint=ENDPOINT)


def published(house: House) -> None:
    done(house, **PUBLIC)


def quarantined(house: House) -> None:
    converged(house)
    done(house, state="quarantined")


SCENARIOS = {
    "first converge": Scenario(nothing, options={"endpoint": ENDPOINT}),
    "first converge, ssm": Scenario(nothing, options={"secret_store": {"type": "ssm"}}),
    "first converge, role": Scenario(nothing, options={**AS_ROLE, "endpoint": ENDPOINT}),
    "first converge, delegation": Scenario(nothing, options={"access": "delegation"}),
    "first converge, public": Scenario(nothing, options=PUBLIC, mirrors=True),
    "refresh in place": Scenario(token_ends, "refresh"),
    "refresh by replacement": Scenario(token_ends_without_patch, "refresh"),
    "rotation": Scenario(converged, "rotate", {"rotate_after_days": 0}),
    "rotation, ssm": Scenario(converged_ssm, "rotate", {"rotate_after_days": 0, "secret_store": {"type": "ssm"}}),
    "rotation, key to retire": Scenario(rotated, "rotate", {"rotate_after_days": 90, "retire_after_hours": 12}),
    "endpoint rollout": Scenario(converged, options={"image": NEXT, "endpoint": ENDPOINT}),
    "another image": Scenario(converged, options={"image": OTHER}),
    "bulk templates": Scenario(converged, options={"workloads": WORKLOADS}),
    "way changed": Scenario(converged, options={"access": "delegation", "endpoint": ENDPOINT}),
    "way changed back": Scenario(delegated, options={}),
    "moved to a role": Scenario(converged, options={**AS_ROLE, **RETIRING, "endpoint": ENDPOINT}),
    "moved back to a user": Scenario(as_role, options={**RETIRING, "endpoint": ENDPOINT}),
    "quarantine": Scenario(converged, options={"state": "quarantined"}),
    "release": Scenario(quarantined, options={"release_quarantine": True, "endpoint": ENDPOINT}),
    "teardown": Scenario(converged, options={"state": "absent", "endpoint": ENDPOINT}),
    "teardown, ssm": Scenario(converged_ssm, options={"state": "absent", "secret_store": {"type": "ssm"}}),
    "teardown, role": Scenario(as_role, options={**AS_ROLE, "state": "absent", "endpoint": ENDPOINT}),
    "teardown, delegation": Scenario(delegated, options={"access": "delegation", "state": "absent"}),
    "teardown, public": Scenario(published, options={**PUBLIC, "state": "absent", "public_force": True}, mirrors=True),
}
# In which pulls are meant to end
ENDING = {name for name in SCENARIOS if name.startswith(("teardown", "quarantine"))}
