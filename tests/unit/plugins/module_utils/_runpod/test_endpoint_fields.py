# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ApiError, InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.endpoint_fields import (
    OPTIONS,
    check,
    validation_errors,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.endpoint_plan import (
    desired,
    field_changes,
    new_pools,
    plan,
    prediction,
    released,
    require_known_pools,
    require_told,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.fields import Step

DELAY = {"type": "QUEUE_DELAY", "queueDelay": 4}
COUNT = {"type": "REQUEST_COUNT", "requestCount": 2}
GPU = {"pools": ["AMPERE_24"], "count": 1, "allowedCudaVersions": [], "minCudaVersion": None}
ENDPOINT: Json = {
    "id": "e1",
    "name": "demo",
    "type": "QUEUE",
    "image": "app:1",
    "disk": 50,
    "gpu": GPU,
    "workers": {"min": 0, "max": 3, "idleTimeout": 10},
    "scaling": DELAY,
    "timeout": 300000,
    "flashboot": "OFF",
}
TEMPLATE: Json = {"image": "app:2", "args": "", "disk": 80, "env": {"A": "1", "B": "1"}, "ports": [], "registry": "r1"}


def given(**options: Any) -> Json:
    """Return options as the module gets them."""
    return ArgumentSpecValidator(OPTIONS).validate(options).validated_parameters


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": ""}, ["name must not be empty"]),
        (
            {"id": "", "template": "", "image": ""},
            [f"{name} must not be empty" for name in ("id", "template", "image")],
        ),
        ({"disk": 0, "timeout": -1}, ["disk must be at least 1 (GB)", "timeout must be at least 0"]),
        ({"env": {"A": None}}, ["env.A must be a string: quote it"]),
        ({"gpu": {"excluded_types": [" "]}}, ["gpu.excluded_types has an empty entry"]),
        ({"gpu": {"allowed_cuda_versions": ["12"]}}, ["gpu.allowed_cuda_versions: '12' is not of the form '12.8'"]),
        ({"gpu": {"min_cuda_version": "12"}}, ["gpu.min_cuda_version: '12' is not of the form '12.8'"]),
        (
            {"gpu": {"allowed_cuda_versions": ["12.8"], "min_cuda_version": "12.1"}},
            ["gpu.allowed_cuda_versions and gpu.min_cuda_version exclude each other"],
        ),
        ({"gpu": {"allowed_cuda_versions": [], "min_cuda_version": "12.1"}}, []),
        ({"cpu": [{"id": "", "vcpu_count": 2}]}, ["cpu.id must not be empty"]),
        ({"cpu": [{"id": "cpu5c", "vcpu_count": 6}]}, ["cpu.vcpu_count must be a power of two from 2 up"]),
        ({"cpu": [{"id": "cpu5c", "vcpu_count": 1}]}, ["cpu.vcpu_count must be a power of two from 2 up"]),
        ({"cpu": [{"id": "cpu5c", "vcpu_count": 2}] * 2}, ["cpu has the same configuration twice"]),
        (
            {"workers": {"min": -1, "idle_timeout": 3601}},
            ["workers.min must be at least 0"] + ["workers.idle_timeout must be at most 3600"],
        ),
        ({"workers": {"min": 2, "max": 1}}, ["workers.min must not be above workers.max"]),
        ({"workers": {"min": 2, "max": 2}}, []),
        ({"ports": ["80"]}, ["ports: '80' is not of the form 8888/http or 22/tcp, with a port from 1 to 65535"]),
        ({"args": "a", "cmd": ["a"]}, ["args and cmd exclude each other: args stands for both"]),
        (
            {"type": "LOAD_BALANCER", "scaling": {"type": "QUEUE_DELAY", "queue_delay": 1}},
            ["an endpoint of type LOAD_BALANCER needs scaling.type REQUEST_COUNT"],
        ),
        ({"type": "LOAD_BALANCER"}, []),
        ({"type": "LOAD_BALANCER", "scaling": {"type": "REQUEST_COUNT", "request_count": 1}}, []),
        (
            {"scaling": {"type": "QUEUE_DELAY", "queue_delay": float("inf")}},
            ["scaling.queue_delay must be a number"],
        ),
        (
            {"scaling": {"type": "QUEUE_DELAY", "queue_delay": float("nan")}},
            ["scaling.queue_delay must be at least 0.5"],
        ),
        ({"gpu": {"pools": []}, "cpu": []}, ["gpu.pools must not be empty", "cpu must not be empty"]),
        ({"name": "demo", "gpu": {}, "workers": {}, "env": {}, "ports": []}, []),
    ],
)
def test_faults(options: Json, says: list[str]) -> None:
    assert validation_errors(given(**options)) == says


