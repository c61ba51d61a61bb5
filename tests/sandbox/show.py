# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists what stands in both clouds, as their APIs tell it: `python -m tests.sandbox.show`.

Reads the addresses and keys from the environment, as the sandbox exports them. Shows no secret.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.request import Request, urlopen

import boto3


def aws() -> Iterator[tuple[str, str]]:
    """Yield (kind, description) of each user, policy, key and secret."""
    region = os.environ["AWS_REGION"]
    iam = boto3.client("iam", region)
    for user in iam.list_users()["Users"]:
        name = user["UserName"]
        yield "IAM user", user["Arn"]
        for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
            document = iam.get_user_policy(UserName=name, PolicyName=policy)["PolicyDocument"]
            for statement in document["Statement"]:
                yield f"  may ({policy})", f"{listed(statement['Action'])} on {listed(statement['Resource'])}"
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            yield "  access key", f"{key['AccessKeyId']} ({key['Status']})"
    yield from granted(boto3.client("ecr", region))
    yield from published(boto3.client("ecr-public", region))
    secrets = boto3.client("secretsmanager", region).list_secrets()["SecretList"]
    for secret in secrets:
        tags = ", ".join(f"{tag['Key']} = {tag['Value']}" for tag in secret.get("Tags", []))
        yield "Secret", f"{secret['Name']} ({tags})"


def granted(registry: Any) -> Iterator[tuple[str, str]]:
    """Yield (kind, description) of each repository with a policy."""
    for repository in registry.describe_repositories()["repositories"]:
        with suppress(registry.exceptions.RepositoryPolicyNotFoundException):
            policy = registry.get_repository_policy(repositoryName=repository["repositoryName"])["policyText"]
            yield "ECR repository", repository["repositoryName"]
            for statement in json.loads(policy)["Statement"]:
                condition = statement.get("Condition", {}).get("StringEquals", {})
                who = condition.get("aws:PrincipalArn") or json.dumps(statement["Principal"])
                yield f"  lets in ({statement.get('Sid', 'no Sid')})", listed(who)


def published(registry: Any) -> Iterator[tuple[str, str]]:
    """Yield (kind, description) of each public repository and image."""
    for repository in registry.describe_repositories()["repositories"]:
        yield "ECR Public repository", repository["repositoryUri"]
        for image in registry.describe_images(repositoryName=repository["repositoryName"])["imageDetails"]:
            if tags := image.get("imageTags"):
                yield "  everybody may pull", f"{listed(tags)} ({image['imageDigest']})"


def runpod() -> Iterator[tuple[str, str]]:
    """Yield (kind, description) of each credential, delegation, template and endpoint."""
    for registry in held("registries"):
        yield "RunPod credential", f"{registry['name']} ({registry['id']})"
    for delegation in held("registries/delegations", "delegations"):
        yield "RunPod delegation", f"{delegation['dockerRegistryUri']}/{delegation['repository']} ({delegation['id']})"
    for kind, collection, key in (("template", "templates", "templates"), ("endpoint", "serverless", "endpoints")):
        for thing in held(collection, key):
            yield f"RunPod {kind}", f"{thing['name']} ({thing['id']}): {thing['image']}"
            yield "  pulls with", thing["registry"] or "no credential"


def held(collection: str, key: str = "") -> list[dict[str, Any]]:
    """Return what RunPod's API lists of one kind, under this key of its answer."""
    request = Request(
        f"{os.environ['RUNPOD_API_BASE_URL']}/v2/{collection}",
        headers={"Authorization": f"Bearer {os.environ['RUNPOD_API_KEY']}"},
    )
    with urlopen(request) as answer:
        return json.load(answer)[key or collection]


def listed(value: str | list[str]) -> str:
    """Return one or many values as text."""
    return value if isinstance(value, str) else ", ".join(value)


def main() -> None:
    for kind, description in [*aws(), *runpod()]:
        print(f"{kind:<28}{description}")


if __name__ == "__main__":
    main()
