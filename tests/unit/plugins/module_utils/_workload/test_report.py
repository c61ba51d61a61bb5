# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.report import FINE
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import workloads
from ansible_collections.gpuops.runpod.tests.unit.plugins.audited import (
    APP,
    DIGEST,
    EAST,
    KEY,
    OTHER_KEY,
    PUBLIC,
    TRAINING,
    asked,
    delegated,
    finding,
    healthy,
    image,
    key,
    of_account,
    of_user,
    policy,
    pull_user,
    report,
)

Json = dict[str, Any]


def links(told: Json, name: str = "training") -> dict[str, Json]:
    return {link["kind"]: link for one in told["workloads"] if one["name"] == name for link in one["links"]}


def test_a_report_is_json() -> None:
    told = report(healthy())
    assert json.loads(json.dumps(told)) == told
    assert (told["generated_at"], told["access"], told["user"]) == (
        "2026-08-13T12:00:00Z",
        "credential",
        "runpod-ecr-access",
    )
    assert (told["answer"], told["since"]) == ([FINE], None)
    assert told["summary"] == {"red": 0, "amber": 0, "green": 2, "workloads": 2, "findings": 0, "orphans": 0}


@pytest.mark.parametrize(
    ("access", "identity", "kinds"),
    [
        ("credential", "user", ["image", "user", "key", "credential", "template"]),
        ("credential", "caller", ["image", "caller", "credential", "template"]),
        ("delegation", "user", ["image", "policy", "delegation", "template"]),
        ("public", "user", ["image", "public_image", "template"]),
    ],
)
def test_the_chain_of_a_way_of_access(access: str, identity: str, kinds: list[str]) -> None:
    told = report(healthy(), asked(access=access, pull_identity=identity))
    assert list(links(told)) == kinds
    assert list(links(told, "team-app")) == [*kinds, "endpoint"]  # only where one is asked for


def test_links_tell_what_is_known() -> None:
    told = links(report(healthy()), "team-app")
    said = {kind: (link["name"], link["detail"]) for kind, link in told.items()}
    assert said == {
        "image": (APP, f"{DIGEST[:19]}, linux/amd64"),
        "user": ("runpod-ecr-access", "may pull 2 repositories"),
        "key": (KEY, "43 days old, last used 2026-08-13 11:00 UTC"),
        "credential": ("token-seoul-alt", "works until 2026-08-13 22:00 UTC"),
        "template": ("team-app", f"runs {TRAINING}"),
        "endpoint": ("team-app", "runs the image, release 3"),
    }
    assert told["key"]["facts"]["due_at"] == "2026-09-29T12:00:00Z"
    assert told["image"]["facts"] == {"digest": DIGEST, "platforms": ["linux/amd64"], "size": 1, "pullable": True}


def test_links_tell_what_is_not_there() -> None:
    kinds = ("registries", "delegations", "templates", "endpoints", "pods")
    nothing: Json = {"references": {}, "findings": [], **{kind: [] for kind in kinds}}
    told = report({"images": {"images": [image(TRAINING, digest=None)]}, "account": nothing})
    said = {kind: link["detail"] for kind, link in links(told).items()}
    assert said == dict.fromkeys(said, "not found") and len(said) == 5
    assert links(told, "team-app")["image"]["detail"] == "not looked at"
    assert links(told, "team-app")["endpoint"]["detail"] == "not found"


def test_links_of_the_other_ways() -> None:
    wanted, reads = delegated()
    said = {kind: link["detail"] for kind, link in links(report(reads, wanted)).items()}
    assert (said["policy"], said["delegation"]) == ("lets RunPod's roles pull", "made 2026-08-01 00:00 UTC")
    reads["policies"]["policies"][0] |= {"changed": True}
    reads["policies"]["policies"].pop()
    reads["account"]["delegations"] = []
    told = report(reads, wanted)
    assert links(told)["policy"]["detail"] == "differs from what RunPod needs"
    assert links(told, "team-app")["policy"]["detail"] == "not looked at"
    assert links(told)["delegation"]["detail"] == "not found"

    arn = "arn:aws:sts::123456789012:assumed-role/pull/me"
    who = links(report(healthy(), asked(pull_identity="caller", user=arn)))["caller"]
    assert (who["name"], who["detail"]) == (arn, "RunPod can pull whatever this identity can")
    reads = healthy()
    reads["proof"] = {"images": [image(PUBLIC)]}
    public = links(report(reads, asked(access="public", images={TRAINING: PUBLIC})))["public_image"]
    assert (public["name"], public["facts"]["digest"]) == (PUBLIC, DIGEST)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"quarantined": True}, "in quarantine"),
        ({"policies": [{**policy(), "repositories": ["arn:one"]}]}, "may pull 1 repository"),
        ({"policies": []}, "may pull 0 repositories"),
    ],
)
def test_the_pull_user_in_words(given: Json, said: str) -> None:
    reads = healthy()
    reads["user"]["users"] = [pull_user(**given)]
    assert links(report(reads))["user"]["detail"] == said


