# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re

from .._core.errors import Json


def compact(policy: Json) -> str:
    """Return the document as it is sent."""
    return json.dumps(policy, separators=(",", ":"))


def policy_size(policy: Json | None) -> int:
    return len(re.sub(r"\s", "", compact(policy))) if policy else 0


def listed(value: str | list[str]) -> list[str]:
    """Return a list of what IAM may give as one text."""
    return [value] if isinstance(value, str) else value
