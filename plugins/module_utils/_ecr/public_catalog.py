# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import hashlib
import re
from struct import unpack
from typing import NamedTuple

from .._aws.secret_entry import MANAGED, OURS
from .._core.errors import ConflictError, InputError, Json
from .._oci.reference import REPOSITORY, partition_of

REGION = "us-east-1"  # the only one with the API
NAME = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")
SHORTEST_NAME, LONGEST_NAME = 2, 205
LOGO = f"{OURS}logo-sha256"  # what the logo is that we put: it cannot be read back
FIELDS = {  # option -> member of the API
    "description": "description",
    "about_text": "aboutText",
    "usage_text": "usageText",
    "architectures": "architectures",
    "operating_systems": "operatingSystems",
}
LONGEST = {"description": 1024, "about_text": 25600, "usage_text": 25600}
BADGES = {
    "architectures": ("ARM", "ARM 64", "x86", "x86-64"),
    "operating_systems": ("Linux", "Windows"),
}
MOST_ITEMS = 50
LONGEST_ITEM = 50
LARGEST_LOGO = 512_000
PIXELS = range(60, 2049)
PNG = b"\x89PNG\r\n\x1a\n"
MOST_TAGS = 50
LONGEST_KEY, LONGEST_VALUE = 128, 256
TAG_TEXT = re.compile(r"[\w\s+\-=.:/@]*")
WARNING = (
    "What is in ECR Public can be pulled by everybody on the internet, without a login, and that cannot be restricted. "
    "Deleting it later does not recall what was pulled. When that is meant, set acknowledge_public: true."
)


class Change(NamedTuple):
    """`catalog` None leaves catalogue data alone; else it replaces all."""

    create: bool
    catalog: Json | None
    tag: dict[str, str]
    untag: tuple[str, ...]

    @property
    def needed(self) -> bool:
        return bool(self.create or self.catalog is not None or self.tag or self.untag)


class Logo(NamedTuple):
    """Without content, none is to be there."""

    content: bytes

    @property
    def mark(self) -> str:
        return hashlib.sha256(self.content).hexdigest() if self.content else ""


# What is allowed


def check_partition(region: str) -> None:
    partition = partition_of(region)
    if partition != "aws":
        raise InputError(
            f"Region {region} is in the partition {partition}, which has no ECR Public. Use an account and a "
            "region of the partition aws."
        )


def check_name(name: str) -> None:
    if not SHORTEST_NAME <= len(name) <= LONGEST_NAME:
        raise InputError(
            f"name: {name!r} has {len(name)} characters; ECR Public wants {SHORTEST_NAME} to {LONGEST_NAME}."
        )
    if NAME.fullmatch(name):
        return
    if REPOSITORY.fullmatch(name):
        raise InputError(
            f"name: {name!r} is a name for private repositories only: ECR Public takes single . _ - between letters "
            "and digits, and no two of them in a row. Choose another name for the public repository."
        )
    raise InputError(
        f"name: {name!r} is not the name of a repository (lower-case letters, digits, and single . _ - between them, "
        "parts separated by /; without registry, alias and tag)."
    )


def check_catalog(given: Json) -> None:
    """Raise one InputError with all that ECR Public would refuse."""
    wrong = [
        f"{option} has {len(given[option])} characters of at most {most}"
        for option, most in LONGEST.items()
        if len(given.get(option) or "") > most
    ]
    for option in BADGES:
        items = given.get(option) or []
        if len(items) > MOST_ITEMS:
            wrong.append(f"{option} has {len(items)} items of at most {MOST_ITEMS}")
        wrong += [
            f"{option}: {item!r} must have 1 to {LONGEST_ITEM} characters"
            for item in items
            if not 1 <= len(item) <= LONGEST_ITEM
        ]
    if wrong:
        raise InputError(f"catalog_data: {'; '.join(wrong)}.")


def check_logo(path: str, content: bytes) -> None:
    why = ""
    if len(content) > LARGEST_LOGO:
        why = f"has {len(content)} bytes of at most {LARGEST_LOGO}"
    elif not content.startswith(PNG) or len(content) < 24:
        why = "is not a PNG image"
    else:
        width, height = unpack(">II", content[16:24])
        if width not in PIXELS or height not in PIXELS:
            why = f"has {width} x {height} pixels; {PIXELS[0]} to {PIXELS[-1]} are allowed in either direction"
    if why:
        raise InputError(f"catalog_data.logo: {path} {why}.")


