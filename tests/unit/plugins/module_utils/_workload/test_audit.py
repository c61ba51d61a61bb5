# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit import MAIN_JOB
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import workloads
from ansible_collections.gpuops.runpod.tests.unit.plugins.audited import (
    APP,
    APP_ARN,
    CREDENTIALS,
    EAST,
    PUBLIC,
    TRAINING,
    TRAINING_ARN,
    USER,
    asked,
    broken,
    delegated,
    finding,
    foreseen,
    healthy,
    image,
    looked,
    of_account,
    of_user,
    policy,
    pull_user,
    report,
)

Json = dict[str, Any]


def everywhere(kind: str, *codes: str) -> dict[tuple[str, str], list[str]]:
    return {(name, kind): list(codes) for name in ("training", "team-app")}


def spoilt(read: str, **changes: Any) -> Json:
    """Return the reads of a healthy account with one of them changed."""
    reads = healthy()
    reads[read] = {**reads[read], **changes}
    return reads


def told_of_account(*findings: Json, **changes: Any) -> Json:
    return spoilt("account", findings=list(findings), **changes)


def changed_templates(before: Json | None, after: Json) -> Json:
    states = {"before": {"templates": [before] if before else []}, "after": {"templates": [after]}}
    return spoilt("templates", diff=states)


@pytest.mark.parametrize("kind", ["user", "caller"])
def test_a_healthy_account_is_green(kind: str) -> None:
    told = report(healthy(), asked(pull_identity=kind))
    assert (told["status"], broken(told), told["findings"], told["orphans"]) == ("green", {}, [], [])


def test_a_healthy_delegation_is_green() -> None:
    wanted, reads = delegated()
    assert broken(report(reads, wanted)) == {}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("user_missing", "user"),
        ("quarantined", "user"),
        ("policy_missing", "user"),
        ("foreign_policy", "user"),
        ("secret_missing", "key"),
        ("secret_key_inactive", "key"),
        ("rotation_due", "key"),
    ],
)
def test_what_is_wrong_with_the_pull_user_is_told_at_its_link(code: str, kind: str) -> None:
    told = report(spoilt("user", findings=[of_user(code)]))
    assert broken(told) == everywhere(kind, code)


def test_what_is_only_worth_knowing_breaks_no_link() -> None:
    told = report(spoilt("user", findings=[of_user("boundary_missing", "info")]))
    assert (told["status"], broken(told), len(told["findings"])) == ("green", {}, 1)


def test_tokens_are_judged_by_what_runpod_holds() -> None:
    assert report(spoilt("user", findings=[of_user("token_expired")]))["findings"] == []


@pytest.mark.parametrize(
    ("drift", "severity", "purge", "links"),
    [
        ({"missing": [APP_ARN]}, "error", False, {("team-app", "user"): ["policy_drift"]}),
        ({"missing": ["arn:another"]}, "error", False, everywhere("user", "policy_drift")),
        ({"missing": [APP_ARN], "other": True}, "error", False, everywhere("user", "policy_drift")),
        ({"extra": ["arn:another"]}, "warning", True, everywhere("user", "policy_drift")),
        ({"extra": ["arn:another"]}, "warning", False, {}),  # a run for other images may have opened it
    ],
)
def test_drift_of_the_policy_concerns_whom_it_cuts_off(drift: Json, severity: str, purge: bool, links: Json) -> None:
    reads = spoilt("user", users=[pull_user(policies=[policy(**drift)])], findings=[of_user("policy_drift", severity)])
    told = report(reads, asked(purge=purge))
    assert broken(told) == links
    assert told["findings"][0]["remedy"] == MAIN_JOB


@pytest.mark.parametrize(
    ("code", "links"),
    [
        ("denied", {("training", "user"): ["denied"]}),
        ("key_invalid", {("training", "key"): ["key_invalid"]}),
        ("tag_not_found", {("training", "image"): ["tag_not_found"]}),
    ],
)
def test_the_proof_tells_of_the_right_link(code: str, links: Json) -> None:
    proof = [image(TRAINING, finding(code), pullable=False), image(APP)]
    assert broken(report(spoilt("proof", images=proof))) == links


