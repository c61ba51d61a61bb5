# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook for AWX with the modules of awx.awx, against a stand-in of the API, and a controller if there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.awx.shipped import data

from .conftest import IMAGE, ROOT, Run, install
from .controller import FIELDS, LISTS, PASSWORD, TOKEN, USER, Controller, serving
from .shared_archives import sharing

Json = dict[str, Any]

PLAYBOOK = "playbooks/awx.yml"
COLLECTIONS = Path(os.environ.get("AWX_COLLECTIONS_PATH", ROOT / ".venv" / "awx"))
SECRETS = {"runpod_awx_api_key": "rpa_example", "runpod_awx_aws_secret_key": "example-of-a-secret"}
SETTINGS = {
    **SECRETS,
    "runpod_awx_aws_access_key": "AKIAIOSFODNN7EXAMPLE",
    "runpod_awx_image": IMAGE,
    "runpod_awx_execution_environment": "registry.example.com/runpod-ecr-ee:0.1.0",
    "runpod_awx_notification_url": "https://alerts.example.com/runpod",
    "runpod_awx_notifications": ["Slack of the team"],
    "runpod_awx_labels": ["gpu"],
    "runpod_awx_instance_groups": ["builders"],
}
# From private sources, by credentials that the organization has; a push launches what converges.
PRIVATE = {
    "runpod_awx_project_credential": "Deploy key",
    "runpod_awx_execution_environment_credential": "Our registry",
    "runpod_awx_webhook_service": "github",
    "runpod_awx_webhook_credential": "Statuses",
}
WHOLE = pytest.mark.skipif(not os.environ.get("AWX_WHOLE"), reason="its runs take minutes: nox -s awx")
REAL = pytest.mark.skipif(not os.environ.get("CONTROLLER_HOST"), reason="there is no CONTROLLER_HOST")


# The stand-in speaks HTTP: reading the authorities for each request takes longer than the request.
NO_AUTHORITIES = {"SSL_CERT_FILE": os.devnull}


