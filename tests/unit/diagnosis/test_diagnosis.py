# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of the diagnosis, provoked: by what is really wrong in the sandbox, or by the answer that AWS documents."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any
from uuid import uuid4

import boto3
import pytest
from ansible.module_utils.urls import Request
from botocore.config import Config

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import pull_check
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.diagnosis import OTHER, TABLE
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.registry_client import Registry
from ansible_collections.gpuops.runpod.plugins.modules import ecr_pull_check, ecr_pull_user
from tests.sandbox.aws import SWITCHES
from tests.sandbox.server import Sandbox

Json = dict[str, Any]

ACCOUNT = "123456789012"
HOST = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
SEOUL = HOST.replace("us-east-1", "ap-northeast-2")
APP = f"{HOST}/runpod-gpu-training"
ARN = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/runpod-gpu-training"
USER: Json = {
    "state": "present",
    "path": "/runpod/",
    "permissions_boundary": None,
    "user_tags": None,
    "purge_tags": True,
    "policy": "repositories",
    "repositories": [APP],
    "purge_repositories": True,
    "pull_through": False,
    "key_state": "present",
    "rotate_after_days": None,
    "retire_after_hours": 24,
    "release_quarantine": False,
    "propagation_timeout": 90,
}
CHECK: Json = {
    "images": [f"{APP}:v1"],
    "platform": "linux/amd64",
    "identity": "caller",
    "secret_store": None,
    "credentials": None,
    "via": None,
    "fail_when_denied": False,
    "propagation_timeout": 0,
}


class Caller:
    """A boto3 client with the shape of those that AnsibleAWSModule makes."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.meta = client.meta

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(aws_retry: bool = False, **request: Any) -> Any:
            return getattr(self._client, operation)(**request)

        return call


class Bench:
    """The sandbox, a pull user of one's own, and the check."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.name = f"puller-{uuid4().hex[:8]}"
        self.store: Json = {"type": "secretsmanager", "region": None, "kms_key_id": None, "tags": None}
        self.store["name"] = f"runpod-ecr/{self.name}"
        self.identity: dict[str, str] = {}
        self.later = timedelta(0)
        opener = Request(ca_path=sandbox.environment["SSL_CERT_FILE"], use_netrc=False, follow_redirects="none")
        aws = Aws(
            self.connect, "us-east-1", clock=lambda: datetime.now(timezone.utc) + self.later, sleep=lambda dummy: None
        )
        registry = partial(Registry, opener, sleep=lambda dummy: None)
        self.clients = pull_check.Clients(aws, opener, registry)

    def connect(self, service: str, region: str, **options: Any) -> Caller:
        given = (
            {"access_key": options["aws_access_key_id"], "secret_key": options["aws_secret_access_key"]}
            if ("aws_access_key_id" in options)
            else self.identity
        )
        once = Config(retries={"total_max_attempts": 1})
        return Caller(self.sandbox.client(service, region_name=region, config=once, **given))

    def user(self, **options: Any) -> None:
        """Run ecr_pull_user."""
        params = {**USER, "name": self.name, "secret_store": self.store, **options}
        ecr_pull_user.run(params, False, self.clients.aws)

    @property
    def key(self) -> Json:
        return json.loads(self.client("secretsmanager").get_secret_value(SecretId=self.store["name"])["SecretString"])

    def client(self, service: str) -> Any:
        return self.sandbox.client(service)

    def check(self, *images: str, **options: Any) -> Json:
        """Run ecr_pull_check; return the finding on the first image."""
        params = {**CHECK, "images": list(images) or CHECK["images"], **options}
        [found] = ecr_pull_check.run(params, False, self.clients).results["images"]
        assert found["findings"], found
        return found["findings"][0]

    def as_user(self, *images: str, **options: Any) -> Json:
        return self.check(*images, identity="secret_store", secret_store=self.store, **options)

    def allow(self, *statements: Json, **user: Any) -> None:
        """Make the pull user one that may do nothing else."""
        self.user(**user)
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        name = self.client("iam").list_user_policies(UserName=self.name)["PolicyNames"][0]
        self.client("iam").put_user_policy(UserName=self.name, PolicyName=name, PolicyDocument=document)

    def refuse(
        self, code: str, message: str = "", status: int = 400, name: str = "ecr:BatchGetImage", **rule: Any
    ) -> None:
        """Let AWS answer a call with an error."""
        self.sandbox.fail(name, answer={"code": code, "message": message, "status": status}, **rule)

    def fail(self, code: str, reason: str = "") -> None:
        """Let BatchGetImage answer with a failure, and a good status."""
        failure = {"imageId": {"imageTag": "v1"}, "failureCode": code, "failureReason": reason}
        body = json.dumps({"images": [], "failures": [failure]})
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        self.sandbox.fail("ecr:BatchGetImage", answer={"status": 200, "headers": headers, "body": body})

    def layers(self, status: int, body: str) -> None:
        """Let the host of the layers answer so."""
        self.sandbox.registries.fail("GET prod-.*", answer={"status": status, "body": body}, times=None)

    def login(self, host: str = HOST) -> Json:
        """Return the option credentials with a token of the operator."""
        ecr = self.sandbox.client("ecr", region_name=host.split(".")[3])
        token = base64.b64decode(ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]).decode()
        return {"identity": "given", "credentials": {"username": "AWS", "password": token.removeprefix("AWS:")}}


