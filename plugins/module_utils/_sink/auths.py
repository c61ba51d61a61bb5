# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what docker login keeps of a registry, which files and Kubernetes hold alike. An entry by
# its host, and metadata of the token by the same name.

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from .._aws.ecr_token import Token
from .._core.errors import Json
from .._oci.registry_client import Login
from .target import SinkState, TokenMetadata, fingerprint, parse_metadata


class Entry(NamedTuple):
    """The password of a host, None without one; metadata only when it is about this password."""

    host: str
    password: str | None
    metadata: TokenMetadata | None


def parsed(text: str, *parts: str) -> Json | None:
    """Return the document, None for anything that docker login does not write; `parts` hold more than texts."""
    try:
        document = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return None
    inner = [document.get(part) or {} for part in ("auths", *parts)] if isinstance(document, dict) else [None]
    return document if all(isinstance(part, dict) for part in inner) else None


def password_of(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None
    with suppress(ValueError, TypeError):
        dummy, colon, password = base64.b64decode(entry.get("auth") or "", validate=True).decode().partition(":")
        return password if colon else None
    return None


def entries(auths: Mapping[str, Any], ours: Mapping[str, Any], hosts: Iterable[str]) -> list[Entry]:
    found = []
    for host in hosts:
        password, metadata = password_of(auths.get(host)), parse_metadata(ours.get(host))
        known = bool(metadata and password and metadata.mark == fingerprint(password))
        found.append(Entry(host, password, metadata if known else None))
    return found


def state_of(found: list[Entry], summary: Json) -> SinkState:
    """Return what the entries are together: known when each is, and made as the same, until the first of them ends."""
    passwords = [one.password for one in found]
    known = [one.metadata for one in found if one.metadata]
    same = len(known) == len(found) and len({metadata.made_by for metadata in known}) == 1
    return SinkState(
        summary if any(passwords) else None,
        min(known) if same else None,
        drift=any(passwords) and not all(passwords),
        token=passwords[0] if same else None,
    )


def foreign(found: Iterable[Entry]) -> list[str]:
    """Return the hosts whose entries something else has written."""
    return [one.host for one in found if one.password and not one.metadata]


def with_token(auths: Mapping[str, Any], hosts: Iterable[str], token: Token) -> Json:
    basic = Login(token.username, token.password).basic
    return {**auths, **{host: {"auth": basic} for host in hosts}}


def metadata_of(hosts: Iterable[str], token: Token, made_by: str) -> dict[str, str]:
    return dict.fromkeys(hosts, str(TokenMetadata(token.expires_at, made_by, fingerprint(token.password))))


def without(parts: Mapping[str, Any], hosts: Iterable[str]) -> Json:
    return {host: part for host, part in parts.items() if host not in hosts}
