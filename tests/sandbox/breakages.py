# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Breaks what the role has made, as somebody might in an account: `python -m tests.sandbox.breakages NAME`.

Reads the addresses and keys from the environment, as the sandbox exports them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import boto3

from .show import held

USER = os.environ.get("SANDBOX_USER", "runpod-ecr-access")
REPOSITORY, TAG = "runpod-gpu-training", "v1"


SESSION: Any = boto3.session.Session()


def client(service: str) -> Any:
    return SESSION.client(service, os.environ["AWS_REGION"])


def take_policy() -> str:
    client("iam").delete_user_policy(UserName=USER, PolicyName="gpuops-runpod-pull")
    return f"the policy gpuops-runpod-pull of {USER} is gone"


def deactivate_key() -> str:
    [key] = client("iam").list_access_keys(UserName=USER)["AccessKeyMetadata"]
    client("iam").update_access_key(UserName=USER, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    return f"the access key {key['AccessKeyId']} of {USER} is inactive"


def delete_secret() -> str:
    client("secretsmanager").delete_secret(SecretId=f"runpod-ecr/{USER}", ForceDeleteWithoutRecovery=True)
    return f"the secret runpod-ecr/{USER} is gone"


def remove_image() -> str:
    client("ecr").batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": TAG}])
    return f"the tag {TAG} of {REPOSITORY} is gone (leave the sandbox to get it back)"


def delete_credential() -> str:
    [credential] = [one for one in held("registries") if one["name"].startswith(USER)]
    send("DELETE", f"registries/{credential['id']}")
    return f"RunPod's credential {credential['name']} is gone"


def delete_template() -> str:
    [template] = [one for one in held("templates") if one["name"] == REPOSITORY]
    send("DELETE", f"templates/{template['id']}")
    return f"RunPod's template {template['name']} is gone"


def send(method: str, path: str) -> None:
    request = Request(
        f"{os.environ['RUNPOD_API_BASE_URL']}/v2/{path}",
        headers={"Authorization": f"Bearer {os.environ['RUNPOD_API_KEY']}"},
        method=method,
    )
    with urlopen(request):
        pass


BREAKAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "policy": ("take the right to pull from the pull user", take_policy),
    "key": ("deactivate the pull user's key", deactivate_key),
    "secret": ("delete the key from the secret store", delete_secret),
    "image": ("delete the image's tag", remove_image),
    "credential": ("delete the credential at RunPod", delete_credential),
    "template": ("delete the template at RunPod", delete_template),
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in BREAKAGES:
        lines = [f"  sandbox-break {name:<12}{text}" for name, (text, dummy) in BREAKAGES.items()]
        print("\n".join(lines), file=sys.stderr if arguments else sys.stdout)
        return 2 if arguments else 0
    print(BREAKAGES[arguments[0]][1]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
