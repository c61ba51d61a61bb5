# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least rights of the operator: those that the calls of all kinds of runs need are those that the pages list."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from botocore import xform_name
from moto import mock_aws
from moto.iam.models import iam_backends
from parliament import analyze_policy_string

from ansible_collections.gpuops.runpod.plugins.doc_fragments.secret_store import ModuleDocFragment as StorePage
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import image_mirror, public_repository, pull_check
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.token_proof import token_proof
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.registry_client import Manifest, Registry
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.skopeo import Side
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_state import Clients
from ansible_collections.gpuops.runpod.plugins.module_utils._sink import token_sink
from ansible_collections.gpuops.runpod.plugins.modules import (
    ecr_image_mirror,
    ecr_public_repo,
    ecr_pull_check,
    ecr_pull_grant,
    ecr_pull_role,
    ecr_pull_user,
    ecr_pull_user_info,
    runpod_ecr_credential,
)
from ansible_collections.gpuops.runpod.tests.sandbox.policies import iam_context, iam_resources
from ansible_collections.gpuops.runpod.tests.unit.plugins import rights
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import (
    STORES,
    Account,
    Recorder,
    Store,
    client,
    refusal,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_public import PublicAccount
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod
from ansible_collections.gpuops.runpod.tests.unit.plugins.sinks import PRESENT as SINK
from ansible_collections.gpuops.runpod.tests.unit.plugins.sinks import DockerConfigTarget
from ansible_collections.gpuops.runpod.tests.unit.rights.judge import Request, Who, allowed, every_action, findings
from ansible_collections.gpuops.runpod.tools.rights import PAGE, RULES, written

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
HOME = "123456789012"
NAME = "puller"
LONG = f"arn:aws:s3:::{'x' * 9900}"  # a resource beside which no policy of ours is inline
MANY = [f"svc-{number:06}" for number in range(60)]  # more than an inline policy holds
USER: Json = {
    "name": NAME,
    "state": "present",
    "path": "/runpod/",
    "user_tags": None,
    "purge_tags": True,
    "policy": "repositories",
    "repositories": ["app"],
    "purge_repositories": True,
    "pull_through": False,
    "key_state": "present",
    "rotate_after_days": None,
    "retire_after_hours": 24,
    "release_quarantine": False,
    "propagation_timeout": 90,
}
AUDIT: Json = {
    "name": NAME,
    "path_prefix": None,
    "secret_store": None,
    "rotate_after_days": 90,
    "repositories": ["app"],
    "events": {"regions": None, "hours": 24, "limit": 200},
}
CREDENTIAL: Json = {
    "name": "ecr",
    "image": None,
    "registry_region": "us-east-1",
    "min_validity_hours": 9.0,
    "force": False,
    "propagation_timeout": 90,
    "state": "present",
}
CHECK: Json = {
    "images": ["123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1"],
    "platform": "linux/amd64",
    "credentials": None,
    "fail_when_denied": False,
    "propagation_timeout": 90,
}
GRANT: Json = {
    "repositories": ["app"],
    "account_id": None,
    "statement_id": "AllowRunpodPull",
    "principal_arns": None,
    "state": "present",
}


PUBLIC: Json = {
    "name": "app",
    "state": "present",
    "acknowledge_public": True,
    "catalog_data": None,
    "tags": None,
    "purge_tags": True,
    "force": False,
}
MIRROR: Json = {
    "image_tags": None,
    "images": None,
    "platforms": "all",
    "platform": "linux/amd64",
    "source_auth": None,
    "destination_auth": None,
    "retries": 0,
    "allow_suspected_secrets": False,
}
DIGEST = f"sha256:{'a' * 64}"
MANIFEST = json.dumps({"schemaVersion": 2, "config": {"digest": f"sha256:{'c' * 64}", "size": 3}, "layers": []})
PRIVATE = f"{HOME}.dkr.ecr.us-east-1.amazonaws.com"
# What the requests to a registry need that skopeo makes to copy from it, and to it. ECR Public lets anybody read.
PULL = ("BatchGetImage", "GetDownloadUrlForLayer")
PUSH = ("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage")


class Cloud(Account):
    """An account with an image, that mints tokens which work and gives addresses of layers."""

    def get_authorization_token(self, *dummy: Any) -> Json:
        token = base64.b64encode(b"AWS:password").decode()
        expiry = self.now + timedelta(hours=12)
        return {"authorizationData": [{"authorizationToken": token, "expiresAt": expiry}]}

    def batch_get_image(self, dummy: Any, request: Json) -> Json:
        image_id = {**request["imageIds"][0], "imageDigest": DIGEST}
        return {"images": [{"imageId": image_id, "imageManifest": MANIFEST}]}

    def get_download_url_for_layer(self, *dummy: Any) -> Json:
        return {"downloadUrl": "https://layers.test/config"}

    def batch_check_layer_availability(self, dummy: Any, request: Json) -> Json:
        layers = [{"layerDigest": one, "layerAvailability": "AVAILABLE"} for one in request["layerDigests"]]
        return {"layers": layers, "failures": []}

    def get_lifecycle_policy(self, dummy: Any, request: Json) -> Json:
        newest = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}
        rule = {"rulePriority": 1, "selection": newest, "action": {"type": "expire"}}
        return {"lifecyclePolicyText": json.dumps({"rules": [rule]}), "repositoryName": request["repositoryName"]}

    def describe_images(self, dummy: Any, request: Json) -> Json:
        pushed = {"imageDigest": DIGEST, "imageTags": ["v1"], "imagePushedAt": self.now}
        return {"imageDetails": [{**pushed, "repositoryName": request["repositoryName"]}]}

    def simulate_principal_policy(self, dummy: Any, request: Json) -> Json:
        results = [{"EvalActionName": action, "EvalDecision": "allowed"} for action in request["ActionNames"]]
        return {"IsTruncated": False, "EvaluationResults": results}

    def get_role(self, moto: Any, request: Json) -> Json:
        if request["RoleName"] == "deploy":
            return {"Role": {"Arn": f"arn:aws:iam::{HOME}:role/deploy"}}
        return moto.get_role(**request)

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.asked: set[Request] = set()  # what the calls so far needed

    def happen(self, events: dict[str | int, Any], name: str, number: int) -> None:
        if events is self.before:
            self.note(*self.requests[-1])
        super().happen(events, name, number)

    def note(self, name: str, request: Json) -> None:
        """Note what a call needs, as things are before it: actions, on which things, and the condition keys."""
        service, operation = name.split(":")
        keys = tuple(self._keys(service, operation, request).items())
        for thing, action in product(
            self._things(service, operation, request), rights.needed(service, operation, request)
        ):
            self.asked.add((action, thing, keys))

    def _things(self, service: str, operation: str, request: Json) -> list[str]:
        if service != "iam":
            return [arn_of(service, operation, request)]
        named = role_of(request) if "RoleName" in request else user_of(request)
        return iam_resources(HOME, rights.operations("iam")[operation], request, named.arn if named else None)

    def _keys(self, service: str, operation: str, request: Json) -> dict[str, str]:
        boundary = boundary_of(role) if (role := role_of(request)) else self.boundaries.get(request.get("UserName", ""))
        return iam_context(rights.operations("iam")[operation], request, boundary) if service == "iam" else {}


