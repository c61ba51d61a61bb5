# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import shlex
import string
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import Entry, KeyPair, KeyReservation
from ansible_collections.gpuops.runpod.plugins.module_utils._core.finding import SEVERITIES, Rule
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.access_keys import AccessKey
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.audit import findings, nobody, shortened
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.findings import TABLE
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.pull_policy import document
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.user_report import (
    Expected,
    StoreState,
    Subject,
    kind_of,
    report,
    store_place,
)

Json = dict[str, Any]

NOW = datetime(2026, 8, 31, 12, tzinfo=timezone.utc)
ID, OLD = "AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
APP, API = (f"arn:aws:ecr:us-east-1:123456789012:repository/team/{name}" for name in ("app", "api"))
SM = "arn:aws:secretsmanager:us-east-1:123456789012:secret:runpod-ecr/puller-AbCdEf"
MANAGED_POLICY = "arn:aws:iam::123456789012:policy/runpod/gpuops-runpod-pull-puller"
PULL_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
DENY_ALL = "arn:aws:iam::aws:policy/AWSDenyAll"
THEIRS = "arn:aws:iam::123456789012:policy/theirs"
PLACE: Json = {"type": "secretsmanager", "name": "runpod-ecr/puller", "region": "us-east-1"}
BROAD: Json = {"Version": "2012-10-17", "Statement": [*document([APP])["Statement"], {"Sid": "All", "Action": "*"}]}


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def key(days: float = 10, key_id: str = ID, status: str = "Active", used: float | None = 0.1) -> AccessKey:
    where = (None, None, None) if used is None else (ago(used), "ecr", "us-east-1")
    return AccessKey(key_id, status, ago(days), *where)


def subject(
    tags: Json | None = None,
    boundary: str | None = "arn:aws:iam::123456789012:policy/bound",
    inline: Json | None = None,
    attached: Json | None = None,
    groups: list[str] | None = None,
) -> Subject:
    user = {
        "name": "puller",
        "arn": "arn:aws:iam::123456789012:user/runpod/puller",
        "path": "/runpod/",
        "tags": {"gpuops.runpod/managed": "true", "gpuops.runpod/secret": SM, ID: "gpuops.runpod", **(tags or {})},
        "permissions_boundary": boundary,
    }
    return Subject(
        user, {"gpuops-runpod-pull": document([APP])} if inline is None else inline, attached or {}, groups or []
    )


def kept(
    entry: Entry | None | str = "good", tags: dict[str, str] | None = None, error: str | None = None
) -> StoreState:
    good = Entry(SM, KeyPair(ID, SECRET), ago(10))
    return StoreState(PLACE, good if isinstance(entry, str) else entry, tags or {}, error)


def audit(
    who: Subject | None = None,
    keys: tuple[AccessKey, ...] = (key(),),
    store: StoreState | None = None,
    repositories: list[str] | None = None,
    rotate: int | None = None,
) -> tuple[Json, list[Json]]:
    expected = Expected(repositories, rotate)
    told = report(who or subject(), keys, store, expected, NOW)
    return told, findings(told, expected, NOW)


def token(hours: float, key_id: str = ID) -> dict[str, str]:
    return {"gpuops.runpod/cred1": f"{NOW + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ} {key_id}"}


