# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No value of an environment and no credential shows, whichever callback tells of whichever run, good or failing, nor
in a list of processes.

A full matrix of runs, callbacks and verbosities takes an hour. Callbacks show what a run hands them, and hand on what
they are asked for, so each run is told by one callback at one verbosity, beside JUnit's, the tree's and the log; each
callback and each verbosity occurs for good and for failing runs, and the default of both for each failing run of an
endpoint, which is where values have shown.
"""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import ENDPOINT, IMAGE, REGISTRY, ROOT, House, Run, sampled_processes
from .shared_archives import sharing

FORMATS: dict[str, dict[str, str]] = {
    "default": {},
    "yaml": {"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"},
    "minimal": {"ANSIBLE_STDOUT_CALLBACK": "minimal"},
    "oneline": {"ANSIBLE_STDOUT_CALLBACK": "oneline"},
}
INFERENCE = f"{REGISTRY}/runpod-gpu-inference:v1"
NEWER = IMAGE.replace(":v1", ":v2")
RUNNER = "import json, sys, ansible_runner; sys.exit(ansible_runner.run(**json.load(sys.stdin)).rc)"
REFUSED = {"status": 422, "body": {"title": "Unprocessable Entity", "detail": "no such GPU"}}
DOWN = {"status": 503, "body": {"title": "Service Unavailable", "detail": "maintenance"}}
DENIED = {"code": "AccessDenied", "status": 403}
MAIN, REFRESH, ROTATE, AUDIT = (f"playbooks/{name}.yml" for name in ("runpod_ecr", "refresh", "rotate", "audit"))
NO_REPORT = {"runpod_ecr_audit_report": ""}  # of the same template: of what it would be made shows in the run itself
WAYS: dict[str, dict[str, Any]] = {  # a host for each
    "credential": {},
    "delegation": {"runpod_ecr_access": "delegation", "runpod_ecr_image": INFERENCE, **NO_REPORT},
    "public": {
        "runpod_ecr_access": "public",
        "runpod_ecr_acknowledge_public": True,
        "runpod_ecr_image": NEWER,
        **NO_REPORT,
    },
}
ABSENT = {"runpod_ecr_state": "absent"}
QUARANTINED = {"runpod_ecr_state": "quarantined"}


def environment(of: str) -> dict[str, Any]:
    """Return variables whose values are found again however they are written: each has letters or a name of its own."""
    return {
        "HF_TOKEN": f"{of}-long-value",
        "SHORT": f"Q§{of[0]}",
        "DIGIT": "7",
        "NUMBER": 7,
        "SPECIAL": f"{of}-before\"'<&>\\$\n%{of}-after",
        "JINJA": {"__ansible_unsafe": "{{ lookup('pipe', 'echo " + of + "-jinja') }}"},
    }


def traces(of: str) -> dict[str, str]:
    """Return what tells that a value of such an environment shows, as patterns."""
    whole = {name: f"{of}-{name}" for name in ("long-value", "before", "after", "jinja")}
    short = {"short": rf"Q(§|\\*u00a7|\\*xa7|&#167;){of[0]}"}
    named = {name: rf"{name}\W{{1,30}}7\b" for name in ("DIGIT", "NUMBER")}
    return {f"{of}'s {name}": pattern for name, pattern in (whole | short | named).items()}


class Watch:
    """Runs playbooks, and keeps all that they show and all that they must not show."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.folder = house, folder
        self._shown: dict[str, str] = {}
        self._traces = traces("template") | traces("endpoint")
        given = house.sandbox.environment
        self._hide("RunPod API key", given["RUNPOD_API_KEY"])
        self._hide("operator's secret key", given["AWS_SECRET_ACCESS_KEY"])
        self.note_secrets()

    def _hide(self, name: str, secret: str) -> None:
        self._traces[name] = re.escape(secret)

    def note_secrets(self) -> None:
        """Learn the pull users' keys and the tokens that exist now."""
        for name in self.house.secrets():
            entry = self.house.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
            self._hide(f"{name} {len(self._traces)}", json.loads(entry)["secret_access_key"])
        for number, registry in enumerate(self.house.runpod()["registries"]):
            self._hide(f"token {number} {len(self._traces)}", registry["password"])

    def variables(self, report: str, name: str = "watched") -> dict[str, Any]:
        """Return a user's variables, with an environment for the template and one for the endpoint, and credentials."""
        sandbox = self.house.sandbox.environment
        return {
            "runpod_ecr_image": IMAGE,
            "runpod_ecr_template": {"name": name, "env": environment("template")},
            "runpod_ecr_endpoint": {**ENDPOINT, "name": name, "env": environment("endpoint")},
            "runpod_ecr_audit_report": str(self.folder / report),
            "runpod_ecr_api": {"api_key": sandbox["RUNPOD_API_KEY"]},
            "runpod_ecr_aws": {
                "access_key": sandbox["AWS_ACCESS_KEY_ID"],
                "secret_key": sandbox["AWS_SECRET_ACCESS_KEY"],
            },
        }

    def one(self, number: int, **variables: Any) -> list[str]:
        """Return the arguments of a run for this machine, with its variables in a file."""
        path = self.folder / f"variables-{number}.json"
        path.write_text(json.dumps({**self.variables(f"audit-{number}.html"), **variables}))
        return ["-e", f"@{path}"]

    def several(self, number: int, hosts: dict[str, dict[str, Any]], **variables: Any) -> list[str]:
        """Return the arguments of a run for several hosts, each with variables and a workload of its own."""
        given = {
            name: {**self.variables(f"audit-{number}-{name}.html", f"watched-{name}"), **own, **variables}
            for name, own in hosts.items()
        }
        path = self.folder / f"hosts-{number}.json"
        path.write_text(json.dumps({"all": {"hosts": given}}))
        return ["-i", str(path), "-e", "runpod_ecr_hosts=all"]

    def play(
        self,
        playbook: str,
        told: str,
        verbosity: int,
        *arguments: str,
        hosts: dict[str, dict[str, Any]] | None = None,
        **variables: Any,
    ) -> Run:
        """Run a playbook and keep what it shows."""
        number = len(self._shown)
        outputs = self.folder / f"shown-{number}"
        given = self.several(number, hosts, **variables) if hosts else self.one(number, **variables)
        verbose = [f"-{'v' * verbosity}"] if verbosity else []
        processes: set[str] = set()
        with sampled_processes(processes, 0.1):
            done = self.house.play(
                playbook,
                *(*given, "--diff", *verbose, *arguments),
                **FORMATS[told],
                ANSIBLE_CALLBACKS_ENABLED="junit,tree",
                JUNIT_OUTPUT_DIR=str(outputs / "junit"),
                ANSIBLE_CALLBACK_TREE_DIR=str(outputs / "tree"),
                ANSIBLE_LOG_PATH=str(self.folder / f"{outputs.name}.log"),
            )
        assert any("ansible-playbook" in process for process in processes)
        run = f"{Path(playbook).stem} {json.dumps(variables)} {told} {'v' * verbosity}"
        self.keep(f"{number} {run} stdout", done.output)
        self.keep(f"{number} {run} processes", "\n".join(processes))
        self.keep_files(f"{number} {run}", [outputs, self.folder / f"{outputs.name}.log"])
        self.keep_files(f"{number} {run}", list(self.folder.glob(f"audit-{number}*")))
        self.note_secrets()
        return done

    def keep(self, where: str, text: str) -> None:
        self._shown[where] = text

    def keep_files(self, run: str, paths: list[Path]) -> None:
        for path in paths:
            for file in [path, *path.rglob("*")]:
                if file.is_file():
                    self.keep(f"{run} {file.name}", file.read_text())

    def leaks(self) -> list[str]:
        """Return what shows and where."""
        plain = {where: html.unescape(text) for where, text in self._shown.items()}
        return [
            f"{name} in {where}: …{text[max(found.start() - 80, 0) : found.start()]}"
            for where, text in plain.items()
            for name, pattern in self._traces.items()
            if (found := re.search(pattern, text))
        ]

    @property
    def files(self) -> set[str]:
        """The kinds of outputs that were searched."""
        return {where.rpartition(" ")[2].rpartition(".")[2] for where in self._shown}


