# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. A read that fails hides nothing of the others.

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from .._aws.client import tolerating
from .._aws.ecr_token import get_token
from .._core.errors import AwsError, CollectionError, InputError, Json
from .._core.masking import to_diff
from .._core.result import Result
from .._ecr import pull_check, pull_grant, pull_probe
from .._ecr.pull_probe import PullIdentity
from .._oci import manifest as manifests
from .._oci.reference import PUBLIC_HOSTS, Image, parse_ecr
from .._pull_user import inventory
from .._runpod import account, endpoint, endpoint_fields, rollout
from . import preview
from .audit_lifecycle import Expiry, lifecycle_end, rules_of
from .audit_verdict import in_use, parsed
from .desired import DesiredState
from .look import LISTINGS, Look
from .observed import EndpointLook, Failure, ObservedState, read
from .plan import NO_ALIAS, PUBLIC, plan_templates, public_names
from .spec import public_images, templates

PLATFORM = "linux/amd64"
MOST_LAYERS = 100  # in one question
READERS = 8


class KeylessError(InputError):
    """The entry holds no key, which is told of the entry."""


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
    found = contents(desired, look, found)
    return containers(desired, look, found)


def guarded(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except CollectionError as error:
        return Failure.of(error)


def check(look: Look, images: list[str], identity: str, store: Json | None = None) -> list[Json] | Failure:
    def checked() -> list[Json]:
        puller = puller_of(look, identity, store)
        return pull_check.check_images(look.aws, look.opener, images, puller) if images else []

    return guarded(checked)


def puller_of(look: Look, identity: str, store: Json | None) -> PullIdentity:
    """Raise InputError where the store has no key to pull with."""
    if identity != "secret_store":
        return {"caller": pull_check.caller_identity, "anonymous": pull_check.anonymous_identity}[identity]()
    puller, missing = pull_check.stored_identity(look.aws, store or {}, preview.NEVER)
    if missing:
        raise KeylessError(missing)
    return puller


def minted(desired: DesiredState, look: Look, proof: list[Json] | Failure) -> dict[str, Json]:
    """Return by region why there is no token. Where the pull is refused that is told already."""
    works = {each["image"] for each in read(proof, []) if each["pullable"]}
    images = {item["region"]: parse_ecr(item["image"]) for item in desired.items if item["image"] in works}
    if not images:
        return {}
    puller = puller_of(look, "secret_store" if desired.by_user else "caller", desired.store)
    pull, found = pull_probe.ByApi(look.aws, look.opener, puller, PLATFORM), {}
    for region, image in images.items():
        try:
            get_token(look.aws, region, puller.key)
        except AwsError as error:
            found[region] = pull_probe.diagnose_refusal(look.aws, pull, image, "get_authorization_token", error)
    return found


# The ways of access


def by_credential(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Who runs this looks only at what the pull user cannot pull: it may be right that nobody else can."""
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


# RunPod


def at_runpod(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Each listing is read by itself: a key may lack the right to one."""
    listed = {kind: guarded(partial(account.listed, look.api, kind)) for kind in LISTINGS}
    readable = [kind for kind, things in listed.items() if not isinstance(things, Failure)]
    options = {"gather": readable, "credential_expiry": expiry(desired, found)}
    results = account.run(options, False, look.api, look.aws.clock).results
    runpod: dict[str, list[Json] | Failure] = {
        kind: things if isinstance(things, Failure) else results[kind] for kind, things in listed.items()
    }
    return found._replace(runpod=runpod, runpod_findings=results["findings"])


def expiry(desired: DesiredState, found: ObservedState) -> Json | None:
    """Return None where the store's own fault is told."""
    if desired.access != "credential":
        return None
    sound = not desired.by_user or any(each["secret_store"]["state"] == "key" for each in found.users)
    return found.expiry if sound else None


def what_runs(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """Check images that run and are not wished, as their puller where that can be told."""
    known = {*desired.images, *found.public_images.values()}
    ours = {each["id"] for region in desired.regions for each in found.current(desired, region)}
    others: dict[str, Json] = {}
    for item in desired.items:
        for thing in (each for things in in_use(found, item).values() for each in things):
            image = parsed(thing.get("image"))
            if image is None or image.reference in known or not (image.account_id or image.host in PUBLIC_HOSTS):
                continue
            identity = identity_of(desired, thing, image, ours)
            reports = check(look, [image.reference], identity, desired.store)
            for each in read(reports, []):
                others[thing["image"]] = {**each, "image": thing["image"], "by_puller": identity != "caller"}
    return found._replace(others=others)


def identity_of(desired: DesiredState, thing: Json, image: Image, ours: set[str]) -> str:
    """Return as whom to check what runs."""
    if image.host in PUBLIC_HOSTS:
        return "anonymous"
    return "secret_store" if desired.by_user and thing.get("registry") in ours else "caller"


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


def missing_layers(look: Look, image: Image, digests: list[str]) -> list[str]:
    """Ask as whoever runs this."""
    missing = []
    for start in range(0, len(digests), MOST_LAYERS):
        end = start + MOST_LAYERS
        asked = digests[start:end]
        answer = look.aws.call("ecr", "batch_check_layer_availability", **place(image), layerDigests=asked)
        there = {each.get("layerDigest") for each in answer.get("layers") or [] if available(each)}
        missing += [each for each in asked if each not in there]
    return missing


def available(layer: Json) -> bool:
    return layer.get("layerAvailability") == "AVAILABLE"


def layers_of(look: Look, image: Image, reader: PullIdentity) -> list[str]:
    """Return digests for linux/amd64, from manifests that were read."""
    pull = pull_probe.ByApi(look.aws, look.opener, reader, PLATFORM)
    try:
        dummy, manifest = pull.manifest(image)
        if manifests.is_index(manifest):
            chosen = manifests.choose(manifest, PLATFORM)
            dummy, manifest = pull.manifest(image._replace(tag="", digest=chosen or ""))
    except pull_probe.PullDeniedError:
        return []
    return list(dict.fromkeys(each["digest"] for each in manifest.get("layers") or []))


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


def place(image: Image) -> Json:
    return {"region": image.region, "registryId": image.account_id, "repositoryName": image.repository}


def containers(desired: DesiredState, look: Look, found: ObservedState) -> ObservedState:
    """See what a run would change, as far as what it depends on was read."""
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
    status = rollout.read_status(look.api, f"{endpoint.PATH}/{step.current['id']}", with_workers=True)
    workers = tuple(status.workers_as_result())
    return EndpointLook(before, after, status.as_result(endpoint_fields.released(step)), workers, status.since)
