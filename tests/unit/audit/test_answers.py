# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever field an answer lacks, or has in another form, an audit ends in a report or in an error of ours."""

from __future__ import annotations

import gc
import os
import re
from contextlib import suppress
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError
from tests.system.conftest import IMAGE, House

from . import sabotages as s
from .bases import BASES, SERVED, TRAINING, Base, Worlds
from .cases import having
from .measures import audited
from .sabotages import OTHER, Sabotage, name_of

Json = dict[str, Any]

EVERY = 1 if os.environ.get("AUDIT_CASES") == "all" else 60  # one of so many changes in the share that all tests run
COLLECTED = 25
CHANGES = ("remove", "null", "number")
WORLDS = [
    *((base, s.nothing) for base in BASES),
    ("credential", having(s.template_runs, TRAINING, IMAGE.replace(":v1", ":v2"))),
    ("credential", having(s.template_of_a_stranger, TRAINING)),
    ("credential", having(s.endpoint_of_another_region, SERVED)),
    ("delegation", having(s.template_runs, TRAINING, OTHER)),
    ("public", having(s.template_runs, TRAINING, IMAGE)),
]


def changed_fields(house: House, base: Base) -> list[tuple[str, str, Json]]:
    """Return server, call and change of each field that an audit is answered with."""
    with house.sandbox.recording() as calls:
        audited(house, base)
    answered = dict.fromkeys((call.server, call.name, field) for call in calls for field in call.fields)
    return [(server, name, {change: field}) for server, name, field in answered for change in CHANGES]


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("base", "sabotage"), WORLDS, ids=lambda each: each if isinstance(each, str) else name_of(each)
)
def test_no_field_that_an_answer_lacks_is_a_traceback(worlds: Worlds, base: str, sabotage: Sabotage) -> None:
    house, place = worlds.house, WORLDS.index((base, sabotage))
    wish = worlds.enter(base)
    sabotage(house)
    for number, (server, name, answer) in enumerate(changed_fields(house, wish)[place % EVERY :: EVERY]):
        if number % COLLECTED == 0:
            gc.collect()  # which ends the threads of audits that are over
        worlds.enter(base)
        sabotage(house)
        house.sandbox.fail(f"^{re.escape(name)}$", server=server, answer=answer, effect="after", times=None)
        with suppress(CollectionError):
            audited(house, wish)
        house.sandbox.mend()