QUARANTINE = {"gpuops.runpod/quarantined": "2026-08-30T00:00:00Z"}
MANY = [f"arn:aws:ecr:us-east-1:123456789012:repository/team/{number:030}" for number in range(18)]


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, []),
        ({"store": kept()}, []),
        ({"store": kept(tags=token(5))}, []),
        # keys
        ({"rotate": 10}, ["rotation_due"]),
        ({"rotate": 11}, []),
        ({"keys": (key(0.9, used=None),)}, []),
        ({"keys": (key(1, used=None),)}, ["key_unused"]),
        ({"keys": (key(99, used=29),)}, []),
        ({"keys": (key(99, used=30),)}, ["key_unused"]),
        ({"keys": (key(99, used=30),), "store": kept()}, ["key_unused"]),
        ({"keys": (key(status="Inactive"),)}, ["key_inactive"]),
        ({"keys": (key(status="Inactive"),), "store": kept()}, ["secret_key_inactive"]),
        ({"keys": (key(status="Expired"),), "store": kept()}, ["secret_key_inactive"]),
        ({"keys": (key(), key(5, OLD)), "store": kept()}, ["foreign_key", "two_active_keys"]),
        ({"keys": (key(), key(5, OLD, "Inactive")), "store": kept()}, ["foreign_key"]),
        ({"keys": (key(), key(99, OLD)), "who": subject({OLD: "gpuops.runpod"})}, ["two_active_keys"]),
        ({"keys": (key(), key(99, OLD)), "who": subject({OLD: "gpuops.runpod"}), "rotate": 20}, ["two_active_keys"]),
        (
            {"keys": (key(), key(99, OLD, used=40)), "who": subject({OLD: "a laptop"})},
            ["foreign_key", "two_active_keys"],
        ),
        # the secret store
        ({"store": kept(None)}, ["secret_missing"]),
        ({"store": kept(Entry(SM, deleted=True))}, ["secret_missing"]),
        ({"store": kept(Entry(SM, pending=KeyReservation(ago(0), (ID,))))}, ["secret_missing"]),
        ({"store": kept(None, error="kms: no")}, ["secret_unreadable"]),
        ({"keys": (), "store": kept()}, ["secret_key_mismatch"]),
        ({"store": kept(tags=token(4))}, []),
        ({"store": kept(tags=token(3.9))}, ["token_ends_soon"]),
        ({"store": kept(tags=token(0))}, ["token_expired"]),
        ({"store": kept(tags=token(-99))}, ["token_expired"]),
        # policies
        ({"who": subject(inline={})}, ["policy_missing"]),
        ({"repositories": [APP]}, []),
        ({"repositories": [APP, API]}, ["policy_drift"]),
        ({"repositories": []}, ["policy_drift"]),
        ({"repositories": [API]}, ["policy_drift", "policy_drift"]),
        ({"who": subject(inline={"gpuops-runpod-pull": BROAD})}, ["policy_drift"]),
        ({"who": subject(inline={}, attached={PULL_ONLY: None})}, []),
        ({"who": subject(inline={}, attached={PULL_ONLY: None}), "repositories": [APP]}, ["policy_drift"]),
        ({"who": subject(inline={}, attached={MANAGED_POLICY: document([APP])}), "repositories": [APP]}, []),
        (
            {"who": subject(inline={}, attached={MANAGED_POLICY: document([APP])}), "repositories": [API, APP]},
            ["policy_drift"],
        ),
        ({"who": subject(boundary=None)}, ["boundary_missing"]),
        ({"who": subject(attached={THEIRS: None})}, ["foreign_policy"]),
        ({"who": subject(attached={DENY_ALL: None})}, ["foreign_policy"]),
        ({"who": subject(groups=["crew"])}, ["foreign_policy"]),
        (
            {"who": subject(inline={"gpuops-runpod-pull": document([APP]), "theirs": BROAD})},
            ["foreign_policy"],
        ),
        # quotas
        ({"who": subject(inline={"gpuops-runpod-pull": document(MANY)})}, ["quota_near"]),
        ({"who": subject(inline={"gpuops-runpod-pull": document(MANY[:10])})}, []),
        ({"who": subject(inline={}, attached={MANAGED_POLICY: document(MANY * 2)})}, []),
        (
            {
                "who": subject(
                    inline={},
                    attached={MANAGED_POLICY: document([f"{arn}-part-{n}" for arn in MANY for n in range(3)])},
                )
            },
            ["quota_near"],
        ),
        ({"who": subject({str(number): "x" for number in range(36)})}, []),
        ({"who": subject({str(number): "x" for number in range(37)})}, ["quota_near"]),
        # not ours, and in quarantine
        ({"who": Subject({**subject().user, "tags": {}}, {}, {THEIRS: None}, ["crew"]), "rotate": 1}, ["not_managed"]),
        ({"who": subject(QUARANTINE, None, {}, {DENY_ALL: None}), "keys": (key(status="Inactive"),)}, ["quarantined"]),
        (
            {"who": subject(QUARANTINE, None, {"gpuops-runpod-quarantine": {}}), "keys": (key(status="Inactive"),)},
            ["quarantined"],
        ),
        (
            {"who": subject(QUARANTINE, inline={}, attached={THEIRS: None}), "keys": (key(), key(5, OLD))},
            ["quarantined", "foreign_key", "foreign_policy"],
        ),
    ],
)
def test_what_is_wrong_is_found(given: Json, expected: list[str]) -> None:
    found = audit(**given)[1]
    assert [one["code"] for one in found] == expected
    assert [one["severity"] for one in found] == sorted((one["severity"] for one in found), key=SEVERITIES.index)
    assert {one["user"] for one in found} <= {"puller"}
    assert SECRET not in json.dumps(found)


