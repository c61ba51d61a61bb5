# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job as its users run it: one command, nothing but environment variables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import PartialError

from .conftest import ENDPOINT, IMAGE, REGISTRY, ROOT, SEOUL, USER, House, Run

OTHER_IMAGE = f"{REGISTRY}/runpod-gpu-inference:v1"


def tasks(run: Run) -> list[str]:
    """Return the tasks of a run that were not skipped."""
    told = re.split(r"^TASK \[", run.output, flags=re.MULTILINE)[1:]
    return [each.partition("]")[0] for each in told if "\nskipping: " not in each]


def calls(house: House) -> tuple[list[str], list[str]]:
    """Return which calls both clouds got, without the ids that they gave."""
    aws, runpod = house.sandbox.aws_calls(), house.sandbox.runpod_calls()
    return sorted(call["name"] for call in aws), sorted(re.sub("[0-9a-z]{10,}", "ID", call["name"]) for call in runpod)


def test_a_first_run_makes_everything_as_the_tasks_do_in_this_process_and_a_second_changes_nothing(
    house: House,
) -> None:
    endpoint = {"runpod_ecr_endpoint": ENDPOINT}
    assert house.role(endpoint=ENDPOINT).failure == ""
    here = calls(house)
    house.sandbox.reset()

    first = house.main_job("-v", "-e", json.dumps(endpoint))
    assert first.code == 0, first.output
    assert first.recap["changed"] == 4  # user, credential, template, endpoint
    assert len(tasks(first)) <= 16
    assert calls(house) == here
    state = house.runpod()
    [made], [registry], [key_id] = state["endpoints"], state["registries"], house.keys()
    assert (made["name"], made["image"], made["registry"]) == ("runpod-gpu-training", IMAGE, registry["id"])
    assert f'"endpoint_id": "{made["id"]}"' in first.output and '"expires_at"' in first.output
    assert registry["username"] == "AWS"
    minted = [call for call in house.sandbox.aws_calls() if call["name"] == "ecr:GetAuthorizationToken"]
    assert {call["access_key"] for call in minted} == {key_id}  # the pull user's

    house.sandbox.forget_calls()
    second = house.main_job("-v", "-e", json.dumps({**endpoint, "runpod_ecr_rotate_after_days": 0}))
    assert second.recap["changed"] == 0 == second.recap["failed"], second.output
    assert len(tasks(second)) <= 6
    assert house.runpod() == state
    assert len(house.sandbox.runpod_calls()) <= 4
    assert '"rotation_due": true' in second.output  # reported alone
    assert list(house.keys()) == [key_id]


def test_another_image_is_added_and_takes_nothing_away(house: House) -> None:
    house.arrange()
    assert house.role(image=OTHER_IMAGE).failure == ""
    assert house.pullable() == {"runpod-gpu-training", "runpod-gpu-inference"}
    assert len(house.runpod()["templates"]) == 2
    assert len(house.runpod()["registries"]) == 1


def test_check_mode_that_an_include_of_the_role_applies_takes_no_step_either(house: House, tmp_path: Path) -> None:
    playbook = tmp_path / "play.yml"
    playbook.write_text(f"""\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
    runpod_ecr_image: {IMAGE}
  tasks:
    - ansible.builtin.include_role:
        name: gpuops.runpod.runpod_ecr
        apply:
          check_mode: true
""")
    run = house.play(playbook, ANSIBLE_COLLECTIONS_PATH=str(ROOT / "playbooks" / "collections"))
    assert run.code == 0, run.output
    assert run.recap["changed"] == 1 and house.writes() == []


def test_check_mode_on_an_empty_account_predicts_and_writes_nothing(house: House) -> None:
    run = house.main_job("--check", "--diff", ANSIBLE_SHOW_CUSTOM_STATS="true")
    assert run.code == 0, run.output
    assert run.recap["changed"] > 0
    assert house.writes() == []
    assert "CUSTOM STATS" not in run.output  # what later jobs of a workflow would take for a result


