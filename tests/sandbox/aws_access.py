# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who makes a call to AWS, and whether the policies of an IAM user or role let it through.

Inline and attached policies, the permissions boundary, a session's own policy and the control policies of the
organization count.
Groups, resource-based policies and conditions do not: a statement with a condition counts as if it had none, and nobody
gets at what is another account's. What an operator may do besides is for others to judge: see `Access.operator_may`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.iam.models import IAMBackend, iam_backends, mark_account_as_visited
from moto.secretsmanager.models import secretsmanager_backends

from .aws_calls import ACCOUNT, ACCOUNTS, OPERATORS, AwsCall, AwsRefusal
from .aws_roles import OPERATOR as ROLE_OF_OPERATORS
from .aws_roles import role_of, session_of
from .policies import TAGGING, TOGETHER, covers, iam_context, iam_resources, listed

# Needs no permission, and no policy can deny it.
FREE = {"sts:GetCallerIdentity"}
# The keys of AWS' documentation: the operators'.
OPERATOR = re.compile(r"A(KIA|SIA)[A-Z0-9]+EXAMPLE")
OPERATOR_ARN = "arn:aws:iam::{}:user/operator"
UNKNOWN = "The security token included in the request is invalid."
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)


def iam(account: str) -> IAMBackend:
    return iam_backends[account]["aws"]


def users() -> Iterator[tuple[str, Any]]:
    """Yield the users of all accounts, each with its account."""
    for account in ACCOUNTS:
        yield from ((account, user) for user in iam(account).users.values())


def principals() -> Iterator[Any]:
    """Yield the users and roles of all accounts."""
    for account in ACCOUNTS:
        yield from iam(account).users.values()
        yield from iam(account).roles.values()


def effects(documents: tuple[str, ...], action: str, resource: str) -> set[str]:
    """Return the effects, of Allow and Deny, that policy documents have on an action."""
    statements = [statement for text in documents for statement in listed(json.loads(text)["Statement"])]
    return {statement["Effect"] for statement in statements if covers(statement, action, resource)}


# What a call touches


def _repositories(call: AwsCall) -> list[str]:
    if call.operation == "GetAuthorizationToken":
        return ["*"]
    names = call.parameters.get("repositoryNames") or [call.parameters.get("repositoryName", "*")]
    registry = call.parameters.get("registryId", call.account)
    return [f"arn:aws:ecr:{call.region}:{registry}:repository/{name}" for name in names]


def _public_repositories(call: AwsCall) -> list[str]:
    given = call.parameters
    if "resourceArn" in given:
        return [given["resourceArn"]]
    names = given.get("repositoryNames") or [each for each in (given.get("repositoryName"),) if each]
    registry = given.get("registryId", call.account)
    return [f"arn:aws:ecr-public::{registry}:repository/{name}" for name in names] or ["*"]


def _secrets(call: AwsCall) -> list[str]:
    name = call.parameters.get("SecretId") or call.parameters.get("Name") or "*"
    held = secretsmanager_backends[call.account][call.region].secrets.get(name)
    if held is not None:
        return [held.arn]
    return [name if name.startswith("arn:") else f"arn:aws:secretsmanager:{call.region}:{call.account}:secret:{name}"]


def _parameters(call: AwsCall) -> list[str]:
    given = call.parameters
    names = given.get("Names") or [given.get("Name") or given.get("ResourceId") or given.get("Path") or "*"]
    return [f"arn:aws:ssm:{call.region}:{call.account}:parameter/{name.removeprefix('/')}" for name in names]


def _user(call: AwsCall) -> Any | None:
    """Return the user that a call to IAM names, itself or by one of its keys."""
    held = iam(call.account).users
    if "UserName" in call.parameters:
        return held.get(call.parameters["UserName"])
    key = call.parameters.get("AccessKeyId")
    return next((one for one in held.values() if any(each.access_key_id == key for each in one.access_keys)), None)


def _named(call: AwsCall) -> Any | None:
    role = call.parameters.get("RoleName")
    return role_of(call.account, role) if role else _user(call)


def _iam(call: AwsCall) -> list[str]:
    named = _named(call)
    return iam_resources(call.account, call.operation, call.parameters, named.arn if named else None)


def _roles(call: AwsCall) -> list[str]:
    return [call.parameters.get("RoleArn", "*")]


RESOURCES: dict[str, Callable[[AwsCall], list[str]]] = {
    "ecr": _repositories,
    "ecr-public": _public_repositories,
    "iam": _iam,
    "secretsmanager": _secrets,
    "ssm": _parameters,
    "sts": _roles,
}