def badgeless(given: Json) -> tuple[str, ...]:
    return tuple(
        f"catalog_data.{option}: {', '.join(map(repr, others))} will not show in the gallery, which knows "
        f"{', '.join(known)}."
        for option, known in BADGES.items()
        if (others := [item for item in given.get(option) or [] if item not in known])
    )


def wanted_tags(given: Json | None) -> dict[str, str]:
    tags = {str(key): str(value) for key, value in (given or {}).items()}
    for key, value in tags.items():
        if key.startswith((OURS, "aws:")):
            raise InputError(f"tags: {key}: names that start with {OURS} or aws: are not free to choose.")
        fits = TAG_TEXT.fullmatch(key) and TAG_TEXT.fullmatch(value)
        if not fits or not 1 <= len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise InputError(
                f"tags: {key!r}: a name has 1 to {LONGEST_KEY} characters, a value up to {LONGEST_VALUE}, and both "
                "consist of letters, digits, spaces and + - = . _ : / @."
            )
    return tags


# What is lacking


def plan(found: Json | None, params: Json, logo: Logo | None) -> Change:
    """`logo` None leaves it alone. Raise ConflictError when a logo would be lost, InputError for too many tags."""
    given, tags = params["catalog_data"] or {}, wanted_tags(params["tags"])
    if logo and logo.mark:
        tags[LOGO] = logo.mark
    if found is None:
        tags[MANAGED] = "true"
        check_tags(tags)
        return Change(True, catalog_of({}, given, logo) or None, tags, ())
    current = found["tags"]
    purge = params["purge_tags"] and params["tags"] is not None
    untag = {key for key in current if purge and key not in tags and not key.startswith((OURS, "aws:"))}
    untag |= {LOGO} & current.keys() if logo and not logo.mark else set()
    check_tags({key: value for key, value in {**current, **tags}.items() if key not in untag})
    return Change(
        False,
        catalog_change(found, given, logo),
        {key: value for key, value in tags.items() if current.get(key) != value},
        tuple(sorted(untag)),
    )


def check_tags(tags: dict[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        raise InputError(f"tags: the repository would have {len(tags)} tags, ours included; {MOST_TAGS} are allowed.")


def catalog_change(found: Json, given: Json, logo: Logo | None) -> Json | None:
    """Return None when data are as wanted."""
    current = found["catalog"]
    has_logo = bool(current.get("logoUrl") or found["tags"].get(LOGO))
    after = catalog_of(current, given, logo)
    same_logo = logo is None or (logo.mark == found["tags"].get(LOGO) if logo.mark else not has_logo)
    if same_logo and all(alike(current.get(member), after.get(member)) for member in FIELDS.values()):
        return None
    if logo is None and has_logo:
        raise ConflictError(
            "The repository has a logo. Catalogue data can only be replaced together with it, and it cannot be read "
            "back: set catalog_data.logo to its file, or to an empty text to remove it."
        )
    return after


def catalog_of(current: Json, given: Json, logo: Logo | None) -> Json:
    """Return all data to put: present ones, and over them the options."""
    wanted = {member: given[option] for option, member in FIELDS.items() if given.get(option) is not None}
    merged = {member: value for member, value in {**current, **wanted}.items() if member in FIELDS.values() and value}
    return {**merged, **({"logoImageBlob": logo.content} if logo and logo.content else {})}


def alike(one: str | list[str] | None, other: str | list[str] | None) -> bool:
    """Nothing equals empty, and a list has no order."""
    if isinstance(one, list) or isinstance(other, list):
        return sorted(one or []) == sorted(other or [])
    return (one or "") == (other or "")


# How it is shown


def to_result(found: Json | None) -> Json | None:
    if found is None:
        return None
    catalog, uri = found["catalog"], found["uri"]
    return {
        **{key: found[key] for key in ("name", "arn", "registry_id", "uri", "created", "tags")},
        "alias": uri.split("/")[1] if uri else None,
        "managed": MANAGED in found["tags"],
        "catalog_data": {
            **{option: catalog.get(member) or ("" if option in LONGEST else []) for option, member in FIELDS.items()},
            "logo_url": catalog.get("logoUrl"),
        },
    }


def after(found: Json, change: Change) -> Json:
    """The address of a new logo is not known before."""
    catalog = found["catalog"]
    if change.catalog is not None:
        catalog = {member: value for member, value in change.catalog.items() if member != "logoImageBlob"}
        same = "logoImageBlob" in change.catalog and LOGO not in change.tag
        catalog |= {"logoUrl": found["catalog"].get("logoUrl")} if same else {}
    tags = {key: value for key, value in {**found["tags"], **change.tag}.items() if key not in change.untag}
    return {**found, "catalog": catalog, "tags": tags}
