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
from . import repository_policy as _grant
from .answer import field

PAUSES = (0, 1, 2, 4)  # seconds before each try to write a policy that others write too
PATIENCE = timedelta(seconds=60)  # how long a principal may be unknown that is seconds old
UNKNOWN_PRINCIPAL = "Principal not found|Invalid repository policy provided"


class Repository(NamedTuple):
    """A private repository."""

    arn: str

    @property
    def name(self) -> str:
        return self.arn.partition(":repository/")[2]

    def call(self, aws: Aws, operation: str, **request: Any) -> Json:
        """Return the answer of an operation of ECR, in the repository's own region and account."""
        region, account = self.arn.split(":")[3:5]
        return aws.call("ecr", operation, region=region, registryId=account, repositoryName=self.name, **request)


class DesiredStatement(NamedTuple):
    """What every policy is to have: this statement, or with None no statement of this Sid.

    `principals` are those for whom a statement may be without being somebody else's.
    """

    sid: str
    statement: Json | None
    principals: tuple[str, ...]

    def met(self, policy: Json | None) -> bool:
        """Return whether nothing is to be done."""
        return self.planned(policy) is policy

    def planned(self, policy: Json | None) -> Json | None:
        """Return the policy as it should be."""
        return _grant.planned(policy, self.sid, self.statement)


class ItemResult(NamedTuple):
    """What became of one policy, or would."""

    repository: Repository
    before: Json | None
    after: Json | None
    changed: bool
    warnings: tuple[str, ...] = ()


class UnfinishedError(CollectionError):
    """Writing one policy failed. What was done before it is in the result."""

    def __init__(
        self, failure: CollectionError, repository: Repository, goal: DesiredStatement, done: list[ItemResult]
    ) -> None:
        message = str(failure)
        super().__init__(message if repository.arn in message else f"{repository.arn}: {message}")
        self.failure, self.goal, self.done = failure, goal, done

    def as_result(self) -> Json:
        changed = any(report.changed for report in self.done)
        return {**self.failure.as_result(), "msg": str(self), "changed": changed, **results(self.done, self.goal)}


def run(params: Json, check_mode: bool, aws: Aws) -> Result:
    """Read all policies, decide, and only then write: what cannot be done changes nothing."""
    goal = wanted(params)
    repositories = resolve(params, aws)
    found, warnings = read_all(aws, repositories, params["state"] == "absent")
    reports = [preview(repository, policy, goal) for repository, policy in found.items()]
    if not check_mode:
        reports = write_all(aws, reports, goal)
    return Result(
        any(report.changed for report in reports),
        {report.repository.arn: report.before for report in reports},
        {report.repository.arn: report.after for report in reports},
        results(reports, goal),
        (*warnings, *(warning for report in reports for warning in report.warnings)),
    )


def wanted(params: Json) -> DesiredStatement:
    """Return what the options ask for. Raises InputError when the statement would not be narrow."""
    arns = IN_FORCE if params["principal_arns"] is None else tuple(params["principal_arns"])
    sid = params["statement_id"]
    return DesiredStatement(sid, None if params["state"] == "absent" else _grant.statement(sid, arns), arns)


def resolve(params: Json, aws: Aws) -> list[Repository]:
    """Return the repositories, each once. Asks AWS for the caller's account only when a name needs it."""
    given, account = params["repositories"], params["account_id"]
    if account is not None and not re.fullmatch(r"\d{12}", account):
        raise InputError(f"account_id: {account!r} is not the id of an AWS account (12 digits).")
    if account is None and any(is_name(each) for each in given):
        account = field(aws.call("sts", "get_caller_identity"), "sts:GetCallerIdentity", "Account")
    arns = [repository_arn(each, partition_of(aws.region), account or "", aws.region) for each in given]
    for arn in arns:
        check_reach(arn)
    return [Repository(arn) for arn in dict.fromkeys(arns)]


def is_name(given: str) -> bool:
    """Return whether this says neither account nor region."""
    return not given.startswith("arn:") and not split(given)[0]


def read_all(
    aws: Aws, repositories: list[Repository], absent: bool
) -> tuple[dict[Repository, Json | None], tuple[str, ...]]:
    """Return each repository's policy, and warnings. Raises InputError that names all repositories that are missing."""
    found: dict[Repository, Json | None] = {}
    missing = []
    for repository in repositories:
        try:
            found[repository] = read(aws, repository)
        except AwsError as error:
            if error.code != "RepositoryNotFoundException":
                raise
            missing.append(repository.arn)
    if missing and not absent:
        raise InputError(f"These repositories do not exist: {', '.join(missing)}. Nothing was changed.")
    return found, tuple(f"{arn} does not exist, so there is no statement to remove." for arn in missing)