class Observed(Cloud):
    """The same, as the operator sees it; what is called as the pull user goes to `pull_user`."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.pull_user = Cloud(store)
        self.public = PublicAccount()
        self.boundary: str | None = None  # that users get where nothing else is said

    def connect(self, service: str, region: str, **options: Any) -> Any:
        if service == "ecr-public":
            return PublicRecorder(self)
        caller = self.pull_user if options.get("aws_access_key_id") else self
        return Recorder(caller, service, client(service, region))

    @property
    def options(self) -> Json:
        """The option secret_store of modules that want its name."""
        return {**self.store.options, "name": self.store.name}


class PublicRecorder:
    """A client of ECR Public, whose requests its account notes."""

    def __init__(self, account: Observed) -> None:
        self.account = account
        self.client = account.public.connect("ecr-public", "us-east-1")
        self.meta = self.client.meta

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            self.account.note(f"ecr-public:{operation}", request)
            return getattr(self.client, operation)(**request)

        return call


class Shelf:
    """A registry with one image, which its account notes the rights for. Anybody may read from ECR Public."""

    def __init__(self, account: Observed, host: str) -> None:
        self.account = account
        self.host = host

    def digest(self, repository: str, dummy: str) -> str | None:
        self._note("ecr:batch_get_image", repository)
        return None

    def manifest(self, repository: str, dummy: str) -> Manifest:
        self._note("ecr:batch_get_image", repository)
        return Manifest(DIGEST, MANIFEST.encode())

    def blob(self, repository: str, dummy: str) -> bytes:
        self._note("ecr:get_download_url_for_layer", repository)
        return b"{}"

    def _note(self, call: str, repository: str) -> None:
        if ".dkr.ecr." in self.host:
            self.account.note(call, {"repositoryName": repository})


class Carrier:
    """Notes in an account what skopeo's requests need."""

    def __init__(self, account: Observed) -> None:
        self.account = account

    def version(self) -> None:
        """It is new enough."""

    def copy(self, source: Side, destination: Side, *dummy: Any) -> str:
        for side, actions in ((source, PULL), (destination, PUSH)):
            host, dummy_slash, rest = side.reference.partition("/")
            name = re.split("[:@]", rest if ".dkr.ecr." in host else rest.partition("/")[2])[0]
            service = "ecr" if ".dkr.ecr." in host else "ecr-public"
            for action in actions:
                self.account.note(f"{service}:{xform_name(action)}", {"repositoryName": name})
        return DIGEST


