# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: options and run of runpod_ecr_preflight.

from __future__ import annotations

from .._core.errors import Json
from .._core.result import Result
from .._pull_user.inventory import EVENT_OPTIONS
from .desired import desired_state
from .look import Clients, Look
from .options import OPTIONS as ALL_OPTIONS
from .preflight_aws import identity, regions, rights, store
from .preflight_host import clocks, skew_of, tools
from .preflight_quotas import quotas
from .preflight_rights import (
    MISSING,
    lines_of,
)
from .preflight_runpod import kinds_of, runpod

UNASKED = {
    "acknowledge_public",
    "adopt",
    "min_validity_hours",
    "propagation_timeout",
    "release_quarantine",
    "retire_after_hours",
    "verify",
}
MODULES = ["ecr_image_mirror", "ecr_pull_user_info"]
OPTIONS: Json = {
    **{name: option for name, option in ALL_OPTIONS.items() if name not in UNASKED},
    "intent": {
        "type": "str",
        "choices": [*ALL_OPTIONS["intent"]["choices"], "audit"],
        "default": "converge",
    },
    "events": {"type": "dict", "options": EVENT_OPTIONS},
    "modules": {"type": "list", "elements": "str", "choices": MODULES, "default": []},
}
GIVEN = {"check_mode": True, "acknowledge_public": True, "adopt": True}


def run(params: Json, dummy: bool, clients: Clients) -> Result:
    unasked = {name: ALL_OPTIONS[name].get("default") for name in UNASKED}
    desired = desired_state({**unasked, **params, **GIVEN})
    look = Look.through(clients)
    look.api.prefetch(kinds_of(desired))
    asked = look.aws.clock()
    caller, date, checks = identity(look, desired)
    if caller:
        checks += [*rights(look, desired, caller), *store(look, desired), *regions(look, desired)]
    checks += [
        *runpod(look, desired),
        *tools(look, desired),
        *clocks(look, skew_of(date, asked)),
        *quotas(look, desired, caller),
    ]
    ready = not any(check.status == MISSING and check.required for check in checks)
    results = [check._asdict() for check in checks]
    return Result(
        False, None, None, {"checks": results, "ready": ready, "lines": lines_of(checks, desired.intent, ready)}
    )
