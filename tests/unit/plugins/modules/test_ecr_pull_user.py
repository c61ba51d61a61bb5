# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    CollectionError,
    ConflictError,
    InputError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.pull_user import run
from ansible_collections.gpuops.runpod.plugins.modules import ecr_pull_user
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import (
    BOTH_STORES,
    FAILURES,
    STORES,
    UNMEASURED,
    Account,
    Killed,
    client,
    lost,
    refusal,
    turn,
)

Json = dict[str, Any]

NAME = "puller"
APP = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
API = "arn:aws:ecr:us-east-1:123456789012:repository/team/api"
MANAGED, SECRET, GRANTED = "gpuops.runpod/managed", "gpuops.runpod/secret", "gpuops.runpod/granted"
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
GONE: Json = {**V1, "state": "absent"}
KEYLESS: Json = {**V1, "key_state": "absent"}


def iam() -> Any:
    return client("iam")


def store() -> Any:
    return client("secretsmanager")


def users() -> list[str]:
    return [user["UserName"] for user in iam().list_users()["Users"]]


def play(account: Account, params: Json, check_mode: bool = False) -> Result:
    """Run with the kind of store that the account is for."""
    return run({"secret_store": account.store.options, **params}, check_mode, account.aws())


def converge(account: Account, **changes: Any) -> Result:
    return play(account, {**V1, **changes})


def check_good(account: Account, foreign: tuple[str, ...] = ()) -> None:
    """Everything is as a single undisturbed run leaves it, and a further run agrees."""
    held = account.store.value()
    assert set(held) == {"access_key_id", "secret_access_key", "created"}
    assert account.keys(NAME) == {held["access_key_id"]: "Active"} | dict.fromkeys(foreign, "Active")
    assert account.tags(NAME) == {
        MANAGED: "true",
        SECRET: account.store.arn(),
        held["access_key_id"]: "gpuops.runpod",
    }
    assert account.policy(NAME)["Statement"][1]["Resource"] == [APP]
    assert account.store.tags()[MANAGED] == NAME
    account.forget()
    assert converge(account).changed is False
    assert account.writes() == []


# The nine steps


@BOTH_STORES
def test_nine_steps(account: Account) -> None:
    proof = ["sts:get_caller_identity", "ecr:get_authorization_token"]
    steps = (
        (
            V1,
            [
                account.store.create,
                "iam:create_user",
                "iam:put_user_policy",
                account.store.put,
                "iam:create_access_key",
                "iam:tag_user",
                account.store.put,
            ],
        ),
        (
            {**V1, "repositories": ["team/api"]},
            [account.store.put, account.store.tag, "iam:put_user_policy", account.store.put],
        ),
        (
            GONE,
            [
                account.store.put,
                "iam:delete_user_policy",
                "iam:delete_access_key",
                "iam:delete_user",
                account.store.delete,
            ],
        ),
    )
    for params, writes in steps:
        for check_mode, changed, expected in ((True, True, []), (False, True, writes), (False, False, [])):
            account.forget()
            assert play(account, params, check_mode).changed is changed
            assert [call for call in account.writes() if call not in proof] == expected
    assert users() == [] and account.store.entries() == []


@BOTH_STORES
def test_first_run_makes_everything_and_reports_it(account: Account) -> None:
    outcome = converge(account, user_tags={"team": "x"}, secret_store={**account.store.options, "tags": {"cost": 7}})
    key_id = account.store.value()["access_key_id"]
    arn = account.store.arn()
    assert account.store.tags() == {MANAGED: NAME, "cost": "7"}
    results = outcome.results
    assert results["user"] == {
        "name": NAME,
        "arn": iam().get_user(UserName=NAME)["User"]["Arn"],
        "path": "/runpod/",
        "tags": account.tags(NAME),
        "permissions_boundary": None,
    }
    assert results["policy"]["document"] == account.policy(NAME)
    assert results["policy"]["repositories"] == [APP] and results["policy"]["extra_repositories"] == []
    assert results["policy"]["size"] == len(json.dumps(account.policy(NAME), separators=(",", ":")))
    assert [(key["id"], key["status"], key["ours"], key["stored"]) for key in results["access_keys"]] == [
        (key_id, "Active", True, True)
    ]
    assert results["secret_store"] == {
        "type": account.store.options["type"],
        "name": account.store.name,
        "arn": arn,
        "region": "us-east-1",
        "access_key_id": key_id,
    }
    assert (results["rotation_due"], results["rotated"]) == (False, False)


