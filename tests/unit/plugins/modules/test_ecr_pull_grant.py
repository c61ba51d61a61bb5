# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from threading import Event, Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.runpod_roles import IN_FORCE
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    AwsError,
    ConflictError,
    InputError,
    Json,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import repository_policy as _grant
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.pull_grant import UnfinishedError, run
from ansible_collections.gpuops.runpod.plugins.modules import ecr_pull_grant
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args

ACCOUNT = "123456789012"
APP = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"
WEB = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/web"
FAR = f"arn:aws:ecr:ap-northeast-2:{ACCOUNT}:repository/team/app"
SID = "AllowRunpodPull"
MINE = "arn:aws:iam::210987654321:role/pull"
OLD = "arn:aws:iam::418399314813:role/prod-us-east-1-deployment-role"
OURS = _grant.statement(SID, IN_FORCE)
OUTDATED = {**OURS, "Condition": {"StringEquals": {"aws:PrincipalArn": [OLD, IN_FORCE[0]]}}}
PUSH = {
    "Sid": "Push",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": "ecr:PutImage",
}
DENY = {"Effect": "Deny", "Principal": "*", "Action": ["ecr:DeleteRepository"]}
OTHERS = {"Sid": "Partner", "Effect": "Allow", "Principal": {"AWS": "210987654321"}, "Action": "ecr:BatchGetImage"}
OPTIONS = {
    "repositories": ["app"],
    "account_id": None,
    "statement_id": SID,
    "principal_arns": None,
    "state": "present",
}
GET, SET, DELETE = "get_repository_policy", "set_repository_policy", "delete_repository_policy"
CALLER = "get_caller_identity"
Intrusion = Callable[[], object]


def policy(*statements: Json, **fields: Any) -> Json:
    return {"Version": "2012-10-17", **fields, "Statement": list(statements)}


