# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registries behind their real names, seen through skopeo and bare HTTPS."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from tests import processes
from tests.sandbox import registry_backend
from tests.sandbox.images import DOCKER, OCI, SAMPLES, Image, MediaTypes, Sample, build, build_large, digest
from tests.sandbox.registry_hosts import EXPIRED
from tests.sandbox.server import Sandbox, SandboxError

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
TRAINING = f"{HOST}/runpod-gpu-training"
ARN = "arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training"
PUBLIC = "public.ecr.aws"
SINGLE, INDEX = build(SAMPLES[0]), build(SAMPLES[1])
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
ANY = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"


class Answer(NamedTuple):
    """What a registry said to a bare request."""

    status: int
    headers: Message
    body: bytes

    @property
    def error(self) -> tuple[int, str, str]:
        """The status, the code and the text of an error."""
        error = json.loads(self.body)["errors"][0]
        return self.status, error["code"], error["message"]


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *dummy: Any) -> None:
        """Follow no redirect."""


class Shop:
    """A sandbox with registries, and its clients."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.registries = sandbox.registries
        self.folder = folder
        self.authfile = folder / "auth.json"
        context = ssl.create_default_context(cafile=sandbox.environment["SSL_CERT_FILE"])
        proxy = urllib.request.ProxyHandler({"https": sandbox.environment["HTTPS_PROXY"]})
        self._opener = urllib.request.build_opener(proxy, urllib.request.HTTPSHandler(context=context), _Stay)

    def ask(self, url: str, method: str = "GET", **headers: str) -> Answer:
        request = urllib.request.Request(f"https://{url}", headers=headers, method=method)
        try:
            with self._opener.open(request) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def skopeo(self, *arguments: str, fails: str = "", text: str = "") -> str:
        """Run skopeo; it succeeds, or fails with a text."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.sandbox.environment}
        done = subprocess.run(
            ["skopeo", *arguments], env=environment, input=text, capture_output=True, text=True, check=False, timeout=60
        )
        assert bool(done.returncode) == bool(fails), done.stderr
        assert fails in done.stderr
        return done.stdout

    def copy(self, source: str, destination: str, *arguments: str, fails: str = "") -> None:
        given = ["-q", "--all", "--preserve-digests", "--authfile", str(self.authfile), *arguments]
        self.skopeo("copy", *given, source, destination, fails=fails)

    def login(self, host: str = HOST, **identity: str) -> str:
        """Log in with a token that an identity has minted; return the password."""
        region = host.split(".")[3]
        data = self.sandbox.client("ecr", region_name=region, **identity).get_authorization_token()
        token = data["authorizationData"][0]["authorizationToken"]
        password = base64.b64decode(token).decode().removeprefix("AWS:")
        self._remember(HOST, token)
        return password

    def user(self, *statements: dict[str, Any]) -> dict[str, str]:
        """Create a user with an inline policy; return what its key gives."""
        iam, name = self.sandbox.client("iam"), f"user-{uuid4().hex[:8]}"
        iam.create_user(UserName=name)
        document = json.dumps({"Version": "2012-10-17", "Statement": [TOKEN, *statements]})
        iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}

    def repository(self, **options: Any) -> str:
        """Create a repository; return its name."""
        name = f"team/{uuid4().hex[:8]}"
        self.sandbox.client("ecr").create_repository(repositoryName=name, **options)
        return name

    def public(self, image: Image | None = None) -> str:
        """Create a public repository, perhaps with an image as v1; return its address."""
        name = f"app-{uuid4().hex[:8]}"
        made = self.sandbox.client("ecr-public").create_repository(repositoryName=name)["repository"]
        if image:
            self.registries.push(f"{made['repositoryUri']}:v1", image)
        return str(made["repositoryUri"])

    def published(self, target: str) -> dict[str, list[str]]:
        """Return the images of a public repository with their tags, as its API tells them."""
        name = target.rpartition("/")[2]
        details = self.sandbox.client("ecr-public").describe_images(repositoryName=name)["imageDetails"]
        return {one["imageDigest"]: one.get("imageTags", []) for one in details}

    def public_login(self) -> None:
        data = self.sandbox.client("ecr-public").get_authorization_token()["authorizationData"]
        self._remember(PUBLIC, data["authorizationToken"])

    def _remember(self, host: str, token: str) -> None:
        held = json.loads(self.authfile.read_text()) if self.authfile.exists() else {"auths": {}}
        held["auths"][host] = {"auth": token}
        self.authfile.write_text(json.dumps(held))

    def seen(self) -> list[str]:
        """Return the requests so far, as method, kind of what was asked for, and status."""
        return [f"{call['method']} {kind(call)} {call['status']}" for call in self.registries.calls()]


