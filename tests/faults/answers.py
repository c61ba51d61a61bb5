# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs on answers that are not as the clouds' schemas have them: fields gone, null, of another type, hostile.

A seed chooses the run, how many of its answers are mutated, and how. A run ends well, or in a clear error; what it has
left behind, a plain re-run finishes.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch
from xml.etree import ElementTree

import botocore.session
from ansible.template import Templar, trust_as_template
from botocore import model as botocore_model

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit_lines import lines
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_audit
from tests.sandbox.near import Change, near
from tests.sandbox.runpod_schemas import SCHEMAS
from tests.sandbox.server import Sandbox
from tests.system.conftest import IMAGE, House
from tests.system.role import LOADER, ROLE
from tests.system.worker import STORES, Clock, Runs

from .harness import differences
from .in_order import in_order
from .scenarios import SCENARIOS
from .world import Snapshot, secrets, state

Json = dict[str, Any]

RUNS = [name for name, scenario in SCENARIOS.items() if not scenario.mirrors] + ["audit"]
PAGE = ROLE / "templates" / "audit.html.j2"
SHARES = (0.03, 0.1, 0.3, 0.6)  # of the answers of a run
MARKUP, TEMPLATE, EVALUATED = "<b id=planted>", "{{ 31337 * 3 }}", "94011"
TEXTS = [
    *(
        "",
        " ",
        "x" * 100_000,
        "\0",
        "\x1b[31mred\x1b]0;t\x07",
        "\u202egnp",
        "\u2028",
        "\U0001f600",
        "é" * 300,
        "\ud7ff",
    ),
    *(f"{MARKUP}</script>", f"it's \"{MARKUP}", TEMPLATE, "{% raw %}", "$(touch planted)", "`touch planted`", "null"),
    *(
        "../../etc/passwd",
        "-1",
        "1e999",
        "NaN",
        "2026-13-99T99:99:99Z",
        "0001-01-01T00:00:00Z",
        "arn:aws:iam::1:x",
        "a=b",
    ),
    *(IMAGE, "123456789012.dkr.ecr.us-east-1.amazonaws.com/x@sha256:0", "%s%n", "{0}", "\\", "true"),
]
OTHERS: list[Any] = [
    *(None, True, False, 0, -1, 7, 10**30, 0.5, 1e300, [], {}, [[]], [None], {"x": None}, [{}], ["x"] * 1000),
    {"id": {"id": []}},
]
INVENTED = {str(one) for one in (*TEXTS, *OTHERS)}  # which is no secret where a cloud answers with it as one
WHOLE = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"7",
    b'"text"',
    b"true",
    b"[null]",
    b"{",
    b"\xff\xfe\x00",
    b"[" * 5000,
    b"\x1b[31m",
]
WHOLE += [
    b"<html><title>Sign in</title>" + b"<b id=planted>" * 3,
    b"<?xml version='1.0'?><a>",
    b"<title" + b" " * 100_000,
]


# Mutations


class Place(NamedTuple):
    """A field: what holds it, and its name or number there."""

    holder: Any
    key: Any


def places(document: Any) -> Iterator[Place]:
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(items):
        yield Place(document, key)
        yield from places(value)


def mutated(random: Random, name: str, body: bytes) -> bytes:
    """Return the body of an answer with one to three of its fields mutated, or another in its place."""
    if not body or random.random() < 0.1:
        return random.choice(WHOLE)
    if body.lstrip()[:1] == b"<":
        return _of_xml(random, body)
    try:
        document = json.loads(body)
    except ValueError:
        return random.choice(WHOLE)
    left = random.choice((1, 1, 2, 3))
    while left:
        _change(random, name, document)
        left -= 1
    return json.dumps(document).encode()


def _change(random: Random, name: str, document: Any) -> None:
    found = list(places(document))
    if not found or random.random() < 0.1:
        lacking = list(absent(document, schema_of(name)))
        if lacking:
            holder, member, value = random.choice(lacking)
            holder[member] = value if random.random() < 0.5 else any_value(random)
        return
    holder, key = random.choice(found)
    kind = random.random()
    if kind < 0.25:
        del holder[key]
    elif kind < 0.4:
        holder[key] = None
    elif kind < 0.5 and isinstance(holder, list):
        holder.append(deepcopy(holder[key]))
    elif kind < 0.55 and isinstance(holder, dict):
        holder[random.choice(TEXTS)] = holder.pop(key)
    else:
        holder[key] = any_value(random)


