# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is broken through the clouds' own APIs is told at its link, and nothing else is."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.report import audit as judge
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_plan
from tests.sandbox.images import push
from tests.system.conftest import ENDPOINT, IMAGE, REGISTRY, SEOUL, USER, House
from tests.system.test_audit import at_runpod, carry_out, held, sample
from tests.unit.audit.sabotages import PULL_FAILED, workers

from .audits import SERVED, STORE, TRAINING, WORKLOADS, Json, audited, broken, everywhere, observed

OTHER = f"{REGISTRY}/runpod-gpu-inference:v1"
ARN = "arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training"
EAST, SEOULS = (f"{USER}-123456789012-{region}" for region in ("us-east-1", "ap-northeast-2"))
FORBIDDEN = {"status": 403, "body": {"title": "Forbidden", "detail": "no such scope"}}
DENIED = {"code": "AccessDenied", "message": "not authorized", "status": 403}


def codes(report: Json) -> set[str]:
    return {one["code"] for one in report["findings"]}


def only(report: Json, code: str) -> Json:
    [found] = [one for one in report["findings"] if one["code"] == code]
    return found


def ending(house: House, name: str, moment: str) -> None:
    """Let the store tell that the token in a credential ends then."""
    [key] = house.keys()
    tag = {"Key": f"gpuops.runpod/{held(house, 'registries', name)}", "Value": f"{moment} {key}"}
    house.client("secretsmanager").tag_resource(SecretId=STORE["name"], Tags=[tag])


# What is well


@pytest.mark.parametrize(
    ("arranged", "options", "status", "how"),
    [
        ("credential", {}, "unproven", f"ECR gave the image to the pull user {USER} at "),
        ("caller", {"pull_identity": "caller"}, "unproven", "ECR gave the image to arn:aws:"),
        ("public", {"access": "public"}, "green", "ECR gave the image to a client without a login at "),
    ],
)
def test_green_means_proved_and_says_how(house: House, arranged: str, options: Json, status: str, how: str) -> None:
    workloads = [{"image": IMAGE, "template": {"name": TRAINING}}]
    house.arrange(*workloads, access=arranged)
    report = audited(house, workloads=workloads, **options)
    assert (report["status"], broken(report), report["orphans"], report["neighbours"]) == (status, {}, [], [])
    [workload] = report["workloads"]
    assert workload["proof"]["proved"] is (status == "green") and workload["proof"]["how"].startswith(how)
    assert report["summary"][status] == 1
    assert report["identity"].startswith("arn:aws:")


@pytest.mark.parametrize(("serverless", "code"), [(True, "unproven_serverless"), (False, "unproven")])
def test_a_pull_by_delegation_is_unproven(house: House, serverless: bool, code: str) -> None:
    workloads = [{"image": IMAGE, "template": {"name": TRAINING, "serverless": serverless}}]
    house.arrange(*workloads, access="delegation")
    report = audited(house, workloads=workloads, access="delegation")
    assert (report["status"], broken(report)) == ("unproven", {(TRAINING, "delegation"): [code]})
    assert (report["summary"]["unproven"], report["summary"]["green"]) == (1, 0)
    assert (
        not report["workloads"][0]["proof"]["proved"]
        and "nobody else can prove" in report["workloads"][0]["proof"]["how"]
    )
    assert len(report["answer"]) == 2 and "can be proved from outside" in report["answer"][1]


def test_an_audit_costs_little_more_than_an_unchanged_run(house: House) -> None:
    house.arrange()
    audited(house, workloads=[{"image": IMAGE}])
    audit = calls(house)
    plan(house)
    assert len(audit) <= 2 * len(calls(house))
    assert len(audit) == len(set(audit))


def calls(house: House) -> list[str]:
    return [call["name"] + call["path"] for call in [*house.sandbox.aws_calls(), *house.sandbox.runpod_calls()]]


def plan(house: House) -> None:
    with patch.dict(os.environ, house.environment()):
        house.sandbox.forget_calls()
        house.runs.outcome(runpod_ecr_plan, {"image": IMAGE, "secret_store": STORE})


# The chain by credential


def tag_gone(house: House) -> None:
    house.client("ecr").batch_delete_image(repositoryName="runpod-gpu-training", imageIds=[{"imageTag": "v1"}])