def s3(code: str, text: str) -> str:
    return f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"


def denied(reason: str) -> str:
    user = f"arn:aws:iam::{ACCOUNT}:user/u"
    return f"User: {user} is not authorized to perform: ecr:BatchGetImage on resource: {ARN} {reason}"


def refused_with(code: str, text: str = "") -> Callable[[Bench], Json]:
    """Return what feeds the answer that AWS documents."""

    def provoke(bench: Bench) -> Json:
        bench.refuse(code, text)
        return bench.check()

    return provoke


def failing_with(code: str) -> Callable[[Bench], Json]:
    def provoke(bench: Bench) -> Json:
        bench.fail(code)
        return bench.check()

    return provoke


# What is wrong, by the code of the row


def wrong_account(bench: Bench) -> Json:
    bench.refuse("RepositoryNotFoundException", "The repository does not exist")
    return bench.check(f"{APP}:v1".replace(ACCOUNT, "210987654321"))


def moved(bench: Bench) -> Json:
    found = ecr_pull_check.run({**CHECK, "images": [f"{APP}:v2"]}, False, bench.clients)
    return bench.check(f"{APP}:v1@{found.results['images'][0]['digest']}")


def showing(manifest: Json | str, digest: str = "") -> Callable[[Bench], Json]:
    """Let BatchGetImage give this in place of the image's manifest."""
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)

    def provoke(bench: Bench) -> Json:
        image_id = {"imageDigest": digest or "sha256:" + hashlib.sha256(text.encode()).hexdigest()}
        body = json.dumps({"images": [{"imageId": image_id, "imageManifest": text}], "failures": []})
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        bench.sandbox.fail("ecr:BatchGetImage", answer={"status": 200, "headers": headers, "body": body})
        return bench.check()

    return provoke


def no_platform(bench: Bench) -> Json:
    bench.layers(200, "{}")
    return bench.check()


def kms_of_layers(bench: Bench) -> Json:
    bench.layers(400, s3("KMS.DisabledException", "The key is disabled"))
    return bench.check(via="registry")


def blocked_layers(bench: Bench) -> Json:
    bench.layers(403, s3("AccessDenied", "Access Denied"))
    seen = bench.check(f"{APP}:v2", via="registry")
    assert seen["severity"] == "error"
    return bench.check(f"{APP}:v2")


def lost_layer(bench: Bench) -> Json:
    body = {"errors": [{"code": "BLOB_UNKNOWN", "message": "blob unknown to registry"}]}
    bench.sandbox.registries.fail("GET .*/blobs/.*", answer={"status": 404, "body": body})
    return bench.check(via="registry")