def resources(call: AwsCall) -> list[str]:
    return RESOURCES.get(call.service, lambda dummy: ["*"])(call)


def context(call: AwsCall) -> dict[str, str]:
    """Return the condition keys of a call that tell what is asked for."""
    if call.service != "iam":
        return {}
    held = getattr(_named(call), "permissions_boundary", None) or {}
    return iam_context(call.operation, call.parameters, held.get("PermissionsBoundaryArn"))


def needed(call: AwsCall) -> list[str]:
    """Return the actions that a call needs the right to."""
    tagged = any(name.lower().startswith("tags") for name, value in call.parameters.items() if value)
    tagging = [TAGGING[call.name]] if tagged and call.name in TAGGING else []
    return [call.name, *TOGETHER.get(call.name, ()), *tagging]


# Who calls


class Change(NamedTuple):
    """The policies that a user had from some time on."""

    since: float
    documents: tuple[str, ...]


class Holder(NamedTuple):
    """Whose identity a call had, and a registry token has from then on; an operator's has no `user_id`. A session of a
    role may do no more than its policy says, if it has one.
    """

    account: str
    user_id: str = ""
    arn: str = ""
    session_policy: str = ""


class Access:
    """Lets a call through, or raises AwsRefusal. An operator may do everything in the own account, and so may the
    operators' role.

    `delay` returns the seconds that a new key or a changed policy takes to work. `operator_may` tells of an action, a
    resource and condition keys whether the operators' policy allows it.
    """

    operator_may: Callable[[str, str, Mapping[str, str]], bool]

    def __init__(self, clock: Callable[[], float], delay: Callable[[], float]) -> None:
        self._clock = clock
        self._delay = delay
        self.reset()

    def reset(self) -> None:
        self.operator_may = lambda *dummy: True
        self.control_policies: tuple[str, ...] = ()  # of the organization; no user is above them
        self._issued: dict[str, float] = {}
        self._used: dict[str, float] = {}  # since when
        self._policies: dict[str, list[Change]] = {}

    def observe(self) -> None:
        """Note the keys and policies that are new in IAM, and when."""
        now = self._clock()
        for user in principals():
            for key in getattr(user, "access_keys", ()):
                self._issued.setdefault(key.access_key_id, now)
            changes = self._policies.setdefault(user.id, [Change(float("-inf"), ())])
            documents = tuple(_documents(user))
            if documents != changes[-1].documents:
                changes.append(Change(now, documents))

    def identified(self, call: AwsCall) -> AwsCall:
        """Return a call with the account of its key; one with a key that nobody has is refused in any."""
        return call._replace(account=self.holder(call.access_key).account)

    def check(self, call: AwsCall) -> None:
        if not call.access_key:
            code = "MissingAuthenticationToken"
            raise _refusal(call, f"{code}Exception", code, "Request is missing Authentication Token")
        if call.access_key in self._issued:
            self._check_signature(call)
        elif not (OPERATOR.fullmatch(call.access_key) or session_of(call.access_key)):
            raise _refusal(call, "UnrecognizedClientException", "InvalidClientTokenId", UNKNOWN)
        if call.name not in FREE:
            holder = self.holder(call.access_key)
            for resource in resources(call):
                for action in needed(call):
                    self._authorize(call, holder, action, resource)

    def _check_signature(self, call: AwsCall) -> None:
        held = [key for dummy, user in users() for key in user.access_keys if key.access_key_id == call.access_key]
        if not held or not self._works(call, held[0]):
            raise _refusal(call, "UnrecognizedClientException", "InvalidClientTokenId", UNKNOWN)
        if _signature(call, held[0].secret_access_key) != call.signature:
            raise _refusal(call, "InvalidSignatureException", "SignatureDoesNotMatch", MISMATCH)
        self._used.setdefault(call.access_key, self._clock())
        mark_account_as_visited(call.account, call.access_key, call.service, call.region)  # moto sees not all calls

    def first_use(self, access_key: str) -> float:
        return self._used.get(access_key, float("-inf"))

    def stands(self, access_key: str) -> bool:
        """Return whether a key is an operator's, or an active one of a user."""
        held = (key for dummy, user in users() for key in user.access_keys)
        active = {key.access_key_id for key in held if key.status == "Active"}
        return access_key not in self._issued or access_key in active

    def _settled(self, since: float) -> bool:
        return self._clock() >= since + self._delay()

    def _works(self, call: AwsCall, key: Any) -> bool:
        known = self._settled(self._issued[call.access_key])
        return known and key.status == "Active" and "X-Amz-Security-Token" not in call.headers

    def _authorize(self, call: AwsCall, holder: Holder, action: str, resource: str) -> None:
        text = self.denial(holder, action, resource, context(call))
        if text:
            raise _refusal(call, "AccessDeniedException", "AccessDenied", text)

    def holder(self, access_key: str) -> Holder:
        """Return whose identity a call with this key has."""
        for account, user in users():
            if access_key in (key.access_key_id for key in user.access_keys):
                return Holder(account, user.id, user.arn)
        session = session_of(access_key)
        if session is None:
            return Holder(OPERATORS.get(access_key) or ACCOUNT)
        name = session.role_arn.rpartition("/")[2]
        if name == ROLE_OF_OPERATORS:
            return Holder(session.account_id)
        role = role_of(session.account_id, name)
        return Holder(session.account_id, role.id if role else "gone", session.arn, session.policy or "")

    def denial(
        self, holder: Holder, action: str, resource: str, keys: Mapping[str, str] = MappingProxyType({})
    ) -> str | None:
        """Return why an action is not allowed today, or None. Who was deleted may do nothing."""
        said = f"User: {holder.arn or OPERATOR_ARN.format(holder.account)} is not authorized to perform: {action}"
        owner = resource.split(":")[4] if resource.startswith("arn:") else ""
        if owner != holder.account and owner in ACCOUNTS and action != "sts:AssumeRole":  # which a trust allows
            return f"{said} on resource: {resource} because no resource-based policy allows the {action} action"
        if not holder.user_id:
            may = self.operator_may(action, resource, keys)
            return None if may else f"{said} on resource: {resource} {_reason(action)}"
        user = next((one for one in principals() if one.id == holder.user_id), None)
        changes = self._policies[holder.user_id] if user else []
        visible = [one.documents for one in changes if self._settled(one.since)]
        found = effects(visible[-1] if visible else (), action, resource)
        boundary = _boundary(holder.account, user)
        limit = {"Allow"} if boundary is None else effects((boundary,), action, resource)
        session = effects((holder.session_policy,), action, resource) if holder.session_policy else {"Allow"}
        above = effects(self.control_policies, action, resource) if self.control_policies else {"Allow"}
        reasons = [
            *_reasons_above(action, above),
            *_reasons(action, found, limit),
            *_reasons_of_session(action, session),
        ]
        return next((f"{said} on resource: {resource} {reason}" for reason in reasons), None)