def another_platform(house: House) -> None:
    push(house.client("ecr"), "runpod-gpu-training", "v1", sample("runpod-arm-only"))


def quarantined(house: House) -> None:
    house.arrange(access="quarantined")


def policy_gone(house: House) -> None:
    house.client("iam").delete_user_policy(UserName=USER, PolicyName="gpuops-runpod-pull")


def key_inactive(house: House) -> None:
    [key] = house.keys()
    house.client("iam").update_access_key(UserName=USER, AccessKeyId=key, Status="Inactive")


def key_gone(house: House) -> None:
    [key] = house.keys()
    house.client("iam").delete_access_key(UserName=USER, AccessKeyId=key)


def entry_gone(house: House) -> None:
    house.client("secretsmanager").delete_secret(SecretId=STORE["name"], ForceDeleteWithoutRecovery=True)


def user_gone(house: House) -> None:
    key_gone(house)
    policy_gone(house)
    house.client("iam").delete_user(UserName=USER)


def credential_gone(house: House) -> None:
    at_runpod(house, "DELETE", f"registries/{held(house, 'registries', SEOULS)}")


def template_unlinked(house: House) -> None:
    at_runpod(house, "PATCH", f"templates/{held(house, 'templates', TRAINING)}", {"registry": None})


def template_changed(house: House) -> None:
    at_runpod(house, "PATCH", f"templates/{held(house, 'templates', TRAINING)}", {"image": OTHER, "disk": 77})


def template_gone(house: House) -> None:
    at_runpod(house, "DELETE", f"templates/{held(house, 'templates', TRAINING)}")


def endpoint_gone(house: House) -> None:
    at_runpod(house, "DELETE", f"serverless/{held(house, 'endpoints', SERVED)}")


def endpoint_scaled(house: House) -> None:
    house.call("runpod_endpoint", {"name": SERVED, "scaling": {"type": "QUEUE_DELAY", "queue_delay": 9}})


def endpoint_unlinked(house: House) -> None:
    at_runpod(house, "PATCH", f"serverless/{held(house, 'endpoints', SERVED)}", {"registry": None})


def token_over(house: House) -> None:
    ending(house, SEOULS, "2026-01-01T00:00:00Z")


def token_nearly_over(house: House) -> None:
    ending(house, SEOULS, (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"))


def token_unrecorded(house: House) -> None:
    key = f"gpuops.runpod/{held(house, 'registries', SEOULS)}"
    house.client("secretsmanager").untag_resource(SecretId=STORE["name"], TagKeys=[key])


AT_TRAINING, AT_SERVED = (TRAINING, "template"), (SERVED, "endpoint")


def test_a_token_of_the_user_for_another_region_is_judged_though_no_image_of_this_audit_is_there(house: House) -> None:
    house.arrange(*WORKLOADS)
    assert audited(house, workloads=WORKLOADS[:1])["status"] == "unproven"
    token_over(house)
    report = audited(house, workloads=WORKLOADS[:1])
    found = only(report, "token_expired")
    assert report["status"] == "red" and SEOULS in found["cause"] and found["workloads"] == []
    assert SEOULS in "".join(report["answer"]) and "Nothing that was looked at" not in "".join(report["answer"])
    carry_out(house, found["remedy"])
    assert audited(house, workloads=WORKLOADS[:1])["status"] == "unproven"


def test_a_token_of_the_user_by_another_name_is_judged_too(house: House) -> None:
    assert house.role(credential_name="by-hand").failure == ""
    house.arrange(*WORKLOADS)
    ending(house, "by-hand", "2026-01-01T00:00:00Z")
    assert "by-hand" in only(audited(house), "token_expired")["cause"]


def test_an_expired_token_tells_since_when(house: House) -> None:
    house.arrange(*WORKLOADS)
    token_over(house)
    report = audited(house)
    assert (only(report, "token_expired")["since"], report["since"]) == ("2026-01-01T00:00:00Z",) * 2
    bars = {one["name"]: one["status"] for one in report["timeline"]}
    assert (bars[SEOULS], bars[EAST]) == ("red", "green")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"user_path": "/other/"}, "runpod_ecr_user_path"),
        ({"user_tags": {"team": "mlops"}}, "runpod_ecr_user_tags"),
        ({"user_permissions_boundary": "arn:aws:iam::123456789012:policy/b"}, "runpod_ecr_user_permissions_boundary"),
        ({"user_policy": "pull_only"}, "runpod_ecr_user_policy"),
    ],
)
def test_a_user_that_is_not_as_the_variables_say_is_amber(house: House, options: Json, part: str) -> None:
    house.arrange(*WORKLOADS)
    report = audited(house, **options)
    assert part in only(report, "user_drift")["cause"] and report["status"] == "amber"


