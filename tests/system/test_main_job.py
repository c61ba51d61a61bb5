# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job as its users run it: one command, nothing but environment variables."""

from __future__ import annotations

import json

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError

from .conftest import ENDPOINT, IMAGE, REGISTRY, SEOUL, USER, House

OTHER_IMAGE = f"{REGISTRY}/runpod-gpu-inference:v1"


def test_a_second_run_changes_nothing(house: House) -> None:
    first = house.main_job("-v")
    assert first.code == 0, first.output
    assert first.recap["changed"] > 0
    state = house.runpod()
    assert '"expires_at"' in first.output
    [registry], [key_id] = state["registries"], house.keys()
    assert registry["username"] == "AWS"
    minted = [call for call in house.sandbox.aws_calls() if call["name"] == "ecr:GetAuthorizationToken"]
    assert {call["access_key"] for call in minted} == {key_id}  # the pull user's

    house.sandbox.forget_calls()
    second = house.main_job("-v", "-e", "runpod_ecr_rotate_after_days=0")
    assert second.recap["changed"] == 0 == second.recap["failed"], second.output
    assert house.runpod() == state
    assert len(house.sandbox.runpod_calls()) <= 4
    assert '"rotation_due": true' in second.output  # reported alone
    assert list(house.keys()) == [key_id]


def test_another_image_is_added_and_takes_nothing_away(house: House) -> None:
    house.arrange()
    run = house.main_job(image=OTHER_IMAGE)
    assert run.code == 0, run.output
    assert house.pullable() == {"runpod-gpu-training", "runpod-gpu-inference"}
    assert len(house.runpod()["templates"]) == 2
    assert len(house.runpod()["registries"]) == 1


def test_check_mode_on_an_empty_account_predicts_and_writes_nothing(house: House) -> None:
    run = house.main_job("--check", "--diff", ANSIBLE_SHOW_CUSTOM_STATS="true")
    assert run.code == 0, run.output
    assert run.recap["changed"] > 0
    assert house.writes() == []
    assert "CUSTOM STATS" not in run.output  # what later jobs of a workflow would take for a result


def test_what_tests_arrange_is_what_a_run_makes_and_check_mode_sees_no_change(house: House) -> None:
    house.arrange()
    run = house.main_job("--check", "--diff")
    assert run.code == 0, run.output
    assert run.recap["changed"] == 0 == run.recap["failed"], run.output


def test_all_images_are_looked_at_before_anything_changes(house: House) -> None:
    good = [IMAGE, f"{REGISTRY}/runpod-gpu-inference:v1"]
    bad = [f"{REGISTRY}/runpod-gpu-training:missing", f"{REGISTRY}/runpod-arm-only:v1"]
    workloads = [
        {"image": image, "template": {"name": f"template-{number}"}}
        for number, image in enumerate([good[0], bad[0], good[1], bad[1]])
    ]
    run = house.main_job("-e", json.dumps({"runpod_ecr_workloads": workloads}))
    assert run.code != 0 and run.recap["changed"] == 0
    said = run.output.rpartition("Nothing was changed. ")[2]
    assert said.startswith("2 of 4 images cannot be pulled.")
    assert f"{bad[0]}: The repository runpod-gpu-training holds no image with the tag missing. Push it" in said
    assert f"{bad[1]}: The image is not for linux/amd64; it is for linux/arm64. Build it" in said
    assert "The other 2 can be pulled." in said and not any(f"{image}: " in said for image in good)
    assert house.users() == [] and house.secrets() == []
    assert house.runpod()["registries"] == [] and house.runpod()["templates"] == []


