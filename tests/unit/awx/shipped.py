# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data for AWX as they are shipped, and what settings make of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from . import options

Json = dict[str, Any]
CONTROLLER = Path(__file__).resolve().parents[3] / "extensions" / "awx" / "controller"


def files() -> dict[str, Json]:
    """Return the variables of each file, as they stand there."""
    return {path.stem: content(path) for path in sorted(CONTROLLER.glob("*.yml"))}


@cache
def content(path: Path) -> Json:
    return DataLoader().load_from_file(str(path), trusted_as_template=True)


def data(**settings: Any) -> dict[str, list[Json]]:
    """Return the data that these settings make."""
    found = files()
    variables = {name: value for content in found.values() for name, value in content.items()} | settings
    templar = Templar(DataLoader(), variables=variables)
    made = {name: templar.template(variables[name]) for name in options.VARIABLES}
    return json.loads(json.dumps(made))  # plain, as they go to the API


def named(found: dict[str, list[Json]], kind: str, name: str) -> Json:
    [item] = [item for item in found[f"controller_{kind}"] if item["name"] == name]
    return item
