# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job with --check ends in the cause that an audit tells, at once: it waits for no right that nothing will
bring, and is calm about what is odd and well.
"""

from __future__ import annotations

import os
import time
from unittest.mock import patch

import pytest

from tests.system.role import Played, Role
from tests.system.worker import Runs

from .bases import Worlds
from .cases import ALL
from .sabotages import Case

EVERY = 1 if os.environ.get("AUDIT_CASES") == "all" else 3
SHARE = ALL[::EVERY]
MOST_SECONDS = 10

# What a run mends: the steps of which a check shows one.
STEPS = {
    "access_missing": {"endpoint"},
    "credential_missing": {"credential"},
    "credential_unlinked": {"template"},
    "delegation_missing": {"delegation"},
    "endpoint_drift": {"endpoint"},
    "endpoint_missing": {"endpoint"},
    "mirror_behind": {"mirror"},
    "mirror_missing": {"mirror"},
    "policy_drift": {"user"},
    "policy_missing": {"user"},
    "role_missing": {"grant"},
    "role_outdated": {"grant"},
    "runs_unpullable": {"template", "endpoint"},
    "secret_key_mismatch": {"user"},
    "secret_missing": {"user"},
    "statement_missing": {"grant"},
    "template_drift": {"template"},
    "template_missing": {"template"},
    "token_ends_soon": {"credential"},
    "token_expired": {"credential"},
    "token_unknown": {"credential"},
    "user_missing": {"user"},
}
# What no run mends: words of the error, or of the warning, by which a check ends.
STRANGE = "may be somebody else's"
WORDS = {
    "boundary_denies": "The permissions boundary of the pull user",
    "credential_twice": "There are 2 registry credentials named",
    "credential_unlinked": STRANGE,
    "foreign_policy": "A policy denies the pull user",
    "layer_unavailable": "of the layers of",
    "no_session": "session have expired",
    "not_an_image": "is not a container image",
    "not_looked_at": "HTTP 403|AccessDenied",
    "not_managed": "lacks the tag gpuops.runpod/managed",
    "organization_denies": "A policy of the organization",
    "platform_missing": "is not for linux/amd64",
    "quarantined": "is quarantined since",
    "repository_not_found": "There is no repository",
    "runs_unpullable": STRANGE,
    "secret_key_inactive": "its status is Inactive",
    "secret_unreadable": "does not hold what this collection writes",
    "secret_wrong": "is not the one of the access key",
    "statement_denies": "denies RunPod's roles to pull",
    "tag_not_found": "holds no image with the tag",
}
# What a run neither mends nor is kept from by.
OF_NO_RUN = {
    "entry_of_another",
    "foreign_key",
    "open_to_all",
    "pod_left_behind",
    "tag_expires",
    "workers_stuck",
    "workers_throttled",
    "workers_unhealthy",
}
NOT_NEEDED = ("GET_v2_pods", "ecr:GetLifecyclePolicy", "ecr:BatchCheckLayerAvailability", "more_rights")


def checked(worlds: Worlds, case: Case, naps: list[float]) -> Played:
    house, base = worlds.house, worlds.enter(case.base)
    for sabotage in case.sabotages:
        sabotage(house)
    runs = Runs(house.sandbox.environment, sleep=naps.append)
    variables = {f"runpod_ecr_{name}": value for name, value in base.wish.items()}
    with patch.dict(os.environ, house.environment()):
        return Role(runs).play("main", True, **variables)


def needed(played: Played, case: Case) -> set[str]:
    """Return the steps that a run would take; tokens of a caller are minted anew by each."""
    always = {"credential"} if case.base == "caller" and "credential_gone" not in case.name else set()
    return {step["step"] for step in played.plan["steps"] if step["action"] != "none"} - always


def told(played: Played, code: str, text: str, steps: set[str]) -> bool:
    if code == "rotation_due":
        return bool(played.plan["result"]["rotation_due"])
    said = any(words in text for words in WORDS.get(code, "\0").split("|"))
    return said or bool(STEPS.get(code, set()) & steps)


@pytest.mark.parametrize("case", SHARE, ids=lambda case: case.name)
def test_a_check_ends_in_the_cause_at_once(worlds: Worlds, case: Case) -> None:
    naps: list[float] = []
    begun = time.process_time()
    played = checked(worlds, case, naps)
    assert naps == [] and time.process_time() - begun < MOST_SECONDS
    codes = {code for found in case.links.values() for code in found} - OF_NO_RUN
    if any(name in case.name for name in NOT_NEEDED):
        codes -= {"foreign_policy", "not_looked_at"}
    text = " ".join([played.failure, *([] if played.failure else played.plan["result"]["warnings"])])
    steps = set() if played.failure else needed(played, case)
    if not codes:
        assert (played.failure, steps) == ("", set())
    elif played.failure:  # what stops a run hides what would come later
        assert any(told(played, code, text, steps) for code in codes), text
    else:
        assert [code for code in sorted(codes) if not told(played, code, text, steps)] == [], (text, steps)


def test_every_code_of_the_table_is_thought_of() -> None:
    codes = {code for case in ALL for found in [*case.links.values(), case.elsewhere] for code in found}
    assert codes <= STEPS.keys() | WORDS.keys() | OF_NO_RUN | {"rotation_due"}
