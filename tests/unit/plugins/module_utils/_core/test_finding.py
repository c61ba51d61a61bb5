# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shlex

from ansible_collections.gpuops.runpod.plugins.module_utils._core.finding import Rule, module_call, worst_first

ROW = Rule("broken", "error", "{what} is broken", "mend {what}")


def test_a_row_is_filled_with_facts() -> None:
    filled = {"code": "broken", "severity": "error", "cause": "{a} is broken", "remedy": "mend {a}"}
    assert ROW.filled({"what": "{a}", "unused": 1}) == filled


def test_the_worst_comes_first_and_the_others_keep_their_order() -> None:
    severities = ["info", "error", "warning", "error"]
    found = worst_first({"severity": severity, "at": at} for at, severity in enumerate(severities))
    assert [one["at"] for one in found] == [1, 3, 2, 0]


def test_a_call_of_a_module_is_one_that_a_shell_takes() -> None:
    call = module_call("runpod_template", name="it's", disk=50)
    words = ["ansible", "localhost", "-m", "gpuops.runpod.runpod_template", "-a", '{"name": "it\'s", "disk": 50}']
    assert shlex.split(call) == words
