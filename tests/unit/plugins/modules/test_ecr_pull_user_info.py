# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import shlex
from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError, ConflictError, InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.inventory import run
from ansible_collections.gpuops.runpod.plugins.modules import ecr_pull_user, ecr_pull_user_info
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import (
    BOTH_STORES,
    Account,
    client,
    options_of,
    refusal,
)

Json = dict[str, Any]

NAME = "puller"
APP, API = (f"arn:aws:ecr:us-east-1:123456789012:repository/team/{name}" for name in ("app", "api"))
SEOUL = "arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app"
OPTIONS: Json = {
    "name": None,
    "path_prefix": None,
    "secret_store": None,
    "rotate_after_days": None,
    "repositories": None,
    "events": None,
}
EVENTS: Json = {"regions": None, "hours": 24, "limit": 200}


def iam() -> Any:
    return client("iam")


def make(account: Account, name: str = NAME, **changes: Any) -> None:
    """Make a pull user."""
    options: Json = {
        "name": name,
        "state": "present",
        "path": "/runpod/",
        "permissions_boundary": "arn:aws:iam::123456789012:policy/bound",
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
        "secret_store": account.store.options,
        "propagation_timeout": 90,
    }
    ecr_pull_user.run({**options, **changes}, False, account.aws())
    account.forget()


def audit(account: Account, **options: Any) -> Json:
    """Return the results; nothing is changed and nothing secret is in them, whoever is looked at."""
    if not options.get("path_prefix"):
        options.setdefault("name", NAME)
    outcome = run({**OPTIONS, **options}, False, account.aws())
    assert outcome.changed is False and account.writes() == []
    if account.store.name in account.store.entries():
        assert account.store.value()["secret_access_key"] not in repr(outcome)
    return outcome.results


def codes(results: Json) -> list[str]:
    return [found["code"] for found in results["findings"]]


def stored(account: Account) -> str:
    return account.store.value()["access_key_id"]


@BOTH_STORES
def test_good_user_has_no_findings(account: Account) -> None:
    make(account)
    results = audit(account, secret_store=account.store.options, repositories=["team/app"], rotate_after_days=90)
    assert results["findings"] == []
    (told,) = results["users"]
    assert (told["name"], told["managed"], told["groups"], told["other_policies"]) == (NAME, True, [], [])
    assert told["permissions_boundary"] == "arn:aws:iam::123456789012:policy/bound"
    assert told["policies"][0]["document"] == account.policy(NAME)
    assert [(key["id"], key["ours"], key["stored"], key["never_used"]) for key in told["access_keys"]] == [
        (stored(account), True, True, True)
    ]
    assert told["secret_store"] == {
        "type": account.store.options["type"],
        "name": account.store.name,
        "region": "us-east-1",
        "arn": account.store.arn(),
        "state": "key",
        "error": None,
        "access_key_id": stored(account),
        "tokens": [],
    }
    assert "recent_events" not in told


def test_store_is_not_read_unless_asked_for(account: Account) -> None:
    make(account)
    (told,) = audit(account)["users"]
    assert told["secret_store"] is None and told["access_keys"][0]["stored"] is None
    assert account.calls == [
        "iam:get_user",
        "iam:list_user_policies",
        "iam:get_user_policy",
        "iam:list_attached_user_policies",
        "iam:list_groups_for_user",
        "iam:list_access_keys",
        "iam:get_access_key_last_used",
    ]


@BOTH_STORES
def test_recorded_entry_is_read_whatever_its_kind_and_region(account: Account) -> None:
    store = {**account.store.options, "name": f"{account.store.name}-x", "region": "eu-west-1"}
    make(account, secret_store=store)
    results = audit(account, secret_store=options_of("secretsmanager"))
    held = results["users"][0]["secret_store"]
    assert results["findings"] == []
    assert (held["type"], held["name"], held["region"]) == (store["type"], store["name"], "eu-west-1")


@BOTH_STORES
def test_tokens_are_told_by_the_tags_of_the_entry(account: Account) -> None:
    make(account)
    expiry = f"{account.now + timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}"
    for service, call, request in (
        ("secretsmanager", "tag_resource", {"SecretId": account.store.name}),
        ("ssm", "add_tags_to_resource", {"ResourceType": "Parameter", "ResourceId": account.store.name}),
    ):
        if service == account.store.options["type"]:
            tag = {"Key": "gpuops.runpod/cred1", "Value": f"{expiry} {stored(account)}"}
            getattr(client(service), call)(**request, Tags=[tag])
    results = audit(account, secret_store=account.store.options)
    assert results["users"][0]["secret_store"]["tokens"] == [
        {"registry_id": "cred1", "expires_at": expiry, "access_key_id": stored(account)}
    ]
    assert codes(results) == ["token_ends_soon"]


