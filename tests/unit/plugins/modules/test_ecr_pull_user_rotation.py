# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotation of the pull user's key: what each run does, what one that dies leaves, and two runs at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from moto.iam.models import iam_backends

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import token_records
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    CollectionError,
    InputError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._core.time import format_time
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.pull_user import run
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_state import Clients
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.ecr_credential import run as refresh_token
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import (
    BOTH_STORES,
    FAILURES,
    UNMEASURED,
    Account,
    Killed,
    client,
    refusal,
    turn,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod

Json = dict[str, Any]

NAME = "puller"
REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "ap-northeast-2", "sa-east-1")
EVERYWHERE = [f"arn:aws:ecr:{region}:123456789012:repository/team/app" for region in REGIONS]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
V1: Json = {
    "name": NAME,
    "state": "present",
    "path": "/runpod/",
    "permissions_boundary": None,
    "user_tags": None,
    "purge_tags": True,
    "policy": "repositories",
    "repositories": ["team/app"],
    "purge_repositories": False,
    "pull_through": False,
    "key_state": "present",
    "rotate_after_days": None,
    "retire_after_hours": 24,
    "release_quarantine": False,
    "propagation_timeout": 90,
}


def play(account: Account, check_mode: bool = False, **changes: Any) -> Result:
    return run({**V1, "secret_store": account.store.options, **changes}, check_mode, account.aws())


def rotate(account: Account, **changes: Any) -> Result:
    return play(account, rotate_after_days=90, **changes)


def secrets(user: str = NAME) -> dict[str, str]:
    """Return the secret of each key of the user that works."""
    keys = iam_backends["123456789012"]["aws"].users[user].access_keys
    return {key.access_key_id: key.secret_access_key for key in keys if key.status == "Active"}


def stored(account: Account) -> str:
    return account.store.value()["access_key_id"]


def works(account: Account) -> bool:
    """Return whether a token can be minted with what is in the store now."""
    held = account.store.value()
    return secrets().get(held.get("access_key_id", "")) == held.get("secret_access_key", "none")


def watch(account: Account, seen: list[bool]) -> None:
    """Note before and after each further call whether the store's key works."""
    happen = account.happen

    def watching(events: dict[str | int, Any], name: str, number: int) -> None:
        seen.append(works(account))
        happen(events, name, number)

    account.happen = watching  # type: ignore[method-assign]


def unwatch(account: Account) -> None:
    del account.happen  # type: ignore[attr-defined]


@pytest.fixture
def old(account: Account) -> str:
    """The id of a key that is in the store and 90 days old."""
    play(account)
    key = stored(account)
    account.now += 90 * DAY
    account.forget()
    return key


def check_rotated(account: Account, old: str, foreign: tuple[str, ...] = ()) -> None:
    """A good new key is in the store beside the old one, both are known as ours, and nothing is left to do."""
    new = stored(account)
    assert new != old and works(account)
    assert set(account.store.value()) == {"access_key_id", "secret_access_key", "created"}
    assert account.keys(NAME) == {old: "Active", new: "Active"} | dict.fromkeys(foreign, "Active")
    assert {key for key, mark in account.tags(NAME).items() if mark == "gpuops.runpod"} == {old, new}
    account.forget()
    assert rotate(account).changed is False
    assert account.writes() == []


# What a run does


@BOTH_STORES
def test_key_of_that_age_is_replaced_and_the_old_one_stays_for_a_while(account: Account, old: str) -> None:
    foreseen = play(account, check_mode=True, rotate_after_days=90)
    assert account.writes() == [] and foreseen.changed and foreseen.results["rotated"]
    outcome = rotate(account)
    assert outcome.changed and outcome.results["rotated"] and not outcome.results["rotation_due"]
    assert outcome.results["secret_store"]["access_key_id"] == stored(account)
    assert {key["id"]: (key["stored"], key["ours"]) for key in outcome.results["access_keys"]} == {
        old: (False, True),
        stored(account): (True, True),
    }
    check_rotated(account, old)


def test_new_key_is_noted_made_marked_and_proved_before_it_takes_the_place_of_the_old_one(
    account: Account, old: str
) -> None:
    rotate(account)
    proof = ["sts:get_caller_identity", "ecr:get_authorization_token"]
    note = account.calls.index("secretsmanager:put_secret_value")
    assert account.calls[note:] == [
        "secretsmanager:put_secret_value",
        "secretsmanager:put_secret_value",
        "iam:create_access_key",
        "iam:tag_user",
        *proof,
        *proof,
        "secretsmanager:put_secret_value",
    ]


