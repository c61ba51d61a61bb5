# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

from .._core.errors import InputError

# RunPod's pulling roles, as its documentation named them from each date on; the last is in force.
PUBLISHED = {
    "2026-05-26": ("arn:aws:iam::418399314813:role/prod-us-east-1-deployment-role",),
    "2026-06-12": ("arn:aws:iam::550005742258:role/prod-us-east-1-deployment-role",),
    "2026-07-30": (
        "arn:aws:iam::550005742258:role/prod-us-east-1-deployment-role",
        "arn:aws:iam::550005742258:role/prod-us-west-2-deployment-role",
    ),
}


EVER_PUBLISHED = frozenset(arn for arns in PUBLISHED.values() for arn in arns)


IN_FORCE = PUBLISHED[max(PUBLISHED)]


def check_reach(arn: str) -> None:
    """Raise InputError unless this is one repository that RunPod's roles can reach."""
    if re.search(r"[*?]", arn):
        raise InputError(f"{arn} holds a wildcard: every repository has a policy of its own, so name each.")
    partition = arn.split(":")[1]
    if partition != "aws":
        raise InputError(
            f"{arn} is in the partition {partition}. RunPod's roles are in the partition aws, and roles have no access "
            "across partitions."
        )