def test_a_template_of_which_no_image_is_told_differs(house: House) -> None:
    house.arrange(*WORKLOADS)
    templates, image = "^GET /v2/templates$", "$.templates[*].image"
    house.sandbox.fail(templates, answer={"remove": image}, effect="after", times=None)
    report = audited(house)
    assert {"template_drift"} <= codes(report) and "It runs" not in json.dumps(report)


def test_a_delegation_of_which_no_time_is_told_is_unproven_all_the_same(house: House) -> None:
    house.arrange(access="delegation")
    delegations, moment = "^GET /v2/registries/delegations$", "$.delegations[*].createdAt"
    house.sandbox.fail(delegations, answer={"remove": moment}, effect="after", times=None)
    [workload] = audited(house, workloads=WORKLOADS[:1], access="delegation")["workloads"]
    [link] = [one for one in workload["links"] if one["kind"] == "delegation"]
    assert (link["detail"], workload["proof"]["since"]) == ("its pull is unproven", None)


def test_an_entry_that_only_a_tag_of_the_user_names_is_its_own(house: House) -> None:
    house.arrange(*WORKLOADS)
    entry = {"SecretId": f"runpod-ecr/{USER}"}
    house.client("secretsmanager").untag_resource(**entry, TagKeys=["gpuops.runpod/managed"])
    assert broken(audited(house)) == {}
    house.sandbox.forget_calls()
    house.arrange(*WORKLOADS)
    assert house.writes() == []


def test_what_a_run_for_other_images_opened_is_worth_knowing_unless_it_is_to_go(house: House) -> None:
    house.arrange(*WORKLOADS, OTHER)
    assert (audited(house)["status"], only(audited(house), "policy_drift")["status"]) == ("unproven", "green")
    assert broken(audited(house, purge_repositories=True)) == everywhere("user", "policy_drift")


def test_a_repository_that_the_user_lacks_concerns_only_its_workload(house: House) -> None:
    house.arrange(*WORKLOADS)
    more = [*WORKLOADS, {"image": OTHER, "template": {"name": "new"}}]
    links = broken(audited(house, workloads=more))
    assert links == {("new", "user"): ["policy_drift"], ("new", "template"): ["template_missing"]}


def test_what_shuts_the_user_off_explains_its_refusals_but_not_a_missing_image(house: House) -> None:
    house.arrange(*WORKLOADS)
    policy_gone(house)
    tag_gone(house)
    links = broken(audited(house))
    assert links == {**everywhere("user", "policy_missing"), (TRAINING, "image"): ["tag_not_found"]}


