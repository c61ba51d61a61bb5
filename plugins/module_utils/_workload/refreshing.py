# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: options and run of runpod_ecr_refresh.

from __future__ import annotations

from .._aws.token_source import RefreshError
from .._core.errors import CollectionError, Json, NothingChangedError
from .._core.result import ItemsFailedError, PartialError, Result
from .._runpod.credential_state import Clients
from .desired import desired_state
from .options import OPTIONS as ALL_OPTIONS
from .summary import diff_of, planned, state_lines
from .token_refresh import refresh_tokens

ASKED = (
    *("access", "image", "workloads", "pull_identity", "user_name", "user_path", "user_repositories", "role_name"),
    *("role_arn", "role_external_id", "credential_name", "min_validity_hours", "propagation_timeout", "variables"),
)
OPTIONS: Json = {name: ALL_OPTIONS[name] for name in ASKED}
DONE = ("the credentials at RunPod",)


def run(params: Json, check_mode: bool, clients: Clients) -> Result:
    try:
        desired = desired_state({**dict.fromkeys(ALL_OPTIONS), **params, "intent": "refresh"})
        done = refresh_tokens(desired, clients, check_mode)
    except (RefreshError, ItemsFailedError) as error:
        if error.as_result().get("changed"):
            raise PartialError(error, DONE) from error
        raise
    except CollectionError as error:
        raise NothingChangedError(error) from error
    results = planned(done.steps, done.result)
    if not check_mode:
        results["summary"] = state_lines(done.result)
    return Result(done.found.changed, *diff_of(done.steps), results, done.found.warnings)
