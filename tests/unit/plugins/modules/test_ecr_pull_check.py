# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.message import Message
from functools import partial
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import (
    GRANTED,
    Entry,
    KeyPair,
    KeyReservation,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.stored_key import store_of
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError, InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.result import Result
from ansible_collections.gpuops.runpod.plugins.module_utils._core.time import format_time
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.pull_check import (
    Clients,
    NotPullableError,
    anonymous_identity,
    caller_identity,
    check_images,
    run,
    stored_identity,
    verdict,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.registry_client import Registry
from ansible_collections.gpuops.runpod.plugins.modules import ecr_pull_check
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import client
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_registry import Registries

NOW = datetime(2026, 8, 1, tzinfo=timezone.utc)
KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
STORE = {"type": "secretsmanager", "name": "runpod-ecr/puller", "region": None, "kms_key_id": None, "tags": None}
SSM_STORE = {**STORE, "type": "ssm", "name": "/runpod-ecr/puller"}
BOTH_STORES = pytest.mark.parametrize("world", [STORE, SSM_STORE], ids=["secretsmanager", "ssm"], indirect=True)
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
APP = f"{HOST}/app"
OPTIONS = {
    "images": [f"{APP}:v1"],
    "platform": "linux/amd64",
    "identity": "caller",
    "secret_store": None,
    "credentials": None,
    "via": None,
    "fail_when_denied": True,
    "propagation_timeout": 90,
}
AS_USER = {**OPTIONS, "identity": "secret_store", "secret_store": STORE}
LAX = {"fail_when_denied": False}
SIGNATURE = "X-Amz-Signature=presigned"


class Ecr:
    """ECR in memory: manifests by their real digests, and addresses of configurations.

    `errors` are raised first, one per call; `failures` replace the answer of BatchGetImage for a tag or a digest.
    """

    def __init__(self) -> None:
        self.meta = client("ecr").meta
        self.manifests: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.errors: list[Exception] = []
        self.failures: dict[str, str] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def push(self, document: dict[str, Any], tag: str | None = None) -> str:
        text = json.dumps(document)
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        self.manifests[digest] = text
        if tag:
            self.tags[tag] = digest
        return digest

    def push_image(self, config: dict[str, Any], tag: str | None = None) -> str:
        digest = "sha256:" + hashlib.sha256(json.dumps(config).encode()).hexdigest()
        self.configs[digest] = config
        layers = [{"digest": "sha256:l1", "size": 1000}, {"digest": "sha256:l2", "size": 200}]
        return self.push({"config": {"digest": digest, "size": 34}, "layers": layers}, tag)

    def push_index(self, tag: str, *architectures: str) -> str:
        entries = [
            {"digest": self.push_image(linux(name)), "platform": {"os": "linux", "architecture": name}}
            for name in architectures
        ]
        unknown = {"os": "unknown", "architecture": "unknown"}
        return self.push({"manifests": [*entries, {"digest": "sha256:a", "platform": unknown}]}, tag)

    def batch_get_image(self, **request: Any) -> dict[str, Any]:
        self.heard("batch_get_image", request)
        [wanted] = request["imageIds"]
        digest = wanted.get("imageDigest") or self.tags.get(wanted["imageTag"])
        code = next((code for name, code in self.failures.items() if name in wanted.values()), None)
        if digest not in self.manifests:
            code = code or "ImageNotFound"
        elif "imageTag" in wanted and self.tags.get(wanted["imageTag"]) != digest:
            code = code or "ImageTagDoesNotMatchDigest"
        if code:
            return {"images": [], "failures": [{"imageId": wanted, "failureCode": code, "failureReason": "no"}]}
        return {"images": [{"imageId": {"imageDigest": digest}, "imageManifest": self.manifests[digest]}]}

    def get_download_url_for_layer(self, **request: Any) -> dict[str, Any]:
        self.heard("get_download_url_for_layer", request)
        return {"downloadUrl": f"https://layers.test/{request['layerDigest']}?{SIGNATURE}"}

    def heard(self, operation: str, request: dict[str, Any]) -> None:
        request.pop("aws_retry", None)
        self.calls.append((operation, request))
        if self.errors:
            raise self.errors.pop(0)

    def open(self, method: str, address: str) -> io.BytesIO:
        """Serve a configuration, as the layers' host does."""
        assert method == "GET" and address.endswith(SIGNATURE)
        return io.BytesIO(json.dumps(self.configs[address.split("/")[3].split("?")[0]]).encode())


class World:
    """ECR and the secret store, and a client for them."""

    def __init__(self, connect: Callable[..., Any], store: dict[str, Any]) -> None:
        self.ecr, self.naps, self.now = Ecr(), [], NOW
        self.opener: Any = self.ecr
        self.connections: list[tuple[str, dict[str, Any]]] = []

        def route(service: str, **options: Any) -> Any:
            self.connections.append((service, options))
            return self.ecr if service == "ecr" else connect(service, **options)

        self.registries = Registries()
        self.aws = Aws(route, "us-east-1", clock=lambda: self.now, sleep=self.sleep)
        self.store = store_of(self.aws, store)
        self.store_option = store

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += timedelta(seconds=seconds)

    def keep(self, key: KeyPair | None = KEY, created: datetime = NOW - timedelta(days=30)) -> None:
        made = self.store.create("puller", Entry("", pending=KeyReservation(NOW, ())))
        if made and key:
            self.store.put(made, Entry(made.arn, key, created))

    def run(self, params: dict[str, Any] | None = None, check_mode: bool = False, **options: Any) -> Result:
        given = params or OPTIONS
        store = {"secret_store": self.store_option} if given["secret_store"] else {}
        clients = Clients(self.aws, self.opener, partial(Registry, self.registries, sleep=self.sleep))
        return run({**given, **store, **options}, check_mode, clients)

    def only(self, params: dict[str, Any] | None = None, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        """Return the report on the only image, without failing."""
        [found] = self.run({**(params or OPTIONS), **LAX}, check_mode, **options).results["images"]
        return found


@pytest.fixture
def world(connect: Callable[..., Any], request: pytest.FixtureRequest) -> World:
    return World(connect, getattr(request, "param", STORE))


def linux(architecture: str) -> dict[str, Any]:
    return {"os": "linux", "architecture": architecture}


def refusal(code: str, text: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": text}}, "BatchGetImage")


def codes(found: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in found["findings"]]


def test_a_single_image_can_be_pulled(world: World) -> None:
    digest = world.ecr.push_image(linux("amd64"), "v1")
    outcome = world.run()
    assert outcome.changed is False and outcome.results["pullable"] is True
    assert outcome.results["images"] == [
        {
            "image": f"{APP}:v1",
            "digest": digest,
            "platforms": ["linux/amd64"],
            "size": 1234,
            "pullable": True,
            "findings": [],
        }
    ]


def test_a_multi_platform_image_can_be_pulled(world: World) -> None:
    digest = world.ecr.push_index("v1", "arm64", "amd64")
    found = world.only()
    assert found["digest"] == digest and found["platforms"] == ["linux/arm64", "linux/amd64"]
    assert found["pullable"] is True and found["size"] == 1234
    operations = [operation for operation, dummy in world.ecr.calls]
    assert operations == ["batch_get_image", "batch_get_image", "get_download_url_for_layer"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_every_call_only_reads_and_a_second_run_says_the_same(world: World, check_mode: bool) -> None:
    world.ecr.push_image(linux("amd64"), "v1")
    assert world.run(check_mode=check_mode) == world.run(check_mode=check_mode)
    assert {operation for operation, dummy in world.ecr.calls} == {"batch_get_image", "get_download_url_for_layer"}


def test_each_image_is_looked_for_in_its_own_region_and_account(world: World) -> None:
    world.ecr.push_image(linux("amd64"), "v1")
    world.run(images=["210987654321.dkr.ecr.ap-northeast-2.amazonaws.com/team/app:v1"])
    assert [(service, options["region"]) for service, options in world.connections] == [("ecr", "ap-northeast-2")]
    for request in [request for dummy, request in world.ecr.calls]:
        assert (request["registryId"], request["repositoryName"]) == ("210987654321", "team/app")


def test_the_pull_user_pulls_with_the_key_from_the_store(world: World) -> None:
    world.keep()
    world.ecr.push_image(linux("amd64"), "v1")
    assert world.run(AS_USER).results["pullable"] is True
    identities = [options.get("aws_access_key_id") for service, options in world.connections if service == "ecr"]
    assert identities == [KEY.access_key_id]


def test_all_bad_references_are_named_before_any_call(world: World) -> None:
    bad = ["nginx:latest", f"{APP}", f"{APP}:v1", "public.ecr.aws/x/y:1"]
    with pytest.raises(InputError, match="Docker Hub.*neither a tag nor a digest.*Amazon ECR Public"):
        world.run(images=bad)
    assert world.connections == []


def test_a_malformed_platform_is_refused_before_any_call(world: World) -> None:
    with pytest.raises(InputError, match="'amd64' is not OS/ARCHITECTURE"):
        world.run(platform="amd64")
    assert world.connections == []


def test_one_error_names_all_bad_images_and_holds_all_results(world: World) -> None:
    world.ecr.push_image(linux("amd64"), "v1")
    world.ecr.push_image(linux("arm64"), "arm")
    with pytest.raises(NotPullableError) as caught:
        world.run(images=[f"{APP}:v1", f"{APP}:v2", f"{APP}:arm"])
    result = caught.value.as_result()
    assert result["msg"].startswith(f"2 of 3 images cannot be pulled. {APP}:v2: The repository app holds no image")
    assert f"{APP}:arm: The image is not for linux/amd64; it is for linux/arm64. Build it" in result["msg"]
    assert result["msg"].endswith("or name another image. The other 1 can be pulled.")
    assert result["pullable"] is False
    assert [found["pullable"] for found in result["images"]] == [True, False, False]


def test_without_failing_the_findings_are_returned(world: World) -> None:
    outcome = world.run(**LAX)
    [finding] = outcome.results["images"][0]["findings"]
    assert outcome.results["pullable"] is False
    assert finding["code"] == "tag_not_found" and finding["severity"] == "error"
    assert finding["raw"] == "ImageNotFound: no"


def test_a_digest_that_is_not_there(world: World) -> None:
    found = world.only(images=[f"{APP}@sha256:{'0' * 64}"])
    assert codes(found) == ["digest_not_found"] and "0" * 64 in found["findings"][0]["cause"]


def test_with_tag_and_digest_both_are_asked_for(world: World) -> None:
    digest = world.ecr.push_image(linux("amd64"), "v1")
    assert world.only(images=[f"{APP}:v1@{digest}"])["findings"] == []
    assert world.ecr.calls[0][1]["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]


def test_a_tag_that_moved_is_a_warning_because_the_digest_is_pulled(world: World) -> None:
    digest = world.ecr.push_image(linux("amd64"), "v1")
    world.ecr.push_image({**linux("amd64"), "newer": True}, "v1")
    outcome = world.run(images=[f"{APP}:v1@{digest}"])
    [found] = outcome.results["images"]
    assert found["pullable"] is True and found["digest"] == digest and codes(found) == ["tag_moved"]
    assert "does not name sha256:" in outcome.warnings[0]


def test_a_tag_and_a_digest_that_are_both_gone(world: World) -> None:
    found = world.only(images=[f"{APP}:v1@sha256:{'0' * 64}"])
    assert codes(found) == ["digest_not_found"] and found["pullable"] is False


def test_a_missing_platform_names_what_is_there(world: World) -> None:
    digest = world.ecr.push_index("v1", "arm64", "riscv64")
    found = world.only()
    assert found["pullable"] is False and found["digest"] == digest and found["size"] is None
    assert found["platforms"] == ["linux/arm64", "linux/riscv64"]
    assert "it is for linux/arm64, linux/riscv64." in found["findings"][0]["cause"]


def test_an_image_that_names_no_platform_is_a_warning(world: World) -> None:
    world.ecr.push_image({"rootfs": {}}, "v1")
    found = world.only()
    assert codes(found) == ["platform_unverified"] and found["platforms"] == [] and found["pullable"] is True


def test_another_platform_can_be_asked_for(world: World) -> None:
    world.ecr.push_index("v1", "arm64")
    assert world.only(platform="linux/arm64/v8")["pullable"] is True


def test_a_platforms_manifest_that_is_missing(world: World) -> None:
    digest = world.ecr.push_index("v1", "amd64")
    [child] = [held for held in world.ecr.manifests if held != digest]
    del world.ecr.manifests[child]
    found = world.only()
    assert codes(found) == ["digest_not_found"] and child in found["findings"][0]["cause"]


@pytest.mark.parametrize("manifest", [{"layers": []}, {"config": {}}, {}])
def test_what_is_not_an_image(world: World, manifest: dict[str, Any]) -> None:
    world.ecr.push(manifest, "v1")
    found = world.only()
    assert codes(found) == ["not_an_image"] and "not a container image" in found["findings"][0]["cause"]


class Closed:
    """An opener that answers nothing but `failure`, or `text`."""

    def __init__(self, failure: Exception | None, text: bytes = b"") -> None:
        self.failure, self.text = failure, text

    def open(self, method: str, address: str) -> io.BytesIO:
        if isinstance(self.failure, ValueError):
            raise ValueError(f"unknown address: {address}")
        if self.failure:
            raise self.failure
        return io.BytesIO(self.text)


@pytest.mark.parametrize(
    "opener, why",
    [
        (Closed(HTTPError(f"https://x/?{SIGNATURE}", 403, "Forbidden", Message(), None)), "HTTP 403"),
        (Closed(ConnectionRefusedError()), "ConnectionRefusedError"),
        (Closed(TimeoutError()), "TimeoutError"),
        (Closed(ValueError()), "ValueError"),
        (Closed(None, b"<html>"), "JSONDecodeError"),
        (Closed(None, b"[]"), "not a configuration"),
        (Closed(None, b"{" + b" " * 2_000_000 + b"}"), "JSONDecodeError"),
    ],
)
def test_a_configuration_out_of_reach_is_a_warning_without_its_address(world: World, opener: Closed, why: str) -> None:
    world.ecr.push_image(linux("amd64"), "v1")
    world.opener = opener
    outcome = world.run()
    [found] = outcome.results["images"]
    assert found["pullable"] is True and found["platforms"] == [] and found["size"] == 1234
    assert codes(found) == ["layer_host_blocked", "platform_unverified"] and len(outcome.warnings) == 2
    assert found["findings"][0]["raw"] == f"BlobUnread: layers.test: {why}"
    assert SIGNATURE not in repr(outcome)


def test_the_host_of_the_layers_is_asked_too_when_the_index_names_the_platform(world: World) -> None:
    world.ecr.push_index("v1", "amd64")
    world.opener = Closed(TimeoutError())
    found = world.only()
    assert codes(found) == ["layer_host_blocked"] and found["pullable"] is True


@pytest.mark.parametrize(
    "error, code",
    [
        (refusal("RepositoryNotFoundException"), "repository_not_found"),
        (refusal("AccessDeniedException"), "denied"),
        (refusal("UnrecognizedClientException"), "key_invalid"),
        (refusal("ExpiredTokenException"), "credentials_expired"),
        (EndpointConnectionError(endpoint_url="https://api.ecr.nowhere"), "endpoint_unreachable"),
        (refusal("ServerException"), "service_unavailable"),
    ],
)
def test_what_aws_refuses_is_a_finding(world: World, error: Exception, code: str) -> None:
    world.ecr.push_image(linux("amd64"), "v1")
    world.ecr.errors = [error]
    found = world.only()
    assert codes(found) == [code] and found["pullable"] is False


def test_failures_that_come_with_a_good_status_are_findings(world: World) -> None:
    world.ecr.push_image(linux("amd64"), "v1")
    for failure, code in (
        ("KmsError", "kms"),
        ("ImageInaccessible", "archived"),
        ("UpstreamUnavailable", "upstream_unavailable"),
    ):
        world.ecr.failures = {"v1": failure}
        assert codes(world.only()) == [code]


def test_a_layer_that_may_not_be_fetched_denies_the_pull(world: World) -> None:
    world.ecr.push_image(linux("amd64"), "v1")
    get_url = world.ecr.get_download_url_for_layer

    def denied(**request: Any) -> Any:
        world.ecr.errors = [refusal("AccessDeniedException")]
        return get_url(**request)

    world.ecr.get_download_url_for_layer = denied  # type: ignore[method-assign]
    [finding] = world.only()["findings"]
    assert finding["code"] == "denied"
    assert "The caller may not call ecr:GetDownloadUrlForLayer on arn:aws:ecr:us-east-1:" in finding["cause"]


@BOTH_STORES
def test_a_young_key_gets_its_time(world: World) -> None:
    world.keep(created=NOW)
    world.ecr.push_image(linux("amd64"), "v1")
    world.ecr.errors = [refusal("UnrecognizedClientException")] * 3
    assert world.run(AS_USER).results["pullable"] is True
    assert world.naps == [1, 2]


@BOTH_STORES
def test_a_young_right_gets_its_time_and_all_images_share_it(world: World) -> None:
    world.keep()
    world.store.tag({GRANTED: format_time(NOW)})
    world.ecr.errors = [refusal("AccessDeniedException")] * 100
    outcome = world.run(AS_USER, images=[f"{APP}:v1", f"{APP}:v2"], **LAX)
    assert outcome.results["pullable"] is False
    assert sum(world.naps) == 90


def test_an_old_key_that_is_refused_is_not_waited_for(world: World) -> None:
    world.keep()
    world.ecr.errors = [refusal("AccessDeniedException")]
    assert codes(world.only(AS_USER)) == ["denied"]
    assert world.naps == [] and len(world.ecr.calls) == 1


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "AccessDeniedException"])
def test_a_pull_user_in_quarantine_is_named_and_not_waited_for(world: World, code: str) -> None:
    world.keep(created=NOW)
    world.store.tag({"gpuops.runpod/quarantined": "2026-08-01T00:00:00Z"})
    world.ecr.errors = [refusal(code)]
    assert codes(world.only(AS_USER)) == ["quarantined"]
    assert world.naps == []


def test_a_store_that_cannot_be_read_is_no_verdict_on_the_image(world: World) -> None:
    world.keep(created=NOW)
    world.ecr.errors = [refusal("AccessDeniedException")]

    def refuse(**dummy: Any) -> Any:
        raise refusal("AccessDeniedException", "not authorized to perform: secretsmanager:DescribeSecret")

    world.store.read()
    for key, made in world.aws._clients.items():
        if key[0] == "secretsmanager":
            made.describe_secret = refuse
    with pytest.raises(AwsError, match="secretsmanager:DescribeSecret"):
        world.run(AS_USER)


@BOTH_STORES
@pytest.mark.parametrize("made", [True, False])
def test_without_a_key_check_mode_cannot_know(world: World, made: bool) -> None:
    if made:
        world.keep(key=None)
    outcome = world.run(AS_USER, check_mode=True)
    assert outcome.results["pullable"] is None and outcome.changed is False
    assert [found["pullable"] for found in outcome.results["images"]] == [None]
    assert "ecr_pull_user makes it" in outcome.warnings[0] and world.ecr.calls == []
    with pytest.raises(InputError, match="ecr_pull_user makes it"):
        world.run(AS_USER)


def test_rights_that_check_mode_would_have_granted_are_not_known(world: World) -> None:
    world.keep()
    world.ecr.errors = [refusal("AccessDeniedException")]
    outcome = world.run(AS_USER, check_mode=True)
    assert outcome.results["pullable"] is None and "may not call ecr:BatchGetImage" in outcome.warnings[0]


def test_in_check_mode_too_a_missing_image_fails(world: World) -> None:
    world.keep()
    with pytest.raises(NotPullableError):
        world.run(AS_USER, check_mode=True)


def test_in_check_mode_too_the_callers_missing_rights_fail(world: World) -> None:
    world.ecr.errors = [refusal("AccessDeniedException")]
    with pytest.raises(NotPullableError):
        world.run(check_mode=True)


@pytest.mark.parametrize(
    "pullable, expected",
    [([True, True], True), ([True, None], None), ([None, False], False), ([False, True], False)],
)
def test_verdict(pullable: list[bool | None], expected: bool | None) -> None:
    assert verdict(pullable) is expected


def test_no_secret_shows(world: World) -> None:
    world.keep()
    world.ecr.push_image(linux("arm64"), "v1")
    outcome = world.run(AS_USER, **LAX)
    with pytest.raises(NotPullableError) as caught:
        world.run(AS_USER)
    said = repr(outcome) + json.dumps(caught.value.as_result())
    assert KEY.secret_access_key not in said and SIGNATURE not in said


def test_the_pull_user_is_the_default_and_needs_a_store(capsys: pytest.CaptureFixture[str]) -> None:
    with patch_module_args({"images": [f"{APP}:v1"]}), pytest.raises(SystemExit):
        ecr_pull_check.main()
    said = json.loads(capsys.readouterr().out)["msg"]
    assert said == "identity is secret_store but all of the following are missing: secret_store"


# The registry itself

ELSEWHERE = "ghcr.io/team/app"
NOBODY = {"identity": "anonymous", "images": [f"{ELSEWHERE}:v1"]}
BEARER = 'Bearer realm="https://ghcr.io/token",service="ghcr.io"'


def test_anybody_can_pull_a_public_image_without_a_call_of_aws(world: World) -> None:
    world.registries.challenges["ghcr.io"], world.registries.blob_store = BEARER, "store.test"
    repository = world.registries[ELSEWHERE]
    digest = repository.index("v1", amd64=repository.image(), arm64=repository.image(architecture="arm64"))
    outcome = world.run(**NOBODY)
    [found] = outcome.results["images"]
    assert outcome.results["pullable"] is True and outcome.warnings == ()
    assert found["digest"] == digest and found["platforms"] == ["linux/amd64", "linux/arm64"]
    assert found["size"] == 45 and found["findings"] == []
    assert world.connections == [] and world.registries.took()[-1].startswith("GET store.test/sha256:")


def test_an_image_without_index_tells_its_platform(world: World) -> None:
    world.registries[ELSEWHERE].image("v1", architecture="arm64")
    found = world.only(**NOBODY)
    assert codes(found) == ["platform_missing"] and found["platforms"] == ["linux/arm64"]


def test_a_login_may_be_given(world: World) -> None:
    world.registries.challenges["ghcr.io"] = BEARER
    world.registries.logins["ghcr.io"] = {base64.b64encode(b"me:pass").decode()}
    world.registries[ELSEWHERE].image("v1")
    given = {**NOBODY, "identity": "given", "credentials": {"username": "me", "password": "pass"}}
    assert world.run(**given).results["pullable"] is True and world.connections == []
    given["credentials"] = {"username": "me", "password": "wrong"}
    outcome = world.run(**given, **LAX)
    assert codes(outcome.results["images"][0]) == ["login_refused"] and "wrong" not in repr(outcome)


def test_who_has_no_login_is_told_so(world: World) -> None:
    world.registries.challenges[HOST] = 'Basic realm="x"'
    found = world.only(identity="anonymous")
    assert codes(found) == ["login_missing"]
    assert found["findings"][0]["raw"] == "HTTP 401: UNAUTHORIZED: unauthorized"


def test_the_api_takes_no_identity_of_a_registry(world: World) -> None:
    with pytest.raises(InputError, match="the API of ECR takes no identity anonymous"):
        world.run(**NOBODY, via="api")
    with pytest.raises(InputError, match="names neither a tag nor a digest"):
        world.run(identity="anonymous", images=[ELSEWHERE])


def test_who_is_not_known_to_aws_needs_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    given: dict[str, Any] = {"images": [f"{ELSEWHERE}:v1"], "identity": "anonymous"}
    seen: list[Any] = []

    def take(module: Any, run: Any, key: str, connect: Any) -> None:
        seen.append(connect(module))

    monkeypatch.setattr(ecr_pull_check, "execute", take)
    with patch_module_args(given):
        ecr_pull_check.main()
    with patch_module_args({**given, "identity": "caller"}), pytest.raises(InputError, match="No AWS region"):
        ecr_pull_check.main()
    assert seen[0].registry("ghcr.io", None) and seen[0].aws.region == ""


@pytest.mark.parametrize("identity, missing", [("given", "credentials"), ("secret_store", "secret_store")])
def test_an_option_that_is_set_to_null_is_missing(world: World, identity: str, missing: str) -> None:
    with pytest.raises(InputError, match=f"identity is {identity} but {missing} is missing"):
        world.run(identity=identity)


def test_a_login_that_is_given_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    for credentials in (None, {"username": "me"}):
        given = {"images": [f"{ELSEWHERE}:v1"], "identity": "given", "credentials": credentials}
        with patch_module_args(given), pytest.raises(SystemExit):
            ecr_pull_check.main()
        assert "missing" in json.loads(capsys.readouterr().out)["msg"]


# What others than the module call


def test_images_are_checked_without_a_module(world: World) -> None:
    world.keep()
    world.ecr.push_image(linux("amd64"), "v1")
    identity, missing = stored_identity(world.aws, STORE)
    found = check_images(world.aws, world.opener, [f"{APP}:v1", f"{APP}:v2"], identity)
    assert missing == "" and [one["pullable"] for one in found] == [True, False]
    assert found[0] == world.only(AS_USER)


def test_images_are_checked_as_the_caller_or_as_nobody(world: World) -> None:
    world.ecr.push_image(linux("arm64"), "v1")
    [found] = check_images(world.aws, world.opener, [f"{APP}:v1"], caller_identity(), "linux/arm64")
    assert found["pullable"] is True
    world.registries[ELSEWHERE].image("v1")
    [found] = check_images(world.aws, world.registries, [f"{ELSEWHERE}:v1"], anonymous_identity())
    assert found["pullable"] is True and found["platforms"] == ["linux/amd64"]


def test_a_deadline_tells_how_long_a_refusal_may_pass(world: World) -> None:
    world.keep(created=NOW)
    world.ecr.push_image(linux("amd64"), "v1")
    for deadline, naps in ((None, []), (NOW + timedelta(seconds=30), [1])):
        world.ecr.errors = [refusal("AccessDeniedException")] * (len(naps) + 1)
        identity = stored_identity(world.aws, STORE)[0]
        [found] = check_images(world.aws, world.opener, [f"{APP}:v1"], identity, deadline=deadline)
        assert (found["pullable"], world.naps) == (bool(naps), naps)


def test_key_that_another_run_is_making_is_waited_for(world: World) -> None:
    world.keep(created=NOW)
    world.ecr.push_image(linux("amd64"), "v1")
    entry = world.store.read()
    noted = entry and world.store.put(entry, Entry(entry.arn, pending=KeyReservation(NOW, ())))
    assert entry and noted
    world.aws.sleep = lambda seconds: (world.sleep(seconds), world.store.put(noted, entry))
    assert world.run(AS_USER).results["pullable"] and world.naps == [1]
