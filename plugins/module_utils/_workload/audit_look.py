# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what an audit sees. A read that fails hides nothing of the others.

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from .._aws.client import tolerating
from .._aws.secret_entry import MANAGED
from .._core.errors import ConflictError, Json
from .._core.result import Result
from .._ecr import pull_check, pull_grant
from .._ecr.pull_identity import PullIdentity
from .._oci.reference import Image
from .._pull_user import inventory
from .._pull_user.iam_role import find_role
from .._pull_user.iam_user import find_user
from . import preview
from .audit_lifecycle import Expiry, lifecycle_end, rules_of
from .audit_verdict import parsed
from .desired import DesiredState
from .look import LISTINGS, Look
from .observed import Failure, ObservedState, guarded, read
from .plan_public import NO_ALIAS, PUBLIC, public_names
from .pull_look import READERS, check, layers_of, minted, missing_layers, place, puller_of
from .runpod_look import at_runpod, containers, what_runs
from .spec import public_images


def observe(desired: DesiredState, look: Look, events: Json | None) -> ObservedState:
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
    found = what_runs(desired, look, found)
    found = contents(desired, look, found)._replace(former=former_identities(desired, look))
    return containers(desired, look, found)


def former_identities(desired: DesiredState, look: Look) -> dict[str, bool | Failure]:
    """What whoever looks may not see is not missed: no chain hangs on it."""
    found = {kind: guarded(partial(is_kept, desired, look, kind)) for kind in desired.former_identities}
    return {kind: one for kind, one in found.items() if not (isinstance(one, Failure) and one.refused)}


def is_kept(desired: DesiredState, look: Look, kind: str) -> bool:
    """Return whether there is one that this collection made."""
    name = desired.options[f"{kind}_name"]
    with suppress(ConflictError):  # another one of the name in another spelling
        one = find_user(look.aws, name) if kind == "user" else find_role(look.aws, name)
        return one is not None and MANAGED in one["tags"]
    return False


def user_options(desired: DesiredState) -> Json:
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
    """Apart from the rest, which must not hang on a right that only this needs."""
    given = {**events, "regions": events["regions"] or desired.regions}
    options = {**user_options(desired), "repositories": None, "secret_store": None, "events": given}
    users: list[Json] = inventory.run(options, False, look.aws).results["users"]
    return users


def by_credential(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Who runs this looks only at what the pull user cannot pull: it may be right that nobody else can."""
    if desired.by_session:
        return by_session(desired, look, found)
    if not desired.by_user:
        images = check(look, desired.images, "caller")
        return found._replace(images=images, proof=images, tokens=minted(desired, look, images))
    proof = check(look, desired.images, "secret_store", desired.store)
    proved = {each["image"] for each in read(proof, []) if each["pullable"]}
    return found._replace(
        images=check(look, [image for image in desired.images if image not in proved], "caller"),
        proof=proof,
        user=guarded(lambda: inventory.run(user_options(desired), False, look.aws).results),
        user_preview=guarded(lambda: preview.pull_user(look, desired)),
        tokens=minted(desired, look, proof),
        entry_owner=guarded(lambda: puller_of(look, "secret_store", desired.store).user()),
    )


def by_session(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """The proof is that of the role which mints the tokens."""
    proof = guarded(lambda: preview.check_as_session(look, desired))
    proved = {each["image"] for each in read(proof, []) if each["pullable"]}
    return found._replace(
        images=check(look, [image for image in desired.images if image not in proved], "caller"),
        proof=proof,
        user_preview=guarded(lambda: preview.pull_role(look, desired)) if desired.by_role else None,
    )


def by_delegation(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Only RunPod can pull as its roles, so their statement is compared."""
    images = check(look, desired.images, "caller")
    nowhere = {
        each["image"]
        for each in read(images, [])
        if any(one["code"] == "repository_not_found" for one in each["findings"])
    }
    there = sorted({item["repository_arn"] for item in desired.items if item["image"] not in nowhere})
    policies = guarded(lambda: list(preview.grant(look, desired, "present", there).results["policies"]))
    documents = guarded(lambda: {arn: pull_grant.read_policy(look.aws, pull_grant.Repository(arn)) for arn in there})
    return found._replace(images=images, policies=policies, documents=documents)


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


def contents(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Look for missing layers and lifecycle rules, side by side."""
    reports = {each["image"]: each for each in [*read(found.images, []), *read(found.proof, [])] if each["digest"]}
    images = [image for reference in reports if (image := parsed(reference)) and image.account_id]
    puller = guarded(lambda: puller_of(look, "secret_store" if desired.by_user else "caller", desired.store))
    proved = {each["image"] for each in read(found.proof, []) if each["pullable"]}
    stranger = pull_check.caller_identity()

    def looked_at(image: Image) -> tuple[Any, Any]:
        report = reports[image.reference]
        reader = puller if isinstance(puller, PullIdentity) and image.reference in proved else stranger
        missing = guarded(lambda: missing_layers(look, image, layers_of(look, image, reader)))
        return missing, guarded(lambda: expiring(look, image, report["digest"]))

    with ThreadPoolExecutor(READERS) as readers:
        seen = dict(zip([image.reference for image in images], readers.map(looked_at, images), strict=True))
    return found._replace(
        layers={reference: missing for reference, (missing, dummy) in seen.items()},
        expiring={reference: moment for reference, (dummy, moment) in seen.items()},
    )


def expiring(look: Look, image: Image, digest: str) -> Expiry | None:
    with tolerating("LifecyclePolicyNotFoundException", "RepositoryNotFoundException"):
        text = look.aws.call("ecr", "get_lifecycle_policy", **place(image))["lifecyclePolicyText"]
        if not rules_of(text):
            return None
        return lifecycle_end(text, described(look, image), digest, look.aws.clock())
    return None


def described(look: Look, image: Image) -> list[Json]:
    found: list[Json] = []
    page: Json = {}
    while page is not None:
        answer = look.aws.call("ecr", "describe_images", **place(image), **page)
        found += answer["imageDetails"]
        token = answer.get("nextToken")
        page = {"nextToken": token} if token else None  # type: ignore[assignment]
    return found
