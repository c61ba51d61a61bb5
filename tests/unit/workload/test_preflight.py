# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A preflight tells each thing that is missing, one at a time, with what mends it, and writes nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.rights import RULES, Rule
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError, SkopeoError
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.skopeo import Skopeo
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.preflight_rights import (
    Right,
    Verdict,
    reason_of,
    verdicts,
)
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_preflight
from ansible_collections.gpuops.runpod.tests.unit.plugins import rights
from tests.sandbox.aws_access import iam
from tests.system.conftest import ENDPOINT, IMAGE, SEOUL, USER, House
from tests.system.test_rights import ACCOUNT, BOUNDARY, policy
from tests.unit.rights.judge import Who, allowed

Json = dict[str, Any]
OPERATOR = f"arn:aws:iam::{ACCOUNT}:user/operator"
STORE = {"type": "secretsmanager", "name": f"runpod-ecr/{USER}"}
PARAMETER = {"type": "ssm", "name": f"/runpod-ecr/{USER}"}
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
# What makes a run be about a word of the table.
ABOUT: dict[str, Json] = {
    "write": {},
    "user": {},
    "images": {},
    "secretsmanager": {},
    "ssm": {"secret_store": PARAMETER},
    "refresh": {"intent": "refresh"},
    "audit": {"intent": "audit"},
    "caller": {"pull_identity": "caller"},
    "role": {"pull_identity": "role"},
    "assume": {"pull_identity": "role"},
    "kms": {"secret_store": {**STORE, "kms_key_id": KEY}},
    "unbound": {"user_permissions_boundary": ""},
    "managed": {"user_policy": "pull_only"},
    "many": {"user_repositories": [f"service-{number:04}" for number in range(60)]},
    "delegation": {"access": "delegation"},
    "public": {"access": "public"},
    "force": {"intent": "absent", "public_force": True},
    "events": {"intent": "audit", "events": {}},
    "mirror": {"modules": ["ecr_image_mirror"]},
    "users": {"modules": ["ecr_pull_user_info"]},
}
SIMULATION = "ansible_collections.gpuops.runpod.plugins.module_utils._workload.preflight_look.simulation"
DATE = "ansible_collections.gpuops.runpod.plugins.module_utils._workload.preflight_host.parsedate_to_datetime"
LENT = f"arn:aws:iam::{ACCOUNT}:role/lent"
BOUND = {"user_permissions_boundary": BOUNDARY}


def preflight(house: House, **options: Any) -> Json:
    """Return what a preflight tells; it has written nothing, and asked for nothing that its page does not list."""
    given = {"image": IMAGE, "secret_store": STORE, **options}
    with patch.dict(os.environ, house.environment()):
        house.sandbox.forget_calls()
        results: Json = house.runs.outcome(runpod_ecr_preflight, given).results
    assert house.writes() == []
    called = {call["name"] for call in house.sandbox.aws_calls()}
    assert called <= rights.listed("runpod_ecr_preflight") | rights.FOR_EVERYBODY
    return results


def wrong(found: Json, status: str = "missing") -> dict[str, str]:
    """Return the names of what has this status, with the remedies."""
    return {check["name"]: check["remedy"] for check in found["checks"] if check["status"] == status}


@contextmanager
def denying(house: House, *actions: str) -> Iterator[None]:
    def may(action: str, dummy: str, keys: Mapping[str, str]) -> bool:
        return action not in actions

    house.sandbox.aws.limit_operators(may)
    yield
    house.sandbox.aws.limit_operators(lambda *dummy: True)


def cases() -> Iterator[tuple[str, str, Json]]:
    """Yield each action of each row of the table, with the options of a run that needs it."""
    for row in RULES:
        for words in row.when.split("|") if row.when else []:
            options: Json = dict(BOUND) if row.sid in ("OnlyWithBoundary", "RolesOnlyWithBoundary") else {}
            for word in words.split():
                options |= ABOUT[word]
            for action in row.named():
                yield row.sid, action, {**options, **needs(action)}


def needs(action: str) -> Json:
    return {"secret_store": {**PARAMETER, "kms_key_id": KEY}} if action == "kms:Encrypt" else {}


