# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data for AWX: nothing in them is refused or passed over, and they do what the documentation says."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from dateutil.rrule import rrulestr

from . import options, rules
from .shipped import CONTROLLER, data, files, named

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1"
ENTRY_POINTS = {"playbooks/runpod_ecr.yml": "main"} | {
    f"playbooks/{name}.yml": name for name in ("refresh", "rotate", "audit")
}
# What the types of the argument spec are asked for as.
ASKED_AS = {
    "bool": ("multiplechoice",),
    "float": ("float",),
    "int": ("integer",),
    "str": ("text", "multiplechoice"),
}
AMAZON: Json = {
    "fields": [{"id": "username"}, {"id": "password"}, {"id": "security_token"}],
    "required": ["username", "password"],
}
SECRETS = {f"runpod_awx_{name}": "example" for name in ("api_key", "aws_access_key", "aws_secret_key")}
FLEET = {"runpod_awx_survey": "false", "runpod_awx_hosts": "accounts", "runpod_awx_job_slices": 5}


def names(found: dict[str, list[Json]], kind: str) -> set[str]:
    return {item["name"] for item in found[f"controller_{kind}"]}


def problems(found: dict[str, list[Json]]) -> list[str]:
    """Return what the rules find in the data, with the name of the thing."""
    inputs = {"Amazon Web Services": AMAZON} | {
        item["name"]: item["inputs"] for item in found["controller_credential_types"]
    }
    types = {item["name"]: item["credential_type"] for item in found["controller_credentials"]}
    templates = {item["name"]: item for item in found["controller_templates"]}
    playbooks = [str(path.relative_to(ROOT)) for path in (ROOT / "playbooks").glob("*.yml")]
    told = [
        *((item, rules.credential_type(item)) for item in found["controller_credential_types"]),
        *((item, rules.credential(item, inputs[item["credential_type"]])) for item in found["controller_credentials"]),
        *((item, rules.execution_environment(item)) for item in found["controller_execution_environments"]),
        *((item, rules.project(item)) for item in found["controller_projects"]),
        *((item, rules.job_template(item, playbooks, types)) for item in found["controller_templates"]),
        *((item, rules.survey(item["survey_spec"])) for item in found["controller_workflows"]),
        *((item, rules.schedule(item["rrule"])) for item in found["controller_schedules"]),
        *(
            (item, rules.answers(templates[item["unified_job_template"]], item["extra_data"]))
            for item in found["controller_schedules"]
        ),
        *(
            (item, rules.node(node, templates.get(node.get("unified_job_template", ""))))
            for item in found["controller_workflows"]
            for node in item["simplified_workflow_nodes"]
        ),
        *((item, rules.unknown_keys(kind, item)) for kind, items in found.items() for item in items),
    ]
    return [f"{item['name']}: {problem}" for item, result in told for problem in result]


@pytest.mark.parametrize("settings", [{}, {"runpod_awx_image": IMAGE}, FLEET], ids=["bare", "one image", "fleet"])
def test_nothing_is_refused_or_passed_over(settings: Json) -> None:
    assert problems(data(**SECRETS, **settings)) == []


def test_without_secrets_only_they_are_missing() -> None:
    missing = "credential: required input is missing"
    assert problems(data()) == [f"RunPod ECR: {missing}", f"RunPod ECR AWS: {missing}"]


def test_each_variable_stands_in_a_file_of_its_name() -> None:
    found = files()
    settings = found.pop("settings")
    assert {name: [name] for name in options.VARIABLES} == {name: list(content) for name, content in found.items()}
    assert all(name.startswith("runpod_awx_") for name in settings)


def test_every_setting_is_used() -> None:
    text = "".join(path.read_text() for path in CONTROLLER.glob("controller_*.yml"))
    assert set(re.findall(r"runpod_awx_\w+", text)) == files()["settings"].keys()


# References


def test_everything_that_is_named_exists() -> None:
    found = data()
    launched = names(found, "templates")
    for item in found["controller_templates"]:
        assert item["inventory"] in names(found, "inventories")
        assert item["project"] in names(found, "projects")
        assert item["execution_environment"] in names(found, "execution_environments")
        assert set(item["credentials"]) == names(found, "credentials")
    for item in chain(found["controller_templates"], found["controller_workflows"]):
        assert set(item["notification_templates_error"]) <= names(found, "notifications")
    for item in found["controller_workflows"]:
        assert set(item["notification_templates_approvals"]) <= names(found, "notifications")
        nodes = {node["identifier"]: node for node in item["simplified_workflow_nodes"]}
        assert {node["unified_job_template"] for node in nodes.values() if "approval_node" not in node} <= launched
        assert {after for node in nodes.values() for after in node.get("success_nodes", [])} <= nodes.keys()
    assert {item["unified_job_template"] for item in found["controller_schedules"]} <= launched
    assert {item["inventory"] for item in found["controller_hosts"]} <= names(found, "inventories")
    own = names(found, "credential_types") | {"Amazon Web Services"}
    assert {item["credential_type"] for item in found["controller_credentials"]} <= own


