# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    CollectionError,
    InputError,
    Json,
    RegistryError,
    SkopeoError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import image_mirror
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.image_mirror import connect, run
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.mirror_state import Clients
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.unfinished import UnfinishedError
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.progress import Progress, ProgressReporter
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.registry_client import Registry
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.skopeo import Side
from ansible_collections.gpuops.runpod.plugins.modules import ecr_image_mirror
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import client, refusal
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_registry import Registries, Repository, digest_of

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
SOURCE = f"{ECR}/app"
PUBLIC = "public.ecr.aws/a1b2c3d4/app"
OTHER = "registry.example/app"
MIB = 1024 * 1024
SUSPECT = {"Env": ["HF_TOKEN=abcdefgh"]}
OPTIONS: Json = {
    "source": None,
    "destination": None,
    "image_tags": None,
    "images": None,
    "platforms": "all",
    "platform": "linux/amd64",
    "source_auth": None,
    "destination_auth": None,
    "retries": 3,
    "allow_suspected_secrets": False,
}


class FakeAws:
    """Gives tokens that are different each time, and keeps the time."""

    def __init__(self, world: World, region: str = "eu-west-1") -> None:
        self.world, self.region = world, region
        self.meta = client("ecr").meta
        self.aws = Aws(self.connect, region, clock=lambda: world.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.world.naps.append(seconds)

    def connect(self, service: str, region: str, **dummy: Any) -> Any:
        self.world.regions.append((service, region))
        return self if service == "ecr" else PublicTokens(self)

    def token(self, host: str) -> Json:
        self.world.tokens += 1
        login = base64.b64encode(f"AWS:token-{self.world.tokens}".encode()).decode()
        self.world.registries.logins.setdefault(host, set()).add(login)
        return {"authorizationToken": login, "expiresAt": datetime(2026, 8, 1, tzinfo=timezone.utc)}

    def get_authorization_token(self, **dummy: Any) -> Json:
        return {"authorizationData": [self.token(ECR)]}

    def batch_get_image(self, **request: Any) -> Json:
        self.world.batches.append(len(request["imageIds"]))
        assert request["registryId"] == "123456789012" and len(request["acceptedMediaTypes"]) == 4
        repository = self.world.registries.repositories.get(f"{ECR}/{request['repositoryName']}")
        if repository is None:
            raise refusal("RepositoryNotFoundException")
        if self.world.failure:
            return {"images": [], "failures": [{"failureCode": self.world.failure, "failureReason": "no"}]}
        images, failures = [], []
        for given in request["imageIds"]:
            content = repository.manifest(given.get("imageTag") or given["imageDigest"])
            if content is None:
                failures.append({"imageId": given, "failureCode": "ImageNotFound"})
            else:
                images.append({"imageId": {**given, "imageDigest": digest_of(content)}})
        return {"images": images, "failures": failures}


class PublicTokens:
    def __init__(self, aws: FakeAws) -> None:
        self.aws = aws
        self.meta = client("ecr-public").meta

    def get_authorization_token(self, **dummy: Any) -> Json:
        return {"authorizationData": self.aws.token("public.ecr.aws")}


class FakeSkopeo:
    """Copies between the registries in memory, as skopeo does with --all and --preserve-digests."""

    def __init__(self, world: World) -> None:
        self.world = world

    def version(self) -> tuple[int, int]:
        if self.world.missing:
            raise SkopeoError("skopeo cannot be run")
        return (1, 9)

    def copy(
        self, source: Side, destination: Side, blobs: Mapping[str, int], progress: Callable[[Progress], None]
    ) -> str:
        self.world.copies.append((source, destination))
        self.world.blobs = dict(blobs)
        progress(Progress(0, len(blobs), 0, sum(blobs.values())))
        self.world.now += timedelta(seconds=2.5)
        if self.world.failures:
            failure = self.world.failures.pop(0)
            if failure:
                raise SkopeoError(f"skopeo could not copy: {failure}", failure)
        name, dummy, digest = source.reference.partition("@")
        self._copied(self.world.registries[name], self._target(destination), digest)
        return self.world.written or digest

    def _target(self, destination: Side) -> Repository:
        name, at, dummy = destination.reference.partition("@")
        return self.world.registries[name if at else name.rpartition(":")[0]]

    def _copied(self, source: Repository, target: Repository, digest: str) -> None:
        target.manifests[digest] = source.manifests[digest]
        name, at, dummy = self.world.copies[-1][1].reference.partition("@")
        if not at:
            target.tags[name.rpartition(":")[2]] = digest


class World:
    def __init__(self) -> None:
        self.registries = Registries()
        self.registries.challenges = {
            ECR: 'Basic realm="ecr"',
            "public.ecr.aws": 'Bearer realm="https://public.ecr.aws/token",service="public.ecr.aws",scope="aws"',
        }
        self.copies: list[tuple[Side, Side]] = []
        self.blobs: dict[str, int] = {}
        self.failures: list[str] = []
        self.naps: list[float] = []
        self.regions: list[tuple[str, str]] = []
        self.tokens = 0
        self.missing = False
        self.lines: list[str] = []  # for the terminal
        self.batches: list[int] = []  # how many images each call of the API asked for
        self.failure = ""
        self.written = ""
        self.now = datetime(2026, 8, 1, tzinfo=timezone.utc)
        self.source, self.public = self.registries[SOURCE], self.registries[PUBLIC]

    def run(self, check_mode: bool = False, **options: Any) -> Result:
        given = {"source": f"{SOURCE}:v1", "destination": PUBLIC} if "images" not in options else {}
        skopeo: Any = FakeSkopeo(self)
        sleep = self.naps.append
        client = Clients(
            FakeAws(self).aws,
            lambda host, login: Registry(self.registries, host, login, sleep),
            skopeo,
            self.lines.append,
        )
        return run({**OPTIONS, **given, **options}, check_mode, client)


@pytest.fixture
def world() -> World:
    return World()


def test_checked_then_copied_then_in_sync(world: World) -> None:
    amd, arm = world.source.image(text="for amd"), world.source.image(text="for arm!")
    digest = world.source.index("v1", amd64=amd, arm64=arm)
    image = {"source": f"{SOURCE}:v1", "destination": f"{PUBLIC}:v1", "digest": digest, "digest_before": None}
    size = sum(map(len, [*world.source.manifests.values(), *world.source.blobs.values()]))

    predicted = world.run(check_mode=True)
    results = {"digest": digest, "copied": True, "seconds": 0.0, "bytes": size}
    assert predicted.results == {**results, "images": [{**image, "copied": True, "seconds": 0.0, "bytes": size}]}
    assert (predicted.changed, predicted.before, predicted.after) == (
        True,
        {f"{PUBLIC}:v1": None},
        {f"{PUBLIC}:v1": digest},
    )
    assert world.copies == []

    done = world.run()
    assert done.results["images"] == [{**image, "copied": True, "seconds": 2.5, "bytes": size}]
    assert (done.changed, done.before, done.after) == (True, predicted.before, predicted.after)
    ((source, destination),) = world.copies
    assert (source.reference, destination.reference) == (f"{SOURCE}@{digest}", f"{PUBLIC}:v1")
    assert sum(world.blobs.values()) == sum(map(len, world.source.blobs.values()))

    world.registries.took()
    again = world.run()
    assert (again.changed, again.results["copied"], again.results["bytes"]) == (False, False, 0)
    assert again.results["images"][0]["digest_before"] == digest
    assert len(world.copies) == 1
    assert world.registries.took() == ["HEAD public.ecr.aws/v2/a1b2c3d4/app/manifests/v1"]
    assert world.batches == [1, 1, 1]


def test_what_is_in_sync_needs_no_skopeo(world: World) -> None:
    world.source.image("v1")
    world.run()
    world.missing = True
    assert world.run().changed is False


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_is_not_does(world: World, check_mode: bool) -> None:
    world.source.image("v1")
    world.missing = True
    with pytest.raises(SkopeoError, match="cannot be run"):
        world.run(check_mode)
    assert world.copies == []


def test_many_tags_are_one_request_each_and_one_call_for_a_hundred_in_ecr(world: World) -> None:
    tags = [f"v{number}" for number in range(101)]
    for tag in tags:
        world.source.image(tag, text=tag)
    done = world.run(source=SOURCE, image_tags=tags)
    assert (done.results["digest"], len(world.copies)) == (None, 101)
    world.registries.took()
    world.batches.clear()
    assert world.run(source=SOURCE, image_tags=tags).changed is False
    made = world.registries.took()
    assert len(made) == 101 and all(call.startswith("HEAD public.ecr.aws/") for call in made)
    assert world.batches == [100, 1]


def test_images_of_several_registries(world: World) -> None:
    held = world.registries[OTHER].image("v1")
    first = world.source.image("v1")
    world.registries["mirror.example/app"]
    images = [
        {"source": f"{SOURCE}:v1", "destination": f"{PUBLIC}:latest", "image_tags": None},
        {"source": OTHER, "destination": f"{ECR}/other", "image_tags": ["v1"]},
        {"source": f"{OTHER}@{held}", "destination": "mirror.example/app", "image_tags": None},
    ]
    world.registries[f"{ECR}/other"]
    done = world.run(images=images)
    assert [(image["destination"], image["digest"]) for image in done.results["images"]] == [
        (f"{PUBLIC}:latest", first),
        (f"{ECR}/other:v1", held),
        (f"mirror.example/app@{held}", held),
    ]
    assert [source.login is None for source, dummy in world.copies] == [False, True, True]
    assert [target.login is None for dummy, target in world.copies] == [False, False, True]
    assert world.run(images=images).changed is False
    assert ("ecr", "us-east-1") in world.regions and ("ecr-public", "us-east-1") in world.regions


def test_each_copy_and_each_try_gets_a_fresh_token(world: World) -> None:
    for tag in ("v1", "v2"):
        world.source.image(tag, text=tag)
    world.failures = ["unauthorized: authentication required", "", "HTTP status: 400 Bad Request"]
    world.run(source=SOURCE, image_tags=["v1", "v2"])
    passwords = [side.login.password for copy in world.copies for side in copy if side.login]
    assert len(passwords) == len(set(passwords)) == 8
    assert world.naps == [2, 2]


def test_tags_of_one_digest_and_digests_are_told_apart_in_ecr(world: World) -> None:
    digest = world.registries[OTHER].image("a")
    world.registries[OTHER].tags["b"] = digest
    mirrored = world.registries[f"{ECR}/mirror"]
    images = [
        {"source": OTHER, "destination": f"{ECR}/mirror", "image_tags": ["a", "b"]},
        {"source": f"{OTHER}@{digest}", "destination": f"{ECR}/mirror", "image_tags": None},
    ]
    assert world.run(images=images).changed is True
    assert (mirrored.tags, len(world.copies)) == ({"a": digest, "b": digest}, 3)
    assert world.run(images=images).changed is False


def test_what_else_ecr_says_of_an_image_is_an_error(world: World) -> None:
    world.failure = "UpstreamUnavailable"
    with pytest.raises(CollectionError, match="repository/app: UpstreamUnavailable: no") as caught:
        world.run()
    assert caught.value.as_result()["error"]["code"] == "UpstreamUnavailable"


def test_a_repository_of_the_source_that_is_missing_has_no_images(world: World) -> None:
    with pytest.raises(InputError, match=f"do not exist: {ECR}/absent:v1"):
        world.run(source=f"{ECR}/absent:v1")


def test_a_login_that_is_given_is_used(world: World) -> None:
    world.registries[OTHER].image("v1")
    world.registries.challenges["registry.example"] = 'Basic realm="x"'
    world.registries.logins["registry.example"] = {base64.b64encode(b"me:secret").decode()}
    login = {"username": "me", "password": "secret"}
    world.run(source=f"{OTHER}:v1", destination="mirror.example/app", source_auth=login)
    assert world.copies[0][0].login == ("me", "secret")
    assert world.tokens == 0


def test_an_empty_login_is_anonymous(world: World) -> None:
    world.public.image("v1")
    world.registries.challenges = {}
    nobody = {"username": None, "password": None}
    world.run(source=f"{PUBLIC}:v1", destination=OTHER, source_auth=nobody)
    assert (world.copies[0][0].login, world.tokens) == (None, 0)


def test_one_platform_is_taken_out_of_an_index(world: World) -> None:
    amd, arm = world.source.image(text="for amd"), world.source.image(text="for arm!")
    world.source.index("v1", amd64=amd, arm64=arm)
    assert world.run(platforms="one", platform="linux/arm64").results["digest"] == arm
    assert world.run(platforms="one", platform="linux/arm64").changed is False
    done = world.run(source=f"{SOURCE}@{arm}", destination=OTHER, platforms="one")
    assert done.after == {f"{OTHER}@{arm}": arm}
    with pytest.raises(InputError, match="is not for linux/s390x, but for: linux/amd64, linux/arm64"):
        world.run(platforms="one", platform="linux/s390x")


def test_a_tag_that_moved_is_copied_again(world: World) -> None:
    former = world.source.image("v1")
    world.run()
    world.source.image("v1", text="another")
    assert world.run().results["images"][0]["digest_before"] == former


# Nothing is copied


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("platforms", ["all", "one"])
def test_all_images_that_are_missing_are_named_before_the_first_copy(
    world: World, check_mode: bool, platforms: str
) -> None:
    world.source.image("v1")
    with pytest.raises(InputError, match=f"do not exist: {SOURCE}:v2, {SOURCE}:v3. Nothing was copied"):
        world.run(check_mode, source=SOURCE, image_tags=["v1", "v2", "v3"], platforms=platforms)
    assert world.copies == []


def test_a_repository_that_is_missing_is_told_before_the_first_copy(world: World) -> None:
    world.source.image("v1")
    images = [
        {"source": f"{SOURCE}:v1", "destination": target, "image_tags": None} for target in (PUBLIC, f"{ECR}/absent")
    ]
    with pytest.raises(InputError, match=f"repositories do not exist: {ECR}/absent. Create them first"):
        world.run(images=images)
    assert world.copies == []
    predicted = world.run(check_mode=True, images=images)
    assert predicted.warnings == (f"The repository {ECR}/absent does not exist yet.",)


@pytest.mark.parametrize("platforms", ["all", "one"])
def test_a_source_that_cannot_be_read_is_an_error(world: World, platforms: str) -> None:
    world.registries.challenges[ECR] = 'Basic realm="x"'
    with pytest.raises(CollectionError, match="HTTP 401"):
        world.run(source_auth={"username": "me", "password": "wrong"}, platforms=platforms)


@pytest.mark.parametrize("target", [PUBLIC, OTHER])
def test_a_destination_that_cannot_be_read_is_an_error(world: World, target: str) -> None:
    world.source.image("v1")
    world.registries.challenges["registry.example"] = 'Basic realm="x"'
    with pytest.raises(CollectionError, match="HTTP 401"):
        world.run(destination=target, destination_auth={"username": "me", "password": "wrong"})


def test_a_refusal_while_looking_for_a_repository_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.source.image("v1")

    def refused(self: Registry, repository: str, reference: str) -> None:
        raise RegistryError("HTTP 403", 403)

    monkeypatch.setattr(Registry, "manifest", refused)
    with pytest.raises(CollectionError, match="HTTP 403"):
        world.run()


def test_a_destination_elsewhere_may_make_its_repositories_itself(world: World) -> None:
    digest = world.source.image("v1")
    assert world.run(destination="registry.example/new").after == {"registry.example/new:v1": digest}


@pytest.mark.parametrize("check_mode", [True, False])
def test_suspected_secrets_are_not_published(world: World, check_mode: bool) -> None:
    clean, exposed = world.source.image(text="a"), world.source.image(text="b", config=SUSPECT)
    world.source.index("v1", amd64=clean, arm64=exposed)
    with pytest.raises(InputError, match=r"is not published.*Env: HF_TOKEN \(by its name\)") as caught:
        world.run(check_mode)
    assert "abcdefgh" not in str(caught.value.as_result()) and world.copies == []
    assert world.run(check_mode, allow_suspected_secrets=True).changed is True


def test_suspected_secrets_are_of_no_interest_elsewhere(world: World) -> None:
    world.source.image("v1", config=SUSPECT)
    world.run(destination="registry.example/app")
    assert [call for call in world.registries.took() if "/blobs/" in call] == []


def test_layers_that_ecr_public_does_not_take_are_told_before_the_first_byte(world: World) -> None:
    world.source.image("v1", size=10_001 * MIB)
    with pytest.raises(InputError, match="layers of at most 10,000 MiB, but sha256:.* has 10,001 MiB"):
        world.run()
    assert world.copies == []


def test_what_is_no_image_is_an_error(world: World) -> None:
    world.source.push({"mediaType": "application/vnd.oci.image.manifest.v1+json", "fsLayers": []}, "v1")
    with pytest.raises(InputError, match="of a kind that cannot be copied"):
        world.run()


def test_an_index_with_holes_is_an_error(world: World) -> None:
    world.source.index("v1", amd64="sha256:" + 64 * "0", arm64="sha256:" + 64 * "0")
    with pytest.raises(InputError, match="the manifest sha256:0+ does not exist"):
        world.run()


def test_a_manifest_that_an_index_names_twice_is_read_once(world: World) -> None:
    image = world.source.image()
    world.source.index("v1", amd64=image, arm64=image)
    world.run(check_mode=True)
    assert world.registries.took().count(f"GET {ECR}/v2/app/manifests/{image}") == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"source": SOURCE}, "names neither a tag nor a digest"),
        ({"retries": -1}, "retries: -1 is less than 0"),
        ({"platform": "amd64"}, "is not OS/ARCHITECTURE"),
    ],
)
def test_bad_input_asks_nobody(world: World, options: Json, why: str) -> None:
    with pytest.raises(InputError, match=why):
        world.run(**options)
    assert world.registries.calls == []


