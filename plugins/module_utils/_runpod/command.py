# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. RunPod stores `cmd` and `entrypoint` as one string, `args`: a shell string for cmd alone,
# else JSON of both. Answers show args, or all three.

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from .._core.errors import Json
from .answers import is_list_of

LISTS = ("cmd", "entrypoint")


def parsed(args: str) -> dict[str, list[str]]:
    try:
        document = json.loads(args)
    except ValueError:
        document = None
    if isinstance(document, dict) and document and document.keys() <= set(LISTS):
        lists = {field: document.get(field) or [] for field in LISTS}
        if all(is_list_of(str, value) for value in lists.values()):
            return lists
    try:
        return {"cmd": shlex.split(args), "entrypoint": []}
    except ValueError:  # a quote without its other half
        return {"cmd": [args], "entrypoint": []}


def stored(cmd: list[str], entrypoint: list[str]) -> str:
    return json.dumps({"entrypoint": entrypoint, "cmd": cmd}) if entrypoint else shlex.join(cmd)


def with_command(thing: Mapping[str, Any]) -> Json:
    given = {field: thing[field] for field in LISTS if isinstance(thing.get(field), list)}
    lists = {**parsed(thing.get("args") or ""), **given}
    return {**thing, **lists, "args": thing.get("args") or stored(**lists)}


def predicted_command(current: Mapping[str, Any], sent: Mapping[str, Any]) -> Json:
    """Return all three after the update; nothing when none was sent."""
    if "args" in sent:
        return {"args": sent["args"], **parsed(sent["args"])}
    if not sent.keys() & set(LISTS):
        return {}
    lists = {field: sent.get(field, current[field]) for field in LISTS}
    return {"args": stored(**lists), **lists}
