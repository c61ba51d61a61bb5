# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the run of runpod_ecr_plan.

from __future__ import annotations

from functools import partial

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from .._aws.client import aws_client
from .._core.errors import CollectionError, Json, NothingChangedError
from .._core.result import Result
from .._ecr import image_mirror
from .._ecr.pull_check import registry_opener
from .._oci.registry_client import Registry
from .._runpod.connection import runpod_client
from .desired import desired_state
from .look import Clients, Look
from .plan import make_plan
from .summary import diff_of, planned


def run(params: Json, check_mode: bool, clients: Clients) -> Result:
    try:
        desired = desired_state({**params, "check_mode": check_mode})
        plan = make_plan(desired, Look.through(clients))
    except CollectionError as error:
        raise NothingChangedError(error) from error
    before, after = diff_of(plan.steps)
    pending = bool(plan.handover.get("verify_images")) or any(step.action == "prove" for step in plan.steps)
    results = {**planned(plan.steps, plan.result, pending), "handover": plan.handover, "check_mode": check_mode}
    return Result(False, before, after, results, tuple(plan.result["warnings"]))


def connect(module: AnsibleAWSModule) -> Clients:
    opener = registry_opener(module.params["validate_certs"], module.params["aws_ca_bundle"])
    copier = image_mirror.connect(module)
    return Clients(aws_client(module), runpod_client(module), opener, partial(Registry, opener), copier.skopeo)
