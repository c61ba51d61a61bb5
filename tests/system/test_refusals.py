# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be is said before anything changes: one run of the role after the other, all in one playbook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from .conftest import ENDPOINT, IMAGE, REGISTRY, ROOT, House

PUBLIC = {"runpod_ecr_access": "public", "runpod_ecr_acknowledge_public": True}


class Case(NamedTuple):
    """Variables of the role or of its environment, and what is said of them."""

    cause: str
    variables: dict[str, Any]
    environment: dict[str, str] = {}


def image(reference: str, cause: str) -> Case:
    return Case(cause, {"runpod_ecr_image": reference})


CASES = [
    image(f"{REGISTRY}/runpod-gpu-training:missing", "missing"),
    image(f"{REGISTRY}/no-such-repository:v1", "no-such-repository"),
    image(f"{REGISTRY}/runpod-gpu-training@sha256:{'0' * 64}", "sha256:0000"),
    image(f"{REGISTRY}/runpod-arm-only:v1", "linux/amd64"),
    image(f"{REGISTRY.replace('us-east-1', 'eu-west-1')}/runpod-gpu-training:v1", "runpod-gpu-training"),
    image(f"{REGISTRY}/runpod-gpu-training", "tag"),
    image("ghcr.io/team/app:v1", "ghcr.io"),
    image("", "runpod_ecr_image"),
    Case("DEBUG", {"runpod_ecr_template": {"env": {"DEBUG": True}}}),
    Case("10", {"runpod_ecr_template": {"persistent_mount": {"size": 5, "path": "/workspace"}, "serverless": False}}),
    Case("dsik", {"runpod_ecr_template": {"dsik": 5}}),
    Case("401", {}, {"RUNPOD_API_KEY": "wrong"}),
    Case("api_key", {}, {"RUNPOD_API_KEY": ""}),
    Case("region", {}, {"AWS_REGION": ""}),
    Case("pools", {"runpod_ecr_endpoint": {**ENDPOINT, "gpu": {"pools": []}}}),
    Case("wrokers", {"runpod_ecr_endpoint": {**ENDPOINT, "wrokers": {}}}),
    Case("image cannot be set", {"runpod_ecr_endpoint": {**ENDPOINT, "image": IMAGE}}),
    Case("Only a pull user", {"runpod_ecr_access": "delegation", "runpod_ecr_state": "quarantined"}),
    Case("everybody on the internet can pull", {**PUBLIC, "runpod_ecr_acknowledge_public": False}),
    Case(
        "runpod_ecr_public_repository is one name",
        {
            **PUBLIC,
            "runpod_ecr_public_repository": "one",
            "runpod_ecr_workloads": [{"image": IMAGE}, {"image": f"{REGISTRY}/runpod-gpu-inference:v1"}],
        },
    ),
    Case("for private repositories only", {**PUBLIC, "runpod_ecr_public_repository": "a__b"}),
]


def tasks(number: int, case: Case) -> dict[str, Any]:
    """Return the tasks of a case: they end where the role fails, and note where it does not."""
    role = {"name": "gpuops.runpod.runpod_ecr"}
    variables = {"runpod_ecr_image": IMAGE, **case.variables}
    return {
        "environment": case.environment,
        "block": [
            {"name": f"Case {number}", "ansible.builtin.include_role": role, "vars": variables},
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
        "tasks": [tasks(number, case) for number, case in enumerate(CASES)],
    }
    path = folder / "refusals.yml"
    path.write_text(json.dumps([play]))
    return path


def test_what_cannot_be_is_said_before_anything_changes(house: House, tmp_path: Path) -> None:
    run = house.play(playbook(tmp_path), ANSIBLE_COLLECTIONS_PATH=str(ROOT / "playbooks" / "collections"))
    assert run.code == 0, run.output
    assert run.recap["changed"] == 0 and "nothing was wrong" not in run.output, run.output
    assert run.output.count("it was refused") == len(CASES)
    said = re.split(r"^TASK \[Case \d+\].*$", run.output, flags=re.MULTILINE)[1:]
    failures = [re.findall(r"^(?:\[ERROR\]|fatal|failed).*(?:\n(?!TASK|PLAY).*)*", each, re.MULTILINE) for each in said]
    unsaid = {number: case.cause for number, case in enumerate(CASES) if case.cause not in str(failures[number])}
    assert unsaid == {}, run.output
    assert (house.users(), house.secrets()) == ([], [])
    held = house.runpod()
    assert (held["registries"], held["delegations"], held["templates"], held["endpoints"]) == ([], [], [], [])
    assert house.sandbox.aws.public.repositories == {}
    assert house.writes() == []
