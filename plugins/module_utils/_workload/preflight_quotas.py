# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: how much of the quotas of RunPod and IAM is left.

from __future__ import annotations

from collections.abc import Iterator

from .._core.errors import AwsError
from .desired import DesiredState
from .look import Look
from .preflight_look import has_user
from .preflight_rights import (
    MISSING,
    OK,
    UNKNOWN,
    CallerContext,
    Check,
    facts_of,
)

NEARLY_SPENT = 20  # requests that are left of a quota


def quotas(look: Look, desired: DesiredState, caller: CallerContext | None) -> Iterator[Check]:
    for window in look.api.view.windows:
        text = f"{window.left} of {window.quota or 'an unknown number of'} requests are left"
        name = f"quota of RunPod: {window.name}"
        if window.left < NEARLY_SPENT and window.name != "minute":
            remedy = f"Run this in {window.resets} s, or ask RunPod for a higher limit."
            yield Check("quota", name, MISSING, text, remedy)
        else:
            yield Check("quota", name, OK, text)
    if caller and {"user", "write"} <= facts_of(desired) and desired.intent == "converge":
        yield from users_quota(look, desired)


def users_quota(look: Look, desired: DesiredState) -> Iterator[Check]:
    name = "quota of IAM users"
    try:
        summary = look.aws.call("iam", "get_account_summary")["SummaryMap"]
        used, most = summary["Users"], summary["UsersQuota"]
    except (AwsError, KeyError) as error:
        why = error.code if isinstance(error, AwsError) else "the answer lacks it"
        remedy = "Allow iam:GetAccountSummary: docs/policies/preflight.json."
        yield Check("quota", name, UNKNOWN, why, remedy, False)
        return
    text = f"{used} of {most} users"
    if used < most or has_user(look.aws, desired):
        yield Check("quota", name, OK, text)
    else:
        yield Check("quota", name, MISSING, text, "Remove users that nobody needs: AWS does not raise this quota.")