# Failures


def test_trouble_is_tried_again_with_growing_pauses(world: World) -> None:
    digest = world.source.image("v1")
    world.failures = ["HTTP status: 500 Internal Server Error"] * 8
    assert world.run(retries=8).results["digest"] == digest
    assert world.naps == [2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("failure", "tries"),
    [("HTTP status: 500", 4), ("tag invalid: The image tag 'v2' already exists, and is immutable", 1)],
)
def test_a_failure_tells_what_was_done(world: World, failure: str, tries: int) -> None:
    for tag in ("v1", "v2"):
        world.source.image(tag, text=tag)
    world.failures = ["", *[failure] * 4]
    with pytest.raises(UnfinishedError, match=failure) as caught:
        world.run(source=SOURCE, image_tags=["v1", "v2"])
    result = caught.value.as_result()
    assert (result["changed"], [image["destination"] for image in result["images"]]) == (True, [f"{PUBLIC}:v1"])
    assert result["error"] == {"message": failure}
    assert len(world.copies) == 1 + tries


def test_a_tag_that_may_not_move_is_told_where_skopeo_does_not(world: World) -> None:
    world.source.image("v1")
    held = world.registries[f"{ECR}/frozen"].image("v1", text="former")
    world.failures = ["Manifest list must be converted"]
    with pytest.raises(UnfinishedError, match=f"must be converted The tag names {held} there. When .* immutable"):
        world.run(destination=f"{ECR}/frozen")


