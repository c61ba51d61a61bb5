# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A remedy that runs the main job names whatever else that job would change."""

from __future__ import annotations

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit_remedy import WHOLE

from . import sabotages as s
from .bases import SERVED, TRAINING, Worlds
from .cases import C, D, P, case, having
from .measures import audited
from .remedies import command_of
from .sabotages import EAST, SEOULS, Case
from .test_check import checked, needed

SHOWN = {"credential", "template", "endpoint", "public_repository"}
TOGETHER: list[Case] = [
    case(C, "red", {}, s.policy_without_seoul, having(s.template_unlinked, TRAINING)),
    case(C, "red", {}, s.policy_gone, having(s.credential_gone, SEOULS), having(s.endpoint_scaled, SERVED)),
    case(C, "red", {}, s.entry_gone, having(s.template_gone, TRAINING)),
    case(C, "red", {}, having(s.token_over, EAST), having(s.endpoint_gone, SERVED)),
    case(D, "red", {}, having(s.role_lacking, TRAINING), having(s.endpoint_gone, SERVED)),
    case(D, "red", {}, having(s.delegation_gone, SERVED), having(s.template_runs, TRAINING, s.IMAGE + "0")),
    case(P, "red", {}, s.public_repository_gone, having(s.endpoint_gone, SERVED)),
]


@pytest.mark.parametrize("given", TOGETHER, ids=lambda given: given.name)
def test_a_remedy_names_what_else_the_main_job_changes(worlds: Worlds, given: Case) -> None:
    played = checked(worlds, given, [])
    wanted = {
        (step["step"], step["name"])
        for step in played.plan["steps"]
        if step["step"] in SHOWN & needed(played, given) and step["action"] != "none"
    }
    report = sabotaged(worlds, given)
    whole = [one for one in report["findings"] if WHOLE in one["remedy"]]
    assert whole
    text = " ".join(one["remedy"] + one["cause"] for one in whole)
    for one in whole:
        assert command_of(one["remedy"]).startswith(("ansible-playbook ", "aws "))
    for step, name in wanted:
        link = {"public_repository": "public_image"}.get(step, step)
        told = any(link in one["links"] for one in whole)
        assert told or f"the {step.replace('_', ' ')} {name}" in text, (step, name, text)


def sabotaged(worlds: Worlds, given: Case) -> s.Json:
    base = worlds.enter(given.base)
    for sabotage in given.sabotages:
        sabotage(worlds.house)
    return audited(worlds.house, base)


def test_a_remedy_whose_job_changes_nothing_else_says_nothing(worlds: Worlds) -> None:
    report = sabotaged(worlds, case(C, "amber", {}, having(s.endpoint_scaled, SERVED)))
    [one] = [one for one in report["findings"] if one["code"] == "endpoint_drift"]
    assert "it also changes" not in one["remedy"]


def test_what_has_a_remedy_of_its_own_is_named_and_many_are_counted(worlds: Worlds) -> None:
    things = [
        having(s.token_over, SEOULS),
        having(s.token_over, EAST),
        having(s.template_unlinked, TRAINING),
        having(s.template_unlinked, SERVED),
    ]
    report = sabotaged(worlds, case(C, "red", {}, s.policy_gone, *things))
    [one] = [one for one in report["findings"] if one["code"] == "policy_missing"]
    named = f"(it also changes the credential {SEOULS}, the credential {EAST}, the template "
    assert named in one["remedy"] or f"the credential {EAST}, the credential {SEOULS}" in one["remedy"]
    assert " and 1 more): ansible-playbook" in one["remedy"]


def test_what_the_same_run_mends_is_not_named_again(worlds: Worlds) -> None:
    report = sabotaged(worlds, case(C, "red", {}, s.policy_gone, having(s.template_gone, TRAINING)))
    remedies = {one["remedy"] for one in report["findings"] if WHOLE in one["remedy"]}
    assert len(remedies) == 1 and "it also changes" not in remedies.pop()
