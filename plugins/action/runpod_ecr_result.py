# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Joins two results on the controller: a process of its own would cost more than the rest of the task.

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._workload.run_result import OPTIONS, run_result


class ActionModule(ActionBase):
    """The action's entry point for Ansible."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        dummy, options = self.validate_argument_spec(argument_spec=OPTIONS)
        try:
            return {"changed": False, **run_result(options["plan"], options["done"])}
        except InputError as error:
            raise AnsibleActionFail(str(error)) from error
