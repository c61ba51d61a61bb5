# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import (
    Entry,
    KeyPair,
    KeyReservation,
    is_busy,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.stored_key import store_of
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.entry_lock import (
    EntryLock,
    KeyContext,
    LockLostError,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import BOTH_STORES, Account

NOW = datetime(2026, 8, 1, 12, tzinfo=timezone.utc)
YOUNG, OLD = NOW - timedelta(seconds=30), NOW - timedelta(seconds=90)
KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@pytest.mark.parametrize(
    ("entry", "busy"),
    [
        (None, False),
        (Entry("arn"), False),
        (Entry("arn", lock=YOUNG), True),
        (Entry("arn", lock=OLD), False),
        (Entry("arn", lock=NOW + timedelta(seconds=30)), True),  # the other machine's clock is ahead
        (Entry("arn", lock=NOW + timedelta(days=1)), False),  # no clock is that wrong: nobody waits for a day
        (Entry("arn", pending=KeyReservation(YOUNG, ())), True),
        (Entry("arn", pending=KeyReservation(YOUNG, (), abandoned=True)), False),
        (Entry("arn", pending=KeyReservation(OLD, ())), False),
    ],
)
def test_lock_and_note_hold_while_they_are_young(entry: Entry | None, busy: bool) -> None:
    assert is_busy(entry, NOW, 90) is busy


def context_of(account: Account) -> KeyContext:
    aws = account.aws()
    options: dict[str, Any] = account.store.options
    return KeyContext(aws, store_of(aws, options, "puller"), "puller", 90)


@BOTH_STORES
def test_one_of_two_runs_gets_the_lock(account: Account) -> None:
    context = context_of(account)
    EntryLock(context, None).write(key=KEY, created=account.now, lock=None)
    known = context.store.read()
    lock = EntryLock(context, known)
    assert "lock" in account.store.value()
    with pytest.raises(LockLostError, match="Run again"):
        EntryLock(context, known)
    lock.release()
    lock.release()  # there is nothing left to release
    assert "lock" not in account.store.value() and account.store.value()["access_key_id"] == KEY.access_key_id


@BOTH_STORES
def test_of_two_that_make_the_entry_one_gets_the_lock(account: Account) -> None:
    context = context_of(account)
    EntryLock(context, None)
    with pytest.raises(LockLostError):
        EntryLock(context, None)


def test_lock_is_not_trusted_longer_than_others_wait_for_it_unless_a_write_renews_it(account: Account) -> None:
    lock = EntryLock(context_of(account), None)
    account.now += timedelta(seconds=89)
    lock.check()
    lock.write()
    account.now += timedelta(seconds=89)
    lock.check()
    account.now += timedelta(seconds=1)
    with pytest.raises(LockLostError):
        lock.check()