def _reason(action: str) -> str:
    return f"because no identity-based policy allows the {action} action"


def _reasons_above(action: str, above: set[str]) -> Iterator[str]:
    if "Deny" in above:
        yield "with an explicit deny in a service control policy"
    if "Allow" not in above:
        yield f"because no service control policy allows the {action} action"


def _reasons(action: str, found: set[str], limit: set[str]) -> Iterator[str]:
    if "Deny" in found:
        yield "with an explicit deny in an identity-based policy"
    if "Deny" in limit:
        yield "with an explicit deny in a permissions boundary"
    if "Allow" not in found:
        yield _reason(action)
    if "Allow" not in limit:
        yield f"because no permissions boundary allows the {action} action"


def _reasons_of_session(action: str, session: set[str]) -> Iterator[str]:
    if "Deny" in session:
        yield "with an explicit deny in a session policy"
    if "Allow" not in session:
        yield f"because no session policy allows the {action} action"


def _documents(user: Any) -> Iterator[str]:
    yield from user.policies.values()
    for policy in user.managed_policies.values():
        yield _document(policy)


def _document(policy: Any) -> str:
    return next(one.document for one in policy.versions if one.version_id == policy.default_version_id)


def _boundary(account: str, user: Any) -> str | None:
    """Return a user's boundary; one whose policy was never created limits nothing."""
    held = getattr(user, "permissions_boundary", None)
    policy = iam(account).managed_policies.get(held["PermissionsBoundaryArn"]) if held else None
    return _document(policy) if policy else None


def _signature(call: AwsCall, secret: str) -> str:
    signer = SigV4Auth(Credentials(call.access_key, secret), call.service, call.region)
    signed = {name: value for name, value in call.headers.items() if name.lower() in call.signed_headers}
    request = AWSRequest(call.method, call.url, signed, call.body)
    request.context["timestamp"] = call.headers.get("X-Amz-Date", "")
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


def _refusal(call: AwsCall, json_code: str, query_code: str, text: str) -> AwsRefusal:
    return AwsRefusal(json_code, text, 400) if call.json else AwsRefusal(query_code, text, 403)