@BOTH_STORES
def test_entry_that_is_gone_is_a_finding(account: Account) -> None:
    make(account)
    account.store.remove()
    results = audit(account, secret_store=account.store.options)
    assert codes(results) == ["secret_missing"] and results["users"][0]["secret_store"]["state"] == "missing"


def test_entry_in_its_recovery_window_is_a_finding(account: Account) -> None:
    make(account)
    name = account.store.name
    client("secretsmanager").delete_secret(SecretId=name)
    results = run({**OPTIONS, "name": NAME, "secret_store": account.store.options}, False, account.aws()).results
    assert codes(results) == ["secret_missing"] and results["users"][0]["secret_store"]["state"] == "deleted"


@BOTH_STORES
def test_entry_that_must_not_be_read_is_a_finding(account: Account) -> None:
    make(account)
    account.before[account.store.read] = refusal("AccessDeniedException")
    results = audit(account, secret_store=account.store.options)
    assert codes(results) == ["secret_unreadable"]
    assert "AccessDeniedException" in results["users"][0]["secret_store"]["error"]


@BOTH_STORES
def test_entry_with_something_else_in_it_is_a_finding_that_repeats_nothing_of_it(account: Account) -> None:
    make(account)
    account.store.write({"password": "hush", "secret_access_key": "not-shown"})
    results = audit(account, secret_store=account.store.options)
    assert codes(results) == ["secret_unreadable"] and "hush" not in repr(results)


def test_other_refusals_are_errors(account: Account) -> None:
    make(account)
    for call in ("iam:get_user", "iam:list_access_keys"):
        account.before[call] = refusal("AccessDenied", 403)
        with pytest.raises(AwsError, match="AccessDenied"):
            audit(account)


def test_absent_user_is_a_finding(account: Account) -> None:
    results = audit(account, events=EVENTS)
    assert results["users"] == [] and codes(results) == ["user_missing"]
    assert account.calls == ["iam:get_user"]


@pytest.mark.parametrize("call", ["iam:list_user_policies", "iam:list_access_keys"])
def test_user_that_is_removed_meanwhile_is_absent(account: Account, call: str) -> None:
    make(account)
    account.before[call] = refusal("NoSuchEntity", 404)
    results = audit(account)
    assert results["users"] == [] and codes(results) == ["user_missing"]


def test_name_in_another_spelling_is_refused(account: Account) -> None:
    make(account)
    account.get_user = lambda moto, dummy: moto.get_user(UserName=NAME)  # type: ignore[method-assign]
    with pytest.raises(ConflictError, match="IAM user 'puller'"):
        audit(account, name="Puller")


def obey(found: Json, account: Account) -> None:
    """Do what the remedy of a finding says."""
    args = {**json.loads(shlex.split(found["remedy"])[-1]), "region": "us-east-1"}
    with patch_module_args(args), pytest.raises(SystemExit) as end:
        ecr_pull_user.main()
    assert end.value.code == 0
    account.forget()


