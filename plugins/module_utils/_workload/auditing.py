# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: options and run of runpod_ecr_audit.

from __future__ import annotations

from .._core.errors import Json
from .._core.result import Result
from .._pull_user.inventory import EVENT_OPTIONS, check_events
from .audit_look import observe
from .desired import desired_state
from .look import Clients, Look
from .options import OPTIONS as ALL_OPTIONS
from .report import audit
from .sink_look import sinks_of

# Only writes need these.
UNASKED = {
    "intent",
    "acknowledge_public",
    "adopt",
    "min_validity_hours",
    "propagation_timeout",
    "public_force",
    "release_quarantine",
    "retire_after_hours",
    "retire_former_identity",
    "verify",
}
OPTIONS: Json = {
    **{name: option for name, option in ALL_OPTIONS.items() if name not in UNASKED},
    "arguments": {"type": "list", "elements": "str"},
    "events": {"type": "dict", "options": EVENT_OPTIONS},
}
# Nothing young is waited for, nothing is published.
AS_AUDIT = {"intent": "audit", "check_mode": True, "propagation_timeout": 0, "acknowledge_public": True, "adopt": True}


def run(params: Json, dummy: bool, clients: Clients) -> Result:
    check_events(params["events"])
    unasked = {name: ALL_OPTIONS[name].get("default") for name in UNASKED}
    desired = desired_state({**unasked, **params, **AS_AUDIT})
    look = Look.through(clients)
    observed = observe(desired, look, params["events"])
    observed = observed._replace(sinks=sinks_of(desired, params["token_sinks"], look.aws, clients.connect_sink))
    claims = desired.claims(observed.account_id(desired))
    return Result(False, None, None, {"audit": audit(desired, observed), "handover": {"claims": claims}})
