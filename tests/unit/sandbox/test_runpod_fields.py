# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of the modules of templates and endpoints is set, changed and emptied, against the strict simulator.

Each in check mode, for real, and again. What RunPod cannot change or empty is an error before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import endpoint_fields
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import template as _template
from ansible_collections.gpuops.runpod.plugins.modules import runpod_endpoint, runpod_template, runpod_templates
from ansible_collections.gpuops.runpod.tests.sandbox.runpod_schemas import (
    CPU_SELECTION,
    CREATE_GPU,
    QUEUE_DELAY,
    REQUEST_COUNT,
    SCHEMAS,
    WORKER_FIELDS,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

ITS_ID = "the id of what was made"  # stands in a row for it


class Row(NamedTuple):
    """The options to make something with, to change it, and to empty it; None where there is nothing to empty.

    `unchangeable` and `unclearable` are what the module says when RunPod cannot do it. `moved` are the fields of the
    API that a change touches, when these are not the one of the option.
    """

    first: Json
    then: Json
    empty: Json | None = None
    unclearable: str | None = None
    unchangeable: str | None = None
    moved: set[str] | None = None


CONTAINER = {
    "image": Row({"image": "app:1"}, {"image": "app:2"}, {"image": ""}, "image must not be empty"),
    "args": Row({"args": "serve"}, {"args": "serve --fast"}, {"args": ""}, moved={"args", "cmd"}),
    "cmd": Row({"cmd": ["serve"]}, {"cmd": ["serve", "--fast"]}, {"cmd": []}, moved={"args", "cmd"}),
    "entrypoint": Row(
        {"entrypoint": ["sh", "-c"]}, {"entrypoint": ["bash"]}, {"entrypoint": []}, moved={"args", "entrypoint"}
    ),
    "disk": Row({"disk": 80}, {"disk": 90}, {"disk": 0}, "disk must be at least 1"),
    "env": Row({"env": {"A": "x", "B": 1}}, {"env": {"A": "y", "C": 2.5}}, {"env": {}}),
    "ports": Row({"ports": ["8888/http", "22/tcp"]}, {"ports": ["22/tcp"]}, {"ports": []}),
    "registry": Row({}, {"registry": "r2"}, {"registry": ""}),  # from one to another only by adopting
}

MOUNT = {"persistent_mount": {"size": 20, "path": "/data"}}
NO_MOUNT: Json = {"persistent_mount": {}}
TEMPLATE = {
    **CONTAINER,
    "persistent_mount.size": Row(
        MOUNT, {"persistent_mount": {"size": 30, "path": "/data"}}, NO_MOUNT, "cannot take away"
    ),
    "persistent_mount.path": Row(
        MOUNT, {"persistent_mount": {"size": 20, "path": "/other"}}, NO_MOUNT, "cannot take away"
    ),
    "serverless": Row({"serverless": True}, {"serverless": False}),
    "public": Row({"public": True}, {"public": False}),
    "category": Row({"category": "CPU"}, {"category": "AMD"}),
    "start_ssh": Row({"start_ssh": False}, {"start_ssh": True}),
    "start_jupyter": Row({"start_jupyter": False}, {"start_jupyter": True}),
    "allowed_cuda_versions": Row(
        {"allowed_cuda_versions": ["12.8", "12.6"]}, {"allowed_cuda_versions": ["12.6"]}, {"allowed_cuda_versions": []}
    ),
}


def gpu(**options: Any) -> Json:
    return {"gpu": {"pools": ["AMPERE_24"], **options}}


def cpu(identifier: str, count: int) -> Json:
    return {"cpu": [{"id": identifier, "vcpu_count": count}], "gpu": None}


DELAY = {"scaling": {"type": "QUEUE_DELAY", "queue_delay": 4}}
COUNT = {"scaling": {"type": "REQUEST_COUNT", "request_count": 2}}
NO_CPU: Json = {"cpu": [], "gpu": None}
ENDPOINT = {
    **CONTAINER,
    "name": Row({}, {"id": ITS_ID, "name": "renamed"}, {"id": ITS_ID, "name": ""}, "name must not be empty"),
    "template": Row(
        {"template": "t1"},
        {"template": "second"},
        {"template": ""},
        "template must not be empty",
        moved={"args", "cmd", "disk", "env", "ports", "registry"},
    ),
    "type": Row(
        {"type": "QUEUE"}, {"type": "LOAD_BALANCER", **COUNT}, unchangeable="of type QUEUE, which RunPod cannot"
    ),
    "gpu.pools": Row(gpu(), {"gpu": {"pools": ["ADA_24", "AMPERE_24"]}}, {"gpu": {"pools": []}}, "must not be empty"),
    "gpu.count": Row(gpu(count=2), {"gpu": {"count": 4}}, {"gpu": {"count": 0}}, "gpu.count must be at least 1"),
    "gpu.excluded_types": Row(
        gpu(excluded_types=["NVIDIA L4"]),
        {"gpu": {"excluded_types": [" NVIDIA RTX A5000", "NVIDIA L4"]}},
        {"gpu": {"excluded_types": []}},
    ),
    "gpu.allowed_cuda_versions": Row(
        gpu(allowed_cuda_versions=["12.8", "12.6"]),
        {"gpu": {"allowed_cuda_versions": ["12.6"]}},
        {"gpu": {"allowed_cuda_versions": []}},
    ),
    "gpu.min_cuda_version": Row(
        gpu(min_cuda_version="12.1"), {"gpu": {"min_cuda_version": "12.4"}}, {"gpu": {"min_cuda_version": ""}}
    ),
    "cpu.id": Row(cpu("cpu5c", 4), cpu("cpu5g", 4), NO_CPU, "cpu must not be empty"),
    "cpu.vcpu_count": Row(cpu("cpu5c", 4), cpu("cpu5c", 8), NO_CPU, "cpu must not be empty"),
    "workers.min": Row({"workers": {"min": 1}}, {"workers": {"min": 2}}, {"workers": {"min": 0}}),
    "workers.max": Row({"workers": {"max": 5}}, {"workers": {"max": 7}}, {"workers": {"max": 0}}),
    "workers.idle_timeout": Row(
        {"workers": {"idle_timeout": 20}},
        {"workers": {"idle_timeout": 30}},
        {"workers": {"idle_timeout": 0}},
        "workers.idle_timeout must be at least 1",
    ),
    "scaling.type": Row(DELAY, COUNT, moved={"scaling", "workers"}),
    "scaling.queue_delay": Row(
        DELAY,
        {"scaling": {"type": "QUEUE_DELAY", "queue_delay": 0.7}},
        {"scaling": {"type": "QUEUE_DELAY", "queue_delay": 0}},
        "scaling.queue_delay must be at least 0.5",
    ),
    "scaling.request_count": Row(
        COUNT,
        {"scaling": {"type": "REQUEST_COUNT", "request_count": 4}},
        {"scaling": {"type": "REQUEST_COUNT", "request_count": 0}},
        "scaling.request_count must be at least 1",
    ),
    "timeout": Row({"timeout": 1000}, {"timeout": 2000}, {"timeout": 0}),
    "flashboot": Row({"flashboot": "FLASHBOOT"}, {"flashboot": "PRIORITY_FLASHBOOT"}, {"flashboot": "OFF"}),
    "data_center_ids": Row(
        {"data_center_ids": ["US-KS-2", "EU-RO-1"]}, {"data_center_ids": ["EU-RO-1"]}, {"data_center_ids": []}
    ),
    "network_volumes": Row({"network_volumes": ["v1", "v2"]}, {"network_volumes": ["v2"]}, {"network_volumes": []}),
}
# What says which thing is meant and what a run does; the name of a template is what it is found by.
NO_FIELDS = {
    "template": {"name", "state"},
    "endpoint": {"id", "state", "adopt", "wait", "wait_timeout"},
}


class Kind(NamedTuple):
    """A module, and how it is asked."""

    rows: Mapping[str, Row]
    options: Json
    fields: Mapping[str, str]
    least: Json
    path: str
    run: Callable[[SimulatedRunpod, Json, bool], Result]
    shown: Callable[[Result], Json | None]


def one(module: Any) -> Callable[[SimulatedRunpod, Json, bool], Result]:
    return lambda runpod, options, check_mode: module.run(options, check_mode, runpod.client)


def many(runpod: SimulatedRunpod, options: Json, check_mode: bool) -> Result:
    params = {"templates": [options], "prune": False, "prune_pattern": None, "on_error": "continue"}
    return runpod_templates.run(params, check_mode, runpod.client)


TEMPLATES = (TEMPLATE, _template.OPTIONS, _template.FIELDS, {"name": "demo", "image": "app:1"}, "/templates")
KINDS = {
    "runpod_template": Kind(*TEMPLATES, run=one(runpod_template), shown=lambda done: done.results["template"]),
    "runpod_templates": Kind(*TEMPLATES, run=many, shown=lambda done: next(iter(done.results["templates"]), None)),
    "runpod_endpoint": Kind(
        ENDPOINT,
        endpoint_fields.OPTIONS,
        endpoint_fields.FIELDS,
        {"name": "demo", "image": "app:1", "type": "QUEUE", **gpu(), **DELAY},
        "/serverless",
        run=one(runpod_endpoint),
        shown=lambda done: done.results["endpoint"],
    ),
}
CASES = [(name, option) for name, kind in KINDS.items() for option in kind.rows]


def leaves(options: Json, place: str = "") -> Iterator[str]:
    """Return the options that hold a value, those in blocks with the names of their blocks."""
    for name, option in options.items():
        if "options" in option:
            yield from leaves(option["options"], f"{place}{name}.")
        else:
            yield place + name


@pytest.mark.parametrize(("kind", "rows"), [("template", TEMPLATE), ("endpoint", ENDPOINT)])
def test_every_option_has_its_row(kind: str, rows: Json) -> None:
    options = {"template": _template, "endpoint": endpoint_fields}[kind].OPTIONS
    assert set(leaves(options)) - NO_FIELDS[kind] == set(rows)


def test_every_field_of_the_api_has_its_option() -> None:
    for action in ("Create", "Update"):
        taken = SCHEMAS[f"{action}TemplateRequest"]["properties"]
        assert set(taken) == set(_template.FIELDS.values())
    asked = set(SCHEMAS["CreateEndpointRequest"]["properties"]) - {"templateId"}  # a template is sent as what it says
    assert asked == set(endpoint_fields.FIELDS.values())
    blocks = {
        "gpu": CREATE_GPU["properties"],
        "cpu": CPU_SELECTION,
        "workers": WORKER_FIELDS,
        "scaling": {**QUEUE_DELAY["properties"], **REQUEST_COUNT["properties"]},
    }
    assert {name: set(block) for name, block in blocks.items()} == {
        name: {field.name for field in table.values()} for name, table in endpoint_fields.SUBTABLES.items()
    }


class Bench:
    """One account, and one kind of thing in it called demo."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.runpod = SimulatedRunpod()
        for number in (1, 2):
            self.runpod.seed("registries", id=f"r{number}", name=("one", "two")[number - 1])
        self.runpod.seed("templates", id="t1", name="first", image="app:1", serverless=True)
        everything = {"args": "serve", "disk": 70, "env": {"A": "1"}, "ports": ["22/tcp"], "registry": "r1"}
        self.runpod.seed("templates", id="t2", name="second", image="app:1", serverless=True, **everything)

    def current(self) -> Json | None:
        """Return what RunPod answers about the thing, whatever its name is by now."""
        key = "endpoints" if self.kind.path == "/serverless" else "templates"
        return next(
            (thing for thing in self.runpod.client.items(self.kind.path, key) if thing["id"] not in ("t1", "t2")), None
        )

    def run(self, options: Json, check_mode: bool) -> tuple[Result, list[str]]:
        """Run the module with options as somebody writes them; return its outcome and the verbs of its writes."""
        given = {key: (self.current() or {})["id"] if value == ITS_ID else value for key, value in options.items()}
        validated = ArgumentSpecValidator(self.kind.options).validate(given)
        assert not validated.error_messages
        self.runpod.calls.clear()
        outcome = self.kind.run(self.runpod, validated.validated_parameters, check_mode)
        return outcome, [write.split()[0] for write in self.runpod.writes()]

    def step(self, options: Json, verb: str) -> None:
        """Take a step in check mode, for real, and again; the check must have predicted what was done."""
        before = self.current()
        foreseen, writes = self.run(options, True)
        assert (foreseen.changed, writes, self.current()) == (True, [], before)
        done, writes = self.run(options, False)
        assert (done.changed, writes) == (True, [verb])
        again, writes = self.run(options, False)
        assert (again.changed, writes, again.before, self.kind.shown(again)) == (
            False,
            [],
            again.after,
            self.kind.shown(done),
        )
        assert known(self.kind.shown(foreseen)) == known(self.kind.shown(done))

    def refused(self, options: Json, says: str) -> None:
        """The module must refuse the options by itself, in check mode as for real."""
        before = self.current()
        for check_mode in (True, False):
            self.runpod.calls.clear()
            with pytest.raises(InputError, match=says):
                self.run(options, check_mode)
            assert self.runpod.writes() == []
        assert self.current() == before


def known(thing: Json | None) -> Json | None:
    """Return what of a thing, as results show it, can be known before RunPod has made it."""
    if thing is None:
        return None
    unknown = {"id", "created_at", "request_urls"}
    rest = {key: value for key, value in thing.items() if key not in unknown}
    if "cpu" in rest:
        rest["cpu"] = [{**config, "memory": None} for config in rest["cpu"]]
    return rest


@pytest.mark.parametrize(("name", "option"), CASES)
def test_an_option_is_set_changed_and_emptied(name: str, option: str) -> None:
    kind = KINDS[name]
    row, bench = kind.rows[option], Bench(kind)
    moved = row.moved or {kind.fields[option.partition(".")[0]]}
    bench.step({**kind.least, **row.first}, "POST")
    made = bench.current() or {}
    if row.unchangeable:
        bench.refused({"name": "demo", **row.then}, row.unchangeable)
        return
    for options in (row.then, row.empty):
        if options is None:
            continue
        if options is row.empty and row.unclearable:
            bench.refused({"name": "demo", **options}, row.unclearable)
            continue
        bench.step({"name": "demo", **options}, "PATCH")
        changed = bench.current() or {}
        assert {field for field in made.keys() | changed.keys() if made.get(field) != changed.get(field)} == moved
        made = changed
    bench.step({"name": made["name"], "state": "absent"}, "DELETE")
    assert bench.current() is None
