# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. Values of suspects are never returned.

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .._core.errors import Json

KINDS = {
    "AWS access key": r"(?<![A-Z0-9])A(?:KIA|SIA)[A-Z0-9]{16}(?![A-Z0-9])",
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "GitHub token": r"\b(?:gh[opusr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    "GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    "Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "RunPod API key": r"\brpa_[A-Za-z0-9]{30,}",
    "OpenAI or Anthropic key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "Google API key": r"\bAIza[A-Za-z0-9_-]{35}",
    "npm token": r"\bnpm_[A-Za-z0-9]{36}",
    "JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.",
    "password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/:@$]+@",
}
PATTERNS = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}
# Judged by how names end, so that TOKENIZERS_PARALLELISM and TOKEN_FILE are none
NAMES = re.compile(
    r"(?:(?:^|[_.-])TOKEN|SECRETS?|PASS(?:WORD|WD|PHRASE)|CREDENTIALS?|(?:API|PRIVATE|SECRET|ACCESS)_?KEY)"
    r"(?:[_.-](?:ID|KEY|VALUE|BASE))?$",
    re.IGNORECASE,
)
ASSIGNMENT = re.compile(r"""(?<![\w$])([A-Za-z_][\w.-]*)=("[^"]*"|'[^']*'|[^\s"']*)""")
# Nothing, a reference, a path, a switch, a number
HARMLESS = re.compile(
    r"|\$.*|\.{0,2}(?:/[\w.-]{0,24})+|true|false|yes|no|none|null|\d{1,5}|<.*>|\*+", re.IGNORECASE | re.DOTALL
)


class Suspect(NamedTuple):
    place: str
    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.place}: {self.name} ({self.kind})" if self.name else f"{self.place}: {self.kind}"


def suspected_secrets(configuration: Json) -> list[Suspect]:
    return list(dict.fromkeys(_found(configuration)))


def _found(configuration: Json) -> Iterator[Suspect]:
    config = _mapping(configuration.get("config"))
    for entry in _listed(config.get("Env")):
        name, dummy, value = str(entry).partition("=")
        yield from _of_value("Env", name, value)
    for name, value in _mapping(config.get("Labels")).items():
        yield from _of_value("Labels", str(name), str(value))
    for number, step in enumerate(_listed(configuration.get("history")), 1):
        yield from _of_text(f"history, step {number}", str(_mapping(step).get("created_by") or ""))


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _of_value(place: str, name: str, value: str) -> Iterator[Suspect]:
    kind = _kind(value)
    if kind:
        yield Suspect(place, name, kind)
    elif NAMES.search(name) and not HARMLESS.fullmatch(value.strip("\"'")):
        yield Suspect(place, name, "by its name")


def _of_text(place: str, text: str) -> Iterator[Suspect]:
    """Assignments go first, for they have a name to tell."""
    found = [suspect for name, value in ASSIGNMENT.findall(text) for suspect in _of_value(place, name, value)]
    yield from found
    reported = {suspect.kind for suspect in found}
    for kind, pattern in PATTERNS.items():
        if kind not in reported and pattern.search(text):
            yield Suspect(place, "", kind)


def _kind(value: str) -> str:
    return next((kind for kind, pattern in PATTERNS.items() if pattern.search(value)), "")
