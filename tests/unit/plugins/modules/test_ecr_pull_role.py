# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    AwsError,
    CollectionError,
    ConflictError,
    InputError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import PartialError, Result
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.pull_role import MOST_ROUNDS, run
from ansible_collections.gpuops.runpod.plugins.modules import ecr_pull_role
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import (
    FAILURES,
    UNMEASURED,
    Account,
    Killed,
    client,
    provide,
    refusal,
)

Json = dict[str, Any]

NAME = "puller"
ARN = f"arn:aws:iam::123456789012:role/runpod/{NAME}"
REPOSITORY = "arn:aws:ecr:us-east-1:123456789012:repository/"
INLINE, RECORD, MANAGED = "gpuops-runpod-pull", "gpuops.runpod/policy", "gpuops.runpod/managed"
CUSTOMER = "arn:aws:iam::123456789012:policy/runpod/gpuops-runpod-pull-role-puller"
PULL_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
BOUNDARY = "arn:aws:iam::123456789012:policy/runpod-pull-boundary"
NODE, OTHER = "arn:aws:iam::123456789012:role/node", "arn:aws:iam::123456789012:role/other"
V1: Json = {
    "name": NAME,
    "state": "present",
    "path": "/runpod/",
    "trust": [{"principal_arns": [NODE]}],
    "permissions_boundary": None,
    "role_tags": None,
    "purge_tags": True,
    "policy": "repositories",
    "repositories": ["team/app"],
    "purge_repositories": False,
    "pull_through": False,
    "propagation_timeout": 90,
}
V2: Json = {**V1, "repositories": ["team/api"], "trust": [{"principal_arns": [OTHER]}], "role_tags": {"team": "ml"}}
GONE: Json = {**V1, "state": "absent"}


def iam() -> Any:
    return client("iam")


def play(account: Account, params: Json, check_mode: bool = False) -> Result:
    return run(params, check_mode, account.aws())


def converge(account: Account, **changes: Any) -> Result:
    return play(account, {**V1, **changes})


def role() -> Json:
    return iam().get_role(RoleName=NAME)["Role"]


def roles() -> list[str]:
    return [one["RoleName"] for one in iam().list_roles()["Roles"]]


def tags() -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in role().get("Tags", [])}


def repositories() -> list[str]:
    document = iam().get_role_policy(RoleName=NAME, PolicyName=INLINE)["PolicyDocument"]
    return [arn.removeprefix(REPOSITORY) for arn in document["Statement"][1]["Resource"]]


def attached() -> list[str]:
    listed = iam().list_attached_role_policies(RoleName=NAME)["AttachedPolicies"]
    return [one["PolicyArn"] for one in listed]


def trusted() -> list[str]:
    [statement] = role()["AssumeRolePolicyDocument"]["Statement"]
    return statement["Principal"]["AWS"]


def make_foreign(tagged: bool = False) -> None:
    document = {"Version": "2012-10-17", "Statement": []}
    given = [{"Key": MANAGED, "Value": "true"}] if tagged else []
    iam().create_role(RoleName=NAME, Path="/runpod/", AssumeRolePolicyDocument=json.dumps(document), Tags=given)


# The nine steps


def test_nine_steps(account: Account) -> None:
    steps = (
        (V1, ["iam:create_role", "iam:put_role_policy"]),
        (V2, ["iam:tag_role", "iam:put_role_policy", "iam:update_assume_role_policy"]),
        (GONE, ["iam:delete_role_policy", "iam:delete_role"]),
    )
    for params, writes in steps:
        for check_mode, changed in ((True, True), (False, True), (False, False)):
            account.forget()
            result = play(account, params, check_mode)
            assert result.changed is changed
            assert account.writes() == (writes if changed and not check_mode else [])
            if changed:
                assert result.before != result.after
    assert roles() == []


@pytest.mark.parametrize("params", [V1, {**V1, "repositories": None}, {**V1, "policy": "pull_only"}])
def test_check_mode_tells_what_the_run_leaves(account: Account, params: Json) -> None:
    foreseen = play(account, params, True)
    done = play(account, params)
    assert (foreseen.before, foreseen.after, foreseen.results) == (done.before, done.after, done.results)