def refusal(code: str, text: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": text}}, "SetRepositoryPolicy")


class Spy:
    """A client of AWS whose calls are noted, can be refused, and can be followed by somebody else's."""

    def __init__(self, world: World, client: Any, region: str) -> None:
        self.world, self.client, self.region = world, client, region
        self.meta = client.meta

    def __getattr__(self, operation: str) -> Callable[..., Json]:
        def call(**request: Any) -> Json:
            self.world.calls.append((operation, self.region, {k: v for k, v in request.items() if k != "aws_retry"}))
            if self.world.refusals.get(operation):
                failure = self.world.refusals[operation].pop(0)
                if failure:
                    raise failure
            try:
                return getattr(self.client, operation)(**request)
            finally:
                if self.world.intrusions.get(operation):
                    self.world.intrusions[operation].pop(0)()

        return call


class World:
    """ECR in memory, with these repositories, and a client for it.

    `refusals` are raised instead of an operation, `intrusions` are what somebody else does right after it; each is for
    one call, in order, and None lets a call pass.
    """

    def __init__(self, connect: Callable[..., Any], *repositories: str) -> None:
        self.connect, self.now = connect, datetime(2026, 8, 1, tzinfo=timezone.utc)
        self.calls: list[tuple[str, str, Json]] = []
        self.naps: list[float] = []
        self.refusals: dict[str, list[Exception | None]] = {}
        self.intrusions: dict[str, list[Intrusion]] = {}
        for arn in repositories:
            self.ecr(arn).create_repository(repositoryName=name(arn))
        self.aws = Aws(self.spy, "us-east-1", clock=lambda: self.now, sleep=self.sleep)

    def spy(self, service: str, region: str, **options: Any) -> Any:
        return Spy(self, self.connect(service, region, **options), region)

    def sleep(self, seconds: float) -> None:
        if seconds:
            self.naps.append(seconds)
        self.now += timedelta(seconds=seconds)

    def ecr(self, arn: str) -> Any:
        return self.connect("ecr", arn.split(":")[3])

    def write(self, *statements: Json, arn: str = APP, **fields: Any) -> None:
        """Write a policy as somebody else."""
        self.ecr(arn).set_repository_policy(
            repositoryName=name(arn), policyText=json.dumps(policy(*statements, **fields))
        )

    def clear(self, arn: str = APP) -> None:
        """Delete a policy as somebody else."""
        self.ecr(arn).delete_repository_policy(repositoryName=name(arn))

    def policy(self, arn: str = APP) -> Json | None:
        client = self.ecr(arn)
        try:
            return json.loads(client.get_repository_policy(repositoryName=name(arn))["policyText"])
        except client.exceptions.RepositoryPolicyNotFoundException:
            return None

    def run(self, check_mode: bool = False, **options: Any) -> Result:
        return run({**OPTIONS, **options}, check_mode, self.aws)

    def operations(self) -> list[str]:
        """Return the operations since the last look, without those that ask who calls."""
        made = [operation for operation, dummy, dummy in self.calls if operation != CALLER]
        self.calls.clear()
        return made


def name(arn: str) -> str:
    return arn.partition("/")[2]


def nothing() -> None:
    """Intrude in no way."""


@pytest.fixture
def world(connect: Callable[..., Any]) -> World:
    return World(connect, APP, WEB, FAR)


def check_then_do_then_again(world: World, writes: list[str], **options: Any) -> Json:
    """Take a step in check mode, for real, and again; return the results, which the check must have predicted."""
    held = world.policy()
    world.operations()
    predicted = world.run(check_mode=True, **options)
    assert predicted.changed is True and world.operations() == [GET] and world.policy() == held
    done = world.run(**options)
    assert done == predicted and world.operations() == [GET, GET, *writes, GET]
    again = world.run(**options)
    assert again.changed is False and world.operations() == [GET]
    assert again.before == again.after == done.after == {APP: world.policy()}
    return done.results


def test_nine_steps(world: World) -> None:
    made = check_then_do_then_again(world, [SET])
    assert made["policies"] == [
        {
            "repository": "app",
            "arn": APP,
            "document": policy(OURS),
            "changed": True,
            "drift": {"missing": [], "outdated": []},
            "size": 399,
            "limit": 10240,
        }
    ]
    world.write(PUSH, OUTDATED, DENY, Id="mine")
    mended = check_then_do_then_again(world, [SET])
    assert world.policy() == policy(PUSH, OURS, DENY, Id="mine")
    assert mended["policies"][0]["drift"] == {"missing": [IN_FORCE[1]], "outdated": [OLD]}
    assert mended["foreign_statements"] == [{"arn": APP, "statement": PUSH}, {"arn": APP, "statement": DENY}]
    check_then_do_then_again(world, [SET], state="absent")
    assert world.policy() == policy(PUSH, DENY, Id="mine")


def test_the_last_statement_takes_the_policy_along(world: World) -> None:
    world.write(OURS)
    gone = check_then_do_then_again(world, [DELETE], state="absent")
    assert world.policy() is None
    assert gone["policies"][0]["document"] is None and gone["policies"][0]["size"] == 0


def test_a_policy_that_somebody_deletes_first_is_as_good(world: World) -> None:
    world.write(OURS)
    world.intrusions[GET] = [nothing, world.clear]
    assert world.run(state="absent").changed is True
    assert world.policy() is None


def test_the_diff_shows_each_policy_before_and_after(world: World) -> None:
    world.write(OURS, arn=WEB)
    world.write(PUSH)
    outcome = world.run(repositories=["app", "web"])
    assert outcome.before == {APP: policy(PUSH), WEB: policy(OURS)}
    assert outcome.after == {APP: policy(PUSH, OURS), WEB: policy(OURS)}
    assert [entry["changed"] for entry in outcome.results["policies"]] == [True, False]


def test_a_policy_written_by_hand_in_another_form_is_left_as_it_is(world: World) -> None:
    by_hand = {**OURS, "Resource": "*", "Action": OURS["Action"][::-1], "Principal": {"AWS": "*"}}
    world.write(by_hand)
    assert world.run().changed is False
    assert world.policy() == policy(by_hand)


def test_own_principals_and_another_sid_make_a_second_statement(world: World) -> None:
    world.run()
    options = {"statement_id": "Mine", "principal_arns": [MINE]}
    check_then_do_then_again(world, [SET], **options)
    assert world.policy() == policy(OURS, _grant.statement("Mine", [MINE]))
    check_then_do_then_again(world, [SET], **options, state="absent")
    assert world.policy() == policy(OURS)


# Which repositories


def test_each_repository_is_called_in_its_own_region_and_account(world: World) -> None:
    given = [FAR, f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/web:v1", f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/web"]
    outcome = world.run(repositories=given)
    assert [entry["repository"] for entry in outcome.results["policies"]] == ["team/app", "web"]
    assert {(region, request["registryId"], request["repositoryName"]) for dummy, region, request in world.calls} == {
        ("ap-northeast-2", ACCOUNT, "team/app"),
        ("us-east-1", ACCOUNT, "web"),
    }
    assert world.policy(FAR) == world.policy(WEB) == policy(OURS)


def test_a_name_means_the_callers_account_unless_another_is_named(world: World) -> None:
    world.run()
    assert [operation for operation, dummy, dummy in world.calls][0] == CALLER
    world.calls.clear()
    world.refusals[GET] = [refusal("RepositoryNotFoundException")]
    with pytest.raises(InputError, match="arn:aws:ecr:us-east-1:210987654321:repository/app"):
        world.run(account_id="210987654321")
    assert world.calls == [(GET, "us-east-1", {"registryId": "210987654321", "repositoryName": "app"})]


def test_a_repository_in_several_forms_is_one(world: World) -> None:
    world.run(repositories=["app", APP, f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/app@sha256:{'0' * 64}"])
    assert world.operations() == [GET, GET, SET, GET]


def test_no_repositories_are_nothing_to_do(world: World) -> None:
    outcome = world.run(repositories=[])
    assert outcome.changed is False and outcome.results == {"policies": [], "foreign_statements": []}
    assert world.calls == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"repositories": [f"arn:aws-cn:ecr:cn-north-1:{ACCOUNT}:repository/app"]}, "aws-cn.*roles have no access"),
        ({"repositories": [f"{ACCOUNT}.dkr.ecr.us-gov-west-1.amazonaws.com/app:v1"]}, "partition aws-us-gov"),
        ({"repositories": [f"{APP}*"]}, "wildcard"),
        ({"repositories": [f"arn:aws:ecr:*:{ACCOUNT}:repository/app"]}, "wildcard"),
        ({"repositories": [APP, "public.ecr.aws/x/y"]}, "neither a plain name"),
        ({"repositories": [APP], "account_id": "1234"}, "12 digits"),
        ({"repositories": [APP], "principal_arns": []}, "every identity on AWS"),
        ({"repositories": [APP], "principal_arns": ["arn:aws:iam::550005742258:role/*"]}, "wildcard"),
        ({"repositories": [APP], "statement_id": ""}, "statement_id"),
    ],
)
def test_bad_options_are_refused_before_any_call(world: World, options: Json, why: str) -> None:
    with pytest.raises(InputError, match=why):
        world.run(**options)
    assert world.calls == []


