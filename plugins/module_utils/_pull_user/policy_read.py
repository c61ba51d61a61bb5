# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: which policies a pull user or role has.

from __future__ import annotations

from .._aws.client import Aws, tolerating
from .._aws.policy_document import policy_size
from .._aws.secret_entry import MANAGED
from .._core.errors import ConflictError, Json
from .._core.finding import as_option, as_tag
from . import pull_policy as _policy
from .policy_state import (
    CUSTOMER,
    DENY,
    INLINE,
    OF_AWS,
    AttachedPolicies,
    CustomerPolicy,
    DesiredPolicy,
    choose,
    customer_arn,
    customer_name,
    policy_of_aws,
    recorded,
    unchanged_way,
)
from .principal import Principal


def read_policies(
    aws: Aws, principal: Principal, found: Json | None, desired: DesiredPolicy | None = None
) -> AttachedPolicies:
    """`found` is the user or role, None when there is none."""
    if found is None:
        return read_target(aws, AttachedPolicies(), desired, exists=False)
    made = recorded(found["tags"])
    partition, account = found["arn"].split(":")[1], found["arn"].split(":")[4]
    relevant = made | {way for way in OF_AWS if desired and way == desired.kind}
    listed = attached_policies(aws, principal) if relevant - {INLINE} else {}
    own = customer_arn(partition, account, found["path"], principal)
    rights = AttachedPolicies(
        made,
        find_document(aws, principal, _policy.NAME) if INLINE in made else None,
        find_customer(aws, principal, own, listed) if CUSTOMER in made else None,
        frozenset(way for way in relevant & OF_AWS.keys() if policy_of_aws(partition, way) in listed),
    )
    return read_target(aws, rights, desired, exists=True)


def read_target(aws: Aws, rights: AttachedPolicies, desired: DesiredPolicy | None, exists: bool) -> AttachedPolicies:
    """Read how much room is left for a changed document, and our managed policy."""
    document = desired.document(rights) if desired else None
    if not (desired and document) or unchanged_way(rights, document):
        return rights
    principal = desired.principal
    if exists and policy_size(document) <= principal.inline_limit:
        rights = rights._replace(others_size=other_policies_size(aws, principal))
    if choose(principal, rights, document) == CUSTOMER and rights.customer is None:
        listed = attached_policies(aws, principal) if exists else {}
        rights = rights._replace(customer=find_customer(aws, principal, desired.arn, listed))
    return rights


def attached_policies(aws: Aws, principal: Principal) -> dict[str, str]:
    """Return ARN -> name."""
    listed = principal.pages(aws, "list_attached_{}_policies", "AttachedPolicies")
    return {policy["PolicyArn"]: policy["PolicyName"] for policy in listed}


def find_document(aws: Aws, principal: Principal, policy: str) -> Json | None:
    with tolerating("NoSuchEntity"):
        return principal.call(aws, "get_{}_policy", PolicyName=policy)["PolicyDocument"]
    return None


def find_customer(aws: Aws, principal: Principal, arn: str, attached: dict[str, str]) -> CustomerPolicy | None:
    """Raise ConflictError when the policy is somebody else's.

    One attached is found by name: it stays where it was made when the user's path changes.
    """
    arn = next((current for current, name in attached.items() if name == customer_name(principal)), arn)
    with tolerating("NoSuchEntity"):
        policy = aws.call("iam", "get_policy", PolicyArn=arn)["Policy"]
        if {MANAGED: principal.owner}.items() <= {tag["Key"]: tag["Value"] for tag in policy.get("Tags", [])}.items():
            version = policy["DefaultVersionId"]
            answer = aws.call("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
            return CustomerPolicy(arn, answer["PolicyVersion"]["Document"], arn in attached)
        raise ConflictError(
            f"The policy {arn} exists, but its tag {MANAGED} does not name the {principal.kind} {principal.name}, so "
            f"somebody else made it. Remove it, or hand it over: aws iam tag-policy --policy-arn{as_option(arn)} "
            f"--tags {as_tag(MANAGED, principal.owner)}"
        )
    return None


def other_policies_size(aws: Aws, principal: Principal) -> int:
    names = principal.pages(aws, "list_{}_policies", "PolicyNames")
    others = [name for name in names if name not in (_policy.NAME, DENY)]
    return sum(policy_size(find_document(aws, principal, name)) for name in others)


def default_document(aws: Aws, arn: str) -> Json | None:
    with tolerating("NoSuchEntity"):
        version = aws.call("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
        answer = aws.call("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
        return answer["PolicyVersion"]["Document"]
    return None
