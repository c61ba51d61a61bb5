# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.spec import (
    leftovers,
    public_images,
    public_users,
    templates,
    users,
    workloads,
)

EAST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
SEOUL = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com"
TRAINING = {"image": f"{EAST}/runpod-gpu-training:v1"}
APP = {"image": f"{SEOUL}/team/app:v1"}
CREDENTIALS = {"us-east-1": "token-east", "ap-northeast-2": "token-seoul"}
EMPTY = {"registries": [], "templates": [], "endpoints": [], "pods": []}


def test_a_template_is_named_after_its_repository() -> None:
    assert [item["name"] for item in workloads([TRAINING, APP], {})] == ["runpod-gpu-training", "team-app"]


def test_a_workload_knows_where_its_image_lies() -> None:
    [item] = workloads([APP], {})
    assert item["region"] == "ap-northeast-2"
    assert item["repository_arn"] == "arn:aws:ecr:ap-northeast-2:123456789012:repository/team/app"


def test_there_is_no_endpoint_unless_an_option_of_one_is_named() -> None:
    assert [item["endpoint"] for item in workloads([TRAINING, {**APP, "endpoint": {}}], {})] == [None, None]


def test_an_endpoint_is_merged_over_the_defaults_and_runs_the_template() -> None:
    own = {**TRAINING, "template": {"name": "own", "disk": 9}, "endpoint": {"name": "fast", "env": {"B": "2"}}}
    made = [item["endpoint"] for item in workloads([own, APP], {}, {"timeout": 5, "env": {"A": "1", "B": "1"}})]
    assert made == [
        {"name": "fast", "timeout": 5, "env": {"A": "1", "B": "2"}, "disk": 9, "template": "own"},
        {"name": "team-app", "timeout": 5, "env": {"A": "1", "B": "1"}, "template": "team-app"},
    ]


class Lazy(dict[str, Any]):
    """Stands for the containers that Ansible hands to a filter."""

    def __deepcopy__(self, dummy: Any) -> Any:
        raise AssertionError("a deep copy of one copies the template engine")


def test_what_ansible_hands_over_is_not_copied_with_its_engine() -> None:
    own = Lazy(
        {**TRAINING, "template": Lazy(name="own", env=Lazy(A="1")), "endpoint": Lazy(gpu=Lazy(pools=["ADA_24"]))}
    )
    [made] = workloads([own], Lazy(env=Lazy(B="2")), Lazy(workers=Lazy(max=1)))
    assert made["template"]["env"] == {"A": "1", "B": "2"}
    assert not [value for value in (made["endpoint"]["gpu"], made["endpoint"]["workers"]) if isinstance(value, Lazy)]


