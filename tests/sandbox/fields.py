# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of an answer's body, and the body without one of them.

A path leads from the whole body, "$", to a field: "$.templates[*].id" is the id of each template, "$.templates[0].id"
that of the first, and odd names are quoted as in '$.env["a.b"]'. In XML a path goes on behind the root, and a name is
meant wherever it stands among its siblings: "$.ListUsersResult.Users.member.UserName". A document inside a text, such
as a policy, is a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

NUMBER = 12345
CHANGES = ("remove", "null", "number")

_STEP = re.compile(r"\.(?P<name>[\w-]+)|\[(?P<index>\d+|\*)\]|\[(?P<quoted>\"(?:[^\"\\]|\\.)*\")\]")
_PLAIN = re.compile(r"[\w-]+")

Step = str | int | None  # the name of a field, the number of an item, or all items


def paths(body: bytes) -> list[str]:
    """Return the paths of all fields of a body, each once; none of one that is neither JSON nor XML."""
    document = _parsed(body)
    found = _xml_paths(document, "$") if isinstance(document, Element) else _json_paths(document, "$")
    return list(dict.fromkeys(found))


def changed(body: bytes, change: str, path: str) -> bytes | None:
    """Return a body whose field is gone ("remove"), null or, in XML, empty ("null"), or a number ("number").

    Return None when it has no such field.
    """
    document, found = _parsed(body), False
    parts = steps(path)
    for holder, key in _places(document, parts):
        found = True
        _CHANGERS[change](holder, key)
    if not found:
        return None
    if isinstance(document, Element):
        return ElementTree.tostring(document, encoding="utf-8", xml_declaration=True)
    return json.dumps(document).encode()


def steps(path: str) -> list[Step]:
    """Return the steps of a path, or raise ValueError."""
    found: list[Step] = []
    place = 1
    while place < len(path):
        match = _STEP.match(path, place)
        if match is None:
            break
        index = match["index"]
        found.append((None if index == "*" else int(index)) if index else match["name"] or json.loads(match["quoted"]))
        place = match.end()
    if not found or path[0] != "$" or place < len(path):
        raise ValueError(f"not the path of a field: {path}")
    return found


def _parsed(body: bytes) -> Any:
    """Return a JSON document, the root of XML without its namespaces, or None."""
    try:
        return json.loads(body)
    except ValueError:
        pass
    try:
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError):
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _json_paths(value: Any, place: str) -> Iterator[str]:
    entries: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        entries = [(f"{place}{_step(name)}", one) for name, one in value.items()]
    elif isinstance(value, list):
        entries = [(f"{place}[*]", one) for one in value]
    for path, one in entries:
        yield path
        yield from _json_paths(one, path)


def _step(name: str) -> str:
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{json.dumps(name)}]"


def _xml_paths(element: Element, place: str) -> Iterator[str]:
    for child in element:
        path = f"{place}{_step(child.tag)}"
        yield path
        yield from _xml_paths(child, path)


def _places(value: Any, parts: list[Step]) -> Iterator[tuple[Any, Any]]:
    """Yield what holds the field that is meant, with its key, its number or, in XML, the field itself; the last first,
    so that it may be taken away."""
    first, rest = parts[0], parts[1:]
    for key, one in reversed(list(_fitting(value, first))):
        if rest:
            yield from _places(one, rest)
        else:
            yield value, key


def _fitting(value: Any, step: Step) -> Iterator[tuple[Any, Any]]:
    """Yield the keys and values, one step further."""
    if isinstance(value, Element):
        yield from ((child, child) for child in value if child.tag == step)
    elif isinstance(value, dict) and step in value:
        yield step, value[step]
    elif isinstance(value, list) and not isinstance(step, str):
        yield from ((number, one) for number, one in enumerate(value) if step in (None, number))


def _remove(holder: Any, key: Any) -> None:
    if isinstance(holder, Element):
        holder.remove(key)
    else:
        del holder[key]


def _put(value: int | None) -> Callable[[Any, Any], None]:
    def put(holder: Any, key: Any) -> None:
        if isinstance(holder, Element):
            key.clear()
            key.text = None if value is None else str(value)
        else:
            holder[key] = value

    return put


_CHANGERS = dict(zip(CHANGES, (_remove, _put(None), _put(NUMBER)), strict=True))
