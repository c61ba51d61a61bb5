# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No path leads from the operator's policies to a right beyond pulling: searched, in an account with traps."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import pytest

from ansible_collections.gpuops.runpod.tests.sandbox.policies import iam_context, iam_resources
from ansible_collections.gpuops.runpod.tests.unit.rights.judge import Json, Request, Who, allowed, every_action
from ansible_collections.gpuops.runpod.tests.unit.rights.test_documents import BOUNDARY, holder, statements
from ansible_collections.gpuops.runpod.tests.unit.rights.test_operator import HOME
from ansible_collections.gpuops.runpod.tests.unit.rights.test_policies import ANYTHING, EVERY_ORDER, Order, requests

IAM = f"arn:aws:iam::{HOME}"
PULLING = {
    "ecr:GetAuthorizationToken",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchImportUpstreamImage",
    "sts:GetCallerIdentity",  # everybody's
}
OPERATOR = "operator operator-managed-policies"  # the most that any operator of pull users has
KEEPER = "operator-role operator-managed-policies"  # and who keeps pull roles
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
PULL_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
OURS, LOOSE, THEIRS = f"{IAM}:policy/runpod/pull", f"{IAM}:policy/loose-boundary", f"{IAM}:policy/deploy"
ANYWHERE, PULL = "anything", "pulling"  # what a document allows


def on(things: str, actions: str) -> list[tuple[str, str]]:
    """Return calls of IAM on each of these things."""
    return [(f"iam:{action}", f"{IAM}:{thing}") for action, thing in product(actions.split(), things.split())]


# How else people are known to escalate: on somebody else, on what others act as, or by another way in.
OTHER_CALLS = [
    *on(
        "role/admin role/runpod/x",
        "AttachRolePolicy PutRolePolicy UpdateAssumeRolePolicy PassRole CreateRole UpdateRole DetachRolePolicy "
        "DeleteRolePolicy PutRolePermissionsBoundary DeleteRolePermissionsBoundary TagRole CreateServiceLinkedRole",
    ),
    *on(
        "group/admins group/runpod/x user/runpod/puller",
        "AddUserToGroup AttachGroupPolicy PutGroupPolicy CreateGroup DetachGroupPolicy DeleteGroupPolicy "
        "RemoveUserFromGroup UpdateGroup",
    ),
    *on(
        "user/runpod/puller user/admin user/operator",
        "CreateLoginProfile UpdateLoginProfile DeleteLoginProfile CreateServiceSpecificCredential "
        "ResetServiceSpecificCredential UpdateServiceSpecificCredential UploadSSHPublicKey UpdateSSHPublicKey "
        "UploadSigningCertificate UpdateSigningCertificate EnableMFADevice DeactivateMFADevice ResyncMFADevice",
    ),
    *on(
        "user/admin user/operator user/team/runpod/x user/runpodx/x",
        "CreateAccessKey UpdateAccessKey DeleteAccessKey PutUserPolicy DeleteUserPolicy AttachUserPolicy "
        "DetachUserPolicy TagUser UntagUser UpdateUser DeleteUser CreateUser PutUserPermissionsBoundary "
        "DeleteUserPermissionsBoundary",
    ),
    *on(
        "policy/runpod-pull-boundary policy/loose-boundary policy/deploy",
        "CreatePolicyVersion SetDefaultPolicyVersion DeletePolicyVersion DeletePolicy CreatePolicy TagPolicy "
        "UntagPolicy",
    ),
    *on("policy/runpod/pull", "SetDefaultPolicyVersion UntagPolicy"),
    *on("instance-profile/x", "CreateInstanceProfile AddRoleToInstanceProfile RemoveRoleFromInstanceProfile"),
    *on("mfa/admin", "CreateVirtualMFADevice DeleteVirtualMFADevice"),
    *on("saml-provider/x", "CreateSAMLProvider UpdateSAMLProvider"),
    *on(
        "oidc-provider/x",
        "CreateOpenIDConnectProvider AddClientIDToOpenIDConnectProvider UpdateOpenIDConnectProviderThumbprint",
    ),
    ("iam:UpdateAccountPasswordPolicy", "*"),
    ("iam:SetSecurityTokenServicePreferences", "*"),
    ("sts:AssumeRole", f"{IAM}:role/admin"),
    ("sts:TagSession", f"{IAM}:role/admin"),
    ("sts:SetSourceIdentity", f"{IAM}:role/admin"),
    ("sts:GetFederationToken", "*"),
    ("organizations:AttachPolicy", "*"),
    ("organizations:DetachPolicy", "*"),
    ("secretsmanager:PutResourcePolicy", f"arn:aws:secretsmanager:us-east-1:{HOME}:secret:runpod-ecr/puller-AbCdEf"),
    ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:us-east-1:{HOME}:secret:database-AbCdEf"),
    ("ssm:GetParameter", f"arn:aws:ssm:us-east-1:{HOME}:parameter/database"),
    ("ssm:SendCommand", "*"),
    ("ecr:SetRepositoryPolicy", f"arn:aws:ecr:us-east-1:{HOME}:repository/team/app"),
    ("ecr:PutImage", f"arn:aws:ecr:us-east-1:{HOME}:repository/team/app"),
]


