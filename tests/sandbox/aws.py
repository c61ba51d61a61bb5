# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulator of AWS: moto's server behind a thin front that adds what moto lacks.

What the front answers itself is in HANDLERS; who may call is in `aws_access`, ECR Public in `aws_public`, and what
CloudTrail noted in `aws_trail`.
Control paths:

    GET, PATCH  /_sandbox/switches           how the simulator behaves (the table SWITCHES)
    GET         /_sandbox/layers/<digest>    the bytes of an image layer, as GetDownloadUrlForLayer points to

moto keeps what it holds per process, so a process has one such world.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from moto.core import responses
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.ecr.models import Image, Repository, ecr_backends
from moto.iam.models import AWSManagedPolicy
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.secretsmanager.models import secretsmanager_backends
from werkzeug.wrappers import Request, Response

from .aws_access import OPERATOR_ARN, Access, Holder, iam
from .aws_calls import ACCOUNT, ACCOUNTS, AwsCall, AwsRefusal, answer, collect, parse, refuse
from .aws_public import OPERATIONS, PublicRegistry
from .aws_roles import check_assumption, check_trust, role_of
from .aws_simulation import simulate
from .aws_trail import Trail

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

Json = dict[str, Any]
Forward = Callable[[AwsCall], Response]
Images = tuple[dict[tuple[str, str], dict[str, Repository]], dict[str, bytes]]  # repositories by place, and layers
Handler = Callable[["AwsSimulator", AwsCall, Forward], Response]

# moto looks through a class for the names of its methods at every call.
responses.method_names_from_class = cache(responses.method_names_from_class)