@BOTH_STORES
def test_unchanged_run_makes_five_calls(account: Account) -> None:
    converge(account)
    account.forget()
    converge(account)
    assert account.calls == [
        account.store.read,
        "iam:get_user",
        "iam:get_user_policy",
        "iam:list_access_keys",
        "iam:get_access_key_last_used",
    ]


@BOTH_STORES
def test_check_mode_foresees_what_a_run_then_does(account: Account) -> None:
    foreseen = play(account, V1, True)
    done = play(account, V1)
    assert foreseen.before is None and done.before is None
    for outcome in (foreseen, done):
        outcome.results["user"]["tags"] = None  # the ids of what is not there yet
    assert foreseen.results["user"] == done.results["user"]
    assert foreseen.results["policy"] == done.results["policy"]
    assert foreseen.results["access_keys"] == [
        {
            "id": None,
            "status": "Active",
            "created": None,
            "age_days": 0,
            "last_used": None,
            "ours": True,
            "stored": True,
        }
    ]
    assert foreseen.after["policy"] == done.after["policy"]


# The user


def test_user_of_somebody_else_is_refused_with_the_command_to_hand_it_over(account: Account) -> None:
    iam().create_user(UserName=NAME)
    for params in (V1, GONE):
        account.forget()
        with pytest.raises(
            CollectionError, match="aws iam tag-user --user-name puller --tags Key=gpuops.runpod/managed"
        ):
            play(account, params)
        assert account.writes() == []


def test_user_handed_over_is_taken_with_its_keys_as_foreign(account: Account) -> None:
    iam().create_user(UserName=NAME, Path="/runpod/", Tags=[{"Key": MANAGED, "Value": "true"}])
    foreign = iam().create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"]
    outcome = converge(account)
    assert {key["id"]: key["ours"] for key in outcome.results["access_keys"]}[foreign] is False
    check_good(account, (foreign,))


def test_name_in_another_spelling_is_refused(account: Account) -> None:
    iam().create_user(UserName="Puller")
    account.before["iam:create_user"] = refusal("EntityAlreadyExists", 409)
    with pytest.raises(CollectionError, match="IAM user 'Puller'"):
        converge(account)
    account.before["iam:create_user"] = refusal("EntityAlreadyExists", 409)
    account.before["iam:list_users"] = refusal("AccessDenied", 403)
    with pytest.raises(CollectionError, match="'puller in another spelling'"):
        converge(account)


def test_user_that_another_run_makes_meanwhile_is_taken(account: Account) -> None:
    tags = [{"Key": MANAGED, "Value": "true"}]
    account.before["iam:create_user"] = lambda: iam().create_user(UserName=NAME, Path="/runpod/", Tags=tags)
    converge(account, user_tags={"team": "x"})
    assert account.tags(NAME)["team"] == "x"
    converge(account, user_tags={})
    check_good(account)


def test_only_the_user_in_question_is_named_when_the_spelling_differs(account: Account) -> None:
    for name in ("Another", "Puller"):
        iam().create_user(UserName=name)
    account.before["iam:create_user"] = refusal("EntityAlreadyExists", 409)
    with pytest.raises(CollectionError, match="IAM user 'Puller'"):
        converge(account)


def test_user_that_somebody_else_makes_meanwhile_is_refused(account: Account) -> None:
    account.before["iam:create_user"] = lambda: iam().create_user(UserName=NAME)
    with pytest.raises(CollectionError, match="Somebody else made the user puller just now"):
        converge(account)


def test_path_is_moved(account: Account) -> None:
    converge(account)
    account.forget()
    outcome = converge(account, path="/team/")
    assert account.writes() == [account.store.put, "iam:update_user", account.store.put]
    assert iam().get_user(UserName=NAME)["User"]["Path"] == "/team/"
    assert outcome.results["user"]["arn"] == "arn:aws:iam::123456789012:user/team/puller"