TOKEN = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}


def kind(call: dict[str, Any]) -> str:
    if "s3." in call["host"]:
        return "layer"
    named = [part for part in ("manifests", "uploads", "blobs", "token") if f"/{part}/" in call["path"]]
    return named[0] if named else "base"


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"AWS:{password}".encode()).decode()


def allow(action: Any, resource: Any = ARN) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(with_registries=True) as sandbox:
        yield sandbox


@pytest.fixture
def shop(running: Sandbox, tmp_path: Path) -> Shop:
    running.mend()
    running.forget_calls()
    return Shop(running, tmp_path)


# ECR: who may pull


def test_a_user_with_the_least_rights_pulls_all_platforms(shop: Shop) -> None:
    password = shop.login(**shop.user(allow(PULL)))
    shop.skopeo("login", "--authfile", str(shop.authfile), "-u", "AWS", "--password-stdin", HOST, text=password)
    shop.registries.forget_calls()
    shop.copy(f"docker://{TRAINING}:v2", f"oci:{shop.folder}/copy:v2")

    pulled = {path.name for path in (shop.folder / "copy" / "blobs" / "sha256").iterdir()}
    parts = [INDEX.manifest, *INDEX.platforms, *INDEX.blobs]
    assert pulled == {digest(part).removeprefix("sha256:") for part in parts}
    seen = shop.seen()
    assert seen[:2] == ["GET base 401", "GET manifests 200"]
    assert {name: seen.count(name) for name in seen} == {
        "GET base 401": 1,
        "GET manifests 200": 3,
        "GET blobs 307": 4,
        "GET layer 200": 4,
    }
    calls = shop.registries.calls()
    assert {call["authorization"] for call in calls if kind(call) == "layer"} == {None}
    assert sum(call["sent"] for call in calls if kind(call) == "layer") == sum(len(blob) for blob in INDEX.blobs)


def test_another_repository_is_refused_in_the_words_of_ecr(shop: Shop) -> None:
    shop.login(**shop.user(allow(PULL)))
    text = "is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:us-east-1:123456789012:repository/"
    target = f"docker://{HOST}/runpod-gpu-inference:v1"
    shop.skopeo("inspect", "--authfile", str(shop.authfile), target, fails=f"{text}runpod-gpu-inference because no")


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "manifests/v1", "BatchGetImage"),
        ("HEAD", f"blobs/{digest(SINGLE.blobs[0])}", "BatchCheckLayerAvailability"),
        ("GET", f"blobs/{digest(SINGLE.blobs[0])}", "GetDownloadUrlForLayer"),
        ("POST", "blobs/uploads/", "InitiateLayerUpload"),
        ("PATCH", "blobs/uploads/1", "UploadLayerPart"),
        ("PUT", "blobs/uploads/1", "CompleteLayerUpload"),
        ("PUT", "manifests/v1", "PutImage"),
        ("GET", "tags/list", "ListImages"),
    ],
)
def test_each_request_needs_the_action_of_the_api(shop: Shop, method: str, path: str, action: str) -> None:
    url = f"{HOST}/v2/runpod-gpu-training/{path}"
    without = basic(shop.login(**shop.user()))
    answer = shop.ask(url, method, Authorization=without)
    assert answer.status == 403
    if method != "HEAD":
        assert answer.error[1] == "DENIED"
        assert f"ecr:{action} on resource: {ARN} because no identity-based policy allows" in answer.error[2]
    only = basic(shop.login(**shop.user(allow(f"ecr:{action}"))))
    assert shop.ask(url, method, Authorization=only, Accept=ANY).status != 403