def read(aws: Aws, repository: Repository) -> Json | None:
    """Return the policy of a repository, None when it has none."""
    with tolerating("RepositoryPolicyNotFoundException"):
        answer = repository.call(aws, "get_repository_policy")
        return _grant.parse(repository.arn, field(answer, "ecr:GetRepositoryPolicy", "policyText"))
    return None


def preview(repository: Repository, policy: Json | None, goal: DesiredStatement) -> ItemResult:
    """Return what is to become of a policy. Raises ConflictError and InputError for what must not."""
    _grant.check_own(repository.arn, _grant.own(policy, goal.sid), goal.principals)
    after = goal.planned(policy)
    if after is not policy and goal.statement:
        _grant.check_size(repository.arn, after)
    return ItemResult(repository, policy, after, after is not policy)


def write_all(aws: Aws, foreseen: list[ItemResult], goal: DesiredStatement) -> list[ItemResult]:
    """Write the policies that are to change, one after the other. Raises UnfinishedError at the first that fails."""
    done: list[ItemResult] = []
    for report in foreseen:
        try:
            done.append(put_until_stable(aws, report, goal) if report.changed else report)
        except CollectionError as error:
            raise UnfinishedError(error, report.repository, goal, done) from error
    return done


def put_until_stable(aws: Aws, foreseen: ItemResult, goal: DesiredStatement) -> ItemResult:
    """Write a policy until it is read as it should be, since whoever writes last wins."""
    repository, deadline = foreseen.repository, aws.clock() + PATIENCE
    writes: list[ItemResult] = []
    others: list[Json] = []  # the statements of others as they stood when we last wrote
    returned: list[Json] = []  # those of them that we put back
    for pause in PAUSES:
        aws.sleep(pause)
        attempt = partial(write, aws, repository, goal, others)
        wrote, missing = retry_until(aws, deadline, attempt, {"InvalidParameterException"}, UNKNOWN_PRINCIPAL)
        if wrote.changed:
            writes.append(wrote)
            returned += missing
            others = _grant.foreign(wrote.after, goal.sid)
        now = read(aws, repository) if wrote.changed else wrote.after
        if goal.met(now):
            before = writes[0].before if writes else now
            left = _grant.lost(now, others)
            return ItemResult(repository, before, now, bool(writes), warnings_of(repository, returned, left))
    raise CollectionError(
        f"Somebody else overwrote the policy each of the {len(PAUSES)} times that it was written. "
        "Stop the other writer, then run again."
    )


def write(
    aws: Aws, repository: Repository, goal: DesiredStatement, others: list[Json]
) -> tuple[ItemResult, list[Json]]:
    """Read a policy and write it at once, unless it is as it should be.

    `others` are the statements that were there when we last wrote. Those that went together with ours fell to somebody
    who had not seen ours; they are put back, and returned too.
    """
    current = read(aws, repository)
    if goal.met(current):
        return ItemResult(repository, current, current, False), []
    missing = _grant.lost(current, others)
    planned = preview(repository, _grant.restored(current, missing), goal)
    put(aws, repository, planned.after)
    return planned._replace(before=current), missing


def put(aws: Aws, repository: Repository, policy: Json | None) -> None:
    """Write a policy; None deletes it."""
    if policy:
        repository.call(aws, "set_repository_policy", policyText=compact(policy))
        return
    with tolerating("RepositoryPolicyNotFoundException"):
        repository.call(aws, "delete_repository_policy")


def warnings_of(repository: Repository, returned: list[Json], left: list[Json]) -> tuple[str, ...]:
    """Return what to tell about statements of others that vanished while we wrote."""

    def told(statements: list[Json], what: str) -> tuple[str, ...]:
        names = ", ".join(dict.fromkeys(each.get("Sid") or "one without a Sid" for each in statements))
        return (f"{repository.arn}: {what}: {names}.",) if statements else ()

    back = told(returned, "statements of others that somebody overwrote at the same time were put back")
    return back + told(left, "somebody took away statements of others at the same time, and they stay away")


def results(reports: list[ItemResult], goal: DesiredStatement) -> Json:
    """Return what the module reports besides the diff."""
    policies = [
        {
            "repository": report.repository.name,
            "arn": report.repository.arn,
            "document": report.after,
            "changed": report.changed,
            "drift": _grant.drift(_grant.own(report.before, goal.sid), goal.statement),
            "size": _grant.size(report.after),
            "limit": _grant.LIMIT,
        }
        for report in reports
    ]
    foreign = [
        {"arn": report.repository.arn, "statement": statement}
        for report in reports
        for statement in _grant.foreign(report.after, goal.sid)
    ]
    return {"policies": policies, "foreign_statements": foreign}
