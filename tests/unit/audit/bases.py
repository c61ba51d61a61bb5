# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The healthy worlds that are sabotaged, each with the wish behind it."""

from __future__ import annotations

import os
from typing import Any, NamedTuple
from unittest.mock import patch

from tests.system.conftest import ENDPOINT, IMAGE, SEOUL, USER, House
from tests.system.role import Role

from .world import Snapshot

Json = dict[str, Any]

TRAINING, SERVED = "training", "served"
OF_PODS: Json = {"image": IMAGE, "template": {"name": TRAINING, "serverless": False}}
SERVERLESS: Json = {"image": SEOUL, "template": {"name": SERVED}, "endpoint": ENDPOINT}


class Base(NamedTuple):
    """A way of access, with the variables of the role that bring it about, without their prefix."""

    access: str
    wish: Json
    store: str = "secretsmanager"


def wish(**options: Any) -> Json:
    return {"workloads": [OF_PODS, SERVERLESS], **options}


BASES = {
    "credential": Base("credential", wish()),
    "ssm": Base("credential", wish(secret_store={"type": "ssm"}), "ssm"),
    "caller": Base("caller", wish(pull_identity="caller")),
    "delegation": Base("delegation", wish(access="delegation")),
    "public": Base("public", wish(access="public", acknowledge_public=True)),
}
STORES = {"secretsmanager": f"runpod-ecr/{USER}", "ssm": f"/runpod-ecr/{USER}"}


class Worlds:
    """The bases as they stand once the role has run, each made when it is first asked for."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._begin()

    def _begin(self) -> None:
        self.house.sandbox.reset()
        self.house.sandbox.runpod.switch(rate_limits=None)
        self._empty = Snapshot(self.house.sandbox)
        self._made: dict[str, Snapshot] = {}

    def enter(self, name: str) -> Base:
        """Let both clouds be as the role leaves them for a base, whoever has used them since."""
        if self._empty.is_lost():
            self._begin()
        if name not in self._made:
            self._empty.restore()
            converge(self.house, BASES[name])
            self._made[name] = Snapshot(self.house.sandbox)
        self._made[name].restore()
        return BASES[name]


def converge(house: House, base: Base, entry: str = "main", **more: Any) -> str:
    """Run an entry point of the role for the wish of a base; return why it failed, if it did."""
    variables = {f"runpod_ecr_{name}": value for name, value in {**base.wish, **more}.items()}
    with patch.dict(os.environ, house.environment()):
        return Role(house.runs).play(entry, **variables).failure
