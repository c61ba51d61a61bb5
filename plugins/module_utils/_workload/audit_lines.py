# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .._core.errors import Json

MOST_LINES = 12
COLOURS = {"red": "red", "amber": "yellow", "grey": "bright gray", "unproven": "bright blue", "green": "green"}
ONE_VARIABLE = re.compile(r"(runpod_ecr_\w+)=[\w./:@+,-]*", re.ASCII)
FOR_SECRETS = {"runpod_ecr_aws", "runpod_ecr_api"}
PLACEHOLDER = "@VARIABLES.yml"  # what is given on a command line may hold secrets


def lines(audit: Json) -> list[tuple[str, str]]:
    """Return a dozen lines, each with its colour."""
    answer = [(text, colour_of(text, audit["status"])) for text in audit["answer"]]
    if len(answer) <= MOST_LINES:
        return answer
    left = len(answer) - MOST_LINES + 1
    return [*answer[: MOST_LINES - 1], (f"And {left} more, in the report.", COLOURS[audit["status"]])]


def colour_of(text: str, status: str) -> str:
    return COLOURS.get(text.split(" ", 1)[0].rstrip(":").lower(), COLOURS["green" if status == "green" else "unproven"])


def arguments(given: Mapping[str, Any], host: str) -> list[str]:
    """Return arguments that another run for the same host needs too."""
    found: list[str] = []
    for inventory in given.get("inventory") or ():
        found += ["-i", str(inventory)]
    extra = [str(each) for each in given.get("extra_vars") or ()]
    for each in extra:
        match = ONE_VARIABLE.fullmatch(each)
        if each.startswith("@") or (
            match and match[1] not in FOR_SECRETS and not match[1].startswith(("runpod_ecr_audit", "runpod_ecr_hosts"))
        ):
            found += ["-e", each]
        elif not match and PLACEHOLDER not in found:
            found += ["-e", PLACEHOLDER]
    for file in given.get("vault_password_files") or ():
        found += ["--vault-password-file", str(file)]
    for identity in given.get("vault_ids") or ():
        found += ["--vault-id", str(identity)]
    if given.get("ask_vault_pass"):
        found.append("--ask-vault-pass")
    if found and host != "localhost":
        found += ["-e", f"runpod_ecr_hosts={host}"]
    return found
