# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the options and the run of the module runpod_ecr_plan.

from __future__ import annotations

from functools import partial

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from .._aws.client import aws_client
from .._core.errors import CollectionError, Json
from .._core.result import Result
from .._ecr import image_mirror
from .._ecr.pull_check import registry_opener
from .._oci.registry_client import Registry
from .._runpod.connection import runpod_client
from .desired import desired_state
from .look import Clients, Look
from .plan import Plan, make_plan
from .summary import change_lines, diff_of, shown_step, state_lines

OPTIONS: Json = {
    "intent": {
        "type": "str",
        "choices": ["converge", "refresh", "rotate", "quarantine", "absent"],
        "default": "converge",
    },
    "access": {"type": "str", "choices": ["credential", "delegation", "public"], "default": "credential"},
    "image": {"type": "str"},
    "template": {"type": "dict"},
    "endpoint": {"type": "dict"},
    "workloads": {"type": "list", "elements": "dict"},
    "pull_identity": {"type": "str", "choices": ["user", "caller"], "default": "user"},
    "user_name": {"type": "str", "default": "runpod-ecr-access"},
    "user_path": {"type": "str", "default": "/runpod/"},
    "user_tags": {"type": "dict"},
    "user_permissions_boundary": {"type": "str"},
    "user_policy": {"type": "str", "choices": ["repositories", "pull_only", "read_only"], "default": "repositories"},
    "user_repositories": {"type": "list", "elements": "str"},
    "purge_repositories": {"type": "bool", "default": False},
    "rotate_after_days": {"type": "int", "default": 90},
    "retire_after_hours": {"type": "int", "default": 24},
    "release_quarantine": {"type": "bool", "default": False},
    "min_validity_hours": {"type": "float", "default": 9},
    "credential_name": {"type": "str", "no_log": False},
    "verify": {"type": "bool", "default": True},
    "pull_role_arns": {"type": "list", "elements": "str"},
    "acknowledge_public": {"type": "bool", "default": False},
    "public_repository": {"type": "str"},
    "public_catalog_data": {"type": "dict"},
    "public_force": {"type": "bool", "default": False},
    "allow_suspected_secrets": {"type": "bool", "default": False, "no_log": False},
    "adopt": {"type": "bool", "default": False},
    "propagation_timeout": {"type": "int", "default": 90},
    "variables": {"type": "list", "elements": "str"},
}


class NothingChangedError(CollectionError):
    """What is wanted cannot be done, and that was found before the first write."""

    def __init__(self, cause: CollectionError) -> None:
        super().__init__(f"Nothing was changed. {cause}")
        self.cause = cause

    def as_result(self) -> Json:
        return {**self.cause.as_result(), "msg": str(self)}


def run(params: Json, check_mode: bool, clients: Clients) -> Result:
    try:
        desired = desired_state({**params, "check_mode": check_mode})
        plan = make_plan(desired, Look.through(clients))
    except CollectionError as error:
        raise NothingChangedError(error) from error
    before, after = diff_of(plan)
    return Result(False, before, after, results(plan), tuple(plan.result["warnings"]))


def results(plan: Plan) -> Json:
    return {
        "steps": [shown_step(step) for step in plan.steps],
        "needed": list(dict.fromkeys(step.step for step in plan.steps if step.needed)),
        "changes": change_lines(plan.steps),
        "summary": state_lines(plan.result),
        "result": plan.result,
        "handover": plan.handover,
    }


def connect(module: AnsibleAWSModule) -> Clients:
    """Return the clients that the module's options describe."""
    opener = registry_opener(module.params["validate_certs"], module.params["aws_ca_bundle"])
    copier = image_mirror.connect(module)
    return Clients(aws_client(module), runpod_client(module), opener, partial(Registry, opener), copier.skopeo)
