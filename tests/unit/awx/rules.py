# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX' API refuses, and what it takes although it cannot work: each rule by its name, as pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import yaml
from dateutil import tz
from dateutil.rrule import rrulestr
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from . import options

Json = dict[str, Any]

REFUSED = {
    "credential type: environment variable's name",
    "credential type: field's id",
    "credential type: field's type",
    "credential type: injector",
    "credential type: kind",
    "credential type: reserved environment variable",
    "credential type: reserved field",
    "credential type: template",
    "credential type: undefined variable",
    "credential type: value is no string",
    "credential: input's type",
    "credential: unknown input",
    "execution environment: image",
    "execution environment: pull",
    "job template: credentials of one type",
    "job template: extra_vars",
    "job template: playbook",
    "node: prompt",
    "schedule: BYDAY with a number",
    "schedule: COUNT and UNTIL",
    "schedule: COUNT over 999",
    "schedule: DTSTART without a zone",
    "schedule: TZID",
    "schedule: no DTSTART",
    "schedule: no INTERVAL",
    "schedule: no rule",
    "schedule: SECONDLY",
    "survey: answer",
    "survey: default is no choice",
    "survey: default's type",
    "survey: duplicate variable",
    "survey: empty",
    "survey: limit is no integer",
    "survey: missing field",
    "survey: no choices",
    "survey: question's type",
}
TAKEN = {
    "credential: required input is missing",
    "instance group: pod_spec_override",
    "project: address",
    "schedule: UNTIL without a zone",
    "schedule: hours that do not divide a day",
    "survey: default beyond a limit",
    "survey: variable's name",
    "unknown key",
}

ENVIRONMENT = re.compile("[A-Za-z_][A-Za-z0-9_]*")
RESERVED_ENVIRONMENT = {"AWX_HOST", "INVENTORY_ID", "JOB_ID", "PATH", "PROJECT_REVISION", "PYTHONPATH", "VIRTUAL_ENV"}
QUESTIONS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "textarea": (str,),
    "password": (str,),
    "multiplechoice": (str,),
    "multiselect": (str, list),
    "integer": (int,),
    "float": (int, float),
}
CHOOSING = ("multiplechoice", "multiselect")
IMAGE = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?/)?"
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?(?:@[\w+.-]+:[0-9a-fA-F]{32,})?"
)
ADDRESS = re.compile(r"(?:(?:https?|ssh|git)://[^\s/]+/\S+|[\w.-]+@[\w.-]+:\S+)")


def credential_type(item: Json) -> Iterator[str]:
    if item.get("kind") not in ("cloud", "net"):
        yield "credential type: kind"
    fields = item["inputs"].get("fields", [])
    for field in fields:
        if not ENVIRONMENT.fullmatch(str(field.get("id"))):
            yield "credential type: field's id"
        if field.get("type", "string") not in ("string", "boolean"):
            yield "credential type: field's type"
        if field.get("id") == "tower":
            yield "credential type: reserved field"
    known: Json = dict.fromkeys((str(field.get("id")) for field in fields), "EXAMPLE")
    if "template" in item.get("injectors", {}).get("file", {}):
        known["tower"] = {"filename": "EXAMPLE"}  # where AWX has written it
    for kind, values in item.get("injectors", {}).items():
        if kind not in ("env", "extra_vars", "file"):
            yield "credential type: injector"
        for name, value in values.items():
            yield from injected(kind, name, value, known)


def injected(kind: str, name: str, value: object, known: Json) -> Iterator[str]:
    if kind == "env" and not ENVIRONMENT.fullmatch(name):
        yield "credential type: environment variable's name"
    if kind == "env" and (name.startswith("ANSIBLE_") or name in RESERVED_ENVIRONMENT):
        yield "credential type: reserved environment variable"
    if not isinstance(value, str):
        yield "credential type: value is no string"
        return
    try:
        template = ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(value)
    except TemplateError:
        yield "credential type: template"
        return
    try:
        template.render(known)
    except TemplateError:
        yield "credential type: undefined variable"


