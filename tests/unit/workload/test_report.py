# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit reports of chains, in words and over time."""

from __future__ import annotations

import json

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.observed import EndpointLook
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.report import FINE
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.report import audit as judge
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import workloads
from tests.system.conftest import IMAGE, REGISTRY, USER, House

from .audits import SERVED, TRAINING, WORKLOADS, Json, audited, observed
from .test_audit import DENIED, endpoint_scaled, quarantined, tag_gone

EAST = f"{USER}-123456789012-us-east-1"


def links(report: Json, name: str = TRAINING) -> dict[str, Json]:
    return {link["kind"]: link for one in report["workloads"] if one["name"] == name for link in one["links"]}


def details(report: Json, name: str = TRAINING) -> dict[str, str]:
    return {kind: link["detail"] for kind, link in links(report, name).items()}


def test_a_report_of_what_is_well(house: House) -> None:
    house.arrange(*WORKLOADS)
    report = audited(house)
    assert json.loads(json.dumps(report)) == report
    assert (report["access"], report["user"], report["since"]) == ("credential", USER, None)
    assert report["answer"] == [FINE, "Not proved: whether RunPod can pull all workloads."]
    colours = {"red": 0, "amber": 0, "grey": 0, "unproven": 2, "green": 0}
    assert report["summary"] == {**colours, "workloads": 2, "findings": 0, "orphans": 0}
    proof = report["workloads"][0]["proof"]
    assert (
        not proof["proved"]
        and proof["since"] <= report["generated_at"]
        and "starts with this image" in proof["would_prove"]
    )


def test_a_worker_that_has_started_since_proves_the_pull(house: House) -> None:
    house.arrange(*WORKLOADS)
    desired, seen = observed(house)
    [look] = [one for one in seen.endpoints.values() if isinstance(one, EndpointLook)]
    ready = {"id": "w1", "status": "RUNNING", "is_stale": False, "started_at": "2999-01-01T00:00:00Z"}
    for worker, proved in ((ready, True), ({**ready, "is_stale": True}, False), ({**ready, "started_at": None}, False)):
        judged = seen._replace(endpoints={SERVED: look._replace(workers=(worker,))})
        [served] = [one for one in judge(desired, judged)["workloads"] if one["name"] == SERVED]
        assert (served["proof"]["proved"], served["status"]) == (proved, "green" if proved else "unproven")


def test_remedies_repeat_how_the_audit_was_called(house: House) -> None:
    report = audited(house, arguments=["-e", "@fleet vars.yml"])
    assert any("gpuops.runpod.runpod_ecr -e '@fleet vars.yml'" in one["remedy"] for one in report["findings"])
    assert "VARIABLES" not in json.dumps(report)


def test_links_tell_what_is_known(house: House) -> None:
    house.arrange(*WORKLOADS)
    report = audited(house)
    told = details(report, SERVED)
    assert list(told) == ["image", "user", "key", "credential", "template", "endpoint"]
    assert list(links(report)) == list(told)[:-1]  # an endpoint only where one is asked for
    assert told["image"].startswith("sha256:") and told["image"].endswith("linux/amd64")
    assert told["user"] == "may pull 2 repositories"
    assert told["key"].startswith("0 days old, last used ")
    assert told["credential"].startswith("works until ")
    assert (told["template"], told["endpoint"]) == ("runs the image", "runs the image, release 1")
    assert links(report)["image"]["facts"]["pullable"] is True


def test_links_tell_what_is_not_there(house: House) -> None:
    told = details(audited(house), SERVED)
    assert told == {**dict.fromkeys(told, "not found"), "image": told["image"]}
    tag_gone(house)
    assert details(audited(house))["image"] == "not found"


def test_links_tell_what_could_not_be_looked_at(house: House) -> None:
    house.arrange(*WORKLOADS)
    house.sandbox.fail("^(GET /v2/.*)$", server="runpod", times=None, answer={"status": 403, "body": {"detail": "no"}})
    house.sandbox.fail("^(iam:GetUser|secretsmanager:GetSecretValue|ecr:BatchGetImage)$", times=None, answer=DENIED)
    told = details(audited(house))
    assert {told[kind] for kind in ("user", "key", "credential", "template")} == {"not looked at"}
    desired, seen = observed(house)
    assert details(judge(desired, seen._replace(images=[], proof=None)))["image"] == "not looked at"