def test_what_shuts_the_user_off_explains_the_proof_and_what_a_run_would_change() -> None:
    reads = spoilt("user", findings=[of_user("secret_missing")])
    reads["proof"] = {"msg": "There is no entry."}
    reads["user_foreseen"] = {"msg": "The key is inactive."}
    assert broken(report(reads)) == everywhere("key", "secret_missing")
    reads["proof"] = {"images": [image(TRAINING, finding("denied"), finding("tag_not_found"), pullable=False)]}
    assert broken(report(reads)) == {**everywhere("key", "secret_missing"), ("training", "image"): ["tag_not_found"]}


def test_one_finding_of_two_checks_is_told_once() -> None:
    bad = image(TRAINING, finding("platform_missing"), pullable=False)
    reads = spoilt("images", images=[bad, image(APP)])
    reads["proof"] = {"images": [bad, image(APP)]}
    assert [one["code"] for one in report(reads)["findings"]] == ["platform_missing"]


def test_that_the_operator_may_not_read_an_image_means_nothing_once_the_user_may() -> None:
    reads = spoilt("images", images=[image(TRAINING, finding("denied"), pullable=False)])
    assert broken(report(reads)) == {}
    reads["proof"] = {"skipped": True}
    assert broken(report(reads)) == {("training", "image"): ["denied"]}
    assert broken(report(reads, asked(pull_identity="caller"))) == {("training", "caller"): ["denied"]}


def test_the_proof_of_a_public_image_is_told_at_its_link() -> None:
    reads = healthy()
    reads["proof"] = {"images": [image(PUBLIC, finding("denied"), pullable=False)]}
    wanted = asked(access="public", user="", credentials={}, images={TRAINING: PUBLIC})
    assert broken(report(reads, wanted)) == {("training", "public_image"): ["denied"]}


@pytest.mark.parametrize(
    ("read", "links"),
    [
        ({"msg": "no route to host"}, everywhere("public_image", "unreadable")),
        ({"repository": {}, "diff": {"before": None, "after": {"name": "training"}}}, {}),  # told of by its image
        ({"repository": {}}, {}),
        (
            {"repository": {"uri": PUBLIC.partition(":")[0]}, "diff": {"before": {"a": 1}, "after": {"a": 2}}},
            {("training", "public_image"): ["public_drift"]},
        ),
    ],
)
def test_a_public_repository(read: Json, links: Json) -> None:
    reads = healthy()
    reads["public"] = {"results": [{"__runpod_ecr_public_name": "training", **read}]}
    wanted = asked(access="public", user="", credentials={}, images={TRAINING: PUBLIC})
    assert broken(report(reads, wanted)) == links


@pytest.mark.parametrize(
    ("before", "code", "status"), [(None, "mirror_missing", "red"), ("sha256:old", "mirror_behind", "amber")]
)
def test_a_public_image_that_is_not_the_private_one(before: str | None, code: str, status: str) -> None:
    reads = healthy()
    known = {"source": TRAINING, "destination": PUBLIC, "digest": "sha256:new"}
    same = {"source": APP, "destination": "public.ecr.aws/a1b2c3d4/app:v1", "copied": False}
    reads["mirror"] = {"images": [{**known, "digest_before": before, "copied": True}, same]}
    gone = [finding("tag_not_found")] if before is None else []
    reads["proof"] = {"images": [image(PUBLIC, *gone)]}
    wanted = asked(access="public", user="", credentials={}, images={TRAINING: PUBLIC})
    told = report(reads, wanted)
    assert (told["status"], broken(told)) == (status, {("training", "public_image"): [code]})


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"path": "/other/"}, "runpod_ecr_user_path"),
        ({"permissions_boundary": "arn:aws:iam::123456789012:policy/b"}, "runpod_ecr_user_permissions_boundary"),
        ({"tags": {"team": "training"}}, "runpod_ecr_user_tags"),
        ({"kind": "pull_only"}, "runpod_ecr_user_policy"),
    ],
)
def test_what_differs_from_the_variables_is_amber(given: Json, option: str) -> None:
    told = report(spoilt("user_foreseen", diff={"before": foreseen(), "after": foreseen(**given)}))
    assert (told["status"], broken(told)) == ("amber", everywhere("user", "user_drift"))
    assert option in told["findings"][0]["cause"]


def test_tags_of_the_collection_are_no_drift() -> None:
    after = foreseen(tags={"gpuops.runpod/secret": "arn"})
    assert broken(report(spoilt("user_foreseen", diff={"before": foreseen(), "after": after}))) == {}


