# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs the module, tells it how this run was called, so that its remedies can be carried out as they are printed, and
# shows the answer in a few coloured lines: a module cannot write to the terminal.

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.utils.display import Display

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit_lines import arguments, lines

display = Display()


class ActionModule(Normal):
    """The action's entry point for Ansible."""

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        host = str((task_vars or {}).get("inventory_hostname", "localhost"))
        given = dict(context.CLIARGS)
        if list(given.get("inventory") or ()) == list(C.DEFAULT_HOST_LIST):
            del given["inventory"]  # which the next run finds by itself
        self._task.args.setdefault("arguments", arguments(given, host))
        result: dict[str, Any] = super().run(tmp, task_vars)
        if isinstance(result.get("audit"), dict) and not self._task.no_log:
            for line, colour in lines(result["audit"]):
                display.display(f"[{host}] {line}", color=colour)
        return result
