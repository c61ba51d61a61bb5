# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A share of `make faults`: some calls, pairs of runs at once, inputs and mutated answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from tests.faults.answers import RUNS, Mutations
from tests.faults.at_once import Meetings
from tests.faults.harness import Harness
from tests.faults.inputs import (
    ACCESS,
    KINDS,
    MODULES,
    OF_THE_ROLE,
    Inputs,
    RoleInputs,
    documented,
    ended_badly,
    nowhere,
)
from tests.sandbox.server import Sandbox

SHARES = {  # scenario -> which of its points
    "first converge": (700, 1301),
    "refresh by replacement": (150, 380),
    "rotation": (200, 610, 1011),
    "endpoint rollout": (120, 522),
    "way changed": (300, 611),
    "moved to a role": (2250,),
    "teardown": (200, 420, 633),
}
MEETINGS = [
    ("nothing", ("converge", "another image"), 3),
    ("converged", ("rotate", "refresh"), 5),
    ("converged", ("delegation", "endpoint"), 7),
    ("converged", ("converge", "absent"), 11),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(with_registries=True) as running:
        here = {name: running.environment[name] for name in ("NO_PROXY", "no_proxy", "SSL_CERT_FILE")}
        with patch.dict(os.environ, here):
            yield running


@pytest.mark.no_cover
@pytest.mark.parametrize("name", SHARES)
def test_a_plain_re_run_heals_what_went_wrong_at_a_call(sandbox: Sandbox, name: str) -> None:
    harness = Harness(sandbox, name)
    for number in SHARES[name]:
        verdict = harness.tried(harness.points[number % len(harness.points)])
        assert not verdict.wrong, f"{verdict.point}: {verdict.wrong}"


@pytest.mark.no_cover
@pytest.mark.parametrize(("start", "pair", "seed"), MEETINGS)
def test_two_runs_at_once_end_in_one_good_state(sandbox: Sandbox, start: str, pair: tuple[str, str], seed: int) -> None:
    assert Meetings(sandbox).wrong(start, pair, seed) == []


@pytest.mark.no_cover
def test_any_options_end_in_a_clear_error() -> None:
    with nowhere():
        for seed in range(30 * len(MODULES)):
            module = MODULES[seed % len(MODULES)]
            options = Inputs(seed).options(module)
            assert not ended_badly(module, options), (module, seed, options)


@pytest.mark.no_cover
def test_any_variables_of_the_role_end_in_a_clear_error_before_anything_is_written(sandbox: Sandbox) -> None:
    inputs = RoleInputs(sandbox)
    for seed in range(120):
        assert not inputs.ended_badly(seed), (seed, inputs.variables(seed))


@pytest.mark.no_cover
def test_mutated_answers_end_in_a_clear_error(sandbox: Sandbox) -> None:
    mutations, mutated = Mutations(sandbox), 0
    for seed in range(120):
        verdict = mutations.tried(seed, again=seed % 12 == 0)
        mutated += verdict.mutated
        assert not verdict.wrong, (seed, verdict)
    assert mutated > len(RUNS)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for item in value.items() for each in item for text in texts(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in texts(each))
    elif isinstance(value, str):
        yield value


def test_each_kind_of_text_is_drawn_for_each_option_of_each_module_and_of_the_role() -> None:
    """Within the seeds of a whole run; a tenth of them shows it."""
    drawn: dict[str, set[str]] = {}
    said: set[str] = set()
    for seed in range(400 * len(MODULES)):
        module = MODULES[seed % len(MODULES)]
        options = Inputs(seed).options(module)
        drawn.setdefault(module, set()).update(options)
        said |= set(texts(options))
    for module in MODULES:
        assert drawn[module] >= documented(module).keys() - ACCESS, module
    assert all(said.intersection(kind) for kind in KINDS.values())
    of_the_role = {name for seed in range(1000) for name in Inputs(seed).drawn(OF_THE_ROLE["main"])}
    assert of_the_role == OF_THE_ROLE["main"].keys()
