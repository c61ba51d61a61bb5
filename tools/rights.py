# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of rights on AWS as pages: `python tools/rights.py` writes it into docs/rights.md and docs/policies."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "playbooks" / "collections"))

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.rights import BOUNDARY, RULES, Rule
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import Json

PAGE = ROOT / "docs" / "rights.md"
POLICIES = ROOT / "docs" / "policies"


def policy(rows: Iterable[Rule]) -> Json:
    return {"Version": "2012-10-17", "Statement": [rule.statement() for rule in rows]}


def documents() -> dict[str, Json]:
    """Return the policies by the names of their files."""
    names = sorted({name for rule in RULES for name in rule.documents.split()})
    found = {name: policy(rule for rule in RULES if name in rule.documents.split()) for name in names}
    return {**found, "pull-boundary": policy(BOUNDARY)}


def table() -> str:
    """Return the table of the page."""
    lines = ["| For | Actions | On | Only where | Policies |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *map(line, RULES)]) + "\n"


def line(rule: Rule) -> str:
    condition = ", and ".join(f"`{key}` is {alternatives(value)}" for key, value in rule.condition.items())
    listed = ", ".join(f"`{name}`" for name in rule.documents.split())
    cells = (rule.purpose, actions(rule), f"`{rule.resource}`", condition, listed)
    return " ".join(f"| {cell}".rstrip() for cell in cells) + " |"


def actions(rule: Rule) -> str:
    groups = groupby(rule.named(), lambda action: action.partition(":")[0])
    names = [name if at == 0 else name.partition(":")[2] for dummy, group in groups for at, name in enumerate(group)]
    return ", ".join(f"`{name}`" for name in names)


def alternatives(value: str | list[str]) -> str:
    listed = [value] if isinstance(value, str) else value
    return " or ".join(f"`{re.sub('arn:aws:iam::(ACCOUNT|aws):', '', one)}`" for one in listed)


def written(page: str) -> str:
    """Return the page with the table as it is."""
    return re.sub(r"^\| For \| Actions \|.*\n(?:\|.*\n)+", lambda dummy: table(), page, flags=re.MULTILINE)


def main() -> None:
    PAGE.write_text(written(PAGE.read_text()))
    for name, document in documents().items():
        (POLICIES / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