def test_names_are_refused_in_a_region_of_another_partition(world: World) -> None:
    aws = Aws(world.spy, "cn-north-1")
    with pytest.raises(InputError, match="arn:aws-cn:ecr:cn-north-1:123456789012:repository/app is in the partition"):
        run({**OPTIONS, "account_id": ACCOUNT}, False, aws)


@pytest.mark.parametrize("check_mode", [True, False])
def test_all_missing_repositories_are_named_before_anything_is_written(world: World, check_mode: bool) -> None:
    with pytest.raises(InputError, match="repository/gone, arn:.*repository/too. Nothing was changed"):
        world.run(check_mode, repositories=["app", "gone", "web", "too"])
    assert world.operations() == [GET] * 4


def test_a_missing_repository_has_nothing_to_take_away(world: World) -> None:
    world.run()
    outcome = world.run(repositories=["gone", "app"], state="absent")
    assert [entry["arn"] for entry in outcome.results["policies"]] == [APP]
    assert "repository/gone does not exist" in outcome.warnings[0]
    assert world.policy() is None


# What must not be written


@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_statement_of_somebody_else_stops_the_run_before_any_write(world: World, state: str) -> None:
    taken = _grant.statement(SID, [MINE])
    world.write(OUTDATED)
    world.write(taken, arn=WEB)
    with pytest.raises(ConflictError, match=f"{WEB}.*{MINE}"):
        world.run(repositories=["app", "web"], state=state)
    assert (world.policy(), world.policy(WEB)) == (policy(OUTDATED), policy(taken))


def test_what_was_granted_to_own_roles_is_taken_back_by_naming_them(world: World) -> None:
    world.run(principal_arns=[MINE])
    assert world.run(principal_arns=[MINE], state="absent").changed is True
    assert world.policy() is None


def test_runpods_statement_is_taken_back_whatever_roles_are_named(world: World) -> None:
    world.write(OUTDATED)
    assert world.run(principal_arns=[], state="absent").changed is True


def test_a_policy_that_would_be_too_long_stops_the_run_before_any_write(world: World) -> None:
    long = {**PUSH, "Action": [f"ecr:Action{number:04}" for number in range(600)]}
    world.write(long, arn=WEB)
    with pytest.raises(InputError, match=rf"{WEB}: its policy would have 1\d{{4}} characters.*allows 10240"):
        world.run(repositories=["app", "web"])
    assert world.policy() is None and world.policy(WEB) == policy(long)


