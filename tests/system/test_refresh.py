# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scheduler runs every four hours."""

from __future__ import annotations

from .conftest import IMAGE, SEOUL, House, Run

TWO_REGIONS = [{"image": IMAGE}, {"image": SEOUL}]


def refresh(house: House, *arguments: str) -> Run:
    return house.play("playbooks/refresh.yml", "-e", f"runpod_ecr_image={IMAGE}", *arguments)


def test_only_what_ends_soon_is_renewed_without_asking_iam(house: House) -> None:
    house.sandbox.aws.switch(token_seconds=3600)
    house.arrange()
    [before] = house.runpod()["registries"]
    house.sandbox.aws.switch(token_seconds=12 * 3600)
    house.sandbox.forget_calls()

    first = refresh(house, "-v")
    assert first.code == 0, first.output
    [after] = house.runpod()["registries"]
    assert after["id"] == before["id"] and after["password"] != before["password"]
    assert '"expires_at"' in first.output
    services = {call["name"].partition(":")[0] for call in house.sandbox.aws_calls()}
    assert services == {"secretsmanager", "ecr"}

    house.sandbox.forget_calls()
    second = house.role("refresh")
    assert (second.failure, second.changed) == ("", [])
    assert [call["name"] for call in house.sandbox.runpod_calls()] == ["GET /v2/registries"]


def test_one_region_that_fails_does_not_keep_another_from_being_renewed(house: House) -> None:
    house.sandbox.aws.switch(token_seconds=3600)
    house.arrange(IMAGE, SEOUL)
    house.sandbox.aws.switch(token_seconds=12 * 3600)
    seoul = next(held for held in house.runpod()["registries"] if "ap-northeast-2" in held["name"])
    house.sandbox.fail(f"PATCH /v2/registries/{seoul['id']}", answer={"status": 422, "body": {"detail": "no"}})

    run = house.role("refresh", workloads=TWO_REGIONS)
    assert "still works" in run.failure or "works until" in run.failure
    assert run.failure.endswith("Already done: the credentials at RunPod. A plain re-run continues.")
    held = {registry["id"]: registry["password"] for registry in house.runpod()["registries"]}
    assert held[seoul["id"]] == seoul["password"]

    house.sandbox.mend()
    mended = house.role("refresh", workloads=TWO_REGIONS)
    assert (mended.failure, mended.changed) == ("", ["runpod_ecr_refresh"])


def test_tokens_of_the_user_in_regions_that_no_image_of_this_run_is_in_are_renewed_too(house: House) -> None:
    """A converge of another image, by an answer to a survey say, must not die when its token does."""
    house.sandbox.aws.switch(token_seconds=3600)
    house.arrange(IMAGE, SEOUL)
    foreign = house.sandbox.runpod.seed("registries", {"name": "other-user-123456789012-eu-west-1", "username": "AWS"})
    house.sandbox.aws.switch(token_seconds=12 * 3600)
    before = {one["name"]: one.get("password") for one in house.runpod()["registries"]}

    foreseen = house.role("refresh", check=True)
    steps = {step["name"] for step in foreseen.plan["steps"] if step["action"] != "none"}
    run = house.role("refresh")
    assert (run.failure, run.changed) == ("", ["runpod_ecr_refresh"])
    after = {one["name"]: one.get("password") for one in house.runpod()["registries"]}
    renewed = {name for name, password in after.items() if password != before[name]}
    assert renewed == steps and len(renewed) == 2
    assert "other-user-123456789012-eu-west-1" not in renewed, foreign


def test_a_refresh_without_tokens_is_an_error(house: House) -> None:
    assert "nothing to refresh" in house.role("refresh", access="delegation").failure


def test_a_refresh_before_the_first_run_says_what_to_run(house: House) -> None:
    assert "ecr_pull_user" in house.role("refresh").failure
    assert house.runpod()["registries"] == []
