# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule of AWX that is known here finds what breaks it, and nothing in what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from . import rules

Json = dict[str, Any]
Rule = Callable[..., Iterator[str]]

START = "DTSTART:20260105T001700Z"
TYPE: Json = {
    "kind": "cloud",
    "inputs": {"fields": [{"id": "key", "type": "string", "label": "Key"}], "required": ["key"]},
    "injectors": {"env": {"KEY": "{{ key }}"}},
}
FIELD: Json = TYPE["inputs"]["fields"][0]
QUESTION: Json = {"type": "text", "question_name": "Image", "variable": "image", "required": True}
CHOICE: Json = {**QUESTION, "type": "multiplechoice", "choices": ["one", "two"], "default": "one"}
NUMBER: Json = {**QUESTION, "type": "integer", "min": 1, "max": 9, "default": 3}
TEMPLATE: Json = {"playbook": "site.yml", "credentials": ["one", "other"], "job_type": "check"}
TYPES = {"one": "RunPod", "other": "Amazon Web Services", "third": "RunPod"}


def typed(**changes: Any) -> tuple[Rule, Json]:
    return rules.credential_type, {**TYPE, **changes}


def field(**changes: Any) -> tuple[Rule, Json]:
    fields = [{**FIELD, **changes}]
    return typed(inputs={"fields": fields}, injectors={})


def env(name: str, value: object) -> tuple[Rule, Json]:
    return typed(injectors={"env": {name: value}})


def credential(**inputs: Any) -> tuple[Rule, Json, Json]:
    return rules.credential, {"inputs": inputs}, TYPE["inputs"]


def survey(*questions: Json) -> tuple[Rule, Json]:
    return rules.survey, {"name": "", "description": "", "spec": list(questions)}


def template(**changes: Any) -> tuple[Rule, Json, list[str], dict[str, str]]:
    return rules.job_template, {**TEMPLATE, **changes}, ["site.yml"], TYPES


def launch(given: Json, **changes: Any) -> tuple[Rule, Json, Json]:
    asking = {
        "survey_enabled": True,
        "survey_spec": {"spec": [QUESTION, {**NUMBER, "variable": "n", "required": False}]},
    }
    return rules.answers, {**asking, **changes}, given


def schedule(rule: str, start: str = START) -> tuple[Rule, str]:
    return rules.schedule, f"{start} {rule}"


SOUND = {
    "credential type": typed(),
    "a default in a template": env("KEY", "{{ key | default('none', true) }}"),
    "the name of a file": typed(injectors={"env": {"KEY": "{{ tower.filename }}"}, "file": {"template": "{{ key }}"}}),
    "credential": credential(key="secret"),
    "image": (rules.execution_environment, {"image": "localhost:5000/team/ee:v1", "pull": "missing"}),
    "image by digest": (rules.execution_environment, {"image": f"quay.io/ee@sha256:{'a' * 64}"}),
    "survey": survey(QUESTION, {**CHOICE, "variable": "c"}, {**NUMBER, "variable": "n"}),
    "choices as lines": survey({**CHOICE, "choices": "one\ntwo\n"}),
    "text without a default": survey({**QUESTION, "default": "", "min": 3}),
    "several of several": survey({**CHOICE, "type": "multiselect", "default": "one\ntwo"}),
    "whole number where any is asked for": survey({**NUMBER, "type": "float"}),
    "template": template(extra_vars="---\na: 1"),
    "answers": launch({"image": "", "n": 9}),
    "answers to a survey that is off": launch({}, survey_enabled=False),
    "variables that are asked for": launch({"image": "", "more": 1}, ask_variables_on_launch=True),
    "every 4 hours": schedule("RRULE:FREQ=HOURLY;INTERVAL=4"),
    "in a zone": schedule("RRULE:FREQ=DAILY;INTERVAL=1", "DTSTART;TZID=Europe/Berlin:20260105T001700"),
    "until": schedule("RRULE:FREQ=DAILY;INTERVAL=1;UNTIL=20270105T001700Z"),
    "address": (rules.project, {"scm_type": "git", "scm_url": "git@example.com:team/project.git"}),
    "no project in git": (rules.project, {"scm_type": "manual"}),
    "pod": (rules.instance_group, {"pod_spec_override": "kind: Pod\nspec:\n  containers:\n    - image: ee\n"}),
    "no pod": (rules.instance_group, {}),
    "prompt that the template asks for": (
        rules.node,
        {"job_type": "run"},
        {**TEMPLATE, "ask_job_type_on_launch": True},
    ),
    "prompt as the template has it": (rules.node, {"job_type": "check"}, TEMPLATE),
    "approval": (rules.node, {"approval_node": {}}, None),
    "keys": (rules.unknown_keys, "controller_templates", {**TEMPLATE, "survey_spec": {"spec": [QUESTION]}}),
}