def test_repositories_of_a_policy_that_is_gone_are_not_missing() -> None:
    told, found = audit(subject(inline={}, attached={MANAGED_POLICY: None}), repositories=[APP])
    assert told["policies"][0]["drift"] == {"missing": [], "extra": [], "other": False}
    assert found == []


def test_what_is_told_of_a_user() -> None:
    told = audit(
        subject(groups=["crew"], attached={THEIRS: None}), store=kept(tags=token(6)), repositories=[API], rotate=9
    )[0]
    assert told == {
        **subject().user,
        "managed": True,
        "quarantined": False,
        "policies": [
            {
                "kind": "inline",
                "name": "gpuops-runpod-pull",
                "document": document([APP]),
                "repositories": [APP],
                "size": len(json.dumps(document([APP]), separators=(",", ":"))),
                "limit": 2048,
                "drift": {"missing": [API], "extra": [APP], "other": False},
            }
        ],
        "other_policies": [{"kind": "attached", "name": THEIRS}],
        "groups": ["crew"],
        "access_keys": [
            {
                "id": ID,
                "status": "Active",
                "created": "2026-08-21T12:00:00Z",
                "age_days": 10,
                "last_used": {"date": "2026-08-31T09:36:00Z", "service": "ecr", "region": "us-east-1"},
                "never_used": False,
                "ours": True,
                "stored": True,
                "rotation_due": True,
            }
        ],
        "quotas": {
            "inline_characters": {"used": told["policies"][0]["size"], "limit": 2048},
            "attached_policies": {"used": 1, "limit": 10},
            "groups": {"used": 1, "limit": 10},
            "tags": {"used": 3, "limit": 50},
            "access_keys": {"used": 1, "limit": 2},
        },
        "secret_store": {
            **PLACE,
            "arn": SM,
            "state": "key",
            "error": None,
            "access_key_id": ID,
            "tokens": [{"registry_id": "cred1", "expires_at": "2026-08-31T18:00:00Z", "access_key_id": ID}],
        },
    }


def test_without_the_store_nothing_is_told_of_it_and_the_newest_key_of_ours_is_the_one_in_use() -> None:
    told = audit(subject({OLD: "gpuops.runpod"}), (key(99, OLD), key(50)), rotate=40)[0]
    assert told["secret_store"] is None
    assert [(one["stored"], one["rotation_due"]) for one in told["access_keys"]] == [(None, False), (None, True)]


def test_unreadable_store_does_not_tell_which_key_it_holds() -> None:
    told = audit(store=kept(None, error="no"))[0]
    assert [one["stored"] for one in told["access_keys"]] == [None]
    assert told["secret_store"]["error"] == "no" and told["secret_store"]["arn"] is None


def test_managed_policies_of_aws_open_everything_in_their_partition() -> None:
    user = {**subject().user, "arn": "arn:aws-cn:iam::123456789012:user/runpod/puller"}
    read_only = "arn:aws-cn:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
    told = audit(Subject(user, {}, {read_only: None}, []))[0]
    assert [(policy["kind"], policy["repositories"]) for policy in told["policies"]] == [
        ("read_only", ["arn:aws-cn:ecr:*:*:repository/*"])
    ]