def play(*arguments: str, **environment: str) -> Run:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    here = {"PATH": path, "HOME": os.environ["HOME"], "LANG": "C.UTF-8", **environment}
    command = ["ansible-playbook", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Run(done.returncode, done.stdout)


class Awx:
    """A controller with what an organization has before, and runs of the playbook against it."""

    def __init__(self, controller: Controller, folder: Path) -> None:
        self.controller, self.folder = controller, folder
        self.environment: dict[str, str] = {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
        self.playbook = PLAYBOOK
        assert COLLECTIONS.is_dir(), "awx.awx is not there: run 'tools/bootstrap test'"
        controller.add("organizations", {"name": "GPU"})
        slack = {"name": "Slack of the team", "organization": 1, "notification_type": "slack"}
        controller.add("notification_templates", slack)
        controller.add("instance_groups", {"name": "builders"})
        for name, kind in (("Deploy key", "scm"), ("Our registry", "registry"), ("Statuses", "token")):
            made = controller.add("credential_types", {"name": f"Built-in {kind}", "kind": kind})
            controller.add(
                "credentials", {"name": name, "organization": 1, "credential_type": made["id"], "inputs": {}}
            )

    def run(self, *arguments: str, **settings: Any) -> Run:
        self.controller.writes.clear()
        path = self.folder / "settings.json"
        path.write_text(json.dumps(SETTINGS | settings))
        run = play(self.playbook, "-e", f"@{path}", *arguments, **self.environment)
        assert run.code == 0, run.output
        return run


@pytest.fixture
def awx(tmp_path: Path, archives: Path) -> Iterator[Awx]:
    made = Awx(Controller(), tmp_path)
    made.environment |= sharing(archives) | NO_AUTHORITIES
    with serving(made.controller) as host:
        made.environment |= {"CONTROLLER_HOST": host, "CONTROLLER_USERNAME": USER, "CONTROLLER_PASSWORD": PASSWORD}
        yield made


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Awx]:
    """Ansible Automation Platform 2.5: its variables, its collection, and an API behind the gateway."""
    made = Awx(Controller("/api/controller/"), tmp_path)
    place = tmp_path / "ansible_collections" / "ansible"
    place.mkdir(parents=True)
    (place / "controller").symlink_to(COLLECTIONS / "ansible_collections" / "awx" / "awx")
    with serving(made.controller) as host:
        places = f"{tmp_path}{os.pathsep}{COLLECTIONS}"  # the link's documentation is a fragment of awx.awx
        made.environment = {"ANSIBLE_COLLECTIONS_PATH": places, "AAP_HOSTNAME": host, "AAP_TOKEN": TOKEN}
        yield made


# What is refused before anything is asked


def test_without_a_collection_it_says_how_to_get_it(tmp_path: Path) -> None:
    run = play(
        PLAYBOOK,
        ANSIBLE_COLLECTIONS_PATH=str(tmp_path),
        CONTROLLER_HOST="http://127.0.0.1:9",
        CONTROLLER_OAUTH_TOKEN="x",
    )
    assert run.code == 2
    assert "ansible-galaxy collection install awx.awx" in run.output
    assert run.recap["failed"] == 1


def test_without_a_controller_none_is_guessed(tmp_path: Path) -> None:
    for environment in ({"CONTROLLER_HOST": "https://awx.example.com"}, {"AAP_TOKEN": "x"}):
        run = play(PLAYBOOK, ANSIBLE_COLLECTIONS_PATH=str(tmp_path), **environment)
        assert run.code == 2 and "export CONTROLLER_HOST" in run.output and "127.0.0.1" not in run.output


@pytest.mark.parametrize(
    "settings",
    [
        {
            "runpod_awx_execution_environment": "registry.example.com/ee:latest",
            "runpod_awx_state": "gone",
            "runpod_awx_prefix": " ",
            "runpod_awx_webhook_service": "gitea",
        },
        {"runpod_awx_execution_environment": "registry.example.com:5000/ee"},
    ],
    ids=len,
)
def test_settings_that_cannot_work_are_refused_each_with_its_reason(awx: Awx, settings: dict[str, str]) -> None:
    path = awx.folder / "settings.json"
    path.write_text(json.dumps(settings))
    run = play(PLAYBOOK, "-e", f"@{path}", **awx.environment)
    assert run.code == 2
    refused = [line for line in run.output.splitlines() if line.startswith("failed: ")]
    assert len(refused) == len(settings), run.output
    assert [setting for setting in settings if f"{setting} is " not in run.output] == []
    assert awx.controller.writes == []


# Drift


def drift(controller: Controller) -> None:
    """Change by hand every field that is managed, of every thing."""
    for kind, things in controller.things.items():
        for thing in things.values():
            if str(thing.get("name", "")).startswith("RunPod") or kind == "workflow_job_template_nodes":
                thing.update(changed(kind, thing))
    for (kind, _number, name), ids in controller.links.items():
        ids[:] = (
            []
            if ids
            else [next(iter(controller.things[LISTS[kind][name]]))] * bool(controller.things[LISTS[kind][name]])
        )
    for survey in controller.surveys.values():
        survey["spec"] = survey["spec"][:1]
        survey["spec"][0]["required"] = False


KEPT = {"name", "identifier", "organization", "workflow_job_template", "enabled"}
UNMANAGED = {
    "inventories": {"kind", "host_filter", "prevent_instance_group_fallback"},
    "hosts": {"instance_id", "inventory"},
    "job_templates": {"project"},  # AWX refuses one without
    "projects": {"local_path", "signature_validation_credential"},
    "credentials": set(FIELDS["credentials"]),  # a credential that exists is never touched
    "credential_types": {"kind"},
    "execution_environments": set(),
    "notification_templates": {"notification_type"},
    "workflow_job_template_nodes": {"unified_job_template"},
    "schedules": {"unified_job_template"},
    "labels": set(FIELDS["labels"]),
    "workflow_approval_templates": set(),
}


def changed(kind: str, thing: Json) -> Json:
    fields = FIELDS.get(kind, {"description": {"type": "string"}, "timeout": {"type": "integer"}})
    skipped = KEPT | UNMANAGED.get(kind, set())
    return {name: another(field, thing.get(name)) for name, field in fields.items() if name not in skipped}


def another(field: Json, value: Any) -> Any:
    if field["type"] == "boolean":
        return not value
    if field["type"] == "choice":
        return next(choice for choice in reversed(field["choices"]) if choice and choice != value)
    if field["type"] == "json":
        return {"changed": "by hand"} if isinstance(value, dict) or value is None else '{"changed": "by hand"}'
    return {"string": "changed by hand", "integer": 7, "id": None}[field["type"]]


def some() -> dict[str, list[Json]]:
    """Return of the shipped data two workflows and what belongs to them: the rest goes the same way."""
    shipped = data(**SETTINGS, **PRIVATE)
    [hooked, dummy, approved] = shipped["controller_workflows"]
    hooked["simplified_workflow_nodes"] = hooked["simplified_workflow_nodes"][-1:]
    nodes = [*hooked["simplified_workflow_nodes"], *approved["simplified_workflow_nodes"]]
    launched = [node.get("unified_job_template") for node in nodes]
    approvers = "RunPod ECR approvers"
    return {
        "controller_workflows": [hooked, approved],
        "controller_templates": [one for one in shipped["controller_templates"] if one["name"] in launched],
        "controller_schedules": [
            one for one in shipped["controller_schedules"] if one["unified_job_template"] in launched
        ],
        "controller_teams": [one for one in shipped["controller_teams"] if one["name"] == approvers],
        "controller_roles": [one for one in shipped["controller_roles"] if one["teams"] == [approvers]],
    }


KINDS = {
    "notifications": "notification_templates",
    "templates": "job_templates",
    "workflows": "workflow_job_templates",
    "nodes": "workflow_job_template_nodes",
}


def test_every_value_of_the_shipped_data_is_one_that_the_api_takes() -> None:
    shipped = {name.removeprefix("controller_"): things for name, things in data(**SETTINGS, **PRIVATE).items()}
    shipped["nodes"] = [node for one in shipped["workflows"] for node in one["simplified_workflow_nodes"]]
    del shipped["roles"]  # which have no fields
    controller, refused = Controller(), []
    for name, things in shipped.items():
        fields = FIELDS[KINDS.get(name, name)]
        plain = {field for field, told in fields.items() if told["type"] != "id"}
        assert {field for thing in things for field in thing} & plain, name
        refused += [
            (name, field, said)
            for thing in things
            for field in plain & thing.keys()
            if (said := controller.fault(field, fields[field], thing[field]))
        ]
    assert refused == []


def test_a_check_on_an_empty_controller_tells_what_would_be_made_and_a_run_makes_it(awx: Awx) -> None:
    empty = awx.controller.snapshot()
    foreseen = awx.run("--check", **PRIVATE)
    assert "job_templates: " in foreseen.output and foreseen.recap["changed"] > 0
    assert awx.controller.snapshot() == empty and awx.controller.writes == []

    first = awx.run("-vvv", **PRIVATE, **some())
    assert not [secret for secret in (*SECRETS.values(), PASSWORD) if f'"{secret}"' in first.output]
    made = awx.controller.snapshot()["things"]
    assert {schedule["enabled"] for schedule in made["schedules"]} == {True}
    assert made["workflow_job_template_nodes"] and made["job_templates"]
    assert [made[kind][0]["credential"] for kind in ("projects", "execution_environments")] == [
        "Deploy key",
        "Our registry",
    ]
    hooks = {one["name"]: (one["webhook_service"], one["webhook_credential"]) for one in made["workflow_job_templates"]}
    assert hooks.pop("RunPod ECR converge and audit") == ("github", "Statuses")
    assert set(hooks.values()) == {("", None)}
    [groups] = {str(one["instance_groups"]) for one in made["job_templates"]}
    [labels] = {str(one["labels"]) for one in made["job_templates"] + made["workflow_job_templates"]}
    assert (groups, labels) == ("['builders']", "['gpu']")


@WHOLE
def test_drift_by_hand_comes_back_with_one_run_and_the_next_changes_nothing(awx: Awx) -> None:
    controller = awx.controller
    awx.run(**PRIVATE)
    wanted = controller.snapshot()

    drift(controller)
    teardown = controller.one("workflow_job_templates", "RunPod ECR teardown with approval")
    nodes = {
        node["identifier"]: node
        for node in controller.things["workflow_job_template_nodes"].values()
        if node["workflow_job_template"] == teardown["id"]
    }
    removal = controller.one("job_templates", "RunPod ECR teardown")
    stray = {"workflow_job_template": teardown["id"], "identifier": "shortcut", "unified_job_template": removal["id"]}
    controller.add("workflow_job_template_nodes", {**stray, "extra_data": {}})
    controller.links["workflow_job_template_nodes", nodes["look"]["id"], "always_nodes"] = [nodes["remove"]["id"]]
    del controller.things["workflow_approval_templates"][nodes["approve"]["unified_job_template"]]
    nodes["approve"]["unified_job_template"] = removal["id"]
    paused = controller.one("schedules", "RunPod ECR rotate every week")
    paused["enabled"] = False

    mended = awx.run(**PRIVATE)
    assert "Somebody has paused RunPod ECR rotate every week" in " ".join(mended.output.split())
    assert paused["enabled"] is False
    paused["enabled"] = True
    mended_to = controller.snapshot()
    for kind, things in wanted["things"].items():
        assert differences(things, mended_to["things"][kind]) == [], kind
    assert mended_to == wanted

    again = awx.run(**PRIVATE)
    assert again.recap["changed"] == 0, again.output
    assert controller.writes == []


def differences(wanted: list[Json], found: list[Json]) -> list[Json]:
    """Return of each thing that is not as wanted what differs from the wanted one of its name, where there is one."""
    by_name = {label(one): one for one in wanted}
    return [
        {
            "of": label(one),
            **{name: value for name, value in one.items() if value != by_name.get(label(one), {}).get(name)},
        }
        for one in found
        if one not in wanted
    ]


def label(thing: Json) -> str:
    return str((thing.get("workflow_job_template"), thing.get("identifier"), thing.get("name")))


@WHOLE
def test_two_installations_live_side_by_side_and_leave_nothing_behind(archive: Path, gateway: Awx) -> None:
    """By the variables and the collection of Ansible Automation Platform, from an installed collection."""
    install(archive, gateway.folder)
    gateway.playbook, controller = "gpuops.runpod.awx", gateway.controller
    theirs = {"their_own": 1, "runpod_ecr_user_name": "their-user"}
    fleet = {"name": "GPU accounts", "organization": 1, "variables": f"---\n{json.dumps(theirs)}"}
    controller.add("inventories", fleet)
    before = controller.snapshot()
    fleets = {"runpod_awx_survey": False, "runpod_awx_inventory": "GPU accounts", "runpod_awx_hosts": "all"}

    gateway.run(**fleets)
    one = controller.snapshot()
    merged = json.loads(controller.one("inventories", "GPU accounts")["variables"])
    assert merged == {**theirs, "runpod_ecr_aws": {"region": "us-east-1"}}

    other = {"runpod_awx_prefix": "Team B", "runpod_awx_organization": "GPU", "runpod_awx_api_key": ""}
    gateway.run(**other, runpod_awx_notifications=[])
    both = controller.snapshot()
    for kind, things in one["things"].items():
        assert [thing for thing in things if thing not in both["things"][kind]] == [], kind
    rest = controller.one("schedules", "Team B ECR refresh every 4 hours")
    assert not rest["enabled"] and rest["description"] == "Rests: a secret is to be entered in Team B ECR."

    gateway.run(**other, runpod_awx_notifications=[], state="absent")
    assert controller.snapshot() == one
    gateway.run(**fleets, state="absent")
    after = controller.snapshot()
    for snapshot in (before, after):
        [inventory] = snapshot["things"]["inventories"]
        inventory["variables"] = json.loads(inventory["variables"].removeprefix("---\n"))
    assert after == before


# A controller


@REAL
def test_a_real_controller_is_as_before_when_all_was_taken_out_again(tmp_path: Path) -> None:
    there = {name: value for name, value in os.environ.items() if name.startswith(("CONTROLLER_", "AAP_"))}
    places = [os.environ.get("ANSIBLE_COLLECTIONS_PATH"), str(COLLECTIONS), "~/.ansible/collections"]
    there["ANSIBLE_COLLECTIONS_PATH"] = os.pathsep.join(filter(None, places))
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"runpod_awx_prefix": "Trial of RunPod", "runpod_awx_image": IMAGE}))

    def run(*arguments: str) -> Run:
        done = play(PLAYBOOK, "-e", f"@{settings}", *arguments, **there)
        assert done.code == 0, done.output
        return done

    try:
        assert run("--check").recap["changed"] > 0
        run()
        assert run().recap["changed"] == 0
    finally:
        removed = run("-e", "state=absent")
    assert removed.recap["changed"] > 0
    assert run("-e", "state=absent").recap["changed"] == 0