def test_younger_key_stays(account: Account, old: str) -> None:
    account.now -= HOUR
    outcome = rotate(account)
    assert (outcome.changed, outcome.results["rotated"], account.writes()) == (False, False, [])


def test_without_an_age_nothing_is_rotated_or_retired(account: Account, old: str) -> None:
    rotate(account)
    account.now += 900 * DAY
    account.forget()
    outcome = play(account)
    assert (outcome.changed, outcome.results["rotation_due"], account.writes()) == (False, False, [])


def test_key_that_is_never_accepted_does_not_replace_the_old_one(account: Account, old: str) -> None:
    def refuse() -> None:
        account.before["ecr:get_authorization_token"] = refuse
        raise refusal("UnrecognizedClientException")

    account.before["ecr:get_authorization_token"] = refuse
    with pytest.raises(CollectionError, match="AWS still refuses the new access key"):
        rotate(account)
    assert sum(account.naps) == 90.0
    assert account.keys(NAME) == {old: "Active"} and stored(account) == old and works(account)
    account.before.clear()
    account.forget()
    assert rotate(account).results["rotated"] is True
    assert account.naps == []
    check_rotated(account, old)


@pytest.mark.parametrize("hours", [11, 0, -1])
def test_older_key_is_not_retired_while_its_tokens_may_live(account: Account, hours: int) -> None:
    with pytest.raises(InputError, match="at least 12"):
        rotate(account, retire_after_hours=hours)
    assert account.calls == []


def test_negative_age_is_refused(account: Account) -> None:
    with pytest.raises(InputError, match="rotate_after_days is -1"):
        play(account, rotate_after_days=-1)


def test_zero_days_rotate_at_once_but_not_again_before_the_last_rotation_is_over(account: Account) -> None:
    play(account)
    first = stored(account)
    assert play(account, rotate_after_days=0).results["rotated"] is True
    second = stored(account)
    for check_mode in (True, False):
        account.forget()
        again = play(account, check_mode, rotate_after_days=0)
        assert (again.changed, again.results["rotated"], account.writes()) == (False, False, [])
        assert "waits until" in again.warnings[0] and first in again.warnings[0]
    account.now += DAY
    assert play(account, rotate_after_days=0).changed is True
    account.now += DAY
    assert play(account, rotate_after_days=0).results["rotated"] is True
    assert second in account.keys(NAME) and first not in account.keys(NAME)


def backdate(key: str, date: datetime) -> None:
    """Let IAM say that a key was made then."""
    for held in iam_backends["123456789012"]["aws"].users[NAME].access_keys:
        if held.access_key_id == key:
            held.create_date = date.replace(tzinfo=None, microsecond=0)


@pytest.mark.parametrize(
    ("ages", "status", "step"),
    [
        ([], "", ["create"]),
        ([90 * DAY - HOUR], "", []),
        ([90 * DAY], "", ["create"]),
        ([4000 * DAY], "", ["create"]),
        ([23 * HOUR, 4000 * DAY], "Active", []),
        ([24 * HOUR, 4000 * DAY], "Active", ["update"]),
        ([47 * HOUR, 4000 * DAY], "Inactive", []),
        ([48 * HOUR, 4000 * DAY], "Inactive", ["delete"]),
        ([4000 * DAY, 4001 * DAY], "Inactive", ["delete", "create"]),
        ([4000 * DAY, 4001 * DAY], "Active", ["update"]),
    ],
)
def test_each_state_of_the_keys_leads_to_its_step(
    account: Account, ages: list[timedelta], status: str, step: list[str]
) -> None:
    if ages:
        play(account)
    if status:
        play(account, rotate_after_days=0)
        (older,) = account.keys(NAME).keys() - {stored(account)}
        client("iam").update_access_key(UserName=NAME, AccessKeyId=older, Status=status)
        backdate(older, account.now - ages[1])
    if ages:
        backdate(stored(account), account.now - ages[0])
    account.forget()
    rotate(account)
    steps = [call for call in account.writes() if call.endswith("_access_key")]
    assert steps == [f"iam:{verb}_access_key" for verb in step] and works(account)


def test_key_of_somebody_else_in_the_way_is_an_error_with_the_reasons(account: Account, old: str) -> None:
    foreign = client("iam").create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"]
    with pytest.raises(CollectionError, match=f"due for rotation.*{foreign}.*was not made by this collection"):
        rotate(account)
    assert account.writes() == [] and works(account)


# Retirement, from what the clouds say


