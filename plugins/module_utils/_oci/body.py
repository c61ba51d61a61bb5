# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

LONGEST_TITLE = 80
HEAD = 4096


def is_page(content: bytes) -> bool:
    start = content[:HEAD].decode(errors="replace").lstrip("\ufeff \t\r\n").lower()
    return start.startswith(("<!doctype html", "<html", "<head", "<body", "<title"))


def describe(content: bytes) -> str:
    """Of a page return the title only."""
    text = content[:HEAD].decode(errors="replace")
    if not text.strip():
        return "an empty answer"
    if not is_page(content):
        return "something that is no JSON object"
    title = _title(text)
    return f"an HTML page titled {title!r}" if title else "an HTML page"


def _title(page: str) -> str:
    found = page.lower().find("<title")
    start = page.find(">", found) + 1
    end = page.lower().find("</title", start)
    if found < 0 or not start or end < 0:
        return ""
    words = "".join(each if each.isprintable() else " " for each in page[start:end]).split()
    return " ".join(words)[:LONGEST_TITLE]
