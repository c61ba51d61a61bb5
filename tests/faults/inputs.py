# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Anything as options of any module, while nothing can be reached: each ends in a clear error, or in a preview."""

from __future__ import annotations

import io
import json
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import yaml

from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from tests.system.conftest import IMAGE, ROOT

Json = dict[str, Any]

NOWHERE = "http://127.0.0.1:9"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
JOINS = "runpod_ecr_result"  # which is given what other modules return, and nothing by people
MODULES = sorted({path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")} - {"__init__", JOINS})
TEXTS = [
    *("", " ", "x", "x" * 256, "x" * 5000, "a" * 64, "-", "-e", "--help", "..", "/", "/etc/passwd", "\0", "a\0b", "\n"),
    *(
        "{{ lookup('pipe', 'id') }}",
        "{% raw %}",
        "${IFS}",
        "$(id)",
        "`id`",
        "; id",
        "| id",
        "'",
        '"',
        "\\",
        "%s%n",
        "{0}",
    ),
    *(
        "<script>alert(1)</script>",
        "</title>",
        "\x1b[31mred",
        "\x1b]0;t\x07",
        "\u202e",
        "\u2028",
        "\ud7ff",
        "é",
        "\U0001f600",
    ),
    *("null", "true", "~", "1e999", "NaN", "-0", "0x10", "2026-01-01", "team/*", "*", "?", "team/app", "Team/App"),
    *(IMAGE, f"{IMAGE}@sha256:{'0' * 64}", IMAGE.rpartition(":")[0], f"{IMAGE}:", "docker.io/library/nginx:1"),
    *(
        "arn:aws:ecr:us-east-1:123456789012:repository/team/app",
        "arn:aws:iam::123456789012:policy/x",
        "arn:",
        "arn:aws",
    ),
    *(
        "us-east-1",
        "nowhere-1",
        "runpod-ecr-access",
        "runpod-ecr/x",
        "/aws/x",
        "ssm",
        "https://user:pass@host",
        "file:///x",
    ),
]
NUMBERS = [0, 1, -1, 7, 12, 13, 90, 3600, 10**6, 10**12, 10**30, 0.5, -0.5, 1e300]
OTHERS: list[Any] = [None, True, False, [], {}, [[]], [None], {"x": None}, [{}], {"": ""}]
ACCESS = {"api_url", "api_key", "access_key", "secret_key", "endpoint_url", "session_token", "profile"}


class Inputs:
    """Draws options, most of them fit for their type, by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def options(self, module: str) -> Json:
        spec = documented(module)
        names = [name for name in spec if name not in ACCESS]
        chosen = {name for name in names if spec[name].get("required")} if self._random.random() < 0.9 else set[str]()
        chosen |= set(self._random.sample(names, min(len(names), self._random.choice([1, 2, 4, 8]))))
        return {name: self._value(spec[name]) for name in sorted(chosen)}

    def _value(self, option: Json) -> Any:
        if self._random.random() < 0.1:
            return self._random.choice([*TEXTS, *NUMBERS, *OTHERS])
        kind = option.get("type", "str")
        if option.get("choices") and self._random.random() < 0.9:
            return self._random.choice(option["choices"])
        if kind == "list":
            inner = {**option, "type": option.get("elements", "str")}
            return [self._value(inner) for dummy in range(self._random.choice([0, 1, 1, 2, 3]))]
        if kind == "dict":
            return self._mapping(option.get("suboptions") or {})
        return self._random.choice({"int": NUMBERS, "float": NUMBERS, "bool": [True, False]}.get(kind, TEXTS))

    def _mapping(self, spec: Json) -> Json:
        given = {name: self._value(option) for name, option in spec.items() if self._random.random() < 0.4}
        if not spec or self._random.random() < 0.1:
            given[self._random.choice(TEXTS)] = self._random.choice([*TEXTS, *NUMBERS, *OTHERS])
        return given


def documented(module: str) -> Json:
    text = import_module(f"ansible_collections.gpuops.runpod.plugins.modules.{module}").DOCUMENTATION
    options: Json = yaml.safe_load(text).get("options", {})
    return options


@contextmanager
def nowhere() -> Iterator[None]:
    """Let nothing be reached, and nothing be written but in a folder that goes."""
    there = {
        **{
            name: NOWHERE
            for name in ("AWS_ENDPOINT_URL", "RUNPOD_API_BASE_URL", "HTTPS_PROXY", "https_proxy", "http_proxy")
        },
        **{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET},
        **{"RUNPOD_API_KEY": "a-key-that-nobody-may-see", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"},
    }
    before = Path.cwd()
    with TemporaryDirectory() as folder, patch.dict(os.environ, there), patch("time.sleep", lambda dummy: None):
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def ended_badly(module: str, options: Json, check: bool = True) -> str:
    """Return what is wrong with how a module ends."""
    main = import_module(f"ansible_collections.gpuops.runpod.plugins.modules.{module}").main
    said = io.StringIO()
    try:
        with redirect_stdout(said), patch_module_args({**options, "_ansible_check_mode": check}):
            main()
    except SystemExit:
        pass
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} at {Path(place.filename).name}:{place.lineno}"
    return judged(said.getvalue())


def judged(text: str) -> str:
    """Return what is wrong with what a module said."""
    try:
        ended = json.loads(text)
    except ValueError:
        return f"no JSON: {text[:200]}"
    message = str(ended.get("msg", ""))
    if not ended.get("failed"):
        return ""
    if not message or "Traceback" in text:
        return f"no message: {text[:500]}"
    if any(not character.isprintable() and character != "\n" for character in message):
        return f"raw: {message!r}"
    return next((f"a secret: {message}" for each in (SECRET, "a-key-that-nobody-may-see") if each in text), "")
