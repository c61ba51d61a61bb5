# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.warnings import warn

from .errors import CollectionError, Json
from .masking import mask_arguments, mask_login, mask_secrets, printable, secret_values
from .result import Result

Run = Callable[[Json, bool, Any], Result]
Connect = Callable[[Any], Any]
LINES = "\n\t"


class CollectionModule(AnsibleModule):
    """Masks the values of no_log options and of `env` in results, failures and the system's log, with every version
    of ansible-core.
    """

    params: Any
    _unfit: tuple[str, ...] = ()

    def _load_params(self) -> None:
        super()._load_params()
        self._unfit = tuple(scalars(self.params, self.argument_spec))
        self.params = text_for_scalars(self.params, self.argument_spec)

    def exit_json(self, **result: Any) -> None:
        super().exit_json(**self._to_result(result))

    def fail_json(self, msg: str, **result: Any) -> None:
        if self._unfit:
            msg = f"{' and '.join(self._unfit)} must be a dictionary of options, not a single value."
        masked_result = self._to_result({"msg": mask_login(str(msg)), **result})
        super().fail_json(printable(masked_result.pop("msg"), LINES), **masked_result)

    def log(self, msg: str, log_args: Json | None = None) -> None:
        if log_args:
            log_args = {name: str(value) for name, value in self._arguments().items() if name in log_args}
            msg = "Invoked with " + " ".join(f"{name}={text}" for name, text in log_args.items())
        super().log(msg, log_args=log_args)

    def _arguments(self) -> Json:
        return mask_arguments(self.params, self.argument_spec)

    def _to_result(self, result: Json) -> Json:
        masked = mask_secrets(result, secret_values(self.params, self.argument_spec))
        return {**masked, "invocation": {"module_args": self._arguments()}}


def scalars(given: Any, spec: Json, place: str = "") -> list[str]:
    if isinstance(given, list):
        return [found for item in given for found in ([place] if item is None else scalars(item, spec, place))]
    if not isinstance(given, dict):
        return [place] if isinstance(given, bool | int | float) else []
    inner = {name: value for name, value in given.items() if "options" in spec.get(name, {})}
    before = f"{place}." if place else ""
    return [
        found for name, value in inner.items() for found in scalars(value, spec[name]["options"], f"{before}{name}")
    ]


def text_for_scalars(given: Any, spec: Json) -> Any:
    """Return texts for numbers in place of a mapping, over which ansible-core stumbles."""
    if isinstance(given, list):
        return ["" if item is None else text_for_scalars(item, spec) for item in given]
    if not isinstance(given, dict):
        return str(given) if isinstance(given, bool | int | float) else given
    return {
        name: text_for_scalars(value, spec[name]["options"]) if "options" in spec.get(name, {}) else value
        for name, value in given.items()
    }


def execute(module: Any, run: Run, key: str | None, connect: Connect) -> None:
    """Run one resource and end the module: the only try, exit_json and fail_json. `key` names the return value that
    shows the resource afterwards.
    """
    gc.freeze()
    gc.enable()
    try:
        outcome = run(module.params, module.check_mode, connect(module))
    except CollectionError as error:
        module.fail_json(**error.as_result())
    for warning in outcome.warnings:
        # amazon.aws repeats module.warn() in a way that ansible-core deprecates
        warn(printable(warning, LINES))
    diff = {"before": outcome.before or {}, "after": outcome.after or {}}
    resource = {key: outcome.after} if key else {}
    module.exit_json(changed=outcome.changed, diff=diff, **{**resource, **outcome.results})
