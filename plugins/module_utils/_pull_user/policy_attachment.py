# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the policies that give a pull user or role its rights, and the moves between them: the
# inline policy, a customer managed one for what that cannot hold, and two of AWS. Its tag records which we made,
# since nothing else tells who attached a policy of AWS; without it, the inline one. A run that dies after any step of a
# move leaves the rights, and a tag that names what is to be finished:
#
#   1. the tag names the new way beside the former ones
#   2. the new policy is made and attached
#   3. the former ones are taken away
#   4. the tag names the new way alone

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from .._aws.client import Aws, tolerating
from .._aws.policy_document import compact, policy_size
from .._aws.secret_entry import MANAGED
from .._core.errors import AwsError, ConflictError, Json
from .._core.finding import as_option, as_tag
from .._core.time import retry_until
from . import pull_policy as _policy
from .principal import Principal

RECORD = "gpuops.runpod/policy"  # names the ways that we made
NOTHING = "none"
REPOSITORIES = "repositories"
INLINE, CUSTOMER, PULL_ONLY, READ_ONLY = "inline", "customer", "pull_only", "read_only"
WAYS = (INLINE, PULL_ONLY, READ_ONLY, CUSTOMER)  # removed in this order
OF_AWS = {
    PULL_ONLY: "AmazonEC2ContainerRegistryPullOnly",
    READ_ONLY: "AmazonEC2ContainerRegistryReadOnly",
}
MOST_VERSIONS = 5
DENY = "gpuops-runpod-quarantine"
SOON = {"NoSuchEntity"}  # of a user or a policy that is seconds old


class CustomerPolicy(NamedTuple):
    arn: str
    document: Json
    attached: bool


class AttachedPolicies(NamedTuple):
    """`made` are ways in the user's tag, `attached` policies of AWS that are recorded or wanted, attached by
    whomever, `others_size` the characters of other inline policies, when they matter.
    """

    made: frozenset[str] = frozenset()
    inline: Json | None = None
    customer: CustomerPolicy | None = None
    attached: frozenset[str] = frozenset()
    others_size: int = 0

    @property
    def document(self) -> Json | None:
        """Return what ours says; both, while a move is unfinished."""
        return _policy.merged(self.inline, self.customer.document if self.customer else None)

    @property
    def granted(self) -> Json | None:
        return self.document if self.customer and self.customer.attached else self.inline

    @property
    def there(self) -> frozenset[str]:
        current = {INLINE} if self.inline is not None else set()
        current |= {CUSTOMER} if self.customer else set()
        return frozenset((current | self.attached) & self.made)


class DesiredPolicy(NamedTuple):
    """`asked` are repositories by ARN, `arn` is where a managed policy would be made."""

    principal: Principal
    partition: str
    kind: str
    asked: list[str] | None
    purge: bool
    pull_through: bool
    arn: str

    def document(self, rights: AttachedPolicies) -> Json | None:
        if self.kind in OF_AWS or self.asked is None:
            return None
        return _policy.desired_document(rights.document, self.asked, self.purge, self.pull_through)


class PolicyChange(NamedTuple):
    """Make one policy, take others away, keep the record; without a target, nothing. The tag records `ahead` during
    the move and `record` afterwards; `arn` is the managed policy's.
    """

    target: str | None = None
    ahead: frozenset[str] | None = None
    record: frozenset[str] | None = None
    document: Json | None = None
    arn: str = ""
    attach: bool = False
    detach: frozenset[str] = frozenset()


class PolicyView(NamedTuple):
    """`kind` None means that there is none."""

    kind: str | None = None
    name: str = _policy.NAME
    document: Json | None = None
    limit: int | None = None


# Names and the record


def policy_of_aws(partition: str, way: str) -> str:
    return f"arn:{partition}:iam::aws:policy/{OF_AWS[way]}"


def customer_name(principal: Principal) -> str:
    return f"{_policy.NAME}-{principal.suffix}"


def customer_arn(partition: str, account: str, path: str, principal: Principal) -> str:
    return f"arn:{partition}:iam::{account}:policy{path}{customer_name(principal)}"


def recorded(tags: Json) -> frozenset[str]:
    return frozenset(tags.get(RECORD, INLINE).split()) & set(WAYS)


def plan_record(tags: Json, made: frozenset[str] | None) -> tuple[Json, tuple[str, ...]]:
    """Return tags to add and to drop; `made` None leaves the record alone."""
    if made is None:
        return {}, ()
    if made == {INLINE}:
        return {}, (RECORD,) if RECORD in tags else ()
    value = " ".join(sorted(made)) or NOTHING
    return ({} if tags.get(RECORD) == value else {RECORD: value}), ()


