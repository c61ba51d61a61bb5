# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import KeyPair
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.pull_identity import (
    PullDeniedError,
    PullIdentity,
    facts,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.pull_probe import ByApi, ByRegistry
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.reference import Image, parse
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.registry_client import Login, Registry, digest_of
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import client
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_registry import Answer, Registries, error

Json = dict[str, Any]
NOW = datetime(2026, 8, 1, tzinfo=timezone.utc)
KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
APP = parse(f"{HOST}/app:v1")
SEOUL = parse(f"{HOST.replace('us-east-1', 'ap-northeast-2')}/app:v1")
FOREIGN = parse(f"{HOST.replace('123456789012', '210987654321')}/app:v1")
HUB = parse("app:v1")
INVALID = "UnrecognizedClientException"
CALLER = PullIdentity("the caller")
NOBODY = PullIdentity("an anonymous client", calls=False)


def refusal(code: str, text: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": text}}, "Operation")


class Cloud:
    """AWS that answers each operation with what is said, an exception or a function of region and request."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"get_caller_identity": {"Account": "123456789012"}, **answers}
        self.calls: list[tuple[str, str]] = []
        self.naps: list[float] = []
        self.now = NOW

    def aws(self) -> Aws:
        return Aws(self.connect, "us-east-1", clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += timedelta(seconds=seconds)

    def connect(self, service: str, region: str, **dummy: Any) -> Any:
        return Operations(self, service, region)


class Operations:
    """A client for one region."""

    def __init__(self, cloud: Cloud, service: str, region: str) -> None:
        self.cloud, self.region = cloud, region
        self.meta = client(service).meta

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(aws_retry: bool, **request: Any) -> Any:
            self.cloud.calls.append((operation, self.region))
            answer = self.cloud.answers[operation]
            answer = answer(self.region, request) if callable(answer) else answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def by_api(cloud: Cloud, puller: PullIdentity = CALLER) -> ByApi:
    return ByApi(cloud.aws(), None, puller, "linux/amd64")


def by_registry(cloud: Cloud, registries: Registries, puller: PullIdentity = NOBODY) -> ByRegistry:
    return ByRegistry(cloud.aws(), partial(Registry, registries, sleep=cloud.sleep), puller, "linux/amd64")


def refused(pull: ByApi | ByRegistry, image: Image = APP) -> Json:
    """Return the finding that asking for the manifest ends with."""
    with pytest.raises(PullDeniedError) as caught:
        pull.manifest(image)
    return caught.value.finding


@pytest.mark.parametrize(
    "image, place, deed",
    [
        (APP, "account 123456789012 in us-east-1", f"call ecr:BatchGetImage on {APP.repository_arn}"),
        (parse("ghcr.io/team/app:v1"), "ghcr.io", "pull ghcr.io/team/app"),
        (HUB, "docker.io", "pull docker.io/app"),
    ],
)
def test_facts_name_the_image_wherever_it_is(image: Image, place: str, deed: str) -> None:
    told = facts(by_api(Cloud()), image, "batch_get_image")
    assert (told["place"], told["deed"]) == (place, deed) and told["Who"] == "The caller"


def test_a_token_is_for_no_single_repository() -> None:
    assert facts(by_api(Cloud()), APP, "get_authorization_token")["arn"] == "*"


# Why AWS does not accept a key


def listed(**key: Any) -> Json:
    held = {"AccessKeyId": KEY.access_key_id, "Status": "Active", "CreateDate": NOW - timedelta(days=1), **key}
    return {"AccessKeyMetadata": [held]}


@pytest.mark.parametrize(
    "keys, image, code",
    [
        (listed(Status="Inactive"), APP, "secret_key_inactive"),
        (listed(Status="Expired"), APP, "secret_key_inactive"),
        (listed(AccessKeyId="AKIAI44QH8DHBEXAMPLE"), APP, "secret_key_mismatch"),
        (listed(CreateDate=NOW - timedelta(minutes=1)), APP, "key_too_new"),
        (listed(), SEOUL, "region_disabled"),
        (listed(), APP, "key_invalid"),
        (refusal("NoSuchEntity"), APP, "user_missing"),
        (refusal("AccessDenied"), APP, "key_invalid"),
    ],
)
def test_iam_tells_what_is_wrong_with_a_key(keys: Any, image: Image, code: str) -> None:
    cloud = Cloud(batch_get_image=refusal(INVALID), list_access_keys=keys)
    finding = refused(by_api(cloud, PullIdentity("the pull user", KEY, user=lambda: "puller")), image)
    assert finding["code"] == code and finding["raw"] == f"{INVALID}: no"


def test_a_key_that_sts_refuses_too_is_no_matter_of_the_region() -> None:
    answers = dict.fromkeys(("batch_get_image", "get_caller_identity"), refusal(INVALID))
    cloud = Cloud(list_access_keys=listed(), **answers)
    assert (
        refused(by_api(cloud, PullIdentity("the pull user", KEY, user=lambda: "puller")), SEOUL)["code"]
        == "key_invalid"
    )


def test_nobody_asks_about_the_callers_own_key() -> None:
    cloud = Cloud(batch_get_image=refusal(INVALID))
    assert refused(by_api(cloud))["code"] == "key_invalid"
    assert [operation for operation, dummy in cloud.calls] == ["batch_get_image"]


# Where a repository is


def only_in(region: str, account: str) -> Callable[[str, Json], Any]:
    def answer(asked: str, request: Json) -> Any:
        there = (asked, request["registryId"]) == (region, account)
        return {"failures": []} if there else refusal("RepositoryNotFoundException")

    return answer


@pytest.mark.parametrize(
    "image, there, code, calls",
    [
        (SEOUL, ("us-east-1", "123456789012"), "wrong_region", 2),
        (FOREIGN, ("us-east-1", "123456789012"), "wrong_account", 3),
        (SEOUL, ("eu-west-1", "123456789012"), "repository_not_found", 3),
        (APP, ("eu-west-1", "123456789012"), "repository_not_found", 2),
    ],
)
def test_a_repository_is_looked_for_where_it_likely_is(image: Image, there: Any, code: str, calls: int) -> None:
    cloud = Cloud(batch_get_image=only_in(*there))
    finding = refused(by_api(cloud), image)
    assert finding["code"] == code and finding["raw"] == "RepositoryNotFoundException: no"
    assert len(cloud.calls) == calls


def test_an_account_that_aws_does_not_tell_is_not_looked_in() -> None:
    cloud = Cloud(batch_get_image=only_in("us-east-1", "123456789012"), get_caller_identity=NoCredentialsError())
    assert refused(by_api(cloud), FOREIGN)["code"] == "repository_not_found"


@pytest.mark.parametrize("puller, code", [(CALLER, "wrong_account"), (NOBODY, "repository_not_found")])
def test_a_registrys_word_that_there_is_no_repository_is_looked_into_too(puller: PullIdentity, code: str) -> None:
    cloud = Cloud(batch_get_image=only_in("us-east-1", "123456789012"), get_authorization_token=token())
    finding = refused(by_registry(cloud, Registries(), puller), FOREIGN)
    assert finding["code"] == code and finding["raw"] == "HTTP 404: NAME_UNKNOWN: name unknown"


# As a container runtime


def token() -> Json:
    data = {"authorizationToken": base64.b64encode(b"AWS:password").decode(), "expiresAt": NOW}
    return {"authorizationData": [data]}


def test_a_token_is_minted_once_for_each_registry() -> None:
    cloud, registries = Cloud(get_authorization_token=token()), Registries()
    for image in (APP, SEOUL):
        registries.challenges[image.host] = 'Basic realm="x"'
        registries.logins[image.host] = {Login("AWS", "password").basic}
        registries[f"{image.host}/app"].image("v1")
    pull = by_registry(cloud, registries, CALLER)
    for image in (APP, APP, SEOUL):
        digest, manifest = pull.manifest(image)
        assert digest.startswith("sha256:")
        assert pull.configuration(image, manifest["config"]["digest"])["architecture"] == "amd64"
    assert [region for dummy, region in cloud.calls] == ["us-east-1", "ap-northeast-2"]


def test_a_token_that_is_refused_is_a_finding() -> None:
    said = "is not authorized to perform: ecr:GetAuthorizationToken on resource: *"
    cloud = Cloud(get_authorization_token=refusal("AccessDeniedException", said))
    finding = refused(by_registry(cloud, Registries(), CALLER))
    assert finding["code"] == "token_not_allowed" and "with the resource *" in finding["remedy"]


@pytest.mark.parametrize("young, code", [(NOW + timedelta(seconds=5), ""), (NOW, "denied"), (None, "denied")])
def test_a_young_right_gets_its_time_at_the_registry_too(young: datetime | None, code: str) -> None:
    cloud, registries = Cloud(get_authorization_token=token()), Registries()
    registries[f"{HOST}/app"].image("v1")
    registries.answers = [Answer(200), error(403, "DENIED"), error(403, "DENIED")]
    pull = by_registry(cloud, registries, PullIdentity("the pull user", KEY, young_until=lambda: young))
    if code:
        assert refused(pull)["code"] == code and cloud.naps == []
    else:
        assert pull.manifest(APP) and cloud.naps == [1]


def test_an_old_token_gets_no_time() -> None:
    cloud, registries = Cloud(get_authorization_token=token()), Registries()
    document = b'{"errors": [{"code": "DENIED", "message": "Your authorization token has expired."}]}'
    registries.answers = [Answer(200), *[Answer(403, document)] * 2]
    pull = by_registry(cloud, registries, PullIdentity("p", KEY, young_until=lambda: NOW + timedelta(seconds=90)))
    assert refused(pull)["code"] == "token_expired" and cloud.naps == []


def test_with_tag_and_digest_a_tag_that_moved_or_went_is_told() -> None:
    cloud, registries = Cloud(), Registries()
    digest = registries["registry-1.docker.io/library/app"].image("v1")
    pull = by_registry(cloud, registries)
    both = HUB._replace(digest=digest)
    assert pull.manifest(both)[0] == digest
    assert refused(pull, both._replace(tag="v2"))["raw"] == "ImageTagDoesNotMatchDigest: no such tag"
    newer = registries["registry-1.docker.io/library/app"].image("v1", text="newer")
    assert refused(pull, both)["raw"] == f"ImageTagDoesNotMatchDigest: {newer}"


@pytest.mark.parametrize(
    "answer, puller, code",
    [
        (error(401, "UNAUTHORIZED"), NOBODY, "login_missing"),
        (error(401, "UNAUTHORIZED"), NOBODY._replace(login=Login("me", "x")), "login_refused"),
        (Answer(403), NOBODY, "denied"),
        (Answer(404), NOBODY, "other"),
        (error(404, "MANIFEST_UNKNOWN"), NOBODY, "tag_not_found"),
    ],
)
def test_what_a_registry_says_is_a_finding(answer: Answer, puller: PullIdentity, code: str) -> None:
    registries = Registries()
    registries.answers = [Answer(200), answer]
    assert refused(by_registry(Cloud(), registries, puller), HUB)["code"] == code


def test_a_registry_that_does_not_answer_is_a_finding() -> None:
    registries = Registries()
    registries.answers = [TimeoutError()] * 4
    finding = refused(by_registry(Cloud(), registries), HUB)
    assert finding["code"] == "endpoint_unreachable" and "The registry docker.io cannot" in finding["cause"]
    assert finding["raw"] == "NO_ANSWER: registry-1.docker.io: TimeoutError"


def test_layers_that_a_runtime_would_not_get_are_an_error() -> None:
    registries = Registries()
    registries.answers = [Answer(200), Answer(307, Location="https://store.test/x?signature=secret"), Answer(403)]
    with pytest.raises(PullDeniedError) as caught:
        by_registry(Cloud(), registries).configuration(HUB, "sha256:c")
    assert caught.value.finding["code"] == "layer_host_blocked" and caught.value.finding["severity"] == "error"
    assert "secret" not in str(caught.value.finding)


@pytest.mark.parametrize(
    "manifest, changed, code",
    [
        ('{"config": {"digest": "d"}}', True, "unexpected_answer"),
        ('{"config": {"digest": "d"}}', False, "manifest_damaged"),
        ('{"mediaType": "x"}', True, "unexpected_answer"),
    ],
)
def test_a_manifest_that_was_changed_on_its_way_is_not_blamed_on_the_image(
    manifest: str, changed: bool, code: str
) -> None:
    digest = "sha256:other" if changed else digest_of(manifest.encode())
    image = {"imageId": {"imageDigest": digest}, "imageManifest": manifest}
    assert refused(by_api(Cloud(batch_get_image={"images": [image], "failures": []})))["code"] == code
