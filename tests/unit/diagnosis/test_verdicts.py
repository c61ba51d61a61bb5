# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verdict on what RunPod and the policies that let it pull are found to be, from what the modules return."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from moto import mock_aws

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.runpod_roles import IN_FORCE, PUBLISHED
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.diagnosis import VERDICTS
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.repository_policy import statement
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.endpoint_fields import OPTIONS
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.verdicts import (
    of_endpoint,
    of_policy,
    of_template,
)
from ansible_collections.gpuops.runpod.plugins.modules import ecr_pull_grant, runpod_endpoint, runpod_info
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import Account
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

Json = dict[str, Any]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1"
ARN = "arn:aws:ecr:us-east-1:123456789012:repository/app"
GRANT: Json = {
    "repositories": ["app"],
    "account_id": None,
    "statement_id": "AllowRunpodPull",
    "principal_arns": None,
    "state": "present",
}
TEMPLATE: Json = {"name": "inference", "image": IMAGE, "serverless": True, "registry": "r1"}
ENDPOINT: Json = {
    "name": "demo",
    "template": "inference",
    "type": "QUEUE",
    "gpu": {"pools": ["ADA_24"]},
    "workers": {"min": 2, "max": 3},
    "scaling": {"type": "QUEUE_DELAY", "queue_delay": 4},
}


def granted(*arns: str) -> list[Json]:
    """Return the verdicts on a policy for these roles; for none there is no policy."""
    with mock_aws():
        account = Account()
        ecr = boto3.client("ecr", region_name="us-east-1")
        ecr.create_repository(repositoryName="app")
        if arns:
            document = {"Version": "2012-10-17", "Statement": [statement("AllowRunpodPull", arns)]}
            ecr.set_repository_policy(repositoryName="app", policyText=json.dumps(document))
        [told] = ecr_pull_grant.run(GRANT, True, account.aws()).results["policies"]
        return list(of_policy(told))


class Runpod(SimulatedRunpod):
    """RunPod with a credential, and a template and an endpoint that use it."""

    def __init__(self) -> None:
        super().__init__()
        self.seed("registries", id="r1", name="one")
        self.template = self.seed("templates", **TEMPLATE)

    def endpoint(self, check_mode: bool, **options: Any) -> Json:
        validated = ArgumentSpecValidator(OPTIONS).validate({**ENDPOINT, **options})
        assert not validated.error_messages
        return runpod_endpoint.run(validated.validated_parameters, check_mode, self.client).results

    def account(self) -> Json:
        params = {"gather": ["templates", "registries"], "credential_expiry": None}
        return runpod_info.run(params, False, self.client).results


def unlinked(change: Callable[[Runpod], Any] = lambda dummy: None) -> list[Json]:
    runpod = Runpod()
    [credential] = runpod.account()["registries"]
    change(runpod)
    [template] = runpod.account()["templates"]
    return list(of_template(template, credential))


def behind() -> list[Json]:
    runpod = Runpod()
    runpod.endpoint(False)
    runpod.client.patch(f"/templates/{runpod.template['id']}", {"image": IMAGE.replace("v1", "v2")})
    return list(of_endpoint(runpod.endpoint(True), "inference"))


def rolling() -> list[Json]:
    runpod = Runpod()
    runpod.simulator.switch(rollout_reads=None)
    runpod.endpoint(False)
    runpod.client.patch(f"/templates/{runpod.template['id']}", {"image": IMAGE.replace("v1", "v2")})
    runpod.endpoint(False)
    return list(of_endpoint(runpod.endpoint(True), "inference"))


FORMER = PUBLISHED["2026-05-26"][0]
CASES: dict[str, tuple[Callable[[], list[Json]], str, str]] = {  # code -> what provokes it, cause, remedy
    "statement_missing": (granted, f"The policy of {ARN} does not let RunPod's roles pull", "runpod.ecr_pull_grant"),
    "role_missing": (lambda: granted(IN_FORCE[0]), f"does not let {IN_FORCE[1]} pull", "runpod.ecr_pull_grant"),
    "role_outdated": (lambda: granted(*IN_FORCE, FORMER), f"still lets {FORMER} pull", "runpod.ecr_pull_grant"),
    "credential_unlinked": (
        lambda: unlinked(lambda runpod: runpod.client.delete("/registries/r1")),
        "inference does not refer to the credential one, but to none",
        "runpod.runpod_template",
    ),
    "template_not_rolled_out": (
        behind,
        "demo does not run what its template says now: image",
        '"template": "inference"',
    ),
    "rollout_unfinished": (rolling, "0 of 2 workers of the endpoint demo run its newest", '"wait": true'),
}


def test_every_verdict_has_a_case() -> None:
    assert list(CASES) == [row.code for row in VERDICTS]


@pytest.mark.parametrize("code", CASES)
def test_verdict(code: str) -> None:
    provoke, cause, remedy = CASES[code]
    [finding] = provoke()
    row = next(row for row in VERDICTS if row.code == code)
    assert finding["code"] == code and finding["severity"] == row.severity
    assert cause in finding["cause"] and remedy in finding["remedy"] and json.loads(finding["raw"])


def test_what_is_as_it_should_be_is_no_finding() -> None:
    runpod = Runpod()
    assert granted(*IN_FORCE) == unlinked() == list(of_endpoint(runpod.endpoint(True), "inference")) == []
    runpod.endpoint(False)
    assert list(of_endpoint(runpod.endpoint(True), "inference")) == []