CASES = {(sid, action): options for sid, action, options in cases()}
EVERY_ROW = pytest.mark.parametrize("sid", list(dict.fromkeys(sid for sid, dummy in CASES)))
READS = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Lookup")


def of_row(sid: str) -> list[tuple[str, Json]]:
    return [(action, options) for (held, action), options in CASES.items() if held == sid]


# Rights


def test_nothing_is_missing_for_who_may_do_everything(house: House) -> None:
    found = preflight(house, endpoint=ENDPOINT, workloads=[{"image": IMAGE}, {"image": SEOUL}])
    assert found["ready"] and wrong(found) == {}
    assert set(wrong(found, "unknown")) == {
        f"RunPod: write {area}" for area in ("registry credentials", "templates", "serverless endpoints")
    }
    assert found["lines"][0].startswith("Ready to converge: 0 missing, 3 unknown, ")


def row(sid: str) -> Rule:
    return next(one for one in RULES if one.sid == sid)


@EVERY_ROW
def test_each_missing_right_is_told_alone_with_its_remedy(house: House, sid: str) -> None:
    for action, options in of_row(sid):
        with denying(house, action):
            found = preflight(house, **options)
        of_key = action.startswith("kms:")
        status = "unknown" if of_key else "missing"
        told = {
            one["name"]: one["remedy"] for one in found["checks"] if (one["kind"], one["status"]) == ("right", status)
        }
        assert set(told) == {action}
        assert action in told[action] and OPERATOR in told[action]
        assert all(name in told[action] for name in row(sid).documents.split()[:1])
        assert found["ready"] is (of_key or not row(sid).required)


@EVERY_ROW
def test_without_simulation_reads_tell_what_they_can(house: House, sid: str) -> None:
    if "user" in row(sid).when:
        house.client("iam").create_user(UserName=USER, Path="/runpod/")
    if {"role", "assume"} & set(row(sid).when.split()):
        make_role(house)
    for action, options in of_row(sid):
        with denying(house, action, "iam:SimulatePrincipalPolicy"):
            found = preflight(house, **options)
        told = [check for check in found["checks"] if check["kind"] == "right" and check["status"] != "ok"]
        about = [check for check in told if action in f"{check['name']} {check['text']}"]
        assert about and all(check["remedy"] for check in about)
        assert not [check for check in told if check["status"] == "missing" and check not in about]
        if action.partition(":")[2].startswith(READS) and action != "iam:GetAccessKeyLastUsed":
            assert "missing" in {check["status"] for check in about}
        assert "iam:SimulatePrincipalPolicy" in wrong(found, "unknown")


def make_role(house: House, name: str = USER, path: str = "/runpod/", **options: Any) -> None:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": OPERATOR}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    house.client("iam").create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document, **options)


def test_every_row_is_part_of_some_run() -> None:
    assert {sid for sid, dummy in CASES} == {row.sid for row in RULES} - {"Preflight", "PreflightAsRole"}
    words = {word for row in RULES for word in row.when.replace("|", " ").split()}
    assert words == ABOUT.keys()


JOBS: list[tuple[str, Json]] = [
    ("operator", {**BOUND}),
    ("operator", {**BOUND, "intent": "rotate"}),
    ("operator", {**BOUND, "intent": "absent", "secret_store": PARAMETER}),
    ("operator operator-managed-policies", {**BOUND, **ABOUT["many"]}),
    ("refresher", {"intent": "refresh"}),
    ("refresher", {"intent": "refresh", "secret_store": PARAMETER}),
    ("auditor", {"intent": "audit", "events": {}}),
    ("auditor", {"intent": "audit", "access": "public"}),
    ("delegation", {"access": "delegation"}),
    ("public", {"access": "public"}),
    ("pull-boundary", {"pull_identity": "caller"}),
    ("operator-role", {**BOUND, "pull_identity": "role"}),
    ("operator-role", {**BOUND, "pull_identity": "role", "intent": "absent"}),
    ("role-refresher", {"pull_identity": "role", "intent": "refresh"}),
    ("operator operator-role", {**BOUND, "pull_identity": "role", "retire_former_identity": True}),
    ("operator operator-role", {**BOUND, "retire_former_identity": True}),
]


