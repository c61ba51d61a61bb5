# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container runs: `args` is how `cmd` and `entrypoint` are stored, and answers show all three.

A shell string stands for `cmd` alone; with an entrypoint, both are a JSON object.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from .runpod_schemas import COMMAND
from .runpod_world import Json, Refusal


def command(current: Mapping[str, Any], asked: Mapping[str, Any]) -> Json:
    """Return all three after a request, or nothing when it is about none of them. They may not contradict."""
    lists = {field: asked[field] for field in COMMAND if field in asked}
    if "args" not in asked:
        parts = {**{field: current[field] for field in COMMAND}, **lists}
        return {"args": _stored(**parts), **parts} if lists else {}
    parts = _parsed(asked["args"])
    if {**parts, **lists} != parts:
        raise Refusal(400, "args contradicts cmd or entrypoint")
    return {"args": asked["args"], **parts}


def _stored(entrypoint: list[str], cmd: list[str]) -> str:
    return json.dumps({"entrypoint": entrypoint, "cmd": cmd}) if entrypoint else shlex.join(cmd)


def _parsed(args: str) -> Json:
    try:
        document = json.loads(args)
    except ValueError:
        document = None
    if isinstance(document, dict) and document and document.keys() <= COMMAND.keys():
        return {field: document.get(field, []) for field in COMMAND}
    return {"cmd": _split(args), "entrypoint": []}


def _split(args: str) -> list[str]:
    try:
        return shlex.split(args)
    except ValueError:  # a quote without its other half
        return [args]
