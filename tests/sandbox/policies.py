# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the statements of a policy of AWS say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def fits(pattern: str, text: str) -> bool:
    wildcard = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wildcard, text, re.DOTALL) is not None


def names(statement: Document, key: str, text: str) -> bool:
    """Tell whether a statement's Action or Resource, or what it excepts from all, covers a text."""
    if key in statement:
        return any(fits(pattern, text) for pattern in listed(statement[key]))
    return not any(fits(pattern, text) for pattern in listed(statement[f"Not{key}"]))


def covers(statement: Document, action: str, resource: str) -> bool:
    keys = statement.keys() & {"Action", "NotAction"}
    lowered = {key: [one.lower() for one in listed(statement[key])] for key in keys}
    return names(lowered, "Action", action.lower()) and names(statement, "Resource", resource)