def test_boundary_is_set_changed_left_alone_and_cleared(account: Account) -> None:
    one, two = "arn:aws:iam::123456789012:policy/one", "arn:aws:iam::123456789012:policy/two"
    steps: tuple[tuple[str | None, str | None, bool], ...] = (
        (one, one, True),
        (one, one, False),
        (two, two, True),
        (None, two, False),
        ("", None, True),
        ("", None, False),
    )
    for given, expected, changed in steps:
        outcome = converge(account, permissions_boundary=given)
        assert (outcome.changed, account.boundaries.get(NAME)) == (changed, expected)
        assert outcome.results["user"]["permissions_boundary"] == expected


def test_tags_are_purged_but_never_ours_nor_the_description_of_a_key(account: Account) -> None:
    converge(account, user_tags={"team": "x", "stage": "prod"})
    iam().tag_user(UserName=NAME, Tags=[{"Key": "AKIAIOSFODNN7EXAMPLE", "Value": "the laptop of somebody"}])
    held = account.tags(NAME)
    assert converge(account, user_tags=None).changed is False
    assert converge(account, user_tags={"team": "y"}, purge_tags=False).changed is True
    assert account.tags(NAME) == {**held, "team": "y"}
    assert converge(account, user_tags={"team": "y"}).changed is True
    del held["stage"]
    assert account.tags(NAME) == {**held, "team": "y"}
    assert converge(account, user_tags={"team": "y"}).changed is False
    converge(account, user_tags={})
    del held["team"]
    assert account.tags(NAME) == held


@pytest.mark.parametrize("name", ["gpuops.runpod/managed", "AKIAIOSFODNN7EXAMPLE"])
def test_tags_with_a_meaning_cannot_be_set(account: Account, name: str) -> None:
    with pytest.raises(InputError, match=f"user_tags: {name}"):
        converge(account, user_tags={name: "x"})
    assert account.writes() == []


# The policy


def test_repositories_are_added_and_purged(account: Account) -> None:
    converge(account)
    outcome = converge(account, repositories=["team/api"])
    assert outcome.results["policy"]["repositories"] == [API, APP]
    assert outcome.results["policy"]["extra_repositories"] == [APP]
    outcome = converge(account, repositories=["team/api"], purge_repositories=True)
    assert outcome.results["policy"]["repositories"] == [API]
    outcome = converge(account, repositories=None, purge_repositories=True)
    assert outcome.changed is False and outcome.results["policy"]["repositories"] == [API]
    outcome = converge(account, repositories=[])
    assert outcome.changed is False
    outcome = converge(account, repositories=[], purge_repositories=True)
    assert outcome.changed is True
    assert [statement["Sid"] for statement in account.policy(NAME)["Statement"]] == ["Token"]


def test_what_somebody_wrote_into_our_policy_is_mended(account: Account) -> None:
    converge(account)
    good = account.policy(NAME)
    drifted = json.loads(json.dumps(good).replace("ecr:BatchGetImage", "ecr:*"))
    drifted["Statement"][1]["Resource"].append("*")
    iam().put_user_policy(UserName=NAME, PolicyName="gpuops-runpod-pull", PolicyDocument=json.dumps(drifted))
    assert converge(account).changed is True
    assert account.policy(NAME) == good


def test_other_policies_of_the_user_are_left_alone_but_counted(account: Account) -> None:
    converge(account)
    other = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::" + "x" * 1500}],
    }
    iam().put_user_policy(UserName=NAME, PolicyName="theirs", PolicyDocument=json.dumps(other))
    assert converge(account).changed is False
    outcome = converge(account, repositories=[f"team/service-{number}" for number in range(5)])
    assert outcome.results["policy"]["size"] < 1000 and outcome.results["policy"]["limit"] == 6144
    assert iam().list_user_policies(UserName=NAME)["PolicyNames"] == ["theirs"]


def test_policy_that_is_too_large_changes_nothing(account: Account) -> None:
    with pytest.raises(InputError, match=r"200 repositories would have 1\d{4} characters.*2048.*6144.*'team/\*'"):
        converge(account, repositories=[f"team/service-{number:03}" for number in range(200)])
    assert users() == [] and account.writes() == []


