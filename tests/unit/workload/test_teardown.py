# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod of somebody else keeps alive at a teardown, by what it is doing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.runpod_schemas import POD_STATUS
from tests.system.conftest import IMAGE, House
from tests.system.test_access import granted

ALIVE = sorted(set(POD_STATUS["enum"]) - {"TERMINATED"})


def pod(house: House, status: str, **more: Any) -> None:
    house.sandbox.runpod.seed("pods", {"name": "notebook", "image": IMAGE, "status": status, **more})


def left(house: House) -> list[bool]:
    """Return whether credential, user and entry are still there."""
    return [bool(each) for each in (house.runpod()["registries"], house.users(), house.secrets())]


def test_a_terminated_pod_keeps_no_credential_user_or_key_at_a_teardown(house: House) -> None:
    house.arrange()
    pod(house, "TERMINATED", registry=house.runpod()["registries"][0]["id"])
    gone = house.role(state="absent")
    assert (gone.failure, gone.result["warnings"], left(house)) == ("", [], [False, False, False])


@pytest.mark.parametrize("status", ALIVE)
def test_any_other_pod_keeps_its_credential_with_user_and_key_at_a_teardown(house: House, status: str) -> None:
    house.arrange()
    pod(house, status, registry=house.runpod()["registries"][0]["id"])
    kept = house.role(state="absent")
    assert (kept.failure, left(house)) == ("", [True, True, True])
    assert any("notebook" in text for text in kept.result["warnings"])
    assert house.pullable() == {"runpod-gpu-training"}


def test_a_terminated_pod_keeps_no_delegation_at_a_teardown(house: House) -> None:
    house.arrange(access="delegation")
    pod(house, "TERMINATED")
    gone = house.role(access="delegation", state="absent")
    assert (gone.failure, house.runpod()["delegations"], granted(house)) == ("", [], False)


@pytest.mark.parametrize("status", ALIVE)
def test_any_other_pod_keeps_its_delegation_and_grant_at_a_teardown(house: House, status: str) -> None:
    house.arrange(access="delegation")
    pod(house, status)
    kept = house.role(access="delegation", state="absent")
    assert (kept.failure, len(house.runpod()["delegations"]), granted(house)) == ("", 1, True)
    assert any("notebook" in text for text in kept.result["warnings"])


def test_a_terminated_pod_keeps_no_public_repository_at_a_forced_teardown(house: House) -> None:
    house.arrange(access="public")
    [uri] = {template["image"] for template in house.runpod()["templates"]}
    pod(house, "TERMINATED", image=uri)
    gone = house.role(access="public", acknowledge_public=True, public_force=True, state="absent")
    assert (gone.failure, list(house.sandbox.aws.public.repositories)) == ("", [])