# An account


class User(NamedTuple):
    """A user or a role, by path and name, with a boundary, what the inline policy allows, and what is attached."""

    arn: str
    boundary: str | None = None
    inline: str = PULL
    attached: frozenset[str] = frozenset()


class State(NamedTuple):
    """Users by what they are called at first, and what the policies of the account allow."""

    users: frozenset[tuple[str, User]]
    policies: frozenset[tuple[str, str]]


class Move(NamedTuple):
    """A call, and what the account is like after it."""

    operation: str
    given: Json
    after: State
    user: User | None = None

    def of_role(self) -> Move:
        """Return the same on a role."""
        given = {name.replace("User", "Role"): value for name, value in self.given.items()}
        return self._replace(operation=self.operation.replace("User", "Role"), given=given)

    def requests(self) -> list[Request]:
        held = self.user or User("")
        keys = tuple(iam_context(self.operation, self.given, held.boundary).items())
        things = iam_resources(HOME, self.operation, self.given, held.arn or None)
        return [(f"iam:{self.operation}", thing, keys) for thing in things]


START = State(
    frozenset(
        {
            "admin": User(f"{IAM}:user/admin", None, ANYWHERE),
            "bounded": User(f"{IAM}:user/runpod/bounded", BOUNDARY),
            "unbounded": User(f"{IAM}:user/runpod/unbounded"),
            "robot": User(f"{IAM}:user/robot", None, PULL, frozenset({THEIRS})),
        }.items()
    ),
    frozenset({BOUNDARY: PULL, LOOSE: ANYWHERE, THEIRS: PULL, ADMIN: ANYWHERE, PULL_ONLY: PULL, OURS: PULL}.items()),
)


def of_roles(state: State) -> State:
    """Return an account with roles in place of its users."""
    held = {(name, one._replace(arn=one.arn.replace(":user/", ":role/"))) for name, one in state.users}
    return state._replace(users=frozenset(held))


def moves_of_roles(state: State) -> Iterator[Move]:
    """No role is ever moved. Whom one trusts gives no rights, but lets somebody have those that it has."""
    for move in moves(state):
        if move.operation != "UpdateUser":
            yield move.of_role()._replace(after=of_roles(move.after))


def moves(state: State) -> Iterator[Move]:
    """Yield all calls that change what somebody may do."""
    policies, users = dict(state.policies), dict(state.users)
    for arn in policies.keys() - {ADMIN, PULL_ONLY}:
        after = state._replace(policies=frozenset({**policies, arn: ANYWHERE}.items()))
        yield Move("CreatePolicyVersion", {"PolicyArn": arn}, after)
        yield Move("SetDefaultPolicyVersion", {"PolicyArn": arn}, after)
    if "new" not in users:
        for boundary in (None, BOUNDARY, LOOSE):
            given = {"UserName": "new", "Path": "/runpod/"}
            bound = {"PermissionsBoundary": boundary} if boundary else {}
            made = frozenset({**users, "new": User(f"{IAM}:user/runpod/new", boundary)}.items())
            yield Move("CreateUser", {**given, **bound}, state._replace(users=made))
    for name, user in users.items():
        for operation, options, after in changes(user, set(policies)):
            changed = frozenset({**users, name: after}.items())
            yield Move(operation, {"UserName": name, **options}, state._replace(users=changed), user)


