# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with the credentials at RunPod, and with pods that hang on them.

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial

from .._core.errors import Json
from .._core.finding import module_call
from .._oci.reference import repository_of
from .._runpod.credential_names import logical
from .._runpod.references import KINDS, credential_users
from .audit_scene import Scene, has
from .audit_user import OF_TOKENS
from .findings import Finding, finding, from_module


def credentials(scene: Scene) -> Iterator[Finding]:
    if not scene.observed.was_read("registries"):
        return
    for region, name in scene.observed.credential_names(scene.desired).items():
        concerned = scene.those(partial(has, "region", region))
        current = {each["id"] for each in scene.observed.current(scene.desired, region)}
        if not current:
            yield finding("credential_missing", concerned, name=name, region=region)
        yield from twice(scene, region, concerned)
        recorded = current & scene.observed.expiry.keys()
        for one in scene.observed.runpod_findings:
            spare = one["code"] == "token_unknown" and recorded
            if one["kind"] == "registry" and one["id"] in current and one["code"] != "credential_unused" and not spare:
                yield token(scene, one, (name, region), concerned)


def further_credentials(scene: Scene) -> Iterator[Finding]:
    """Tokens of other runs for the pull user."""
    if not scene.observed.was_read("registries"):
        return
    account = scene.observed.account_id(scene.desired)
    defaults = scene.desired.default_names(scene.observed.listed("registries"), account)
    wished = {each["id"] for region in scene.desired.regions for each in scene.observed.current(scene.desired, region)}
    for one in scene.observed.runpod_findings:
        of_ours = one["kind"] == "registry" and one["code"] in OF_TOKENS
        if of_ours and one["id"] in scene.observed.expiry.keys() - wished:
            region, name = defaults.get(one["id"], ("", one["name"]))
            found = token(scene, one, (name, region), ())
            yield found if region else found._replace(remedy=one["remedy"])


def twice(scene: Scene, region: str, concerned: tuple[str, ...]) -> Iterator[Finding]:
    """Of credentials of one name nobody can tell what each is for."""
    for name, current in by_name(scene.observed.current(scene.desired, region)).items():
        if len(current) > 1:
            used = credential_users({kind: scene.observed.listed(kind) for kind in KINDS})
            unused = [each for each in current if each not in used]
            facts = {"number": len(current), "name": name, "ids": ", ".join(current)}
            yield finding("credential_twice", concerned, unused=", ".join(unused) or "move what refers to one", **facts)


def by_name(registries: Iterable[Json]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in registries:
        found.setdefault(each["name"], []).append(each["id"])
    return found


def token(scene: Scene, one: Json, credential: tuple[str, str], concerned: tuple[str, ...]) -> Finding:
    """`credential` is name and region."""
    name, region = credential
    if one["code"] == "token_unknown" and not scene.desired.by_user:
        return finding("token_unknown", concerned, name=one["name"])
    store = {"secret_store": given(scene.desired.store)} if scene.desired.by_user else {}
    call = module_call("runpod_ecr_credential", name=name, registry_region=region, **store)
    since = scene.observed.expiry.get(one["id"]) if one["code"] == "token_expired" else None
    return from_module(one, "credential", concerned)._replace(remedy=call, since=since)


def given(options: Json) -> Json:
    return {key: value for key, value in options.items() if value is not None}


def pods(scene: Scene) -> Iterator[Finding]:
    """Pods of these workloads that cannot pull again what they run."""
    names, images = scene.observed.credential_names(scene.desired), set(scene.desired.repositories)
    images_wished = {*scene.desired.images, *scene.observed.public_images.values()}
    current = {each["id"]: each for region in names for each in scene.observed.current(scene.desired, region)}
    for thing in scene.observed.listed("pods"):
        registry = current.get(thing.get("registry") or "")
        if registry is None or thing.get("status") == "TERMINATED" or not is_of(images, thing):
            continue
        pull = scene.judge.pull(thing)
        ends = scene.observed.expiry
        twins = {each["id"] for each in current.values() if logical(each["name"]) == logical(registry["name"])}
        left = registry["id"] not in ends and bool(twins & ends.keys())
        known = thing["image"] in images_wished or pull.code == "token_expired"
        if left or (pull.works is False and not known):
            cause = lower(pull.cause) or f"nothing renews the token in its credential {registry['name']} any more"
            facts = {"name": thing["name"], "id": thing["id"], "image": thing["image"], "cause": cause}
            one = finding("pod_left_behind", (), credential=logical(registry["name"]), **facts)
            yield one._replace(severity="error" if pull.works is False else one.severity)


def lower(sentence: str) -> str:
    text = sentence.removesuffix(".")
    return text[:1].lower() + text[1:]


def is_of(repositories: Collection[str], thing: Json) -> bool:
    image = repository_of(thing.get("image"))
    return bool(image and image.repository_arn in repositories)
