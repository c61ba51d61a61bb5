# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from typing import Any

from .._core.errors import CollectionError

PROXY = "Something else answered: look at the proxy, a captive portal, DNS and endpoint_url."


class AnswerError(CollectionError):
    """`what` is without call and remedy."""

    def __init__(self, call: str, what: str) -> None:
        super().__init__(f"{call}: {what}. {PROXY}")
        self.what = what


def field(answer: Any, call: str, path: str, kind: type | tuple[type, ...] = str) -> Any:
    """`path` is such as images.0.imageId."""
    value = answer
    for key in path.split("."):
        try:
            value = value[int(key) if isinstance(value, list) else key]
        except (LookupError, TypeError, ValueError):
            raise AnswerError(call, f"an answer without {path}") from None
    if not isinstance(value, kind):
        raise AnswerError(call, f"an answer whose {path} is {'null' if value is None else type(value).__name__}")
    return value
