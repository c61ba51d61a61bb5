# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be is said before anything changes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible.errors import AnsibleUndefinedVariable

from .conftest import ENDPOINT, IMAGE, REGISTRY, ROOT, House

PUBLIC = {"access": "public", "acknowledge_public": True}


class Case(NamedTuple):
    """Variables of the role, and what is said of them."""

    cause: str
    variables: dict[str, Any]


def image(reference: str, cause: str) -> Case:
    return Case(cause, {"image": reference})


CASES = [
    image(f"{REGISTRY}/runpod-gpu-training:missing", "missing"),
    image(f"{REGISTRY}/no-such-repository:v1", "no-such-repository"),
    image(f"{REGISTRY}/runpod-gpu-training@sha256:{'0' * 64}", "sha256:0000"),
    image(f"{REGISTRY}/runpod-arm-only:v1", "linux/amd64"),
    image(f"{REGISTRY.replace('us-east-1', 'eu-west-1')}/runpod-gpu-training:v1", "runpod-gpu-training"),
    image(f"{REGISTRY}/runpod-gpu-training", "tag"),
    image("ghcr.io/team/app:v1", "ghcr.io"),
    image("", "runpod_ecr_image"),
    Case("DEBUG", {"template": {"env": {"DEBUG": True}}}),
    Case("10", {"template": {"persistent_mount": {"size": 5, "path": "/workspace"}, "serverless": False}}),
    Case("dsik", {"template": {"dsik": 5}}),
    Case("pools", {"endpoint": {**ENDPOINT, "gpu": {"pools": []}}}),
    Case("wrokers", {"endpoint": {**ENDPOINT, "wrokers": {}}}),
    Case("image cannot be set", {"endpoint": {**ENDPOINT, "image": IMAGE}}),
    Case("Only a pull user", {"access": "delegation", "state": "quarantined"}),
    Case("everybody on the internet can pull", {**PUBLIC, "acknowledge_public": False}),
    Case(
        "runpod_ecr_public_repository is one name",
        {
            **PUBLIC,
            "public_repository": "one",
            "workloads": [{"image": IMAGE}, {"image": f"{REGISTRY}/runpod-gpu-inference:v1"}],
        },
    ),
    Case("for private repositories only", {**PUBLIC, "public_repository": "a__b"}),
]


# What the environment says, and what is said of it. The modules read it in processes of their own.
ENVIRONMENTS = {
    "401": {"RUNPOD_API_KEY": "wrong"},
    "api_key": {"RUNPOD_API_KEY": ""},
    "region": {"AWS_REGION": ""},
}


def tasks(number: int, environment: dict[str, str]) -> dict[str, Any]:
    """Return the tasks of a case: they end where the role fails, and note where it does not."""
    role = {"name": "gpuops.runpod.runpod_ecr"}
    return {
        "environment": environment,
        "block": [
            {"name": f"Case {number}", "ansible.builtin.include_role": role, "vars": {"runpod_ecr_image": IMAGE}},
            {"name": "Note that it was taken", "ansible.builtin.debug": {"msg": "nothing was wrong"}},
        ],
        "rescue": [{"name": "Go on", "ansible.builtin.debug": {"msg": "it was refused"}}],
    }


def playbook(folder: Path) -> Path:
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "tasks": [tasks(number, environment) for number, environment in enumerate(ENVIRONMENTS.values())],
    }
    path = folder / "refusals.yml"
    path.write_text(json.dumps([play]))
    return path


def nothing_was_changed(house: House) -> bool:
    return house.writes() == [] and house.sandbox.aws.public.repositories == {}


def test_what_cannot_be_is_said_before_anything_changes(house: House) -> None:
    said = [house.role(**case.variables).failure for case in CASES]
    assert [case.cause for case, each in zip(CASES, said, strict=True) if case.cause not in each] == []
    assert [each for each in said if not each.startswith("Nothing was changed. ")] == []
    assert nothing_was_changed(house)


@pytest.mark.parametrize(
    "variables",
    [
        {"template": "disk=80"},
        {"endpoint": "{}"},
        {"secret_store": '{"type": "ssm"}'},
        {"workloads": "image=x"},
        {"workloads": [f"image={IMAGE}"]},
        {"workloads": [{"image": IMAGE, "template": "disk=80"}]},
        {"workloads": [{"image": IMAGE, "endpoint": "{}"}]},
    ],
    ids=str,
)
def test_a_text_in_place_of_a_dictionary_is_refused_before_the_first_step(house: House, variables: Any) -> None:
    """A module would take it, and the steps after the first could not combine it."""
    [name] = variables
    with pytest.raises(AnsibleUndefinedVariable, match=f"runpod_ecr_{name} is or holds a text"):
        house.role(**variables)
    assert nothing_was_changed(house)


def test_an_environment_that_cannot_be_is_told_before_anything_changes(house: House, tmp_path: Path) -> None:
    run = house.play(playbook(tmp_path), ANSIBLE_COLLECTIONS_PATH=str(ROOT / "playbooks" / "collections"))
    assert run.code == 0, run.output
    assert run.recap["changed"] == 0 and "nothing was wrong" not in run.output, run.output
    assert run.output.count("it was refused") == len(ENVIRONMENTS)
    said = re.split(r"^TASK \[Case \d+\].*$", run.output, flags=re.MULTILINE)[1:]
    failures = [re.findall(r"^(?:\[ERROR\]|fatal|failed).*(?:\n(?!TASK|PLAY).*)*", each, re.MULTILINE) for each in said]
    assert [cause for cause, told in zip(ENVIRONMENTS, failures, strict=True) if cause not in str(told)] == [], (
        run.output
    )
    assert nothing_was_changed(house)
