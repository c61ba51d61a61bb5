# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least rights of the operator: those that the calls of all kinds of runs need are those that the pages list."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from ansible_collections.gpuops.runpod.plugins.module_utils._errors import RunpodError
from ansible_collections.gpuops.runpod.plugins.modules import (
    ecr_pull_check,
    ecr_pull_grant,
    ecr_pull_user,
    runpod_ecr_credential,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import (
    STORES,
    Account,
    Recorder,
    Store,
    client,
    refusal,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod
from ansible_collections.gpuops.runpod.tests.unit.plugins.rights import listed, needed

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
NAME = "puller"
USER: Json = {
    "name": NAME,
    "state": "present",
    "path": "/runpod/",
    "permissions_boundary": None,
    "user_tags": None,
    "purge_tags": True,
    "policy": "repositories",
    "repositories": ["app"],
    "purge_repositories": True,
    "pull_through": False,
    "key_state": "present",
    "rotate_after_days": None,
    "propagation_timeout": 90,
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
    "via": "api",
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


class Cloud(Account):
    """An account with an image, that mints tokens which work and gives addresses of layers."""

    def get_authorization_token(self, *dummy: Any) -> Json:
        token = base64.b64encode(b"AWS:password").decode()
        expiry = self.now + timedelta(hours=12)
        return {"authorizationData": [{"authorizationToken": token, "expiresAt": expiry}]}

    def batch_get_image(self, *dummy: Any) -> Json:
        config = {"digest": f"sha256:{'c' * 64}", "size": 3}
        manifest = json.dumps({"schemaVersion": 2, "config": config, "layers": []})
        return {"images": [{"imageId": {"imageDigest": f"sha256:{'a' * 64}"}, "imageManifest": manifest}]}

    def get_download_url_for_layer(self, *dummy: Any) -> Json:
        return {"downloadUrl": "https://layers.test/config"}


class Observed(Cloud):
    """The same, as the operator sees it; what is called as the pull user goes to `pull_user`."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.pull_user = Cloud(store)

    def connect(self, service: str, region: str, **options: Any) -> Recorder:
        caller = self.pull_user if options.get("aws_access_key_id") else self
        return Recorder(caller, service, client(service, region))

    def actions(self) -> set[str]:
        """Return what all calls of the operator so far needed."""
        calls = [(*name.split(":"), request) for name, request in self.requests]
        return set().union(*(needed(service, operation, request) for service, operation, request in calls))


class NoLayers:
    """An opener that reaches nobody."""

    def open(self, *dummy: Any) -> None:
        raise OSError("unreachable")


def both(run: Callable[[bool], object]) -> None:
    """Run in check mode, then really."""
    run(True)
    run(False)


def use_user(account: Observed) -> None:
    def run(check_mode: bool = False, **options: Any) -> None:
        ecr_pull_user.run({**USER, "secret_store": account.store.options, **options}, check_mode, account.aws())

    def everywhere(**options: Any) -> None:
        both(lambda check_mode: run(check_mode, **options))

    account.before["iam:create_user"] = refusal("EntityAlreadyExists", 409)  # by a name in another spelling
    with suppress(RunpodError):
        run()
    everywhere(user_tags={"team": "training"}, permissions_boundary="arn:aws:iam::123456789012:policy/one")
    everywhere(user_tags={}, permissions_boundary="arn:aws:iam::123456789012:policy/two")
    everywhere(path="/team/", permissions_boundary="")
    everywhere(path="/team/", repositories=["web"])
    for count in range(60, 67):  # more versions than a managed policy may have
        run(path="/team/", repositories=[f"svc-{number:06}" for number in range(count)])
    everywhere(path="/team/", policy="pull_only")
    everywhere(path="/team/", policy="repositories")
    if account.store.options["type"] == "secretsmanager":
        client("secretsmanager").delete_secret(SecretId=account.store.name)
        everywhere(path="/team/")
    everywhere(path="/team/", key_state="absent")
    everywhere(state="absent")
    run(state="absent")


def use_credential(account: Observed) -> None:
    ecr_pull_user.run({**USER, "secret_store": account.store.options}, False, account.aws())
    account.forget()
    clients = runpod_ecr_credential.Clients(account.aws(), FakeRunpod().client)
    store = {**account.store.options, "name": account.store.name}
    for options in ({}, {"force": True}, {"secret_store": None}, {"state": "absent", "registry_region": None}):
        params = {**CREDENTIAL, "secret_store": store, **options}
        both(lambda check_mode, params=params: runpod_ecr_credential.run(params, check_mode, clients))


def use_check(account: Observed) -> None:
    ecr_pull_user.run({**USER, "secret_store": account.store.options}, False, account.aws())
    account.forget()
    account.pull_user.before["ecr:batch_get_image"] = refusal("AccessDeniedException")  # as long as the rights are new
    clients = ecr_pull_check.Clients(account.aws(), NoLayers())
    store = {**account.store.options, "name": account.store.name}
    for identity in ("secret_store", "caller"):
        params = {**CHECK, "identity": identity, "secret_store": store}
        both(lambda check_mode, params=params: ecr_pull_check.run(params, check_mode, clients))


def use_grant(account: Observed) -> None:
    client("ecr").create_repository(repositoryName="app")
    for state in ("present", "present", "absent"):
        both(lambda check_mode, state=state: ecr_pull_grant.run({**GRANT, "state": state}, check_mode, account.aws()))


USES = {
    "ecr_pull_check": use_check,
    "ecr_pull_grant": use_grant,
    "ecr_pull_user": use_user,
    "runpod_ecr_credential": use_credential,
}


def test_every_module_that_calls_aws_is_used() -> None:
    calling = [path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if "aws_client" in path.read_text()]
    assert sorted(calling) == sorted(USES)


@pytest.mark.parametrize("module", USES)
def test_page_lists_what_the_module_calls_and_nothing_else(module: str) -> None:
    called = set()
    for store in STORES.values():
        with mock_aws():
            account = Observed(store)
            USES[module](account)
            called |= account.actions()
    assert called == listed(module)


def test_readme_lists_what_the_pages_list() -> None:
    section = (ROOT / "README.md").read_text().partition("## What the operator must be allowed to do")[2]
    cells = [line.split("|")[1] for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    found, service = set(), ""
    for given, name in re.findall(r"`(?:([a-z-]+):)?([A-Z]\w+)`", "".join(cells)):
        service = given or service  # of a name alone, the last one named
        found.add(f"{service}:{name}")
    assert found - {"iam:PolicyARN"} == set().union(*map(listed, USES))  # that is a condition key
