# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode tells the truth: for each start and each wish, what it predicts is what the run then does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import UNMEASURED, Account, Killed, client

from .test_ecr_pull_user_rotation import DAY, NAME, play, stored

PULL = "gpuops-runpod-pull"
WISHES: dict[str, dict[str, Any]] = {
    "present": {},
    "rotate": {"rotate_after_days": 90},
    "release": {"release_quarantine": True},
    "absent": {"state": "absent"},
    "quarantined": {"state": "quarantined"},
    "keyless": {"key_state": "absent"},
}


def empty(dummy: Account) -> None:
    """Nothing is there."""


def converged(account: Account) -> None:
    play(account)


def policy_drifted(account: Account) -> None:
    play(account)
    document = account.policy(NAME)
    document["Statement"][1]["Resource"] = "*"
    client("iam").put_user_policy(UserName=NAME, PolicyName=PULL, PolicyDocument=json.dumps(document))


def tags_drifted(account: Account) -> None:
    play(account)
    client("iam").untag_user(UserName=NAME, TagKeys=[stored(account), "gpuops.runpod/secret"])


def key_old(account: Account) -> None:
    play(account)
    account.now += 90 * DAY


def key_inactive(account: Account) -> None:
    play(account)
    client("iam").update_access_key(UserName=NAME, AccessKeyId=stored(account), Status="Inactive")


def two_keys(account: Account) -> None:
    key_old(account)
    play(account, rotate_after_days=90)
    account.now += DAY


def shut(account: Account) -> None:
    play(account)
    play(account, state="quarantined")


def entry_missing(account: Account) -> None:
    play(account)
    account.store.remove()


def entry_being_deleted(account: Account) -> None:
    play(account)
    client("secretsmanager").delete_secret(SecretId=account.store.name)


def without_key(account: Account) -> None:
    play(account, key_state="absent")


STARTS: list[Callable[[Account], None]] = [
    empty,
    converged,
    policy_drifted,
    tags_drifted,
    key_old,
    key_inactive,
    two_keys,
    shut,
    entry_missing,
    entry_being_deleted,
    without_key,
]


def attempt(account: Account, check_mode: bool, wish: str) -> Result | str:
    """Return the result, or what is wrong with the wish in this state."""
    try:
        return play(account, check_mode, **WISHES[wish])
    except CollectionError as error:
        return str(error)


def shown(result: Result) -> Any:
    """Return what check mode must foresee: everything but the ids, dates and times of what is not there yet."""
    user = result.results["user"]
    keys = result.results["access_keys"]
    return (
        result.changed,
        result.results["rotated"],
        result.results["policy"],
        sorted((key["status"], key["ours"], key["stored"]) for key in keys),
        user and {**user, "tags": sorted(set(user["tags"]) & {"gpuops.runpod/managed", "gpuops.runpod/quarantined"})},
        result.results.get("remaining"),
    )


def check_truth(account: Account, wish: str) -> None:
    account.forget()
    foreseen = attempt(account, True, wish)
    assert account.writes() == []
    done = attempt(account, False, wish)
    if isinstance(foreseen, str) or isinstance(done, str):
        assert foreseen == done and account.writes() == []
        return
    if any("pending deletion" in warning for warning in foreseen.warnings):  # what the entry holds cannot be read
        assert foreseen.changed == done.changed
    else:
        assert shown(foreseen) == shown(done)
    account.forget()
    again = play(account, **{**WISHES[wish], "release_quarantine": False})
    assert again.changed is False and account.writes() == []


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("start", STARTS)
def test_check_mode_foresees_what_the_run_does(account: Account, start: Callable[[Account], None], wish: str) -> None:
    start(account)
    check_truth(account, wish)


@UNMEASURED
@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("crashed", ["present", "rotate", "release", "absent", "keyless"])
def test_check_mode_foresees_what_the_run_does_after_a_crash_at_each_write(
    account: Account, crashed: str, wish: str
) -> None:
    number = 0
    while True:
        {"present": empty, "rotate": key_old, "release": shut}.get(crashed, converged)(account)
        account.forget()
        account.after = {number: Killed()}
        try:
            attempt(account, False, crashed)
            killed = False
        except Killed:
            killed = True
        account.after.clear()
        if not killed:
            return
        if account.calls[-1] in account.writes() and number % len(WISHES) in (list(WISHES).index(wish), 0):
            account.now += DAY / 24 if number % 2 else DAY / 86400
            check_truth(account, wish)
        clear(account)
        number += 1


def clear(account: Account) -> None:
    """Bring back an account in which nothing is."""
    account.now += DAY / 24
    if any(user["UserName"] == NAME for user in client("iam").list_users()["Users"]):
        play(account, state="absent")
    if account.store.entries():
        account.store.remove()
