# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role's audit reads of clouds in which nothing is wrong, to be spoilt by the tests."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit import DesiredState
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.report import audit
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import workloads

Json = dict[str, Any]

NOW = datetime(2026, 8, 13, 12, 0, tzinfo=UTC)
KEY, OTHER_KEY = "AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"
USER = "runpod-ecr-access"
EAST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
TRAINING, APP = f"{EAST}/training:v1", f"{EAST.replace('us-east-1', 'ap-northeast-2')}/team/app:v1"
PUBLIC = "public.ecr.aws/a1b2c3d4/training:v1"
TRAINING_ARN = "arn:aws:ecr:us-east-1:123456789012:repository/training"
APP_ARN = "arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app"
CREDENTIALS = {"us-east-1": "token-east", "ap-northeast-2": "token-seoul"}
DIGEST = "sha256:" + "0" * 64
GPU = {"type": "QUEUE", "gpu": {"pools": ["ADA_24"], "count": 1}}
ITEMS = workloads([{"image": TRAINING}, {"image": APP, "endpoint": GPU}], {"serverless": True})


def asked(**given: Any) -> DesiredState:
    usual: Json = {
        "access": "credential",
        "pull_identity": "user",
        "user": USER,
        "secret_store": {"name": f"runpod-ecr/{USER}"},
        "credentials": CREDENTIALS,
        "images": {},
        "purge": False,
        "rotate_after_days": 90,
        "roles": None,
    }
    return DesiredState(**{**usual, **given})


def image(reference: str, *findings: Json, **given: Any) -> Json:
    usual = {"image": reference, "digest": DIGEST, "platforms": ["linux/amd64"], "size": 1, "pullable": True}
    return {**usual, "findings": list(findings), **given}


def finding(code: str, severity: str = "error", **given: Any) -> Json:
    return {"code": code, "severity": severity, "cause": f"cause of {code}", "remedy": f"remedy of {code}", **given}


def of_user(code: str, severity: str = "error") -> Json:
    return finding(code, severity, user=USER)


def of_account(code: str, kind: str, name: str, identifier: str = "x", severity: str = "error", **given: Any) -> Json:
    return finding(code, severity, **{"kind": kind, "id": identifier, "name": name, **given})


def healthy() -> dict[str, Any]:
    """Return the reads of an account as a run leaves it."""
    template = {"image": TRAINING, "env": {}, "disk": 50}
    return copy.deepcopy(
        {
            "images": {"images": [image(TRAINING), image(APP)]},
            "proof": {"images": [image(TRAINING), image(APP)]},
            "user": {"users": [pull_user()], "findings": []},
            "user_foreseen": {"user": {}, "diff": {"before": foreseen(), "after": foreseen()}},
            "account": {
                "references": {},
                "findings": [],
                "registries": [
                    {"id": "id-east", "name": "token-east"},
                    {"id": "id-seoul", "name": "token-seoul-alt"},
                    {"id": "id-other", "name": "other"},
                ],
                "templates": [
                    {"id": "t1", "name": "training", "registry": "id-east", **template},
                    {"id": "t2", "name": "team-app", "registry": "id-seoul", **template},
                ],
                "endpoints": [{"id": "e1", "name": "team-app", "image": APP, "registry": "id-seoul"}],
                "pods": [],
                "delegations": [],
            },
            "templates": {"templates": [], "diff": {"before": {"templates": []}, "after": {"templates": []}}},
            "endpoints": {"results": [looked()]},
        }
    )


def pull_user(**given: Any) -> Json:
    usual = {
        "name": USER,
        "arn": f"arn:aws:iam::123456789012:user/runpod/{USER}",
        "quarantined": False,
        "policies": [policy()],
        "access_keys": [key(KEY)],
        "secret_store": {
            "tokens": [token("id-east", "2026-08-13T23:00:00Z"), token("id-seoul", "2026-08-13T22:00:00Z")]
        },
    }
    return {**usual, **given}


def policy(**drift: Any) -> Json:
    return {"repositories": [APP_ARN, TRAINING_ARN], "drift": {"missing": [], "extra": [], "other": False, **drift}}


def key(identifier: str, **given: Any) -> Json:
    usual = {"id": identifier, "status": "Active", "created": "2026-07-01T12:00:00Z", "age_days": 43, "ours": True}
    used = {"last_used": {"date": "2026-08-13T11:00:00Z", "service": "ecr", "region": "us-east-1"}}
    return {**usual, **used, "stored": True, "rotation_due": False, **given}


def token(registry: str, ends: str) -> Json:
    return {"registry_id": registry, "expires_at": ends, "access_key_id": KEY}


def foreseen(**given: Any) -> Json:
    about = {"path": "/runpod/", "permissions_boundary": None, "tags": {"gpuops.runpod/managed": "true"}, **given}
    return {"user": about, "policy": {"kind": about.pop("kind", "repositories")}}


def looked(**given: Any) -> Json:
    """Return what a look at the endpoint brought."""
    state = {"id": "e1", "name": "team-app", "image": APP, "registry": "id-seoul"}
    rollout = {"in_progress": False, "workers_on_latest": 2, "workers_total": 2}
    usual = {
        "__runpod_ecr_endpoint": {"name": "team-app"},
        "endpoint": state,
        "release": {"version": 3, "rollout": rollout, "changes": []},
        "diff": {"before": state, "after": state},
    }
    return {**usual, **given}


def delegated() -> tuple[DesiredState, dict[str, Any]]:
    """Return what is asked for and read with delegations."""
    reads = healthy()
    drift: Json = {"missing": [], "outdated": []}
    arns = (TRAINING_ARN, APP_ARN)
    reads["policies"] = {
        "policies": [{"arn": arn, "changed": False, "drift": drift} for arn in arns],
        "diff": {"before": {arn: {"Statement": []} for arn in arns}},
    }
    reads["account"]["delegations"] = [
        {
            "id": f"d-{repository}",
            "aws_user": "123456789012",
            "aws_region": region,
            "repository": repository,
            "repository_arn": arn,
            "created_at": "2026-08-01T00:00:00Z",
        }
        for repository, region, arn in (
            ("training", "us-east-1", TRAINING_ARN),
            ("team/app", "ap-northeast-2", APP_ARN),
        )
    ]
    reads["account"]["registries"] = []
    for name in ("user", "user_foreseen", "proof"):
        del reads[name]
    return asked(access="delegation", user="", credentials={}), reads


def report(
    reads: Json, wanted: DesiredState | None = None, items: list[Json] = ITEMS, patterns: tuple[str, ...] = ()
) -> Json:
    return audit(items, wanted or asked(), reads, NOW, patterns)


def broken(told: Json) -> dict[tuple[str, str], list[str]]:
    """Return every link that is not green, with the codes of what is wrong."""
    codes = {one["number"]: one["code"] for one in told["findings"]}
    return {
        (workload["name"], link["kind"]): [codes[number] for number in link["findings"]]
        for workload in told["workloads"]
        for link in workload["links"]
        if link["status"] != "green"
    }