@pytest.mark.parametrize(
    "arn, kind",
    [
        (PULL_ONLY, "pull_only"),
        ("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly", "read_only"),
        ("arn:aws:iam::aws:policy/ReadOnlyAccess", None),
        (MANAGED_POLICY, "customer_managed"),
        (THEIRS, None),
        ("arn:aws:iam::210987654321:policy/gpuops-runpod-pull", None),
        ("arn:aws:iam::123456789012:policy/AmazonEC2ContainerRegistryPullOnly", None),
    ],
)
def test_kinds_of_attached_policies(arn: str, kind: str | None) -> None:
    assert kind_of(arn, "123456789012") == kind


@pytest.mark.parametrize(
    "name, recorded, expected",
    [
        (None, SM, ("secretsmanager", "runpod-ecr/puller", "us-east-1")),
        (
            None,
            "arn:aws:ssm:eu-west-1:123456789012:parameter/runpod-ecr/puller",
            ("ssm", "/runpod-ecr/puller", "eu-west-1"),
        ),
        (None, "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/plain", ("ssm", "plain", "cn-north-1")),
        (None, "", ("secretsmanager", None, None)),
        (None, "a note of somebody", ("secretsmanager", None, None)),
        ("mine", SM, ("secretsmanager", "mine", None)),
    ],
)
def test_entry_is_the_recorded_one_unless_named(
    name: str | None, recorded: str, expected: tuple[str, str | None, str | None]
) -> None:
    given = {"type": "secretsmanager", "name": name, "region": None, "tags": None}
    place = store_place(given, {"gpuops.runpod/secret": recorded})
    assert (place["type"], place["name"], place["region"]) == expected and place["tags"] is None


# Remedies


def remedy_of(code: str, found: list[Json]) -> str:
    return next(one["remedy"] for one in found if one["code"] == code)


def options_in(remedy: str) -> Json:
    """Return the options of the module that a remedy calls."""
    words = shlex.split(remedy[remedy.index("ansible localhost") :])
    assert words[:3] == ["ansible", "localhost", "-m"] and words[4] == "-a" and len(words) == 6
    return {"module": words[3], **json.loads(words[5])}


USER = {"module": "gpuops.runpod.ecr_pull_user", "name": "puller", "path": "/runpod/", "secret_store": PLACE}


@pytest.mark.parametrize(
    "code, given, expected",
    [
        ("rotation_due", {"rotate": 5}, {**USER, "rotate_after_days": 5}),
        ("secret_missing", {"store": kept(None)}, USER),
        ("secret_key_mismatch", {"keys": (), "store": kept()}, USER),
        ("quarantined", {"who": subject(QUARANTINE)}, {**USER, "release_quarantine": True}),
        (
            "policy_missing",
            {"who": subject(inline={})},
            {**USER, "repositories": ["REPOSITORY"], "purge_repositories": True},
        ),
        (
            "policy_drift",
            {"repositories": [API]},
            {**USER, "repositories": [API], "purge_repositories": True},
        ),
        (
            "policy_drift",
            {"who": subject(inline={"gpuops-runpod-pull": BROAD})},
            {**USER, "repositories": [APP], "purge_repositories": True},
        ),
        (
            "quota_near",
            {"who": subject(inline={"gpuops-runpod-pull": document(MANY)})},
            {
                **USER,
                "repositories": ["arn:aws:ecr:us-east-1:123456789012:repository/team/*"],
                "purge_repositories": True,
            },
        ),
        (
            "boundary_missing",
            {"who": subject(boundary=None)},
            {**USER, "permissions_boundary": "arn:aws:iam::123456789012:policy/BOUNDARY"},
        ),
        ("key_unused", {"keys": (key(99, used=60),), "store": kept()}, {**USER, "state": "absent"}),
        (
            "token_expired",
            {"store": kept(tags=token(-1))},
            {
                "module": "gpuops.runpod.runpod_ecr_credential",
                "name": "NAME",
                "registry_region": "REGION",
                "secret_store": PLACE,
            },
        ),
    ],
)
def test_remedy_is_a_call_of_a_module(code: str, given: Json, expected: Json) -> None:
    assert options_in(remedy_of(code, audit(**given)[1])) == expected


