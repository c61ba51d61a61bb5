# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IAM's SimulatePrincipalPolicy: what whoever calls could do, by the policies that the sandbox judges calls by."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from .aws_access import OPERATOR_ARN, Access, Holder, users
from .aws_calls import REQUEST_ID, AwsCall, AwsRefusal

ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9]+")
MOST_ACTIONS = 100


def simulate(access: Access, call: AwsCall) -> Response:
    """Answer for an operator or a user. The policies of resources do not count, unlike those of who is judged."""
    source = call.parameters.get("PolicySourceArn", "")
    holder = _holder(call, source)
    actions, resources = members(call, "ActionNames"), members(call, "ResourceArns") or ["*"]
    wrong = [action for action in actions if not ACTION.fullmatch(action)]
    if wrong or not actions or len(actions) > MOST_ACTIONS:
        raise AwsRefusal("InvalidInput", f"Invalid Action Name: {wrong}", 400)
    keys = _context(call)
    judged = [(action, one, access.denial(holder, action, one, keys)) for action in actions for one in resources]
    results = "".join(_result(*one) for one in judged)
    text = (
        f"<{call.operation}Response><{call.operation}Result><IsTruncated>false</IsTruncated>"
        f"<EvaluationResults>{results}</EvaluationResults></{call.operation}Result>"
        f"<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></{call.operation}Response>"
    )
    return Response(text, 200, {"x-amzn-RequestId": REQUEST_ID}, content_type="text/xml")


def _holder(call: AwsCall, source: str) -> Holder:
    if source == OPERATOR_ARN.format(call.account):
        return Holder(call.account)
    found = [user for account, user in users() if account == call.account and user.arn == source]
    if not found:
        raise AwsRefusal("NoSuchEntity", f"The principal {source} cannot be found.", 404)
    return Holder(call.account, found[0].id, found[0].arn)


def members(call: AwsCall, name: str) -> list[str]:
    """Return a list of the query protocol."""
    return [value for key, value in call.parameters.items() if re.fullmatch(rf"{name}\.member\.\d+", key)]


def _context(call: AwsCall) -> dict[str, str]:
    names = {
        key.split(".")[2]: value
        for key, value in call.parameters.items()
        if re.fullmatch(r"ContextEntries\.member\.\d+\.ContextKeyName", key)
    }
    return {
        name: call.parameters[f"ContextEntries.member.{at}.ContextKeyValues.member.1"] for at, name in names.items()
    }


def _result(action: str, resource: str, denied: str | None) -> str:
    decision = "allowed" if denied is None else "explicitDeny" if "explicit deny" in denied else "implicitDeny"
    bounded = str("permissions boundary" not in (denied or "")).lower()
    detail = f"<AllowedByPermissionsBoundary>{bounded}</AllowedByPermissionsBoundary>"
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>{escape(resource)}</EvalResourceName><EvalDecision>{decision}</EvalDecision>"
        f"<PermissionsBoundaryDecisionDetail>{detail}</PermissionsBoundaryDecisionDetail>"
        "<MatchedStatements/><MissingContextValues/></member>"
    )
