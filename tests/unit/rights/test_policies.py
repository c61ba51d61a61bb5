# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the policies that the collection writes allow, judged by an evaluator, and that linters have nothing to say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

import botocore.session
import pytest
from moto import mock_aws
from parliament import analyze_policy_string

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.policy_document import compact, policy_size
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.pull_session import session_policy
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.runpod_roles import IN_FORCE
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import repository_policy
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.reference import repository_arn
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user import pull_policy as _policy
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user import quarantine as _quarantine
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import STORES
from ansible_collections.gpuops.runpod.tests.unit.plugins.rights import FOR_EVERYBODY as FREE
from ansible_collections.gpuops.runpod.tests.unit.plugins.rights import PULL_USER
from ansible_collections.gpuops.runpod.tests.unit.rights.judge import Json, Who, allowed, every_action, findings
from ansible_collections.gpuops.runpod.tests.unit.rights.test_operator import Observed, play

HOME, PARTNER = "123456789012", "210987654321"
TOKEN = "ecr:GetAuthorizationToken"
PULL = {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"}
[FOR_EVERYBODY] = FREE
ANYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Anything", "Effect": "Allow", "Action": "*", "Resource": "*"}],
}


class Order(NamedTuple):
    """Repositories as somebody asks for them, the patterns of ARNs that they mean, and names that these cover."""

    given: list[str]
    patterns: list[str]
    covered: list[str] = []
    partition: str = "aws"
    region: str = "us-east-1"
    pull_through: bool = False

    def policy(self) -> Json:
        arns = [repository_arn(given, self.partition, HOME, self.region) for given in self.given]
        return _policy.document(arns, self.pull_through)

    def puller(self) -> Who:
        return Who(f"arn:{self.partition}:iam::{HOME}:user/runpod/puller", self.policy())

    def meant(self) -> list[str]:
        """Return repositories that are meant."""
        return self.covered or self.patterns

    def repositories(self) -> list[str]:
        """Return some that are meant, and others that are nearly so."""
        meant = self.meant()
        return sorted({*meant[:3], meant[-1], *near_misses(meant[0]), *near_misses(meant[-1])})

    def actions(self) -> set[str]:
        return PULL | {"ecr:BatchImportUpstreamImage"} if self.pull_through else PULL

    def means(self, arn: str) -> bool:
        return any(fnmatchcase(arn, pattern) for pattern in self.patterns)


def near_misses(arn: str) -> list[str]:
    """Return ARNs that differ from this one in as little as possible."""
    head, name = arn.split("repository/")
    dummy, partition, dummy, region, account, dummy = head.split(":")
    names = [f"{name}{end}" for end in ("2", "x", "/x", "-")] + [f"{start}{name}" for start in ("x", "x/")]
    names += [name[:-1], name[1:], name.upper()]
    names += [part for part in (name.rpartition("/")[0], name.rpartition("/")[2]) if part not in ("", name)]
    elsewhere = "eu-west-1" if region == "us-east-1" else "us-east-1"
    strange = PARTNER if account == HOME else "999999999999"
    return [
        *(f"{head}repository/{other}" for other in names),
        arn.replace(f":{region}:", f":{elsewhere}:"),
        arn.replace(f":{region}:", f":{region}x:"),
        arn.replace(f":{account}:", f":{strange}:"),
        arn.replace(f"arn:{partition}:", "arn:aws-iso:"),
        arn.replace(":repository/", ":repository-creation-template/"),
        arn.replace(":ecr:", ":ecr-public:"),
    ]


def repository(name: str, region: str = "us-east-1", account: str = HOME, partition: str = "aws") -> str:
    return f"arn:{partition}:ecr:{region}:{account}:repository/{name}"


