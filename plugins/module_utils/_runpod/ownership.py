# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. RunPod has no tags, so a thing is judged by what it runs and pulls with.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core.errors import ConflictError, InputError, Json
from .._oci.reference import DOCKER_HUB, PUBLIC_HOSTS, Image, parse
from .credential_names import logical

ADOPT: Json = {"adopt": {"type": "bool", "default": False}}


def require_ours(
    kind: str, current: Mapping[str, Any], fields: Mapping[str, Any], registries: Iterable[Json], adopt: bool
) -> None:
    names = {registry.get("id"): str(registry.get("name")) for registry in registries}
    signs = [] if adopt else foreign_signs(current, fields, names)
    if signs:
        registry = current.get("registry")
        credential = f"the credential {names.get(registry, registry)!r}" if registry else "no credential"
        raise ConflictError(
            f"The {kind} {current.get('name')!r} (id {current.get('id')}, image {current.get('image')}, {credential}) "
            f"may be somebody else's: {'; '.join(signs)}. Nothing was changed. To take it over, set adopt: true (the "
            "role's variable is runpod_ecr_adopt); else set another name."
        )


def foreign_signs(current: Mapping[str, Any], fields: Mapping[str, Any], names: Mapping[str | None, str]) -> list[str]:
    """`names` are those of the credentials by id.

    A credential that is gone is nobody's, nor is what an answer lacks.
    """
    image, wanted = current.get("image"), fields.get("image")
    registry, wanted_registry = current.get("registry"), fields.get("registry")
    found = [
        (bool(image and wanted) and not same_repository(image, wanted), f"it runs another repository than {wanted}"),
        (bool(current.get("public")) and "public" not in fields, "it is public, and public is not set"),
        (
            registry in names and bool(wanted_registry) and not same_credential(registry, wanted_registry, names),
            f"it does not pull with {names.get(wanted_registry, wanted_registry)!r}",
        ),
    ]
    return [text for foreign, text in found if foreign]


def same_credential(one: Any, other: Any, names: Mapping[str | None, str]) -> bool:
    """Name and alternate mean the same credential."""
    return logical(names.get(one, one)) == logical(names.get(other, other))


def same_repository(one: Any, other: Any) -> bool:
    """The mirror in ECR Public is the same repository."""
    try:
        first, second = parse(str(one)), parse(str(other))
    except InputError:
        return bool(one == other)
    if {first.host in PUBLIC_HOSTS, second.host in PUBLIC_HOSTS} == {True, False}:
        private, public = sorted((first, second), key=lambda image: image.host in PUBLIC_HOSTS)
        return bool(private.account_id) and public.repository.partition("/")[2] == private.repository
    return repository(first) == repository(second)


def repository(image: Image) -> tuple[str, str]:
    """Return the same for all spellings."""
    if image.account_id:
        return "", image.repository_arn
    if image.host in ("", DOCKER_HUB, f"index.{DOCKER_HUB}"):
        return DOCKER_HUB, image.repository.removeprefix("library/")
    return image.host, image.repository
