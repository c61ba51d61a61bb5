# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository, and a wrapper of two files, are projects of AWX: synced and run as AWX does it, without a network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.template import Templar

from tests.sandbox.server import Sandbox

from .awx import Controller, Definitions, Job, Project, answered, listed_playbooks
from .conftest import IMAGE, ROOT, House
from .role import LOADER

WRAPPER = ROOT / "examples" / "awx-wrapper"
# What the credentials of a job bring, so that nothing else may.
INJECTED = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "RUNPOD_API_KEY", "RUNPOD_API_BASE_URL"}


def files_of(folder: Path) -> Iterator[Path]:
    """Yield what a commit of the working tree would hold of a folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    for name in names.split("\0"):
        path = folder / name
        if path.is_symlink() or path.is_file():
            yield path


class Awx:
    """A controller with the job templates of extensions/awx, an account of each cloud, and both kinds of projects."""

    def __init__(self, environment: dict[str, str], folder: Path, archives: Path) -> None:
        self._environment = environment
        unknown = INJECTED | {"AWS_REGION"}  # that is in the variables of the inventory
        settings = {name: value for name, value in environment.items() if name not in unknown}
        self.controller = Controller(folder, settings, archives)
        self.collection = self.controller.repository("collection", files_of(ROOT), ROOT)
        self.wrapper = self.controller.repository("wrapper", files_of(WRAPPER), WRAPPER)
        self.plain = self.controller.sync(self.collection)  # without Galaxy credentials AWX installs nothing

    def credentials(self, definitions: Definitions) -> dict[str, str]:
        environment = self._environment
        runpod = {"api_key": environment["RUNPOD_API_KEY"], "api_url": environment["RUNPOD_API_BASE_URL"]}
        injected = {
            "AWS_ACCESS_KEY_ID": environment["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": environment["AWS_SECRET_ACCESS_KEY"],
            **definitions.injected("RunPod", **runpod),
        }
        assert injected.keys() == INJECTED
        return injected


class Jobs:
    """Launches the job templates, each with the answers to its survey, and keeps what became of them."""

    def __init__(self, awx: Awx) -> None:
        self.done: list[Job] = []
        self._awx, self._definitions = awx, Definitions()
        self._credentials = awx.credentials(self._definitions)

    def launch(self, project: Project, name: str, *arguments: str, **changes: Any) -> Job:
        job = self.attempt(project, name, *arguments, **changes)
        assert job.code == 0, job.output
        self.done.append(job)
        return job

    def attempt(
        self,
        project: Project,
        name: str,
        *arguments: str,
        workflow: int | None = None,
        told: Any = None,
        **changes: Any,
    ) -> Job:
        template = {**self._definitions.one("templates", name), **changes}
        # The teardown's survey is that of the workflow around it.
        around = self._definitions.one("workflows", "RunPod ECR teardown with approval")
        answers = answered(
            (template if "survey_spec" in template else around)["survey_spec"], {"runpod_ecr_image": IMAGE}
        )
        # In a workflow, what the jobs before have published comes as variables that nothing goes before.
        before = {name: "of an earlier job" for job in self.done for name in job.published} | (told or {})
        inventory = self._definitions.inventory
        return self._awx.controller.job(
            project, template, before | answers, inventory, self._credentials, *arguments, workflow=workflow
        )


@pytest.fixture(scope="module")
def awx(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Awx:
    return Awx(sandbox.environment, tmp_path_factory.mktemp("awx"), tmp_path_factory.mktemp("archives"))


def secrets(house: House) -> dict[str, str]:
    environment = house.sandbox.environment
    [registry] = house.runpod()["registries"]
    return {
        "pull user's secret key": json.loads(house.entry())["secret_access_key"],
        "ECR token": registry["password"],
        "operator's secret key": environment["AWS_SECRET_ACCESS_KEY"],
        "RunPod API key": environment["RUNPOD_API_KEY"],
    }


def assert_nothing_is_said(jobs: list[Job], hidden: dict[str, str]) -> None:
    injected = {"operator's secret key": {"command"}, "RunPod API key": {"command"}}
    for job in jobs:
        held = {name: files for name, secret in hidden.items() if (files := job.files_with(secret))}
        assert held == injected  # what ansible-runner writes itself


def test_jobs_run_by_ansible_runner_and_leave_no_secret_of_ours(awx: Awx, house: House) -> None:
    wrapper = awx.controller.sync(awx.wrapper, mirror=awx.collection)
    jobs = Jobs(awx)

    first = jobs.launch(wrapper, "RunPod ECR converge", "-vvv", "--diff")
    assert first.changed["localhost"] > 0
    [workload] = first.published["runpod_ecr_result"]["workloads"]
    assert workload["image"] == IMAGE
    assert workload["pullable"]
    assert not jobs.launch(awx.plain, "RunPod ECR refresh").changed
    assert not jobs.launch(awx.plain, "RunPod ECR rotate").changed
    assert jobs.launch(awx.plain, "RunPod ECR audit").published["runpod_ecr_audit"]["status"] == "unproven"
    assert_nothing_is_said(jobs.done, secrets(house))


def test_a_teardown_removes_what_its_preview_shows_and_nothing_outside_of_the_workflow(awx: Awx, house: House) -> None:
    house.arrange()
    jobs, hidden = Jobs(awx), secrets(house)

    preview = jobs.launch(awx.plain, "RunPod ECR teardown preview", workflow=7)
    assert preview.published == {"runpod_awx_previewed": "7"}
    assert house.writes() == [] or house.users()
    previewed = preview.published
    house.sandbox.forget_calls()
    refused = jobs.attempt(awx.plain, "RunPod ECR teardown", workflow=8, told=previewed)
    assert refused.code != 0 and "Nothing was removed" in refused.output
    assert not house.sandbox.aws_calls() and not house.sandbox.runpod_calls()

    removal = jobs.launch(awx.plain, "RunPod ECR teardown", workflow=7, told=previewed)
    shown = [line for line in preview.said if line in removal.said]
    assert len(shown) >= 3 and preview.said[: len(shown)] == removal.said[: len(shown)]
    assert not house.users() and not house.runpod()["templates"] and not house.runpod()["registries"]
    assert_nothing_is_said(jobs.done, hidden)


def play_of(playbook: str) -> Any:
    """Return the play of a playbook, which the loader keeps as it is read first: trusted, as Ansible reads it."""
    [play] = LOADER.load_from_file(str(ROOT / "playbooks" / f"{playbook}.yml"), trusted_as_template=True)
    return play


@pytest.mark.parametrize(
    ("told", "goes_on"),
    [
        ({}, False),
        ({"runpod_awx_previewed": "7"}, False),
        ({"awx_workflow_job_id": 8}, False),
        ({"awx_workflow_job_id": 8, "runpod_awx_previewed": "of an earlier job"}, False),
        ({"awx_workflow_job_id": 8, "runpod_awx_previewed": "7"}, False),
        ({"awx_workflow_job_id": "", "runpod_awx_previewed": ""}, False),
        ({"awx_workflow_job_id": 7, "runpod_awx_previewed": "7"}, True),
        ({"ansible_check_mode": True}, True),
    ],
)
def test_a_removal_goes_on_where_it_was_previewed_in_the_same_run_of_the_workflow(told: Any, goes_on: bool) -> None:
    condition = play_of("awx_teardown")["tasks"][0]["ansible.builtin.assert"]["that"]
    assert Templar(LOADER, variables={"ansible_check_mode": False, **told}).evaluate_conditional(condition) is goes_on


@pytest.mark.usefixtures("house")
def test_the_reason_of_a_failure_is_published_for_the_notification(awx: Awx) -> None:
    failed = Jobs(awx).attempt(awx.plain, "RunPod ECR refresh")
    [reason] = failed.published["runpod_awx_failures"].values()
    assert failed.code != 0 and reason.startswith("Nothing was changed."), failed.output


@pytest.mark.parametrize("name", ["runpod_ecr", "refresh", "rotate", "awx_teardown"])
def test_each_playbook_that_changes_something_publishes_why_it_failed(name: str) -> None:
    [block] = [task for task in play_of(name)["tasks"] if "block" in task]
    assert "tasks/publish_failure.yml" in [task["ansible.builtin.import_tasks"] for task in block["always"]]


def test_checkout_can_be_synced_without_reaching_galaxy(awx: Awx) -> None:
    synced = awx.controller.sync(awx.collection, mirror=awx.collection)
    installed = synced.collections / "ansible_collections"
    assert [path.name for path in installed.iterdir() if path.is_dir()] == ["gpuops"]
    assert (installed / "gpuops" / "runpod" / "playbooks" / "refresh.yml").is_file()


def test_awx_offers_one_playbook_of_the_wrapper_and_of_a_checkout_those_of_the_templates() -> None:
    assert {str(path.relative_to(WRAPPER)) for path in files_of(WRAPPER)} == {
        "collections/requirements.yml",
        "playbooks/runpod_ecr.yml",
    }
    assert listed_playbooks(WRAPPER, files_of(WRAPPER)) == {"playbooks/runpod_ecr.yml"}
    assert {template["playbook"] for template in Definitions().all("templates")} <= listed_playbooks(
        ROOT, files_of(ROOT)
    )
