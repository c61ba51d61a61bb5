# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's own tasks in this process: Ansible's templates and the modules' code, without a process for each task.

It knows the keywords that the role and the examples of modules use, and refuses any other.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from ansible._internal._templating._utils import Omit
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from jinja2 import Environment

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.masking import printable
from ansible_collections.gpuops.runpod.plugins.module_utils._core.module import LINES
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.run_result import run_result

from .worker import Json, Runs

ROLE = Path(__file__).resolve().parents[2] / "roles" / "runpod_ecr"
MODULES = "ansible_collections.gpuops.runpod.plugins.modules"
OURS = "gpuops.runpod."
BUILTIN = "ansible.builtin."
KEYWORDS = {
    *("name", "when", "vars", "register", "loop", "loop_control", "changed_when", "diff", "module_defaults"),
    *("block", "rescue", "run_once", "check_mode"),
}
LOADER = DataLoader()


# Ansible has an environment for each task, which compiles its templates anew: here each of them is compiled once.
COMPILED: dict[tuple[type, str], CodeType] = {}
compile_anew = Environment.compile


def compile_once(environment: Environment, source: Any, *given: Any, **more: Any) -> Any:
    known = (type(environment), repr(source))
    if given or more:
        return compile_anew(environment, source, *given, **more)
    if known not in COMPILED:
        COMPILED[known] = compile_anew(environment, source)
    return COMPILED[known]


Environment.compile = compile_once  # type: ignore[method-assign]


class TaskError(Exception):
    """A task that failed, with its result."""

    def __init__(self, result: Json) -> None:
        super().__init__(result["msg"])
        self.result = result


class Played(NamedTuple):
    """What became of a run: the modules in their order, which of them reported a change, and why it failed."""

    ran: list[str]
    changed: list[str]
    warnings: list[str]
    failure: str
    variables: Json

    @property
    def plan(self) -> Json:
        plan: Json = self.variables["__runpod_ecr_plan"]
        return plan

    @property
    def result(self) -> Json:
        result: Json = self.variables["runpod_ecr_result"]
        return result


class Role:
    """Runs entry points of the role against the clouds of `runs`."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def play(self, entry: str = "main", check: bool = False, **given: Any) -> Played:
        play = Play(self._runs, check, {**load("defaults/main.yml"), **load("vars/main.yml"), **given})
        failure = ""
        try:
            play.include(f"{entry}.yml", {})
        except TaskError as error:
            failure = str(error)
        return Played(play.ran, play.changed, play.warnings, failure, play.variables)

    def perform(self, tasks: str, **given: Any) -> Json:
        """Let each of some tasks, written as for a play, succeed, and return the variables then."""
        play = Play(self._runs, False, given)
        for task in LOADER.load(trust_as_template(tasks)):
            assert "when" not in task  # which would pass it over
            play.task(task, {}, "tasks")
        return play.variables


class Play:
    """One run, with its variables."""

    def __init__(self, runs: Runs, check: bool, given: Json) -> None:
        self._runs = runs
        self._check = check
        self.ran: list[str] = []
        self.changed: list[str] = []
        self.warnings: list[str] = []
        magic = {
            "ansible_check_mode": check,
            "ansible_diff_mode": False,
            "ansible_play_hosts_all": ["localhost"],
            "inventory_hostname": "localhost",
            "omit": Omit,
        }
        self.variables: Json = {**magic, **given}

    def include(self, file: str, scope: Json, folder: str = "tasks") -> None:
        path = next(path for path in (ROLE / folder / file, ROLE / "tasks" / file) if path.exists())
        for task in load(path.relative_to(ROLE)):
            self.task(task, scope, str(path.parent.relative_to(ROLE)))

    def task(self, task: Json, scope: Json, folder: str) -> None:
        scope = {**scope, **task.get("vars", {})}
        result = self._loop(task, scope, folder) if "loop" in task else self._once(task, scope, folder)
        if "register" in task:
            self.variables[task["register"]] = result
        if result.get("failed"):
            raise TaskError(result)

    def _loop(self, task: Json, scope: Json, folder: str) -> Json:
        """As in Ansible, items after one that failed have their turn too, and the task tells no more than that."""
        variable = task.get("loop_control", {}).get("loop_var", "item")
        items = self._template(task["loop"], scope)
        results = [{**self._once(task, {**scope, variable: item}, folder), variable: item} for item in items]
        failed = (
            {"failed": True, "msg": "One or more items failed"} if any("failed" in each for each in results) else {}
        )
        return {"changed": any(result["changed"] for result in results), "results": results, **failed}

    def _once(self, task: Json, scope: Json, folder: str) -> Json:
        [action] = [key for key in task if key not in KEYWORDS] or ["block"]
        if not self._holds(task.get("when", []), scope):
            return {"changed": False, "skipped": True}
        if action == "block":
            return self._block(task, scope, folder)
        result = self._act(action, task, scope, folder)
        if "changed_when" in task and action.startswith(OURS):
            result["changed"] = self._holds(task["changed_when"], {**scope, task["register"]: result})
        if result["changed"]:
            self.changed.append(action.removeprefix(OURS))
        return result

    def _block(self, task: Json, scope: Json, folder: str) -> Json:
        try:
            for each in task["block"]:
                self.task(each, scope, folder)
        except TaskError as error:
            if "rescue" not in task:
                raise
            self.variables["ansible_failed_result"] = error.result
            for each in task["rescue"]:
                self.task(each, scope, folder)
        return {"changed": False}

    def _act(self, action: str, task: Json, scope: Json, folder: str) -> Json:
        arguments = self._template(task[action], scope)
        name = action.removeprefix(BUILTIN)
        if action == OURS + "runpod_ecr_result":  # an action of the controller, which runs no module
            return {"changed": False, **run_result(**arguments)}
        if action.startswith(OURS):
            return self._module(action.removeprefix(OURS), arguments, task.get("check_mode", self._check))
        if name in ("include_tasks", "import_tasks"):
            self.include(arguments, scope, folder)
        elif name == "set_fact":
            self.variables.update(arguments)
        elif name == "fail":
            raise TaskError({"msg": arguments["msg"]})
        elif name == "assert":
            if not self._holds(task[action]["that"], scope):
                raise TaskError({"msg": arguments.get("fail_msg", "Assertion failed")})
        elif name != "debug":
            raise AssertionError(f"the role uses {action}, which is not known here")
        return {"changed": False}

    def _module(self, name: str, arguments: Json, check: bool) -> Json:
        self.ran.append(name)
        module = import_module(f"{MODULES}.{name}")
        arguments = {key: value for key, value in (arguments or {}).items() if value is not Omit}
        try:
            found = self._runs.outcome(module, arguments, check)
        except CollectionError as error:
            refused = error.as_result()
            return {"changed": False, **refused, "msg": printable(refused["msg"], LINES), "failed": True}
        self.warnings += [printable(warning, LINES) for warning in found.warnings]
        return {"changed": found.changed, **found.results}

    def _holds(self, given: Any, scope: Json) -> bool:
        conditions = given if isinstance(given, list) else [given]
        templar = self._templar(scope)
        return all(templar.evaluate_conditional(each) for each in conditions)

    def _template(self, given: Any, scope: Json) -> Any:
        return self._templar(scope).template(given)

    def _templar(self, scope: Json) -> Templar:
        return Templar(LOADER, variables={**self.variables, **scope})


@cache
def load(path: str | Path) -> Any:
    return LOADER.load_from_file(str(ROLE / path), trusted_as_template=True)