@BOTH_STORES
def test_readers_are_told_of_new_rights_before_they_are_granted(account: Account) -> None:
    converge(account)
    assert GRANTED not in account.store.tags()  # the key itself is as young
    account.after[account.store.tag] = Killed()
    with pytest.raises(Killed):
        converge(account, repositories=["team/api"])
    assert account.store.tags()[GRANTED] == f"{account.now:%Y-%m-%dT%H:%M:%SZ}"
    account.forget()
    converge(account, repositories=[], purge_repositories=True)
    assert account.writes() == [account.store.put, "iam:put_user_policy", account.store.put]


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("us-east-1", "aws")]
)
def test_partition_is_that_of_the_account(
    account: Account, monkeypatch: pytest.MonkeyPatch, region: str, partition: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    aws, params = account.aws(region), {**V1, "secret_store": account.store.options}
    results = run(params, False, aws).results
    assert results["user"]["arn"] == f"arn:{partition}:iam::123456789012:user/runpod/puller"
    assert results["policy"]["repositories"] == [f"arn:{partition}:ecr:{region}:123456789012:repository/team/app"]
    for changes, changed in (
        ({}, False),
        ({"rotate_after_days": 0}, True),
        ({"state": "quarantined"}, True),
        ({"release_quarantine": True}, True),
        ({}, False),
        ({"state": "absent"}, True),
    ):
        assert run({**params, **changes}, False, aws).changed is changed
    assert client("iam", region).list_users()["Users"] == []


# The secret store


def test_store_in_another_region(account: Account) -> None:
    elsewhere = {**account.store.options, "region": "eu-west-1", "name": "mine"}
    outcome = converge(account, secret_store=elsewhere)
    assert account.secret("mine", "eu-west-1")["access_key_id"] == outcome.results["secret_store"]["access_key_id"]
    assert converge(account, secret_store=elsewhere).changed is False


@BOTH_STORES
@pytest.mark.parametrize("other", [{"name": "other"}, {"region": "eu-west-1"}, {"type": "another kind"}])
@pytest.mark.parametrize("params", [V1, GONE, KEYLESS])
def test_another_store_than_the_recorded_one_is_refused(account: Account, params: Json, other: Json) -> None:
    converge(account)
    account.forget()
    wanted = {**account.store.options, **other}
    if "type" in other:
        wanted = next(store.options for store in STORES.values() if store is not account.store)
    with pytest.raises(CollectionError, match=f"The access key of the user puller is in {account.store.arn()}, but"):
        play(account, {**params, "secret_store": wanted})
    assert account.writes() == []


@BOTH_STORES
def test_entry_of_somebody_else_is_refused(account: Account) -> None:
    theirs = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "x", "created": "2026-01-01T00:00:00Z"}
    account.store.make(theirs, {})
    with pytest.raises(CollectionError, match="does not name the user puller"):
        converge(account)
    assert account.writes() == []
    assert play(account, GONE).changed is False
    assert account.store.entries() == [account.store.name]


def test_entry_made_anew_by_hand_is_recorded(account: Account) -> None:
    converge(account)
    value = account.store.value()
    account.store.remove()
    account.store.make(value, {MANAGED: NAME})
    assert converge(account).changed is True
    check_good(account)


def test_entry_pending_deletion_is_restored_with_its_key(account: Account) -> None:
    converge(account)
    held = account.store.value()
    store().delete_secret(SecretId=account.store.name)
    account.forget()
    foreseen = play(account, V1, True)
    assert foreseen.changed is True and "pending deletion" in foreseen.warnings[0] and account.writes() == []
    assert converge(account).changed is True
    assert account.store.value() == held
    check_good(account)


def test_entry_that_is_gone_when_it_is_to_be_restored_is_made_anew(account: Account) -> None:
    converge(account)
    store().delete_secret(SecretId=account.store.name)
    account.before["secretsmanager:restore_secret"] = account.store.remove
    converge(account)
    assert len(account.keys(NAME)) == 2
    assert account.store.value()["access_key_id"] in account.keys(NAME)


def taken(account: Account) -> Exception:
    """Return what the store says of a name whose entry is just being deleted."""
    code = {"ssm": "ParameterAlreadyExists", "secretsmanager": "InvalidRequestException"}
    return refusal(code[account.store.options["type"]], 400, "scheduled for deletion")


