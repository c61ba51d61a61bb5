# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.ecr_token import Token
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.runpod_secret import RunpodSecret
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.target import Registries, SinkState
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import refusal
from ansible_collections.gpuops.runpod.tests.unit.plugins.simulated_runpod import SimulatedRunpod

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
TOKEN = Token("AWS", "secret-of-the-token", datetime(2026, 8, 1, 12, tzinfo=timezone.utc))


@pytest.fixture
def runpod() -> SimulatedRunpod:
    return SimulatedRunpod()


def sink(
    runpod: SimulatedRunpod, *hosts: str, absent: bool = False, region: str = "us-east-1", **options: Any
) -> RunpodSecret:
    given = {"name": "ecr-token", "content": "password", **options}
    return RunpodSecret(given, Registries(region, hosts or (HOST,)), runpod.client, absent)


def write(target: RunpodSecret) -> SinkState:
    return target.write(target.read(), TOKEN, "AKIAIOSFODNN7EXAMPLE")


def test_the_description_says_what_is_in_it_and_keeps_what_others_wrote(runpod: SimulatedRunpod) -> None:
    write(sink(runpod))
    [held] = runpod.state("secrets")
    assert held["description"] == (
        "Amazon ECR token for us-east-1 [gpuops.runpod: 2026-08-01T12:00:00Z AKIAIOSFODNN7EXAMPLE "
        "password:us-east-1@2027-01-15T08:00:00Z]"
    )
    runpod.simulator.world.current["secrets"][held["id"]]["description"] += " Of team B."
    write(sink(runpod))
    assert runpod.state("secrets")[0]["description"].startswith(
        "Amazon ECR token for us-east-1 Of team B. [gpuops.runpod: "
    )


def test_a_token_of_another_region_or_form_is_not_taken_for_this_one(runpod: SimulatedRunpod) -> None:
    assert write(sink(runpod)).metadata
    assert sink(runpod, region="eu-west-1").read().metadata is None
    assert sink(runpod, content="docker_config").read().metadata is None
    assert write(sink(runpod, content="docker_config")).metadata
    assert sink(runpod, HOST, HOST.replace("1234", "4321"), content="docker_config").read().metadata is None


def test_it_can_hold_what_docker_reads(runpod: SimulatedRunpod) -> None:
    write(sink(runpod, content="docker_config"))
    auths = json.loads(runpod.state("secrets")[0]["value"])["auths"]
    assert {host: base64.b64decode(one["auth"]) for host, one in auths.items()} == {HOST: b"AWS:secret-of-the-token"}


def test_a_write_that_failed_between_value_and_description_is_made_anew(runpod: SimulatedRunpod) -> None:
    write(sink(runpod))
    runpod.naps.append(1)
    target = sink(runpod)
    state = target.read()
    runpod.answers = [None, refusal(400, "no")]
    with pytest.raises(Exception, match="HTTP 400"):
        target.write(state, TOKEN, "AKIAIOSFODNN7EXAMPLE")
    assert sink(runpod).read().metadata is None


def test_a_secret_in_use_stays(runpod: SimulatedRunpod) -> None:
    write(sink(runpod))
    runpod.seed("templates", id="t1", name="builder", env={"TOKEN": "{{ RUNPOD_SECRET_ecr-token }}"})
    assert "The template builder (t1) refers to the secret" in sink(runpod, absent=True).read().retained
    assert sink(runpod).read().retained == ""


def test_a_name_that_runpod_does_not_take_is_refused(runpod: SimulatedRunpod) -> None:
    with pytest.raises(InputError, match="RUNPOD"):
        sink(runpod, name="runpod-token")