SIXTY = "sixty, which only a managed policy holds"
ORDERS = {
    "a name": Order(["team/app"], [repository("team/app")]),
    "an ARN": Order([repository("app", "eu-west-1")], [repository("app", "eu-west-1")]),
    "a URI": Order([f"{HOME}.dkr.ecr.ap-northeast-2.amazonaws.com/app:v1"], [repository("app", "ap-northeast-2")]),
    "a URI with a digest": Order(
        [f"{HOME}.dkr.ecr.us-east-1.amazonaws.com/app@sha256:{'0' * 64}"], [repository("app")]
    ),
    "a prefix": Order(["team/*"], [repository("team/*")], [repository("team/app"), repository("team/a/b")]),
    "a pattern": Order(["app-?"], [repository("app-?")], [repository("app-1")]),
    "every region": Order(
        [repository("app", "*")], [repository("app", "*")], [repository("app"), repository("app", "eu-west-1")]
    ),
    "everything": Order(["*"], [repository("*")], [repository("app"), repository("team/app")]),
    "several regions and accounts": Order(
        ["app", repository("app", "eu-west-1"), f"{PARTNER}.dkr.ecr.us-west-2.amazonaws.com/team/app:v1"],
        [repository("app"), repository("app", "eu-west-1"), repository("team/app", "us-west-2", PARTNER)],
    ),
    "thirty": Order(
        [f"app{number:02}" for number in range(30)], [repository(f"app{number:02}") for number in range(30)]
    ),
    SIXTY: Order([f"app{number:02}" for number in range(60)], [repository(f"app{number:02}") for number in range(60)]),
    "a pull-through cache": Order(["quay/*"], [repository("quay/*")], [repository("quay/app")], pull_through=True),
    "none": Order([], [], [repository("app")]),
    "China": Order(
        [f"{HOME}.dkr.ecr.cn-north-1.amazonaws.com.cn/app:v1", "team/app"],
        [repository(name, "cn-north-1", partition="aws-cn") for name in ("app", "team/app")],
        partition="aws-cn",
        region="cn-north-1",
    ),
    "GovCloud": Order(
        [f"{HOME}.dkr.ecr.us-gov-west-1.amazonaws.com/app:v1", "team/app"],
        [repository(name, "us-gov-west-1", partition="aws-us-gov") for name in ("app", "team/app")],
        partition="aws-us-gov",
        region="us-gov-west-1",
    ),
}
EVERY_ORDER = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())


def actions_of_ecr() -> list[str]:
    """Return the actions of both kinds of ECR, as the SDK and as IAM know them."""
    session = botocore.session.get_session()
    known = {
        f"{service}:{operation}"
        for service in ("ecr", "ecr-public")
        for operation in session.get_service_model(service).operation_names
    }
    return sorted(known | {action for action in every_action() if action.startswith("ecr")})


def requests(actions: Iterable[str], resources: Iterable[str]) -> list[tuple[str, str]]:
    return [(action, resource) for action in actions for resource in resources]


@EVERY_ORDER
def test_policy_allows_pulls_from_every_wanted_repository(order: Order) -> None:
    wanted = requests(order.actions(), [arn for arn in order.meant() if order.means(arn)])
    assert allowed(order.puller(), wanted) == set(wanted)
    assert wanted or not order.given


@EVERY_ORDER
def test_policy_allows_nothing_but_pulls_from_the_wanted_repositories_in_ecr(order: Order) -> None:
    resources = order.repositories()
    verdict = allowed(order.puller(), requests(actions_of_ecr(), resources))
    pulls = {(action, arn) for action, arn in requests(order.actions(), resources) if order.means(arn)}
    assert pulls or not order.given
    assert verdict == pulls | {(TOKEN, resource) for resource in resources}


@pytest.mark.parametrize("name", ["a name", "everything", "China", "GovCloud"])
def test_policy_allows_nothing_in_any_other_service(name: str) -> None:
    order = ORDERS[name]
    actions = [*every_action(), "iam:NoSuchAction"]
    assert len(actions) > 10_000 and {"iam:CreateAccessKey", "s3:GetObject", "ecr:PutImage"} <= set(actions)
    [repository_, *dummy] = order.meant()
    assert allowed(order.puller(), requests(actions, [repository_])) == {
        (action, repository_) for action in {*PULL, TOKEN, FOR_EVERYBODY}
    }


@pytest.mark.parametrize("name", ["everything", "China"])
def test_policy_allows_nothing_on_things_of_other_services(name: str) -> None:
    order = ORDERS[name]
    head, region = f"arn:{order.partition}", order.region
    wanted = [
        ("iam:CreateAccessKey", f"{head}:iam::{HOME}:user/runpod/puller"),
        ("iam:PutUserPolicy", f"{head}:iam::{HOME}:user/runpod/puller"),
        ("sts:AssumeRole", f"{head}:iam::{HOME}:role/app"),
        ("secretsmanager:GetSecretValue", f"{head}:secretsmanager:{region}:{HOME}:secret:runpod-ecr/puller"),
        ("ssm:GetParameter", f"{head}:ssm:{region}:{HOME}:parameter/runpod-ecr/puller"),
        ("s3:GetObject", f"{head}:s3:::app/key"),
    ]
    assert allowed(order.puller(), wanted) == set()
    assert allowed(order.puller()._replace(policy=ANYTHING), wanted) == set(wanted)


