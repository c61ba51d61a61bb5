# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX as far as a project can tell, without a controller: how it syncs one, and how its jobs start ansible-runner."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment

from tests.unit.awx.shipped import data, named

from .shared_archives import sharing

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = "https://github.com/gpuops/gpuops.runpod.git"
NOWHERE = "http://127.0.0.1:9/"
RUN = "import json, sys, ansible_runner; sys.exit(ansible_runner.run(**json.load(sys.stdin)).rc)"
# What makes AWX list a file as a playbook, and the folders whose files it does not list.
LISTED = re.compile(r"^\s*-?\s*(hosts|(ansible\.builtin\.)?(include|import_playbook)):", re.MULTILINE)
UNLISTED = {"roles", "tasks", "group_vars", "host_vars"}
ANSWERS: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "textarea": str,
    "multiplechoice": str,
    "multiselect": list,
    "integer": int,
    "float": (int, float),
}


class Project(NamedTuple):
    """A project after its sync: the checkout, and what its requirements brought."""

    checkout: Path
    collections: Path


class Job(NamedTuple):
    """What is left of a job: all that ansible-runner has written, and its events in their order."""

    code: int
    folder: Path
    events: list[Json]

    @property
    def output(self) -> str:
        return "\n".join(event["stdout"] for event in self.events)

    @property
    def statistics(self) -> Json:
        """What the last event says: the counters of each host, and in `artifact_data` what set_stats has published."""
        return self.events[-1]["event_data"]

    @property
    def changed(self) -> dict[str, int]:
        return self.statistics["changed"]

    @property
    def published(self) -> Json:
        return self.statistics["artifact_data"]

    @property
    def tasks(self) -> list[str]:
        """The tasks that changed something."""
        done = [event["event_data"] for event in self.events if event["event"] == "runner_on_ok"]
        return [one["task_action"] for one in done if one["res"].get("changed")]

    @property
    def said(self) -> list[str]:
        """What the role tells at its end."""
        told = [event["event_data"] for event in self.events if event["event"] == "runner_on_ok"]
        [lines] = [one["res"]["msg"] for one in told if one["task"].endswith("Tell what was done, and what is")]
        return list(lines)

    def files_with(self, secret: str) -> set[str]:
        """Return which files of ansible-runner hold a text."""
        files = [path for folder in ("artifacts", "env", "inventory") for path in (self.folder / folder).rglob("*")]
        assert files
        return {path.name for path in files if path.is_file() and secret.encode() in path.read_bytes()}


class Definitions:
    """The controller's objects as extensions/awx describes them, made of its settings as they stand."""

    def __init__(self) -> None:
        self._all = data()

    def all(self, kind: str) -> list[Json]:
        return self._all[f"controller_{kind}"]

    def one(self, kind: str, name: str) -> Json:
        return named(self._all, kind, name)

    @property
    def inventory(self) -> Json:
        """The inventory of the job templates, as AWX hands it over."""
        [held] = self.all("inventories")
        hosts = {host["name"]: host["variables"] for host in self.all("hosts")}
        return {"all": {"hosts": list(hosts), "vars": held["variables"]}, "_meta": {"hostvars": hosts}}

    def injected(self, credential_type: str, **inputs: str) -> dict[str, str]:
        """Return the variables that a credential of a type brings into a job's environment."""
        injectors = self.one("credential_types", credential_type)["injectors"]["env"]
        return {name: Environment().from_string(str(text)).render(inputs) for name, text in injectors.items()}


def answered(survey: Json, required: Mapping[str, Any]) -> Json:
    """Answer a survey: what is required as given, all else by its default, each of the type that AWX demands."""
    variables = {}
    for question in survey["spec"]:
        name, default = question["variable"], question.get("default")
        answer = required.get(name, default)
        if answer is None:
            continue
        assert isinstance(answer, ANSWERS[question["type"]]), name
        assert question["type"] != "multiplechoice" or answer in question["choices"], name
        variables[name] = answer
    assert required.keys() <= variables.keys()
    return variables


def listed_playbooks(project: Path, files: Iterable[Path]) -> set[str]:
    """Return what AWX offers as playbooks of a project: it guesses by a line of the file."""
    names = {path.relative_to(project): path for path in files if path.suffix in {".yml", ".yaml"}}
    return {
        str(name)
        for name, path in names.items()
        if not UNLISTED.intersection(name.parts)
        if not any(part.startswith(".") for part in name.parts)
        if LISTED.search(path.read_text())
    }


