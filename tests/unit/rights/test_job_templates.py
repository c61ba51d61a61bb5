# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least rights of each job template in AWX: docs/awx.md lists what its run calls, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from moto import mock_aws

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import pull_check
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.registry_client import Registry
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_state import Clients
from ansible_collections.gpuops.runpod.plugins.modules import ecr_pull_check, ecr_pull_user_info, runpod_ecr_credential
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import STORES, client, lost
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod
from ansible_collections.gpuops.runpod.tests.unit.rights.judge import allowed
from ansible_collections.gpuops.runpod.tests.unit.rights.test_operator import (
    AUDIT,
    CHECK,
    CREDENTIAL,
    ROOT,
    Json,
    NoLayers,
    Observed,
    actions,
    both,
    operator,
    play,
    play_both,
    unnoted,
)

TEAM = "/runpod/team/"


def check(account: Observed, identity: str) -> None:
    nobody = NoLayers()
    clients = pull_check.Clients(
        account.aws(), nobody, lambda host, login: Registry(nobody, host, login, account.sleep)
    )
    params = {**CHECK, "identity": identity, "via": "api", "secret_store": account.options}
    both(lambda check_mode: ecr_pull_check.run(params, check_mode, clients))


def hand_over(account: Observed, runpod: FakeRunpod, **options: str | None) -> None:
    clients = Clients(account.aws(), runpod.client)
    params = {**CREDENTIAL, "secret_store": account.options, **options}
    both(lambda check_mode: runpod_ecr_credential.run(params, check_mode, clients))


def keep_fresh(account: Observed) -> None:
    """Hand tokens over for months. What is noted of a credential that is gone is dropped in the end."""
    runpod = FakeRunpod()
    hand_over(account, runpod)
    hand_over(account, runpod, name="other")
    account.now += timedelta(days=60)
    hand_over(account, FakeRunpod())


def look_at(account: Observed, secret_store: Json | None) -> None:
    params = {**AUDIT, "secret_store": secret_store, "events": None}
    ecr_pull_user_info.run(params, False, account.aws())


def converge(account: Observed) -> None:
    check(account, "caller")
    account.after["iam:create_access_key"] = lost()  # the next run takes this key back
    with suppress(CollectionError):
        play(account)
    play_both(account, user_tags={"team": "training"})
    play_both(account, user_tags={})
    play_both(account, path=TEAM)
    client("secretsmanager").delete_secret(SecretId=account.store.name)
    play_both(account, path=TEAM, repositories=["app", "web"])
    keep_fresh(account)
    check(account, "secret_store")


def refresh(account: Observed) -> None:
    with unnoted(account):
        play(account)
    keep_fresh(account)


def rotate(account: Observed) -> None:
    with unnoted(account):
        play(account)
    look_at(account, None)
    for pause in (timedelta(days=90), timedelta(hours=24), timedelta(hours=24)):  # made, deactivated, deleted
        account.now += pause
        play_both(account, rotate_after_days=90, repositories=None)
        keep_fresh(account)
    check(account, "secret_store")


def audit(account: Observed) -> None:
    with unnoted(account):
        play(account)
    check(account, "caller")
    look_at(account, account.options)
    play(account, check_mode=True, repositories=["other"])
    check(account, "secret_store")


def teardown(account: Observed) -> None:
    runpod = FakeRunpod()
    with unnoted(account):
        play(account, repositories=["app", "web"])
        hand_over(account, runpod)
    play_both(account, repositories=["app"])  # of a user that something else needs
    hand_over(account, runpod, state="absent", registry_region=None)
    play_both(account, state="absent")


RUNS: dict[str, Callable[[Observed], None]] = {
    "converge": converge,
    "refresh": refresh,
    "rotate": rotate,
    "audit": audit,
    "teardown": teardown,
}


WITHOUT_RIGHTS_OF_THEIR_OWN = {"fleet check", "teardown preview"}


def documented() -> dict[str, set[str]]:
    """Return the actions that the page lists for each job template."""
    section = (ROOT / "docs" / "awx.md").read_text().partition("## Least rights")[2].partition("\n## ")[0]
    found: dict[str, set[str]] = {}
    for row in re.findall(r"^\| `RunPod ECR (\w+)` \|(.*)\|$", section, re.MULTILINE):
        name, cells = row
        found.setdefault(name, set())
        service = ""
        for given, action in re.findall(r"`(?:([a-z-]+):)?([A-Z]\w+)`", cells):
            service = given or service  # of a name alone, the last one named
            found[name].add(f"{service}:{action}")
    return found


@pytest.mark.parametrize("template", RUNS)
@mock_aws
def test_page_lists_what_the_job_calls_and_nothing_else(template: str) -> None:
    account = Observed(STORES["secretsmanager"])
    RUNS[template](account)
    asked = account.asked
    assert sorted(actions(asked)) == sorted(documented()[template])
    assert allowed(operator(), asked) == asked


def test_page_lists_every_job_template() -> None:
    templates = (ROOT / "extensions" / "awx" / "controller" / "controller_templates.yml").read_text()
    named = set(re.findall(r'^  - name: "\{\{ runpod_awx_prefix \}\} ECR ([\w ]+)"$', templates, re.MULTILINE))
    assert documented().keys() == RUNS.keys() and named == documented().keys() | WITHOUT_RIGHTS_OF_THEIR_OWN
    page = (ROOT / "docs" / "awx.md").read_text()
    assert all(f"`RunPod ECR {name}`" in page for name in WITHOUT_RIGHTS_OF_THEIR_OWN)


def test_audit_only_reads() -> None:
    assert not [action for action in documented()["audit"] if not re.search(":(Get|List|Describe|BatchGet)", action)]
