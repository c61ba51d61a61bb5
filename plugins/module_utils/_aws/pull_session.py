# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: sessions that mint tokens, narrowed to the repositories that are to be pulled. What a
# session policy says only takes away from what the role may.

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .._core.errors import DENIED, AwsError, InputError, Json
from .answer import Answer
from .client import Aws
from .policy_document import compact
from .pull_document import pull_document
from .secret_entry import KeyPair

LIMIT = 2048  # characters of a session policy, white space counted
NAME = "gpuops.runpod"  # of sessions, as CloudTrail shows it
SECONDS = 3600  # the longest session of a role that another role assumes
ROLE = re.compile(r"arn:[\w-]+:iam::(?P<account>\d{12}):role/(?:[!-~]*/)?(?P<name>[\w+=,.@-]{1,64})", re.ASCII)
SESSION = re.compile(r"arn:[\w-]+:sts::(?P<account>\d{12}):assumed-role/(?P<name>[^/]+)/.+", re.ASCII)
# What STS says to those who have no session to narrow, or may not.
NO_SCOPE = DENIED | {"InvalidAction", "InvalidSubjectCredentials", "InvalidSubjectCredentialsException"}
AS_THE_CALLER = (
    "{1} can pull whatever {0} can: its tokens were minted as this identity, which is narrowed only where it is a "
    "session of a role and boto3 knows GetScopedCredentials. Else name a role to assume."
)
TOO_MANY = "The repositories are too many for a session policy, so {1} can pull {0}. Name fewer, or in one folder."


class Minting(NamedTuple):
    """As whom tokens are minted where no key is stored: a role to assume, else the caller. `repositories` None leaves
    it all its rights.
    """

    role_arn: str | None = None
    external_id: str | None = None
    repositories: tuple[str, ...] | None = None


class PullSession(NamedTuple):
    """`key` None is the caller's own identity; `opens_more` warns of what it opens beside the repositories."""

    key: KeyPair | None
    opens_more: str = ""


class SessionPolicy(NamedTuple):
    """Without a document nothing fits."""

    document: Json | None
    exact: bool


def check_minting(minting: Minting) -> None:
    """Raise InputError."""
    if minting.role_arn is not None and not ROLE.fullmatch(minting.role_arn):
        raise InputError(f"role_arn {minting.role_arn!r} is no ARN of an IAM role.")
    if minting.external_id is not None and minting.role_arn is None:
        raise InputError("external_id is for a role that is assumed: set role_arn too.")


def account_of_role(role_arn: str) -> str:
    return role_arn.split(":")[4]


def session_policy(arns: Iterable[str]) -> SessionPolicy:
    """Name the repositories; where they are too many, the folders that they lie in."""
    given = sorted(set(arns))
    for patterns in (given, sorted({folder_of(arn) for arn in given})):
        document = pull_document(patterns)
        if len(compact(document)) <= LIMIT:
            return SessionPolicy(document, patterns == given)
    return SessionPolicy(None, False)


def folder_of(arn: str) -> str:
    """Return the pattern of the first folder; a repository in none stays."""
    head, name = arn.split(":repository/")
    folder, slash, dummy = name.partition("/")
    return f"{head}:repository/{folder}/*" if slash else arn


def pull_session(
    aws: Aws, minting: Minting, region: str, more: Iterable[str] = (), holder: str = "RunPod"
) -> PullSession:
    """Open a session for the tokens of one region; `more` are repositories that are pulled with them already, and
    `holder` is who gets them.
    """
    policy = None
    if minting.repositories is not None:
        policy = session_policy(arn for arn in (*minting.repositories, *more) if arn.split(":")[3] in (region, "*"))
    if minting.role_arn is None:
        return scoped(aws, aws.call("sts", "get_caller_identity")["Arn"], policy, holder)
    arn = str(aws.call("sts", "get_caller_identity")["Arn"])
    if is_session_of(arn, minting.role_arn):
        return scoped(aws, arn, policy, holder)
    return assumed(aws, minting, policy, holder)


def is_session_of(arn: str, role_arn: str) -> bool:
    """A role does not assume itself unless its trust says so."""
    session, role = SESSION.fullmatch(arn), ROLE.fullmatch(role_arn)
    return bool(session and role and session.groups() == role.groups())


def assumed(aws: Aws, minting: Minting, policy: SessionPolicy | None, holder: str) -> PullSession:
    document = policy.document if policy else None
    request: Json = {"Policy": compact(document)} if document else {}
    if minting.external_id is not None:
        request["ExternalId"] = minting.external_id
    answer = aws.call(
        "sts",
        "assume_role",
        RoleArn=minting.role_arn,
        RoleSessionName=NAME,
        DurationSeconds=SECONDS,
        **request,
    )
    return PullSession(key_of(answer), opens_more(str(minting.role_arn), policy, holder))


def scoped(aws: Aws, arn: str, policy: SessionPolicy | None, holder: str) -> PullSession:
    """Narrow the caller's own session, where boto3 and STS know how to."""
    whole = PullSession(None, AS_THE_CALLER.format(arn, holder) if policy else "")
    narrow = policy and policy.document and SESSION.fullmatch(arn) and aws.knows("sts", "get_scoped_credentials")
    if not (policy and policy.document and narrow):
        return whole
    try:
        answer = aws.call("sts", "get_scoped_credentials", Policy=compact(policy.document))
    except AwsError as error:
        if error.code not in NO_SCOPE:
            raise
        return whole
    return PullSession(key_of(answer), opens_more(arn, policy, holder))


def key_of(answer: Answer) -> KeyPair:
    given = answer["Credentials"]
    return KeyPair(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def opens_more(who: str, policy: SessionPolicy | None, holder: str) -> str:
    if policy is None or policy.exact:
        return ""
    of_folders = " of the folders that they lie in" if policy.document else ""
    return TOO_MANY.format(f"whatever {who} can{of_folders}", holder)
