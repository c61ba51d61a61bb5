# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site, offline: pages, generated lists and the reference, without a warning. `nox -s site`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "playbooks" / "collections"))

from ansible_collections.gpuops.runpod.plugins.module_utils._ecr import diagnosis
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user import findings as of_user
from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import audit as of_runpod
from ansible_collections.gpuops.runpod.plugins.module_utils._sink import token_sink
from ansible_collections.gpuops.runpod.plugins.module_utils._workload import findings

DOCS = ROOT / "docs"
BUILD = ROOT / ".build" / "site"
SOURCE, PAGES = BUILD / "source", BUILD / "html"
CONTENTS = re.compile(r"^\.\. contents::.*\n(?: +.*\n)*", re.MULTILINE)
EXTERNAL = ("http", "https", "mailto", "data", "javascript")


def build(environment: Path) -> None:
    """Build the site with the tools of an environment; anything wrong ends it."""
    lay_out()
    tools = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    reference = SOURCE / "reference"
    reference.mkdir()
    collection = ["--use-current", "--squash-hierarchy", "--cleanup", "everything", "--fail-on-error"]
    run(environment, tools, "antsibull-docs", "collection", *collection, "--dest-dir", str(reference), "gpuops.runpod")
    for page in reference.rglob("*.rst"):  # the theme has a list of contents of its own, and refuses a second one
        page.write_text(CONTENTS.sub("", page.read_text()))
    run(environment, tools, "sphinx-build", "-W", "--keep-going", "-q", "-b", "html", str(SOURCE), str(PAGES))
    if broken := list(broken_links()):
        raise SystemExit("\n".join(["broken links:", *broken]))


def run(environment: Path, variables: dict[str, str], tool: str, *arguments: str) -> None:
    subprocess.run([environment / "bin" / tool, *arguments], cwd=ROOT, env=variables, check=True)


def lay_out() -> None:
    """Put everything that Sphinx reads into one folder."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.rmtree(PAGES, ignore_errors=True)
    (SOURCE / "_static").mkdir(parents=True)
    for page in DOCS.glob("*.md"):
        shutil.copy(page, SOURCE)
    for name in ("conf.py", "ansible.rst"):
        shutil.copy(DOCS / "docsite" / name, SOURCE)
    shutil.copy(DOCS / "docsite" / "site.css", SOURCE / "_static")
    (SOURCE / "findings.md").write_text(findings_page())


# The list of findings


def findings_page() -> str:
    """Return the page of all that the audit can find: from its own rules, those of RunPod and those of a pull."""
    lines = [
        "# All findings",
        "",
        "Every finding of the audit, with its code, what it means and what mends it. Words in braces are filled in.",
        "",
        "## Of a chain",
        "",
        *table(("Link", "Code", "Severity", "Cause", "Remedy"), own_rules()),
        "",
        "## Of the pull user",
        "",
        *table(("Code", "Severity", "Cause", "Remedy"), rules_of(of_user.TABLE)),
        "",
        "## Of RunPod's account",
        "",
        *table(("Code", "Severity", "Cause", "Remedy"), rules_of(of_runpod.TABLE)),
        "",
        "## Of other targets of tokens",
        "",
        *table(("Code", "Severity", "Cause", "Remedy"), rules_of(token_sink.RULES)),
        "",
        "## Of a pull that is refused",
        "",
        *table(("Code", "Severity", "Cause", "Remedy"), diagnoses()),
    ]
    return "\n".join(lines) + "\n"


def own_rules() -> Iterator[tuple[str, ...]]:
    for code, rule in findings.RULES.items():
        yield rule.link.replace("_", " ") or "any", f"`{code}`", rule.severity, rule.cause, rule.remedy


def rules_of(rules: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for code, rule in rules.items():
        yield f"`{code}`", rule.severity, rule.cause, rule.remedy


def diagnoses() -> Iterator[tuple[str, ...]]:
    for rule in diagnosis.TABLE:
        yield f"`{rule.code}`", rule.severity, rule.cause, rule.remedy


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(cell(one) for one in row) + " |" for row in rows]
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *lines]


def cell(text: str) -> str:
    """Return a text for a cell, in which Markdown finds nothing to interpret."""
    if text.startswith("`"):
        return text
    return re.sub(r"([\\*_<>|`\[\]])", r"\\\1", re.sub(r"\{(\w+)![a-z]\}", r"{\1}", text)).replace("\n", " ")


# Links


class Links(HTMLParser):
    """The addresses that a page leads to, and the places in it that others may."""

    def __init__(self) -> None:
        super().__init__()
        self.leading: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := given.get(name))}
        self.leading += [value for name in ("href", "src") if (value := given.get(name))]


def broken_links() -> Iterator[str]:
    """Yield the links of the site that lead nowhere in it. What is elsewhere is not asked: this works offline."""
    pages = {page: parsed(page) for page in PAGES.rglob("*.html")}
    for page, links in pages.items():
        for link in links.leading:
            parts = urlsplit(link)
            if parts.scheme in EXTERNAL or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            place = unquote(parts.fragment)
            if not target.exists() or (place and target in pages and place not in pages[target].places):
                yield f"{page.relative_to(PAGES)}: {link}"


def parsed(page: Path) -> Links:
    links = Links()
    links.feed(page.read_text())
    return links


if __name__ == "__main__":  # python -m tools.docsite FOLDER-OF-THE-ENVIRONMENT
    build(Path(sys.argv[1]).absolute())
