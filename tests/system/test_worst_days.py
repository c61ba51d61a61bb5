# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Days on which nothing is as it should be: clocks, sessions, quotas, pages, proxies, and runs that are killed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.faults.world import state
from tests.processes import kill

from .conftest import ENDPOINT, IMAGE, USER, House
from .worker import Clock, Runs, until

DAY = timedelta(days=1)
EXPIRED = {"code": "ExpiredTokenException", "message": "The security token included is expired", "status": 400}
SKEWED = {"code": "RequestTimeTooSkewed", "message": "The time differs too much from the current time", "status": 403}


@pytest.fixture
def clock(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The one of the runs and of AWS; pauses pass on it alone."""
    clock = Clock()
    monkeypatch.setattr("time.sleep", clock.sleep)
    monkeypatch.setattr(house.sandbox.aws, "clock", lambda: clock.now().timestamp())
    house.sandbox.runpod.switch(rate_limits=None)
    house.runs = Runs(house.sandbox.environment, sleep=clock.sleep, clock=clock.now)
    yield clock


def well(house: House, entry: str = "main", **options: Any) -> list[str]:
    """Run the role, which succeeds; return what it changed."""
    played = house.role(entry, **options)
    assert played.failure == ""
    return played.changed


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_that_is_wrong_by_ten_minutes_does_no_harm(house: House, clock: Clock, minutes: int) -> None:
    house.runs = Runs(
        house.sandbox.environment, sleep=clock.sleep, clock=lambda: clock.now() + timedelta(minutes=minutes)
    )
    well(house, endpoint=ENDPOINT)
    assert well(house, endpoint=ENDPOINT) == []
    assert well(house, "refresh") == []
    well(house, "rotate", rotate_after_days=0)
    assert well(house, endpoint=ENDPOINT) == []
    house.stored()


def test_a_clock_that_aws_refuses_is_named_before_anything_is_written(house: House, clock: Clock) -> None:
    house.sandbox.fail(".*", server="aws", answer=SKEWED, times=None)
    failed = house.role()
    assert re.search("RequestTimeTooSkewed.*clock of this machine", failed.failure), failed.failure
    assert house.writes() == []


@pytest.mark.parametrize("after", range(4, 24, 4))
def test_a_session_that_ends_in_mid_run_is_named_and_a_run_with_the_next_one_finishes(
    house: House, clock: Clock, after: int
) -> None:
    house.sandbox.fail(".*", server="aws", answer=EXPIRED, skip=after, times=None)
    failed = house.role()
    assert "log in again" in failed.failure.lower()
    assert ("Already done" in failed.failure) == bool(house.writes())
    house.sandbox.mend()
    clock.slept += 600
    well(house)
    house.good("secretsmanager")


def test_rights_and_keys_that_need_a_minute_are_waited_for(house: House, clock: Clock) -> None:
    house.sandbox.aws.switch(propagation_seconds=60)
    well(house)
    assert clock.slept >= 60
    well(house, "rotate", rotate_after_days=0)
    clock.slept += 120
    assert well(house) == []


def test_a_quota_that_is_spent_for_the_day_is_told_and_a_run_on_the_next_day_finishes(
    house: House, clock: Clock
) -> None:
    for spent in range(3, 12, 2):
        house.sandbox.runpod.switch(rate_limits={"minute": 100, "hour": 100, "day": spent})
        failed = house.role(image=IMAGE, endpoint=ENDPOINT)
        house.sandbox.runpod.switch(rate_limits=None)
        if failed.failure:
            assert "quota" in failed.failure and re.search(r"\d h|hours|day", failed.failure), failed.failure
        clock.slept += DAY.total_seconds()
        well(house, endpoint=ENDPOINT)
        well(house, endpoint=ENDPOINT, state="absent")
        assert [house.runpod()[kind] for kind in ("registries", "templates", "endpoints")] == [[], [], []]


def test_an_account_of_five_thousand_is_read_to_its_last_page(house: House, clock: Clock) -> None:
    world = house.sandbox.runpod
    template = world.seed("templates", {"name": "another"})
    place = {"awsUser": "123456789012", "awsRegion": "us-east-1", "repository": "team/app"}
    delegation = world.seed("delegations", {"name": None, "tag": "v1", **place})
    for number in range(1, 5000):  # before ours, which are made last
        world.world.add("templates", {**template, "id": f"t{number}", "name": f"another-{number}"})
        world.world.add("delegations", {**delegation, "id": f"d{number}", "repository": f"team/{number}"})
    well(house, access="delegation")
    house.sandbox.forget_calls()
    assert well(house, access="delegation") == []
    listings = [call["name"] for call in house.sandbox.runpod_calls()]
    assert listings.count("GET /v2/templates") >= 5
    assert {call["method"] for call in house.sandbox.runpod_calls()} == {"GET"}
    well(house, access="delegation", state="absent")
    assert len(house.runpod()["templates"]) == len(house.runpod()["delegations"]) == 5000


def test_answers_that_take_half_a_minute_are_waited_for(house: House, clock: Clock) -> None:
    for server in ("aws", "runpod"):
        house.sandbox.fail(".*", server=server, delay=30.0, times=None)
    well(house)
    assert well(house) == []
    assert clock.slept >= 600


@pytest.mark.parametrize(("server", "told"), [("aws", "is not AWS|proxy"), ("runpod", "HTML page.*prox")])
@pytest.mark.parametrize("state_wanted", ["present", "absent"])
def test_a_login_page_of_a_proxy_is_named_before_anything_is_written(
    house: House, clock: Clock, server: str, told: str, state_wanted: str
) -> None:
    house.arrange(endpoint=ENDPOINT)
    house.sandbox.forget_calls()
    house.sandbox.fail(".*", server=server, answer="garbage", times=None)
    failed = house.role(state=state_wanted, endpoint=ENDPOINT)
    assert re.search(told, failed.failure, re.DOTALL), failed.failure
    house.sandbox.mend()
    assert house.writes() == []


KILLED = ["iam:CreateAccessKey", "secretsmanager:PutSecretValue", "POST /v2/registries", "POST /v2/templates"]


@pytest.mark.parametrize("call", KILLED)
def test_a_playbook_that_is_killed_at_a_write_is_finished_by_a_plain_run(house: House, call: str) -> None:
    house.role()
    expected = state(house)
    house.sandbox.reset()
    house.sandbox.fail(re.escape(call), effect="after", delay=1.0)
    run = house.started("playbooks/runpod_ecr.yml", "-e", f"runpod_ecr_image={IMAGE}")
    until(lambda: call in house.writes() or run.poll() is not None)
    assert call in house.writes(), run.communicate()
    kill(run)
    run.communicate()
    until(house.all_answered)  # what nobody waits for, too
    house.sandbox.mend()
    later = Clock()
    later.slept = 600.0
    house.runs = Runs(house.sandbox.environment, sleep=later.sleep, clock=later.now)
    well(house)
    assert state(house) == expected
    assert house.users() == [USER]