def test_what_can_be_launched_has_a_name_of_its_own() -> None:
    found = data()
    launched = [item["name"] for kind in ("projects", "templates", "workflows") for item in found[f"controller_{kind}"]]
    launched += [
        node["approval_node"]["name"]
        for item in found["controller_workflows"]
        for node in item["simplified_workflow_nodes"]
        if "approval_node" in node
    ]
    # A project and its templates are looked up together, by name.
    assert len(set(launched)) == len(launched)


def test_everything_is_in_the_organization_that_is_set() -> None:
    found = data(runpod_awx_organization="GPU")
    inside = set(options.VARIABLES) - {"controller_credential_types", "controller_hosts"}
    assert {item["organization"] for name in inside for item in found[name]} == {"GPU"}


# Secrets


def test_no_secret_stands_in_the_data() -> None:
    settings = files()["settings"]
    assert {name: settings[name] for name in SECRETS} == dict.fromkeys(SECRETS, "")
    [kind] = data()["controller_credential_types"]
    assert [field["id"] for field in kind["inputs"]["fields"] if field.get("secret")] == ["api_key"]
    [notification] = data()["controller_notifications"]
    assert not notification["notification_configuration"]["password"]


def test_credentials_that_exist_are_left_alone() -> None:
    assert {item["state"] for item in data()["controller_credentials"]} == {"exists"}


def test_injected_variables_are_those_that_the_modules_read() -> None:
    [kind] = data()["controller_credential_types"]
    source = (ROOT / "plugins" / "module_utils" / "_runpod" / "connection.py").read_text()
    assert set(kind["injectors"]["env"]) == set(re.findall(r'"(RUNPOD_\w+)"', source))
    address = rules.ImmutableSandboxedEnvironment().from_string(kind["injectors"]["env"]["RUNPOD_API_BASE_URL"])
    assert address.render(api_url="") == address.render() == re.findall(r'"default": "(https:.*?)"', source)[0]
    assert address.render(api_url="https://proxy.example.com") == "https://proxy.example.com"


# What the jobs do


def asked(item: Json) -> list[Json]:
    return item.get("survey_spec", {}).get("spec", [])


def spec(template: Json) -> Json:
    every = yaml.safe_load((ROOT / "roles" / "runpod_ecr" / "meta" / "argument_specs.yml").read_text())
    return every["argument_specs"][ENTRY_POINTS[template["playbook"]]]["options"]


def launched() -> list[tuple[Json, Json]]:
    """Return what has a survey, with the template that its answers reach."""
    found = data()
    pairs = [(item, item) for item in found["controller_templates"]]
    for item in found["controller_workflows"]:
        nodes = item["simplified_workflow_nodes"]
        reached = {node["unified_job_template"] for node in nodes if "approval_node" not in node}
        pairs += [(item, named(found, "templates", name)) for name in reached]
    return pairs


def test_questions_are_options_of_the_role() -> None:
    for item, template in launched():
        for question in asked(item):
            option = spec(template)[question["variable"]]
            assert question["type"] in ASKED_AS[option["type"]], question["variable"]
            choices = {"bool": ["false", "true"]}.get(option["type"], option.get("choices"))
            assert question.get("choices") == choices, question["variable"]
            default = option.get("default")
            same = str(default).lower() if isinstance(default, bool) else default
            stricter = question["variable"] == "runpod_ecr_audit_fail_on"  # a failing job is what notifies
            assert stricter or question.get("default", "") == same, question["variable"]


def test_extra_variables_are_options_of_the_role() -> None:
    for template in data()["controller_templates"]:
        assert template["extra_vars"].keys() - {"runpod_ecr_hosts"} <= spec(template).keys()


def test_nothing_but_a_survey_sets_variables_at_launch() -> None:
    found = data()
    for item in chain(found["controller_templates"], found["controller_workflows"]):
        assert not item.get("ask_variables_on_launch")
        assert not {question["variable"] for question in asked(item)} & {"runpod_ecr_state", "runpod_ecr_hosts"}


def test_templates_are_taken_before_the_first_sync_and_stay_on_the_branch() -> None:
    found = data()
    [project] = found["controller_projects"]
    assert project["allow_override"] and not project["wait"]
    assert not any(item.get("ask_scm_branch_on_launch") for item in found["controller_templates"])


def test_each_playbook_of_the_role_has_a_template() -> None:
    found = [item["playbook"] for item in data()["controller_templates"]]
    assert set(found) == ENTRY_POINTS.keys()


