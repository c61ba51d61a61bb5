# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Anything as options of any module, while nothing can be reached: each ends in a clear error, or in a preview."""

from __future__ import annotations

import io
import json
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib import import_module
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch
from urllib.error import URLError

import yaml
from ansible.errors import AnsibleUndefinedVariable
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.urls import Request
from botocore.endpoint import Endpoint
from botocore.exceptions import EndpointConnectionError

from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.client import Client as RunpodClient
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.json_api import JsonApi
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args
from tests.sandbox.near import near
from tests.sandbox.server import Sandbox
from tests.system.conftest import IMAGE, ROOT, House
from tests.system.role import Role
from tests.system.worker import Clock, Runs

from .in_order import in_order
from .scenarios import converged
from .world import Snapshot

Json = dict[str, Any]

NOWHERE = "http://127.0.0.1:9"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
JOINS = "runpod_ecr_result"  # which is given what other modules return, and nothing by people
MODULES = sorted({path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")} - {"__init__", JOINS})
ARN = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
SLEEP = time.sleep
PLACE = IMAGE.partition("/")[0]
KINDS: dict[str, list[str]] = {
    "references": [
        *(IMAGE, f"{IMAGE}@sha256:{'0' * 64}", IMAGE.rpartition(":")[0], f"{IMAGE}:", "docker.io/library/nginx:1"),
        *(f"{PLACE}/{'r' * 256}:v1", f"{PLACE}/{'r' * 257}:v1", f"{IMAGE[:-2]}{'t' * 128}", f"{IMAGE[:-2]}{'t' * 129}"),
        *(f"{PLACE}/Upper:v1", f"{PLACE}//x:v1", f"{IMAGE}@sha256:{'g' * 64}", f"{IMAGE}@sha256:0", f"http://{IMAGE}"),
    ],
    "ARNs": [
        *(ARN, f"{ARN}/*", ARN.replace(":aws:", ":aws-cn:"), ARN.replace("123456789012", "1"), ARN + "x" * 2048),
        *("arn:aws:iam::123456789012:policy/x", "arn:", "arn:aws", "arn:aws:iam::550005742258:role/x"),
    ],
    "names": [
        *(
            "x",
            "-",
            "-e",
            "--help",
            "runpod-ecr-access",
            "runpod-ecr/x",
            "/aws/x",
            "ssm",
            "team/*",
            "*",
            "?",
            "team/app",
        ),
        *("Team/App", "us-east-1", "nowhere-1", "a,b=c", "x-alt", "123", "2026-01-01"),
    ],
    "unicode": ["\u202e", "\u2028", "\ud7ff", "é", "\U0001f600", "\ufeff", "e\u0301", "ﬁ", "İ", "\u0661"],
    "sizes": [
        "",
        *("a" * size for size in (63, 64, 65, 128, 129, 191, 192, 255, 256, 257, 512, 513, 1011, 2049, 70_000)),
    ],
    "texts for other types": ["null", "true", "~", "1e999", "NaN", "-0", "0x10", "[]", "{}", "yes", "0o7"],
    "NUL": ["\0", "a\0b"],
    "Jinja": ["{{ lookup('pipe', 'id') }}", "{{ 31337 * 3 }}", "{% raw %}", "{# x", "#jinja2: trim_blocks: true"],
    "shell": ["${IFS}", "$(id)", "`id`", "; id", "| id", "'", '"', "\\", "%s%n", "{0}", " ", "\n"],
    "HTML": ["<script>alert(1)</script>", "</title>", "&lt;", "<!--"],
    "terminal escapes": ["\x1b[31mred", "\x1b]0;t\x07", "\x9b31m", "\r", "\x08", "\x7f"],
    "paths": [
        "..",
        "/",
        "/etc/passwd",
        "../../x",
        "https://user:pass@host",
        "file:///x",
        "/dev/stdin",
        "~/.aws/credentials",
    ],
}
TEXTS = [text for texts in KINDS.values() for text in texts]
NUMBERS = [0, 1, -1, 7, 9, 10, 11, 12, 13, 90, 100, 101, 3600, 3601, 65_535, 65_536]
NUMBERS += [10**6, 2**31, 2**63, 10**12, 10**30, 0.5, -0.5, 1e300]
OTHERS: list[Any] = [None, True, False, [], {}, [[]], [None], {"x": None}, [{}], {"": ""}, ["x"] * 1001]
ACCESS = {"api_url", "api_key", "access_key", "secret_key", "endpoint_url", "session_token", "profile"}


class Inputs:
    """Draws options, most of them fit for their type, by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def options(self, module: str) -> Json:
        return self.drawn(documented(module))

    def drawn(self, spec: Json) -> Json:
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


@cache
def documented(module: str) -> Json:
    text = import_module(f"ansible_collections.gpuops.runpod.plugins.modules.{module}").DOCUMENTATION
    options: Json = yaml.safe_load(text).get("options", {})
    return options


WRITES: list[str] = []  # that were sent although nothing was read
READS = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Lookup", "Simulate", "Head")


def refused_by_aws(dummy: Any, model: Any, *others: Any, **more: Any) -> Any:
    if not model.name.startswith(READS):
        WRITES.append(model.name)
    raise EndpointConnectionError(endpoint_url=NOWHERE)


def refused_by_others(dummy: Any, method: str, url: str, *others: Any, **more: Any) -> Any:
    if method not in ("GET", "HEAD"):
        WRITES.append(f"{method} {url}")
    raise URLError(ConnectionRefusedError(111, "Connection refused"))


def at_once(dummy: float) -> None:
    pass


def without_pauses(client: type) -> tuple[Any, ...]:
    """Return the defaults of a client that were set before time.sleep was replaced."""
    return tuple(at_once if default is SLEEP else default for default in client.__init__.__defaults__)


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
    with (
        TemporaryDirectory() as folder,
        patch.dict(os.environ, there),
        patch("time.sleep", at_once),
        patch.object(Endpoint, "make_request", refused_by_aws),
        patch.object(Request, "open", refused_by_others),
        patch.object(RunpodClient.__init__, "__defaults__", without_pauses(RunpodClient)),
        patch.object(JsonApi.__init__, "__defaults__", without_pauses(JsonApi)),
        in_order(),
    ):
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def ended_badly(module: str, options: Json, check: bool = True) -> str:
    """Return what is wrong with how a module ends."""
    main = import_module(f"ansible_collections.gpuops.runpod.plugins.modules.{module}").main
    said = io.StringIO()
    WRITES.clear()
    try:
        with redirect_stdout(said), patch_module_args({**options, "_ansible_check_mode": check}):
            main()
    except SystemExit:
        pass
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} at {Path(place.filename).name}:{place.lineno}"
    return judged(said.getvalue()) or (f"it writes without a look: {WRITES}" if WRITES else "")


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


# The role


def role_spec(entry: str) -> Json:
    specs = yaml.safe_load((ROOT / "roles" / "runpod_ecr" / "meta" / "argument_specs.yml").read_text())[
        "argument_specs"
    ]
    options: Json = specs[entry]["options"]
    return options


OF_THE_ROLE = {entry: role_spec(entry) for entry in ("main", "refresh", "rotate")}
CONNECTIONS = {"runpod_ecr_api", "runpod_ecr_aws"}
HINT = "where a dictionary is meant"  # of the role's own
FIT = {"runpod_ecr_image": IMAGE, "runpod_ecr_template": {"serverless": True}}


class RoleInputs:
    """Anything as variables of the role, in a sandbox in which it could do what it is asked for."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._clock, self._sandbox = Clock(), sandbox
        self._house = House(sandbox)
        self._house.runs = Runs(sandbox.environment, sleep=self._clock.sleep, clock=self._clock.now)
        sandbox.reset()
        sandbox.runpod.switch(rate_limits=None)
        self._starts = {"nothing": Snapshot(sandbox)}
        with self._reached():
            converged(self._house)
        self._starts["converged"] = Snapshot(sandbox)

    def variables(self, seed: int) -> tuple[str, str, Json]:
        """Return a start, an entry point and variables, of which most are fit."""
        random = Random(seed)
        start, entry = random.choice(list(self._starts)), random.choice(["main", "main", "main", "refresh", "rotate"])
        spec = {name: option for name, option in OF_THE_ROLE[entry].items() if name not in CONNECTIONS}
        drawn = Inputs(seed).drawn(spec)
        kept = random.sample(sorted(drawn), min(len(drawn), random.choice([1, 1, 2, 3])))
        return start, entry, {**FIT, **{name: drawn[name] for name in kept}}

    def ended_badly(self, seed: int) -> str:
        """Return what is wrong with how the role ends."""
        start, entry, variables = self.variables(seed)
        try:
            if ArgumentSpecValidator(OF_THE_ROLE[entry]).validate(variables).error_messages:
                return ""  # in the words of ansible-core
        except TypeError as error:
            return f"ansible-core stumbles over the role's specification: {error}"
        self._starts[start].restore()
        self._clock.slept = 0.0
        said = io.StringIO()
        try:
            with redirect_stdout(said), self._reached(), patch.dict(os.environ, self._house.environment()):
                played = Role(self._house.runs).play(entry, **variables)
        except SystemExit:
            return judged(said.getvalue()) or self._changed("refused options")
        except BaseException as error:
            if isinstance(error, AnsibleUndefinedVariable) and HINT in str(error):
                return unfit(str(error)) or self._changed(str(error))
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__}: {error} at {Path(place.filename).name}:{place.lineno}"
        told = " ".join([played.failure, *played.warnings])
        if "94011" in json.dumps([told, played.variables.get("runpod_ecr_result"), self._house.runpod()], default=str):
            return f"a template was evaluated: {told[:300]}"
        return unfit(told) or (self._changed(played.failure) if played.failure else "")

    def _changed(self, failure: str) -> str:
        """Return that something was written before a refusal."""
        written = self._house.writes()
        return f"{written} before {failure[:500]}" if written else ""

    @contextmanager
    def _reached(self) -> Iterator[None]:
        with near(self._sandbox), in_order(), patch("time.sleep", self._clock.sleep):
            yield


def unfit(text: str) -> str:
    return "" if all(each.isprintable() or each in "\n\t" for each in text) else f"raw: {text[:300]!r}"