@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize(("names", "options"), JOBS)
def test_the_policies_of_the_pages_are_enough(house: House, names: str, options: Json, simulated: bool) -> None:
    statements = [
        one for name in [*names.split(), *["preflight"] * simulated] for one in policy(name).policy["Statement"]
    ]
    who = Who(OPERATOR, {"Version": "2012-10-17", "Statement": statements})
    with judged_as(house, who):
        found = preflight(house, **options)
    assert wrong(found) == {} and found["ready"]
    assert not simulated or not [name for name in wrong(found, "unknown") if not name.startswith("RunPod: write")]


@contextmanager
def judged_as(house: House, who: Who) -> Iterator[None]:
    house.sandbox.aws.limit_operators(
        lambda action, resource, keys: bool(allowed(who, [(action, resource, tuple(keys.items()))]))
    )
    yield
    house.sandbox.aws.limit_operators(lambda *dummy: True)


@pytest.mark.parametrize(
    ("options", "action"),
    [
        ({"pull_identity": "role"}, "iam:DeleteUser"),
        ({}, "iam:DeleteRole"),
        ({"pull_identity": "caller", "role_arn": LENT}, "iam:DeleteRole"),
    ],
)
def test_what_retires_the_former_identity_is_looked_for_when_it_is_asked_for(
    house: House, options: Json, action: str
) -> None:
    make_role(house)
    with denying(house, action):
        assert preflight(house, **options)["ready"]
        found = preflight(house, **options, retire_former_identity=True)
    kind = action.removeprefix("iam:Delete").lower()
    assert list(wrong(found)) == [action] and f"{kind}/runpod/{USER}" in wrong(found)[action]


def test_a_former_role_that_there_is_not_is_no_missing_right_where_nothing_is_simulated(house: House) -> None:
    with denying(house, "iam:SimulatePrincipalPolicy", "iam:ListRolePolicies"):
        found = preflight(house, retire_former_identity=True)
    assert found["ready"] and "iam:ListRolePolicies" in wrong(found, "unknown")


def test_an_operator_who_is_bound_is_told_to_set_the_boundary(house: House) -> None:
    statements = [*policy("operator").policy["Statement"], *policy("preflight").policy["Statement"]]
    with judged_as(house, Who(OPERATOR, {"Version": "2012-10-17", "Statement": statements})):
        found = preflight(house)
    assert set(wrong(found)) == {"iam:CreateUser", "iam:PutUserPolicy", "iam:DeleteUserPolicy"}
    assert all("runpod_ecr_user_permissions_boundary" in remedy for remedy in wrong(found).values())


def test_the_boundary_that_a_user_has_counts(house: House) -> None:
    house.client("iam").create_user(UserName=USER, Path="/runpod/", PermissionsBoundary=BOUNDARY)
    statements = [*policy("operator").policy["Statement"], *policy("preflight").policy["Statement"]]
    with judged_as(house, Who(OPERATOR, {"Version": "2012-10-17", "Statement": statements})):
        assert preflight(house)["ready"]


def test_the_boundary_that_a_role_has_counts(house: House) -> None:
    make_role(house, PermissionsBoundary=BOUNDARY)
    statements = [*policy("operator-role").policy["Statement"], *policy("preflight").policy["Statement"]]
    with judged_as(house, Who(OPERATOR, {"Version": "2012-10-17", "Statement": statements})):
        assert preflight(house, pull_identity="role")["ready"]


def test_who_may_not_assume_the_role_is_told_to_look_at_its_trust(house: House) -> None:
    make_role(house)
    for options in ({"pull_identity": "role"}, {"pull_identity": "caller", "role_arn": LENT, "role_external_id": "x"}):
        with denying(house, "sts:AssumeRole"):
            told = wrong(preflight(house, **options))
        assert "name it in the trust of the role" in told["sts:AssumeRole"]


def test_what_the_repository_lets_read_is_not_missing(house: House) -> None:
    """A simulation sees the policies of the caller alone; here it denies what the read itself may."""
    denied = {"EvalActionName": "ecr:BatchGetImage", "EvalDecision": "implicitDeny"}
    with patch(SIMULATION, lambda aws, source, batch: verdicts(batch, [denied])):
        assert "ecr:BatchGetImage" not in wrong(preflight(house))


