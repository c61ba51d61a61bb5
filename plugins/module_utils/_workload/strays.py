# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what else uses these workloads' repositories, by owner, and what has none.

from __future__ import annotations

from collections.abc import Iterator

from .._core.errors import Json
from .._oci.reference import repository_of
from .._runpod.references import KINDS, credential_users
from .desired import RETIRE, DesiredState
from .findings import RETIRING
from .observed import ObservedState
from .spec import leftovers, others

LOST = {"access_missing", "credential_gone"}  # its credential or delegation went
UNNAMED = (
    "Add it to the workloads of this audit, or, once you know that nobody needs it, take it away in RunPod's console."
)


def foreign(desired: DesiredState, observed: ObservedState) -> list[tuple[str, Json]]:
    """Return what runs these repositories and is none of the workloads', with its kind."""
    repositories = set(desired.repositories)
    return [
        (kind, thing)
        for kind, thing in others(desired.items, listings(observed))
        if (image := repository_of(thing.get("image"))) and image.repository_arn in repositories
    ]


def listings(observed: ObservedState) -> dict[str, list[Json]]:
    return {kind: observed.listed(kind) for kind in KINDS}


def owner_of(observed: ObservedState, thing: Json) -> str:
    """Return the id of the credential or delegation; empty for nobody's."""
    if thing.get("registry"):
        return str(thing["registry"])
    image = repository_of(thing.get("image"))
    delegations = observed.delegations(image.repository_arn) if image else []
    return str(delegations[0]["id"]) if delegations else ""


def ours(desired: DesiredState, observed: ObservedState) -> set[str]:
    """Return ids of credentials or delegations that this run keeps."""
    if desired.access == "delegation":
        return {each["id"] for arn in desired.repositories for each in observed.delegations(arn)}
    return {each["id"] for region in desired.regions for each in observed.current(desired, region)}


def owners(observed: ObservedState) -> dict[str, str]:
    names = {each["id"]: f"the credential {each['name']}" for each in observed.listed("registries")}
    return names | {
        each["id"]: f"the delegation of {each['repository_arn']}" for each in observed.listed("delegations")
    }


def neighbours(desired: DesiredState, observed: ObservedState) -> list[Json]:
    """What others' credentials and delegations serve is theirs."""
    own, names = ours(desired, observed), owners(observed)
    found: dict[str, list[Json]] = {}
    for kind, thing in foreign(desired, observed):
        owner = owner_of(observed, thing)
        if owner in names and owner not in own:
            found.setdefault(owner, []).append({"kind": kind, "id": thing["id"], "name": thing["name"]})
    return [{"owner": names[owner], "id": owner, "serves": things} for owner, things in found.items()]


def orphans(desired: DesiredState, observed: ObservedState) -> list[Json]:
    """Return what nothing needs, what another way of access left, and keys outside the store."""
    found = [*unused(desired, observed), *unnamed(desired, observed)]
    known = [one["id"] for one in found]
    found += [
        one for one in left(desired, observed) if not any(f"({identifier})" in one["cause"] for identifier in known)
    ]
    found += former(desired, observed)
    for one in observed.user_findings:
        if one["code"] in ("foreign_key", "key_inactive"):
            found.append(orphan("key", None, one["user"], one["cause"], one["remedy"]))
    return found


def unused(desired: DesiredState, observed: ObservedState) -> Iterator[Json]:
    """This run's own are to be there."""
    own = ours(desired, observed)
    for one in observed.runpod_findings:
        if one["code"] in ("credential_unused", "delegation_unused") and one["id"] not in own:
            yield orphan(one["kind"], one["id"], one["name"], one["cause"], one["remedy"])


def unnamed(desired: DesiredState, observed: ObservedState) -> Iterator[Json]:
    """Templates that this run's access serves and that are none of its workloads'."""
    own, names = ours(desired, observed), owners(observed)
    for kind, thing in foreign(desired, observed):
        owner = owner_of(observed, thing)
        if kind == "template" and owner in own:
            cause = (
                f"The template {thing['name']} ({thing['id']}) runs {thing['image']} by {names[owner]}, and no "
                "workload of this audit names it."
            )
            yield orphan("template", thing["id"], thing["name"], cause, UNNAMED)


def left(desired: DesiredState, observed: ObservedState) -> Iterator[Json]:
    """What serves others is not left."""
    serving = {thing.get("registry") for dummy, thing in others(desired.items, listings(observed))}
    current = {
        "registries": [one for one in observed.listed("registries") if one["id"] not in serving],
        "delegations": observed.listed("delegations"),
    }
    for message in leftovers(desired.items, current, desired.access, desired.former_credentials):
        cause, dummy, remedy = message.partition(" When ")
        yield orphan("access", None, None, cause, RETIRING if RETIRE in remedy else f"When {remedy}")


def former(desired: DesiredState, observed: ObservedState) -> Iterator[Json]:
    """Return users or roles as which this run does not pull, and nothing else either."""
    listed, account, own = observed.listed("registries"), observed.account_id(desired), ours(desired, observed)
    serving = credential_users(listings(observed)).keys() - own
    for kind, there in observed.former.items():
        theirs = desired.as_identity(kind).default_names(listed, account).keys()
        if there is True and not theirs & serving:
            name = desired.options[f"{kind}_name"]
            cause = f"The pull {kind} {name}, as which this run does not pull, is still there."
            yield orphan(kind, None, name, cause, RETIRING)


def orphan(kind: str, identifier: str | None, name: str | None, cause: str, remedy: str) -> Json:
    return {"kind": kind, "id": identifier, "name": name, "cause": cause, "remedy": remedy}