@pytest.fixture
def watch(house: House, tmp_path: Path) -> Watch:
    return Watch(house, tmp_path)


def held_by_runpod(house: House) -> list[str]:
    """Return a value of each environment that arrived in an endpoint: what is searched for is there to be found."""
    return [endpoint["env"]["HF_TOKEN"] for endpoint in house.runpod()["endpoints"]]


@pytest.mark.parametrize("secret", ["endpoint-long-value", 'x "DIGIT": "7"', r"'SHORT': 'Q\xa7e'", "NUMBER: 7", "Q§t"])
def test_the_search_finds_a_value_however_it_is_written(watch: Watch, secret: str) -> None:
    watch.keep("a log", secret)
    watch.keep("a page", html.escape(secret))
    assert {leak.partition(" in ")[2].partition(":")[0] for leak in watch.leaks()} == {"a log", "a page"}


def test_no_value_shows_in_the_life_of_workloads_in_all_ways_of_access(watch: Watch) -> None:
    """The endpoints break their first runs."""
    watch.house.sandbox.fail("POST /v2/serverless", answer=REFUSED, times=len(WAYS))
    broken = watch.play(MAIN, "default", 0, hosts=WAYS)
    assert {name: counters["failed"] for name, counters in broken.recaps.items()} == dict.fromkeys(WAYS, 1)
    assert broken.code != 0 and broken.output.count("no such GPU") >= len(WAYS)

    whole = watch.play(MAIN, "default", 4, hosts=WAYS)
    assert whole.code == 0, whole.output
    assert held_by_runpod(watch.house) == ["endpoint-long-value"] * len(WAYS)
    audited = watch.play(AUDIT, "yaml", 3, hosts=WAYS)
    assert audited.code == 0, audited.output
    gone = watch.play(MAIN, "minimal", 0, hosts=WAYS, **ABSENT)
    assert gone.code == 0, gone.output
    assert watch.house.runpod()["endpoints"] == []
    assert {"stdout", "log", "xml", "html", "json"} <= watch.files
    assert watch.leaks() == []


