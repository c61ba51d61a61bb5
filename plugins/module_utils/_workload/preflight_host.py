# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a preflight looks for on the machine that runs the modules: its tools and its clock.

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from .._core.errors import SkopeoError
from .desired import DesiredState
from .look import Look
from .preflight_rights import (
    MISSING,
    OK,
    UNKNOWN,
    Check,
    facts_of,
)

TOLERANCE = timedelta(minutes=1)
CLOCK = re.compile(r"Signature (expired|not yet current)|RequestTimeTooSkewed|clock", re.IGNORECASE)
SET_CLOCK = "Let the clock be kept by NTP: timedatectl set-ntp true"


def tools(look: Look, desired: DesiredState) -> Iterator[Check]:
    """Only a copy needs skopeo."""
    if not {"mirror"} & facts_of(desired) and (desired.access, desired.intent) != ("public", "converge"):
        return
    try:
        version = ".".join(map(str, look.skopeo.version()))
    except SkopeoError as error:
        remedy = "Install skopeo 1.9 or newer where this runs: apt install skopeo, dnf install skopeo."
        yield Check("tool", "skopeo", MISSING, str(error), remedy)
    else:
        yield Check("tool", "skopeo", OK, f"version {version}")


def clocks(look: Look, aws: timedelta | None) -> Iterator[Check]:
    """This machine's clock judges signatures and ends of tokens."""
    for name, skew in (("AWS", aws), ("RunPod", runpod_skew(look))):
        if skew is None:
            yield Check("clock", f"clock: {name}", UNKNOWN, "no answer tells the time", SET_CLOCK, False)
        elif abs(skew) > TOLERANCE:
            text = f"this clock is {abs(skew).total_seconds():.0f} s {'behind' if skew > TOLERANCE else 'ahead of'} it"
            yield Check("clock", f"clock: {name}", MISSING, text, SET_CLOCK)
        else:
            yield Check("clock", f"clock: {name}", OK, "within a minute")


def runpod_skew(look: Look) -> timedelta | None:
    if look.api.told_time is None:
        return None
    date, moment = look.api.told_time
    return skew_of(date, look.aws.clock() - timedelta(seconds=look.api.clock() - moment))


def skew_of(date: str, here: datetime) -> timedelta | None:
    """Return by how much the clock of a `Date` is ahead of this one."""
    try:
        return parsedate_to_datetime(date) - here
    except (TypeError, ValueError):
        return None
