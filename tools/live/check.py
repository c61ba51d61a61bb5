# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One live check: make throw-away things, run every playbook on them, ask the open questions, remove all of it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import document, questions
from .cleaning import clean
from .clouds import Clouds, Json, code_of, push_image

ROOT = Path(__file__).resolve().parents[2]
TAG = "v1"
LAST_LINES = 12
NO_TOKEN = 11.99999  # hours that none has left which is older than a moment
ENDING = 60.0  # seconds that a playbook has to end in after an interruption


class Played(NamedTuple):
    """What a playbook did; `tail` are its last lines."""

    code: int
    changed: int
    tail: str


class Step(NamedTuple):
    name: str
    passed: bool
    seconds: float
    note: str = ""


class Outcome:
    """What a check found so far; an interruption leaves what there is."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.steps: list[Step] = []
        self.answers: list[tuple[questions.Question, str]] = []
        self.document: list[str] = []
        self.left: list[str] = []
        self.interrupted = False

    @property
    def passed(self) -> bool:
        return bool(self.steps) and all(step.passed for step in self.steps) and not self.left and not self.interrupted


Play = Callable[[str, Json], Played]


class StepFailedError(Exception):
    """What follows makes no sense without this step."""


def ansible_playbook(environment: Mapping[str, str]) -> Play:
    """Return what plays a playbook of this checkout."""

    def play(name: str, variables: Json) -> Played:
        command = ["ansible-playbook", f"playbooks/{name}.yml", "-e", json.dumps(variables)]
        quiet = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0"}
        with subprocess.Popen(
            command, cwd=ROOT, env={**environment, **quiet}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                output = process.communicate()[0]
            except BaseException:  # an interruption: nothing of it may run on while things are removed
                process.terminate()
                process.wait(ENDING)
                raise
        changed = output.rpartition("changed=")[2].split()
        return Played(
            process.returncode, int(changed[0]) if changed else -1, "\n".join(output.splitlines()[-LAST_LINES:])
        )

    return play


class Check:
    """A check on the accounts of `clouds`. `say` tells the person in front of it how far it is; `hold`
    is called before what was made is removed, and lets nothing interrupt that.
    """

    def __init__(
        self,
        clouds: Clouds,
        prefix: str,
        play: Play,
        say: Callable[[str], None],
        boundary: str = "",
        patient: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        hold: Callable[[], None] = lambda: None,
    ) -> None:
        self.clouds, self.prefix, self.play, self.say = clouds, prefix, play, say
        self.boundary, self.patient, self.hold = boundary, patient, hold
        self.sleep, self.clock = sleep, clock
        self.outcome = Outcome(prefix)
        self.account = ""
        self.layer = ""

    def run(self) -> Outcome:
        """Whatever happens, what was made is removed."""
        try:
            try:
                self._work()
            finally:
                self.hold()
        except StepFailedError:
            pass
        except KeyboardInterrupt:
            self.outcome.interrupted = True
            self.say("interrupted")
        finally:
            self.say("removing what was made")
            self.outcome.left = clean(self.clouds, self.prefix, self.say, self.sleep)
        return self.outcome

    def _work(self) -> None:
        self._step("who this is", self._identify)
        self._step("the API's document", self._compare)
        self._step("an image of a few bytes", self._make_image)
        self._step("preflight", lambda: self._played("preflight", changes=False))
        self._step("converge", lambda: self._played("runpod_ecr", changes=True))
        self._step("converge again", lambda: self._played("runpod_ecr", changes=False))
        self._step("refresh", lambda: self._played("refresh", changes=True, runpod_ecr_min_validity_hours=NO_TOKEN))
        self._step("rotate", lambda: self._played("rotate", changes=True, runpod_ecr_rotate_after_days=0))
        self._step("audit", lambda: self._played("audit", changes=False, runpod_ecr_audit_fail_on="red"))
        self._ask()
        self._step("teardown", lambda: self._played("runpod_ecr", changes=True, runpod_ecr_state="absent"))

    def _step(self, name: str, act: Callable[[], str]) -> None:
        self.say(name)
        start = self.clock()
        try:
            note = act()
        except Exception as error:  # whatever it is, the report is to tell it
            text = str(error) if isinstance(error, StepFailedError) else f"{code_of(error)}: {str(error)[:300]}"
            self.outcome.steps.append(Step(name, False, self.clock() - start, text))
            self.say(f"failed: {text.splitlines()[-1] if text else name}")
            raise StepFailedError(name) from error
        self.outcome.steps.append(Step(name, True, self.clock() - start, note))

    def _identify(self) -> str:
        self.account = self.clouds.aws("sts").get_caller_identity()["Account"]
        return f"AWS answers in {self.clouds.region}"

    def _compare(self) -> str:
        answer = self.clouds.runpod("GET", "openapi.json")
        if answer.status != 200 or "paths" not in answer.body:
            self.outcome.document = [f"RunPod does not show its document: {answer.status}"]
            return self.outcome.document[0]
        self.outcome.document = document.differences(document.written_for(), document.summary(answer.body))
        return f"{len(self.outcome.document)} differences"

    def _make_image(self) -> str:
        registry = self.clouds.aws("ecr")
        registry.create_repository(repositoryName=self.prefix)
        self.layer = push_image(registry, self.prefix, TAG)
        return ""

    def _played(self, playbook: str, changes: bool, **options: Any) -> str:
        played = self.play(playbook, {**self._variables(), **options})
        if played.code != 0:
            raise StepFailedError(played.tail)
        if changes != bool(played.changed):
            wanted = "something" if changes else "nothing"
            raise StepFailedError(f"changed={played.changed}, where {wanted} was to change\n{played.tail}")
        return f"changed={played.changed}"

    def _variables(self) -> Json:
        host = f"{self.account}.dkr.ecr.{self.clouds.region}.amazonaws.com"
        bound = {"runpod_ecr_user_permissions_boundary": self.boundary} if self.boundary else {}
        return {
            "runpod_ecr_image": f"{host}/{self.prefix}:{TAG}",
            "runpod_ecr_user_name": self.prefix,
            "runpod_ecr_template": {"name": self.prefix, "disk": 5},
            **bound,
        }

    def _ask(self) -> None:
        about = (self.clouds, self.prefix, self.account, TAG, self.layer, self.boundary)
        context = questions.Context(*about, self.patient, self.sleep, self.clock)
        for question, answer in questions.answers(context, self.say):
            self.outcome.answers.append((question, answer))
