# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import Entry, KeyPair, KeyReservation
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_store import store_of
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError, ConflictError
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.access_keys import KeyPlan
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.key_rotation import (
    KeyContext,
    KeyState,
    RotationResult,
    abandon,
    ensure_key,
    make_key,
    read_state,
    refuse,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import Account, client, lost, refusal

OPTIONS: dict[str, Any] = {"type": "secretsmanager", "name": "mine", "region": None, "kms_key_id": None, "tags": None}


@pytest.fixture
def place(account: Account) -> KeyContext:
    """A user without keys, and a store without its entry."""
    client("iam").create_user(UserName="puller")
    aws = account.aws()
    return KeyContext(aws, store_of(aws, OPTIONS), "puller", 90)


def new_key() -> Any:
    return client("iam").create_access_key(UserName="puller")["AccessKey"]


def test_key_is_made_between_the_note_and_the_store(place: KeyContext, account: Account) -> None:
    theirs = new_key()["AccessKeyId"]
    seen = []
    account.before["iam:create_access_key"] = lambda: seen.append((account.secret("mine"), account.tags("puller")))
    held = make_key(place, read_state(place), [])
    assert held is not None and held.entry is not None and held.entry.key is not None
    (note, tags) = seen[0]
    assert note == {"pending": {"since": f"{account.now:%Y-%m-%dT%H:%M:%SZ}", "known_key_ids": [theirs]}}
    assert tags == {"gpuops.runpod/secret": held.entry.arn}
    assert account.secret("mine")["secret_access_key"] == held.entry.key.secret_access_key
    assert read_state(place).entry == held.entry._replace(
        created=held.entry.created and held.entry.created.replace(microsecond=0)
    )
    assert [key.id for key in held.keys] == [theirs, held.entry.key.access_key_id]


def test_note_of_a_lost_key_takes_its_place_in_the_entry(place: KeyContext, account: Account) -> None:
    held = make_key(place, read_state(place), [])
    assert held
    client("iam").delete_access_key(UserName="puller", AccessKeyId=held.keys[0].id)
    account.after["iam:create_access_key"] = lost()
    before = read_state(place)
    with pytest.raises(AwsError):
        make_key(place, before, [])
    assert set(account.secret("mine")) == {"pending"}
    assert account.keys("puller").keys() == {key.id for key in before.keys}


def test_note_left_beside_a_good_key_is_dropped(place: KeyContext, account: Account) -> None:
    held = make_key(place, read_state(place), [])
    assert held and held.entry
    place.store.put(held.entry, held.entry.key, held.entry.created, KeyReservation(account.now, ()))
    done = ensure_key(place, read_state(place), lambda dummy: KeyPlan(forget=True), [])
    assert done.wrote is True and done.current.entry and done.current.entry.key == held.entry.key
    assert set(account.secret("mine")) == {"access_key_id", "secret_access_key", "created"}


def test_nothing_to_do_writes_nothing(place: KeyContext, account: Account) -> None:
    held = read_state(place)
    assert ensure_key(place, held, lambda dummy: KeyPlan(), []) == RotationResult(held)
    assert account.writes() == []


def test_key_that_is_gone_already_counts_as_deleted(place: KeyContext, account: Account) -> None:
    made = new_key()["AccessKeyId"]
    held = read_state(place)
    client("iam").delete_access_key(UserName="puller", AccessKeyId=made)
    done = ensure_key(place, held, lambda dummy: KeyPlan(delete=(made,)), [])
    assert done == RotationResult(KeyState((), None), wrote=True)


def test_pauses_double_up_to_eight_seconds(place: KeyContext, account: Account) -> None:
    plans = [KeyPlan(wait=True)] * 6 + [KeyPlan()] * 2
    ensure_key(place, KeyState((), None), lambda dummy: plans.pop(0), [])
    assert account.naps == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_several_keys_that_appeared_are_not_touched_and_the_note_stays(place: KeyContext, account: Account) -> None:
    made = (new_key()["AccessKeyId"], new_key()["AccessKeyId"])
    abandon(place, Entry("arn"), KeyReservation(account.now, ()), made)
    assert account.calls == [] and account.keys("puller").keys() == set(made)


def test_failure_while_cleaning_up_does_not_hide_the_first_one(place: KeyContext, account: Account) -> None:
    account.after["iam:create_access_key"] = lost()
    account.before["iam:list_access_keys"] = lost()
    with pytest.raises(AwsError, match="iam:CreateAccessKey"):
        make_key(place, KeyState((), None), [])
    assert "abandoned" not in account.secret("mine")["pending"]  # the next run waits, then finds the orphan


def test_refusal_names_every_reason_and_the_commands() -> None:
    with pytest.raises(ConflictError, match=r"one; two\. .*aws iam update-access-key --user-name puller"):
        refuse(KeyPlan(blocked=("one", "two")), "puller")
    refuse(KeyPlan(postponed=("later",)), "puller")


def test_new_key_is_sent_once_and_its_answer_goes_nowhere_else(place: KeyContext, account: Account) -> None:
    held = make_key(place, KeyState((), None), [])
    assert account.calls.count("iam:create_access_key") == 1
    assert held and held.entry and isinstance(held.entry.key, KeyPair)
    secret = held.entry.key.secret_access_key
    assert [name for name, request in account.requests if secret in str(request)] == ["secretsmanager:put_secret_value"]
    assert secret not in repr(held)


@pytest.mark.parametrize("plan", [KeyPlan(delete=("X",)), KeyPlan(forget=True)])
def test_entry_that_another_run_writes_meanwhile_is_looked_at_again_before_anything_is_deleted(
    place: KeyContext, account: Account, plan: KeyPlan
) -> None:
    made = make_key(place, read_state(place), [])
    assert made and made.entry and made.entry.key
    place.store.put(made.entry, made.entry.key, made.entry.created, KeyReservation(account.now, ()))
    held = read_state(place)

    def another_run() -> None:
        theirs = Account()
        store = store_of(theirs.aws(), OPTIONS)
        entry = store.read()
        assert entry and store.put(entry, entry.key, entry.created, KeyReservation(account.now, ("THEIRS",)))

    account.before["secretsmanager:put_secret_value"] = another_run
    done = ensure_key(place, held, lambda seen: plan if seen == held else KeyPlan(), [])
    assert done.current.entry and done.current.entry.pending
    assert done.current.entry.pending.known_key_ids == ("THEIRS",)
    assert "iam:delete_access_key" not in account.calls


def overtake() -> None:
    """Write the entry as another run."""
    theirs = Account()
    store = store_of(theirs.aws(), OPTIONS)
    entry = store.read()
    assert entry and store.put(entry, None, None, KeyReservation(theirs.now, ("THEIRS",)))


def test_key_that_is_refused_to_the_slower_of_two_runs_is_no_error(place: KeyContext, account: Account) -> None:
    def faster() -> None:
        overtake()
        raise refusal("LimitExceeded", 409)

    account.before["iam:create_access_key"] = faster
    assert make_key(place, read_state(place), []) is None
    assert account.secret("mine")["pending"]["known_key_ids"] == ["THEIRS"] and account.keys("puller") == {}


def test_key_that_is_refused_to_the_only_run_is_an_error(place: KeyContext, account: Account) -> None:
    account.before["iam:create_access_key"] = refusal("LimitExceeded", 409)
    with pytest.raises(AwsError, match="LimitExceeded"):
        make_key(place, read_state(place), [])
    assert account.secret("mine")["pending"]["abandoned"] is True


def test_key_of_the_slower_of_two_runs_is_deleted_and_their_entry_stays(place: KeyContext, account: Account) -> None:
    account.after["iam:create_access_key"] = overtake
    assert make_key(place, read_state(place), []) is None
    assert account.secret("mine")["pending"]["known_key_ids"] == ["THEIRS"] and account.keys("puller") == {}


def test_key_that_cannot_be_stored_is_deleted_and_the_note_says_so(place: KeyContext, account: Account) -> None:
    account.before["secretsmanager:put_secret_value"] = lost()
    with pytest.raises(AwsError, match="PutSecretValue"):
        make_key(place, read_state(place), [])
    assert account.secret("mine")["pending"]["abandoned"] is True and account.keys("puller") == {}


def test_failure_to_note_the_failure_counts_as_nobody_elses_work(place: KeyContext, account: Account) -> None:
    noted = place.store.create("puller", KeyReservation(account.now, ()))
    account.before["secretsmanager:put_secret_value"] = lost()
    assert noted and abandon(place, noted, KeyReservation(account.now, ()), ()) is True