def user_of(request: Json) -> Any | None:
    """Return the user that a call to IAM names, itself or by one of its keys."""
    held = iam_backends[HOME]["aws"].users
    key = request.get("AccessKeyId")
    if "UserName" in request:
        return held.get(request["UserName"])
    return next((one for one in held.values() if any(each.access_key_id == key for each in one.access_keys)), None)


def role_of(request: Json) -> Any | None:
    """Return the role that a call to IAM names."""
    roles = iam_backends[HOME]["aws"].roles.values()
    return next((role for role in roles if role.name == request.get("RoleName")), None)


def boundary_of(role: Any) -> str | None:
    return role.permissions_boundary_arn


def arn_of(service: str, operation: str, request: Json) -> str:
    """Return the ARN of what a call is about, or `*` when no rights tell things apart for it."""
    here = f"arn:aws:{service}:us-east-1:{HOME}"
    if service == "sts":
        return request.get("RoleArn", "*")
    if service == "secretsmanager":
        return f"{here}:secret:{request.get('SecretId') or request['Name']}-AbCdEf"
    if service == "ssm":
        return f"{here}:parameter{request.get('ResourceId') or request['Name']}"
    if service == "ecr-public":
        name = request.get("repositoryName") or next(iter(request.get("repositoryNames", [])), "")
        place = f"arn:aws:ecr-public::{HOME}"
        if operation == "describe_registries":
            return f"{place}:registry/{HOME}"
        return request.get("resourceArn", f"{place}:repository/{name}" if name else "*")
    return f"{here}:repository/{request['repositoryName']}" if "repositoryName" in request else "*"


class NoLayers:
    """An opener that reaches nobody."""

    def open(self, *dummy: Any, **options: Any) -> None:
        raise OSError("unreachable")


# What runs there are


def both(run: Callable[[bool], object]) -> None:
    """Run in check mode, then really."""
    run(True)
    run(False)


def play(account: Observed, check_mode: bool = False, **options: Any) -> None:
    given = {"permissions_boundary": account.boundary, "secret_store": account.store.options, **options}
    ecr_pull_user.run({**USER, **given}, check_mode, account.aws())


def play_both(account: Observed, **options: Any) -> None:
    both(lambda check_mode: play(account, check_mode, **options))


@contextmanager
def unnoted(account: Observed) -> Iterator[None]:
    """Let what happens meanwhile not count."""
    pull_user, noted = account.pull_user, (account.asked, account.pull_user.asked)
    account.asked, pull_user.asked = set(), set()
    yield
    account.asked, pull_user.asked = noted


def use_user(account: Observed) -> None:
    account.before["iam:create_user"] = refusal("EntityAlreadyExists", 409)  # by a name in another spelling
    with suppress(CollectionError):
        play(account)
    play_both(account, user_tags={"team": "training"}, permissions_boundary=f"arn:aws:iam::{HOME}:policy/one")
    play_both(account, user_tags={}, permissions_boundary=f"arn:aws:iam::{HOME}:policy/two")
    play_both(account, path="/runpod/team/", permissions_boundary="")
    play_both(account, path="/runpod/team/", repositories=["web"])
    for count in range(7):  # more versions than a managed policy may have
        play(account, path="/runpod/team/", repositories=[*MANY, *(f"more-{one}" for one in range(count))])
    play_both(account, path="/runpod/team/", policy="pull_only")
    play_both(account, path="/runpod/team/", policy="repositories")
    if account.store.options["type"] == "secretsmanager":
        client("secretsmanager").delete_secret(SecretId=account.store.name)
        play_both(account, path="/runpod/team/")
    play_both(account, path="/runpod/team/", key_state="absent")
    play_both(account, state="absent")
    play(account, state="absent")


