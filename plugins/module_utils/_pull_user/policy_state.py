# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the policies that give a pull user or role its rights: the inline policy, a customer
# managed one for what that cannot hold, and two of AWS. Its tag records which we made, since nothing else tells who
# attached a policy of AWS; without it, the inline one.

from __future__ import annotations

from typing import NamedTuple

from .._aws.policy_document import policy_size
from .._core.errors import Json
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
DENY = "gpuops-runpod-quarantine"


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


class PolicyView(NamedTuple):
    """`kind` None means that there is none."""

    kind: str | None = None
    name: str = _policy.NAME
    document: Json | None = None
    limit: int | None = None


def policy_of_aws(partition: str, way: str) -> str:
    return f"arn:{partition}:iam::aws:policy/{OF_AWS[way]}"


def customer_name(principal: Principal) -> str:
    return f"{_policy.NAME}-{principal.suffix}"


def customer_arn(partition: str, account: str, path: str, principal: Principal) -> str:
    return f"arn:{partition}:iam::{account}:policy{path}{customer_name(principal)}"


def recorded(tags: Json) -> frozenset[str]:
    return frozenset(tags.get(RECORD, INLINE).split()) & set(WAYS)


def attached_arns(partition: str, rights: AttachedPolicies) -> set[str]:
    arns = {policy_of_aws(partition, way) for way in rights.there & OF_AWS.keys()}
    return arns | ({rights.customer.arn} if rights.customer else set())


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
