# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: access by credentials: tokens at RunPod, minted as the pull user or as the caller.

from __future__ import annotations

from collections.abc import Iterable

from .._core.errors import Json
from .._core.result import Result
from . import preview
from .access import Access, look_at, sound
from .desired import DesiredState
from .look import KNOWN_LATER, Look
from .pull_look import warned_of_tokens
from .run_result import access_report
from .spec import users
from .step import Plan, Step, credential_reason, minimum, step_of

NEW_KEY = "the pull user gets a new key"


def by_credential(desired: DesiredState, look: Look) -> Access:
    if desired.by_user:
        return by_pull_user(desired, look)
    source = look_at(desired, look)
    caller = preview.caller(look)
    steps, registries = plan_credentials(desired, look, caller["Account"])
    warning = f"RunPod can pull whatever {caller['Arn']} can: its tokens were minted as this identity"
    report = access_report(desired.access, None, credentials=registries)
    return Access(steps, ids_of(registries), {}, source, source, report, [warning], caller["Account"])


def by_pull_user(desired: DesiredState, look: Look) -> Access:
    user = preview.pull_user(look, desired)
    steps = [step_of("user", desired.options["user_name"], user)]
    account = user.results["user"]["arn"].split(":")[4]
    pending = user.changed  # the pull can only be proved once the run has changed the user
    source, proof = (look_at(desired, look), []) if pending else proved(desired, look)
    credential_steps, registries = plan_credentials(desired, look, account, force=new_key(user))
    steps += credential_steps
    if pending and desired.options["verify"] and not any(step.needed for step in credential_steps):
        steps.append(Step("proof", "the pull user", "prove", "its rights or its key are new"))
    report = access_report(
        desired.access, desired.options["user_name"], credentials=registries, rotation_due=rotation_due(desired, user)
    )
    warnings = [*extra(user), *user.warnings]
    if desired.options["check_mode"]:
        warnings += warned_of_tokens(desired, look, proof)
    return Access(steps, ids_of(registries), {}, source, proof, report, warnings, account, "secret_store")


def new_key(user: Result) -> bool:
    """Return whether the store will hold a key whose tokens RunPod does not have yet."""
    return any(key["stored"] and key["id"] is None for key in user.results["access_keys"])


def rotation_due(desired: DesiredState, user: Result) -> bool:
    stored = [key["age_days"] for key in user.results["access_keys"] if key["stored"]]
    return any(age >= desired.options["rotate_after_days"] for age in stored)


def extra(user: Result) -> list[str]:
    others = user.results["policy"]["extra_repositories"]
    return [f"The pull user can also pull {', '.join(others)}"] if others else []


def proved(desired: DesiredState, look: Look) -> tuple[list[Json], list[Json]]:
    """Return what the images are, and the proof that the pull user can pull them."""
    if not desired.options["verify"]:
        return look_at(desired, look), []
    proof = proof_of_user(desired, look)
    return proof, proof


def proof_of_user(desired: DesiredState, look: Look) -> list[Json]:
    return sound(
        preview.check_images(look, desired.images, "secret_store", desired.store, preview.propagation_timeout(desired))
    )


def verified_on_the_way(steps: Iterable[Step], desired: DesiredState) -> list[str]:
    """Return images that the credential's step proves before the hand-over."""
    proved_there = any(step.step == "credential" and step.needed for step in steps) and desired.by_user
    return desired.images if proved_there and desired.options["verify"] else []


def plan_credentials(
    desired: DesiredState, look: Look, account: str, force: bool = False, regions: list[str] | None = None
) -> tuple[list[Step], list[Json]]:
    """Without `regions` plan those of the images; return the credentials afterwards too."""
    steps, registries = [], []
    for region in regions or desired.regions:
        name = desired.credential_name(region, account)
        found = preview.credential(look, desired, region, name, force)
        registry = found.results.get("registry") or found.after
        reason = NEW_KEY if force else credential_reason(found, minimum(desired, look.aws.clock()))
        steps.append(step_of("credential", name, found, reason))
        registries.append({**registry, "region": region})
        if "id" not in registry:
            look.api.add("registries", {"id": f"{name} {KNOWN_LATER}", "name": name})
    return steps, registries


def ids_of(registries: Iterable[Json]) -> dict[str, str]:
    """Return region -> id, or the name where there is no id yet."""
    return {registry["region"]: registry.get("id") or registry["name"] for registry in registries}


def remove_credential(desired: DesiredState, look: Look, account: Json) -> Plan:
    caller = preview.caller(look)
    names = {region: desired.credential_name(region, caller["Account"]) for region in desired.regions}
    others = users(desired.items, account, names)
    steps, kept, elsewhere = [], [], []
    regions = [region for region in desired.regions if region not in {other["region"] for other in others}]
    for region in regions:
        found = preview.credential(look, desired, region, names[region], state="absent")
        steps.append(step_of("credential", names[region], found))
        kept += [found.results["registry"]] if found.results["registry"] else []
        elsewhere += [*found.results["in_use_by"], *found.results["other_registries"]]
    strangers = [one for one in elsewhere if one.get("logical_name") not in names.values()]
    reasons = list(dict.fromkeys(one["reason"] for one in [*others, *strangers]))
    user: Json = {"state": None, "repositories": []}
    if desired.by_user:
        step, user = remove_user(desired, look, others, bool(reasons))
        steps.append(step)
    name = desired.options["user_name"] if desired.by_user and reasons else None
    result = {**access_report(desired.access, name, credentials=kept), "warnings": reasons}
    return Plan(steps, result, {"claims": desired.claims(caller["Account"]), "regions": regions, "user": user})


def remove_user(desired: DesiredState, look: Look, others: list[Json], stays: bool) -> tuple[Step, Json]:
    """The user goes, or loses repositories that nothing uses any more."""
    name = desired.options["user_name"]
    if not stays:
        return step_of("user", name, preview.removed_user(look, desired)), {"state": "absent", "repositories": []}
    policy = preview.policy_of_user(look, desired)
    used = {other["repository_arn"] for other in others}
    unused = [arn for arn in desired.repositories if arn not in used]
    left = [arn for arn in policy["repositories"] if arn not in unused]
    if policy["kind"] != "repositories" or left == policy["repositories"]:
        return Step("user", name, "none", ""), {"state": None, "repositories": left}
    found = preview.narrowed_user(look, desired, left)
    return step_of("user", name, found), {"state": "present", "repositories": left}