def test_orders_are_of_both_sizes() -> None:
    sizes = [policy_size(order.policy()) for order in ORDERS.values()]
    assert min(sizes) <= _policy.LIMIT < max(sizes) <= _policy.MANAGED_LIMIT


def test_policy_allows_what_the_collection_does_as_the_pull_user() -> None:
    order = ORDERS["a name"]
    assert {action for action, dummy in allowed(order.puller(), requests(PULL_USER, order.patterns))} == PULL_USER


@pytest.mark.parametrize("kind", ["a name", SIXTY])
def test_judged_documents_are_those_that_the_module_writes(kind: str) -> None:
    order = ORDERS[kind]
    with mock_aws():
        account = Observed(STORES["secretsmanager"])
        play(account, repositories=order.given)
        play(account, state="quarantined")
    written = [request["PolicyDocument"] for dummy, request in account.requests if "PolicyDocument" in request]
    assert [json.loads(text) for text in written] == [order.policy(), _quarantine.DOCUMENT]


# Sessions that mint tokens: what they open is what their policy and the role's both allow


def session(order: Order, role: Json) -> Who:
    """Return a session of a role with this policy, narrowed to what is ordered."""
    arns = [repository_arn(given, order.partition, HOME, order.region) for given in order.given]
    document = session_policy(arns).document
    return Who(f"arn:{order.partition}:sts::{HOME}:assumed-role/puller/session", role, {}, document)


@pytest.mark.parametrize("name", sorted(ORDERS.keys() - {SIXTY}))
def test_a_session_of_a_wide_role_opens_the_wanted_pulls_and_nothing_else(name: str) -> None:
    order = ORDERS[name]
    resources = order.repositories()
    others = ["iam:CreateAccessKey", "s3:GetObject", "sts:AssumeRole", "secretsmanager:GetSecretValue"]
    verdict = allowed(session(order, ANYTHING), requests([*actions_of_ecr(), *others], resources))
    pulls = {(action, arn) for action, arn in requests(PULL, resources) if order.means(arn)}
    assert verdict == pulls | {(TOKEN, resource) for resource in resources}


@EVERY_ORDER
def test_a_session_of_the_role_that_is_kept_opens_no_more_than_the_role(order: Order) -> None:
    resources = order.repositories()
    verdict = allowed(session(order, order.policy()), requests(actions_of_ecr(), resources))
    pulls = {(action, arn) for action, arn in requests(PULL, resources) if order.means(arn)}
    assert verdict == pulls | {(TOKEN, resource) for resource in resources}


def test_a_session_gains_nothing_that_the_role_lacks() -> None:
    role, [arn] = ORDERS["an ARN"].policy(), ORDERS["a name"].patterns
    assert allowed(session(ORDERS["a name"], role), requests(PULL, [arn])) == set()


def test_too_many_repositories_open_their_folders_and_no_other() -> None:
    order = Order([f"team/{number:060}" for number in range(40)], [repository("team/*")], [repository("team/x")])
    resources = [repository(name) for name in ("team/x", "team/a/b", "teams/x", "x/team/x", "app")]
    opened = {arn for action, arn in allowed(session(order, ANYTHING), requests(PULL, resources))}
    assert opened == {repository("team/x"), repository("team/a/b")}


# The quarantine

OPEN_TO_ALL = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "All", "Effect": "Allow", "Principal": "*", "Action": "ecr:*"}],
}


def shut(*others: Json) -> Who:
    """Return a pull user in quarantine that has these policies besides."""
    statements = [one for policy in (_quarantine.DOCUMENT, *others) for one in policy["Statement"]]
    return ORDERS["a name"].puller()._replace(policy={"Version": "2012-10-17", "Statement": statements})


@pytest.mark.parametrize("others", [[], [ORDERS["a name"].policy()], [ANYTHING]], ids=["alone", "policy", "anything"])
def test_quarantine_outweighs_whatever_else_the_user_has(others: list[Json]) -> None:
    [arn] = ORDERS["a name"].patterns
    assert allowed(shut(*others), requests(every_action(), [arn])) <= {(FOR_EVERYBODY, arn)}


def test_quarantine_outweighs_the_policy_of_a_repository() -> None:
    wanted = requests(PULL, [repository("team/app")])
    assert allowed(ORDERS["none"].puller(), wanted, OPEN_TO_ALL) == set(wanted)
    assert allowed(shut(ANYTHING), wanted, OPEN_TO_ALL) == set()


# The statement of ecr_pull_grant