def test_what_tests_arrange_is_what_a_run_makes_and_check_mode_sees_no_change(house: House) -> None:
    house.arrange()
    run = house.role(check=True)
    assert (run.failure, run.changed, run.plan["needed"]) == ("", [], [])


def test_a_failure_after_the_first_write_says_what_is_done_and_a_plain_re_run_continues(house: House) -> None:
    house.sandbox.fail("^POST /v2/templates$", answer={"status": 403, "body": {"detail": "no"}}, times=None)
    failed = house.main_job()
    assert failed.code != 0 and failed.recap["changed"] == 2, failed.output
    last = failed.output.rpartition("fatal: ")[2]
    assert "lacks write access to templates" in last and "Nothing was changed" not in last
    assert "Already done: the pull user, the credentials at RunPod. A plain re-run continues." in last
    [key], [registry] = house.keys(), house.runpod()["registries"]

    house.sandbox.mend()
    assert house.role().changed == ["runpod_templates"]
    [template] = house.runpod()["templates"]
    assert list(house.keys()) == [key] and template["registry"] == registry["id"]


def test_a_look_that_fails_after_the_first_write_does_not_say_that_nothing_was_changed(house: House) -> None:
    house.sandbox.fail("^GET /v2/templates$", answer={"status": 403, "body": {"detail": "no"}}, skip=1, times=None)
    failed = house.role(access="public", acknowledge_public=True)
    assert failed.changed == ["ecr_public_repo"]
    assert failed.failure.startswith("GET /templates: HTTP 403")
    assert failed.failure.endswith("Already done: the public repositories. A plain re-run continues.")


def test_each_endpoint_that_cannot_be_removed_is_told_once_with_its_cause(house: House) -> None:
    house.arrange(endpoint=ENDPOINT)
    house.sandbox.fail("DELETE /v2/serverless/.*", answer={"status": 403, "body": {"detail": "no"}}, times=None)
    failed = house.role(state="absent", endpoint=ENDPOINT)
    assert failed.changed == [] and failed.failure.count("HTTP 403") == 1


def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant(house: House) -> None:
    said = (
        "Nothing was changed. runpod_ecr_acess is no variable of the role runpod_ecr; did you mean runpod_ecr_access?"
    )
    run = house.main_job("--check", "-e", "runpod_ecr_acess=delegation")
    assert run.code != 0 and f"Module failed: {said}" in run.output, run.output
    assert house.role(acess="delegation").failure == said
    assert house.sandbox.aws_calls() == house.sandbox.runpod_calls() == []


def test_all_images_are_looked_at_before_anything_changes(house: House) -> None:
    good = [IMAGE, f"{REGISTRY}/runpod-gpu-inference:v1"]
    bad = [f"{REGISTRY}/runpod-gpu-training:missing", f"{REGISTRY}/runpod-arm-only:v1"]
    workloads = [
        {"image": image, "template": {"name": f"template-{number}"}}
        for number, image in enumerate([good[0], bad[0], good[1], bad[1]])
    ]
    said = house.role(workloads=workloads).failure
    assert said.startswith("Nothing was changed. 2 of 4 images cannot be pulled.")
    assert f"{bad[0]}: The repository runpod-gpu-training holds no image with the tag missing. Push it" in said
    assert f"{bad[1]}: The image is not for linux/amd64; it is for linux/arm64. Build it" in said
    assert "The other 2 can be pulled." in said and not any(f"{image}: " in said for image in good)
    assert house.writes() == []