def test_a_policy_that_is_too_long_but_right_already_is_left_alone(world: World) -> None:
    world.write({**PUSH, "Action": [f"ecr:Action{number:04}" for number in range(600)]}, OURS)
    assert world.run().changed is False
    assert world.run(state="absent").changed is True


# Others who write the same policy


def test_a_statement_added_after_the_first_look_is_kept(world: World) -> None:
    world.write(PUSH)
    world.intrusions[GET] = [lambda: world.write(PUSH, OTHERS)]
    outcome = world.run()
    assert world.policy() == policy(PUSH, OTHERS, OURS)
    assert outcome.before == {APP: policy(PUSH, OTHERS)}
    assert outcome.warnings == () and world.naps == []


def test_a_sid_taken_after_the_first_look_is_not_taken_over(world: World) -> None:
    taken = _grant.statement(SID, [MINE])
    world.intrusions[GET] = [lambda: world.write(taken)]
    with pytest.raises(UnfinishedError) as caught:
        world.run()
    assert world.policy() == policy(taken)
    assert str(caught.value).count(APP) == 1


def test_what_another_run_did_meanwhile_is_not_done_again(world: World) -> None:
    world.intrusions[GET] = [lambda: world.write(OURS)]
    outcome = world.run()
    assert outcome.changed is False and SET not in world.operations()


def test_a_statement_that_was_overwritten_is_written_again(world: World) -> None:
    world.write(PUSH)
    world.intrusions[SET] = [lambda: world.write(PUSH, OTHERS)]
    outcome = world.run()
    assert world.policy() == policy(PUSH, OTHERS, OURS)
    assert outcome.changed is True and outcome.warnings == () and world.naps == [1]
    assert outcome.before == {APP: policy(PUSH)} and outcome.after == {APP: world.policy()}


def test_statements_of_others_that_were_overwritten_with_ours_are_put_back(world: World) -> None:
    world.write(PUSH, DENY)
    world.intrusions[SET] = [lambda: world.write(OTHERS)]
    outcome = world.run()
    assert world.policy() == policy(OTHERS, PUSH, DENY, OURS)
    [warning] = outcome.warnings
    assert warning.startswith(APP) and "put back: Push, one without a Sid." in warning


def test_a_policy_that_was_deleted_under_us_is_put_back(world: World) -> None:
    world.write(PUSH)
    world.intrusions[SET] = [world.clear]
    assert len(world.run().warnings) == 1
    assert world.policy() == policy(PUSH, OURS)


def test_what_somebody_takes_away_beside_our_statement_stays_away(world: World) -> None:
    world.write(PUSH, OTHERS)
    world.intrusions[SET] = [lambda: world.write(OTHERS, OURS)]
    outcome = world.run()
    assert world.policy() == policy(OTHERS, OURS) and world.naps == []
    assert "somebody took away" in outcome.warnings[0] and "Push" in outcome.warnings[0]


def test_the_newer_version_of_a_statement_of_others_counts(world: World) -> None:
    newer = {**PUSH, "Action": "ecr:CompleteLayerUpload"}
    world.write(PUSH)
    world.intrusions[SET] = [lambda: world.write(newer)]
    assert world.run().warnings == ()
    assert world.policy() == policy(newer, OURS)


def test_a_statement_that_comes_back_is_taken_away_again(world: World) -> None:
    world.write(PUSH, OURS)
    world.intrusions[SET] = [lambda: world.write(PUSH, OURS, OTHERS)]
    assert world.run(state="absent").changed is True
    assert world.policy() == policy(PUSH, OTHERS) and world.naps == [1]


def test_pauses_grow_and_the_run_gives_up_after_three_more_tries(world: World) -> None:
    world.intrusions[SET] = [lambda: world.write(OTHERS)] * 5
    with pytest.raises(UnfinishedError, match="overwrote the policy each of the 4 times"):
        world.run()
    assert world.naps == [1, 2, 4] and world.operations().count(SET) == 4


def test_of_two_runs_at_once_the_one_that_is_overwritten_writes_again(world: World) -> None:
    """The other run writes after we read, and we write before it reads back."""
    other = World(world.connect)
    theirs = Thread(target=lambda: other.run(statement_id="Theirs", principal_arns=[MINE]))
    they_wrote, we_wrote = Event(), Event()

    def let_them_write() -> None:
        theirs.start()
        assert they_wrote.wait(30)

    def wait_for_us() -> None:
        they_wrote.set()
        assert we_wrote.wait(30)

    world.intrusions = {GET: [nothing, let_them_write], SET: [we_wrote.set]}
    other.intrusions = {SET: [wait_for_us]}
    assert world.run().changed is True
    theirs.join(30)
    assert world.policy() == policy(OURS, _grant.statement("Theirs", [MINE]))
    assert world.operations().count(SET) == 1 and other.operations().count(SET) == 2