def test_a_token_outlives_its_key_but_not_the_rights_of_its_user(shop: Shop) -> None:
    identity = shop.user(allow(PULL))
    shown = basic(shop.login(**identity))
    url = f"{HOST}/v2/runpod-gpu-training/manifests/v1"
    iam = shop.sandbox.client("iam")
    name = next(
        user["UserName"]
        for user in iam.list_users()["Users"]
        for key in iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]
        if key["AccessKeyId"] == identity["access_key"]
    )
    iam.delete_access_key(UserName=name, AccessKeyId=identity["access_key"])
    assert shop.ask(url, Authorization=shown, Accept=ANY).status == 200

    iam.delete_user_policy(UserName=name, PolicyName="inline")
    assert shop.ask(url, Authorization=shown, Accept=ANY).status == 403
    iam.put_user_policy(
        UserName=name,
        PolicyName="inline",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow(PULL)]}),
    )
    assert shop.ask(url, Authorization=shown, Accept=ANY).status == 200
    iam.delete_user_policy(UserName=name, PolicyName="inline")
    iam.delete_user(UserName=name)
    assert shop.ask(url, Authorization=shown, Accept=ANY).status == 403


def test_a_token_is_for_one_region_and_ends(shop: Shop) -> None:
    elsewhere = basic(shop.login("123456789012.dkr.ecr.ap-northeast-2.amazonaws.com"))
    ended = basic(shop.login())
    assert shop.ask(f"{HOST}/v2/", Authorization=ended).status == 200
    shop.registries.expire_tokens()
    for shown in (elsewhere, ended):
        assert shop.ask(f"{HOST}/v2/", Authorization=shown).error == (403, "DENIED", EXPIRED)

    shop.sandbox.aws.switch(token_seconds=-1)
    shop.login()
    shop.sandbox.aws.switch(token_seconds=12 * 3600)
    shop.skopeo("inspect", "--authfile", str(shop.authfile), f"docker://{TRAINING}:v1", fails=f"denied: {EXPIRED}")


def test_who_shows_nothing_is_asked_to_log_in_and_an_invented_token_is_refused(shop: Shop) -> None:
    answer = shop.ask(f"{HOST}/v2/")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == f'Basic realm="https://{HOST}/",service="ecr.amazonaws.com"'
    for shown in (basic("invented"), "Basic ?"):
        assert shop.ask(f"{HOST}/v2/", Authorization=shown).error[:2] == (403, "DENIED")


def test_what_is_not_there_is_named(shop: Shop) -> None:
    shown = basic(shop.login())
    absent = "The repository with name 'absent' does not exist in the registry with id '123456789012'"
    assert shop.ask(f"{HOST}/v2/absent/manifests/v1", Authorization=shown).error == (404, "NAME_UNKNOWN", absent)
    for reference in ("v9", digest(b"absent")):
        answer = shop.ask(f"{HOST}/v2/runpod-gpu-training/manifests/{reference}", Authorization=shown)
        assert answer.error == (404, "MANIFEST_UNKNOWN", "Requested image not found")
    answer = shop.ask(f"{HOST}/v2/runpod-gpu-training/blobs/{digest(b'absent')}", Authorization=shown)
    assert answer.error[:2] == (404, "BLOB_UNKNOWN")
    assert shop.ask(f"{HOST}/v2/runpod-gpu-training/other", Authorization=shown).status == 404
    assert shop.ask(f"{HOST}/v2/runpod-gpu-training/manifests/v1", "DELETE", Authorization=shown).status == 405
    tags = shop.ask(f"{HOST}/v2/runpod-gpu-training/tags/list", Authorization=shown)
    assert json.loads(tags.body) == {"name": "runpod-gpu-training", "tags": ["v1", "v2"]}


# ECR: the registry and the API are one


def test_what_a_client_pushes_is_in_the_api(shop: Shop) -> None:
    shop.login()
    name, ecr = shop.repository(), shop.sandbox.client("ecr")
    shop.copy(f"docker://{TRAINING}:v2", f"docker://{HOST}/{name}:new")

    found = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "new"}])["images"]
    assert [one["imageManifest"].encode() for one in found] == [INDEX.manifest]
    details = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert {one["imageDigest"]: one.get("imageTags") for one in details} == {
        digest(INDEX.manifest): ["new"],
        **{digest(one): None for one in INDEX.platforms},
    }
    for blob in INDEX.blobs:
        url = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=digest(blob))["downloadUrl"]
        assert shop.ask(url.removeprefix("https://")).body == blob
    available = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=[digest(INDEX.blobs[0])])
    assert available["layers"][0]["layerSize"] == len(INDEX.blobs[0])


