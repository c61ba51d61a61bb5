# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data for AWX: nothing in them is refused or passed over, and they do what the documentation says."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from functools import cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from dateutil.rrule import rrulestr
from jinja2 import ChainableUndefined

from . import options, rules
from .shipped import CONTROLLER, data, files, named

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1"
ENTRY_POINTS = {"playbooks/runpod_ecr.yml": "main"} | {
    f"playbooks/{name}.yml": name for name in ("refresh", "rotate", "audit")
}
TEARDOWN, COMPARISON = "playbooks/awx_teardown.yml", "playbooks/fleet.yml"
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
EVERYTHING = {
    "runpod_awx_image": IMAGE,
    "runpod_awx_execution_environment": "registry.example.com/runpod-ecr-ee:0.1.0",
    "runpod_awx_notification_url": "https://alerts.example.com/runpod",
}
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


@pytest.mark.parametrize("settings", [{}, EVERYTHING, FLEET], ids=["bare", "everything", "fleet"])
def test_nothing_is_refused_or_passed_over(settings: Json) -> None:
    assert problems(data(**SECRETS, **settings)) == []


def test_without_secrets_only_they_are_missing() -> None:
    missing = "credential: required input is missing"
    assert problems(data()) == [f"RunPod ECR: {missing}", f"RunPod ECR AWS: {missing}"]


def test_each_variable_stands_in_a_file_of_its_name() -> None:
    found = files()
    settings = found.pop("settings")
    for name, content in found.items():
        assert [variable for variable in content if not variable.startswith("runpod_awx_")] == [name]
    assert set(found) == set(options.VARIABLES)
    assert all(name.startswith("runpod_awx_") for name in settings)


def test_every_setting_is_used() -> None:
    playbook = [ROOT / "playbooks" / "awx.yml", *(ROOT / "playbooks" / "tasks").rglob("awx*.yml")]
    text = "".join(path.read_text() for path in (*CONTROLLER.glob("controller_*.yml"), *playbook))
    assert set(files()["settings"]) <= set(re.findall(r"runpod_awx_\w+", text))


# References


def test_everything_that_is_named_exists() -> None:
    found = data(**EVERYTHING)
    launched = names(found, "templates")
    for item in found["controller_templates"]:
        assert item["inventory"] in names(found, "inventories")
        assert item["project"] in names(found, "projects")
        assert item["execution_environment"] in names(found, "execution_environments")
        assert set(item["credentials"]) <= names(found, "credentials")
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
    for item in found["controller_roles"]:
        assert set(item["teams"]) <= names(found, "teams")
        assert set(item.get("job_templates", [])) <= launched
        assert set(item.get("workflows", [])) <= names(found, "workflows")


def test_without_an_image_jobs_run_in_the_environment_that_awx_has_for_all() -> None:
    found = data()
    assert found["controller_execution_environments"] == []
    assert {item["execution_environment"] for item in found["controller_templates"]} == {""}


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
    inside = set(options.VARIABLES) - {"controller_credential_types", "controller_hosts", "controller_roles"}
    assert {item["organization"] for name in inside for item in found[name]} == {"GPU"}


def test_two_prefixes_have_no_name_in_common() -> None:
    """Built-in types, the host of an inventory, and nodes of a workflow lie within what has another name."""
    one, other = (strings(data(runpod_awx_prefix=name, **EVERYTHING)) for name in ("RunPod", "Team B"))
    named = {text for text in one if text.startswith("RunPod ECR") or text == "RunPod"}
    assert named and not named & other
    assert not {text for text in other if re.search(r"\bRunPod ECR (?!failures)", text) and "Team B" not in text}


def strings(given: Any) -> set[str]:
    if isinstance(given, dict):
        return set().union(*map(strings, given.values()))
    if isinstance(given, list):
        return set().union(*map(strings, given))
    return {given} if isinstance(given, str) else set()


# Secrets


def test_no_secret_stands_in_the_data() -> None:
    settings = files()["settings"]
    assert {name: settings[name] for name in SECRETS} == dict.fromkeys(SECRETS, "")
    kinds = data()["controller_credential_types"]
    secret = [field["id"] for kind in kinds for field in kind["inputs"]["fields"] if field.get("secret")]
    assert secret == ["api_key", "secret_key", "external_id"]
    [notification] = data(**EVERYTHING)["controller_notifications"]
    assert not notification["notification_configuration"]["password"]