def any_value(random: Random) -> Any:
    return deepcopy(random.choice(TEXTS if random.random() < 0.5 else OTHERS))


def _of_xml(random: Random, body: bytes) -> bytes:
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return random.choice(WHOLE)
    parents = [(parent, child) for parent in root.iter() for child in parent]
    for parent, child in random.sample(parents, min(len(parents), random.choice((1, 1, 2)))):
        kind = random.random()
        if kind < 0.3:
            if child in list(parent):
                parent.remove(child)
        elif kind < 0.45:
            parent.append(child)
        elif kind < 0.6:
            child.tag += "X"
        elif kind < 0.75:
            child.clear()
        else:
            child.text = "".join(c for c in str(any_value(random)) if c >= " " and c != "\ufffe")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


# What the schemas know, and an answer lacks


@cache
def schema_of(name: str) -> Any:
    """Return botocore's shape of a call's answer, or RunPod's schema."""
    if " " not in name:
        service, dummy, operation = name.partition(":")
        models = botocore.session.get_session().get_service_model(service)
        return models.operation_model(operation).output_shape if operation in models.operation_names else None
    key = name.partition("?")[0].rstrip("/").split("/")[2:]
    lists = {"templates": "Template", "registries": "Registry", "serverless": "Endpoint", "pods": "Pod"}
    kind = "EcrDelegation" if "delegations" in key else lists.get(key[0], "")
    listed = {"Template": "ListTemplatesResponse", "Registry": "ListRegistriesResponse", "Pod": "ListPodsResponse"}
    listed |= {"Endpoint": "ListEndpointsResponse", "EcrDelegation": "ListDelegationsResponse"}
    whole = name.startswith("GET") and key[-1] in (*lists, "delegations")
    return SCHEMAS.get(listed.get(kind, "") if whole else kind)


