# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from .._core.errors import Json

if TYPE_CHECKING:
    from .step import Step

KINDS = {
    "user": "pull user",
    "role": "pull role",
    "former_credential": "former credential",
    "former_user": "former pull user",
    "former_role": "former pull role",
    "grant": "repository policy",
    "public_repository": "public repository",
    "mirror": "image",
    "proof": "pull as",
}
NOTHING_TO_DO = "There is nothing to do."
VERBS = {"create": "+", "change": "~", "delete": "-", "prove": "?"}
KNOWN_LATER = "(known after the run)"
TOLD_BY_THE_RUN = ("alias", "created", "expires_at", "id", "secret_store", "uri")
PROVED = {True: "the pull is proved", False: "cannot be pulled"}


def change_lines(steps: Iterable[Step]) -> list[str]:
    return [change_line(step) for step in steps if step.needed]


def change_line(step: Step) -> str:
    reason = f" ({step.reason})" if step.reason else ""
    return f"{VERBS[step.action]} {KINDS.get(step.step, step.step)} {step.name}{reason}"


def state_lines(result: Json, pending: bool = False, renewed: Collection[str] = ()) -> list[str]:
    """A `pending` proof, and the ends of tokens to be `renewed`, are what the run will bring."""
    unproved = "the run will prove the pull" if pending else "the pull is not proved"
    if result["access"] == "delegation":
        unproved = "nobody but RunPod can prove the pull"
    return [
        *(workload_line(workload, unproved) for workload in result["workloads"]),
        *(token_line(credential, credential["name"] in renewed) for credential in result["credentials"]),
        *(["The access key of the pull user is due for rotation."] if result["rotation_due"] else []),
    ]


def workload_line(workload: Json, unproved: str) -> str:
    ids = {kind: workload[f"{kind}_id"] for kind in ("template", "endpoint")}
    parts = [f"{kind} {identifier}" for kind, identifier in ids.items() if identifier is not None]
    runs = workload["public_image"] or workload["image"]
    return "; ".join([f"{workload['name']}: {runs}", *parts, PROVED.get(workload["pullable"], unproved)])


def token_line(credential: Json, renewed: bool) -> str:
    ends = credential.get("expires_at")
    unknown = "the run brings a new token" if renewed else "when its token ends is not known"
    return f"credential {credential['name']}: " + (f"its token ends at {ends}" if ends else unknown)


def shown_step(step: Step) -> Json:
    return {"step": step.step, "name": step.name, "action": step.action, "reason": step.reason} | differing(step)


def differing(step: Step) -> Json:
    """Return only the parts that differ of two states."""
    before, after = step.before, step.after
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in after if after[key] != before.get(key)]
        before, after = ({key: state.get(key) for key in keys} for state in (before, after))
    return {"before": before, "after": after}


def diff_of(steps: Iterable[Step]) -> tuple[Json, Json]:
    needed = [(f"{step.step} {step.name}", differing(step)) for step in steps if step.needed and step.action != "prove"]
    before = {name: parts["before"] for name, parts in needed if parts["before"]}
    return before, {name: with_unknown(parts["after"]) for name, parts in needed if parts["after"]}


def with_unknown(after: Any) -> Any:
    """Return a state in which what only the run will tell is not shown as null."""
    if isinstance(after, list):
        return [with_unknown(one) for one in after]
    if not isinstance(after, dict):
        return after
    return {
        name: KNOWN_LATER if value is None and name in TOLD_BY_THE_RUN else with_unknown(value)
        for name, value in after.items()
    }


def planned(steps: list[Step], result: Json, pending: bool = False) -> Json:
    renewed = {step.name for step in steps if step.step == "credential" and step.needed}
    return {
        "steps": [shown_step(step) for step in steps],
        "needed": list(dict.fromkeys(step.step for step in steps if step.needed)),
        "changes": change_lines(steps),
        "summary": state_lines(result, pending, renewed) or ([] if change_lines(steps) else [NOTHING_TO_DO]),
        "result": result,
    }
