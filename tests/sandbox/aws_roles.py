# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles of IAM: whom AWS lets into a trust, who may assume a role, and what a session of it may then do.

Web identities do not call here: what a provider vouches for is not judged.
"""

from __future__ import annotations

import json
import re
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from .aws_calls import ACCOUNTS, AwsCall, AwsRefusal
from .policies import listed

OPERATOR = "operator"  # the role that whoever has the keys of AWS' documentation may assume; it need not be made
OPERATOR_USER = re.compile(r"arn:aws:iam::\d{12}:user/operator")
SESSION_POLICY = 2048
TRUST = 2048


def role_of(account: str, name: str) -> Any | None:
    return next((role for role in iam_backends[account]["aws"].roles.values() if role.name == name), None)


def session_of(access_key: str) -> Any | None:
    """Return the session that STS lent with this key, if it is one."""
    lent = (sts_backends[each]["aws"].get_assumed_role_from_access_key(access_key) for each in ACCOUNTS)
    return next((one for one in lent if one), None)


def check_trust(document: str) -> None:
    """Refuse somebody who does not exist, as IAM does when a trust is written."""
    if len("".join(document.split())) > TRUST:
        raise AwsRefusal("LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {TRUST}", 409)
    for statement in listed(json.loads(document)["Statement"]):
        for arn in listed(statement.get("Principal", {}).get("AWS", [])):
            if not exists(arn):
                raise AwsRefusal("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{arn}"', 400)


def exists(arn: str) -> bool:
    parts = re.fullmatch(r"arn:aws:iam::(\d{12}):(root|user/(?:.*/)?([^/]+)|role/(?:.*/)?([^/]+))", arn)
    if parts is None or parts[1] not in ACCOUNTS:
        return bool(parts)
    if parts[2] == "root" or OPERATOR_USER.fullmatch(arn):
        return True
    if parts[3]:
        return parts[3] in iam_backends[parts[1]]["aws"].users
    return role_of(parts[1], parts[4]) is not None


def check_assumption(call: AwsCall, caller: str) -> None:
    """Refuse who is not trusted, and a session policy that STS does not take."""
    arn = call.parameters["RoleArn"]
    policy = call.parameters.get("Policy")
    if policy is not None and len(policy) > SESSION_POLICY:
        text = f"The requested packed policy size exceeded the limit: {len(policy)} of {SESSION_POLICY}."
        raise AwsRefusal("PackedPolicyTooLarge", text, 400)
    account, name = arn.split(":")[4], arn.rpartition("/")[2]
    if name == OPERATOR:
        return
    role = role_of(account, name) if account in ACCOUNTS else None
    trusted = role is not None and role.arn == arn and trusts(role, caller, call.parameters.get("ExternalId"))
    if not trusted:
        text = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise AwsRefusal("AccessDenied", text, 403)


def trusts(role: Any, caller: str, external_id: str | None) -> bool:
    statements = listed(json.loads(role.assume_role_policy_document)["Statement"])
    return any(lets_in(statement, caller, external_id) for statement in statements)


def lets_in(statement: Any, caller: str, external_id: str | None) -> bool:
    given = listed(statement.get("Principal", {}).get("AWS", []))
    root = f"arn:aws:iam::{caller.split(':')[4]}:root"
    wanted = statement.get("Condition", {}).get("StringEquals", {}).get("sts:ExternalId", external_id)
    assumes = statement["Effect"] == "Allow" and "sts:AssumeRole" in listed(statement["Action"])
    return assumes and bool({caller, role_arn(caller), root} & set(given)) and external_id in listed(wanted)


def role_arn(caller: str) -> str:
    """Return the ARN of the role that a caller is a session of."""
    session = re.fullmatch(r"arn:aws:sts::(\d{12}):assumed-role/([^/]+)/.+", caller)
    role = role_of(session[1], session[2]) if session else None
    return role.arn if role else caller