def test_credentials_that_exist_are_left_alone() -> None:
    assert {item["state"] for item in data()["controller_credentials"]} == {"exists"}


def test_injected_variables_are_those_that_the_modules_read() -> None:
    kind = named(data(), "credential_types", "RunPod")
    source = (ROOT / "plugins" / "module_utils" / "_runpod" / "connection.py").read_text()
    assert set(kind["injectors"]["env"]) == set(re.findall(r'"(RUNPOD_\w+)"', source))
    address = rules.ImmutableSandboxedEnvironment().from_string(kind["injectors"]["env"]["RUNPOD_API_BASE_URL"])
    assert address.render(api_url="") == address.render() == re.findall(r'"default": "(https:.*?)"', source)[0]
    assert address.render(api_url="https://proxy.example.com") == "https://proxy.example.com"


# What the jobs do


def asked(item: Json) -> list[Json]:
    return item.get("survey_spec", {}).get("spec", [])


@cache
def argument_specs() -> Json:
    every = yaml.safe_load((ROOT / "roles" / "runpod_ecr" / "meta" / "argument_specs.yml").read_text())
    return every["argument_specs"]


def spec(template: Json) -> Json:
    entry = "main" if template["playbook"] == TEARDOWN else ENTRY_POINTS[template["playbook"]]
    return argument_specs()[entry]["options"]


def launched() -> list[tuple[Json, Json]]:
    """Return what has a survey, with the template that its answers reach."""
    found = data()
    pairs = [(item, item) for item in found["controller_templates"] if asked(item)]
    for item in found["controller_workflows"]:
        nodes = item["simplified_workflow_nodes"]
        reached = {node["unified_job_template"] for node in nodes if "approval_node" not in node}
        pairs += [(item, template) for name in reached if asks_a_cloud(template := named(found, "templates", name))]
    return pairs


def asks_a_cloud(template: Json) -> bool:
    return bool(template["playbook"] != COMPARISON)


def test_questions_are_options_of_the_role() -> None:
    for item, template in launched():
        for question in asked(item):
            if question["variable"] == "runpod_ecr_access" and "runpod_ecr_access" not in spec(template):
                continue  # of another job of the workflow
            option = spec(template)[question["variable"]]
            assert question["type"] in ASKED_AS[option["type"]], question["variable"]
            choices = {"bool": ["false", "true"]}.get(option["type"], option.get("choices"))
            assert question.get("choices") == choices, question["variable"]
            default = option.get("default")
            same = str(default).lower() if isinstance(default, bool) else default
            stricter = question["variable"] == "runpod_ecr_audit_fail_on"  # a failing job is what notifies
            assert stricter or question.get("default", "") == same, question["variable"]


def test_extra_variables_are_options_of_the_role() -> None:
    for template in filter(asks_a_cloud, data()["controller_templates"]):
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
    assert set(found) == {*ENTRY_POINTS, TEARDOWN, COMPARISON}


def test_no_template_but_that_of_the_workflow_can_remove_whatever_is_asked_at_launch() -> None:
    found = data()
    for item in found["controller_templates"]:
        if item["playbook"] == "playbooks/runpod_ecr.yml":
            assert item["extra_vars"]["runpod_ecr_state"] == "present"
    preview, removal = (item for item in found["controller_templates"] if item["playbook"] == TEARDOWN)
    assert (preview["job_type"], removal["job_type"]) == ("check", "run")
    for item in (preview, removal):
        assert not asked(item) and not item["ask_job_type_on_launch"] and not item["ask_variables_on_launch"]


def test_workflow_looks_then_waits_for_an_approval_then_removes() -> None:
    workflow = named(data(), "workflows", "RunPod ECR teardown with approval")
    look, approve, remove = workflow["simplified_workflow_nodes"]
    assert look["unified_job_template"] == "RunPod ECR teardown preview"
    assert remove["unified_job_template"] == "RunPod ECR teardown"
    assert approve["approval_node"]["timeout"] > 0
    follows = [node.get("success_nodes", []) for node in (look, approve, remove)]
    assert follows == [[approve["identifier"]], [remove["identifier"]], []]
    assert not any(node.keys() & {"always_nodes", "failure_nodes"} for node in (look, approve, remove))


