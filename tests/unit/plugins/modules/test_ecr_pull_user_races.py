# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once, which a seeded scheduler lets take turns at each call to AWS."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from itertools import combinations_with_replacement
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ConflictError
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.pull_user import run
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.look import ReadOnlyAws
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import BOTH_STORES, UNMEASURED, Account, client

from .test_ecr_pull_user_rotation import DAY, NAME, V1, works

REPOSITORY = "arn:aws:ecr:us-east-1:123456789012:repository/team/"
MANY = [f"svc-{number:06}" for number in range(60)]
WISHES: dict[str, dict[str, Any]] = {
    "a": {"repositories": ["team/a"], "user_tags": {"a": "1"}, "purge_tags": False},
    "b": {"repositories": ["team/b"], "user_tags": {"b": "1"}, "purge_tags": False},
    "rotate": {"repositories": ["team/app"], "rotate_after_days": 90},
    "absent": {"state": "absent"},
}


class Turns:
    """Lets one of several threads run at a time: the one whose call or pause ends first."""

    def __init__(self, seed: int, start: Any) -> None:
        self.random = random.Random(seed)
        self.condition = threading.Condition()
        self.due: dict[str, float] = {}
        self.start = start
        self.now = 0.0

    def wait(self, name: str, seconds: float) -> None:
        """Return when so much time has passed and nobody else is due before."""
        with self.condition:
            self.due[name] = self.now + seconds + self.random.uniform(0.01, 0.3)
            self.condition.notify_all()
            self.condition.wait_for(lambda: min(self.due, key=lambda other: (self.due[other], other)) == name)
            self.now = self.due[name]

    def leave(self, name: str) -> None:
        with self.condition:
            del self.due[name]
            self.condition.notify_all()


class Turning(Account):
    """An account as one of the threads sees it."""

    def __init__(self, account: Account, name: str, turns: Turns) -> None:
        super().__init__(account.store)
        self.name, self.turns = name, turns

    def happen(self, events: dict[str | int, Any], name: str, number: int) -> None:
        if events is self.before:
            self.turns.wait(self.name, 0)
            self.now = self.turns.start + timedelta(seconds=self.turns.now)

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.turns.wait(self.name, seconds)
        self.now = self.turns.start + timedelta(seconds=self.turns.now)