def changes(user: User, policies: set[str]) -> Iterator[tuple[str, Json, User]]:
    """Yield the calls that change a user."""
    for boundary in (BOUNDARY, LOOSE):
        given = {"PermissionsBoundary": boundary}
        yield "PutUserPermissionsBoundary", given, user._replace(boundary=boundary)
    yield "DeleteUserPermissionsBoundary", {}, user._replace(boundary=None)
    yield "PutUserPolicy", {}, user._replace(inline=ANYWHERE)
    for arn in policies:
        yield "AttachUserPolicy", {"PolicyArn": arn}, user._replace(attached=user.attached | {arn})
    name = user.arn.rpartition("/")[2]
    for path in ("/", "/runpod/"):
        yield "UpdateUser", {"NewPath": path}, user._replace(arn=f"{IAM}:user{path}{name}")


# What they may do


@cache
def beyond(allowing: str, boundary: str | None) -> bool:
    """Return whether somebody may do more than pull whose policies and boundary allow such things."""
    kinds = {ANYWHERE: ANYTHING, PULL: pulling()}
    who = Who(f"{IAM}:user/runpod/x", kinds[allowing], {}, kinds[boundary] if boundary else None)
    return bool({action for action, dummy in allowed(who, requests(TELLING, [PROBE]))} - PULLING)


PROBE = f"arn:aws:ecr:us-east-1:{HOME}:repository/app"
TELLING = ["iam:CreateUser", "ecr:PutImage", "ecr:DeleteRepository", "s3:GetObject", "sts:AssumeRole", *PULLING]


def pulling() -> Json:
    return {"Version": "2012-10-17", "Statement": statements("pull-boundary")}


def is_beyond(user: User, policies: dict[str, str]) -> bool:
    allowing = {user.inline, *(policies[arn] for arn in user.attached)}
    boundary = policies[user.boundary] if user.boundary else None
    return beyond(ANYWHERE if ANYWHERE in allowing else PULL, boundary)


def gains(state: State, may: Callable[[Request], bool], taking: str) -> Iterator[str]:
    """Yield who may do more than pull, if that is new, or if the operator can take that one's place."""
    policies, before = dict(state.policies), dict(START.users)
    for name, user in state.users:
        if is_beyond(user, policies):
            if name not in before or not is_beyond(before[name], dict(START.policies)):
                yield f"{name} may do more than pull"
            if may((taking, user.arn, ())):
                yield f"the operator may act as {name}"


def escalation(given: list[Json], roles: bool = False) -> list[str] | None:
    """Return the shortest way to a right beyond pulling, in an account with users or with roles; None when there is
    none.
    """
    who, start = holder(given), of_roles(START) if roles else START
    taking, moving = ("iam:UpdateAssumeRolePolicy", moves_of_roles) if roles else ("iam:CreateAccessKey", moves)

    @cache
    def may(request: Request) -> bool:
        return bool(allowed(who, [request]))

    ahead: deque[tuple[State, list[str]]] = deque([(start, [])])
    seen = {start}
    while ahead:
        state, way = ahead.popleft()
        for gain in gains(state, may, taking):
            return [*way, gain]
        for move in moving(state):
            if move.after not in seen and all(map(may, move.requests())):
                seen.add(move.after)
                ahead.append((move.after, [*way, move.operation]))
    return None


def altered(change: Callable[[dict[str, Json]], Any], names: str = OPERATOR) -> list[Json]:
    """Return the operator's statements after a change of them, by their Sids."""
    given = deepcopy(statements(names))
    change({one["Sid"]: one for one in given})
    return given


# The search


@pytest.mark.parametrize("names", ["operator", OPERATOR])
def test_no_way_leads_beyond_pulling(names: str) -> None:
    assert escalation(statements(names)) is None


def test_search_goes_where_the_operator_may_go() -> None:
    who = holder(statements(OPERATOR))
    done = {move.operation for move in moves(START) if set(move.requests()) == allowed(who, move.requests())}
    assert done == {
        "AttachUserPolicy",
        "CreatePolicyVersion",
        "CreateUser",
        "PutUserPermissionsBoundary",
        "PutUserPolicy",
        "UpdateUser",
    }


def without(sid: str, key: str) -> Callable[[dict[str, Json]], Any]:
    return lambda by_sid: by_sid[sid]["Condition"]["ArnLike"].pop(key)


