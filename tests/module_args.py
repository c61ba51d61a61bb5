# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options for modules in tests, and what they answer, with every ansible-core: it has a way of its own since 2.19."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from ansible.module_utils import basic
from ansible.module_utils.common import warnings
from ansible.module_utils.common.parameters import PASS_VARS

# Asks for the arguments beside the result. ansible-core before 2.19 shows them unasked.
SHOW_INVOCATION = {"_ansible_inject_invocation": True} if "inject_invocation" in PASS_VARS else {}


@contextmanager
def patch_module_args(args: dict[str, Any]) -> Iterator[None]:
    """Let a module that is made within take these options."""
    given = json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode()
    with (
        patch.object(basic, "_ANSIBLE_ARGS", given),
        patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True),
        patch.object(
            warnings, "_global_warnings", type(warnings._global_warnings)()
        ),  # of modules before, in a process
    ):
        yield


def result_of(output: str) -> dict[str, Any]:
    """What a module has printed, but for what it tells ansible-core, since 2.22, to redact wherever it shows."""
    result: dict[str, Any] = json.loads(output)
    result.pop("_ansible_new_secrets", None)
    return result


def warnings_of(result: dict[str, Any]) -> list[str]:
    """The texts of a result's warnings, which are summaries of events since ansible-core 2.19."""
    return [each if isinstance(each, str) else each["event"]["msg"] for each in result.get("warnings", [])]
