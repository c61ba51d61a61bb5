# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An answer on a terminal, and how a run was called."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit_lines import MOST_LINES, arguments, lines

Json = dict[str, Any]


def test_each_line_has_the_colour_of_what_it_says() -> None:
    answer = ["RED training: It is gone.", "AMBER all workloads: It ends.", "Not proved: whether."]
    assert lines({"answer": answer, "status": "red"}) == list(
        zip(answer, ["red", "yellow", "bright blue"], strict=True)
    )
    assert lines({"answer": ["Fine."], "status": "green"}) == [("Fine.", "green")]


def test_a_long_answer_is_cut_and_says_so() -> None:
    answer = [f"RED app-{number}: It is gone." for number in range(20)]
    shown = lines({"answer": answer, "status": "red"})
    assert len(shown) == MOST_LINES and shown[-1] == ("And 9 more, in the report.", "red")


@pytest.mark.parametrize(
    ("given", "host", "found"),
    [
        ({}, "localhost", []),
        ({"extra_vars": ["@fleet.yml"]}, "localhost", ["-e", "@fleet.yml"]),
        ({"extra_vars": ["runpod_ecr_image=a/b:v1"]}, "localhost", ["-e", "runpod_ecr_image=a/b:v1"]),
        ({"extra_vars": ["runpod_ecr_audit_fail_on=red"]}, "localhost", []),
        ({"extra_vars": ['{"token": "x"}', "key=value key=2"]}, "localhost", ["-e", "@VARIABLES.yml"]),
        ({"inventory": ["/etc/hosts.yml"]}, "blue", ["-i", "/etc/hosts.yml", "-e", "runpod_ecr_hosts=blue"]),
        (
            {"vault_password_files": ["p"], "vault_ids": ["a@p"]},
            "localhost",
            ["--vault-password-file", "p", "--vault-id", "a@p"],
        ),
        ({"ask_vault_pass": True}, "localhost", ["--ask-vault-pass"]),
    ],
)
def test_a_remedy_is_called_as_its_audit_was(given: Json, host: str, found: list[str]) -> None:
    assert arguments(given, host) == found