def test_nothing_but_the_workflow_removes() -> None:
    found = data()
    removing = [
        item for item in found["controller_templates"] if item["extra_vars"].get("runpod_ecr_state") == "absent"
    ]
    [template] = removing
    assert template["job_type"] == "check"
    assert not asked(template)
    for other in found["controller_templates"]:
        if other["playbook"] == template["playbook"] and other is not template:
            assert other["extra_vars"]["runpod_ecr_state"] == "present"


def test_workflow_looks_then_waits_for_an_approval_then_removes() -> None:
    [workflow] = data()["controller_workflows"]
    look, approve, remove = workflow["simplified_workflow_nodes"]
    assert look["job_type"] == "check" and remove["job_type"] == "run"
    assert look["unified_job_template"] == remove["unified_job_template"]
    assert approve["approval_node"]["timeout"] > 0
    follows = [node.get("success_nodes", []) for node in (look, approve, remove)]
    assert follows == [[approve["identifier"]], [remove["identifier"]], []]
    assert not any(node.keys() & {"always_nodes", "failure_nodes"} for node in (look, approve, remove))


def test_audit_is_a_check_that_fails_on_red() -> None:
    audit = named(data(), "templates", "RunPod ECR audit")
    assert audit["job_type"] == "check" and audit["extra_vars"]["runpod_ecr_audit_fail_on"] == "red"


@pytest.mark.parametrize(
    ("template", "interval"),
    [("refresh", timedelta(hours=4)), ("rotate", timedelta(weeks=1)), ("audit", timedelta(days=1))],
)
def test_schedules_come_at_their_interval(template: str, interval: timedelta) -> None:
    [schedule] = [
        item for item in data()["controller_schedules"] if item["unified_job_template"] == f"RunPod ECR {template}"
    ]
    times = rrulestr(schedule["rrule"].replace(" ", "\n"))[:50]
    assert {later - earlier for earlier, later in pairwise(times)} == {interval}
    assert schedule["enabled"]


@pytest.mark.parametrize("access", ["delegation", "public"])
def test_without_tokens_none_is_refreshed_or_rotated(access: str) -> None:
    found = data(runpod_awx_access=access)
    enabled = {item["unified_job_template"]: item["enabled"] for item in found["controller_schedules"]}
    assert enabled == {"RunPod ECR refresh": False, "RunPod ECR rotate": False, "RunPod ECR audit": True}
    answers = [question for item in found["controller_templates"] for question in asked(item)]
    assert {question["default"] for question in answers if question["variable"] == "runpod_ecr_access"} == {access}


def test_a_missed_refresh_does_not_matter() -> None:
    refresh = named(data(), "templates", "RunPod ECR refresh")
    [hours] = [question["default"] for question in asked(refresh) if question["type"] == "float"]
    assert timedelta(hours=hours) > 2 * timedelta(hours=4)


def test_every_failure_is_told() -> None:
    found = data()
    for item in chain(found["controller_templates"], found["controller_workflows"]):
        assert item["notification_templates_error"]


def test_notification_has_every_field_so_that_a_second_run_finds_no_difference() -> None:
    [notification] = data()["controller_notifications"]
    assert notification["notification_type"] == "webhook"
    assert notification["notification_configuration"].keys() == options.KEYS["webhook"]


def test_a_fleet_is_sliced_and_asks_nothing() -> None:
    found = data(**FLEET)
    for item in found["controller_templates"]:
        assert item["extra_vars"]["runpod_ecr_hosts"] == "accounts"
        assert not item.get("survey_enabled")
        assert item.get("job_slice_count", 5) == 5
    assert {str(item["extra_data"]) for item in found["controller_schedules"]} == {"{}"}


# The playbook


def test_playbook_hands_every_key_over() -> None:
    tasks = yaml.safe_load((ROOT / "playbooks" / "tasks" / "awx.yml").read_text())
    passed: dict[str, set[str]] = {}
    for task in tasks:
        [module] = [name for name in task if name.startswith("awx.awx.")]
        passed.setdefault(module.removeprefix("awx.awx."), set()).update(task[module])
    nodes = {"simplified_workflow_nodes": "workflow_job_template_node"}
    for variable, items in data().items():
        module = options.VARIABLES[variable]
        assert {key for item in items for key in item} - nodes.keys() <= passed[module]
        for node in chain.from_iterable(item.get("simplified_workflow_nodes", []) for item in items):
            assert node.keys() <= passed["workflow_job_template_node"]
    assert all(passed[module] <= options.MODULES[module].keys() for module in passed)
    assert set(passed) == {*options.VARIABLES.values(), *nodes.values()}


def test_playbook_reads_every_file() -> None:
    [play] = yaml.safe_load((ROOT / "playbooks" / "awx.yml").read_text())
    read = [(ROOT / "playbooks" / path).resolve() for path in play["vars_files"]]
    assert sorted(read) == sorted(CONTROLLER.glob("*.yml"))
