#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_pull_grant
short_description: Let RunPod's own roles pull from repositories in Amazon ECR
version_added: 0.1.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Keeps one statement, found by its Sid, in the policy of each repository. It lets the AWS roles with which RunPod
    pulls read the repository, and is the text that RunPod asks for. No secret is involved.
  - All other statements of a policy stay as they are, and so do its version and its id.
  - All repositories are read before the first one is written. When a repository does not exist, when the Sid is taken
    by somebody else, or when a policy would become too long, nothing is written at all.
options:
  repositories:
    description:
      - The repositories, each as a name, an ARN or the URI of an image. Wildcards are not possible.
      - An ARN and a URI say which account and region they mean. A name means a repository of O(account_id) in the
        module's region.
      - All must be in the partition C(aws), where RunPod's roles are. A role of that partition has no access to
        repositories in China, GovCloud or other partitions.
    type: list
    elements: str
    required: true
  account_id:
    description:
      - The account of the repositories that are given by name.
      - When not set, that of whoever runs this.
    type: str
  statement_id:
    description: The Sid of the statement. It is told from statements of others by nothing else.
    type: str
    default: AllowRunpodPull
  principal_arns:
    description:
      - ARNs of the roles or users that may pull. Wildcards are refused, and so is an empty list.
      - When not set, the two roles that RunPod publishes. They can be read in RV(policies[].document).
      - Set this when RunPod publishes other roles than this version of the collection knows, and for statements that
        are for roles of your own.
    type: list
    elements: str
  state:
    description:
      - V(present) ensures the statement.
      - V(absent) removes it, and with the last statement the policy. A repository that does not exist has none; that is
        a warning.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.aws_group
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: gpuops.runpod.runpod_ecr_delegation
  - module: gpuops.runpod.ecr_pull_check
  - module: gpuops.runpod.ecr_pull_user
notes:
  - Two statements are the same when they mean the same. The order in a list does not matter, nor does a C(Resource) of
    V(*). A statement that differs is replaced where it stands.
  - A statement of this Sid is taken for somebody else's when it is for roles, users, accounts or services that are
    neither in O(principal_arns) nor were ever published by RunPod, and when it allows nothing. That is an error, with
    O(state=absent) too. To take back a statement for roles of your own, name them in O(principal_arns).
  - The C(Principal) of the statement is V(*), as RunPod asks for it, and its C(Condition) narrows that to
    O(principal_arns). Scanners that do not read conditions report it.
  - ECR replaces a whole policy at once, and the last one who writes wins. The policy is read right before it is written
    and again after that. When the statement is not as it was written, somebody wrote who had not seen it. Then the
    module tries again, up to three times with growing pauses, and puts back statements of others that were lost with
    it. When the statement is there, but one of the others is not, that one was taken away on purpose and stays away.
    Both are warnings.
  - What somebody else writes in the moment between reading and writing is lost, and ECR has no means to notice it. Do
    not let other tools write the same policy at the same time.
  - A refusal of the policy because a principal is not known is tried again for a minute, because a role may be new. It
    may also come from a statement of others whose role was deleted.
  - RunPod looks at the policy when it is told of the repository. Whether a pull works is for RunPod to prove;
    M(gpuops.runpod.ecr_pull_check) cannot act as RunPod's roles.
  - "IAM actions on the repositories for V(present): C(ecr:GetRepositoryPolicy) and C(ecr:SetRepositoryPolicy)."
  - "IAM actions on the repositories for V(absent) besides: C(ecr:DeleteRepositoryPolicy)."
  - A repository of another account must allow them in its own policy too.
"""

EXAMPLES = r"""
- name: Let RunPod pull the repository of an image
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1

- name: Let RunPod pull several repositories, in two regions
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - runpod-gpu-training
      - runpod-gpu-inference
      - arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app
  register: grant

- name: Show which roles RunPod published anew, and which it gave up
  ansible.builtin.debug:
    msg: "{{ item.repository }}: {{ item.drift.missing }} were missing, {{ item.drift.outdated }} were outdated"
  loop: "{{ grant.policies | selectattr('changed') }}"
  loop_control:
    label: "{{ item.arn }}"

- name: Let a role of another account pull too, in a statement of its own
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - runpod-gpu-training
    account_id: "123456789012"
    statement_id: AllowPartnerPull
    principal_arns:
      - arn:aws:iam::210987654321:role/partner-pull

- name: Take back what RunPod may do, and leave the partner's statement alone
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - runpod-gpu-training
      - runpod-gpu-inference
      - arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app
    state: absent

