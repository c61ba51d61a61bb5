# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a live check, in Markdown, free of secrets and account numbers."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

from .check import Outcome

ROOT = Path(__file__).resolve().parents[2]
NUMBER = re.compile(r"(?<!\d)\d{12}(?!\d)")
KEY_ID = re.compile(r"\bA(?:KIA|SIA|IDA|ROA)[A-Z0-9]{12,}\b")
PUBLISHED = {"550005742258": "RUNPOD"}  # RunPod's account, which is no secret


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """Return a text without secrets, ids of keys and numbers of accounts."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "SECRET")
    return KEY_ID.sub("KEY-ID", NUMBER.sub(lambda match: PUBLISHED.get(match[0], "ACCOUNT"), text))


def report(outcome: Outcome, region: str, today: date) -> str:
    verdict = "passed" if outcome.passed else "interrupted" if outcome.interrupted else "not passed"
    lines = [
        f"# Live check of gpuops.runpod: {verdict}",
        "",
        f"{today.isoformat()}, {region}, things named `{outcome.prefix}`. {versions()}",
        "",
        "## Steps",
        "",
        *table(("step", "result", "seconds", "note"), steps(outcome)),
        *failures(outcome),
        "",
        "## Open questions",
        "",
        *table(("cloud", "number", "question", "answer"), answers(outcome)),
        "",
        "## RunPod's API document, against the one this was written for",
        "",
        *([f"* {line}" for line in outcome.document] or ["No difference in what is used."]),
        "",
        "## Clean-up",
        "",
        *([f"* **left**: {line}" for line in outcome.left] or ["Nothing is left."]),
    ]
    return "\n".join(lines) + "\n"


def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in ("ansible-core", "boto3"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    number = re.search(r"^version: (\S+)", (ROOT / "galaxy.yml").read_text(), re.MULTILINE)
    return f"gpuops.runpod {number[1] if number else 'unknown'}, {', '.join(found)}."


def steps(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for step in outcome.steps:
        note = step.note if step.passed else "see below"
        yield step.name, "passed" if step.passed else "**failed**", f"{step.seconds:.1f}", note


def failures(outcome: Outcome) -> Iterator[str]:
    for step in outcome.steps:
        if not step.passed:
            yield from ("", f"What {step.name} said at its end:", "", "```", *step.note.splitlines(), "```")


def answers(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for question, answer in outcome.answers:
        yield question.cloud, question.number, question.text, answer


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |".replace("\n", " ") for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines] if lines else ["None."]