def test_a_key_that_aws_does_not_take_is_told_at_the_key(house: House) -> None:
    house.arrange(*WORKLOADS)
    entry = {**json.loads(house.entry()), "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
    house.client("secretsmanager").put_secret_value(SecretId=STORE["name"], SecretString=json.dumps(entry))
    assert broken(audited(house)) == everywhere("key", "secret_wrong")


def test_that_the_caller_may_not_read_an_image_is_told_only_of_what_is_not_proved(house: House) -> None:
    house.arrange(*WORKLOADS)
    desired, seen = observed(house)
    denied = {"code": "denied", "severity": "error", "cause": "The caller may not.", "remedy": "Allow it."}
    report = {"image": IMAGE, "digest": None, "platforms": [], "size": None, "pullable": False, "findings": [denied]}
    judged = seen._replace(images=[report])
    assert broken(judge(desired, judged)) == {}
    assert broken(judge(desired, judged._replace(proof=[]))) == {(TRAINING, "image"): ["denied"]}


def test_tokens_of_the_caller_are_recorded_nowhere_and_that_is_no_fault(house: House) -> None:
    house.arrange(*WORKLOADS, access="caller")
    report = audited(house, pull_identity="caller")
    unknown = [one["status"] for one in report["findings"] if one["code"] == "token_unknown"]
    assert (broken(report), unknown) == ({}, ["green", "green"])
    house.sandbox.fail("^ecr:BatchGetImage$", times=None, answer=DENIED)
    assert {kind for dummy, kind in broken(audited(house, pull_identity="caller"))} == {"caller"}


def test_a_template_may_name_another_credential_on_purpose(house: House) -> None:
    workloads = [{"image": IMAGE, "template": {"name": TRAINING, "registry": "mine"}}]
    house.arrange(IMAGE)
    house.call("runpod_registry", {"name": "mine", "username": "AWS", "password": "not-a-secret"})
    house.call("runpod_template", {"name": TRAINING, "image": IMAGE, "serverless": True, "registry": "mine"})
    assert broken(audited(house, workloads=workloads)) == {}


def test_a_roll_out_that_is_not_over_is_amber(house: House) -> None:
    house.sandbox.runpod.switch(rollout_reads=None)
    workers = {"image": SEOUL, "template": {"name": SERVED}, "endpoint": {**ENDPOINT, "workers": {"min": 2, "max": 3}}}
    house.arrange(workers)
    at_runpod(house, "PATCH", f"templates/{held(house, 'templates', SERVED)}", {"args": "--new"})
    wish = {**workers, "template": {"name": SERVED, "args": "--new"}}
    house.arrange(wish)
    report = audited(house, workloads=[wish])
    assert broken(report) == {AT_SERVED: ["rollout_unfinished"]}
    assert "0 of 2 workers of the endpoint served" in only(report, "rollout_unfinished")["cause"]


# The other chains


def roles(house: House) -> list[str]:
    policy = json.loads(house.client("ecr").get_repository_policy(repositoryName="runpod-gpu-training")["policyText"])
    listed: list[str] = policy["Statement"][0]["Condition"]["StringEquals"]["aws:PrincipalArn"]
    return listed


def test_a_policy_without_a_role_is_red_and_one_with_a_former_role_amber(house: House) -> None:
    house.arrange(access="delegation")
    wish: Json = {"workloads": [{"image": IMAGE}], "access": "delegation"}
    name, link = "runpod-gpu-training", ("runpod-gpu-training", "policy")
    now = roles(house)
    house.call("ecr_pull_grant", {"repositories": [name], "principal_arns": now[:1]})
    report = audited(house, **wish)
    assert broken(report) == {link: ["role_missing"]} and now[1] in only(report, "role_missing")["cause"]
    own = audited(house, **wish, pull_role_arns=now)
    assert now[0] in only(own, "role_missing")["remedy"]
    carry_out(house, only(report, "role_missing")["remedy"])
    house.client("ecr").delete_repository_policy(repositoryName=name)
    assert broken(audited(house, **wish)) == {link: ["statement_missing"]}
    former = "arn:aws:iam::123456789012:role/former"
    house.call("ecr_pull_grant", {"repositories": [name], "principal_arns": [*now, former]})
    assert link in broken(audited(house, **wish)) and former in str(audited(house, **wish)["findings"])


def test_a_missing_delegation_is_told_with_the_call_that_makes_it(house: House) -> None:
    house.arrange(access="delegation")
    [delegation] = house.runpod()["delegations"]
    at_runpod(house, "DELETE", f"registries/delegations/{delegation['id']}")
    wish: Json = {"workloads": [{"image": IMAGE}], "access": "delegation"}
    report = audited(house, **wish)
    assert broken(report) == {("runpod-gpu-training", "delegation"): ["delegation_missing"]}
    carry_out(house, only(report, "delegation_missing")["remedy"])
    assert codes(audited(house, **wish)) == {"unproven_serverless"}


def test_a_repository_that_is_not_there_hides_no_policy(house: House) -> None:
    house.arrange(access="delegation")
    nowhere = {"image": f"{REGISTRY}/nowhere:v1", "template": {"name": "nowhere"}}
    report = audited(house, workloads=[{"image": IMAGE}, nowhere], access="delegation")
    assert broken(report)["nowhere", "image"] == ["repository_not_found"]
    details = {one["name"]: {link["kind"]: link["detail"] for link in one["links"]} for one in report["workloads"]}
    assert details["nowhere"]["policy"] == "not looked at"
    assert details["runpod-gpu-training"]["policy"] == "lets RunPod's roles pull"


def test_public_images_and_their_catalogue(house: House) -> None:
    house.arrange(access="public")
    wish: Json = {"workloads": [{"image": IMAGE}], "access": "public"}
    link = ("runpod-gpu-training", "public_image")
    assert broken(audited(house, **wish, public_catalog_data={"description": "other"})) == {link: ["public_drift"]}
    push(house.client("ecr"), "runpod-gpu-training", "v1", sample("runpod-gpu-inference"))
    assert broken(audited(house, **wish)) == {link: ["mirror_behind"]}
    newer = [{"image": IMAGE.replace(":v1", ":v2"), "template": {"name": "runpod-gpu-training"}}]
    report = audited(house, workloads=newer, access="public")
    assert broken(report)[link] == ["mirror_missing"]


def test_nothing_public_yet_is_told_by_its_image(house: House) -> None:
    report = audited(house, workloads=[{"image": IMAGE}], access="public")
    assert broken(report)["runpod-gpu-training", "public_image"] == ["mirror_missing"]


# What could not be read


@pytest.mark.parametrize(
    ("call", "answer", "links", "status"),
    [
        ("^GET /v2/pods", FORBIDDEN, {}, "grey"),
        ("^GET /v2/registries/delegations", FORBIDDEN, {}, "grey"),
        ("^GET /v2/templates", FORBIDDEN, everywhere("template", "not_looked_at"), "grey"),
        ("^GET /v2/serverless", FORBIDDEN, {(TRAINING, "endpoint"), (SERVED, "endpoint")}, "grey"),
        ("^iam:GetUser$", DENIED, None, "grey"),
        ("^iam:ListAccessKeys$", DENIED, None, "grey"),
        ("^sts:GetCallerIdentity$", DENIED, {}, "unproven"),
    ],
)
def test_what_this_identity_may_not_look_at_is_told_once_and_is_not_red(
    house: House, call: str, answer: Json, links: Any, status: str
) -> None:
    house.arrange(*WORKLOADS)
    house.sandbox.fail(call, times=None, answer=answer)
    report = audited(house)
    assert report["status"] == status, report["answer"]
    if links is not None:
        assert set(broken(report)) == {each for each in links if each != (TRAINING, "endpoint")}
    assert all(one["code"] in ("not_looked_at", "unproven", "boundary_missing") for one in report["findings"])


@pytest.mark.parametrize(
    ("call", "kinds", "what"),
    [
        ("^GET /v2/.*", {"credential", "template", "endpoint"}, "What RunPod holds could not be read"),
        ("^iam:ListAccessKeys$", {"user", "key"}, "The pull user could not be read"),
        ("^secretsmanager:GetSecretValue$", {"key"}, "could not be read"),
    ],
)
def test_a_read_that_fails_is_amber_and_hides_nothing(house: House, call: str, kinds: set[str], what: str) -> None:
    house.arrange(*WORKLOADS)
    tag_gone(house)
    trouble: Json = {"code": "InvalidParameterValue", "message": "no", "status": 400}
    answer = {"status": 401, "body": {"detail": "no"}} if "GET" in call else trouble
    house.sandbox.fail(call, times=None, answer=answer)
    report = audited(house)
    assert {kind for dummy, kind in broken(report)} == {"image", *kinds}
    assert report["status"] == "red" and what in json.dumps(report["findings"])


def test_a_listing_that_fails_beside_the_chain_is_amber(house: House) -> None:
    house.arrange(*WORKLOADS)
    house.sandbox.fail("^GET /v2/pods", times=None, answer={"status": 400, "body": {"detail": "no"}})
    report = audited(house)
    assert (report["status"], broken(report)) == ("amber", {})
    assert only(report, "unreadable")["cause"].startswith("What RunPod holds of pods could not be read")


def test_an_endpoint_that_is_ambiguous_is_told_at_its_workload(house: House) -> None:
    house.arrange(*WORKLOADS)
    [endpoint] = house.runpod()["endpoints"]
    house.sandbox.runpod.seed("endpoints", {"name": SERVED, "image": SEOUL, "registry": endpoint["registry"]})
    assert broken(audited(house)) == {AT_SERVED: ["unreadable"]}


def logs_of_workers(house: House, *statuses: str) -> Json:
    house.arrange(*WORKLOADS)
    workers(house, *statuses)
    report = audited(house)
    [found] = [one for one in report["findings"] if one["code"].startswith("workers_")]
    return found


@pytest.mark.parametrize("status", ["UNHEALTHY", "INITIALIZING"])
def test_what_the_host_says_of_a_worker_that_failed_is_quoted(house: House, status: str) -> None:
    found = logs_of_workers(house, status)
    assert f"Its host says last of worker-1: {found['raw']}." in found["cause"]
    assert found["raw"].endswith(PULL_FAILED)


def test_a_worker_without_logs_is_told_without(house: House) -> None:
    found = logs_of_workers(house, "THROTTLED")
    assert found["raw"] is None and "Its host" not in found["cause"]
    assert not [call for call in house.sandbox.runpod_calls() if "/logs" in call["path"]]


def test_a_log_that_may_not_be_read_hides_nothing(house: House) -> None:
    house.sandbox.fail("^GET .*/logs", times=None, answer={"status": 403, "body": {"title": "Forbidden"}})
    found = logs_of_workers(house, "UNHEALTHY")
    assert "What its host says of worker-1 could not be read: " in found["cause"]
    assert found["raw"] is None


def test_who_changed_an_endpoint_is_told_by_its_newest_release(house: House) -> None:
    house.arrange(*WORKLOADS)
    [endpoint] = house.runpod()["endpoints"]
    at_runpod(
        house, "PATCH", f"serverless/{endpoint['id']}", {"image": SEOUL.replace(":v1", ":v0"), "env": {"MODE": "debug"}}
    )
    [endpoint] = house.runpod()["endpoints"]
    newest = endpoint["releases"][0]
    cause = only(audited(house), "runs_unpullable")["cause"]
    who = f"made at {newest['createdAt']} by the user {newest['createdByUserId']}: template.imageName, template.env."
    assert cause.endswith(f"RunPod's newest release of it was {who}")
    assert "debug" not in cause


# CloudTrail


def refused_pull(house: House) -> str:
    house.arrange()
    entry = json.loads(house.entry())
    puller = house.sandbox.client("ecr", entry["access_key_id"], entry["secret_access_key"])
    pull = {"repositoryName": "runpod-gpu-training", "imageIds": [{"imageTag": "v1"}]}
    puller.batch_get_image(**pull)
    policy_gone(house)
    begun = datetime.now(timezone.utc).replace(microsecond=0)
    for _pull in range(2):
        with pytest.raises(ClientError, match="AccessDenied"):
            puller.batch_get_image(**pull)
    return begun.strftime("%Y-%m-%dT%H:%M:%SZ")


EVENTS: Json = {"workloads": [{"image": IMAGE}], "events": {}}


def test_refused_pulls_tell_since_when(house: House) -> None:
    begun = refused_pull(house)
    report = audited(house, **EVENTS)
    one = only(report, "pulls_refused")
    assert one["since"] >= begun and re.search(r"last \d pulls of", one["cause"])
    assert "let the one before through at" in one["cause"]
    assert only(audited(house, **{**EVENTS, "events": {"limit": 1}}), "pulls_refused")["cause"].count("last pull ") == 1


def test_refused_pulls_of_the_past_are_no_fault(house: House) -> None:
    refused_pull(house)
    house.arrange()
    assert "pulls_refused" not in codes(audited(house, **EVENTS))
    tag_gone(house)
    entry = json.loads(house.entry())
    puller = house.sandbox.client("ecr", entry["access_key_id"], entry["secret_access_key"])
    puller.batch_get_image(repositoryName="runpod-gpu-training", imageIds=[{"imageTag": "v2"}])
    report = audited(house, **EVENTS)
    assert "tag_not_found" in codes(report) and "pulls_refused" not in codes(report)


def test_a_trail_that_nobody_may_read_is_grey(house: House) -> None:
    house.arrange()
    house.sandbox.fail("^cloudtrail:LookupEvents$", times=None, answer=DENIED)
    report = audited(house, **EVENTS)
    assert (report["status"], broken(report), codes(report) - {"boundary_missing"}) == ("grey", {}, {"not_looked_at"})
    assert "Allow cloudtrail:LookupEvents" in only(report, "not_looked_at")["cause"]


# What is not this run's


def neighbour(house: House, name: str = "staging-123456789012-us-east-1") -> str:
    """Let another environment run the same repository by a credential of its own."""
    registry = house.sandbox.runpod.seed("registries", {"name": name})["id"]
    for kind in ("templates", "endpoints", "pods"):
        house.sandbox.runpod.seed(kind, {"name": f"staging-{kind}", "image": IMAGE, "registry": registry})
    return str(registry)


def test_what_other_environments_run_is_called_by_its_owner_and_never_offered_for_deletion(house: House) -> None:
    house.arrange(*WORKLOADS)
    registry = neighbour(house)
    report = audited(house)
    assert (report["status"], report["orphans"], report["summary"]["orphans"]) == ("unproven", [], 0)
    [one] = report["neighbours"]
    assert (one["owner"], one["id"]) == ("the credential staging-123456789012-us-east-1", registry)
    assert sorted(thing["kind"] for thing in one["serves"]) == ["endpoint", "pod", "template"]
    assert "absent" not in json.dumps(report)


def test_a_terminated_pod_uses_nothing(house: House) -> None:
    house.arrange(*WORKLOADS)
    registry = house.sandbox.runpod.seed("registries", {"name": "staging"})["id"]
    pod = {"name": "gone", "image": IMAGE, "registry": registry, "status": "TERMINATED"}
    house.sandbox.runpod.seed("pods", pod)
    report = audited(house)
    assert (report["neighbours"], [one["name"] for one in report["orphans"]]) == ([], ["staging"])


def test_what_this_run_s_own_credential_serves_is_told_in_words(house: House) -> None:
    house.arrange(*WORKLOADS)
    own = held(house, "registries", EAST)
    house.sandbox.runpod.seed("templates", {"name": "former", "image": IMAGE, "registry": own})
    [one] = audited(house)["orphans"]
    assert (one["kind"], one["name"]) == ("template", "former") and EAST in one["cause"]
    assert "ansible" not in one["remedy"] and "aws " not in one["remedy"]


def test_what_pulls_by_a_delegation_that_this_run_does_not_keep_is_its_owner_s(house: House) -> None:
    house.arrange(IMAGE, access="delegation")
    house.arrange(*WORKLOADS)
    house.sandbox.runpod.seed("templates", {"name": "by-delegation", "image": IMAGE, "registry": None})
    report = audited(house)
    owners = {one["owner"]: [thing["name"] for thing in one["serves"]] for one in report["neighbours"]}
    assert "by-delegation" in owners[f"the delegation of {ARN}"]
    [left] = report["orphans"]
    assert left["kind"] == "access" and left["remedy"].startswith("When nothing needs it")


def test_what_others_run_and_cannot_pull_is_amber_and_breaks_no_chain(house: House) -> None:
    house.arrange(*WORKLOADS)
    house.sandbox.runpod.seed("pods", {"name": "notebook", "image": IMAGE, "registry": None})
    house.sandbox.runpod.seed("pods", {"name": "stranger", "image": f"{REGISTRY}/of-others:v1", "registry": None})
    report = audited(house)
    assert (report["status"], broken(report), report["orphans"]) == ("amber", {}, [])
    assert [(one["links"], one["workloads"]) for one in report["findings"] if one["status"] == "amber"] == [([], [])]


def test_nothing_is_counted_twice(house: House) -> None:
    house.arrange(*WORKLOADS)
    for name in (TRAINING, SERVED):
        house.call("runpod_template", {"name": name, "registry": ""})
    endpoint_gone(house)
    wish: Json = {"workloads": [{"image": IMAGE}], "access": "delegation"}
    listed = [one["cause"] for one in audited(house, **wish)["orphans"]]
    assert len([cause for cause in listed if EAST in cause]) == 1


def test_keys_that_are_not_in_the_store_belong_to_nobody(house: House) -> None:
    house.arrange(*WORKLOADS)
    house.client("iam").create_access_key(UserName=USER)
    report = audited(house)
    assert [one["kind"] for one in report["orphans"]] == ["key"]
    assert [one["note"] for one in report["timeline"] if one["kind"] == "key"] == [
        "in the store",
        "not in the store",
    ] or [one["note"] for one in report["timeline"] if one["kind"] == "key"] == ["not in the store", "in the store"]


def test_templates_of_which_no_credential_is_told_are_judged_as_having_none(house: House) -> None:
    house.arrange(*WORKLOADS)
    change = {"remove": "$.templates[*].registry"}
    house.sandbox.fail("GET /v2/templates", effect="after", answer=change, times=None)
    assert ("training", "template") in broken(audited(house))
