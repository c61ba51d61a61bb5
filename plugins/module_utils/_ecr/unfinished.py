# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from collections.abc import Iterable

from .._core.errors import CollectionError, Json
from .._core.result import PartialError


class UnfinishedError(PartialError):
    """Holds the results so far. Without a write before it, it says what its cause says."""

    def __init__(self, cause: CollectionError, done: Iterable[str], results: Json, place: str = "") -> None:
        super().__init__(cause, done)
        self.results = results
        self.place = place

    def __str__(self) -> str:
        message = super().__str__() if self.done else str(self.cause)
        return message if self.place in message else f"{self.place}: {message}"

    def as_result(self) -> Json:
        return {**super().as_result(), "changed": bool(self.done), **self.results}