def test_remedy_of_an_absent_user_makes_a_good_one(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = audit(account, repositories=["team/app"])["findings"]
    monkeypatch.setattr(ecr_pull_user, "aws_client", lambda module: account.aws(module.region))
    obey(found, account)
    capsys.readouterr()
    assert codes(audit(account, repositories=["team/app"], secret_store=account.store.options)) == ["boundary_missing"]


def test_remedies_of_a_drift_and_a_lost_entry_leave_no_finding(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(account, path="/team/", repositories=["team/api"])
    account.store.remove()
    options: Json = {"repositories": ["team/app"], "secret_store": account.store.options}
    found = audit(account, **options)["findings"]
    assert [one["code"] for one in found] == ["secret_missing", "policy_drift", "policy_drift"]
    iam().delete_access_key(UserName=NAME, AccessKeyId=next(iter(account.keys(NAME))))
    monkeypatch.setattr(ecr_pull_user, "aws_client", lambda module: account.aws(module.region))
    for one in found:
        obey(one, account)
    capsys.readouterr()
    results = audit(account, **options)
    assert codes(results) == [] and results["users"][0]["path"] == "/team/"


def test_what_others_gave_the_user_is_told(account: Account) -> None:
    make(account)
    foreign = iam().create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"]
    document = json.dumps(account.policy(NAME))
    policy = iam().create_policy(PolicyName="theirs", PolicyDocument=document)["Policy"]["Arn"]
    iam().attach_user_policy(UserName=NAME, PolicyArn=policy)
    iam().put_user_policy(UserName=NAME, PolicyName="inline", PolicyDocument=document)
    iam().create_group(GroupName="crew")
    iam().add_user_to_group(GroupName="crew", UserName=NAME)
    for options in ({}, {"path_prefix": "/runpod/"}):
        results = audit(account, **options)
        (told,) = results["users"]
        assert told["other_policies"] == [
            {"kind": "inline", "name": "inline"},
            {"kind": "attached", "name": policy},
        ]
        assert told["groups"] == ["crew"]
        assert {key["id"]: key["ours"] for key in told["access_keys"]}[foreign] is False
        assert set(codes(results)) - {"boundary_missing"} == {"foreign_key", "foreign_policy", "two_active_keys"}
        assert "iam:get_policy" not in account.calls


def test_customer_managed_policy_of_ours_is_read_as_it_is_now(account: Account) -> None:
    make(account)
    document = json.dumps(account.policy(NAME))
    iam().delete_user_policy(UserName=NAME, PolicyName="gpuops-runpod-pull")
    arn = iam().create_policy(PolicyName="gpuops-runpod-pull-puller", PolicyDocument=document)["Policy"]["Arn"]
    newer = json.dumps({**json.loads(document), "Statement": json.loads(document)["Statement"][:1]})
    iam().create_policy_version(PolicyArn=arn, PolicyDocument=newer, SetAsDefault=True)
    iam().attach_user_policy(UserName=NAME, PolicyArn=arn)
    results = audit(account, repositories=["team/app"])
    (policy,) = results["users"][0]["policies"]
    assert (policy["kind"], policy["name"], policy["limit"]) == ("customer_managed", arn, 6144)
    assert policy["document"] == json.loads(newer) and policy["drift"]["missing"] == [APP]
    assert codes(results) == ["policy_drift"]
    account.before["iam:get_policy"] = refusal("NoSuchEntity", 404)
    assert audit(account)["users"][0]["policies"][0]["document"] is None


# Many users


def test_users_under_a_path_are_read_in_one_pass(account: Account) -> None:
    for name in ("zoe", NAME, "amy"):
        make(account, name)
    make(account, "elsewhere", path="/team/")
    iam().create_user(UserName="theirs", Path="/runpod/")
    results = audit(account, path_prefix="/runpod/", secret_store=options_of("secretsmanager"))
    assert [user["name"] for user in results["users"]] == ["amy", NAME, "theirs", "zoe"]
    assert [(found["user"], found["code"]) for found in results["findings"] if found["severity"] != "info"] == []
    assert [found["user"] for found in results["findings"] if found["code"] == "not_managed"] == ["theirs"]
    assert [user["secret_store"]["state"] for user in results["users"]] == ["key", "key", "missing", "key"]
    assert account.calls.count("iam:get_account_authorization_details") == 1
    assert "iam:get_user" not in account.calls and "iam:get_user_policy" not in account.calls
    assert account.requests[0][1]["Filter"] == ["User"]


def test_one_user_and_many_are_told_alike(account: Account) -> None:
    make(account, permissions_boundary=None)
    assert audit(account) == audit(account, path_prefix="/")


def test_all_pages_of_users_are_read_and_their_boundaries_told(account: Account) -> None:
    for name in ("amy", "zoe"):
        make(account, name)

    def paged(moto: Any, request: Json) -> Json:
        listed = moto.get_account_authorization_details(Filter=request["Filter"])["UserDetailList"]
        for detail in listed:
            detail["PermissionsBoundary"] = {"PermissionsBoundaryArn": account.boundaries[detail["UserName"]]}
        place = int(request.get("Marker", "0"))
        more = {"IsTruncated": True, "Marker": str(place + 1)} if place + 1 < len(listed) else {"IsTruncated": False}
        return {"UserDetailList": listed[place : place + 1], **more}

    account.get_account_authorization_details = paged  # type: ignore[attr-defined]
    results = audit(account, path_prefix="/runpod/")
    assert [user["name"] for user in results["users"]] == ["amy", "zoe"]
    assert results["findings"] == []


def test_path_without_users_is_a_finding(account: Account) -> None:
    make(account)
    results = audit(account, path_prefix="/runpot/")
    assert results["users"] == [] and codes(results) == ["user_missing"]


# Events


def pull(account: Account, minutes: float) -> Json:
    request = {"repositoryName": "team/app", "registryId": "123456789012", "imageIds": [{"imageTag": "v1"}]}
    return {
        "EventName": "BatchGetImage",
        "EventSource": "ecr.amazonaws.com",
        "EventTime": account.now - timedelta(minutes=minutes),
        "CloudTrailEvent": json.dumps({"requestParameters": request}),
    }


def test_pulls_of_all_keys_are_told_where_the_repositories_are(account: Account) -> None:
    make(account, repositories=["team/app", SEOUL])
    foreign = iam().create_access_key(UserName=NAME)["AccessKey"]["AccessKeyId"]
    account.events = {
        ("us-east-1", stored(account)): [pull(account, 3)],
        ("ap-northeast-2", stored(account)): [pull(account, 1)],
        ("us-east-1", foreign): [pull(account, 2)],
        ("eu-west-1", foreign): [pull(account, 0)],
    }
    (told,) = audit(account, events=EVENTS)["users"]
    assert [(event["region"], event["access_key_id"]) for event in told["recent_events"]] == [
        ("ap-northeast-2", stored(account)),
        ("us-east-1", foreign),
        ("us-east-1", stored(account)),
    ]
    assert told["recent_events_complete"] is True
    assert account.naps == [0.5]


def test_asked_regions_count_and_the_limit_is_told(account: Account) -> None:
    make(account)
    account.events = {("eu-west-1", stored(account)): [pull(account, minutes) for minutes in range(4)]}
    (told,) = audit(account, events={**EVENTS, "regions": ["eu-west-1", "us-east-1"], "limit": 3})["users"]
    assert len(told["recent_events"]) == 3 and told["recent_events_complete"] is False


def test_region_of_the_module_counts_when_the_policy_names_none(account: Account) -> None:
    make(account, repositories=None)
    account.events = {("us-east-1", stored(account)): [pull(account, 1)]}
    assert len(audit(account, events=EVENTS)["users"][0]["recent_events"]) == 1


def test_pace_holds_over_many_users(account: Account) -> None:
    for name in ("amy", "zoe", NAME):
        make(account, name)
    audit(account, path_prefix="/", events=EVENTS)
    assert account.calls.count("cloudtrail:lookup_events") == 3 and account.naps == [0.5, 0.5]


# Bad input, and the seam to Ansible


@pytest.mark.parametrize(
    "options, text",
    [
        ({"path_prefix": "runpod"}, "must start with a slash"),
        ({"path_prefix": ""}, "must start with a slash"),
        ({"path_prefix": "/", "secret_store": {**options_of("ssm"), "name": "/x"}}, "is the entry of one user"),
        ({"name": NAME, "events": {**EVENTS, "hours": 0}}, "from 1 to 2160"),
        ({"name": NAME, "events": {**EVENTS, "hours": 2161}}, "from 1 to 2160"),
        ({"name": NAME, "events": {**EVENTS, "limit": 0}}, "at least 1"),
    ],
)
def test_bad_input_is_refused_before_anything_is_read(account: Account, options: Json, text: str) -> None:
    with pytest.raises(InputError, match=text):
        run({**OPTIONS, **options}, False, account.aws())
    assert account.calls == []


def play(args: Json, capsys: pytest.CaptureFixture[str]) -> Json:
    with patch_module_args({"region": "us-east-1", **args}), pytest.raises(SystemExit):
        ecr_pull_user_info.main()
    return json.loads(capsys.readouterr().out)


def test_empty_options_mean_their_defaults(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(account)
    monkeypatch.setattr(ecr_pull_user_info, "aws_client", lambda module: account.aws(module.region))
    result = play({"name": NAME, "secret_store": {}, "events": {}}, capsys)
    assert result["changed"] is False and result["findings"] == []
    (told,) = result["users"]
    assert told["secret_store"]["state"] == "key" and told["recent_events"] == []
    assert account.store.value()["secret_access_key"] not in json.dumps(result)
    ((dummy, asked),) = [request for request in account.requests if request[0] == "cloudtrail:lookup_events"]
    assert account.now - asked["StartTime"] == timedelta(hours=24)


@pytest.mark.parametrize("args", [{}, {"name": NAME, "path_prefix": "/"}])
def test_exactly_one_of_name_and_path_is_needed(args: Json, capsys: pytest.CaptureFixture[str]) -> None:
    assert play(args, capsys)["failed"] is True
