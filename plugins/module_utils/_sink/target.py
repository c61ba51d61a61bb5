# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a place must offer to be given ECR's tokens. Nothing here knows of a vendor.

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from .._aws.ecr_token import Token
from .._core.errors import Json
from .._core.time import format_time, parse_time

OURS = "gpuops.runpod"
METADATA = re.compile(rf"\s*\[{re.escape(OURS)}: ([^\]]*)\]")


class Registries(NamedTuple):
    """The registries of one region that a token opens, by the names of their hosts."""

    region: str
    hosts: tuple[str, ...]


class TokenMetadata(NamedTuple):
    """What a target says of its token: its end, which key or identity made it, and what it was when it was written.

    `mark` changes when something else writes a token.
    """

    expires_at: datetime
    made_by: str
    mark: str

    def __str__(self) -> str:
        return f"{format_time(self.expires_at)} {self.made_by} {self.mark}"


class SinkState(NamedTuple):
    """What is there, without secrets in `summary`, None when nothing is; no `metadata` when nothing tells of the token.

    `drift` tells that something besides the token is to be written, `retained` why a removal would leave it there,
    `token` how to log in where the target lets it be read, `raw` is the target's own.
    """

    summary: Json | None
    metadata: TokenMetadata | None = None
    drift: bool = False
    retained: str = ""
    token: str | None = None
    raw: Any = None

    def __repr__(self) -> str:
        return f"SinkState({self.summary}, {self.metadata})"


class TokenSink(Protocol):
    """A target as its options name it. Writes are whole or not at all, and leave what others have in it alone."""

    @property
    def label(self) -> str:
        """Return what to call it in a sentence."""

    def read(self) -> SinkState:
        """Raise CollectionError when it cannot be read."""

    def expected(self, state: SinkState) -> Json:
        """Return the summary after a write, as far as that is known before."""

    def write(self, state: SinkState, token: Token, made_by: str) -> SinkState:
        """Raise SupersededError when another run has written since `state` was read."""

    def remove(self, state: SinkState) -> None:
        """Take away what this collection wrote."""


def fingerprint(password: str) -> str:
    """Return what tells a token of hundreds of random characters from another, and nothing of it."""
    return sha256(password.encode()).hexdigest()[:16]


def parse_metadata(text: Any) -> TokenMetadata | None:
    words = text.split() if isinstance(text, str) else []
    if len(words) == 3:
        with suppress(ValueError):
            return TokenMetadata(parse_time(words[0]), words[1], words[2])
    return None


def metadata_in(description: str | None) -> TokenMetadata | None:
    found = METADATA.search(description or "")
    return parse_metadata(found[1]) if found else None


def describe(description: str | None, metadata: TokenMetadata, otherwise: str) -> str:
    """Return the description with the metadata at its end, in the place of an earlier one."""
    rest = METADATA.sub("", description or "").strip() or otherwise
    return f"{rest} [{OURS}: {metadata}]"
