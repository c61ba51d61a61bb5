# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: modules of Ansible, and the one way each of ours ends.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.warnings import warn

from .errors import CollectionError, Json
from .masking import mask_arguments
from .result import Result

Run = Callable[[Json, bool, Any], Result]
Connect = Callable[[AnsibleModule], Any]


class EnvModule(AnsibleModule):
    """An AnsibleModule with an option `env`, in it or in its sub-options, whose values are shown nowhere.

    They are masked by key where the module's arguments are echoed: in each result, also when the arguments themselves
    are refused, and in the system's log. `no_log` would mask each value wherever it occurs, ids and names included.
    """

    def exit_json(self, **kwargs: Any) -> None:
        super().exit_json(invocation=self._invocation(), **kwargs)

    def fail_json(self, msg: str, **kwargs: Any) -> None:
        super().fail_json(msg, invocation=self._invocation(), **kwargs)

    def log(self, msg: str, log_args: Json | None = None) -> None:
        if log_args:  # the module's arguments, as text
            echo = mask_arguments(self.params, self.argument_spec)
            log_args = {
                name: str(echo[name]) if isinstance(echo[name], dict | list) else text
                for name, text in log_args.items()
            }
            msg = "Invoked with " + " ".join(f"{name}={text}" for name, text in log_args.items())
        super().log(msg, log_args=log_args)

    def _invocation(self) -> Json:
        return {"module_args": mask_arguments(self.params, self.argument_spec)}


def execute(module: AnsibleModule, run: Run, key: str | None, connect: Connect) -> None:
    """Run one resource and end the module: the only try, exit_json and fail_json.

    `key` names the return value that shows the resource afterwards; None when there is no such one.
    """
    try:
        outcome = run(module.params, module.check_mode, connect(module))
    except CollectionError as error:
        module.fail_json(**error.as_result())
    for warning in outcome.warnings:
        warn(warning)  # not module.warn(): amazon.aws would repeat it in a way that ansible-core deprecates
    diff = {"before": outcome.before or {}, "after": outcome.after or {}}
    resource = {key: outcome.after} if key else {}
    module.exit_json(changed=outcome.changed, diff=diff, **{**resource, **outcome.results})