def credential(item: Json, inputs: Json) -> Iterator[str]:
    """Judge a credential by the inputs of its type."""
    types = {field["id"]: {"string": str, "boolean": bool}[field.get("type", "string")] for field in inputs["fields"]}
    given = item.get("inputs", {})
    for name, value in given.items():
        if name not in types:
            yield "credential: unknown input"
        elif not isinstance(value, types[name]):
            yield "credential: input's type"
    if any(given.get(name) in (None, "") for name in inputs.get("required", [])):
        yield "credential: required input is missing"


def execution_environment(item: Json) -> Iterator[str]:
    if not IMAGE.fullmatch(item["image"]):
        yield "execution environment: image"
    if item.get("pull", "missing") not in ("", "always", "missing", "never"):
        yield "execution environment: pull"


def instance_group(item: Json) -> Iterator[str]:
    try:
        pod = yaml.safe_load(item.get("pod_spec_override") or "{kind: Pod, spec: {containers: [{}]}}")
        sound = pod["kind"] == "Pod" and bool(pod["spec"]["containers"])
    except (yaml.YAMLError, TypeError, KeyError):
        sound = False
    if not sound:
        yield "instance group: pod_spec_override"


def project(item: Json) -> Iterator[str]:
    if item.get("scm_type") == "git" and not ADDRESS.fullmatch(item.get("scm_url", "")):
        yield "project: address"


def job_template(item: Json, playbooks: Iterable[str], types: dict[str, str]) -> Iterator[str]:
    """Judge a job template by the playbooks of its project, and by the types of the credentials there are."""
    if item["playbook"] not in playbooks:
        yield "job template: playbook"
    if not is_mapping(item.get("extra_vars", {})):
        yield "job template: extra_vars"
    if max(Counter(types.get(name) for name in item.get("credentials", [])).values(), default=0) > 1:
        yield "job template: credentials of one type"
    if "survey_spec" in item:
        yield from survey(item["survey_spec"])


def is_mapping(given: object) -> bool:
    try:
        return isinstance(yaml.safe_load(given) if isinstance(given, str) else given, dict)
    except yaml.YAMLError:
        return False


def survey(spec: Json) -> Iterator[str]:
    if {"name", "description", "spec"} - spec.keys():
        yield "survey: missing field"
    questions = spec.get("spec", [])
    if not questions:
        yield "survey: empty"
    variables = Counter(question.get("variable") for question in questions)
    if max(variables.values(), default=0) > 1:
        yield "survey: duplicate variable"
    for asked in questions:
        if {"type", "question_name", "variable", "required"} - asked.keys():
            yield "survey: missing field"
        elif asked["type"] not in QUESTIONS:
            yield "survey: question's type"
        else:
            yield from question(asked)


def question(asked: Json) -> Iterator[str]:
    if not ENVIRONMENT.fullmatch(asked["variable"]):
        yield "survey: variable's name"
    limits = [asked[name] for name in ("min", "max") if asked.get(name) is not None]
    if not all(isinstance(limit, int) for limit in limits):
        yield "survey: limit is no integer"
    if asked["type"] in CHOOSING and "choices" not in asked:
        yield "survey: no choices"
    default = asked.get("default", "")
    if default == "" or (asked["type"] in CHOOSING and "choices" not in asked):
        return
    if isinstance(default, bool) or not isinstance(default, QUESTIONS[asked["type"]]):
        yield "survey: default's type"
    elif asked["type"] in CHOOSING and set(chosen(default)) - set(chosen(asked["choices"])):
        yield "survey: default is no choice"
    elif limits and refused(asked, default):
        yield "survey: default beyond a limit"


def chosen(given: str | list[str]) -> list[str]:
    return [line for line in given.splitlines() if line.strip()] if isinstance(given, str) else given