- name: Take back what the partner may do, and with it the policy that is empty then
  gpuops.runpod.ecr_pull_grant:
    repositories:
      - runpod-gpu-training
    statement_id: AllowPartnerPull
    principal_arns:
      - arn:aws:iam::210987654321:role/partner-pull
    state: absent
"""

RETURN = r"""
policies:
  description:
    - The policy of each repository, in the order of O(repositories); one that is named twice is listed once.
    - A failure after the first write holds those that were done before it.
  returned: success
  type: list
  elements: dict
  contains:
    repository:
      description: Name of the repository.
      returned: always
      type: str
      sample: team/app
    arn:
      description: ARN of the repository.
      returned: always
      type: str
      sample: arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app
    document:
      description: The whole policy afterwards, V(null) when there is none; a prediction in check mode.
      returned: always
      type: dict
      sample:
        Version: "2012-10-17"
        Statement:
          - Sid: AllowRunpodPull
            Effect: Allow
            Principal: "*"
            Action:
              - ecr:GetAuthorizationToken
              - ecr:BatchCheckLayerAvailability
              - ecr:GetDownloadUrlForLayer
              - ecr:BatchGetImage
            Condition:
              StringEquals:
                aws:PrincipalArn:
                  - arn:aws:iam::550005742258:role/prod-us-east-1-deployment-role
                  - arn:aws:iam::550005742258:role/prod-us-west-2-deployment-role
    changed:
      description: Whether it was written, or would be.
      returned: always
      type: bool
      sample: true
    drift:
      description: How the roles of the statement that was there differed; empty when there was none.
      returned: always
      type: dict
      contains:
        missing:
          description: ARNs that it lacked.
          returned: always
          type: list
          elements: str
          sample: ["arn:aws:iam::550005742258:role/prod-us-west-2-deployment-role"]
        outdated:
          description: ARNs that it had and should not have any more.
          returned: always
          type: list
          elements: str
          sample: ["arn:aws:iam::418399314813:role/prod-us-east-1-deployment-role"]
    size:
      description: Its characters, as they are sent.
      returned: always
      type: int
      sample: 399
    limit:
      description: How many characters ECR allows.
      returned: always
      type: int
      sample: 10240
foreign_statements:
  description: The statements of others in these policies, which this module never changes.
  returned: success
  type: list
  elements: dict
  contains:
    arn:
      description: ARN of the repository.
      returned: always
      type: str
      sample: arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training
    statement:
      description: The statement.
      returned: always
      type: dict
      sample:
        Sid: AllowBuildPush
        Effect: Allow
        Principal:
          AWS: arn:aws:iam::123456789012:role/build
        Action: ecr:PutImage
"""

import json
import re
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ..module_utils._aws.client import Aws, aws_client, tolerating
from ..module_utils._aws.ecr_token import retry_until
from ..module_utils._core.errors import AwsError, CollectionError, InputError, Json
from ..module_utils._core.module import execute
from ..module_utils._core.result import Result
from ..module_utils._ecr import repository_policy as _grant
from ..module_utils._oci.reference import partition_of, split
from ..module_utils._pull_user.pull_policy import compact, repository_arn

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
    arns = _grant.IN_FORCE if params["principal_arns"] is None else tuple(params["principal_arns"])
    sid = params["statement_id"]
    return DesiredStatement(sid, None if params["state"] == "absent" else _grant.statement(sid, arns), arns)


def resolve(params: Json, aws: Aws) -> list[Repository]:
    """Return the repositories, each once. Asks AWS for the caller's account only when a name needs it."""
    given, account = params["repositories"], params["account_id"]
    if account is not None and not re.fullmatch(r"\d{12}", account):
        raise InputError(f"account_id: {account!r} is not the id of an AWS account (12 digits).")
    if account is None and any(is_name(each) for each in given):
        account = aws.call("sts", "get_caller_identity")["Account"]
    arns = [repository_arn(each, partition_of(aws.region), account or "", aws.region) for each in given]
    for arn in arns:
        _grant.check_reach(arn)
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
        return json.loads(repository.call(aws, "get_repository_policy")["policyText"])
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


def main() -> None:
    spec = {
        "repositories": {"type": "list", "elements": "str", "required": True},
        "account_id": {"type": "str"},
        "statement_id": {"type": "str", "default": "AllowRunpodPull"},
        "principal_arns": {"type": "list", "elements": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    execute(AnsibleAWSModule(argument_spec=spec, supports_check_mode=True), run, None, connect=aws_client)


if __name__ == "__main__":
    main()
