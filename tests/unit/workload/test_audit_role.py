# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of a pull role, which it assumes to prove the pull, and of a role that somebody else keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ConflictError
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.iam_user import spelled_otherwise
from ansible_collections.gpuops.runpod.plugins.module_utils._workload import audit_look
from tests.system.conftest import REGISTRY, USER, House

from .audits import SERVED, TRAINING, WORKLOADS, Json, audited, broken

OPERATOR = "arn:aws:iam::123456789012:user/operator"
TRUST: list[Json] = [{"principal_arns": [OPERATOR]}]
ROLE: Json = {"pull_identity": "role", "role_trust": TRUST}
LENT: Json = {"pull_identity": "caller", "role_arn": "arn:aws:iam::123456789012:role/runpod/lent"}


@pytest.fixture
def kept(house: House) -> House:
    assert house.role(**ROLE, workloads=WORKLOADS).failure == ""
    return house


def audit(house: House, **options: Any) -> Json:
    return audited(house, **{**ROLE, **options})


def links(report: Json) -> dict[str, Json]:
    return {each["kind"]: each for each in report["workloads"][0]["links"]}


def everywhere(kind: str, *codes: str) -> dict[tuple[str, str], list[str]]:
    return {(name, kind): [*codes] for name in (TRAINING, SERVED)}


def causes(report: Json) -> str:
    return " ".join(one["cause"] for one in report["findings"])


def trust(house: House) -> Json:
    document: Json = house.client("iam").get_role(RoleName=USER)["Role"]["AssumeRolePolicyDocument"]
    return document


def test_what_the_role_pulls_is_shown_by_the_role(kept: House) -> None:
    report = audit(kept)
    assert broken(report) == {} and report["orphans"] == []
    assert report["workloads"][0]["proof"]["how"].startswith(f"ECR gave the image to the pull role {USER} at ")
    assert list(links(report)) == ["image", "role", "credential", "template"]
    assert links(report)["role"]["name"] == USER and links(report)["role"]["facts"]["trust"] == trust(kept)
    assert [one["status"] for one in report["findings"] if one["code"] == "token_unknown"] == ["green", "green"]


def test_a_role_that_is_gone(kept: House) -> None:
    iam = kept.client("iam")
    iam.delete_role_policy(RoleName=USER, PolicyName="gpuops-runpod-pull")
    iam.delete_role(RoleName=USER)
    report = audit(kept)
    assert set(report["workloads"][0]["links"][1]) and links(report)["role"]["detail"] == "not found"
    assert "pull_role_missing" in {one["code"] for one in report["findings"]} and report["status"] == "red"


def test_a_role_that_lost_its_policy(kept: House) -> None:
    kept.client("iam").delete_role_policy(RoleName=USER, PolicyName="gpuops-runpod-pull")
    report = audit(kept)
    assert {kind for dummy, kind in broken(report)} == {"role"} and report["status"] == "red"
    assert "runpod_ecr_user_policy, runpod_ecr_user_repositories" in causes(report)


def test_a_trust_that_somebody_widened(kept: House) -> None:
    document = trust(kept)
    document["Statement"][0]["Principal"]["AWS"] = [OPERATOR, "arn:aws:iam::123456789012:root"]
    kept.client("iam").update_assume_role_policy(RoleName=USER, PolicyDocument=json.dumps(document))
    report = audit(kept)
    assert broken(report) == everywhere("role", "pull_role_drift") and report["status"] == "amber"
    assert "runpod_ecr_role_trust" in causes(report)


def test_actions_that_somebody_added(kept: House) -> None:
    document = kept.client("iam").get_role_policy(RoleName=USER, PolicyName="gpuops-runpod-pull")["PolicyDocument"]
    document["Statement"][1]["Action"] = "ecr:*"
    policy = json.dumps(document)
    kept.client("iam").put_role_policy(RoleName=USER, PolicyName="gpuops-runpod-pull", PolicyDocument=policy)
    assert broken(audit(kept)) == everywhere("role", "pull_role_drift")


def test_who_may_not_assume_the_role_proves_nothing_and_says_so(kept: House) -> None:
    document = trust(kept)
    document["Statement"][0]["Condition"] = {"StringEquals": {"sts:ExternalId": "team"}}
    kept.client("iam").update_assume_role_policy(RoleName=USER, PolicyDocument=json.dumps(document))
    report = audit(kept, role_trust=None)
    assert {(one["code"], one["status"]) for one in report["findings"] if one["status"] != "green"} == {
        ("not_looked_at", "grey")
    }
    assert "sts:AssumeRole: AccessDenied" in causes(report)
    assert broken(audit(kept, role_trust=None, role_external_id="team")) == {}


