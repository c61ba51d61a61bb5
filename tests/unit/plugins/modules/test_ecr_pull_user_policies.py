# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of policy of a pull user, where its document goes, and the moves between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    CollectionError,
    InputError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user import pull_policy as _policy
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.pull_user import run
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import (
    UNMEASURED,
    Account,
    Killed,
    client,
    lost,
    provide,
    refusal,
)

Json = dict[str, Any]

NAME = "puller"
INLINE = "gpuops-runpod-pull"
CUSTOMER = "arn:aws:iam::123456789012:policy/runpod/gpuops-runpod-pull-puller"
OF_AWS = {
    "pull_only": "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
    "read_only": "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly",
}
MANAGED, RECORD, GRANTED = "gpuops.runpod/managed", "gpuops.runpod/policy", "gpuops.runpod/granted"
V1: Json = {
    "name": NAME,
    "state": "present",
    "path": "/runpod/",
    "permissions_boundary": None,
    "user_tags": None,
    "purge_tags": True,
    "policy": "repositories",
    "repositories": ["team/app"],
    "purge_repositories": True,
    "pull_through": False,
    "key_state": "present",
    "retire_after_hours": 24,
    "release_quarantine": False,
    "rotate_after_days": None,
    "propagation_timeout": 90,
}
GONE: Json = {**V1, "state": "absent"}
MANY = [f"svc-{number:06}" for number in range(60)]  # names of ten characters
# The ways in which a user may have its rights, by the options that lead there
WAYS: dict[str, Json] = {
    "inline": V1,
    "customer": {**V1, "repositories": MANY[:31]},  # the fewest that an inline policy has no room for
    "pull_only": {**V1, "policy": "pull_only"},
    "read_only": {**V1, "policy": "read_only"},
}
MOVES = list(permutations(WAYS, 2))
NOTHING: Json = {"inline": [], "attached": [], "policies": [], "record": None}
EVERY_MOVE = pytest.mark.parametrize(("start", "end"), MOVES)
EVERY_MOMENT = pytest.mark.parametrize("moment", ["before", "after"])


def iam() -> Any:
    return client("iam")


def play(account: Account, params: Json, check_mode: bool = False) -> Result:
    return run({"secret_store": account.store.options, **params}, check_mode, account.aws())


def converge(account: Account, **changes: Any) -> Result:
    return play(account, {**V1, **changes})


def state(account: Account) -> Json:
    """Return all that is there of policies."""
    return {
        "inline": iam().list_user_policies(UserName=NAME)["PolicyNames"],
        "attached": sorted(account.attached(NAME)),
        "policies": policies(),
        "record": account.tags(NAME).get(RECORD),
    }


def policies() -> list[str]:
    return [policy["Arn"] for policy in iam().list_policies(Scope="Local")["Policies"]]


def expected(way: str) -> Json:
    """Return what a single undisturbed run leaves."""
    if way == "inline":
        return {**NOTHING, "inline": [INLINE]}
    if way == "customer":
        return {**NOTHING, "attached": [CUSTOMER], "policies": [CUSTOMER], "record": way}
    return {**NOTHING, "attached": [OF_AWS[way]], "record": way}


def document(arn: str = CUSTOMER) -> Json:
    """Return what the managed policy says now."""
    version = iam().get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam().get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def versions() -> list[str]:
    return [held["VersionId"] for held in iam().list_policy_versions(PolicyArn=CUSTOMER)["Versions"]]


def arns(names: list[str]) -> list[str]:
    return [f"arn:aws:ecr:us-east-1:123456789012:repository/{name}" for name in names]


def check_settled(account: Account, way: str) -> None:
    """Everything is as a single undisturbed run leaves it, and a further run agrees."""
    assert state(account) == expected(way)
    account.forget()
    assert play(account, WAYS[way]).changed is False
    assert account.writes() == []


def attach(arn: str) -> None:
    """Attach a policy as somebody else does."""
    provide(arn)
    iam().attach_user_policy(UserName=NAME, PolicyArn=arn)


