# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies of docs/policies: each lets the runs that it is for through, and has nothing that none of them needs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws
from parliament import analyze_policy_string

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import image_mirror, public_repository
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.reference import parse_ecr
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_state import Clients
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit_look import expiring
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.look import ReadOnlyAws
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.preflight_look import policy_source, simulation
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.preflight_rights import Right, Verdict
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.pull_look import missing_layers
from ansible_collections.gpuops.runpod.plugins.modules import (
    ecr_image_mirror,
    ecr_public_repo,
    ecr_pull_grant,
    ecr_pull_role,
    runpod_ecr_credential,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import (
    STORES,
    client,
    lost,
    refusal,
)
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import FakeRunpod
from ansible_collections.gpuops.runpod.tests.unit.rights.judge import Json, Request, Who, allowed, ask, findings
from ansible_collections.gpuops.runpod.tests.unit.rights.test_job_templates import check, keep_fresh
from ansible_collections.gpuops.runpod.tests.unit.rights.test_operator import (
    CREDENTIAL,
    DIGEST,
    GRANT,
    HOME,
    MANY,
    MIRROR,
    NAME,
    PRIVATE,
    PUBLIC,
    ROLE,
    Carrier,
    Observed,
    Shelf,
    both,
    here,
    keep_role,
    look,
    mint_as_role,
    play,
    play_both,
    quarantine,
    unnoted,
    use_grant,
    use_info,
    use_role,
    use_rotation,
)
from ansible_collections.gpuops.runpod.tools.rights import POLICIES, RULES, documents

BOUNDARY = f"arn:aws:iam::{HOME}:policy/runpod-pull-boundary"
TEAM = "/runpod/team/"
PAGE = POLICIES.parent / "rights.md"


# What whom does


def look_whole(account: Observed) -> None:
    """What a plan asks of images that only the caller can see yet."""
    check(account, "caller")
    seen: Any = SimpleNamespace(aws=account.aws())
    assert missing_layers(seen, parse_ecr(f"{PRIVATE}/app:v1"), [DIGEST]) == []


def manage(account: Observed) -> None:
    """All that happens to a user whose repositories fit into an inline policy, from nothing to a second absence."""
    look_whole(account)
    play(account, check_mode=True)
    account.before["iam:create_user"] = refusal("EntityAlreadyExists", 409)  # by a name in another spelling
    account.after["iam:create_access_key"] = lost()  # the next run takes this key back
    with suppress(CollectionError):
        play(account)
    with suppress(CollectionError):
        play(account)
    play_both(account, user_tags={"team": "training"})
    play_both(account, user_tags={})
    play_both(account, path=TEAM, repositories=["app", "web"])
    if account.store.options["type"] == "secretsmanager":
        client("secretsmanager").delete_secret(SecretId=account.store.name)
        play_both(account, path=TEAM)
    keep_fresh(account)
    check(account, "secret_store")
    play_both(account, path=TEAM, key_state="absent")
    play_both(account, state="absent")
    play_both(account, state="absent")


def bound_the_unbounded(account: Observed) -> None:
    """A user that somebody made before there was a boundary."""
    with unnoted(account):
        play(account, permissions_boundary=None)
    play_both(account, repositories=["app", "web"])


def shut_off(account: Observed) -> None:
    with unnoted(account):
        play(account)
    quarantine(account)


def outgrow(account: Observed) -> None:
    """Policies that are attached: for more repositories than fit, and those of AWS."""
    for count in range(7):  # more versions than a managed policy may have
        play(account, repositories=[*MANY, *(f"more-{one}" for one in range(count))])
    for policy in ("pull_only", "read_only", "repositories"):
        play_both(account, policy=policy)
    play_both(account, repositories=MANY)
    quarantine(account)


def keep_a_role(account: Observed) -> None:
    """All that happens to a role, from nothing to a second absence, and one that somebody made without a boundary."""
    look_whole(account)
    use_role(account, ())
    with unnoted(account):
        keep_role(account, permissions_boundary=None)
    keep_role(account, repositories=["app", "web"])
    mint_as_role(account)


def refresh(account: Observed) -> None:
    with unnoted(account):
        play(account)
    keep_fresh(account)


def lend(account: Observed) -> None:
    """The caller is who pulls."""
    runpod = FakeRunpod()
    clients = Clients(account.aws(), runpod.client)
    check(account, "caller")
    for options in ({}, {"state": "absent", "registry_region": None}):
        params = {**CREDENTIAL, "secret_store": None, **options}
        both(lambda check_mode, params=params: runpod_ecr_credential.run(params, check_mode, clients))


def delegate(account: Observed) -> None:
    look_whole(account)
    use_grant(account)


def publish(account: Observed, check_only: bool = False) -> None:
    look_whole(account)
    repository = public_repository.Clients(account.aws(), lambda dummy: b"")
    catalog = dict.fromkeys(("about_text", "usage_text", "architectures", "operating_systems", "logo"))
    modes = [True] if check_only else [True, False]
    for options in ({}, {"tags": {"team": "ml"}, "catalog_data": {**catalog, "description": "one"}}, {"tags": {}}):
        for check_mode in modes:
            ecr_public_repo.run({**PUBLIC, **options}, check_mode, repository)
    carrier: Any = Carrier(account)
    shelf: Any = lambda host, dummy: Shelf(account, host)  # noqa: E731
    mirror = image_mirror.Clients(account.aws(), shelf, carrier)
    params = {**MIRROR, "source": f"{PRIVATE}/app:v1", "destination": "public.ecr.aws/a1b2c3d4/app"}
    for check_mode in modes:
        ecr_image_mirror.run(params, check_mode, mirror)


def audit(account: Observed) -> None:
    check(account, "caller")
    look(account, {"name": NAME})  # before there is a user
    look_at_a_role(account)
    use_info(account, ({"name": NAME},))
    with unnoted(account):
        play(account)
    check(account, "secret_store")
    client("ecr").create_repository(repositoryName="app")
    ecr_pull_grant.run(GRANT, True, account.aws())
    publish(account, check_only=True)
    account.public.client().create_repository(repositoryName="app")
    publish(account, check_only=True)
    watch_images(account)


def look_at_a_role(account: Observed) -> None:
    """Before there is one, and once there is."""
    given = {"permissions_boundary": account.boundary, **ROLE}
    ecr_pull_role.run(given, True, account.aws())
    with unnoted(account):
        keep_role(account)
    for options in ({}, {"repositories": MANY}, {"policy": "pull_only"}):
        ecr_pull_role.run({**given, **options}, True, account.aws())


def watch_images(account: Observed) -> None:
    """What an audit asks about an image besides whether it can be pulled."""
    seen: Any = SimpleNamespace(aws=account.aws())
    assert expiring(seen, parse_ecr(f"{PRIVATE}/app:v1"), DIGEST) is None


def foresee(account: Observed) -> None:
    """What a preflight asks of IAM besides harmless reads, of a caller who has assumed a role."""
    aws = ReadOnlyAws.of(account.aws())
    assert policy_source(aws, f"arn:aws:sts::{HOME}:assumed-role/deploy/session")
    right = Right(RULES[0], "iam:GetUser", ("*",))
    assert simulation(aws, f"arn:aws:iam::{HOME}:role/deploy", [right]) == [Verdict(right, "ok")]
    assert aws.call("iam", "get_account_summary")["SummaryMap"]


WORK: dict[str, tuple[Callable[[Observed], None], ...]] = {
    "auditor": (audit,),
    "delegation": (delegate,),
    "operator": (manage, bound_the_unbounded, use_rotation, shut_off),
    "operator operator-managed-policies": (outgrow,),
    "operator-managed-policies operator-role": (keep_a_role,),
    "public": (publish,),
    "preflight": (foresee,),
    "pull-boundary": (lend,),
    "refresher": (refresh,),
    "role-refresher": (mint_as_role,),
}
EVERY_WORK = pytest.mark.parametrize("names", WORK)


@cache
def asked(names: str) -> frozenset[Request]:
    """Return what the work needs, with either store."""
    found: set[Request] = set()
    for store in STORES.values():
        for work in WORK[names]:
            with mock_aws():
                account = Observed(store)
                account.boundary = BOUNDARY
                work(account)
                found |= account.asked
    return frozenset(found)


def statements(names: str) -> list[Json]:
    """Return what these policies say, with the placeholders filled in."""
    return json.loads(here(json.dumps([one for name in names.split() for one in documents()[name]["Statement"]])))


def holder(given: list[Json], boundary: Json | None = None) -> Who:
    return Who(f"arn:aws:iam::{HOME}:user/operator", {"Version": "2012-10-17", "Statement": given}, {}, boundary)


@EVERY_WORK
def test_policies_let_every_call_through(names: str) -> None:
    assert asked(names) and asked(names) - allowed(holder(statements(names)), asked(names)) == set()


@pytest.mark.parametrize(
    "names", sorted(WORK.keys() - {"pull-boundary"})
)  # which also has what other clients than ours need
def test_policy_has_nothing_that_no_call_needs(names: str) -> None:
    given = statements(names)
    own = [sid["Sid"] for sid in statements(names.split()[-1])]
    cases, dropped = [], []
    for at, statement in enumerate(given):
        for action in statement["Action"] if statement["Sid"] in own else ():
            rest = [one for one in statement["Action"] if one != action]
            others = [*given[:at], *([{**statement, "Action": rest}] if rest else []), *given[at + 1 :]]
            requests = [request for request in asked(names) if request[0] == action]
            cases.append({**holder(others)._asdict(), "resource_policy": None, "requests": requests})
            dropped.append((statement["Sid"], action))
    verdicts = ask(cases=cases)["verdicts"]
    assert [one for one, verdict in zip(dropped, verdicts, strict=True) if all(verdict)] == []


def test_a_user_that_does_not_exist_is_judged_without_its_path() -> None:
    without = [one for one in statements("operator") if not one["Resource"].endswith(":user/puller")]
    denied = asked("operator") - allowed(holder(without), asked("operator"))
    assert {request[:2] for request in denied} == {("iam:GetUser", f"arn:aws:iam::{HOME}:user/puller")}


@pytest.mark.parametrize("policy", ["pull_only", "read_only"])
def test_no_other_policy_can_be_attached(policy: str) -> None:
    given = statements("operator operator-managed-policies")
    [attach] = [one for one in given if one["Sid"] == "OnlyPullPolicies"]
    listed = attach["Condition"]["ArnLike"]["iam:PolicyARN"]
    kind = {"pull_only": "PullOnly", "read_only": "ReadOnly"}[policy]
    attach["Condition"]["ArnLike"]["iam:PolicyARN"] = [one for one in listed if not one.endswith(kind)]
    work = asked("operator operator-managed-policies")
    denied = work - allowed(holder(given), work)
    assert {request[0] for request in denied} == {"iam:AttachUserPolicy", "iam:DetachUserPolicy"}


# The files


def test_files_are_what_the_table_makes() -> None:
    made = {f"{name}.json": json.dumps(document, indent=2) + "\n" for name, document in documents().items()}
    assert {path.name: path.read_text() for path in POLICIES.iterdir()} == made


def test_every_file_has_work() -> None:
    assert set(documents()) == {name for names in WORK for name in names.split()}


def test_page_tells_of_every_file() -> None:
    assert set(re.findall(r"^\| `(.+?)\.json` \|", PAGE.read_text(), re.MULTILINE)) == set(documents())


def test_commands_of_the_page_leave_no_placeholder(tmp_path: Path) -> None:
    [commands] = re.findall(r"```sh\n(.+?)```", PAGE.read_text(), re.DOTALL)
    noting = tmp_path / "aws"
    noting.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >> "$NOTES"; printf "\\n" >> "$NOTES"\n')
    noting.chmod(0o755)
    notes = tmp_path / "notes"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NOTES": str(notes), "TMPDIR": str(tmp_path)}
    subprocess.run(["sh", "-ec", commands], cwd=POLICIES, env=environment, check=True)
    made = [line.split("\0")[:-1] for line in notes.read_text().splitlines()]
    files = {words[3]: words[-1].removeprefix("file://") for words in made if words[1] == "create-policy"}
    assert files.keys() >= {"runpod-pull-boundary", "runpod-operator"}
    for name, file in files.items():
        text = Path(file).read_text()
        assert "ACCOUNT" not in text and "/team/" not in text and (name == "runpod-refresher" or "/ml/" in text)


@pytest.mark.parametrize("name", documents())
def test_file_fits_and_linters_find_nothing(name: str) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": statements(name)})
    assert len(re.sub(r"\s", "", text)) <= 6144
    assert findings("identity", json.loads(text)) == []
    assert [str(finding) for finding in analyze_policy_string(text).findings] == []


def test_refresher_has_the_secret_store_only() -> None:
    services = {action.partition(":")[0] for one in statements("refresher") for action in one["Action"]}
    assert services == {"secretsmanager", "ssm"}


def test_auditor_only_reads() -> None:
    granted = {action for one in statements("auditor") for action in one["Action"]}
    assert [one for one in granted if not re.search(":(Get|List|Describe|BatchGet|BatchCheck|Lookup)", one)] == []
