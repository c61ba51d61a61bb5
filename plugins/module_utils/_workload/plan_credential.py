# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: access by credentials, whose tokens are those of a pull user, a pull role or the caller.

from __future__ import annotations

from collections.abc import Callable

from .._aws.pull_session import account_of_role
from .._aws.secret_entry import QUARANTINED
from .._core.errors import Json
from .._core.result import Result
from . import preview
from .access import Access, look_at, sound
from .desired import DesiredState
from .look import Look
from .plan_tokens import plan_credentials
from .pull_look import warned_of_tokens
from .run_result import access_report
from .step import Step, step_of


def by_credential(desired: DesiredState, look: Look) -> Access:
    return IDENTITIES[desired.options["pull_identity"]](desired, look)


def by_caller(desired: DesiredState, look: Look) -> Access:
    """A role that the caller assumes has to prove the pull itself."""
    role = desired.options["role_arn"]
    source = look_at(desired, look)
    proof = proof_of_session(desired, look) if role and desired.options["verify"] else [] if role else source
    account = account_of_role(role) if role else preview.caller(look)["Account"]
    planned = plan_credentials(desired, look, account)
    report = access_report(desired.access, None, credentials=planned.registries)
    return Access(planned.steps, planned.ids, {}, source, proof, report, planned.warnings, account)


def by_pull_role(desired: DesiredState, look: Look) -> Access:
    role, name = preview.pull_role(look, desired), desired.options["role_name"]
    account = role.results["role"]["arn"].split(":")[4]
    source = look_at(desired, look)
    proof = proof_of_session(desired, look) if desired.options["verify"] and not role.changed else []
    planned = plan_credentials(desired, look, account)
    report = access_report(desired.access, None, role=name, credentials=planned.registries)
    warnings = [*extra(role, "role"), *role.warnings, *planned.warnings]
    steps = [step_of("role", name, role), *planned.steps]
    young = desired.options["propagation_timeout"] if role.changed else 0
    return Access(steps, planned.ids, {}, source, proof, report, warnings, account, "role", young)


def proof_of_session(desired: DesiredState, look: Look) -> list[Json]:
    """Raise AwsError where no session can be opened, and NotPullableError for what it cannot pull."""
    return sound(preview.check_as_session(look, desired))


def by_pull_user(desired: DesiredState, look: Look) -> Access:
    user = preview.pull_user(look, desired)
    released = QUARANTINED in ((user.before or {}).get("user") or {}).get("tags", {})
    reason = "is released from quarantine" if released else ""
    steps = [step_of("user", desired.options["user_name"], user, reason)]
    account = user.results["user"]["arn"].split(":")[4]
    pending = user.changed  # the pull can only be proved once the run has changed the user
    source, proof = (look_at(desired, look), []) if pending else proved(desired, look)
    planned = plan_credentials(desired, look, account, force=new_key(user))
    steps += planned.steps
    if pending and desired.options["verify"] and not any(step.needed for step in planned.steps):
        steps.append(Step("proof", "the pull user", "prove", "its rights or its key are new"))
    report = access_report(
        desired.access,
        desired.options["user_name"],
        credentials=planned.registries,
        rotation_due=rotation_due(desired, user),
    )
    warnings = [*extra(user, "user"), *user.warnings]
    if desired.options["check_mode"]:
        warnings += warned_of_tokens(desired, look, proof)
    return Access(steps, planned.ids, {}, source, proof, report, warnings, account, "secret_store")


def new_key(user: Result) -> bool:
    """Return whether the store will hold a key whose tokens RunPod does not have yet."""
    return any(key["stored"] and key["id"] is None for key in user.results["access_keys"])


def rotation_due(desired: DesiredState, user: Result) -> bool:
    stored = [key["age_days"] for key in user.results["access_keys"] if key["stored"]]
    return any(age >= desired.options["rotate_after_days"] for age in stored)


def extra(found: Result, kind: str) -> list[str]:
    others = found.results["policy"]["extra_repositories"]
    return [f"The pull {kind} can also pull {', '.join(others)}"] if others else []


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


IDENTITIES: dict[str, Callable[[DesiredState, Look], Access]] = {
    "user": by_pull_user,
    "role": by_pull_role,
    "caller": by_caller,
}