def test_another_digest_than_the_one_compared_is_an_error(world: World) -> None:
    world.source.image("v1")
    world.written = "sha256:other"
    with pytest.raises(UnfinishedError, match="got the digest sha256:other instead of sha256:"):
        world.run()


# The module


@pytest.mark.parametrize("bundle", [None, "bundle.pem"])
def test_the_module(
    world: World,
    bundle: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.registries[OTHER].image("v1")
    monkeypatch.setattr(image_mirror, "Request", lambda **dummy: world.registries)
    monkeypatch.setattr(image_mirror, "Skopeo", lambda *dummy: FakeSkopeo(world))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "EC2_REGION", "AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    arguments = {
        "source": f"{OTHER}:v1",
        "destination": "mirror.example/app",
        "_ansible_remote_tmp": str(tmp_path),
        **({"aws_ca_bundle": str(tmp_path / bundle)} if bundle else {}),
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        ecr_image_mirror.main()
    result = json.loads(capsys.readouterr().out)
    assert result["changed"] is True and result["copied"] is True
    assert connect.__module__ == image_mirror.__name__


def test_lines_tell_which_of_the_images_to_copy_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for tag in ("v1", "v2", "v3"):
        world.source.image(tag, text=tag)
    world.run(source=SOURCE, image_tags=["v1"])
    monkeypatch.setattr(
        image_mirror,
        "ProgressReporter",
        lambda what, write: ProgressReporter(what, write, iter((0.0, 9.0)).__next__),
    )
    world.run(source=SOURCE, image_tags=["v1", "v2", "v3"])
    assert [line.partition(":v")[2].partition(" blobs")[0] for line in world.lines] == [
        "2 (image 1 of 2): 0/2",
        "3 (image 2 of 2): 0/2",
    ]