def watch(account: Account, look: Callable[[], None]) -> None:
    """Run this after every call."""
    account.after.update({number: look for number in range(100)})


# The kinds


@pytest.mark.parametrize("way", WAYS)
def test_each_way_from_nothing_and_back(account: Account, way: str) -> None:
    foreseen = play(account, WAYS[way], True)
    assert foreseen.changed is True and account.writes() == []
    done = play(account, WAYS[way])
    assert foreseen.results["policy"] == done.results["policy"]
    assert foreseen.after["policy"] == done.after["policy"]
    assert account.writes()[:2] == [account.store.create, "iam:create_user"]
    check_settled(account, way)
    account.forget()
    assert play(account, GONE, True).changed is True and account.writes() == []
    assert play(account, GONE, True).results["remaining"] == []
    assert play(account, GONE).changed is True
    assert iam().list_users()["Users"] == [] and policies() == []
    assert play(account, GONE).changed is False


@pytest.mark.parametrize(
    ("way", "reads"),
    [
        ("inline", ["iam:get_user_policy"]),
        ("pull_only", ["iam:list_attached_user_policies"]),
        ("customer", ["iam:list_attached_user_policies", "iam:get_policy", "iam:get_policy_version"]),
    ],
)
def test_unchanged_run_reads_only_the_policy_that_the_user_has(account: Account, way: str, reads: list[str]) -> None:
    play(account, WAYS[way])
    account.forget()
    play(account, WAYS[way])
    others = ["iam:list_access_keys", "iam:get_access_key_last_used"]
    assert account.calls == [account.store.read, "iam:get_user", *reads, *others]


def test_policy_of_aws_is_reported_as_opening_everything(account: Account) -> None:
    for way, arn in OF_AWS.items():
        assert play(account, WAYS[way]).results["policy"] == {
            "kind": way,
            "name": arn.rpartition("/")[2],
            "document": None,
            "size": 0,
            "limit": None,
            "repositories": ["*"],
            "extra_repositories": [],
        }


@pytest.mark.parametrize("way", WAYS)
def test_without_repositories_any_policy_is_left_alone(account: Account, way: str) -> None:
    held = play(account, WAYS[way]).results["policy"]
    account.forget()
    outcome = converge(account, repositories=None)
    assert outcome.changed is False and account.writes() == []
    assert outcome.results["policy"] == {**held, "extra_repositories": []}


def test_user_without_a_policy_has_no_kind(account: Account) -> None:
    outcome = converge(account, repositories=None)
    assert outcome.results["policy"]["kind"] is None and outcome.results["policy"]["document"] is None
    assert state(account) == NOTHING
    assert converge(account, repositories=None).changed is False


def test_new_key_is_proved_where_a_policy_of_aws_is_to_be_used(account: Account) -> None:
    converge(account, policy="pull_only", repositories=["arn:aws:ecr:ap-northeast-2:123456789012:repository/app"])
    assert account.calls.count("ecr:get_authorization_token") == 2


