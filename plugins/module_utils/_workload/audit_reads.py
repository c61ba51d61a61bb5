# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what could not be read. Reads that failed alike are told once.

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from .._core.errors import EXPIRED
from .audit_scene import Scene
from .findings import Finding, finding
from .observed import Failure

NO_SESSION = EXPIRED | {"NoCredentialsError", "PartialCredentialsError", "credentials_expired", "credentials_missing"}
PULL_USER, DRIFT = "The pull user", "What a run would change of the pull user"
DRIFT_OF_ROLE = "What a run would change of the pull role"
PROOF, TEMPLATES = "Whether the images can be pulled", "The templates"
AT_RUNPOD = {
    "registries": "credential",
    "delegations": "delegation",
    "templates": "template",
    "endpoints": "endpoint",
    "pods": "",
}


def failures(scene: Scene, known: AbstractSet[str]) -> Iterator[Finding]:
    """Tell reads that failed alike once, without what findings on the user tell."""
    alike: dict[str, list[tuple[Failure, str, tuple[str, ...], tuple[str, ...]]]] = {}
    for found, what, links, workloads in [*reads(scene), *of_images(scene)]:
        twice_there = what == TEMPLATES and "credential_twice" in known
        if isinstance(found, Failure) and not (told_of_the_user(found, what, known) or twice_there):
            key = "session" if found.code in NO_SESSION else found.code if found.refused else found.text
            alike.setdefault(key, []).append((found, what, links, workloads))
    for key, failed in alike.items():
        names = dict.fromkeys(each[1] for each in failed)
        what = " and ".join(name for name in names if not (name == DRIFT and PULL_USER in names))
        links = tuple(dict.fromkeys(link for each in failed for link in each[2]))
        workloads = tuple(dict.fromkeys(name for each in failed for name in each[3]))
        one = failure(what, failed[0][0], links, workloads)
        yield finding("no_session", workloads, failed[0][0].text)._replace(links=links) if key == "session" else one
    yield from at_runpod(scene)


def reads(scene: Scene) -> list[tuple[Any, str, tuple[str, ...], tuple[str, ...]]]:
    seen, everybody = scene.observed, scene.everybody
    minted_by = "role" if scene.desired.by_role else "caller" if scene.desired.by_session else "key"
    proved = ("public_image",) if scene.desired.access == "public" else (minted_by,)
    pulled = scene.desired.by_user or scene.desired.by_session or scene.desired.access == "public"
    drift = (DRIFT_OF_ROLE, ("role",)) if scene.desired.by_role else (DRIFT, ("user",))
    return [
        (seen.images, "The images", ("image",), everybody),
        (seen.proof if pulled else None, PROOF, proved, everybody),
        (seen.user, PULL_USER, ("user", "key"), everybody),
        (seen.trail, "What CloudTrail noted of the pull user", (), ()),
        (None if hidden(seen.proof) else seen.user_preview, *drift, everybody),
        (seen.policies, "The policies of the repositories", ("policy",), everybody),
        (seen.mirror, "The public images", ("public_image",), everybody),
        *((one, f"Whether a former pull {kind} is left", (), ()) for kind, one in seen.former.items()),
        (seen.templates, TEMPLATES, ("template",), everybody),
        *((one, f"The public repository {name}", ("public_image",), everybody) for name, one in seen.public.items()),
    ]


def of_images(scene: Scene) -> Iterator[tuple[Any, str, tuple[str, ...], tuple[str, ...]]]:
    for found, what in (
        (scene.observed.layers, "Whether all layers are there"),
        (scene.observed.expiring, "The lifecycle rules of the repositories"),
    ):
        yield from ((one, what, ("image",), scene.users_of(image)) for image, one in found.items())


def told_of_the_user(found: Failure, what: str, known: AbstractSet[str]) -> bool:
    """Return whether the user or its entry explains the failure."""
    if found.refused or found.code in NO_SESSION:
        return False
    of_the_entry = bool(known & {"secret_missing", "secret_unreadable"})
    return (what == PROOF and of_the_entry) or (what == DRIFT and bool(known - {"credential_twice"}))


def failure(what: str, found: Failure, links: tuple[str, ...], workloads: tuple[str, ...]) -> Finding:
    """Grey where whoever looks may not."""
    code = "not_looked_at" if found.refused else "unreadable"
    return finding(code, workloads if links else (), found.text, what=what)._replace(links=links)


def at_runpod(scene: Scene) -> Iterator[Finding]:
    """Listings that failed alike are told once."""
    failed: dict[str, dict[str, Failure]] = {}
    for kind, found in scene.observed.runpod.items():
        if isinstance(found, Failure):
            failed.setdefault(found.code, {})[kind] = found
    for kinds in failed.values():
        links = tuple(AT_RUNPOD[kind] for kind in kinds if AT_RUNPOD[kind] in scene.chain)
        everything = kinds.keys() == scene.observed.runpod.keys()
        what = "What RunPod holds" if everything else f"What RunPod holds of {' and '.join(kinds)}"
        yield failure(what, [*kinds.values()][0], links, scene.everybody)


def hidden(found: object) -> bool:
    """Return whether whoever looks may not read it, or has no session."""
    return isinstance(found, Failure) and (found.refused or found.code in NO_SESSION)