def test_older_key_is_deactivated_and_then_deleted(account: Account, old: str) -> None:
    rotate(account)
    for wait, changed, status in (
        (24 * HOUR - timedelta(minutes=1), False, "Active"),
        (timedelta(minutes=1), True, "Inactive"),
        (timedelta(0), False, "Inactive"),
        (24 * HOUR - timedelta(minutes=1), False, "Inactive"),
        (timedelta(minutes=1), True, None),
        (timedelta(0), False, None),
    ):
        account.now += wait
        assert play(account, check_mode=True, rotate_after_days=90).changed is changed
        assert rotate(account).changed is changed
        assert account.keys(NAME).get(old) == status
        assert works(account)
    assert {key for key, mark in account.tags(NAME).items() if mark == "gpuops.runpod"} == {stored(account)}


@BOTH_STORES
def test_older_key_stays_while_a_token_of_it_is_at_runpod(account: Account, old: str) -> None:
    rotate(account)
    account.now += 3 * DAY
    store = client(*account.store.tag.split(":")[:1])
    tag = {"Key": "gpuops.runpod/reg_1", "Value": f"{format_time(account.now + HOUR)} {old}"}
    if account.store.options["type"] == "ssm":
        store.add_tags_to_resource(ResourceType="Parameter", ResourceId=account.store.name, Tags=[tag])
    else:
        store.tag_resource(SecretId=account.store.name, Tags=[tag])
    assert rotate(account).changed is False
    account.now += HOUR
    assert rotate(account).changed is True and account.keys(NAME)[old] == "Inactive"


def test_older_key_stays_while_something_uses_it(account: Account, old: str) -> None:
    rotate(account)
    account.now += 3 * DAY
    account.used[old] = account.now - DAY
    assert rotate(account).changed is False and account.keys(NAME)[old] == "Active"
    account.now += 90 * DAY
    with pytest.raises(CollectionError, match=f"{old}.*is an older key of this collection"):
        rotate(account)


def test_older_key_that_somebody_deletes_meanwhile_counts_as_deactivated(account: Account, old: str) -> None:
    rotate(account)
    account.now += DAY
    account.before["iam:update_access_key"] = lambda: client("iam").delete_access_key(UserName=NAME, AccessKeyId=old)
    assert rotate(account).changed is True
    assert list(account.keys(NAME)) == [stored(account)]


# Runs that die, answers that are lost


@BOTH_STORES
def test_stores_key_works_before_and_after_each_call_of_a_rotation(account: Account, old: str) -> None:
    seen: list[bool] = []
    watch(account, seen)
    assert rotate(account).results["rotated"] is True
    unwatch(account)
    assert len(seen) == 2 * len(account.calls) > 20 and all(seen)


def undo(account: Account, old: str, value: Json) -> None:
    """Bring back the state before a rotation: the old key alone."""
    for key in account.keys(NAME):
        if key != old:
            client("iam").delete_access_key(UserName=NAME, AccessKeyId=key)
            client("iam").untag_user(UserName=NAME, TagKeys=[key])
    account.store.write(value)
    account.forget()


@UNMEASURED
@BOTH_STORES
@FAILURES
def test_plain_second_run_finishes_a_rotation_that_failed_anywhere(
    account: Account, old: str, moment: str, fault: Any
) -> None:
    value = account.store.value()
    rotate(account)
    total = len(account.calls)
    assert total > 10
    for number in range(turn(account, moment == "before", fault is Killed), total, 2):
        undo(account, old, value)
        getattr(account, moment)[number] = fault()
        seen: list[bool] = []
        watch(account, seen)
        with pytest.raises((CollectionError, Killed)):
            rotate(account)
        rotate(account)
        unwatch(account)
        assert all(seen), number
        check_rotated(account, old)


@BOTH_STORES
def test_run_killed_while_it_proves_the_key_leaves_an_orphan_though_the_key_was_used(
    account: Account, old: str
) -> None:
    account.after["ecr:get_authorization_token"] = Killed()
    with pytest.raises(Killed):
        rotate(account)
    (lost_key,) = account.keys(NAME).keys() - {old}
    account.used[lost_key] = account.now
    account.forget()
    assert rotate(account).results["rotated"] is True
    assert 80 <= sum(account.naps) <= 98
    assert lost_key not in account.keys(NAME)
    check_rotated(account, old)


@BOTH_STORES
def test_converge_does_not_wait_for_a_rotation(account: Account, old: str) -> None:
    account.after["iam:create_access_key"] = Killed()
    with pytest.raises(Killed):
        rotate(account)
    account.forget()
    assert play(account).changed is False
    assert account.naps == [] and works(account)