@pytest.mark.parametrize(
    ("defaults", "template", "merged"),
    [
        ({"serverless": True}, None, {"serverless": True}),
        ({"serverless": True}, {"serverless": False}, {"serverless": False}),
        ({"disk": 80}, {"args": "run"}, {"disk": 80, "args": "run"}),
        ({"env": {"A": "1", "B": "1"}}, {"env": {"B": "2"}}, {"env": {"A": "1", "B": "2"}}),
        ({"env": {"A": "1"}}, {"env": {}}, {"env": {}}),  # empty means clear
    ],
)
def test_a_template_is_merged_over_the_defaults(defaults: dict, template: dict | None, merged: dict) -> None:
    [item] = workloads([{**TRAINING, "template": template}], defaults)
    assert item["template"] == {**merged, "name": "runpod-gpu-training", "image": TRAINING["image"]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{}], "Workload 1: image is missing"),
        ([TRAINING, {"image": ""}], "Workload 2: image is missing"),
        (["an image"], "Workload 1: image is missing"),
        ([{"image": 10**30}], "Workload 1: .*1000000"),
        ([{**TRAINING, "tempate": {}}], "Workload 1: tempate is not an option"),
        ([{"image": f"{EAST}/app"}], "neither a tag nor a digest"),
        ([{"image": "public.ecr.aws/alias/app:1"}], "Amazon ECR Public"),
        ([TRAINING, APP, TRAINING], "Workloads 1 and 3 have the same template name 'runpod-gpu-training'"),
        ([{**TRAINING, "template": {"env": {"DEBUG": True}}}], "DEBUG"),
        ([{**TRAINING, "template": {"dsik": 50}}], "dsik"),
        ([{**TRAINING, "endpoint": {"image": "x", "template": "y"}}], "endpoint: image, template cannot be set"),
        ([{**TRAINING, "endpoint": {"wrokers": {}}}], "Workload 1: .*wrokers"),
        ([{**TRAINING, "endpoint": {"gpu": {"pools": []}}}], "Workload 1: .*gpu.pools must not be empty"),
        (
            [
                {**TRAINING, "endpoint": {"name": "one"}},
                APP,
                {**APP, "template": {"name": "b"}, "endpoint": {"name": "one"}},
            ],
            "Workloads 1 and 3 have the same endpoint name 'one'",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_position(given: list, said: str) -> None:
    with pytest.raises(InputError, match=said):
        workloads(given, {})


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(InputError, match="Workload 1: .* Workload 3: "):
        workloads([{}, TRAINING, {}], {})


def test_each_template_gets_the_credential_of_its_region_unless_it_names_one() -> None:
    own = {**TRAINING, "template": {"name": "own", "registry": "mine"}}
    made = templates(workloads([TRAINING, APP, own], {}), CREDENTIALS)
    assert [template["registry"] for template in made] == ["token-east", "token-seoul", "mine"]


def test_a_region_without_a_credential_needs_none_and_an_image_may_have_a_public_one() -> None:
    public = {TRAINING["image"]: "public.ecr.aws/alias/app:v1"}
    made = templates(workloads([TRAINING, APP], {}), {"us-east-1": "token-east"}, public)
    assert [(one["registry"], one["image"]) for one in made] == [
        ("token-east", "public.ecr.aws/alias/app:v1"),
        ("", APP["image"]),
    ]


def test_templates_without_credentials_are_to_be_absent() -> None:
    assert templates(workloads([TRAINING], {})) == [{"name": "runpod-gpu-training", "state": "absent"}]


def test_the_workloads_own_templates_and_endpoints_are_no_users() -> None:
    own = {"id": "t1", "name": "runpod-gpu-training", "image": TRAINING["image"], "registry": None}
    held = {**EMPTY, "templates": [own], "endpoints": [{**own, "id": "e1"}]}
    assert users(workloads([TRAINING], {}, {"timeout": 5}), held, CREDENTIALS) == []
    [user] = users(workloads([TRAINING], {}), held, CREDENTIALS)
    assert user["id"] == "e1"


@pytest.mark.parametrize(
    ("collection", "thing", "arn"),
    [
        ("templates", {"image": f"{EAST}/runpod-gpu-training:v9"}, True),
        ("endpoints", {"image": f"{EAST}/runpod-gpu-training:v1", "name": "runpod-gpu-training"}, True),
        ("pods", {"image": f"{EAST}/runpod-gpu-training@sha256:{'0' * 64}"}, True),
        ("templates", {"image": f"{EAST}/other:v1", "registry": "r1"}, False),
        ("pods", {"image": None, "registry": "r1"}, False),
    ],
)
def test_a_user_of_the_repository_or_the_credential_is_found(collection: str, thing: dict, arn: bool) -> None:
    held = {
        **EMPTY,
        "registries": [{"id": "r1", "name": "token-east"}],
        collection: [{"id": "u1", "name": "user", "registry": None, **thing}],
    }
    [user] = users(workloads([TRAINING], {}), held, CREDENTIALS)
    assert (user["id"], user["region"], user["repository_arn"] is not None) == ("u1", "us-east-1", arn)
    assert "u1" in user["reason"]


def test_what_refers_to_the_alternate_of_a_credential_is_a_user_too() -> None:
    held = {
        **EMPTY,
        "registries": [{"id": "r1", "name": "token-east-alt"}],
        "templates": [{"id": "u1", "name": "user", "registry": "r1", "image": f"{EAST}/other:v1"}],
    }
    assert [user["id"] for user in users(workloads([TRAINING], {}), held, CREDENTIALS)] == ["u1"]


@pytest.mark.parametrize(
    "thing",
    [
        {"image": f"{SEOUL}/runpod-gpu-training:v1"},
        {"image": "runpod/pytorch:2"},
        {"image": "Not An Image"},
        {"image": f"{EAST}/other:v1", "registry": "r2"},
    ],
)
def test_what_uses_neither_is_no_user(thing: dict) -> None:
    held = {
        **EMPTY,
        "registries": [{"id": "r2", "name": "somebody-elses"}],
        "templates": [{"id": "u1", "name": "user", "registry": None, **thing}],
    }
    assert users(workloads([TRAINING], {}), held, CREDENTIALS) == []


def test_the_public_image_has_the_tag_or_the_digest() -> None:
    digest = f"sha256:{'0' * 64}"
    given = [f"{EAST}/app:v1", f"{EAST}/app@{digest}", f"{EAST}/app:v2@{digest}"]
    items = workloads([{"image": image, "template": {"name": f"t{at}"}} for at, image in enumerate(given)], {})
    uri = "public.ecr.aws/alias/app"
    assert public_images(items, {items[0]["repository_arn"]: uri}) == {
        given[0]: f"{uri}:v1",
        given[1]: f"{uri}@{digest}",
        given[2]: f"{uri}@{digest}",
    }


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("public.ecr.aws/alias/app:v9", True),
        (f"public.ecr.aws/alias/app@sha256:{'0' * 64}", True),
        ("public.ecr.aws/alias/application:v1", False),
        (f"{EAST}/runpod-gpu-training:v1", False),
        ("Not An Image", False),
        (None, False),
    ],
)
def test_a_user_of_a_public_repository_is_found(image: str | None, found: bool) -> None:
    own = {"id": "t1", "name": "runpod-gpu-training", "image": "public.ecr.aws/alias/app:v1"}
    held = {**EMPTY, "templates": [own], "pods": [{"id": "p1", "name": "trainer", "image": image}]}
    uri = "public.ecr.aws/alias/app"
    users = public_users(workloads([TRAINING], {}), held, [uri])
    assert users == ([{"uri": uri, "reason": f"The pod trainer (p1) runs {image}"}] if found else [])


HELD = {
    "registries": [{"id": "r1", "name": "puller-123456789012-us-east-1"}, {"id": "r2", "name": "somebody-elses"}],
    "delegations": [
        {"id": "d1", "repository_arn": "arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training"},
        {"id": "d2", "repository_arn": "arn:aws:ecr:us-east-1:123456789012:repository/other"},
    ],
}


@pytest.mark.parametrize(("access", "ids"), [("credential", ["d1"]), ("delegation", ["r1"]), ("public", ["r1", "d1"])])
def test_what_another_way_of_access_left_is_told(access: str, ids: list[str]) -> None:
    former = {} if access == "credential" else {r"puller-\d{12}-us-east-1": "its user with ecr_pull_user"}
    said = leftovers(workloads([TRAINING], {}), HELD, access, former)
    assert len(said) == len(ids)
    assert all(f"({identifier})" in sentence for identifier, sentence in zip(ids, said, strict=True))