def test_a_user_that_is_still_to_be_made_has_not_drifted() -> None:
    assert broken(report(spoilt("user_foreseen", diff={"before": None, "after": foreseen()}))) == {}


@pytest.mark.parametrize(
    ("before", "drift", "code", "status"),
    [
        (None, {}, "statement_missing", "red"),
        ({"Statement": []}, {}, "statement_missing", "red"),
        ({"Statement": []}, {"missing": ["arn:role"]}, "role_missing", "red"),
        ({"Statement": []}, {"outdated": ["arn:role"]}, "role_outdated", "amber"),
    ],
)
@pytest.mark.parametrize("roles", [None, ["arn:aws:iam::210987654321:role/own"]])
def test_a_policy_of_a_repository(
    before: Json | None, drift: Json, code: str, status: str, roles: list[str] | None
) -> None:
    wanted, reads = delegated()
    told = {"arn": APP_ARN, "changed": True, "drift": {"missing": [], "outdated": [], **drift}}
    reads["policies"] = {"policies": [told], "diff": {"before": {APP_ARN: before}}}
    made = report(reads, wanted._replace(roles=roles))
    assert (made["status"], broken(made)) == (status, {("team-app", "policy"): [code]})
    assert ("role/own" in made["findings"][0]["remedy"]) is (roles is not None)


def test_a_missing_delegation_explains_why_its_template_has_none() -> None:
    wanted, reads = delegated()
    reads["account"]["delegations"].pop()
    reads["account"]["findings"] = [of_account("access_missing", "template", "team-app")]
    told = report(reads, wanted)
    assert broken(told) == {("team-app", "delegation"): ["delegation_missing"]}
    assert APP in told["findings"][0]["remedy"]


def test_a_missing_credential_explains_what_lost_it() -> None:
    reads = told_of_account(
        of_account("access_missing", "template", "training"),
        of_account("credential_gone", "endpoint", "team-app"),
        registries=[],
    )
    lost = {"name": "training", "registry": None}
    found = {"before": {"templates": [lost]}, "after": {"templates": [{**lost, "registry": "token-east"}]}}
    reads["templates"]["diff"] = found
    assert broken(report(reads)) == everywhere("credential", "credential_missing")


def test_an_endpoint_that_lost_its_credential_is_told_once_at_its_link() -> None:
    reads = told_of_account(of_account("credential_gone", "endpoint", "team-app"))
    lost = {"name": "team-app", "registry": None}
    release = {"version": 3, "rollout": None, "changes": ["registry"]}
    diff = {"before": lost, "after": {**lost, "registry": "id-seoul"}}
    reads["endpoints"]["results"] = [looked(diff=diff, release=release)]
    told = report(reads)
    assert broken(told) == {("team-app", "endpoint"): ["credential_gone"]}
    assert told["findings"][0]["remedy"] == MAIN_JOB


@pytest.mark.parametrize("registry", [None, "id-other"])
def test_a_template_without_its_credential_is_told_once_with_the_call_that_links_it(registry: str | None) -> None:
    lost = {"name": "training", "registry": registry}
    reads = changed_templates(lost, {**lost, "registry": "id-east"})
    reads["account"]["templates"][0]["registry"] = registry
    reads["account"]["findings"] = [of_account("access_missing", "template", "training")]
    told = report(reads)
    assert broken(told) == {("training", "template"): ["credential_unlinked"]}
    assert '"registry": "token-east"' in told["findings"][0]["remedy"]


def test_a_template_may_name_another_credential_on_purpose() -> None:
    items = workloads([{"image": TRAINING, "template": {"registry": "other"}}], {})
    reads = healthy()
    reads["account"]["templates"][0]["registry"] = "id-other"
    assert broken(report(reads, items=items)) == {}


def test_what_others_run_of_these_repositories_is_told_and_breaks_no_chain() -> None:
    reads = told_of_account(
        of_account("access_missing", "pod", "notebook", "p1"),
        of_account("access_missing", "pod", "stranger", "p2"),
        pods=[
            {"id": "p1", "name": "notebook", "image": TRAINING, "registry": None},
            {"id": "p2", "name": "stranger", "image": f"{EAST}/of-others:v1", "registry": None},
        ],
    )
    told = report(reads)
    assert (told["status"], broken(told)) == ("amber", {})
    assert [(one["links"], one["workloads"]) for one in told["findings"]] == [([], [])]