class Controller:
    """Syncs projects and runs jobs below a folder, with nothing from the caller's environment."""

    def __init__(self, folder: Path, settings: Mapping[str, str], archives: Path) -> None:
        self._folder, self._settings, self._archives = folder, settings, archives
        self._home = folder / "home"
        self._home.mkdir()
        self._projects = self._jobs = 0

    def repository(self, name: str, files: Iterable[Path], root: Path) -> Path:
        """Publish files below a folder as a git repository."""
        published = self._folder / name
        for path in files:
            target = published / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
        self._git(published, "init", "--quiet", "--initial-branch=main")
        self._git(published, "add", "--all")
        author = ("-c", "user.name=Example", "-c", "user.email=example@example.com")
        self._git(published, *author, "commit", "--quiet", "--message=Publish")
        return published

    def sync(self, published: Path, mirror: Path | None = None) -> Project:
        """Sync a project, with Galaxy credentials if there is a mirror from which the collection can be installed."""
        self._projects += 1
        checkout = self._folder / "projects" / f"_{self._projects}__{published.name}"
        stage = self._folder / "projects" / ".__awx_cache" / checkout.name / "stage"
        stage.mkdir(parents=True)
        self._git(self._folder, "clone", "--quiet", published.as_uri(), str(checkout))
        if mirror:
            self._install(checkout, stage, mirror)
        cache = stage.rename(stage.with_name("1"))
        return Project(checkout, cache / "requirements_collections")

    def _install(self, checkout: Path, stage: Path, mirror: Path) -> None:
        """Install what the requirements name. The Galaxy of the credentials cannot be reached."""
        galaxy = {
            "ANSIBLE_FORCE_COLOR": "false",
            "GIT_SSH_COMMAND": "ssh -o StrictHostKeyChecking=no",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{mirror.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": PUBLISHED,
            "ANSIBLE_GALAXY_SERVER_LIST": "server0",
            "ANSIBLE_GALAXY_SERVER_SERVER0_URL": NOWHERE,
            "ANSIBLE_COLLECTIONS_PATH": str(stage / "requirements_collections"),
            "ANSIBLE_ROLES_PATH": str(stage / "requirements_roles"),
            "ANSIBLE_LOCAL_TEMP": str(stage / "tmp"),
        }
        requirements = checkout / "collections" / "requirements.yml"
        command = ["ansible-galaxy", "collection", "install", "-r", str(requirements)]
        self._call(command, checkout, galaxy)

    def job(
        self,
        project: Project,
        template: Json,
        answers: Json,
        inventory: Json,
        credentials: Mapping[str, str],
        *arguments: str,
        workflow: int | None = None,
    ) -> Job:
        """Launch a job template with the answers to its survey, and the environment that its credentials bring.

        In a workflow AWX tells the job its number.
        """
        self._jobs += 1
        folder = self._folder / f"awx_{self._jobs}"
        shutil.copytree(project.checkout, folder / "project", ignore=shutil.ignore_patterns(".git"), symlinks=True)
        if project.collections.exists():
            shutil.copytree(project.collections, folder / "requirements_collections", symlinks=True)
        for name in ("env", "inventory"):
            (folder / name).mkdir()
        (folder / "env" / "extravars").write_text(self._extra_variables(template["extra_vars"], answers, workflow))
        check = ["--check"] if template["job_type"] == "check" else []
        (folder / "env" / "cmdline").write_text(" ".join([*check, "-u root", *arguments]))
        hosts = folder / "inventory" / "hosts"
        hosts.write_text(f"#!/usr/bin/env python3\nprint({json.dumps(inventory)!r})\n")
        hosts.chmod(0o700)
        parameters = {
            "ident": self._jobs,
            "private_data_dir": str(folder),
            "playbook": template["playbook"],
            "inventory": str(hosts),
            "suppress_env_files": True,
            "envvars": {**self._environment(folder), **self._settings, **self._sharing(project), **credentials},
            "fact_cache_type": "",
            "quiet": True,
        }
        done = subprocess.run(
            [sys.executable, "-c", RUN], input=json.dumps(parameters), env=self._clean(), text=True, check=False
        )
        events = [json.loads(path.read_text()) for path in folder.glob("artifacts/*/job_events/*.json")]
        return Job(done.returncode, folder, sorted(events, key=lambda event: event["counter"]))

    def _sharing(self, project: Project) -> dict[str, str]:
        """Let the jobs of a project share archives, and no others: each finds its modules in its own collection."""
        archives = self._archives / project.checkout.name
        archives.mkdir(exist_ok=True)
        return sharing(archives)

    def _extra_variables(self, trusted: Json, answers: Json, workflow: int | None) -> str:
        """Those of the template as they are; what comes at launch is no template of Jinja's, whatever it says."""
        wanted = {**trusted, **answers, "awx_job_id": self._jobs, "awx_job_launch_type": "manual"}
        if workflow:
            wanted["awx_workflow_job_id"] = workflow
        untouched = {name: value for name, value in trusted.items() if wanted[name] == value}
        launched = {name: value for name, value in wanted.items() if name not in untouched}
        return yaml.safe_dump(untouched) + yaml.dump(launched, Dumper=Untrusted)

    def _environment(self, folder: Path) -> dict[str, str]:
        """What AWX itself puts into a job's environment."""
        return {
            "ANSIBLE_COLLECTIONS_PATH": f"{folder}/requirements_collections:~/.ansible/collections",
            "ANSIBLE_ROLES_PATH": f"{folder}/requirements_roles:~/.ansible/roles",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{folder}/cp",
            "AWX_HOST": "https://awx.example.com",
            "AWX_PRIVATE_DATA_DIR": str(folder),
            "INVENTORY_ID": "1",
            "JOB_ID": str(self._jobs),
            "MAX_EVENT_RES": "700000",
            "PROJECT_REVISION": "",
        }

    def _clean(self) -> dict[str, str]:
        """The environment of an execution environment: where its programs are, and an empty home."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self._home), "LANG": "C.UTF-8"}

    def _git(self, folder: Path, *arguments: str) -> None:
        self._call(["git", *arguments], folder, {"GIT_CONFIG_NOSYSTEM": "1"})

    def _call(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        done = subprocess.run(
            command, cwd=folder, env={**self._clean(), **environment}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


class Untrusted(yaml.SafeDumper):
    """Marks every string as one that Ansible must not template."""

    def represent_data(self, data: Any) -> yaml.Node:
        return self.represent_scalar("!unsafe", data) if isinstance(data, str) else super().represent_data(data)