# Reading


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


def attached_arns(partition: str, rights: AttachedPolicies) -> set[str]:
    arns = {policy_of_aws(partition, way) for way in rights.there & OF_AWS.keys()}
    return arns | ({rights.customer.arn} if rights.customer else set())


# Deciding


def unchanged_way(rights: AttachedPolicies, document: Json) -> str | None:
    if rights.made == {INLINE} and not _policy.differs(rights.inline, document):
        return INLINE
    if rights.customer and rights.made == {CUSTOMER} and not _policy.differs(rights.customer.document, document):
        return CUSTOMER
    return None


def choose(principal: Principal, rights: AttachedPolicies, document: Json) -> str:
    """Return the inline or the customer managed way; InputError when neither can hold it."""
    stays = unchanged_way(rights, document)
    if stays:
        return stays
    _policy.check_size(principal, document, rights.others_size)
    return INLINE if policy_size(document) + rights.others_size <= principal.inline_limit else CUSTOMER


def plan_policies(rights: AttachedPolicies, desired: DesiredPolicy) -> PolicyChange:
    """Raise InputError when no policy can hold what is wanted."""
    if desired.kind in OF_AWS:
        return plan_change(rights, desired.kind, None, policy_of_aws(desired.partition, desired.kind))
    document = desired.document(rights)
    if document is None:
        return PolicyChange()
    target = choose(desired.principal, rights, document)
    return plan_change(rights, target, document, rights.customer.arn if rights.customer else desired.arn)


def plan_change(rights: AttachedPolicies, target: str, document: Json | None, arn: str) -> PolicyChange:
    if target == INLINE:
        make = _policy.differs(rights.inline, document)
    elif target == CUSTOMER:
        current = rights.customer
        make = current is None or not current.attached or _policy.differs(current.document, document)
    else:
        make = target not in rights.attached
    theirs = target in OF_AWS and not make and target not in rights.made  # somebody else attached it
    record = frozenset() if theirs else frozenset({target})
    return PolicyChange(target, rights.made | record, record, document, arn, make, rights.there - {target})


def is_needed(move: PolicyChange) -> bool:
    return move.attach or bool(move.detach) or move.ahead != move.record


def grants(rights: AttachedPolicies, move: PolicyChange) -> bool:
    """Return whether a pull during the move may meet rights that have not arrived."""
    return move.attach and (bool(move.detach) or move.target in OF_AWS or _policy.grows(rights.granted, move.document))


def policies_after(rights: AttachedPolicies, move: PolicyChange) -> AttachedPolicies:
    if move.target is None or move.record is None:
        return rights
    if move.target in OF_AWS:
        return AttachedPolicies(move.record, attached=frozenset({move.target}))
    if move.target == CUSTOMER and move.document:
        return AttachedPolicies(move.record, customer=CustomerPolicy(move.arn, move.document, True))
    return AttachedPolicies(move.record, move.document)


def current_view(principal: Principal, rights: AttachedPolicies) -> PolicyView:
    ways = [way for way in WAYS if way in rights.there] or sorted(rights.attached)
    return policy_view(principal, ways[-1] if ways else None, rights.document)


def policy_view(principal: Principal, way: str | None, document: Json | None) -> PolicyView:
    if way is None:
        return PolicyView(limit=principal.inline_limit)
    if way in OF_AWS:
        return PolicyView(way, OF_AWS[way])
    if way == CUSTOMER:
        return PolicyView(REPOSITORIES, customer_name(principal), document, _policy.MANAGED_LIMIT)
    return PolicyView(REPOSITORIES, _policy.NAME, document, principal.inline_limit)


# Writing


def replace(
    aws: Aws,
    principal: Principal,
    partition: str,
    rights: AttachedPolicies,
    move: PolicyChange,
    deadline: datetime,
    is_new: bool,
) -> None:
    """Make the policy, then take away the former. Raise ConflictError when something else uses that too."""
    if move.attach:
        attach(aws, principal, rights, move, deadline, is_new)
    stuck = detach(aws, principal, partition, rights, move.detach)
    if stuck:
        raise ConflictError(
            f"The {principal.kind} {principal.name} has its new policy, and the former one, {stuck[0]['name']}, is "
            f"detached from it, but something else uses that one too. {stuck[0]['remedy']}"
        )