def test_absent_removes_what_was_made_in_two_regions_and_a_converge_right_after_it_works(house: House) -> None:
    endpoint = {"runpod_ecr_endpoint": ENDPOINT}
    house.arrange(IMAGE, SEOUL, endpoint=ENDPOINT)
    assert [len(house.runpod()[kind]) for kind in ("registries", "templates", "endpoints")] == [2, 2, 2]
    variables = {"runpod_ecr_workloads": [{"image": IMAGE}, {"image": SEOUL}], "runpod_ecr_state": "absent", **endpoint}
    absent = ("-e", json.dumps(variables))
    foreseen = house.main_job(*absent, "--check")
    house.sandbox.forget_calls()
    gone = house.main_job(*absent)
    assert gone.code == 0, gone.output
    # The same way through the tasks, but for the result, which a prediction does not publish.
    assert foreseen.recap["skipped"] == gone.recap["skipped"] + 1
    deletions = [call["name"] for call in house.sandbox.aws_calls() if ":Delete" in call["name"]]
    assert deletions == [  # the policies first
        "iam:DeleteUserPolicy",
        "iam:DeleteAccessKey",
        "secretsmanager:DeleteSecret",
        "iam:DeleteUser",
    ]
    deletions = [call["path"].rpartition("/")[0] for call in house.sandbox.runpod_calls() if call["method"] == "DELETE"]
    assert deletions == [f"/v2/{kind}" for kind in ("serverless", "templates", "registries") for dummy in range(2)]
    assert (house.users(), house.secrets()) == ([], [])
    held = house.runpod()
    assert (held["registries"], held["templates"], held["endpoints"]) == ([], [], [])

    back = house.main_job()
    assert back.code == 0, back.output
    assert list(house.keys().values()) == ["Active"]


def test_absent_removes_a_key_that_is_kept_in_parameter_store(house: House) -> None:
    house.arrange(store="ssm")
    ssm = ("-e", json.dumps({"runpod_ecr_secret_store": {"type": "ssm"}}))
    gone = house.main_job(*ssm, "-e", "runpod_ecr_state=absent")
    assert gone.code == 0, gone.output
    assert (house.users(), house.client("ssm").describe_parameters()["Parameters"]) == ([], [])


def test_the_pull_user_may_have_a_policy_of_aws_and_go_back(house: House) -> None:
    pull_only = ("-e", "runpod_ecr_user_policy=pull_only")
    attached = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"

    def policies() -> list[str]:
        listed = house.client("iam").list_attached_user_policies(UserName=USER)["AttachedPolicies"]
        return [policy["PolicyArn"] for policy in listed]

    house.arrange()
    run = house.main_job(*pull_only)
    assert run.code == 0, run.output
    assert (policies(), house.pullable()) == ([attached], set())

    house.arrange(OTHER_IMAGE, policy="pull_only")
    kept = house.main_job(*pull_only, "-e", "runpod_ecr_state=absent", image=OTHER_IMAGE)
    assert kept.code == 0, kept.output
    assert policies() == [attached]

    back = house.main_job()
    assert back.code == 0, back.output
    assert (policies(), house.pullable()) == ([], {"runpod-gpu-training"})


def test_absent_keeps_what_another_template_needs(house: House) -> None:
    house.arrange()
    house.arrange(OTHER_IMAGE)
    run = house.main_job("-v", "-e", "runpod_ecr_state=absent")
    assert run.code == 0, run.output
    assert "runpod-gpu-inference" in run.output
    assert house.pullable() == {"runpod-gpu-inference"}
    assert [template["name"] for template in house.runpod()["templates"]] == ["runpod-gpu-inference"]
    assert len(house.runpod()["registries"]) == 1
    assert house.users() == [USER]

    house.main_job("-e", "runpod_ecr_state=absent", image=OTHER_IMAGE)
    assert (house.users(), house.secrets(), house.runpod()["registries"]) == ([], [], [])


def test_absent_keeps_a_pull_user_whose_token_a_pod_uses(house: House) -> None:
    house.arrange()
    [registry] = house.runpod()["registries"]
    house.sandbox.runpod.seed("pods", {"name": "trainer", "image": IMAGE, "registry": registry["id"]})
    run = house.main_job("-v", "-e", "runpod_ecr_state=absent")
    assert run.code == 0, run.output
    assert "trainer" in run.output
    assert house.users() == [USER]
    assert house.pullable() == {"runpod-gpu-training"}


def test_a_foreign_key_survives_a_lost_answer(house: House) -> None:
    house.sandbox.fail("^iam:CreateAccessKey$", effect="after", answer="reset")
    with pytest.raises(AwsError, match="CreateAccessKey"):
        house.arrange()
    foreign = house.client("iam").create_access_key(UserName=USER)["AccessKey"]["AccessKeyId"]
    run = house.main_job()
    assert run.code == 0, run.output
    keys = house.keys()
    assert keys.pop(foreign) == "Active"
    assert list(keys.values()) == ["Active"]
    assert json.loads(house.entry())["access_key_id"] in keys
