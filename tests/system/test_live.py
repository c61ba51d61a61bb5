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
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.sandbox import contract
from tools.live.__main__ import main
from tools.live.check import Check, Outcome, Played
from tools.live.cleaning import clean, found
from tools.live.clouds import Clouds, Json
from tools.live.document import differences, summary, written_for
from tools.live.questions import QUESTIONS
from tools.live.report import report, scrubbed

from .conftest import ROOT, House
from .role import Role

PREFIX = "gpuops-live-0a1b2c3d"
ACCOUNT = "123456789012"


class Counted(Clouds):
    """Clouds that interrupt after so many calls."""

    calls = 0
    last: int | None = None

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.last:
            raise KeyboardInterrupt

    def aws(self, *arguments: Any) -> Any:
        client = super().aws(*arguments)
        client.meta.events.unregister("after-call", unique_id="counted")
        client.meta.events.register("after-call", lambda **dummy: self._count(), unique_id="counted")
        return client

    def runpod(self, *arguments: Any) -> Any:
        answer = super().runpod(*arguments)
        self._count()
        return answer


@pytest.fixture
def here(house: House) -> Iterator[House]:
    """The sandbox, with its variables in this process, as those of whoever runs the check."""
    with patch.dict(os.environ, house.environment()):
        yield house


def check(house: House, last: int | None = None, interrupted_play: str = "", **options: Any) -> tuple[Outcome, Counted]:
    clouds = Counted(os.environ, "us-east-1")
    clouds.last = last

    def play(name: str, variables: Json) -> Played:
        if name == "audit":  # which only Ansible itself can play
            return Played(0, 0, "")
        played = Role(house.runs).play({"runpod_ecr": "main"}.get(name, name), False, **variables)
        if name == interrupted_play:
            raise KeyboardInterrupt
        return Played(2 if played.failure else 0, len(played.changed), played.failure)

    def hold() -> None:
        clouds.last = None

    outcome = Check(clouds, PREFIX, play, lambda dummy: None, sleep=lambda dummy: None, hold=hold, **options).run()
    contract.taken()
    return outcome, clouds


def said(outcome: Outcome, number: str) -> str:
    return next(answer for question, answer in outcome.answers if question.number == number)


def nothing_is_left(house: House, clouds: Clouds) -> bool:
    held = house.runpod()
    runpod = [held[kind] for kind in ("registries", "templates", "endpoints", "delegations")]
    names = [one["repositoryName"] for one in house.client("ecr").describe_repositories()["repositories"]]
    ours = [name for name in names if name.startswith("gpuops-live-")]
    return not (list(found(clouds, PREFIX)) or house.users() or house.secrets() or any(runpod) or ours)


# The whole