def attach(
    aws: Aws, principal: Principal, rights: AttachedPolicies, move: PolicyChange, deadline: datetime, is_new: bool
) -> None:
    retry_deadline = deadline if is_new or move.target == CUSTOMER else None
    if move.target == INLINE and move.document:
        request: Json = {"PolicyName": _policy.NAME, "PolicyDocument": compact(move.document)}
        retry_until(aws, retry_deadline, lambda: principal.call(aws, "put_{}_policy", **request), SOON)
        see(aws, lambda: find_document(aws, principal, _policy.NAME), move.document, deadline)
        return
    if move.target == CUSTOMER and move.document:
        if rights.customer is None:
            create_customer(aws, principal, move.arn, move.document)
        elif _policy.differs(rights.customer.document, move.document):
            prune(aws, move.arn, MOST_VERSIONS - 1)
            text = compact(move.document)
            aws.call("iam", "create_policy_version", PolicyArn=move.arn, PolicyDocument=text, SetAsDefault=True)
        see(aws, lambda: default_document(aws, move.arn), move.document, deadline)
        if rights.customer and rights.customer.attached:
            return
    retry_until(aws, retry_deadline, lambda: principal.call(aws, "attach_{}_policy", PolicyArn=move.arn), SOON)


def see(aws: Aws, read: Callable[[], Json | None], document: Json, deadline: datetime) -> None:
    """Wait until IAM shows the write, so that the next run adds to it."""
    pause = 1.0
    while _policy.differs(read(), document):
        if aws.clock() >= deadline:
            raise ConflictError(
                "IAM does not show the policy that was just written: somebody else may be changing it. Run again."
            )
        aws.sleep(pause)
        pause = min(pause * 2, 8.0)


def default_document(aws: Aws, arn: str) -> Json | None:
    with tolerating("NoSuchEntity"):
        version = aws.call("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
        answer = aws.call("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
        return answer["PolicyVersion"]["Document"]
    return None


def create_customer(aws: Aws, principal: Principal, arn: str, document: Json) -> None:
    """One of ours that appeared meanwhile is as good."""
    path = arn.partition(":policy")[2].removesuffix(customer_name(principal))
    try:
        aws.call(
            "iam",
            "create_policy",
            PolicyName=customer_name(principal),
            Path=path,
            PolicyDocument=compact(document),
            Description=f"What the IAM {principal.kind} {principal.name} may pull, kept by gpuops.runpod",
            Tags=[{"Key": MANAGED, "Value": principal.owner}],
        )
    except AwsError as error:
        if error.code != "EntityAlreadyExists":
            raise
        current = find_customer(aws, principal, arn, {})
        if current is None:
            raise ConflictError(
                f"{error} If a second run says so too, it has another path than {path}: remove it."
            ) from error
        if _policy.differs(current.document, document):
            raise ConflictError(
                f"Another run made the policy {arn} just now, for other repositories. Run again."
            ) from error


def detach(
    aws: Aws, principal: Principal, partition: str, rights: AttachedPolicies, ways: frozenset[str]
) -> list[Json]:
    """Take ways from it, rights first. Return what others use: {kind, name, remedy}."""
    for way in (way for way in WAYS if way in ways):
        with tolerating("NoSuchEntity"):
            if way == INLINE:
                principal.call(aws, "delete_{}_policy", PolicyName=_policy.NAME)
            elif way in OF_AWS:
                principal.call(aws, "detach_{}_policy", PolicyArn=policy_of_aws(partition, way))
            elif rights.customer and rights.customer.attached:
                principal.call(aws, "detach_{}_policy", PolicyArn=rights.customer.arn)
    return delete_customer(aws, rights.customer.arn) if rights.customer and CUSTOMER in ways else []


def delete_customer(aws: Aws, arn: str) -> list[Json]:
    """Return what keeps the policy when it is attached elsewhere too."""
    try:
        with tolerating("NoSuchEntity"):
            prune(aws, arn, 1)
            aws.call("iam", "delete_policy", PolicyArn=arn)
    except AwsError as error:
        if error.code != "DeleteConflict":
            raise
        listing = f"`aws iam list-entities-for-policy --policy-arn{as_option(arn)}`"
        remedy = f"Detach it from what {listing} lists, and run again."
        return [{"kind": "policy in use", "name": arn, "remedy": remedy}]
    return []


def prune(aws: Aws, arn: str, keep: int) -> None:
    """Delete the oldest versions but the default one, down to this many."""
    versions = aws.pages("iam", "list_policy_versions", "Versions", PolicyArn=arn)
    spare = sorted(
        (current for current in versions if not current["IsDefaultVersion"]),
        key=lambda current: (current["CreateDate"], len(current["VersionId"]), current["VersionId"]),
    )
    for version in spare[: max(len(versions) - keep, 0)]:
        aws.call("iam", "delete_policy_version", PolicyArn=arn, VersionId=version["VersionId"])