def arranged(house: House, way: str = "credential") -> None:
    """Bring about a workload whose values all differ from those of the runs to come."""
    old = {"HF_TOKEN": "before", "OLD": "endpoint-long-value"}
    house.arrange({"image": IMAGE, "template": {"name": "watched", "env": old}}, access=way)


GOOD = [
    (REFRESH, "yaml", 1, {"runpod_ecr_min_validity_hours": 11.99}),
    (ROTATE, "oneline", 2, {"runpod_ecr_rotate_after_days": 0}),
    (MAIN, "yaml", 4, QUARANTINED),
]


def test_no_value_shows_in_good_runs_of_the_other_entry_points(watch: Watch) -> None:
    arranged(watch.house)
    for playbook, told, verbosity, variables in GOOD:
        run = watch.play(playbook, told, verbosity, **variables)
        assert run.code == 0, run.output
    assert watch.leaks() == []


FAILING: dict[str, tuple[str, str, int, dict[str, Any], tuple[str, Any]]] = {
    "template refused": (MAIN, "default", 4, {}, ("PATCH /v2/templates/.*", REFUSED)),
    "RunPod down: main": (MAIN, "yaml", 3, {}, ("(GET|POST|PATCH|DELETE) /v2/.*", DOWN)),
    "RunPod down: absent": (MAIN, "minimal", 3, ABSENT, ("(GET|POST|PATCH|DELETE) /v2/.*", DOWN)),
    "RunPod down: refresh": (REFRESH, "yaml", 2, {}, ("(GET|POST|PATCH|DELETE) /v2/.*", DOWN)),
    "RunPod down: rotate": (ROTATE, "default", 1, {}, ("(GET|POST|PATCH|DELETE) /v2/.*", DOWN)),
    "RunPod down: audit": (AUDIT, "default", 0, {"runpod_ecr_audit_fail_on": "amber"}, ("(GET|POST) /v2/.*", DOWN)),
    "quarantine denied": (MAIN, "oneline", 4, QUARANTINED, ("iam:.*", DENIED)),
}


