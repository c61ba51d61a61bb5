# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import timedelta
from string import Formatter
from typing import Any, NamedTuple

from .errors import Json
from .masking import printable

SEVERITIES = ["error", "warning", "info"]
PLAIN = re.compile(r"[\w ./:@+*=,-]*", re.ASCII)  # nothing that any version of Ansible takes for a template
SHORT = re.compile(r"[\w./:@+-]+", re.ASCII)
MISSED = timedelta(hours=4)  # a token that is refreshed every four hours never has less left


def as_option(value: object) -> str:
    """Return the value joined to its option: one that begins with a dash would be an option."""
    text = shlex.quote(str(value))
    return f"={text}" if str(value).startswith("-") else f" {text}"


def as_tag(key: str, value: str) -> str:
    """Return a tag for the AWS CLI, whose short form gives a comma and some others a meaning."""
    if SHORT.fullmatch(value):
        return f"Key={key},Value={value}"
    return shlex.quote(json.dumps([{"Key": key, "Value": value}]))


class QuotingFormatter(Formatter):
    """Fills `{fact!q}` as one word of a shell, and `{fact!o}` as what follows an option."""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        quoting = {"q": shlex.quote, "o": as_option}.get(conversion or "")
        return quoting(str(value)) if quoting else super().convert_field(value, conversion)


FORMATTER = QuotingFormatter()


class Rule(NamedTuple):
    code: str
    severity: str
    cause: str
    remedy: str

    def filled(self, facts: Json) -> Json:
        cause, remedy = (printable(FORMATTER.vformat(text, (), facts)) for text in (self.cause, self.remedy))
        return {"code": self.code, "severity": self.severity, "cause": cause, "remedy": remedy}


def worst_first(found: Iterable[Json]) -> list[Json]:
    return sorted(found, key=lambda one: SEVERITIES.index(one["severity"]))


def module_call(module: str, **options: object) -> str:
    arguments = json.dumps(_as_data(options)).replace("'", r"\u0027").replace("\x7f", r"\u007f")
    return f"ansible localhost -m gpuops.runpod.{module} -a {shlex.quote(arguments)}"


def _as_data(value: object) -> object:
    """Mark what Ansible could take for a template, as its JSON does."""
    if isinstance(value, Mapping):
        return {key: _as_data(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_data(each) for each in value]
    return {"__ansible_unsafe": value} if isinstance(value, str) and not PLAIN.fullmatch(value) else value
