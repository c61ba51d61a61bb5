# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world of the sandbox, kept and brought back in milliseconds, where a converge takes a second."""

from __future__ import annotations

from copy import deepcopy
from threading import RLock
from typing import Any

from moto.ecr.models import ecr_backends
from moto.iam.models import iam_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ParameterDict, ssm_backends
from moto.sts.models import sts_backends

from tests.sandbox.aws import AwsSimulator
from tests.sandbox.server import Sandbox

SERVICES = (ecr_backends, iam_backends, secretsmanager_backends, ssm_backends, sts_backends)
OF_AWS = ("layers", "logins", "former_policies", "switches")
OF_ACCESS = ("_issued", "_policies")
OF_RUNPOD = ("current", "cursors", "switches")
OF_A_REGISTRY = ("repositories", "tokens", "alias")


def _reduced(parameters: ParameterDict) -> tuple[Any, ...]:
    place = (parameters.account_id, parameters.region_name)
    return ParameterDict, place, dict(vars(parameters)), None, iter(parameters.items())


ParameterDict.__reduce__ = _reduced  # type: ignore[method-assign]  # without it a copy is made without its place


class Snapshot:
    """What both clouds hold at a moment."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._backends = backends()
        shared = [*self._backends, *(each for one in self._backends for each in vars(one).values() if is_lock(each))]
        self._memo = {id(one): one for one in shared}
        self._held = self._copy([one.__dict__ for one in self._backends])
        self._parts = [
            (owner, deepcopy({name: getattr(owner, name) for name in names})) for owner, names in parts(sandbox)
        ]

    def is_lost(self) -> bool:
        """Return whether the clouds were reset since: what moto held is no longer what it answers from."""
        return not {*map(id, self._backends)} <= {*map(id, backends())}

    def restore(self) -> None:
        """Let both clouds hold the same again, and break no call."""
        self._sandbox.mend()
        for one in backends():
            if id(one) not in self._memo:
                one.reset()
        for one, held in zip(self._backends, self._copy(self._held), strict=True):
            one.__dict__.clear()
            one.__dict__.update(held)
        for owner, held in self._parts:
            for name, value in deepcopy(held).items():
                setattr(owner, name, value)
        self._sandbox.aws.limit_organization()
        self._sandbox.aws.trail.reset()

    def _copy(self, states: list[Any]) -> list[Any]:
        return deepcopy(states, dict(self._memo))


def is_lock(value: Any) -> bool:
    return isinstance(value, type(RLock()))


def backends() -> list[Any]:
    """Return what moto holds, by service, account and region."""
    return [one for service in SERVICES for account in service.values() for one in account.values()]


def parts(sandbox: Sandbox) -> list[tuple[Any, tuple[str, ...]]]:
    """Return what else holds something, with the names of what changes in it."""
    aws: AwsSimulator = sandbox.aws
    return [
        (aws, OF_AWS),
        (aws.access, OF_ACCESS),
        *((registry, OF_A_REGISTRY) for registry in aws.publics.values()),
        (sandbox.runpod.world, OF_RUNPOD),
    ]
