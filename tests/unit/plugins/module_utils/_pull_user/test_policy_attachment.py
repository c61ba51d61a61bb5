# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ConflictError
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user import (
    policy_attachment,
    policy_change,
    policy_read,
    policy_state,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user import pull_policy as _policy
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.policy_state import (
    AttachedPolicies,
    CustomerPolicy,
    DesiredPolicy,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.principal import Principal
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import Account

RECORD = "gpuops.runpod/policy"
PULLER = Principal("user", "puller")
ARN = "arn:aws:iam::123456789012:policy/runpod/gpuops-runpod-pull-puller"
ONE = _policy.document(["arn:aws:ecr:us-east-1:123456789012:repository/one"])
TWO = _policy.document(["arn:aws:ecr:us-east-1:123456789012:repository/two"])
BOTH = _policy.merged(ONE, TWO)


def ways(text: str) -> frozenset[str]:
    return frozenset(text.split())


@pytest.mark.parametrize(
    ("tags", "made"),
    [
        ({}, "inline"),
        ({RECORD: "none"}, ""),
        ({RECORD: ""}, ""),
        ({RECORD: "pull_only"}, "pull_only"),
        ({RECORD: "inline customer"}, "inline customer"),
        ({RECORD: "something read_only"}, "read_only"),
    ],
)
def test_recorded(tags: dict[str, str], made: str) -> None:
    assert policy_state.recorded(tags) == ways(made)


@pytest.mark.parametrize(
    ("tags", "made", "tag", "untag"),
    [
        ({}, "inline", {}, ()),
        ({RECORD: "customer"}, "inline", {}, (RECORD,)),
        ({}, "pull_only", {RECORD: "pull_only"}, ()),
        ({RECORD: "pull_only"}, "pull_only", {}, ()),
        ({}, "pull_only inline", {RECORD: "inline pull_only"}, ()),
        ({}, "", {RECORD: "none"}, ()),
    ],
)
def test_plan_record(tags: dict[str, str], made: str, tag: dict[str, str], untag: tuple[str, ...]) -> None:
    assert policy_change.plan_record(tags, ways(made)) == (tag, untag)
    assert policy_state.recorded({key: value for key, value in {**tags, **tag}.items() if key not in untag}) == ways(
        made
    )


def test_record_of_nobody_is_left_alone() -> None:
    assert policy_change.plan_record({RECORD: "customer"}, None) == ({}, ())


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_arns_are_those_of_the_partition(partition: str) -> None:
    arn = f"arn:{partition}:iam::aws:policy/AmazonEC2ContainerRegistry"
    own = policy_state.customer_arn(partition, "123456789012", "/runpod/", PULLER)
    for kind, name in (("pull_only", "PullOnly"), ("read_only", "ReadOnly")):
        desired = DesiredPolicy(PULLER, partition, kind, None, False, False, own)
        assert policy_change.plan_policies(AttachedPolicies(), desired).arn == arn + name
        attached = AttachedPolicies(ways(kind), attached=ways(kind))
        assert policy_state.attached_arns(partition, attached) == {arn + name}
    many = [f"arn:{partition}:ecr:us-east-1:123456789012:repository/{number:060}" for number in range(40)]
    desired = DesiredPolicy(PULLER, partition, "repositories", many, False, False, own)
    move = policy_change.plan_policies(AttachedPolicies(), desired)
    assert (move.target, move.arn) == ("customer", ARN.replace("arn:aws:", f"arn:{partition}:"))


@pytest.mark.parametrize("others", [0, 2000])
def test_other_inline_policies_leave_less_room(others: int) -> None:
    desired = DesiredPolicy(PULLER, "aws", "repositories", ["arn:aws:ecr:us-east-1:1:repository/x"], False, False, ARN)
    move = policy_change.plan_policies(AttachedPolicies(others_size=others), desired)
    assert move.target == ("customer" if others else "inline")


@pytest.mark.parametrize(
    ("inline", "customer", "document", "granted"),
    [
        (None, None, None, None),
        (ONE, None, ONE, ONE),
        (None, CustomerPolicy(ARN, TWO, True), TWO, TWO),
        (ONE, CustomerPolicy(ARN, TWO, True), BOTH, BOTH),
        (ONE, CustomerPolicy(ARN, TWO, False), BOTH, ONE),
    ],
)
def test_what_the_policies_say_together(inline: Any, customer: Any, document: Any, granted: Any) -> None:
    rights = AttachedPolicies(ways("inline customer"), inline, customer)
    assert (rights.document, rights.granted) == (document, granted)


def test_only_what_is_recorded_counts_as_ours() -> None:
    rights = AttachedPolicies(
        ways("inline pull_only"), ONE, CustomerPolicy(ARN, TWO, True), ways("pull_only read_only")
    )
    assert rights.there == ways("inline pull_only")


@pytest.mark.parametrize(
    ("rights", "target", "make", "take", "record"),
    [
        (AttachedPolicies(ways("inline"), ONE), "inline", False, "", "inline"),
        (AttachedPolicies(ways("inline"), TWO), "inline", True, "", "inline"),
        (AttachedPolicies(ways("inline"), ONE), "customer", True, "inline", "customer"),
        (AttachedPolicies(ways("customer"), None, CustomerPolicy(ARN, ONE, True)), "customer", False, "", "customer"),
        (AttachedPolicies(ways("customer"), None, CustomerPolicy(ARN, ONE, False)), "customer", True, "", "customer"),
        (AttachedPolicies(ways("customer"), None, CustomerPolicy(ARN, TWO, True)), "customer", True, "", "customer"),
        (
            AttachedPolicies(ways("customer"), None, CustomerPolicy(ARN, ONE, True)),
            "inline",
            True,
            "customer",
            "inline",
        ),
        (AttachedPolicies(ways("inline"), ONE), "pull_only", True, "inline", "pull_only"),
        (AttachedPolicies(ways("inline"), ONE, None, ways("pull_only")), "pull_only", False, "inline", ""),
        (AttachedPolicies(ways("pull_only"), None, None, ways("pull_only")), "pull_only", False, "", "pull_only"),
        (
            AttachedPolicies(ways("pull_only"), None, None, ways("pull_only")),
            "read_only",
            True,
            "pull_only",
            "read_only",
        ),
        (AttachedPolicies(ways("pull_only")), "read_only", True, "", "read_only"),
    ],
)
def test_plan_move(rights: AttachedPolicies, target: str, make: bool, take: str, record: str) -> None:
    move = policy_change.plan_change(rights, target, ONE, ARN)
    assert (move.attach, move.detach, move.record) == (make, ways(take), ways(record))
    assert move.ahead == rights.made | ways(record)
    assert policy_change.is_needed(move) is (make or bool(take) or move.ahead != move.record)


def test_without_a_target_there_is_nothing_to_do() -> None:
    assert policy_change.is_needed(policy_change.PolicyChange()) is False


def test_document_that_iam_never_shows_is_an_error_in_time(account: Account) -> None:
    until = account.now + timedelta(seconds=20)
    with pytest.raises(ConflictError, match="somebody else may be changing it"):
        policy_attachment.see(account.aws(), lambda: TWO, ONE, until)
    assert account.naps == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_document_that_iam_shows_late_is_waited_for(account: Account) -> None:
    shown = [None, TWO, ONE]
    policy_attachment.see(account.aws(), lambda: shown.pop(0), ONE, account.now + timedelta(seconds=20))
    assert account.naps == [1.0, 2.0]


def test_managed_policy_that_is_gone_shows_nothing(account: Account) -> None:
    assert policy_read.default_document(account.aws(), ARN) is None