def test_a_pull_that_was_not_tried_is_not_proved_and_said_so(house: House) -> None:
    house.arrange(*WORKLOADS)
    desired, seen = observed(house)
    report = judge(desired, seen._replace(proof=None))
    assert report["answer"] == [FINE, "Not proved: whether RunPod can pull all workloads."]
    assert {one["proof"]["how"] for one in report["workloads"]} == {"The pull was not tried."}
    assert report["summary"]["unproven"] == 2


def test_a_pull_that_failed_says_so(house: House) -> None:
    house.arrange(*WORKLOADS)
    tag_gone(house)
    report = audited(house)
    assert [(one["name"], one["status"]) for one in report["workloads"]] == [(TRAINING, "red"), (SERVED, "unproven")]
    assert report["workloads"][0]["proof"]["how"] == f"ECR did not give the image to the pull user {USER}."
    assert report["answer"][0].startswith(f"RED {TRAINING}: The repository runpod-gpu-training holds no image")


def test_links_of_the_other_ways(house: House) -> None:
    wish: Json = {"workloads": [{"image": IMAGE, "template": {"name": TRAINING}}]}
    house.arrange(*wish["workloads"], access="delegation")
    told = details(audited(house, **wish, access="delegation"))
    assert told["delegation"].endswith("its pull is unproven")
    house.client("ecr").delete_repository_policy(repositoryName="runpod-gpu-training")
    assert details(audited(house, **wish, access="delegation"))["policy"] == "differs from what RunPod needs"
    house.arrange(*wish["workloads"], access="public")
    link = links(audited(house, **wish, access="public"))["public_image"]
    assert link["name"].startswith("public.ecr.aws/") and link["facts"]["digest"]
    house.arrange(*wish["workloads"], access="caller")
    link = links(audited(house, **wish, pull_identity="caller"))["caller"]
    assert link["name"].startswith("arn:aws:") and link["detail"] == "RunPod can pull whatever this identity can"


def test_the_pull_user_in_words(house: House) -> None:
    house.arrange(IMAGE)
    wish: Json = {"workloads": [{"image": IMAGE, "template": {"name": TRAINING}}]}
    assert details(audited(house, **wish))["user"] == "may pull 1 repository"
    quarantined(house)
    assert details(audited(house, **wish))["user"] == "in quarantine"


def test_keys_and_tokens_stand_on_a_time_line(house: House) -> None:
    house.arrange(*WORKLOADS)
    house.client("iam").create_access_key(UserName=USER)
    report = audited(house)
    bars = {one["note"]: one for one in report["timeline"]}
    assert (bars["not in the store"]["kind"], bars["us-east-1"]["name"]) == ("key", EAST)
    assert links(report)["key"]["name"] == bars["in the store"]["name"]
    assert bars["us-east-1"]["starts_at"] <= report["generated_at"] < bars["us-east-1"]["ends_at"]
    assert bars["us-east-1"]["status"] == "green"


def test_a_token_may_be_unknown(house: House) -> None:
    house.arrange(*WORKLOADS, access="caller")
    report = audited(house, pull_identity="caller")
    assert details(report)["credential"] == "until when it works is not known" and report["timeline"] == []


@pytest.mark.parametrize(
    ("broken", "whom"), [(1, "app-0"), (5, "app-0, app-1, app-2 and 2 more"), (6, "all workloads")]
)
def test_sentences_name_a_few_or_all(house: House, broken: int, whom: str) -> None:
    house.arrange(*WORKLOADS)
    desired, seen = observed(house)
    items = workloads([{"image": f"{REGISTRY}/app-{number}:v1"} for number in range(6)], {})
    finding = {"code": "tag_not_found", "severity": "error", "cause": "It is gone.", "remedy": "Push it."}
    image = {"digest": None, "platforms": [], "size": None, "pullable": False, "findings": [finding]}
    proof = [{"image": item["image"], **image} for item in items[:broken]]
    report = judge(desired._replace(items=items), seen._replace(proof=proof, templates=None))
    assert report["answer"][0] == f"RED {whom}: It is gone. Remedy: Push it."


def test_the_same_remedy_of_several_findings_is_told_once(house: House) -> None:
    answer = audited(house)["answer"]
    called = [text.partition(" Remedy: ")[2] for text in answer if text.startswith("RED ")]
    assert len(called) > 2 and "gpuops.runpod.runpod_ecr" in called[0] and set(called[1:]) == {"the same."}


def test_the_worst_comes_first_then_what_comes_first_in_the_chain(house: House) -> None:
    house.arrange(*WORKLOADS)
    tag_gone(house)
    endpoint_scaled(house)
    report = audited(house, rotate_after_days=0)
    assert [one["code"] for one in report["findings"]][:3] == ["tag_not_found", "rotation_due", "endpoint_drift"]