def test_a_user_s_credentials_beside_the_role_s_are_left_of_another_way(house: House) -> None:
    house.arrange(*WORKLOADS)
    assert house.role(**ROLE, workloads=WORKLOADS, adopt=True).failure == ""
    names = [f"{USER}-123456789012-{region}" for region in ("us-east-1", "ap-northeast-2")]
    causes = " ".join(one["cause"] for one in audit(house)["orphans"])
    assert all(name in causes for name in names)


def test_a_role_that_somebody_else_keeps(house: House) -> None:
    house.call("ecr_pull_role", {"name": "lent", "trust": TRUST, "policy": "read_only"})
    assert house.role(**LENT, workloads=WORKLOADS).failure == ""
    report = audited(house, **LENT)
    assert broken(report) == {}
    assert report["workloads"][0]["proof"]["how"].startswith(f"ECR gave the image to the role {LENT['role_arn']} at ")
    assert links(report)["caller"]["name"] == LENT["role_arn"]
    house.client("iam").detach_role_policy(
        RoleName="lent", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
    )
    assert {kind for dummy, kind in broken(audited(house, **LENT))} == {"caller"}


RETIRING = "-e runpod_ecr_retire_former_identity=true"


def left(report: Json) -> list[tuple[str, str | None]]:
    """Credentials that nothing refers to have a remedy of their own."""
    orphans = [one for one in report["orphans"] if one["kind"] != "registry"]
    assert [one["remedy"] for one in orphans if not one["remedy"].endswith(RETIRING)] == []
    return [(one["kind"], one["name"]) for one in orphans]


def test_a_former_identity_is_left_until_it_is_retired(house: House) -> None:
    house.arrange(*WORKLOADS)
    assert house.role(**ROLE, workloads=WORKLOADS, adopt=True).failure == ""
    assert left(audit(house)) == [("user", USER)]
    assert house.role(**ROLE, workloads=WORKLOADS, retire_former_identity=True).failure == ""
    assert left(audit(house)) == []
    assert house.role(workloads=WORKLOADS, adopt=True).failure == ""
    assert left(audited(house)) == [("role", USER)]
    assert house.role(workloads=WORKLOADS, retire_former_identity=True).failure == ""
    assert left(audited(house)) == []


def test_a_user_whose_credential_the_caller_took_over_is_left(house: House) -> None:
    house.arrange(*WORKLOADS)
    assert house.role(pull_identity="caller", workloads=WORKLOADS).failure == ""
    assert left(audited(house, pull_identity="caller")) == [("user", USER)]


def test_an_identity_with_which_something_else_pulls_is_in_use(kept: House) -> None:
    other = [{"image": f"{REGISTRY}/runpod-gpu-inference:v1"}]
    assert kept.role(workloads=other).failure == ""
    assert left(audited(kept, workloads=other)) == []
    kept.client("iam").tag_user(UserName=USER, Tags=[{"Key": "a", "Value": "b"}])
    assert ("user", USER) not in left(audit(kept))


def test_who_else_made_one_of_the_name_is_no_former_identity(kept: House) -> None:
    kept.client("iam").create_user(UserName=USER)
    assert left(audit(kept)) == []


def test_a_user_of_the_name_in_another_spelling_is_no_former_identity(
    kept: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IAM tells of it whatever the case; moto does not."""

    def told(dummy: Aws, name: str) -> None:
        raise ConflictError(spelled_otherwise(name, name.upper()))

    monkeypatch.setattr(audit_look, "find_user", told)
    assert left(audit(kept)) == []


@pytest.mark.parametrize(("answer", "codes"), [("AccessDenied", set()), ("ServiceFailure", {"unreadable"})])
def test_a_former_identity_that_cannot_be_looked_for_hides_nothing(kept: House, answer: str, codes: set[str]) -> None:
    kept.sandbox.fail("iam:GetUser", times=None, answer={"status": 403, "code": answer, "text": "no"})
    report = audit(kept)
    assert {one["code"] for one in report["findings"] if one["status"] != "green"} == codes