@pytest.mark.parametrize(("name", "first"), [("converge", ["compare", "converge"]), ("rotate", ["rotate"])])
def test_what_was_changed_is_audited(name: str, first: list[str]) -> None:
    workflow = named(data(), "workflows", f"RunPod ECR {name} and audit")
    assert [node["identifier"] for node in workflow["simplified_workflow_nodes"]] == [*first, "audit"]
    assert [node.get("success_nodes") for node in workflow["simplified_workflow_nodes"]] == [
        *([after] for after in [*first[1:], "audit"]),
        None,
    ]


# Who may do what


def may(found: dict[str, list[Json]], team: str) -> dict[str, set[str]]:
    """Return the roles of a team by what they are for."""
    held: dict[str, set[str]] = {}
    for item in found["controller_roles"]:
        if f"RunPod ECR {team}" in item["teams"]:
            for name in [*item.get("job_templates", []), *item.get("workflows", [])]:
                held.setdefault(name.removeprefix("RunPod ECR "), set()).add(item["role"])
    return held


def test_launchers_and_approvers_can_read_what_is_to_be_removed() -> None:
    found = data()
    for team in ("launchers", "approvers", "auditors"):
        assert may(found, team)["teardown preview"] == may(found, team)["teardown"] == {"read"}


def test_nobody_approves_what_the_same_team_launches() -> None:
    found, workflow = data(), "teardown with approval"
    assert may(found, "launchers")[workflow] == {"execute"}
    assert may(found, "approvers")[workflow] == {"approval", "read"}


def test_no_team_may_launch_the_removal_by_itself() -> None:
    for item in data()["controller_roles"]:
        if item["role"] != "read":
            assert not {"RunPod ECR teardown", "RunPod ECR teardown preview"} & set(item.get("job_templates", []))


def test_in_slices_nobody_converges_without_the_comparison_of_all_hosts() -> None:
    assert may(data(), "launchers")["converge"] == {"execute"}
    sliced = data(**FLEET)
    assert may(sliced, "launchers")["converge"] == {"read"}
    assert may(sliced, "launchers")["converge and audit"] == {"execute"}
    comparison = named(sliced, "templates", "RunPod ECR fleet check")
    assert comparison["job_slice_count"] == 1 and not comparison["ask_limit_on_launch"]


def test_teams_can_be_left_out() -> None:
    found = data(runpod_awx_teams=False)
    assert found["controller_teams"] == found["controller_roles"] == []


# Roles in several accounts