ROLE: Json = {
    **{key: USER[key] for key in ("name", "state", "path", "policy", "repositories", "purge_repositories")},
    **{"purge_tags": True, "pull_through": False, "propagation_timeout": 90, "role_tags": None},
    "trust": [{"principal_arns": [f"arn:aws:iam::{HOME}:role/node"]}],
}


def keep_role(account: Observed, **options: Any) -> None:
    given = {"permissions_boundary": account.boundary, **ROLE, **options}
    both(lambda check_mode: ecr_pull_role.run(given, check_mode, account.aws()))


def use_role(account: Observed, boundaries: Sequence[str] = ("one", "two", "")) -> None:
    arns = [name and f"arn:aws:iam::{HOME}:policy/{name}" for name in boundaries] or [account.boundary]
    keep_role(account)
    for arn in arns:
        keep_role(account, role_tags={"team": "training"}, permissions_boundary=arn)
    keep_role(account, role_tags={}, trust=[{"principal_arns": [f"arn:aws:iam::{HOME}:role/other"]}])
    keep_role(account, policy="pull_only")
    keep_role(account)
    full = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": LONG}]}
    client("iam").put_role_policy(RoleName=NAME, PolicyName="others", PolicyDocument=json.dumps(full))
    for count in range(7):  # more versions than a managed policy may have
        keep_role(account, repositories=[*MANY[:9], *(f"more-{one}" for one in range(count))])
    client("iam").delete_role_policy(RoleName=NAME, PolicyName="others")
    keep_role(account)
    keep_role(account, state="absent")
    keep_role(account, state="absent")


def use_rotation(account: Observed) -> None:
    play(account)
    for pause in (timedelta(days=90), timedelta(hours=24), timedelta(hours=24)):  # made, deactivated, deleted
        account.now += pause
        play_both(account, rotate_after_days=90)
    assert len(account.keys(NAME)) == 1


def use_quarantine(account: Observed) -> None:
    for options in ({}, {"repositories": MANY}, {"policy": "read_only"}):
        with unnoted(account):
            play(account, **options)
        quarantine(account)


def quarantine(account: Observed) -> None:
    play_both(account, state="quarantined")
    play_both(account, release_quarantine=True)
    play_both(account, state="quarantined")
    play_both(account, state="absent")


EITHER_WAY: tuple[Json, ...] = ({"name": NAME}, {"name": None, "path_prefix": "/runpod/"})


def use_info(account: Observed, ways: tuple[Json, ...] = EITHER_WAY) -> None:
    for options in ({"repositories": MANY}, {}):
        with unnoted(account):
            play(account, **options)
        for asked, check_mode in product(ways, (True, False)):
            look(account, asked, check_mode)
        with unnoted(account):
            play(account, state="absent")


def look(account: Observed, asked: Json, check_mode: bool = False) -> None:
    account.now += timedelta(minutes=1)  # beyond the pace of CloudTrail
    params = {**AUDIT, **asked, "secret_store": account.store.options}
    ecr_pull_user_info.run(params, check_mode, account.aws())


def use_credential(account: Observed) -> None:
    with unnoted(account):
        play(account)
    clients = Clients(account.aws(), FakeRunpod().client)
    for options in ({}, {"force": True}, {"secret_store": None}, {"state": "absent", "registry_region": None}):
        params = {**CREDENTIAL, "secret_store": account.options, **options}
        both(lambda check_mode, params=params: runpod_ecr_credential.run(params, check_mode, clients))
    mint_as_role(account)


def mint_as_role(account: Observed) -> None:
    clients = Clients(account.aws(), FakeRunpod().client)
    role = {"role_arn": f"arn:aws:iam::{HOME}:role/runpod/{NAME}", "repositories": ["app"]}
    params = {**CREDENTIAL, "secret_store": None, **role}
    both(lambda check_mode: runpod_ecr_credential.run(params, check_mode, clients))


def use_sink(account: Observed) -> None:
    """The file is what receives the token; the others differ in no call of AWS."""
    with unnoted(account):
        play(account)
    role = {"role_arn": f"arn:aws:iam::{HOME}:role/runpod/{NAME}", "repositories": ["app"]}
    nobody = NoLayers()
    proof = token_proof(
        account.aws(), lambda host, login: Registry(nobody, host, login, account.sleep), "the pull user", False
    )
    with TemporaryDirectory() as folder:
        target = DockerConfigTarget(Path(folder))
        clients = token_sink.Clients(account.aws(), target.connect, proof)
        for options in (
            {},
            {"force": True},
            {"secret_store": None},
            {"secret_store": None, **role},
            {"state": "absent"},
        ):
            params = {**SINK, "type": target.type, "docker_config": target.options(), "secret_store": account.options}
            both(lambda check_mode, given={**params, **options}: token_sink.run(given, check_mode, clients))