def test_the_role_and_its_policy_are_returned(account: Account) -> None:
    done = converge(account, permissions_boundary=BOUNDARY, role_tags={"team": "ml"})
    assert done.results["role"] == {
        "name": NAME,
        "arn": ARN,
        "path": "/runpod/",
        "tags": {MANAGED: "true", "team": "ml"},
        "permissions_boundary": BOUNDARY,
        "trust": role()["AssumeRolePolicyDocument"],
    }
    policy = done.results["policy"]
    assert (policy["kind"], policy["name"], policy["limit"]) == ("repositories", INLINE, 10240)
    assert policy["repositories"] == [f"{REPOSITORY}team/app"] and policy["extra_repositories"] == []


# What differs is mended, and nothing else


def test_another_run_s_repositories_stay_unless_they_are_purged(account: Account) -> None:
    converge(account)
    done = converge(account, repositories=["team/api"])
    assert repositories() == ["team/api", "team/app"]
    assert done.results["policy"]["extra_repositories"] == [f"{REPOSITORY}team/app"]
    converge(account, repositories=["team/api"], purge_repositories=True)
    assert repositories() == ["team/api"]


def test_drift_of_the_trust_is_mended(account: Account) -> None:
    converge(account)
    wide = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": OTHER}}
    document = {"Version": "2012-10-17", "Statement": [wide]}
    iam().update_assume_role_policy(RoleName=NAME, PolicyDocument=json.dumps(document))
    assert converge(account).changed and trusted() == [NODE]


def test_a_trust_that_is_not_given_is_left_alone(account: Account) -> None:
    converge(account)
    assert converge(account, trust=None).changed is False
    assert converge(account, trust=None, repositories=["team/api"]).changed and trusted() == [NODE]


def test_drift_of_the_policy_is_mended(account: Account) -> None:
    converge(account)
    statement = {"Sid": "Pull", "Effect": "Allow", "Action": "ecr:*", "Resource": f"{REPOSITORY}team/app"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    iam().put_role_policy(RoleName=NAME, PolicyName=INLINE, PolicyDocument=json.dumps(document))
    assert converge(account).changed and repositories() == ["team/app"]


def test_boundary_and_tags(account: Account) -> None:
    converge(account, role_tags={"team": "ml"})
    assert converge(account, permissions_boundary=BOUNDARY).changed
    assert role()["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert converge(account).changed is False
    assert converge(account, permissions_boundary="", role_tags={}).changed
    assert "PermissionsBoundary" not in role() and tags() == {MANAGED: "true"}


def test_kinds_of_policy_and_back(account: Account) -> None:
    converge(account)
    converge(account, policy="pull_only")
    assert attached() == [PULL_ONLY] and iam().list_role_policies(RoleName=NAME)["PolicyNames"] == []
    assert tags()[RECORD] == "pull_only"
    converge(account, policy="read_only")
    assert attached() == [READ_ONLY]
    converge(account)
    assert (attached(), repositories()) == ([], ["team/app"]) and RECORD not in tags()


def test_many_repositories_fit_into_one_inline_policy(account: Account) -> None:
    converge(account, repositories=[f"svc-{number:06}" for number in range(100)])
    assert attached() == [] and len(repositories()) == 100


def test_where_others_left_no_room_the_policy_is_a_managed_one(account: Account) -> None:
    converge(account, repositories=None)
    full = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::{'x' * 9900}"}],
    }
    iam().put_role_policy(RoleName=NAME, PolicyName="others", PolicyDocument=json.dumps(full))
    converge(account)
    assert attached() == [CUSTOMER]
    held = iam().get_policy(PolicyArn=CUSTOMER)["Policy"]
    assert held["Tags"] == [{"Key": MANAGED, "Value": "role/puller"}]
    iam().delete_role_policy(RoleName=NAME, PolicyName="others")
    converge(account, repositories=["team/api"])
    assert attached() == [] and repositories() == ["team/api", "team/app"]


def test_a_managed_policy_that_something_else_uses_stops_the_move_with_the_rights_in_place(account: Account) -> None:
    converge(account, repositories=None)
    full = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::{'x' * 9900}"}],
    }
    iam().put_role_policy(RoleName=NAME, PolicyName="others", PolicyDocument=json.dumps(full))
    converge(account)
    iam().create_user(UserName="other")
    iam().attach_user_policy(UserName="other", PolicyArn=CUSTOMER)
    iam().delete_role_policy(RoleName=NAME, PolicyName="others")
    with pytest.raises(CollectionError, match="something else uses that one too"):
        converge(account, repositories=["team/api"])
    assert repositories() == ["team/api", "team/app"]
    done = play(account, GONE)
    assert [one["kind"] for one in done.results["remaining"]] == ["policy in use"]
    assert tags()[RECORD] == "customer" and "because of what others gave it" in done.warnings[0]