@pytest.mark.parametrize("code", ["token_expired", "token_ends_soon", "token_unknown"])
def test_a_token_at_its_end_is_told_with_the_call_that_renews_it(code: str) -> None:
    told = report(told_of_account(of_account(code, "registry", "token-seoul-alt", "id-seoul")))
    assert broken(told) == {("team-app", "credential"): [code]}
    [one] = told["findings"]
    assert '"registry_region": "ap-northeast-2"' in one["remedy"] and "runpod-ecr/runpod-ecr-access" in one["remedy"]
    assert one["since"] == ("2026-08-13T22:00:00Z" if code == "token_expired" else None)


DENIED = finding("access_denied")


def pulls(*codes: str | None) -> Json:
    """Return what CloudTrail noted: one pull an hour, the newest at noon, each let through or refused with a code."""
    events = [
        {"time": f"2026-08-13T{12 - hours:02}:00:00Z", "error_code": code, "error_message": code and "not authorized"}
        for hours, code in enumerate(codes)
    ]
    return {"users": [{"name": USER, "recent_events": events, "recent_events_complete": True}]}


@pytest.mark.parametrize(
    ("codes", "since", "said"),
    [
        (["Denied"], "12:00", "the last pull of runpod-ecr-access that CloudTrail noted, and no earlier one was read."),
        (["Denied", "Denied", None, "Denied"], "11:00", "and let the one before through at 2026-08-13T10:00:00Z."),
    ],
)
def test_refused_pulls_tell_since_when(codes: list[str | None], since: str, said: str) -> None:
    reads = {**spoilt("proof", images=[image(TRAINING, DENIED, pullable=False), image(APP)]), "trail": pulls(*codes)}
    told = report(reads)
    assert broken(told)["team-app", "user"] == ["pulls_refused"]
    one = next(each for each in told["findings"] if each["code"] == "pulls_refused")
    assert (one["status"], one["since"], told["since"]) == ("amber", *[f"2026-08-13T{since}:00Z"] * 2)
    assert said in one["cause"] and one["cause"].endswith("at 2026-08-13T12:00:00Z: Denied: not authorized")


def test_refused_pulls_of_the_past_are_no_fault() -> None:
    assert report({**healthy(), "trail": pulls("AccessDenied")})["findings"] == []
    denied = spoilt("proof", images=[image(TRAINING, DENIED, pullable=False)])
    for trail in (pulls(None, "AccessDenied"), pulls(), {"users": []}, {"skipped": True}):
        assert "pulls_refused" not in {each["code"] for each in report({**denied, "trail": trail})["findings"]}


def test_without_a_proof_refused_pulls_are_told_too() -> None:
    reads = {**healthy(), "proof": {"msg": "no route to host"}, "trail": pulls("AccessDenied")}
    assert "pulls_refused" in {each["code"] for each in report(reads)["findings"]}


def test_a_trail_that_cannot_be_read_is_told() -> None:
    reads = {**healthy(), "trail": {"msg": "Allow cloudtrail:LookupEvents for whoever runs this."}}
    assert broken(report(reads)) == everywhere("user", "unreadable")


def test_nothing_tells_of_the_caller_s_tokens_and_that_is_no_fault() -> None:
    reads = told_of_account(of_account("token_unknown", "registry", "token-east", "id-east", "warning"))
    told = report(reads, asked(pull_identity="caller"))
    assert (broken(told), told["findings"][0]["severity"]) == ({}, "info")
    ended = told_of_account(of_account("token_expired", "registry", "token-east", "id-east"))
    assert "secret_store" not in report(ended, asked(pull_identity="caller"))["findings"][0]["remedy"]


@pytest.mark.parametrize(
    ("before", "code", "said"),
    [
        (None, "template_missing", "no template training"),
        ({"disk": 50, "image": TRAINING}, "template_drift", "disk."),
        ({"disk": 80, "image": f"{TRAINING}-old"}, "template_drift", "v1-old"),
    ],
)
def test_a_template_that_is_not_as_the_variables_say(before: Json | None, code: str, said: str) -> None:
    after = {"name": "training", "disk": 80, "image": TRAINING}
    told = report(changed_templates(before and {"name": "training", **before}, after))
    assert broken(told) == {("training", "template"): [code]}
    assert said in told["findings"][0]["cause"]