# What AWS refuses


@pytest.mark.parametrize("text", ["Principal not found", "Invalid repository policy provided"])
def test_a_principal_that_is_not_known_yet_is_waited_for(world: World, text: str) -> None:
    world.refusals[SET] = [refusal("InvalidParameterException", f"Invalid parameter: '{text}'")] * 2
    assert world.run().changed is True
    assert world.naps == [1, 2] and world.policy() == policy(OURS)


def test_each_try_starts_from_the_policy_as_it_is_then(world: World) -> None:
    world.refusals[SET] = [refusal("InvalidParameterException", "Principal not found")]
    world.intrusions[GET] = [nothing, lambda: world.write(OTHERS)]
    world.run()
    assert world.policy() == policy(OTHERS, OURS)


def test_a_principal_that_stays_unknown_ends_with_the_words_of_aws(world: World) -> None:
    world.refusals[SET] = [refusal("InvalidParameterException", "Invalid repository policy provided")] * 99
    with pytest.raises(UnfinishedError, match=f"{APP}: ecr:SetRepositoryPolicy: .*Invalid repository policy provided"):
        world.run()
    assert sum(world.naps) == 60


def test_another_bad_parameter_is_not_waited_for(world: World) -> None:
    world.refusals[SET] = [refusal("InvalidParameterException", "PolicyText is too long")]
    with pytest.raises(UnfinishedError, match="too long"):
        world.run()
    assert world.naps == []


def test_a_failure_holds_what_was_done_before_it(world: World) -> None:
    world.write(PUSH)
    world.refusals[SET] = [None, refusal("AccessDeniedException", "not authorized")]
    with pytest.raises(UnfinishedError) as caught:
        world.run(repositories=["app", "web", FAR])
    result = caught.value.as_result()
    assert result["msg"].startswith(f"{WEB}: ecr:SetRepositoryPolicy: AccessDeniedException: not authorized. Allow")
    assert result["error"]["code"] == "AccessDeniedException" and result["changed"] is True
    assert [entry["arn"] for entry in result["policies"]] == [APP]
    assert result["foreign_statements"] == [{"arn": APP, "statement": PUSH}]
    assert (world.policy(WEB), world.policy(FAR)) == (None, None)
    assert world.run(repositories=["app", "web", FAR]).changed is True
    assert world.policy(WEB) == world.policy(FAR) == policy(OURS)


def test_a_refused_first_write_changed_nothing(world: World) -> None:
    world.refusals[SET] = [refusal("AccessDeniedException")]
    with pytest.raises(UnfinishedError) as caught:
        world.run()
    assert caught.value.as_result()["changed"] is False and world.policy() is None


def test_a_policy_that_cannot_be_read_stops_the_run_before_any_write(world: World) -> None:
    world.refusals[GET] = [None, refusal("AccessDeniedException")]
    with pytest.raises(AwsError, match="ecr:GetRepositoryPolicy: AccessDeniedException"):
        world.run(repositories=["app", "web"])
    assert world.policy() is None


def test_a_policy_that_cannot_be_deleted_is_an_error(world: World) -> None:
    world.write(OURS)
    world.refusals[DELETE] = [refusal("AccessDeniedException")]
    with pytest.raises(UnfinishedError, match="ecr:DeleteRepositoryPolicy"):
        world.run(state="absent")
    assert world.policy() == policy(OURS)


# The module itself


def module_result(capsys: pytest.CaptureFixture[str], **arguments: Any) -> Json:
    with patch_module_args({"region": "us-east-1", **arguments}), pytest.raises(SystemExit):
        ecr_pull_grant.main()
    return json.loads(capsys.readouterr().out)


def test_the_module_grants_with_its_defaults(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    result = module_result(capsys, repositories=["app"])
    assert result["changed"] is True and result["diff"] == {"before": {APP: None}, "after": {APP: policy(OURS)}}
    assert world.policy() == policy(OURS)


def test_the_module_fails_with_the_reason(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    result = module_result(capsys, repositories=["gone"])
    assert result["failed"] is True and "repository/gone" in result["msg"]