def test_absent_removes_what_was_made_in_two_regions_and_a_converge_right_after_it_works(house: House) -> None:
    house.arrange(IMAGE, SEOUL, endpoint=ENDPOINT)
    assert [len(house.runpod()[kind]) for kind in ("registries", "templates", "endpoints")] == [2, 2, 2]
    house.sandbox.forget_calls()
    gone = house.role(image="", workloads=[{"image": IMAGE}, {"image": SEOUL}], state="absent", endpoint=ENDPOINT)
    assert gone.failure == ""
    deletions = [call["name"] for call in house.sandbox.aws_calls() if ":Delete" in call["name"]]
    assert deletions == [  # the policies first
        "iam:DeleteUserPolicy",
        "iam:DeleteAccessKey",
        "iam:DeleteUser",
        "secretsmanager:DeleteSecret",  # the last: it is the lock of two runs
    ]
    deletions = [call["path"].rpartition("/")[0] for call in house.sandbox.runpod_calls() if call["method"] == "DELETE"]
    assert deletions == [f"/v2/{kind}" for kind in ("serverless", "templates", "registries") for dummy in range(2)]
    assert (house.users(), house.secrets()) == ([], [])
    held = house.runpod()
    assert (held["registries"], held["templates"], held["endpoints"]) == ([], [], [])

    assert house.role().failure == ""
    assert list(house.keys().values()) == ["Active"]


def test_absent_removes_a_key_that_is_kept_in_parameter_store(house: House) -> None:
    house.arrange(store="ssm")
    assert house.role(state="absent", secret_store={"type": "ssm"}).failure == ""
    assert (house.users(), house.client("ssm").describe_parameters()["Parameters"]) == ([], [])


def test_the_pull_user_may_have_a_policy_of_aws_and_go_back(house: House) -> None:
    attached = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"

    def policies() -> list[str]:
        listed = house.client("iam").list_attached_user_policies(UserName=USER)["AttachedPolicies"]
        return [policy["PolicyArn"] for policy in listed]

    house.arrange()
    assert house.role(user_policy="pull_only").failure == ""
    assert (policies(), house.pullable()) == ([attached], set())

    house.arrange(OTHER_IMAGE, policy="pull_only")
    assert house.role(user_policy="pull_only", state="absent", image=OTHER_IMAGE).failure == ""
    assert policies() == [attached]

    assert house.role().failure == ""
    assert (policies(), house.pullable()) == ([], {"runpod-gpu-training"})


def test_absent_keeps_what_another_template_needs(house: House) -> None:
    house.arrange()
    house.arrange(OTHER_IMAGE)
    run = house.role(state="absent")
    assert run.failure == ""
    assert [warning for warning in run.warnings if "runpod-gpu-inference" in warning] == run.warnings != []
    assert house.pullable() == {"runpod-gpu-inference"}
    assert [template["name"] for template in house.runpod()["templates"]] == ["runpod-gpu-inference"]
    assert len(house.runpod()["registries"]) == 1
    assert house.users() == [USER]

    assert house.role(state="absent", image=OTHER_IMAGE).failure == ""
    assert (house.users(), house.secrets(), house.runpod()["registries"]) == ([], [], [])


def test_absent_keeps_a_pull_user_whose_token_a_pod_uses(house: House) -> None:
    house.arrange()
    [registry] = house.runpod()["registries"]
    house.sandbox.runpod.seed("pods", {"name": "trainer", "image": IMAGE, "registry": registry["id"]})
    run = house.role(state="absent")
    assert run.failure == ""
    assert "trainer" in str(run.result["warnings"])
    assert house.users() == [USER]
    assert house.pullable() == {"runpod-gpu-training"}


def test_a_foreign_key_survives_a_lost_answer(house: House) -> None:
    house.sandbox.fail("^iam:CreateAccessKey$", effect="after", answer="reset")
    with pytest.raises(PartialError, match="CreateAccessKey.*A plain re-run continues"):
        house.arrange()
    foreign = house.client("iam").create_access_key(UserName=USER)["AccessKey"]["AccessKeyId"]
    assert house.role().failure == ""
    keys = house.keys()
    assert keys.pop(foreign) == "Active"
    assert list(keys.values()) == ["Active"]
    assert json.loads(house.entry())["access_key_id"] in keys