@pytest.mark.parametrize("case", FAILING)
def test_no_value_shows_in_a_run_that_a_cloud_refuses(watch: Watch, case: str) -> None:
    playbook, told, verbosity, variables, (call, answer) = FAILING[case]
    arranged(watch.house)
    watch.house.sandbox.fail(call, answer=answer, times=None)
    assert watch.play(playbook, told, verbosity, **variables).code != 0
    assert watch.leaks() == []


REFUSED_VARIABLES: dict[str, tuple[str, Any]] = {
    "flag": ("runpod_ecr_template", {"env": {"HF_TOKEN": "template-long-value", "FLAG": True}}),
    "text": ("runpod_ecr_template", {"env": "HF_TOKEN template-long-value"}),
    "list": ("runpod_ecr_template", {"env": ["Q§t", "template-long-value"]}),
    "null": ("runpod_ecr_endpoint", {**ENDPOINT, "env": {"SHORT": "Q§e", "FLAG": None}}),
    "text_of_an_endpoint": ("runpod_ecr_endpoint", {**ENDPOINT, "env": "endpoint-long-value"}),
    "misspelt": ("runpod_ecr_endpoint", {**ENDPOINT, "evn": {"HF_TOKEN": "endpoint-long-value"}}),
    "list_of_a_workload": (
        "runpod_ecr_workloads",
        [{"image": IMAGE, "endpoint": {**ENDPOINT, "env": ["endpoint-long-value"]}}],
    ),
    "misplaced": ("runpod_ecr_workloads", [{"image": IMAGE, "env": {"HF_TOKEN": "endpoint-long-value"}}]),
}


def test_no_value_shows_when_the_variables_are_refused(watch: Watch) -> None:
    arranged(watch.house)
    hosts = {name: {variable: value} for name, (variable, value) in REFUSED_VARIABLES.items()}
    refused = watch.play(MAIN, "default", 1, "--check", hosts=hosts)
    assert {name: counters["failed"] for name, counters in refused.recaps.items()} == dict.fromkeys(hosts, 1)
    assert watch.leaks() == []


def test_no_event_of_ansible_runner_holds_a_value(watch: Watch) -> None:
    """The endpoint of one of two workloads is refused."""
    house = watch.house
    house.sandbox.fail("POST /v2/serverless", answer=REFUSED)
    names = [{"name": name} for name in ("one", "another")]
    workloads = [{"image": IMAGE, "template": name, "endpoint": name} for name in names]
    hosts = {"both": {"runpod_ecr_workloads": workloads, "runpod_ecr_image": ""}}
    old = [{"image": IMAGE, "template": {**name, "env": {"HF_TOKEN": "before"}}} for name in names]
    assert house.role(image="", workloads=old).failure == ""
    folder = watch.folder / "runner"
    parameters = {
        "private_data_dir": str(folder),
        "project_dir": str(ROOT),
        "playbook": MAIN,
        "cmdline": f"{shlex.join(watch.several(0, hosts))} --diff -vvv",
        "envvars": house.environment() | sharing(house.archives),
        "suppress_env_files": True,
        "quiet": True,
    }
    folder.mkdir()
    run = subprocess.run([sys.executable, "-c", RUNNER], input=json.dumps(parameters), text=True, check=False)
    assert run.returncode == 2
    [artifacts] = folder.glob("artifacts/*")
    (artifacts / "command").unlink()  # holds the environment that ansible-runner was given
    events = [json.loads(path.read_text())["event"] for path in artifacts.glob("job_events/*.json")]
    assert {"runner_on_ok", "runner_on_failed"} <= set(events)
    watch.keep_files(folder.name, [artifacts])
    assert held_by_runpod(house) == ["endpoint-long-value"]
    watch.note_secrets()
    assert watch.leaks() == []