def test_a_roll_out_that_is_not_over_is_amber() -> None:
    rollout = {"in_progress": True, "workers_on_latest": 1, "workers_total": 3}
    told = report(spoilt("endpoints", results=[looked(release={"version": 4, "rollout": rollout, "changes": []})]))
    assert (told["status"], broken(told)) == ("amber", {("team-app", "endpoint"): ["rollout_unfinished"]})
    assert "1 of 3 workers" in told["findings"][0]["cause"]


@pytest.mark.parametrize(
    ("changes", "code"), [(["image"], "template_not_rolled_out"), ([], "endpoint_drift")], ids=["image", "workers"]
)
def test_an_endpoint_that_is_not_as_the_variables_say(changes: list[str], code: str) -> None:
    before = {"id": "e1", "name": "team-app", "image": f"{APP}-old", "workers": 1}
    after = {**before, **({"image": APP} if changes else {"workers": 2})}
    release = {"version": 3, "rollout": {"in_progress": True}, "changes": changes or ["env"]}
    if not changes:
        release = {"version": 3, "rollout": {}, "changes": []}
    look = looked(diff={"before": before, "after": after}, release=release)
    told = report(spoilt("endpoints", results=[look]))
    assert (told["status"], broken(told)) == ("amber", {("team-app", "endpoint"): [code]})


@pytest.mark.parametrize(
    ("look", "links"),
    [
        ({"diff": None, "release": None}, {}),
        ({"endpoint": None}, {}),
        ({"diff": {"before": None, "after": {"name": "team-app"}}}, {("team-app", "endpoint"): ["endpoint_missing"]}),
    ],
)
def test_an_endpoint_that_is_not_there(look: Json, links: Json) -> None:
    assert broken(report(spoilt("endpoints", results=[looked(**look)]))) == links


def test_an_endpoint_that_could_not_be_read_is_red() -> None:
    failed = {"__runpod_ecr_endpoint": {"name": "team-app"}, "msg": "There are 2 endpoints named 'team-app'."}
    told = report(spoilt("endpoints", results=[failed]))
    assert broken(told) == {("team-app", "endpoint"): ["unreadable"]}
    assert told["findings"][0]["raw"] == failed["msg"]


def test_endpoints_that_were_not_looked_at_are_not_judged() -> None:
    skipped = {"__runpod_ecr_endpoint": {"name": "team-app"}, "skipped": True}
    assert broken(report(spoilt("endpoints", results=[skipped]))) == {}


@pytest.mark.parametrize(
    ("read", "kinds"),
    [
        ("images", ["image"]),
        ("proof", ["user"]),
        ("user", ["user", "key"]),
        ("user_foreseen", ["user"]),
        ("account", ["credential", "template", "endpoint"]),
        ("templates", ["template"]),
    ],
)
@pytest.mark.parametrize("failure", [{"msg": "no route to host"}, {}])
def test_a_read_that_failed_is_red_and_hides_nothing(read: str, kinds: list[str], failure: Json) -> None:
    reads = healthy()
    reads[read] = failure
    told = report(reads)
    links = {link for dummy, link in broken(told)}
    assert sorted(links) == sorted(kinds)
    [one] = told["findings"]
    assert one["raw"] == (failure.get("msg") or "the module gave no reason")


def test_the_worst_comes_first_then_what_comes_first_in_the_chain() -> None:
    reads = told_of_account(of_account("token_expired", "registry", "token-east", "id-east"))
    reads["user"]["findings"] = [of_user("rotation_due", "warning"), of_user("boundary_missing", "info")]
    reads["images"] = {"images": [image(TRAINING, finding("tag_not_found"), pullable=False)]}
    codes = [one["code"] for one in report(reads)["findings"]]
    assert codes == ["tag_not_found", "token_expired", "rotation_due", "boundary_missing"]


@pytest.mark.parametrize("make", [lambda: CREDENTIALS, lambda: {TRAINING_ARN: TRAINING_ARN}])
def test_a_failed_account_says_nothing_of_credentials_or_delegations(make: Callable[[], Json]) -> None:
    wanted, reads = delegated()
    reads["account"] = {"msg": "HTTP 403"}
    assert {codes[0] for codes in broken(report(reads, wanted._replace(credentials=make()))).values()} == {"unreadable"}