def test_root_may_do_everything_and_a_federated_user_is_not_simulated(house: House) -> None:
    for arn, unknown in ((f"arn:aws:iam::{ACCOUNT}:root", False), (f"arn:aws:sts::{ACCOUNT}:federated-user/x", True)):
        with patch("tests.sandbox.aws.OPERATOR_ARN", arn.replace(ACCOUNT, "{}")):
            found = preflight(house)
        assert ("iam:SimulatePrincipalPolicy" in wrong(found, "unknown")) is unknown
        assert wrong(found) == {}


@pytest.mark.parametrize("known", [True, False])
def test_a_role_is_judged_by_its_own_policies(house: House, known: bool) -> None:
    if known:
        make_role(house, "deploy", "/teams/")
    session = "arn:aws:sts::{}:assumed-role/deploy/session"
    with patch("tests.sandbox.aws.OPERATOR_ARN", session):
        found = preflight(house)
    path = "teams/" if known else ""
    [check] = [one for one in found["checks"] if one["name"] == "iam:SimulatePrincipalPolicy"]
    assert f"arn:aws:iam::{ACCOUNT}:role/{path}deploy" in check["text"]


def test_a_simulation_says_which_kind_of_policy_says_no() -> None:
    organization = {"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}}
    boundary = {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}
    assert "service control policy" in reason_of("implicitDeny", organization)
    assert "boundary" in reason_of("implicitDeny", boundary)
    assert reason_of("explicitDeny", {}) == "a policy denies it"


def test_of_several_resources_one_that_is_denied_counts() -> None:
    right = Right(row("ReadImages"), "ecr:BatchGetImage", ("one", "two"))
    other = right._replace(action="ecr:PutImage")
    several = [{"EvalResourceDecision": decision} for decision in ("allowed", "implicitDeny")]
    answer = {"EvalActionName": "ecr:batchgetimage", "EvalDecision": "allowed", "ResourceSpecificResults": several}
    assert verdicts([right, other], [answer]) == [
        Verdict(right, "missing", "no policy allows it"),
        Verdict(other, "unknown", "the simulation does not tell"),
    ]


DENIALS = [
    ("explicitDeny", {}, "Look for a Deny"),
    ("implicitDeny", {"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}}, "the organization's policies"),
]


@pytest.mark.parametrize(("decision", "detail", "remedy"), DENIALS)
def test_the_remedy_goes_to_the_policy_that_says_no(house: House, decision: str, detail: Json, remedy: str) -> None:
    result = {"EvalActionName": "iam:CreateUser", "EvalDecision": decision, **detail}
    with patch(SIMULATION, lambda aws, source, batch: verdicts(batch, [result])):
        assert remedy in wrong(preflight(house))["iam:CreateUser"]


# Identity, store, regions


def test_who_is_nobody_gets_one_remedy_and_the_rest_is_told_all_the_same(house: House) -> None:
    denied = {"code": "InvalidClientTokenId", "message": "The security token is invalid.", "status": 403}
    house.sandbox.fail("^sts:GetCallerIdentity$", times=None, answer=denied)
    found = preflight(house)
    assert set(wrong(found)) == {"AWS identity"} and "Log in" in wrong(found)["AWS identity"]
    assert [check for check in found["checks"] if check["kind"] == "scope"] and not found["ready"]


def test_a_clock_that_AWS_refuses_is_the_remedy(house: House) -> None:
    expired = {"code": "SignatureDoesNotMatch", "status": 403, "message": "Signature expired: now earlier than"}
    house.sandbox.fail("^sts:GetCallerIdentity$", times=None, answer=expired)
    assert "NTP" in wrong(preflight(house))["AWS identity"]


def test_images_of_another_account_are_pointed_out(house: House) -> None:
    found = preflight(house, image=IMAGE.replace(ACCOUNT, "111122223333"))
    assert "AWS account" in wrong(found, "unknown")


def entry(house: House, value: str, owner: str) -> None:
    tags = [{"Key": "gpuops.runpod/managed", "Value": owner}]
    house.client("secretsmanager").create_secret(Name=STORE["name"], SecretString=value, Tags=tags)


def test_an_entry_of_the_store_is_empty_ours_or_somebody_elses(house: House) -> None:
    said = {}
    for name, arrange in (
        ("empty", lambda: None),
        ("ours", house.arrange),
        ("foreign", lambda: entry(house, "secret of another tool", USER)),
        ("another user's", lambda: entry(house, json.dumps({"pending": PENDING}), "somebody")),
    ):
        house.sandbox.reset()
        arrange()
        [said[name]] = [check for check in preflight(house)["checks"] if check["kind"] == "store"]
    assert {name: check["status"] for name, check in said.items()} == {
        "empty": "ok",
        "ours": "ok",
        "foreign": "missing",
        "another user's": "missing",
    }
    assert "aws secretsmanager tag-resource" in said["another user's"]["remedy"]


PENDING = {"since": "2026-08-13T12:00:00Z", "known_key_ids": []}


def test_a_store_that_cannot_be_read_is_told(house: House) -> None:
    broken = {"code": "DecryptionFailure", "message": "the key is gone", "status": 400}
    house.sandbox.fail("^secretsmanager:GetSecretValue$", times=None, answer=broken)
    assert wrong(preflight(house))[STORE["name"]]


@pytest.mark.parametrize(
    ("image", "answer", "status"),
    [
        (IMAGE.replace(":v1", ":v9"), None, "missing"),
        (IMAGE.replace(":v1", "@sha256:" + "a" * 64), None, "missing"),
        (IMAGE.replace("training", "none"), None, "missing"),
        (IMAGE, {"code": "UnrecognizedClientException", "message": "no", "status": 400}, "missing"),
        (IMAGE, {"code": "AccessDeniedException", "message": "no", "status": 400}, "unknown"),
        (IMAGE, None, "ok"),
    ],
)
def test_an_image_and_its_region_are_looked_at(house: House, image: str, answer: Json | None, status: str) -> None:
    if answer:
        house.sandbox.fail("^ecr:BatchGetImage$", times=None, answer=answer)
    [check] = [one for one in preflight(house, image=image)["checks"] if one["kind"] == "region"]
    assert check["status"] == status and bool(check["remedy"]) is (status != "ok")


# RunPod

SCOPES = {
    "secrets:read": ({}, "RunPod: read registry credentials"),
    "templates:read": ({}, "RunPod: read templates"),
    "serverless:read": ({}, "RunPod: read serverless endpoints"),
    "pods:read": ({"intent": "absent"}, "RunPod: read pods"),
}


@pytest.mark.parametrize("scope", SCOPES)
def test_each_missing_scope_is_told_alone(house: House, scope: str) -> None:
    options, name = SCOPES[scope]
    every = [
        f"{area}:{access}" for area in ("secrets", "templates", "serverless", "pods") for access in ("read", "write")
    ]
    house.sandbox.runpod.switch(scopes=[one for one in every if one != scope])
    found = preflight(house, **options)
    assert set(wrong(found)) == {name} and "lacks read access" in wrong(found)[name]


def test_delegations_are_read_only_where_they_are_used(house: House) -> None:
    house.sandbox.runpod.switch(scopes=["templates:read", "serverless:read"])
    found = preflight(house, access="delegation")
    assert set(wrong(found)) == {"RunPod: read registry credentials", "RunPod: read delegations"}


def test_a_key_that_RunPod_does_not_know_is_told_once(house: House) -> None:
    house.sandbox.fail(
        "^GET /v2/.*$", times=None, answer={"status": 401, "body": {"title": "no", "status": 401, "detail": "no"}}
    )
    assert set(wrong(preflight(house))) == {"RunPod API key"}


def test_where_RunPod_is_not_reached_the_address_is_told_once(house: House) -> None:
    house.sandbox.fail("^GET /v2/.*$", times=None, answer="reset")
    assert set(wrong(preflight(house))) == {"RunPod API key"}


def test_trouble_at_RunPod_is_no_missing_scope(house: House) -> None:
    house.sandbox.fail(
        "^GET /v2/templates$",
        times=None,
        answer={"status": 500, "body": {"title": "no", "status": 500, "detail": "no"}},
    )
    found = preflight(house)
    assert found["ready"] and "RunPod: read templates" in wrong(found, "unknown")


def test_what_answers_and_is_not_RunPod_is_told(house: House) -> None:
    house.sandbox.fail(
        "^GET /v2/registries$",
        times=None,
        answer={"status": 404, "body": {"title": "no", "status": 404, "detail": "no"}},
    )
    assert "RunPod: read registry credentials" in wrong(preflight(house))


def test_quarantine_needs_nothing_of_RunPod_and_no_image(house: House) -> None:
    found = preflight(house, intent="quarantine", image=None)
    assert found["ready"] and {check["kind"] for check in found["checks"]} & {"scope", "region"} == set()
    assert house.sandbox.runpod_calls() == []


# Tools, clocks, quotas


def test_skopeo_is_looked_for_only_where_images_are_copied(house: House) -> None:
    def missing(dummy: Skopeo) -> None:
        raise SkopeoError("skopeo cannot be run (No such file or directory).")

    with patch.object(Skopeo, "version", missing):
        assert preflight(house)["ready"] and preflight(house, access="public", intent="absent")["ready"]
        for options in ({"access": "public"}, {"modules": ["ecr_image_mirror"]}):
            found = preflight(house, **options)
            assert set(wrong(found)) == {"skopeo"} and "apt install skopeo" in wrong(found)["skopeo"]
    with patch.object(Skopeo, "version", lambda dummy: (1, 18)):
        [check] = [one for one in preflight(house, access="public")["checks"] if one["kind"] == "tool"]
    assert (check["status"], check["text"]) == ("ok", "version 1.18")


@pytest.mark.parametrize(("minutes", "word"), [(2, "ahead of"), (-2, "behind")])
def test_a_clock_that_is_off_by_more_than_a_minute_is_told(house: House, minutes: int, word: str) -> None:
    plain = house.runs.clock
    house.runs.clock = lambda: plain() + timedelta(minutes=minutes)
    found = preflight(house)
    assert set(wrong(found)) == {"clock: AWS", "clock: RunPod"}
    assert all(word in check["text"] for check in found["checks"] if check["kind"] == "clock")


def test_without_a_date_the_clock_is_unknown(house: House) -> None:
    with patch(DATE, side_effect=ValueError):
        found = preflight(house)
    assert found["ready"] and {"clock: AWS", "clock: RunPod"} <= set(wrong(found, "unknown"))


def test_a_quota_that_is_nearly_spent_is_told(house: House) -> None:
    house.sandbox.runpod.switch(rate_limits={"minute": 60, "hour": 3600, "day": 5})
    found = preflight(house)
    assert set(wrong(found)) == {"quota of RunPod: day"} and "higher limit" in wrong(found)["quota of RunPod: day"]


@pytest.mark.parametrize(("exists", "status"), [(False, "missing"), (True, "ok")])
def test_an_account_that_is_full_of_users_takes_no_other(house: House, exists: bool, status: str) -> None:
    if exists:
        house.client("iam").create_user(UserName=USER, Path="/runpod/")
    with patch.object(iam(ACCOUNT).account_summary, "_users_quota", 0):
        [check] = [one for one in preflight(house)["checks"] if one["name"] == "quota of IAM users"]
    assert check["status"] == status


def test_a_quota_that_may_not_be_looked_at_is_unknown(house: House) -> None:
    with denying(house, "iam:GetAccountSummary"):
        found = preflight(house)
    assert found["ready"] and "preflight.json" in wrong(found, "unknown")["quota of IAM users"]


@pytest.mark.parametrize(
    "answer",
    [
        {"remove": "$.GetAccountSummaryResult.SummaryMap.entry.key"},
        {"null": "$.GetAccountSummaryResult.SummaryMap.entry"},
    ],
    ids=str,
)
def test_a_quota_in_an_answer_without_its_name_is_unknown(house: House, answer: Json) -> None:
    house.sandbox.fail("^iam:GetAccountSummary$", answer=answer, effect="after", times=None)
    assert "GetAccountSummary" in wrong(preflight(house), "unknown")["quota of IAM users"]


# The whole


def test_it_takes_less_than_five_seconds(house: House) -> None:
    preflight(house)
    start = time.process_time()
    preflight(house, workloads=[{"image": IMAGE}, {"image": SEOUL}], endpoint=ENDPOINT)
    assert time.process_time() - start < 5


def test_wrong_options_are_told_as_by_the_run(house: House) -> None:
    with pytest.raises(InputError, match="did you mean runpod_ecr_image"):
        preflight(house, variables=["runpod_ecr_imagee"])
