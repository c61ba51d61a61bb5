# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RunPod's API document in short: what a request may and must hold, and which answers there are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]

WRITTEN_FOR = Path(__file__).with_name("runpod-api.json")
AREAS = ("/v2/registries", "/v2/templates", "/v2/serverless", "/v2/pods")
METHODS = ("get", "post", "patch", "put", "delete")


def summary(document: Json) -> Json:
    """Return operation -> its statuses, and the fields of its body, those marked * that are required."""
    schemas = document.get("components", {}).get("schemas", {})
    found = {}
    for path, item in document.get("paths", {}).items():
        for method in METHODS if path.startswith(AREAS) else ():
            if method in item:
                found[f"{method.upper()} {path}"] = operation(item[method], schemas)
    return dict(sorted(found.items()))


def operation(given: Json, schemas: Json) -> Json:
    content = given.get("requestBody", {}).get("content", {}).get("application/json", {})
    fields = properties(content.get("schema", {}), schemas)
    return {"answers": sorted(map(str, given.get("responses", {}))), **({"body": fields} if fields else {})}


def properties(schema: Json, schemas: Json) -> list[str]:
    required: set[str] = set()
    names: set[str] = set()
    for part in parts(schema, schemas):
        names |= set(part.get("properties", {}))
        required |= set(part.get("required", []))
    return sorted(f"{name}*" if name in required else name for name in names)


def parts(schema: Json, schemas: Json) -> list[Json]:
    """Return a schema and all that it is composed of."""
    if "$ref" in schema:
        return parts(schemas.get(schema["$ref"].rpartition("/")[2], {}), schemas)
    inner = [part for one in schema.get("allOf", []) for part in parts(one, schemas)]
    return [schema, *inner]


def differences(then: Json, now: Json) -> list[str]:
    """Return what is new, gone or other, a line each."""
    lines = [f"new: {name}" for name in sorted(now.keys() - then.keys())]
    lines += [f"gone: {name}" for name in sorted(then.keys() - now.keys())]
    for name in sorted(then.keys() & now.keys()):
        for part in ("answers", "body"):
            before, after = set(then[name].get(part, [])), set(now[name].get(part, []))
            changes = [f"+{one}" for one in sorted(after - before)] + [f"-{one}" for one in sorted(before - after)]
            if changes:
                lines.append(f"{name}: {part} {' '.join(changes)}")
    return lines


def written_for() -> Json:
    found: Json = json.loads(WRITTEN_FOR.read_text())
    return found


if __name__ == "__main__":  # python -m tools.live.document < openapi.json
    json.dump(summary(json.load(sys.stdin)), sys.stdout, indent=1)
    print()
