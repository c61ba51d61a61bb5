# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a run does, by what is intended.

from __future__ import annotations

from collections.abc import Callable

from .desired import DesiredState
from .look import Look
from .plan_absent import absent
from .plan_converge import converge
from .plan_keys import quarantine, refresh, rotate
from .step import Plan


def make_plan(desired: DesiredState, look: Look) -> Plan:
    return PLANS[desired.intent](desired, look)


PLANS: dict[str, Callable[[DesiredState, Look], Plan]] = {
    "converge": converge,
    "refresh": refresh,
    "rotate": rotate,
    "quarantine": quarantine,
    "absent": absent,
}
