# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    AwsError,
    ConflictError,
    InputError,
    Json,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import public_repository
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.public_catalog import LOGO
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.public_repository import Clients, connect, run
from ansible_collections.gpuops.runpod.plugins.modules import ecr_public_repo
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.sandbox.aws_calls import AwsRefusal
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_public import PublicAccount

MANAGED = "gpuops.runpod/managed"
ARN = "arn:aws:ecr-public::123456789012:repository/app"
URI = "public.ecr.aws/a1b2c3d4/app"
DIGEST = "sha256:" + 64 * "a"
PNG = b"\x89PNG\r\n\x1a\n" + pack(">I4sII", 13, b"IHDR", 100, 100)
OTHER_PNG = PNG + b"\0"
CATALOG = {
    "description": None,
    "about_text": None,
    "usage_text": None,
    "architectures": None,
    "operating_systems": None,
    "logo": None,
}
OPTIONS = {
    "name": "app",
    "state": "present",
    "acknowledge_public": True,
    "catalog_data": None,
    "tags": None,
    "purge_tags": True,
    "force": False,
}
READ = ["DescribeRepositories", "GetRepositoryCatalogData", "ListTagsForResource"]


class World(PublicAccount):
    """ECR Public, and files in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.files = {"logo.png": PNG, "other.png": OTHER_PNG}

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory")
        return self.files[path]

    def run(self, check_mode: bool = False, region: str = "ap-northeast-2", **options: Any) -> Result:
        if options.get("catalog_data"):
            options["catalog_data"] = {**CATALOG, **options["catalog_data"]}
        return run({**OPTIONS, **options}, check_mode, Clients(self.aws(region), self.read))

    def foreign(self, **request: Any) -> None:
        """Let somebody else make the repository."""
        self.client().create_repository(repositoryName="app", **request)
        self.calls.clear()


@pytest.fixture
def world() -> World:
    return World()


def step(world: World, writes: list[str], **options: Any) -> Json:
    """Take a step in check mode, for real and again; return the repository afterwards."""
    predicted = world.run(check_mode=True, **options)
    assert predicted.changed is True
    assert not set(world.took()) & set(writes)
    done = world.run(**options)
    assert (done.changed, done.before) == (True, predicted.before)
    assert [call for call in world.took() if call not in READ] == writes
    again = world.run(**options)
    assert (again.changed, again.before, again.after) == (False, done.after, done.after)
    assert world.took() == READ
    assert world.run(check_mode=True, **options).changed is False
    assert world.took() == READ
    unknown = {"created", "uri", "alias"}
    assert {key: value for key, value in predicted.after.items() if key not in unknown} == {
        key: value for key, value in done.after.items() if key not in unknown
    }
    return done.after


def test_made_changed_and_deleted(world: World) -> None:
    made = step(world, ["CreateRepository"])
    assert made == {
        "name": "app",
        "arn": ARN,
        "registry_id": "123456789012",
        "uri": URI,
        "alias": "a1b2c3d4",
        "created": made["created"],
        "managed": True,
        "tags": {MANAGED: "true"},
        "catalog_data": {
            "description": "",
            "about_text": "",
            "usage_text": "",
            "architectures": [],
            "operating_systems": [],
            "logo_url": None,
        },
    }
    catalog = {"description": "An app", "architectures": ["ARM 64", "x86-64"]}
    changed = step(world, ["PutRepositoryCatalogData", "TagResource"], catalog_data=catalog, tags={"team": "ml"})
    assert changed["catalog_data"] == {**made["catalog_data"], **catalog}
    assert changed["tags"] == {MANAGED: "true", "team": "ml"}

    predicted = world.run(check_mode=True, state="absent")
    assert (predicted.changed, predicted.before, predicted.after) == (True, changed, None)
    assert world.took() == [*READ, "DescribeImages"]
    assert world.run(state="absent") == predicted
    assert world.took() == [*READ, "DeleteRepository"]
    assert world.run(state="absent").changed is False
    assert world.took() == ["DescribeRepositories"]
    assert world.regions == {"us-east-1"}


def test_made_with_all_that_belongs_to_it_in_one_call(world: World) -> None:
    made = world.run(catalog_data={"description": "An app", "logo": "logo.png"}, tags={"number": 1})
    assert world.took() == ["DescribeRepositories", "CreateRepository"]
    assert made.after["catalog_data"]["logo_url"].startswith("https://")
    assert made.after["tags"].keys() == {MANAGED, "number", LOGO}
    assert made.after["tags"]["number"] == "1"


def test_check_mode_knows_the_uri_once_the_registry_has_an_alias(world: World) -> None:
    assert world.run(check_mode=True).after["uri"] is None
    world.run(name="other")
    predicted = world.run(check_mode=True).after
    assert (predicted["uri"], predicted["alias"], predicted["arn"]) == (URI, "a1b2c3d4", ARN)


def test_check_mode_knows_little_without_a_registry(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.registry, "answer", lambda call: registries(call, world))
    predicted = world.run(check_mode=True).after
    assert (predicted["arn"], predicted["registry_id"], predicted["uri"]) == (None, None, None)


def registries(call: Any, dummy: World) -> Json:
    """Answer as an account does that never used ECR Public."""
    if call.operation == "DescribeRegistries":
        return {"registries": []}
    raise AwsRefusal("RepositoryNotFoundException", "no")


# Publishing is on purpose


@pytest.mark.parametrize("acknowledged", [None, False])
@pytest.mark.parametrize("check_mode", [True, False])
def test_nothing_is_published_that_was_not_acknowledged(
    world: World, acknowledged: bool | None, check_mode: bool
) -> None:
    with pytest.raises(InputError, match="pulled by everybody .* set acknowledge_public: true"):
        world.run(check_mode, acknowledge_public=acknowledged)
    assert world.took() == []


def test_deleting_needs_no_acknowledgement(world: World) -> None:
    world.run()
    assert world.run(state="absent", acknowledge_public=None).changed is True


# Input


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "a__b"}, "'a__b' is a name for private repositories only"),
        ({"name": "team/a--b"}, "'team/a--b' is a name for private repositories only"),
        ({"name": "App"}, "is not the name of a repository"),
        ({"name": "app:v1"}, "is not the name of a repository"),
        ({"name": "a"}, "has 1 characters; ECR Public wants 2 to 205"),
        ({"name": "a" * 206}, "has 206 characters"),
        ({"tags": {"gpuops.runpod/managed": "no"}}, "not free to choose"),
        ({"catalog_data": {"logo": "absent.png"}}, "absent.png cannot be read: No such file or directory"),
        (
            {"catalog_data": {"description": "x" * 1025, "architectures": [""]}},
            "description has 1025 characters of at most 1024; architectures: '' must have 1 to 50 characters",
        ),
    ],
)
def test_bad_input_fails_before_any_call(world: World, options: Json, text: str) -> None:
    with pytest.raises(InputError, match=text):
        world.run(**options)
    assert world.took() == []


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "eusc-de-east-1"])
def test_other_partitions_have_no_ecr_public(world: World, region: str, state: str) -> None:
    with pytest.raises(InputError, match=f"{region} is in the partition .* which has no ECR Public"):
        world.run(region=region, state=state)
    assert world.took() == []


def test_what_is_no_badge_is_a_warning(world: World) -> None:
    done = world.run(catalog_data={"architectures": ["x86_64", "ARM"], "operating_systems": ["Linux"]})
    assert done.warnings == (
        "catalog_data.architectures: 'x86_64' will not show in the gallery, which knows ARM, ARM 64, x86, x86-64.",
    )


# Catalogue data


def test_unset_catalogue_data_stay_and_empty_ones_are_cleared(world: World) -> None:
    world.foreign(catalogData={"description": "An app", "aboutText": "About", "architectures": ["ARM"]})
    after = step(
        world, ["PutRepositoryCatalogData"], catalog_data={"description": "", "architectures": [], "usage_text": "Run"}
    )
    held = {"about_text": "About", "usage_text": "Run", "description": "", "architectures": [], "operating_systems": []}
    assert after["catalog_data"] == {**held, "logo_url": None}


def test_the_order_in_a_list_is_no_change(world: World) -> None:
    world.run(catalog_data={"architectures": ["ARM", "x86"]})
    assert world.run(catalog_data={"architectures": ["x86", "ARM"], "description": ""}).changed is False


def test_a_logo_is_told_from_another_by_a_tag(world: World) -> None:
    both = ["PutRepositoryCatalogData", "TagResource"]
    world.run(catalog_data={"description": "An app"})
    world.took()
    for path in ("logo.png", "other.png"):
        predicted = world.run(check_mode=True, catalog_data={"logo": path})
        assert predicted.after["catalog_data"]["logo_url"] is None
        done = world.run(catalog_data={"logo": path})
        assert (predicted.changed, done.changed) == (True, True)
        assert world.took() == [*READ, *READ, *both]
        assert predicted.after["tags"] == done.after["tags"]
        assert done.after["catalog_data"]["description"] == "An app"
        assert world.run(catalog_data={"logo": path}).changed is False
        world.took()


def test_a_logo_stays_when_other_data_change_with_its_file_at_hand(world: World) -> None:
    made = world.run(catalog_data={"logo": "logo.png"}).after
    options = {"catalog_data": {"logo": "logo.png", "description": "New"}}
    predicted = world.run(check_mode=True, **options)
    assert predicted.after["catalog_data"]["logo_url"] == made["catalog_data"]["logo_url"]
    assert world.run(**options).after == predicted.after


def test_a_logo_is_never_lost_in_passing(world: World) -> None:
    world.run(catalog_data={"logo": "logo.png", "description": "Old"})
    world.took()
    with pytest.raises(ConflictError, match="has a logo"):
        world.run(catalog_data={"description": "New"})
    assert world.run(catalog_data={"description": "Old"}).changed is False
    assert world.took() == [*READ, *READ]


def test_a_logo_is_removed_by_an_empty_path(world: World) -> None:
    world.run(catalog_data={"logo": "logo.png", "description": "Old"})
    world.took()
    after = step(world, ["PutRepositoryCatalogData", "UntagResource"], catalog_data={"logo": ""})
    assert (after["catalog_data"]["logo_url"], after["tags"]) == (None, {MANAGED: "true"})


# Tags


def test_tags_are_purged_but_for_ours(world: World) -> None:
    world.run(tags={"team": "ml", "stage": "dev"}, catalog_data={"logo": "logo.png"})
    world.took()
    assert step(world, ["TagResource", "UntagResource"], tags={"team": "ops"})["tags"].keys() == {MANAGED, "team", LOGO}
    assert step(world, ["TagResource"], tags={"more": ""}, purge_tags=False)["tags"]["team"] == "ops"
    assert world.run().changed is False
    assert step(world, ["TagResource", "UntagResource"], tags={"one": "1"})["tags"].keys() == {MANAGED, LOGO, "one"}
    world.took()
    assert step(world, ["UntagResource"], tags={})["tags"].keys() == {MANAGED, LOGO}


# Others


def test_a_repository_of_others_is_configured_but_not_taken_over(world: World) -> None:
    world.foreign(tags=[{"Key": "owner", "Value": "them"}])
    assert world.run().changed is False
    world.took()
    after = step(world, ["PutRepositoryCatalogData"], catalog_data={"description": "An app"})
    assert (after["managed"], after["tags"]) == (False, {"owner": "them"})


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_repository_of_others_is_not_deleted(world: World, check_mode: bool, force: bool) -> None:
    world.foreign()
    with pytest.raises(ConflictError, match=f"somebody else made it.*--resource-arn {ARN} --tags Key={MANAGED}"):
        world.run(check_mode, state="absent", force=force)
    assert world.took() == READ


@pytest.mark.parametrize("check_mode", [True, False])
def test_images_are_deleted_by_force_only(world: World, check_mode: bool) -> None:
    world.run()
    world.registry.put_image("app", DIGEST)
    with pytest.raises(AwsError, match=f"{URI} holds images. Set force: true") as caught:
        world.run(check_mode, state="absent")
    assert caught.value.code == "RepositoryNotEmptyException"
    assert world.run(check_mode, state="absent", force=True).changed is True
    assert world.run(state="absent", force=True).changed is check_mode


# Races and refusals


def test_a_repository_that_is_there_after_all_is_brought_in_line(world: World) -> None:
    world.before["CreateRepository"] = world.foreign
    done = world.run(catalog_data={"description": "An app"})
    assert (done.changed, done.before) == (True, None)
    assert (done.after["managed"], done.after["catalog_data"]["description"]) == (False, "An app")


def test_a_lost_answer_makes_nothing_twice(world: World) -> None:
    options = {"catalog_data": {"description": "An app"}, "tags": {"team": "ml"}}
    real = world.registry.answer

    def once_more(call: Any) -> Json:  # as botocore does, when no answer comes
        world.registry.answer = real  # type: ignore[method-assign]
        real(call)
        return real(call)

    def arm() -> None:
        world.registry.answer = once_more  # type: ignore[method-assign]

    world.before["CreateRepository"] = arm
    done = world.run(**options)
    assert (done.changed, done.after["managed"]) == (True, True)
    assert world.run(**options).changed is False


def test_a_deletion_that_somebody_else_was_faster_with_is_one(world: World) -> None:
    world.run()
    world.before["DeleteRepository"] = AwsRefusal("RepositoryNotFoundException", "gone")
    assert world.run(state="absent").changed is True


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("DescribeRepositories", {}),
        ("GetRepositoryCatalogData", {}),
        ("CreateRepository", {"name": "new"}),
        ("DeleteRepository", {"state": "absent"}),
    ],
)
def test_a_refusal_names_the_policy_that_organizations_have(world: World, operation: str, options: Json) -> None:
    world.run()
    world.before[operation] = AwsRefusal("AccessDeniedException", "no")
    with pytest.raises(AwsError, match=f"Allow ecr-public:{operation} .* service control policy.*deny ecr-public:"):
        world.run(**options)


# The module


@pytest.mark.parametrize("region", [None, "eu-west-1"])
def test_the_module_needs_no_region(
    world: World,
    region: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        ecr_public_repo.AwsModule,
        "client",
        lambda dummy, service, region, **more: world.connect(service, region),
    )
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "EC2_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    logo = tmp_path / "logo.png"
    logo.write_bytes(PNG)
    arguments = {
        "name": "app",
        "acknowledge_public": True,
        "catalog_data": {"logo": str(logo)},
        "_ansible_remote_tmp": str(tmp_path),
        **({"region": region} if region else {}),
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        ecr_public_repo.main()
    result = json.loads(capsys.readouterr().out)
    assert result["changed"] is True and result["repository"]["uri"] == URI
    assert result["diff"]["before"] == {} and result["diff"]["after"] == result["repository"]
    assert connect.__module__ == public_repository.__name__
