# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pull user in an incident: shut off whatever happens, and let go again with a new key."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    CollectionError,
    InputError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._core.time import format_time
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

from .test_ecr_pull_user_rotation import NAME, play, rotate, stored, works

DENY = "gpuops-runpod-quarantine"
PULL = "gpuops-runpod-pull"
TAG = "gpuops.runpod/quarantined"


def shut(account: Account, check_mode: bool = False) -> Result:
    return play(account, check_mode, state="quarantined")


def release(account: Account, check_mode: bool = False, **changes: Any) -> Result:
    return play(account, check_mode, release_quarantine=True, **changes)


def policies() -> list[str]:
    return client("iam").list_user_policies(UserName=NAME)["PolicyNames"]


@pytest.fixture
def key(account: Account) -> str:
    """The id of the key of a pull user."""
    play(account)
    account.forget()
    return stored(account)


def check_shut(account: Account, key: str) -> None:
    """Nothing of the user works, it says so itself, and nothing is left to do."""
    assert policies() == [DENY]
    document = client("iam").get_user_policy(UserName=NAME, PolicyName=DENY)["PolicyDocument"]
    assert [(one["Effect"], one["Action"], one["Resource"]) for one in document["Statement"]] == [("Deny", "*", "*")]
    assert account.keys(NAME)[key] == "Inactive"
    assert TAG in account.tags(NAME) and TAG in account.store.tags()
    account.forget()
    assert shut(account).changed is False
    assert account.writes() == []


def check_free(account: Account, old: str) -> None:
    """The user pulls with a new key, and a plain run agrees."""
    assert stored(account) != old and works(account)
    assert account.keys(NAME) == {stored(account): "Active"}
    assert policies() == [PULL]
    assert TAG not in account.tags(NAME) and TAG not in account.store.tags()
    account.forget()
    assert play(account).changed is False
    assert account.writes() == []


@BOTH_STORES
def test_rights_go_first_then_the_keys_then_the_readers_are_told(account: Account, key: str) -> None:
    foreseen = shut(account, check_mode=True)
    assert account.writes() == [] and foreseen.changed
    done = shut(account)
    assert done.changed and foreseen.results["access_keys"] == done.results["access_keys"]
    assert foreseen.results["user"]["tags"].keys() == done.results["user"]["tags"].keys()
    assert account.writes() == [
        "iam:delete_user_policy",
        "iam:put_user_policy",
        "iam:tag_user",
        "iam:update_access_key",
        account.store.tag,
    ]
    check_shut(account, key)


def test_rights_go_though_the_store_cannot_be_read(account: Account, key: str) -> None:
    account.before[account.store.read] = refusal("AccessDeniedException")
    with pytest.raises(CollectionError, match="AccessDenied"):
        shut(account)
    assert policies() == [DENY]


def test_policy_that_somebody_weakened_is_mended(account: Account, key: str) -> None:
    shut(account)
    document = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}})
    client("iam").put_user_policy(UserName=NAME, PolicyName=DENY, PolicyDocument=document)
    assert shut(account).changed is True
    check_shut(account, key)


def test_time_is_that_of_the_first_quarantine(account: Account, key: str) -> None:
    begun = format_time(account.now)
    shut(account)
    account.now += timedelta(days=1)
    shut(account)
    assert account.tags(NAME)[TAG] == begun == account.store.tags()[TAG]


def test_keys_of_others_are_named_and_left_as_they_are(account: Account, key: str) -> None:
    foreign = client("iam").create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"]
    for outcome in (shut(account), shut(account)):
        assert foreign in outcome.warnings[0] and key not in outcome.warnings[0]
    assert account.keys(NAME) == {key: "Inactive", foreign: "Active"}
    release(account)
    assert account.keys(NAME) == {stored(account): "Active", foreign: "Active"}


def test_user_without_an_entry_or_that_is_not_there(account: Account) -> None:
    with pytest.raises(InputError, match="There is no IAM user puller"):
        shut(account)
    play(account, key_state="absent")
    assert shut(account).changed is True and shut(account).changed is False
    assert policies() == [DENY]


def test_user_of_somebody_else_is_left_alone(account: Account) -> None:
    client("iam").create_user(UserName=NAME)
    with pytest.raises(CollectionError, match="somebody else made it"):
        shut(account)
    assert account.writes() == []