def race(account: Account, seed: int, *wishes: dict[str, Any]) -> list[Exception]:
    """Run these at once. Returns their failures."""
    turns = Turns(seed, account.now)
    turns.due = {str(number): 0.0 for number in range(len(wishes))}
    failures: list[Exception] = []

    def work(name: str, wish: dict[str, Any]) -> None:
        seen = Turning(account, name, turns)
        try:
            run({**V1, "secret_store": account.store.options, **wish}, False, seen.aws())
        except Exception as error:  # told to whoever started the race
            failures.append(error)
        finally:
            turns.leave(name)

    threads = [threading.Thread(target=work, args=(str(number), wish)) for number, wish in enumerate(wishes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    account.now += timedelta(seconds=turns.now)
    return failures


def opened(account: Account) -> set[str]:
    """Return the names of the repositories that the user may pull."""
    found = client("iam").list_attached_user_policies(UserName=NAME)["AttachedPolicies"]
    if found:
        arn = found[0]["PolicyArn"]
        version = client("iam").get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        answer = client("iam").get_policy_version(PolicyArn=arn, VersionId=version)
        document = answer["PolicyVersion"]["Document"]
    else:
        document = account.policy(NAME)
    return {arn.removeprefix(REPOSITORY) for arn in document["Statement"][1]["Resource"]}


def check(account: Account, wishes: list[str], start: set[str]) -> None:
    """Everything is there that a run asked for, or, when one of them was to remove it all, perhaps nothing."""
    users = [user["UserName"] for user in client("iam").list_users()["Users"]]
    if "absent" in wishes and users == []:
        assert account.store.entries() == []
        return
    assert users == [NAME]
    wanted = {wish for wish in wishes if wish in ("a", "b")}
    assert wanted <= opened(account), (wanted, opened(account))
    assert wanted <= account.tags(NAME).keys()
    if "absent" not in wishes:
        assert start <= opened(account)
    if "absent" not in wishes:
        assert works(account) and set(account.store.value()) == {"access_key_id", "secret_access_key", "created"}


@UNMEASURED
@BOTH_STORES
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("wishes", list(combinations_with_replacement(["a", "b", "rotate", "absent"], 2)))
@pytest.mark.parametrize("start", ["nothing", "converged"])
def test_two_runs_at_once_end_in_one_good_state(
    account: Account, wishes: tuple[str, str], seed: int, start: str
) -> None:
    before: set[str] = set()
    if start == "converged":
        run({**V1, "secret_store": account.store.options}, False, account.aws())
        account.now += 90 * DAY
        before = {"app"}
    assert race(account, seed, *(WISHES[wish] for wish in wishes)) == []
    check(account, list(wishes), before)
    account.forget()
    for wish in wishes:
        if "absent" not in wishes and wish != "rotate":
            assert (
                run({**V1, "secret_store": account.store.options, **WISHES[wish]}, False, account.aws()).changed
                is False
            )


@UNMEASURED
@BOTH_STORES
@pytest.mark.parametrize("seed", range(10))
def test_two_runs_at_once_that_outgrow_the_inline_policy_lose_nothing(account: Account, seed: int) -> None:
    run({**V1, "secret_store": account.store.options, "repositories": MANY[:28]}, False, account.aws())
    assert race(account, seed, {"repositories": MANY[28:32]}, {"repositories": MANY[32:36]}) == []
    assert {f"arn:aws:ecr:us-east-1:123456789012:repository/{name}" for name in MANY[:36]} == opened(account)


@UNMEASURED
@pytest.mark.parametrize("seed", range(10))
def test_two_runs_at_once_without_a_key_lose_nothing(account: Account, seed: int) -> None:
    a, b = ({**WISHES[name], "key_state": "absent"} for name in "ab")
    assert race(account, seed, a, b) == []
    assert opened(account) == {"a", "b"} and account.store.entries() == []


def overtaken(account: Account) -> dict[str, Any]:
    """Let another run rotate a key that is due while the next one reads; return the options of both."""
    options = {**V1, "secret_store": account.store.options, "rotate_after_days": 90}
    run(options, False, account.aws())
    account.now += 90 * DAY
    other = Turning(account, "other", Turns(0, account.now))
    other.now = account.now
    account.before["iam:list_access_keys"] = lambda: run(options, False, other.aws())
    return options


def test_key_that_another_run_makes_while_this_one_reads_is_no_conflict(account: Account) -> None:
    assert run(overtaken(account), False, account.aws()).changed is False
    assert len(account.keys(NAME)) == 2 and works(account)


def test_rotation_is_foreseen_though_another_run_makes_a_key_while_this_one_reads(account: Account) -> None:
    """What a look has asked before is asked anew, or the note that explains the key would never be seen."""
    options, look = overtaken(account), ReadOnlyAws.of(account.aws())
    look.call("iam", "get_user", UserName=NAME)
    assert run(options, True, look).changed is False
    assert len(account.keys(NAME)) == 2 and works(account)


@BOTH_STORES
def test_run_that_sees_the_key_of_another_one_but_not_yet_its_note_waits_for_it(account: Account) -> None:
    """The other run's key beside somebody else's leaves no room for one: nothing is to be done, but nothing is good."""
    options = {**V1, "secret_store": account.store.options}
    run({**options, "key_state": "absent"}, False, account.aws())
    client("iam").create_access_key(UserName=NAME)
    late, turns = Account(account.store), {name: threading.Event() for name in ("looking", "made", "napping", "over")}
    late.now = account.now
    late.before["iam:list_access_keys"] = lambda: (turns["looking"].set(), turns["made"].wait(60))
    late.during_nap = lambda: (turns["napping"].set(), turns["over"].wait(60))
    read: list[Any] = []

    def second() -> None:
        read.append(run(options, False, late.aws()).results["secret_store"]["access_key_id"])
        turns["napping"].set()  # or it never napped

    thread = threading.Thread(target=second)
    account.after["iam:tag_user"] = lambda: (thread.start(), turns["looking"].wait(60))
    account.after["iam:create_access_key"] = lambda: (turns["made"].set(), turns["napping"].wait(60))
    run(options, False, account.aws())
    turns["over"].set()
    thread.join(60)
    assert read == [account.store.value()["access_key_id"]] and works(account)


def test_entry_of_another_form_is_refused_unless_there_is_no_user_to_remove(account: Account) -> None:
    client("secretsmanager").create_secret(Name=account.store.name, SecretBinary=b"theirs")
    options = {**V1, "secret_store": account.store.options}
    assert run({**options, "state": "absent"}, False, account.aws()).changed is False
    with pytest.raises(ConflictError, match="does not hold what this collection writes"):
        run(options, False, account.aws())
    assert account.writes() == []