# How the simulator behaves; what AWS does not document stands here with each answer that it may have.
SWITCHES: dict[str, Any] = {
    "token_seconds": 12 * 3600.0,  # how long a registry token lives
    "propagation_seconds": 0.0,  # how long a new key or a changed policy takes to work
    "key_use_seconds": 0.0,  # how long a key must have been used for that to show
    "policy_read_seconds": 0.0,  # how long a repository's own account still reads its former policy
    "policy_text": "kept",  # of a repository: as it was set, or with statements and lists in another order
    "token_outlives_key": True,  # whether a registry token still works when its key is gone
    "token_keeps_scope": True,  # whether a registry token opens no more than the session that minted it
    "token_outlives_session": True,  # whether it still works when that session is over
    "blob_head_action": "BatchCheckLayerAvailability",  # which right HEAD of a blob takes
    "public_regions": ["us-east-1"],  # where ECR Public's API is
}
CHOICES = {
    "policy_text": ("kept", "reordered"),
    "blob_head_action": ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer"),
}
TOKEN_BYTES = 1400
INLINE_QUOTA = 2048
ROLE_QUOTA = 10240
MANAGED_QUOTA = 6144
PULL_ACTIONS = ("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
# The managed policies of AWS that there are, and what they allow on all resources
POLICIES_OF_AWS = {
    "AmazonEC2ContainerRegistryPullOnly": (*PULL_ACTIONS, "ecr:BatchImportUpstreamImage"),
    "AmazonEC2ContainerRegistryReadOnly": (
        *PULL_ACTIONS,
        "ecr:BatchCheckLayerAvailability",
        "ecr:GetRepositoryPolicy",
        "ecr:DescribeRepositories",
        "ecr:ListImages",
        "ecr:DescribeImages",
        "ecr:GetLifecyclePolicy",
        "ecr:GetLifecyclePolicyPreview",
        "ecr:ListTagsForResource",
        "ecr:DescribeImageScanFindings",
    ),
}
SIGNED = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600&X-Amz-Signature=example"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LEVEL = re.compile(r"[A-Za-z0-9_.-]+")  # of a parameter's name
MOST_LEVELS = 15
PARAMETER_NAME = (
    'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
    "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 "
    "symbols .-_"
)
BOUNDARY = re.compile(r"arn:aws:iam::(\d{12}|aws):policy/.+")


class Login(NamedTuple):
    """What a registry token stands for."""

    region: str
    expires: float
    holder: Holder
    access_key: str


class Registry(Protocol):
    """A registry beside the simulator, which is to hold what is pushed by API calls."""

    def put_blob(self, account: str, region: str, repository: str, digest: str, blob: bytes) -> None: ...

    def put_manifest(self, account: str, region: str, repository: str, image: Image) -> bool: ...

    def layer_url(self, account: str, region: str, digest: str) -> str: ...


class Dispatcher(DomainDispatcherApplication):
    """moto looks through the folders of its installation with each request: here once for each host."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._known_backend = cache(super().get_backend_for_host)

    def get_backend_for_host(self, host: str | None) -> Any:
        return self._known_backend(host)


class AwsSimulator:
    """A few AWS accounts, in all regions; who calls with which key is in which is what `OPERATORS` tells."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.switches = dict(SWITCHES)
        self.layers: dict[str, bytes] = {}
        self.logins: dict[str, Login] = {}  # by the password of a registry token
        self.registry: Registry | None = None
        self.publics = {account: PublicRegistry(account, self._now, lambda: self.switches) for account in ACCOUNTS}
        self.session_ends: dict[str, float] = {}  # by the access key that a session was lent
        self.former_policies: dict[tuple[str, str, str], tuple[float, str | None]] = {}
        self.trail = Trail(self._now)
        self.access = Access(self._now, lambda: self.switches["propagation_seconds"])
        self._lock = RLock()
        self._moto = Dispatcher()
        _provide_policies()

    @property
    def public(self) -> PublicRegistry:
        """The public registry of the account that there is without further ado."""
        return self.publics[ACCOUNT]

    def _now(self) -> float:
        return self.clock()

    def reset(self) -> None:
        """Forget everything held, and the switches that were set."""
        with self._lock:
            BackendDict.reset()
            reset_model_data()
            _provide_policies()
            self.layers.clear()
            self.logins.clear()
            self.session_ends.clear()
            for registry in self.publics.values():
                registry.reset()
            self.former_policies.clear()
            self.trail.reset()
            self.switches = dict(SWITCHES)
            self.access.reset()

    def images(self) -> Images:
        """Return all that ECR holds."""
        with self._lock:
            held = {
                (account, region): backend.repositories
                for account in ACCOUNTS
                for region, backend in ecr_backends[account].items()
            }
            return deepcopy((held, self.layers))

    def put_images(self, images: Images) -> None:
        """Let ECR hold what `images` has returned, and nothing else."""
        with self._lock:
            held, self.layers = deepcopy(images)
            for (account, region), repositories in held.items():
                ecr_backends[account][region].repositories = repositories

    def switch(self, **changes: Any) -> None:
        """Set switches of the table SWITCHES."""
        if unknown := changes.keys() - SWITCHES.keys():
            raise ValueError(f"no such switch: {', '.join(sorted(unknown))}")
        with self._lock:
            self.switches |= {name: _setting(name, value) for name, value in changes.items()}

    def limit_operators(self, may: Callable[[str, str, Mapping[str, str]], bool]) -> None:
        """Let operators do only what this allows, of an action, a resource and condition keys, until the next reset."""
        self.access.operator_may = may

    def limit_organization(self, *documents: Json) -> None:
        """Put control policies of the organization above all users; none lets users do what their own policies say."""
        self.access.control_policies = tuple(json.dumps(document) for document in documents)

    def current(self) -> AbstractContextManager[Any]:
        """Keep others out for as long as this context lasts."""
        return self._lock

    def denial(self, login: Login, action: str, resource: str) -> str | None:
        """Return why the holder of a registry token may not do this, or None."""
        with self._lock:
            return self.access.denial(login.holder, action, resource)

    def expire_logins(self) -> None:
        """End all registry tokens."""
        with self._lock:
            self.logins = {password: login._replace(expires=0.0) for password, login in self.logins.items()}

    def login(self, call: AwsCall) -> tuple[str, Login]:
        """Mint a registry token for who calls; return its password and what it stands for."""
        password = base64.b64encode(secrets.token_bytes(TOKEN_BYTES)).decode()
        expires = self.clock() + self.switches["token_seconds"]
        holder = self.access.holder(call.access_key)
        if not self.switches["token_keeps_scope"]:
            holder = holder._replace(session_policy="")
        if not self.switches["token_outlives_session"]:
            expires = min(expires, self.session_ends.get(call.access_key, expires))
        self.logins[password] = Login(call.region, expires, holder, call.access_key)
        return password, self.logins[password]

    def repository_policy(self, account: str, region: str, name: str) -> str | None:
        """Return the policy of a repository, or None, as other accounts see it: a change takes a while to arrive."""
        with self._lock:
            repository = ecr_backends[account][region].repositories.get(name) if account in ACCOUNTS else None
            changed, former = self.former_policies.get((account, region, name), (-math.inf, None))
            if repository is None or self.clock() < changed + self.switches["propagation_seconds"]:
                return former if repository else None
            return repository.policy

    def has_tag(self, account: str, region: str, name: str, tag: str) -> bool:
        """Return whether a repository has an image with this tag."""
        with self._lock:
            repository = ecr_backends[account][region].repositories.get(name) if account in ACCOUNTS else None
            return repository is not None and find_image(repository, tag, None)[0] is not None

    def read_policy(self, account: str, region: str, repository: Repository) -> str | None:
        """Return the policy of a repository as its own account reads it."""
        changed, former = self.former_policies.get((account, region, repository.name), (-math.inf, None))
        return former if self.clock() < changed + self.switches["policy_read_seconds"] else repository.policy

    def refused(self, login: Login) -> bool:
        """Return whether a registry token works no more, because of its age or its key."""
        with self._lock:
            stands = self.switches["token_outlives_key"] or self.access.stands(login.access_key)
            return self.clock() >= login.expires or not stands

    def respond(self, environ: WSGIEnvironment) -> Response:
        """Serve one request."""
        request = Request(environ)
        with self._lock:
            if request.path.startswith("/_sandbox/"):
                return self._control(request)
            call = self.access.identified(parse(environ))
            response = self._answer(call, environ)
            self.trail.note(call, response)
            return response

    def _answer(self, call: AwsCall, environ: WSGIEnvironment) -> Response:
        try:
            self.access.check(call)
            return self._serve(call, environ)
        except AwsRefusal as refusal:
            return refuse(call, refusal.code, refusal.message, refusal.status)
        finally:
            self.access.observe()

    def _serve(self, call: AwsCall, environ: WSGIEnvironment) -> Response:
        def forward(changed: AwsCall) -> Response:
            return collect(self._moto, changed.for_moto(environ))

        handler = HANDLERS.get(call.name)
        return handler(self, call, forward) if handler else forward(call)

    def _control(self, request: Request) -> Response:
        if request.path == "/_sandbox/switches" and request.method in {"GET", "PATCH"}:
            return self._switches(request)
        layer = self.layers.get(request.path.removeprefix("/_sandbox/layers/"))
        if layer is None or request.method != "GET":
            return Response("not found\n", 404)
        if "X-Amz-Signature" not in request.args:
            return Response("the address is not signed\n", 403)
        if "Authorization" in request.headers:  # S3 takes one or the other
            return Response("only one auth mechanism is allowed\n", 400)
        return Response(layer, content_type="application/octet-stream")

    def _switches(self, request: Request) -> Response:
        try:
            self.switch(**(json.loads(request.get_data()) if request.method == "PATCH" else {}))
        except (TypeError, ValueError) as error:
            return Response(f"{error}\n", 422)
        return Response(json.dumps(self.switches), content_type="application/json")


def _setting(name: str, value: Any) -> Any:
    """Return what a switch is set to. Raises ValueError or TypeError."""
    if isinstance(SWITCHES[name], float):
        return float(value)
    if type(value) is not type(SWITCHES[name]) or value not in CHOICES.get(name, (value,)):
        raise ValueError(f"{name} cannot be {value!r}")
    return value


def create_app(simulator: AwsSimulator | None = None) -> WSGIApplication:
    """Return the WSGI application of a simulator."""
    served = simulator or AwsSimulator()
    return lambda environ, start_response: served.respond(environ)(environ, start_response)


# The registry


def _repository(call: AwsCall) -> Repository:
    name, registry = call.parameters["repositoryName"], call.parameters.get("registryId", call.account)
    held = ecr_backends[call.account][call.region].repositories
    repository = held.get(name) if registry == call.account else None
    if repository is None:
        text = f"The repository with name '{name}' does not exist in the registry with id '{registry}'"
        raise AwsRefusal("RepositoryNotFoundException", text)
    return repository


def _token(simulator: AwsSimulator, call: AwsCall, dummy: Forward) -> Response:
    """moto's tokens are all the same, and expired in 2015."""

    def token_of(registry: str) -> Json:
        password, login = simulator.login(call)
        return {
            "authorizationToken": base64.b64encode(f"AWS:{password}".encode()).decode(),
            "expiresAt": login.expires,
            "proxyEndpoint": f"https://{registry}.dkr.ecr.{call.region}.amazonaws.com",
        }

    registries = call.parameters.get("registryIds") or [call.account]
    return answer(call, {"authorizationData": [token_of(registry) for registry in registries]})


def _put_image(simulator: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto invents digests, but keeps a given one."""
    repository = _repository(call)
    digest = "sha256:" + hashlib.sha256(call.parameters["imageManifest"].encode()).hexdigest()
    if call.parameters.get("imageDigest", digest) != digest:
        text = "The provided digest does not match the digest of the image manifest"
        raise AwsRefusal("ImageDigestDoesNotMatchException", text)
    with keeping_untagged(repository):
        response = forward(call.changed(imageDigest=digest))
    if simulator.registry and response.status_code == 200:
        image = next(image for image in repository.images if image.image_digest == digest)
        if not simulator.registry.put_manifest(call.account, call.region, repository.name, image):
            repository.images.remove(image)
            raise AwsRefusal("LayersNotFoundException", "The image refers to layers that are not in the repository")
    return response


@contextmanager
def keeping_untagged(repository: Repository) -> Iterator[None]:
    """Keep what moto would forget: an image that loses its only tag."""
    before = list(repository.images)
    yield
    for image in before:
        if image not in repository.images:
            untagged: Any = image
            untagged.image_tags, untagged.image_tag = [], None
            repository.images.append(image)


def _batch_get_image(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto answers with the images that fit the tag or the digest, and does not say which digest it missed."""
    repository = _repository(call)
    images, failures = [], []
    for given in call.parameters["imageIds"]:
        image, failure = find_image(repository, given.get("imageTag"), given.get("imageDigest"))
        if image is None:
            failures.append({"imageId": given, "failureCode": failure[0], "failureReason": failure[1]})
        else:
            images.append(_described(call.account, image, given))
    return answer(call, {"images": images, "failures": failures})


def find_image(repository: Repository, tag: str | None, digest: str | None) -> tuple[Image | None, tuple[str, str]]:
    """Return the image of a tag, a digest or both; else None and AWS' reason."""
    if not tag and not digest:
        return None, ("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
    if digest and not DIGEST.fullmatch(digest):
        reason = "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
        return None, ("InvalidImageDigest", reason)
    tagged = [image for image in repository.images if not tag or tag in image.image_tags]
    fitting = [image for image in tagged if not digest or image.image_digest == digest]
    if fitting:
        return fitting[0], ("", "")
    if tagged and any(image.image_digest == digest for image in repository.images):
        return None, ("ImageTagDoesNotMatchDigest", "The requested tag does not match the requested digest")
    return None, ("ImageNotFound", "Requested image not found")


def _described(account: str, image: Image, given: Json) -> Json:
    tag = {"imageTag": given["imageTag"]} if given.get("imageTag") else {}
    return {
        "registryId": account,
        "repositoryName": image.repository_name,
        "imageId": {"imageDigest": image.image_digest, **tag},
        "imageManifest": image.image_manifest,
        "imageManifestMediaType": image.image_manifest_media_type,
    }


def _change_policy(simulator: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto's policies change at once, wherever they are looked at."""
    before = _repository(call).policy
    if simulator.switches["policy_text"] == "reordered" and "policyText" in call.parameters:
        call = call.changed(policyText=_reordered(call.parameters["policyText"]))
    response = forward(call)
    if response.status_code == 200:
        changed = (call.account, call.region, call.parameters["repositoryName"])
        simulator.former_policies[changed] = (simulator.clock(), before)
    return response


def _read_policy(simulator: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    repository = _repository(call)
    held = repository.policy
    repository.policy = simulator.read_policy(call.account, call.region, repository)
    try:
        return forward(call)
    finally:
        repository.policy = held


def _reordered(text: str) -> str:
    """Return a policy as AWS gives back those of other services: what has no order in an order of its own."""
    try:
        return json.dumps(_in_order(json.loads(text)))
    except ValueError:
        return text


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_order(value[name]) for name in sorted(value)}
    if not isinstance(value, list):
        return value
    parts = sorted((_in_order(one) for one in value), key=json.dumps)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts


def _complete_layer_upload(simulator: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto keeps the digest and size of a layer only."""
    upload = _repository(call).uploads.get(call.parameters["uploadId"])
    blob = bytes(upload.layer_parts) if upload else b""
    response = forward(call)
    if response.status_code == 200:
        digest = "sha256:" + hashlib.sha256(blob).hexdigest()
        simulator.layers[digest] = blob
        if simulator.registry:
            simulator.registry.put_blob(call.account, call.region, call.parameters["repositoryName"], digest, blob)
    return response


def _download_url(simulator: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    digest = call.parameters["layerDigest"]
    if digest not in _repository(call).layers:
        text = f"Layers with digests '[{digest}]' not found in the repository"
        raise AwsRefusal("LayersNotFoundException", text)
    if simulator.registry:
        url = simulator.registry.layer_url(call.account, call.region, digest)
    else:
        url = f"http://{call.headers['Host']}/_sandbox/layers/{digest}?{SIGNED}"
    return answer(call, {"downloadUrl": url, "layerDigest": digest})


def _public(simulator: AwsSimulator, call: AwsCall, dummy: Forward) -> Response:
    return answer(call, simulator.publics[call.account].answer(call))


# The secret store


def _pending(call: AwsCall, key: str) -> bool:
    secret = secretsmanager_backends[call.account][call.region].secrets.get(call.parameters[key])
    return secret is not None and secret.is_deleted()


def _create_secret(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    if _pending(call, "Name"):
        text = "You can't create this secret because a secret with this name is already scheduled for deletion."
        raise AwsRefusal("InvalidRequestException", text)
    return forward(call)


def _use_secret(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto lets some of these pass, and words the others differently."""
    if _pending(call, "SecretId"):
        text = "You can't perform this operation on the secret because it was marked for deletion."
        raise AwsRefusal("InvalidRequestException", text)
    return forward(call)


def _put_parameter(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto looks at the start of a name only; it takes the others for good that Parameter Store refuses."""
    name = call.parameters["Name"]
    levels = name.removeprefix("/").split("/")
    if "/" in name and not name.startswith("/"):
        raise AwsRefusal("ValidationException", "Parameter name must be a fully qualified name.")
    if not all(LEVEL.fullmatch(level) for level in levels):
        raise AwsRefusal("ValidationException", PARAMETER_NAME)
    if len(levels) > MOST_LEVELS:
        text = f"A hierarchy can have a maximum of {MOST_LEVELS} levels."
        raise AwsRefusal("HierarchyLevelLimitExceededException", text)
    return forward(call)


# Users


def _put_user_policy(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto knows the size of one policy only; AWS counts all inline ones of a user, without their white space."""
    user = iam(call.account).users.get(call.parameters["UserName"])
    others = user.policies if user else {}
    documents = {**others, call.parameters["PolicyName"]: call.parameters["PolicyDocument"]}
    if sum(len("".join(document.split())) for document in documents.values()) > INLINE_QUOTA:
        text = f"Maximum policy size of {INLINE_QUOTA} bytes exceeded for user {call.parameters['UserName']}"
        raise AwsRefusal("LimitExceeded", text, 409)
    return forward(call)


def _provide_policies() -> None:
    """moto has all managed policies of AWS or none; all of them take seconds to load."""
    for name, actions in POLICIES_OF_AWS.items():
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
        }
        dates = dict.fromkeys(("CreateDate", "UpdateDate"), "2024-10-04T00:00:00+00:00")
        data = {"DefaultVersionId": "v1", "Path": "/", "Document": document, **dates}
        for account in ACCOUNTS:
            policy = AWSManagedPolicy.from_data(name, account, "us-east-1", data)
            iam(account).managed_policies[policy.arn] = policy


def _create_policy(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto takes a policy of any size, and a name anew in another path."""
    name = call.parameters["PolicyName"]
    if name.lower() in {policy.name.lower() for policy in iam(call.account).managed_policies.values()}:
        raise AwsRefusal("EntityAlreadyExists", f"A policy called {name} already exists.", 409)
    return _create_policy_version(dummy, call, forward)


def _create_policy_version(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    if len("".join(call.parameters["PolicyDocument"].split())) > MANAGED_QUOTA:
        raise AwsRefusal("LimitExceeded", f"Cannot exceed quota for PolicySize: {MANAGED_QUOTA}", 409)
    return forward(call)


def _delete_policy(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto deletes a policy that is attached, and one of several versions."""
    policy = iam(call.account).managed_policies.get(call.parameters["PolicyArn"])
    if policy and policy.attachment_count:
        raise AwsRefusal("DeleteConflict", "Cannot delete a policy attached to entities.", 409)
    if policy and len(policy.versions) > 1:
        text = (
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions."
        )
        raise AwsRefusal("DeleteConflict", text, 409)
    return forward(call)


def _last_used(simulator: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto shows at once that a key was used."""
    key = iam(call.account).access_keys.get(call.parameters["AccessKeyId"])
    since = simulator.access.first_use(call.parameters["AccessKeyId"])
    if key is None or simulator.clock() >= since + simulator.switches["key_use_seconds"]:
        return forward(call)
    used, key.last_used = key.last_used, None
    try:
        return forward(call)
    finally:
        key.last_used = used


def _delete_user(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto deletes a user who still has keys."""
    user = iam(call.account).users.get(call.parameters["UserName"])
    if user and user.access_keys:
        raise AwsRefusal("DeleteConflict", "Cannot delete entity, must delete access keys first.", 409)
    return forward(call)


def _boundary(call: AwsCall) -> Json:
    arn = call.parameters["PermissionsBoundary"]
    if not BOUNDARY.fullmatch(arn):
        raise AwsRefusal("ValidationError", f"ARN {arn} is not valid.", 400)
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}


def _create_user(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    name = call.parameters["UserName"]
    if name.lower() in {taken.lower() for taken in iam(call.account).users}:  # moto minds the case
        raise AwsRefusal("EntityAlreadyExists", f"User with name {name} already exists.", 409)
    if "PermissionsBoundary" not in call.parameters:
        return forward(call)
    boundary = _boundary(call)
    response = forward(call)
    if response.status_code == 200:
        _set_boundary(call, boundary)
        members = "".join(f"<{name}>{value}</{name}>" for name, value in boundary.items())
        shown = f"<PermissionsBoundary>{members}</PermissionsBoundary></User>"
        response.set_data(response.get_data(as_text=True).replace("</User>", shown))
    return response


def _put_boundary(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    return _set_boundary(call, _boundary(call))


def _delete_boundary(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    return _set_boundary(call, None)


def _set_boundary(call: AwsCall, boundary: Json | None) -> Response:
    """moto shows the attributes of its user that bear the name of a field."""
    name = call.parameters["UserName"]
    user: Any = iam(call.account).users.get(name)
    if user is None:
        raise AwsRefusal("NoSuchEntity", f"The user with name {name} cannot be found.", 404)
    user.permissions_boundary = boundary
    return answer(call, {})


# Roles


def _create_role(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    name = call.parameters["RoleName"]
    if name.lower() in {role.name.lower() for role in iam(call.account).roles.values()}:  # moto minds the case
        raise AwsRefusal("EntityAlreadyExists", f"Role with name {name} already exists.", 409)
    if "PermissionsBoundary" in call.parameters:
        _boundary(call)
    check_trust(call.parameters["AssumeRolePolicyDocument"])
    return forward(call)


def _update_trust(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    check_trust(call.parameters["PolicyDocument"])
    return forward(call)


def _put_role_policy(dummy: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    role = role_of(call.account, call.parameters["RoleName"])
    others = role.policies if role else {}
    documents = {**others, call.parameters["PolicyName"]: call.parameters["PolicyDocument"]}
    if sum(len("".join(document.split())) for document in documents.values()) > ROLE_QUOTA:
        text = f"Maximum policy size of {ROLE_QUOTA} bytes exceeded for role {call.parameters['RoleName']}"
        raise AwsRefusal("LimitExceeded", text, 409)
    return forward(call)


def _assume_role(simulator: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto lends roles that do not exist, to anybody."""
    holder = simulator.access.holder(call.access_key)
    check_assumption(call, holder.arn or OPERATOR_ARN.format(holder.account))
    response = forward(call)
    lent = re.search(r"<AccessKeyId>(\w+)<", response.get_data(as_text=True))
    if lent:
        simulator.session_ends[lent[1]] = simulator.clock() + float(call.parameters.get("DurationSeconds", 3600))
    return response


# CloudTrail


def _look_up(simulator: AwsSimulator, call: AwsCall, dummy: Forward) -> Response:
    """moto answers to it that it is not implemented."""
    return simulator.trail.look_up(call)


# Identities


def _identify(simulator: AwsSimulator, call: AwsCall, forward: Forward) -> Response:
    """moto knows no operators."""
    response = forward(call)
    if not simulator.access.holder(call.access_key).user_id:
        arn = OPERATOR_ARN.format(call.account)
        response.set_data(re.sub(r"arn:aws:sts::\d{12}:user/moto", arn, response.get_data(as_text=True)))
    return response


def _simulate(simulator: AwsSimulator, call: AwsCall, dummy: Forward) -> Response:
    """moto answers to it that it is not implemented."""
    return simulate(simulator.access, call)


HANDLERS: dict[str, Handler] = {
    "cloudtrail:LookupEvents": _look_up,
    "ecr:GetAuthorizationToken": _token,
    "ecr:PutImage": _put_image,
    "ecr:BatchGetImage": _batch_get_image,
    "ecr:GetRepositoryPolicy": _read_policy,
    "ecr:SetRepositoryPolicy": _change_policy,
    "ecr:DeleteRepositoryPolicy": _change_policy,
    "ecr:CompleteLayerUpload": _complete_layer_upload,
    "ecr:GetDownloadUrlForLayer": _download_url,
    **{f"ecr-public:{operation}": _public for operation in OPERATIONS},
    "secretsmanager:CreateSecret": _create_secret,
    "secretsmanager:GetSecretValue": _use_secret,
    "secretsmanager:PutSecretValue": _use_secret,
    "secretsmanager:UpdateSecret": _use_secret,
    "secretsmanager:TagResource": _use_secret,
    "secretsmanager:UntagResource": _use_secret,
    "ssm:PutParameter": _put_parameter,
    "iam:CreateUser": _create_user,
    "iam:DeleteUser": _delete_user,
    "iam:GetAccessKeyLastUsed": _last_used,
    "iam:PutUserPolicy": _put_user_policy,
    "iam:CreatePolicy": _create_policy,
    "iam:CreatePolicyVersion": _create_policy_version,
    "iam:DeletePolicy": _delete_policy,
    "iam:PutUserPermissionsBoundary": _put_boundary,
    "iam:DeleteUserPermissionsBoundary": _delete_boundary,
    "iam:SimulatePrincipalPolicy": _simulate,
    "iam:CreateRole": _create_role,
    "iam:UpdateAssumeRolePolicy": _update_trust,
    "iam:PutRolePolicy": _put_role_policy,
    "sts:AssumeRole": _assume_role,
    "sts:GetCallerIdentity": _identify,
}