def test_what_the_api_deletes_is_gone_from_the_registry(shop: Shop) -> None:
    shown = basic(shop.login())
    name, ecr = shop.repository(), shop.sandbox.client("ecr")
    shop.registries.push(f"{HOST}/{name}:v1", SINGLE)
    url = f"{HOST}/v2/{name}/manifests/"
    assert shop.ask(f"{url}v1", Authorization=shown, Accept=ANY).body == SINGLE.manifest
    ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": digest(SINGLE.manifest)}])
    for reference in ("v1", digest(SINGLE.manifest)):
        assert shop.ask(url + reference, Authorization=shown, Accept=ANY).error[1] == "MANIFEST_UNKNOWN"
    shop.registries.push(f"{HOST}/{name}:v1", SINGLE)
    ecr.delete_repository(repositoryName=name, force=True)
    assert shop.ask(f"{url}v1", Authorization=shown, Accept=ANY).error[1] == "NAME_UNKNOWN"


def test_the_api_takes_no_image_without_its_layers(shop: Shop) -> None:
    ecr, name = shop.sandbox.client("ecr"), shop.repository()
    with pytest.raises(ecr.exceptions.LayersNotFoundException):
        ecr.put_image(repositoryName=name, imageManifest=SINGLE.manifest.decode(), imageTag="v1")
    assert ecr.describe_images(repositoryName=name)["imageDetails"] == []


def test_a_tag_moves_unless_the_repository_is_immutable(shop: Shop) -> None:
    shop.login()
    ecr, free, fixed = shop.sandbox.client("ecr"), shop.repository(), shop.repository(imageTagMutability="IMMUTABLE")
    for name in (free, fixed):
        shop.copy(f"docker://{TRAINING}:v1", f"docker://{HOST}/{name}:v1")
    shop.copy(f"docker://{TRAINING}:v1", f"docker://{HOST}/{free}:v1")
    shop.copy(f"docker://{TRAINING}:v1", f"docker://{HOST}/{fixed}:v2")
    text = f"tag invalid: The image tag 'v1' already exists in the '{fixed}' repository and cannot be overwritten"
    shop.copy(f"docker://{TRAINING}:v1", f"docker://{HOST}/{fixed}:v1", fails=text)

    shop.copy(f"docker://{TRAINING}:v2", f"docker://{HOST}/{free}:v1")
    details = ecr.describe_images(repositoryName=free)["imageDetails"]
    assert {one["imageDigest"]: one["imageTags"] for one in details if "imageTags" in one} == {
        digest(INDEX.manifest): ["v1"]
    }
    assert digest(SINGLE.manifest) in {one["imageDigest"] for one in details}


def test_a_reset_empties_the_registries() -> None:
    with Sandbox(with_registries=True) as sandbox:
        sandbox.registries.push(f"{TRAINING}:extra", build(Sample("us-east-1", "other", "v1", ("amd64",))))
        folder = "123456789012/us-east-1/runpod-gpu-training"
        blob = digest(build(Sample("us-east-1", "other", "v1", ("amd64",))).blobs[1])
        assert sandbox.registries.backend.has_blob(folder, blob)
        sandbox.reset()
        assert not sandbox.registries.backend.has_blob(folder, blob)
        assert sandbox.registries.backend.has_blob(folder, digest(SINGLE.blobs[1]))
        found = sandbox.client("ecr").list_images(repositoryName="runpod-gpu-training")["imageIds"]
        assert {one.get("imageTag") for one in found} == {"v1", "v2", None}


# ECR Public


def test_anybody_pulls_from_the_public_registry(shop: Shop) -> None:
    target = shop.public(INDEX)
    shop.copy(f"docker://{target}:v1", f"oci:{shop.folder}/copy:v1")
    seen = shop.seen()
    assert seen[:3] == ["GET base 401", "GET token 200", "GET manifests 200"]
    assert seen.count("GET blobs 200") == 4
    calls = shop.registries.calls()
    assert {call["authorization"] for call in calls} == {None, "bearer"}