def test_what_no_policy_holds_is_refused_before_anything_is_changed(account: Account) -> None:
    with pytest.raises(InputError, match="10240 for all inline policies of a role and 6144"):
        converge(account, repositories=[f"{'x' * 60}-{number:06}" for number in range(200)])
    assert account.writes() == []


# Ours and theirs


def test_somebody_else_s_role_is_refused_with_the_command_that_hands_it_over(account: Account) -> None:
    make_foreign()
    for params in (V1, GONE):
        with pytest.raises(ConflictError, match="aws iam tag-role --role-name puller --tags Key=gpuops.runpod/managed"):
            play(account, params)
    assert account.writes() == []
    iam().tag_role(RoleName=NAME, Tags=[{"Key": MANAGED, "Value": "true"}])
    assert converge(account).changed and trusted() == [NODE]


def test_a_role_at_another_path_is_refused(account: Account) -> None:
    converge(account)
    with pytest.raises(ConflictError, match="is at the path /runpod/, not /team/, and IAM moves no role"):
        converge(account, path="/team/")


def test_a_role_in_another_spelling_is_refused(account: Account) -> None:
    account.before["iam:get_role"] = None
    account.get_role = lambda moto, request: {**moto.get_role(**request), "Role": {**role(), "RoleName": "Puller"}}
    make_foreign(tagged=True)
    with pytest.raises(ConflictError, match="There is an IAM role 'Puller'"):
        converge(account)


def test_a_new_role_needs_a_trust(account: Account) -> None:
    with pytest.raises(InputError, match="There is no IAM role puller yet: name in trust"):
        converge(account, trust=None)
    with pytest.raises(InputError, match="an IAM role's name is 1 to 64"):
        converge(account, name="a b")


@pytest.mark.parametrize("params", [V1, V2])
def test_a_principal_that_does_not_exist_is_named_as_the_cause(account: Account, params: Json) -> None:
    if params is V2:
        converge(account)
    wrong = refusal("MalformedPolicyDocument", 400, "Invalid principal in policy")
    account.before["iam:create_role"] = account.before["iam:update_assume_role_policy"] = wrong
    with pytest.raises(CollectionError, match="Look in trust for somebody who does not exist"):
        play(account, params)


def test_another_refusal_is_told_as_it_is(account: Account) -> None:
    account.before["iam:create_role"] = refusal("AccessDenied", 403)
    with pytest.raises(AwsError, match="iam:CreateRole: AccessDenied"):
        converge(account)
    converge(account)
    account.before["iam:update_assume_role_policy"] = refusal("AccessDenied", 403)
    with pytest.raises(PartialError, match="Already done: iam:TagRole; iam:PutRolePolicy. A plain re-run continues"):
        play(account, V2)


# Absence


