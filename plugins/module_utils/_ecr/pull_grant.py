# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from .._aws.client import Aws, tolerating
from .._aws.policy_document import compact
from .._aws.runpod_roles import IN_FORCE, check_reach
from .._core.errors import AwsError, CollectionError, InputError, Json
from .._core.result import Result
from .._core.time import retry_until
from .._oci.reference import partition_of, repository_arn, split
from . import repository_policy
from .answer import field
from .unfinished import UnfinishedError

PAUSES = (0, 1, 2, 4)  # seconds before each try to write what others write too
PROPAGATION = timedelta(seconds=60)  # how long a young principal may be unknown
UNKNOWN_PRINCIPAL = "Principal not found|Invalid repository policy provided"


class Repository(NamedTuple):
    arn: str

    @property
    def name(self) -> str:
        return self.arn.partition(":repository/")[2]

    def call(self, aws: Aws, operation: str, **request: Any) -> Json:
        region, account = self.arn.split(":")[3:5]
        return aws.call("ecr", operation, region=region, registryId=account, repositoryName=self.name, **request)


class DesiredStatement(NamedTuple):
    """`statement` None means none of this Sid; `principals` are those for whom one may be without being somebody
    else's.
    """

    sid: str
    statement: Json | None
    principals: tuple[str, ...]

    def met(self, policy: Json | None) -> bool:
        return self.planned(policy) is policy

    def planned(self, policy: Json | None) -> Json | None:
        return repository_policy.planned(policy, self.sid, self.statement)


class ItemResult(NamedTuple):
    repository: Repository
    before: Json | None
    after: Json | None
    changed: bool
    warnings: tuple[str, ...] = ()


def run(params: Json, check_mode: bool, aws: Aws) -> Result:
    desired = desired_statement(params)
    found, warnings = read(aws, resolve(params, aws), desired.statement is None)
    planned = plan(found, desired)
    reports = planned if check_mode else apply(aws, planned, desired)
    return Result(
        any(report.changed for report in reports),
        {report.repository.arn: report.before for report in reports},
        {report.repository.arn: report.after for report in reports},
        results(reports, desired),
        (*warnings, *(warning for report in reports for warning in report.warnings)),
    )


def desired_statement(params: Json) -> DesiredStatement:
    """Raise InputError when the statement would not be narrow."""
    arns = IN_FORCE if params["principal_arns"] is None else tuple(params["principal_arns"])
    sid = params["statement_id"]
    return DesiredStatement(sid, None if params["state"] == "absent" else repository_policy.statement(sid, arns), arns)


def resolve(params: Json, aws: Aws) -> list[Repository]:
    """Ask AWS for the caller's account only when a name needs it."""
    given, account, partition = params["repositories"], params["account_id"], partition_of(aws.region)
    if account is not None and not re.fullmatch(r"\d{12}", account):
        raise InputError(f"account_id: {account!r} is not the id of an AWS account (12 digits).")
    for each in given:
        check_reach(repository_arn(each, partition, account or "", aws.region))
    if account is None and any(map(is_name, given)):
        account = field(aws.call("sts", "get_caller_identity"), "sts:GetCallerIdentity", "Account")
    arns = [repository_arn(each, partition, account or "", aws.region) for each in given]
    return [Repository(arn) for arn in dict.fromkeys(arns)]


def is_name(given: str) -> bool:
    return not given.startswith("arn:") and not split(given)[0]


def read(
    aws: Aws, repositories: list[Repository], absent: bool
) -> tuple[dict[Repository, Json | None], tuple[str, ...]]:
    """Raise InputError that names all missing repositories."""
    found: dict[Repository, Json | None] = {}
    missing = []
    for repository in repositories:
        try:
            found[repository] = read_policy(aws, repository)
        except AwsError as error:
            if error.code != "RepositoryNotFoundException":
                raise
            missing.append(repository.arn)
    if missing and not absent:
        raise InputError(f"These repositories do not exist: {', '.join(missing)}. Nothing was changed.")
    return found, tuple(f"{arn} does not exist, so there is no statement to remove." for arn in missing)


def read_policy(aws: Aws, repository: Repository) -> Json | None:
    with tolerating("RepositoryPolicyNotFoundException"):
        answer = repository.call(aws, "get_repository_policy")
        return repository_policy.parse(repository.arn, field(answer, "ecr:GetRepositoryPolicy", "policyText"))
    return None


