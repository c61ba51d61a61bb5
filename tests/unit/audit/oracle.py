# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulls as RunPod does: with the password that RunPod holds, as its roles by a delegation, or as nobody in particular.

It looks at the clouds themselves and knows nothing of the audit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from moto.ecr.models import Repository, ecr_backends

from tests.sandbox.aws import find_image
from tests.sandbox.aws_public import REGION as PUBLIC_REGION
from tests.sandbox.runpod_delegations import PULL_ACTIONS, PULL_ROLES
from tests.sandbox.server import Sandbox
from tests.unit.rights.judge import Who, allowed

Json = dict[str, Any]

PRIVATE = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)(?::([^@]+))?(?:@(.+))?")
PUBLIC = re.compile(r"public\.ecr\.aws/([^:@]+)(?::([^@]+))?(?:@(.+))?")
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
NEEDED = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


class Refused(Exception):
    """Why a pull fails."""


def why_not(sandbox: Sandbox, thing: Json) -> str:
    """Return why RunPod cannot pull what a template, an endpoint or a pod runs; empty when it can."""
    try:
        pull(sandbox, thing["image"], thing["registry"])
    except Refused as refusal:
        return str(refusal)
    return ""


def pull(sandbox: Sandbox, image: str, registry: str | None) -> None:
    """Fetch manifest, configuration and every layer. Raises Refused."""
    if match := PRIVATE.fullmatch(image):
        account, region, name, tag, digest = match.groups()
        if registry:
            log_in(sandbox, registry, account, region, name)
        else:
            be_delegated(sandbox, account, region, name)
        repository = ecr_backends[account][region].repositories.get(name)
        if repository is None:
            raise Refused(f"there is no repository {name} in {region}")
        configuration = fetch(repository, tag or (None if digest else "latest"), digest)
        if json.loads(sandbox.aws.layers[configuration]).get("architecture") != "amd64":
            raise Refused("it is not for linux/amd64")
    elif match := PUBLIC.fullmatch(image):
        pull_public(sandbox, *match.groups())
    else:
        raise Refused(f"the sandbox has no registry of {image}")


# Who pulls


def log_in(sandbox: Sandbox, registry: str, account: str, region: str, name: str) -> None:
    """Show the password that RunPod holds to the registry of a region."""
    credential = sandbox.runpod.world.current["registries"].get(registry)
    if credential is None:
        raise Refused("the credential is gone")
    login = sandbox.aws.logins.get(credential["password"])
    if credential["username"] != "AWS" or login is None:
        raise Refused("the password is no token")
    if login.region != region or sandbox.aws.clock() >= login.expires:
        raise Refused("the token is over, or for another region")
    arn = f"arn:aws:ecr:{region}:{account}:repository/{name}"
    for action in NEEDED:
        if denied := sandbox.aws.denial(login, action, arn):
            raise Refused(denied)


def be_delegated(sandbox: Sandbox, account: str, region: str, name: str) -> None:
    """Pull as each of RunPod's roles, whichever the host uses."""
    identity = {"awsUser": account, "awsRegion": region, "repository": name}
    held = sandbox.runpod.world.own("delegations")
    if not any(identity.items() <= each.items() for each in held):
        raise Refused("there is neither a credential nor a delegation")
    policy = sandbox.aws.repository_policy(account, region, name)
    arn = f"arn:aws:ecr:{region}:{account}:repository/{name}"
    for role in PULL_ROLES:
        if policy is None or not lets_in(role, json.loads(policy), arn):
            raise Refused(f"the policy of {name} does not let {role} pull")


def lets_in(role: str, policy: Json, arn: str) -> bool:
    requests = [(action, arn) for action in PULL_ACTIONS]
    own: Json = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    context = {"aws:PrincipalArn": role, "aws:PrincipalAccount": role.split(":")[4], "aws:SecureTransport": "true"}
    return allowed(Who(role, own, context), requests, policy) == set(requests)


# What is pulled


def fetch(repository: Repository, tag: str | None, digest: str | None) -> str:
    """Return the digest of the configuration, once every layer is there."""
    manifest = manifest_of(repository, None if digest else tag, digest)
    if manifest.get("mediaType") in INDEXES:
        chosen = [one["digest"] for one in manifest["manifests"] if is_for_runpod(one.get("platform") or {})]
        if not chosen:
            raise Refused("there is nothing for linux/amd64")
        manifest = manifest_of(repository, None, chosen[0])
    if manifest.get("config", {}).get("mediaType") not in CONFIGS:
        raise Refused("it is no image")
    for blob in (manifest["config"], *manifest["layers"]):
        if blob["digest"] not in repository.layers:
            raise Refused(f"the layer {blob['digest']} is not there")
    return str(manifest["config"]["digest"])


def manifest_of(repository: Repository, tag: str | None, digest: str | None) -> Json:
    image, (code, dummy) = find_image(repository, tag, digest)
    if image is None:
        raise Refused(f"{tag or digest}: {code}")
    manifest: Json = json.loads(image.image_manifest)
    return manifest


def is_for_runpod(platform: Json) -> bool:
    return (platform.get("os"), platform.get("architecture")) == ("linux", "amd64")


def pull_public(sandbox: Sandbox, path: str, tag: str | None, digest: str | None) -> None:
    held = [registry.repository(path) for registry in sandbox.aws.publics.values()]
    [repository, *dummy] = [each for each in held if each is not None] or [None]
    if repository is None:
        raise Refused(f"there is no public repository {path} in {PUBLIC_REGION}")
    images: Iterator[Any] = iter(repository.images.values())
    if not any(each.digest == digest if digest else (tag or "latest") in each.tags for each in images):
        raise Refused(f"the public repository {path} has no {digest or tag}")