def test_a_push_to_the_public_registry_takes_a_login(shop: Shop) -> None:
    target = shop.public()
    shop.login()
    shop.copy(f"docker://{TRAINING}:v2", f"oci:{shop.folder}/copy:v2")
    shop.copy(f"oci:{shop.folder}/copy:v2", f"docker://{target}:v2", fails="denied: Not Authorized")
    shop.public_login()
    shop.copy(f"oci:{shop.folder}/copy:v2", f"docker://{target}:v2")

    assert shop.published(target) == {
        digest(INDEX.manifest): ["v2"],
        **{digest(one): [] for one in INDEX.platforms},
    }
    shop.authfile.unlink()
    raw = shop.skopeo("inspect", "--raw", f"docker://{target}:v2")
    assert raw.encode() == INDEX.manifest


def test_a_bearer_that_has_expired_is_refused_without_a_challenge(shop: Shop) -> None:
    target = shop.public(SINGLE)
    url = f"{PUBLIC}/v2/{target.removeprefix(f'{PUBLIC}/')}/manifests/v1"
    token = json.loads(shop.ask(f"{PUBLIC}/token/?service={PUBLIC}&scope=aws").body)["token"]
    shown = f"Bearer {token}"
    assert shop.ask(url, Authorization=shown, Accept=ANY).body == SINGLE.manifest
    shop.registries.expire_tokens()
    answer = shop.ask(url, Authorization=shown, Accept=ANY)
    assert answer.error == (400, "DENIED", EXPIRED)
    assert "WWW-Authenticate" not in answer.headers


def test_the_public_registry_gives_no_bearer_for_a_login_that_does_not_work(shop: Shop) -> None:
    assert shop.ask(f"{PUBLIC}/token/", Authorization=basic("invented")).error[:2] == (403, "DENIED")


def test_a_public_repository_has_to_be_created(shop: Shop) -> None:
    shop.public()
    text = "name unknown: The repository with name 'absent' does not exist in the registry with id 'a1b2c3d4'"
    shop.skopeo("inspect", f"docker://{PUBLIC}/a1b2c3d4/absent:v1", fails=text)


# The proxy and the layers


@pytest.mark.parametrize(
    "host",
    [
        "quay.io",
        "999999999999.dkr.ecr.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.mars-north-1.amazonaws.com",
        f"{HOST}.example",
        f"{HOST}:8443",
    ],
)
def test_the_proxy_knows_no_other_host(shop: Shop, host: str) -> None:
    with pytest.raises(OSError, match="403"):
        shop.ask(f"{host}/v2/")
    assert [(call["method"], call["status"]) for call in shop.registries.calls()] == [("CONNECT", 403)]


def test_the_proxy_answers_nothing_itself(shop: Shop) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(f"{shop.sandbox.environment['HTTPS_PROXY']}/v2/")


def test_a_layer_is_handed_out_by_its_signed_address_only(shop: Shop) -> None:
    shown, blob = basic(shop.login()), SINGLE.blobs[1]
    answer = shop.ask(f"{HOST}/v2/runpod-gpu-training/blobs/{digest(blob)}", Authorization=shown)
    url = answer.headers["Location"].removeprefix("https://")
    assert url.startswith("prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com/")
    assert shop.ask(url).body == blob
    part = shop.ask(url, Range="bytes=5-9")
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, blob[5:10], f"bytes 5-9/{len(blob)}")
    assert shop.ask(url, Range="bytes=5-").body == blob[5:]
    assert shop.ask(url.partition("?")[0]).status == 403
    assert shop.ask(url, Authorization=shown).status == 400
    assert shop.ask(url, "HEAD").status == 403
    assert shop.ask(url.replace(digest(blob), "sha256:../../..")).status == 404


# The log and the faults