@pytest.mark.parametrize("way", WAYS)
def test_arns_are_those_of_the_partition(account: Account, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    region = "cn-north-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)

    def go(params: Json) -> bool:
        return run({"secret_store": account.store.options, **params}, False, account.aws(region)).changed

    for other in ("inline", "pull_only", way):
        go(WAYS[other])
    assert go(WAYS[way]) is False
    attached = client("iam", region).list_attached_user_policies(UserName=NAME)["AttachedPolicies"]
    wanted = [arn.replace(":aws:", ":aws-cn:", 1) for arn in expected(way)["attached"]]
    assert [policy["PolicyArn"] for policy in attached] == wanted


# The moves


@EVERY_MOVE
def test_move_makes_before_it_breaks_and_leaves_nothing_behind(account: Account, start: str, end: str) -> None:
    play(account, WAYS[start])
    account.forget()
    foreseen = play(account, WAYS[end], True)
    assert foreseen.changed is True and account.writes() == [] and state(account) == expected(start)

    def can_pull() -> None:
        held = state(account)
        assert held["inline"] or held["attached"]

    account.forget()
    watch(account, can_pull)
    done = play(account, WAYS[end])
    account.after.clear()
    # recorded, and announced to readers of the key
    assert account.writes()[:3] == [account.store.put, "iam:tag_user", account.store.tag]
    assert account.store.tags()[GRANTED] == f"{account.now:%Y-%m-%dT%H:%M:%SZ}"
    assert foreseen.results["policy"] == done.results["policy"]
    assert foreseen.after == done.after and foreseen.before["policy"]["kind"] == (
        start if start in OF_AWS else "repositories"
    )
    assert done.results["user"]["tags"] == account.tags(NAME)
    check_settled(account, end)


@UNMEASURED
@EVERY_MOVE
@pytest.mark.parametrize(("moment", "fault"), [("before", Killed), ("after", lost)])
def test_plain_second_run_finishes_a_move_that_failed_anywhere(
    account: Account, start: str, end: str, moment: str, fault: Any
) -> None:
    play(account, WAYS[start])
    account.forget()
    play(account, WAYS[end])
    writes = [number for number, call in enumerate(account.calls) if call in account.writes()]
    assert len(writes) >= 5
    for number in writes:
        play(account, WAYS[start])
        assert state(account) == expected(start)
        account.forget()
        getattr(account, moment)[number] = fault()
        with pytest.raises((CollectionError, Killed)):
            play(account, WAYS[end])
        play(account, WAYS[end])
        check_settled(account, end)


@UNMEASURED
@EVERY_MOVE
def test_move_that_failed_anywhere_can_be_taken_back(account: Account, start: str, end: str) -> None:
    play(account, WAYS[start])
    account.forget()
    play(account, WAYS[end])
    writes = [number for number, call in enumerate(account.calls) if call in account.writes()]
    for number in writes:
        play(account, WAYS[start])
        account.forget()
        account.after[number] = Killed()
        with pytest.raises(Killed):
            play(account, WAYS[end])
        converge(account, repositories=None)  # touches no policy, and so leaves the move unfinished
        play(account, WAYS[start])
        check_settled(account, start)


@UNMEASURED
@pytest.mark.parametrize("way", ["customer", "pull_only"])
@EVERY_MOMENT
def test_plain_second_run_finishes_a_creation_that_failed_anywhere(account: Account, way: str, moment: str) -> None:
    play(account, WAYS[way])
    writes = [number for number, call in enumerate(account.calls) if call in account.writes()]
    for number in writes:
        play(account, GONE)
        account.forget()
        getattr(account, moment)[number] = Killed()
        with pytest.raises(Killed):
            play(account, WAYS[way])
        play(account, WAYS[way])
        check_settled(account, way)


@UNMEASURED
@pytest.mark.parametrize("way", ["customer", "read_only"])
@EVERY_MOMENT
def test_plain_second_run_finishes_a_removal_that_failed_anywhere(account: Account, way: str, moment: str) -> None:
    play(account, WAYS[way])
    account.forget()
    play(account, GONE)
    writes = [number for number, call in enumerate(account.calls) if call in account.writes()]
    for number in writes:
        play(account, WAYS[way])
        account.forget()
        getattr(account, moment)[number] = Killed()
        with pytest.raises(Killed):
            play(account, GONE)
        play(account, GONE)
        assert iam().list_users()["Users"] == [] and policies() == []


def test_removal_of_a_user_in_the_middle_of_a_move(account: Account) -> None:
    play(account, WAYS["customer"])
    account.after["iam:attach_user_policy"] = Killed()
    with pytest.raises(Killed):
        play(account, WAYS["pull_only"])
    play(account, GONE)
    assert iam().list_users()["Users"] == [] and policies() == []


# What others did


@pytest.mark.parametrize("way", WAYS)
def test_policy_that_somebody_else_attached_stays(account: Account, way: str) -> None:
    play(account, V1)
    theirs = OF_AWS["read_only"]
    attach(theirs)
    other = "inline" if way == "pull_only" else "pull_only"
    for step in (way, other, way):
        play(account, WAYS[step])
        assert theirs in account.attached(NAME)
        account.forget()
        assert play(account, WAYS[step]).changed is False
    assert set(account.attached(NAME)) == {theirs, *expected(way)["attached"]}
    assert [thing["name"] for thing in play(account, GONE).results["remaining"]] == [theirs]
    assert state(account) == {**NOTHING, "attached": [theirs]}


def test_policy_of_somebody_else_is_enough_and_is_replaced_when_it_is_gone(account: Account) -> None:
    play(account, V1)
    attach(OF_AWS["pull_only"])
    outcome = play(account, WAYS["pull_only"])
    assert "iam:attach_user_policy" not in account.calls and outcome.results["policy"]["kind"] == "pull_only"
    assert state(account) == {**NOTHING, "attached": [OF_AWS["pull_only"]], "record": "none"}
    assert play(account, WAYS["pull_only"]).before == outcome.after
    iam().detach_user_policy(UserName=NAME, PolicyArn=OF_AWS["pull_only"])
    play(account, WAYS["pull_only"])
    check_settled(account, "pull_only")


@pytest.mark.parametrize("way", ["customer", "pull_only"])
def test_policy_detached_by_hand_is_attached_again(account: Account, way: str) -> None:
    play(account, WAYS[way])
    iam().detach_user_policy(UserName=NAME, PolicyArn=expected(way)["attached"][0])
    assert play(account, WAYS[way]).changed is True
    assert GRANTED in account.store.tags()
    check_settled(account, way)


def test_policy_of_somebody_else_under_our_name_is_refused(account: Account) -> None:
    play(account, V1)
    text = json.dumps(_policy.document([]))
    iam().create_policy(PolicyName=f"{INLINE}-{NAME}", Path="/runpod/", PolicyDocument=text)
    account.forget()
    with pytest.raises(CollectionError, match=f"aws iam tag-policy --policy-arn {CUSTOMER} --tags Key={MANAGED}"):
        play(account, WAYS["customer"])
    assert account.writes() == [] and state(account) == {**expected("inline"), "policies": [CUSTOMER]}
    iam().tag_policy(PolicyArn=CUSTOMER, Tags=[{"Key": MANAGED, "Value": NAME}])
    play(account, WAYS["customer"])
    check_settled(account, "customer")


def test_policy_that_loses_our_tag_is_not_touched(account: Account) -> None:
    play(account, WAYS["customer"])
    iam().untag_policy(PolicyArn=CUSTOMER, TagKeys=[MANAGED])
    account.forget()
    for params in (*WAYS.values(), GONE):
        with pytest.raises(CollectionError, match="somebody else made it"):
            play(account, params)
    assert account.writes() == []


def test_policy_of_our_name_in_another_path_is_an_error_that_breaks_nothing(account: Account) -> None:
    play(account, V1)
    text = json.dumps(_policy.document([]))
    iam().create_policy(PolicyName=f"{INLINE}-{NAME}", Path="/elsewhere/", PolicyDocument=text)
    with pytest.raises(CollectionError, match="another path than /runpod/"):
        play(account, WAYS["customer"])
    assert state(account)["inline"] == [INLINE]
    play(account, V1)
    assert state(account)["record"] is None


def test_policy_that_something_else_uses_stays_and_is_named(account: Account) -> None:
    play(account, WAYS["customer"])
    iam().create_group(GroupName="crew")
    iam().attach_group_policy(GroupName="crew", PolicyArn=CUSTOMER)
    for params in (V1, V1):
        with pytest.raises(CollectionError, match=f"list-entities-for-policy --policy-arn {CUSTOMER}"):
            play(account, params)
    assert state(account) == {**NOTHING, "inline": [INLINE], "policies": [CUSTOMER], "record": "customer inline"}
    for changed in (True, False):
        outcome = play(account, GONE)
        assert outcome.changed is changed or outcome.results["user"] is not None
        assert [thing["kind"] for thing in outcome.results["remaining"]] == ["policy in use"]
    assert state(account) == {**NOTHING, "policies": [CUSTOMER], "record": "customer"}
    iam().detach_group_policy(GroupName="crew", PolicyArn=CUSTOMER)
    play(account, GONE)
    assert iam().list_users()["Users"] == [] and policies() == []


def test_failure_to_delete_the_policy_is_an_error(account: Account) -> None:
    play(account, WAYS["customer"])
    account.before["iam:delete_policy"] = refusal("AccessDenied", 403)
    with pytest.raises(CollectionError, match="iam:DeletePolicy"):
        play(account, V1)


# Where the document goes


@pytest.mark.parametrize(
    ("names", "way"),
    [
        (["team/app"], "inline"),
        ([f"svc-{number:06}" for number in range(30)], "inline"),
        ([f"svc-{number:06}" for number in range(31)], "customer"),
        (MANY, "customer"),
    ],
)
def test_policy_goes_where_it_fits(account: Account, names: list[str], way: str) -> None:
    outcome = converge(account, repositories=names)
    policy = outcome.results["policy"]
    assert state(account) == expected(way)
    assert policy["document"] == (account.policy(NAME) if way == "inline" else document())
    assert policy["repositories"] == sorted(arns(names)) and policy["kind"] == "repositories"
    assert policy["limit"] == (2048 if way == "inline" else 6144) and policy["size"] <= policy["limit"]
    assert policy["name"] == (INLINE if way == "inline" else CUSTOMER.rpartition("/")[2])


def test_too_many_repositories_for_any_policy_change_nothing_and_a_wildcard_takes_their_place(account: Account) -> None:
    converge(account, repositories=MANY)
    account.forget()
    with pytest.raises(InputError, match=r"260 repositories .* 1\d{4} characters.* 2048 .* 6144 .*'team/\*'"):
        converge(account, repositories=[f"team/svc-{number}" for number in range(200)], purge_repositories=False)
    assert account.writes() == [] and state(account) == expected("customer")
    with pytest.raises(InputError, match="600 repositories"):
        converge(account, repositories=[f"team/svc-{number}" for number in range(600)])
    outcome = converge(account, repositories=["team/*"])
    assert outcome.results["policy"]["repositories"] == arns(["team/*"]) and state(account) == expected("inline")


def test_repositories_are_added_to_and_taken_from_the_managed_policy(account: Account) -> None:
    converge(account, repositories=MANY[:20])
    outcome = converge(account, repositories=MANY[20:], purge_repositories=False)
    assert state(account) == expected("customer")
    assert outcome.results["policy"]["repositories"] == arns(MANY)
    assert outcome.results["policy"]["extra_repositories"] == arns(MANY[:20])
    assert converge(account, repositories=MANY[:1], purge_repositories=False).changed is False
    account.forget()
    converge(account, repositories=MANY[:50])
    assert account.writes() == [
        account.store.put,
        "iam:create_policy_version",
        account.store.put,
    ]  # fewer rights need no announcement
    assert _policy.repositories_of(document()) == arns(MANY[:50])
    converge(account, repositories=MANY[:5])
    assert state(account) == expected("inline")


def test_only_the_oldest_versions_are_given_up(account: Account) -> None:
    for count in range(50, 60):
        converge(account, repositories=MANY[:count])
        assert len(versions()) <= 5
    assert sorted(versions(), key=lambda version: int(version[1:])) == ["v6", "v7", "v8", "v9", "v10"]
    iam().set_default_policy_version(PolicyArn=CUSTOMER, VersionId="v6")  # somebody went back
    converge(account, repositories=MANY)
    assert sorted(versions(), key=lambda version: int(version[1:])) == ["v6", "v8", "v9", "v10", "v11"]
    assert _policy.repositories_of(document()) == arns(MANY)
    play(account, V1)
    check_settled(account, "inline")


def test_what_somebody_wrote_into_the_managed_policy_is_mended(account: Account) -> None:
    play(account, WAYS["customer"])
    text = json.dumps(_policy.document(["*"]))
    iam().create_policy_version(PolicyArn=CUSTOMER, PolicyDocument=text, SetAsDefault=True)
    assert play(account, WAYS["customer"]).changed is True
    check_settled(account, "customer")


def test_managed_policy_deleted_by_hand_is_made_anew_where_it_fits(account: Account) -> None:
    for way in ("customer", "inline"):
        play(account, WAYS["customer"])
        iam().detach_user_policy(UserName=NAME, PolicyArn=CUSTOMER)
        for version in versions()[:-1]:
            iam().delete_policy_version(PolicyArn=CUSTOMER, VersionId=version)
        iam().delete_policy(PolicyArn=CUSTOMER)
        play(account, WAYS[way])
        check_settled(account, way)


def test_managed_policy_stays_where_it_is_when_the_user_moves(account: Account) -> None:
    play(account, WAYS["customer"])
    account.forget()
    play(account, {**WAYS["customer"], "path": "/team/"})
    assert account.writes() == [account.store.put, "iam:update_user", account.store.put]
    assert play(account, {**WAYS["customer"], "path": "/team/"}).changed is False
    play(account, {**V1, "path": "/team/"})
    assert state(account) == expected("inline")


def test_lost_record_is_made_anew(account: Account) -> None:
    play(account, WAYS["customer"])
    iam().untag_user(UserName=NAME, TagKeys=[RECORD])
    play(account, WAYS["customer"])
    check_settled(account, "customer")


def test_answer_lost_and_the_call_repeated(account: Account) -> None:
    play(account, V1)
    account.after["iam:create_policy"] = refusal("EntityAlreadyExists", 409)
    play(account, WAYS["customer"])
    check_settled(account, "customer")


def test_refused_policy_is_an_error_that_breaks_nothing(account: Account) -> None:
    play(account, V1)
    account.before["iam:create_policy"] = refusal("AccessDenied", 403)
    with pytest.raises(CollectionError, match="iam:CreatePolicy"):
        play(account, WAYS["customer"])
    assert state(account)["inline"] == [INLINE]


def test_policy_that_somebody_makes_meanwhile_for_other_repositories_is_an_error(account: Account) -> None:
    play(account, V1)
    more = _policy.document(arns([*MANY, "team/app"]))
    tags = [{"Key": MANAGED, "Value": NAME}]
    name, text = f"{INLINE}-{NAME}", json.dumps(more)
    account.before["iam:create_policy"] = lambda: iam().create_policy(
        PolicyName=name, Path="/runpod/", PolicyDocument=text, Tags=tags
    )
    with pytest.raises(CollectionError, match="Another run made the policy"):
        play(account, WAYS["customer"])
    assert document() == more
    play(account, WAYS["customer"])
    check_settled(account, "customer")


def test_new_user_and_new_policy_are_waited_for(account: Account) -> None:
    account.before["iam:attach_user_policy"] = refusal("NoSuchEntity", 404)
    play(account, WAYS["customer"])
    assert account.naps == [1.0]
    check_settled(account, "customer")


# Pull-through caches


@pytest.mark.parametrize("names", [["team/app"], MANY])
def test_pull_through_is_allowed_on_request_and_taken_back(account: Account, names: list[str]) -> None:
    converge(account, repositories=names)
    account.forget()
    outcome = converge(account, repositories=names, pull_through=True)
    assert outcome.results["policy"]["document"]["Statement"][1]["Action"][-1] == "ecr:BatchImportUpstreamImage"
    assert account.writes()[1] == account.store.tag
    assert converge(account, repositories=names, pull_through=True).changed is False
    assert converge(account, repositories=None).changed is False
    account.forget()
    outcome = converge(account, repositories=names)
    assert "Import" not in json.dumps(outcome.results["policy"]["document"]) and len(account.writes()) == 3
