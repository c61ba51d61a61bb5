# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet as an inventory: one host for each AWS account of the sandbox, with workloads in several regions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.sandbox.aws_calls import OPERATORS
from tests.sandbox.images import Sample, build, push
from tests.sandbox.server import SECRET_KEY, Sandbox

Json = dict[str, Any]

GROUP = "fleet"
USER = "runpod-ecr-access"
REGIONS = ("us-east-1", "eu-west-1", "ap-northeast-2")
REPOSITORIES = ("fleet/train", "fleet/serve")
HOSTS = {f"account-{account}": (account, key) for key, account in OPERATORS.items()}


class Fleet:
    """The hosts, what lies in their registries, and what both clouds hold once the fleet has converged."""

    def __init__(self, sandbox: Sandbox, size: int = 200, hosts: Iterable[str] = HOSTS) -> None:
        self.sandbox = sandbox
        self.accounts = {host: HOSTS[host] for host in hosts}
        self.keys = {host: key for host, (dummy, key) in self.accounts.items()}  # of the operators
        self.workloads = {
            host: [self._workload(host, number) for number in range(size // len(self.accounts))]
            for host in self.accounts
        }

    def _workload(self, host: str, number: int) -> Json:
        account = HOSTS[host][0]
        region, repository = REGIONS[number % len(REGIONS)], REPOSITORIES[number % len(REPOSITORIES)]
        image = f"{account}.dkr.ecr.{region}.amazonaws.com/{repository}:v1"
        return {"image": image, "template": {"name": f"{host}-{number:02}", "env": {"NUMBER": number}}}

    def push(self) -> None:
        """Put the images into the registries of all accounts and regions."""
        image = build(Sample("", "fleet", "v1", ("amd64",)))
        for key in OPERATORS:
            for region in REGIONS:
                registry = self.sandbox.client("ecr", key, region_name=region)
                for repository in REPOSITORIES:
                    registry.create_repository(repositoryName=repository)
                    push(registry, repository, "v1", image)

    def write(self, folder: Path) -> Path:
        """Write the inventory: what the hosts have in common as variables of the group, the rest as those of each."""
        hosts: Json = {"children": {GROUP: {"hosts": dict.fromkeys(self.accounts, {})}}}
        files: Json = {"hosts.json": {"all": hosts}, f"group_vars/{GROUP}.json": {"runpod_ecr_template": {"disk": 80}}}
        for host in self.accounts:
            files[f"host_vars/{host}.json"] = {
                "runpod_ecr_aws": {"access_key": self.keys[host], "secret_key": SECRET_KEY},
                "runpod_ecr_workloads": self.workloads[host],
            }
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(json.dumps(content))
        return folder

    def wanted(self) -> Json:
        """Return what both clouds are to hold, by name."""
        accounts = [account for account, dummy in self.accounts.values()]
        return {
            "templates": sorted(
                (item["template"]["name"], item["image"], f"{USER}-{HOSTS[host][0]}-{item['image'].split('.')[3]}")
                for host, items in self.workloads.items()
                for item in items
            ),
            "credentials": sorted(f"{USER}-{account}-{region}" for account in accounts for region in REGIONS),
            "users": {account: [(USER, 1, [f"runpod-ecr/{USER}"])] for account in accounts},
            "pullable": {
                account: sorted(
                    f"arn:aws:ecr:{region}:{account}:repository/{name}" for region in REGIONS for name in REPOSITORIES
                )
                for account in accounts
            },
        }

    def current(self) -> Json:
        """Return what both clouds hold in the same form. Every credential holds a token that works."""
        world = self.sandbox.runpod.state()
        names = {registry["id"]: registry["name"] for registry in world["registries"]}
        assert all(registry["password"] in self.sandbox.aws.logins for registry in world["registries"])
        return {
            "templates": sorted((one["name"], one["image"], names[one["registry"]]) for one in world["templates"]),
            "credentials": sorted(names.values()),
            "users": {account: self._users(key) for account, key in self.accounts.values()},
            "pullable": {account: self._pullable(key) for account, key in self.accounts.values()},
        }

    def _users(self, key: str) -> list[Any]:
        """Return an account's users, with the number of their keys, and the entries of its secret store."""
        iam = self.sandbox.client("iam", key)
        listed = self.sandbox.client("secretsmanager", key).list_secrets()["SecretList"]
        secrets = [secret["Name"] for secret in listed]
        return [
            (user["UserName"], len(iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]), secrets)
            for user in iam.list_users()["Users"]
        ]

    def _pullable(self, key: str) -> list[str]:
        """Return the repositories that the policies of the pull user name."""
        iam = self.sandbox.client("iam", key)
        named = []
        for policy in iam.list_user_policies(UserName=USER)["PolicyNames"]:
            document = iam.get_user_policy(UserName=USER, PolicyName=policy)["PolicyDocument"]
            named += [each for each in document["Statement"] if each["Resource"] != "*"]
        return sorted(resource for statement in named for resource in statement["Resource"])