def refused(asked: Json, answer: object) -> bool:
    """Whether AWX refuses this answer to a question."""
    if isinstance(answer, bool) or not isinstance(answer, QUESTIONS[asked["type"]]):
        return True
    if asked["type"] in CHOOSING:
        return bool(set(chosen(answer)) - set(chosen(asked["choices"])))  # type: ignore[arg-type]
    size: Any = len(answer) if isinstance(answer, str) else answer
    least, most = asked.get("min"), asked.get("max")
    return (isinstance(least, int) and size < least) or (isinstance(most, int) and size > most)


def answers(template: Json, given: Json) -> Iterator[str]:
    """Judge the variables of a launch or a schedule by the survey of what is launched."""
    asked = template.get("survey_spec", {}).get("spec", []) if template.get("survey_enabled") else []
    questions = {question["variable"]: question for question in asked}
    missing = [name for name, question in questions.items() if question["required"] and name not in given]
    unasked = given.keys() - questions.keys() if not template.get("ask_variables_on_launch") else set()
    if missing or unasked or any(name in given and refused(questions[name], given[name]) for name in questions):
        yield "survey: answer"


def schedule(rrule: str) -> Iterator[str]:
    start = re.search(r"DTSTART(?:;TZID=([^:;\s]+))?:(\d{8}T\d{6})(Z?)(?:\s|$)", rrule)
    if not start:
        yield "schedule: no DTSTART"
    elif not start[1] and not start[3]:
        yield "schedule: DTSTART without a zone"
    elif start[1] and tz.gettz(start[1]) is None:
        yield "schedule: TZID"
    found = re.findall(r"RULE:(\S+)", rrule)
    if not found or not parses(rrule):
        yield "schedule: no rule"
    yield from chain.from_iterable(
        recurrence(dict(part.partition("=")[::2] for part in rule.split(";"))) for rule in found
    )


def parses(rrule: str) -> bool:
    try:
        rrulestr(re.sub(r";TZID=[^:]+", "", rrule).replace(" ", "\n"), forceset=True)
    except ValueError as error:
        return "UNTIL" in str(error)  # in another zone than DTSTART, which AWX reconciles
    return True


def recurrence(rule: dict[str, str]) -> Iterator[str]:
    if "INTERVAL" not in rule:
        yield "schedule: no INTERVAL"
    if rule.get("FREQ") == "SECONDLY":
        yield "schedule: SECONDLY"
    # A start that is long past AWX moves to a week ago, at the same time of the day.
    if rule.get("FREQ") == "HOURLY" and 24 % int(rule.get("INTERVAL", 1)):
        yield "schedule: hours that do not divide a day"
    if re.search(r"\d", rule.get("BYDAY", "")):
        yield "schedule: BYDAY with a number"
    if {"COUNT", "UNTIL"} <= rule.keys():
        yield "schedule: COUNT and UNTIL"
    if int(rule.get("COUNT", 0)) > 999:
        yield "schedule: COUNT over 999"
    if not rule.get("UNTIL", "Z").endswith("Z"):
        yield "schedule: UNTIL without a zone"


def node(item: Json, template: Json | None) -> Iterator[str]:
    """Judge the prompts of a workflow's node by what the template asks for at launch."""
    for name in ("job_type", "limit"):
        differs = name in item and template is not None and item[name] != template.get(name)
        if differs and not (template or {}).get(f"ask_{name}_on_launch"):
            yield "node: prompt"


def unknown_keys(kind: str, item: Json) -> Iterator[str]:
    """Look for keys that would be passed over, as far as they are those of AWX and not the user's own."""
    known = options.KEYS[kind]
    if item.keys() - known:
        yield "unknown key"
    for name, inner in options.INNER.get(kind, {}).items():
        for part in parts(item.get(name)):
            yield from unknown_keys(inner, part)


def parts(given: Any) -> list[Json]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]
