# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a pull from working and no run mends ends a run before anything is changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._oci.reference import parse_ecr
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.pull_look import missing_layers
from tests.system.conftest import IMAGE, House
from tests.unit.audit.sabotages import layer_lost, statement, statement_added, template_gone

from .audits import TRAINING, Json

ONE: Json = {"image": IMAGE, "template": {"name": TRAINING}}
DIGESTS = [f"sha256:{number:064}" for number in range(150)]
DENIED = {"code": "AccessDeniedException", "message": "not authorized", "status": 400}
OTHER_TROUBLE = {"code": "InvalidParameterException", "message": "no", "status": 400}


def missing(answer: Json) -> tuple[list[str], list[int]]:
    """Return what is missing by an answer, and how many layers were asked for in each question."""
    asked: list[int] = []

    def call(dummy: str, dummy_operation: str, **request: Any) -> Json:
        asked.append(len(request["layerDigests"]))
        return answer

    look: Any = SimpleNamespace(aws=SimpleNamespace(call=call))
    return missing_layers(look, parse_ecr(IMAGE), DIGESTS), asked


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"layers": [{"layerDigest": DIGESTS[1], "layerAvailability": "UNAVAILABLE"}]}, DIGESTS[1:2]),
        ({"layers": [{"layerDigest": DIGESTS[1], "layerAvailability": "AVAILABLE"}]}, []),
        ({"failures": [{"layerDigest": DIGESTS[2], "failureCode": "MissingLayerDigest"}]}, DIGESTS[2:3]),
        ({}, []),
        ({"layers": None, "failures": None}, []),
        ({"layers": [{}], "failures": [{}]}, []),
    ],
)
def test_a_layer_is_missing_when_ecr_says_so(answer: Json, expected: list[str]) -> None:
    assert missing(answer) == (expected, [100, 50])


@pytest.mark.parametrize("access", ["credential", "caller", "delegation"])
@pytest.mark.parametrize("check", [True, False])
def test_a_run_ends_before_anything_is_changed_when_layers_are_missing(house: House, access: str, check: bool) -> None:
    house.arrange(ONE, access=access)
    layer_lost(house, TRAINING)
    if not check:  # something to change
        template_gone(house, TRAINING)
    house.sandbox.forget_calls()
    caller = {"pull_identity": "caller"} if access == "caller" else {}
    played = house.role(check=check, access="credential" if caller else access, **ONE, **caller)
    assert played.failure.startswith("Nothing was changed. 1 of 1 images cannot be pulled. ")
    assert "1 of the layers of" in played.failure and "Push the image again." in played.failure
    assert house.writes() == []


def test_a_run_that_changes_nothing_asks_for_no_layers(house: House) -> None:
    house.arrange(ONE)
    house.sandbox.forget_calls()
    assert house.role(**ONE).failure == ""
    assert "ecr:BatchCheckLayerAvailability" not in {call["name"] for call in house.sandbox.aws_calls()}


@pytest.mark.parametrize("answer", [DENIED, OTHER_TROUBLE])
def test_layers_that_nobody_may_ask_for_stop_no_run(house: House, answer: Json) -> None:
    house.arrange(ONE)
    template_gone(house, TRAINING)
    house.sandbox.fail("^ecr:BatchCheckLayerAvailability$", times=None, answer=answer)
    assert house.role(**ONE).failure == ""
    assert any(call["name"] == "ecr:BatchCheckLayerAvailability" for call in house.sandbox.aws_calls())


@pytest.mark.parametrize("check", [True, False])
def test_a_run_ends_before_anything_is_changed_when_a_statement_denies(house: House, check: bool) -> None:
    house.arrange(ONE, access="delegation")
    statement_added(house, TRAINING, statement("Nobody", "Deny", "*"))
    house.sandbox.forget_calls()
    played = house.role(check=check, access="delegation", **ONE)
    assert played.failure.startswith("Nothing was changed. The statement Nobody in the policy of arn:aws:ecr:")
    assert "except RunPod's roles from it" in played.failure
    assert house.writes() == []


def test_a_denial_of_others_stops_no_run(house: House) -> None:
    house.arrange(ONE, access="delegation")
    statement_added(house, TRAINING, statement("Nobody", "Deny", {"AWS": "arn:aws:iam::123456789012:user/former"}))
    assert house.role(access="delegation", **ONE).failure == ""