def use_check(account: Observed) -> None:
    with unnoted(account):
        play(account)
    account.pull_user.before["ecr:batch_get_image"] = refusal("AccessDeniedException")  # as long as the rights are new
    nobody = NoLayers()
    clients = pull_check.Clients(
        account.aws(), nobody, lambda host, login: Registry(nobody, host, login, account.sleep)
    )
    for identity, via in product(("secret_store", "caller"), ("api", "registry")):
        params = {**CHECK, "identity": identity, "via": via, "secret_store": account.options}
        both(lambda check_mode, params=params: ecr_pull_check.run(params, check_mode, clients))
        account.now += timedelta(minutes=10)
        account.pull_user.before["ecr:batch_get_image"] = refusal("UnrecognizedClientException")  # for good
        both(lambda check_mode, params=params: ecr_pull_check.run(params, check_mode, clients))


def use_grant(account: Observed) -> None:
    client("ecr").create_repository(repositoryName="app")
    for state in ("present", "present", "absent"):
        both(lambda check_mode, state=state: ecr_pull_grant.run({**GRANT, "state": state}, check_mode, account.aws()))


def use_public_repo(account: Observed) -> None:
    logo = b"\x89PNG\r\n\x1a\n" + bytes(8) + (100).to_bytes(4) * 2
    clients = public_repository.Clients(account.aws(), lambda dummy: logo)
    catalog = dict.fromkeys(("about_text", "usage_text", "architectures", "operating_systems"))
    for options in (
        {},
        {"tags": {"team": "ml"}, "catalog_data": {**catalog, "description": "one", "logo": "logo.png"}},
        {"tags": {}},
        {"state": "absent"},
    ):
        both(lambda check_mode, given=options: ecr_public_repo.run({**PUBLIC, **given}, check_mode, clients))


def use_mirror(account: Observed) -> None:
    carrier: Any = Carrier(account)
    shelf: Any = lambda host, dummy: Shelf(account, host)  # noqa: E731
    clients = image_mirror.Clients(account.aws(), shelf, carrier)
    login = {"username": "AWS", "password": "password"}  # else the API would tell that it is there
    private = PRIVATE.replace("us-east-1", "eu-west-1") + "/app"
    for destination, given in (("public.ecr.aws/a1b2c3d4/app", None), (private, login)):
        params = {**MIRROR, "source": f"{PRIVATE}/app:v1", "destination": destination, "destination_auth": given}
        both(lambda check_mode, params=params: ecr_image_mirror.run(params, check_mode, clients))


USES: dict[str, tuple[Callable[[Observed], None], ...]] = {
    "ecr_image_mirror": (use_mirror,),
    "ecr_public_repo": (use_public_repo,),
    "ecr_pull_check": (use_check,),
    "ecr_pull_grant": (use_grant,),
    "ecr_pull_role": (use_role,),
    "ecr_pull_user": (use_user, use_rotation, use_quarantine),
    "ecr_pull_user_info": (use_info,),
    "ecr_token_sink": (use_sink,),
    "runpod_ecr_credential": (use_credential,),
}
EVERY_MODULE = pytest.mark.parametrize("module", USES)
# They make none but the calls of those; tests/unit/workload holds that they stay within what their pages list.
COMPOSED = {"runpod_ecr_audit", "runpod_ecr_plan", "runpod_ecr_preflight", "runpod_ecr_refresh"}
WATCH = {"ecr:BatchCheckLayerAvailability", "ecr:GetLifecyclePolicy", "ecr:DescribeImages"}  # which only an audit does
FORESIGHT = {"iam:SimulatePrincipalPolicy", "iam:GetRole", "iam:GetAccountSummary"}  # which only a preflight asks for


@cache
def asked_by(use: Callable[[Observed], None]) -> tuple[frozenset[Request], frozenset[Request]]:
    """Return what a kind of run needs with either store: of the operator, and of the pull user."""
    own: set[Request] = set()
    pull_users: set[Request] = set()
    for store in STORES.values():
        with mock_aws():
            account = Observed(store)
            use(account)
            own |= account.asked
            pull_users |= account.pull_user.asked
    return frozenset(own), frozenset(pull_users)