def absent(document: Any, schema: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yield what a schema allows and a document lacks: where, its name and a value of its type."""
    if isinstance(document, list):
        inner = schema.member if isinstance(schema, botocore_model.ListShape) else as_json(schema).get("items")
        for each in document:
            yield from absent(each, inner)
    elif isinstance(document, dict):
        for name, inner in members(schema).items():
            if name in document:
                yield from absent(document[name], inner)
            else:
                yield document, name, value_of(inner)


def as_json(schema: Any) -> Json:
    return schema if isinstance(schema, dict) else {}


def members(schema: Any) -> Json:
    found = schema.members if isinstance(schema, botocore_model.StructureShape) else as_json(schema).get("properties")
    return dict(found or {})


def value_of(schema: Any) -> Any:
    kind = schema.type_name if isinstance(schema, botocore_model.Shape) else as_json(schema).get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    values = {
        "integer": -1,
        "long": -1,
        "boolean": True,
        "list": [],
        "array": [],
        "structure": {},
        "map": {},
        "object": {},
    }
    return values.get(kind, MARKUP)


# Runs


def same_name(found: Json) -> Json:
    """Return a state without what tells which of its two names a credential that is replaced has at last."""
    whole: Json = json.loads(json.dumps(found, sort_keys=True).replace("us-east-1-alt", "us-east-1"))
    return whole


class Verdict(NamedTuple):
    """How many answers were mutated, whether a run that wrote was run again, and what is wrong."""

    mutated: int
    again: bool
    wrong: tuple[str, ...]


class Mutations:
    """Runs of all kinds in one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._clock = sandbox, Clock()
        self.house = House(sandbox)
        self.house.runs = Runs(sandbox.environment, sleep=self._clock.sleep, clock=self._clock.now)
        sandbox.reset()
        sandbox.runpod.switch(rate_limits=None)
        self._empty = Snapshot(sandbox)
        self._starts: dict[str, Snapshot] = {}
        self._ends: dict[str, Any] = {}

    def tried(self, seed: int, again: bool = False) -> Verdict:
        """Run on mutated answers, and `again` plainly."""
        random = Random(seed)
        name, share = random.choice(RUNS), random.choice(SHARES)
        count, asked = 0, 0

        def change(call: str, body: bytes) -> bytes:
            nonlocal count, asked
            asked += 1
            if asked > 400 or random.random() >= share:
                return body
            count += 1
            return mutated(random, call, body)

        with self._patched():
            self._start(name)
            self._clock.slept = 0.0
            self._sandbox.forget_calls()
            told = self._told(name, change)
            with near(self._sandbox):
                wrong = list(self._ended_badly(name, told))
            again = again and name != "audit" and bool(self.house.writes())
            if again:
                with near(self._sandbox):
                    wrong += self._again(name)
        return Verdict(count, again, tuple(wrong))

    @contextmanager
    def _patched(self) -> Iterator[None]:
        with ExitStack() as patches:
            patches.enter_context(in_order())
            patches.enter_context(patch("time.sleep", self._clock.sleep))
            yield

    def _start(self, name: str) -> None:
        start = SCENARIOS["endpoint rollout" if name == "audit" else name].start
        key = start.__name__
        if key not in self._starts:
            self._empty.restore()
            with near(self._sandbox):
                start(self.house)
            self._starts[key] = Snapshot(self._sandbox)
        self._starts[key].restore()

    def _told(self, name: str, change: Change) -> tuple[list[str], Any] | str:
        """Return what a run says, or that it ends in a traceback."""
        try:
            with near(self._sandbox, change):
                return self._audited() if name == "audit" else self._played(name)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__}: {str(error)[:300]} at {Path(place.filename).name}:{place.lineno}"

    def _ended_badly(self, name: str, told: tuple[list[str], Any] | str) -> Iterator[str]:
        """Yield what is wrong with how a run ends."""
        if isinstance(told, str):
            yield f"{name}: traceback: {told}"
            return
        whole = json.dumps(told, default=str)
        for text in told[0]:
            if not all(character.isprintable() or character in "\n\t" for character in text):
                yield f"{name}: raw on the terminal: {text[:300]!r}"
        if EVALUATED in whole:
            yield f"{name}: a template was evaluated: {whole[max(whole.index(EVALUATED) - 200, 0) :][:300]}"
        yield from (f"{name}: a secret is told" for secret in secrets(self.house) - INVENTED if secret in whole)

    def _played(self, name: str) -> tuple[list[str], Any]:
        """Return the texts of the terminal, and all else that is told."""
        scenario = SCENARIOS[name]
        played = self.house.role(scenario.entry, **{"template": {"serverless": True}, **scenario.options})
        return [played.failure, *played.warnings], played.variables.get("runpod_ecr_result")

    def _audited(self) -> tuple[list[str], Any]:
        store = {"type": "secretsmanager", "name": STORES["secretsmanager"]}
        given = {"image": IMAGE, "template": {"serverless": True}, "secret_store": store}
        with patch.dict("os.environ", self.house.environment()):
            try:
                audit = self.house.runs.outcome(runpod_ecr_audit, given).results["audit"]
            except CollectionError as error:
                return [], str(error)
        page = Templar(LOADER, variables={"__runpod_ecr_audit": audit}).template(trust_as_template(PAGE.read_text()))
        planted = ["the page has markup of the answer's \0"] if MARKUP in page else []
        return [*planted, *(text for text, dummy in lines(audit))], [audit, page]

    def _again(self, name: str) -> Iterator[str]:
        """Yield how a plain re-run does not finish what a run has left behind."""
        self._clock.slept += 600.0
        try:
            failure = self._played(name)[0][0]
        except Exception as error:
            failure = f"traceback: {type(error).__name__}: {error}"
        if failure:
            yield f"{name}: the next run fails: {failure[:400]}"
            return
        found = same_name(state(self.house))
        yield from (f"{name}: {each}" for each in differences(same_name(self._end(name)), found))

    def _end(self, name: str) -> Any:
        """Return what an undisturbed run leaves."""
        if name not in self._ends:
            self._start(name)
            assert not self._played(name)[0][0]
            self._ends[name] = state(self.house)
        return self._ends[name]