@pytest.mark.parametrize(
    ("current", "pools", "gpus", "says"),
    [
        (None, ["ADA_24"], [{"pool": "ADA_24"}], None),
        (None, ["ADA_24"], [], None),
        (None, ["ADA_24"], [{"pool": None}, {}], None),
        ({"gpu": {"pools": ["OLD"]}}, ["OLD", "ADA_24"], [{"pool": "ADA_24"}], None),
        ({"gpu": None}, ["OLD"], [{"pool": "B"}, {"pool": "A"}, {"pool": "A"}], "pool OLD. Its pools are A, B."),
        (None, ["X", "Y"], [{"pool": "A"}], "no serverless GPU pool X, Y. Its pools are A."),
    ],
)
def test_a_new_pool_must_be_in_the_catalog(
    current: Json | None, pools: list[str], gpus: list[Json], says: str | None
) -> None:
    step = Step("demo", current, {"gpu": {"pools": pools}}, None)
    if says is None:
        require_known_pools(step, gpus)
        return
    with pytest.raises(InputError, match=says):
        require_known_pools(step, gpus)


def test_workers_that_cross_at_runpod_already_do_not_stop_another_change() -> None:
    crossed = {**ENDPOINT, "workers": {"min": 3, "max": 2, "idleTimeout": 10}}
    assert plan(given(name="demo", timeout=5000), [crossed], None, []).fields == {"timeout": 5000}
    with pytest.raises(InputError, match="would have at least 3 and at most 1 workers: set both"):
        plan(given(name="demo", workers={"max": 1}), [crossed], None, [])


@pytest.mark.parametrize("fields", [None, {}, {"gpu": {"count": 2}}])
def test_a_step_without_pools_asks_for_none(fields: Json | None) -> None:
    assert new_pools(Step("demo", ENDPOINT, fields, None)) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image": "app:1"}, "required: name, id"),
        ({"name": "demo", "gpu": {}, "cpu": []}, "mutually exclusive"),
        ({"name": "demo", "colour": "red"}, "colour"),
        ({"name": "demo", "disk": 0, "timeout": -1}, r"^disk must be at least 1 \(GB\); timeout must be at least 0.$"),
    ],
)
def test_options_are_checked_as_written(options: Json, says: str) -> None:
    check({"name": "demo", "template": "app"})
    with pytest.raises(InputError, match=says):
        check(options)


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, {}),
        ({"image": "app:1", "timeout": 300000, "scaling": {"queueDelay": 4.0, "type": "QUEUE_DELAY"}}, {}),
        ({"args": "", "env": {}, "ports": [], "registry": None, "dataCenterIds": [], "networkVolumes": []}, {}),
        ({"gpu": {"excludedTypes": [], "minCudaVersion": "", "allowedCudaVersions": []}, "workers": {}}, {}),
        ({"gpu": {"count": 2, "pools": ["AMPERE_24"]}}, {"gpu": {"count": 2}}),
        ({"workers": {"min": 0, "max": 5}}, {"workers": {"max": 5}}),
        ({"scaling": COUNT}, {"scaling": COUNT}),
        ({"gpu": {"pools": ["ADA_24"]}}, {"gpu": {"pools": ["ADA_24"], "excludedTypes": []}}),
        (
            {"gpu": {"excludedTypes": ["NVIDIA L4"]}},
            {"gpu": {"pools": ["AMPERE_24"], "excludedTypes": ["NVIDIA L4"]}},
        ),
    ],
)
def test_delta(fields: Json, sent: Json) -> None:
    assert field_changes(ENDPOINT, fields) == sent


