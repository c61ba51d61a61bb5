# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with the pull user, its keys and its entry in the secret store.

from __future__ import annotations

from collections.abc import Iterator

from .._aws.stored_key import STORES
from .._core.errors import Json
from .._core.result import Result
from .._ecr.repository_policy import listed, statements
from .audit_reads import hidden
from .audit_scene import Scene
from .audit_verdict import OF_THE_KEY
from .findings import MAIN_JOB, Finding, finding, from_module
from .observed import read
from .repository_access import covers, like

OF_TOKENS = {"token_ends_soon", "token_expired"}  # judged by what RunPod holds
# A note in the place of a key that is still to be made.
RESERVATION = '{"pending": {"since": "2000-01-01T00:00:00Z", "known_key_ids": [], "abandoned": true}}'
EMPTYING = (
    "When the entry is meant for this user, note that its key is to be made anew, and let a run make it; the store "
)
EMPTYING += "keeps the former value as a version"
OVERLAP_DAYS = 2  # for which a rotation leaves two keys


def user(scene: Scene) -> Iterator[Finding]:
    drift = [policy["drift"] for each in scene.observed.users for policy in each["policies"]]
    missing = {arn for each in drift for arn in each["missing"]}
    changed = any(each["other"] for each in drift)
    adding = not scene.desired.options["purge_repositories"]
    for one in scene.observed.user_findings:
        if one["code"] in OF_TOKENS:
            continue
        concerned, severity = scene.everybody, one["severity"]
        if one["code"] == "secret_unreadable" and hidden(scene.observed.proof):
            continue
        if one["code"] == "two_active_keys" and (being_rotated(scene) or somebody_elses(scene)):
            continue
        if one["code"] == "not_managed":
            severity = "warning"
        elif one["code"] == "policy_drift" and severity == "warning" and adding:
            severity = "info"  # a run for other images may have opened them
        elif one["code"] == "policy_drift" and severity == "error" and changed and lets_pull(scene):
            severity = "warning"  # it lacks the right to another token
        elif one["code"] == "policy_drift" and severity == "error" and not changed:
            concerned = scene.those(lambda item: item["repository_arn"] in missing) or scene.everybody
        link = "key" if one["code"] in OF_THE_KEY else "user"
        found = from_module(one, link, concerned)._replace(severity=severity)
        yield found._replace(remedy=emptied(scene)) if one["code"] == "secret_unreadable" else found


def borrowed(scene: Scene) -> Iterator[Finding]:
    owner, user = read(scene.observed.entry_owner, ""), scene.desired.options["user_name"]
    if owner not in ("", user):
        kind, region, name = stored_at(scene)
        claim = STORES[kind].claim_command(region, name, user)
        yield finding("entry_of_another", scene.everybody, store=name, owner=owner, user=user, claim=claim)


def user_drift(scene: Scene) -> Iterator[Finding]:
    """Keys and the policy's text are told of otherwise."""
    found = scene.observed.user_preview
    if not (scene.desired.by_user and isinstance(found, Result) and found.before and found.before["user"]):
        return
    before, after = found.before, found.after
    differs = {
        "user_path": before["user"]["path"] != after["user"]["path"],
        **differing_in_common("user", before, after),
    }
    if parts := variables(differs):
        yield finding("user_drift", scene.everybody, user=scene.desired.options["user_name"], parts=parts)


def differing_in_common(kind: str, before: Json, after: Json) -> dict[str, bool]:
    """Compare what the same variables describe of a pull user and of a pull role."""
    found, wanted = before[kind], after[kind]
    return {
        "user_permissions_boundary": found["permissions_boundary"] != wanted["permissions_boundary"],
        "user_tags": own_tags(found) != own_tags(wanted),
        "user_policy": before["policy"]["kind"] != after["policy"]["kind"],
    }


def variables(differs: dict[str, bool]) -> str:
    return ", ".join(f"runpod_ecr_{part}" for part, changed in differs.items() if changed)


def own_tags(about: Json) -> Json:
    return {key: value for key, value in about["tags"].items() if not key.startswith("gpuops.runpod/")}


def being_rotated(scene: Scene) -> bool:
    """Return whether the newer key, in the store, is to take over from the other."""
    keys = [each for about in scene.observed.users for each in about["access_keys"]]
    return all(each["ours"] for each in keys) and any(
        each["stored"] and each["age_days"] < OVERLAP_DAYS for each in keys
    )


def somebody_elses(scene: Scene) -> bool:
    return any(not each["ours"] for about in scene.observed.users for each in about["access_keys"])


def lets_pull(scene: Scene) -> bool:
    """Return whether policies still allow a token's owner to pull all images."""
    documents = [policy["document"] for about in scene.observed.users for policy in about["policies"]]
    return all(
        any(
            one.get("Effect") == "Allow" and covers(one, action) and opens(one, arn)
            for document in documents
            for one in statements(document)
        )
        for arn in scene.desired.repositories
        for action in ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    )


def opens(statement: Json, arn: str) -> bool:
    return any(like(str(pattern), arn) for pattern in listed(statement.get("Resource", [])))


def stored_at(scene: Scene) -> tuple[str, str, str]:
    """Return kind, region and name of the entry."""
    regions = [about["secret_store"]["region"] for about in scene.observed.users if about["secret_store"]]
    store = scene.desired.store
    return store["type"], store["region"] or (regions[0] if regions else "REGION"), store["name"]


def emptied(scene: Scene) -> str:
    """Return how a run makes a new key although the entry holds something else."""
    kind, region, name = stored_at(scene)
    command = STORES[kind].overwrite_command(region, name, RESERVATION)
    return f"{EMPTYING}: {command} && {MAIN_JOB.partition(': ')[2]}"