def test_the_log_counts_and_holds_no_secret(shop: Shop) -> None:
    password = shop.login()
    name = shop.repository()
    shop.copy(f"docker://{TRAINING}:v1", f"docker://{HOST}/{name}:v1")
    calls = shop.registries.calls()
    assert set(calls[0]) == {"name", "method", "host", "path", "authorization", "status", "received", "sent", "broken"}
    assert password not in json.dumps(calls)
    assert basic(password).partition(" ")[2] not in json.dumps(calls)
    uploads = [call for call in calls if call["method"] == "PATCH"]
    assert sum(call["received"] for call in uploads) == sum(len(blob) for blob in SINGLE.blobs)
    put = next(call for call in calls if call["method"] == "PUT" and kind(call) == "manifests")
    assert (put["name"], put["received"]) == (f"PUT {HOST}/v2/{name}/manifests/v1", len(SINGLE.manifest))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_registry_can_refuse_so_many_times(shop: Shop, status: int) -> None:
    shop.login()
    shop.registries.fail(
        "GET .*/manifests/v1",
        times=2,
        answer={"status": status, "body": {"errors": [{"code": "TOOMANYREQUESTS", "message": "Rate exceeded"}]}},
    )
    shown = json.loads(shop.authfile.read_text())["auths"][HOST]["auth"]
    url = f"{HOST}/v2/runpod-gpu-training/manifests/v1"
    answers = [shop.ask(url, Authorization=f"Basic {shown}", Accept=ANY).status for dummy in range(3)]
    assert answers == [status, status, 200]


def test_a_download_can_end_in_the_middle(shop: Shop) -> None:
    shop.login()
    shop.registries.fail("GET .*/sha256:.*", times=None, cut_after=20)
    shop.copy(f"docker://{TRAINING}:v1", f"oci:{shop.folder}/copy:v1", fails="connection reset")
    cut = [call for call in shop.registries.calls() if kind(call) == "layer"]
    assert {call["sent"] for call in cut} == {20}
    shop.registries.mend()
    shop.copy(f"docker://{TRAINING}:v1", f"oci:{shop.folder}/copy:v1")


def test_an_upload_can_end_in_the_middle_and_succeeds_the_next_time(shop: Shop) -> None:
    shop.login()
    name = shop.repository()
    shop.registries.fail("PATCH .*", cut_after=20)
    shop.copy(f"docker://{TRAINING}:v1", f"docker://{HOST}/{name}:v1", fails="blob")
    assert [call["received"] for call in shop.registries.calls() if call["method"] == "PATCH"] == [20]
    shop.copy(f"docker://{TRAINING}:v1", f"docker://{HOST}/{name}:v1")


def test_an_answer_can_be_lost_after_its_effect(shop: Shop) -> None:
    shop.login()
    name = shop.repository()
    shop.registries.fail("PUT .*/manifests/v1", effect="after", answer="reset")
    shop.copy(f"docker://{TRAINING}:v1", f"docker://{HOST}/{name}:v1", fails="v1")
    found = shop.sandbox.client("ecr").list_images(repositoryName=name)["imageIds"]
    assert found == [{"imageTag": "v1", "imageDigest": digest(SINGLE.manifest)}]


def test_an_answer_can_be_garbage(shop: Shop) -> None:
    shop.login()
    shop.registries.fail("GET .*/manifests/v1", answer="garbage")
    shop.skopeo("inspect", "--authfile", str(shop.authfile), f"docker://{TRAINING}:v1", fails="manifest")


def test_a_field_is_taken_out_of_a_manifest(shop: Shop) -> None:
    shown = basic(shop.login())
    url = f"{HOST}/v2/runpod-gpu-training/manifests/v1"
    shop.registries.fail("GET .*/manifests/v1", answer={"remove": "$.layers[*].size"})
    shop.registries.fail("GET .*/manifests/v1", answer={"null": "$.absent"})
    lacking, whole = (shop.ask(url, Authorization=shown, Accept=ANY) for dummy in range(2))
    assert (lacking.status, whole.body) == (200, SINGLE.manifest)
    assert int(lacking.headers["Content-Length"]) == len(lacking.body)
    expected = json.loads(SINGLE.manifest)
    for layer in expected["layers"]:
        del layer["size"]
    assert json.loads(lacking.body) == expected
    assert [call["broken"] for call in shop.registries.calls()] == [True, False]


def test_requests_of_all_servers_are_recorded_and_can_be_broken_again(shop: Shop) -> None:
    url = f"{HOST}/v2/runpod-gpu-training/manifests/v1"

    def look() -> Answer:
        return shop.ask(url, Authorization=basic(shop.login()), Accept=ANY)

    with shop.sandbox.recording() as calls:
        look()
    assert [(call.server, call.name) for call in calls] == [
        ("aws", "ecr:GetAuthorizationToken"),
        ("registries", f"GET {url}"),
    ]
    assert "$.layers[*].digest" in calls[1].fields
    [rule] = [one for one in calls[1].rules() if one["answer"] == {"null": "$.layers"}]
    shop.sandbox.fail(**rule)
    assert [json.loads(look().body)["layers"] for dummy in range(2)] == [None, json.loads(SINGLE.manifest)["layers"]]


