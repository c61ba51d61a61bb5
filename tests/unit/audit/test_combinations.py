# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is wrong together: nothing green over a pull that fails, and nothing red over one that works."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from .bases import BASES, Worlds
from .cases import SINGLES
from .measures import audited, truth
from .sabotages import Sabotage, name_of

SEEDS = 1000 if os.environ.get("AUDIT_CASES") == "all" else 40
AT_ONCE = 3


def chosen(seed: int) -> tuple[str, list[Sabotage]]:
    """Return a base and three of its sabotages."""
    dice = random.Random(seed)
    base = dice.choice([name for name in BASES if name != "ssm"])
    known = [case for case in SINGLES if case.base == base]
    return base, [sabotage for case in dice.sample(known, AT_ONCE) for sabotage in case.sabotages]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_colour_contradicts_a_pull(
    worlds: Worlds, seed: int, record_property: Callable[[str, object], None]
) -> None:
    name, sabotages = chosen(seed)
    base = worlds.enter(name)
    done = []
    for sabotage in sabotages:
        try:
            sabotage(worlds.house)
        except Exception:  # another one has taken what this one is about
            continue
        done.append(name_of(sabotage))
    report = audited(worlds.house, base)
    contradiction = truth(worlds.house, base, report)
    told = [(one["cause"], one["remedy"]) for one in report["findings"]]
    twice = len(told) - len(set(told))
    record_property("combination", {"colours": not contradiction, "nothing twice": not twice})
    assert (contradiction, twice) == ("", 0), done