def test_a_whole_run_passes_and_leaves_a_report_that_may_be_shown(house: House, tmp_path: Path) -> None:
    house.sandbox.runpod.switch(document={"paths": {"/v2/registries": {"get": {"responses": {"200": {}}}}}})
    path = tmp_path / "report.md"
    done = subprocess.run(
        [sys.executable, "-m", "tools.live", "--yes", "--report", path],
        cwd=ROOT,
        env=house.environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    contract.taken()
    text = path.read_text()
    assert done.returncode == 0, done.stdout + done.stderr + text
    assert text.startswith("# Live check of gpuops.runpod: passed") and "Nothing is left." in text
    assert text.count("| passed |") == 10 and "not answered" not in text
    assert "It makes, and removes again" in done.stdout and "0.01 USD" in done.stdout
    for shown in (text, done.stdout):
        assert not re.search(r"\d{12}", shown.replace("550005742258", "")), shown
        assert not re.search(r"AKIA|sandbox-api-key|EXAMPLEKEY", shown)
    assert house.users() == house.secrets() == []


def test_a_run_that_is_told_to_end_removes_what_it_made(house: House, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    with subprocess.Popen(
        [sys.executable, "-m", "tools.live", "--yes", "--report", path],
        cwd=ROOT,
        env=house.environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line.endswith(" converge\n"):
                deadline = time.monotonic() + 60
                while not house.users() and time.monotonic() < deadline:
                    time.sleep(0.1)
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


BOTH: list[tuple[str, str, Json, str]] = [
    ("14.1", "yes: PATCH answers 200, the same id", {"registry_patch": 405}, "no: PATCH answers 405"),
    ("14.2", "; ARN: taken", {"delegation_forms": ["uri_tag"]}, "; ARN: refused: 400"),
    ("14.2", "without a policy: refused: 400", {"delegation_policy_refusal": 422}, "without a policy: refused: 422"),
    ("14.3", "credential: refused: 400", {"duplicate_registry_name": "allowed"}, "credential: allowed"),
    ("14.3", "template: refused: 400", {"duplicate_template_name": "allowed"}, "template: allowed"),
    ("14.4", "a second record", {"duplicate_delegation": "error"}, "an error: 400"),
    ("14.4", "a second record", {"duplicate_delegation": "upsert"}, "the first one again"),
    ("14.5", "disk is 50", {"default_disk": 10}, "disk is 10"),
    ("14.6", "it shows the stale id", {"endpoint_after_registry_delete": "null"}, "it shows null"),
    ("14.11", "it seems so: refused", {"delegation_token_action": False}, "no, it is taken without"),
]


def test_the_open_questions_about_RunPod_are_answered_either_way(here: House) -> None:
    first, dummy = check(here)
    groups: list[tuple[Json, list[tuple[str, str]]]] = []
    for number, one_way, switches, other_way in BOTH:
        assert one_way in said(first, number)
        fitting = next((held for held in groups if not held[0].keys() & switches.keys()), None)
        if fitting is None:
            groups.append((dict(switches), [(number, other_way)]))
        else:
            fitting[0].update(switches)
            fitting[1].append((number, other_way))
    for switches, expected in groups:
        here.sandbox.reset()
        here.sandbox.runpod.switch(**switches)
        outcome, clouds = check(here)
        for number, other_way in expected:
            assert other_way in said(outcome, number), (switches, outcome.steps)
        assert nothing_is_left(here, clouds)


def fault(name: str, **answer: Any) -> Json:
    return {"name": name, "times": None, "answer": answer}


def test_the_open_questions_about_AWS_are_answered_the_other_way_too(here: House) -> None:
    first, dummy = check(here)
    assert "at once" in said(first, "17.1") and "answers 403" in said(first, "17.3")
    assert said(first, "17.4") == "accepted, and echoed unchanged"
    assert said(first, "17.5") == "a read right after the write shows it" and said(first, "17.11") == "the order stays"
    assert said(first, "17.6").startswith("no: ") or said(first, "17.6") == "yes, it answers"
    here.sandbox.reset()
    here.sandbox.aws.switch(propagation_seconds=2)
    clouds = Clouds(os.environ, "us-east-1")
    with patch.object(Clouds, "registry", lambda *dummy: Played(200, 0, "") and _answer(200)):
        from tools.live import questions

        here.client("ecr").create_repository(repositoryName=PREFIX)
        context = questions.Context(clouds, PREFIX, ACCOUNT, "v1", "sha256:" + "0" * 64)
        assert "InvalidClientTokenId" in questions.propagation(context)
        here.sandbox.aws.switch(propagation_seconds=0)
        assert "answers 200" in questions.head_of_blob(context)
        assert "still works" in questions.life_of_token(context)
        with patch.object(questions, "read_statements", lambda dummy: [{"Sid": "AllowRunpodPull"}]):
            assert "echoed otherwise" in questions.echo_of_policy(context)
            assert "the order becomes" in questions.order_of_statements(context)
            assert "a read right after shows" in questions.read_after_write(context)
    with (
        patch.object(Clouds, "registry", lambda *dummy: _answer(403)),
        patch.object(questions, "pulled", lambda *dummy: 1),
    ):
        assert "is refused (403)" in questions.life_of_token(context)
    assert clean(clouds, PREFIX, lambda dummy: None, lambda dummy: None) == []


def _answer(status: int) -> Any:
    from tools.live.clouds import Answer

    return Answer(status, {})


@pytest.mark.parametrize("play", ["runpod_ecr", "rotate"])
def test_an_interruption_of_a_playbook_leaves_nothing(here: House, play: str) -> None:
    outcome, clouds = check(here, interrupted_play=play)
    assert outcome.interrupted and not outcome.passed and nothing_is_left(here, clouds)


def test_an_interruption_after_any_call_leaves_nothing(here: House) -> None:
    dummy, clouds = check(here)
    total = clouds.calls
    cleaning = 40  # the calls of a clean-up, about
    assert total > 2 * cleaning
    for last in range(1, total - cleaning, max(1, total // 12)):
        here.sandbox.reset()
        outcome, clouds = check(here, last)
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