def test_the_key_in_the_store_stands_for_all_and_a_token_may_be_unknown() -> None:
    reads = healthy()
    unused = key(OTHER_KEY, stored=False, ours=False, last_used=None)
    reads["user"]["users"] = [pull_user(access_keys=[unused, key(KEY)], secret_store=None)]
    told = report(reads)
    assert links(told)["key"]["name"] == KEY
    assert links(told)["credential"]["detail"] == "until when it works is not known"
    assert [(one["name"], one["note"]) for one in told["timeline"]] == [
        (OTHER_KEY, "not in the store"),
        (KEY, "in the store"),
    ]
    reads["user"]["users"] = [pull_user(access_keys=[unused])]
    assert links(report(reads))["key"]["detail"] == "43 days old, last used never"


def test_keys_and_tokens_stand_on_a_time_line() -> None:
    reads = healthy()
    reads["account"]["findings"] = [
        of_account("token_expired", "registry", "token-east", "id-east", cause="The token in token-east expired.")
    ]
    bars = {one["name"]: one for one in report(reads)["timeline"]}
    assert (bars[KEY]["starts_at"], bars[KEY]["ends_at"], bars[KEY]["status"]) == (
        "2026-07-01T12:00:00Z",
        "2026-09-29T12:00:00Z",
        "green",
    )
    east, seoul = bars["token-east"], bars["token-seoul-alt"]
    assert (east["starts_at"], east["ends_at"]) == ("2026-08-13T11:00:00Z", "2026-08-13T23:00:00Z")
    assert (east["status"], seoul["status"]) == ("red", "green")


def test_an_older_key_is_amber_on_the_time_line() -> None:
    reads = healthy()
    reads["user"]["users"] = [pull_user(access_keys=[key(KEY), key(OTHER_KEY, stored=False)])]
    assert [one["status"] for one in report(reads)["timeline"]][:2] == ["green", "amber"]


def test_workloads_that_are_broken_come_first_and_are_counted() -> None:
    reads = healthy()
    reads["images"] = reads["proof"] = {"images": [image(TRAINING), image(APP, finding("tag_not_found"))]}
    told = report(reads)
    assert [(one["name"], one["status"]) for one in told["workloads"]] == [("team-app", "red"), ("training", "green")]
    assert told["status"] == "red"
    assert told["summary"] == {"red": 1, "amber": 0, "green": 1, "workloads": 2, "findings": 1, "orphans": 0}
    assert told["answer"] == ["RED team-app: cause of tag_not_found Remedy: remedy of tag_not_found"]


def test_sentences_name_a_few_and_all_and_none() -> None:
    many = workloads([{"image": f"{EAST}/app-{number}:v1"} for number in range(6)], {})
    reads = healthy()
    bad = [image(item["image"], finding("tag_not_found")) for item in many[:5]]
    reads["images"] = reads["proof"] = {"images": bad}
    reads["user"]["findings"] = [of_user("rotation_due", "warning")]
    reads["account"]["pods"] = [{"id": "p1", "name": "p", "image": many[1]["image"], "registry": None}]
    lost = of_account("access_missing", "pod", "p", "p1", cause="The pod p runs app-1:v1.")
    gone = of_account("token_expired", "registry", "token-east", "id-east")
    reads["account"]["findings"] = [lost, gone]
    told = report(reads, items=many)["answer"]
    assert told[0].startswith("RED app-0, app-1, app-2 and 2 more: cause of tag_not_found")
    assert told[1].startswith("RED all workloads: cause of token_expired Since 2026-08-13T23:00:00Z. Remedy:")
    assert any(line.startswith("AMBER: The pod p") for line in told)
    assert any(line.startswith("AMBER all workloads: cause of rotation_due") for line in told)


def test_what_belongs_to_nobody_is_listed() -> None:
    reads = healthy()
    reads["account"]["findings"] = [
        of_account("credential_unused", "registry", "other", "id-other", "info"),
        of_account("credential_unused", "registry", "token-east", "id-east", "info"),  # this run's own
        of_account("delegation_unused", "delegation", "old", "d1", "info"),
    ]
    reads["account"]["templates"].append({"id": "t3", "name": "stray", "image": TRAINING, "registry": None})
    reads["account"]["pods"] = [{"id": "p1", "name": "pod", "image": TRAINING, "registry": None}]
    reads["account"]["delegations"] = delegated()[1]["account"]["delegations"][:1]
    reads["user"]["findings"] = [of_user("foreign_key", "warning"), of_user("key_inactive", "info")]
    told = report(reads)["orphans"]
    assert [(one["kind"], one["id"]) for one in told] == [
        ("registry", "id-other"),
        ("delegation", "d1"),
        ("template", "t3"),
        ("access", None),
        ("key", None),
        ("key", None),
    ]
    assert told[3]["remedy"].startswith("When nothing needs it")


def test_what_another_way_of_access_has_left_is_listed() -> None:
    wanted, reads = delegated()
    reads["account"]["registries"] = [{"id": "id-east", "name": "token-east"}]
    [left] = report(reads, wanted, patterns=("token-.*",))["orphans"]
    assert left["kind"] == "access" and "token-east" in left["cause"]