def plan(found: dict[Repository, Json | None], desired: DesiredStatement) -> list[ItemResult]:
    return [plan_policy(repository, policy, desired) for repository, policy in found.items()]


def plan_policy(repository: Repository, policy: Json | None, desired: DesiredStatement) -> ItemResult:
    """Raise ConflictError and InputError for what must not be."""
    repository_policy.check_own(repository.arn, repository_policy.own(policy, desired.sid), desired.principals)
    after = desired.planned(policy)
    if after is not policy and desired.statement:
        repository_policy.check_size(repository.arn, after)
    return ItemResult(repository, policy, after, after is not policy)


def apply(aws: Aws, planned: list[ItemResult], desired: DesiredStatement) -> list[ItemResult]:
    """Raise UnfinishedError at the first that fails."""
    finished: list[ItemResult] = []
    done: list[str] = []
    for each in planned:
        try:
            finished.append(put_until_stable(aws, each, desired, done) if each.changed else each)
        except CollectionError as error:
            raise UnfinishedError(error, done, results(finished, desired), each.repository.arn) from error
    return finished


def put_until_stable(aws: Aws, planned: ItemResult, desired: DesiredStatement, done: list[str]) -> ItemResult:
    """Write until it is read as it should be, since whoever writes last wins. `done` notes it."""
    repository, deadline = planned.repository, aws.clock() + PROPAGATION
    writes: list[ItemResult] = []
    others: list[Json] = []  # others' statements when we last wrote
    returned: list[Json] = []  # those that we put back
    for pause in PAUSES:
        aws.sleep(pause)
        attempt = partial(write, aws, repository, desired, others)
        wrote, missing = retry_until(aws, deadline, attempt, {"InvalidParameterException"}, UNKNOWN_PRINCIPAL)
        if wrote.changed:
            writes.append(wrote)
            done.append(f"the policy of {repository.arn} was written")
            returned += missing
            others = repository_policy.foreign(wrote.after, desired.sid)
        now = read_policy(aws, repository) if wrote.changed else wrote.after
        if desired.met(now):
            before = writes[0].before if writes else now
            left = repository_policy.lost(now, others)
            return ItemResult(repository, before, now, bool(writes), warnings_of(repository, returned, left))
    raise CollectionError(
        f"Somebody else overwrote the policy each of the {len(PAUSES)} times that it was written. "
        "Stop the other writer, then run again."
    )


def write(
    aws: Aws, repository: Repository, desired: DesiredStatement, others: list[Json]
) -> tuple[ItemResult, list[Json]]:
    """Read and write at once.

    `others` are statements that were there when we last wrote: those that went with ours fell to somebody who had not
    seen ours, so they are put back, and returned.
    """
    current = read_policy(aws, repository)
    if desired.met(current):
        return ItemResult(repository, current, current, False), []
    missing = repository_policy.lost(current, others)
    planned = plan_policy(repository, repository_policy.restored(current, missing), desired)
    put(aws, repository, planned.after)
    return planned._replace(before=current), missing


def put(aws: Aws, repository: Repository, policy: Json | None) -> None:
    """None deletes the policy."""
    if policy:
        repository.call(aws, "set_repository_policy", policyText=compact(policy))
        return
    with tolerating("RepositoryPolicyNotFoundException"):
        repository.call(aws, "delete_repository_policy")


def warnings_of(repository: Repository, returned: list[Json], left: list[Json]) -> tuple[str, ...]:
    def named(statements: list[Json], what: str) -> tuple[str, ...]:
        names = ", ".join(dict.fromkeys(each.get("Sid") or "one without a Sid" for each in statements))
        return (f"{repository.arn}: {what}: {names}.",) if statements else ()

    back = named(returned, "statements of others that somebody overwrote at the same time were put back")
    return back + named(left, "somebody took away statements of others at the same time, and they stay away")


def results(reports: list[ItemResult], desired: DesiredStatement) -> Json:
    policies = [
        {
            "repository": report.repository.name,
            "arn": report.repository.arn,
            "document": report.after,
            "changed": report.changed,
            "drift": repository_policy.drift(repository_policy.own(report.before, desired.sid), desired.statement),
            "size": repository_policy.size(report.after),
            "limit": repository_policy.LIMIT,
        }
        for report in reports
    ]
    foreign = [
        {"arn": report.repository.arn, "statement": statement}
        for report in reports
        for statement in repository_policy.foreign(report.after, desired.sid)
    ]
    return {"policies": policies, "foreign_statements": foreign}