@BOTH_STORES
def test_name_whose_entry_is_still_being_deleted_is_waited_for(account: Account) -> None:
    account.before[account.store.create] = taken(account)
    converge(account)
    assert 4 <= sum(account.naps) <= 14
    check_good(account)


@BOTH_STORES
def test_name_that_is_not_freed_in_time_is_an_error(account: Account) -> None:
    def refuse() -> None:
        account.before[account.store.create] = refuse
        raise taken(account)

    account.before[account.store.create] = refuse
    with pytest.raises(CollectionError, match="Run again"):
        converge(account)
    assert 90 <= sum(account.naps) <= 104 and users() == []


def test_unreadable_entry_is_never_taken_for_lost(account: Account) -> None:
    converge(account)
    account.forget()
    account.before[account.store.read] = refusal("AccessDeniedException")
    with pytest.raises(CollectionError, match="GetSecretValue: AccessDeniedException"):
        converge(account)
    assert account.writes() == []


# The key


@BOTH_STORES
def test_lost_secret_is_replaced_without_taking_the_old_key(account: Account) -> None:
    converge(account)
    (old,) = account.keys(NAME)
    account.store.remove()
    outcome = converge(account)
    new = account.store.value()["access_key_id"]
    assert account.keys(NAME) == {old: "Active", new: "Active"} and old != new
    assert {key["id"]: (key["ours"], key["stored"]) for key in outcome.results["access_keys"]} == {
        old: (True, False),
        new: (True, True),
    }
    assert converge(account).changed is False
    account.store.remove()
    account.forget()
    with pytest.raises(CollectionError, match=f"{old} .*is an older key of this collection.*{new}"):
        converge(account)
    assert account.writes() == []
    iam().update_access_key(UserName=NAME, AccessKeyId=old, Status="Inactive")
    converge(account)
    assert old not in account.keys(NAME) and new in account.keys(NAME) and old not in account.tags(NAME)


def test_key_deleted_by_hand_is_replaced(account: Account) -> None:
    converge(account)
    (old,) = account.keys(NAME)
    iam().delete_access_key(UserName=NAME, AccessKeyId=old)
    assert play(account, V1, True).changed is True
    assert converge(account).changed is True
    check_good(account)


def test_key_deactivated_by_hand_is_not_replaced(account: Account) -> None:
    converge(account)
    (key,) = account.keys(NAME)
    iam().update_access_key(UserName=NAME, AccessKeyId=key, Status="Inactive")
    account.forget()
    with pytest.raises(
        ConflictError, match=f"{key} is the key in the secret store, but its status is Inactive.*update-"
    ):
        converge(account)
    assert account.writes() == []


