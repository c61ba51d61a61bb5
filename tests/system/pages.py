# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README and the pages hold: blocks of code, and code within lines, by what it is."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import yaml

from .conftest import IMAGE, ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
OTHERS = [
    *sorted((ROOT / "examples").glob("**/README.md")),
    *(ROOT / name for name in ("roles/runpod_ecr/README.md", "CONTRIBUTING.md", "bench/README.md")),
]
BLOCK = re.compile(r"^ *```(\S*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SHELL = ("sh", "console")
LOOPS = ("filled=", "for ", "done", "sed ")  # lines of docs/rights.md, which tests/unit/rights runs as a whole
PROGRAM = re.compile(
    r"(make|aws|ansible[\w-]*|nox|python[\d.]*|pip|git|grep|skopeo|docker|podman|terraform|sandbox-\w+|timedatectl|uv)"
    r"|(\.venv/bin|tools|playbooks)/\S+"
)
CONTROLLER = ROOT / "extensions" / "awx" / "controller"
PREFIX_OF_AWX = "RunPod"


class Block(NamedTuple):
    page: Path
    language: str
    text: str


class Line(NamedTuple):
    """A command, and the page that has it first."""

    page: Path
    words: list[str]

    def __str__(self) -> str:
        return f"{self.page.name}: {' '.join(self.words[1:])}"[-60:]


class Inline(NamedTuple):
    """Code within a line that has a blank in it, and what it is."""

    page: Path
    text: str
    kind: str


def blocks() -> list[Block]:
    found = ((page, *block) for page in [*PAGES, *OTHERS] for block in BLOCK.findall(page.read_text()))
    return [Block(page, language, dedent(text)) for page, language, text in found]


def inlines() -> list[Inline]:
    found: dict[str, Inline] = {}
    for page in [*PAGES, *OTHERS]:
        for text in INLINE.findall(BLOCK.sub("", page.read_text())):
            if " " in text or PROGRAM.fullmatch(text.partition(" ")[0]):
                found.setdefault(text, Inline(page, text, kind_of(page, text)))
    return list(found.values())


def kind_of(page: Path, text: str) -> str:
    """Return "command" for everything that is not known to be something else."""
    if text.startswith("-"):
        return "options"
    if PROGRAM.fullmatch(text.partition(" ")[0]):
        return "command" if " " in text else "path"
    if text in names_of_awx():
        return "name"
    if page.name == "troubleshooting.md" and re.search(rf"^\| .*{re.escape(f'`{text}`')}", page.read_text(), re.M):
        return "message"
    return "value" if is_value(text) else "command"


def is_value(text: str) -> bool:
    """Return whether it is a part of YAML or JSON: keys with values."""
    for parse in (json.loads, yaml.safe_load, lambda one: json.loads("{" + one + "}")):
        try:
            if isinstance(parse(text), dict):
                return True
        except (ValueError, yaml.YAMLError):
            continue
    return False


@cache
def names_of_awx() -> set[str]:
    """Return what the jobs, workflows, teams and credentials of AWX are called, with the prefix that they have."""
    found = set()
    for path in CONTROLLER.glob("*.yml"):
        text = path.read_text().replace("{{ runpod_awx_prefix }}", PREFIX_OF_AWX)
        found |= set(re.findall(r"^ *-? ?name: \"?([^\"\n{}]+)\"?$", text, re.MULTILINE))
    return found


def commands() -> list[Line]:
    """Return each command once, of blocks and within lines."""
    found: dict[str, Line] = {}
    for page, text in [*block_lines(), *((one.page, one.text) for one in inlines() if one.kind == "command")]:
        found.setdefault(text, Line(page, shlex.split(text, comments=True)))
    return list(found.values())


def block_lines() -> Iterator[tuple[Path, str]]:
    for block in blocks():
        if block.language in SHELL:
            for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
                text = line.strip().replace("$IMAGE", IMAGE)
                if text and not text.startswith(("#", *LOOPS)):
                    yield block.page, text


def loaded(block: Block) -> list[Any]:
    """Return the documents of a block of YAML."""
    return list(yaml.safe_load_all(block.text))
