# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live check, with the sandbox in place of the clouds."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from tests.sandbox import contract, near
from tests.sandbox.aws import SWITCHES
from tests.sandbox.runpod import READING_KEY
from tools.live import __main__ as live
from tools.live.__main__ import main
from tools.live.check import Check, Outcome, Played, ansible_playbook
from tools.live.cleaning import found
from tools.live.clouds import Clouds, Json
from tools.live.document import differences, summary, written_for
from tools.live.questions import QUESTIONS
from tools.live.report import report, scrubbed

from .conftest import ROOT, House
from .role import Role
from .shared_archives import sharing
from .worker import Clock, Runs, session, until

PREFIX = "gpuops-live-0a1b2c3d"
ACCOUNT = "123456789012"


class Interruptions:
    """Interrupts after so many answers that this process gets from either cloud, its playbooks' included."""

    def __init__(self) -> None:
        self.count = 0
        self.last: int | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        def counting(answered: Callable[..., Any]) -> Callable[..., Any]:
            def getting(*given: Any) -> Any:
                answer = answered(*given)
                if current_thread() is main_thread():  # the sandbox is in the others
                    self.count += 1
                    if self.count == self.last:
                        raise KeyboardInterrupt
                return answer

            return getting

        with (
            patch.object(HTTPConnection, "getresponse", counting(HTTPConnection.getresponse)),
            patch.object(near, "answer_of", counting(near.answer_of)),
        ):
            yield


@pytest.fixture
def here(house: House) -> Iterator[House]:
    """The sandbox, with its variables in this process, as those of whoever runs the check."""
    with patch.dict(os.environ, house.environment()):
        yield house


def check(
    house: House,
    interruptions: Interruptions | None = None,
    play: Callable[[str, Json], Played] | None = None,
    say: Callable[[str], None] = lambda dummy: None,
    sleep: Callable[[float], None] = lambda dummy: None,
    clock: Callable[[], float] = time.time,
    patient: bool = False,
) -> tuple[Outcome, Clouds]:
    """Run a check in this process. Its playbooks are those of the role, unless they are played by something else."""
    interruptions = interruptions or Interruptions()
    with patch.object(boto3.session, "Session", return_value=session()):  # one that has read what the services are like
        clouds = Clouds(os.environ, "us-east-1")

    def hold() -> None:
        interruptions.last = None

    with interruptions.watching():
        outcome = Check(clouds, PREFIX, play or playing(house), say, "", patient, sleep, clock, hold).run()
    contract.taken()
    return outcome, clouds


def playing(house: House) -> Callable[[str, Json], Played]:
    """Return what plays the role's entry points in this process."""

    def play(name: str, variables: Json) -> Played:
        if name == "audit":  # which only Ansible itself can play
            return Played(0, 0, "")
        played = Role(house.runs).play({"runpod_ecr": "main"}.get(name, name), False, **variables)
        return Played(2 if played.failure else 0, len(played.changed), played.failure)

    return play


def nothing_to_do() -> Callable[[str, Json], Played]:
    """Return what plays nothing and says what is awaited of a check, for what is about the rest of it."""
    changes = iter((0, 3, 0, 1, 2, 0, 3))
    return lambda name, dummy: Played(0, next(changes), name)


def said(outcome: Outcome, number: str) -> str:
    return next(answer for question, answer in outcome.answers if question.number == number)


def nothing_is_left(house: House, clouds: Clouds) -> bool:
    held = house.runpod()
    runpod = [held[kind] for kind in ("registries", "templates", "endpoints", "delegations")]
    names = [one["repositoryName"] for one in house.client("ecr").describe_repositories()["repositories"]]
    ours = [name for name in names if name.startswith("gpuops-live-")]
    return not (list(found(clouds, PREFIX)) or house.users() or house.secrets() or any(runpod) or ours)


# The whole


def first_by_ansible(house: House, archives: Path) -> Callable[[str, Json], Played]:
    """Return what plays each playbook by Ansible, and in this process when it has done so before."""
    by_ansible, here = ansible_playbook(house.environment() | sharing(archives)), playing(house)
    played: set[str] = set()

    def play(name: str, variables: Json) -> Played:
        known = name in played
        played.add(name)
        return (here if known else by_ansible)(name, variables)

    return play