@pytest.mark.parametrize("changes", [{}, {"rotate_after_days": 0}, {"key_state": "absent"}])
@pytest.mark.parametrize("check_mode", [True, False])
def test_nothing_but_a_release_ends_it(account: Account, key: str, changes: dict[str, Any], check_mode: bool) -> None:
    shut(account)
    account.forget()
    with pytest.raises(CollectionError, match=r"quarantined since .*release_quarantine true.*Nothing was changed"):
        play(account, check_mode, **changes)
    assert account.writes() == []
    check_shut(account, key)


@BOTH_STORES
def test_release_replaces_the_key(account: Account, key: str) -> None:
    shut(account)
    account.forget()
    foreseen = release(account, check_mode=True)
    assert account.writes() == [] and foreseen.changed
    assert [(one["id"], one["status"]) for one in foreseen.results["access_keys"]] == [(None, "Active")]
    done = release(account)
    assert done.changed and TAG not in done.results["user"]["tags"]
    check_free(account, key)
    assert release(account).changed is False


def test_release_takes_the_older_key_of_a_rotation_too(account: Account, key: str) -> None:
    account.now += timedelta(days=90)
    rotate(account)
    second = stored(account)
    shut(account)
    assert account.keys(NAME) == {key: "Inactive", second: "Inactive"}
    release(account)
    check_free(account, second)


def test_release_without_a_key(account: Account, key: str) -> None:
    shut(account)
    assert release(account, key_state="absent").changed is True
    assert account.keys(NAME) == {} and account.store.entries() == [] and TAG not in account.tags(NAME)


def test_deny_that_a_dead_quarantine_left_without_the_tag_is_released_too(account: Account, key: str) -> None:
    account.before["iam:tag_user"] = Killed()
    with pytest.raises(Killed):
        shut(account)
    release(account)
    check_free(account, key)


def test_policy_that_fills_the_quota_can_be_shut_off_and_released(account: Account) -> None:
    many = [f"team/repository-number-{number}" for number in range(20)]
    play(account, repositories=many)
    document = account.policy(NAME)
    shut(account)
    release(account, repositories=many)
    assert account.policy(NAME) == document


@UNMEASURED
@BOTH_STORES
@FAILURES
def test_plain_second_run_finishes_a_quarantine_and_a_release_that_failed_anywhere(
    account: Account, key: str, moment: str, fault: Any
) -> None:
    shut(account)
    shuts = len(account.calls)
    account.forget()
    release(account)
    releases = len(account.calls)
    for number in range(turn(account, moment == "before", fault is Killed), max(shuts, releases), 2):
        for total, act, check in ((shuts, shut, check_shut), (releases, release, check_free)):
            old = stored(account)
            account.forget()
            getattr(account, moment).update({number: fault()} if number < total else {})
            try:
                act(account)
            except (CollectionError, Killed):
                act(account)
            check(account, old)


def test_absent_takes_the_quarantine_along(account: Account, key: str) -> None:
    shut(account)
    for check_mode, changed in ((True, True), (False, True), (False, False)):
        assert play(account, check_mode, state="absent").changed is changed
    assert client("iam").list_users()["Users"] == [] and account.store.entries() == []


def test_user_that_cannot_be_removed_stays_shut_off(account: Account, key: str) -> None:
    shut(account)
    foreign = client("iam").create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"]
    for changed in (True, False):
        outcome = play(account, state="absent")
        assert outcome.changed is changed
        assert [thing["name"] for thing in outcome.results["remaining"]] == [foreign]
    assert policies() == [DENY] and TAG in account.tags(NAME)


@BOTH_STORES
@pytest.mark.parametrize("wish", ["release", "absent"])
def test_keys_that_a_listing_lacks_go_by_their_ids(
    account: Account, key: str, wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IAM's listings lag. What is left of a user that seems to have no key would be somebody else's from then on."""
    shut(account)
    nothing = {"AccessKeyMetadata": [], "IsTruncated": False}
    monkeypatch.setattr(account, "list_access_keys", lambda *dummy: nothing, raising=False)
    if wish == "absent":
        play(account, state="absent")
        assert client("iam").list_users()["Users"] == []
    else:
        release(account)
        monkeypatch.undo()
        assert key not in account.keys(NAME) and works(account)
