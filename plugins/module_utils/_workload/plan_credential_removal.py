# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: credentials that go, and then whoever minted their tokens.

from __future__ import annotations

from collections.abc import Callable

from .._aws.pull_session import account_of_role
from .._core.errors import Json
from .._core.result import Result
from . import preview
from .desired import DesiredState
from .look import Look
from .plan_tokens import minting_values
from .run_result import access_report
from .spec import users
from .step import Plan, Step, step_of


def remove_credential(desired: DesiredState, look: Look, account: Json) -> Plan:
    caller = preview.caller(look)
    lent = desired.options["role_arn"]
    owner = account_of_role(lent) if lent else caller["Account"]
    names = {region: desired.credential_name(region, owner) for region in desired.regions}
    others = users(desired.items, account, names)
    steps, kept, elsewhere = [], [], []
    regions = [region for region in desired.regions if region not in {other["region"] for other in others}]
    for region in regions:
        found = preview.credential(look, desired, region, names[region], state="absent")
        steps.append(step_of("credential", names[region], found))
        kept += [found.results["registry"]] if found.results["registry"] else []
        elsewhere += [*found.results["in_use_by"], *found.results["other_registries"]]
    if desired.by_role:
        elsewhere += of_other_regions(desired, account, owner)
    strangers = [one for one in elsewhere if one.get("logical_name") not in names.values()]
    reasons = list(dict.fromkeys(one["reason"] for one in [*others, *strangers]))
    kind = str(desired.options["pull_identity"])
    values: Json = {each: {"state": None, "repositories": []} for each in REMOVALS}
    stays: dict[str, str] = {}
    if kind in REMOVALS:
        step, values[kind] = remove_identity(desired, look, kind, others, bool(reasons))
        steps.append(step)
        stays = {kind: desired.options[f"{kind}_name"]} if reasons else {}
    report = access_report(desired.access, stays.get("user"), role=stays.get("role"), credentials=kept)
    handed = {"claims": desired.claims(owner), "regions": regions, **values, **minting_values(desired, look)}
    return Plan(steps, {**report, "warnings": reasons}, handed)


def of_other_regions(desired: DesiredState, account: Json, owner: str) -> list[Json]:
    """Return credentials whose tokens the same role mints."""
    return [
        {"logical_name": name, "reason": f"The credential {name} ({identifier}) holds a token of the same pull role."}
        for identifier, (region, name) in desired.default_names(account["registries"], owner).items()
        if region not in desired.regions
    ]


def remove_identity(desired: DesiredState, look: Look, kind: str, others: list[Json], stays: bool) -> tuple[Step, Json]:
    """User or role goes, or loses repositories that nothing uses any more."""
    name, foresee = desired.options[f"{kind}_name"], REMOVALS[kind]
    if not stays:
        found = foresee(look, desired, path=path_of(desired, kind), state="absent")
        return step_of(kind, name, found), {"state": "absent", "repositories": []}
    policy = foresee(look, desired).results["policy"]
    used = {other["repository_arn"] for other in others}
    unused = [arn for arn in desired.repositories if arn not in used]
    left = [arn for arn in policy["repositories"] if arn not in unused]
    if policy["kind"] != "repositories" or left == policy["repositories"]:
        return Step(kind, name, "none", ""), {"state": None, "repositories": left}
    found = foresee(look, desired, repositories=left, purge_repositories=True)
    return step_of(kind, name, found), {"state": "present", "repositories": left}


def path_of(desired: DesiredState, kind: str) -> str:
    """A user is found at any path."""
    return "/runpod/" if kind == "user" else str(desired.options["user_path"])


REMOVALS: dict[str, Callable[..., Result]] = {"user": preview.changed_user, "role": preview.preview_role}