def quarantined(bench: Bench) -> Json:
    bench.user()
    bench.user(state="quarantined")
    return bench.as_user()


def wrong_secret(bench: Bench) -> Json:
    bench.user()
    value = json.dumps({**bench.key, "secret_access_key": "wrong"})
    bench.client("secretsmanager").put_secret_value(SecretId=bench.store["name"], SecretString=value)
    return bench.as_user()


def deleted_user(bench: Bench) -> Json:
    bench.user()
    iam = bench.client("iam")
    iam.delete_access_key(UserName=bench.name, AccessKeyId=bench.key["access_key_id"])
    for name in iam.list_user_policies(UserName=bench.name)["PolicyNames"]:
        iam.delete_user_policy(UserName=bench.name, PolicyName=name)
    iam.delete_user(UserName=bench.name)
    return bench.as_user()


def deleted_key(bench: Bench) -> Json:
    bench.user()
    bench.client("iam").delete_access_key(UserName=bench.name, AccessKeyId=bench.key["access_key_id"])
    return bench.as_user()


def inactive_key(bench: Bench) -> Json:
    bench.user()
    key = bench.key["access_key_id"]
    bench.client("iam").update_access_key(UserName=bench.name, AccessKeyId=key, Status="Inactive")
    return bench.as_user(via="registry")


def new_key(bench: Bench) -> Json:
    bench.user()
    bench.sandbox.aws.switch(propagation_seconds=60)
    return bench.as_user()


def disabled_region(bench: Bench) -> Json:
    bench.user(repositories=[f"{SEOUL}/team/app"])
    bench.later = timedelta(minutes=10)
    bench.refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
    return bench.as_user(f"{SEOUL}/team/app:v1")


def unknown_key(bench: Bench) -> Json:
    bench.identity = {"access_key": "AKIA0000000000000000", "secret_key": "x"}
    return bench.check()


def no_credentials(bench: Bench) -> Json:
    nobody = boto3.session.Session()
    bench.clients.aws.connect = lambda service, region, **dummy: Caller(nobody.client(service, region_name=region))
    return bench.check()


def old_token(bench: Bench) -> Json:
    elsewhere = bench.check(**bench.login(SEOUL))
    given = bench.login()
    bench.sandbox.registries.expire_tokens()
    finding = bench.check(**given)
    assert finding == elsewhere
    return finding


def bounded(bench: Bench) -> Json:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = bench.client("iam").create_policy(PolicyName=f"boundary-{bench.name}", PolicyDocument=document)
    bench.user()
    bench.client("iam").put_user_permissions_boundary(UserName=bench.name, PermissionsBoundary=made["Policy"]["Arn"])
    return bench.as_user()


def denying(bench: Bench) -> Json:
    every = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}
    bench.allow(every, {"Effect": "Deny", "Action": "ecr:BatchGetImage", "Resource": ARN})
    return bench.as_user(via="registry")


