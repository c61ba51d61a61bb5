# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: which credentials are asked for, by region and name.

from __future__ import annotations

from collections.abc import Iterable

from .._aws.client import Aws
from .._aws.secret_entry import MANAGED
from .._aws.token_source import account_of, check_validity
from .._core.errors import InputError, Json
from .._oci.reference import parse_ecr
from .credential_names import check_name
from .credential_state import CredentialState


def validate(params: Json) -> None:
    check_validity(params["min_validity_hours"], params["propagation_timeout"])
    if params["name"] is not None:
        check_name(params["name"])
    if params.get("user") == "":
        raise InputError("user must not be empty.")


def regions_of(params: Json) -> list[str | None]:
    images = params.get("images") or ([] if params["image"] is None else [params["image"]])
    regions = params.get("registry_regions")
    if regions is None:
        regions = [parse_ecr(image).region for image in images] or [params["registry_region"]]
    if not regions or "" in regions:
        raise InputError("registry_region is empty: name the region of the ECR registries, as in us-east-1.")
    regions = list(dict.fromkeys(regions))
    if len(regions) > 1 and params["name"] is not None:
        raise InputError(
            f"name is {params['name']!r}, but a token opens one region and there are {len(regions)} "
            f"({', '.join(regions)}): leave it out, so that the names follow, or set user."
        )
    return regions


def images_by_region(references: Iterable[str], regions: list[str | None]) -> dict[str | None, list[str]]:
    """Raise InputError for an image that no token of this run opens."""
    found: dict[str | None, list[str]] = {}
    for reference in references:
        region = parse_ecr(reference).region
        if region not in regions:
            raise InputError(f"verify_images: {reference} is in {region}, for which this run keeps no credential.")
        found.setdefault(region, []).append(reference)
    return found


def name_of(params: Json, current: CredentialState, region: str | None, aws: Aws) -> str | None:
    """Return None when the name follows from an entry to come."""
    if params["name"] is not None:
        return str(params["name"])
    store, user = current.store, params.get("user")
    owner = current.tags.get(MANAGED)
    if not (store or user):
        raise InputError("name or user is required without secret_store.")
    if user and owner and owner != user:
        raise InputError(f"user is {user}, but the secret store's entry {store and store.name} is that of {owner}.")
    if not user:
        if current.entry is None:
            if params["state"] == "present":
                return None
            raise InputError(
                f"name or user is required: the secret store's entry {store and store.name}, from which it follows, "
                "is not there."
            )
        if not owner:
            raise InputError(
                f"name or user is required: the secret store's entry {store and store.name} has no tag {MANAGED}, "
                "which says whose it is."
            )
    if not region:
        raise InputError("name is required, or image or registry_region, from whose region the name follows.")
    return f"{user or owner}-{account_of(aws, current.source)}-{region}"