def test_what_others_gave_it_keeps_the_role(account: Account) -> None:
    converge(account, policy="pull_only")
    provide(READ_ONLY)
    iam().attach_role_policy(RoleName=NAME, PolicyArn=READ_ONLY)
    iam().create_instance_profile(InstanceProfileName="node")
    iam().add_role_to_instance_profile(InstanceProfileName="node", RoleName=NAME)
    foreseen = play(account, GONE, True)
    done = play(account, GONE)
    assert foreseen.results == done.results and foreseen.changed and done.changed
    assert attached() == [READ_ONLY] and tags() == {MANAGED: "true"}
    assert [one["remedy"] for one in done.results["remaining"]] == [
        f"aws iam detach-role-policy --policy-arn {READ_ONLY} --role-name puller",
        "aws iam remove-role-from-instance-profile --instance-profile-name node --role-name puller",
    ]
    assert play(account, GONE).changed is False


def test_a_refusal_to_delete_is_reported(account: Account) -> None:
    converge(account)
    account.before["iam:delete_role"] = refusal("DeleteConflict", 409, "must remove something first.")
    done = play(account, GONE)
    assert done.results["remaining"][0]["name"] == "must remove something first."
    assert play(account, GONE).changed and roles() == []


# Two at once, and interruptions


def test_what_another_run_overwrites_is_added_again(account: Account) -> None:
    converge(account, repositories=None)

    def other_run() -> None:
        arn = f"{REPOSITORY}team/api"
        pull = {"Sid": "Pull", "Effect": "Allow", "Action": ["ecr:BatchGetImage"], "Resource": [arn]}
        document = {"Version": "2012-10-17", "Statement": [pull]}
        iam().put_role_policy(RoleName=NAME, PolicyName=INLINE, PolicyDocument=json.dumps(document))

    account.during_nap = other_run
    converge(account)
    assert repositories() == ["team/api", "team/app"]


def test_somebody_who_always_overwrites_is_an_error_in_the_end(account: Account) -> None:
    converge(account, repositories=None)

    def again() -> None:
        iam().delete_role_policy(RoleName=NAME, PolicyName=INLINE)
        account.during_nap = again

    account.during_nap = again
    with pytest.raises(CollectionError, match="Something else keeps changing the IAM role puller"):
        converge(account)
    assert account.writes().count("iam:put_role_policy") == MOST_ROUNDS


def test_of_two_runs_that_make_the_role_the_second_goes_on(account: Account) -> None:
    account.before["iam:create_role"] = lambda: make_foreign(tagged=True)
    converge(account)
    assert trusted() == [NODE] and repositories() == ["team/app"]


def test_a_stranger_who_was_faster_is_refused(account: Account) -> None:
    account.before["iam:create_role"] = make_foreign
    with pytest.raises(ConflictError, match="somebody else made it"):
        converge(account)


def test_a_name_that_is_taken_in_another_spelling_is_refused(account: Account) -> None:
    account.before["iam:create_role"] = refusal("EntityAlreadyExists", 409, "taken")
    with pytest.raises(ConflictError, match="IAM ignores case"):
        converge(account)


@UNMEASURED
@FAILURES
@pytest.mark.parametrize("params", [V1, V2, {**V1, "policy": "pull_only"}, GONE])
def test_a_run_that_breaks_anywhere_is_finished_by_the_next(
    account: Account, params: Json, moment: str, fault: Any
) -> None:
    if params is not V1:
        converge(account)
    for number in range(40):
        account.forget()
        (account.before if moment == "before" else account.after)[number] = Killed() if fault is Killed else fault()
        with suppress(CollectionError, Killed):
            play(account, params)
        account.before.clear()
        account.after.clear()
        if len(account.calls) <= number:
            break
        play(account, params)
        assert play(account, params).changed is False
        play(account, GONE)
        assert roles() == []
        if params is not V1:
            converge(account)


def test_module_takes_its_options(account: Account, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(ecr_pull_role, "aws_client", lambda module: account.aws(module.region))
    options = {"name": NAME, "region": "us-east-1", "repositories": ["app"], "trust": [{"principal_arns": [NODE]}]}
    with patch_module_args(options), pytest.raises(SystemExit):
        ecr_pull_role.main()
    said = json.loads(capsys.readouterr().out)
    assert said["changed"] and said["role"]["arn"] == ARN