BROKEN = [
    ("credential type: kind", typed(kind="ssh")),
    ("credential type: field's id", field(id="api-key")),
    ("credential type: field's type", field(type="secret")),
    ("credential type: reserved field", field(id="tower")),
    ("credential type: injector", typed(injectors={"environment": {}})),
    ("credential type: value is no string", env("KEY", 1)),
    ("credential type: environment variable's name", env("1KEY", "{{ key }}")),
    ("credential type: reserved environment variable", env("ANSIBLE_CONFIG", "{{ key }}")),
    ("credential type: reserved environment variable", env("PATH", "{{ key }}")),
    ("credential type: undefined variable", env("KEY", "{{ kye }}")),
    ("credential type: undefined variable", env("KEY", "{{ tower.filename }}")),
    ("credential type: template", env("KEY", "{{ key")),
    ("credential: unknown input", credential(key="secret", kye="secret")),
    ("credential: input's type", credential(key=True)),
    ("credential: required input is missing", credential()),
    ("credential: required input is missing", credential(key="")),
    ("execution environment: image", (rules.execution_environment, {"image": "https://quay.io/team/ee"})),
    ("execution environment: pull", (rules.execution_environment, {"image": "ee", "pull": "sometimes"})),
    ("job template: playbook", template(playbook="other.yml")),
    ("job template: extra_vars", template(extra_vars="a: b: c")),
    ("job template: extra_vars", template(extra_vars=["a"])),
    ("job template: credentials of one type", template(credentials=["one", "third"])),
    ("node: prompt", (rules.node, {"job_type": "run"}, TEMPLATE)),
    ("survey: empty", survey()),
    ("survey: missing field", (rules.survey, {"spec": [QUESTION]})),
    ("survey: missing field", survey({name: value for name, value in QUESTION.items() if name != "required"})),
    ("survey: question's type", survey({**QUESTION, "type": "boolean"})),
    ("survey: duplicate variable", survey(QUESTION, CHOICE)),
    ("survey: default is no choice", survey({**CHOICE, "default": "three"})),
    ("survey: default's type", survey({**NUMBER, "default": "3"})),
    ("survey: default's type", survey({**NUMBER, "default": True})),
    ("survey: limit is no integer", survey({**QUESTION, "min": "1"})),
    ("survey: no choices", survey({**QUESTION, "type": "multiselect", "default": "one"})),
    ("survey: default beyond a limit", survey({**NUMBER, "default": 10})),
    ("survey: default beyond a limit", survey({**QUESTION, "max": 3, "default": "long"})),
    ("survey: variable's name", survey({**QUESTION, "variable": "an image"})),
    ("survey: answer", launch({})),
    ("survey: answer", launch({"image": "", "n": 0})),
    ("survey: answer", launch({"image": 1})),
    ("survey: answer", launch({"image": "", "more": 1})),
    ("survey: answer", launch({"image": ""}, survey_enabled=False)),
    ("schedule: no DTSTART", (rules.schedule, "RRULE:FREQ=DAILY;INTERVAL=1")),
    ("schedule: no DTSTART", (rules.schedule, "0 */4 * * *")),
    ("schedule: no rule", (rules.schedule, "0 */4 * * *")),
    ("schedule: no rule", schedule("RRULE:FREQ=SOMETIMES;INTERVAL=1")),
    ("schedule: DTSTART without a zone", schedule("RRULE:FREQ=DAILY;INTERVAL=1", "DTSTART:20260105T001700")),
    ("schedule: TZID", schedule("RRULE:FREQ=DAILY;INTERVAL=1", "DTSTART;TZID=Europe/Nowhere:20260105T001700")),
    ("schedule: no INTERVAL", schedule("RRULE:FREQ=DAILY")),
    ("schedule: SECONDLY", schedule("RRULE:FREQ=SECONDLY;INTERVAL=30")),
    ("schedule: COUNT over 999", schedule("RRULE:FREQ=DAILY;INTERVAL=1;COUNT=1000")),
    ("schedule: BYDAY with a number", schedule("RRULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=1MO")),
    ("schedule: COUNT and UNTIL", schedule("RRULE:FREQ=DAILY;INTERVAL=1;COUNT=2;UNTIL=20270105T001700Z")),
    ("schedule: UNTIL without a zone", schedule("RRULE:FREQ=DAILY;INTERVAL=1;UNTIL=20270105T001700")),
    ("schedule: hours that do not divide a day", schedule("RRULE:FREQ=HOURLY;INTERVAL=5")),
    ("project: address", (rules.project, {"scm_type": "git", "scm_url": "somewhere"})),
    ("instance group: pod_spec_override", (rules.instance_group, {"pod_spec_override": "kind: [Pod"})),
    ("instance group: pod_spec_override", (rules.instance_group, {"pod_spec_override": "kind: Deployment"})),
    ("unknown key", (rules.unknown_keys, "controller_schedules", {"rule": "RRULE:FREQ=DAILY"})),
    ("unknown key", (rules.unknown_keys, "controller_templates", {"survey_spec": {"spec": [{"name": "Image"}]}})),
]


@pytest.mark.parametrize("case", SOUND.values(), ids=SOUND)
def test_sound_data_are_accepted(case: tuple[Any, ...]) -> None:
    rule, *given = case
    assert list(rule(*given)) == []


@pytest.mark.filterwarnings("ignore:Using both 'count' and 'until'")
@pytest.mark.parametrize(
    ("name", "case"), BROKEN, ids=[f"{name} {number}" for number, (name, dummy) in enumerate(BROKEN)]
)
def test_broken_data_are_found(name: str, case: tuple[Any, ...]) -> None:
    rule, *given = case
    found = set(rule(*given))
    assert name in found
    assert len(found) == 1 or "*" in str(given)  # the text for cron breaks two rules


def test_every_rule_is_shown_to_bite() -> None:
    assert {name for name, dummy in BROKEN} == rules.REFUSED | rules.TAKEN
