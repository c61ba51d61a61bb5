# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the identity as which RunPod pulled before, retired once all has moved to the new one.

from __future__ import annotations

from typing import NamedTuple

from .._aws.secret_entry import token_records
from .._aws.stored_key import store_of
from .._core.errors import ConflictError, Json
from .._runpod.credential_names import logical
from .._runpod.references import label
from . import preview
from .desired import DesiredState
from .look import Look
from .plan_credential_removal import REMOVALS, path_of
from .step import Step, step_of

NOBODY: Json = {"former_credentials": [], "former_identities": []}


class Retirement(NamedTuple):
    """The steps, why something stays, and what the role's tasks take away: credentials first."""

    steps: list[Step] = []
    warnings: list[str] = []
    handover: Json = NOBODY


def retirement(desired: DesiredState, look: Look, account: str) -> Retirement:
    """Plan over what the steps before it leave: what they move away needs the former identity no more."""
    if not desired.options["retire_former_identity"]:
        return Retirement()
    caller = preview.caller(look)
    own = {desired.credential_name(region, account) for region in desired.regions}
    parts = [
        retired(desired.as_identity(kind), look, str(caller["Account"]), own)
        for kind in desired.former_identities
        if not runs_as(str(caller["Arn"]), kind, desired.options[f"{kind}_name"])
    ]
    return Retirement(
        [step for part in parts for step in part.steps],
        [text for part in parts for text in part.warnings],
        {key: [each for part in parts for each in part.handover[key]] for key in NOBODY},
    )


def runs_as(caller: str, kind: str, name: str) -> bool:
    """Return whether whoever runs this is the user, or a session of the role."""
    resource = caller.split(":", 5)[5].split("/")
    if kind == "role":
        return resource[:2] == ["assumed-role", name]
    return resource[0] == "user" and resource[-1] == name


def retired(former: DesiredState, look: Look, account: str, own: set[str]) -> Retirement:
    """`own` are names of the new identity's credentials."""
    kind = str(former.options["pull_identity"])
    name = former.options[f"{kind}_name"]
    try:
        gone = REMOVALS[kind](look, former, path=path_of(former, kind), state="absent")
    except ConflictError as error:  # it is somebody else's
        return Retirement(warnings=[f"The pull {kind} {name} is not retired: {error}"])
    names = {region: former.credential_name(region, account) for region in former.regions}
    names = {region: credential for region, credential in names.items() if credential not in own}
    steps, reasons = [], []
    for region, credential in names.items():
        found = preview.credential(look, former, region, credential, state="absent")
        steps.append(step_of("former_credential", credential, found))
        reasons += [each["reason"] for each in found.results["in_use_by"]]
    reasons += still_minted(former, look, kind, account, {*names.values(), *own})
    for registry in look.api.items("/registries", "registries"):
        if logical(registry["name"]) in {step.name for step in steps if step.action == "delete"}:
            look.api.remove(registry["id"])
    given = {"kind": kind, "puller": former.puller, "role_arn": role_of(former, look)}
    regions = [region for region, step in zip(names, steps, strict=True) if step.needed]
    values: Json = {"former_credentials": [{**given, "regions": regions}] if regions else [], "former_identities": []}
    if reasons:
        stays = f"The former pull {kind} {name} stays, for something needs it:"
        return Retirement(steps, [f"{stays} {reason}" for reason in dict.fromkeys(reasons)], values)
    steps.append(step_of(f"former_{kind}", name, gone))
    values["former_identities"] = [kind] if gone.changed else []
    return Retirement(steps, list(gone.warnings), values)


def role_of(former: DesiredState, look: Look) -> str | None:
    role: str | None = former.minting(str(preview.caller(look)["Arn"])).get("role_arn")
    return role


def still_minted(former: DesiredState, look: Look, kind: str, account: str, but: set[str]) -> list[str]:
    """Return a sentence for each further credential with a token of it, by the entry of a user, by the name of a
    role's.
    """
    listed = look.api.items("/registries", "registries")
    theirs = {*former.default_names(listed, account)}
    if kind == "user":
        theirs = {*token_records(store_of(look.aws, former.store).tags())}
    return [
        f"The credential {label(registry)} holds a token of the same pull {kind}."
        for registry in listed
        if registry["id"] in theirs and logical(registry["name"]) not in but
    ]
