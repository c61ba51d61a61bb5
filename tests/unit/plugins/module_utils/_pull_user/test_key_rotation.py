# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import KeyPair
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.stored_key import store_of
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError, ConflictError
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.access_keys import KeyPlan
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.entry_lock import (
    EntryLock,
    KeyContext,
    LockLostError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.iam_user import find_keys
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.key_rotation import (
    abandon,
    apply_keys,
    make_key,
    refuse,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import Account, client, lost, refusal

OPTIONS: dict[str, Any] = {"type": "secretsmanager", "name": "mine", "region": None, "kms_key_id": None, "tags": None}


@pytest.fixture
def lock(account: Account) -> EntryLock:
    """A user without keys, and an entry without one."""
    client("iam").create_user(UserName="puller")
    aws = account.aws()
    made = EntryLock(KeyContext(aws, store_of(aws, OPTIONS), "puller", 90), None)
    account.forget()
    return made


def new_key() -> Any:
    return client("iam").create_access_key(UserName="puller")["AccessKey"]["AccessKeyId"]


def test_key_is_made_and_marked_between_the_note_and_the_store(lock: EntryLock, account: Account) -> None:
    new_key()
    theirs = find_keys(account.aws(), "puller")
    seen: list[Any] = []
    account.before["iam:create_access_key"] = lambda: seen.append(account.secret("mine")["pending"])
    account.after["iam:tag_user"] = lambda: seen.append(account.tags("puller"))
    made = make_key(lock, theirs, [])
    assert seen[0]["known_key_ids"] == [theirs[0].id] and "abandoned" not in seen[0]
    assert seen[1] == {made.id: "gpuops.runpod"}
    held = account.secret("mine")
    assert held["access_key_id"] == made.id and set(held) == {"access_key_id", "secret_access_key", "created"}


def test_new_key_is_sent_once_and_its_answer_goes_nowhere_else(lock: EntryLock, account: Account) -> None:
    make_key(lock, (), [])
    assert account.calls.count("iam:create_access_key") == 1
    assert isinstance(lock.entry.key, KeyPair)
    secret = lock.entry.key.secret_access_key
    assert [name for name, request in account.requests if secret in str(request)] == ["secretsmanager:put_secret_value"]
    assert secret not in repr(lock.entry)


def test_note_left_beside_a_good_key_is_dropped(lock: EntryLock, account: Account) -> None:
    assert apply_keys(lock, (), KeyPlan(forget=True), []) == ()
    assert set(account.secret("mine")) == {"lock"}


def test_key_that_is_gone_already_counts_as_deleted(lock: EntryLock, account: Account) -> None:
    made = new_key()
    keys = find_keys(account.aws(), "puller")
    client("iam").delete_access_key(UserName="puller", AccessKeyId=made)
    assert apply_keys(lock, keys, KeyPlan(delete=(made,)), []) == ()


def test_failure_while_cleaning_up_does_not_hide_the_first_one(lock: EntryLock, account: Account) -> None:
    account.after["iam:create_access_key"] = lost()
    account.before["iam:list_access_keys"] = lost()
    with pytest.raises(AwsError, match="iam:CreateAccessKey"):
        make_key(lock, (), [])
    assert "abandoned" not in account.secret("mine")["pending"]  # the next run waits, then finds the orphan


def test_refusal_names_every_reason_and_the_commands() -> None:
    with pytest.raises(ConflictError, match=r"one; two\. .*aws iam update-access-key --user-name puller"):
        refuse(KeyPlan(blocked=("one", "two")), "puller")
    refuse(KeyPlan(postponed=("later",)), "puller")


def overtake() -> None:
    """Write the entry as another run."""
    theirs = Account()
    store = store_of(theirs.aws(), OPTIONS)
    EntryLock(KeyContext(theirs.aws(), store, "puller", 90), store.read())


def test_key_of_a_run_that_was_overtaken_is_deleted_and_their_entry_stays(lock: EntryLock, account: Account) -> None:
    account.after["iam:create_access_key"] = overtake
    with pytest.raises(LockLostError):
        make_key(lock, (), [])
    assert account.keys("puller") == {} and "access_key_id" not in account.secret("mine")


def test_key_that_is_refused_to_the_slower_of_two_runs_makes_it_look_again(lock: EntryLock, account: Account) -> None:
    def faster() -> None:
        overtake()
        raise refusal("LimitExceeded", 409)

    account.before["iam:create_access_key"] = faster
    with pytest.raises(LockLostError):
        make_key(lock, (), [])


@pytest.mark.parametrize("event", [refusal("LimitExceeded", 409), lost()])
def test_key_that_cannot_be_made_leaves_nothing_and_the_note_says_so(
    lock: EntryLock, account: Account, event: Exception
) -> None:
    account.before["iam:create_access_key"] = event
    with pytest.raises(AwsError, match="CreateAccessKey"):
        make_key(lock, (), [])
    assert account.secret("mine")["pending"]["abandoned"] is True and account.keys("puller") == {}


def test_answer_without_the_key_is_treated_as_lost(lock: EntryLock, account: Account) -> None:
    def thin(moto: Any, request: Any) -> Any:
        answer = moto.create_access_key(**request)
        del answer["AccessKey"]["SecretAccessKey"]
        return answer

    account.create_access_key = thin  # type: ignore[method-assign]
    with pytest.raises(AwsError, match=r"iam:CreateAccessKey: .*AccessKey\.SecretAccessKey is missing"):
        make_key(lock, (), [])
    assert account.secret("mine")["pending"]["abandoned"] is True and account.keys("puller") == {}


def test_several_keys_that_appeared_are_not_touched_and_the_note_stays(lock: EntryLock, account: Account) -> None:
    made = (new_key(), new_key())
    abandon(lock, made)
    assert account.calls == [] and account.keys("puller").keys() == set(made)