# Two runs at a time: the one starts and ends while the other is anywhere in its work


def interleave(account: Account, old: str, first: Callable[[Account], Any], second: Callable[[Account], Any]) -> int:
    """Run one inside the other, before every other of its calls in turn. Returns how many calls these are."""
    value = account.store.value()
    foreign = {key for key in account.keys(NAME) if key != old}
    account.forget()
    number = turn(account)
    while True:
        other = Account(account.store)
        other.now = account.now
        done: list[Any] = []
        account.before[number] = lambda other=other, done=done: done.append(second(other))
        first(account)
        account.before.clear()
        account.now = max(account.now, other.now)
        check_sound(account, old, foreign)
        undo(account, old, value)
        if not done:
            return number
        number += 2


def check_sound(account: Account, old: str, foreign: set[str]) -> None:
    """One good key is in the store, no other than that and the old one is ours, and none is lost."""
    assert works(account)
    assert set(account.keys(NAME)) == {old, stored(account)} | foreign
    assert "pending" not in account.store.value()
    account.forget()
    rotate(account)
    assert set(account.keys(NAME)) == {old, stored(account)} | foreign and works(account)


@UNMEASURED
@BOTH_STORES
def test_two_rotations_at_once(account: Account, old: str) -> None:
    play(account, repositories=EVERYWHERE)  # so that there are at least twenty calls
    assert interleave(account, old, rotate, rotate) >= 20


@UNMEASURED
@BOTH_STORES
@pytest.mark.parametrize("order", [1, -1])
def test_converge_and_rotation_at_once(account: Account, old: str, order: int) -> None:
    runs: list[Callable[[Account], Any]] = [lambda it: play(it, repositories=["team/app", "team/api"]), rotate][::order]
    interleave(account, old, *runs)
    assert account.policy(NAME)["Statement"][1]["Resource"][0].endswith("team/api")


@UNMEASURED
@BOTH_STORES
def test_two_first_runs_at_once(account: Account) -> None:
    number, done = turn(account), [True]
    while done:
        other, done = Account(account.store), []
        other.now = account.now
        account.before[number] = lambda other=other, done=done: done.append(play(other))
        play(account, repositories=EVERYWHERE)
        account.before.clear()
        account.now = max(account.now, other.now)
        check_sound(account, stored(account), set())
        play(account, state="absent")
        assert account.store.entries() == []
        account.forget()
        number += 2
    assert number > 20


@UNMEASURED
@BOTH_STORES
def test_rotation_and_refresh_at_once(account: Account, old: str) -> None:
    runpod = FakeRunpod()

    def refresh(it: Account) -> None:
        params = {
            "name": "ecr",
            "image": None,
            "registry_region": "us-east-1",
            "secret_store": {**account.store.options, "name": account.store.name},
            "min_validity_hours": 9.0,
            "force": True,
            "propagation_timeout": 90,
            "state": "present",
        }
        refresh_token(params, False, Clients(it.aws(), runpod.client))

    play(account, repositories=EVERYWHERE)
    assert interleave(account, old, rotate, refresh) >= 20
    interleave(account, old, refresh, rotate)
    assert len(runpod.current["registries"]) == 1
    assert len(token_records(account.store.tags())) == 1
    noted = next(iter(token_records(account.store.tags()).values()))
    assert noted.access_key_id == old  # the last refresh was before the last rotation


def test_entry_of_which_somebody_restored_a_former_version_is_an_error_not_a_loop(account: Account, old: str) -> None:
    def refuse() -> None:  # the version that would follow exists already
        account.before[account.store.put] = refuse
        raise refusal("ResourceExistsException")

    account.before[account.store.put] = refuse
    with pytest.raises(CollectionError, match="restored a former version"):
        rotate(account)
    assert account.keys(NAME) == {old: "Active"} and sum(account.naps) == 92.0


def test_orphan_that_a_slow_run_stores_meanwhile_is_not_deleted(account: Account, old: str) -> None:
    slow = Account(account.store)
    slow.now = account.now

    def while_it_is_slow() -> None:
        account.now += timedelta(seconds=91)
        account.before[account.store.put] = Killed()  # it has decided to delete the orphan, and writes the entry first
        with pytest.raises(Killed):
            rotate(account)

    slow.before["ecr:get_authorization_token"] = while_it_is_slow
    rotate(slow)
    check_rotated(account, old)
