# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with images, in ECR and in ECR Public.

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .._core.errors import Json
from .._core.result import Result
from .._core.time import format_time
from .audit_lifecycle import Expiry
from .audit_reads import NO_SESSION
from .audit_scene import Scene, drifted
from .audit_verdict import OF_THE_IMAGE
from .findings import Finding, finding, from_module
from .observed import Failure, read
from .pull_look import layers_lost


def images(scene: Scene) -> Iterator[Finding]:
    """That whoever runs this may not read one means nothing when the puller may."""
    checks = read(scene.observed.proof, []) if scene.observed.proof is not scene.observed.images else []
    proved = {each["image"] for each in read(scene.observed.proof, []) if each["pullable"]}
    reported = {(each["image"], one["code"]) for each in checks for one in each["findings"]}
    for each in read(scene.observed.images, []):
        for one in each["findings"]:
            denied = one["code"] not in OF_THE_IMAGE
            link = "caller" if denied and "caller" in scene.chain else "image"
            known = one["code"] in NO_SESSION or (each["image"], one["code"]) in reported
            if not known and not (denied and each["image"] in proved):
                yield from_module(one, link, scene.users_of(each["image"]))
    yield from damaged(scene)
    yield from vanishing(scene)


def damaged(scene: Scene) -> Iterator[Finding]:
    for image, missing in scene.observed.layers.items():
        if missing and not isinstance(missing, Failure):
            yield layers_lost(image, missing, scene.users_of(image))


def vanishing(scene: Scene) -> Iterator[Finding]:
    for image, one in scene.observed.expiring.items():
        if isinstance(one, Expiry):
            moment = "the next time that it runs, within a day" if one.moment <= scene.observed.now else None
            facts = {"rule": one.rule, "image": image, "moment": moment or format_time(one.moment)}
            repository = image.partition("/")[2].partition("@")[0].partition(":")[0]
            yield finding("tag_expires", scene.users_of(image), repository=repository, **facts)


def mirrors(scene: Scene) -> Iterator[Finding]:
    """Public images that are missing, or not what the private ones are now."""
    for each in read(scene.observed.mirror, []):
        if each["copied"]:
            code = "mirror_behind" if each["digest_before"] else "mirror_missing"
            yield finding(code, scene.users_of(each["source"]), **each)


def public_repositories(scene: Scene) -> Iterator[Finding]:
    """A public repository that is not there lacks its images."""
    for name, one in scene.observed.public.items():
        if isinstance(one, Result) and one.before and (parts := drifted(one.before, one.after)):
            concerned = scene.those(partial(is_published, scene, one.before["uri"]))
            yield finding("public_drift", concerned, name=name, parts=", ".join(parts))


def is_published(scene: Scene, uri: str, item: Json) -> bool:
    return scene.observed.public_images[item["image"]].startswith((f"{uri}:", f"{uri}@"))
