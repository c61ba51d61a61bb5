# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator of AWS, seen through boto3: what it adds to moto, and whom it lets in."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.aws import SWITCHES
from tests.sandbox.images import SAMPLES, build, digest
from tests.sandbox.server import Sandbox

TRAINING = "runpod-gpu-training"
ARN = "arn:aws:ecr:us-east-1:123456789012:repository/runpod-gpu-training"
SINGLE = build(SAMPLES[0])
INDEX = build(SAMPLES[1])
ABSENT = digest(b"absent")


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    """Return the code and the text with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def policy(action: Any, resource: Any = "*", effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def new_user(sandbox: Sandbox, *statements: dict[str, Any], **options: Any) -> dict[str, str]:
    """Create a user with an inline policy; return the identity that its key gives, and its name."""
    iam, name = sandbox.client("iam"), f"user-{uuid4().hex[:8]}"
    iam.create_user(UserName=name, **options)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=document(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"], "name": name}


def identity(user: dict[str, str]) -> dict[str, str]:
    return {name: user[name] for name in ("access_key", "secret_key")}


# Registry tokens


def test_every_token_is_fresh_and_lives_for_twelve_hours(sandbox: Sandbox) -> None:
    ecr = sandbox.client("ecr", region_name="ap-northeast-2")
    first, second = (ecr.get_authorization_token()["authorizationData"][0] for dummy in range(2))

    assert base64.b64decode(first["authorizationToken"]).startswith(b"AWS:")
    assert first["authorizationToken"] != second["authorizationToken"]
    assert first["proxyEndpoint"] == "https://123456789012.dkr.ecr.ap-northeast-2.amazonaws.com"
    assert first["expiresAt"].timestamp() - time.time() == pytest.approx(12 * 3600, abs=30)


def test_the_life_of_a_token_can_be_switched(sandbox: Sandbox) -> None:
    body = json.dumps({"token_seconds": 90}).encode()
    request = urllib.request.Request(f"{sandbox.aws_url}/_sandbox/switches", data=body, method="PATCH")
    with urllib.request.urlopen(request) as response:
        assert json.load(response) == {**SWITCHES, "token_seconds": 90}

    data = sandbox.client("ecr").get_authorization_token()["authorizationData"][0]
    assert data["expiresAt"].timestamp() - time.time() == pytest.approx(90, abs=30)


@pytest.mark.parametrize(
    "given", [{"nonsense": 1}, {"token_seconds": "long"}, {"policy_text": "lost"}, {"token_outlives_key": 1}]
)
def test_an_unknown_switch_or_setting_is_refused(sandbox: Sandbox, given: dict[str, Any]) -> None:
    body = json.dumps(given).encode()
    request = urllib.request.Request(f"{sandbox.aws_url}/_sandbox/switches", data=body, method="PATCH")
    with pytest.raises(urllib.error.HTTPError, match="422"):
        urllib.request.urlopen(request)


# Images


@pytest.mark.parametrize(
    ("image_id", "manifest"),
    [
        ({"imageTag": "v1"}, SINGLE.manifest),
        ({"imageDigest": digest(SINGLE.manifest)}, SINGLE.manifest),
        ({"imageTag": "v1", "imageDigest": digest(SINGLE.manifest)}, SINGLE.manifest),
        ({"imageTag": "v2"}, INDEX.manifest),
        ({"imageDigest": digest(INDEX.platforms[0])}, INDEX.platforms[0]),
        ({"imageDigest": digest(INDEX.platforms[1])}, INDEX.platforms[1]),
    ],
)
def test_a_manifest_is_found_by_its_tag_and_by_the_digest_of_its_bytes(
    sandbox: Sandbox, image_id: dict[str, str], manifest: bytes
) -> None:
    answer = sandbox.client("ecr").batch_get_image(repositoryName=TRAINING, imageIds=[image_id])

    assert answer["failures"] == []
    assert [image["imageManifest"].encode() for image in answer["images"]] == [manifest]
    assert answer["images"][0]["imageId"] == {**image_id, "imageDigest": digest(manifest)}


@pytest.mark.parametrize(
    ("image_id", "code"),
    [
        ({"imageTag": "v9"}, "ImageNotFound"),
        ({"imageDigest": ABSENT}, "ImageNotFound"),
        ({"imageTag": "v1", "imageDigest": ABSENT}, "ImageNotFound"),
        ({"imageTag": "v1", "imageDigest": digest(INDEX.manifest)}, "ImageTagDoesNotMatchDigest"),
        ({"imageDigest": "sha256:short"}, "InvalidImageDigest"),
        ({}, "MissingDigestAndTag"),
    ],
)
def test_an_image_that_is_not_there_is_a_failure_beside_the_ones_that_are(
    sandbox: Sandbox, image_id: dict[str, str], code: str
) -> None:
    answer = sandbox.client("ecr").batch_get_image(repositoryName=TRAINING, imageIds=[image_id, {"imageTag": "v1"}])

    assert [(one["imageId"], one["failureCode"]) for one in answer["failures"]] == [(image_id, code)]
    assert len(answer["images"]) == 1


def test_images_are_described_with_the_digest_of_their_bytes(sandbox: Sandbox) -> None:
    details = sandbox.client("ecr").describe_images(repositoryName=TRAINING, imageIds=[{"imageTag": "v1"}])
    assert details["imageDetails"][0]["imageDigest"] == digest(SINGLE.manifest)


def test_an_image_whose_tag_moves_on_stays_under_its_digest(sandbox: Sandbox) -> None:
    ecr = sandbox.client("ecr")
    ecr.create_repository(repositoryName="moving")
    for manifest in (SINGLE.manifest, INDEX.platforms[1]):
        ecr.put_image(repositoryName="moving", imageManifest=manifest.decode(), imageTag="latest")

    details = ecr.describe_images(repositoryName="moving")["imageDetails"]
    assert {one["imageDigest"]: one.get("imageTags") for one in details} == {
        digest(SINGLE.manifest): None,
        digest(INDEX.platforms[1]): ["latest"],
    }


def test_a_digest_that_is_not_the_manifests_is_refused(sandbox: Sandbox) -> None:
    request = {"repositoryName": TRAINING, "imageManifest": SINGLE.manifest.decode(), "imageDigest": ABSENT}
    assert refusal(sandbox.client("ecr").put_image, **request)[0] == "ImageDigestDoesNotMatchException"


def test_the_bytes_of_a_layer_can_be_downloaded(sandbox: Sandbox) -> None:
    ecr = sandbox.client("ecr")
    for blob in SINGLE.blobs:
        url = ecr.get_download_url_for_layer(repositoryName=TRAINING, layerDigest=digest(blob))["downloadUrl"]
        with urllib.request.urlopen(url) as response:
            assert response.read() == blob
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(url.partition("?")[0])
        with pytest.raises(urllib.error.HTTPError, match="400"):  # a token and a signed address are one too many
            urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": "Basic QVdTOng="}))


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("get_download_url_for_layer", {"layerDigest": ABSENT}, "LayersNotFoundException"),
        (
            "get_download_url_for_layer",
            {"repositoryName": "absent", "layerDigest": ABSENT},
            "RepositoryNotFoundException",
        ),
        ("get_download_url_for_layer", {"registryId": "1" * 12, "layerDigest": ABSENT}, "RepositoryNotFoundException"),
        (
            "batch_get_image",
            {"repositoryName": "absent", "imageIds": [{"imageTag": "v1"}]},
            "RepositoryNotFoundException",
        ),
        ("put_image", {"repositoryName": "absent", "imageManifest": "{}"}, "RepositoryNotFoundException"),
        ("describe_images", {"imageIds": [{"imageTag": "v9"}]}, "ImageNotFoundException"),
    ],
)
def test_what_the_registry_lacks_is_an_error(
    sandbox: Sandbox, operation: str, request_: dict[str, Any], code: str
) -> None:
    call = getattr(sandbox.client("ecr"), operation)
    assert refusal(call, **{"repositoryName": TRAINING, **request_})[0] == code


# The secret store


def test_a_secret_in_its_recovery_window_keeps_its_name_and_cannot_be_used(sandbox: Sandbox) -> None:
    store = sandbox.client("secretsmanager")
    store.create_secret(Name="window", SecretString="old")
    store.delete_secret(SecretId="window", RecoveryWindowInDays=7)

    code, text = refusal(store.create_secret, Name="window", SecretString="new")
    assert code == "InvalidRequestException" and "scheduled for deletion" in text
    marked = (
        "InvalidRequestException",
        "You can't perform this operation on the secret because it was marked for deletion.",
    )
    assert refusal(store.get_secret_value, SecretId="window") == marked
    assert refusal(store.put_secret_value, SecretId="window", SecretString="new") == marked
    assert refusal(store.tag_resource, SecretId="window", Tags=[{"Key": "a", "Value": "b"}]) == marked
    assert "DeletedDate" in store.describe_secret(SecretId="window")

    store.restore_secret(SecretId="window")
    assert store.get_secret_value(SecretId="window")["SecretString"] == "old"


def test_a_secret_deleted_for_good_frees_its_name_at_once(sandbox: Sandbox) -> None:
    store = sandbox.client("secretsmanager")
    store.create_secret(Name="forced", SecretString="old")
    store.delete_secret(SecretId="forced", ForceDeleteWithoutRecovery=True)

    assert refusal(store.get_secret_value, SecretId="forced")[0] == "ResourceNotFoundException"
    store.create_secret(Name="forced", SecretString="new")
    assert store.get_secret_value(SecretId="forced")["SecretString"] == "new"


def test_the_name_of_a_secret_is_taken_once(sandbox: Sandbox) -> None:
    store = sandbox.client("secretsmanager")
    store.create_secret(Name="taken", SecretString="old")
    assert refusal(store.create_secret, Name="taken", SecretString="new")[0] == "ResourceExistsException"


# The parameter store


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("runpod-ecr/puller", "ValidationException", "must be a fully qualified name"),
        ("/runpod ecr/puller", "ValidationException", "mix of letters, numbers and the following 3 symbols"),
        ("/runpod-ecr/puller/", "ValidationException", "mix of letters, numbers and the following 3 symbols"),
        ("/a" * 16, "HierarchyLevelLimitExceededException", "maximum of 15 levels"),
        ("ssm-mine", "ValidationException", "can't be prefixed"),
        ("/aws/mine", "AccessDeniedException", "reserved parameter name"),
    ],
)
def test_a_name_that_parameter_store_refuses(sandbox: Sandbox, name: str, code: str, words: str) -> None:
    store = sandbox.client("ssm")
    said, text = refusal(store.put_parameter, Name=name, Value="x", Type="SecureString")
    assert said == code and words in text
    assert store.describe_parameters()["Parameters"] == []


@pytest.mark.parametrize("name", ["/runpod-ecr/puller", "puller", "/a" * 15])
def test_a_parameter_from_its_making_to_its_end(sandbox: Sandbox, name: str) -> None:
    store = sandbox.client("ssm")
    tag = {"Key": "team", "Value": "x"}
    store.put_parameter(Name=name, Value="old", Type="SecureString", Tags=[tag])
    assert refusal(store.put_parameter, Name=name, Value="new", Type="SecureString")[0] == "ParameterAlreadyExists"
    both = {"Name": name, "Value": "new", "Type": "SecureString", "Overwrite": True, "Tags": [tag]}
    assert refusal(store.put_parameter, **both)[0] == "ValidationException"

    store.put_parameter(Name=name, Value="new", Type="SecureString", Overwrite=True)
    held = store.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    assert held["Value"] == "new" != store.get_parameter(Name=name)["Parameter"]["Value"]
    assert held["ARN"] == f"arn:aws:ssm:us-east-1:123456789012:parameter/{name.removeprefix('/')}"
    assert store.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"] == [tag]

    store.delete_parameter(Name=name)
    assert refusal(store.get_parameter, Name=name)[0] == "ParameterNotFound"
    absent = refusal(store.list_tags_for_resource, ResourceType="Parameter", ResourceId=name)
    assert absent[0] == "InvalidResourceId"


# Permissions boundaries

BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"


def test_a_users_boundary_is_created_shown_changed_and_deleted(sandbox: Sandbox) -> None:
    iam = sandbox.client("iam")

    def shown() -> str | None:
        return iam.get_user(UserName="bounded")["User"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")

    created = iam.create_user(UserName="bounded", PermissionsBoundary=BOUNDARY)["User"]
    assert created["PermissionsBoundary"]["PermissionsBoundaryArn"] == shown() == BOUNDARY
    iam.put_user_permissions_boundary(UserName="bounded", PermissionsBoundary=f"{BOUNDARY}-2")
    assert shown() == f"{BOUNDARY}-2"
    iam.delete_user_permissions_boundary(UserName="bounded")
    assert shown() is None


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("put_user_permissions_boundary", {"PermissionsBoundary": BOUNDARY}, "NoSuchEntity"),
        ("delete_user_permissions_boundary", {}, "NoSuchEntity"),
        ("create_user", {"PermissionsBoundary": "arn:aws:iam::1:role/not-a-policy"}, "ValidationError"),
    ],
)
def test_a_boundary_that_cannot_be_set_is_refused(
    sandbox: Sandbox, operation: str, request_: dict[str, str], code: str
) -> None:
    iam = sandbox.client("iam")
    assert refusal(getattr(iam, operation), UserName="absent", **request_)[0] == code
    assert refusal(iam.get_user, UserName="absent")[0] == "NoSuchEntity"


# Who calls


def _inactive(sandbox: Sandbox, user: dict[str, str]) -> dict[str, str]:
    key = {"UserName": user["name"], "AccessKeyId": user["access_key"]}
    sandbox.client("iam").update_access_key(**key, Status="Inactive")
    return identity(user)


def _deleted(sandbox: Sandbox, user: dict[str, str]) -> dict[str, str]:
    sandbox.client("iam").delete_access_key(UserName=user["name"], AccessKeyId=user["access_key"])
    return identity(user)


def _wrong_secret(dummy: Sandbox, user: dict[str, str]) -> dict[str, str]:
    return {**identity(user), "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}


def _session_token(dummy: Sandbox, user: dict[str, str]) -> dict[str, str]:
    return {**identity(user), "aws_session_token": "example"}


@pytest.mark.parametrize(
    ("spoil", "json_code", "query_code"),
    [
        (_inactive, "UnrecognizedClientException", "InvalidClientTokenId"),
        (_deleted, "UnrecognizedClientException", "InvalidClientTokenId"),
        (_session_token, "UnrecognizedClientException", "InvalidClientTokenId"),
        (_wrong_secret, "InvalidSignatureException", "SignatureDoesNotMatch"),
    ],
)
def test_a_key_that_does_not_work_is_refused_in_the_words_of_the_protocol(
    sandbox: Sandbox, spoil: Any, json_code: str, query_code: str
) -> None:
    who = spoil(sandbox, new_user(sandbox, policy("*")))
    assert refusal(sandbox.client("ecr", **who).get_authorization_token)[0] == json_code
    assert refusal(sandbox.client("sts", **who).get_caller_identity)[0] == query_code


def test_a_user_without_permissions_may_still_ask_who_it_is(sandbox: Sandbox) -> None:
    user = new_user(sandbox, policy("*", effect="Deny"))
    found = sandbox.client("sts", **identity(user)).get_caller_identity()
    assert found["Arn"] == f"arn:aws:iam::123456789012:user/{user['name']}"


@pytest.mark.parametrize("access_key", ["AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE", "ASIAIOSFODNN7EXAMPLE"])
def test_a_key_of_the_documentation_is_the_operators(sandbox: Sandbox, access_key: str) -> None:
    assert sandbox.client("sts", access_key).get_caller_identity()["Account"] == "123456789012"
    assert sandbox.client("iam", access_key).list_users()["Users"] is not None


def test_a_key_that_was_never_issued_is_refused(sandbox: Sandbox) -> None:
    made_up = "AKIA" + "A" * 16
    assert refusal(sandbox.client("iam", made_up).list_users)[0] == "InvalidClientTokenId"
    assert refusal(sandbox.client("ecr", made_up).describe_repositories)[0] == "UnrecognizedClientException"


def test_the_key_of_a_role_is_good(sandbox: Sandbox) -> None:
    role = {"RoleArn": "arn:aws:iam::123456789012:role/operator", "RoleSessionName": "session"}
    lent = sandbox.client("sts").assume_role(**role)["Credentials"]
    iam = sandbox.client("iam", lent["AccessKeyId"], lent["SecretAccessKey"], aws_session_token=lent["SessionToken"])
    assert iam.list_users()["Users"] is not None


def test_an_unsigned_call_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(sandbox.aws_url, b"Action=ListUsers&Version=2010-05-08")


# What moto would let pass for users


def test_a_user_with_keys_is_not_deleted(sandbox: Sandbox) -> None:
    iam, user = sandbox.client("iam"), new_user(sandbox)
    assert refusal(iam.delete_user, UserName=user["name"])[0] == "DeleteConflict"
    iam.delete_access_key(UserName=user["name"], AccessKeyId=user["access_key"])
    iam.delete_user(UserName=user["name"])
    assert refusal(iam.delete_user, UserName=user["name"])[0] == "NoSuchEntity"


def test_the_name_of_a_user_is_taken_whatever_its_case(sandbox: Sandbox) -> None:
    taken = new_user(sandbox)["name"].upper()
    assert refusal(sandbox.client("iam").create_user, UserName=taken, Path="/team/")[0] == "EntityAlreadyExists"


def test_the_inline_policies_of_a_user_share_one_quota(sandbox: Sandbox) -> None:
    iam, user = sandbox.client("iam"), new_user(sandbox)["name"]

    def put(name: str, length: int) -> dict[str, str]:
        spaced = json.dumps(json.loads(document(policy("ecr:*", f"{ARN}/{'x' * length}"))), indent=200)
        return {"UserName": user, "PolicyName": name, "PolicyDocument": spaced}

    for length in (1400, 1401):  # a policy takes the place of the one with its name, and white space does not count
        iam.put_user_policy(**put("one", length))
    assert refusal(iam.put_user_policy, **put("two", 500))[0] == "LimitExceeded"
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == ["one"]
    unknown = {**put("one", 1), "UserName": "nobody"}
    assert refusal(iam.put_user_policy, **unknown)[0] == "NoSuchEntity"


def test_managed_policies_have_a_quota_and_names_of_their_own(sandbox: Sandbox) -> None:
    iam, name = sandbox.client("iam"), f"policy-{uuid4().hex[:8]}"
    fitting, larger = document(policy("ecr:*")), document(policy("ecr:*", "x" * 6144))
    assert refusal(iam.create_policy, PolicyName=name, PolicyDocument=larger)[0] == "LimitExceeded"
    arn = iam.create_policy(PolicyName=name, PolicyDocument=fitting)["Policy"]["Arn"]
    again = {"PolicyName": name.upper(), "Path": "/team/", "PolicyDocument": fitting}
    assert refusal(iam.create_policy, **again)[0] == "EntityAlreadyExists"
    assert refusal(iam.create_policy_version, PolicyArn=arn, PolicyDocument=larger)[0] == "LimitExceeded"


def test_a_policy_is_deleted_when_nothing_has_it_and_one_version_is_left(sandbox: Sandbox) -> None:
    iam, user = sandbox.client("iam"), new_user(sandbox)["name"]
    arn = iam.create_policy(PolicyName=f"policy-{user}", PolicyDocument=document(policy("ecr:*")))["Policy"]["Arn"]
    iam.attach_user_policy(UserName=user, PolicyArn=arn)
    assert "attached to entities" in refusal(iam.delete_policy, PolicyArn=arn)[1]
    iam.detach_user_policy(UserName=user, PolicyArn=arn)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(policy("ecr:*")), SetAsDefault=True)
    assert "more than one version" in refusal(iam.delete_policy, PolicyArn=arn)[1]
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy(PolicyArn=arn)
    assert refusal(iam.delete_policy, PolicyArn=arn)[0] == "NoSuchEntity"


# What a user may do

PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


@pytest.mark.parametrize(
    "statements",
    [
        [policy(PULL, ARN)],
        [policy("ecr:*", "arn:aws:ecr:*:123456789012:repository/runpod-*")],
        [policy("ECR:batchgetimag?")],
        [{"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:ecr:us-east-1:123456789012:repository/x"}],
        [policy(PULL, ARN), policy("ecr:DeleteRepository", effect="Deny")],
    ],
)
def test_a_policy_that_covers_the_call_lets_it_through(sandbox: Sandbox, statements: list[dict[str, Any]]) -> None:
    ecr = sandbox.client("ecr", **identity(new_user(sandbox, *statements)))
    assert ecr.batch_get_image(repositoryName=TRAINING, imageIds=[{"imageTag": "v1"}])["images"]


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ([], "because no identity-based policy allows the ecr:BatchGetImage action"),
        ([policy("ecr:GetAuthorizationToken")], "because no identity-based policy allows"),
        ([policy(PULL, f"{ARN}-2")], "because no identity-based policy allows"),
        ([policy(PULL, ARN.replace("us-east-1", "us-west-2"))], "because no identity-based policy allows"),
        ([{"Effect": "Allow", "NotAction": "ecr:*", "Resource": "*"}], "because no identity-based policy allows"),
        ([policy("*"), policy("ecr:Batch*", ARN, "Deny")], "with an explicit deny in an identity-based policy"),
    ],
)
def test_a_call_that_no_policy_covers_or_one_denies_is_refused(
    sandbox: Sandbox, statements: list[dict[str, Any]], why: str
) -> None:
    user = new_user(sandbox, *statements)
    ecr = sandbox.client("ecr", **identity(user))
    code, text = refusal(ecr.batch_get_image, repositoryName=TRAINING, imageIds=[{"imageTag": "v1"}])
    assert code == "AccessDeniedException"
    assert text.startswith(
        f"User: arn:aws:iam::123456789012:user/{user['name']} is not authorized to perform: ecr:BatchGetImage"
        f" on resource: {ARN} {why}"
    )


@pytest.mark.parametrize(
    ("service", "operation", "request_", "resource", "code"),
    [
        ("iam", "get_user", {"UserName": "absent"}, "arn:aws:iam::123456789012:user/absent", "AccessDenied"),
        (
            "iam",
            "create_user",
            {"UserName": "x", "Path": "/runpod/"},
            "arn:aws:iam::123456789012:user/runpod/x",
            "AccessDenied",
        ),
        (
            "iam",
            "get_policy",
            {"PolicyArn": "arn:aws:iam::123456789012:policy/runpod/x"},
            "arn:aws:iam::123456789012:policy/runpod/x",
            "AccessDenied",
        ),
        (
            "iam",
            "create_policy",
            {"PolicyName": "x", "Path": "/runpod/", "PolicyDocument": "{}"},
            "arn:aws:iam::123456789012:policy/runpod/x",
            "AccessDenied",
        ),
        ("iam", "list_roles", {}, "*", "AccessDenied"),
        ("ecr", "describe_repositories", {}, f"{ARN.rpartition('/')[0]}/*", "AccessDeniedException"),
        (
            "secretsmanager",
            "get_secret_value",
            {"SecretId": "app/x"},
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:app/x",
            "AccessDeniedException",
        ),
        (
            "ssm",
            "get_parameter",
            {"Name": "/app/x"},
            "arn:aws:ssm:us-east-1:123456789012:parameter/app/x",
            "AccessDeniedException",
        ),
    ],
)
def test_a_refusal_names_the_resource_of_each_service(
    sandbox: Sandbox, service: str, operation: str, request_: dict[str, str], resource: str, code: str
) -> None:
    client = sandbox.client(service, **identity(new_user(sandbox)))
    refused = refusal(getattr(client, operation), **request_)
    assert refused[0] == code
    assert f" on resource: {resource} because" in refused[1]


def test_a_user_that_exists_is_judged_with_its_path_and_one_that_moves_by_both(sandbox: Sandbox) -> None:
    may_read = policy("iam:*", "arn:aws:iam::123456789012:user/runpod/*")
    user = new_user(sandbox, may_read, Path="/runpod/")
    iam = sandbox.client("iam", **identity(user))
    assert iam.get_user(UserName=user["name"])["User"]["Path"] == "/runpod/"
    [key] = iam.list_access_keys(UserName=user["name"])["AccessKeyMetadata"]
    assert iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["UserName"] == user["name"]
    code, text = refusal(iam.update_user, UserName=user["name"], NewPath="/")
    assert (
        code == "AccessDenied" and f"iam:UpdateUser on resource: arn:aws:iam::123456789012:user/{user['name']}" in text
    )


def test_tags_of_something_new_need_the_right_to_tag(sandbox: Sandbox) -> None:
    iam = sandbox.client("iam", **identity(new_user(sandbox, policy("iam:CreateUser"))))
    name = f"user-{uuid4().hex[:8]}"
    code, text = refusal(iam.create_user, UserName=name, Tags=[{"Key": "team", "Value": "ml"}])
    assert code == "AccessDenied" and "iam:TagUser" in text
    assert iam.create_user(UserName=name)["User"]["UserName"] == name


def test_operators_can_be_limited_by_action_resource_and_condition_keys(sandbox: Sandbox) -> None:
    bound, name = "arn:aws:iam::123456789012:policy/bound", f"user-{uuid4().hex[:8]}"
    asked: list[tuple[str, str, dict[str, str]]] = []

    def may(action: str, resource: str, keys: Mapping[str, str]) -> bool:
        asked.append((action, resource, dict(keys)))
        return action != "iam:DeleteUser"

    iam, attached = sandbox.client("iam"), "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
    sandbox.aws.limit_operators(may)
    try:
        iam.create_user(UserName=name, PermissionsBoundary=bound)
        iam.put_user_policy(UserName=name, PolicyName="x", PolicyDocument=document(policy("s3:*")))
        iam.attach_user_policy(UserName=name, PolicyArn=attached)
        iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=f"{bound}-2")
        assert refusal(iam.delete_user, UserName=name)[0] == "AccessDenied"
    finally:
        sandbox.aws.limit_operators(lambda *dummy: True)
    user, held = f"arn:aws:iam::123456789012:user/{name}", {"iam:PermissionsBoundary": bound}
    assert asked == [
        ("iam:CreateUser", user, held),
        ("iam:PutUserPolicy", user, held),
        ("iam:AttachUserPolicy", user, {"iam:PolicyARN": attached, **held}),
        ("iam:PutUserPermissionsBoundary", user, {"iam:PermissionsBoundary": f"{bound}-2"}),
        ("iam:DeleteUser", user, {}),
    ]


def test_an_attached_policy_counts_in_its_default_version(sandbox: Sandbox) -> None:
    iam, user = sandbox.client("iam"), new_user(sandbox)
    arn = iam.create_policy(PolicyName="attached", PolicyDocument=document(policy("iam:*")))["Policy"]["Arn"]
    iam.attach_user_policy(UserName=user["name"], PolicyArn=arn)
    ecr = sandbox.client("ecr", **identity(user))
    assert refusal(ecr.get_authorization_token)[0] == "AccessDeniedException"

    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(policy("ecr:*")), SetAsDefault=True)
    assert ecr.get_authorization_token()["authorizationData"]


@pytest.mark.parametrize("name", ["AmazonEC2ContainerRegistryPullOnly", "AmazonEC2ContainerRegistryReadOnly"])
def test_the_policies_of_aws_for_pulling_can_be_attached(sandbox: Sandbox, name: str) -> None:
    iam, user = sandbox.client("iam"), new_user(sandbox)
    ecr = sandbox.client("ecr", **identity(user))
    wanted = {"repositoryName": TRAINING, "imageIds": [{"imageTag": "v1"}]}
    assert refusal(ecr.batch_get_image, **wanted)[0] == "AccessDeniedException"

    iam.attach_user_policy(UserName=user["name"], PolicyArn=f"arn:aws:iam::aws:policy/{name}")
    assert ecr.batch_get_image(**wanted)["failures"] == []
    assert refusal(ecr.delete_repository, repositoryName=TRAINING)[0] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        (policy("iam:*"), "because no permissions boundary allows the ecr:GetAuthorizationToken action"),
        (policy("*", effect="Deny"), "with an explicit deny in a permissions boundary"),
        (policy("ecr:*"), None),
        (None, None),
    ],
)
def test_a_boundary_limits_what_policies_allow_once_its_policy_exists(
    sandbox: Sandbox, limit: dict[str, Any] | None, why: str | None
) -> None:
    name = f"limit-{uuid4().hex[:8]}"
    if limit:
        sandbox.client("iam").create_policy(PolicyName=name, PolicyDocument=document(limit))
    arn = f"arn:aws:iam::123456789012:policy/{name}"
    ecr = sandbox.client("ecr", **identity(new_user(sandbox, policy("*"), PermissionsBoundary=arn)))
    if why is None:
        assert ecr.get_authorization_token()["authorizationData"]
    else:
        assert refusal(ecr.get_authorization_token)[1].endswith(f"on resource: * {why}")


# Propagation


def test_a_new_key_and_a_changed_policy_work_after_a_while(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    iam, start = sandbox.client("iam"), time.time()
    now = [start]
    monkeypatch.setattr(sandbox.aws, "clock", lambda: now[0])
    sandbox.aws.switch(propagation_seconds=10)
    user = new_user(sandbox, policy("ecr:*"))
    ecr = sandbox.client("ecr", **identity(user))
    assert refusal(ecr.get_authorization_token)[0] == "UnrecognizedClientException"

    now[0] = start + 10
    assert ecr.get_authorization_token()["authorizationData"]
    iam.delete_user_policy(UserName=user["name"], PolicyName="inline")
    assert ecr.get_authorization_token()["authorizationData"]

    now[0] = start + 20
    assert refusal(ecr.get_authorization_token)[0] == "AccessDeniedException"


# Several accounts


OTHER = "111122223333"
OTHER_OPERATOR = {"access_key": "AKIASECONDAAAEXAMPLE"}
NOT_OURS = "because no resource-based policy allows the"


def test_the_operator_of_another_account_sees_nothing_of_the_first(sandbox: Sandbox) -> None:
    assert sandbox.client("sts", **OTHER_OPERATOR).get_caller_identity()["Account"] == OTHER
    mine, theirs = sandbox.client("iam"), sandbox.client("iam", **OTHER_OPERATOR)
    theirs.create_user(UserName="twin")
    mine.create_user(UserName="twin")
    assert theirs.get_user(UserName="twin")["User"]["Arn"] == f"arn:aws:iam::{OTHER}:user/twin"
    assert mine.get_user(UserName="twin")["User"]["Arn"] == "arn:aws:iam::123456789012:user/twin"
    for iam in (mine, theirs):
        iam.delete_user(UserName="twin")
    sandbox.client("secretsmanager", **OTHER_OPERATOR).create_secret(Name="theirs", SecretString="x")
    listed = sandbox.client("secretsmanager").list_secrets()["SecretList"]
    assert [secret for secret in listed if secret["Name"] == "theirs"] == []
    assert sandbox.client("ecr", **OTHER_OPERATOR).describe_repositories()["repositories"] == []


def test_the_key_of_a_user_belongs_to_the_account_that_made_it(sandbox: Sandbox) -> None:
    iam = sandbox.client("iam", **OTHER_OPERATOR)
    iam.create_user(UserName="theirs")
    iam.put_user_policy(UserName="theirs", PolicyName="inline", PolicyDocument=document(policy("*")))
    key = iam.create_access_key(UserName="theirs")["AccessKey"]
    who = {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}
    assert sandbox.client("sts", **who).get_caller_identity()["Arn"] == f"arn:aws:iam::{OTHER}:user/theirs"
    token = sandbox.client("ecr", **who).get_authorization_token()["authorizationData"][0]
    assert token["proxyEndpoint"] == f"https://{OTHER}.dkr.ecr.us-east-1.amazonaws.com"

    code, text = refusal(
        sandbox.client("ecr", **who).batch_get_image,
        registryId="123456789012",
        repositoryName=TRAINING,
        imageIds=[{"imageTag": "v1"}],
    )
    assert code == "AccessDeniedException" and f"on resource: {ARN} {NOT_OURS}" in text


def test_not_even_an_operator_gets_at_what_is_another_accounts(sandbox: Sandbox) -> None:
    ecr = sandbox.client("ecr", **OTHER_OPERATOR)
    code, text = refusal(ecr.get_repository_policy, registryId="123456789012", repositoryName=TRAINING)
    assert code == "AccessDeniedException" and NOT_OURS in text
    secret = sandbox.client("secretsmanager").create_secret(Name="mine", SecretString="x")["ARN"]
    theirs = sandbox.client("secretsmanager", **OTHER_OPERATOR)
    assert refusal(theirs.get_secret_value, SecretId=secret)[0] == "AccessDeniedException"


def test_a_role_of_another_account_acts_there(sandbox: Sandbox) -> None:
    role = {"RoleArn": f"arn:aws:iam::{OTHER}:role/operator", "RoleSessionName": "session"}
    lent = sandbox.client("sts").assume_role(**role)["Credentials"]
    who = {"access_key": lent["AccessKeyId"], "secret_key": lent["SecretAccessKey"]}
    assert (
        sandbox.client("sts", **who, aws_session_token=lent["SessionToken"]).get_caller_identity()["Account"] == OTHER
    )


def test_each_account_has_a_public_registry_of_its_own(sandbox: Sandbox) -> None:
    uris = [
        sandbox.client("ecr-public", **who).create_repository(repositoryName="both")["repository"]["repositoryUri"]
        for who in ({}, OTHER_OPERATOR)
    ]
    assert uris == ["public.ecr.aws/a1b2c3d4/both", "public.ecr.aws/b2c3d4e5/both"]
