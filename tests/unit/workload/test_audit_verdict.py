# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what is in use can be pulled: what nothing tells is unknown, never well and never broken."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import pull_check
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.pull_identity import PullDeniedError
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.reference import parse_ecr
from ansible_collections.gpuops.runpod.plugins.module_utils._workload import audit_look, pull_look
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit_refusal import BOUND, with_remedy
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit_remedy import WHOLE
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit_verdict import UNKNOWN, Judge
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.findings import MAIN_JOB, Finding
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.observed import Failure
from tests.system.conftest import ENDPOINT, IMAGE, SEOUL, House
from tests.system.test_audit import at_runpod, held

from .audits import SERVED, TRAINING, Json, audited, observed

ONE = {"workloads": [{"image": IMAGE, "template": {"name": TRAINING}}]}
UNREADABLE = Failure("it may not be read", "403", refused=True)


@pytest.fixture
def judge(house: House) -> Judge:
    house.arrange({"image": IMAGE, "template": {"name": TRAINING}})
    desired, seen = observed(house, **ONE)
    return Judge(desired, seen, ())


def without(judge: Judge, kind: str) -> Judge:
    return judge._replace(observed=judge.observed._replace(runpod={**judge.observed.runpod, kind: UNREADABLE}))


def test_what_nothing_tells_is_unknown(judge: Judge) -> None:
    for image in (None, "", "docker.example.com/team/app:v1"):
        assert judge.pull({"image": image, "registry": None}) == UNKNOWN
    assert without(judge, "registries").pull({"image": IMAGE, "registry": "r1"}) == UNKNOWN
    assert without(judge, "delegations").pull({"image": IMAGE, "registry": None}) == UNKNOWN


def test_a_credential_that_is_gone_opens_nothing(judge: Judge) -> None:
    assert judge.pull({"image": IMAGE, "registry": "r-gone"}).code == "credential_gone"


def test_layers_of_an_image_that_may_not_be_read_are_not_missing() -> None:
    with patch.object(pull_look.pull_probe, "ByApi") as probe:
        probe.return_value.manifest.side_effect = PullDeniedError({"cause": "no"})
        seen: Any = SimpleNamespace(aws=None, opener=None)
        assert pull_look.layers_of(seen, parse_ecr(IMAGE), pull_check.caller_identity()) == []


def test_a_lifecycle_policy_without_rules_takes_nothing() -> None:
    told = {"lifecyclePolicyText": json.dumps({"rules": []})}
    seen: Any = SimpleNamespace(aws=SimpleNamespace(call=lambda *dummy, **dummies: told))
    assert audit_look.expiring(seen, parse_ecr(IMAGE), "sha256:1") is None


def test_an_endpoint_that_has_not_what_its_template_has_is_to_be_rolled_out(house: House) -> None:
    workload: Json = {"image": SEOUL, "template": {"name": SERVED, "args": "--new"}, "endpoint": ENDPOINT}
    house.arrange(workload)
    at_runpod(house, "PATCH", f"serverless/{held(house, 'endpoints', SERVED)}", {"args": "--old"})
    codes = {one["code"] for one in audited(house, workloads=[workload])["findings"]}
    assert "template_not_rolled_out" in codes


@pytest.mark.parametrize(
    ("wished", "remedy"), [(None, BOUND), ("arn:is", BOUND), ("arn:wished", MAIN_JOB), ("", MAIN_JOB)]
)
def test_a_boundary_that_denies_is_mended_by_a_run_where_another_one_is_wished(wished: str | None, remedy: str) -> None:
    user = {"permissions_boundary": "arn:is"}
    options = {"user_permissions_boundary": wished}
    scene: Any = SimpleNamespace(desired=SimpleNamespace(options=options), observed=SimpleNamespace(users=[user]))
    told = with_remedy(scene, Finding(("user",), "error", "boundary_denies", "It denies.", "", ()))
    assert told.remedy == remedy and told.cause.endswith("The boundary is arn:is.")


def test_a_caller_who_gets_no_token_is_told_of_the_caller(house: House) -> None:
    house.arrange(*ONE["workloads"], access="caller")
    house.sandbox.aws.limit_operators(lambda action, *dummy: action != "ecr:GetAuthorizationToken")
    report = audited(house, **ONE, pull_identity="caller")
    house.sandbox.aws.limit_operators(lambda *dummy: True)
    [refused] = [one for one in report["findings"] if one["code"] == "token_not_allowed"]
    assert refused["links"] == ["caller"]


def test_of_credentials_that_cannot_be_listed_no_change_is_foreseen(house: House) -> None:
    house.sandbox.runpod.switch(scopes=["templates:read", "serverless:read", "pods:read"])
    report = audited(house, **ONE)
    remedies = [one["remedy"] for one in report["findings"] if WHOLE in one["remedy"]]
    assert remedies and not any("the credential" in one for one in remedies)
