# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command that the plugins print, found in their source and filled with names that nobody would like to paste."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.gpuops.runpod.plugins.module_utils._core.finding import FORMATTER

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections.gpuops.runpod."
PROGRAM = r"(?:aws [a-z0-9-]+ (?:[a-z]+-[a-z-]+|$)|ansible localhost -m |ansible-playbook )"
BEGINS = re.compile(rf"(?:^|(?<=[\s`]))(?={PROGRAM})")
DOCUMENTS = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
CALLS = {"module_call"}  # which return commands
THAT_OF_MODULE_CALL = ROOT / "plugins" / "module_utils" / "_core" / "finding.py"


class Printed(NamedTuple):
    """A place in the source that prints commands, and how it is evaluated."""

    path: Path
    node: ast.expr

    @property
    def name(self) -> str:
        return f"{self.path.relative_to(ROOT / 'plugins')}:{self.node.lineno}"

    def filled(self, value: str) -> str:
        """Return what is printed when every name that is not the source's own is this value."""
        whole = Hostile(value)
        if isinstance(self.node, ast.Constant):
            return (
                FORMATTER.vformat(str(self.node.value), (), Anything(whole))
                if "{" in self.node.value
                else str(self.node.value)
            )
        module = import_module(PACKAGE + ".".join(self.path.relative_to(ROOT).with_suffix("").parts))
        code = compile(ast.Expression(self.node), str(self.path), "eval")
        known = {**vars(__builtins__ if not isinstance(__builtins__, dict) else import_module("builtins"))}
        return str(eval(code, Known({**known, **vars(module)}, whole)))  # noqa: S307


class Hostile(str):
    """A text that is also whatever else a template may take it for."""

    def __getattribute__(self, name: str) -> Any:
        return str.__getattribute__(self, name) if hasattr(str, name) else self

    def __getitem__(self, dummy: Any) -> Any:
        return self

    def __iter__(self) -> Any:
        return iter(())

    def __call__(self, *dummy: Any, **more: Any) -> Any:
        return self

    def keys(self) -> list[str]:
        return []


class Anything(dict[str, Any]):
    """Facts by any name."""

    def __init__(self, value: str) -> None:
        super().__init__()
        self._value = value

    def __missing__(self, dummy: str) -> str:
        return self._value


class Known(dict[str, Any]):
    """The names of a module; any other is the value."""

    def __init__(self, known: dict[str, Any], value: str) -> None:
        super().__init__(known)
        self._value = value

    def __missing__(self, dummy: str) -> str:
        return self._value


def printed() -> list[Printed]:
    """Return all there are."""
    files = sorted(set((ROOT / "plugins").rglob("*.py")) - {THAT_OF_MODULE_CALL})
    return [Printed(path, node) for path in files for node in expressions(ast.parse(path.read_text()))]


def expressions(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.iter_child_nodes(tree):
        if is_document(node):
            continue
        if isinstance(node, ast.expr) and prints(node):
            yield node
        else:
            yield from expressions(node)


def is_document(node: ast.AST) -> bool:
    names = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or bool(DOCUMENTS & set(names))


def prints(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in CALLS
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return any(BEGINS.search(text) for text in texts)


def commands(text: str) -> list[str]:
    """Return what somebody pastes: what stands between backquotes, or goes to the end of the text."""
    found = []
    for start in BEGINS.finditer(text):
        rest = text[start.start() :]
        if text[: start.start()].endswith("`"):
            ends = [end.start() for end in re.finditer("`", rest)]
            found.append(rest[: next((end for end in ends if is_whole(rest[:end])), None)])
        elif not found:
            found.append(rest)
    return found


def is_whole(line: str) -> bool:
    """Return whether each quote in a line of a shell has its other half."""
    try:
        shlex.split(line)
    except ValueError:
        return False
    return True