# Formats


@pytest.mark.parametrize(
    ("types", "architectures", "attested"),
    [
        (OCI, ("amd64",), False),
        (OCI, ("amd64",), True),
        (OCI, ("amd64", "arm64"), True),
        (DOCKER, ("amd64",), False),
        (DOCKER, ("amd64", "arm64"), False),
    ],
)
def test_an_image_of_any_format_is_copied_as_it_is(
    shop: Shop, types: MediaTypes, architectures: tuple[str, ...], attested: bool
) -> None:
    image = build(Sample("us-east-1", "sample", "v1", architectures), types, attested)
    source, target = shop.repository(), shop.public()
    shop.registries.push(f"{HOST}/{source}:v1", image)
    shop.login()
    shop.public_login()
    shop.copy(f"docker://{HOST}/{source}:v1", f"docker://{target}:v1")
    assert shop.skopeo("inspect", "--raw", f"docker://{target}:v1").encode() == image.manifest
    assert shop.published(target).keys() == {digest(one) for one in (image.manifest, *image.platforms)}


def test_a_large_layer_streams_through(shop: Shop) -> None:
    image = build_large(8)
    source, target = shop.repository(), shop.repository()
    shop.registries.push(f"{HOST}/{source}:v1", image)
    shop.login()
    shop.copy(f"docker://{HOST}/{source}:v1", f"docker://{HOST}/{target}:v1")
    moved = [call for call in shop.registries.calls() if call["method"] == "PATCH"]
    assert image.large[0].size in {call["received"] for call in moved}
    found = shop.sandbox.client("ecr").describe_images(repositoryName=target)["imageDetails"]
    assert [one["imageDigest"] for one in found] == [digest(image.manifest)]


# Coming and going


def test_nothing_is_left_of_the_registries(tmp_path: Path) -> None:
    with Sandbox(with_registries=True, files=tmp_path) as sandbox:
        assert len(processes.running(str(tmp_path))) == 1
        assert Path(sandbox.environment["SSL_CERT_FILE"]).parent.parent == tmp_path
    assert processes.running(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_sandbox_without_registries_says_so() -> None:
    with pytest.raises(SandboxError, match="without registries"):
        Sandbox().registries.calls()


def test_a_machine_without_a_registry_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_backend, "COMMAND", "no-such-registry")
    with pytest.raises(SandboxError, match="no-such-registry was not found"), Sandbox(with_registries=True):
        pass


# Several accounts


def test_the_token_of_another_account_opens_its_own_registry_alone(shop: Shop) -> None:
    sandbox, other = shop.sandbox, "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
    ecr = sandbox.client("ecr", "AKIASECONDAAAEXAMPLE", region_name="eu-west-1")
    ecr.create_repository(repositoryName="app")
    sandbox.registries.push(f"{other}/app:v1", SINGLE)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    basic = {"Authorization": f"Basic {token}", "Accept": ANY}
    assert shop.ask(f"{other}/v2/app/manifests/v1", **basic).body == SINGLE.manifest
    first = other.replace("111122223333", "123456789012")
    status, code, text = shop.ask(f"{first}/v2/app/manifests/v1", **basic).error
    assert (status, code) == (403, "DENIED") and "no resource-based policy allows" in text


def test_nobody_pushes_to_the_public_registry_of_another_account(shop: Shop) -> None:
    shop.sandbox.client("ecr-public").create_repository(repositoryName="guarded")
    other = shop.sandbox.client("ecr-public", "AKIASECONDAAAEXAMPLE")
    token = other.get_authorization_token()["authorizationData"]["authorizationToken"]
    bearer = json.loads(shop.ask(f"{PUBLIC}/token/", Authorization=f"Basic {token}").body)["token"]
    uploads = f"{PUBLIC}/v2/a1b2c3d4/guarded/blobs/uploads/"
    assert shop.ask(uploads, "POST", Authorization=f"Bearer {bearer}").status == 403