def actions(asked: Iterable[Request]) -> set[str]:
    return {request[0] for request in asked}


# The pages


def test_every_module_that_calls_aws_is_used() -> None:
    group = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]["aws"]
    pages = {path.stem: path.read_text() for path in (ROOT / "plugins" / "modules").glob("*.py")}
    calling = [name for name, text in pages.items() if re.search("aws_client|AwsModule", text)]
    assert sorted(calling) == sorted({*USES, *COMPOSED}) == sorted(name for name in group if isinstance(name, str))


@EVERY_MODULE
def test_page_lists_what_the_module_calls_and_nothing_else(module: str) -> None:
    called = [asked_by(use) for use in USES[module]]
    assert set().union(*(actions(own) for own, dummy in called)) == rights.listed(module)
    assert set().union(*(actions(pull_users) for dummy, pull_users in called)) <= rights.PULL_USER


@pytest.mark.parametrize("module", sorted(COMPOSED))
def test_page_of_a_look_lists_nothing_that_no_module_lists(module: str) -> None:
    others = set().union(*(rights.listed(name) for name in USES)) | rights.PULL_USER | FORESIGHT | rights.FOR_EVERYBODY
    others |= WATCH
    assert rights.listed(module) and rights.listed(module) <= others


def test_note_on_quarantine_lists_what_whoever_shuts_a_user_off_needs() -> None:
    own, pull_users = asked_by(shut_off)
    of_iam = {action for action in actions(own) if action.startswith("iam:")}
    assert of_iam == rights.listed("ecr_pull_user", "IAM actions for V(quarantined):") and not pull_users


def shut_off(account: Observed) -> None:
    for options in ({}, {"repositories": MANY}, {"policy": "read_only"}):
        with unnoted(account):
            play(account, **options)
        play_both(account, state="quarantined")
        with unnoted(account):
            play(account, state="absent")


# The table


def here(text: str) -> str:
    """Return what the table or a document of it says, with the placeholders filled in as for these runs."""
    names = {"ACCOUNT": HOME, "REGION": "us-east-1", "/runpod-ecr-access": f"/{NAME}", "/team/*": "/*"}
    for placeholder, name in names.items():
        text = text.replace(placeholder, name)
    return text


def table() -> list[tuple[set[str], str]]:
    """Return the rows: actions, and the ARN of what they are on."""
    return [({*row.named()}, here(row.resource)) for row in RULES]


def operator() -> Who:
    """Return somebody who has what the table says, without its conditions."""
    statements = [
        {"Sid": row.sid, "Effect": "Allow", "Action": row.named(), "Resource": here(row.resource)} for row in RULES
    ]
    return Who(f"arn:aws:iam::{HOME}:user/operator", {"Version": "2012-10-17", "Statement": statements})


def test_table_lists_what_the_pages_list() -> None:
    assert (page := PAGE.read_text()) == written(page)
    found = set().union(*(listed for listed, dummy in table()))
    listed = map(rights.listed, [*USES, "runpod_ecr_preflight", "runpod_ecr_audit"])
    assert found == set().union(*listed, rights.named(StorePage.DOCUMENTATION))


@EVERY_MODULE
def test_table_allows_every_call_of_the_module(module: str) -> None:
    asked = set().union(*(asked_by(use)[0] for use in USES[module]))
    assert asked and allowed(operator(), asked) == asked


def test_table_allows_nothing_else() -> None:
    who, rows = operator(), [(listed, arn) for listed, arn in table() if ":kms:" not in arn]  # keys have own policies
    everywhere = set().union(rights.FOR_EVERYBODY, *(listed for listed, arn in rows if arn == "*"))
    services = {action.partition(":")[0] for listed, dummy in rows for action in listed}
    near = [action for action in every_action() if action.partition(":")[0] in services]
    for arn in {arn for dummy, arn in rows}:
        wanted = everywhere.union(*(listed for listed, held in rows if held == arn))
        assert actions(allowed(who, [(action, arn.replace("*", "x")) for action in near])) == wanted & {*near}
    stranger = f"arn:aws:iam::{HOME}:user/somebody"
    assert actions(allowed(who, [(action, stranger) for action in every_action()])) == everywhere


def test_linters_find_nothing_in_the_table() -> None:
    document = operator().policy
    assert document and findings("identity", document) == []
    assert [str(finding) for finding in analyze_policy_string(json.dumps(document)).findings] == []
