# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from .._core.errors import Json

SOON = timedelta(days=30)  # what a rule takes later is not told


class Expiry(NamedTuple):
    """When an image goes, and the rule that takes it."""

    moment: datetime
    rule: str


def lifecycle_end(text: str, images: Iterable[Json], digest: str, now: datetime) -> Expiry | None:
    """Return None for not so soon.

    `images` are all that DescribeImages tells of. The lowest priority number goes first; what its rule takes no other
    judges.
    """
    left = [image for image in images if "imagePushedAt" in image]
    found = None
    for rule in rules_of(text):
        chosen = sorted(filter(selects(rule["selection"]), left), key=pushed, reverse=True)
        taken = takes(rule["selection"], chosen, now)
        name = str(rule.get("description") or rule.get("rulePriority"))
        found = found or next((Expiry(moment, name) for image, moment in taken if image["imageDigest"] == digest), None)
        gone = {image["imageDigest"] for image, moment in taken if moment <= now}
        left = [image for image in left if image["imageDigest"] not in gone]
    return found if found and found.moment <= now + SOON else None


def rules_of(text: str) -> list[Json]:
    """Return rules that expire images, by priority; none of what is no policy."""
    try:
        rules = json.loads(text)["rules"]
        expiring = [rule for rule in rules if rule["action"]["type"] == "expire" and rule["selection"]["countType"]]
        return sorted(expiring, key=lambda rule: int(rule["rulePriority"]))
    except (ValueError, KeyError, TypeError):
        return []


def pushed(image: Json) -> datetime:
    moment: datetime = image["imagePushedAt"]
    return moment


def selects(selection: Json) -> Callable[[Json], bool]:
    def chosen(image: Json) -> bool:
        tags = image.get("imageTags") or []
        status = selection.get("tagStatus")
        if status == "untagged":
            return not tags
        return status == "any" or any(named(selection, tag) for tag in tags)

    return chosen


def named(selection: Json, tag: str) -> bool:
    if any(tag.startswith(prefix) for prefix in selection.get("tagPrefixList") or []):
        return True
    return any(fnmatchcase(tag, pattern) for pattern in selection.get("tagPatternList") or [])


def takes(selection: Json, newest_first: list[Json], now: datetime) -> list[tuple[Any, datetime]]:
    """Return images with their moments."""
    number = int(selection.get("countNumber") or 0)
    if selection["countType"] == "imageCountMoreThan":
        return [(image, now) for image in newest_first[number:]]
    if selection["countType"] == "sinceImagePushed":
        return [(image, pushed(image) + timedelta(days=number)) for image in newest_first]
    return []
