# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: checks answers of AWS against botocore's model.

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from .._core.errors import AwsError, Json

MALFORMED = "MalformedAnswer"
KINDS: dict[str, Any] = {
    "string": (str,),
    "timestamp": (datetime,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "blob": (bytes,),
    "map": (dict,),
}
ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+")


def malformed(call: str, field: str, why: str) -> AwsError:
    """Return the error of an answer that lacks something; the outcome of a write is unknown."""
    text = f"{field} {why}"
    remedy = "What answered may not be AWS: check the proxy and endpoint_url."
    return AwsError(f"{call}: {MALFORMED}: in the answer {text}. {remedy}", call, MALFORMED, text)


class Answer(Json):
    """A key that is read and missing is an AwsError; `get` tolerates its absence."""

    def __init__(self, call: str, path: str, fields: Json) -> None:
        super().__init__(fields)
        self.call = call
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise malformed(self.call, self.path + key, "is missing")


def checked(call: str, shape: Any, value: Any, path: str = "") -> Any:
    """Return Answer for structures, without nulls. Raise AwsError for a value of another type."""
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            raise malformed(call, path.rstrip(".") or "it", "is no structure")
        fields = {
            key: checked(call, shape.members[key], field, f"{path}{key}.") if key in shape.members else field
            for key, field in value.items()
            if field is not None and not is_null(shape.members.get(key), field, key in shape.required_members)
        }
        return Answer(call, path, fields)
    name = path.rstrip(".")
    if shape.type_name == "list":
        if not isinstance(value, list):
            raise malformed(call, name, "is no list")
        if any(is_null(shape.member, item, False) for item in value):
            raise malformed(call, name, "has an empty item")
        return [checked(call, shape.member, item, f"{name}[].") for item in value]
    check_value(call, shape, value, name)
    return value


def is_null(shape: Any, value: Any, required: bool) -> bool:
    """Return whether this is XML's way to say none: an empty text where AWS knows no empty one."""
    if value != "" or shape is None or shape.type_name != "string":
        return False
    secret = required and "sensitive" in shape.metadata and "min" not in shape.metadata
    return shape.metadata.get("min", 0) > 0 or "enum" in shape.metadata or secret


def check_value(call: str, shape: Any, value: Any, name: str) -> None:
    if shape.name == "policyDocumentType" and shape.type_name == "string":  # botocore has read it as JSON
        if not is_policy(value):
            raise malformed(call, name, "is no policy document")
    elif not isinstance(value, KINDS[shape.type_name]):
        raise malformed(call, name, f"is no {shape.type_name}")
    elif name.rpartition(".")[2].lower() == "arn" and not ARN.fullmatch(value):
        raise malformed(call, name, "is no ARN")


def is_policy(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    statements = document.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    return all(isinstance(one, dict) and is_texts(one, "Action") and is_texts(one, "Resource") for one in statements)


def is_texts(statement: Json, key: str) -> bool:
    value = statement.get(key, [])
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