def tokenless(bench: Bench) -> Json:
    bench.allow({"Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], "Resource": ARN})
    return bench.as_user(via="registry")


def other_repository(bench: Bench) -> Json:
    bench.user()
    finding = bench.as_user(f"{HOST}/runpod-gpu-inference:v1")
    assert bench.as_user(f"{HOST}/runpod-gpu-inference:v1", via="registry")["cause"] == finding["cause"]
    return finding


def throttled(bench: Bench) -> Json:
    body = {"errors": [{"code": "TOOMANYREQUESTS", "message": "Rate exceeded"}]}
    bench.sandbox.registries.fail("GET .*", answer={"status": 429, "body": body}, times=None)
    assert bench.check(f"{APP}:v1", identity="anonymous")["code"] == "throttled"
    bench.refuse("ThrottlingException", "Rate exceeded")
    return bench.check()


def unreachable(bench: Bench) -> Json:
    assert bench.check("registry.invalid/app:v1", identity="anonymous")["code"] == "endpoint_unreachable"
    given = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "x"}
    once = Config(retries={"total_max_attempts": 1}, proxies={})
    closed = boto3.client("ecr", endpoint_url="http://127.0.0.1:9", region_name="us-east-1", config=once, **given)
    bench.clients.aws.connect = lambda *dummy, **options: Caller(closed)
    return bench.check()


CASES: dict[str, tuple[Callable[[Bench], Json], str, str]] = {  # code of the row -> what provokes it, cause, remedy
    "wrong_region": (
        lambda bench: bench.check(f"{SEOUL}/runpod-gpu-training:v1"),
        "no repository runpod-gpu-training in account 123456789012 in ap-northeast-2, but there is one in us-east-1",
        "Name the region us-east-1",
    ),
    "wrong_account": (wrong_account, "there is one in account 123456789012", "Name the account 123456789012"),
    "repository_not_found": (lambda bench: bench.check(f"{HOST}/none:v1"), "repository none in account", "Compare"),
    "{kind}_not_found": (lambda bench: bench.check(f"{APP}:none", via="registry"), "the tag none", "Push it"),
    "tag_moved": (moved, "The tag v1 does not name sha256:", "Drop the tag"),
    "archived": (failing_with("ImageInaccessible"), "archived", "UpdateImageStorageClass"),
    "platform_missing": (
        lambda bench: bench.check(f"{HOST}/runpod-arm-only:v1"),
        "not for linux/amd64; it is for linux/arm64",
        "Build it for linux/amd64",
    ),
    "platform_unverified": (no_platform, "may be pulled", "check the platform"),
    "not_an_image": (showing({"mediaType": "application/vnd.cncf.helm"}), "not a container image", "Name an image"),
    "layer_unavailable": (lost_layer, "missing or damaged", "Push the image again"),
    "kms": (kms_of_layers, "KMS key that encrypts the repository runpod-gpu-training", "Enable the key"),
    "layer_host_blocked": (blocked_layers, "hands out the layers", "VPC endpoint of S3"),
    "manifest_damaged": (
        showing({"config": {"digest": "sha256:c", "size": 2}, "layers": [{"digest": "sha256:l"}]}),
        "a manifest whose layers[0] has no size",
        "Push the image again",
    ),
    "upstream_denied": (failing_with("UpstreamAccessDenied"), "does not let ECR", "Renew the secret"),
    "upstream_throttled": (failing_with("UpstreamTooManyRequests"), "asked too often", "higher quota"),
    "upstream_unavailable": (failing_with("UpstreamUnavailable"), "cannot get the image", "wait when"),
    "quarantined": (quarantined, "in quarantine", "release_quarantine true"),
    "clock_skew": (
        refused_with("InvalidSignatureException", "Signature expired: 20260801T0Z is now earlier than 20260801T1Z"),
        "clock of this machine",
        "NTP",
    ),
    "secret_wrong": (wrong_secret, "secret access key of the pull user is not", "rotate the key"),
    "user_missing": (deleted_user, "a user that was deleted", "makes the user and a key again"),
    "secret_key_mismatch": (deleted_key, "access key of the pull user that was deleted", "makes a new key"),
    "secret_key_inactive": (inactive_key, "is not active", "activate it again"),
    "key_too_new": (new_key, "so new that", "in a minute"),
    "region_disabled": (disabled_region, "but not in ap-northeast-2", "Enable the region ap-northeast-2"),
    "key_invalid": (unknown_key, "the access key of the caller in us-east-1", "session token"),
    "credentials_expired": (refused_with("ExpiredTokenException"), "session have expired", "Log in again"),
    "credentials_missing": (no_credentials, "no AWS credentials", "AWS_ACCESS_KEY_ID"),
    "token_expired": (old_token, "older than 12 hours, or for another region", "new token of the image's region"),
    "login_missing": (
        lambda bench: bench.check(identity="anonymous"),
        f"{HOST} gives runpod-gpu-training to nobody",
        "exactly this host",
    ),
    "login_refused": (
        lambda bench: bench.check(identity="given", credentials={"username": "AWS", "password": "invented"}),
        "does not accept the login of AWS",
        "Check user name and password",
    ),
    "organization_denies": (
        refused_with("AccessDeniedException", denied("with an explicit deny in a service control policy")),
        "policy of the organization keeps the caller from",
        "who manages the organization",
    ),
    "boundary_denies": (bounded, "permissions boundary of the pull user", "Allow it in the boundary"),
    "session_denies": (
        refused_with("AccessDeniedException", denied("because no session policy allows the ecr:BatchGetImage action")),
        "session of the caller",
        "Begin the session without that policy",
    ),
    "endpoint_denies": (
        refused_with("AccessDeniedException", denied("because no VPC endpoint policy allows the action")),
        "VPC endpoint does not let the caller",
        "VPC endpoint of ECR",
    ),
    "explicit_deny": (denying, f"denies the pull user to call ecr:BatchGetImage on {ARN}", "effect Deny"),
    "token_not_allowed": (tokenless, "The pull user may not get a token", "with the resource *"),
    "repository_policy_missing": (
        refused_with("AccessDeniedException", denied("because no resource-based policy allows the action")),
        "of another account",
        f"the policy of the repository {ARN}",
    ),
    "repository_not_allowed": (other_repository, "No policy of the pull user allows", "Add arn:aws:ecr:us-east-1:"),
    "denied": (
        refused_with("AccessDeniedException", "no"),
        f"The caller may not call ecr:BatchGetImage on {ARN}",
        "Allow",
    ),
    "unexpected_answer": (
        showing("<!doctype html><html><title>Sign in</title></html>"),
        "something else did, with an HTML page titled 'Sign in' in place of a manifest",
        "a captive portal",
    ),
    "throttled": (throttled, "ECR in us-east-1 refuses calls for now", "fewer images"),
    "endpoint_unreachable": (unreachable, "ECR in us-east-1 cannot be reached", "DNS"),
    "service_unavailable": (refused_with("ServerException"), "ECR in us-east-1 has trouble", "Run again"),
    "other": (refused_with("OddException", "{odd}"), f"Asking for {ARN} failed: OddException: {{odd}}", "Look that up"),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(with_registries=True) as sandbox:
        yield sandbox


@pytest.fixture
def bench(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Bench:
    running.mend()
    running.aws.switch(**SWITCHES)
    for name, value in running.environment.items():
        if "proxy" in name.lower() or name == "AWS_EC2_METADATA_DISABLED":
            monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    return Bench(running)


def test_every_row_has_a_case_and_no_two_have_one_code() -> None:
    assert list(CASES) == [row.code for row in [*TABLE, OTHER]]


@pytest.mark.parametrize("code", CASES)
def test_row(bench: Bench, code: str) -> None:
    provoke, cause, remedy = CASES[code]
    row = next(row for row in [*TABLE, OTHER] if row.code == code)
    finding = provoke(bench)
    assert finding["code"] == code.format(kind="tag"), finding
    assert cause in finding["cause"] and remedy in finding["remedy"], finding
    assert finding["severity"] == row.severity and len(finding["raw"]) > len(": "), finding
    assert "Signature=" not in str(finding)


def test_an_answer_that_lacks_what_it_must_have_is_told_with_its_call_and_field(bench: Bench) -> None:
    bench.sandbox.fail("ecr:BatchGetImage", effect="after", answer={"null": "$.images[*]"})
    finding = bench.check()
    assert finding["code"] == "unexpected_answer"
    assert "ecr:BatchGetImage of which this is wrong: images[] is no structure" in finding["cause"]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_without_a_code_is_told_by_its_status(bench: Bench, status: int) -> None:
    bench.sandbox.fail("ecr:BatchGetImage", times=None, answer={"status": status, "body": "no"})
    finding = bench.check()
    assert finding["code"] == "service_unavailable", finding