def test_two_foreign_keys_are_named(account: Account) -> None:
    iam().create_user(UserName=NAME, Tags=[{"Key": MANAGED, "Value": "true"}])
    theirs = [iam().create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"] for dummy in range(2)]
    for check_mode in (True, False):
        with pytest.raises(CollectionError, match="not made by this collection") as caught:
            play(account, V1, check_mode)
        assert all(key in str(caught.value) for key in theirs)
    assert account.writes() == []


def test_missing_mark_of_the_stored_key_is_mended(account: Account) -> None:
    converge(account)
    (key,) = account.keys(NAME)
    iam().untag_user(UserName=NAME, TagKeys=[key, SECRET])
    assert play(account, V1, True).changed is True
    assert converge(account).results["access_keys"][0]["ours"] is True
    check_good(account)


def test_new_key_is_proved_in_the_regions_of_its_repositories(account: Account) -> None:
    seoul = "arn:aws:ecr:ap-northeast-2:123456789012:repository/team/*"
    account.before["ecr:get_authorization_token"] = refusal("UnrecognizedClientException")
    converge(account, repositories=["team/app", seoul])
    assert account.naps == [1.0]
    sweep = ["sts:get_caller_identity", "ecr:get_authorization_token", "ecr:get_authorization_token"]
    assert account.calls[-6:] == [*sweep, *sweep]


def test_key_that_is_not_accepted_in_time_is_an_error_and_stays(account: Account) -> None:
    def refuse() -> None:
        account.before["sts:get_caller_identity"] = refuse
        if account.store.put in account.calls:
            raise refusal("InvalidClientTokenId", 403)

    account.before["sts:get_caller_identity"] = refuse
    with pytest.raises(CollectionError, match="AWS still refuses the new access key"):
        converge(account)
    assert sum(account.naps) == 90.0
    account.before.clear()
    check_good(account)


def test_new_user_is_waited_for(account: Account) -> None:
    for call in ("iam:put_user_policy", "iam:tag_user", "iam:create_access_key"):
        account.before[call] = refusal("NoSuchEntity", 404)
    converge(account)
    assert account.naps == [1.0, 1.0, 1.0]
    check_good(account)


@BOTH_STORES
def test_key_state_absent_keeps_user_and_policy(account: Account) -> None:
    converge(account)
    foreign = iam().create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"]
    for check_mode, changed in ((True, True), (False, True), (False, False)):
        outcome = play(account, KEYLESS, check_mode)
        assert outcome.changed is changed
        assert [key["id"] for key in outcome.results["access_keys"]] == [foreign]
        assert outcome.results["secret_store"]["arn"] is None
        assert outcome.results["user"]["tags"] == {MANAGED: "true"}
    assert account.keys(NAME) == {foreign: "Active"} and account.store.entries() == []
    assert account.tags(NAME) == {MANAGED: "true"} and account.policy(NAME)
    iam().delete_access_key(UserName=NAME, AccessKeyId=foreign)
    converge(account)
    check_good(account)


# Runs that die, answers that are lost, calls that are refused


@BOTH_STORES
def test_lost_answer_of_the_new_key_needs_no_wait_afterwards(account: Account) -> None:
    account.after["iam:create_access_key"] = lost()
    with pytest.raises(CollectionError, match="CreateAccessKey"):
        converge(account)
    assert account.calls.count("iam:create_access_key") == 1
    theirs = iam().create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"]  # made between the runs
    converge(account)
    assert account.naps == []
    check_good(account, (theirs,))


def test_refused_key_costs_nobody_a_key_and_needs_no_wait_afterwards(account: Account) -> None:
    iam().create_user(UserName=NAME, Path="/runpod/", Tags=[{"Key": MANAGED, "Value": "true"}])

    def somebody_is_faster() -> None:
        iam().create_access_key(UserName=NAME)
        raise refusal("LimitExceeded", 409)

    account.before["iam:create_access_key"] = somebody_is_faster
    with pytest.raises(CollectionError, match="LimitExceeded"):
        converge(account)
    (theirs,) = account.keys(NAME)
    account.forget()
    converge(account)
    assert account.naps == []
    check_good(account, (theirs,))


@BOTH_STORES
def test_run_killed_after_the_new_key_leaves_an_orphan_that_the_next_one_removes(account: Account) -> None:
    iam().create_user(UserName=NAME, Path="/runpod/", Tags=[{"Key": MANAGED, "Value": "true"}])
    foreign = iam().create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"]
    account.after["iam:create_access_key"] = Killed()
    with pytest.raises(Killed):
        converge(account)
    assert len(account.keys(NAME)) == 2
    account.forget()
    foreseen = play(account, V1, True)
    assert "another run" in foreseen.warnings[0].lower() and account.naps == [] and account.writes() == []
    converge(account)
    assert 90 <= sum(account.naps) <= 98 and max(account.naps) == 8.0
    check_good(account, (foreign,))


def test_one_of_two_keys_that_appeared_is_somebody_elses_so_both_stay(account: Account) -> None:
    account.after["iam:create_access_key"] = Killed()
    with pytest.raises(Killed):
        converge(account)
    iam().create_access_key(UserName=NAME)
    account.now += timedelta(seconds=91)
    with pytest.raises(CollectionError, match="not made by this collection"):
        converge(account)
    assert len(account.keys(NAME)) == 2


def test_failure_to_store_the_key_takes_the_key_back(account: Account) -> None:
    account.before[account.store.put] = refusal("InternalServiceError", 500)
    with pytest.raises(CollectionError, match="PutSecretValue"):
        converge(account)
    assert account.keys(NAME) == {}
    account.forget()
    converge(account)
    assert account.naps == []
    check_good(account)


def calls_of(account: Account, params: Json) -> int:
    """Return how many calls an undisturbed run makes."""
    account.forget()
    play(account, params)
    return len(account.calls)


@UNMEASURED
@BOTH_STORES
@FAILURES
def test_plain_second_run_finishes_a_converge_that_failed_anywhere(account: Account, moment: str, fault: Any) -> None:
    total = calls_of(account, V1)
    assert total > 10
    for number in range(turn(account, moment == "before", fault is Killed), total, 2):
        play(account, GONE)
        account.forget()
        getattr(account, moment)[number] = fault()
        with pytest.raises((CollectionError, Killed)):
            converge(account)
        converge(account)
        check_good(account)


@UNMEASURED
@BOTH_STORES
@FAILURES
@pytest.mark.parametrize("params", [GONE, KEYLESS])
def test_plain_second_run_finishes_a_removal_that_failed_anywhere(
    account: Account, params: Json, moment: str, fault: Any
) -> None:
    converge(account)
    total = calls_of(account, params)
    for number in range(turn(account, moment == "before", fault is Killed), total, 2):
        converge(account)
        account.forget()
        getattr(account, moment)[number] = fault()
        with pytest.raises((CollectionError, Killed)):
            play(account, params)
        play(account, params)
        assert account.store.entries() == []
        assert users() == ([] if params is GONE else [NAME])
        account.forget()
        assert play(account, params).changed is False
        assert account.writes() == []


# Two runs at a time


def test_run_that_loses_the_race_takes_the_winners_key(account: Account) -> None:
    other = Account(account.store)
    account.before[account.store.create] = lambda: converge(other)
    converge(account)
    assert "iam:create_access_key" not in account.calls and account.naps == []
    check_good(account)


@BOTH_STORES
def test_run_that_loses_the_race_waits_for_the_winner(account: Account) -> None:
    other = Account(account.store)

    def at_work() -> None:
        account.during_nap = lambda: finish(account)
        converge(account)
        raise Killed  # what it had left to do was done in `finish`

    other.before["iam:create_access_key"] = at_work
    with pytest.raises(Killed):
        converge(other)
    assert account.naps == [1.0] and "iam:create_access_key" not in account.calls
    check_good(account)


def finish(account: Account) -> None:
    """Do what a run has left to do once its note is made."""
    made = iam().create_access_key(UserName=NAME)["AccessKey"]
    value = {
        "access_key_id": made["AccessKeyId"],
        "secret_access_key": made["SecretAccessKey"],
        "created": f"{made['CreateDate']:%Y-%m-%dT%H:%M:%SZ}",
    }
    account.store.write(value)


@BOTH_STORES
def test_entry_that_somebody_else_makes_meanwhile_is_refused(account: Account) -> None:
    note = {"pending": {"since": "2026-01-01T00:00:00Z", "known_key_ids": []}}
    account.before[account.store.create] = lambda: account.store.make(note, {})
    with pytest.raises(CollectionError, match="does not name the user puller"):
        converge(account)
    assert users() == []


# Absent


def test_absent_leaves_what_others_gave_the_user(account: Account) -> None:
    converge(account)
    (ours,) = account.keys(NAME)
    foreign = iam().create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"]
    document = json.dumps(account.policy(NAME))
    policy = iam().create_policy(PolicyName="theirs", PolicyDocument=document)["Policy"]["Arn"]
    iam().attach_user_policy(UserName=NAME, PolicyArn=policy)
    iam().put_user_policy(UserName=NAME, PolicyName="inline", PolicyDocument=document)
    iam().create_group(GroupName="crew")
    iam().add_user_to_group(GroupName="crew", UserName=NAME)
    for check_mode, changed in ((True, True), (False, True), (False, False), (True, False)):
        outcome = play(account, GONE, check_mode)
        assert outcome.changed is changed
        assert [(thing["kind"], thing["name"]) for thing in outcome.results["remaining"]] == [
            ("access key", foreign),
            ("inline policy", "inline"),
            ("attached policy", policy),
            ("group", "crew"),
        ]
        assert f"aws iam delete-access-key --access-key-id {foreign} --user-name puller" in outcome.warnings[0]
        assert outcome.results["user"]["tags"] == {MANAGED: "true"}
    assert account.keys(NAME) == {foreign: "Active"} and account.tags(NAME) == {MANAGED: "true"}
    assert ours not in account.keys(NAME) and account.store.entries() == []


def test_what_only_aws_knows_of_keeps_the_user_too(account: Account) -> None:
    converge(account)
    for changed in (True, False):
        account.before["iam:delete_user"] = refusal("DeleteConflict", 409, "must delete login profile first.")
        outcome = play(account, GONE)
        assert outcome.changed is changed
        assert outcome.results["remaining"][0]["name"] == "must delete login profile first."
    assert account.tags(NAME) == {MANAGED: "true"}


@BOTH_STORES
def test_absent_user_whose_entry_is_left_behind(account: Account) -> None:
    converge(account)
    (key,) = account.keys(NAME)
    iam().delete_access_key(UserName=NAME, AccessKeyId=key)
    iam().delete_user_policy(UserName=NAME, PolicyName="gpuops-runpod-pull")
    iam().delete_user(UserName=NAME)
    for check_mode, changed in ((True, True), (False, True), (False, False)):
        assert play(account, GONE, check_mode).changed is changed
    assert account.store.entries() == []


@BOTH_STORES
def test_user_made_anew_with_the_entry_of_its_predecessor(account: Account) -> None:
    converge(account)
    (key,) = account.keys(NAME)
    iam().delete_access_key(UserName=NAME, AccessKeyId=key)
    iam().delete_user_policy(UserName=NAME, PolicyName="gpuops-runpod-pull")
    iam().delete_user(UserName=NAME)
    assert converge(account).changed is True
    check_good(account)


def test_entry_pending_deletion_counts_as_removed(account: Account) -> None:
    converge(account)
    store().delete_secret(SecretId=account.store.name)
    assert play(account, GONE).changed is True
    assert play(account, GONE).changed is False
    assert users() == []


@BOTH_STORES
def test_absent_removes_an_orphan_too(account: Account) -> None:
    account.after["iam:create_access_key"] = Killed()
    with pytest.raises(Killed):
        converge(account)
    play(account, GONE)
    assert users() == [] and account.store.entries() == []


# Secrets, and the seam to Ansible


@BOTH_STORES
def test_secret_shows_nowhere(account: Account) -> None:
    outcomes = [converge(account), converge(account, repositories=["team/api"]), play(account, V1, True)]
    secret = account.store.value()["secret_access_key"]
    errors = []
    for call in (account.store.read, "iam:get_user"):
        account.after[call] = refusal("ServiceFailure", 500)
        with pytest.raises(CollectionError) as caught:
            converge(account)
        errors.append(caught.value)
    outcomes.append(play(account, GONE))
    assert secret not in repr(outcomes) + repr([error.as_result() for error in errors])


def test_failure_to_store_the_key_does_not_show_it(account: Account) -> None:
    account.after["iam:tag_user"] = lambda: account.before.update({account.store.put: refusal("AccessDeniedException")})
    with pytest.raises(CollectionError) as caught:
        converge(account)
    sent = [request["SecretString"] for name, request in account.requests if name == account.store.put]
    secret = next(json.loads(text) for text in sent if "secret_access_key" in text)["secret_access_key"]
    assert secret not in str(caught.value) + repr(caught.value.as_result())


def test_options_reach_the_module_and_its_result_leaves_it(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ecr_pull_user, "aws_client", lambda module: account.aws(module.region))
    args = {"name": NAME, "repositories": ["team/app"], "region": "us-east-1"}
    for changed in (True, False):
        with patch_module_args(args), pytest.raises(SystemExit):
            ecr_pull_user.main()
        result = json.loads(capsys.readouterr().out)
        assert result["changed"] is changed
        assert result["user"]["name"] == NAME
        assert result["diff"]["after"]["user"] == result["user"]
    assert account.store.value()["secret_access_key"] not in json.dumps(result)


def test_no_region_is_an_error_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with patch_module_args({"name": NAME}), pytest.raises(SystemExit):
        ecr_pull_user.main()
    assert json.loads(capsys.readouterr().out)["msg"].startswith("No AWS region")
