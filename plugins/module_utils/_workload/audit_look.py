# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what an audit reads, through one look. A read that fails hides nothing of the others.

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .._core.errors import CollectionError, Json
from .._core.masking import to_diff
from .._core.result import Result
from .._pull_user import inventory
from .._runpod import account, endpoint, endpoint_fields, rollout
from . import preview
from .desired import DesiredState
from .look import LISTINGS, Look
from .observed import EndpointLook, Failure, ObservedState, read
from .plan import NO_ALIAS, PUBLIC, plan_templates, public_names
from .spec import public_images, templates


def observe(desired: DesiredState, look: Look, events: Json | None) -> ObservedState:
    """Look at all that concerns the workloads."""
    look.api.prefetch(LISTINGS)
    found = ObservedState(
        now=look.aws.clock(),
        identity=guarded(lambda: str(preview.caller(look)["Arn"])),
        images=[],
        proof=None,
        user=None,
        trail=None,
        user_preview=None,
        policies=None,
        public={},
        public_images={},
        mirror=None,
        runpod={},
        runpod_findings=[],
        templates=None,
        endpoints={},
    )
    found = WAYS[desired.access](desired, look, found)
    if desired.by_user and events:
        found = found._replace(trail=guarded(partial(trail_of, desired, look, events)))
    found = at_runpod(desired, look, found)
    return containers(desired, look, found)


def guarded(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except CollectionError as error:
        return Failure.of(error)


def check(look: Look, images: list[str], identity: str, store: Json | None = None) -> list[Json] | Failure:
    return guarded(lambda: preview.check_images(look, images, identity, store) if images else [])


# The ways of access


def by_credential(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Who runs this looks only at what the pull user cannot pull: it may be right that nobody else can."""
    if not desired.by_user:
        images = check(look, desired.images, "caller")
        return found._replace(images=images, proof=images)
    proof = check(look, desired.images, "secret_store", desired.store)
    proved = {each["image"] for each in read(proof, []) if each["pullable"]}
    return found._replace(
        images=check(look, [image for image in desired.images if image not in proved], "caller"),
        proof=proof,
        user=guarded(lambda: inventory.run(user_options(desired), False, look.aws).results),
        user_preview=guarded(lambda: preview.pull_user(look, desired)),
    )


def user_options(desired: DesiredState) -> Json:
    """Return the options of ecr_pull_user_info."""
    repositories = [*desired.repositories, *(desired.options["user_repositories"] or [])]
    return {
        "name": desired.options["user_name"],
        "path_prefix": None,
        "repositories": repositories if desired.options["user_policy"] == "repositories" else None,
        "rotate_after_days": desired.options["rotate_after_days"],
        "secret_store": desired.store,
        "events": None,
    }


def trail_of(desired: DesiredState, look: Look, events: Json) -> list[Json]:
    """Return what CloudTrail noted: apart from the rest, which must not hang on a right that only this needs."""
    given = {**events, "regions": events["regions"] or desired.regions}
    options = {**user_options(desired), "repositories": None, "secret_store": None, "events": given}
    users: list[Json] = inventory.run(options, False, look.aws).results["users"]
    return users


def by_delegation(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Nobody but RunPod can pull as its roles: their statement can be compared, and that is all."""
    images = check(look, desired.images, "caller")
    nowhere = {
        each["image"]
        for each in read(images, [])
        if any(one["code"] == "repository_not_found" for one in each["findings"])
    }
    there = sorted({item["repository_arn"] for item in desired.items if item["image"] not in nowhere})
    policies = guarded(lambda: list(preview.grant(look, desired, "present", there).results["policies"]))
    return found._replace(images=images, policies=policies)


def by_public(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    images = check(look, desired.images, "caller")
    public: dict[str, Result | Failure] = {
        name: guarded(partial(preview.public_repository, look, desired, name, "present"))
        for name in public_names(desired)
    }
    aliases = [one.after["alias"] for one in public.values() if isinstance(one, Result) and one.after["alias"]]
    uris = {arn: f"{PUBLIC}{aliases[0] if aliases else NO_ALIAS}/{name}" for arn, name in desired.public_names.items()}
    published = public_images(desired.items, uris)
    there = {each["image"] for each in read(images, []) if each["digest"]}
    copied = {source: target for source, target in published.items() if source in there}
    return found._replace(
        images=images,
        proof=check(look, list(published.values()), "anonymous"),
        public=public,
        public_images=published,
        mirror=guarded(lambda: list(preview.mirror(look, desired, copied).results["images"]) if copied else []),
    )


WAYS: dict[str, Callable[[DesiredState, Look, ObservedState], ObservedState]] = {
    "credential": by_credential,
    "delegation": by_delegation,
    "public": by_public,
}


# RunPod


def at_runpod(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Read each listing by itself: a key may lack the right to one of them."""
    listed = {kind: guarded(partial(account.listed, look.api, kind)) for kind in LISTINGS}
    readable = [kind for kind, things in listed.items() if not isinstance(things, Failure)]
    options = {"gather": readable, "credential_expiry": expiry(desired, found)}
    told = account.run(options, False, look.api, look.aws.clock).results
    runpod: dict[str, list[Json] | Failure] = {
        kind: things if isinstance(things, Failure) else told[kind] for kind, things in listed.items()
    }
    return found._replace(runpod=runpod, runpod_findings=told["findings"])


def expiry(desired: DesiredState, found: ObservedState) -> Json | None:
    """Return what the store tells of tokens; None where its own fault explains that it tells nothing."""
    if desired.access != "credential":
        return None
    sound = not desired.by_user or any(each["secret_store"]["state"] == "key" for each in found.users)
    return found.expiry if sound else None


def containers(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """See what a run would change of templates and endpoints, as far as what they depend on was read."""
    if not (found.was_read("templates") and found.was_read("registries")):
        return found
    items = templates(desired.items, found.credential_names(desired), found.public_images)
    steps = guarded(lambda: plan_templates(desired, look, items)[0])
    found = found._replace(templates=steps)
    if isinstance(steps, Failure) or not found.was_read("endpoints"):
        return found
    wanted = [item["endpoint"] for item in desired.items if item["endpoint"]]
    looks = {given["name"]: guarded(partial(endpoint_look, desired, look, given)) for given in wanted}
    return found._replace(endpoints=looks)


def endpoint_look(desired: DesiredState, look: Look, given: Json) -> EndpointLook:
    step = preview.endpoint(look, desired, given)
    before, after = to_diff(step.current, step.after)
    if step.current is None:
        return EndpointLook(None, after, None)
    status = rollout.read_status(look.api, f"{endpoint.PATH}/{step.current['id']}")
    return EndpointLook(before, after, status.as_result(endpoint_fields.released(step)))