@pytest.mark.parametrize(
    ("inputs", "source"),
    [
        ({"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "example"}, {"source_profile": "operator"}),
        ({}, {"credential_source": "Ec2InstanceMetadata"}),
        ({"external_id": "example"}, {"credential_source": "Ec2InstanceMetadata", "external_id": "example"}),
    ],
)
def test_each_account_gets_a_profile_that_boto3_reads(inputs: Json, source: Json, tmp_path: Path) -> None:
    kind = named(data(), "credential_types", "RunPod AWS roles")
    accounts = {"accounts": "123456789012\n111122223333\n", "role_name": "runpod-operator"}
    text = rules.ImmutableSandboxedEnvironment().from_string(kind["injectors"]["file"]["template"])
    (tmp_path / "config").write_text(text.render(**accounts, **inputs))
    session = botocore.session.Session(session_vars={"config_file": (None, None, str(tmp_path / "config"), None)})
    profiles = session.full_config["profiles"]
    for account in ("123456789012", "111122223333"):
        assert profiles[f"account-{account}"] == {
            "role_arn": f"arn:aws:iam::{account}:role/runpod-operator",
            "role_session_name": "runpod-ecr",
            **source,
        }
    assert ("operator" in profiles) == ("access_key" in inputs)


def test_audit_is_a_check_that_fails_on_red() -> None:
    audit = named(data(), "templates", "RunPod ECR audit")
    assert audit["job_type"] == "check" and audit["extra_vars"]["runpod_ecr_audit_fail_on"] == "red"


@pytest.mark.parametrize(
    ("template", "interval"),
    [("refresh", timedelta(hours=4)), ("rotate", timedelta(weeks=1)), ("audit", timedelta(days=1))],
)
def test_schedules_come_at_their_interval(template: str, interval: timedelta) -> None:
    [schedule] = [
        item
        for item in data(**EVERYTHING)["controller_schedules"]
        if item["unified_job_template"] == f"RunPod ECR {template}"
    ]
    times = rrulestr(schedule["rrule"].replace(" ", "\n"))[:50]
    assert {later - earlier for earlier, later in pairwise(times)} == {interval}
    assert schedule["enabled"]


@pytest.mark.parametrize("access", ["delegation", "public"])
def test_without_tokens_none_is_refreshed_or_rotated(access: str) -> None:
    found = data(**EVERYTHING, runpod_awx_access=access)
    enabled = {item["unified_job_template"]: item["enabled"] for item in found["controller_schedules"]}
    assert enabled == {"RunPod ECR refresh": False, "RunPod ECR rotate": False, "RunPod ECR audit": True}
    answers = [question for item in found["controller_templates"] for question in asked(item)]
    assert {question["default"] for question in answers if question["variable"] == "runpod_ecr_access"} == {access}


def test_with_a_pull_role_awx_holds_no_key_of_aws_and_nothing_is_rotated() -> None:
    example = yaml.safe_load((ROOT / "examples" / "awx-role" / "runpod-awx.yml").read_text())
    found = data(**SECRETS, **example)
    assert problems(found) == []
    used = {name for template in found["controller_templates"] for name in template["credentials"]}
    assert used == {"RunPod ECR"}
    enabled = {item["unified_job_template"]: item["enabled"] for item in found["controller_schedules"]}
    assert enabled == {"RunPod ECR refresh": True, "RunPod ECR rotate": False, "RunPod ECR audit": True}
    assert example["runpod_awx_variables"].keys() <= spec(named(found, "templates", "RunPod ECR converge")).keys()


def test_a_missed_refresh_does_not_matter() -> None:
    refresh = named(data(), "templates", "RunPod ECR refresh")
    [hours] = [question["default"] for question in asked(refresh) if question["type"] == "float"]
    assert timedelta(hours=hours) > 2 * timedelta(hours=4)


def test_schedules_rest_until_there_is_an_image_to_speak_of() -> None:
    assert {item["enabled"] for item in data()["controller_schedules"]} == {False}
    assert {item["enabled"] for item in data(**FLEET)["controller_schedules"]} == {True}
    assert {item["enabled"] for item in data(**EVERYTHING)["controller_schedules"]} == {True}


# Notifications


def test_every_failed_job_is_told_of_once_and_a_denied_approval_is_no_failure() -> None:
    found = data(**EVERYTHING, runpod_awx_notifications=["Slack of the team"])
    told = ["RunPod ECR failures", "Slack of the team"]
    for item in found["controller_templates"]:
        assert item["notification_templates_error"] == told
    for item in found["controller_workflows"]:
        assert item["notification_templates_error"] == []
        approves = any("approval_node" in node for node in item["simplified_workflow_nodes"])
        assert item["notification_templates_approvals"] == (told if approves else [])


def test_without_an_address_nothing_is_posted() -> None:
    found = data()
    assert found["controller_notifications"] == []
    assert {str(item["notification_templates_error"]) for item in found["controller_templates"]} == {"[]"}


def test_notification_has_every_field_so_that_a_second_run_finds_no_difference() -> None:
    [notification] = data(**EVERYTHING)["controller_notifications"]
    assert notification["notification_type"] == "webhook"
    assert notification["notification_configuration"].keys() == options.KEYS["webhook"]


def rendered(job: Json, **context: Any) -> Json:
    """Return the body of a failure's notification as AWX makes it: undefined is empty, whatever hangs on it too."""
    [notification] = data(**EVERYTHING)["controller_notifications"]
    text = notification["messages"]["error"]["body"]
    sandbox = rules.ImmutableSandboxedEnvironment(undefined=ChainableUndefined)
    return json.loads(sandbox.from_string(text).render(job=job, url="https://awx.example.com/#/jobs/1", **context))


@pytest.mark.parametrize(
    ("job", "reasons"),
    [
        (
            {"artifacts": {"runpod_ecr_audits": {"a": {"answer": ["The token has expired."]}}}},
            ["a: The token has expired."],
        ),
        (
            {"artifacts": {"runpod_awx_failures": {"a": 'No "image".', "b": "No key."}}},
            ['a: No "image".', "b: No key."],
        ),
        ({"artifacts": {}, "job_explanation": "Task was canceled"}, ["Task was canceled"]),
        ({}, ["The output of the job tells why."]),
    ],
)
def test_a_notification_carries_the_answer_or_the_reason(job: Json, reasons: list[str]) -> None:
    told = rendered({"name": "RunPod ECR audit", "status": "failed", **job})
    assert told["reasons"] == reasons and told["status"] == "failed" and told["url"].startswith("https://awx.")


def test_messages_can_be_rendered_as_awx_tries_them_when_they_are_saved() -> None:
    [notification] = data(**EVERYTHING)["controller_notifications"]
    stub = {"job": {"name": "Stub", "status": "running"}, "url": "", "approval_status": "approved"}
    messages = notification["messages"]
    for body in [messages["error"]["body"], *(one["body"] for one in messages["workflow_approval"].values())]:
        sandbox = rules.ImmutableSandboxedEnvironment(undefined=rules.StrictUndefined)
        assert isinstance(json.loads(sandbox.from_string(body).render(stub)), dict)


def test_a_fleet_is_sliced_and_asks_nothing() -> None:
    found = data(**FLEET)
    for item in found["controller_templates"]:
        assert item["extra_vars"]["runpod_ecr_hosts"] == "accounts"
        assert not item.get("survey_enabled")
        alone = item["playbook"] in (TEARDOWN, COMPARISON)
        assert item["job_slice_count"] == (1 if alone else 5)
    assert {str(item["extra_data"]) for item in found["controller_schedules"]} == {"{}"}


# The playbook


MODULE = "{{ awx_collection }}."


@cache
def passed() -> dict[str, set[str]]:
    """Return what the tasks hand to each module."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "playbooks" / "tasks").glob("awx*.yml"):
        for task in yaml.safe_load(path.read_text()):
            if str(task.get("action", "")).startswith(MODULE):
                found.setdefault(task["action"].removeprefix(MODULE), set()).update(task["args"])
    return found


def test_playbook_hands_every_key_over() -> None:
    inner = {"simplified_workflow_nodes"}
    for variable, items in data(**EVERYTHING).items():
        module = options.VARIABLES[variable]
        assert {key for item in items for key in item} - inner <= passed()[module], module
        for node in chain.from_iterable(item.get("simplified_workflow_nodes", []) for item in items):
            assert node.keys() <= passed()["workflow_job_template_node"]
    assert all(given <= options.MODULES[module].keys() for module, given in passed().items())
    assert set(passed()) == options.MODULES.keys()


def test_every_field_that_changes_what_a_job_does_is_managed() -> None:
    """What stands in none of the items can be changed by hand and stays so."""
    fields = json.loads((ROOT / "tests" / "system" / "awx_fields.json").read_text())
    found = data(**EVERYTHING)
    for variable, kind in (
        ("controller_templates", "job_templates"),
        ("controller_workflows", "workflow_job_templates"),
    ):
        for item in found[variable]:
            assert fields[kind].keys() - item.keys() == set(), item["name"]
            wanted = {
                name for name in options.MODULES[options.VARIABLES[variable]] if name.startswith(("ask_", "notif"))
            }
            assert wanted <= item.keys()


def test_playbook_reads_every_file() -> None:
    [play] = yaml.safe_load((ROOT / "playbooks" / "awx.yml").read_text())
    read = [(ROOT / "playbooks" / path).resolve() for path in play["vars_files"]]
    assert sorted(read) == sorted([*CONTROLLER.glob("*.yml"), ROOT / "playbooks" / "tasks" / "vars" / "awx.yml"])