def test_a_whole_run_passes_and_leaves_a_report_that_may_be_shown(
    here: House, archives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here.sandbox.runpod.switch(document={"paths": {"/v2/registries": {"get": {"responses": {"200": {}}}}}})
    path = tmp_path / "report.md"
    with patch.object(live, "ansible_playbook", lambda dummy: first_by_ansible(here, archives)):
        code = main(["--yes", "--report", str(path)], os.environ)
    contract.taken()
    text, said = path.read_text(), capsys.readouterr().out
    assert code == 0, said + text
    assert text.startswith("# Live check of gpuops.runpod: passed") and "Nothing is left." in text
    assert text.count("| passed |") == 10 and "not answered" not in text
    assert "It makes, and removes again" in said and "0.01 USD" in said
    for shown in (text, said):
        assert not re.search(r"\d{12}", shown.replace("550005742258", "")), shown
        assert not re.search(r"AKIA|sandbox-api-key|EXAMPLEKEY", shown)
    assert here.users() == here.secrets() == []


def test_a_run_that_is_told_to_end_removes_what_it_made(house: House, archives: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    with subprocess.Popen(
        [sys.executable, "-m", "tools.live", "--yes", "--report", path],
        cwd=ROOT,
        env=house.environment() | sharing(archives),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line.endswith(" converge\n"):
                until(house.users)
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stdout.read()
    contract.taken()
    assert process.returncode == 1 and "removing what was made" in rest
    assert "interrupted" in path.read_text().splitlines()[0]
    assert house.users() == house.secrets() == [] and not house.runpod()["templates"]


# In this process


def test_every_question_that_is_asked_is_answered(here: House) -> None:
    outcome, clouds = check(here)
    assert outcome.passed, outcome.steps
    asked = {question.number: answer for question, answer in outcome.answers if question.ask}
    assert not [number for number, answer in asked.items() if answer.startswith("not a")]
    assert len(outcome.answers) == len(QUESTIONS) and nothing_is_left(here, clouds)


class Naps(Clock):
    """Of AWS and of the check: nothing takes time but sleep, so that a second is the same on a busy machine."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = time.time()

    def seconds(self) -> float:
        return self.begun + self.slept


@pytest.fixture
def naps(here: House, monkeypatch: pytest.MonkeyPatch) -> Naps:
    """What is played goes by the real clock, as the dates of keys do, but for the time slept."""
    naps = Naps()
    monkeypatch.setattr("time.sleep", naps.sleep)
    monkeypatch.setattr(here.sandbox.aws, "clock", naps.seconds)
    here.runs = Runs(here.sandbox.environment, sleep=naps.sleep, clock=naps.now)
    return naps


# Each question with the switches of the sandbox, and the answer that they make; none are the defaults.
WAYS: list[tuple[str, Json, str]] = [
    ("14.1", {}, "yes: PATCH answers 200, the same id"),
    ("14.1", {"registry_patch": 405}, "no: PATCH answers 405"),
    ("14.1", {"registry_patch": 404}, "no: PATCH answers 404"),
    ("14.2", {}, "; ARN: taken; ARN:tag: taken; URI:tag: taken; URI@digest: refused: 400"),
    ("14.2", {"delegation_forms": ["uri_tag"]}, "; ARN: refused: 400"),
    ("14.2", {"delegation_forms": ["arn"]}, "; URI:tag: refused: 400"),
    ("14.2", {}, "without a policy: refused: 400"),
    ("14.2", {"delegation_policy_refusal": 422}, "without a policy: refused: 422"),
    ("14.2", {}, "with a tag that does not exist: taken"),
    ("14.2", {"delegation_tag": "existing"}, "with a tag that does not exist: refused: 400"),
    ("14.3", {}, "credential: refused: 400"),
    ("14.3", {"duplicate_registry_name": "allowed"}, "credential: allowed"),
    ("14.3", {}, "template: refused: 400"),
    ("14.3", {"duplicate_template_name": "allowed"}, "template: allowed"),
    ("14.4", {}, "a second record"),
    ("14.4", {"duplicate_delegation": "error"}, "an error: 400"),
    ("14.4", {"duplicate_delegation": "upsert"}, "the first one again"),
    ("14.5", {}, "disk is 50"),
    ("14.5", {"default_disk": 10}, "disk is 10"),
    ("14.6", {}, "it shows the stale id"),
    ("14.6", {"endpoint_after_registry_delete": "null"}, "it shows null"),
    ("14.11", {}, "it seems so: refused"),
    ("14.11", {"delegation_token_action": False}, "no, it is taken without"),
    ("14.12", {}, "dual-stack: taken; FIPS: taken"),
    (
        "14.12",
        {"other_ecr_hosts": 400},
        "dual-stack: refused: 400 (image is not on a supported registry); FIPS",
    ),
    ("14.13", {}, "the whole map replaces"),
    ("14.13", {"template_env": "merged"}, "keys left after a map without B: ['A', 'B']"),
    ("17.1", {}, "STS knows a new key after 0 s (at once), ECR 0 s later (at once)"),
    ("17.1", {"propagation_seconds": 7}, "a new key after 7 s (InvalidClientTokenId), ECR 0 s later (at once)"),
    ("17.2", {}, "ServiceName is ecr "),
    ("17.2", {"key_use_seconds": 3600}, "ServiceName is N/A "),
    ("17.3", {}, "HEAD of a blob answers 403"),
    ("17.3", {"blob_head_action": "GetDownloadUrlForLayer"}, "HEAD of a blob answers 200"),
    ("17.4", {}, "accepted, and echoed unchanged"),
    ("17.4", {"policy_text": "reordered"}, "accepted, but Action is echoed otherwise"),
    ("17.5", {}, "a read right after the write shows it"),
    ("17.5", {"policy_read_seconds": 2}, "a read right after shows ["),
    ("17.6", {}, "no: UnsupportedCommandException"),
    ("17.6", {"public_regions": ["us-east-1", "us-west-2"]}, "yes, it answers"),
    ("17.8", {}, "still works seconds after"),
    ("17.8", {"token_outlives_key": False}, "is refused (403) seconds after"),
    ("17.11", {}, "the order stays"),
    ("17.11", {"policy_text": "reordered"}, "the order becomes AllowRunpodPull, Mike, Zulu"),
    ("19.1", {}, "by a session policy of AssumeRole: yes, it is refused (403)"),
    ("19.1", {"token_keeps_scope": False}, "by a session policy of AssumeRole: no, it opens what the session may not"),
    ("19.2", {}, "works for 12.00 hours, and its session for 0.25; after that it still works"),
    (
        "19.2",
        {"token_outlives_session": False},
        "works for 0.25 hours, and its session for 0.25; after that it is refused",
    ),
]
ALONE = {"propagation_seconds", "delegation_forms"}  # what other questions wait for, or cannot be asked without


def rounds() -> list[tuple[Json, list[tuple[str, str]]]]:
    """Return few sets of switches that do not contradict each other, each with the answers that it makes."""
    found: list[tuple[Json, list[tuple[str, str]]]] = [({}, [])]
    for number, switches, answer in WAYS:
        fitting = (one for one in found[1:] if goes_with(one[0], switches)) if switches else iter(found)
        held = next(fitting, None)
        if held is None:
            held = ({}, [])
            found.append(held)
        held[0].update(switches)
        held[1].append((number, answer))
    return found


def goes_with(held: Json, switches: Json) -> bool:
    if not {*held, *switches}.isdisjoint(ALONE):
        return held == switches
    return all(held.get(name, value) == value for name, value in switches.items())


def switch(house: House, switches: Json) -> None:
    ours = {name: value for name, value in switches.items() if name in SWITCHES}
    house.sandbox.aws.switch(**ours)
    house.sandbox.runpod.switch(**{name: value for name, value in switches.items() if name not in SWITCHES})


def test_every_question_has_at_least_two_answers_here() -> None:
    asked = [question.number for question in QUESTIONS if question.ask]
    assert {number for number, switches, dummy in WAYS if switches} == set(asked)
    assert {number for number, switches, dummy in WAYS if not switches} == set(asked)


def named(one: object) -> str:
    return " ".join(one) if isinstance(one, dict) else ""


@pytest.mark.parametrize(("switches", "expected"), rounds(), ids=named)
def test_the_open_questions_are_answered_whatever_the_answer_is(
    here: House, naps: Naps, switches: Json, expected: list[tuple[str, str]]
) -> None:
    switch(here, switches)
    outcome, clouds = check(here, sleep=naps.sleep, clock=naps.seconds, patient=True)
    assert outcome.passed, outcome.steps[-1]
    for number, answer in expected:
        assert answer in said(outcome, number), number
    assert nothing_is_left(here, clouds)


def test_what_takes_a_quarter_of_an_hour_is_asked_of_who_is_patient(here: House) -> None:
    outcome, dummy = check(here, play=nothing_to_do())
    assert said(outcome, "19.2").endswith("not asked without --patient, which takes 16 minutes more")
    assert said(outcome, "19.1").endswith(
        ("not asked, this boto3 does not know it", "it is refused: NotImplementedError")
    )


def test_a_limited_key_of_RunPod_is_tried_where_there_is_one(here: House) -> None:
    outcome, dummy = check(here, play=nothing_to_do())
    assert said(outcome, "14.1").endswith("not asked, RUNPOD_LIMITED_API_KEY is not set")
    here.sandbox.reset()
    with patch.dict(os.environ, RUNPOD_LIMITED_API_KEY=READING_KEY):
        outcome, clouds = check(here, play=nothing_to_do())
    assert said(outcome, "14.1").endswith("with the limited key: 403 (access denied)")
    assert READING_KEY in clouds.secrets


def test_an_answer_that_nobody_expects_is_told_and_the_rest_is_asked(here: House) -> None:
    here.sandbox.fail("ecr:GetRepositoryPolicy", times=None, answer={"null": "$.policyText"})
    here.sandbox.fail("POST /v2/registries", answer="garbage")
    outcome, clouds = check(here, play=nothing_to_do())
    for number in ("14.1", "17.4", "17.5", "17.11"):
        assert said(outcome, number).startswith("not answered: "), number
    assert len(outcome.answers) == len(QUESTIONS) and nothing_is_left(here, clouds)


# Interruptions


def told(house: House, play: Callable[[str, Json], Played] | None) -> list[str]:
    """Return what a whole check says before it removes what it made."""
    house.sandbox.reset()
    texts: list[str] = []
    check(house, play=play, say=texts.append)
    return texts[: texts.index("removing what was made")]


def test_an_interruption_at_any_step_and_any_question_leaves_nothing(here: House) -> None:
    texts = told(here, nothing_to_do())
    assert len(texts) == len(set(texts)) == 10 + len([one for one in QUESTIONS if one.ask])

    def interrupt(text: str, at: str) -> None:
        if text == at:
            raise KeyboardInterrupt

    for at in texts:
        here.sandbox.reset()
        outcome, clouds = check(here, play=nothing_to_do(), say=partial(interrupt, at=at))
        assert outcome.interrupted and not outcome.passed, at
        assert nothing_is_left(here, clouds), at


def test_an_interruption_after_any_answer_leaves_nothing(here: House) -> None:
    """Those of the playbooks included: after a dozen of them, or after each nth with INTERRUPTED_EVERY=n."""
    whole = Interruptions()

    def before_it_removes(text: str) -> None:
        if text == "removing what was made":
            counted.append(whole.count)

    counted: list[int] = []
    check(here, whole, say=before_it_removes)
    [total] = counted
    assert total > 200
    for last in range(1, total, int(os.environ.get("INTERRUPTED_EVERY") or total // 12)):
        here.sandbox.reset()
        interruptions = Interruptions()
        interruptions.last = last
        outcome, clouds = check(here, interruptions)
        assert outcome.interrupted, last
        assert nothing_is_left(here, clouds), last


@pytest.mark.parametrize("action", ["ecr:CreateRepository", "iam:CreateUser"])
def test_a_denied_right_ends_the_run_with_a_remedy_and_nothing_left(here: House, action: str) -> None:
    here.sandbox.aws.limit_operators(lambda asked, resource, keys: asked != action)
    outcome, clouds = check(here)
    failed = [step for step in outcome.steps if not step.passed]
    assert len(failed) == 1 and action.partition(":")[2] in failed[0].note
    text = report(outcome, "us-east-1", date(2026, 11, 28))
    assert "not passed" in text.splitlines()[0] and "Nothing is left." in text
    assert nothing_is_left(here, clouds)


@pytest.mark.parametrize("idle", ["converge", "refresh", "rotate", "teardown"])
def test_a_step_that_changes_nothing_where_it_should_has_failed(here: House, idle: str) -> None:
    names = ("preflight", "converge", "converge again", "refresh", "rotate", "audit", "teardown")
    left = list(names)

    def play(name: str, dummy: Json) -> Played:
        step = left.pop(0)
        return Played(0, int(step not in ("preflight", "converge again", "audit", idle)), name)

    outcome, clouds = check(here, play=play)
    assert [step.name for step in outcome.steps if not step.passed] == [idle]
    assert "where something was to change" in outcome.steps[-1].note and nothing_is_left(here, clouds)


def test_what_nobody_expects_is_a_step_that_failed_with_nothing_left(here: House) -> None:
    def play(dummy: str, variables: Json) -> Played:
        raise ValueError(f"no such thing as {variables['runpod_ecr_user_name']}")

    outcome, clouds = check(here, play=play)
    assert [(step.name, step.note) for step in outcome.steps if not step.passed] == [
        ("preflight", f"ValueError: no such thing as {PREFIX}")
    ]
    assert not outcome.passed and nothing_is_left(here, clouds)


def test_what_cannot_be_removed_is_told(here: House) -> None:
    here.sandbox.aws.limit_operators(lambda asked, resource, keys: asked != "ecr:DeleteRepository")
    outcome, dummy = check(here)
    assert not outcome.passed
    assert any(PREFIX in line and "AccessDenied" in line for line in outcome.left)


# Before it starts


@pytest.mark.parametrize("answer", ["no", "", None])
def test_nothing_is_made_without_a_yes(here: House, answer: str | None, tmp_path: Path) -> None:
    def ask(dummy: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    here.sandbox.forget_calls()
    assert main(["--report", str(tmp_path / "report.md")], os.environ, ask) == 1
    assert here.writes() == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["AWS_REGION", "RUNPOD_API_KEY"])
def test_what_it_needs_is_told(here: House, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != missing}
    assert main(["--yes"], environment) == 2
    assert "Set AWS_REGION and RUNPOD_API_KEY" in capsys.readouterr().err


def test_what_a_killed_run_has_left_is_removed_by_its_prefix(here: House) -> None:
    here.client("iam").create_user(UserName=PREFIX, Path="/runpod/")
    here.client("ecr").create_repository(repositoryName=PREFIX)
    assert main(["--clean", PREFIX], os.environ) == 0
    assert nothing_is_left(here, Clouds(os.environ, "us-east-1"))
    with pytest.raises(SystemExit):
        main(["--clean", "runpod"], os.environ)


# The document and the report


def test_the_differences_of_the_document_are_lines() -> None:
    then = {"GET /v2/pods": {"answers": ["200"]}, "POST /v2/registries": {"answers": ["201"], "body": ["name*"]}}
    now = {
        "PATCH /v2/registries/{id}": {"answers": ["200"]},
        "POST /v2/registries": {"answers": ["201"], "body": ["name"]},
    }
    assert differences(then, now) == [
        "new: PATCH /v2/registries/{id}",
        "gone: GET /v2/pods",
        "POST /v2/registries: body +name -name*",
    ]
    assert differences(then, then) == []


@pytest.mark.skipif(not contract.at_hand(), reason="RunPod's API document is not at hand")
def test_the_summary_is_that_of_the_document_this_was_written_for() -> None:
    assert written_for() == summary(contract.published())


def test_a_report_shows_no_account_no_key_and_no_secret() -> None:
    text = f"arn:aws:iam::{ACCOUNT}:user/x AKIAIOSFODNN7EXAMPLE and a-secret-value, arn:aws:iam::550005742258:role/prod"
    assert (
        scrubbed(text, {"a-secret-value"})
        == "arn:aws:iam::ACCOUNT:user/x KEY-ID and SECRET, arn:aws:iam::RUNPOD:role/prod"
    )
