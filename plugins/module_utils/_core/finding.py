# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what the audits of both clouds share. Pure.

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from .errors import Json

SEVERITIES = ["error", "warning", "info"]
MISSED = timedelta(hours=4)  # a token that is refreshed every four hours never has less left


class Rule(NamedTuple):
    """One finding. `cause` and `remedy` are templates."""

    code: str
    severity: str
    cause: str
    remedy: str

    def filled(self, facts: Json) -> Json:
        """Return the finding with its templates filled."""
        filled = {"cause": self.cause.format_map(facts), "remedy": self.remedy.format_map(facts)}
        return {"code": self.code, "severity": self.severity, **filled}


def worst_first(found: Iterable[Json]) -> list[Json]:
    """Return findings by severity, and else in their order."""
    return sorted(found, key=lambda one: SEVERITIES.index(one["severity"]))


def module_call(module: str, **options: object) -> str:
    """Return the command that calls a module of this collection; its options are JSON."""
    return f"ansible localhost -m gpuops.runpod.{module} -a {shlex.quote(json.dumps(options))}"