def test_new_pools_bring_the_exclusions_along_which_runpod_would_clear() -> None:
    held = {**ENDPOINT, "gpu": {**GPU, "excludedTypes": ["NVIDIA L4"]}}
    sent = {"gpu": {"pools": ["AMPERE_24", "ADA_24"], "excludedTypes": ["NVIDIA L4"]}}
    assert field_changes(held, {"gpu": {"pools": ["AMPERE_24", "ADA_24"]}}) == sent


def test_neither_the_order_of_a_list_nor_the_precision_of_a_number_nor_the_memory_is_a_difference() -> None:
    held = {
        **ENDPOINT,
        "gpu": None,
        "cpu": [{"id": name, "vcpuCount": 2, "memory": 4} for name in ("cpu5c", "cpu3c")],
        "ports": ["22/tcp", "80/http"],
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 0.699999988},
    }
    fields = {
        "cpu": [{"id": name, "vcpuCount": 2} for name in ("cpu3c", "cpu5c")],
        "ports": ["80/http", "22/tcp"],
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 0.7},
    }
    assert field_changes(held, fields) == {}


def test_an_option_wins_over_the_template_and_env_is_merged() -> None:
    fields = desired(given(template="t", disk=90, env={"B": 2}), TEMPLATE, [])
    assert fields == {**TEMPLATE, "disk": 90, "env": {"A": "1", "B": "2"}}


def test_without_a_template_only_what_was_set_is_wanted() -> None:
    options = given(name="demo", gpu={"excluded_types": [" NVIDIA L4 "]}, registry="", workers={})
    expected = {"name": "demo", "gpu": {"excludedTypes": ["NVIDIA L4"]}, "registry": None, "workers": {}}
    assert desired(options, None, []) == expected


@pytest.mark.parametrize(
    ("step", "action", "changes"),
    [
        (Step("demo", None, None, None), "unchanged", []),
        (Step("demo", ENDPOINT, None, None), "delete", []),
        (Step("demo", ENDPOINT, {}, ENDPOINT), "unchanged", []),
        (Step("demo", ENDPOINT, {"env": {}, "timeout": 5, "image": "app:2"}, ENDPOINT), "change", ["image", "env"]),
        (Step("demo", None, {"image": "app:2"}, ENDPOINT), "create", []),
    ],
)
def test_what_a_step_does(step: Step, action: str, changes: list[str]) -> None:
    assert (step.action, released(step)) == (action, changes)


def test_the_idle_timeout_comes_and_goes_with_the_scaling() -> None:
    counting = prediction(ENDPOINT, {"scaling": COUNT})
    assert counting["workers"] == {"min": 0, "max": 3}
    assert prediction(counting, {"scaling": DELAY})["workers"] == ENDPOINT["workers"]


def test_an_endpoint_of_unknown_type_is_not_contradicted() -> None:
    unknown = {key: value for key, value in ENDPOINT.items() if key != "type"}
    assert not plan(given(name="demo", type="LOAD_BALANCER"), [unknown], None, []).fields


@pytest.mark.parametrize("lost", ["image", "serverless"])
def test_a_template_that_is_told_of_in_part_is_no_template(lost: str) -> None:
    template: Json = {"id": "t1", "name": "served", "image": "app:1", "serverless": True}
    with pytest.raises(ApiError, match=f"GET /templates: the template t1 has no {lost}"):
        require_told({**template, lost: None})
    require_told(template)