def widened(sid: str, actions: tuple[str, ...] = (), resource: str = "") -> Callable[[dict[str, Json]], Any]:
    """Return what adds to a statement's actions, or puts another resource in place of its own."""

    def change(by_sid: dict[str, Json]) -> None:
        statement = by_sid[sid]
        statement["Action"] = [*statement["Action"], *actions]
        statement["Resource"] = resource or statement["Resource"]

    return change


def unconditional(by_sid: dict[str, Json]) -> None:
    for statement in by_sid.values():
        statement.pop("Condition", None)


MISTAKES: dict[str, tuple[Callable[[dict[str, Json]], Any], str]] = {
    "no conditions": (unconditional, "may do more than pull"),
    "no boundary": (without("OnlyWithBoundary", "iam:PermissionsBoundary"), "may do more than pull"),
    "attaching to anybody": (without("OnlyPullPolicies", "iam:PermissionsBoundary"), "may do more than pull"),
    "removal": (widened("WritePullUsers", ("iam:DeleteUserPermissionsBoundary",)), "may do more than pull"),
    "all users": (widened("WritePullUsers", resource=f"{IAM}:user/*"), "the operator may act as admin"),
    "all policies": (widened("WriteCustomerPolicies", resource=f"{IAM}:policy/*"), "may do more than pull"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_search_finds_the_way_that_a_mistake_opens(mistake: tuple[Callable[[dict[str, Json]], Any], str]) -> None:
    change, gain = mistake
    way = escalation(altered(change))
    assert way and way[-1].endswith(gain), way


# The search, among roles


@pytest.mark.parametrize("names", ["operator-role", KEEPER, "role-refresher", f"{OPERATOR} operator-role"])
def test_no_way_leads_beyond_pulling_by_a_pull_role(names: str) -> None:
    assert escalation(statements(names), roles=True) is None
    assert escalation(statements(names)) is None


def test_search_goes_where_who_keeps_roles_may_go() -> None:
    who, start = holder(statements(KEEPER)), of_roles(START)
    done = {move.operation for move in moves_of_roles(start) if set(move.requests()) == allowed(who, move.requests())}
    assert done == {
        "AttachRolePolicy",
        "CreatePolicyVersion",
        "CreateRole",
        "PutRolePermissionsBoundary",
        "PutRolePolicy",
    }
    refresher = holder(statements("role-refresher"))
    assert not any(allowed(refresher, move.requests()) for move in moves_of_roles(start))


MISTAKES_OF_ROLES: dict[str, tuple[Callable[[dict[str, Json]], Any], str]] = {
    "no conditions": (unconditional, "may do more than pull"),
    "no boundary": (without("RolesOnlyWithBoundary", "iam:PermissionsBoundary"), "may do more than pull"),
    "attaching to anybody": (without("RolesOnlyPullPolicies", "iam:PermissionsBoundary"), "may do more than pull"),
    "removal": (widened("WritePullRoles", ("iam:DeleteRolePermissionsBoundary",)), "may do more than pull"),
    "all roles": (widened("WritePullRoles", resource=f"{IAM}:role/*"), "the operator may act as admin"),
    "all policies": (widened("WriteCustomerPolicies", resource=f"{IAM}:policy/*"), "may do more than pull"),
}


@pytest.mark.parametrize("mistake", MISTAKES_OF_ROLES.values(), ids=MISTAKES_OF_ROLES)
def test_search_among_roles_finds_the_way_that_a_mistake_opens(
    mistake: tuple[Callable[[dict[str, Json]], Any], str],
) -> None:
    change, gain = mistake
    way = escalation(altered(change, KEEPER), roles=True)
    assert way and way[-1].endswith(gain), way


# The calls


def test_known_ways_of_escalating_are_shut() -> None:
    keys = [
        (),
        (("iam:PermissionsBoundary", BOUNDARY),),
        (("iam:PermissionsBoundary", BOUNDARY), ("iam:PolicyARN", OURS)),
    ]
    wanted = [(action, arn, each) for (action, arn), each in product(OTHER_CALLS, keys)]
    assert {action for action, dummy in OTHER_CALLS} <= {*every_action()}
    assert allowed(holder(statements(OPERATOR)), wanted) == set()
    of_roles = {(action, arn) for action, arn in OTHER_CALLS if arn == f"{IAM}:role/runpod/x"}  # these are the keeper's
    beside = [one for one in wanted if (one[0], one[1]) not in of_roles]
    assert allowed(holder(statements(f"{KEEPER} role-refresher")), beside) == set()


def test_who_keeps_roles_gives_nobody_more_than_the_boundary() -> None:
    who, role = holder(statements("operator-role")), f"{IAM}:role/runpod/x"
    bound, loose = (("iam:PermissionsBoundary", BOUNDARY),), (("iam:PermissionsBoundary", LOOSE),)
    giving = [f"iam:{one}" for one in ("CreateRole", "PutRolePolicy", "DeleteRolePolicy", "PutRolePermissionsBoundary")]
    assert allowed(who, [(action, role, bound) for action in giving]) == {(action, role, bound) for action in giving}
    attaching = [("iam:AttachRolePolicy", role, (*bound, ("iam:PolicyARN", arn))) for arn in (ADMIN, LOOSE, THEIRS)]
    beyond = ("DeleteRolePermissionsBoundary", "PassRole", "UpdateRole", "CreateServiceLinkedRole")
    wanted = [
        *((action, role, keys) for action in giving for keys in ((), loose)),
        *((action, f"{IAM}:role/admin", bound) for action in (*giving, "iam:UpdateAssumeRolePolicy", "iam:TagRole")),
        *((f"iam:{action}", role, bound) for action in beyond),
        *attaching,
        ("sts:AssumeRole", f"{IAM}:role/admin", ()),
    ]
    assert allowed(who, wanted) == set()


def test_who_refreshes_as_a_role_can_assume_pull_roles_and_nothing_else() -> None:
    who = holder(statements("role-refresher"))
    roles = [f"{IAM}:role/{name}" for name in ("runpod/x", "admin", "runpodx/x")]
    assert allowed(who, requests(every_action(), roles)) == {
        ("sts:AssumeRole", roles[0]),
        *(("sts:GetCallerIdentity", role) for role in roles),
    }


@pytest.mark.parametrize("names", ["auditor", "delegation", "public", "refresher", "pull-boundary"])
def test_nobody_else_writes_in_iam_or_takes_another_role(names: str) -> None:
    reads = ("iam:Get", "iam:List")
    granted = {action for one in statements(names) for action in one["Action"]}
    assert [one for one in granted if one.startswith("iam:") and not one.startswith(reads)] == []
    assert [one for one in granted if one.startswith("sts:")] in ([], ["sts:GetServiceBearerToken"])


# The boundary


def test_boundary_lets_nobody_do_more_than_pull() -> None:
    who = Who(f"{IAM}:user/runpod/puller", ANYTHING, {}, pulling())
    assert {action for action, dummy in allowed(who, requests(every_action(), [PROBE]))} == PULLING


def test_boundary_keeps_to_the_repositories_of_the_account() -> None:
    who = Who(f"{IAM}:user/runpod/puller", ANYTHING, {}, pulling())
    strange = [PROBE.replace(HOME, "210987654321"), PROBE.replace(":ecr:", ":ecr-public:")]
    assert {action for action, dummy in allowed(who, requests(PULLING, strange))} == {
        "ecr:GetAuthorizationToken",
        "sts:GetCallerIdentity",
    }


@EVERY_ORDER
def test_boundary_takes_nothing_from_the_policies_that_the_collection_writes(order: Order) -> None:
    wanted = requests(order.actions() | {"ecr:GetAuthorizationToken"}, [arn for arn in order.meant() if HOME in arn])
    bounded = order.puller()._replace(
        boundary=json.loads(json.dumps(pulling()).replace("arn:aws:", f"arn:{order.partition}:"))
    )
    assert allowed(bounded, wanted) == allowed(order.puller(), wanted)


def test_a_customer_managed_policy_that_is_widened_adds_nothing_to_a_pull_user() -> None:
    widened = {**dict(START.policies), OURS: ANYWHERE}
    bounded = User(f"{IAM}:user/runpod/puller", BOUNDARY, PULL, frozenset({OURS}))
    assert not is_beyond(bounded, widened)
    assert is_beyond(bounded._replace(boundary=None), widened)  # so nobody else may have a policy of this path
