# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once, in processes of their own: they end in one good key and one credential, and touch nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import IMAGE, ROOT, USER, House
from .worker import CREDENTIAL, PATIENCE, STORES, Pair, pair

ROUNDS = 10  # with each of the two stores
# By how many seconds the second run is later than the first, which takes about half a second: all its moments are met.
OFFSETS = [0.0, 0.04, -0.04, 0.09, -0.09, 0.15, -0.15, 0.22, -0.22, 0.3]
THEIRS = "somebody-else"


@pytest.fixture(scope="module")
def processes(sandbox: Any) -> Iterator[Pair]:
    with pair(House(sandbox).environment()) as started:
        yield started


def foreign(house: House) -> Any:
    """Return what others hold in both clouds; the first time it is made."""
    iam, secrets = house.client("iam"), house.client("secretsmanager")
    if THEIRS not in house.users():
        iam.create_user(UserName=THEIRS)
        iam.create_access_key(UserName=THEIRS)
        secrets.create_secret(Name=THEIRS, SecretString="theirs")
        house.sandbox.runpod.seed("registries", {"name": THEIRS, "username": "AWS", "password": "theirs"})
    return (
        iam.list_access_keys(UserName=THEIRS)["AccessKeyMetadata"],
        secrets.get_secret_value(SecretId=THEIRS)["VersionId"],
        [held for held in house.runpod()["registries"] if held["name"] == THEIRS],
    )


def remove_key(house: House, key: str) -> None:
    """Make room for the next rotation, as time does."""
    house.client("iam").delete_access_key(UserName=USER, AccessKeyId=key)


def remove_user(house: House) -> str:
    """Go back to a pull user that holds nothing but the key of somebody else. Returns the id of that."""
    iam = house.client("iam")
    if USER in house.users():
        for key in list(house.keys()):
            remove_key(house, key)
        for policy in iam.list_user_policies(UserName=USER)["PolicyNames"]:
            iam.delete_user_policy(UserName=USER, PolicyName=policy)
        iam.delete_user(UserName=USER)
    for name in house.secrets():
        if name != THEIRS:
            house.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    house.client("ssm").delete_parameters(Names=[STORES["ssm"]])
    forget_runpod(house)
    iam.create_user(UserName=USER, Path="/runpod/", Tags=[{"Key": "gpuops.runpod/managed", "Value": "true"}])
    return iam.create_access_key(UserName=USER)["AccessKey"]["AccessKeyId"]


def forget_runpod(house: House) -> None:
    """Let RunPod hold what others made, alone."""
    world = house.sandbox.runpod.world.current
    for kind in ("registries", "templates"):
        world[kind] = {name: held for name, held in world[kind].items() if held["name"] == THEIRS}


# Twenty pairs of each kind


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("run", ["converge", "role"])
def test_two_converges(house: House, processes: Pair, store: str, run: str) -> None:
    house.sandbox.runpod.switch(rate_limits=None)  # its minutes are real ones, and the pauses of the runs are not
    others = foreign(house)
    for offset in OFFSETS[:ROUNDS]:
        somebody_elses = remove_user(house)
        assert processes.run((run, run), store, offset) == []
        house.good(store, somebody_elses)
        assert len(house.runpod()["templates"]) == 1
    assert foreign(house) == others


@pytest.mark.parametrize("store", STORES)
def test_converge_and_rotation(house: House, processes: Pair, store: str) -> None:
    others = foreign(house)
    remove_key(house, remove_user(house))
    processes.run(("converge", "converge"), store, 0)
    for number, offset in enumerate(OFFSETS[:ROUNDS]):
        old = house.stored(store)
        if number % 2:
            forget_runpod(house)
        assert processes.run(("converge", "rotate"), store, offset) == []
        assert house.good(store, old) != old
        remove_key(house, old)
    assert foreign(house) == others


@pytest.mark.parametrize("store", STORES)
def test_rotation_and_refresh(house: House, processes: Pair, store: str) -> None:
    others = foreign(house)
    remove_key(house, remove_user(house))
    processes.run(("converge", "converge"), store, 0)
    for number, offset in enumerate(OFFSETS[:ROUNDS]):
        old = house.stored(store)
        if number % 3 == 2:
            forget_runpod(house)
        assert processes.run(("rotate", "renew"), store, offset) == []
        assert house.good(store, old) != old
        remove_key(house, old)
    assert foreign(house) == others


# Through the front door


def started(house: House, playbook: str | Path, *arguments: str) -> subprocess.Popen[str]:
    collections = str(ROOT / "playbooks" / "collections")
    return house.started(playbook, "-e", f"runpod_ecr_image={IMAGE}", *arguments, ANSIBLE_COLLECTIONS_PATH=collections)


def finish(*runs: subprocess.Popen[str]) -> None:
    """Wait for runs that started together; all of them succeed."""
    for run in runs:
        output, dummy = run.communicate(timeout=PATIENCE)
        assert run.returncode == 0, output


REFRESH = f"""\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
  tasks:
    - gpuops.runpod.runpod_ecr_credential:
        name: {CREDENTIAL}
        image: "{{{{ runpod_ecr_image }}}}"
        secret_store: {{type: ssm, name: {STORES["ssm"]}}}
        force: true
"""


def test_playbooks_of_a_rotation_and_a_refresh_at_once(house: House, tmp_path: Path) -> None:
    store = ("-e", '{"runpod_ecr_secret_store": {"type": "ssm"}, "runpod_ecr_rotate_after_days": 0}')
    rotate, refresh = "playbooks/rotate.yml", tmp_path / "refresh.yml"
    refresh.write_text(REFRESH)
    others = foreign(house)

    assert house.role(secret_store={"type": "ssm"}).failure == ""
    first = house.good("ssm")
    held = house.client("ssm").get_parameter(Name=STORES["ssm"], WithDecryption=True)["Parameter"]
    assert held["Type"] == "SecureString" and house.secrets() == [THEIRS]
    finish(started(house, rotate, *store), started(house, refresh))
    assert house.good("ssm", first) != first
    assert len(house.runpod()["templates"]) == 1 and foreign(house) == others