ROLES = [f"arn:aws:iam::550005742258:role/prod-us-{side}-deployment-role" for side in ("east-1", "west-2")]
GRANTED = [repository("app"), repository("app", "eu-west-1")]
OTHERS_STATEMENT = {
    "Sid": "Push",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{PARTNER}:role/push"},
    "Action": "ecr:PutImage",
}
STRANGERS = {
    "another role of RunPod's account": "arn:aws:iam::550005742258:role/other",
    "a longer name": f"{ROLES[0]}x",
    "a role under a path": "arn:aws:iam::550005742258:role/x/prod-us-east-1-deployment-role",
    "a user of the name": "arn:aws:iam::550005742258:user/prod-us-east-1-deployment-role",
    "the root user of RunPod's account": "arn:aws:iam::550005742258:root",
    "a role that RunPod gave up": "arn:aws:iam::418399314813:role/prod-us-east-1-deployment-role",
    "a role of the name elsewhere": f"arn:aws:iam::{PARTNER}:role/prod-us-east-1-deployment-role",
    "a role of the name in another partition": "arn:aws-cn:iam::550005742258:role/prod-us-east-1-deployment-role",
}


def role_session(role: str) -> str:
    """Return whom AWS sees when somebody acts as a role."""
    return re.sub(r":iam::(\d+):role/(?:.*/)?([^/]+)", r":sts::\1:assumed-role/\2/session", role)


def anybody(arn: str, powerless: bool = False) -> Who:
    context = {"aws:PrincipalArn": arn, "aws:PrincipalAccount": arn.split(":")[4]}
    return Who(role_session(arn), None if powerless else ANYTHING, context)


def granted(*others: Json) -> Json:
    """Return the policy of a repository as ecr_pull_grant leaves it where others have these statements."""
    policy = {**repository_policy.EMPTY, "Statement": list(others)}
    return repository_policy.merge(policy, repository_policy.statement("AllowRunpodPull", IN_FORCE))


@pytest.mark.parametrize("role", ROLES)
def test_grant_lets_the_roles_of_runpod_pull_and_do_nothing_else(role: str) -> None:
    verdict = allowed(anybody(role), requests(actions_of_ecr(), GRANTED), granted(OTHERS_STATEMENT))
    assert verdict == set(requests(PULL, GRANTED))


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
def test_grant_lets_nobody_else_do_anything(stranger: str) -> None:
    assert allowed(anybody(stranger), requests(actions_of_ecr(), GRANTED), granted(OTHERS_STATEMENT)) == set()


def test_grant_lets_nobody_unknown_do_anything() -> None:
    assert allowed(Who(None), requests(actions_of_ecr(), GRANTED), granted()) == set()


def test_grant_adds_nothing_to_the_rights_in_the_account_of_the_repository() -> None:
    powerless = anybody(f"arn:aws:iam::{HOME}:role/app", powerless=True)
    assert allowed(powerless, requests(actions_of_ecr(), GRANTED), granted()) == set()


def test_grant_leaves_others_what_they_had() -> None:
    pusher = anybody(f"arn:aws:iam::{PARTNER}:role/push")
    verdict = allowed(pusher, requests(actions_of_ecr(), GRANTED), granted(OTHERS_STATEMENT))
    assert verdict == set(requests(["ecr:PutImage"], GRANTED))


# Linters


@EVERY_ORDER
def test_linters_find_nothing_in_a_policy(order: Order) -> None:
    document = order.policy()
    assert [str(finding) for finding in analyze_policy_string(compact(document)).findings] == []
    assert findings("identity", document) == []


def test_linters_find_nothing_in_the_quarantine() -> None:
    assert [str(finding) for finding in analyze_policy_string(json.dumps(_quarantine.DOCUMENT)).findings] == []
    assert findings("identity", _quarantine.DOCUMENT) == []


@pytest.mark.parametrize("others", [[], [OTHERS_STATEMENT]], ids=["alone", "beside another"])
def test_linter_finds_nothing_in_a_grant(others: list[Json]) -> None:
    assert findings("resource", granted(*others)) == []


def test_linters_find_what_is_wrong() -> None:
    wrong = json.loads(compact(ORDERS["a name"].policy()).replace("repository/", "bucket/"))
    assert [finding.issue for finding in analyze_policy_string(json.dumps(wrong)).findings] == ["RESOURCE_MISMATCH"]
    twice = ORDERS["a name"].policy()
    twice["Statement"] *= 2
    assert findings("identity", twice)
    assert findings("resource", ORDERS["a name"].policy())  # names nobody