@pytest.mark.parametrize(
    "code, given, command",
    [
        (
            "foreign_key",
            {"keys": (key(5, OLD),)},
            f"aws iam update-access-key --access-key-id {OLD} --status Inactive --user-name puller",
        ),
        (
            "foreign_key",
            {"keys": (key(5, OLD, "Inactive"),)},
            f"aws iam delete-access-key --access-key-id {OLD} --user-name puller",
        ),
        (
            "two_active_keys",
            {"keys": (key(5), key(9, OLD)), "who": subject({OLD: "gpuops.runpod"})},
            f"aws iam update-access-key --access-key-id {OLD} --status Inactive --user-name puller",
        ),
        (
            "two_active_keys",
            {"keys": (key(9), key(5, OLD)), "who": subject({OLD: "gpuops.runpod"}), "store": kept()},
            f"aws iam update-access-key --access-key-id {OLD} --status Inactive --user-name puller",
        ),
        (
            "key_unused",
            {"keys": (key(), key(99, OLD, used=None)), "who": subject({OLD: "gpuops.runpod"}), "store": kept()},
            f"aws iam update-access-key --access-key-id {OLD} --status Inactive --user-name puller",
        ),
        (
            "secret_key_inactive",
            {"keys": (key(status="Inactive"),), "store": kept()},
            f"aws iam update-access-key --access-key-id {ID} --status Active --user-name puller",
        ),
        (
            "foreign_policy",
            {"who": subject(groups=["crew"])},
            "aws iam remove-user-from-group --group-name crew --user-name puller",
        ),
        (
            "foreign_policy",
            {"who": subject(attached={THEIRS: None})},
            f"aws iam detach-user-policy --policy-arn {THEIRS} --user-name puller",
        ),
    ],
)
def test_remedy_is_a_command_of_aws(code: str, given: Json, command: str) -> None:
    assert remedy_of(code, audit(**given)[1]).endswith(command)


def test_remedy_for_a_user_without_a_recorded_entry_names_none() -> None:
    who = subject(boundary=None)
    del who.user["tags"]["gpuops.runpod/secret"]
    assert "secret_store" not in remedy_of("boundary_missing", audit(who)[1])


def test_user_that_is_not_there_is_found() -> None:
    (found,) = nobody("puller", None, None)
    assert (found["user"], found["code"], found["severity"]) == ("puller", "user_missing", "error")
    assert options_in(found["remedy"]) == {
        "module": "gpuops.runpod.ecr_pull_user",
        "name": "puller",
        "repositories": ["REPOSITORY"],
    }


@pytest.mark.parametrize("prefix", ["/team", "/team/"])
def test_path_without_users_is_found(prefix: str) -> None:
    (found,) = nobody(None, prefix, [APP])
    assert (found["user"], found["code"], found["severity"]) == (None, "user_missing", "warning")
    options = options_in(found["remedy"])
    assert (options["name"], options["path"], options["repositories"]) == ("NAME", "/team/", [APP])


def test_shortened_keeps_what_has_another_prefix() -> None:
    other = "arn:aws:ecr:eu-west-1:123456789012:repository/solo"
    assert shortened([APP, API, other]) == [other, "arn:aws:ecr:us-east-1:123456789012:repository/team/*"]
    assert shortened([other]) == ["PREFIX/*"]


@pytest.mark.parametrize("row", TABLE.values())
def test_every_row_has_cause_and_remedy(row: Rule) -> None:
    assert row.severity in SEVERITIES
    for template in (row.cause, row.remedy):
        assert template and list(string.Formatter().parse(template))


def test_texts_of_others_are_never_taken_for_templates() -> None:
    found = audit(subject(groups=["{secret}"]))[1]
    assert "{secret}" in remedy_of("foreign_policy", found)
